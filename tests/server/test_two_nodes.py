"""Two nodes of one process on one state: what is said on one is heard on the other, and one that
was silent is fenced.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import trio
from trio.testing import MockClock

from signal_sdk.server.engine.base import LIFE_SECONDS
from signal_sdk.server.engine.embedded import EmbeddedEngine
from signal_sdk.testing.server import LocalServer, local_server
from tests.server.helpers import OURS, dev_config, pushed, resume, told
from tests.wire_client import logged_in, wire_client


@pytest.fixture
async def nodes(autojump_clock: MockClock) -> AsyncIterator[tuple[LocalServer, LocalServer]]:
    engine = EmbeddedEngine()
    async with (
        local_server(dev_config(), listens=False, engine=engine) as one,
        local_server(dev_config(), listens=False, engine=engine.neighbour()) as other,
    ):
        yield one, other


async def test_channels_messages_and_kicks_go_from_node_to_node(
    nodes: tuple[LocalServer, LocalServer],
) -> None:
    one, other = nodes
    async with logged_in(one, "ann") as ann, logged_in(other, "bob") as bob:
        for client in (ann, bob):
            await client.call("channel_join", name="room")
        await bob.call("channel_sendmsg", name="room", msg="hi")
        assert [kind for _, kind, _ in await told(ann)] == ["channel_user_join", "channel_msg"]
        assert [kind for _, kind, _ in await told(bob)] == ["channel_msg"]
        await ann.call("user_sendmsg", peer="bob", flag="v1:E:60", t="instant", content="you")
        assert await pushed(bob) == [("instant", "you")]
        async with logged_in(one, "bob"):
            assert (await bob.expect("close"))["ecode"] == 103


async def test_a_node_that_was_silent_breaks_its_connections_and_its_clients_come_back(
    nodes: tuple[LocalServer, LocalServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = nodes
    sweep = other.node.engine.sweep

    async with (
        logged_in(one, "ann", **OURS) as ann,
        logged_in(other, "bob", **OURS) as bob,
        logged_in(other, "eve", **OURS) as eve,
    ):
        for client in (ann, bob):
            await client.call("channel_join", name="room")
        await eve.call("channel_join", name="hall")
        await told(ann)
        monkeypatch.setattr(other.node.engine, "sweep", lambda: None)
        await trio.sleep(LIFE_SECONDS + 2)
        assert other.node.sessions == 2
        # What it alone had subscribed to is nobody's any more.
        assert one.node.statistics().listening == 1
        async with wire_client(other.connect()) as stranger:
            monkeypatch.setattr(other.node.engine, "sweep", sweep)
            await bob.wait_closed()
            assert (one.node.sessions, other.node.sessions) == (1, 0)
            # A stranger has no session to come back to, and stays as long as it may.
            assert (await stranger.login("zoe"))["result"] == "ok"
        async with wire_client(one.connect()) as again:
            answer = await resume(again, bob.line)
            assert (answer["result"], answer["channel"]) == ("ok", "room")
        assert await told(ann) == []
