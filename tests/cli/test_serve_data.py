"""`signal-sdk serve --data`: what is kept there, and what is said where it cannot be."""

from __future__ import annotations

import re
import signal
from pathlib import Path

import pytest
import trio

from signal_sdk.server.engine.files import FILE_NAME
from tests.cli.program import dev_server, one_line_of, program, run
from tests.cli.serves import connected, write_config


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGKILL])
async def test_what_it_keeps_outlives_it(tmp_path: Path, end: signal.Signals) -> None:
    data = str(tmp_path / "data")
    async with dev_server("--data", data) as (server, address), connected(address) as client:
        await client.login("alice", device="javasdk")
        await client.call("channel_join", name="room")
        line, uid = client.line, client.uid
        server.process.send_signal(end)
        assert (await server.process.wait()) == (0 if end == signal.SIGTERM else -end)
    async with dev_server("--data", data) as (_, address), connected(address) as client:
        client.send("line_login", {"line": line})
        found = await client.login_ret()
    assert (found["result"], found["uid"], found["channel"]) == ("ok", uid, "room")


async def test_in_dev_mode_without_a_directory_nothing_is_kept(tmp_path: Path) -> None:
    async with dev_server() as (_, address), connected(address) as client:
        await client.login("alice", device="javasdk")
        line = client.line
    async with dev_server() as (_, address), connected(address) as client:
        client.send("line_login", {"line": line})
        assert (await client.login_ret())["ecode"] == 202


async def test_a_directory_from_the_file_is_used(tmp_path: Path) -> None:
    data = tmp_path / "data"
    path = write_config(tmp_path, f'[server]\nport = 0\ndata = "{data}"\n[[apps]]\nid = "app"\n')
    async with program("serve", "--config", path, "--durability", "power") as server:
        await server.out.next()
        assert (await server.end(signal.SIGTERM)).code == 0
    assert (data / FILE_NAME).exists()


async def test_a_directory_in_use_is_one_line(tmp_path: Path) -> None:
    data = str(tmp_path / "data")
    async with dev_server("--data", data) as (server, _):
        ended = await trio.to_thread.run_sync(run, "serve", "--dev", "--port", "0", "--data", data)
    assert re.fullmatch(
        rf"signal-sdk: {data}/{FILE_NAME}: the process {server.process.pid} \([^)]+\) is using it;"
        " stop that one first",
        one_line_of(ended),
    )
    assert ended.code == 1


def test_data_that_cannot_be_used_is_one_line(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).write_text("what is this?")
    ended = run("serve", "--dev", "--port", "0", "--data", str(tmp_path))
    assert one_line_of(ended) == (
        f"signal-sdk: {tmp_path}/{FILE_NAME}: not a journal of signal-sdk: it is no SQLite file"
    )
    assert ended.code == 1


def test_without_dev_mode_it_asks_where_state_is_kept(tmp_path: Path) -> None:
    path = write_config(tmp_path, '[server]\nport = 0\n[[apps]]\nid = "app"\n')
    ended = run("serve", "--config", path)
    assert one_line_of(ended) == (
        "signal-sdk: where is state to be kept? Give --data DIR or --redis URL, or data or redis in"
        " [server]; only with --dev may it be in memory"
    )
    assert ended.code == 2
