"""The engine contract: many at once, at several nodes, over every engine; whoever listens knows at
the end who is there, and has heard each announcement once and in order.
"""

from __future__ import annotations

import random

import pytest
import trio

from signal_sdk.errors import SignalError
from signal_sdk.server.engine.base import AccountKey, ChannelKey
from tests.server.engine.contract.harness import (
    HALL,
    MOVES,
    ONLINE,
    ROOM,
    House,
    Node,
    User,
    brief,
    line_digest,
)

CHANNELS = (ROOM, HALL)


def known_by(node: Node) -> tuple[dict[ChannelKey, list[str]], set[str]]:
    """Who is where, and who is online, by what the node has heard."""
    rosters: dict[ChannelKey, list[str]] = {key: [] for key in CHANNELS}
    online: set[str] = set()
    latest: dict[ChannelKey, int] = {}
    for _, key, msgid, content in [it for it in node.heard.all if it[0] == "event"]:
        assert msgid == latest.get(key, msgid - 1) + 1
        latest[key] = msgid
        what, *rest = brief(content)
        if key in rosters and what == "join":
            assert rest[0] not in rosters[key]
            rosters[key].append(rest[0])
        elif key in rosters and what == "leave":
            rosters[key].remove(rest[0])
        elif what == "online":
            assert rest[1] not in online
            online.add(rest[1])
        elif what == "offline":
            online.remove(rest[1])
    return rosters, online


async def live(nodes: list[Node], key: AccountKey, moments: random.Random) -> None:
    """What one account does, at this node and that, as it comes; some of it too late."""
    sessions: list[User] = []
    for number in range(12):
        node = moments.choice(nodes)
        user = moments.choice(sessions[-2:]) if sessions else None
        try:
            match moments.randrange(7):
                case 0 | 1:
                    keeps = moments.random() < 0.5
                    sessions.append(await node.log_in(key, line=f"{number}", keeps=keeps))
                case 2 if user is not None:
                    found = await node.engine.resume(user.presence.line_digest)
                    if found is not None:
                        sessions.append(User(node, *found))
                case 3 if user is not None:
                    await user.disconnect()
                case 4 if user is not None:
                    await user.end()
                case 5 if user is not None:
                    await user.leave(moments.choice(CHANNELS).channel)
                case _ if user is not None:
                    await user.join(moments.choice(CHANNELS).channel)
        except SignalError:
            # It is the session no more, or not in there.
            pass
        await trio.sleep(moments.random() / 500)


@pytest.mark.parametrize("seed", range(6))
async def test_whoever_listens_knows_who_is_there(house: House, seed: int) -> None:
    nodes = [house.node, await house.add_node(), await house.add_node()]
    for number, special in enumerate((ONLINE, MOVES)):
        watcher = await house.node.log_in(AccountKey("app", f"watcher{number}"))
        await watcher.join(special.channel)
    for node in nodes:
        for channel in (ONLINE, *CHANNELS):
            await node.engine.subscribe(channel)
        await node.take()
    keys = [AccountKey("app", f"u{number}") for number in range(6)]
    async with trio.open_nursery() as nursery:
        for number, key in enumerate(keys):
            # Two at a time are of the same account.
            for turn in range(2):
                moments = random.Random(seed * 100 + number * 2 + turn)
                nursery.start_soon(live, nodes, key, moments)
    await house.settle()
    truth = {it: await house.members(it) for it in CHANNELS}
    online = {key.account for key, _ in await house.engine.online() if key in keys}
    assert len(online) > 0
    for node in nodes:
        assert known_by(node) == (truth, online)
    for key in keys:
        presence = await house.engine.presence(key)
        where = [it.channel for it in CHANNELS if key.account in truth[it]]
        assert where == ([presence.channel] if presence and presence.channel else [])
    # Everybody is told exactly once that the account was taken over.
    kicks = [it for node in nodes for it in node.heard.all if it[0] == "kick"]
    assert len(kicks) == len(set(kicks))
    for key in keys:
        presence = await house.engine.presence(key)
        if presence is not None:
            assert await house.engine.end(key, presence.generation)
            assert await house.engine.resume(line_digest(key, "0")) is None
    await house.settle()
    assert all(known_by(node) == ({ROOM: [], HALL: []}, set()) for node in nodes)
