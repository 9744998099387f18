"""The engine contract: calls."""

from __future__ import annotations

import attrs

from signal_sdk.server.engine.base import AccountKey, CallKey, Engine
from tests.server.engine.contract import (
    ANN,
    BOB,
    CALL,
    CALL_KEY,
    MAX_INBOX,
    NOW,
    Delivered,
    post,
    written,
)


async def test_a_call_is_made_changed_and_ended_with_its_posts(
    engine: Engine, delivered: Delivered
) -> None:
    assert await engine.call(CALL_KEY) is None
    assert await engine.swap_call(CALL_KEY, None, CALL, [post("invite")], NOW)
    assert await engine.call(CALL_KEY) == CALL
    assert list(await engine.calls_of(ANN)) == [CALL_KEY]
    assert list(await engine.calls_of(BOB)) == [CALL_KEY]
    ringing = attrs.evolve(CALL, state="ringing", revision=1)
    assert await engine.swap_call(CALL_KEY, CALL, ringing, [post("ack", BOB)], NOW)
    assert await engine.swap_call(CALL_KEY, ringing, None, [post("bye"), post("bye", BOB)], NOW)
    assert await engine.call(CALL_KEY) is None
    assert not await engine.calls_of(ANN)
    assert not await engine.calls_of(BOB)
    await written(engine)
    assert delivered.take() == [
        ("entry", ANN, 1, "invite"),
        ("entry", BOB, 1, "ack"),
        ("entry", ANN, 2, "bye"),
        ("entry", BOB, 2, "bye"),
    ]


async def test_a_call_that_is_another_by_now_is_left_alone(
    engine: Engine, delivered: Delivered
) -> None:
    ringing = attrs.evolve(CALL, state="ringing", revision=1)
    assert not await engine.swap_call(CALL_KEY, CALL, ringing, [post("x")], NOW)
    assert await engine.swap_call(CALL_KEY, None, CALL, [], NOW)
    assert not await engine.swap_call(CALL_KEY, None, CALL, [post("x")], NOW)
    assert await engine.swap_call(CALL_KEY, CALL, ringing, [], NOW)
    assert not await engine.swap_call(CALL_KEY, CALL, None, [post("x")], NOW)
    assert await engine.call(CALL_KEY) == ringing
    assert delivered.take() == []


async def test_a_call_ends_even_where_an_inbox_is_full(engine: Engine) -> None:
    assert await engine.swap_call(CALL_KEY, None, CALL, [], NOW)
    for _ in range(MAX_INBOX):
        await engine.post(post("x"), NOW)
    assert await engine.swap_call(CALL_KEY, CALL, None, [post("bye"), post("bye", BOB)], NOW)
    assert await engine.call(CALL_KEY) is None
    assert len((await engine.read_inbox(BOB, 0, 30, NOW)).entries) == 1


async def test_an_account_that_never_was_online_may_be_called(engine: Engine) -> None:
    nobody = AccountKey("app", "nobody")
    assert not await engine.calls_of(nobody)
    key = CallKey("app", "room", "bob", "nobody")
    assert await engine.swap_call(key, None, CALL, [post("invite", nobody)], NOW)
    assert list(await engine.calls_of(nobody)) == [key]
