"""What an engine says of itself to whoever measures: of each app that is asked for, and of all
others together.
"""

from __future__ import annotations

from signal_sdk.server.engine.base import AccountKey
from tests.server.engine.contract.harness import ANN, BOB, Node

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
    if together[""].members is not None:
        assert (together[""].members, together[""].entries) == (2, 1)


async def test_live_calls_are_counted(node: Node) -> None:
    ann, _ = await node.log_in(ANN), await node.log_in(BOB)
    assert sum(node.engine.measures(()).calls.values()) == 0
    await ann.call()
    await node.statistics()
    assert sum(node.engine.measures(()).calls.values()) == 1
