"""The engine contract: what is not of accounts, channels, inboxes or calls alone."""

from __future__ import annotations

import pytest

from signal_sdk.server.engine.base import AccountKey, ChannelKey, Engine
from signal_sdk.server.engine.embedded import EmbeddedEngine
from tests.server.engine.contract import (
    ANN,
    BOB,
    CALL,
    CALL_KEY,
    NOW,
    ROOM,
    Delivered,
    join,
    log_in,
    message,
    post,
)


async def test_apps_are_apart(engine: Engine, delivered: Delivered) -> None:
    other = AccountKey("other", "ann")
    await log_in(engine)
    assert await engine.presence(other) is None
    await log_in(engine, other, b"other")
    assert delivered.take() == []
    await engine.set_user_attr(ANN, "name", "Ann")
    assert not await engine.user_attrs(other)
    await engine.post(post("hi"), NOW)
    assert not (await engine.read_inbox(other, 0, 10, NOW)).entries


async def test_who_is_online_which_calls_live_and_which_channels_there_are(engine: Engine) -> None:
    assert (list(await engine.online()), list(await engine.live_calls())) == ([], [])
    assert list(await engine.channels()) == []
    ann, bob = await log_in(engine), await log_in(engine, BOB)
    await join(engine, ann)
    empty = ChannelKey("app", "empty")
    await engine.set_channel_attr(empty, "a", "b", message("set"), account="ann", now=NOW)
    await engine.swap_call(CALL_KEY, None, CALL, [], NOW)
    await engine.log_out(BOB, bob, None, kick=False, now=NOW)
    assert list(await engine.online()) == [(ANN, await engine.presence(ANN))]
    assert list(await engine.live_calls()) == [(CALL_KEY, CALL)]
    assert dict(await engine.channels()) == {ROOM: None, empty: NOW}


async def test_what_is_done_is_durable_in_the_order_of_asking(engine: Engine) -> None:
    """Where nothing is under way, at once."""
    heard: list[object] = []
    engine.check_writable()
    engine.when_durable(heard.append)
    assert heard == [None]


async def test_an_engine_that_is_attached_to_nothing_says_so() -> None:
    with pytest.raises(RuntimeError, match="not attached"):
        await EmbeddedEngine().post(post("x"), NOW)
