"""The engine contract: who is online, under which generation, and how that ends."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest
import trio
from msgspec.structs import replace

from signal_sdk.ecodes import ECode
from signal_sdk.server.engine.base import AccountKey, FencedError, Known
from signal_sdk.wire import built_in
from tests.server.engine.contract.harness import (
    ANN,
    BOB,
    ONLINE,
    ROOM,
    House,
    Node,
    User,
    line_digest,
    login_facts,
)


async def watched(node: Node) -> User:
    """Somebody who watches who comes and goes; what that one's own login told is taken away."""
    watcher = await node.log_in(AccountKey("app", "watcher"))
    await watcher.join(ONLINE.channel)
    await node.engine.subscribe(ONLINE)
    await node.take()
    return watcher


def seen(told: list[tuple[str, ...]]) -> list[tuple[str, str]]:
    """Who came and went, of what `_agora_user_online` is told: each of both kinds of events."""
    found = [(event, account) for event, *_, account in told]
    pairs = {"join": "online", "leave": "offline"}
    kinds = [(pairs.get(event, event), account) for event, account in found]
    assert kinds[::2] == kinds[1::2]
    return kinds[::2]


# --- logging in ---


async def test_nobody_is_online_before_a_login(house: House) -> None:
    assert await house.engine.presence(ANN) is None
    assert await house.engine.resume(b"line") is None
    assert list(await house.engine.online()) == []


async def test_a_login_makes_an_account_present_with_the_facts_of_its_login(node: Node) -> None:
    expires = int(node.house.wall()) + 1000
    ann = await node.log_in(
        token_expires=expires,
        device="javasdk",
        ver=5,
        instance="mine",
        rights="r",
        token_issued=7,
    )
    presence = ann.presence
    assert (presence.device, presence.ver, presence.instance) == ("javasdk", 5, "mine")
    assert (presence.token_expires, presence.token_issued) == (expires, 7)
    assert (presence.rights, presence.channel, presence.lease_ends) == ("r", None, None)
    assert await node.engine.presence(ANN) == presence
    assert list(await node.engine.online()) == [(ANN, presence)]
    assert await node.take() == []


async def test_a_uid_is_the_accounts_for_ever_and_no_other_of_its_app_has_it(node: Node) -> None:
    ann, bob = await node.log_in(), await node.log_in(BOB)
    assert ann.presence.uid != bob.presence.uid
    assert min(ann.presence.uid, bob.presence.uid) >= 1
    await ann.end()
    assert (await node.log_in()).presence.uid == ann.presence.uid


async def test_a_login_ends_the_session_before_and_all_that_it_had(node: Node) -> None:
    await watched(node)
    bob = await node.log_in(BOB)
    first = await node.log_in(line="first")
    await node.engine.subscribe(ROOM)
    await bob.join()
    await first.join()
    await first.call()
    await first.say("x", asked=first.asked(1))
    await node.take()
    second = await node.log_in(line="second")
    assert second.generation > first.generation
    assert second.presence.channel is None
    assert await node.take("kick") == [("kick", "ann", first.generation)]
    assert await node.told() == [("leave", "ann")]
    assert seen(await node.told(ONLINE)) == [("offline", "ann"), ("online", "ann")]
    assert await node.entries() == [("bob", 2, "voip_invite_bye")]
    assert await node.engine.resume(line_digest(ANN, "first")) is None
    assert await node.engine.recall(second.asked(1)) is None
    assert list(await node.engine.calls_of(ANN)) == []


async def test_a_login_that_keeps_goes_on_in_its_channel_and_with_its_calls(node: Node) -> None:
    await watched(node)
    first = await node.log_in(line="first")
    await node.engine.subscribe(ROOM)
    await first.join()
    await first.call()
    await first.say("x", asked=first.asked(1))
    await node.take()
    second = await node.log_in(line="second", keeps=True, device="new")
    assert await node.take() == [("kick", "ann", first.generation)]
    assert second.presence == replace(
        first.presence,
        channels=("room",),
        device="new",
        generation=second.generation,
        line_digest=line_digest(ANN, "second"),
    )
    assert len(await node.engine.calls_of(ANN)) == 1
    assert await node.engine.is_member(ROOM, "ann")
    # But it counts its requests anew.
    assert await node.engine.recall(second.asked(1)) is None
    assert await node.engine.resume(line_digest(ANN, "first")) is None
    await second.leave()
    assert await node.told() == [("leave", "ann")]


async def test_a_login_over_a_lease_kicks_nobody(node: Node) -> None:
    for keeps in (False, True):
        before = await node.log_in()
        await before.disconnect()
        await node.take()
        after = await node.log_in(keeps=keeps)
        assert after.presence.lease_ends is None
        assert await node.take() == []


async def test_a_login_that_was_on_its_way_for_long_takes_the_account_from_no_later_one(
    node: Node,
) -> None:
    """Its client may have given it up, and be the one that has the account."""
    await node.log_in(began=100.0)
    for late, is_none in ((2.0, True), (59.0, True), (0.5, False), (61.0, False)):
        began = 100.0 - late
        made = await node.engine.log_in(ANN, login_facts(ANN, line=f"{late}", began=began))
        assert (made is None) is is_none, late
        if not is_none:
            await node.log_in(began=100.0)
    # The same client that comes again has not given itself up.
    await node.log_in(began=100.0, instance="mine")
    same = login_facts(ANN, line="same", began=98.0, instance="mine")
    assert await node.engine.log_in(ANN, same, again=True) is not None
    # Once it is over, there is none that could be later.
    again = await node.log_in(began=100.0)
    await node.engine.end(ANN, again.presence.generation)
    assert await node.engine.log_in(ANN, login_facts(ANN, line="after", began=90.0)) is not None


async def test_who_comes_again_takes_the_account_from_nobody_else(node: Node) -> None:
    mine = await node.log_in(again=True, instance="mine")
    once_more = await node.log_in(again=True, instance="mine", line="2")
    assert once_more.generation > mine.generation
    await node.take()
    facts = login_facts(ANN, "3", instance="another's")
    assert await node.engine.log_in(ANN, facts, again=True) is None
    assert await node.engine.presence(ANN) == once_more.presence
    assert await node.take() == []
    await once_more.end()
    assert await node.engine.log_in(ANN, facts, again=True) is not None


async def test_generations_rise_even_across_the_end(node: Node) -> None:
    first = await node.log_in()
    await first.end()
    assert (await node.log_in()).generation > first.generation


# --- coming back ---


async def test_a_resume_takes_the_session_up_under_a_new_generation(node: Node) -> None:
    await watched(node)
    first = await node.log_in()
    await first.join()
    await first.say("x", asked=first.asked(1, reply="one"))
    await first.disconnect()
    await node.take()
    resumed = await node.resume()
    assert resumed.presence == replace(
        first.presence, channels=("room",), generation=resumed.generation
    )
    assert resumed.generation > first.generation
    assert await node.engine.recall(resumed.asked(1)) == Known("one")
    assert await node.take() == []
    # And again, while that one is connected.
    await node.resume()
    assert await node.take() == [("loss", "ann", resumed.generation)]


async def test_a_session_may_be_taken_up_at_another_node(house: House) -> None:
    here, there = house.node, await house.add_node()
    first = await here.log_in()
    await first.join()
    moved = await there.resume()
    assert await here.take("loss") == [("loss", "ann", first.generation)]
    await house.node.log_in(BOB)
    bob = await here.resume(BOB)
    await bob.post("hi", to=ANN)
    assert await there.entries() == [("ann", 1, "hi")]
    assert await here.entries() == []
    newest = await here.log_in(line="new")
    assert await there.take("kick") == [("kick", "ann", moved.generation)]
    assert newest.generation > moved.generation


# --- leases ---


async def test_a_lost_connection_begins_a_lease_and_its_end_tells(node: Node) -> None:
    await watched(node)
    ann = await node.log_in()
    await node.engine.subscribe(ROOM)
    await ann.join()
    await node.take()
    began = node.house.wall()
    await ann.disconnect()
    presence = await node.engine.presence(ANN)
    assert presence is not None
    assert presence.lease_ends is not None
    assert began + 120 <= presence.lease_ends < began + 120.1
    # Again, later: the lease is not longer by that.
    await trio.sleep(10)
    await ann.disconnect()
    assert await node.engine.presence(ANN) == presence
    await trio.sleep(109)
    assert await node.take() == []
    assert await node.engine.is_member(ROOM, "ann")
    await trio.sleep(2)
    assert await node.engine.presence(ANN) is None
    assert await node.told() == [("leave", "ann")]
    assert seen(await node.told(ONLINE)) == [("offline", "ann")]
    assert await node.engine.resume(line_digest(ANN, "")) is None


async def test_a_lease_lasts_as_long_as_the_account_says(node: Node) -> None:
    for seconds, key in ((20, ANN), (60, BOB)):
        user = await node.log_in(key)
        await user.set_own(built_in.CONN_TIMEOUT, str(seconds))
        await user.disconnect()
    await trio.sleep(21)
    assert await node.engine.presence(ANN) is None
    assert await node.engine.presence(BOB) is not None
    await trio.sleep(40)
    assert await node.engine.presence(BOB) is None


async def test_who_comes_back_in_time_stays(node: Node) -> None:
    ann = await node.log_in()
    await ann.disconnect()
    await trio.sleep(100)
    ann = await node.resume()
    await trio.sleep(1000)
    assert await node.engine.presence(ANN) == ann.presence


async def test_an_older_generation_begins_no_lease(node: Node) -> None:
    first = await node.log_in()
    second = await node.log_in()
    await first.disconnect()
    assert await node.engine.presence(ANN) == second.presence
    await second.disconnect()
    presence = await node.engine.presence(ANN)
    assert presence is not None
    assert presence.lease_ends is not None


# --- the end ---


async def test_the_end_of_a_session_is_that_of_its_membership_and_calls(node: Node) -> None:
    await watched(node)
    ann, bob = await node.log_in(), await node.log_in(BOB)
    await node.engine.subscribe(ROOM)
    for user in (ann, bob):
        await user.join()
    await bob.call("ann")
    await node.take()
    assert await ann.end()
    assert not await ann.end()
    assert await node.take("kick") == []
    assert await node.told() == [("leave", "ann")]
    assert seen(await node.told(ONLINE)) == [("offline", "ann")]
    assert await node.entries() == [("bob", 1, "voip_invite_bye")]
    assert await node.engine.presence(ANN) is None
    assert await node.engine.resume(line_digest(ANN, "")) is None
    assert not await node.engine.is_member(ROOM, "ann")
    assert await node.house.members() == ["bob"]


async def test_an_older_generation_ends_nothing(node: Node) -> None:
    first = await node.log_in()
    second = await node.log_in(keeps=True)
    await second.join()
    for expires in (False, True):
        assert not await first.end(expires=expires)
    assert await node.engine.is_member(ROOM, "ann")


async def test_a_session_that_expires_is_told_at_the_node_that_holds_it(house: House) -> None:
    here, there = house.node, await house.add_node()
    ann, bob = await there.log_in(), await there.log_in(BOB)
    await bob.disconnect()
    for user in (ann, bob):
        assert await here.engine.end(user.key, user.generation, expires=True)
    assert await there.take() == [("expiry", "ann", ann.generation)]
    assert await here.take() == []
    assert list(await here.engine.online()) == []


async def test_a_tokens_end_is_the_sessions(node: Node) -> None:
    await watched(node)
    ann = await node.log_in(token_expires=int(node.house.wall()) + 60)
    await node.take()
    await trio.sleep(59)
    assert await node.take() == []
    await trio.sleep(2)
    assert await node.take("expiry") == [("expiry", "ann", ann.generation)]
    assert seen(await node.told(ONLINE)) == [("offline", "ann")]
    assert await node.engine.presence(ANN) is None
    await trio.sleep(500)
    assert await node.take() == []


async def test_a_newer_token_s_end_is_what_counts(node: Node) -> None:
    now = int(node.house.wall())
    await node.log_in(token_expires=now + 60)
    later = await node.log_in(token_expires=now + 120, keeps=True)
    await node.take()
    await trio.sleep(100)
    assert await node.engine.presence(ANN) == later.presence
    await trio.sleep(21)
    assert await node.take() == [("expiry", "ann", later.generation)]


async def test_a_token_ends_no_lease_and_tells_who_comes_back_behind_it(node: Node) -> None:
    ann = await node.log_in(token_expires=int(node.house.wall()) + 60)
    await ann.disconnect()
    await trio.sleep(70)
    assert await node.engine.presence(ANN) is not None
    back = await node.resume()
    assert await node.take() == [("expiry", "ann", back.generation)]
    assert await node.engine.presence(ANN) is None


# --- who may ask ---

ASKING: dict[str, Callable[[User], Awaitable[object]]] = {
    "join": lambda it: it.node.engine.join(it.asked(), "hall", newest=1),
    "leave": lambda it: it.node.engine.leave(it.asked(), "room"),
    "publish": lambda it: it.say("x"),
    "set": lambda it: it.set("a", 1),
    "del": lambda it: it.node.engine.del_channel_attr(it.asked(), "room", "z", members_only=False),
    "clear": lambda it: it.node.engine.clear_channel_attrs(it.asked(), "room", members_only=False),
    "set own": lambda it: it.set_own("a", 1),
    "post": lambda it: it.post("x"),
    "invite": lambda it: it.call("bob", "hall"),
    "step": lambda it: it.step("voip_invite_bye", "bob"),
    "keep": lambda it: it.node.engine.keep(it.asked(1)),
}


@pytest.mark.parametrize("what", ASKING)
@pytest.mark.parametrize("how", ["taken over", "over"])
async def test_whoever_is_not_the_session_any_more_changes_nothing(
    node: Node, what: str, how: str
) -> None:
    """What a connection that was taken over still had under way is not its successor's."""
    bob = await node.log_in(BOB)
    ann = await node.log_in()
    await ann.set("z", 1)
    await ann.join()
    await ann.call()
    if how == "taken over":
        await node.log_in(keeps=True)
    else:
        await ann.end()
    for key in (ROOM, ONLINE):
        await node.engine.subscribe(key)
    await node.take()

    async def all_there_is() -> list[object]:
        engine = node.engine
        return [
            await engine.presence(ANN),
            list(await engine.calls_of(BOB)),
            dict(await engine.channel_attrs(ROOM)),
            dict(await engine.user_attrs(ANN)),
            await node.house.inbox(BOB),
            await engine.roster(ROOM, 10),
            (await node.statistics()),
        ]

    before = await all_there_is()
    with pytest.raises(FencedError) as caught:
        await ASKING[what](ann)
    codes = {"join": ECode.JOINCHANNEL_E_OTHER, "leave": ECode.LEAVECHANNEL_E_OTHER}
    assert caught.value.ecode is codes.get(what, ECode.GENERAL_E_NOT_LOGIN)
    assert await node.take() == []
    assert await all_there_is() == before
    assert await bob.end()


async def test_who_was_never_online_asks_for_nothing(node: Node) -> None:
    ann = await node.log_in()
    ann.key = AccountKey("app", "nobody")
    with pytest.raises(FencedError):
        await ann.say("x")
    assert await node.engine.recall(ann.asked(1)) is None
    assert (await node.statistics()).accounts == 1


async def test_apps_are_apart(node: Node) -> None:
    other = AccountKey("other", "ann")
    ann = await node.log_in()
    assert await node.engine.presence(other) is None
    stranger = await node.log_in(other)
    await stranger.join()
    assert await node.take() == []
    await ann.set_own("name", "Ann")
    assert not await node.engine.user_attrs(other)
    await ann.post("hi", to=ANN)
    assert await node.house.inbox(other) == []
    assert await node.house.members() == []
    assert (await node.engine.online()) != []
