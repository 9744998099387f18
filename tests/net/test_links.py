"""What every link does, of whichever wire: each case from either side, and with bytes that arrive
one at a time. What only one kind does is tested beside that.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Final

import attrs
import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from signal_sdk.native import link as native
from signal_sdk.native.link import PacketLink
from signal_sdk.net.closed import LinkClosed
from signal_sdk.net.transport import Transport
from signal_sdk.testing.memory import memory_transport_pair
from signal_sdk.websocket import link as websocket
from signal_sdk.wire import packets
from tests.net.pairs import MAX_FRAME_BYTES, Trickle, linked, running_reactor

Wrap = Callable[[Transport], Transport]
Pair = tuple[Any, Any]


@attrs.frozen
class Wire:
    """A kind of link: how its two sides come to be, how a text is sent and what arrives, and for
    how long a close waits for the other side.
    """

    linked: Callable[[Wrap], AbstractAsyncContextManager[Pair]]
    say: Callable[[Any, bytes], None]
    text_of: Callable[[Any], bytes]
    close_seconds: float
    closed_here: str
    closed_there: str


@asynccontextmanager
async def native_linked(wrap: Wrap) -> AsyncIterator[Pair]:
    near, far = map(wrap, memory_transport_pair())
    async with running_reactor() as reactor:
        yield (
            PacketLink(near, reactor, max_bytes=MAX_FRAME_BYTES),
            PacketLink(far, reactor, max_bytes=MAX_FRAME_BYTES),
        )
        near.close()
        far.close()


WIRES: Final = {
    "native": Wire(
        native_linked,
        lambda link, text: link.send_encoded(packets.encode_plain(text)),
        lambda message: message,
        native.CLOSE_SECONDS,
        closed_here="closed here",
        closed_there="has closed",
    ),
    "WebSocket": Wire(
        lambda wrap: linked(wrap=wrap),
        lambda link, text: link.send_text(text),
        lambda message: message.data,
        websocket.CLOSE_SECONDS,
        closed_here="1000",
        closed_there="1000",
    ),
}


@pytest.fixture(params=WIRES)
def wire(request: pytest.FixtureRequest) -> Wire:
    return WIRES[request.param]


@pytest.fixture(params=["whole", "one byte at a time"])
def wrap(request: pytest.FixtureRequest) -> Wrap:
    return Trickle if request.param == "one byte at a time" else lambda transport: transport


@pytest.fixture(params=["from the first side", "from the other"])
async def links(request: pytest.FixtureRequest, wire: Wire, wrap: Wrap) -> AsyncIterator[Pair]:
    """The side that the test calls near, and the far one."""
    async with wire.linked(wrap) as (one, other):
        yield (one, other) if request.param == "from the first side" else (other, one)


async def texts(wire: Wire, link: Any, count: int) -> list[bytes]:
    found: list[bytes] = []
    while len(found) < count:
        found += map(wire.text_of, await link.receive())
    return found


async def test_texts_arrive_whole_and_in_order(wire: Wire, links: Pair) -> None:
    near, far = links
    sent = [b"one", b"", "drei und ünf".encode(), b"x" * MAX_FRAME_BYTES]
    for text in sent:
        wire.say(near, text)
    assert await texts(wire, far, 4) == sent


async def test_a_close_sends_what_waits_and_ends_the_other_side(wire: Wire, links: Pair) -> None:
    near, far = links
    wire.say(near, b"last words")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(near.aclose)
        assert await texts(wire, far, 1) == [b"last words"]
        with pytest.raises(LinkClosed, match=wire.closed_there):
            await far.receive()
        await far.aclose()
    assert (near.is_open, far.is_open) == (False, False)
    wire.say(near, b"nobody hears this")
    with pytest.raises(LinkClosed):
        await near.receive()


async def test_a_close_ends_the_waiting_of_this_side_s_own_reader(
    wire: Wire, links: Pair, autojump_clock: MockClock
) -> None:
    """A peer that has vanished never answers: the reader must not wait for it."""
    near, _ = links
    async with trio.open_nursery() as nursery:

        async def read() -> None:
            with pytest.raises(LinkClosed, match=wire.closed_here):
                await near.receive()
            await near.aclose()

        nursery.start_soon(read)
        await wait_all_tasks_blocked()
        near.close()
        near.close()
    assert trio.current_time() == wire.close_seconds


async def test_closing_a_link_whose_peer_says_nothing_ends_within_its_deadline(
    wire: Wire, links: Pair, autojump_clock: MockClock
) -> None:
    near, far = links
    # What the other side has said is nobody's, and must not hold the close up.
    wire.say(far, b"and another thing")
    await near.aclose()
    assert trio.current_time() == wire.close_seconds
    assert not near.is_open
    await near.aclose()


async def test_a_process_that_stood_still_waits_for_its_peer_s_farewell(
    links: Pair, autojump_clock: MockClock
) -> None:
    near, far = links
    closed: list[float] = []

    async def close() -> None:
        await near.aclose()
        closed.append(trio.current_time())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(close)
        await wait_all_tasks_blocked()
        autojump_clock.jump(60)
        await trio.sleep(5)
        assert closed == []
        far.abort()
        await wait_all_tasks_blocked()
        assert closed == [65]


async def test_a_peer_that_goes_without_a_word_is_a_closed_link(links: Pair) -> None:
    near, far = links
    near.abort()
    for _ in range(2):
        with pytest.raises(LinkClosed):
            await far.receive()
    await far.aclose()


async def test_a_close_that_is_cancelled_leaves_the_transport_closed(links: Pair) -> None:
    near, far = links
    with trio.CancelScope() as scope:
        scope.cancel()
        await near.aclose()
    assert not near.is_open
    with pytest.raises(LinkClosed):
        await far.receive()
