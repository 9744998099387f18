"""Rights: which names they cover, and how a record keeps them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signal_sdk.wire.rights import ALL, Rights, covers
from tests.wire import strategies as sts


@pytest.mark.parametrize(
    ("patterns", "name", "is_covered"),
    [
        (None, "room", True),
        ((), "room", False),
        (("room",), "room", True),
        (("room",), "rooms", False),
        (("room",), "Room", False),
        (("other", "room*"), "rooms", True),
        (("room*",), "room", True),
        (("room*",), "a room", False),
        (("*",), "room", True),
        (("a*b",), "axb", False),
        (("a*b",), "a*b", True),
    ],
)
def test_a_name_is_covered_by_itself_and_by_how_it_begins(
    patterns: tuple[str, ...] | None, name: str, is_covered: bool
) -> None:
    assert covers(patterns, name) is is_covered


_lists = st.none() | st.lists(sts.accounts, max_size=3).map(tuple)


@given(st.builds(Rights, channels=_lists, peers=_lists, listener=st.booleans()))
def test_a_record_keeps_them(rights: Rights) -> None:
    assert Rights.decode(rights.encode()) == rights
    assert (rights.encode() == "") is (rights == ALL)
    assert Rights.decode("") is ALL
