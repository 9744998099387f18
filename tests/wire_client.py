"""A client at wire level: sends frames as they are, and collects what comes back. For tests that go
below any SDK.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import trio

from signal_sdk.net.closed import LinkClosed
from signal_sdk.net.reactor import Reactor
from signal_sdk.net.transport import Transport
from signal_sdk.testing.server import LocalServer
from signal_sdk.websocket import handshake
from signal_sdk.websocket.link import Link
from signal_sdk.wire import frames

MAX_FRAME_BYTES = 64 * 1024 * 1024


class WireClient:
    """A client on an open link. `seen` has every frame that came, as `[event, payload]`, and
    `compressed` the sizes of those that came compressed.
    """

    def __init__(self, link: Link) -> None:
        self.link = link
        self.seen: list[list[Any]] = []
        self.compressed: list[int] = []
        self.closed: LinkClosed | None = None
        self.line = ""
        self.uid = 0
        self._news = trio.Event()
        self._callid = 0

    async def read_loop(self) -> None:
        """Collect frames until the link is closed."""
        try:
            while True:
                for message in await self.link.receive():
                    text = message.data
                    if message.binary:
                        self.compressed.append(len(text))
                        text = frames.decompress(text, MAX_FRAME_BYTES)
                    self.seen.append(msgspec.json.decode(text))
                self._tell()
        except LinkClosed as exc:
            self.closed = exc
            self._tell()
            await self.link.aclose()

    def _tell(self) -> None:
        self._news.set()
        self._news = trio.Event()

    def send(self, event: str, payload: Any) -> None:
        """Send one frame."""
        self.send_raw(msgspec.json.encode([event, payload]))

    def send_raw(self, text: bytes) -> None:
        """Send one text message, whatever it says."""
        self.link.send_text(text)

    async def expect(self, matches: Callable[[list[Any]], bool] | str) -> Any:
        """Wait for the first frame (by event, or by a predicate) that nobody has waited for, and
        return its payload.
        """
        while True:
            for number, frame in enumerate(self.seen):
                if frame[0] == matches if isinstance(matches, str) else matches(frame):
                    del self.seen[number]
                    return frame[1]
            if self.closed is not None:
                raise AssertionError(f"{self.closed}, and before it only {self.seen}")
            await self._news.wait()

    async def wait_closed(self) -> LinkClosed:
        """Wait until the server has closed the link."""
        while self.closed is None:
            await self._news.wait()
        return self.closed

    async def login(
        self, account: Any, *, app: str = "app", token: str = "_no_need_token", **more: Any
    ) -> dict[str, Any]:
        """Log in, and return `login_ret`'s text, decoded; on success `line` and `uid` are kept, and
        a web client says something, as each web SDK does: until then it is handed nothing.
        """
        payload = {
            "vid": app,
            "account": account,
            "uid": 0,
            "token": token,
            "device": "websdk",
            "ip": "",
            **more,
        }
        self.send("login", payload)
        result = await self.login_ret()
        if payload["device"] == "websdk" and result["result"] == "ok":
            self.send("ping", 1)
            await self.expect("pong")
        return result

    async def login_ret(self) -> dict[str, Any]:
        """Wait for `login_ret`, and return its text, decoded, with `err` beside."""
        err, text = await self.expect("login_ret")
        result: dict[str, Any] = {"err": err, **msgspec.json.decode(text)}
        self.line = result.get("line", self.line)
        self.uid = result.get("uid", self.uid)
        return result

    def request(self, function: str, **args: Any) -> int:
        """Send a request with this client's line, and return its id."""
        self._callid += 1
        self.send("call2", [function, self._callid, {"line": self.line, **args}])
        return self._callid

    async def reply(self, callid: int) -> dict[str, Any]:
        """Wait for a request's reply, and return its text, decoded, with `err` beside."""
        _, err, text = await self.expect(
            lambda frame: frame[0] == "call2-ret" and frame[1][0] == callid
        )
        return {"err": err, **msgspec.json.decode(text)}

    async def call(self, function: str, **args: Any) -> dict[str, Any]:
        """Send a request, and wait for its reply."""
        return await self.reply(self.request(function, **args))

    def channel_events(self) -> list[tuple[str, int, str, dict[str, Any]]]:
        """Take the channel events seen so far: (channel, msgid, type, content)."""
        taken = [frame for frame in self.seen if frame[0] == "notify" and frame[1][0] == "channel2"]
        self.seen = [frame for frame in self.seen if frame not in taken]
        found = []
        for _, (_, channel, msgid, line) in taken:
            fields = line.split(" ", 6)
            found.append((channel, msgid, fields[4], msgspec.json.decode(fields[6])))
        return found


@asynccontextmanager
async def wire_client(
    transport: Transport, url: str = "ws://127.0.0.1/"
) -> AsyncIterator[WireClient]:
    """A client at wire level on `transport`, while the block runs."""
    async with trio.open_nursery() as nursery:
        reactor = Reactor()
        await nursery.start(reactor.run)
        link = await handshake.connect(transport, reactor, url, max_frame_bytes=MAX_FRAME_BYTES)
        client = WireClient(link)
        nursery.start_soon(client.read_loop)
        yield client
        await link.aclose()
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def logged_in(server: LocalServer, account: str, **more: Any) -> AsyncIterator[WireClient]:
    """A client in memory that has logged in."""
    async with wire_client(server.connect()) as client:
        result = await client.login(account, **more)
        assert result["result"] == "ok", result
        yield client
