"""A recording: what a session has heard and said, and when, as JSON lines.

Owns: the file's form, its writing and its reading. Must not know who hears or says it. No token and
no session's secret is among what it is handed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, Literal

import msgspec
import trio

from signal_sdk.cli.ears import Printer
from signal_sdk.cli.events import Event, as_json
from signal_sdk.cli.output import LineWriter
from signal_sdk.errors import ConfigError
from signal_sdk.wire.hidden import hides

__all__ = ["SAYINGS", "Entry", "Recorder", "entries", "is_in_many"]

VERSION: Final = 1
SAYINGS: Final[Mapping[str, tuple[str, ...]]] = {
    "joining": ("channel",),
    "sent": ("to", "msg"),
    "bytes_sent": ("to", "data"),
    "channel_sent": ("channel", "msg"),
    "channel_bytes_sent": ("channel", "data"),
}
"""The events that are what the session itself has said, and what each has to have."""
MAX_LINE_BYTES: Final = 1024 * 1024
"""More than any entry has: a list of 200 users with names of 128 characters has 150 KB."""


class Header(msgspec.Struct, kw_only=True, omit_defaults=True):
    """The first line."""

    signal_sdk_recording: int
    app: str
    account: str
    began: int
    """In Unix milliseconds."""
    many_channels: bool = False
    """May the session be in many, so that to join one is not to leave another?"""


@hides("msg", "data")
class Entry(msgspec.Struct, kw_only=True):
    """Each further line, as far as it can be said again; what else was heard has other fields."""

    at: float
    """How many seconds after the beginning."""
    direction: Literal["in", "out"]
    event: str
    to: str | None = None
    channel: str | None = None
    msg: str | None = None
    data: bytes | None = None
    """In base64."""

    @property
    def lacks(self) -> str:
        """What it has to have to be said, and has not; empty where nothing is."""
        needs = SAYINGS.get(self.event, ())
        return next((name for name in needs if getattr(self, name) is None), "")


class Recorder(Printer):
    """Prints events, and writes each into the file behind `fd`, too."""

    def __init__(
        self, fd: int, *, app: str, account: str, is_json: bool, many_channels: bool = False
    ) -> None:
        super().__init__(is_json=is_json)
        self._file = LineWriter(fd)
        self._header = Header(
            signal_sdk_recording=VERSION,
            app=app,
            account=account,
            began=0,
            many_channels=many_channels,
        )
        self._began: float | None = None

    @property
    def has_begun(self) -> bool:
        """Is there anything in the file?"""
        return self._began is not None

    async def write(self, told: Event) -> None:
        """Write it down, and print it."""
        now = trio.current_time()
        if self._began is None:
            self._began = now
            self._header.began = told["ts"]
            await self._file.write_line(as_json(msgspec.to_builtins(self._header)))
        entry: dict[str, Any] = {
            "at": round(now - self._began, 3),
            "direction": "out" if told["event"] in SAYINGS else "in",
            **told,
        }
        del entry["ts"]
        await self._file.write_line(as_json(entry))
        await super().write(told)


def is_in_many(path: str) -> bool:
    """May the session be in many channels? Raises `ConfigError` as `entries`."""
    header = next(_lines(path))
    return isinstance(header, Header) and header.many_channels


def entries(path: str) -> Iterator[Entry]:
    """What was recorded, in its order. Raises `ConfigError` with the file and the line."""
    return (line for line in _lines(path) if isinstance(line, Entry))


def _lines(path: str) -> Iterator[Header | Entry]:
    try:
        with Path(path).open("rb") as file:
            for number, line in enumerate(iter(lambda: file.readline(MAX_LINE_BYTES), b""), 1):
                yield _decoded(line, Header if number == 1 else Entry, f"{path}:{number}")
            if not file.tell():
                raise ConfigError(f"{path}: it is empty")
    except OSError as exc:
        raise ConfigError(f"{path}: {exc.strerror or exc}") from None


def _decoded(line: bytes, kind: type[Header | Entry], place: str) -> Header | Entry:
    try:
        found = msgspec.json.decode(line, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
        # What msgspec says names the place and the type, and no value.
        raise ConfigError(f"{place}: not a line of a recording: {exc}") from None
    if isinstance(found, Header) and found.signal_sdk_recording != VERSION:
        version = found.signal_sdk_recording
        raise ConfigError(f"{place}: a recording of version {version}, not {VERSION}")
    if isinstance(found, Entry) and (lack := found.lacks):
        raise ConfigError(f"{place}: {found.event!r} needs {lack!r}")
    return found
