"""One simulated client: a bot of our SDK that does at random what bots do, and writes down what it
asked for, what it was told, and when.

Owns: the deeds and the records. Must not know what of it is right: model.py does.
"""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Any, Final

import attrs
import trio

from signal_sdk import (
    Backoff,
    Call,
    CallCallback,
    Channel,
    ChannelCallback,
    ECode,
    LoginCallback,
    LoginSession,
    Signal,
    SignalError,
)
from signal_sdk.errors import LinkError
from signal_sdk.testing import ClientDialer

APP: Final = "app"
TOKEN: Final = "_no_need_token"
CHANNELS: Final = ("red", "blue")
BACKOFF: Final = Backoff(max_seconds=8)
"""Short, so that a world need not be long."""


@attrs.define(kw_only=True, eq=False)
class Sent:
    """A message: to a peer or a channel, under its number, and whether its sending was
    acknowledged.
    """

    to: str
    text: str
    at: float
    ttl: int | None = None
    is_acked: bool = False


@attrs.define(eq=False)
class Stay(ChannelCallback):
    """One membership, from its join to its end."""

    channel: str
    joined_at: float | None = None
    left_at: float | None = None
    asked_to_leave_at: float | None = None
    heard: list[tuple[float, str]] = attrs.field(factory=list)
    roster: list[str] = attrs.field(factory=list)
    surprises: list[str] = attrs.field(factory=list)

    async def on_channel_joined(self, session: LoginSession, channel: Channel) -> None:
        if self.joined_at is not None:
            self.surprises.append("joined twice")
        self.joined_at = trio.current_time()

    async def on_channel_leaved(
        self, session: LoginSession, channel: Channel, ecode: ECode
    ) -> None:
        if self.left_at is not None:
            self.surprises.append("left twice")
        self.left_at = trio.current_time()

    async def on_channel_user_list(
        self, session: LoginSession, channel: Channel, users: list[str], uids: list[int]
    ) -> None:
        self.roster = list(users)

    async def on_channel_user_joined(
        self, session: LoginSession, channel: Channel, account: str, uid: int
    ) -> None:
        if account in self.roster:
            self.surprises.append(f"{account} joined, who was there")
        self.roster.append(account)

    async def on_channel_user_leaved(
        self, session: LoginSession, channel: Channel, account: str, uid: int
    ) -> None:
        if account in self.roster:
            self.roster.remove(account)
        else:
            self.surprises.append(f"{account} left, who was not there")

    async def on_message_channel_receive(
        self, session: LoginSession, channel: Channel, account: str, uid: int, msg: str
    ) -> None:
        self.heard.append((trio.current_time(), msg))


@attrs.define(eq=False)
class Side(CallCallback):
    """One side of one call, and how it was told of its end."""

    role: str
    ends: list[str] = attrs.field(factory=list)
    is_refused: bool = False

    def refused(self) -> None:
        """This side has refused, which no callback tells."""
        self.is_refused = True

    async def on_invite_failed(self, session: LoginSession, call: Call, ecode: ECode) -> None:
        self.ends.append(f"failed {int(ecode)}")

    async def on_invite_refused_by_peer(
        self, session: LoginSession, call: Call, extra: str
    ) -> None:
        self.ends.append("refused by peer")

    async def on_invite_end_by_peer(self, session: LoginSession, call: Call, extra: str) -> None:
        self.ends.append("ended by peer")

    async def on_invite_end_by_myself(self, session: LoginSession, call: Call, extra: str) -> None:
        self.ends.append("ended by myself")


class Actor(LoginCallback):
    """A client that is busy while `is_busy`, with `mean_pause` seconds between two deeds, and stays
    then. Every other one is in many channels.
    """

    def __init__(
        self,
        name: str,
        names: Sequence[str],
        dialer: ClientDialer,
        seed: int,
        *,
        mean_pause: float,
    ) -> None:
        self.name = name
        self.is_busy = False
        self.sent: list[Sent] = []
        self.heard: list[tuple[float, str]] = []
        self.stays: list[Stay] = []
        self.sides: list[Side] = []
        self.logouts: list[ECode] = []
        self.logins = 0
        self.asked_logouts = 0
        self.gaps: list[tuple[float, str]] = []
        self.failures: list[str] = []
        self.more: list[str] = []
        """What else it has written down, of which this knows nothing."""
        self._others = [other for other in names if other != name]
        self._dialer = dialer
        self._mean_pause = mean_pause
        self._draw = random.Random(f"{seed}/{name}")
        self._signal: Signal | None = None
        self._nursery: trio.Nursery | None = None
        self._session: LoginSession | None = None
        self._is_many = names.index(name) % 2 == 1
        self._there: dict[str, tuple[Channel, Stay]] = {}
        """Where it has asked to be: of many channels, under each one's name."""
        self._calls: list[tuple[Call, Side]] = []

    async def run(self) -> None:
        """Live, until cancelled."""
        async with (
            Signal(APP, server=self._dialer, reconnect=BACKOFF) as self._signal,
            trio.open_nursery() as self._nursery,
        ):
            self.come_back()
            assert self._session is not None
            await self._session
            self._signal.user_set_attr("_conn_timeout", self._draw.choice(["20", "60", "120"]))
            while True:
                await trio.sleep(self._draw.expovariate(1 / self._mean_pause))
                if self.is_busy:
                    self._do_something()

    # --- deeds ---

    def _do_something(self) -> None:
        deeds: list[tuple[int, Callable[[], None]]] = [
            (8, self._send),
            (6, self._send_to_channel),
            (3, self._join),
            (1, self._leave_channel),
            (1, self._set_attr),
            (3, self._call),
            (2, self._step_in_call),
            (1, self._come_or_go),
        ]
        weights = [weight for weight, _ in deeds]
        self._draw.choices([deed for _, deed in deeds], weights)[0]()

    def _watch(self, operation: Awaitable[Any], then: Callable[[], None] | None = None) -> None:
        async def watch() -> None:
            try:
                await operation
            except SignalError as exc:
                self.failures.append(str(exc))
            else:
                if then is not None:
                    then()

        assert self._nursery is not None
        self._nursery.start_soon(watch)

    @property
    def session(self) -> LoginSession | None:
        """The session, while it is one."""
        session = self._session
        return session if session is not None and session.status in (1, 2) else None

    def come_back(self) -> None:
        """Log in, where it is not."""
        if self.session is None and self._signal is not None:
            self.logins += 1
            self._session = self._signal.login(self.name, TOKEN, self, many_channels=self._is_many)

    def leave(self) -> None:
        """Log out for good."""
        if self.session is not None:
            self.asked_logouts += 1
            self._watch(self.session.logout())

    def _come_or_go(self) -> None:
        if self.session is None:
            self.come_back()
        else:
            for _, stay in self._there.values():
                stay.asked_to_leave_at = trio.current_time()
            self._there.clear()
            self.leave()

    def _send(self) -> None:
        if self.session is None:
            self.come_back()
            return
        to = self._draw.choice(self._others)
        ttl = self._draw.choice([None, None, None, 1])
        for _ in range(self._draw.choice([1, 1, 3])):
            text = f"{self.name}>{to}#{len(self.sent)}"
            sent = Sent(to=to, text=text, at=trio.current_time(), ttl=ttl)
            self.sent.append(sent)
            operation = self.session.message_instant_send(to, text, ttl)
            self._watch(operation, lambda sent=sent: setattr(sent, "is_acked", True))  # type: ignore[misc]  # mypy knows no default of a lambda

    def _send_to_channel(self) -> None:
        channel = self._draw.choice([None, *(it for it, _ in self._there.values())])
        if channel is None or not channel.is_joined:
            self._join()
            return
        for _ in range(self._draw.choice([1, 1, 3])):
            text = f"{self.name}>{channel.name}#{len(self.sent)}"
            sent = Sent(to=channel.name, text=text, at=trio.current_time())
            self.sent.append(sent)
            self._watch(
                channel.message_channel_send(text),
                lambda sent=sent: setattr(sent, "is_acked", True),  # type: ignore[misc]  # as above
            )

    def _join(self) -> None:
        if self.session is None:
            return
        name = self._draw.choice(CHANNELS)
        stay = Stay(name)
        channel = self.session.channel_join(name, stay)
        if channel.cb is stay:
            key = name if self._is_many else ""
            if key in self._there:
                self._there[key][1].asked_to_leave_at = trio.current_time()
            self.stays.append(stay)
            self._there[key] = channel, stay
            self._watch(_joined(channel))

    def _leave_channel(self) -> None:
        if self._there:
            channel, stay = self._draw.choice(list(self._there.values()))
            stay.asked_to_leave_at = trio.current_time()
            self._watch(channel.channel_leave())

    def _set_attr(self) -> None:
        if self._there:
            channel, _ = self._draw.choice(list(self._there.values()))
            value = str(self._draw.randrange(100))
            self._watch(channel.channel_set_attr(self._draw.choice("abc"), value))

    def _call(self) -> None:
        if self.session is not None:
            side = Side("caller")
            self.sides.append(side)
            peer, about = self._draw.choice(self._others), self._draw.choice(CHANNELS)
            extra = self._draw.choice(["", '{"_timeout": 5}', '{"_require_peer_online": 1}'])
            call = self.session.channel_invite_user2(about, peer, extra, side)
            self._calls.append((call, side))

    def _step_in_call(self) -> None:
        if not self._calls:
            return
        call, side = self._draw.choice(self._calls[-3:])
        step = self._draw.choice(["accept", "refuse", "end", "end"])
        if step == "accept":
            self._watch(call.channel_invite_accept(""))
        elif step == "refuse":
            self._watch(call.channel_invite_refuse(""), side.refused)
        else:
            self._watch(call.channel_invite_end(""))

    # --- what it hears ---

    async def on_logout(self, session: LoginSession, ecode: ECode) -> None:
        self.logouts.append(ecode)

    async def on_login_failed(self, session: LoginSession, ecode: ECode) -> None:
        self.logouts.append(ecode)

    async def on_error(self, session: LoginSession, ecode: ECode, reason: str) -> None:
        if ecode is ECode.GENERAL_E:
            self.gaps.append((trio.current_time(), reason))

    async def on_message_instant_receive(
        self, session: LoginSession, account: str, uid: int, msg: str
    ) -> None:
        self.heard.append((trio.current_time(), msg))

    async def on_invite_received(self, session: LoginSession, call: Call) -> None:
        side = Side("callee")
        self.sides.append(side)
        call.cb = side
        self._calls.append((call, side))
        if self._draw.random() < 0.5:
            self._watch(call.channel_invite_accept(""))


async def _joined(channel: Channel) -> None:
    await channel


class Ghost:
    """A client that logs in `after` so many seconds, joins, and then vanishes without a word, for
    good: its machine, or its program alone.
    """

    def __init__(
        self, name: str, dialer: ClientDialer, *, after: float = 0.0, is_machine: bool = True
    ) -> None:
        self.name = name
        self._dialer = dialer
        self._after = after
        self._is_machine = is_machine
        self.is_forgotten_soon = False
        """Is its lease short?"""

    async def run(self) -> None:
        """Live for a moment."""
        await trio.sleep(self._after)
        async with trio.open_nursery() as nursery:
            await nursery.start(self._live)
            if self._is_machine:
                self._dialer.half_open()
            else:
                self._dialer.cut()
            nursery.cancel_scope.cancel()

    async def _live(self, task_status: trio.TaskStatus[None]) -> None:
        async with Signal(APP, server=self._dialer, reconnect=None) as signal:
            # What goes wrong by then is as good a time as any.
            with suppress(SignalError, LinkError):
                session = await signal.login(self.name, TOKEN)
                await signal.user_set_attr("_conn_timeout", "20")
                self.is_forgotten_soon = True
                await session.channel_join(CHANNELS[0])
            task_status.started()
            await trio.sleep_forever()
