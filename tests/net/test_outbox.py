"""The outbox: one write per pass, waiting only for those that block, and a bound that breaks one
connection only.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from signal_sdk.net.outbox import (
    FLUSH_SECONDS,
    FLUSHES_PER_LOOK,
    FLUSHES_PER_TURN,
    GATHER_SECONDS,
    Flusher,
    Outbox,
)
from tests.net.pairs import FakeTransport, running_reactor


@asynccontextmanager
async def running_flusher() -> AsyncIterator[Flusher]:
    async with running_reactor() as reactor:
        yield reactor.flusher


def outbox_on(
    flusher: Flusher, transport: FakeTransport, max_bytes: int = 0
) -> tuple[Outbox, list[str]]:
    broken: list[str] = []
    return Outbox(transport, flusher, broken.append, max_bytes=max_bytes), broken


async def test_all_that_was_appended_in_a_pass_goes_out_in_one_write() -> None:
    async with running_flusher() as flusher:
        transport = FakeTransport()
        outbox, _ = outbox_on(flusher, transport)
        for part in (b"one ", b"two ", b"three"):
            outbox.append(part)
        assert transport.sent == []
        await outbox.drained()
        assert transport.sent == [b"one two three"]
        outbox.append(b"four")
        await outbox.drained()
        assert transport.sent == [b"one two three", b"four"]
        assert outbox.size == 0


async def test_a_blocked_transport_gets_one_waiting_task_and_keeps_its_order() -> None:
    async with running_flusher() as flusher:
        transport = FakeTransport(room=3)
        outbox, _ = outbox_on(flusher, transport)
        outbox.append(b"abcdef")
        await wait_all_tasks_blocked()
        assert (transport.sent, transport.waiters, outbox.size) == ([b"abc"], 1, 3)
        outbox.append(b"ghi")
        await wait_all_tasks_blocked()
        assert (transport.sent, transport.max_waiters, outbox.size) == ([b"abc"], 1, 6)
        transport.make_room(2)
        await wait_all_tasks_blocked()
        transport.make_room(100)
        await outbox.drained()
        assert b"".join(transport.sent) == b"abcdefghi"
        assert (transport.max_waiters, outbox.size) == (1, 0)


async def test_a_blocked_transport_delays_nobody_else() -> None:
    async with running_flusher() as flusher:
        blocked, other = FakeTransport(room=0), FakeTransport()
        slow, _ = outbox_on(flusher, blocked)
        quick, _ = outbox_on(flusher, other)
        for _ in range(3):
            slow.append(b"x")
            quick.append(b"y")
            await wait_all_tasks_blocked()
        assert b"".join(other.sent) == b"yyy"
        assert not slow.broken


async def test_more_outboxes_than_a_turn_holds_are_all_flushed() -> None:
    async with running_flusher() as flusher:
        transports = [FakeTransport() for _ in range(FLUSHES_PER_TURN * 2 + 1)]
        for transport in transports:
            outbox_on(flusher, transport)[0].append(b"x")
        await wait_all_tasks_blocked()
        assert all(transport.sent == [b"x"] for transport in transports)


async def test_very_many_keep_nobody_waiting_who_comes_after_them() -> None:
    async with running_flusher() as flusher:
        order: list[str] = []

        class Noting(FakeTransport):
            def __init__(self, name: str) -> None:
                super().__init__()
                self.name = name

            def send_nowait(self, data: bytes | memoryview) -> int:
                order.append(self.name)
                return super().send_nowait(data)

        flusher.hold()
        for _ in range(FLUSHES_PER_TURN * 3):
            outbox_on(flusher, Noting("crowd"))[0].append(b"x")
        flusher.release()
        assert order == []
        await trio.lowlevel.checkpoint()
        flusher.hold()
        outbox_on(flusher, Noting("other"))[0].append(b"x")
        flusher.release()
        assert order.index("other") < FLUSHES_PER_TURN * 2
        await wait_all_tasks_blocked()
        assert len(order) == FLUSHES_PER_TURN * 3 + 1


async def write_twice(outbox: Outbox) -> None:
    """Who was written to twice just now is one to whom much is said."""
    for _ in range(2):
        outbox.append(b"before")
        await outbox.drained()


async def test_a_lone_answer_to_what_has_just_come_waits_for_no_more() -> None:
    async with running_flusher() as flusher:
        transport = FakeTransport()
        outbox, _ = outbox_on(flusher, transport)
        flusher.hold()
        outbox.append(b"message")
        flusher.release(others_wait=True)
        for number in range(2):
            flusher.hold()
            outbox.append(b"answer")
            flusher.release(others_wait=True)
            # The second one is more than a lone one.
            assert transport.sent == [b"message", b"answer"]
            assert flusher.is_gathering is (number == 1)


async def test_what_is_said_in_turns_goes_out_together(autojump_clock: MockClock) -> None:
    async with running_flusher() as flusher:
        transport, other = FakeTransport(), FakeTransport()
        outbox, _ = outbox_on(flusher, transport)
        await write_twice(outbox)
        with flusher.gathering():
            for part in (b"one ", b"two"):
                outbox.append(part)
                await trio.lowlevel.checkpoint()
                await trio.lowlevel.checkpoint()
            outbox_on(flusher, other)[0].append(b"to who was told nothing just now")
            await trio.lowlevel.checkpoint()
            await trio.lowlevel.checkpoint()
            assert (len(transport.sent), len(other.sent)) == (2, 1)
        assert transport.sent == [b"before", b"before", b"one two"]


async def test_what_is_said_together_goes_out_at_once() -> None:
    async with running_flusher() as flusher:
        transport, others = FakeTransport(), [FakeTransport() for _ in range(3)]
        outbox, _ = outbox_on(flusher, transport)
        with flusher.together:
            for part in (b"one ", b"two"):
                outbox.append(part)
            for other in others:
                outbox_on(flusher, other)[0].append(b"x")
            assert transport.sent == []
        assert [it.sent for it in (transport, *others)] == [[b"one two"], *[[b"x"]] * 3]
        outbox.append(b"later")
        await outbox.drained()
        assert transport.sent == [b"one two", b"later"]


async def test_what_is_said_together_waits_for_those_who_are_gathered_for() -> None:
    async with running_flusher() as flusher:
        transport = FakeTransport()
        outbox, _ = outbox_on(flusher, transport)
        await write_twice(outbox)
        flusher.hold()
        flusher.release(others_wait=True)
        with flusher.together:
            outbox.append(b"one ")
        assert flusher.is_gathering
        assert transport.sent == [b"before", b"before"]
        flusher.hold()
        outbox.append(b"two")
        flusher.release()
        assert transport.sent == [b"before", b"before", b"one two"]


async def test_what_is_gathered_for_long_goes_out(autojump_clock: MockClock) -> None:
    async with running_flusher() as flusher:
        transport = FakeTransport()
        outbox, _ = outbox_on(flusher, transport)
        await write_twice(outbox)
        with flusher.gathering():
            outbox.append(b"one ")
            for _ in range(5):
                await trio.lowlevel.checkpoint()
            autojump_clock.jump(GATHER_SECONDS)
            outbox.append(b"two")
            assert transport.sent == [b"before", b"before"]
            await outbox.drained()
            assert transport.sent == [b"before", b"before", b"one two"]


async def test_late_ones_are_flushed_in_order_and_for_a_while_only(
    autojump_clock: MockClock,
) -> None:
    async with running_flusher() as flusher:
        order: list[int] = []

        class Slow(FakeTransport):
            def __init__(self, number: int) -> None:
                super().__init__()
                self.number = number

            def send_nowait(self, data: bytes | memoryview) -> int:
                order.append(self.number)
                autojump_clock.jump(FLUSH_SECONDS / FLUSHES_PER_LOOK)
                return super().send_nowait(data)

        flusher.hold()
        count = FLUSHES_PER_TURN + 1
        for number in range(count):
            outbox_on(flusher, Slow(number))[0].append(b"x")
        flusher.release()
        turns = 0
        while len(order) < count:
            await trio.lowlevel.checkpoint()
            turns += 1
        assert order == list(range(count))
        assert turns >= count / FLUSHES_PER_LOOK


async def test_passing_the_bound_breaks_the_connection_once_and_no_other() -> None:
    async with running_flusher() as flusher:
        blocked, other = FakeTransport(room=0), FakeTransport()
        slow, slow_broken = outbox_on(flusher, blocked, max_bytes=10)
        quick, quick_broken = outbox_on(flusher, other, max_bytes=10)
        for _ in range(5):
            slow.append(b"12345")
            quick.append(b"12345")
            await wait_all_tasks_blocked()
        assert slow_broken == ["the client reads too slowly: more than 10 bytes wait for it"]
        assert slow.broken
        assert blocked.is_closed
        assert blocked.waiters == 0
        assert slow.size == 0
        assert quick_broken == []
        assert b"".join(other.sent) == b"12345" * 5


async def test_exactly_the_bound_is_allowed() -> None:
    async with running_flusher() as flusher:
        outbox, broken = outbox_on(flusher, FakeTransport(room=0), max_bytes=10)
        outbox.append(b"1234567890")
        await wait_all_tasks_blocked()
        assert broken == []
        outbox.append(b"1")
        assert len(broken) == 1


@pytest.mark.parametrize("room", [10**9, 2])
async def test_the_end_of_the_stream_goes_out_behind_the_data(room: int) -> None:
    async with running_flusher() as flusher:
        transport = FakeTransport(room=room)
        outbox, _ = outbox_on(flusher, transport)
        outbox.append(b"data")
        outbox.append_eof()
        outbox.append(b"too late")
        await wait_all_tasks_blocked()
        assert transport.is_ended is (room > 2)
        transport.make_room(10**9)
        await outbox.drained()
        assert b"".join(transport.sent) == b"data"
        assert transport.is_ended


async def test_the_end_of_the_stream_needs_no_data() -> None:
    async with running_flusher() as flusher:
        transport = FakeTransport()
        outbox, _ = outbox_on(flusher, transport)
        outbox.append_eof()
        outbox.append_eof()
        await outbox.drained()
        assert transport.is_ended


async def test_bytes_that_the_transport_took_and_holds_are_not_drained() -> None:
    async with running_flusher() as flusher:
        transport = FakeTransport()
        transport.has_unsent = True
        outbox, _ = outbox_on(flusher, transport)
        outbox.append(b"x")
        with trio.move_on_after(0.01) as scope:
            await outbox.drained()
        assert scope.cancelled_caught
        transport.has_unsent = False
        transport.make_room(1)
        await outbox.drained()


async def test_a_transport_that_fails_breaks_the_connection_and_ends_the_waiting() -> None:
    async with running_flusher() as flusher:
        transport = FakeTransport(room=1)
        outbox, broken = outbox_on(flusher, transport)
        outbox.append(b"ab")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(outbox.drained)
            await wait_all_tasks_blocked()
            transport.fails = True
            transport.make_room(1)
        assert broken == ["sending to fake failed: broken pipe"]
        outbox.append(b"c")
        outbox.append_eof()
        await outbox.drained()
        assert len(broken) == 1
        assert outbox.size == 0


async def test_a_transport_that_fails_at_once_breaks_nobody_else() -> None:
    async with running_flusher() as flusher:
        bad, good = FakeTransport(), FakeTransport()
        bad.fails = True
        bad_outbox, broken = outbox_on(flusher, bad)
        good_outbox, _ = outbox_on(flusher, good)
        bad_outbox.append(b"x")
        good_outbox.append(b"x")
        await good_outbox.drained()
        await bad_outbox.drained()
        assert len(broken) == 1
        assert good.sent == [b"x"]


async def test_nothing_to_send_is_drained_at_once() -> None:
    async with running_flusher() as flusher:
        outbox, _ = outbox_on(flusher, FakeTransport(room=0))
        await outbox.drained()


def test_a_flusher_that_does_not_run_says_so() -> None:
    flusher = Flusher()
    outbox, _ = outbox_on(flusher, FakeTransport(room=0))
    with pytest.raises(RuntimeError, match="not running"):
        flusher.wait_for(outbox)


# --- what is sent at once ---


async def test_what_is_sent_now_goes_out_at_once_where_nothing_waits() -> None:
    async with running_flusher() as flusher:
        transport = FakeTransport()
        outbox, broken = outbox_on(flusher, transport)
        outbox.send_now(b"one", 7.0)
        assert (transport.sent, outbox.size) == ([b"one"], 0)
        assert outbox.has_sent
        outbox.append(b"two ")
        outbox.send_now(b"three", 8.0)
        assert transport.sent == [b"one"]
        await outbox.drained()
        assert (transport.sent, broken) == ([b"one", b"two three"], [])
        assert outbox.flushed_before == 7.0


async def test_what_does_not_fit_now_follows_in_order() -> None:
    async with running_flusher() as flusher:
        transport = FakeTransport(room=2)
        outbox, broken = outbox_on(flusher, transport)
        outbox.send_now(b"one ", 7.0)
        outbox.send_now(b"two", 7.0)
        await wait_all_tasks_blocked()
        assert (transport.sent[0], outbox.size) == (b"on", 5)
        transport.make_room(100)
        await outbox.drained()
        assert (b"".join(transport.sent), broken) == (b"one two", [])


async def test_what_the_transport_itself_holds_is_waited_for() -> None:
    async with running_flusher() as flusher:
        transport = FakeTransport()
        outbox, _ = outbox_on(flusher, transport)
        transport.has_unsent = True
        outbox.send_now(b"one", 7.0)
        await wait_all_tasks_blocked()
        assert transport.waiters == 1
        transport.has_unsent = False
        transport.make_room(0)
        await outbox.drained()
        assert b"".join(transport.sent) == b"one"


async def test_a_transport_that_fails_now_breaks_the_outbox() -> None:
    async with running_flusher() as flusher:
        transport = FakeTransport()
        outbox, broken = outbox_on(flusher, transport)
        transport.fails = True
        outbox.send_now(b"one", 7.0)
        outbox.send_now(b"two", 7.0)
        assert (broken, outbox.broken, outbox.size) == (
            ["sending to fake failed: broken pipe"],
            True,
            0,
        )
