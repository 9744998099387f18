"""The native link, and each case also with bytes that arrive one at a time; what it shares with
others is in tests/net/test_links.py.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

import pytest
import trio
import trio.lowlevel

from signal_sdk.native.link import PacketLink
from signal_sdk.net.closed import LinkClosed
from signal_sdk.net.transport import Transport
from signal_sdk.testing.memory import memory_transport_pair
from signal_sdk.wire import packets
from tests.net.pairs import Trickle, running_reactor, socket_pair

MAX_BYTES = 1000
Links = tuple[PacketLink, PacketLink]


@pytest.fixture(params=["whole", "one byte at a time"])
def wrap(request: pytest.FixtureRequest) -> Callable[[Transport], Transport]:
    is_trickle = request.param == "one byte at a time"

    def wrap(transport: Transport) -> Transport:
        return Trickle(transport) if is_trickle else transport

    return wrap


@pytest.fixture
async def links(wrap: Callable[[Transport], Transport]) -> AsyncIterator[Links]:
    near, far = memory_transport_pair()
    async with running_reactor() as reactor:
        yield (
            PacketLink(wrap(near), reactor, max_bytes=MAX_BYTES),
            PacketLink(wrap(far), reactor, max_bytes=MAX_BYTES),
        )
        near.close()
        far.close()


async def receive_all(link: PacketLink, count: int) -> list[bytes]:
    texts: list[bytes] = []
    while len(texts) < count:
        texts += await link.receive()
    return texts


async def test_texts_arrive_whole_and_in_order(links: Links) -> None:
    near, far = links
    near.send_encoded(packets.encode_plain(b"one"))
    near.send_encoded(packets.encode_compressed(b"two " * 100))
    near.send_encoded(packets.encode_bundle([packets.encode_plain(b"three")]))
    near.send_encoded(packets.encode_plain(b"") + packets.encode_stored(b"four"))
    texts = await receive_all(far, 5)
    assert texts == [b"one", b"two " * 100, b"three", b"", b"four"]
    far.send_encoded(packets.encode_plain(b"back"))
    assert await receive_all(near, 1) == [b"back"]


async def test_what_was_whole_before_a_wrong_packet_is_received(links: Links) -> None:
    near, far = links
    near.send_encoded(packets.encode_plain(b"fine") + b"\x80\x00\x00\x03")
    assert await receive_all(far, 1) == [b"fine"]
    with pytest.raises(LinkClosed, match="a packet of 3 bytes"):
        await far.receive()


async def test_a_packet_over_the_limit_is_wrong(links: Links) -> None:
    near, far = links
    near.send_encoded(packets.encode_plain(bytes(MAX_BYTES)))
    assert await receive_all(far, 1) == [bytes(MAX_BYTES)]
    near.send_encoded(packets.encode_plain(bytes(MAX_BYTES + 1)))
    with pytest.raises(LinkClosed, match="a packet of 1005 bytes"):
        await far.receive()


async def test_a_link_that_rests_is_roused_at_the_end(links: Links) -> None:
    near, far = links
    taken: list[bytes] = []
    roused = trio.Event()

    def take(text: bytes) -> bool:
        taken.append(text)
        return True

    far.watch(take)
    assert far.rest(roused.set)
    near.send_encoded(packets.encode_plain(b"one") + packets.encode_plain(b"two"))
    await near.outbox.drained()
    near.abort()
    await roused.wait()
    assert taken == [b"one", b"two"]
    with pytest.raises(LinkClosed):
        await far.receive()


async def test_a_farewell_is_read_though_the_other_side_had_said_more() -> None:
    """A socket that is closed over something unread would take back what was sent."""
    client, server = socket_pair()
    async with running_reactor() as reactor, trio.open_nursery() as nursery:
        link = PacketLink(server, reactor, max_bytes=MAX_BYTES)
        client.send_nowait(packets.encode_plain(b"unread") * 20)
        await trio.lowlevel.checkpoint()
        link.send_encoded(packets.encode_plain(b"notify kick"))
        nursery.start_soon(link.aclose)
        heard = b""
        while data := await client.receive_some():
            heard += data
        assert heard == packets.encode_plain(b"notify kick")
        client.close()
