"""A backend: a real HTTP server of the test's own, which does as it is told.

Owns: reading a request, checking its signature, and answering it. Must not know what a test looks
for.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import attrs
import h11
import msgspec
import trio

SECRET = "a secret of the backend's own, 32 and more"


@attrs.frozen
class Request:
    """What came. `headers` have lower case names."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return msgspec.json.decode(self.body)

    def is_signed(self, secret: str = SECRET) -> bool:
        """Is it signed with this? Written from the documentation, and not from our source."""
        signed = f"{self.headers['webhook-id']}.{self.headers['webhook-timestamp']}.".encode()
        digest = hmac.new(secret.encode(), signed + self.body, hashlib.sha256).digest()
        expected = "v1," + base64.b64encode(digest).decode()
        return expected in self.headers["webhook-signature"].split(" ")


@attrs.frozen
class Answer:
    """What is answered. `pause` is how long it takes; where it `hangs_up`, there is none."""

    status: int = 200
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = ()
    pause: float = 0.0
    hangs_up: bool = False


OK = Answer()
HANGS = Answer(pause=10.0**6)


def allows(allow: bool, reason: str = "") -> Answer:
    return Answer(body=msgspec.json.encode({"allow": allow, "reason": reason}))


@attrs.define(eq=False)
class Backend:
    """`answer` is asked what to answer; `requests` are those that came, in order."""

    answer: Callable[[Request], Answer] = lambda _: OK
    requests: list[Request] = attrs.field(factory=list)
    port: int = 0
    ssl_context: ssl.SSLContext | None = None
    _news: trio.Event = attrs.field(factory=trio.Event)

    @property
    def url(self) -> str:
        scheme = "http" if self.ssl_context is None else "https"
        return f"{scheme}://127.0.0.1:{self.port}/hooks?for=us"

    @property
    def events(self) -> list[dict[str, Any]]:
        """All events that came, and were taken or not."""
        return [event for it in self.requests for event in it.json.get("events", ())]

    @property
    def questions(self) -> list[dict[str, Any]]:
        return [it.json for it in self.requests if it.json["type"] == "question"]

    async def until(self, is_so: Callable[[], bool]) -> None:
        """Wait until it is so, at most for an hour."""
        with trio.fail_after(3600):
            while not is_so():
                await self._news.wait()

    async def serve(self, stream: trio.SocketStream) -> None:
        if self.ssl_context is not None:
            await self._serve_one(
                trio.SSLStream(stream, self.ssl_context, server_side=True, https_compatible=True)
            )
        else:
            await self._serve_one(stream)

    async def _serve_one(self, stream: trio.abc.Stream) -> None:
        try:
            async with stream:
                await self._serve(stream)
        except (trio.BrokenResourceError, trio.ClosedResourceError, h11.RemoteProtocolError):
            # Whoever asked has gone.
            return

    async def _serve(self, stream: trio.abc.Stream) -> None:
        connection = h11.Connection(h11.SERVER)
        while True:
            request = await self._read(connection, stream)
            if request is None:
                return
            answer = self.answer(request)
            self.requests.append(request)
            self._tell()
            await trio.sleep(answer.pause)
            if answer.hangs_up:
                return
            headers = [*answer.headers, ("Content-Length", str(len(answer.body)))]
            for event in (
                h11.Response(status_code=answer.status, headers=headers),
                h11.Data(data=answer.body),
                h11.EndOfMessage(),
            ):
                await stream.send_all(connection.send(event) or b"")
            if connection.our_state is h11.MUST_CLOSE:
                return
            connection.start_next_cycle()

    def _tell(self) -> None:
        self._news.set()
        self._news = trio.Event()

    @staticmethod
    async def _read(connection: h11.Connection, stream: trio.abc.Stream) -> Request | None:
        head: h11.Request | None = None
        body = b""
        while True:
            event = connection.next_event()
            if event is h11.NEED_DATA:
                connection.receive_data(bytes(await stream.receive_some()))
            elif isinstance(event, h11.Request):
                head = event
            elif isinstance(event, h11.Data):
                body += event.data
            elif isinstance(event, h11.EndOfMessage) and head is not None:
                headers = {name.decode(): value.decode() for name, value in head.headers}
                assert head.method == b"POST"
                return Request(head.target.decode(), headers, body)
            else:
                return None


@asynccontextmanager
async def running(backend: Backend) -> AsyncIterator[Backend]:
    """It serves on a free port, or where it did before."""
    async with trio.open_nursery() as nursery:
        (listener,) = await trio.open_tcp_listeners(backend.port, host="127.0.0.1")
        backend.port = listener.socket.getsockname()[1]
        nursery.start_soon(trio.serve_listeners, backend.serve, [listener])
        yield backend
        nursery.cancel_scope.cancel()
