"""Nodes that lose sight of the state that they share: what their clients hear of it, and that all
agree once it is back.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, cast

import attrs
import pytest
import trio
from trio.testing import MockClock

from signal_sdk.server.config import Config, ServerConfig
from signal_sdk.server.engine.base import LIFE_SECONDS, AccountKey, ChannelKey, Engine
from signal_sdk.server.engine.embedded import EmbeddedEngine
from signal_sdk.server.revocations import LOOK_SECONDS, Revocation, revoke
from signal_sdk.testing.server import EPOCH, LocalServer, local_server
from tests.server.far_engine import FarEngine
from tests.server.helpers import APP, OURS, dev_config, resume, settle, told
from tests.server.test_tokens import CONFIG, modern
from tests.wire_client import logged_in, wire_client

ANN = AccountKey(APP, "ann")
ROOM = ChannelKey(APP, "room")


class Far:
    """A node that is far from its state, and another, which is not."""

    def __init__(self) -> None:
        self.state = EmbeddedEngine()
        self.engine = FarEngine(self.state.neighbour(), lambda: 0.0)
        self.here: LocalServer
        self.there: LocalServer

    @property
    def members(self) -> list[str]:
        return [account for account, _ in self.state.roster(ROOM, 9).newest]


@pytest.fixture
def config() -> Config:
    return dev_config()


@pytest.fixture
async def far(autojump_clock: MockClock, config: Config) -> AsyncIterator[Far]:
    far = Far()
    engine = cast("Engine", far.engine)
    async with (
        local_server(config, listens=False, engine=far.state) as far.there,
        local_server(config, listens=False, engine=engine) as far.here,
    ):
        yield far


async def resent(client: Any, callid: int, function: str, **args: Any) -> dict[str, Any]:
    """Send a request again, under its number."""
    client.send("call2", [function, callid, {"line": client.line, "ack": 0, **args}])
    reply: dict[str, Any] = await client.reply(callid)
    return reply


@pytest.mark.parametrize("function", ["channel_join", "channel_leave"])
@pytest.mark.parametrize("is_done", [True, False])
async def test_a_move_whose_outcome_nobody_knows_is_asked_for_again(
    far: Far, function: str, is_done: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A refusal would leave its client where it may not be."""
    operation = getattr(far.engine.inner, function.removeprefix("channel_"))

    def do_and_hold(*args: Any, **more: Any) -> Any:
        done = operation(*args, **more)
        far.engine.hold(up=False)
        return done

    async with logged_in(far.here, "ann", **OURS) as ann:
        if function == "channel_leave":
            await ann.call("channel_join", name="room")
        if is_done:
            monkeypatch.setattr(far.engine.inner, operation.__name__, do_and_hold)
        else:
            far.engine.hold()
        ann.send("call2", [function, 9, {"line": ann.line, "ack": 0, "name": "room"}])
        await settle()
        assert (far.members == ["ann"]) is ((function == "channel_join") is is_done)
        far.engine.lose()
        await ann.wait_closed()
        assert [event for event, _ in ann.seen if event == "call2-ret"] == []
    async with wire_client(far.there.connect()) as again:
        assert (await resume(again, ann.line))["result"] == "ok"
        answer = await resent(again, 9, function, name="room")
        assert answer["result"] == "ok"
        assert far.members == (["ann"] if function == "channel_join" else [])


async def test_all_else_that_was_under_way_fails_and_connections_stay(far: Far) -> None:
    async with logged_in(far.here, "ann", **OURS) as ann:
        await ann.call("channel_join", name="room")
        far.engine.hold()
        asked = [
            ann.request("user_sendmsg", peer="bob", flag="v1:E:60", t="instant", content="x"),
            ann.request("channel_sendmsg", name="room", msg="x"),
            ann.request("user_set_attr", name="a", value="1"),
            ann.request("channel_query_userlist", name="room"),
        ]
        await settle()
        far.engine.lose()
        for callid in asked:
            assert (await ann.reply(callid))["result"] == "failed"
        assert (await ann.call("channel_leave", name="room"))["ecode"] == 1001
        far.engine.heal()
        assert (await ann.call("channel_leave", name="room"))["result"] == "ok"


async def test_who_comes_back_while_the_state_is_away_comes_again(
    far: Far, caplog: pytest.LogCaptureFixture
) -> None:
    async with logged_in(far.here, "ann", **OURS) as ann:
        pass
    async with wire_client(far.here.connect()) as waiting, wire_client(far.here.connect()) as late:
        far.engine.hold()
        waiting.send("line_login", {"line": ann.line})
        await settle()
        far.engine.lose()
        late.send("line_login", {"line": ann.line})
        await waiting.wait_closed()
        assert waiting.seen == []
        assert (await late.login_ret())["ecode"] == 201
    far.engine.heal()
    async with wire_client(far.here.connect()) as again:
        assert (await resume(again, ann.line))["result"] == "ok"
    assert [it for it in caplog.records if it.levelno >= logging.WARNING] == []


async def test_whoever_goes_while_the_state_is_away_has_lost_the_connection(
    far: Far, caplog: pytest.LogCaptureFixture
) -> None:
    async with logged_in(far.here, "ann", **OURS) as ann, logged_in(far.here, "bob", **OURS) as bob:
        far.engine.lose()
        ann.link.abort()
        await settle()
        bob.request("user_logout")
        await bob.wait_closed()
        far.engine.heal()
        for account in ("ann", "bob"):
            presence = far.state.presence(AccountKey(APP, account))
            assert presence is not None
            assert presence.lease_ends is not None
    assert [it for it in caplog.records if it.levelno >= logging.WARNING] == []


async def test_what_a_client_said_on_a_connection_that_it_has_given_up_ends_no_session(
    far: Far,
) -> None:
    """It comes last, behind the client's next connection to another node."""
    async with logged_in(far.there, "ann", **OURS) as ann:
        await ann.call("channel_join", name="room")
    async with wire_client(far.here.connect()) as given_up:
        far.engine.hold()
        given_up.send("line_login", {"line": ann.line, "channel": "room"})
        await settle()
    async with wire_client(far.there.connect()) as back:
        assert (await resume(back, ann.line, channel="room"))["result"] == "ok"
        far.engine.heal()
        await back.wait_closed()
        assert [event for event, _ in back.seen if event in ("kick", "close")] == []
    async with wire_client(far.there.connect()) as again:
        assert (await resume(again, ann.line, channel="room"))["channel"] == "room"
        await trio.sleep(200)
        assert far.members == ["ann"]


async def test_what_was_told_meanwhile_is_heard_afterwards(far: Far) -> None:
    async with logged_in(far.here, "ann", **OURS) as ann, logged_in(far.there, "bob") as bob:
        for client in (ann, bob):
            await client.call("channel_join", name="room")
        await told(ann)
        far.engine.lose()
        await bob.call("channel_sendmsg", name="room", msg="x")
        far.engine.heal()
        await bob.call("channel_sendmsg", name="room", msg="y")
        assert [content["msg"] for *_, content in await told(ann)] == ["x", "y"]


async def test_a_node_that_was_away_for_too_long_is_fenced_and_nobody_kicked(
    far: Far, caplog: pytest.LogCaptureFixture
) -> None:
    async with logged_in(far.here, "ann", **OURS) as ann:
        far.engine.lose()
        await trio.sleep(LIFE_SECONDS + 2)
        far.engine.heal()
        await ann.wait_closed()
        assert [event for event, _ in ann.seen if event in ("kick", "close")] == []
    async with wire_client(far.here.connect()) as again:
        assert (await resume(again, ann.line))["result"] == "ok"
    caplog.clear()


@pytest.fixture
def revoking(tmp_path: Path) -> Config:
    return attrs.evolve(CONFIG, server=ServerConfig(data=str(tmp_path)))


async def test_tokens_that_are_taken_back_meanwhile_end_their_sessions_afterwards(
    revoking: Config,
    tmp_path: Path,
    autojump_clock: MockClock,
    caplog: pytest.LogCaptureFixture,
) -> None:
    engine = FarEngine(EmbeddedEngine(), lambda: 0.0)
    async with (
        local_server(revoking, listens=False, engine=cast("Engine", engine)) as server,
        logged_in(server, "ann", token=modern("ann", 9000)) as ann,
    ):
        engine.lose()
        revoke(tmp_path, Revocation(app=APP, before=int(EPOCH) + 1))
        server.node.reload(server.node.config)
        await trio.sleep(1)
        assert "who is to be logged out is looked for again" in caplog.text
        engine.heal()
        await trio.sleep(LOOK_SECONDS + 1)
        assert (await ann.expect("close"))["ecode"] == 105
    caplog.clear()
