"""The link, from both sides, and each case also with bytes that arrive one at a time. What every
link does is in tests/net/test_links.py.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

import pytest
import trio
from trio.testing import wait_all_tasks_blocked
from websockets.frames import Frame, Opcode

from signal_sdk.net.closed import LinkClosed
from signal_sdk.net.strangers import StrangerBounds
from signal_sdk.net.transport import Transport
from signal_sdk.testing.memory import memory_transport_pair
from signal_sdk.websocket.link import (
    CLOSE_SECONDS,
    GOING_AWAY,
    NORMAL_CLOSURE,
    Link,
    Message,
    encode_binary,
    encode_text,
)
from tests.net.pairs import MAX_FRAME_BYTES, Trickle, linked, socket_pair

Links = tuple[Link, Link]


@pytest.fixture(params=["whole", "one byte at a time"])
def wrap(request: pytest.FixtureRequest) -> Callable[[Transport], Transport]:
    return Trickle if request.param == "one byte at a time" else lambda transport: transport


@pytest.fixture(params=["client to server", "server to client"])
async def links(
    request: pytest.FixtureRequest, wrap: Callable[[Transport], Transport]
) -> AsyncIterator[Links]:
    """A link's two sides: the one that the test calls near, and the far one."""
    async with linked(wrap=wrap) as (client, server):
        yield (client, server) if request.param == "client to server" else (server, client)


@pytest.fixture
def clock(autojump_clock: trio.testing.MockClock) -> trio.testing.MockClock:
    return autojump_clock


async def receive_all(link: Link, count: int) -> list[Message]:
    messages: list[Message] = []
    while len(messages) < count:
        messages += await link.receive()
    return messages


async def closing(link: Link) -> LinkClosed:
    """Read until the link is closed, then close this side too."""
    try:
        while True:
            await link.receive()
    except LinkClosed as exc:
        await link.aclose()
        return exc


def send_frame(link: Link, opcode: Opcode, data: bytes, *, fin: bool = True) -> None:
    """Send one frame, as the library would not."""
    link.outbox.append(Frame(opcode, data, fin).serialize(mask=not link.is_server))


async def test_messages_arrive_whole_and_in_order(links: Links) -> None:
    near, far = links
    texts = [b"one", b"", "drei und ünf".encode(), b"x" * MAX_FRAME_BYTES]
    for text in texts:
        near.send_text(text)
    assert await receive_all(far, 4) == [Message(text, binary=False) for text in texts]


async def test_an_encoding_made_once_serves_every_client(
    wrap: Callable[[Transport], Transport],
) -> None:
    async with linked(wrap=wrap) as (client, server):
        server.send_encoded(encode_text(b"text"))
        server.send_encoded(encode_binary(b"\x00\xff"))
        assert await receive_all(client, 2) == [
            Message(b"text", binary=False),
            Message(b"\x00\xff", binary=True),
        ]


async def test_fragments_are_put_together(links: Links) -> None:
    near, far = links
    send_frame(near, Opcode.BINARY, b"one ", fin=False)
    send_frame(near, Opcode.PING, b"in between")
    send_frame(near, Opcode.CONT, b"", fin=False)
    send_frame(near, Opcode.CONT, b"two ", fin=False)
    send_frame(near, Opcode.CONT, b"three")
    send_frame(near, Opcode.TEXT, b"next")
    assert await receive_all(far, 2) == [
        Message(b"one two three", binary=True),
        Message(b"next", binary=False),
    ]


async def test_a_ping_is_answered_and_no_message(links: Links) -> None:
    near, far = links
    send_frame(near, Opcode.PING, b"are you there")
    send_frame(near, Opcode.PONG, b"nobody asked")
    near.send_text(b"hello")
    assert await receive_all(far, 1) == [Message(b"hello", binary=False)]
    far.send_text(b"behind the pong")
    assert await receive_all(near, 1) == [Message(b"behind the pong", binary=False)]


async def test_a_link_is_closed_by_either_side_with_code_and_reason(links: Links) -> None:
    near, far = links
    near.send_text(b"last words")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(near.aclose, GOING_AWAY, "gone fishing")
        assert await far.receive() == [Message(b"last words", binary=False)]
        with pytest.raises(LinkClosed, match="1001 gone fishing") as caught:
            await far.receive()
        assert (caught.value.code, caught.value.reason) == (GOING_AWAY, "gone fishing")
        assert not far.is_open
        await far.aclose()
    with pytest.raises(LinkClosed):
        await near.receive()


async def test_a_link_is_closed_by_both_sides_at_once(
    links: Links, clock: trio.testing.MockClock
) -> None:
    async with trio.open_nursery() as nursery:
        for link in links:
            nursery.start_soon(link.aclose, GOING_AWAY)
    # Nobody waited for a deadline.
    assert trio.current_time() == 0
    for link in links:
        with pytest.raises(LinkClosed) as caught:
            await link.receive()
        assert caught.value.code == GOING_AWAY


async def test_nothing_is_sent_on_a_link_that_is_closing(links: Links) -> None:
    near, far = links
    near.close()
    near.close(GOING_AWAY)
    near.send_text(b"too late")
    near.send_encoded(encode_text(b"too late"))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(near.aclose)
        closed = await closing(far)
    assert closed.code == NORMAL_CLOSURE


async def test_a_close_ends_the_waiting_of_this_sides_own_reader(
    links: Links, clock: trio.testing.MockClock
) -> None:
    """A peer that has vanished never answers: the reader must not wait for it."""
    near, _ = links
    async with trio.open_nursery() as nursery:

        async def read() -> None:
            with pytest.raises(LinkClosed) as caught:
                await near.receive()
            assert caught.value.code == GOING_AWAY
            await near.aclose()

        nursery.start_soon(read)
        await wait_all_tasks_blocked()
        near.close(GOING_AWAY, "enough")
    assert trio.current_time() == CLOSE_SECONDS


async def test_two_tasks_may_close_a_link_of_which_a_third_reads() -> None:
    async with linked(socket_pair()) as (client, server), trio.open_nursery() as nursery:
        nursery.start_soon(closing, client)
        nursery.start_soon(closing, server)
        await wait_all_tasks_blocked()
        for link in (client, client, server):
            nursery.start_soon(link.aclose)


async def test_a_peer_that_goes_without_a_word_is_a_closed_link(links: Links) -> None:
    near, far = links
    near.abort()
    with pytest.raises(LinkClosed, match="without a word") as caught:
        await far.receive()
    assert caught.value.code == 1006
    with pytest.raises(LinkClosed):
        await far.receive()
    await far.aclose()


@pytest.mark.parametrize("cut", range(1, 11))
async def test_a_frame_behind_fragments_may_come_in_two_pieces_wherever_it_is_cut(
    cut: int,
) -> None:
    """The library reads a frame's head, and then seems to be in the midst of nothing."""
    async with linked(memory_transport_pair()) as (client, server):
        fragments = Frame(Opcode.TEXT, b"one ", fin=False).serialize(mask=True)
        fragments += Frame(Opcode.CONT, b"two").serialize(mask=True)
        behind = Frame(Opcode.TEXT, b"three").serialize(mask=True)
        client.outbox.append(fragments[:9])
        await wait_all_tasks_blocked()
        client.outbox.append(fragments[9:] + behind[:cut])
        assert await server.receive() == [Message(b"one two", binary=False)]
        client.outbox.append(behind[cut:])
        assert await server.receive() == [Message(b"three", binary=False)]


async def test_a_peer_that_goes_inside_a_frame_is_a_closed_link() -> None:
    pair = memory_transport_pair()
    async with linked(pair) as (client, server):
        whole = Frame(Opcode.TEXT, b"half of this").serialize(mask=True)
        client.outbox.append(whole[:9])
        await client.outbox.drained()
        client.abort()
        with pytest.raises(LinkClosed) as caught:
            await server.receive()
        assert caught.value.code == 1006


async def test_closing_a_link_whose_peer_does_not_read_ends_within_its_deadline(
    clock: trio.testing.MockClock,
) -> None:
    async with linked(memory_transport_pair(buffer_bytes=300)) as (client, _):
        client.send_text(b"x" * 1000)
        await client.aclose()
        assert trio.current_time() == CLOSE_SECONDS


async def test_a_frame_over_the_limit_closes_the_link_with_1009(links: Links) -> None:
    near, far = links
    near.send_text(b"this one arrives")
    near.send_text(b"x" * (MAX_FRAME_BYTES + 1))
    near.send_text(b"this one does not")
    async with trio.open_nursery() as nursery:

        async def read() -> None:
            assert await far.receive() == [Message(b"this one arrives", binary=False)]
            with pytest.raises(LinkClosed) as caught:
                await far.receive()
            assert caught.value.code == 1009
            await far.aclose()

        nursery.start_soon(read)
        assert (await closing(near)).code == 1009


async def test_fragments_over_the_limit_together_close_the_link_with_1009(links: Links) -> None:
    near, far = links
    send_frame(near, Opcode.TEXT, b"x" * (MAX_FRAME_BYTES - 1), fin=False)
    send_frame(near, Opcode.CONT, b"xx")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(closing, far)
        assert (await closing(near)).code == 1009


@pytest.mark.parametrize(
    ("data", "code"),
    [
        pytest.param(b"\x83\x80\x00\x00\x00\x00", 1002, id="an unknown opcode"),
        pytest.param(b"\x80\x80\x00\x00\x00\x00", 1002, id="a continuation of nothing"),
        pytest.param(b"\x81\x01x", 1002, id="an unmasked frame"),
        pytest.param(b"\xc1\x80\x00\x00\x00\x00", 1002, id="a reserved bit"),
        pytest.param(b"\x09\x80\x00\x00\x00\x00", 1002, id="a fragmented ping"),
        pytest.param(b"\x88\x81\x00\x00\x00\x00x", 1002, id="a close of one byte"),
    ],
)
async def test_a_frame_that_the_protocol_forbids_closes_the_link(
    wrap: Callable[[Transport], Transport], data: bytes, code: int
) -> None:
    async with linked(wrap=wrap) as (client, server), trio.open_nursery() as nursery:
        client.outbox.append(data)
        nursery.start_soon(closing, server)
        assert (await closing(client)).code == code


async def test_a_text_that_is_no_utf8_is_handed_on_as_it_is(links: Links) -> None:
    """Whether a text can be read is for whoever decodes it."""
    near, far = links
    near.send_text(b"\xff\xfe")
    assert await receive_all(far, 1) == [Message(b"\xff\xfe", binary=False)]


async def test_a_close_frame_inside_a_fragmented_message_closes_the_link(links: Links) -> None:
    near, far = links
    send_frame(near, Opcode.TEXT, b"never finished", fin=False)
    near.close()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(near.aclose)
        with pytest.raises(LinkClosed):
            await far.receive()
        await far.aclose()


async def test_a_reader_that_is_too_slow_is_cut_off_with_the_reason() -> None:
    async with linked(memory_transport_pair(buffer_bytes=500), outbox_bytes=2000) as (_, server):
        async with trio.open_nursery() as nursery:

            async def read() -> None:
                with pytest.raises(LinkClosed, match="reads too slowly") as caught:
                    await server.receive()
                assert caught.value.code == 1006

            nursery.start_soon(read)
            for _ in range(4):
                server.send_text(b"x" * 900)
                await wait_all_tasks_blocked()
        assert not server.is_open
        server.send_text(b"dropped")
        await server.aclose()


async def test_a_stranger_that_does_not_read_is_cut_off_sooner_until_it_is_trusted() -> None:
    bounds = StrangerBounds(allowance_bytes=100, frame_bytes=100, outbox_bytes=500)
    async with linked(memory_transport_pair(buffer_bytes=100), outbox_bytes=2000) as (_, server):
        server.distrust(bounds)
        server.trust()
        server.send_text(b"x" * 900)
        await wait_all_tasks_blocked()
        was_open = server.is_open
        server.distrust(bounds)
        server.send_text(b"x")
        assert was_open
        assert not server.is_open
        await server.aclose()


async def test_a_link_knows_whom_it_talks_to(links: Links) -> None:
    assert all(link.peer.startswith("memory:") for link in links)
