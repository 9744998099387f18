"""The terminal chat: two of them at a server, each with a user who types."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio

from signal_sdk.testing.server import LocalServer
from tests.samples.peer import APP, peer
from tests.samples.programs import ROOT, Program

SAMPLE = "samples/linux_api.py"


class Typist(Program):
    """A chat whose user types."""

    async def type(self, line: str) -> None:
        assert self._process.stdin is not None
        await self._process.stdin.send_all(f"{line}\n".encode())

    async def end_input(self) -> None:
        assert self._process.stdin is not None
        await self._process.stdin.aclose()


@asynccontextmanager
async def chat(server: str, account: str) -> AsyncIterator[Typist]:
    """Run the sample while the block runs."""
    process = await trio.lowlevel.open_process(
        [sys.executable, SAMPLE, "--server", server, "--app", APP, "--account", account],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    running = Typist(SAMPLE, process)
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(running.read)
            yield running
            nursery.cancel_scope.cancel()
    finally:
        if process.returncode is None:
            process.kill()
        with trio.CancelScope(shield=True):
            await process.wait()
            for stream in (process.stdin, process.stdout):
                if stream is not None:
                    await stream.aclose()


async def test_two_users_chat(server: LocalServer) -> None:
    async with chat(server.address, "alice") as alice, chat(server.address, "bob") as bob:
        await alice.expect("^alice is online")
        await bob.expect("^bob is online")
        # Person to person.
        await alice.type("nobody yet")
        await alice.expect("^Type /to")
        await alice.type("/to bob")
        await alice.expect("^what you type goes to bob")
        await alice.type("hello, bob")
        await bob.expect("^alice: hello, bob")
        # In a channel.
        await bob.type("/join room")
        await bob.expect("^1 there: bob")
        await alice.type("/join room")
        await alice.expect("^you are in room")
        await alice.expect("^2 there: bob, alice")
        await bob.expect("^alice has joined")
        await bob.type("welcome")
        await alice.expect("^bob in room: welcome")
        await alice.type("/leave")
        await alice.expect("^you have left room")
        await bob.expect("^alice has left")
        # The end.
        await alice.type("/quit")
        assert await alice.end() == 0
        await bob.end_input()
        assert await bob.end() == 0
    assert not server.node.sessions


async def test_what_fails_is_said(server: LocalServer) -> None:
    async with chat(server.address, "alice") as alice:
        await alice.expect("online")
        await alice.type(f"/join {'x' * 129}")
        await alice.expect("^no way into x+: a parameter is too large")
        await alice.type("/to bob")
        await alice.type("y" * 8193)
        await alice.expect("^that was not sent: a parameter is too large")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_a_signal_logs_it_out(server: LocalServer, number: signal.Signals) -> None:
    async with chat(server.address, "alice") as alice:
        await alice.expect("online")
        alice.send(number)
        assert await alice.end() == 0
    assert not server.node.sessions


async def test_a_login_elsewhere_ends_it_with_one_line(server: LocalServer) -> None:
    async with chat(server.address, "alice") as alice:
        await alice.expect("online")
        async with peer(server, "alice"):
            await alice.expect("^you are logged out; press Enter")
            await alice.type("")
            assert await alice.end() == 1
    assert alice.lines[-1] == "error: the account logged in elsewhere (103)"


@pytest.mark.parametrize(
    ("account", "line"),
    [("a b", "error: the account is not valid (209)")],
)
async def test_a_login_that_fails_is_one_line(server: LocalServer, account: str, line: str) -> None:
    async with chat(server.address, account) as it:
        assert await it.end() == 1
    assert it.lines == [line]


async def test_a_wrong_server_is_one_line() -> None:
    async with chat("ftp://nowhere", "alice") as it:
        assert await it.end() == 1
    assert len(it.lines) == 1
    assert it.lines[0].startswith("error: server 'ftp://nowhere'")
