"""The transport in memory keeps the contract of a socket's."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from signal_sdk.errors import LinkError
from signal_sdk.testing.memory import MemoryTransport, memory_transport_pair


async def test_bytes_arrive_in_order_both_ways() -> None:
    one, other = memory_transport_pair()
    assert one.send_nowait(b"abc") == 3
    assert one.send_nowait(memoryview(b"def")) == 3
    assert other.send_nowait(b"back") == 4
    assert await other.receive_some() == b"abcdef"
    assert await one.receive_some() == b"back"
    assert not one.has_unsent


async def test_a_full_buffer_takes_a_part_then_nothing(autojump_clock: MockClock) -> None:
    one, other = memory_transport_pair(buffer_bytes=4)
    assert one.send_nowait(b"123456") == 4
    assert one.send_nowait(b"56") == 0
    with trio.move_on_after(1) as scope:
        await one.wait_writable()
    assert scope.cancelled_caught
    assert await other.receive_some() == b"1234"
    await one.wait_writable()
    assert one.send_nowait(b"56") == 2


async def test_a_writer_that_waits_goes_on_when_the_reader_reads(nursery: trio.Nursery) -> None:
    one, other = memory_transport_pair(buffer_bytes=1)
    one.send_nowait(b"x")
    writable = trio.Event()

    async def wait() -> None:
        await one.wait_writable()
        writable.set()

    nursery.start_soon(wait)
    await wait_all_tasks_blocked()
    assert not writable.is_set()
    await other.receive_some()
    await writable.wait()


async def test_the_end_of_a_stream_comes_behind_its_bytes() -> None:
    one, other = memory_transport_pair()
    one.send_nowait(b"last")
    one.send_eof()
    assert await other.receive_some() == b"last"
    assert await other.receive_some() == b""
    assert other.send_nowait(b"still") == 5
    assert await one.receive_some() == b"still"


async def test_closing_ends_the_stream_for_the_other_side() -> None:
    one, other = memory_transport_pair()
    one.send_nowait(b"last")
    one.close()
    one.close()
    assert await other.receive_some() == b"last"
    assert await other.receive_some() == b""
    with pytest.raises(LinkError, match="broken pipe"):
        other.send_nowait(b"x")
    with pytest.raises(LinkError, match="closed"):
        one.send_nowait(b"x")


@pytest.mark.parametrize("which", ["receive_some", "wait_writable"])
@pytest.mark.parametrize("end", [0, 1])
async def test_who_waits_on_a_transport_hears_that_it_was_closed(which: str, end: int) -> None:
    """The closing side's own waits fail; the other side's writes fail, and its reads end."""
    pair = memory_transport_pair(buffer_bytes=1)
    waiting = pair[0]
    waiting.send_nowait(b"x")
    wait: Callable[[], object] = getattr(waiting, which)
    outcome: list[object] = []

    async def watch(transport: MemoryTransport) -> None:
        try:
            outcome.append(await getattr(transport, which)())
        except LinkError:
            outcome.append(LinkError)

    assert callable(wait)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(watch, waiting)
        await wait_all_tasks_blocked()
        pair[end].close()
    is_orderly_end = which == "receive_some" and end == 1
    assert outcome == [b"" if is_orderly_end else LinkError]
