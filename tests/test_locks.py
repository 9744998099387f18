"""Locks, by the SDK against the real server: what docs/locks.md promises, and each of its ends."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator
from typing import Any, cast

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from signal_sdk import (
    Backoff,
    Channel,
    ECode,
    Lock,
    LockInfo,
    LockLostError,
    ParameterError,
    SignalError,
)
from signal_sdk.server.engine.base import AccountKey
from signal_sdk.server.engine.lock_operations import LOCK
from signal_sdk.testing import FaultyNetwork
from signal_sdk.testing.server import LocalServer, local_server, trio_wall_clock
from signal_sdk.wire import names
from tests.server.helpers import dev_config
from tests.server.inside import state_of
from tests.signals import NO_TOKEN, ecode_of, log_in, signals

LEASE = 6.0


@pytest.fixture
async def server() -> AsyncIterator[LocalServer]:
    async with local_server(listens=False) as running:
        yield running


@pytest.fixture
async def rooms(server: LocalServer) -> AsyncIterator[list[Channel]]:
    """Three members of one channel."""
    async with signals(server) as signal:
        people = [await log_in(signal, name) for name in ("ann", "bob", "carl")]
        yield [await it.channel_join("room") for it in people]


async def waits(lock: Lock, order: list[str], seconds: float = 0.0) -> None:
    async with lock:
        order.append(lock.name)
        await trio.sleep(seconds)


# --- what is promised


async def test_one_at_a_time_in_the_order_of_asking(
    rooms: list[Channel], autojump_clock: MockClock
) -> None:
    order: list[str] = []
    inside = 0

    async def work(room: Channel, who: str) -> None:
        nonlocal inside
        async with room.lock("door") as lock:
            inside += 1
            assert inside == 1
            assert lock.is_held
            order.append(f"{who} {lock.fence}")
            await trio.sleep(1)
            inside -= 1
        assert not lock.is_held

    async with trio.open_nursery() as nursery:
        for who, room in zip("abc", rooms, strict=True):
            nursery.start_soon(work, room, who)
            await wait_all_tasks_blocked()
    assert [it[0] for it in order] == ["a", "b", "c"]
    fences = [int(it[2:]) for it in order]
    assert fences == sorted(set(fences))


async def test_two_tasks_of_one_session_keep_each_other_out(
    rooms: list[Channel], autojump_clock: MockClock
) -> None:
    order: list[str] = []
    began = trio.current_time()
    async with trio.open_nursery() as nursery:
        for _ in range(3):
            nursery.start_soon(waits, rooms[0].lock("door"), order, 2)
    assert trio.current_time() - began >= 6
    assert len(order) == 3


async def test_a_lock_is_renewed_for_as_long_as_its_block_runs(
    rooms: list[Channel], autojump_clock: MockClock
) -> None:
    async with rooms[0].lock("door", lease=LEASE) as lock:
        fence = lock.fence
        for _ in range(10):
            await trio.sleep(LEASE)
            found = await rooms[1].query_lock("door")
            assert (found.holder, found.fence, found.waiting) == ("ann", fence, 0)
            assert LEASE / 2 < found.seconds_left <= LEASE
        assert lock.is_held
    assert await rooms[1].query_lock("door") == LockInfo(
        holder="", fence=0, seconds_left=0, waiting=0
    )


async def test_who_waits_has_it_soon_after_it_was_given_up(
    rooms: list[Channel], autojump_clock: MockClock
) -> None:
    order: list[str] = []
    async with trio.open_nursery() as nursery:
        async with rooms[0].lock("door"):
            nursery.start_soon(waits, rooms[1].lock("door", wait=600), order)
            await trio.sleep(100)
            assert (await rooms[2].query_lock("door")).waiting == 1
        began = trio.current_time()
    assert order == ["door"]
    assert trio.current_time() - began < 0.1


async def test_a_clock_that_is_set_back_lengthens_no_lease(autojump_clock: MockClock) -> None:
    hours = 1
    async with (
        local_server(listens=False, clock=lambda: trio_wall_clock() + hours * 3600) as server,
        signals(server) as signal,
    ):
        ann, bob = await log_in(signal, "ann"), await log_in(signal, "bob")
        room, theirs = await ann.channel_join("room"), await bob.channel_join("room")
        order: list[str] = []
        async with trio.open_nursery() as nursery:
            # Somebody who never renews it.
            ask = {"name": "room", "lock": "door", "askID": "1", "lease": int(LEASE * 1000)}
            await ann.invoke("channel_lock", ask)
            nursery.start_soon(waits, theirs.lock("door", lease=LEASE), order)
            await trio.sleep(1)
            hours = 0
            assert (await room.query_lock("door")).seconds_left <= LEASE
            await trio.sleep(LEASE)
            assert order == ["door"]


async def test_a_lock_that_nobody_is_to_wait_for(
    rooms: list[Channel], autojump_clock: MockClock
) -> None:
    async with rooms[0].lock("door"):
        with pytest.raises(SignalError, match="'door' of the channel 'room' is held by 'ann'"):
            await rooms[1].lock("door", wait=0).__aenter__()
    async with rooms[1].lock("door", wait=0) as lock:
        assert lock.fence


async def test_a_wait_that_is_over(rooms: list[Channel], autojump_clock: MockClock) -> None:
    async with rooms[0].lock("door"):
        began = trio.current_time()
        with pytest.raises(SignalError, match="was not to be had within 5 s") as caught:
            await rooms[1].lock("door", wait=5).__aenter__()
        assert caught.value.ecode is ECode.GENERAL_E_FAILED
        assert trio.current_time() - began == pytest.approx(5, abs=0.2)
        await trio.sleep(1)
        assert (await rooms[2].query_lock("door")).waiting == 0


async def test_a_wait_that_is_cancelled_is_taken_back(
    rooms: list[Channel], autojump_clock: MockClock
) -> None:
    async with rooms[0].lock("door"):
        with trio.move_on_after(3):
            await rooms[1].lock("door").__aenter__()
        await trio.sleep(0.1)
        assert (await rooms[2].query_lock("door")).waiting == 0


async def test_a_lock_that_comes_as_its_wait_is_cancelled_is_given_back(
    rooms: list[Channel], autojump_clock: MockClock
) -> None:
    async with trio.open_nursery() as nursery:
        async with rooms[0].lock("door"):
            nursery.start_soon(rooms[1].lock("door").__aenter__)
            await trio.sleep(1)
        nursery.cancel_scope.cancel()
    async with rooms[2].lock("door", wait=5) as lock:
        assert lock.fence


async def test_a_block_that_fails_gives_it_up_and_raises_what_it_raised(
    rooms: list[Channel], autojump_clock: MockClock
) -> None:
    with pytest.raises(ZeroDivisionError):
        async with rooms[0].lock("door"):
            raise ZeroDivisionError
    async with rooms[1].lock("door", wait=1) as lock:
        assert lock.is_held
    with trio.CancelScope() as scope:
        async with rooms[0].lock("door"):
            scope.cancel()
            await trio.sleep(1)
    assert scope.cancelled_caught
    async with rooms[1].lock("door", wait=1) as lock:
        assert lock.is_held


# --- what is refused


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"lease": 0.9}, "lease 0.9 is not a number of seconds from 1 to 120"),
        ({"lease": 121}, "lease 121 is not"),
        ({"lease": True}, "lease True is not"),
        ({"lease": "10"}, "lease of the type str is not"),
        ({"lease": math.nan}, "lease nan is not"),
        ({"wait": -1}, "wait -1 is not a number of seconds from 0 to 600"),
        ({"wait": 601}, "wait 601 is not"),
        ({"name": ""}, "lock '' is empty"),
        ({"name": 5}, "lock 5 is not text"),
        ({"name": "x" * 129}, "lock has 129 visible characters"),
    ],
)
async def test_what_is_no_lock_is_refused_at_once(
    rooms: list[Channel], options: dict[str, Any], match: str, autojump_clock: MockClock
) -> None:
    with pytest.raises(ParameterError, match=match):
        rooms[0].lock(**{"name": "door", **options})


async def test_a_lock_s_block_is_entered_once(
    rooms: list[Channel], autojump_clock: MockClock
) -> None:
    lock = rooms[0].lock("door")
    async with lock:
        with pytest.raises(RuntimeError, match="the block of a lock is entered once"):
            await lock.__aenter__()
    with pytest.raises(RuntimeError, match="the block of a lock is entered once"):
        await lock.__aenter__()
    assert repr(lock).startswith("<Lock 'door': over, fence ")
    assert repr(rooms[0].lock("gate")) == "<Lock 'gate': not asked for, fence 0>"


async def test_locks_are_for_members(server: LocalServer, autojump_clock: MockClock) -> None:
    async with signals(server) as signal:
        ann = await log_in(signal, "ann")
        room = await ann.channel_join("room")
        await room.channel_leave()
        assert await ecode_of(room.lock("door").__aenter__()) is ECode.GENERAL_E_FAILED
        assert await ecode_of(room.query_lock("door")) is ECode.GENERAL_E_FAILED
        special = await ann.channel_join(names.USER_ONLINE_CHANNEL)
        with pytest.raises(SignalError, match="special channel '_agora_user_online' has no locks"):
            await special.lock("door").__aenter__()


async def test_more_than_there_is_room_for(autojump_clock: MockClock) -> None:
    config = dev_config(account_locks=1)
    async with local_server(config, listens=False) as server, signals(server) as signal:
        room = await (await log_in(signal, "ann")).channel_join("room")
        async with room.lock("door"):
            with pytest.raises(SignalError, match="the locks that 'ann' has or waits for: 1"):
                await room.lock("gate").__aenter__()


# --- how it is lost


async def lost_in(lock: Lock) -> tuple[float, str]:
    """After how many seconds the lock's block is cut off, and what is raised from it."""
    began = [trio.current_time()]

    async def hold() -> None:
        async with lock:
            began.append(trio.current_time())
            await trio.sleep_forever()

    with pytest.raises(LockLostError) as caught:
        await hold()
    assert caught.value.ecode is ECode.GENERAL_E_FAILED
    assert not lock.is_held
    return trio.current_time() - began[-1], caught.value.reason


async def test_a_process_that_stands_still_for_longer_than_the_lease(
    rooms: list[Channel], autojump_clock: MockClock
) -> None:
    fences = []

    async def stand_still() -> None:
        async with rooms[0].lock("door", lease=LEASE) as lock:
            fences.append(lock.fence)
            autojump_clock.jump(LEASE + 1)
            await trio.sleep(10)
            raise AssertionError("the block goes on")

    with pytest.raises(LockLostError, match="'door' of the channel 'room' is lost: it was not"):
        await stand_still()
    async with rooms[1].lock("door") as lock:
        assert lock.fence > fences[0]


async def test_a_lock_that_the_server_has_ended_before_it_was_given_up(
    server: LocalServer, rooms: list[Channel], autojump_clock: MockClock
) -> None:
    """Nobody can cut off a block that waits for nothing; that the lock was lost is said all the
    same.
    """
    state = state_of(server.node.engine)

    async def work() -> None:
        async with rooms[0].lock("door"):
            for ask in list(state.locks):
                state.dues.do((LOCK, ask))

    with pytest.raises(LockLostError, match="'door' is lost: the server had ended its lease"):
        await work()


async def test_an_operator_who_removes_its_holder_passes_a_lock_on_in_order(
    server: LocalServer, rooms: list[Channel], autojump_clock: MockClock
) -> None:
    had: list[tuple[int, int]] = []

    async def work(number: int) -> None:
        async with rooms[number].lock("door") as lock:
            had.append((number, lock.fence))
            await trio.sleep_forever()

    async with trio.open_nursery() as nursery:
        lost: list[tuple[int, float]] = []

        async def hold(number: int) -> None:
            with pytest.raises(LockLostError, match="not in the channel 'room' any more"):
                await work(number)
            lost.append((number, trio.current_time()))

        for number in range(3):
            nursery.start_soon(hold, number)
            await trio.sleep(0.5)
        for count, name in enumerate(("ann", "bob", "carl"), 1):
            assert [number for number, _ in had] == list(range(count))
            began = trio.current_time()
            await server.node.operator.remove("app", name, "room")
            await trio.sleep(0.5)
            # It hears so at once, and the next has it.
            number, at = lost[-1]
            assert number == count - 1
            assert at == pytest.approx(began, abs=0.2)
    fences = [fence for _, fence in had]
    assert fences == sorted(set(fences))


@pytest.mark.parametrize(
    ("how", "ecode"),
    [
        ("leave", ECode.LEAVECHANNEL_E_BYUSER),
        ("move", ECode.LEAVECHANNEL_E_BYUSER),
        ("logout", ECode.LEAVECHANNEL_E_LOGOUT),
        ("elsewhere", ECode.LEAVECHANNEL_E_LOGOUT),
        ("kick", ECode.LEAVECHANNEL_E_LOGOUT),
        ("removal", ECode.LEAVECHANNEL_E_KICKED),
    ],
)
async def test_a_session_that_is_no_member_any_more(
    server: LocalServer, how: str, ecode: ECode, autojump_clock: MockClock
) -> None:
    async with signals(server, 2) as (one, two), trio.open_nursery() as nursery:
        ann, bob = await log_in(one, "ann"), await log_in(two, "bob")
        room, theirs = await ann.channel_join("room"), await bob.channel_join("room")
        waiting: list[str] = []

        async def end() -> None:
            await trio.sleep(1)
            engine: Any = server.node.engine
            if how == "leave":
                await room.channel_leave()
            elif how == "move":
                await ann.channel_join("hall")
            elif how == "logout":
                await ann.logout()
            elif how == "elsewhere":
                await two.login("ann", NO_TOKEN)
            elif how == "removal":
                assert engine.remove(AccountKey("app", "ann"), "room")
            else:
                assert engine.kick(AccountKey("app", "ann"))

        nursery.start_soon(end)
        nursery.start_soon(waits, theirs.lock("door"), waiting)
        refused: list[ECode] = []

        async def wait_for_it() -> None:
            refused.append(await ecode_of(room.lock("gate").__aenter__()))

        async with theirs.lock("gate"):
            # It waits for another one, too.
            nursery.start_soon(wait_for_it)
            seconds, reason = await lost_in(room.lock("door"))
        assert seconds == pytest.approx(1, abs=0.2)
        assert reason == (
            "the lock 'door' of the channel 'room' is lost: not in the channel 'room' any more"
        )
        assert refused == [ecode]
        await trio.sleep(0.1)
        assert waiting == ["door"]


async def test_a_server_that_is_away_for_longer_than_the_lease(autojump_clock: MockClock) -> None:
    async with (
        local_server(listens=False) as server,
        FaultyNetwork(server, seed=1) as network,
        signals(cast("LocalServer", network)) as signal,
    ):
        room = await (await log_in(signal, "ann")).channel_join("room")

        async def cut() -> None:
            await trio.sleep(1.5)
            network.is_down = True
            network.cut_all()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(cut)
            seconds, reason = await lost_in(room.lock("door", lease=LEASE))
        # Not later than the lease that it knew of.
        assert seconds == pytest.approx(LEASE, abs=0.1)
        assert reason.endswith("it was not renewed within 6 s")


async def test_a_connection_that_comes_back_within_the_lease(autojump_clock: MockClock) -> None:
    async with (
        local_server(listens=False) as server,
        FaultyNetwork(server, seed=1) as network,
        signals(cast("LocalServer", network), reconnect=Backoff(max_seconds=1)) as signal,
    ):
        ann, bob = await log_in(signal, "ann"), await log_in(signal, "bob")
        room, theirs = await ann.channel_join("room"), await bob.channel_join("room")
        order: list[str] = []
        async with trio.open_nursery() as nursery:
            async with room.lock("door", lease=LEASE) as lock:
                nursery.start_soon(waits, theirs.lock("door", wait=100), order)
                for _ in range(5):
                    await trio.sleep(3)
                    network.cut_all()
                assert lock.is_held
                assert order == []
            await trio.sleep(2)
            assert order == ["door"]


async def test_a_server_that_has_forgotten_the_session(autojump_clock: MockClock) -> None:
    """It had nothing to remember it by: what was held is lost, and who waited waits anew."""
    async with (
        local_server(listens=False) as first,
        local_server(listens=False) as second,
        FaultyNetwork(first, seed=1) as network,
        signals(cast("LocalServer", network), reconnect=Backoff(max_seconds=1)) as signal,
    ):
        ann, bob = await log_in(signal, "ann"), await log_in(signal, "bob")
        room, theirs = await ann.channel_join("room"), await bob.channel_join("room")
        order: list[str] = []

        async def begin_anew() -> None:
            await trio.sleep(1)
            network.server = second
            network.cut_all()

        async def wait() -> None:
            await trio.sleep(0.5)
            await waits(theirs.lock("door", wait=100), order)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(begin_anew)
            nursery.start_soon(wait)
            seconds, reason = await lost_in(room.lock("door", lease=120))
            assert reason.endswith("the server has ended its lease")
            assert seconds < 10
        assert order == ["door"]


async def test_a_grant_that_is_lost_on_its_way_is_found(
    server: LocalServer,
    rooms: list[Channel],
    monkeypatch: pytest.MonkeyPatch,
    autojump_clock: MockClock,
) -> None:
    hub: Any = server.node._hub
    monkeypatch.setattr(hub, "deliver_grant", lambda *_: None)
    order: list[str] = []
    async with trio.open_nursery() as nursery:
        async with rooms[0].lock("door"):
            nursery.start_soon(waits, rooms[1].lock("door", lease=60, wait=600), order)
            await trio.sleep(21)
        began = trio.current_time()
    assert order == ["door"]
    assert trio.current_time() - began < 10.1


async def test_of_many_channels_the_one_that_is_left_gives_its_locks_up(
    server: LocalServer, autojump_clock: MockClock
) -> None:
    async with signals(server) as signal:
        ann = await signal.login("ann", NO_TOKEN, many_channels=True)
        kept, left = await ann.channel_join("kept"), await ann.channel_join("left")

        async def leave_inside() -> None:
            async with left.lock("door"):
                await left.channel_leave()
                await trio.sleep_forever()

        async with kept.lock("door") as lock:
            with pytest.raises(LockLostError, match="not in the channel 'left' any more"):
                await leave_inside()
            assert lock.is_held
            found = await kept.query_lock("door")
            assert (found.holder, found.fence) == ("ann", lock.fence)
