"""What is logged of what somebody's code has raised, whatever that does when it is shown, and
whatever the program's log handlers do.
"""

from __future__ import annotations

import io
import logging
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import trio

import signal_sdk
from signal_sdk.client.log import Log, log_raised, logger, warn
from signal_sdk.raised import type_name
from tests.odd_errors import NamelessError, UnshowableError

PACKAGE = Path(signal_sdk.__file__).parent


def test_what_cannot_be_shown_is_logged_by_its_type(caplog: pytest.LogCaptureFixture) -> None:
    log_raised("a callback raised UnshowableError", UnshowableError())
    assert "UnshowableError" in caplog.text


class FalseError(Exception):
    def __bool__(self) -> bool:
        return False


def test_an_exception_that_is_false_is_logged_with_its_traceback(
    caplog: pytest.LogCaptureFixture,
) -> None:
    log_raised("it raised", FalseError("mine"))
    assert "FalseError: mine" in caplog.text


def test_a_line_is_said_to_come_from_whom_it_is_of(caplog: pytest.LogCaptureFixture) -> None:
    log = Log()
    log.is_on = True
    with caplog.at_level(logging.DEBUG, "signal_sdk"):
        warn("a %s", "warning")
        log.debug("a %s", "line")
        log_raised("it raised", ValueError("mine"))
    assert [record.filename for record in caplog.records] == ["test_log.py"] * 3
    assert [record.getMessage() for record in caplog.records[:2]] == ["a warning", "a line"]


# --- handlers of the program's own that raise


class Raises(logging.Handler):
    def __init__(self, error: BaseException) -> None:
        super().__init__()
        self.error = error

    def emit(self, record: logging.LogRecord) -> None:
        raise self.error


@pytest.fixture
def handle() -> Iterator[Callable[[logging.Handler], None]]:
    """Give the SDK's logger a handler while the test lasts."""
    handlers: list[logging.Handler] = []

    def add(handler: logging.Handler) -> None:
        handlers.append(handler)
        logger.addHandler(handler)

    yield add
    for handler in handlers:
        logger.removeHandler(handler)


def debug(text: str) -> None:
    log = Log()
    log.is_on = True
    log.debug(text)


WRITES: list[Callable[[str], None]] = [
    warn,
    debug,
    lambda text: log_raised(text, ValueError("mine")),
    lambda text: log_raised(text, NamelessError()),
]


@pytest.mark.parametrize("write", WRITES, ids=["warn", "debug", "raised", "nameless"])
@pytest.mark.parametrize("error", [OSError("the disk is full"), SystemExit(1), NamelessError()])
def test_a_handler_that_raises_is_told_on_stderr_alone(
    handle: Callable[[logging.Handler], None],
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
    write: Callable[[str], None],
    error: BaseException,
) -> None:
    caplog.set_level(logging.DEBUG, "signal_sdk")
    handle(Raises(error))
    write("text")
    told = f"signal_sdk: a log handler raised {type_name(error)}\n"
    assert capsys.readouterr().err.endswith(told)


def test_nothing_comes_of_a_stderr_that_raises_too(
    handle: Callable[[logging.Handler], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    closed = io.StringIO()
    closed.close()
    handle(Raises(OSError()))
    for stderr in (closed, None):
        monkeypatch.setattr("sys.stderr", stderr)
        warn("text")
        log_raised("text", ValueError())


def test_a_cancellation_passes_through_a_handler(
    handle: Callable[[logging.Handler], None],
) -> None:
    async def main() -> None:
        with trio.CancelScope() as scope:
            scope.cancel()
            try:
                await trio.lowlevel.checkpoint()
            except trio.Cancelled as cancelled:
                handle(Raises(cancelled))
                with pytest.raises(trio.Cancelled):
                    warn("text")
                raise

    trio.run(main)


CALLS = r"\blogger\.(?:debug|info|warning|error|exception|critical|log)\("


def test_nobody_else_in_the_sdk_writes_to_a_logger() -> None:
    """What a logger runs is the program's: only what is guarded may call it."""
    guarded = {PACKAGE / "client" / "log.py", PACKAGE / "flat" / "callback_thread.py"}
    folders = [PACKAGE / "client", PACKAGE / "flat"]
    modules = [*PACKAGE.glob("*.py"), *(it for folder in folders for it in folder.glob("*.py"))]
    for module in set(modules) - guarded:
        found = re.findall(CALLS, module.read_text())
        assert not found, module
