"""The engine contract: inboxes."""

from __future__ import annotations

import attrs
import pytest
import trio

from signal_sdk.ecodes import ECode
from signal_sdk.server.engine.base import AccountKey, Known
from signal_sdk.server.engine.bounds import Bounds, QuotaError
from tests.server.engine.contract.harness import ANN, BOB, House, Node

NOBODY = AccountKey("app", "nobody")


async def test_versions_rise_by_one_and_each_entry_is_delivered(house: House) -> None:
    here, there = house.node, await house.add_node()
    ann = await here.log_in()
    await there.log_in(BOB)
    for text in "abc":
        assert await ann.post(text) is None
    assert await there.entries() == [("bob", 1, "a"), ("bob", 2, "b"), ("bob", 3, "c")]
    assert await here.take() == []


async def test_an_entry_for_somebody_who_is_away_waits(node: Node) -> None:
    ann = await node.log_in()
    bob = await node.log_in(BOB)
    await bob.disconnect()
    await ann.post("for a lease", to=BOB)
    await ann.post("for nobody", to=NOBODY)
    await node.take()
    assert await node.house.inbox(BOB) == [(1, "for a lease")]
    assert await node.house.inbox(NOBODY) == [(1, "for nobody")]


async def test_an_entry_is_delivered_when_it_is_durable(lasting: House) -> None:
    ann = await lasting.node.log_in()
    await lasting.settle()
    heard = lasting.node.heard.all
    durable: list[int] = []
    await ann.post("x", to=ANN)
    lasting.engine.when_durable(lambda error: durable.append(len(heard)))
    assert (heard, durable) == ([], [])
    await lasting.settle()
    # And who asked before is told before.
    assert durable == [1]


async def test_a_page_holds_what_comes_next_and_clearing_is_for_good(node: Node) -> None:
    ann = await node.log_in()
    for text in "abcd":
        await ann.post(text)
    engine = node.engine
    page = await engine.read_inbox(BOB, 0, 3)
    assert page.ver_clear == 0
    assert await node.house.inbox(BOB, 0, 3) == [(1, "a"), (2, "b"), (3, "c")]
    page = await engine.read_inbox(BOB, 3, 3)
    assert (page.ver_clear, [entry.version for entry in page.entries]) == (3, [4])
    # A fresh client says 0, and gets what is pending, never what was cleared.
    page = await engine.read_inbox(BOB, 0, 3)
    assert (page.ver_clear, [entry.version for entry in page.entries]) == (3, [4])


async def test_a_version_that_was_never_given_clears_nothing(node: Node) -> None:
    """A page that lived through a server's restart still counts as the one before did."""
    ann = await node.log_in()
    await ann.post("a")
    page = await node.engine.read_inbox(BOB, 50, 3)
    assert (page.ver_clear, [entry.version for entry in page.entries]) == (0, [1])


async def test_versions_never_restart(node: Node) -> None:
    ann = await node.log_in()
    for _ in range(3):
        await ann.post("a")
    page = await node.engine.read_inbox(BOB, 3, 30)
    assert (page.ver_clear, list(page.entries)) == (3, [])
    # Nothing of that account is kept any more, and yet.
    assert (await node.statistics()).accounts == 1
    await ann.post("b")
    assert await node.house.inbox(BOB) == [(4, "b")]


async def test_an_entry_is_gone_when_its_time_is_over(node: Node) -> None:
    ann = await node.log_in()
    for text, ttl in (("long", 100), ("short", 10), ("long too", 100)):
        await ann.post(text, ttl=ttl)
    await trio.sleep(9)
    assert [text for _, text in await node.house.inbox(BOB)] == ["long", "short", "long too"]
    await trio.sleep(2)
    assert [text for _, text in await node.house.inbox(BOB)] == ["long", "long too"]
    await trio.sleep(90)
    assert (await node.statistics()).accounts == 1
    page = await node.engine.read_inbox(BOB, 0, 30)
    assert (page.ver_clear, list(page.entries)) == (3, [])


async def test_a_wall_clock_that_is_set_forward_ends_what_is_good_until_then(house: House) -> None:
    ann = await house.node.log_in()
    await ann.post("x", ttl=100)
    house.ahead = 101
    # Unless the engine's is not the node's.
    assert await house.inbox(BOB) == ([(1, "x")] if house.backend.has_clock else [])
    # But nobody's waiting, which goes by another clock.
    await ann.disconnect()
    house.ahead = 5000
    await trio.sleep(100)
    assert await house.engine.presence(ANN) is not None


async def test_a_full_inbox_takes_nothing_until_there_is_room(node: Node) -> None:
    node.engine.bound(Bounds(inbox_messages=5))
    ann = await node.log_in()
    await node.log_in(BOB)
    await ann.post("soon over", ttl=10)
    for _ in range(4):
        await ann.post("x")
    await node.take()
    with pytest.raises(QuotaError, match="the inbox of 'bob' is full"):
        await ann.post("too much", asked=ann.asked(1))
    assert await node.take() == []
    await trio.sleep(10)
    # It was refused, and nothing is kept of that.
    assert await ann.post("fits now", asked=ann.asked(1)) is None
    assert await node.entries() == [("bob", 6, "fits now")]
    with pytest.raises(QuotaError):
        await ann.post("too much")


async def test_a_sender_has_a_share_of_an_inbox(node: Node) -> None:
    node.engine.bound(Bounds(inbox_sender_messages=2, inbox_messages=3))
    ann, bob, carol = [await node.log_in(AccountKey("app", name)) for name in ("ann", "bob", "c")]
    for _ in range(2):
        await bob.post("x", to=ANN)
    with pytest.raises(QuotaError, match="2 messages of 'bob' wait for 'ann' already") as caught:
        await bob.post("x", to=ANN)
    assert caught.value.ecode is ECode.SENDMESSAGE_E_OTHER
    await carol.post("x", to=ANN)
    await bob.post("x", to=BOB)
    # What is handled counts no more.
    await node.engine.read_inbox(ANN, 1, 30)
    await bob.post("x", to=ANN)
    assert await ann.end()


async def test_an_entry_that_comes_again_is_put_in_once(node: Node) -> None:
    ann = await node.log_in()
    await node.log_in(BOB)
    outcomes = [await ann.post("x", asked=ann.asked(1, reply=f"{n}")) for n in range(3)]
    assert outcomes == [None, Known("0"), Known("0")]
    assert await node.entries() == [("bob", 1, "x")]
    assert await node.house.inbox(BOB) == [(1, "x")]


@pytest.mark.parametrize("how", ["stopped", "killed"])
async def test_what_waits_is_there_again_and_no_version_comes_twice(
    lasting: House, how: str
) -> None:
    ann = await lasting.node.log_in()
    for text in "abc":
        await ann.post(text)
    await lasting.engine.read_inbox(BOB, 1, 30)
    node = await lasting.reopen(how)
    assert await lasting.inbox(BOB) == [(2, "b"), (3, "c")]
    ann = await node.resume()
    await ann.post("d")
    *_, (version, text) = await lasting.inbox(BOB)
    assert (version > 3, text) == (True, "d")
    assert (version == 4) is (how == "stopped")


async def test_what_is_there_already_may_stay_where_a_bound_is_lowered(node: Node) -> None:
    ann = await node.log_in()
    for _ in range(4):
        await ann.post("x")
    node.engine.bound(attrs.evolve(Bounds(), inbox_messages=2))
    assert len(await node.house.inbox(BOB)) == 4
    with pytest.raises(QuotaError):
        await ann.post("x")


async def test_who_was_forgotten_begins_behind_in_the_next_process(lasting: House) -> None:
    """Also in the one after that: a client may have seen what it was given."""
    for number in (1, 2, 3):
        bob = await lasting.node.log_in(BOB)
        assert bob.generation == number
        await bob.post("x", BOB)
        assert await lasting.inbox(BOB) == [(number, "x")]
        await lasting.inbox(BOB, number)
        await bob.end()
        assert (await lasting.statistics()).accounts == 0
        await lasting.reopen()
