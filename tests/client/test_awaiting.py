"""Awaiting raises what a callback hears: every method that returns at once, in every way to fail.

Where a method has a callback of its own for a failure, that hears the same; where it has none,
`LoginCallback.on_error` does, unless somebody awaits.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, Final

import attrs
import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from signal_sdk import Backoff, Call, Channel, LoginSession, LogoutError, Signal, SignalError
from signal_sdk.client.operation import Operation
from signal_sdk.wire import call2
from tests.client.fakes import TOKEN, FakeServer, Heard, Peer

RETURNED = ("Operation[", "_channel.Channel", "_call.Call", "_login_session.LoginSession")
"""How the annotations of what can be awaited begin."""


@attrs.define(eq=False)
class Place:
    """A session that is logged in, its channel, and its three calls."""

    signal: Signal
    session: LoginSession
    channel: Channel
    accepted: Call
    ringing: Call
    peer: Peer
    heard: Heard

    async def next_call(self) -> int:
        """The id of the next request."""
        _, callid, _ = await self.peer.expect(call2.CALL)
        return int(callid)

    async def log_out(self) -> Operation[None]:
        """Log out; what the session says before of its inbox is answered, too."""
        logout = self.session.logout()
        function = ""
        while function != "user_logout":
            function, callid, _ = await self.peer.expect(call2.CALL)
            self.peer.reply(callid, ver_clear=0, msgs=[])
        return logout


Ask = Callable[[Place], Awaitable[Any]]

TOLD: Final[dict[str, tuple[str, Ask]]] = {
    "Signal.user_set_attr": (
        "on_user_set_attr",
        lambda at: at.signal.user_set_attr("a", "b", at.heard.attr),
    ),
    "Signal.user_get_attr": (
        "on_user_get_attr",
        lambda at: at.signal.user_get_attr("bob", "a", at.heard.attr),
    ),
    "Signal.user_get_attr_all": (
        "on_user_get_attr_all",
        lambda at: at.signal.user_get_attr_all("bob", at.heard.attr),
    ),
    "Signal.channel_query_user_num": (
        "on_channel_query_user_num",
        lambda at: at.signal.channel_query_user_num("room", at.heard.channel),
    ),
    "LoginSession.message_instant_send": (
        "on_message_send_error",
        lambda at: at.session.message_instant_send("bob", "hello", at.heard.message),
    ),
    "LoginSession.message_channel_send_force": (
        "on_message_send_error",
        lambda at: at.session.message_channel_send_force("room", "hello", at.heard.message),
    ),
    "Channel.message_channel_send": (
        "on_message_send_error",
        lambda at: at.channel.message_channel_send("hello", at.heard.message),
    ),
    "LoginSession.channel_join": (
        "on_channel_join_failed",
        lambda at: at.session.channel_join("other", at.heard.channel),
    ),
    "LoginSession.channel_invite_user2": (
        "on_invite_failed",
        lambda at: at.session.channel_invite_user2("talk", "carol", "", at.heard.call),
    ),
}
"""What has a callback of its own for a failure."""

UNTOLD: Final[dict[str, Ask]] = {
    "LoginSession.invoke": lambda at: at.session.invoke("user_get_attr_all", {"account": "bob"}),
    "LoginSession.query_user_status": lambda at: at.session.query_user_status("bob"),
    "LoginSession.channel_query_user_is_in": lambda at: at.session.channel_query_user_is_in(
        "room", "bob"
    ),
    "LoginSession.channel_query_user_list": lambda at: at.session.channel_query_user_list("room"),
    "LoginSession.peek_messages": lambda at: at.session.peek_messages(),
    "LoginSession.read_attributes": lambda at: at.session.read_attributes("bob"),
    "LoginSession.change_attributes": lambda at: at.session.change_attributes({"a": "b"}),
    "LoginSession.read_channel_attributes": lambda at: at.session.read_channel_attributes("room"),
    "LoginSession.change_channel_attributes": lambda at: at.session.change_channel_attributes(
        "room", delete=["a"]
    ),
    "Channel.read_attributes": lambda at: at.channel.read_attributes(),
    "Channel.change_attributes": lambda at: at.channel.change_attributes({"a": "b"}, ttl=5),
    "Channel.history": lambda at: at.channel.history(),
    "Channel.query_lock": lambda at: at.channel.query_lock("a"),
    "Channel.channel_leave": lambda at: at.channel.channel_leave(),
    "Channel.channel_set_attr": lambda at: at.channel.channel_set_attr("a", "b"),
    "Channel.channel_del_attr": lambda at: at.channel.channel_del_attr("a"),
    "Channel.channel_clear_attr": lambda at: at.channel.channel_clear_attr(),
    "Call.channel_invite_accept": lambda at: at.ringing.channel_invite_accept(),
    "Call.channel_invite_refuse": lambda at: at.ringing.channel_invite_refuse(),
    "Call.channel_invite_end": lambda at: at.accepted.channel_invite_end(),
    "Call.channel_invite_dtmf": lambda at: at.accepted.channel_invite_dtmf("1"),
}
"""What has none: `on_error` hears of it, unless it is awaited."""

ENDING: Final = {"Call.channel_invite_refuse", "Call.channel_invite_end"}
"""What ends a call, which the session's end does, too."""

ELSEWHERE: Final = {
    "Signal.login",
    "LoginSession.channel",
    "LoginSession.logout",
    "LoginSession.wait_logged_out",
    "Channel.gap",
}
"""What ends in ways of its own: see below."""


def awaitables() -> Iterator[str]:
    """All that the API returns to be awaited."""
    for cls in (Signal, LoginSession, Channel, Call):
        for name, member in inspect.getmembers(cls):
            function = member.fget if isinstance(member, property) else member
            if name.startswith("_") or not inspect.isfunction(function) or name != name.lower():
                continue
            returned = str(function.__annotations__.get("return"))
            if inspect.iscoroutinefunction(function) or returned.startswith(RETURNED):
                yield f"{cls.__name__}.{name}"


def test_every_awaitable_is_in_a_table() -> None:
    assert set(awaitables()) == {*TOLD, *UNTOLD, *ELSEWHERE}


# --- The ways to fail


async def refused(at: Place) -> None:
    """By the server."""
    at.peer.refuse(await at.next_call(), 1001, "the server says no")


async def refused_by_code(at: Place) -> None:
    """By the server, with a code that says why."""
    at.peer.refuse(await at.next_call(), 1005, "the server says that it is too large")


async def not_understood(at: Place) -> None:
    """An answer that is none."""
    at.peer.send(call2.REPLY, [await at.next_call(), "", "[]"])


async def unanswered(at: Place) -> None:
    """Within 10 s."""
    await at.next_call()
    with trio.move_on_after(11):
        while True:
            await at.peer.receive()


async def cut_off(at: Place) -> None:
    """By a logout that is answered first."""
    await at.next_call()
    await at.log_out()


async def lost(at: Place) -> None:
    """With the connection, which is not made again."""
    await at.next_call()
    at.peer.link.abort()


def name_of(way: Any) -> str:
    return str(getattr(way, "__name__", way))


WAYS = (refused, refused_by_code, not_understood, unanswered, cut_off, lost)
OVER = (cut_off, lost)
OF_CALLS = ("on_invite_failed", "on_invite_end_by_myself")


@pytest.fixture
def reconnect() -> Backoff | None:
    return None


@pytest.fixture
async def at(signal: Signal, server: FakeServer, heard: Heard) -> Place:
    session = signal.login("alice", TOKEN, heard.login)
    peer = await server.accept_login()
    channel = session.channel_join("room", heard.channel)
    await peer.answer("channel_join", list=[], attrs={}, num=1)
    await channel
    for version, account in enumerate(("bob", "dora"), 1):
        peer.push_call(version, "voip_invite", peer=account)
        await peer.answer("voip_invite_ack")
        await heard.wait("on_invite_received", version)
    accepted, ringing = [call for _, call in heard.of("on_invite_received")]
    accept = accepted.channel_invite_accept()
    await peer.answer("voip_invite_accept")
    await accept
    heard.all.clear()
    return Place(signal, session, channel, accepted, ringing, peer, heard)


async def fails(awaitable: Awaitable[Any]) -> SignalError:
    with pytest.raises(SignalError) as caught:
        await awaitable
    return caught.value


def is_told(entry: tuple[Any, ...], error: SignalError) -> bool:
    """Is what a callback has heard that error?"""
    name, *args = entry
    if name.startswith("on_user_"):
        return args == [error.reason, {"result": "failed", "reason": error.reason}]
    if name == "on_channel_query_user_num":
        return args == [error.reason, 0]
    return bool(args[-1] == error.ecode)


async def run(at: Place, awaited: Awaitable[Any], way: Callable[[Place], Awaitable[None]]) -> Any:
    """Have it fail, while somebody awaits; what that raises."""
    raised: list[SignalError] = []

    async def wait() -> None:
        raised.append(await fails(awaited))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait)
        await way(at)
    await wait_all_tasks_blocked()
    return raised[0]


@pytest.mark.parametrize("way", WAYS, ids=name_of)
@pytest.mark.parametrize("name", TOLD)
async def test_awaiting_raises_what_its_own_callback_hears(
    at: Place, name: str, way: Callable[[Place], Awaitable[None]], autojump_clock: MockClock
) -> None:
    callback, ask = TOLD[name]
    error = await run(at, ask(at), way)
    assert at.heard.of("on_error") == []
    if callback == "on_invite_failed" and way in OVER:
        # Where the session ends first, awaiting tells how; the call's callback, what that is to it.
        assert isinstance(error, LogoutError)
        [told] = [entry for entry in at.heard.of(*OF_CALLS) if entry[1].peer == "carol"]
        ended = ("on_invite_end_by_myself", "") if error.ecode == 101 else (callback, 702)
        assert (told[0], told[-1]) == ended
    else:
        [entry] = at.heard.of(callback)
        assert is_told(entry, error), (entry, error)


@pytest.mark.parametrize("name", TOLD)
async def test_awaiting_what_comes_after_the_logout_raises_what_its_own_callback_hears(
    at: Place, name: str, autojump_clock: MockClock
) -> None:
    await at.log_out()
    await at.session.wait_logged_out()
    callback, ask = TOLD[name]
    error = await fails(ask(at))
    await wait_all_tasks_blocked()
    [entry] = at.heard.of(callback)
    assert is_told(entry, error), (entry, error)


@pytest.mark.parametrize("way", WAYS, ids=name_of)
@pytest.mark.parametrize("name", UNTOLD)
async def test_awaiting_raises_what_on_error_hears_where_nobody_awaits(
    at: Place, name: str, way: Callable[[Place], Awaitable[None]], autojump_clock: MockClock
) -> None:
    asked = UNTOLD[name](at)
    await way(at)
    await wait_all_tasks_blocked()
    if name in ENDING and way in OVER:
        # The call is over: no matter how.
        await asked
        assert at.heard.of("on_error") == []
        return
    [(_, ecode, reason)] = at.heard.of("on_error")
    error = await fails(asked)
    assert ecode == error.ecode
    assert reason.endswith(error.reason)


@pytest.mark.parametrize("name", UNTOLD)
async def test_what_is_awaited_is_not_told_to_on_error(
    at: Place, name: str, autojump_clock: MockClock
) -> None:
    error = await run(at, UNTOLD[name](at), refused)
    assert error.reason == "the server says no"
    assert at.heard.of("on_error") == []


# --- What ends in ways of its own


async def turned_away(signal: Signal, server: FakeServer) -> None:
    """The login is refused."""
    await (await server.accept()).turn_away(204)


async def unreachable(signal: Signal, server: FakeServer) -> None:
    """The connection ends before the answer."""
    (await server.accept()).link.abort()


async def silent(signal: Signal, server: FakeServer) -> None:
    """There is no answer."""
    await server.accept()
    await trio.sleep(30)


async def given_up(signal: Signal, server: FakeServer) -> None:
    """The user logs out instead."""
    await server.accept()
    signal.login("alice", TOKEN).logout()


@pytest.mark.parametrize("way", [turned_away, unreachable, silent, given_up], ids=name_of)
async def test_awaiting_a_login_raises_what_on_login_failed_hears(
    signal: Signal,
    server: FakeServer,
    heard: Heard,
    way: Callable[[Signal, FakeServer], Awaitable[None]],
    autojump_clock: MockClock,
) -> None:
    session = signal.login("alice", TOKEN, heard.login)
    await trio.lowlevel.checkpoint()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(way, signal, server)
        error = await fails(session)
    assert await session.wait_logged_out() == error.ecode
    await wait_all_tasks_blocked()
    assert heard.all == [("on_login_failed", error.ecode)]


@pytest.mark.parametrize("way", [cut_off, lost, "kicked"], ids=name_of)
async def test_awaiting_the_end_gives_what_on_logout_hears(
    at: Place, way: Any, autojump_clock: MockClock
) -> None:
    if way == "kicked":
        at.peer.send("kick", {})
    else:
        at.session.query_user_status("bob")
        await way(at)
    ecode = await at.session.wait_logged_out()
    await wait_all_tasks_blocked()
    assert at.heard.of("on_logout") == [("on_logout", ecode)]
    assert (await fails(at.session.logout())).ecode == 108


async def test_awaiting_a_logout_is_its_end(at: Place, autojump_clock: MockClock) -> None:
    await (await at.log_out())
    await wait_all_tasks_blocked()
    assert at.heard.of("on_logout") == [("on_logout", 101)]


@pytest.mark.parametrize("way", ["left", "another", cut_off, lost], ids=name_of)
async def test_awaiting_a_gap_raises_what_on_channel_leaved_hears(
    at: Place, way: Any, autojump_clock: MockClock
) -> None:
    gap = at.channel.gap
    if way == "left":
        at.channel.channel_leave()
        at.peer.reply(await at.next_call())
    elif way == "another":
        at.session.channel_join("other", at.heard.channel)
        await at.peer.answer("channel_join", list=[], attrs={}, num=1)
    else:
        at.session.query_user_status("bob")
        await way(at)
    error = await fails(gap)
    await wait_all_tasks_blocked()
    assert at.heard.of("on_channel_leaved") == [("on_channel_leaved", at.channel, error.ecode)]


async def test_awaiting_a_gap_raises_what_on_channel_join_failed_hears(
    at: Place, autojump_clock: MockClock
) -> None:
    channel = at.session.channel_join("other", at.heard.channel)
    gap = channel.gap
    at.peer.refuse(await at.next_call())
    error = await fails(gap)
    await wait_all_tasks_blocked()
    [told] = at.heard.of("on_channel_join_failed")
    assert told == ("on_channel_join_failed", channel, error.ecode)
