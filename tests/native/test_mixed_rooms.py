"""The original native client, the original web SDK and ours, in one channel and in calls with each
other, through one server, over real sockets.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any, Protocol

import pytest
import trio

from signal_sdk import Call, Channel, LoginSession, Signal
from signal_sdk.testing.native_line import connect_by_lookup
from signal_sdk.testing.native_peer import NativePeer, native_peer
from signal_sdk.testing.server import LocalServer, local_server
from tests.client.fakes import Heard
from tests.native.helpers import ROOM, dev_config
from tests.web.web_peer import WebObject, WebPeer, web_peer

TEXT = 'grüße 🎉 "quoted" {"json": 1}'
HEARD_SECONDS = 10.0

Event = tuple[Any, ...]
"""What was heard in the channel: `("message", account, text)`, `("join", account)`,
`("leave", account)` or `("attr", name, value, type)`."""


class Side(Protocol):
    """One account, logged in with one of the SDKs."""

    account: str

    async def send(self, account: str, text: str) -> None: ...

    async def receive(self) -> tuple[str, str]:
        """The next instant message: (account, text)."""

    async def join(self) -> None: ...

    async def leave(self) -> None: ...

    async def say(self, text: str) -> None: ...

    async def set_attr(self, name: str, value: str) -> None: ...

    async def clear_attrs(self) -> None: ...

    def events(self) -> list[Event]:
        """All that was heard in the channel since its own join."""

    async def invite(self, account: str) -> None: ...

    async def hear_invitation(self, account: str) -> str:
        """Wait for a call of that account, and return its `extra`."""

    async def hear(self, step: str) -> str:
        """Wait for the other side's `received`, `accepted`, `refused` or `end`; its `extra`."""

    async def hear_digits(self) -> str: ...

    async def accept(self, extra: str) -> None: ...

    async def refuse(self, extra: str) -> None: ...

    async def dial(self, digits: str) -> None: ...

    async def hang_up(self) -> None: ...


class NativeSide:
    """The native client."""

    def __init__(self, peer: NativePeer) -> None:
        self._peer = peer
        self.account = peer.account
        self._other = ""

    async def send(self, account: str, text: str) -> None:
        await self._peer.message_instant_send(account, text)

    async def receive(self) -> tuple[str, str]:
        account, _, text = await self._peer.expect("on_message_instant_receive")
        return account, text

    async def join(self) -> None:
        await self._peer.channel_join(ROOM)
        await self._peer.expect("on_channel_user_list")

    async def leave(self) -> None:
        await self._peer.channel_leave()

    async def say(self, text: str) -> None:
        await self._peer.message_channel_send(text)

    async def set_attr(self, name: str, value: str) -> None:
        await self._peer.call("channel_set_attr", channel=ROOM, name=name, value=value)

    async def clear_attrs(self) -> None:
        await self._peer.call("channel_clear_attr", channel=ROOM)

    def events(self) -> list[Event]:
        made: dict[str, Callable[..., Event]] = {
            "on_message_channel_receive": lambda _, account, __, text: ("message", account, text),
            "on_channel_user_joined": lambda account, _: ("join", account),
            "on_channel_user_leaved": lambda account, _: ("leave", account),
            "on_channel_attr_updated": lambda _, *what: ("attr", *what),
        }
        return [made[told.name](*told.args) for told in self._peer.heard if told.name in made]

    async def invite(self, account: str) -> None:
        self._other = account
        await self._peer.channel_invite_user2(ROOM, account, '{"video": 1}')

    async def hear_invitation(self, account: str) -> str:
        self._other = account
        extra: str = (await self._peer.expect("on_invite_received", ROOM, account))[3]
        return extra

    async def hear(self, step: str) -> str:
        if step == "received":
            await self._peer.expect("on_invite_received_by_peer", ROOM, self._other)
            return ""
        args = await self._peer.expect(f"on_invite_{step}_by_peer", ROOM, self._other)
        extra: str = args[3]
        return extra

    async def hear_digits(self) -> str:
        args = await self._peer.expect("on_invite_msg", ROOM, self._other)
        assert args[3] == "dtmf"
        digits: str = args[4]
        return digits

    async def accept(self, extra: str) -> None:
        await self._peer.channel_invite_step("accept", ROOM, self._other, extra)

    async def refuse(self, extra: str) -> None:
        await self._peer.channel_invite_step("refuse", ROOM, self._other, extra)

    async def dial(self, digits: str) -> None:
        await self._peer.channel_invite_dtmf(ROOM, self._other, digits)

    async def hang_up(self) -> None:
        await self._peer.channel_invite_end(ROOM, self._other)
        await self._peer.expect("on_invite_end_by_myself")


class WebSide:
    """The web SDK."""

    def __init__(self, web: WebPeer, session: WebObject, account: str) -> None:
        self._web = web
        self._session = session
        self.account = account
        self._room = session
        self._call = session

    async def send(self, account: str, text: str) -> None:
        assert await self._session.request("messageInstantSend", account, text) == [False]

    async def receive(self) -> tuple[str, str]:
        account, _, text = await self._session.expect("onMessageInstantReceive")
        return account, text

    async def join(self) -> None:
        self._room = await self._session.make("channelJoin", ROOM)
        await self._room.expect("onChannelJoined")
        await self._room.expect("onChannelUserList")

    async def leave(self) -> None:
        await self._room.request("channelLeave")

    async def say(self, text: str) -> None:
        await self._room.request("messageChannelSend", text)

    async def set_attr(self, name: str, value: str) -> None:
        await self._room.request("channelSetAttr", name, value)

    async def clear_attrs(self) -> None:
        await self._room.request("channelClearAttr")

    def events(self) -> list[Event]:
        made: dict[str, Callable[..., Event]] = {
            "onMessageChannelReceive": lambda account, _, text: ("message", account, text),
            "onChannelUserJoined": lambda account, _: ("join", account),
            "onChannelUserLeaved": lambda account, _: ("leave", account),
            "onChannelAttrUpdated": lambda *what: ("attr", *what),
        }
        heard = self._web.of(self._room.name)
        return [made[told.event](*told.args) for told in heard if told.event in made]

    async def invite(self, account: str) -> None:
        self._call = await self._session.make("channelInviteUser2", ROOM, account, '{"video": 1}')

    async def hear_invitation(self, account: str) -> str:
        [self._call] = await self._session.expect("onInviteReceived")
        data = self._call.data
        assert (data["channelName"], data["peer"]) == (ROOM, account)
        extra: str = data["extra"]
        return extra

    async def hear(self, step: str) -> str:
        [extra] = await self._call.expect(f"onInvite{step.title()}ByPeer")
        assert isinstance(extra, str)
        return extra

    async def hear_digits(self) -> str:
        [extra] = await self._call.expect("onInviteMsg")
        return digits_in(extra)

    async def accept(self, extra: str) -> None:
        await self._call.call("channelInviteAccept", extra)

    async def refuse(self, extra: str) -> None:
        await self._call.call("channelInviteRefuse", extra)

    async def dial(self, digits: str) -> None:
        await self._call.call("channelInviteDTMF", digits)

    async def hang_up(self) -> None:
        await self._call.call("channelInviteEnd", "")
        await self._call.expect("onInviteEndByMyself")


class OurSide:
    """Our SDK."""

    def __init__(self, session: LoginSession, heard: Heard, account: str) -> None:
        self._session = session
        self._heard = heard
        self._taken: dict[str, int] = {}
        self.account = account
        self._channel: Channel | None = None
        self._call: Call | None = None

    async def _next(self, name: str) -> tuple[Any, ...]:
        self._taken[name] = self._taken.get(name, 0) + 1
        return await self._heard.wait(name, self._taken[name])

    @property
    def _room(self) -> Channel:
        assert self._channel is not None
        return self._channel

    @property
    def _talk(self) -> Call:
        assert self._call is not None
        return self._call

    async def send(self, account: str, text: str) -> None:
        await self._session.message_instant_send(account, text)

    async def receive(self) -> tuple[str, str]:
        _, account, _, text = await self._next("on_message_instant_receive")
        return account, text

    async def join(self) -> None:
        self._channel = await self._session.channel_join(ROOM, self._heard.channel)
        await self._next("on_channel_user_list")

    async def leave(self) -> None:
        await self._room.channel_leave()

    async def say(self, text: str) -> None:
        await self._room.message_channel_send(text)

    async def set_attr(self, name: str, value: str) -> None:
        await self._room.channel_set_attr(name, value)

    async def clear_attrs(self) -> None:
        await self._room.channel_clear_attr()

    def events(self) -> list[Event]:
        made: dict[str, Callable[..., Event]] = {
            "on_message_channel_receive": lambda account, _, text: ("message", account, text),
            "on_channel_user_joined": lambda account, _: ("join", account),
            "on_channel_user_leaved": lambda account, _: ("leave", account),
            "on_channel_attr_updated": lambda *what: ("attr", *what),
        }
        return [made[name](*args) for name, _, *args in self._heard.all if name in made]

    async def invite(self, account: str) -> None:
        self._call = await self._session.channel_invite_user2(
            ROOM, account, '{"video": 1}', self._heard.call
        )

    async def hear_invitation(self, account: str) -> str:
        self._call = (await self._next("on_invite_received"))[1]
        assert (self._talk.channel, self._talk.peer) == (ROOM, account)
        return str(self._talk.extra)

    async def hear(self, step: str) -> str:
        told = await self._next(f"on_invite_{step}_by_peer")
        return "" if step == "received" else str(told[2])

    async def hear_digits(self) -> str:
        return digits_in((await self._next("on_invite_msg"))[2])

    async def accept(self, extra: str) -> None:
        await self._talk.channel_invite_accept(extra)

    async def refuse(self, extra: str) -> None:
        await self._talk.channel_invite_refuse(extra)

    async def dial(self, digits: str) -> None:
        await self._talk.channel_invite_dtmf(digits)

    async def hang_up(self) -> None:
        await self._talk.channel_invite_end()
        await self._next("on_invite_end_by_myself")


def digits_in(extra: str) -> str:
    fields = json.loads(extra)
    assert fields["msgtype"] == "dtmf"
    digits: str = fields["msgdata"]
    return digits


LogIn = Callable[[str], Awaitable[Side]]


class People:
    """Logs accounts in with any of the three; they stay until `over` is set."""

    def __init__(self, server: LocalServer, web: WebPeer, nursery: trio.Nursery) -> None:
        self._server = server
        self._web = web
        self._nursery = nursery
        self.over = trio.Event()

    async def native(self, account: str) -> Side:
        server = self._server
        connect = connect_by_lookup("app", server.host, server.lookup_ports)

        async def hold(task_status: trio.TaskStatus[Side]) -> None:
            async with native_peer(connect=connect) as peer:
                await peer.login(account)
                task_status.started(NativeSide(peer))
                await self.over.wait()

        side: Side = await self._nursery.start(hold)
        return side

    async def web(self, account: str) -> Side:
        return WebSide(self._web, await self._web.login(account), account)

    async def ours(self, account: str) -> Side:
        heard = Heard()

        def take(_: LoginSession, call: Call) -> None:
            call.cb = heard.call

        async def hold(task_status: trio.TaskStatus[Side]) -> None:
            async with (
                Signal("app", server=self._server.address) as signal,
                signal.login(account, "_no_need_token", heard.login) as session,
            ):
                task_status.started(OurSide(session, heard, account))
                await self.over.wait()

        heard.on("on_invite_received", take)
        side: Side = await self._nursery.start(hold)
        return side

    @property
    def ways(self) -> dict[str, LogIn]:
        """How each kind logs in."""
        return {"native": self.native, "web": self.web, "ours": self.ours}

    async def three(self) -> list[Side]:
        """One of each kind, called as its kind is."""
        return [await log_in(kind) for kind, log_in in self.ways.items()]


@pytest.fixture
async def people() -> AsyncIterator[People]:
    """A server on real sockets, and whoever is to log in there."""
    async with (
        local_server(dev_config()) as server,
        web_peer(server) as web,
        trio.open_nursery() as nursery,
    ):
        people = People(server, web, nursery)
        yield people
        people.over.set()


async def until(is_so: Callable[[], bool]) -> None:
    """Wait until something is so, or for `HEARD_SECONDS`."""
    with trio.move_on_after(HEARD_SECONDS):
        while not is_so():  # noqa: ASYNC110  it becomes so in three SDKs, which share no event
            await trio.sleep(0.01)


async def heard_by_all(sides: Sequence[Side], count: int) -> list[Event]:
    """Wait until each has heard so many events, which must be the same in the same order."""
    await until(lambda: all(len(side.events()) >= count for side in sides))
    first, *others = sides
    for side in others:
        assert side.events() == first.events(), (side.account, first.account)
    assert len(first.events()) == count
    return first.events()


class Latest:
    """What a side hears from now on."""

    def __init__(self, side: Side, skipped: int) -> None:
        self._side = side
        self._skipped = skipped

    def __getattr__(self, name: str) -> Any:
        return getattr(self._side, name)

    def events(self) -> list[Event]:
        return self._side.events()[self._skipped :]


async def members(people: People) -> list[Side]:
    """One of each kind in the channel, who have heard nothing yet but each other's coming."""
    sides = await people.three()
    for side in sides:
        await side.join()
    come = [[("join", "web"), ("join", "ours")], [("join", "ours")], []]
    await until(lambda: [side.events() for side in sides] == come)
    assert [side.events() for side in sides] == come
    return [Latest(side, len(heard)) for side, heard in zip(sides, come, strict=True)]


async def test_each_sends_instant_messages_to_each(people: People) -> None:
    sides = await people.three()
    for sender in sides:
        for receiver in sides:
            if sender is not receiver:
                await sender.send(receiver.account, TEXT)
                with trio.fail_after(HEARD_SECONDS):
                    assert await receiver.receive() == (sender.account, TEXT)


async def test_messages_and_attributes_of_each_are_heard_by_all_in_one_order(
    people: People,
) -> None:
    sides = await members(people)
    expected: list[Event] = []
    for side in sides:
        await side.say(TEXT)
        await side.set_attr("topic", f"of {side.account}")
        await side.clear_attrs()
        expected += [
            ("message", side.account, TEXT),
            ("attr", "topic", f"of {side.account}", "update"),
            ("attr", "", "", "clear"),
        ]
    assert await heard_by_all(sides, len(expected)) == expected

    async def chatter(side: Side) -> None:
        for number in range(10):
            await side.say(f"{number} of {side.account}")

    async with trio.open_nursery() as nursery:
        for side in sides:
            nursery.start_soon(chatter, side)
    heard = (await heard_by_all(sides, len(expected) + 30))[len(expected) :]
    for side in sides:
        assert [text for _, account, text in heard if account == side.account] == [
            f"{number} of {side.account}" for number in range(10)
        ]


async def test_guests_of_each_kind_are_heard_by_all(people: People) -> None:
    """They come, find everybody and the attributes, speak, and go."""
    sides = await members(people)
    expected: list[Event] = []
    for kind, log_in in people.ways.items():
        guest = await log_in(f"{kind}-guest")
        await guest.join()
        await guest.say("hello")
        await guest.leave()
        expected += [
            ("join", guest.account),
            ("message", guest.account, "hello"),
            ("leave", guest.account),
        ]
    assert await heard_by_all(sides, len(expected)) == expected


async def test_who_leaves_is_heard_by_the_others(people: People) -> None:
    sides = await members(people)
    left: list[Event] = []
    for side in list(sides):
        sides.remove(side)
        await side.leave()
        left += [("leave", side.account)]
        if sides:
            assert await heard_by_all(sides, len(left)) == left


PAIRS = [
    ("native", "web"),
    ("web", "native"),
    ("native", "ours"),
    ("ours", "native"),
    ("web", "ours"),
    ("ours", "web"),
]


async def ring(caller: Side, callee: Side) -> None:
    """A call that rings."""
    await caller.invite(callee.account)
    extra = json.loads(await callee.hear_invitation(caller.account))
    assert extra["video"] == 1
    # The native client puts two more beside what its user gave.
    more = {"callid", "start_time"} if isinstance(caller, NativeSide) else set()
    assert set(extra) == {"video"} | more
    await caller.hear("received")


@pytest.mark.parametrize(("caller", "callee"), PAIRS, ids=["-to-".join(pair) for pair in PAIRS])
async def test_each_calls_each(people: People, caller: str, callee: str) -> None:
    """Accepted and ended by either, with digits both ways; refused; ended while it rings."""
    one = await people.ways[caller](caller)
    other = await people.ways[callee](callee)
    with trio.fail_after(3 * HEARD_SECONDS):
        for ends, hears in ((one, other), (other, one)):
            await ring(one, other)
            await other.accept('{"yes": 1}')
            assert json.loads(await one.hear("accepted")) == {"yes": 1}
            await one.dial("12#")
            assert await other.hear_digits() == "12#"
            await other.dial("*0")
            assert await one.hear_digits() == "*0"
            await ends.hang_up()
            await hears.hear("end")
        await ring(one, other)
        await other.refuse('{"busy": 1}')
        assert json.loads(await one.hear("refused")) == {"busy": 1}
        await ring(one, other)
        await one.hang_up()
        await other.hear("end")
