"""The engine contract: a lock is one member's at a time, under a number that only rises, and is
handed on in the order of asking, whatever its holder does or does not.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest
import trio

from signal_sdk.ecodes import ECode
from signal_sdk.errors import SignalError
from signal_sdk.server.engine.base import AccountKey, FencedError, Known, Locked, LockLook
from signal_sdk.server.engine.bounds import Bounds, QuotaError
from signal_sdk.wire import built_in
from tests.server.engine.contract.harness import ANN, BOB, ROOM, House, Node, User

CARL = AccountKey("app", "carl")


async def three(node: Node) -> tuple[User, User, User]:
    """Three members of one channel."""
    users = [await node.log_in(key) for key in (ANN, BOB, CARL)]
    for user in users:
        await user.join()
    ann, bob, carl = users
    return ann, bob, carl


async def grants(node: Node) -> list[tuple[str, str]]:
    """Who was told that it has a lock, and under which id it had asked."""
    return [(account, ask) for _, account, _, _, _, ask in await node.take("grant")]


# --- getting and giving up


async def test_a_lock_that_nobody_has_is_had_at_once(node: Node) -> None:
    ann, bob, _ = await three(node)
    fence = await ann.has()
    found = await ann.lock()
    assert isinstance(found, Locked)
    assert (found.fence, found.place, found.holder) == (fence, 0, "")
    assert found.seconds == pytest.approx(10, abs=0.2)
    look = await bob.look()
    assert (look.holder, look.fence, look.waiting) == ("ann", fence, 0)
    assert look.seconds == pytest.approx(10, abs=0.2)
    assert await bob.look("other") == LockLook()
    assert await grants(node) == []


async def test_who_waits_gets_it_in_the_order_of_asking(house: House, node: Node) -> None:
    ann, bob, carl = await three(node)
    first = await ann.has()
    assert [await bob.waits(), await carl.waits()] == [1, 2]
    assert [await carl.waits(), await bob.waits()] == [2, 1]
    assert (await ann.look()).waiting == 2
    await ann.unlock()
    assert await grants(node) == [("bob", "1")]
    second = await bob.has()
    assert await carl.waits() == 1
    await bob.unlock()
    assert await grants(node) == [("carl", "1")]
    third = await carl.has()
    await carl.unlock()
    assert first < second < third < await ann.has()
    assert await grants(node) == []


async def test_a_session_asks_as_often_as_it_likes_each_under_an_id(node: Node) -> None:
    """Two tasks of one bot keep each other out as two bots do."""
    ann, bob, _ = await three(node)
    await ann.has(ask="1")
    assert [await ann.waits(ask="2"), await bob.waits(ask="1")] == [1, 2]
    await ann.unlock(ask="1")
    assert await grants(node) == [("ann", "2")]
    await ann.has(ask="2")
    # What belongs to an earlier one of its own is nothing to it.
    assert await ann.unlock(ask="1") is False
    assert await ann.renew(ask="1") == 0
    assert (await ann.look()).holder == "ann"


async def test_who_does_not_wait_is_told_who_has_it(node: Node) -> None:
    ann, bob, _ = await three(node)
    await ann.has()
    assert await bob.lock(wait=0) == Locked(holder="ann")
    assert (await ann.look()).waiting == 0
    # Nor does who has waited, and asks so now.
    await bob.waits()
    assert await bob.lock(wait=0) == Locked(holder="ann")
    assert (await ann.look()).waiting == 0
    await ann.unlock()
    assert await bob.has(wait=0)


async def test_a_waiting_is_taken_back(node: Node) -> None:
    ann, bob, carl = await three(node)
    await ann.has()
    await bob.waits()
    await carl.waits()
    await bob.unlock()
    assert await carl.waits() == 1
    await ann.unlock()
    assert await grants(node) == [("carl", "1")]


async def test_locks_of_other_names_and_channels_are_others(node: Node) -> None:
    ann, bob, carl = await three(node)
    await carl.join("hall")
    fences = [await ann.has("a"), await bob.has("b"), await carl.has("a", channel="hall")]
    assert fences == sorted(set(fences))


# --- for how long


async def test_a_lock_that_nobody_renews_is_handed_on(node: Node) -> None:
    ann, bob, _ = await three(node)
    fence = await ann.has(seconds=10)
    await bob.waits(seconds=20)
    await trio.sleep(9)
    assert await bob.waits(seconds=20) == 1
    await trio.sleep(2.5)
    assert await grants(node) == [("bob", "1")]
    look = await ann.look()
    assert (look.holder, look.waiting) == ("bob", 0)
    assert look.seconds == pytest.approx(19, abs=1.5)
    assert look.fence > fence
    assert await ann.renew() == 0
    assert (await ann.look()).waiting == 0


async def test_a_lock_that_is_renewed_is_kept(node: Node) -> None:
    ann, bob, _ = await three(node)
    fence = await ann.has(seconds=10)
    await bob.waits(wait=600)
    for _ in range(5):
        await trio.sleep(8)
        assert await ann.renew(seconds=10) == fence
    look = await bob.look()
    assert (look.holder, look.fence) == ("ann", fence)
    # To ask for it again is to renew it, too.
    await trio.sleep(8)
    assert await ann.has(seconds=10) == fence
    await trio.sleep(8)
    assert (await bob.look()).holder == "ann"


async def test_a_lease_is_no_longer_than_a_session_lasts_without_a_connection(node: Node) -> None:
    """Else the end of that would end the lock before its lease."""
    ann, bob, _ = await three(node)
    await ann.set_own(built_in.CONN_TIMEOUT, 25)
    for _ in range(2):
        found = await ann.lock(seconds=100)
        assert isinstance(found, Locked)
        assert found.seconds == pytest.approx(25, abs=0.2)
    await bob.waits(wait=300)
    await ann.disconnect()
    await trio.sleep(24)
    assert (await bob.look()).holder == "ann"
    await trio.sleep(3)
    assert (await bob.look()).holder == "bob"


async def test_who_waits_does_so_for_a_time(node: Node) -> None:
    ann, bob, carl = await three(node)
    await ann.has(seconds=100)
    await bob.waits(wait=5)
    await carl.waits(wait=50)
    await trio.sleep(7)
    assert await carl.waits(wait=50) == 1
    await ann.unlock()
    assert await grants(node) == [("carl", "1")]


async def test_a_lock_is_looked_for_by_one_who_asks_too_late(node: Node) -> None:
    """Nobody has it, nobody waits: there is no such lock, and nothing is kept of it."""
    ann, bob, _ = await three(node)
    await ann.has(seconds=10)
    await trio.sleep(12)
    assert await bob.look() == LockLook()
    assert await node.engine.locks_of(ANN) == 0


# --- who may


async def leaves(user: User) -> None:
    await user.leave()


async def moves(user: User) -> None:
    await user.join("hall")


async def logs_out(user: User) -> None:
    await user.end()


async def logs_in_elsewhere(user: User) -> None:
    await user.node.log_in(user.key, line="other")


async def is_kicked(user: User) -> None:
    assert await user.node.engine.kick(user.key)


async def is_removed(user: User) -> None:
    assert await user.node.engine.remove(user.key, "room")


async def is_lost(user: User) -> None:
    await user.set_own(built_in.CONN_TIMEOUT, 20)
    await user.disconnect()
    for _ in range(3):
        await trio.sleep(7)
        # The lease is not what ends it.
    await trio.sleep(2)


@pytest.mark.parametrize(
    "goes", [leaves, moves, logs_out, logs_in_elsewhere, is_kicked, is_removed, is_lost]
)
async def test_who_is_no_member_any_more_has_and_waits_for_nothing(
    node: Node, goes: Callable[[User], Awaitable[None]]
) -> None:
    ann, bob, carl = await three(node)
    await ann.has(seconds=100)
    await bob.has("other", seconds=100)
    await ann.waits("other", wait=600)
    await ann.waits(ask="2", wait=600)
    await bob.waits(wait=600)
    await carl.waits("other", wait=600)
    await goes(ann)
    assert await grants(node) == [("bob", "1")]
    look = await bob.look()
    assert (look.holder, look.waiting) == ("bob", 0)
    assert await carl.waits("other", wait=600) == 1
    assert await node.engine.locks_of(ANN) == 0


async def test_a_session_that_is_taken_up_again_has_what_it_had(node: Node) -> None:
    ann, bob, _ = await three(node)
    fence = await ann.has(seconds=30)
    await bob.has("other")
    await ann.waits("other")
    await ann.disconnect()
    await bob.unlock("other")
    # It has the lock, and nobody to be told.
    assert await grants(node) == []
    again = await node.resume()
    assert await again.has() == fence
    assert await again.has("other") > fence
    with pytest.raises(FencedError):
        await ann.has()


async def test_only_members_have_locks(node: Node) -> None:
    ann = await node.log_in()
    for asks in (ann.lock(), ann.look()):
        with pytest.raises(SignalError, match="'ann' is not in the channel 'room': join it first"):
            await asks
    await ann.join("hall")
    with pytest.raises(SignalError) as caught:
        await ann.lock()
    assert caught.value.ecode is ECode.GENERAL_E_FAILED


async def test_a_channel_that_begins_anew_has_no_locks(node: Node) -> None:
    ann = await node.log_in()
    await ann.join()
    fence = await ann.has()
    await ann.set(built_in.CHANNEL_TTL, 0)
    await ann.leave()
    await trio.sleep(2)
    await ann.join()
    assert await ann.look() == LockLook()
    assert await ann.has() > fence


# --- once


async def test_what_comes_again_changes_nothing(node: Node) -> None:
    ann, bob, _ = await three(node)
    asked = ann.asked(1, reply="over")
    fence = await ann.has(asked=asked)
    again = await ann.lock(asked=asked)
    assert isinstance(again, Locked)
    assert again.fence == fence
    renewed = ann.asked(2, reply="over")
    for _ in range(2):
        found = await node.engine.renew_lock(renewed, "room", "lock", "1", seconds=10)
        assert found.fence == fence
    assert await ann.unlock(asked=ann.asked(3, reply="done")) is True
    assert await ann.lock(asked=asked) == Known("over")
    assert await node.engine.renew_lock(renewed, "room", "lock", "1", seconds=9) == Known("over")
    assert await ann.unlock(asked=ann.asked(3, reply="done")) == Known("done")
    # What did nothing does nothing when it comes again.
    for _ in range(2):
        assert await ann.unlock(asked=ann.asked(4, reply="done")) is False
    assert await bob.has()


async def test_a_lock_is_given_once_over_many_nodes(house: House, node: Node) -> None:
    ann = await node.log_in()
    other = await house.add_node()
    bob = await other.log_in(BOB)
    for user in (ann, bob):
        await user.join()
    fence = await ann.has()
    assert await bob.waits() == 1
    await ann.unlock()
    assert await grants(node) == []
    assert await grants(other) == [("bob", "1")]
    assert await bob.has() > fence
    bob.node.die()
    await trio.sleep(12)
    # Nobody renews it.
    assert await ann.has() > fence


# --- how many


async def test_what_is_kept_of_locks_is_bounded(node: Node) -> None:
    node.engine.bound(Bounds(account_locks=2, channel_locks=3, lock_waiters=1))
    ann, bob, carl = await three(node)
    await ann.has("a")
    await ann.has("b")
    with pytest.raises(QuotaError, match="the locks that 'ann' has or waits for: 2") as caught:
        await ann.lock("c")
    assert caught.value.limit == "account_locks"
    await bob.has("c")
    with pytest.raises(
        QuotaError, match=r"the locks of the channel 'room' that .* has: 3"
    ) as caught:
        await carl.lock("d")
    assert caught.value.limit == "channel_locks"
    await bob.waits("a")
    with pytest.raises(QuotaError, match=r"who waits for the lock 'a' of .* 'room': 1") as caught:
        await carl.lock("a")
    assert caught.value.limit == "lock_waiters"
    # Who is there asks again as often as it likes, and who goes makes room.
    assert await bob.waits("a") == 1
    await bob.unlock("a")
    await carl.waits("a")
    await ann.unlock("b")
    await ann.has("d")


# --- over restarts


@pytest.mark.parametrize("how", ["stopped", "killed"])
async def test_locks_and_those_who_wait_outlive_the_server(lasting: House, how: str) -> None:
    ann, bob, carl = await three(lasting.node)
    fence = await ann.has(seconds=60)
    await carl.waits(wait=300)
    await bob.waits(wait=300)
    await carl.has("other", seconds=5)
    node = await lasting.reopen(how)
    ann, bob, carl = [await node.resume(key) for key in (ANN, BOB, CARL)]
    assert await ann.has(seconds=60) == fence
    assert [await carl.waits(wait=300), await bob.waits(wait=300)] == [1, 2]
    await trio.sleep(7)
    assert await ann.look("other") == LockLook()
    await ann.unlock()
    assert await grants(node) == [("carl", "1")]
    assert await carl.has() > fence


async def test_a_number_is_never_given_again(lasting: House) -> None:
    ann = await lasting.node.log_in()
    await ann.join()
    fence = await ann.has()
    for how in ("killed", "stopped"):
        node = await lasting.reopen(how)
        ann = await node.resume()
        await ann.unlock()
        latest = await ann.has()
        assert latest > fence
        fence = latest


async def test_nobody_is_told_of_what_it_did_not_wait_for(node: Node) -> None:
    await node.engine.subscribe(ROOM)
    ann, bob, _ = await three(node)
    await node.take()
    await ann.has()
    await bob.waits()
    await ann.unlock()
    await bob.renew()
    await bob.unlock()
    assert [it[0] for it in await node.take()] == ["grant"]
