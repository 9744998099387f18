"""Real processes that stand still: a server, and a program of many bots, are stopped by SIGSTOP and
go on by SIGCONT. Nobody is taken for dead over it.

    python -m tests.faults.test_standstill

does that once in full: 15 s, 1,000 connections, 50 sessions.
"""

from __future__ import annotations

import json
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final

import pytest
import trio

from signal_sdk.net.reactor import Reactor
from signal_sdk.net.transport import SocketTransport
from signal_sdk.websocket import handshake
from tests.faults.processes import Program, free_port
from tests.wire_client import MAX_FRAME_BYTES, WireClient

CLIENTS: Final = 40
SESSIONS: Final = 10
STOPPED_SECONDS: Final = 5.0
"""Longer than what is configured below lets anybody be silent, log in, or wait for an answer."""
WATCHER: Final = "watcher"


@contextmanager
def server(folder: Path, limits: str) -> Iterator[tuple[Program, int]]:
    """A server of its own process, and its port."""
    port = free_port()
    config = folder / "signal.toml"
    config.write_text(
        f"[server]\ndev = true\nport = {port}\n[native]\nenabled = false\n[limits]\n{limits}"
    )
    command = [sys.executable, "-m", "signal_sdk", "serve", "--config", str(config)]
    with Program(command) as program:
        program.expect("listening on")
        yield program, port


async def stand_still(program: Program, seconds: float) -> None:
    """Stop a process for so long, while others go on."""
    program.process.send_signal(signal.SIGSTOP)
    await trio.sleep(seconds)
    program.process.send_signal(signal.SIGCONT)


async def _client(nursery: trio.Nursery, reactor: Reactor, port: int, account: str) -> WireClient:
    stream = await trio.open_tcp_stream("127.0.0.1", port)
    transport = SocketTransport(socket.socket(fileno=stream.socket.detach()))
    link = await handshake.connect(
        transport, reactor, f"ws://127.0.0.1:{port}/", max_frame_bytes=MAX_FRAME_BYTES
    )
    client = WireClient(link)
    nursery.start_soon(client.read_loop)
    assert (await client.login(account))["result"] == "ok"
    return client


async def _ping_loop(client: WireClient, seconds: float) -> None:
    for number in range(10**6):
        client.send("ping", number)
        await trio.sleep(seconds)


async def stop_a_server(
    program: Program, port: int, *, clients: int, seconds: float, ping_seconds: float
) -> tuple[int, list[Any]]:
    """How many of the clients are gone after the server stood still, and what of presence was heard
    by one that listens to it.
    """
    async with trio.open_nursery() as nursery:
        reactor = Reactor()
        await nursery.start(reactor.run)
        connect = partial(_client, nursery, reactor, port)
        everybody = [await connect(f"user{number}") for number in range(clients)]
        watcher = await connect(WATCHER)
        await watcher.call("channel_join", name="_agora_user_online")
        everybody.append(watcher)
        for client in everybody:
            nursery.start_soon(_ping_loop, client, ping_seconds)
        await trio.sleep(ping_seconds)
        watcher.channel_events()
        # Nothing was said by this one when the server is stopped.
        opening = await trio.open_tcp_stream("127.0.0.1", port)
        await trio.sleep(0.2)
        nursery.start_soon(_ask_late, opening)
        await stand_still(program, seconds)
        await trio.sleep(2 * ping_seconds)
        gone = sum(client.closed is not None for client in everybody)
        with trio.fail_after(10):
            answer = await opening.receive_some()
        assert answer.startswith(b"HTTP/1.1 200"), answer
        await opening.aclose()
        heard = watcher.channel_events()
        for client in everybody:
            client.link.abort()
        nursery.cancel_scope.cancel()
    return gone, heard


async def _ask_late(stream: trio.SocketStream) -> None:
    """Ask once the server has been stopped."""
    await trio.sleep(0.5)
    await stream.send_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")


async def stop_bots(program: Program, seconds: float) -> dict[str, Any]:
    """What the bots of a program have to say after it was stopped in the midst of their sends."""
    program.tell("send")
    program.expect("sending")
    await trio.sleep(0.05)
    await stand_still(program, seconds)
    program.tell("tell")
    told: dict[str, Any] = json.loads(program.expect("{"))
    return told


def bots(port: int, sessions: int) -> Program:
    """A program with so many sessions, which are logged in."""
    script = Path(__file__).with_name("stopped_bots.py")
    program = Program([sys.executable, str(script), f"127.0.0.1:{port}", str(sessions)])
    program.expect("ready")
    return program


async def test_a_server_that_was_stopped_keeps_all_its_connections(tmp_path: Path) -> None:
    with server(tmp_path, "silence_seconds = 3\nhandshake_seconds = 3\n") as (program, port):
        gone, heard = await stop_a_server(
            program, port, clients=CLIENTS, seconds=STOPPED_SECONDS, ping_seconds=1.0
        )
    assert gone == 0
    assert heard == []


async def test_of_bots_that_were_stopped_no_send_fails(tmp_path: Path) -> None:
    limits = "user_messages_per_second = 1000\n"
    with server(tmp_path, limits) as (_, port), bots(port, SESSIONS) as program:
        told = await stop_bots(program, STOPPED_SECONDS)
    assert told == {"failed": [], "lost": 0}


@pytest.mark.timeout(120)
async def test_bots_and_their_server_that_are_stopped_together_go_on_together(
    tmp_path: Path,
) -> None:
    """As those of a machine that is suspended."""
    limits = "silence_seconds = 3\nuser_messages_per_second = 1000\n"
    with server(tmp_path, limits) as (served, port), bots(port, SESSIONS) as program:
        served.process.send_signal(signal.SIGSTOP)
        program.tell("send")
        program.expect("sending")
        await trio.sleep(0.2)
        await stand_still(program, STOPPED_SECONDS)
        await trio.sleep(0.5)
        served.process.send_signal(signal.SIGCONT)
        program.tell("tell")
        told = json.loads(program.expect("{"))
    assert told == {"failed": [], "lost": 0}


async def _in_full() -> None:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        limits = "user_messages_per_second = 1000\n"
        program, port = stack.enter_context(server(folder, limits))
        began = time.monotonic()
        gone, heard = await stop_a_server(
            program, port, clients=1000, seconds=15.0, ping_seconds=10.0
        )
        sys.stdout.write(f"a server of 1,001 for 15 s: {gone} gone, {len(heard)} heard of\n")
        with bots(port, 50) as sessions:
            told = await stop_bots(sessions, 15.0)
        seconds = time.monotonic() - began
        sys.stdout.write(f"50 sessions for 15 s: {json.dumps(told)} ({seconds:.0f} s in all)\n")


if __name__ == "__main__":
    trio.run(_in_full)
