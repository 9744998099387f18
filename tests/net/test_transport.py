"""The transport's contract, kept by sockets, by memory, and by TLS around either."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from signal_sdk.errors import LinkError
from signal_sdk.net.transport import Transport
from signal_sdk.testing.memory import memory_transport_pair
from tests.net.pairs import TlsContexts, TransportPair, socket_pair, tls_pair

BLOCK = bytes(range(256)) * 256


@pytest.fixture(params=["socket", "memory", "TLS on a socket", "TLS on memory"])
async def pair(request: pytest.FixtureRequest, tls: TlsContexts) -> AsyncIterator[TransportPair]:
    ends: TransportPair = socket_pair() if "socket" in request.param else memory_transport_pair()
    if "TLS" in request.param:
        ends = await tls_pair(tls, ends)
    yield ends
    for end in ends:
        end.close()


async def read_to_end(transport: Transport) -> bytes:
    data = b""
    while part := await transport.receive_some():
        data += part
    return data


async def send_all(transport: Transport, data: bytes) -> None:
    """Send all of `data`, as an outbox does."""
    view = memoryview(data)
    while view or transport.has_unsent:
        view = view[transport.send_nowait(view) :]
        if view or transport.has_unsent:
            await transport.wait_writable()


def fill(transport: Transport) -> int:
    """Send until nothing is taken any more; return how much was."""
    total = 0
    while taken := transport.send_nowait(BLOCK):
        total += taken
    return total


async def test_what_one_end_sends_the_other_receives(pair: TransportPair) -> None:
    for sender, receiver in (pair, reversed(pair)):
        assert sender.send_nowait(b"hello") == 5
        assert await receiver.receive_some() == b"hello"


async def test_a_blocked_transport_takes_nothing_and_can_be_waited_for(pair: TransportPair) -> None:
    client, server = pair
    total = fill(client)
    assert client.send_nowait(b"more") == 0
    received = 0

    async def read() -> None:
        nonlocal received
        while received < total + 4:
            received += len(await server.receive_some())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(read)
        await send_all(client, b"more")
    assert received == total + 4


async def test_much_data_arrives_whole_and_in_order(pair: TransportPair) -> None:
    client, server = pair
    data = BLOCK * 20

    async def send() -> None:
        await send_all(client, data)
        client.send_eof()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(send)
        assert await read_to_end(server) == data


async def test_the_end_of_a_stream_is_read_behind_its_data_and_leaves_the_other_way_open(
    pair: TransportPair,
) -> None:
    client, server = pair
    client.send_nowait(b"last words")
    client.send_eof()
    assert await read_to_end(server) == b"last words"
    server.send_nowait(b"farewell")
    assert await client.receive_some() == b"farewell"


async def test_closing_wakes_a_task_that_reads(pair: TransportPair) -> None:
    client, _ = pair

    async def read() -> None:
        with pytest.raises(LinkError):
            await client.receive_some()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(read)
        await wait_all_tasks_blocked()
        client.close()


async def test_closing_wakes_a_task_that_waits_to_write(pair: TransportPair) -> None:
    client, _ = pair
    fill(client)

    async def write() -> None:
        with pytest.raises(LinkError):
            await send_all(client, BLOCK)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(write)
        await wait_all_tasks_blocked()
        client.close()


async def test_a_closed_transport_neither_sends_nor_receives(pair: TransportPair) -> None:
    client, _ = pair
    client.close()
    client.close()
    client.send_eof()
    with pytest.raises(LinkError):
        client.send_nowait(b"x")
    with pytest.raises(LinkError):
        await client.receive_some()
    with pytest.raises(LinkError):
        await client.wait_writable()


async def test_several_closed_transports_are_waited_for_by_nobody() -> None:
    for _ in range(2):
        transport, other = socket_pair()
        for end in (transport, other):
            end.close()
        for wait in (
            transport.receive_some(),
            transport.wait_writable(),
            transport.receive_exactly(1),
        ):
            with pytest.raises(LinkError, match="is closed"):
                await wait


async def test_sending_to_an_end_that_was_closed_fails(pair: TransportPair) -> None:
    client, server = pair
    server.close()
    with trio.fail_after(5), pytest.raises(LinkError, match="failed"):  # noqa: PT012  a socket takes some first
        while True:
            client.send_nowait(BLOCK)
            await trio.sleep(0.001)


async def test_the_other_ends_closing_is_the_end_of_the_stream(pair: TransportPair) -> None:
    client, server = pair
    server.send_nowait(b"bye")
    server.close()
    assert await read_to_end(client) == b"bye"


async def test_a_read_that_was_cancelled_loses_nothing(pair: TransportPair) -> None:
    client, server = pair
    with trio.move_on_after(0.01):
        await server.receive_some()
    client.send_nowait(b"hello")
    assert await server.receive_some() == b"hello"


async def test_a_transport_knows_whom_it_talks_to(pair: TransportPair) -> None:
    assert all(end.peer for end in pair)
