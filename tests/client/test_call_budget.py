"""What a message costs a bot that answers it is counted: the number of steps is what its time goes
into, and a count does not depend on the machine.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Final

import msgspec
import trio
from trio.testing import MockClock, wait_all_tasks_blocked
from websockets.protocol import Side

import signal_sdk
from signal_sdk import LoginCallback, LoginSession, Signal
from signal_sdk.net.reactor import Reactor
from signal_sdk.websocket import frames
from signal_sdk.websocket.link import Link, encode_text
from signal_sdk.wire import call2, events, lines, login, results

PACKAGE: Final = str(Path(signal_sdk.__file__).parent)
BOTS: Final = 16
CALLS: Final = 62
"""How many Python functions of the package a bot may call from the packet with a message (and the
answer to what it said before) to the packet with what it says."""


class Answering(LoginCallback):
    async def on_message_instant_receive(
        self, session: LoginSession, account: str, uid: int, msg: str
    ) -> None:
        session.message_instant_send(account, msg)


class Wire:
    """A transport whose other end is the test: nothing of the package is called for it."""

    peer = host = "test"
    has_unsent = False

    def __init__(self, reactor: Reactor) -> None:
        self.reactor = reactor
        self.said: list[bytes] = []
        self._unread = b""
        self._on_readable: Callable[[], object] | None = None
        self._arrived = trio.Event()

    def arrive(self, *texts: bytes) -> None:
        """Some frames come in one packet."""
        self._unread += b"".join(map(encode_text, texts))
        if self._on_readable is None:
            self._arrived.set()

    def read(self) -> None:
        """As the reactor does it for many connections in a slice."""
        assert self._on_readable is not None
        self._on_readable()

    def watch(self, reactor: object, on_readable: Callable[[], object]) -> bool:
        self._on_readable = on_readable
        return True

    def unwatch(self) -> None:
        self._on_readable = None

    def receive_nowait(self) -> bytes | None:
        data, self._unread = self._unread, b""
        return data or None

    async def receive_some(self) -> bytes:
        await self._arrived.wait()
        return self.receive_nowait() or b""

    def send_nowait(self, data: bytes | memoryview) -> int:
        self.said.append(bytes(data))
        return len(data)

    def close(self) -> None:
        self._on_readable = None

    def callids(self, function: bytes) -> list[int]:
        """Under which ids the bot has asked for this since it was read last."""
        said, self.said = b"".join(self.said), []
        texts = []
        while (head := frames.read_head(said, 0)) is not None:
            texts.append(frames.unmask(said, head))
            said = said[head.end :]
        asked = [msgspec.json.decode(text) for text in texts if function in text]
        return [callid for _, (_, callid, _) in asked]


class Dialer:
    def __init__(self) -> None:
        self.wires: list[Wire] = []

    async def dial(self, appid: str, reactor: Reactor, *, avoid: str = "") -> Link:
        await trio.lowlevel.checkpoint()
        self.wires.append(Wire(reactor))
        return Link(self.wires[-1], reactor, Side.CLIENT, max_bytes=1 << 20)  # type: ignore[arg-type]  # all of a transport that is needed


@contextmanager
def counted(calls: list[int]) -> Iterator[None]:
    """Count the package's functions that are called."""

    def count(frame: FrameType, event: str, _: object) -> None:
        if event == "call" and frame.f_code.co_filename.startswith(PACKAGE):
            calls[0] += 1

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        yield
    finally:
        sys.setprofile(before)


def read_all(wires: list[Wire]) -> None:
    flusher = wires[0].reactor.flusher
    flusher.hold()
    for wire in wires:
        wire.read()
    flusher.release()


async def test_a_message_that_is_answered_takes_few_calls(autojump_clock: MockClock) -> None:
    dialer = Dialer()
    done = call2.encode_result(results.DONE)
    page = call2.encode_result(results.GetMessagesResult(ver_clear=0, msgs=()))
    async with Signal("app", server=dialer) as signal:
        for number in range(BOTS):
            signal.login(f"bot{number}", "_no_need_token", Answering())
        await wait_all_tasks_blocked()
        wires = dialer.wires
        for wire in wires:
            wire.arrive(login.encode_success(login.LoginSucceeded(uid=7, line="the line")))
        await wait_all_tasks_blocked()
        for wire in wires:
            [callid] = wire.callids(b"user_getmsg")
            wire.arrive(call2.encode_success(callid, page))
        read_all(wires)
        # A new one is made once in 256 messages, which is not to be in just these.
        frames._masks.next_block()
        calls = [0]
        for version in range(1, 4):
            for wire in wires:
                answers = [call2.encode_success(it, done) for it in wire.callids(b"user_sendmsg")]
                line = lines.encode_message(
                    f"~a.{version}", "asker", "bot", 60, events.INSTANT, 1, "x" * 100
                )
                wire.arrive(*answers, events.encode_push(version, line))
            calls[0] = 0
            with counted(calls):
                read_all(wires)
                await wait_all_tasks_blocked()
            assert all(len(wire.said) == 1 for wire in wires)
        assert 20 * BOTS < calls[0] <= CALLS * BOTS
