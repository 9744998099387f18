"""The SDK's version as an integer."""

from __future__ import annotations

from importlib import metadata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signal_sdk import create_agora_sdk_instance_cpp
from signal_sdk.flat import version
from signal_sdk.flat.version import encode_version, sdk_version


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("1.1.4.19", 1010104019),
        ("0.1.0", 1000100000),
        ("2", 1020000000),
        ("1.4.0.dev3+local", 1010400000),
        ("1.4rc2", 1010400000),
        ("", 1000000000),
        ("99.99.99.999.7", 1999999999),
        ("100.1", 1990100000),
    ],
)
def test_a_version_is_encoded_as_documented(text: str, number: int) -> None:
    assert encode_version(text) == number


parts = st.tuples(*(st.integers(0, most) for most in (99, 99, 99, 999)))


@given(parts, parts)
def test_a_later_version_is_a_larger_number(one: tuple[int, ...], other: tuple[int, ...]) -> None:
    numbers = [encode_version(".".join(map(str, version))) for version in (one, other)]
    assert (numbers[0] < numbers[1]) == (one < other)
    assert all(number < 2**31 for number in numbers)


def test_an_instance_knows_its_version(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metadata, "version", lambda name: {"signal-sdk": "1.1.4.19"}[name])
    sdk_version.cache_clear()
    try:
        assert create_agora_sdk_instance_cpp().get_sdk_version() == 1010104019
    finally:
        sdk_version.cache_clear()


def test_a_source_tree_that_is_not_installed_has_the_version_0(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(version, "DISTRIBUTION", "no such distribution")
    sdk_version.cache_clear()
    try:
        assert create_agora_sdk_instance_cpp().get_sdk_version() == 1000000000
    finally:
        sdk_version.cache_clear()
