"""What a message to an account costs is counted: the number of steps is what its time goes into,
and a count does not depend on the machine.
"""

from __future__ import annotations

import socket
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, nullcontext
from types import FrameType
from typing import Final

import msgspec
import trio

from signal_sdk.net.link import StreamLink
from signal_sdk.server.engine.embedded import EmbeddedEngine
from signal_sdk.testing.server import local_server
from signal_sdk.websocket import frames
from tests.server.helpers import APP, OPENING, dev_config

READ: Final = StreamLink._read.__code__
PAIRS: Final = 16
CALLS: Final = 50
"""How many Python functions a message may call from its packet to both packets that follow."""
CALLS_IN_C: Final = 55
"""And how many of C, `len` and the like among them."""
CALLS_OF_A_BATCH: Final = 45
"""As `CALLS`, of a message that has come in one packet with others."""


class _Calls:
    """Counts what is called while a connection is read: by the package, and within it."""

    def __init__(self) -> None:
        self.python = 0
        self.c = 0
        self._is_reading = False

    def __call__(self, frame: FrameType, event: str, _: object) -> None:
        if event == "call":
            self._is_reading = self._is_reading or frame.f_code is READ
            self.python += self._is_reading
        elif event == "return":
            self._is_reading = self._is_reading and frame.f_code is not READ
        elif event == "c_call":
            self.c += self._is_reading

    @contextmanager
    def counted(self) -> Iterator[None]:
        before = sys.getprofile()
        sys.setprofile(self)
        try:
            yield
        finally:
            sys.setprofile(before)


class _Peer:
    """A client on a bare socket, so that nothing of the package is called for it."""

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        self._heard = b""
        self.line = ""

    def say(self, *said: tuple[str, object]) -> None:
        """Nobody else runs meanwhile."""
        texts = (msgspec.json.encode([event, payload]) for event, payload in said)
        self._socket.sendall(b"".join(frames.encode_masked(frames.TEXT, it) for it in texts))

    async def hear(self, what: bytes, times: int = 1) -> bytes:
        while self._heard.count(what) < times:
            await trio.lowlevel.wait_readable(self._socket)
            self._heard += self._socket.recv(65536)
        heard, self._heard = self._heard, b""
        return heard


@asynccontextmanager
async def _peer(port: int, account: str) -> AsyncIterator[_Peer]:
    with socket.create_connection(("127.0.0.1", port)) as sock:
        sock.sendall(OPENING)
        peer = _Peer(sock)
        await peer.hear(b"\r\n\r\n")
        login = {"vid": APP, "account": account, "token": "_no_need_token", "device": "websdk"}
        peer.say(("set_flag", {"binary": 1}), ("login", login))
        told = await peer.hear(b"login_ret")
        _, (_, text) = msgspec.json.decode(told[told.index(b"[") :])
        peer.line = msgspec.json.decode(text)["line"]
        yield peer


def _message(peer: _Peer, to: str, number: int) -> tuple[str, object]:
    args = {"peer": to, "flag": "v1:E:60", "t": "instant", "line": peer.line}
    return "call2", [
        "user_sendmsg",
        number,
        {**args, "content": "x" * 100, "messageID": f"{number}"},
    ]


async def _calls_a_message(engine: EmbeddedEngine | None, each: int) -> tuple[float, float]:
    """Python's calls and C's, where `PAIRS` clients send so many messages each in a packet."""
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(local_server(dev_config(), engine=engine))
        peers = [
            (
                await stack.enter_async_context(_peer(server.port, f"a{number}")),
                await stack.enter_async_context(_peer(server.port, f"b{number}")),
            )
            for number in range(PAIRS)
        ]
        calls = _Calls()
        for is_warm in (False, True):
            first = 1 + is_warm * each
            for number, (sender, _) in enumerate(peers):
                said = [_message(sender, f"b{number}", first + it) for it in range(each)]
                sender.say(*said)
            with calls.counted() if is_warm else nullcontext():
                for sender, receiver in peers:
                    await sender.hear(b"call2-ret", each)
                    await receiver.hear(b"recvmsg", each)
    count = PAIRS * each
    return calls.python / count, calls.c / count


async def test_a_message_takes_few_calls() -> None:
    python, c = await _calls_a_message(None, 1)
    assert 20 < python <= CALLS
    assert 20 < c <= CALLS_IN_C


async def test_a_message_that_comes_with_others_takes_fewer() -> None:
    python, c = await _calls_a_message(None, 8)
    assert 20 < python <= CALLS_OF_A_BATCH
    assert 20 < c <= CALLS_IN_C
