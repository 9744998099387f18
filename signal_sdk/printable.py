"""Foreign text as a line holds it: in a log, and on a terminal.

Owns: how text is made one line, and that whatever the package's loggers are handed is made so,
whoever's handlers write it. Must not know who says what.
"""

from __future__ import annotations

import logging
import traceback
from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import TracebackType
from typing import Any, Final

__all__ = ["LOGGERS", "EscapingFilter", "escape_logs", "one_line", "traceback_lines"]

ExcInfo = tuple[type[BaseException], BaseException, TracebackType | None]

LOGGERS: Final = (
    "signal_sdk",
    "signal_sdk.server",
    "signal_sdk.server.connections",
    "signal_sdk.server.logins",
    "signal_sdk.server.requests",
    "signal_sdk.server.limits",
    "signal_sdk.server.engine",
    "signal_sdk.server.redis",
    "signal_sdk.server.admin",
    "signal_sdk.server.hooks",
)
"""The package's loggers: a filter sees what its own logger is handed, not what those below it are.
"""
MAX_CHARS: Final = 1000
"""How much of one foreign text a line shows: what a client says may be a whole frame."""
_FRAME: Final = 'File "'
"""How a traceback's part begins that is several lines of its own: a place in a program."""
_BETWEEN: Final = (
    "The above exception was the direct cause of the following exception:",
    "During handling of the above exception, another exception occurred:",
)
"""What Python prints between two tracebacks, with empty lines around it."""


def one_line(text: str) -> str:
    """`text` with all that is not printable escaped: one line, which moves no cursor, changes no
    colour and turns no direction, whoever it comes from.
    """
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else _escaped(char) for char in text)


def _escaped(char: str) -> str:
    return char.encode("unicode_escape").decode()


def traceback_lines(exc_info: ExcInfo) -> str:
    """The traceback as Python prints it, in which what an exception says of itself is one line."""
    told = traceback.TracebackException(*exc_info)
    _join_notes(told)
    return "\n".join(_lines(told.format()))


def _join_notes(told: traceback.TracebackException) -> None:
    """Python prints each line of a note as one of its own."""
    notes = getattr(told, "__notes__", None)
    if isinstance(notes, Sequence) and not isinstance(notes, str):
        told.__notes__ = [one_line(str(note)) for note in notes]
    elif notes is not None:
        told.__notes__ = [one_line(repr(notes))]
    for inner in (told.__cause__, told.__context__, *(told.exceptions or ())):
        if inner is not None:
            _join_notes(inner)


def _lines(parts: Iterable[str]) -> Iterator[str]:
    for part in parts:
        text = part.removesuffix("\n")
        # In a group, bars stand before each line.
        bare = text.strip(" |+-\n")
        is_python_s = bare.startswith(_FRAME) or bare in _BETWEEN
        yield from map(one_line, text.split("\n") if is_python_s else [text])


class _Printable:
    """An argument of a log's line: escaped where it becomes text, otherwise itself to those who
    look at a record's arguments.
    """

    __slots__ = ("value",)

    def __init__(self, value: object) -> None:
        self.value = value

    def __str__(self) -> str:
        return one_line(_cut(str(self.value)))

    def __repr__(self) -> str:
        return one_line(_cut(repr(self.value)))


def _cut(text: str) -> str:
    if len(text) <= MAX_CHARS:
        return text
    return f"{text[:MAX_CHARS]}… ({len(text)} characters)"


class EscapingFilter(logging.Filter):
    """Makes each record one line, and its traceback lines that nobody but Python began. It lets
    all records pass.

    The package's loggers have it. Give it to a logger or a handler of your own to have the same of
    what your program logs of others' texts:

        logging.getLogger("mybot").addFilter(EscapingFilter())
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Have the record escaped."""
        if isinstance(record.msg, str):
            record.msg = one_line(record.msg)
        else:
            record.msg = _printable(record.msg)
        if isinstance(record.args, Mapping):
            record.args = {name: _printable(value) for name, value in record.args.items()}
        elif record.args:
            record.args = tuple(map(_printable, record.args))
        if record.exc_info and record.exc_info[0] is not None and not record.exc_text:
            record.exc_text = traceback_lines(record.exc_info)
        return True


def _printable(value: Any) -> Any:
    # A number may be formatted as one.
    return value if isinstance(value, int | float | _Printable) else _Printable(value)


def escape_logs() -> None:
    """Have the package's loggers escape what they are handed. Called once, when the package is
    imported.
    """
    for name in LOGGERS:
        logger = logging.getLogger(name)
        if not any(isinstance(it, EscapingFilter) for it in logger.filters):
            logger.addFilter(EscapingFilter())
