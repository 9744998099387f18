"""Built-in attributes: what their values may be, and what takes effect of them."""

from __future__ import annotations

import pytest
from hypothesis import given

from signal_sdk.ecodes import ECode
from signal_sdk.errors import ParameterError
from signal_sdk.wire import built_in
from signal_sdk.wire.names import JsonValue
from tests.wire import strategies as sts


@pytest.mark.parametrize(
    ("value", "number"),
    [(0, 0), ("0", 0), ("007", 7), (2**31 - 1, 2**31 - 1), ("2147483647", 2**31 - 1)],
)
def test_number_is_read_from_text_too(value: JsonValue, number: int) -> None:
    """Attribute values are text in the original SDKs, and numbers in web pages."""
    assert built_in.check_number(built_in.CHANNEL_TTL, value) == number


@pytest.mark.parametrize(
    "value",
    [
        "",
        "-1",
        "+1",
        "1.5",
        " 1",
        "१",
        "x",
        -1,
        2**31,
        "2147483648",
        "9" * 5000,
        10**5000,
        True,
        None,
    ],
    ids=sts.label,
)
def test_number_is_whole_and_not_negative(value: JsonValue) -> None:
    """Anything else is refused with 1004."""
    with pytest.raises(ParameterError) as caught:
        built_in.check_number(built_in.CHANNEL_TTL, value)
    text = str(caught.value)
    assert text.isprintable(), "an error is one line"
    assert len(text) < 250
    assert caught.value.ecode is ECode.GENERAL_E_WRONG_PARAM


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("20", 20),
        (20, 20),
        ("19", 20),
        (0, 20),
        ("-5", 20),
        ("60", 60),
        (120, 120),
        ("121", 120),
        (10**30, 120),
        ("", 120),
        ("soon", 120),
        ("30.5", 120),
        (None, 120),
        ([], 120),
        ({}, 120),
        (True, 120),
        ("9" * 5000, 120),
        (10**5000, 120),
        ("\ud800", 120),
    ],
    ids=sts.label,
)
def test_conn_timeout_is_clamped(value: JsonValue, seconds: int) -> None:
    """`_conn_timeout` takes effect between 20 and 120 s, and as 120 s where it is not a number."""
    assert built_in.conn_timeout_seconds(value) == seconds


@sts.few_examples
@given(sts.python_values() | sts.json_values() | sts.any_texts)
def test_any_conn_timeout_takes_effect(value: JsonValue) -> None:
    """Presence goes on whatever the attribute was set to."""
    assert 20 <= built_in.conn_timeout_seconds(value) <= 120


def test_limits_are_the_documented_ones() -> None:
    """The numbers of protocol.md, section 8."""
    assert (built_in.MIN_CONN_TIMEOUT_SECONDS, built_in.MAX_CONN_TIMEOUT_SECONDS) == (20, 120)
