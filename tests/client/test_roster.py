"""The roster against a channel whose members come and go, with some of it missed."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signal_sdk.client.roster import MAX_ROSTER, Roster
from signal_sdk.wire.events import ChannelAttrUpdate

ACCOUNTS = st.sampled_from("abcdef")


@given(
    st.sets(ACCOUNTS),
    st.lists(st.tuples(st.booleans(), ACCOUNTS, st.booleans())),
)
def test_what_was_missed_is_found_and_nothing_is_told_twice(
    members: set[str], steps: list[tuple[bool, str, bool]]
) -> None:
    """`told` is who is there as far as callbacks have said."""
    roster = Roster()
    roster.begin([(account, 1) for account in members], len(members), {})
    there, told = set(members), set(members)
    for is_join, account, is_heard in steps:
        if is_join == (account in there):
            continue
        (there.add if is_join else there.remove)(account)
        if not is_heard:
            continue
        if roster.joined(account, 1) if is_join else roster.left(account):
            assert is_join == (account not in told)
            (told.add if is_join else told.remove)(account)
        else:
            assert is_join == (account in told)
    left, joined = roster.compare([(account, 1) for account in there], len(there))
    assert {account for account, _ in left} == told - there
    assert {account for account, _ in joined} == there - told
    assert roster.compare([(account, 1) for account in there], len(there)) == ([], [])


def update(name: str, value: Any, change: str = "update") -> ChannelAttrUpdate:
    return ChannelAttrUpdate(
        channel="room", account="bob", uid=2, name=name, value=value, change=change
    )


@pytest.mark.parametrize(
    ("event", "is_told"),
    [
        (update("_userNotification", "0"), False),
        (update("_userNotification", 0), False),
        (update("_userNotification", "1"), True),
        (update("_userNotification", ""), True),
        (update("_userNotification", "", "del"), True),
        (update("", "", "clear"), True),
        (update("topic", "0"), True),
    ],
    ids=str,
)
def test_a_channel_that_does_not_tell_has_no_roster(
    event: ChannelAttrUpdate, is_told: bool
) -> None:
    roster = Roster()
    roster.begin([("bob", 2)], 1, {})
    roster.attr_changed(event)
    assert roster.is_told is is_told
    assert roster.compare([], 0) == ([("bob", 2)] if is_told else [], [])


def test_a_list_that_is_not_complete_is_none() -> None:
    roster = Roster()
    roster.begin([("bob", 2)], 2, {})
    assert roster.joined("bob", 2), "who knows"
    assert roster.left("carol")
    assert roster.compare([("bob", 2)], 1) == ([], [])
    assert roster.compare([("carol", 3)], 1) == ([("bob", 2)], [("carol", 3)])
    assert roster.compare([("bob", 2)], 2) == ([], [])


def test_the_largest_roster() -> None:
    everybody = [(f"user{number}", number) for number in range(MAX_ROSTER)]
    roster = Roster()
    roster.begin(everybody, MAX_ROSTER, {})
    assert roster.compare(everybody[1:], MAX_ROSTER - 1) == ([("user0", 0)], [])
    assert roster.joined("user0", 0)
    assert roster.joined("one more", 0)
    assert roster.compare([], 0) == ([], [])
