"""`signal-sdk ready`, which a container's health check asks."""

from __future__ import annotations

import json
import os
import signal
from functools import partial

import pytest
import trio
from click.testing import CliRunner

from signal_sdk.cli.main import cli
from signal_sdk.cli.ready import _place
from tests.cli.program import dev_server, run
from tests.cli.serves import connected, free_ports


async def test_a_server_that_lets_clients_in_is_ready() -> None:
    async with dev_server("--no-native") as (_, address):
        for option in ((), ("--alive",)):
            done = await trio.to_thread.run_sync(run, "ready", "--server", address, *option)
            assert (done.code, done.err) == (0, "")
            assert done.out.startswith(f"{address} ")
            asked = partial(run, "ready", "--json", "--server", address, *option)
            told = json.loads((await trio.to_thread.run_sync(asked)).out)
            assert told == {"server": address, "alive" if option else "ready": True}


async def test_one_that_is_going_away_is_alive_and_not_ready() -> None:
    async with (
        dev_server("--no-native", "--drain", "60") as (server, address),
        connected(address) as first,
        connected(address) as second,
    ):
        for client, account in ((first, "alice"), (second, "bob")):
            await client.login(account, device="javasdk")
        server.process.send_signal(signal.SIGTERM)
        # The other is told half a minute later.
        await first.expect("close")
        environment = {"SIGNAL_SDK_SERVER": address}
        for option, code, text in (((), 1, "lets nobody in: 503 "), (("--alive",), 0, "")):
            asked = partial(run, "ready", *option, environment=environment)
            done = await trio.to_thread.run_sync(asked)
            assert done.code == code
            assert text in done.err
        server.process.send_signal(signal.SIGTERM)
        assert (await server.end()).code == 0


def test_where_nobody_listens_it_is_not_ready() -> None:
    [port] = free_ports(1)
    result = CliRunner().invoke(cli, ["ready", "--server", f"127.0.0.1:{port}"])
    refused = os.strerror(111)
    assert (result.exit_code, result.stderr) == (1, f"signal-sdk: 127.0.0.1:{port}: {refused}\n")


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("h", ("h", 8001)),
        ("h:1", ("h", 1)),
        ("[::1]:1", ("::1", 1)),
        ("http://h:1/", ("h", 1)),
        ("ws://h", ("h", 80)),
    ],
)
def test_a_server_is_named_as_for_other_commands(text: str, place: tuple[str, int]) -> None:
    assert _place(text) == place


@pytest.mark.parametrize(
    "place", [":1", "127.0.0.1:x", "127.0.0.1:0", "h:70000", "wss://h", "[::1", "ftp://h:1", "::1"]
)
def test_what_is_no_place_is_told(place: str) -> None:
    result = CliRunner().invoke(cli, ["ready", "--server", place])
    assert result.exit_code == 2
    assert "is no host:port" in result.stderr.lower()
