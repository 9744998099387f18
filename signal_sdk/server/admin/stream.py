"""What happens in an app, as it happens: a stream of events (server-sent events) for each reader.

Owns: how one is spelled, that a silent stream is seen to live, and when one ends. Must not know
what happens, nor why: the feed tells it, and drops the oldest for a reader that falls behind.

The past is not told: who comes back with `Last-Event-ID` is told that it has missed what was
between.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from http import HTTPStatus
from typing import Final

import msgspec
import trio
from starlette.responses import Response

from signal_sdk.net.deadline import move_on_after
from signal_sdk.server.admin.connections import GoneError, Receive, Scope, Send
from signal_sdk.server.admin.operations import Asked
from signal_sdk.server.admin.problems import ProblemError
from signal_sdk.server.admin.schemas import EventsQuery
from signal_sdk.server.engine.happened import KINDS, Happening
from signal_sdk.server.feed import Lost, Reader

__all__ = ["BEAT_SECONDS", "EVENTS", "MAX_STREAMS", "EventStream"]

EVENTS: Final = "text/event-stream"
BEAT_SECONDS: Final = 15.0
"""How long a stream is silent at most: then a comment is sent."""
MAX_STREAMS: Final = 64
RETRY_MS: Final = 2000
"""When a reader that has lost its stream may come again."""
MAX_ID_CHARS: Final = 64
_ENDS: Final = re.compile("[\x85\u2028\u2029]")
"""What ends no line here, but does for many who read lines; JSON can spell it otherwise."""


class EventStream(Response):
    """The answer to who follows what happens. Raises `ProblemError` where there are as many readers
    as there may be, or where a kind is none.
    """

    def __init__(self, asked: Asked, last_id: str | None) -> None:
        super().__init__()
        self._asked = asked
        query: EventsQuery = asked.query
        self._kinds = frozenset(filter(None, query.kinds.split(","))) or frozenset(KINDS)
        self._last_id = last_id
        self._scope = trio.CancelScope()
        if unknown := sorted(self._kinds.difference(KINDS)):
            text = f"query.kinds: no such kind: {unknown[0]!r}; there are {', '.join(KINDS)}"
            raise ProblemError(
                HTTPStatus.UNPROCESSABLE_ENTITY, "bad-field", text, place="query.kinds"
            )
        if len(asked.served.streams) >= MAX_STREAMS:
            raise ProblemError(
                HTTPStatus.SERVICE_UNAVAILABLE,
                "too-many-streams",
                f"{MAX_STREAMS} follow what happens here already",
                retry_after=BEAT_SECONDS,
            )

    def end(self) -> None:
        """End it: its reader may come again."""
        self._scope.cancel()

    async def __call__(
        self,
        scope: Scope,  # noqa: ARG002  as ASGI says
        receive: Receive,
        send: Send,
    ) -> None:
        """Answer, until one of the two sides ends it."""
        served, query = self._asked.served, self._asked.query
        served.streams.add(self)
        try:
            async with served.feed.follow(
                self._asked.app,
                kinds=self._kinds,
                account=query.account or None,
                channel=query.channel or None,
            ) as reader:
                headers = [(b"content-type", EVENTS.encode()), (b"x-accel-buffering", b"no")]
                await send({"type": "http.response.start", "status": 200, "headers": headers})
                with self._scope:
                    await self._follow(reader, receive, send)
                await send({"type": "http.response.body", "body": b""})
        finally:
            served.streams.remove(self)

    async def _follow(self, reader: Reader, receive: Receive, send: Send) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._end_when_gone, receive)
            nursery.start_soon(self._end_when_stopping)
            try:
                await self._tell(reader, send)
            except GoneError:
                self.end()

    async def _end_when_gone(self, receive: Receive) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        self.end()

    async def _end_when_stopping(self) -> None:
        await self._asked.served.stopping.wait()
        self.end()

    async def _tell(self, reader: Reader, send: Send) -> None:
        text = "".join(self._first())
        while True:
            await send({"type": "http.response.body", "body": text.encode(), "more_body": True})
            text = ":\n\n"
            with move_on_after(self._asked.served.reactor, BEAT_SECONDS):
                text = _spelled(await anext(reader))

    def _first(self) -> Iterator[str]:
        yield f"retry: {RETRY_MS}\n\n"
        if self._last_id:
            yield _event("missed", msgspec.json.encode({"after": self._last_id[:MAX_ID_CHARS]}))


def _spelled(event: Happening | Lost) -> str:
    if isinstance(event, Lost):
        return _event("lost", msgspec.json.encode({"count": event.count}))
    # What is kept for hooks is named for good; anything else is told once.
    number = str(event.number) if event.number else ""
    return _event(event.kind, msgspec.json.encode(event), number)


def _event(kind: str, data: bytes, number: str = "") -> str:
    named = f"id: {number}\n" if number else ""
    text = data.decode()
    if not text.isascii():
        text = _ENDS.sub(lambda match: f"\\u{ord(match[0]):04x}", text)
    return f"{named}event: {kind}\ndata: {text}\n\n"
