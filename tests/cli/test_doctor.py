"""`signal-sdk doctor`: what is there, what is wrong, and the exit codes."""

from __future__ import annotations

import json
import re
import signal
from pathlib import Path

import pytest
import trio
from click.testing import CliRunner, Result

from signal_sdk.cli.main import cli
from signal_sdk.server.engine.files import FILE_NAME
from signal_sdk.server.engine.journal import Journal
from signal_sdk.server.engine.schema import COUNTED
from tests.cli.program import dev_server, run


def contents(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.iterdir()}


def doctor(directory: Path) -> Result:
    return CliRunner().invoke(cli, ["doctor", "--data", str(directory)])


def test_where_all_is_well_it_prints_facts(tmp_path: Path) -> None:
    journal = Journal.open(tmp_path)
    ann = (1, "app", "ann", 1, 1, 2000, *(None,) * 9, 0)
    journal.write({"accounts": {(1,): ann}, "entries": {(1,): (1, 1, 1, 5.0, "line")}})
    journal.close()
    result = doctor(tmp_path)
    assert (result.exit_code, result.stderr) == (0, "")
    lines = result.stdout.splitlines()
    assert lines[0] == f"file: {tmp_path / FILE_NAME}"
    assert lines[-1] == "all is well"
    counts = {name: int(name in ("accounts", "entries")) for name in COUNTED}
    assert lines[3:-2] == [f"{name}: {count}" for name, count in counts.items()]
    app = "app 'app': accounts: 1, channels: 0, empty channels: 0, inbox entries: 1, bytes: 4"
    assert lines[-2] == app


def test_what_is_wrong_is_said_on_stderr(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).write_text("what is this?")
    result = doctor(tmp_path)
    assert result.exit_code == 1
    assert result.stderr == (
        f"{tmp_path / FILE_NAME}: not a journal of signal-sdk: it is no SQLite file\n"
    )
    assert "all is well" not in result.stdout


def test_each_thing_that_is_wrong_is_one_line(tmp_path: Path) -> None:
    directory = tmp_path / "odd\nname"
    directory.mkdir()
    result = doctor(directory)
    assert result.exit_code == 1
    assert result.stderr.count("\n") == 1
    assert result.stdout.count("\n") == 1
    assert result.stderr.endswith("there is no such file\n")


def test_a_directory_must_be_named() -> None:
    result = CliRunner().invoke(cli, ["doctor"])
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.count("\n") == 1


async def test_a_server_that_runs_is_not_disturbed(tmp_path: Path) -> None:
    async with dev_server("--data", str(tmp_path)) as (server, _):
        ended = await trio.to_thread.run_sync(run, "doctor", "--data", str(tmp_path))
        assert ended.code == 1
        who = rf"the process {server.process.pid} \([^)]+\)"
        assert re.search(rf": {who} is using it; stop that one first\n$", ended.err)
        assert (await server.end(signal.SIGTERM)).code == 0
    ended = run("doctor", "--data", str(tmp_path))
    assert (ended.code, ended.err) == (0, "")


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGKILL])
async def test_what_a_server_left_is_looked_over_and_left_so(
    tmp_path: Path, end: signal.Signals
) -> None:
    async with dev_server("--data", str(tmp_path)) as (server, _):
        await server.end(end)
    before = contents(tmp_path)
    ended = run("doctor", "--data", str(tmp_path))
    assert (ended.code, ended.err) == (0, "")
    assert contents(tmp_path) == before


def test_programs_are_told_the_same(tmp_path: Path) -> None:
    args = ["doctor", "--data", str(tmp_path), "--json"]
    Journal.open(tmp_path).close()
    result = CliRunner().invoke(cli, args)
    told = json.loads(result.stdout)
    assert (result.exit_code, result.stderr) == (0, "")
    assert (told["ok"], told["problems"]) == (True, [])
    assert told["facts"][0] == {"name": "file", "fact": str(tmp_path / FILE_NAME)}
    (tmp_path / FILE_NAME).write_text("what is this?")
    result = CliRunner().invoke(cli, args)
    told = json.loads(result.stdout)
    assert (result.exit_code, result.stderr) == (1, "")
    assert told["ok"] is False
    assert [it.rpartition(": ")[2] for it in told["problems"]] == ["it is no SQLite file"]
