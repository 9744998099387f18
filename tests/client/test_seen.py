"""What has been seen: how much of it is kept, and what counts as the same."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from signal_sdk.client.seen import MAX_SEEN_ENTRIES, Recent, Seen
from signal_sdk.wire.lines import MessageLine


def line(text: str, msg_id: str | None = None, src: str = "bob") -> MessageLine:
    return MessageLine(src=src, dst="alice", type="instant", content=text, time=1, msg_id=msg_id)


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
    seen.add(1, line("one", "2.a"))
    assert seen.has(1, line("one", "2.a"))
    assert seen.has(99, line("one", "2.a"))
    assert not seen.has(1, line("other", "2.b"))
    assert not seen.has(1, line("one", "2.a", src="carol"))


def test_an_entry_without_an_id_is_known_by_its_version_and_text() -> None:
    seen = Seen()
    seen.add(1, line("one"))
    assert seen.has(1, line("one"))
    assert not seen.has(2, line("one"))
    assert not seen.has(1, line("two"))


def test_what_the_server_has_dropped_cannot_come_again() -> None:
    seen = Seen()
    seen.add(1, line("one", "2.a"))
    seen.add(2, line("two", "2.b"))
    seen.forget(1)
    assert seen.may_come_again
    trimmed = seen.trimmed()
    assert trimmed.has(9, line("two", "2.b"))
    assert not trimmed.has(9, line("one", "2.a"))
    assert seen.has(9, line("one", "2.a"))
    seen.forget(2)
    assert not seen.may_come_again


def test_what_is_kept_is_bounded() -> None:
    seen = Seen()
    for version in range(MAX_SEEN_ENTRIES + 1):
        seen.add(version, line("x", f"2.{version}"))
    assert not seen.has(0, line("x", "2.0"))
    assert seen.has(1, line("x", "2.1"))
    seen.forget(MAX_SEEN_ENTRIES)
    assert not seen.has(-1, line("x", "2.0"))
