"""The engine contract: what is kept has bounds, what is refused changes nothing, and what nothing
is left of is forgotten.
"""

from __future__ import annotations

import pytest
import trio

from signal_sdk.ecodes import ECode
from signal_sdk.server.engine.base import AccountKey, Statistics
from signal_sdk.server.engine.bounds import Bounds, QuotaError
from signal_sdk.wire import built_in, events, names
from tests.server.engine.contract.harness import (
    ANN,
    BOB,
    ONLINE,
    ROOM,
    House,
    Node,
    login_facts,
)

NOBODY = AccountKey("app", "nobody")
NOTHING = Statistics(accounts=0, online=0, channels=0, calls=0, due=0, listening=0, rated=0)


# --- bounds ---


async def test_calls_have_room_where_messages_have_none(node: Node) -> None:
    node.engine.bound(Bounds(inbox_messages=20))
    ann = await node.log_in()
    for _ in range(20):
        await ann.post("x")
    with pytest.raises(QuotaError, match="is full"):
        await ann.post("x")
    for number in range(4):
        await ann.call("bob", f"{number}")
    assert len(await node.house.inbox(BOB)) == 22


async def test_an_inbox_is_bounded_in_bytes(node: Node) -> None:
    ann = await node.log_in()
    size = len(node.house.post("x" * 100, BOB, "ann").line)
    node.engine.bound(Bounds(inbox_bytes=size * 3))
    for _ in range(3):
        await ann.post("x" * 100)
    with pytest.raises(QuotaError, match=f"the inbox of 'bob' is full: {size * 3} bytes"):
        await ann.post("x")
    await node.engine.read_inbox(BOB, 1, 30)
    await ann.post("x" * 100)


async def test_bytes_are_those_of_utf_8_and_not_characters(node: Node) -> None:
    ann = await node.log_in()
    size = len(node.house.post("字" * 100, BOB, "ann").line.encode())
    node.engine.bound(Bounds(inbox_bytes=size * 2))
    for _ in range(2):
        await ann.post("字" * 100)
    with pytest.raises(QuotaError, match="is full"):
        await ann.post("字")
    await node.engine.read_inbox(BOB, 2, 30)
    node.engine.bound(Bounds(app_bytes=100))
    with pytest.raises(QuotaError):
        await ann.set_own("a", "字" * 40)
    await ann.set_own("a", "字" * 30)


async def test_an_app_is_bounded_in_bytes_of_whatever_is_kept(node: Node) -> None:
    node.engine.bound(Bounds(app_bytes=1000))
    ann, bob = await node.log_in(), await node.log_in(BOB)
    stranger = await node.log_in(AccountKey("other", "ann"))
    await ann.set_own("a", "x" * 298)
    await ann.set("a", "x" * 298)
    with pytest.raises(QuotaError, match="bytes"):
        await ann.post("x" * 400)
    with pytest.raises(QuotaError, match="1000, the most allowed"):
        await ann.set_own("b", "x" * 500)
    with pytest.raises(QuotaError):
        await ann.set("b", "x" * 500)
    assert dict(await node.engine.user_attrs(ANN)) == {"a": "x" * 298}
    # Less is always allowed, and another app is another app.
    await ann.set_own("a", "x")
    await stranger.set_own("a", "x" * 900)
    await ann.set_own("b", "x" * 500)
    await node.engine.del_channel_attr(ann.asked(), "room", "a", members_only=False)
    await bob.set_own("b", "x" * 300)


async def test_attributes_are_bounded_in_number_and_in_bytes(node: Node) -> None:
    node.engine.bound(Bounds(attributes=2))
    ann = await node.log_in()
    for name in "ab":
        await ann.set_own(name, 1)
        await ann.set(name, 1)
    with pytest.raises(QuotaError, match="'ann' has 2 attributes, the most allowed"):
        await ann.set_own("c", 1)
    with pytest.raises(QuotaError, match="the channel 'room' has 2 attributes"):
        await ann.set("c", 1)
    await ann.set_own("a", 2)
    node.engine.bound(Bounds())
    with pytest.raises(QuotaError, match="at most") as caught:
        await ann.set("a", "x" * names.MAX_ATTRS_BYTES)
    assert caught.value.ecode is ECode.GENERAL_E_LARGE_PARAM
    assert dict(await node.engine.channel_attrs(ROOM)) == {"a": 1, "b": 1}


async def test_accounts_of_an_app_are_bounded(node: Node) -> None:
    node.engine.bound(Bounds(app_accounts=2))
    ann, bob = await node.log_in(), await node.log_in(BOB)
    for attempt in (
        ann.post("x", to=NOBODY),
        ann.call("nobody"),
        node.engine.log_in(NOBODY, login_facts(NOBODY)),
    ):
        with pytest.raises(QuotaError, match="the accounts that the app has: 2, the most allowed"):
            await attempt
    assert (await node.statistics()).calls == 0
    await node.log_in(AccountKey("other", "nobody"))
    assert await bob.end()
    assert await ann.call("nobody") is None


async def test_a_login_that_takes_over_needs_no_room_for_another_account(node: Node) -> None:
    """Not even where there are more than the bound, which was lowered."""
    for number in range(5):
        await node.log_in(AccountKey("app", f"{number}"))
    first = await node.log_in()
    node.engine.bound(Bounds(app_accounts=2))
    second = await node.log_in()
    assert second.generation > first.generation
    assert (await node.statistics()).online == 6
    assert second.presence.uid == first.presence.uid


async def test_a_join_that_is_refused_keeps_the_session_where_it_is(node: Node) -> None:
    node.engine.bound(Bounds(app_channels=2))
    ann, bob = await node.log_in(), await node.log_in(BOB)
    await node.engine.subscribe(ROOM)
    await ann.join()
    await bob.join("hall")
    before = await node.engine.presence(ANN)
    await node.take()
    with pytest.raises(QuotaError, match="the app's channels: 2"):
        await node.engine.join(ann.asked(1), "third", newest=9)
    assert await node.engine.recall(ann.asked(1)) is None
    assert await node.engine.presence(ANN) == before
    assert await node.house.members() == ["ann"]
    assert await node.take() == []
    # In those that are there, there is room.
    await ann.join("hall")


async def test_the_channels_that_an_account_makes_are_bounded(node: Node) -> None:
    node.engine.bound(Bounds(account_channels=2))
    ann, bob = await node.log_in(), await node.log_in(BOB)
    await ann.join("a")
    await ann.set(built_in.CHANNEL_TTL, 10, "b")
    with pytest.raises(QuotaError, match="'ann' has made and that are there: 2"):
        await ann.set("a", 1, "c")
    with pytest.raises(QuotaError, match="'ann' has made"):
        await ann.join("c")
    assert await node.engine.is_member(type(ROOM)("app", "a"), "ann")
    # It may be in those that there are, and others may make theirs.
    await bob.join("c")
    await ann.join("c")
    await trio.sleep(11)
    await ann.set("a", 1, "d")


async def test_the_calls_that_an_account_makes_are_bounded(node: Node) -> None:
    node.engine.bound(Bounds(account_calls=2))
    ann, bob = await node.log_in(), await node.log_in(BOB)
    for channel in "ab":
        await ann.call("bob", channel)
    with pytest.raises(QuotaError, match="the live calls of 'ann': 2") as caught:
        await ann.call("bob", "c")
    assert caught.value.ecode is ECode.INVITE_E_OTHER
    # Those that others make to it do not count.
    for channel in "de":
        await bob.call("ann", channel)
    await bob.step(events.VOIP_BYE, channel="a")
    await ann.call("bob", "c")


async def test_what_is_refused_leaves_nothing_behind(node: Node) -> None:
    ann = await node.log_in()
    await ann.join()
    await node.engine.subscribe(ROOM)
    node.engine.bound(Bounds(app_bytes=100, app_accounts=1, app_channels=1))
    await node.take()
    before = await node.statistics()
    for attempt in (
        ann.set_own("a", "x" * 200),
        ann.set("a", "x" * 200),
        ann.set("a", "x", "hall"),
        ann.post("x" * 200, to=ANN),
        ann.post("x"),
        ann.call(),
        ann.join("hall"),
        node.engine.log_in(BOB, login_facts(BOB)),
    ):
        with pytest.raises(QuotaError):
            await attempt
    await trio.sleep(3)
    assert (await node.statistics()) == before
    assert await node.take() == []


# --- forgetting ---


async def test_everything_that_is_over_is_forgotten(house: House) -> None:
    """Of a busy time nothing is kept but what was said to be kept."""
    here, there = house.node, await house.add_node()
    for node in house.nodes:
        node.engine.bound(Bounds(channel_messages_per_second=9, channel_attributes_per_second=9))
    for number in range(10):
        node = (here, there)[number % 2]
        user = await node.log_in(AccountKey("app", f"u{number}"))
        channel = f"room{number % 3}"
        key = type(ROOM)("app", channel)
        await node.engine.subscribe(key)
        await user.set(built_in.CHANNEL_TTL, 30, channel)
        await user.set(built_in.AUTO_UPDATE_NUM, 1, channel)
        await user.join(channel)
        await user.say("x", channel, asked=user.asked(1))
        await user.post("x", to=AccountKey("app", f"u{number - 1}"), ttl=50)
        await user.call(f"u{number - 1}", channel, call_id=f"{number}")
        if number % 2:
            await user.disconnect()
        else:
            await user.end()
        node.engine.unsubscribe(key)
    assert (await house.statistics()).accounts == 11
    await trio.sleep(200)
    # And what call events still waited for, which have two hours.
    for number in range(-1, 10):
        owner = AccountKey("app", f"u{number}")
        page = await house.engine.read_inbox(owner, 0, 100)
        if page.entries:
            await house.engine.read_inbox(owner, page.entries[-1].version, 100)
    await trio.sleep(3)
    assert (await house.statistics()) == NOTHING


async def test_who_logs_out_and_leaves_nothing_is_forgotten(node: Node) -> None:
    first = await node.log_in()
    await first.end()
    assert (await node.statistics()) == NOTHING
    # Whatever an older connection still does is not the new one's.
    again = await node.log_in()
    assert again.generation > first.generation
    assert again.presence.uid == first.presence.uid


async def test_who_polls_after_the_end_is_not_made_anew(node: Node) -> None:
    await node.engine.read_inbox(NOBODY, 0, 30)
    await node.engine.user_attrs(NOBODY)
    await node.engine.calls_of(NOBODY)
    assert (await node.statistics()) == NOTHING


@pytest.mark.parametrize("left", ["attribute", "message", "call", "channel"])
async def test_of_whom_something_is_left_stays_until_that_is_gone(node: Node, left: str) -> None:
    ann, bob = await node.log_in(), await node.log_in(BOB)
    if left == "attribute":
        await ann.set_own("a", "b")
    elif left == "message":
        await bob.post("x", to=ANN)
    elif left == "call":
        await bob.call("ann")
    else:
        await ann.set(built_in.CHANNEL_TTL, 10)
    await ann.end()
    if left == "call":
        # Its end waits for the other, who is there; what is over for this one is void.
        await node.engine.read_inbox(ANN, 1, 30)
        assert (await node.statistics()).accounts == 1
        return
    assert (await node.statistics()).accounts == 2
    if left == "attribute":
        return
    if left == "message":
        await node.engine.read_inbox(ANN, 1, 30)
    else:
        await trio.sleep(11)
    assert (await node.statistics()).accounts == 1


async def test_a_special_channel_is_forgotten_like_any(node: Node) -> None:
    ann = await node.log_in()
    await ann.set(built_in.CHANNEL_TTL, 10, ONLINE.channel)
    await ann.join(ONLINE.channel)
    await ann.end()
    assert (await node.statistics()).channels == 1
    await trio.sleep(12)
    assert (await node.statistics()) == NOTHING
