"""What was said before, against the real server: a channel's history and a look into an inbox."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import attrs
import pytest
import trio
from trio.testing import MockClock

from signal_sdk import ECode, Said, Waiting
from signal_sdk.client.past import waiting_in
from signal_sdk.server.inbox import MAX_PAGE_CHARS
from signal_sdk.testing.server import EPOCH, LocalServer, local_server
from signal_sdk.wire.results import GetMessagesResult
from tests.client.fakes import Heard
from tests.server.helpers import dev_config
from tests.signals import ecode_of, log_in, signals


@pytest.fixture
async def server() -> AsyncIterator[LocalServer]:
    async with local_server(listens=False) as running:
        yield running


async def test_a_channel_tells_what_was_said_lately(
    server: LocalServer, autojump_clock: MockClock
) -> None:
    async with signals(server) as signal:
        ann, bob = await log_in(signal, "ann"), await log_in(signal, "bob")
        room = await ann.channel_join("room")
        for text in ("hello", '{"a": 1}'):
            await room.message_channel_send(text)
        theirs = await bob.channel_join("room")
        history = await theirs.history()
        assert history.is_whole
        assert [(it.account, it.uid, it.text) for it in history.messages] == [
            ("ann", ann.uid, "hello"),
            ("ann", ann.uid, '{"a": 1}'),
        ]
        assert [it.number for it in history.messages] == [2, 3]
        assert all(EPOCH <= it.time < EPOCH + 60 for it in history.messages)
        newest = await theirs.history(limit=1)
        assert (newest.messages, newest.is_whole) == (history.messages[1:], False)


async def test_a_history_without_the_bytes_that_were_said_is_not_the_whole(
    server: LocalServer, autojump_clock: MockClock
) -> None:
    async with signals(server, 2) as (one, two):
        ann = await one.login("ann", "_no_need_token", takes_bytes=True)
        room = await ann.channel_join("room")
        for said in ("hello", b"\0", "bye"):
            await room.message_channel_send(said)
        bob = await log_in(two, "bob")
        theirs = await bob.channel_join("room")
        for channel, found, is_whole in (
            (room, ["hello", b"\0", "bye"], True),
            (theirs, ["hello", "bye"], False),
        ):
            history = await channel.history()
            assert [it.data or it.text for it in history.messages] == found
            assert history.is_whole is is_whole
        # Nor is it where the one that is not told is older than what was asked for, or the oldest.
        assert not (await theirs.history(1)).is_whole


async def test_a_long_history_is_cut_to_what_a_page_holds(
    server: LocalServer, autojump_clock: MockClock
) -> None:
    async with signals(server) as signal:
        ann = await log_in(signal, "ann")
        room = await ann.channel_join("room")
        for number in range(70):
            await room.message_channel_send(f"{number}".ljust(8192, "x"))
            if number % 50 == 49:
                # A user may send 60 in a second.
                await trio.sleep(1)
        history = await room.history()
        assert [it.text.strip("x") for it in history.messages] == [f"{n}" for n in range(6, 70)]
        assert sum(len(it.text) for it in history.messages) == MAX_PAGE_CHARS
        assert not history.is_whole


async def test_a_history_has_a_time(autojump_clock: MockClock) -> None:
    config = dev_config()
    config = attrs.evolve(config, limits=attrs.evolve(config.limits, history_seconds=5))
    async with local_server(config, listens=False) as server, signals(server) as signal:
        room = await (await log_in(signal, "ann")).channel_join("room")
        await room.message_channel_send("old")
        autojump_clock.jump(6)
        await room.message_channel_send("new")
        history = await room.history()
        assert [it.text for it in history.messages] == ["new"]
        assert not history.is_whole


@pytest.mark.parametrize("limit", [0, 101, "many", 1.5])
async def test_a_wrong_limit_is_refused(
    server: LocalServer, limit: Any, autojump_clock: MockClock
) -> None:
    async with signals(server) as signal:
        ann = await log_in(signal, "ann")
        room = await ann.channel_join("room")
        for asked in (room.history(limit), ann.peek_messages(limit)):
            assert await ecode_of(asked) is ECode.GENERAL_E_WRONG_PARAM


async def test_the_history_is_for_members(server: LocalServer, autojump_clock: MockClock) -> None:
    async with signals(server) as signal:
        ann, bob = await log_in(signal, "ann"), await log_in(signal, "bob")
        room = await ann.channel_join("room")
        await room.channel_leave()
        assert await ecode_of(room.history()) is ECode.GENERAL_E_FAILED
        asked = bob.invoke("channel_history", {"name": "room"})
        assert await ecode_of(asked) is ECode.GENERAL_E_FAILED


async def test_a_look_into_the_inbox_leaves_it_as_it_is(
    server: LocalServer, autojump_clock: MockClock
) -> None:
    heard = Heard()
    async with signals(server, 2) as (one, two):
        ann = await log_in(one, "ann")
        for number in range(40):
            await ann.message_instant_send("bob", f"{number}")
        bob = await log_in(two, "bob")
        async with bob.messages() as messages:
            assert (await anext(messages)).text == "0"
            waiting = await bob.peek_messages(100)
            assert [it.text for it in waiting] == [f"{number}" for number in range(40)]
            assert waiting[0].account == "ann"
            assert EPOCH <= waiting[0].time < EPOCH + 60
            assert len(await bob.peek_messages(3)) == 3
            # And they come all the same.
            assert [(await anext(messages)).text for _ in range(39)] == [
                f"{number}" for number in range(1, 40)
            ]
        assert heard.all == []


def test_what_cannot_be_read_or_is_no_message_is_not_among_them() -> None:
    lines = (
        "msg-v2 ann bob v1:E:60 instant 1600000000000 hi there",
        "nonsense",
        "msg-v2 ann bob v1:E:60 voip_invite 1600000000000 {}",
    )
    page = GetMessagesResult(ver_clear=0, msgs=tuple(enumerate(lines, 1)))
    assert waiting_in(page) == [Waiting("ann", 1600000000.0, "hi there")]


def test_no_repr_shows_what_was_said() -> None:
    assert "secret" not in repr([Said(1, "ann", 2, 3.0, "secret"), Waiting("ann", 3.0, "secret")])
