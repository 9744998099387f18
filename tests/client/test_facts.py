"""What the client tells a sink, with nothing of the API above it."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from signal_sdk.client import outgoing
from signal_sdk.client.backoff import Backoff
from signal_sdk.client.call_side import (
    CallEnded,
    CallFact,
    CallFailed,
    CallSide,
    CallStepped,
    InvitationRefused,
    Invited,
)
from signal_sdk.client.call_states import CallState, CallStep
from signal_sdk.client.crew import Crew
from signal_sdk.client.dispatcher import Dispatcher
from signal_sdk.client.facts import (
    ChannelFact,
    EventsMissed,
    Gap,
    Joined,
    JoinFailed,
    Left,
    LoggedIn,
    LoggedOut,
    LoginFailed,
    MessageReceived,
    OperationFailed,
    PassedOver,
    Reconnected,
    Reconnecting,
)
from signal_sdk.client.log import Log
from signal_sdk.client.session import SessionClient, SessionFact
from signal_sdk.client.shared import Shared
from signal_sdk.ecodes import ECode
from signal_sdk.errors import SignalError
from signal_sdk.net.reactor import Reactor
from signal_sdk.wire import events, functions
from tests.client.fakes import TOKEN, FakeServer, Peer


class World:
    """A session and all that it has told, in order."""

    def __init__(self, server: FakeServer, reactor: Reactor) -> None:
        self.told: list[SessionFact | ChannelFact | CallFact] = []
        shared = Shared(appid="app", dialer=server, reactor=reactor, log=Log(), backoff=Backoff())
        self.client = SessionClient(
            shared, account="alice", token=TOKEN, sink=self.tell, dispatcher=Dispatcher(Crew())
        )

    def tell(self, fact: SessionFact | ChannelFact | CallFact) -> None:
        self.told.append(fact)
        match fact:
            case Invited(side=side):
                side.sink = self.tell
            case _:
                pass
        turn = getattr(fact, "turn", None)
        if turn is not None:
            turn.begin()
            turn.end()

    def take(self) -> list[Any]:
        """What was told since the last time."""
        told, self.told = self.told, []
        return told


@pytest.fixture
async def world(server: FakeServer, nursery: trio.Nursery) -> World:
    reactor = Reactor()
    nursery.start_soon(reactor.run)
    world = World(server, reactor)
    nursery.start_soon(world.client.run)
    return world


@pytest.fixture
async def peer(world: World, server: FakeServer) -> Peer:
    peer = await server.accept_login()
    await world.client.logged_in
    assert world.take() == [LoggedIn(7)]
    return peer


async def join(world: World, peer: Peer) -> None:
    member = world.client.channels.membership("room")
    member.sink = world.tell
    world.client.channels.join(member)
    await peer.answer("channel_join", list=[["bob", 2]], num=1, attrs={"a": "x"}, msgid=4)
    await member.joined


async def test_a_channel_s_facts_are_the_wire_s_own_between_its_beginning_and_its_end(
    world: World, peer: Peer, autojump_clock: MockClock
) -> None:
    await join(world, peer)
    assert world.take() == [Joined([("bob", 2)], {"a": "x"})]
    said = events.ChannelMessage(channel="room", account="bob", uid=2, msg="hello", id="x")
    mine = events.ChannelUserJoin(channel="room", account="alice", uid=7)
    gone = events.ChannelUserLeave(channel="room", account="bob", uid=2)
    contents: list[events.ChannelContent] = [said, said, mine, gone, gone]
    for msgid, content in enumerate(contents, 5):
        peer.channel_event(msgid, content)
    await wait_all_tasks_blocked()
    # Once each, and of one's own coming nothing.
    assert world.take() == [said, gone]
    peer.channel_event(12, said)
    peer.send("kick", {})
    await world.client.ended
    assert world.take() == [
        EventsMissed("room", Gap(9, 12)),
        Left(ECode.LEAVECHANNEL_E_LOGOUT),
        LoggedOut(ECode.LOGOUT_E_KICKED),
    ]


async def test_a_membership_that_there_is_is_not_made_again(
    world: World, peer: Peer, autojump_clock: MockClock
) -> None:
    await join(world, peer)
    member = world.client.channels.membership("room")
    assert member.sink is not None
    assert world.client.channels.membership("another").sink is None


async def test_a_join_that_is_refused_says_why(
    world: World, peer: Peer, autojump_clock: MockClock
) -> None:
    member = world.client.channels.membership("room")
    member.sink = world.tell
    world.client.channels.join(member)
    callid, _ = await peer.expect_call("channel_join")
    peer.refuse(callid, ECode.JOINCHANNEL_E_OTHER, "full")
    await wait_all_tasks_blocked()
    [fact] = world.take()
    assert isinstance(fact, JoinFailed)
    assert (fact.error.ecode, fact.error.reason) == (ECode.JOINCHANNEL_E_OTHER, "full")
    assert member.is_over


async def test_each_entry_has_its_turn_whether_it_is_news_or_not(
    world: World, peer: Peer, autojump_clock: MockClock
) -> None:
    peer.push_line(1, "msg-v3 2.9 bob alice v1:E:3600 instant 1 hello")
    peer.push_line(2, "msg-v3 2.9 bob alice v1:E:3600 instant 1 hello")
    peer.push_line(3, "msg-v3 2.10 bob alice v1:E:3600 no_such_type 1 {}")
    await wait_all_tasks_blocked()
    first, *others = world.take()
    assert isinstance(first, MessageReceived)
    assert (first.account, first.text) == ("bob", "hello")
    assert [type(fact) for fact in others] == [PassedOver, PassedOver]
    await trio.sleep(5)
    # All three turns are over: the server hears so.
    assert await peer.answer("user_getmsg", ver_clear=3, msgs=[]) == {"ver_clear": 3}


async def test_a_call_s_facts_are_told_to_its_side(
    world: World, peer: Peer, autojump_clock: MockClock
) -> None:
    peer.push_call(1, "voip_invite", call="c", extra="hi")
    await peer.answer("voip_invite_ack")
    [invited] = world.take()
    side = invited.side
    assert isinstance(side, CallSide)
    assert (side.peer, side.channel, side.extra) == ("bob", "room", "hi")
    assert side.state is CallState.INCOMING
    peer.push_call(2, "voip_invite_msg", call="c", extra="12#")
    world.client.calls.take_step(side, CallStep.END, "bye")
    await peer.answer("voip_invite_bye")
    await wait_all_tasks_blocked()
    stepped, ended = world.take()
    assert isinstance(stepped, CallStepped)
    assert (stepped.side, stepped.step, stepped.extra) == (side, CallStep.PEER_SENT, "12#")
    assert ended == CallEnded(side, "bye")


async def test_a_call_that_is_refused_is_not_one_that_fails(
    world: World, peer: Peer, autojump_clock: MockClock
) -> None:
    calls = world.client.calls
    refused, failed = (calls.outgoing("room", peer, "") for peer in ("bob", "ann"))
    for side in (refused, failed):
        side.sink = world.tell
        calls.invite(side, side.channel, side.peer, "")
    callid, _ = await peer.expect_call("voip_invite")
    peer.refuse(callid, ECode.INVITE_E_OTHER, "no")
    await peer.answer("voip_invite")
    peer.push_call(1, "voip_invite_failed", peer="ann", ecode=704, call=failed.id)
    await wait_all_tasks_blocked()
    one, other = world.take()
    assert isinstance(one, InvitationRefused)
    assert (one.side, one.error.reason) == (refused, "no")
    assert isinstance(other, CallFailed)
    assert (other.side, other.ecode) == (failed, ECode.INVITE_E_TIMEOUT)


async def test_an_operation_that_fails_unheard_is_a_fact(
    world: World, peer: Peer, autojump_clock: MockClock
) -> None:
    operation = outgoing.send_message(
        world.client.requests,
        lambda: functions.ChannelSendMessage(channel="room", msg="hi", message_id="1"),
    )
    callid, _ = await peer.expect_call("channel_sendmsg")
    peer.refuse(callid, ECode.SENDMESSAGE_E_OTHER, "no")
    await wait_all_tasks_blocked()
    [fact] = world.take()
    assert isinstance(fact, OperationFailed)
    assert fact.operation is operation
    assert fact.reason.endswith(": no")


async def test_a_lost_connection_is_two_facts(
    world: World, peer: Peer, server: FakeServer, autojump_clock: MockClock
) -> None:
    peer.link.abort()
    await server.accept_resume(uid=7)
    await wait_all_tasks_blocked()
    assert world.take() == [Reconnecting(1), Reconnected()]


async def test_a_login_that_fails_ends_in_one_fact(
    world: World, server: FakeServer, autojump_clock: MockClock
) -> None:
    peer = await server.accept()
    await peer.turn_away(ECode.LOGIN_E_TOKENWRONG)
    with pytest.raises(SignalError):
        await world.client.logged_in
    assert world.take() == [LoginFailed(ECode.LOGIN_E_TOKENWRONG)]
