"""What is told of what somebody's code has raised, whatever that does when it is asked."""

from __future__ import annotations

from typing import Any

import pytest

from signal_sdk.client.log import log_raised, text_of


class UnshowableError(Exception):
    """Refuses all that an exception may be asked for."""

    def fail(self, *_: object) -> Any:
        raise RuntimeError("unshowable")

    __str__ = __repr__ = __bool__ = __getattr__ = fail


def test_an_exception_s_text_is_one_line() -> None:
    assert text_of(ValueError("two\n lines")) == "two lines"
    assert text_of(UnshowableError()) == "(its text cannot be shown: RuntimeError)"


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
