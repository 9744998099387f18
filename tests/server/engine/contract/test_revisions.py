"""The engine contract: the numbers that changes have, of which none is given twice."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import attrs
import pytest

from signal_sdk.errors import SignalError
from signal_sdk.server.engine.base import AccountKey
from tests.server.engine.contract.harness import ANN, BOB, BOUNDS, ROOM, House, Node

APP = ANN.app


async def test_each_change_of_an_attribute_has_the_next_number_of_its_app(house: House) -> None:
    here, there = house.node, await house.add_node()
    assert await here.engine.last_revision(APP) == 0
    ann, bob = await here.log_in(), await there.log_in(BOB)
    assert await there.engine.last_revision(APP) == 0

    async def delete() -> None:
        await here.engine.del_channel_attr(ann.asked(), "room", "b", members_only=False)

    async def clear() -> None:
        await here.engine.clear_channel_attrs(ann.asked(), "room", members_only=False)

    changes: list[Callable[[], Awaitable[object]]] = [
        lambda: ann.set_own("a", 1),
        lambda: bob.set_own("a", 1),
        lambda: bob.set("b", 1),
        delete,
        lambda: ann.set("b", 2),
        clear,
        lambda: there.engine.put_user_attr(ANN, "a", 2),
        lambda: here.engine.drop_user_attr(ANN, "a"),
        lambda: here.engine.put_channel_attr(ROOM, "c", 1),
        lambda: there.engine.drop_channel_attr(ROOM, "c"),
    ]
    for number, change in enumerate(changes, 1):
        await change()
        for node in (here, there):
            assert await node.engine.last_revision(APP) == number
    other = await here.log_in(AccountKey("other", "ann"))
    await other.set_own("a", 1)
    assert await here.engine.last_revision("other") == 1
    assert await here.engine.last_revision(APP) == len(changes)


async def test_what_is_refused_or_comes_again_has_no_number(node: Node) -> None:
    node.engine.bound(attrs.evolve(BOUNDS, attributes=1))
    ann = await node.log_in()
    for _ in range(2):
        await node.engine.set_user_attr(ann.asked(1), "a", 1)
    with pytest.raises(SignalError, match="the most allowed"):
        await ann.set_own("b", 1)
    with pytest.raises(SignalError, match="has no attribute"):
        await node.engine.del_channel_attr(ann.asked(), "room", "a", members_only=False)
    await node.engine.clear_channel_attrs(ann.asked(), "nowhere", members_only=False)
    assert await node.engine.last_revision(APP) == 1


@pytest.mark.parametrize("how", ["stopped", "killed"])
async def test_no_number_is_given_twice_by_the_next_process(lasting: House, how: str) -> None:
    given = 0
    for round_ in range(3):
        ann = await lasting.node.log_in()
        await ann.set_own("a", round_)
        await lasting.settle()
        number = await lasting.engine.last_revision(APP)
        assert number > given if how == "killed" else number == given + 1
        # What is not committed has its number, too, and somebody may have heard of it.
        await ann.set_own("a", "last")
        given = await lasting.engine.last_revision(APP)
        if how == "stopped":
            await lasting.settle()
            await ann.end()
        await lasting.reopen(how)
