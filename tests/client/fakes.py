"""What the client's tests talk to: a server that says what the test tells it to, at wire level, and
callbacks that write down what they hear.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import trio

import signal_sdk
from signal_sdk.ecodes import ECode
from signal_sdk.errors import LinkError, LoginError, SignalError
from signal_sdk.net.reactor import Reactor
from signal_sdk.testing.memory import MemoryTransport, memory_transport_pair
from signal_sdk.websocket import handshake
from signal_sdk.websocket.link import Link, encode_text
from signal_sdk.wire import call2, events, frames, login

LINE = "the-line-is-secret"
TOKEN = "the-token-is-secret"
MAX_FRAME_BYTES = 16 * 1024 * 1024
WAIT_SECONDS = 100
"""No test waits longer for a callback: on the mock clock, it is over at once."""


class FakeServer:
    """A dialer whose other end is the test: each connection is a `Peer`."""

    def __init__(self) -> None:
        self._send, self._receive = trio.open_memory_channel[MemoryTransport](100)
        self._reactor = Reactor()
        self.dials = 0
        self.avoided: list[str] = []
        self.is_down = False

    async def dial(self, appid: str, reactor: Reactor, *, avoid: str = "") -> Link:
        self.dials += 1
        self.avoided.append(avoid)
        if self.is_down:
            raise LinkError("down")
        client, server = memory_transport_pair()
        self._send.send_nowait(server)
        return await handshake.connect(
            client, reactor, "ws://fake/", max_frame_bytes=MAX_FRAME_BYTES
        )

    async def run(self) -> None:
        await self._reactor.run()

    async def accept(self) -> Peer:
        """The next connection, with nothing said on it yet."""
        transport = await self._receive.receive()
        link = await handshake.accept(
            transport,
            self._reactor,
            lambda _: None,
            make=Link,
            max_frame_bytes=MAX_FRAME_BYTES,
            outbox_bytes=0,
        )
        assert link is not None
        return Peer(link)

    async def accept_login(self, uid: int = 7) -> Peer:
        """The next connection, logged in and polled once (its inbox is empty)."""
        peer = await self.accept()
        await peer.log_in(uid)
        return peer

    async def accept_resume(self, **success: Any) -> tuple[Peer, dict[str, Any]]:
        """The next connection, which takes the session up; with what it says of itself."""
        peer = await self.accept()
        asked = await peer.expect(login.LINE_LOGIN)
        peer.let_in(**success)
        return peer, asked


class Peer:
    """The server's end of one connection."""

    def __init__(self, link: Link) -> None:
        self.link = link
        self.account = ""
        self.pings: list[int] = []
        self.acks: list[int | None] = []
        self.answers_pings = True
        self._frames: list[list[Any]] = []

    def send(self, event: str, payload: object) -> None:
        self.link.send_encoded(encode_text(frames.encode_frame(event, payload)))

    def send_text(self, text: bytes) -> None:
        self.link.send_encoded(encode_text(text))

    async def receive(self) -> list[Any]:
        """The next frame that is no ping, as `[event, payload]`."""
        while True:
            while self._frames:
                event, payload = self._frames.pop(0)
                if event != login.PING:
                    return [event, payload]
                self.pings.append(payload)
                if self.answers_pings:
                    self.send(login.PONG, payload)
            for message in await self.link.receive():
                self._frames.append(msgspec.json.decode(message.data))

    async def expect(self, event: str) -> Any:
        """The next frame's payload."""
        found, payload = await self.receive()
        assert found == event, (found, payload)
        return payload

    async def expect_call(self, function: str) -> tuple[int, dict[str, Any]]:
        """The next request: its id and its arguments without the line."""
        name, callid, args = await self.expect(call2.CALL)
        assert name == function, (name, args)
        assert args.pop("line") == LINE
        self.acks.append(args.pop("ack", None))
        return callid, args

    def reply(self, callid: int, **result: Any) -> None:
        text = msgspec.json.encode({"result": "ok", **result}).decode()
        self.send(call2.REPLY, [callid, "", text])

    def refuse(self, callid: int, ecode: int = 1001, reason: str = "no") -> None:
        self.send_text(call2.encode_failure(callid, SignalError(ECode(ecode), reason)))

    async def answer(self, function: str, **result: Any) -> dict[str, Any]:
        """Expect a request, and let it succeed."""
        callid, args = await self.expect_call(function)
        self.reply(callid, **result)
        return args

    async def log_in(self, uid: int = 7) -> None:
        payload = await self.expect(login.LOGIN)
        self.account = payload["account"]
        self.let_in(uid=uid)
        await self.answer("user_getmsg", ver_clear=0, msgs=[])

    def let_in(self, uid: int = 7, **success: Any) -> None:
        """Answer a login."""
        self.send_text(login.encode_success(login.LoginSucceeded(uid=uid, line=LINE, **success)))

    async def turn_away(self, ecode: int) -> None:
        """Refuse a login."""
        await self.receive()
        self.send_text(login.encode_failure(LoginError(ECode(ecode), "no")))
        self.link.close()

    async def log_out(self) -> None:
        await self.answer("user_logout")
        self.link.close()

    async def is_gone(self) -> bool:
        """Is the next thing that comes the connection's end?"""
        try:
            frame = await self.receive()
        except LinkError:
            return True
        raise AssertionError(frame)

    def push(self, version: int, text: str, *, src: str = "bob") -> None:
        line = f"msg-v3 2.{version} {src} {self.account} v1:E:3600 instant 1 {text}"
        self.push_line(version, line)

    def push_line(self, version: int, line: str) -> None:
        self.send_text(events.encode_push(version, line))

    def push_call(self, version: int, kind: str, peer: str = "bob", **content: Any) -> None:
        text = msgspec.json.encode({"channel": "room", "peer": peer, **content}).decode()
        line = f"msg-v3 call.{version} {peer} {self.account} v1:E:120 {kind} 1 {text}"
        self.push_line(version, line)

    def channel_event(self, msgid: int, content: events.ChannelContent, channel: str = "") -> None:
        channel = channel or content.channel
        self.send_text(events.encode_channel_event(channel, msgid, content, 1))


class Heard:
    """What callbacks of any class heard, in order, as `(name, *arguments)` without the session."""

    def __init__(self) -> None:
        self.all: list[tuple[Any, ...]] = []
        self._news = trio.Event()
        self._hooks: dict[str, Callable[..., Any]] = {}
        self.login = self._recorder(signal_sdk.LoginCallback)
        self.channel = self._recorder(signal_sdk.ChannelCallback)
        self.call = self._recorder(signal_sdk.CallCallback)
        self.message = self._recorder(signal_sdk.MessageCallback)
        self.attr = self._recorder(signal_sdk.UserAttrCallback)

    def on(self, name: str, hook: Callable[..., Any]) -> None:
        """Have `hook` run, with the callback's arguments, whenever it is called."""
        self._hooks[name] = hook

    def _recorder(self, cls: Any) -> Any:
        def method(name: str) -> Any:
            async def record(_: Any, *args: Any) -> None:
                is_attr = cls is signal_sdk.UserAttrCallback
                self.all.append((name, *args) if is_attr else (name, *args[1:]))
                self._news.set()
                if name in self._hooks:
                    result = self._hooks[name](*args)
                    if result is not None:
                        await result

            return record

        names = [name for name in vars(cls) if name.startswith("on_")]
        return type("Recorder", (cls,), {name: method(name) for name in names})()

    @property
    def names(self) -> list[str]:
        return [name for name, *_ in self.all]

    def of(self, *names: str) -> list[tuple[Any, ...]]:
        return [entry for entry in self.all if entry[0] in names]

    async def wait(self, name: str, count: int = 1) -> tuple[Any, ...]:
        """Wait until `name` has been heard `count` times; the last of them."""
        with trio.fail_after(WAIT_SECONDS):
            while len(found := self.of(name)) < count:
                self._news = trio.Event()
                await self._news.wait()
        return found[count - 1]
