"""What an engine says of itself to whoever measures: of each app that is asked for, and of all
others together.
"""

from __future__ import annotations

import pytest
import trio

from signal_sdk.server.engine import call_table
from signal_sdk.server.engine.base import AccountKey
from signal_sdk.wire import events
from tests.server.engine.contract.harness import ANN, BOB, Node

CARL = AccountKey("app", "carl")
OTHER = AccountKey("another", "ann")


async def test_each_app_is_told_apart_where_that_is_asked_for(node: Node) -> None:
    ann, _, other = await node.log_in(ANN), await node.log_in(BOB), await node.log_in(OTHER)
    await ann.join()
    await other.join()
    await ann.post("hello", to=BOB)
    assert (await node.statistics()).online == 3
    measures = node.engine.measures(("app", "nobody's"))
    assert set(measures.apps) == {"", "app", "nobody's"}
    found = {app: (it.accounts, it.online, it.channels) for app, it in measures.apps.items()}
    assert found == {"app": (2, 2, 1), "nobody's": (0, 0, 0), "": (1, 1, 1)}
    together = node.engine.measures(()).apps
    assert set(together) == {""}
    assert (together[""].accounts, together[""].online, together[""].channels) == (3, 3, 2)
    assert (together[""].members, together[""].entries) == (2, 1)
    assert together[""].bytes


async def test_calls_are_counted_by_their_states_and_ends(node: Node) -> None:
    ann, bob = await node.log_in(ANN), await node.log_in(BOB)

    async def calls() -> dict[str, int]:
        await node.statistics()
        return {state: count for state, count in node.engine.measures(()).calls.items() if count}

    assert await calls() == {}
    await ann.call()
    assert await calls() == {call_table.INVITING: 1}
    await bob.step(events.VOIP_ACK)
    assert await calls() == {call_table.RINGING: 1}
    await bob.step(events.VOIP_ACCEPT)
    assert await calls() == {call_table.ACCEPTED: 1}
    await bob.step(events.VOIP_BYE)
    assert await calls() == {}
    await ann.call()
    await bob.step(events.VOIP_REFUSE)
    await ann.call(timeout=5)
    await trio.sleep(10)
    await ann.call("carl", timeout=5)
    await trio.sleep(10)
    await ann.call()
    await node.engine.kick(BOB)
    await ann.call("carl")
    assert await node.engine.end_call(key := call_table.call_key("app", "room", "ann", "carl"), "")
    assert not await node.engine.end_call(key, "")
    assert await calls() == {}
    measures = node.engine.measures(())
    assert measures.invited == 6
    assert dict(measures.ended or {}) == {
        "bye": 1,
        "refused": 1,
        "unanswered": 1,
        "offline": 1,
        "gone": 1,
        "operator": 1,
    }


async def test_the_age_of_what_waits_is_that_of_the_eldest(node: Node) -> None:
    ann = await node.log_in(ANN)
    assert node.engine.measures(()).oldest_seconds == 0
    await ann.post("first", to=BOB)
    await trio.sleep(60)
    # That this one ends sooner says nothing of its age.
    await ann.post("second", to=CARL, ttl=30)
    await trio.sleep(3)
    found = node.engine.measures(()).oldest_seconds
    assert found == pytest.approx(63, abs=2)
    await node.engine.read_inbox(BOB, 1, 10)
    await trio.sleep(5)
    assert node.engine.measures(()).oldest_seconds == pytest.approx(8, abs=2)
    await trio.sleep(40)
    assert node.engine.measures(()).oldest_seconds == 0
