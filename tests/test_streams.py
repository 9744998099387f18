"""Streams against the real server: what is read, what is kept, and what an end is."""

from __future__ import annotations

import gc
from collections.abc import AsyncIterator
from typing import Any

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from trio.testing import MockClock, wait_all_tasks_blocked

from signal_sdk import (
    AttributeUpdated,
    Call,
    CallAccepted,
    CallEnded,
    CallFailed,
    CallMessage,
    CallRefused,
    CallRinging,
    ChannelJoined,
    ChannelLeft,
    ChannelMessage,
    ECode,
    LoginError,
    LoginSession,
    LogoutError,
    Message,
    Missed,
    Signal,
    Stream,
    UserJoined,
    UserLeft,
)
from signal_sdk.errors import SignalError
from signal_sdk.streams import LIMIT, Readers
from signal_sdk.testing.faults import FaultyNetwork
from signal_sdk.testing.server import LocalServer, local_server
from tests.client.fakes import Heard
from tests.signals import log_in, signals


@pytest.fixture
async def server() -> AsyncIterator[LocalServer]:
    async with local_server(listens=False) as running:
        yield running


@pytest.fixture
async def signal(server: LocalServer) -> AsyncIterator[Signal]:
    async with signals(server, app="app") as signal:
        yield signal


async def send(session: LoginSession, account: str, *texts: object) -> None:
    for number, text in enumerate(texts, 1):
        await session.message_instant_send(account, str(text))
        if number % 50 == 0:
            # A user may send 60 in a second.
            await trio.sleep(1)


async def take(stream: Stream[Any], count: int) -> list[Any]:
    with trio.fail_after(60):
        return [await anext(stream) for _ in range(count)]


# --- messages


async def test_messages_are_read_in_order_beside_the_callback(
    signal: Signal, autojump_clock: MockClock
) -> None:
    heard = Heard()
    ann, bob = await log_in(signal, "ann"), await log_in(signal, "bob", heard)
    async with bob.messages() as messages, bob.messages() as others:
        await send(ann, "bob", *range(100))
        for number in range(100):
            for stream in (messages, others):
                assert await take(stream, 1) == [Message("ann", str(number))]
        await heard.wait("on_message_instant_receive", 100)


async def test_what_came_before_the_first_reader_is_his(
    signal: Signal, autojump_clock: MockClock
) -> None:
    ann = await log_in(signal, "ann")
    await send(ann, "bob", "offline")
    bob = await log_in(signal, "bob")
    await send(ann, "bob", "early")
    await wait_all_tasks_blocked()
    async for message in bob.messages():
        assert message.text == "offline"
        break
    # What he leaves is the next one's.
    async with bob.messages() as messages:
        assert [it.text for it in await take(messages, 1)] == ["early"]


async def test_with_a_callback_nothing_is_kept_for_readers(
    signal: Signal, autojump_clock: MockClock
) -> None:
    heard = Heard()
    ann, bob = await log_in(signal, "ann"), await log_in(signal, "bob", heard)
    await send(ann, "bob", 1)
    await heard.wait("on_message_instant_receive")
    async with bob.messages() as messages:
        await send(ann, "bob", 2)
        assert [it.text for it in await take(messages, 1)] == ["2"]


async def test_who_does_not_read_leaves_all_with_the_server(
    server: LocalServer, autojump_clock: MockClock
) -> None:
    async with signals(server, 2) as (one, two):
        ann, bob = await log_in(one, "ann"), await log_in(two, "bob", Heard())
        async with bob.messages() as messages:
            await send(ann, "bob", *range(100))
            await wait_all_tasks_blocked()
            assert [it.text for it in await take(messages, 2)] == ["0", "1"]
        # The one that was being read is handled: its reader has left.
        assert "0 wait" not in repr(messages)
        await bob.logout()
        bob = await log_in(two, "bob")
        async with bob.messages() as messages:
            left = [int(it.text) for it in await take(messages, 70)]
        assert left == list(range(left[0], left[0] + 70))


async def test_what_a_reader_has_not_begun_stays_for_the_next_login(
    server: LocalServer, autojump_clock: MockClock
) -> None:
    async with signals(server, 2) as (one, two):
        ann, bob = await log_in(one, "ann"), await log_in(two, "bob")
        async with bob.messages() as messages:
            await send(ann, "bob", *range(20))
            assert [it.text for it in await take(messages, 6)] == list("012345")
            await bob.logout()
            with pytest.raises(StopAsyncIteration):
                await anext(messages)
        bob = await log_in(two, "bob")
        async with bob.messages() as messages:
            assert [int(it.text) for it in await take(messages, 14)] == list(range(6, 20))


async def test_a_stream_is_over_with_a_logout_and_raises_what_else_ends_it(
    server: LocalServer, autojump_clock: MockClock
) -> None:
    async with signals(server, 2) as (one, two):
        bob = await log_in(one, "bob")
        streams: list[Stream[Any]] = [bob.messages(), bob.invitations()]
        await bob.logout()
        for stream in streams:
            assert [it async for it in stream] == []
        bob = await log_in(one, "bob")
        stream = bob.messages()
        async with stream, trio.open_nursery() as nursery:

            async def read() -> None:
                with pytest.raises(LogoutError) as raised:
                    await anext(stream)
                assert raised.value.ecode is ECode.LOGOUT_E_KICKED

            nursery.start_soon(read)
            await wait_all_tasks_blocked()
            await log_in(two, "bob")
        # And whoever asks later.
        with pytest.raises(LogoutError):
            await anext(aiter(bob.messages()))


async def test_a_login_that_fails_ends_a_stream(
    server: LocalServer, autojump_clock: MockClock
) -> None:
    async with signals(server, app="no such app") as signal:
        session = signal.login("no account at all", "token")
        with pytest.raises(LoginError) as raised:
            await anext(aiter(session.messages()))
        assert raised.value.ecode is ECode.LOGIN_E_INVALID_USER


async def test_a_signal_that_is_cancelled_ends_its_streams(
    server: LocalServer, autojump_clock: MockClock
) -> None:
    async with trio.open_nursery() as nursery:
        stream: Stream[Message]
        with trio.CancelScope() as scope:
            async with signals(server, app="app") as signal:
                stream = aiter((await log_in(signal, "bob")).messages())

                async def read() -> None:
                    with pytest.raises(LogoutError):
                        await anext(stream)

                nursery.start_soon(read)
                await wait_all_tasks_blocked()
                scope.cancel()
                await trio.sleep_forever()


async def test_a_cancelled_reader_loses_nothing(signal: Signal, autojump_clock: MockClock) -> None:
    ann, bob = await log_in(signal, "ann"), await log_in(signal, "bob")
    async with bob.messages() as messages:
        with trio.move_on_after(1):
            await anext(messages)
        await send(ann, "bob", 1, 2)
        await wait_all_tasks_blocked()
        with trio.CancelScope() as scope:
            scope.cancel()
            await anext(messages)
        assert scope.cancelled_caught
        assert [it.text for it in await take(messages, 2)] == ["1", "2"]


async def test_a_reader_of_very_many_lets_others_run(
    signal: Signal, autojump_clock: MockClock
) -> None:
    bob = await log_in(signal, "bob", Heard())
    room = await bob.channel_join("room")
    async with room.events() as events, trio.open_nursery() as nursery:
        for number in range(200):
            room.message_channel_send(f"{number}")
            if number % 50 == 0:
                await trio.sleep(1)
        await wait_all_tasks_blocked()
        ran = 0

        async def other() -> None:
            nonlocal ran
            while True:
                ran += 1
                await trio.lowlevel.checkpoint()

        nursery.start_soon(other)
        await take(events, 200)
        assert ran >= 5
        nursery.cancel_scope.cancel()


async def test_a_stream_has_one_reader(signal: Signal, autojump_clock: MockClock) -> None:
    bob = await log_in(signal, "bob")
    async with bob.messages() as messages, trio.open_nursery() as nursery:
        nursery.start_soon(messages.__anext__)
        await wait_all_tasks_blocked()
        with pytest.raises(RuntimeError, match="another task waits for this stream"):
            await anext(messages)
        nursery.cancel_scope.cancel()


async def test_a_stream_that_was_dropped_or_left_holds_nothing(
    signal: Signal, autojump_clock: MockClock
) -> None:
    heard = Heard()
    ann, bob = await log_in(signal, "ann"), await log_in(signal, "bob", heard)
    dropped = aiter(bob.messages())
    await send(ann, "bob", *range(5))
    await take(dropped, 1)
    del dropped
    gc.collect()
    async with bob.messages() as left:
        pass
    left.close()
    with pytest.raises(RuntimeError, match="the stream is closed"):
        await anext(left)
    with pytest.raises(RuntimeError, match="the stream is closed"):
        aiter(left)
    assert repr(left) == "<Stream closed>"
    # Nobody's turn is kept: all of more than a page come.
    await send(ann, "bob", *range(60))
    await heard.wait("on_message_instant_receive", 65)


async def test_a_stream_that_is_dropped_in_another_thread_holds_nothing(signal: Signal) -> None:
    """Whoever has made a circle of references leaves it to the garbage collector, which runs where
    it runs.
    """
    heard = Heard()
    ann, bob = await log_in(signal, "ann"), await log_in(signal, "bob", heard)
    circle: list[Any] = [aiter(bob.messages())]
    circle.append(circle)
    await send(ann, "bob", *range(5))
    await take(circle[0], 1)
    del circle
    await trio.to_thread.run_sync(gc.collect)
    with trio.fail_after(20):
        await send(ann, "bob", *range(60))
        await heard.wait("on_message_instant_receive", 65)


async def test_a_stream_outlives_a_lost_connection(
    server: LocalServer, autojump_clock: MockClock
) -> None:
    async with (
        FaultyNetwork(server, seed=1) as network,
        Signal("app", server=network) as signal,
    ):
        bob = await log_in(signal, "bob")
        async with signals(server, app="app") as other:
            ann = await log_in(other, "ann")
            async with (
                bob.channel("room") as room,
                bob.messages() as messages,
                room.events() as events,
            ):
                assert await take(events, 1) == [ChannelJoined((("bob", bob.uid),))]
                network.cut_all()
                await send(ann, "bob", *range(40))
                for number in range(10):
                    await ann.message_channel_send_force("room", str(number))
                assert [int(it.text) for it in await take(messages, 40)] == list(range(40))
                told = await take(events, 10)
                assert [int(it.text) for it in told] == list(range(10))


# --- channels


async def test_all_that_happens_in_a_channel_is_an_event(
    signal: Signal, autojump_clock: MockClock
) -> None:
    ann, bob = await log_in(signal, "ann"), await log_in(signal, "bob")
    room = await ann.channel_join("room")
    await room.channel_set_attr("topic", "trio")
    async with bob.channel("room") as channel:
        events = channel.events()
        users = (("ann", ann.uid), ("bob", bob.uid))
        assert await take(events, 2) == [
            ChannelJoined(users),
            AttributeUpdated("topic", "trio", "update"),
        ]
        await room.message_channel_send("hello")
        await room.channel_del_attr("topic")
        await room.channel_leave()
        await ann.channel_join("room")
        assert await take(events, 4) == [
            ChannelMessage("ann", "hello", ann.uid),
            AttributeUpdated("topic", "", "del"),
            UserLeft("ann", ann.uid),
            UserJoined("ann", ann.uid),
        ]
    assert [it async for it in events] == [ChannelLeft(ECode.LEAVECHANNEL_E_BYUSER)]
    # And whoever comes late.
    assert [it async for it in channel.events()] == []


async def test_a_channel_that_cannot_be_joined_is_left(
    signal: Signal, autojump_clock: MockClock
) -> None:
    bob = await log_in(signal, "bob")
    channel = bob.channel("")
    assert [type(it) async for it in channel.events()] == [ChannelLeft]


async def test_a_reader_of_a_channel_that_falls_behind_is_told(
    signal: Signal, autojump_clock: MockClock
) -> None:
    bob = await log_in(signal, "bob")
    room = await bob.channel_join("room")
    events = room.events(limit=10)
    aiter(events)
    for number in range(25):
        await room.message_channel_send(f"{number}")
    await wait_all_tasks_blocked()
    missed, *rest = await take(events, 11)
    assert missed == Missed(15)
    assert [it.text for it in rest] == [str(number) for number in range(15, 25)]
    await room.message_channel_send("last")
    assert [it.text for it in await take(events, 1)] == ["last"]


@pytest.mark.parametrize("limit", [0, -1])
async def test_a_limit_is_a_number(signal: Signal, limit: int, autojump_clock: MockClock) -> None:
    room = await (await log_in(signal, "bob")).channel_join("room")
    with pytest.raises(ValueError, match="from 1 on"):
        room.events(limit=limit)


async def test_callbacks_hear_of_a_channel_beside_streams(
    signal: Signal, autojump_clock: MockClock
) -> None:
    heard = Heard()
    bob = await log_in(signal, "bob")
    room = await bob.channel_join("room", heard.channel)
    async with room.events() as events:
        await room.message_channel_send("hi")
        assert await take(events, 1) == [ChannelMessage("bob", "hi", bob.uid)]
        await heard.wait("on_message_channel_receive")


# --- calls


async def ring(ann: LoginSession, bob: LoginSession) -> tuple[Call, Call]:
    """Ann calls bob, who reads it."""
    async with bob.invitations() as invitations:
        call = await ann.channel_invite_user2("room", "bob", "hello")
        [theirs] = await take(invitations, 1)
    assert (theirs.peer, theirs.channel, theirs.extra) == ("ann", "room", "hello")
    return call, theirs


async def test_a_call_from_its_invitation_to_its_end(
    signal: Signal, autojump_clock: MockClock
) -> None:
    ann, bob = await log_in(signal, "ann"), await log_in(signal, "bob")
    call, theirs = await ring(ann, bob)
    async with call.events() as events:
        await theirs.channel_invite_accept("yes")
        told = await take(events, 2)
        assert told == [CallRinging(), CallAccepted("yes")]
        # What comes before they read is kept.
        await call.channel_invite_dtmf("12#")
        await call.channel_invite_end("bye")
        digits, end = [it async for it in theirs.events()]
        assert isinstance(digits, CallMessage)
        assert "12#" in digits.extra
        assert end == CallEnded(by_peer=True, extra="bye")
        assert [it async for it in events] == [CallEnded(by_peer=False, extra="bye")]


async def test_a_call_that_is_refused_ends_both_streams(
    signal: Signal, autojump_clock: MockClock
) -> None:
    ann, bob = await log_in(signal, "ann"), await log_in(signal, "bob")
    call, theirs = await ring(ann, bob)
    events, mine = aiter(call.events()), aiter(theirs.events())
    await theirs.channel_invite_refuse("no")
    assert [it async for it in events][-1] == CallRefused("no")
    assert [it async for it in mine] == []
    assert [it async for it in theirs.events()] == []


async def test_a_call_that_fails_ends_its_stream(signal: Signal, autojump_clock: MockClock) -> None:
    ann = await log_in(signal, "ann")
    call = ann.channel_invite_user2("room", "nobody", {"_require_peer_online": 1})
    assert [it async for it in call.events()] == [CallFailed(ECode.INVITE_E_PEEROFFLINE)]


# --- bounds


def test_what_nobody_reads_is_bounded() -> None:
    readers: Readers[int] = Readers(LIMIT)
    for number in range(LIMIT + 5):
        readers.tell(number, is_heard=False)
    buffer = readers.open(LIMIT)
    assert (buffer.missed, len(buffer.events), buffer.events[0]) == (5, LIMIT, (5, None))


class Counted:
    """A turn of which is known what becomes of it."""

    def __init__(self) -> None:
        self.begun = self.ended = 0

    def begin(self) -> None:
        self.begun += 1

    def end(self) -> None:
        self.ended += 1


@settings(max_examples=200, deadline=None)
@given(
    steps=st.lists(
        st.sampled_from(["tell", "open", "close", "read", "drop", "run"]), min_size=1, max_size=60
    ),
    keep=st.sampled_from([0, 3]),
)
def test_each_turn_begins_and_ends_once(steps: list[str], keep: int) -> None:
    """Whoever comes and goes, once all have gone and the callbacks have run."""
    readers: Readers[int] = Readers(keep)
    turns: list[Counted] = []
    queue: list[Any] = []
    open_: list[Stream[int]] = []

    def run(coroutine: Any) -> Any:
        with pytest.raises(StopIteration) as done:
            coroutine.send(None)
        return done.value.value

    async def nothing() -> None:
        pass

    for step in [*steps, *["close"] * len(steps), *["run"] * len(steps)]:
        match step:
            case "tell":
                turn = Counted()
                turns.append(turn)
                queue.append(readers.tell(len(turns), turn, is_heard=True))
            case "open":
                open_.append(aiter(Stream(readers)))
            case "read" if open_:
                buffer = open_[0]._buffer
                if buffer is not None and buffer.events:
                    trio.run(open_[0].__anext__)
            case "close" if open_:
                open_.pop(0).close()
            case "drop" if open_:
                del open_[-1]
            case "run" if queue:
                turn = queue.pop(0)
                turn.begin()
                turn.end()
    assert [(it.begun, it.ended) for it in turns] == [(1, 1)] * len(turns)


def test_an_end_is_heard_behind_what_was_not_read() -> None:
    readers: Readers[int] = Readers()

    async def main() -> None:
        stream = aiter(Stream(readers))
        readers.tell(1, is_heard=False)
        begun, waiting = Counted(), Counted()
        other = readers.open(5)
        shared = readers.tell(2, begun, is_heard=True)
        assert shared is not None
        shared.begin()
        readers.tell(3, waiting, is_heard=True)
        readers.end(SignalError(ECode.GENERAL_E), withdraws=True)
        readers.end()
        assert [await anext(stream), await anext(stream)] == [1, 2]
        with pytest.raises(SignalError):
            await anext(stream)
        assert (waiting.begun, other.is_over) == (0, True)

    trio.run(main)
