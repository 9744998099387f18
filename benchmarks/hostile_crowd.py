"""How late others are answered while a channel of very many is written to.

Owns: the crowd, and how long those wait who are elsewhere. Must not know how a server is started:
hostile.py does. Of 50,000, which need more descriptors than most systems give, the parts that tell
so many are run here, without sockets but for the one that is asked on.
"""

from __future__ import annotations

import contextlib
import gc
import multiprocessing
import os
import select
import socket
import time
from collections.abc import Iterator, Sequence
from multiprocessing.connection import Connection as Pipe
from typing import Final, cast

import trio

from benchmarks.clients import PING_SECONDS, Client, KeepAlive, Plan, logged_in
from benchmarks.dialects import Ours, OurVoice
from benchmarks.hostile_latency import ATTACKERS_NICE, Honest, call, spend
from signal_sdk.net.outbox import Outbox
from signal_sdk.net.reactor import Reactor
from signal_sdk.net.transport import SocketTransport, Transport
from signal_sdk.server.engine.base import ChannelKey
from signal_sdk.server.hub import Hub
from signal_sdk.server.wires.web import WebWires
from signal_sdk.wire.events import ChannelMessage

MEMBERS: Final = 5_000
MANY: Final = 50_000
ELSEWHERE: Final = 20
GAP_SECONDS: Final = 0.5
"""Between two messages to the channel."""
LATE_MS: Final = 50.0
SENT_BYTES: Final = 300


def _crowd(port: int, count: int, pipe: Pipe) -> None:
    """The process of the members: they read."""
    os.nice(ATTACKERS_NICE)
    plans = [Plan(f"member{n}", "crowd") for n in range(count)]
    with logged_in(Ours(), port, plans) as members, select.epoll() as poll:
        by_fd = {member.fd: member for member in members}
        for fd in by_fd:
            poll.register(fd, select.EPOLLIN)
        keep_alive = KeepAlive(PING_SECONDS)
        keep_alive.add_all(members)
        pipe.send("ready")
        while not pipe.poll(0):
            keep_alive.tick()
            for fd, _ in poll.poll(0.01, 256):
                by_fd[fd].read()


@contextlib.contextmanager
def _crowding(port: int, count: int, keep_alive: KeepAlive) -> Iterator[None]:
    context = multiprocessing.get_context("fork")
    pipe, far = context.Pipe()
    process = context.Process(target=_crowd, args=(port, count, far), daemon=True)
    process.start()
    far.close()
    try:
        while not pipe.poll(0.1):
            keep_alive.tick()
        pipe.recv()
        yield
    finally:
        process.terminate()
        process.join()


@contextlib.contextmanager
def _kept(keep_alive: KeepAlive, clients: Sequence[Client]) -> Iterator[None]:
    keep_alive.add_all(clients)
    yield


def measure_crowd(port: int, seconds: float) -> bool:
    """A channel of real connections is written to: how late are others?"""
    keep_alive = KeepAlive(PING_SECONDS)
    with (
        # Whoever comes first has the channel tell nobody of joins.
        logged_in(Ours(), port, [Plan("writer", "crowd", silently=True)]) as writers,
        _kept(keep_alive, writers),
        _crowding(port, MEMBERS, keep_alive),
        logged_in(Ours(), port, [Plan(f"other{n}") for n in range(ELSEWHERE)]) as others,
    ):
        writer, voice = writers[0], writers[0].voice
        assert isinstance(voice, OurVoice)
        honest = Honest(others, writes=False)
        keep_alive.add_all(others)
        due = time.monotonic() + seconds

        def write() -> None:
            nonlocal due
            writer.read()
            if due <= time.monotonic():
                due += GAP_SECONDS
                writer.send(call(voice, 1, "channel_sendmsg", name="crowd", msg="x" * SENT_BYTES))

        spend(seconds, honest.turn, keep_alive.tick)
        quiet = honest.questions.p99_ms()
        spend(seconds, honest.turn, keep_alive.tick, write)
        late = honest.questions.p99_ms()
    print(f"| {MEMBERS:,} connections | {quiet:.1f} | {late:.1f} |", flush=True)
    return late <= LATE_MS


# --- without sockets ---


class _Sink:
    """A transport that takes everything, as long as the system takes to send it."""

    has_unsent = False
    peer = host = ""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock

    def send_nowait(self, data: bytes) -> int:
        return self._sock.send(data)


def measure_many(seconds: float) -> bool:
    """The same with 50,000, in this process: how late is an answer on one connection elsewhere?"""
    took = trio.run(_many, seconds)
    worst = max(took) * 1000
    print(f"| {MANY:,} in one process, the latest of {len(took)} | | {worst:.1f} |", flush=True)
    return worst <= LATE_MS


async def _many(seconds: float) -> list[float]:
    took: list[float] = []
    reactor = Reactor()
    hub = Hub(reactor)
    key = ChannelKey("app", "crowd")
    # What is sent to nobody who listens is gone at once, as fast as what a member gets.
    sink = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sink.bind(("127.0.0.1", 0))
    sink.connect(sink.getsockname())
    async with trio.open_nursery() as nursery:
        await nursery.start(reactor.run)
        wire = WebWires(0, reactor).text
        for number in range(MANY):
            outbox = Outbox(cast("Transport", _Sink(sink)), reactor.flusher, lambda _: None)
            outbox.wire = wire
            hub.listen(key, f"member{number}", outbox)
        # As a server's start does.
        gc.collect()
        gc.freeze()
        near, far = socket.socketpair()
        transport = SocketTransport(far)
        answers = Outbox(transport, reactor.flusher, lambda _: None)

        def answer() -> None:
            data = transport.receive_nowait()
            if data:
                answers.append(data)

        transport.watch(reactor, answer)
        content = ChannelMessage(channel="crowd", account="writer", uid=1, msg="x" * SENT_BYTES)
        ends = trio.current_time() + seconds
        nursery.start_soon(_ask, near, took)
        while trio.current_time() < ends:
            reactor.call_soon(lambda: hub.deliver_event(key, 1, content, 0))
            await trio.sleep(GAP_SECONDS)
        nursery.cancel_scope.cancel()
    return took


async def _ask(sock: socket.socket, took: list[float]) -> None:
    """Ask and wait for the answer, again and again: what is late is the loop."""
    sock.setblocking(False)
    while True:
        asked = time.monotonic()
        sock.send(b"?")
        await trio.lowlevel.wait_readable(sock)
        sock.recv(1)
        took.append(time.monotonic() - asked)
        await trio.sleep(0.001)
