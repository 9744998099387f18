"""The engine contract: presence, replies and users."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from signal_sdk.server.engine.account_operations import MAX_REPLIES
from signal_sdk.server.engine.base import Engine, Presence
from tests.server.engine.contract import ANN, BOB, NOW, ROOM, Delivered, join, leaving, log_in

# --- presence ---


async def test_nobody_is_online_before_a_login(engine: Engine) -> None:
    assert await engine.presence(ANN) is None
    assert await engine.resume(b"line") is None


async def test_a_login_makes_an_account_present_with_the_facts_of_its_login(
    engine: Engine, delivered: Delivered
) -> None:
    made = await engine.log_in(
        ANN, line_digest=b"line", device="javasdk", ver=5, token_expires=99, instance="mine"
    )
    assert made is not None
    presence, before = made
    assert before is None
    assert (presence.device, presence.ver, presence.token_expires) == ("javasdk", 5, 99)
    assert presence.instance == "mine"
    assert (presence.channel, presence.lease_ends) == (None, None)
    assert await engine.presence(ANN) == presence
    assert delivered.take() == []


async def test_a_uid_is_the_accounts_for_ever_and_no_other_of_its_app_has_it(
    engine: Engine,
) -> None:
    ann, bob = await log_in(engine), await log_in(engine, BOB)
    assert ann.uid != bob.uid
    assert min(ann.uid, bob.uid) >= 1
    await engine.log_out(ANN, ann, None, kick=False, now=NOW)
    assert (await log_in(engine)).uid == ann.uid


async def test_a_second_login_takes_over_and_kicks_the_first(
    engine: Engine, delivered: Delivered
) -> None:
    first = await log_in(engine, line=b"first")
    await join(engine, first)
    delivered.take()
    made = await engine.log_in(
        ANN, line_digest=b"second", device="websdk", ver=1, token_expires=None, instance=""
    )
    assert made is not None
    second, before = made
    assert before == replace(first, channel="room")
    assert second.generation > first.generation
    assert second.channel == "room"
    assert delivered.take() == [("kick", ANN, first.generation)]
    assert await engine.resume(b"firstann") is None


async def test_a_login_over_a_lease_kicks_nobody(engine: Engine, delivered: Delivered) -> None:
    first = await log_in(engine)
    assert await engine.disconnect(ANN, first.generation, NOW + 10)
    second = await log_in(engine)
    assert second.lease_ends is None
    assert delivered.take() == []


async def test_generations_rise_even_across_a_logout(engine: Engine) -> None:
    first = await log_in(engine)
    await engine.log_out(ANN, first, None, kick=False, now=NOW)
    assert (await log_in(engine)).generation > first.generation


async def test_a_resume_takes_the_session_up_under_a_new_generation(
    engine: Engine, delivered: Delivered
) -> None:
    first = await log_in(engine)
    await join(engine, first)
    await engine.disconnect(ANN, first.generation, NOW + 10)
    delivered.take()
    found = await engine.resume(b"lineann")
    assert found is not None
    key, resumed = found
    assert key == ANN
    assert resumed == replace(first, channel="room", generation=resumed.generation)
    assert resumed.generation > first.generation
    assert delivered.take() == []
    # And again, while that one is connected.
    assert await engine.resume(b"lineann") is not None
    assert delivered.take() == [("kick", ANN, resumed.generation)]


async def test_an_older_generation_begins_no_lease(engine: Engine) -> None:
    first = await log_in(engine)
    second = await log_in(engine)
    assert not await engine.disconnect(ANN, first.generation, NOW + 10)
    assert await engine.presence(ANN) == second
    assert await engine.disconnect(ANN, second.generation, NOW + 10)
    assert await engine.presence(ANN) == replace(second, lease_ends=NOW + 10)


async def test_a_logout_ends_presence_and_membership_and_tells_the_channel(
    engine: Engine, delivered: Delivered
) -> None:
    await join(engine, await log_in(engine))
    await join(engine, await log_in(engine, BOB), BOB)
    delivered.take()
    presence = await engine.presence(ANN)
    assert presence is not None
    ended = await engine.log_out(ANN, presence, leaving("ann"), kick=False, now=NOW)
    assert ended is not None
    assert ended.left is not None
    assert (ended.left.num, ended.left.idle_since) == (1, None)
    assert delivered.take() == [("event", ROOM, 3, leaving("ann"))]
    assert await engine.presence(ANN) is None
    assert await engine.resume(b"lineann") is None
    assert not await engine.is_member(ROOM, "ann")


async def test_a_logout_ends_exactly_the_presence_that_it_was_given(
    engine: Engine, delivered: Delivered
) -> None:
    first = await log_in(engine)
    await join(engine, first)
    delivered.take()
    # It has joined since: what would be announced is not known.
    assert await engine.log_out(ANN, first, None, kick=True, now=NOW) is None
    assert await engine.is_member(ROOM, "ann")
    assert delivered.take() == []


async def test_a_logout_with_a_kick_tells_the_connection_that_holds_the_account(
    engine: Engine, delivered: Delivered
) -> None:
    presence = await log_in(engine)
    ended = await engine.log_out(ANN, presence, None, kick=True, now=NOW)
    assert ended is not None
    assert ended.left is None
    assert delivered.take() == [("kick", ANN, presence.generation)]


async def test_who_comes_again_takes_the_account_from_nobody_else(engine: Engine) -> None:
    async def again(instance: str) -> tuple[Presence, Presence | None] | None:
        return await engine.log_in(
            ANN,
            line_digest=instance.encode(),
            device="javasdk",
            ver=0,
            token_expires=None,
            instance=instance,
            again=True,
        )

    mine = await again("mine")
    assert mine is not None
    once_more = await again("mine")
    assert once_more is not None
    assert once_more[0].generation > mine[0].generation
    assert await again("another's") is None
    assert await engine.presence(ANN) == once_more[0]
    await engine.log_out(ANN, once_more[0], None, kick=False, now=NOW)
    assert await again("another's") is not None


# --- replies ---


async def recalled(engine: Engine, *callids: int, ack: int = 0) -> list[str | None]:
    return [await engine.recall(ANN, callid, ack) for callid in callids]


@pytest.mark.parametrize("durably", [True, False])
async def test_a_reply_is_kept_until_it_is_acknowledged(engine: Engine, *, durably: bool) -> None:
    ann = await log_in(engine)
    for callid in (3, 4, 6):
        await engine.remember(ANN, ann.generation, callid, f"{callid}", durably=durably)
    assert await recalled(engine, 3, 4, 5, 6) == ["3", "4", None, "6"]
    assert await recalled(engine, 3, 4, 6, ack=4) == [None, None, "6"]
    # An older `ack` brings nothing back.
    assert await recalled(engine, 3, 4, 6, ack=0) == [None, None, "6"]
    assert await recalled(engine, 6, ack=99) == [None]


async def test_a_reply_that_was_given_again_is_the_later_one(engine: Engine) -> None:
    ann = await log_in(engine)
    await engine.remember(ANN, ann.generation, 7, "before", durably=True)
    await engine.remember(ANN, ann.generation, 7, "after", durably=True)
    assert await recalled(engine, 7) == ["after"]


async def test_replies_are_one_sessions_and_outlive_its_resume(engine: Engine) -> None:
    ann = await log_in(engine)
    await engine.remember(ANN, ann.generation, 1, "one", durably=True)
    await engine.disconnect(ANN, ann.generation, NOW + 10)
    found = await engine.resume(b"lineann")
    assert found is not None
    assert await recalled(engine, 1) == ["one"]
    # What the connection before still had under way is not the session's any more.
    await engine.remember(ANN, ann.generation, 2, "two", durably=True)
    assert await recalled(engine, 1, 2) == ["one", None]
    await log_in(engine, line=b"another")
    assert await recalled(engine, 1) == [None]


async def test_replies_end_with_their_session(engine: Engine) -> None:
    ann = await log_in(engine)
    await engine.remember(ANN, ann.generation, 1, "one", durably=True)
    await engine.log_out(ANN, ann, None, kick=False, now=NOW)
    await log_in(engine)
    assert await recalled(engine, 1) == [None]


async def test_replies_that_nobody_acknowledges_have_a_bound(engine: Engine) -> None:
    ann = await log_in(engine)
    for callid in range(1, MAX_REPLIES + 3):
        await engine.remember(ANN, ann.generation, callid, "x", durably=bool(callid % 2))
    assert await recalled(engine, 1, 2, 3, MAX_REPLIES + 2) == [None, None, "x", "x"]


# --- users ---


async def test_user_attributes_outlive_presence_and_need_none(engine: Engine) -> None:
    assert dict(await engine.user_attrs(ANN)) == {}
    await engine.set_user_attr(ANN, "name", "Ann")
    await engine.set_user_attr(ANN, "data", {"a": [1, None]})
    await engine.set_user_attr(ANN, "name", "Anna")
    assert dict(await engine.user_attrs(ANN)) == {"name": "Anna", "data": {"a": [1, None]}}
    await engine.log_out(ANN, await log_in(engine), None, kick=False, now=NOW)
    assert dict(await engine.user_attrs(ANN)) == {"name": "Anna", "data": {"a": [1, None]}}
