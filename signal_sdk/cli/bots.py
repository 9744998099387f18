"""Bots that say something at a pace, and hear it: what `signal-sdk bench` measures by.

Owns: their logins, their pace, and what is counted of what they say and hear. Must not know how
that is printed. All of them are in this process, on one clock.
"""

# ruff: noqa: ARG002  a callback is handed more than is counted

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import Callable
from typing import Final

import attrs
import trio

from signal_sdk.callbacks import ChannelCallback, LoginCallback, MessageCallback
from signal_sdk.channel import Channel
from signal_sdk.cli.histogram import Histogram
from signal_sdk.ecodes import ECode
from signal_sdk.errors import SignalError
from signal_sdk.login_session import LoginSession
from signal_sdk.signal import Signal

__all__ = ["Bots", "Plan"]

MAX_WAITING: Final = 5000
"""How many messages may wait for the server's answer. What would be more is not sent: it would only
wait in this process.
"""
TTL_SECONDS: Final = 60
"""How long the server keeps a message for a bot that has gone."""
GRACE_SECONDS: Final = 5.0
"""How long is waited for what is still on its way."""
LOOK_SECONDS: Final = 0.05
SEPARATOR: Final = " "


@attrs.frozen(kw_only=True)
class Plan:
    """What the bots are to do: messages at `rate`, in a second and of all, to each other in turn,
    or to a channel that all are in.
    """

    connections: int
    rate: float
    messages: int
    size: int
    login_rate: float
    in_channel: bool


@attrs.define(kw_only=True, eq=False)
class Bots(LoginCallback, ChannelCallback):
    """The bots, and what is counted of them."""

    door: Signal
    plan: Plan
    token_of: Callable[[str], str]
    run: str = attrs.field(factory=lambda: secrets.token_hex(4))
    sessions: list[LoginSession] = attrs.field(factory=list)
    refused_logins: Counter[int] = attrs.field(factory=Counter)
    first_refusal: SignalError | None = None
    logins: Histogram = attrs.field(factory=Histogram)
    answers: Histogram = attrs.field(factory=Histogram)
    deliveries: Histogram = attrs.field(factory=Histogram)
    sent: int = 0
    held_back: int = 0
    """How many were not sent, since too many waited for their answers."""
    acknowledged: int = 0
    refused: Counter[int] = attrs.field(factory=Counter)
    seconds: float = 0.0
    """For how long messages were sent."""
    is_stopped: bool = False
    _scope: trio.CancelScope = attrs.field(factory=trio.CancelScope)
    _channels: dict[LoginSession, Channel] = attrs.field(factory=dict)

    # --- what they do ---

    def stop(self) -> None:
        """Do no more of it."""
        self.is_stopped = True
        self._scope.cancel()

    async def log_in(self, tell: Callable[[int], object]) -> None:
        """Log all in, at the plan's pace; `tell` hears how many have tried."""
        tried = 0

        async def log_in_one(number: int) -> None:
            nonlocal tried
            account = f"bench-{self.run}-{number}"
            at = trio.current_time()
            try:
                session = await self.door.login(account, self.token_of(account), self)
                self.logins.add(trio.current_time() - at)
                if self.plan.in_channel:
                    await self._join(session)
            except SignalError as exc:
                self.refused_logins[int(exc.ecode)] += 1
                self.first_refusal = self.first_refusal or exc
            else:
                self.sessions.append(session)
            tried += 1
            tell(tried)

        with trio.CancelScope() as self._scope:
            began = trio.current_time()
            async with trio.open_nursery() as nursery:
                for number in range(self.plan.connections):
                    await _sleep_until(began + number / self.plan.login_rate)
                    if number == 0:
                        # The channel's maker says that joins are to be told to nobody.
                        await log_in_one(number)
                    else:
                        nursery.start_soon(log_in_one, number)

    async def _join(self, session: LoginSession) -> None:
        channel = session.channel_join(f"bench-{self.run}", self)
        await channel
        if not self._channels:
            await channel.channel_set_attr("_userNotification", "0")
        self._channels[session] = channel

    async def talk(self, tell: Callable[[int], object]) -> None:
        """Say all that is to be said, each in its time, and wait a while for the rest; `tell` hears
        how many are said.
        """
        if self.is_stopped or not self.sessions:
            return
        with trio.CancelScope() as self._scope:
            began = trio.current_time()
            try:
                for number in range(self.plan.messages):
                    due = began + number / self.plan.rate
                    await _sleep_until(due)
                    if self._waiting >= MAX_WAITING:
                        self.held_back += 1
                    else:
                        self._say(number, due)
                    tell(number + 1)
            finally:
                self.seconds = trio.current_time() - began
            for _ in range(int(GRACE_SECONDS / LOOK_SECONDS)):
                if not (self._waiting or self.missing):
                    break
                await trio.sleep(LOOK_SECONDS)

    def _say(self, number: int, due: float) -> None:
        """What is late counts from when it was due: who waits for a slow server waits, too."""
        session = self.sessions[number % len(self.sessions)]
        text = f"{due!r}{SEPARATOR}".ljust(self.plan.size, ".")
        self.sent += 1
        answer = _Answer(self, due)
        if self.plan.in_channel:
            self._channels[session].message_channel_send(text, answer)
        else:
            peer = self.sessions[(number + 1) % len(self.sessions)]
            session.message_instant_send(peer.account, text, TTL_SECONDS, answer)

    # --- what is counted ---

    @property
    def _waiting(self) -> int:
        return self.sent - self.acknowledged - self.refused.total()

    @property
    def expected(self) -> int:
        """How many deliveries there are to be of what the server has taken."""
        return self.acknowledged * (len(self.sessions) if self.plan.in_channel else 1)

    @property
    def missing(self) -> int:
        """How many of them have not come."""
        return max(0, self.expected - self.deliveries.count)

    def _hear(self, text: str) -> None:
        self.deliveries.add(trio.current_time() - float(text.partition(SEPARATOR)[0]))

    def on_message_instant_receive(
        self, session: LoginSession, account: str, uid: int, msg: str
    ) -> None:
        self._hear(msg)

    def on_message_channel_receive(
        self, session: LoginSession, channel: Channel, account: str, uid: int, msg: str
    ) -> None:
        self._hear(msg)


async def _sleep_until(due: float) -> None:
    """Who is late does not sleep, and lets others have their turn."""
    await trio.sleep(max(0.0, due - trio.current_time()))


@attrs.frozen(eq=False)
class _Answer(MessageCallback):
    """What the server answers to one message."""

    bots: Bots
    due: float

    def on_message_send_success(self, session: LoginSession) -> None:
        self.bots.acknowledged += 1
        self.bots.answers.add(trio.current_time() - self.due)

    def on_message_send_error(self, session: LoginSession, ecode: ECode) -> None:
        self.bots.refused[int(ecode)] += 1
