"""The documented error codes, against the project's table of them."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from signal_sdk.ecodes import ECode

TABLE = Path(__file__).with_name("data") / "ecodes.csv"


def documented() -> list[tuple[str, int, str]]:
    with TABLE.open(encoding="utf-8", newline="") as file:
        return [(row["name"], int(row["value"]), row["meaning"]) for row in csv.DictReader(file)]


def test_codes_are_the_documented_ones() -> None:
    """Names, values and meanings are the table's, in its order, and there are no others."""
    assert [(code.name, code.value, code.meaning) for code in ECode] == documented()


def test_no_code_is_an_alias_of_another() -> None:
    """Two names for one number would make an `ECode` print as the wrong one."""
    assert len(ECode.__members__) == len(list(ECode))


def test_code_equals_its_number() -> None:
    """Callbacks that compare with plain integers go on working."""
    number = 204
    assert number == ECode.LOGIN_E_TOKENEXPIRED
    assert ECode(1005) is ECode.GENERAL_E_LARGE_PARAM


def test_unknown_number_is_no_code() -> None:
    """A number that is not documented raises `ValueError`, and is not taken for a neighbour."""
    with pytest.raises(ValueError, match="999"):
        ECode(999)
