"""The stream of what happens in an app, as a client reads it.

Owns: how events are spelled, and what a reader asks for when it comes back. Must not know who
reads, nor whether anybody waits.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any, Final

import msgspec

from signal_sdk.admin.asks import path
from signal_sdk.admin.errors import AdminError, Problem
from signal_sdk.admin.results import Event

__all__ = ["SILENT_SECONDS", "EventReader"]

SILENT_SECONDS: Final = 45.0
"""A stream that says nothing for so long is dead: a server says something every 15 s."""
RETRY_SECONDS: Final = 2.0
AGAIN: Final = frozenset({0, 429, 500, 502, 503, 504})
"""With these, one had better come again later."""
MISSED: Final = "missed"


class EventReader:
    """What one reader has heard of an app's events, over any number of streams."""

    def __init__(self, app: str, kinds: Collection[str], account: str, channel: str) -> None:
        self.path: str = path("apps", app, "events")
        wanted = {"kinds": ",".join(kinds), "account": account, "channel": channel}
        self.query: dict[str, str] = {name: value for name, value in wanted.items() if value}
        self._last_id = ""
        self._retry_seconds = RETRY_SECONDS
        self._has_begun = False
        self._fields: dict[str, str] = {}
        self._rest = b""
        """Of a line whose end has not come yet."""

    def headers(self) -> dict[str, str]:
        """What a request for the next stream says."""
        return {"Last-Event-ID": self._last_id} if self._last_id else {}

    def began(self) -> list[Event]:
        """A stream has begun; what is to be told of that."""
        self._fields, self._rest = {}, b""
        has_gap, self._has_begun = self._has_begun, True
        if has_gap and not self._last_id:
            # The server cannot know that this reader was here.
            return [Event(kind=MISSED, data={})]
        return []

    def take(self, part: bytes) -> Iterator[Event]:
        """Part of the stream has come; the events that are whole with it. Raises `AdminError` where
        one cannot be read.
        """
        # By the ends that the server has set: an account's own words may hold what Python, and
        # httpx with it, takes for an end of a line, too.
        *lines, self._rest = (self._rest + part).split(b"\n")
        for line in lines:
            event = self._take_line(line.removesuffix(b"\r").decode("utf-8", "replace"))
            if event is not None:
                yield event

    def _take_line(self, line: str) -> Event | None:
        if line:
            name, _, value = line.partition(":")
            if name:  # nothing stands before a comment
                self._fields[name] = value.removeprefix(" ")
            return None
        fields, self._fields = self._fields, {}
        if fields.get("retry", "").isdecimal():
            self._retry_seconds = int(fields["retry"]) / 1000
        if "data" not in fields:
            return None
        self._last_id = fields.get("id") or self._last_id
        try:
            data: Any = msgspec.json.decode(fields["data"], type=dict[str, Any])
        except msgspec.DecodeError as exc:
            text = f"an event is not as it should be: {exc}"
            raise AdminError(200, Problem(status=200, detail=text)) from None
        return Event(kind=fields.get("event", "message"), data=data, id=fields.get("id", ""))

    def pause(self, error: AdminError | None) -> float:
        """How many seconds to wait before the next stream, after one has ended, by `error` if so.
        Raises that where there is no use in another.
        """
        if error is not None and error.status not in AGAIN:
            raise error
        waits = error.retry_after if error is not None else None
        return self._retry_seconds if waits is None else waits
