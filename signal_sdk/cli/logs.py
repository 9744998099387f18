"""The log of a server, on stderr.

Owns: what a line looks like, as text and as JSON, and which loggers say how much. Must not know
what it says.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from typing import Final

from signal_sdk.cli.events import as_json
from signal_sdk.cli.failures import PROGRAM
from signal_sdk.cli.output import complaints_in
from signal_sdk.errors import SignalSdkError

__all__ = ["json_complaints", "log_on_stderr"]

TIME_AND_LEVEL: Final = "%(asctime)s %(levelname)s"
COMMAND: Final = "signal_sdk.cli"
"""Who says in JSON what the command says outside of the log: what is wrong at its start, or end."""


@contextmanager
def log_on_stderr(
    levels: Mapping[str, int], *, is_json: bool = False, who: str = ""
) -> Iterator[None]:
    """The log of what the block does: of each of these loggers, and of those below it, from its
    level on. `who` has done it, if that is to be said in each line.
    """
    handler = logging.StreamHandler()
    said = f"{who}: " if who else ""
    text = logging.Formatter(f"{TIME_AND_LEVEL} {said}%(message)s")
    handler.setFormatter(_JsonLines(who) if is_json else text)
    package = logging.getLogger("signal_sdk")
    before = {name: logging.getLogger(name).level for name in levels}
    package.addHandler(handler)
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)
    try:
        yield
    except Exception as exc:
        # One line is said of it in any case; where it came from is for who asked for all there is.
        package.debug("the server ended: %s", exc, exc_info=not isinstance(exc, SignalSdkError))
        raise
    finally:
        package.removeHandler(handler)
        for name, level in before.items():
            logging.getLogger(name).setLevel(level)


@contextmanager
def json_complaints(who: str = "") -> Iterator[None]:
    """While the block runs, complaints are JSON lines like those of the log."""
    with complaints_in(partial(_complaint, who)):
        yield


def _complaint(who: str, text: str, is_warning: bool) -> str:
    level = "WARNING" if is_warning else "ERROR"
    return _line(time.time(), level, COMMAND, text.removeprefix(f"{PROGRAM}: "), who)


class _JsonLines(logging.Formatter):
    """A record as one JSON object on a line."""

    def __init__(self, who: str) -> None:
        super().__init__()
        self._who = who

    def format(self, record: logging.LogRecord) -> str:
        """The line of a record, which the package's filter has escaped."""
        exception = record.exc_text
        if record.exc_info and not exception:
            exception = self.formatException(record.exc_info)
        return _line(
            record.created,
            record.levelname,
            record.name,
            record.getMessage(),
            self._who,
            exception or "",
        )


def _line(at: float, level: str, logger: str, message: str, who: str, exception: str = "") -> str:
    clock = datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds")
    told = {"time": clock.replace("+00:00", "Z"), "level": level, "logger": logger}
    if who:
        told["process"] = who
    told["message"] = message
    if exception:
        told["exception"] = exception
    return as_json(told)
