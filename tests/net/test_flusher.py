"""The flusher: one write per pass, in order, and nobody who waits for others."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from signal_sdk.net.flusher import (
    FEW_QUIET,
    FEW_TOLD,
    FLUSH_SECONDS,
    FLUSHES_PER_LOOK,
    FLUSHES_PER_TURN,
    GATHER_SECONDS,
    TURN_SECONDS,
    Flusher,
)
from signal_sdk.net.outbox import Outbox
from tests.net.outboxes import outbox_on, running_flusher
from tests.net.pairs import FakeTransport


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


@pytest.mark.parametrize("few", [1, FEW_QUIET, FEW_QUIET + 1])
async def test_of_very_many_a_few_come_first_that_were_not_written_to_just_now(
    autojump_clock: MockClock, few: int
) -> None:
    async with running_flusher() as flusher:
        crowd = [FakeTransport() for _ in range(FLUSHES_PER_TURN)]
        busy = [outbox_on(flusher, transport)[0] for transport in crowd]
        with flusher.together:
            for outbox in busy:
                outbox.append(b"before ")
        with flusher.together:
            for outbox in busy:
                outbox.append(b"before ")
        transports = [FakeTransport() for _ in range(few)]
        quiet = [outbox_on(flusher, transport)[0] for transport in transports]
        with flusher.together:
            for outbox in (*busy, *quiet):
                outbox.append(b"now")
        sent = [transport.sent for transport in transports]
        assert sent == [[b"now"] if few <= FEW_QUIET else []] * few
        assert not any(b"now" in transport.sent for transport in crowd)
        await wait_all_tasks_blocked()
        assert all(transport.sent[-1] == b"now" for transport in (*crowd, *transports))


async def test_some_may_be_flushed_before_the_others_and_wait_for_no_more() -> None:
    async with running_flusher() as flusher:
        first, busy, quiet = (FakeTransport() for _ in range(3))
        outboxes = [outbox_on(flusher, transport)[0] for transport in (first, busy, quiet)]
        await write_twice(outboxes[1])
        with flusher.together:
            for outbox in outboxes:
                outbox.append(b"now")
            flusher.flush_few(1)
            assert [it.sent for it in (first, quiet)] == [[], [b"now"]]
            assert busy.sent == [b"before", b"before", b"now"]
            outboxes[2].append(b"more")
        assert [it.sent[-1] for it in (first, busy, quiet)] == [b"now", b"now", b"more"]


@pytest.mark.parametrize("few", [FEW_TOLD, FEW_TOLD + 1])
async def test_what_is_urgent_is_gathered_only_where_many_are_told(few: int) -> None:
    """Very many at once would keep all others waiting."""
    async with running_flusher() as flusher:
        transports = [FakeTransport() for _ in range(few)]
        outboxes = [outbox_on(flusher, transport)[0] for transport in transports]
        for outbox in outboxes:
            await write_twice(outbox)
        with flusher.gathering():
            for outbox in outboxes:
                outbox.append(b"urgent")
            flusher.flush_few()
            is_out = [transport.sent[-1] == b"urgent" for transport in transports]
            assert is_out == [few == FEW_TOLD] * few
        assert all(transport.sent[-1] == b"urgent" for transport in transports)


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


async def test_what_takes_long_to_send_keeps_nobody_waiting(autojump_clock: MockClock) -> None:
    """However few they are: a millisecond's are sent, and the rest behind what others say."""
    async with running_flusher() as flusher:
        order: list[int] = []

        class Long(FakeTransport):
            def __init__(self, number: int) -> None:
                super().__init__()
                self.number = number

            def send_nowait(self, data: bytes | memoryview) -> int:
                order.append(self.number)
                autojump_clock.jump(TURN_SECONDS / 8)
                return super().send_nowait(data)

        outboxes = [outbox_on(flusher, Long(number))[0] for number in range(32)]
        with flusher.together:
            for outbox in outboxes:
                outbox.append(b"long")
        at_once = len(order)
        with flusher.together:
            outbox_on(flusher, Long(99))[0].append(b"soon")
        assert order[at_once] == 99
        await wait_all_tasks_blocked()
    assert at_once == 8
    assert order == [*range(8), 99, *range(8, 32)]


def test_a_flusher_that_does_not_run_says_so() -> None:
    flusher = Flusher()
    outbox, _ = outbox_on(flusher, FakeTransport(room=0))
    with pytest.raises(RuntimeError, match="not running"):
        flusher.wait_for(outbox)


# --- what is sent at once ---
