"""Foreign text in logs: no line, whoever's handler writes it, is begun, coloured or turned by
others than who logs.
"""

from __future__ import annotations

import io
import logging
import traceback
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

import signal_sdk
from signal_sdk.printable import LOGGERS, MAX_CHARS, EscapingFilter, one_line, traceback_lines

FORGED = "bye\n2026-01-01 ERROR forged\r\x1b[2J\x9b\x85\u2028\u2029\u202e\u2066\0\ud800"
LINE = r"bye\n2026-01-01 ERROR forged\r\x1b[2J\x9b\x85\u2028\u2029\u202e\u2066\x00\ud800"


@pytest.fixture(params=LOGGERS)
def log(request: pytest.FixtureRequest) -> Iterator[tuple[logging.Logger, io.StringIO]]:
    """One of the package's loggers, with a handler as any program has it."""
    logger = logging.getLogger(request.param)
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logging.Formatter("%(levelname)s %(message)s"))
    before = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    yield logger, stream
    logger.setLevel(before)
    logger.removeHandler(handler)


def fail(exc: Exception) -> Exception:
    try:
        raise exc  # noqa: TRY301  it is to have a traceback
    except Exception as raised:  # noqa: BLE001  it is what is logged
        return raised


@given(st.text())
def test_a_line_is_printable_and_says_which_characters_there_were(text: str) -> None:
    line = one_line(text)
    assert line.isprintable()
    if text.isprintable():
        assert line == text


def test_the_package_s_loggers_escape_what_they_are_handed(
    log: tuple[logging.Logger, io.StringIO],
) -> None:
    logger, stream = log
    logger.info("%s: %s", "127.0.0.1:5", FORGED)
    logger.info("%(who)s", {"who": FORGED})
    logger.info(FORGED)
    logger.info("%s", ValueError(FORGED))
    logger.info("%r %.3f %d", b"\n", 1.5, 7)
    logger.info("%s", [FORGED])
    assert stream.getvalue().splitlines() == [
        f"INFO 127.0.0.1:5: {LINE}",
        f"INFO {LINE}",
        f"INFO {LINE}",
        f"INFO {LINE}",
        r"INFO b'\n' 1.500 7",
        f"INFO {[FORGED]!r}",
    ]


def test_a_long_text_is_cut(log: tuple[logging.Logger, io.StringIO]) -> None:
    logger, stream = log
    logger.info("%s", "x" * 100_000)
    assert stream.getvalue() == f"INFO {'x' * MAX_CHARS}… (100000 characters)\n"


def test_a_traceback_has_the_lines_of_python_and_no_others(
    log: tuple[logging.Logger, io.StringIO],
) -> None:
    logger, stream = log
    raised = fail(ValueError(FORGED))
    raised.add_note(FORGED)
    logger.error("it failed", exc_info=raised)
    head, *body = stream.getvalue().split("\n")
    assert head == "ERROR it failed"
    assert body[0] == "Traceback (most recent call last):"
    assert body[1].startswith('  File "')
    assert f"ValueError: {LINE}" in body
    assert all(line.isprintable() for line in body)
    assert body[-2:] == [LINE, ""]


def test_what_is_plain_is_printed_as_python_does() -> None:
    inner = fail(ValueError("first"))
    with pytest.raises(ExceptionGroup) as caught:
        raise ExceptionGroup("both", [fail(KeyError("a")), OSError("b")]) from inner
    group = caught.value
    told = traceback_lines((type(group), group, group.__traceback__))
    assert told == "".join(traceback.format_exception(group)).rstrip("\n")


def test_a_program_can_have_the_same_for_what_it_logs() -> None:
    assert signal_sdk.EscapingFilter is EscapingFilter
    record = logging.LogRecord("mybot", logging.INFO, "", 0, "heard %s", (FORGED,), None)
    assert EscapingFilter().filter(record)
    assert record.getMessage() == f"heard {LINE}"


def test_notes_that_are_none_are_shown_all_the_same() -> None:
    raised = fail(ValueError("x"))
    raised.__notes__ = FORGED  # type: ignore[assignment]  # as anybody may
    told = traceback_lines((type(raised), raised, raised.__traceback__))
    assert told.splitlines()[-1].isprintable()
    assert len(told.splitlines()) == len(told.split("\n"))
