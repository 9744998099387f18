"""The engine contract: inboxes."""

from __future__ import annotations

import pytest

from signal_sdk.server.engine.base import Engine
from signal_sdk.server.engine.bounds import QuotaError
from signal_sdk.wire import lines
from tests.server.engine.contract import ANN, BOB, MAX_INBOX, NOW, Delivered, post, written


async def test_versions_rise_by_one_and_each_entry_is_delivered(
    engine: Engine, delivered: Delivered
) -> None:
    assert [await engine.post(post(text), NOW) for text in "abc"] == [1, 2, 3]
    await written(engine)
    assert delivered.take() == [
        ("entry", ANN, version, text) for version, text in enumerate("abc", 1)
    ]


async def test_a_page_holds_what_comes_next_and_clearing_is_for_good(engine: Engine) -> None:
    for text in "abcd":
        await engine.post(post(text), NOW)
    page = await engine.read_inbox(ANN, 0, 3, NOW)
    assert page.ver_clear == 0
    assert [(entry.version, lines.decode(entry.line).content) for entry in page.entries] == [
        (1, "a"),
        (2, "b"),
        (3, "c"),
    ]
    page = await engine.read_inbox(ANN, 3, 3, NOW)
    assert page.ver_clear == 3
    assert [entry.version for entry in page.entries] == [4]
    # A fresh client says 0, and gets what is pending, never what was cleared.
    page = await engine.read_inbox(ANN, 0, 3, NOW)
    assert (page.ver_clear, [entry.version for entry in page.entries]) == (3, [4])


async def test_a_version_that_was_never_given_clears_nothing(engine: Engine) -> None:
    """A page that lived through a server's restart still counts as the one before did."""
    await engine.post(post("a"), NOW)
    page = await engine.read_inbox(ANN, 50, 3, NOW)
    assert (page.ver_clear, [entry.version for entry in page.entries]) == (0, [1])


async def test_versions_never_restart(engine: Engine) -> None:
    await engine.post(post("a"), NOW)
    page = await engine.read_inbox(ANN, 1, 30, NOW)
    assert (page.ver_clear, list(page.entries)) == (1, [])
    await engine.sweep(NOW + 10**6)
    assert await engine.post(post("b"), NOW) == 2


async def test_an_entry_is_gone_when_its_time_is_over(engine: Engine) -> None:
    await engine.post(post("long", ttl=100), NOW)
    await engine.post(post("short", ttl=10), NOW)
    await engine.post(post("long too", ttl=100), NOW)
    page = await engine.read_inbox(ANN, 0, 30, NOW + 9.9)
    assert [lines.decode(entry.line).content for entry in page.entries] == [
        "long",
        "short",
        "long too",
    ]
    page = await engine.read_inbox(ANN, 0, 30, NOW + 10)
    assert [lines.decode(entry.line).content for entry in page.entries] == ["long", "long too"]
    page = await engine.read_inbox(ANN, 0, 30, NOW + 100)
    assert (page.ver_clear, list(page.entries)) == (3, [])


async def test_a_full_inbox_takes_nothing_until_there_is_room(
    engine: Engine, delivered: Delivered
) -> None:
    await engine.post(post("soon over", ttl=10), NOW)
    for _ in range(MAX_INBOX - 1):
        await engine.post(post("x"), NOW)
    delivered.take()
    with pytest.raises(QuotaError, match="the inbox of 'ann' is full"):
        await engine.post(post("too much"), NOW)
    assert delivered.take() == []
    assert await engine.post(post("fits now"), NOW + 10) == MAX_INBOX + 1
    with pytest.raises(QuotaError):
        await engine.post(post("too much"), NOW + 10)


async def test_sweeping_keeps_what_is_still_good(engine: Engine) -> None:
    await engine.post(post("short", ttl=10), NOW)
    await engine.post(post("long", ttl=100), NOW)
    await engine.post(post("short", BOB, ttl=10), NOW)
    for _ in range(3):
        await engine.sweep(NOW + 50)
    page = await engine.read_inbox(ANN, 0, 30, NOW + 50)
    assert [lines.decode(entry.line).content for entry in page.entries] == ["long"]
    assert not (await engine.read_inbox(BOB, 0, 30, NOW)).entries
    await engine.post(post("again", BOB), NOW)
    await engine.sweep(NOW + 50)
    assert len((await engine.read_inbox(BOB, 0, 30, NOW)).entries) == 1
