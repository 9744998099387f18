"""Whose turn it is, where there is not time for all, and what goes out meanwhile."""

from __future__ import annotations

from itertools import count
from types import SimpleNamespace
from typing import cast

import pytest
import trio
from trio.testing import MockClock

from signal_sdk.net.flusher import FEW_TOLD, GATHER_SECONDS, QUIET_SECONDS
from signal_sdk.net.link import StreamLink
from signal_sdk.net.outbox import Outbox
from signal_sdk.net.reactor import LOOK_SECONDS, MANY_TOLD, SLICE_SECONDS
from signal_sdk.net.transport import Transport
from signal_sdk.net.turns import STEP_SECONDS, STEPS
from tests.net.costly import costly, passes
from tests.net.pairs import FakeTransport, Pairs, running_reactor, socket_pair


async def test_who_asks_seldom_waits_for_one_slice_however_many_ask_all_the_time(
    autojump_clock: MockClock,
) -> None:
    async with costly(autojump_clock) as (reactor, sockets):
        quiet = sockets.add(reactor, 0.0001, once=True)
        busy = [sockets.add(reactor, 0.0005) for _ in range(200)]
        await passes(400)
        for _ in range(20):
            before, read = trio.current_time(), len(sockets.order)
            sockets.again(quiet)
            while quiet not in sockets.order[read:]:
                await trio.lowlevel.checkpoint()
            at = read + sockets.order[read:].index(quiet)
            assert sockets.times[at] - before < 3 * SLICE_SECONDS
            await passes(10)
        # And these share what is left.
        counts = [sockets.order.count(number) for number in busy]
        assert min(counts) >= max(counts) - 2 > 0


async def test_who_comes_within_a_slice_is_read_and_answered_within_it(
    autojump_clock: MockClock,
) -> None:
    async with costly(autojump_clock) as (reactor, sockets):
        transport = FakeTransport()
        outbox = Outbox(transport, reactor.flusher, lambda _: None)
        quiet = sockets.add(reactor, 0.0, once=True, then=lambda: outbox.append(b"answer"))
        waited: list[list[int]] = []
        came: int | None = None
        next_at = 1.0

        def come() -> None:
            """One of the others is read: once in a while `quiet` comes meanwhile."""
            nonlocal came, next_at
            if came is not None and transport.sent:
                waited.append(sockets.order[came:])
                came = None
            elif came is None and trio.current_time() >= next_at:
                came, next_at = len(sockets.order), next_at + 2 * QUIET_SECONDS
                transport.sent.clear()
                sockets.again(quiet)

        for _ in range(30):
            sockets.add(reactor, LOOK_SECONDS / 2, then=come)
        await passes(4000)
        assert len(waited) > 5
        # The one that is being read may end a look's time, and another begins one; behind it comes
        # the next of the others, which finds it answered.
        for order in waited:
            assert order.index(quiet) <= 2
            assert order.index(quiet) == len(order) - 2


@pytest.mark.parametrize("are_told", [0, MANY_TOLD + 1])
async def test_where_more_ask_seldom_all_are_read_and_then_answered_in_one_write(
    autojump_clock: MockClock, are_told: int
) -> None:
    """Whether the last of them says something to nobody, or to very many."""
    async with costly(autojump_clock) as (reactor, sockets):
        crowd = [Outbox(FakeTransport(), reactor.flusher, lambda _: None) for _ in range(are_told)]
        transport = FakeTransport()
        outbox = Outbox(transport, reactor.flusher, lambda _: None)
        answers = iter(range(1000))
        seen: list[list[bytes]] = []

        def tell() -> None:
            seen.append(list(transport.sent))
            outbox.append(b"%d " % next(answers))

        quiet = [sockets.add(reactor, 0.0, once=True, then=tell) for _ in range(3)]

        def tell_crowd() -> None:
            for other in crowd:
                other.append(b"x")

        quiet.append(sockets.add(reactor, 0.0, once=True, then=tell_crowd))
        came, next_at = False, 1.0

        def come() -> None:
            nonlocal came, next_at
            if came:
                # Whoever is read behind them finds them answered, within the slice or not.
                assert len(seen) in (0, 3)
                if seen:
                    assert (seen, len(transport.sent)) == ([[], [], []], 1)
                    came = False
            elif trio.current_time() >= next_at:
                came, next_at = True, next_at + 2 * QUIET_SECONDS
                transport.sent.clear()
                seen.clear()
                for number in quiet:
                    sockets.again(number)

        for _ in range(30):
            sockets.add(reactor, LOOK_SECONDS / 2, then=come)
        await passes(4000)
        assert next(answers) > 10


async def test_who_asks_seldom_is_answered_at_once_behind_one_who_is_not_answered(
    autojump_clock: MockClock,
) -> None:
    """And what all others are told in between, which is much, waits for the slice's end."""
    async with costly(autojump_clock) as (reactor, sockets):
        crowd = [
            Outbox(FakeTransport(), reactor.flusher, lambda _: None) for _ in range(20 * FEW_TOLD)
        ]
        transport = FakeTransport()
        outbox = Outbox(transport, reactor.flusher, lambda _: None)
        said: list[int] = []
        heard: list[int] = []
        told = count()

        def ask() -> None:
            said.append(len(sockets.order))
            outbox.append(b"answer")

        silent = sockets.add(reactor, 0.0, once=True)
        quiet = sockets.add(reactor, 0.0, once=True, then=ask)
        came: int | None = None
        next_at = 1.0

        def come() -> None:
            """One of the others is read, who tells many."""
            nonlocal came, next_at
            for _ in range(FEW_TOLD - 1):
                crowd[next(told) % len(crowd)].append(b"x")
            if transport.sent:
                heard.append(len(sockets.order))
                transport.sent.clear()
            elif came is None and trio.current_time() >= next_at:
                came, next_at = len(sockets.order), next_at + 2 * QUIET_SECONDS
                sockets.again(silent)
            elif came is not None and len(sockets.order) > came + 2:
                came = None
                sockets.again(quiet)

        for _ in range(30):
            sockets.add(reactor, LOOK_SECONDS / 2, then=come)
        await passes(4000)
        assert len(heard) > 5
        # The next of the others finds it written. (At first nobody waited yet.)
        waits = [later - at for at, later in zip(said, heard, strict=False)][1:]
        assert waits == [1] * len(waits)


async def test_who_has_more_than_a_turn_takes_is_behind_those_who_have_not_from_the_start(
    autojump_clock: MockClock,
) -> None:
    async with costly(autojump_clock) as (reactor, sockets):
        busy = [sockets.add(reactor, STEP_SECONDS / 20) for _ in range(300)]
        quiet = sockets.add(reactor, 0.0001, once=True)
        while len(set(sockets.order)) <= len(busy):
            await trio.lowlevel.checkpoint()
        # None has used more than the quiet one yet.
        assert max(map(sockets.order.count, busy)) <= 4
        came = trio.current_time()
        sockets.order.clear()
        sockets.times.clear()
        sockets.again(quiet)
        while quiet not in sockets.order:
            await trio.lowlevel.checkpoint()
        assert sockets.times[sockets.order.index(quiet)] - came < 2 * SLICE_SECONDS


class Words(StreamLink[bytes]):
    """What is said is words."""

    _is_ended = False

    def _feed(self, data: bytes) -> None:
        self._messages += data.split()


async def test_a_newcomer_with_much_to_say_waits_for_those_who_say_one_thing(
    autojump_clock: MockClock,
) -> None:
    async with costly(autojump_clock) as (reactor, sockets):
        for _ in range(100):
            sockets.add(reactor, SLICE_SECONDS / 10)
        await passes(100)
        taken: list[bytes] = []

        def take(word: bytes) -> bool:
            taken.append(word)
            return True

        said = [b"much to say", b"little"]
        ends = [socket_pair() for _ in said]
        links = [Words(far, reactor) for _, far in ends]
        for (near, _), link, words in zip(ends, links, said, strict=True):
            link.watch(take)
            assert link.rest(lambda: None)
            near.send_nowait(words)
        with trio.fail_after(10):
            while len(taken) < 4:
                await trio.lowlevel.checkpoint()
        assert taken == [b"little", b"much", b"to", b"say"]
        for near, far in ends:
            near.close()
            far.close()


async def test_who_asks_seldom_is_no_other_since_all_stood_still_while_he_was_read(
    autojump_clock: MockClock,
) -> None:
    """For the collector, or another process."""
    async with costly(autojump_clock) as (reactor, sockets):
        said: list[bool] = []
        stalls = iter([10 * STEP_SECONDS])

        def read() -> None:
            said.append(reactor.serves_seldom)
            autojump_clock.jump(next(stalls, 0.0))

        for _ in range(20):
            sockets.add(reactor, STEP_SECONDS)
        await passes(100)
        quiet = sockets.add(reactor, 0.0, once=True, then=read)
        await passes(100)
        sockets.again(quiet)
        await passes(100)
        busy: list[bool] = []
        sockets.add(reactor, STEP_SECONDS, then=lambda: busy.append(reactor.serves_seldom))
        await passes(200)
    assert said == [True, True]
    assert (busy[0], busy[-1]) == (True, False)


async def test_who_gives_way_ends_the_slice(autojump_clock: MockClock) -> None:
    async with costly(autojump_clock) as (reactor, sockets):
        first: tuple[float, float] | None = None
        ended: list[tuple[float, float]] = []
        read: list[tuple[float, float]] = []

        is_over = True

        def give_way() -> None:
            nonlocal is_over
            # In the first slice nobody waits yet: all are read as they come.
            if is_over and reactor.read_at != first:
                reactor.give_way(at_once=True)
                ended.append(reactor.read_at)
                is_over = False

        def note() -> None:
            nonlocal first
            first = first or reactor.read_at
            assert reactor.read_at not in ended
            read.append(reactor.read_at)

        for number in range(9):
            then = give_way if number == 4 else note
            sockets.add(reactor, SLICE_SECONDS / 100, then=then)
        for _ in range(100):
            await passes(1)
            reactor.haste.end()
            is_over = True
        assert len(ended) > 5 < len(set(read))


async def test_who_is_costly_has_its_turn_as_much_less_often(autojump_clock: MockClock) -> None:
    async with costly(autojump_clock) as (reactor, sockets):
        dear = [sockets.add(reactor, 0.002) for _ in range(10)]
        cheap = [sockets.add(reactor, 0.0005) for _ in range(10)]
        ends = trio.current_time() + 20 * STEPS * STEP_SECONDS * 0.8
        while trio.current_time() < ends:
            await trio.lowlevel.checkpoint()
        turns = [sum(map(sockets.order.count, numbers)) for numbers in (dear, cheap)]
        assert turns[1] / turns[0] == pytest.approx(4, rel=0.25)


async def test_where_nobody_shares_all_are_read_in_the_order_in_which_they_came(
    autojump_clock: MockClock,
) -> None:
    async with costly(autojump_clock, shares=False) as (reactor, sockets):
        numbers = [sockets.add(reactor, 0.002 if number % 2 else 0.0001) for number in range(20)]
        while len(sockets.order) < 200:
            await trio.lowlevel.checkpoint()
        # Behind the first slice, whose end has cut the first round short.
        rounds = [sockets.order[at : at + 20] for at in range(20, 180, 20)]
    assert sorted(rounds[0]) == numbers
    assert rounds == [rounds[0]] * len(rounds)


async def test_a_slice_ends_when_its_time_is_over(autojump_clock: MockClock) -> None:
    async with costly(autojump_clock) as (reactor, sockets):
        for _ in range(20):
            sockets.add(reactor, SLICE_SECONDS / 2)
        turns = 0
        while len(sockets.order) < 100:
            await trio.lowlevel.checkpoint()
            turns += 1
        assert turns >= 100 / 2 / 2


async def test_while_there_is_time_for_all_they_are_read_as_they_come(
    autojump_clock: MockClock,
) -> None:
    async with costly(autojump_clock) as (reactor, sockets):
        numbers = [sockets.add(reactor, 0.0, once=True) for _ in range(10)]
        for _ in range(3):
            await passes(5)
            assert sorted(sockets.order) == numbers
            sockets.order.clear()
            for number in numbers:
                sockets.again(number)
        assert reactor._turns.is_calm(trio.current_time())


async def test_whoever_wants_to_be_called_again_is_and_not_before(
    autojump_clock: MockClock, pairs: Pairs
) -> None:
    async with running_reactor() as reactor:
        near, far = pairs()
        answers: list[float | None] = [0.5, 0.25, None]
        called: list[float] = []

        def read() -> float | None:
            called.append(trio.current_time())
            answer = answers.pop(0)
            if answer is None:
                far.receive_nowait()
            return answer

        near.send_nowait(b"x")
        began = trio.current_time()
        far.watch(reactor, read)
        await passes(5)
        # What arrives meanwhile changes nothing.
        near.send_nowait(b"y")
        await trio.sleep(2)
        assert [round(time - began, 2) for time in called] == [0.0, 0.5, 0.75]
        near.close()
        far.close()


async def test_who_rests_may_go_and_another_come_in_its_place(autojump_clock: MockClock) -> None:
    async with running_reactor() as reactor:
        near, far = socket_pair()
        calls: list[str] = []

        def rest() -> float:
            calls.append("rests")
            return 1.0

        def read() -> None:
            calls.append("reads")
            far.receive_nowait()

        near.send_nowait(b"x")
        far.watch(reactor, rest)
        await trio.sleep(0.5)
        far.unwatch()
        far.watch(reactor, read)
        await trio.sleep(2)
        assert calls == ["rests", "reads"]
        near.close()
        far.close()


async def test_what_one_turn_tells_very_many_is_written_behind_what_others_are_told(
    autojump_clock: MockClock,
) -> None:
    async with running_reactor() as reactor:
        written: list[str] = []

        def outbox(name: str) -> Outbox:
            def send_nowait(data: bytes) -> int:
                written.append(name)
                return len(data)

            transport = SimpleNamespace(has_unsent=False, send_nowait=send_nowait)
            return Outbox(cast("Transport", transport), reactor.flusher, lambda _: None)

        crowd = [outbox("crowd") for _ in range(MANY_TOLD + 1)]
        other = outbox("other")

        def tell_crowd() -> None:
            for each in crowd:
                each.append(b"x")

        reactor.call_soon(tell_crowd)
        reactor.call_soon(lambda: other.append(b"x"))
        await passes(10)
        assert written == ["other", *["crowd"] * len(crowd)]


async def test_while_some_wait_who_was_told_something_just_now_hears_more_in_one_write(
    autojump_clock: MockClock,
) -> None:
    async with costly(autojump_clock) as (reactor, sockets):
        for _ in range(200):
            sockets.add(reactor, SLICE_SECONDS / 2)
        busy, quiet = FakeTransport(), FakeTransport()
        outbox = Outbox(busy, reactor.flusher, lambda _: None)
        for _ in range(2):
            outbox.append(b"first")
            await passes(4)
        assert busy.sent == [b"first", b"first"]
        for number in range(3):
            outbox.append(b"%d" % number)
            await passes(1)
        Outbox(quiet, reactor.flusher, lambda _: None).append(b"quiet")
        await passes(2)
        assert (busy.sent, quiet.sent) == ([b"first", b"first"], [b"quiet"])
        ends = trio.current_time() + GATHER_SECONDS + 3 * SLICE_SECONDS
        while len(busy.sent) == 2:
            await trio.lowlevel.checkpoint()
        assert busy.sent == [b"first", b"first", b"012"]
        assert trio.current_time() < ends


async def test_who_is_given_way_to_runs_before_more_is_read(autojump_clock: MockClock) -> None:
    async with costly(autojump_clock) as (reactor, sockets), trio.open_nursery() as nursery:
        for _ in range(200):
            sockets.add(reactor, SLICE_SECONDS)

        async def last(woken: trio.Event, at: int) -> None:
            await woken.wait()
            # A slice has time for one of them: that in which it was woken may go on.
            assert len(sockets.order) - at <= 1

        async def first(woken: trio.Event, others: trio.Event) -> None:
            await woken.wait()
            others.set()

        for _ in range(10):
            woken, others = trio.Event(), trio.Event()
            nursery.start_soon(first, woken, others)
            await passes(2)

            def wake(woken: trio.Event = woken, others: trio.Event = others) -> None:
                nursery.start_soon(last, others, len(sockets.order))
                woken.set()
                reactor.give_way()

            reactor.call_soon(wake)
            await others.wait()
            await passes(2)


async def test_once_nobody_waits_what_was_gathered_goes_out(autojump_clock: MockClock) -> None:
    async with costly(autojump_clock) as (reactor, sockets):
        transport = FakeTransport()
        outbox = Outbox(transport, reactor.flusher, lambda _: None)
        outbox.append(b"first")
        await outbox.drained()
        for _ in range(4):
            sockets.add(reactor, SLICE_SECONDS, once=True)
        outbox.append(b"first")
        await passes(2)
        outbox.append(b"second")
        await outbox.drained()
        assert transport.sent == [b"first", b"first", b"second"]
        assert len(sockets.order) == 4
        assert not reactor.flusher.is_gathering


async def test_once_those_who_waited_have_gone_what_is_said_goes_out(
    autojump_clock: MockClock,
) -> None:
    """Also to whom something was said just now, and though they went between two slices."""
    async with costly(autojump_clock) as (reactor, sockets):
        transport = FakeTransport()
        outbox = Outbox(transport, reactor.flusher, lambda _: None)
        for _ in range(3):
            sockets.add(reactor, SLICE_SECONDS / 2)
        for number in range(1, 4):
            outbox.append(b"%d" % number)
            while len(transport.sent) < number:
                await trio.lowlevel.checkpoint()
        sockets.close()
        await passes(5)
        outbox.append(b"4")
        await trio.sleep(GATHER_SECONDS)
        assert transport.sent == [b"1", b"2", b"3", b"4"]
