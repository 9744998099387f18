"""The engine contract: each kind of what is due is done once, whichever nodes there are, and where
all of them were away, by the next.
"""

from __future__ import annotations

from typing import Any

import pytest
import trio

from signal_sdk.server.engine.base import AccountKey
from signal_sdk.wire import built_in, events
from tests.server.engine.contract.harness import HALL, ROOM, House, Node, User

WATCHER = AccountKey("app", "watcher")
DUE_SECONDS = 30


async def one_of_each(node: Node) -> list[User]:
    """A lease, a token, a call, a channel that is empty and a count, all due in `DUE_SECONDS`."""
    users = {
        name: await node.log_in(AccountKey("app", name)) for name in ("lost", "caller", "called")
    }
    users["token"] = await node.log_in(
        AccountKey("app", "token"), token_expires=int(node.house.wall()) + DUE_SECONDS
    )
    for name in ("lost", "token"):
        await users[name].join()
    await users["caller"].call("called", timeout=DUE_SECONDS)
    await users["caller"].set(built_in.CHANNEL_TTL, DUE_SECONDS, "hall")
    await users["caller"].set(built_in.AUTO_UPDATE_NUM, DUE_SECONDS)
    await users["lost"].set_own(built_in.CONN_TIMEOUT, DUE_SECONDS)
    await users["lost"].disconnect()
    return list(users.values())


async def done(node: Node) -> dict[str, Any]:
    """What a node has heard, by kinds; and whether the channel is there."""
    told = await node.told()
    return {
        "left": sorted(it[1] for it in told if it[0] == "leave"),
        "counts": sum(it[0] == "set" for it in told),
        "expired": [account for _, account, _ in await node.take("expiry")],
        "entries": sorted(it[2] for it in await node.entries()),
        "hall": dict(await node.engine.channel_attrs(HALL)) != {},
    }


NOTHING = {"left": [], "counts": 0, "expired": [], "entries": [], "hall": True}


@pytest.mark.parametrize("others", [0, 2])
async def test_each_kind_is_done_once_by_some_node(house: House, others: int) -> None:
    nodes = [house.node, *[await house.add_node() for _ in range(others)]]
    for node in nodes:
        await node.engine.subscribe(ROOM)
    await one_of_each(house.node)
    for node in nodes:
        await node.take()
    await trio.sleep(DUE_SECONDS - 3)
    assert [await done(node) for node in nodes] == [NOTHING] * len(nodes)
    await trio.sleep(6)
    heard = [await done(node) for node in nodes]
    everybody = {"left": ["lost", "token"], "hall": False}
    assert all(everybody.items() <= it.items() for it in heard)
    # At what moment of that second it is told, there is nobody left.
    assert all(it["counts"] <= 1 for it in heard)
    assert heard[0]["expired"] == ["token"]
    assert heard[0]["entries"] == sorted([events.VOIP_BYE, events.VOIP_FAILED])
    assert all(it["expired"] == it["entries"] == [] for it in heard[1:])
    await trio.sleep(DUE_SECONDS * 2)
    assert [await node.take() for node in nodes] == [[]] * len(nodes)
    statistics = await house.statistics()
    # The channel that is empty now is all that is left to end.
    assert (statistics.due, statistics.calls, statistics.online) == (1, 0, 2)


@pytest.mark.parametrize("how", ["stopped", "killed"])
async def test_what_was_due_while_nobody_was_there_is_done_at_the_start(
    lasting: House, how: str
) -> None:
    await one_of_each(lasting.node)
    await lasting.settle()
    if how == "killed":
        lasting.backend.all_gone(are_killed=True)
    for node in list(lasting.nodes):
        await node.stop()
    if how == "stopped":
        lasting.backend.all_gone()
    await trio.sleep(DUE_SECONDS + 5)
    node = await lasting.add_node()
    await trio.sleep(2)
    assert (await node.statistics()).calls == 0
    assert dict(await node.engine.channel_attrs(HALL)) == {}
    # Who was connected at the end has a lease from now on; whose lease ran out is gone.
    assert await lasting.members() == ["token"]
    assert {key.account for key, _ in await node.engine.online()} == {"token", "caller", "called"}
    assert [what for _, what in await lasting.inbox(AccountKey("app", "caller"))] != []
    await trio.sleep(built_in.MAX_CONN_TIMEOUT_SECONDS)
    assert (await node.statistics()).online == 0


async def test_a_process_that_sets_its_wall_clock_does_not_end_what_waits(house: House) -> None:
    await one_of_each(house.node)
    await house.node.take()
    house.ahead = 10_000
    await trio.sleep(DUE_SECONDS - 5)
    assert (await house.statistics()).online == 4
    await trio.sleep(8)
    assert (await house.statistics()).online == 2
