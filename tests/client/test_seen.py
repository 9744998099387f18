"""What has been seen: how much of it is kept, and what counts as the same."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from signal_sdk.client.seen import (
    KEPT_IDS,
    MAX_SEEN_ENTRIES,
    MAX_SEEN_MESSAGES,
    Heard,
    Recent,
    Seen,
    key_of,
)
from signal_sdk.wire.lines import MessageLine


def line(text: str, msg_id: str | None = None, src: str = "bob") -> MessageLine:
    return MessageLine(src=src, dst="alice", type="instant", content=text, time=1, msg_id=msg_id)


def add(seen: Seen, version: int, entry: MessageLine) -> None:
    seen.add(version, entry, key_of(entry))


def has(seen: Seen, version: int, entry: MessageLine) -> bool:
    return seen.has(version, entry, key_of(entry))


@given(st.lists(st.integers(0, 20)), st.integers(1, 10))
def test_the_last_keys_are_known_and_no_others(keys: list[int], size: int) -> None:
    recent: Recent[int] = Recent(size)
    kept: list[int] = []
    for key in keys:
        assert recent.add(key) is (key not in kept)
        if key not in kept:
            kept = [*kept, key][-size:]
        assert [known for known in range(21) if known in recent] == sorted(kept)
        assert len(recent) == len(kept)


def test_an_entry_is_known_by_its_id_under_any_version() -> None:
    seen = Seen()
    add(seen, 1, line("one", "2.a"))
    assert has(seen, 1, line("one", "2.a"))
    assert has(seen, 99, line("one", "2.a"))
    assert not has(seen, 1, line("other", "2.b"))
    assert not has(seen, 1, line("one", "2.a", src="carol"))


def test_an_entry_without_an_id_is_known_by_its_version_and_text() -> None:
    seen = Seen()
    add(seen, 1, line("one"))
    assert has(seen, 1, line("one"))
    assert not has(seen, 2, line("one"))
    assert not has(seen, 1, line("two"))


def test_what_the_server_has_dropped_may_come_again_from_its_sender_only() -> None:
    seen = Seen()
    assert not Seen().may_come_again
    add(seen, 1, line("without an id"))
    add(seen, 2, line("two", "2.b"))
    seen.forget(1)
    trimmed = seen.trimmed()
    assert has(trimmed, 9, line("two", "2.b"))
    assert not has(trimmed, 1, line("without an id"))
    seen.forget(2)
    assert seen.may_come_again
    assert has(seen.trimmed(), 9, line("two", "2.b"))


def test_the_next_session_knows_the_last_messages_and_what_the_server_has() -> None:
    seen = Seen()
    for version in range(2 * KEPT_IDS):
        add(seen, version, line("x", f"2.{version}"))
    seen.forget(2 * KEPT_IDS)
    add(seen, 500, line("waits still"))
    trimmed = seen.trimmed()
    assert has(trimmed, -1, line("x", f"2.{KEPT_IDS}"))
    assert not has(trimmed, -1, line("x", f"2.{KEPT_IDS - 1}"))
    assert has(trimmed, 500, line("waits still"))


def test_what_is_kept_is_bounded() -> None:
    seen = Seen()
    for version in range(MAX_SEEN_ENTRIES + 1):
        add(seen, version, line("x", f"2.{version}"))
    assert not has(seen, 0, line("x", "2.0"))
    assert has(seen, 1, line("x", "2.1"))
    seen.forget(MAX_SEEN_ENTRIES)
    assert not has(seen, -1, line("x", "2.0"))


@given(st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from("xy"), st.integers(1, 9))))
def test_a_series_is_heard_in_its_order_and_once(sent: list[tuple[str, str, int]]) -> None:
    heard = Heard()
    last: dict[tuple[str, str], int] = {}
    for account, series, number in sent:
        key = account, series
        assert heard.add(account, f"~{series}.{number}") is (number > last.get(key, 0))
        last[key] = max(number, last.get(key, 0))


def test_a_user_s_own_ids_may_come_in_any_order_but_once() -> None:
    heard = Heard()
    assert [heard.add("bob", it) for it in ["a.2", "a.1", "a.2", "~a", "~a", "b"]] == [
        True,
        True,
        False,
        True,
        False,
        True,
    ]
    assert heard.add("carol", "a.2")


def test_messages_without_ids_are_all_heard() -> None:
    heard = Heard()
    assert heard.add("bob", "")
    assert heard.add("bob", "")


def test_of_the_series_the_latest_heard_are_kept() -> None:
    heard = Heard()
    for number in range(MAX_SEEN_MESSAGES):
        assert heard.add("bob", f"~{number}.5")
    assert not heard.add("bob", "~0.5")
    assert heard.add("bob", "~new.5")
    assert not heard.add("bob", "~0.5")
    assert heard.add("bob", "~1.5")
