"""The outbox: its order, its end, and a bound that breaks one connection only."""

from __future__ import annotations

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from tests.net.outboxes import outbox_on, running_flusher
from tests.net.pairs import FakeTransport


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
