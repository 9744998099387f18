"""The reactor: reads whatever has something to be read, for as long as it is watched."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from signal_sdk.errors import LinkError
from signal_sdk.net import reactor as reactor_module
from signal_sdk.net.closed import LinkClosed
from signal_sdk.net.link import MESSAGES_PER_TURN
from signal_sdk.net.reactor import READS_PER_SLICE, Reactor
from signal_sdk.net.transport import RECEIVE_BYTES, Transport
from signal_sdk.testing.memory import memory_transport_pair
from signal_sdk.websocket.frames import TEXT, encode_masked
from signal_sdk.websocket.link import Link, Message
from tests.net.pairs import (
    Pairs,
    TlsContexts,
    Trickle,
    linked,
    running_reactor,
    socket_pair,
    tls_pair,
    until,
)


async def test_what_arrives_is_read_until_it_is_watched_no_more(pairs: Pairs) -> None:
    async with running_reactor() as reactor:
        near, far = pairs()
        heard: list[bytes | None] = []

        def read() -> None:
            heard.append(far.receive_nowait())

        assert far.receive_nowait() is None
        near.send_nowait(b"before")
        assert far.watch(reactor, read)
        await until(lambda: heard == [b"before"])
        near.send_nowait(b"meanwhile")
        await until(lambda: heard == [b"before", b"meanwhile"])
        far.unwatch()
        far.unwatch()
        near.send_nowait(b"after")
        await wait_all_tasks_blocked()
        assert len(heard) == 2
        far.watch(reactor, read)
        await until(lambda: heard[2:] == [b"after"])
        near.close()
        await until(lambda: heard[3:4] == [b""])
        far.close()
        with pytest.raises(LinkError, match="closed"):
            far.watch(reactor, read)


async def test_an_end_right_behind_the_last_bytes_is_told_of(pairs: Pairs) -> None:
    async with running_reactor() as reactor:
        near, far = pairs()
        heard: list[bytes | None] = []
        far.watch(reactor, lambda: heard.append(far.receive_nowait()))
        near.send_nowait(b"last")
        near.close()
        await until(lambda: heard[:2] == [b"last", b""])
        far.close()


async def test_what_is_more_than_one_read_takes_is_read_to_its_end() -> None:
    async with running_reactor() as reactor:
        near, far = socket_pair()
        heard = 0

        def read() -> None:
            nonlocal heard
            heard += len(far.receive_nowait() or b"")

        data = bytes(3 * RECEIVE_BYTES + 1)
        sent = near.send_nowait(data)
        far.watch(reactor, read)
        await until(lambda: heard == sent)
        assert sent > RECEIVE_BYTES
        near.close()
        far.close()


async def test_who_does_not_read_all_says_so_and_is_called_again(pairs: Pairs) -> None:
    async with running_reactor() as reactor:
        near, far = pairs()
        told = 0

        def tell() -> float | None:
            nonlocal told
            told += 1
            if told < 3:
                return 0.0
            far.receive_nowait()
            return None

        near.send_nowait(b"x")
        far.watch(reactor, tell)
        await until(lambda: told == 3)
        await wait_all_tasks_blocked()
        assert told == 3
        near.close()
        far.close()


async def test_a_closed_transport_is_not_read_though_it_was_ready() -> None:
    async with running_reactor() as reactor:
        ends = [socket_pair() for _ in range(3 * READS_PER_SLICE)]
        heard: list[int] = []

        def read(number: int) -> Callable[[], None]:
            def note() -> None:
                ends[number][1].receive_nowait()
                heard.append(number)
                # Whoever is read first closes all others.
                for other, (_, far) in enumerate(ends):
                    if other != number:
                        far.close()

            return note

        for number, (near, far) in enumerate(ends):
            near.send_nowait(b"x")
            far.watch(reactor, read(number))
        await until(lambda: bool(heard))
        await wait_all_tasks_blocked()
        assert len(heard) == 1
        for near, far in ends:
            near.close()
            far.close()


async def test_many_that_talk_all_the_time_leave_room_for_other_tasks() -> None:
    async with running_reactor() as reactor:
        ends = [socket_pair() for _ in range(4 * READS_PER_SLICE)]
        reads = turns = 0

        def read() -> float:
            # It is never all that there is.
            nonlocal reads
            reads += 1
            return 0.0

        for near, far in ends:
            near.send_nowait(b"x")
            far.watch(reactor, read)
        while reads < 1000:
            await trio.lowlevel.checkpoint()
            turns += 1
        assert turns >= 1000 / READS_PER_SLICE / 2
        for near, far in ends:
            near.close()
            far.close()


async def test_a_reactor_that_does_not_run_watches_no_socket() -> None:
    near, far = socket_pair()
    with pytest.raises(RuntimeError, match="not running"):
        far.watch(Reactor(), lambda: None)
    near.close()
    far.close()


# --- a link whose messages are taken where they are read ---


def text(number: int) -> bytes:
    return b"%d" % number


class Taker:
    """Takes messages until one says `stop`, and raises at `fail`."""

    def __init__(self) -> None:
        self.taken: list[bytes] = []

    def __call__(self, message: Message) -> bool:
        if message.data == b"stop":
            return False
        if message.data == b"fail":
            raise ZeroDivisionError("a mistake in here")
        self.taken.append(message.data)
        return True


async def gather(link: Link, waited: list[bytes]) -> None:
    while True:
        waited += [message.data for message in await link.receive()]


@pytest.mark.parametrize("wrap", [lambda it: it, Trickle], ids=["at once", "byte by byte"])
async def test_messages_are_taken_in_order_and_the_rest_waits(
    pairs: Pairs, wrap: Callable[[Transport], Transport]
) -> None:
    async with linked(pairs(), wrap=wrap) as (client, server), trio.open_nursery() as nursery:
        taker = Taker()
        waited: list[bytes] = []
        server.watch(taker)
        nursery.start_soon(gather, server, waited)
        for number in range(3):
            client.send_text(text(number))
        await until(lambda: taker.taken == [b"0", b"1", b"2"])
        assert waited == []
        client.send_text(b"stop")
        await until(lambda: waited == [b"stop"])
        client.send_text(text(3))
        await until(lambda: taker.taken[3:] == [b"3"])
        nursery.cancel_scope.cancel()


async def test_what_is_behind_a_message_that_waits_waits_too(pairs: Pairs) -> None:
    async with linked(pairs()) as (client, server):
        taker = Taker()
        server.watch(taker)
        for word in (b"one", b"stop", b"two"):
            client.send_text(word)
        # Until `receive` is called, nothing is read.
        await wait_all_tasks_blocked()
        assert taker.taken == []
        assert [message.data for message in await server.receive()] == [b"stop", b"two"]
        assert taker.taken == [b"one"]


async def test_of_very_many_in_one_read_most_wait_their_turn() -> None:
    async with linked(memory_transport_pair()) as (client, server):
        taker = Taker()
        server.watch(taker)
        counts = []
        for number in range(12 * MESSAGES_PER_TURN):
            client.send_text(text(number))
        client.send_text(b"stop")

        async def look_each_turn() -> None:
            while True:
                counts.append(len(taker.taken))
                await trio.lowlevel.checkpoint()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(look_each_turn)
            assert [message.data for message in await server.receive()] == [b"stop"]
            nursery.cancel_scope.cancel()
        assert taker.taken == [text(number) for number in range(12 * MESSAGES_PER_TURN)]
        # Others ran in between, at least after every second turn.
        assert len(set(counts)) >= 6


async def test_a_link_is_read_for_a_turn_s_time_only_where_others_wait(
    autojump_clock: MockClock,
) -> None:
    async with linked(memory_transport_pair()) as (client, server):
        taken: list[bytes] = []

        def take(message: Message) -> bool:
            taken.append(message.data)
            autojump_clock.jump(0.0006)
            return True

        server.watch(take)
        assert server.rest(lambda: None)
        for number in range(10):
            client.send_text(text(number))
        counts = []
        while len(taken) < 10:
            counts.append(len(taken))
            await trio.lowlevel.checkpoint()
        # Two are a slice's time, and all of them come.
        assert len(set(counts)) >= 4
        assert taken == [text(number) for number in range(10)]


async def test_a_link_that_is_paused_hands_on_later_what_was_not_taken(
    autojump_clock: MockClock, pairs: Pairs
) -> None:
    async with linked(pairs()) as (client, server):
        taken: list[tuple[bytes, float]] = []
        is_new = True

        def take(message: Message) -> bool:
            nonlocal is_new
            is_new = not is_new
            if not is_new:
                server.pause(1.0)
                return False
            taken.append((message.data, trio.current_time() - began))
            return True

        server.watch(take)
        began = trio.current_time()
        waited: list[bytes] = []
        async with trio.open_nursery() as nursery:
            nursery.start_soon(gather, server, waited)
            for number in range(3):
                client.send_text(text(number))
            await trio.sleep(10)
            nursery.cancel_scope.cancel()
        assert waited == []
        assert [data for data, _ in taken] == [b"0", b"1", b"2"]
        assert [time for _, time in taken] == pytest.approx([1.0, 2.0, 3.0], abs=0.05)


async def test_a_taker_that_fails_fails_its_receiver_only(pairs: Pairs) -> None:
    async with linked(pairs()) as (client, server):
        server.watch(Taker())
        client.send_text(b"fail")
        with pytest.raises(ZeroDivisionError):
            await server.receive()


async def test_a_watched_link_ends_for_its_receiver(pairs: Pairs) -> None:
    async def close_by_the_other(client: Link, _: Link) -> None:
        client.close(1000, "over")

    async def close_here(_: Link, server: Link) -> None:
        server.close(1000, "over")

    async def vanish(client: Link, _: Link) -> None:
        client.abort()

    async def abort_here(_: Link, server: Link) -> None:
        server.abort()

    for end, code in (
        (close_by_the_other, 1000),
        (close_here, 1000),
        (vanish, 1006),
        (abort_here, 1006),
    ):
        async with linked(pairs()) as (client, server), trio.open_nursery() as nursery:
            server.watch(Taker())
            nursery.start_soon(end, client, server)
            with trio.fail_after(5), pytest.raises(LinkClosed) as caught:
                await server.receive()
            assert caught.value.code == code


async def test_what_was_said_before_a_close_in_the_same_packet_is_heard(pairs: Pairs) -> None:
    async with linked(pairs()) as (client, server):
        taker = Taker()
        server.watch(taker)
        for word in (b"one", b"stop", b"two"):
            client.send_text(word)
        client.close(1000, "over")
        waited: list[bytes] = []
        with pytest.raises(LinkClosed) as caught:
            await gather(server, waited)
        assert [*taker.taken, *waited] == [b"one", b"stop", b"two"]
        assert caught.value.code == 1000


async def test_what_comes_behind_this_side_s_own_close_is_not_taken(pairs: Pairs) -> None:
    async with linked(pairs()) as (client, server):
        taken: list[bytes] = []

        def take(message: Message) -> bool:
            taken.append(message.data)
            server.close(1008, "enough")
            return True

        server.watch(take)
        for word in (b"one", b"two"):
            client.send_text(word)
        with pytest.raises(LinkClosed):
            await gather(server, [])
        assert taken == [b"one"]
        assert not server.is_listening


async def test_a_cancelled_receiver_reads_no_more(pairs: Pairs) -> None:
    async with linked(pairs()) as (client, server):
        taker = Taker()
        server.watch(taker)
        with trio.move_on_after(0):
            await server.receive()
        client.send_text(b"late")
        await wait_all_tasks_blocked()
        assert taker.taken == []
        client.send_text(b"stop")
        assert [message.data for message in await server.receive()] == [b"stop"]
        assert taker.taken == [b"late"]


async def test_another_reader_may_take_over_from_the_one_before(pairs: Pairs) -> None:
    async with running_reactor() as reactor:
        near, far = pairs()
        heard: list[tuple[str, bytes | None]] = []

        def first() -> None:
            heard.append(("first", far.receive_nowait()))
            far.watch(reactor, lambda: heard.append(("second", far.receive_nowait())))

        far.watch(reactor, first)
        near.send_nowait(b"one")
        await until(lambda: heard == [("first", b"one")])
        near.send_nowait(b"two")
        await until(lambda: len(heard) == 2)
        assert heard == [("first", b"one"), ("second", b"two")]
        near.close()
        far.close()


async def test_a_link_that_rests_rouses_somebody_once_for_what_is_not_taken(pairs: Pairs) -> None:
    async with linked(pairs()) as (client, server):
        taker = Taker()
        roused: list[str] = []
        server.watch(taker)
        assert server.rest(lambda: roused.append("now"))
        client.send_text(b"one")
        await until(lambda: taker.taken == [b"one"])
        assert not roused
        for word in (b"stop", b"two"):
            client.send_text(word)
        await until(lambda: roused == ["now"])
        # Until `receive` is called, nothing is read any more.
        client.send_text(b"three")
        await wait_all_tasks_blocked()
        assert taker.taken == [b"one"]
        waited: list[bytes] = []
        async with trio.open_nursery() as nursery:
            nursery.start_soon(gather, server, waited)
            await until(lambda: [*waited, *taker.taken[1:]] == [b"stop", b"two", b"three"])
            nursery.cancel_scope.cancel()
        assert roused == ["now"]


async def test_a_link_that_rests_rouses_somebody_for_its_end(pairs: Pairs) -> None:
    def close_by_the_other(client: Link, _: Link) -> None:
        client.close(1000, "over")

    def close_here(_: Link, server: Link) -> None:
        server.close(1000, "over")

    def vanish(client: Link, _: Link) -> None:
        client.abort()

    def abort_here(_: Link, server: Link) -> None:
        server.abort()

    def have_a_mistake(client: Link, _: Link) -> None:
        client.send_text(b"fail")

    def wake(_: Link, server: Link) -> None:
        server.wake()

    for end in (close_by_the_other, close_here, vanish, abort_here, have_a_mistake, wake):
        async with linked(pairs()) as (client, server):
            roused = trio.Event()
            server.watch(Taker())
            assert server.rest(roused.set)
            end(client, server)
            with trio.fail_after(5):
                await roused.wait()


async def test_a_link_that_has_read_something_already_does_not_rest() -> None:
    async with linked(memory_transport_pair()) as (_, server):
        taker = Taker()
        server.watch(taker)
        server.feed_early(encode_masked(TEXT, b"early"))
        assert not server.rest(lambda: None)
        assert [message.data for message in await server.receive()] == [b"early"]
        assert server.rest(lambda: None)


async def test_a_link_that_is_closed_does_not_rest() -> None:
    async with linked(memory_transport_pair()) as (_, server):
        server.watch(Taker())
        server.close(1000, "over")
        assert not server.rest(lambda: None)


async def test_without_epoll_no_link_rests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reactor_module, "HAS_EPOLL", False)
    async with linked(socket_pair()) as (_, server):
        server.watch(Taker())
        assert not server.rest(lambda: None)


async def test_without_epoll_its_own_task_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reactor_module, "HAS_EPOLL", False)
    async with linked(socket_pair()) as (client, server):
        taker = Taker()
        server.watch(taker)
        for word in (b"one", b"two", b"stop", b"three"):
            client.send_text(word)
        waited: list[bytes] = []
        while b"three" not in waited:
            waited += [message.data for message in await server.receive()]
        assert [*taker.taken, *waited] == [b"one", b"two", b"stop", b"three"]
        client.close(1000, "over")
        with pytest.raises(LinkClosed) as caught:
            await server.receive()
        assert caught.value.code == 1000


async def test_an_end_over_tls_is_told_of_where_the_socket_stays_open(
    pairs: Pairs, tls: TlsContexts
) -> None:
    async with running_reactor() as reactor:
        inner, other = pairs()
        # A handshake of so few bytes a read ends, also one with keys as large as newer OpenSSL's.
        stays_open = Trickle(inner, most=16)
        stays_open.send_eof = lambda: None
        near, far = await tls_pair(tls, (stays_open, other))
        near.send_nowait(b"last")
        # Only TLS says that it is over.
        near.send_eof()
        heard: list[bytes | None] = []

        def read() -> None:
            heard.append(far.receive_nowait())
            # As a link does whose receiver has something to do.
            far.unwatch()

        far.watch(reactor, read)
        await until(lambda: heard == [b"last"])
        far.watch(reactor, read)
        await until(lambda: heard == [b"last", b""])
        far.watch(reactor, read)
        await until(lambda: heard == [b"last", b"", b""])
        near.close()
        far.close()


async def test_over_tls_too(pairs: Pairs, tls: TlsContexts) -> None:
    async with linked(await tls_pair(tls, pairs())) as (client, server):
        taker = Taker()
        server.watch(taker)
        big = b"x" * 900
        client.send_text(b"one")
        for _ in range(100):
            client.send_text(big)
        client.send_text(b"stop")
        waited: list[bytes] = []
        while b"stop" not in waited:
            waited += [message.data for message in await server.receive()]
        assert [*taker.taken, *waited] == [b"one", *[big] * 100, b"stop"]
        client.close(1000, "over")
        with pytest.raises(LinkClosed):
            await server.receive()
