"""What is said of a value that is wrong: one line, whatever the value is."""

from __future__ import annotations

from signal_sdk.wire.parameter_errors import wrong


class Unshowable:
    def __repr__(self) -> str:
        raise OSError("unshowable")


def test_a_value_that_cannot_be_shown_is_named_by_its_type() -> None:
    error = wrong("account", Unshowable(), "is wrong")
    assert error.reason == "account of the type Unshowable is wrong"
    spread = type("Spread", (), {"__repr__": lambda _: "two\n  lines"})()
    assert wrong("account", spread, "is wrong").reason == "account two lines is wrong"
