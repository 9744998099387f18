"""What a message to an account costs is counted: the number of steps is what its time goes into,
and a count does not depend on the machine.
"""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from types import CodeType, FrameType
from typing import Final

import msgspec
import trio

import signal_sdk
from signal_sdk.server.engine.embedded import EmbeddedEngine
from signal_sdk.testing.server import local_server
from signal_sdk.websocket import frames
from tests.server.helpers import APP, OPENING, dev_config

OURS: Final = str(Path(signal_sdk.__file__).parent)
PAIRS: Final = 16
CALLS: Final = 60
"""How many Python functions a message may call from its packet to both packets that follow."""
CALLS_IN_C: Final = 75
"""And how many of C, `len` and the like among them."""
CALLS_OF_A_BATCH: Final = 45
"""As `CALLS`, of a message that has come in one packet with others."""


class _Calls:
    """Counts what is called by functions of the package, those functions included."""

    def __init__(self) -> None:
        self.python = 0
        self.c = 0
        self._is_ours: dict[CodeType, bool] = {}

    def __call__(self, frame: FrameType, event: str, _: object) -> None:
        if event == "call":
            caller = frame.f_back
            self.python += self._ours(frame) or (caller is not None and self._ours(caller))
        elif event == "c_call":
            self.c += self._ours(frame)

    def _ours(self, frame: FrameType) -> bool:
        code = frame.f_code
        if code not in self._is_ours:
            self._is_ours[code] = code.co_filename.startswith(OURS)
        return self._is_ours[code]

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

    def __init__(self, stream: trio.SocketStream) -> None:
        self._stream = stream
        self._heard = b""
        self.line = ""

    async def say(self, *said: tuple[str, object]) -> None:
        texts = (msgspec.json.encode([event, payload]) for event, payload in said)
        await self._stream.send_all(b"".join(frames.encode_masked(frames.TEXT, it) for it in texts))

    async def hear(self, what: bytes, times: int = 1) -> bytes:
        while self._heard.count(what) < times:
            self._heard += await self._stream.receive_some()
        heard, self._heard = self._heard, b""
        return heard


@asynccontextmanager
async def _peer(port: int, account: str) -> AsyncIterator[_Peer]:
    async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
        await stream.send_all(OPENING)
        peer = _Peer(stream)
        await peer.hear(b"\r\n\r\n")
        login = {"vid": APP, "account": account, "token": "_no_need_token", "device": "websdk"}
        await peer.say(("set_flag", {"binary": 1}), ("login", login))
        told = await peer.hear(b"login_ret")
        _, (_, text) = msgspec.json.decode(told[told.index(b"[") :])
        peer.line = msgspec.json.decode(text)["line"]
        yield peer


def _message(peer: _Peer, to: str, number: int) -> tuple[str, object]:
    args: dict[str, Any] = {"peer": to, "flag": "v1:E:60", "t": "instant", "line": peer.line}
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
                await sender.say(*said)
            with calls.counted() if is_warm else contextmanager(_nothing)():
                for sender, receiver in peers:
                    await sender.hear(b"call2-ret", each)
                    await receiver.hear(b"recvmsg", each)
    count = PAIRS * each
    return calls.python / count, calls.c / count


def _nothing() -> Iterator[None]:
    yield


async def test_a_message_takes_few_calls() -> None:
    python, c = await _calls_a_message(None, 1)
    print(python, c)
    assert 20 < python <= CALLS
    assert 20 < c <= CALLS_IN_C


async def test_a_message_that_comes_with_others_takes_fewer() -> None:
    python, c = await _calls_a_message(None, 8)
    print(python, c)
    assert 20 < python <= CALLS_OF_A_BATCH
    assert 20 < c <= CALLS_IN_C
