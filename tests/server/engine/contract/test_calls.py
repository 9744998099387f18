"""The engine contract: calls, from the invitation to the one end that each side hears of."""

from __future__ import annotations

import pytest
import trio

from signal_sdk.ecodes import ECode
from signal_sdk.errors import SignalError
from signal_sdk.server.engine import call_table
from signal_sdk.server.engine.base import AccountKey, Known
from signal_sdk.server.engine.bounds import Bounds
from signal_sdk.wire import events, lines
from tests.server.engine.contract.harness import ANN, BOB, House, Node, User

STEPS = (
    events.VOIP_ACK,
    events.VOIP_ACCEPT,
    events.VOIP_REFUSE,
    events.VOIP_BYE,
    events.VOIP_MSG,
)
FITS = {
    "inviting": {
        "ann": {events.VOIP_BYE},
        "bob": {events.VOIP_ACK, events.VOIP_ACCEPT, events.VOIP_REFUSE, events.VOIP_BYE},
    },
    "ringing": {
        "ann": {events.VOIP_BYE},
        "bob": {events.VOIP_ACCEPT, events.VOIP_REFUSE, events.VOIP_BYE},
    },
    "accepted": {
        "ann": {events.VOIP_BYE, events.VOIP_MSG},
        "bob": {events.VOIP_BYE, events.VOIP_MSG},
    },
}
"""Who may do what, as protocol.md tells it."""


async def two(house: House) -> tuple[User, User]:
    """Two users at two nodes."""
    return await house.node.log_in(), await (await house.add_node()).log_in(BOB)


async def state(node: Node) -> str | None:
    calls = await node.engine.calls_of(ANN)
    assert list(calls) == list(await node.engine.calls_of(BOB))
    return calls[0].state if calls else None


async def content(node: Node, key: AccountKey) -> events.CallContent:
    """The latest entry of an inbox."""
    page = await node.engine.read_inbox(key, 0, 1000)
    return events.decode_call_content(lines.decode(page.entries[-1].line))


async def brought_to(ann: User, bob: User, where: str) -> None:
    await ann.call()
    if where == "ringing":
        await bob.step(events.VOIP_ACK)
    elif where == "accepted":
        await bob.step(events.VOIP_ACCEPT)
    for user in (ann, bob):
        await user.node.take()


async def test_a_call_is_an_invitation_steps_and_an_end(house: House) -> None:
    ann, bob = await two(house)
    assert await ann.call(call_id="mine", timeout=7) is None
    (call,) = await house.engine.calls_of(BOB)
    assert (call.id, call.caller, call.callee, call.channel) == ("mine", "ann", "bob", "room")
    assert (call.extra, call.timeout) == ("extra", 7)
    assert abs((call.deadline or 0) - house.wall() - 7) < 0.1
    assert call.other("ann") == "bob"
    told = await content(house.node, BOB)
    assert (told.peer, told.peeruid, told.channel) == ("ann", ann.presence.uid, "room")
    assert (told.call, told.extra) == ("mine", "extra")
    await bob.step(events.VOIP_ACK)
    await bob.step(events.VOIP_ACCEPT)
    (call,) = await house.engine.calls_of(ANN)
    assert (call.state, call.deadline) == ("accepted", None)
    await ann.step(events.VOIP_MSG, "bob")
    await ann.step(events.VOIP_BYE, "bob")
    assert await state(house.node) is None
    assert [what for _, _, what in await ann.node.entries()] == [
        events.VOIP_ACK,
        events.VOIP_ACCEPT,
    ]
    assert [what for _, _, what in await bob.node.entries()] == [
        events.VOIP_INVITE,
        events.VOIP_MSG,
        events.VOIP_BYE,
    ]
    assert (await house.statistics()).calls == 0


@pytest.mark.parametrize("where", FITS)
async def test_every_step_in_every_state_by_either_side(house: House, where: str) -> None:
    ann, bob = await two(house)
    for user, peer in ((ann, "bob"), (bob, "ann")):
        for kind in STEPS:
            await brought_to(ann, bob, where)
            other = bob if user is ann else ann
            if kind in FITS[where][user.key.account]:
                assert await user.step(kind, peer) is None
                assert [what for _, _, what in await other.node.entries()] == [kind]
            else:
                with pytest.raises(SignalError, match=f"does not fit a call that is {where}") as no:
                    await user.step(kind, peer)
                assert no.value.ecode is ECode.INVITE_E_OTHER
                assert await other.node.entries() == []
                assert await state(house.node) == where
            if await state(house.node) is not None:
                await ann.step(events.VOIP_BYE, "bob")


async def test_of_a_call_there_is_one_whoever_of_the_two_began_it(house: House) -> None:
    ann, bob = await two(house)
    await ann.call()
    for user, peer in ((ann, "bob"), (bob, "ann")):
        with pytest.raises(SignalError, match="is alive already") as caught:
            await user.call(peer)
        assert caught.value.ecode is ECode.INVITE_E_REINVITE
    await bob.call("ann", "hall")
    assert len(await house.engine.calls_of(ANN)) == 2
    with pytest.raises(SignalError, match="there is no call with 'bob' about the channel 'x'"):
        await ann.step(events.VOIP_BYE, "bob", "x")


async def test_somebody_who_is_away_may_be_called_unless_the_caller_minds(node: Node) -> None:
    ann = await node.log_in()
    with pytest.raises(SignalError, match=call_table.PEER_NOT_ONLINE) as caught:
        await ann.call("nobody", is_online=True)
    assert caught.value.ecode is ECode.INVITE_E_PEEROFFLINE
    assert (await node.statistics()).accounts == 1
    await ann.call("nobody")
    nobody = AccountKey("app", "nobody")
    assert len(await node.engine.calls_of(nobody)) == 1
    assert await node.house.inbox(nobody) != []
    # An invitation that nobody fetched in time is void, and the other side is told nothing.
    await trio.sleep(21)
    assert await node.house.inbox(nobody) == []
    assert [what for _, _, what in await node.entries()] == [events.VOIP_FAILED]
    assert (await content(node, ANN)).ecode == ECode.INVITE_E_PEEROFFLINE
    assert (await node.statistics()).accounts == 1


@pytest.mark.parametrize("where", ["inviting", "ringing"])
async def test_a_call_that_nobody_answers_runs_out_once_and_both_sides_hear(
    house: House, where: str
) -> None:
    ann, bob = await two(house)
    await ann.call()
    await trio.sleep(15)
    if where == "ringing":
        await bob.step(events.VOIP_ACK)
        await trio.sleep(15)
    await ann.node.take()
    await bob.node.take()
    await trio.sleep(4)
    assert await state(house.node) == where
    await trio.sleep(2)
    assert await state(house.node) is None
    assert [what for _, _, what in await ann.node.entries()] == [events.VOIP_FAILED]
    assert [what for _, _, what in await bob.node.entries()] == [events.VOIP_BYE]
    told = await content(house.node, ANN)
    assert (told.ecode, told.peer, told.extra) == (ECode.INVITE_E_TIMEOUT, "bob", "extra")
    await trio.sleep(60)
    assert await ann.node.take() == await bob.node.take() == []


async def test_a_call_that_was_answered_has_no_deadline(house: House) -> None:
    ann, bob = await two(house)
    await ann.call(timeout=5)
    await bob.step(events.VOIP_ACCEPT)
    await trio.sleep(60)
    assert await state(house.node) == "accepted"
    assert (await house.statistics()).due == 0
    assert await ann.step(events.VOIP_BYE, "bob") is None


@pytest.mark.parametrize("how", ["ends", "expires", "lease", "taken over"])
async def test_a_call_ends_with_the_presence_of_either_side(house: House, how: str) -> None:
    ann, bob = await two(house)
    await ann.call()
    await bob.call("ann", "hall", timeout=500)
    await bob.step(events.VOIP_ACCEPT)
    for user in (ann, bob):
        await user.node.take()
    if how == "taken over":
        await bob.node.log_in(BOB)
    elif how == "lease":
        await bob.disconnect()
        await trio.sleep(121)
    else:
        await bob.end(expires=how == "expires")
    assert await state(house.node) is None
    kinds = [what for _, _, what in await ann.node.entries()]
    assert kinds == [events.VOIP_BYE, events.VOIP_BYE]
    # Of whom it comes is offline.
    assert (await content(house.node, ANN)).peeruid == 0
    assert (await house.statistics()).calls == 0


async def test_a_call_begins_and_ends_even_where_an_inbox_is_full(house: House) -> None:
    ann, bob = await two(house)
    house.engine.bound(Bounds(inbox_messages=1))
    await ann.post("x")
    for number in range(3):
        await ann.call("bob", f"{number}", call_id=f"{number}")
    assert len(await house.engine.calls_of(BOB)) == 3
    # There is a little more room for calls.
    assert len(await house.inbox(BOB)) == 2
    await ann.end()
    assert await house.engine.calls_of(BOB) == []
    assert await bob.end()


async def test_a_request_that_comes_again_begins_no_call_and_takes_no_step(house: House) -> None:
    ann, bob = await two(house)
    for outcome in (None, Known("called")):
        assert await ann.call(asked=ann.asked(1, reply="called")) == outcome
    for outcome in (None, Known("ended")):
        assert await bob.step(events.VOIP_BYE, asked=bob.asked(1, reply="ended")) == outcome
    # Also where the call that it began is over.
    assert await ann.call(asked=ann.asked(1)) == Known("called")
    assert await state(house.node) is None
    assert [what for _, _, what in await ann.node.entries()] == [events.VOIP_BYE]
    assert [what for _, _, what in await bob.node.entries()] == [events.VOIP_INVITE]


@pytest.mark.parametrize("how", ["stopped", "killed"])
async def test_a_calls_deadline_goes_on_in_the_next_process(lasting: House, how: str) -> None:
    ann, bob = await lasting.node.log_in(), await lasting.node.log_in(BOB)
    await ann.call(timeout=30)
    await ann.call("bob", "hall", timeout=30, call_id="other")
    await bob.step(events.VOIP_ACCEPT, channel="hall")
    await trio.sleep(10)
    node = await lasting.reopen(how)
    ann, bob = await node.resume(), await node.resume(BOB)
    assert len(await node.engine.calls_of(ANN)) == 2
    await trio.sleep(19)
    assert await node.take() == []
    await trio.sleep(2)
    assert sorted(what for _, _, what in await node.entries()) == [
        events.VOIP_BYE,
        events.VOIP_FAILED,
    ]
    (call,) = await node.engine.calls_of(ANN)
    assert (call.channel, call.state) == ("hall", "accepted")
    await ann.step(events.VOIP_BYE, "bob", "hall")
    assert [what for _, _, what in await node.entries()] == [events.VOIP_BYE]
