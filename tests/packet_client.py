"""A native client at wire level: says texts as they are, and collects what comes back. For tests
that go below the native peer.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import trio

from signal_sdk.errors import LinkError
from signal_sdk.testing.memory import MemoryTransport
from signal_sdk.testing.server import LocalServer
from signal_sdk.wire import packets


class PacketClient:
    """A client on an open connection. `seen` has every text that came and that nobody has waited
    for; `is_closed` says that nothing more will.
    """

    def __init__(self, transport: MemoryTransport) -> None:
        self._transport = transport
        self._reader = packets.PacketReader(packets.MAX_PACKET_BYTES)
        self.seen: list[str] = []
        self.is_closed = False
        self.line = ""
        self.uid = 0
        self._news = trio.Event()
        self._callid = 0

    async def read_loop(self) -> None:
        """Collect texts until the connection is closed."""
        try:
            while data := await self._transport.receive_some():
                self.seen += [text.decode() for text in self._reader.feed(data)]
                assert self._reader.error is None
                self._tell()
        except LinkError:
            pass
        self.is_closed = True
        self._tell()

    def _tell(self) -> None:
        self._news.set()
        self._news = trio.Event()

    def say(self, text: str) -> None:
        """Say one text."""
        self.send_raw(packets.encode_plain(text.encode()))

    def send_raw(self, data: bytes) -> None:
        """Send bytes as they are, as far as there is room; nothing where the server has closed."""
        if not self.is_closed:
            try:
                self._transport.send_nowait(data)
            except LinkError:
                self.is_closed = True

    async def expect(self, head: str) -> str:
        """Wait for the first text that begins with `head`, take it, and return what is behind."""
        while True:
            for number, text in enumerate(self.seen):
                if text.startswith(head):
                    del self.seen[number]
                    return text[len(head) :]
            if self.is_closed:
                raise AssertionError(f"closed, and before it only {self.seen}")
            await self._news.wait()

    async def login(self, account: Any, *, app: str = "app", **more: Any) -> str:
        """Log in, and return what was answered; on success `line` and `uid` are kept."""
        said = {"vid": app, "account": account, "uid": "0", "token": "_no_need_token", **more}
        self.say(f"login {msgspec.json.encode(said).decode()}")
        answer = await self.expect("login_res ")
        word, uid_or_reason, *rest = answer.split(" ", 2)
        if word == "ok":
            self.uid = int(uid_or_reason)
            self.line = msgspec.json.decode(rest[0])["line"]
        return answer

    def request(self, function: str, **args: Any) -> int:
        """Send a request with this client's line, and return its id."""
        self._callid += 1
        text = msgspec.json.encode({"line": self.line, **args}).decode()
        self.say(f"call {function} {self._callid} 0 {text}")
        return self._callid

    async def call(self, function: str, **args: Any) -> dict[str, Any]:
        """Send a request, and return the text of its reply, decoded."""
        text = await self.expect(f"call_ret 0 {self.request(function, **args)} 0 ")
        answer: dict[str, Any] = msgspec.json.decode(text)
        return answer

    def close(self) -> None:
        """Go, without a word."""
        self._transport.close()


@asynccontextmanager
async def packet_client(server: LocalServer) -> AsyncIterator[PacketClient]:
    """A native client at wire level, in memory, while the block runs."""
    async with trio.open_nursery() as nursery:
        client = PacketClient(server.connect_native())
        nursery.start_soon(client.read_loop)
        yield client
        client.close()
        nursery.cancel_scope.cancel()
