"""Attributes with their revisions, and accounts that are watched, as a program has them, against
the real server.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any, TypeVar

import pytest
import trio
from trio.testing import MockClock

from signal_sdk import (
    AccountOffline,
    AccountOnline,
    AccountState,
    Attribute,
    AttributesChanged,
    AttributeUpdated,
    ConflictError,
    ECode,
    LogoutError,
    ParameterError,
    SignalError,
    Stream,
)
from signal_sdk.server.engine.base import AccountKey
from signal_sdk.testing.server import EPOCH, LocalServer, local_server
from tests.server.helpers import dev_config
from tests.signals import ecode_of, log_in, signals

T = TypeVar("T")


@pytest.fixture
async def server() -> AsyncIterator[LocalServer]:
    async with local_server(listens=False) as running:
        yield running


# --- reading and changing ---


async def test_attributes_have_revisions_and_ends(
    server: LocalServer, autojump_clock: MockClock
) -> None:
    async with signals(server) as signal:
        ann, bob = await log_in(signal, "ann"), await log_in(signal, "bob")
        assert (await bob.read_attributes("ann")).revision == 0
        one = await ann.change_attributes({"mood": "good", "data": '{"a": 1}'})
        second = await ann.change_attributes({"busy": "yes"}, ttl=5)
        assert second > one > 0
        found = await bob.read_attributes("ann")
        assert dict(found) == dict(await ann.read_attributes())
        assert found.revision == second
        assert found["mood"] == Attribute("good", one)
        assert found["data"].value == '{"a": 1}'
        assert EPOCH + 4 < (found["busy"].expires or 0) < EPOCH + 7
        assert "good" not in f"{found!r} {found['mood']!r}"
        await trio.sleep(6)
        assert set(await bob.read_attributes("ann")) == {"mood", "data"}
        third = await ann.change_attributes(delete=["mood", "none"])
        found = await bob.read_attributes("ann")
        assert (set(found), found.revision) == ({"data"}, third)


async def test_a_change_is_made_only_where_things_are_as_it_wants_them(
    server: LocalServer, autojump_clock: MockClock
) -> None:
    async with signals(server) as signal:
        ann, bob = await log_in(signal, "ann"), await log_in(signal, "bob")
        won = await ann.change_channel_attributes("jobs", {"1": "ann"}, if_absent=["1"])
        with pytest.raises(ConflictError) as caught:
            await bob.change_channel_attributes("jobs", {"1": "bob"}, if_absent=["1"])
        error = caught.value
        assert error.ecode is ECode.GENERAL_E_FAILED
        assert (error.revision, error.revisions) == (won, {"1": won})
        assert error.values == {"1": "ann"}
        assert (
            error.reason == f"nothing was changed: the attribute '1' has the revision {won}, not 0"
        )
        next_ = await bob.change_channel_attributes("jobs", {"1": "bob"}, if_revisions={"1": won})
        with pytest.raises(ConflictError, match=f"have the revision {next_}, not {won}"):
            await ann.change_channel_attributes("jobs", delete=["1"], if_revision=won)
        await ann.change_channel_attributes("jobs", delete=["1"], if_revision=next_)
        assert not await bob.read_channel_attributes("jobs")


async def test_of_many_who_count_up_together_none_is_lost(
    server: LocalServer, autojump_clock: MockClock
) -> None:
    async with signals(server) as signal:
        sessions = [await log_in(signal, f"user{number}") for number in range(4)]

        async def count(number: int) -> None:
            done = 0
            while done < 5:
                found = await sessions[number].read_channel_attributes("counts")
                there = found.get("n")
                value, revision = (int(there.value), there.revision) if there else (0, 0)
                try:
                    await sessions[number].change_channel_attributes(
                        "counts", {"n": str(value + 1)}, if_revisions={"n": revision}
                    )
                except ConflictError:
                    await trio.sleep(0.05 * (number + 1))
                else:
                    done += 1
                await trio.sleep(0.1)

        async with trio.open_nursery() as nursery:
            for number in range(4):
                nursery.start_soon(count, number)
        assert (await sessions[0].read_channel_attributes("counts"))["n"].value == "20"


async def test_a_channel_s_members_hear_of_it_as_of_any_change(
    server: LocalServer, autojump_clock: MockClock
) -> None:
    async with signals(server) as signal:
        ann, bob = await log_in(signal, "ann"), await log_in(signal, "bob")
        async with bob.channel("room") as room, room.events() as events:
            await ann.change_channel_attributes("room", {"a": "1", "b": "2"}, ttl=2)
            await room.change_attributes({"c": "3"}, delete=["a"])
            assert set(await room.read_attributes()) == {"b", "c"}
            told = await first(events, 6)
            assert [it for it in told if isinstance(it, AttributeUpdated)] == [
                AttributeUpdated("a", "1", "update"),
                AttributeUpdated("b", "2", "update"),
                AttributeUpdated("a", "", "del"),
                AttributeUpdated("c", "3", "update"),
                AttributeUpdated("b", "", "del"),
            ]
        with pytest.raises(SignalError) as caught:
            await room.change_attributes({"a": "1"})
        assert caught.value.ecode is ECode.GENERAL_E_FAILED


async def first(stream: Stream[T], count: int) -> list[T]:
    """The next of a stream, so many."""
    with trio.fail_after(60):
        return [await anext(stream) for _ in range(count)]


async def test_what_is_wrong_is_refused_before_anything_is_sent(
    server: LocalServer, autojump_clock: MockClock
) -> None:
    async with signals(server) as signal:
        ann = await log_in(signal, "ann")
        for wrong, why in (
            (ann.change_attributes(), "names no attribute"),
            (ann.change_attributes({"a": "1"}, delete=["a"]), "at once"),
            (ann.change_attributes({"a": "1"}, ttl=0), "not from 0.001"),
            (ann.change_attributes(delete=["a"], ttl=5), "nothing is"),
            (ann.change_attributes({"a": "1"}, if_revisions={"a": -1}), "whole number"),
            (ann.change_attributes({"a": "1"}, if_revisions={"a": 1}, if_absent=["a"]), "absent"),
            (ann.change_attributes({"a": "1"}, delete="abc"), "is text"),
            (ann.change_attributes({"a": None}), "NoneType"),  # type: ignore[dict-item]
            (ann.change_attributes({f"a{n}": "1" for n in range(101)}), "101 attributes"),
            (ann.change_attributes({"a": "x" * 1025}), "1025 visible"),
            (ann.change_attributes({"": "x"}), "is empty"),
        ):
            with pytest.raises(ParameterError, match=why):
                await wrong
        assert not await ann.read_attributes()


# --- watching ---


async def test_a_watcher_hears_how_things_stand_and_what_becomes_of_them(
    server: LocalServer, autojump_clock: MockClock
) -> None:
    async with signals(server) as signal:
        bob = await log_in(signal, "bob")
        async with bob.watch("ann") as events:
            state = await anext(events)
            assert isinstance(state, AccountState)
            assert (state.is_online, dict(state.attributes)) == (False, {})
            ann = await log_in(signal, "ann")
            number = await ann.change_attributes({"a": "1", "b": "2"})
            await ann.change_attributes({"a": "3"}, delete=["b"], ttl=3)
            await ann.logout()
            told = await first(events, 5)
            assert told[:2] == [
                AccountOnline(),
                AttributesChanged(
                    number, {"a": Attribute("1", number), "b": Attribute("2", number)}, ()
                ),
            ]
            assert isinstance(told[2], AttributesChanged)
            assert (told[2].set["a"].value, told[2].deleted) == ("3", ("b",))
            assert told[3] == AccountOffline()
            assert told[4] == AttributesChanged(number + 2, {}, ("a",))
            assert "1" not in repr(told[1]).replace(f"revision={number}", "")


async def test_two_watchers_each_hear_how_things_stand(
    server: LocalServer, autojump_clock: MockClock
) -> None:
    async with signals(server) as signal:
        ann, bob = await log_in(signal, "ann"), await log_in(signal, "bob")
        await ann.change_attributes({"a": "1"})
        async with bob.watch("ann") as one:
            assert isinstance(await anext(one), AccountState)
            async with bob.watch("ann") as other:
                state = await anext(other)
                assert isinstance(state, AccountState)
                assert state.attributes["a"].value == "1"
                await ann.change_attributes({"a": "2"})
                for events in (one, other):
                    event = await anext(events)
                    assert isinstance(event, AttributesChanged)
            # The other is watched on.
            await ann.change_attributes({"a": "3"})
            assert isinstance(await anext(one), AttributesChanged)


async def test_behind_a_lost_connection_a_watcher_hears_how_things_stand(
    server: LocalServer, autojump_clock: MockClock
) -> None:
    async with signals(server) as signal:
        ann, bob = await log_in(signal, "ann"), await log_in(signal, "bob")
        async with bob.watch("ann") as events:
            await anext(events)
            holder = server.node._hub.find(_key(server, "bob"))
            assert holder is not None
            holder.abort()
            await ann.change_attributes({"a": "1"})
            state = await anext(events)
            assert isinstance(state, AccountState)
            assert state.attributes["a"].value == "1"
            await ann.change_attributes({"a": "2"})
            assert isinstance(await anext(events), AttributesChanged)


def _key(server: LocalServer, account: str) -> AccountKey:
    [key] = [it for it in server.node._hub._holders if it.account == account]
    return key


async def test_who_does_not_read_finds_how_things_stand_by_then(
    server: LocalServer, autojump_clock: MockClock
) -> None:
    async with signals(server) as signal:
        ann, bob = await log_in(signal, "ann"), await log_in(signal, "bob")
        async with bob.watch("ann", limit=3) as events:
            for number in range(10):
                await ann.change_attributes({"a": f"{number}"})
            found = await first(events, 2)
            assert isinstance(found[0], AccountState)
            last = found[-1]
            values = last.attributes if isinstance(last, AccountState) else last.set  # type: ignore[union-attr]
            assert int(values["a"].value) > 5


async def test_a_stream_ends_with_its_session_and_what_begins_later_has_ended(
    server: LocalServer, autojump_clock: MockClock
) -> None:
    async with signals(server, 2) as (signal, other):
        bob = await log_in(signal, "bob")
        async with bob.watch("ann") as events:
            await anext(events)
            await bob.logout()
            assert [it async for it in events] == []
        assert [it async for it in bob.watch("ann")] == []
        again = await log_in(signal, "bob")
        async with again.watch("ann") as events:
            await anext(events)
            await log_in(other, "bob")
            with pytest.raises(LogoutError) as caught:
                await anext(events)
            assert caught.value.ecode is ECode.LOGOUT_E_KICKED


async def test_a_kick_in_the_midst_of_a_thousand_watches_ends_each_of_them(
    autojump_clock: MockClock,
) -> None:
    async with (
        local_server(dev_config(session_watches=1000), listens=False) as server,
        signals(server, 2) as (signal, other),
    ):
        bob, ann = await log_in(signal, "bob"), await log_in(other, "ann")
        ended: list[ECode] = []
        heard: list[str] = []

        async def watch(name: str) -> None:
            async with bob.watch(name) as events:
                try:
                    async for event in events:
                        assert isinstance(event, AccountState)
                        heard.append(name)
                        if len(heard) == 300:
                            await server.node.operator.kick("app", "bob")
                except LogoutError as exc:
                    ended.append(exc.ecode)

        async def watch_the_other() -> None:
            async with ann.watch("bob") as events:
                state, gone = await anext(events), await anext(events)
            assert isinstance(state, AccountState)
            assert state.is_online
            assert isinstance(gone, AccountOffline)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(watch_the_other)
            for number in range(1000):
                nursery.start_soon(watch, f"user{number}")
        assert 300 <= len(heard) < 1000
        assert len(set(heard)) == len(heard)
        assert ended == [ECode.LOGOUT_E_KICKED] * 1000
        await ann.logout()
        await trio.sleep(1)
        assert server.node._hub.watched == 0
        # The account may come back, and watch.
        async with (await log_in(signal, "bob")).watch("user7") as events:
            assert isinstance(await anext(events), AccountState)


async def test_a_session_watches_so_many_and_those_that_it_left_do_not_count(
    autojump_clock: MockClock,
) -> None:
    async with (
        local_server(dev_config(session_watches=2), listens=False) as server,
        signals(server) as signal,
    ):
        bob = await log_in(signal, "bob")
        hub = server.node._hub
        async with bob.watch("a") as one, bob.watch("b") as other:
            await anext(one), await anext(other)
            async with bob.watch("c") as third:
                with pytest.raises(
                    SignalError, match="'bob' watches 2 accounts, the most"
                ) as caught:
                    await anext(third)
                assert caught.value.ecode is ECode.GENERAL_E_FAILED
            assert hub.watched == 2
        async with bob.watch("d") as fourth:
            assert isinstance(await anext(fourth), AccountState)
            assert hub.watched == 1
        await bob.logout()
        await trio.sleep(1)
        assert hub.watched == 0


async def test_more_that_are_watched_than_may_be_asked_about_in_a_second(
    autojump_clock: MockClock,
) -> None:
    """At first, and behind a lost connection."""
    async with (
        local_server(dev_config(questions_per_second=5), listens=False) as server,
        signals(server) as signal,
        AsyncExitStack() as stack,
    ):
        bob = await log_in(signal, "bob")
        streams = [await stack.enter_async_context(bob.watch(f"a{it}")) for it in range(12)]
        for _ in range(2):
            for stream in streams:
                assert isinstance(await anext(stream), AccountState)
            holder = server.node._hub.find(_key(server, "bob"))
            assert holder is not None
            holder.abort()
        assert server.node._hub.watched == 12


async def test_a_wrong_account_ends_the_stream(
    server: LocalServer, autojump_clock: MockClock
) -> None:
    async with signals(server) as signal:
        bob = await log_in(signal, "bob")
        wrong: Any
        for wrong in ("a b", 5, ["a"]):
            async with bob.watch(wrong) as events:
                assert await ecode_of(anext(events)) is ECode.GENERAL_E_WRONG_PARAM
