"""The other side in a test of a bot: an account that does what the test says, and notes what it
hears.

Owns: its login, what it has heard, and the assertions about that. Must not know whom it talks to,
or which event loop the test has.
"""

# ruff: noqa: ARG002  callbacks have their documented parameters

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final, TypeVar

import attrs
import trio

from signal_sdk.call import Call
from signal_sdk.callbacks import ChannelCallback, LoginCallback
from signal_sdk.channel import Channel
from signal_sdk.ecodes import ECode
from signal_sdk.login_session import LoginSession
from signal_sdk.signal import Signal
from signal_sdk.testing.notes import Notes
from signal_sdk.testing.scripted_call import ScriptedCall
from signal_sdk.wire.hidden import hides
from signal_sdk.wire.names import JsonValue

__all__ = ["ScriptedPeer"]

SECONDS: Final = 2.0
"""How long something is waited for where the test does not say."""
S = TypeVar("S", str, bytes)

SHOWN: Final = 20
"""How many of the messages that were heard a failure lists: the newest."""
SHOWN_BYTES: Final = 60
"""How much of one that is bytes."""


@hides("text")
@attrs.frozen(eq=False)
class _Heard:
    """A message."""

    account: str
    channel: str
    text: str | bytes

    def __str__(self) -> str:
        where = f" in {self.channel}" if self.channel else ""
        return f"{self.account}{where}: {_shown(self.text)}"


class _Ear(LoginCallback, ChannelCallback):
    """What notes it."""

    def __init__(self) -> None:
        self.messages: Notes[_Heard] = Notes()
        self.calls: Notes[ScriptedCall] = Notes()
        self.ended: ECode | None = None

    def on_message_instant_receive(
        self, session: LoginSession, account: str, uid: int, msg: str
    ) -> None:
        self.messages.put(_Heard(account, "", msg))

    def on_message_instant_receive_bytes(
        self, session: LoginSession, account: str, uid: int, data: bytes
    ) -> None:
        self.messages.put(_Heard(account, "", data))

    def on_message_channel_receive(
        self, session: LoginSession, channel: Channel, account: str, uid: int, msg: str
    ) -> None:
        self._hear(session, channel, account, msg)

    def on_message_channel_receive_bytes(
        self, session: LoginSession, channel: Channel, account: str, uid: int, data: bytes
    ) -> None:
        self._hear(session, channel, account, data)

    def _hear(
        self, session: LoginSession, channel: Channel, account: str, said: str | bytes
    ) -> None:
        if account != session.account:
            self.messages.put(_Heard(account, channel.name, said))

    def on_invite_received(self, session: LoginSession, call: Call) -> None:
        scripted = ScriptedCall()
        scripted.begin(call)
        call.cb = scripted.ear
        self.calls.put(scripted)

    def on_logout(self, session: LoginSession, ecode: ECode) -> None:
        self.ended = ecode


class ScriptedPeer:
    """An account that does what a test says. It logs in with the first thing that it does, with
    `many_channels` and `takes_bytes` as for `Signal.login`.

    `bot` is to whom it talks where the test does not say, `explain` a line for failures.
    """

    def __init__(
        self,
        signal: Signal,
        account: str,
        *,
        bot: Callable[[], str],
        explain: Callable[[], str] = str,
        many_channels: bool = False,
        takes_bytes: bool = True,
    ) -> None:
        self.account = account
        self.many_channels = many_channels
        self.takes_bytes = takes_bytes
        self._signal = signal
        self._bot = bot
        self._explain = explain
        self._ear = _Ear()
        self._session: LoginSession | None = None
        self._channels: dict[str, Channel] = {}
        self._began = trio.current_time()

    async def log_in(self) -> LoginSession:
        """Log in, where that is not done, and return the session."""
        if self._session is None:
            self._began = trio.current_time()
            self._session = await self._signal.login(
                self.account,
                "_no_need_token",
                self._ear,
                many_channels=self.many_channels,
                takes_bytes=self.takes_bytes,
            )
        return self._session

    async def log_out(self) -> None:
        """Log out. What it does next logs it in again."""
        session, self._session, self._channels = self._session, None, {}
        if session is not None:
            await session.logout()

    async def say(self, text: str | bytes, to: str | None = None) -> None:
        """Send a message to the bot, or to another account."""
        session = await self.log_in()
        await session.message_instant_send(self._bot() if to is None else to, text)

    async def join(self, channel: str) -> None:
        """Join a channel, and leave the one before, unless it may be in many."""
        session = await self.log_in()
        joined = await session.channel_join(channel, self._ear)
        before = self._channels if self.many_channels else {}
        self._channels = {**before, channel: joined}

    async def leave(self, channel: str | None = None) -> None:
        """Leave a channel: the one that it is in, where none is named."""
        joined = self._joined(channel)
        await joined.channel_leave()
        del self._channels[joined.name]

    async def say_in_channel(self, text: str | bytes, channel: str | None = None) -> None:
        """Send a message to a channel: the one that it is in, where none is named."""
        await self._joined(channel).message_channel_send(text)

    def _joined(self, name: str | None) -> Channel:
        if not self._channels:
            raise RuntimeError(f"{self.account!r} is in no channel: join one first")
        if name is not None and name not in self._channels:
            raise RuntimeError(f"{self.account!r} is not in {name!r}: join it first")
        if name is None and len(self._channels) > 1:
            there = ", ".join(sorted(self._channels))
            raise RuntimeError(f"{self.account!r} is in several channels: {there}: name one")
        return self._channels[name] if name is not None else next(iter(self._channels.values()))

    async def call(
        self, to: str | None = None, *, about: str = "call", extra: JsonValue = ""
    ) -> ScriptedCall:
        """Call the bot, or another account, about the channel `about`."""
        session = await self.log_in()
        scripted = ScriptedCall()
        peer = self._bot() if to is None else to
        scripted.begin(call := session.channel_invite_user2(about, peer, extra, scripted.ear))
        await call
        return scripted

    async def called(self, within: float = SECONDS) -> ScriptedCall:
        """Somebody calls it. Raises `AssertionError` where nobody does in `within` seconds."""
        __tracebackhide__ = True
        await self.log_in()
        call = await self._ear.calls.take(lambda _: True, within)
        if call is None:
            raise AssertionError(f"nobody has called {self.account!r} within {within:g} s")
        return call

    async def heard(
        self,
        text: S | re.Pattern[S],
        *,
        within: float = SECONDS,
        by: str | None = None,
        channel: str | None = None,
    ) -> S:
        """It hears `text`, or a text in which that pattern is found, within so many seconds: from
        anybody or from `by`, anywhere or in `channel` ("" for messages to itself). Bytes, and a
        pattern of bytes, are for messages that are bytes.

        What was heard before counts, too, but each message once: this takes the first that fits,
        and leaves the others. Returns what it says. Raises `AssertionError` with what was heard.
        """
        __tracebackhide__ = True
        await self.log_in()

        def fits(it: _Heard) -> bool:
            is_there = by in (None, it.account) and channel in (None, it.channel)
            return is_there and _said(it.text, text) is not None

        found = await self._ear.messages.take(fits, within)
        if found is None or (said := _said(found.text, text)) is None:
            wanted = _shown(text)
            wanted += f" from {by!r}" if by is not None else ""
            wanted += f" in {channel!r}" if channel else ""
            raise AssertionError(
                f"{self.account!r} has not heard {wanted} within {within:g} s\n{self._story()}"
            )
        return said

    async def heard_nothing(self, within: float = SECONDS) -> None:
        """It hears nothing for so many seconds, but what was taken by `heard` before."""
        __tracebackhide__ = True
        await self.log_in()
        found = await self._ear.messages.take(lambda _: True, within)
        if found is not None:
            raise AssertionError(f"{self.account!r} has heard something: {found}")

    @property
    def transcript(self) -> list[tuple[str, str | bytes]]:
        """All that it has heard, in order, as (account, text)."""
        return [(it.account, it.text) for _, it in self._ear.messages.all]

    def _story(self) -> str:
        """What it has heard instead, for a failure."""
        heard = self._ear.messages.all
        lines = [f"It has heard {_messages(len(heard))}:" if heard else "It has heard nothing."]
        if len(heard) > SHOWN:
            lines.append(f"  … {len(heard) - SHOWN} before these")
        for time, it in heard[-SHOWN:]:
            taken = "" if self._ear.messages.is_left(it) else "  (taken by an assertion before)"
            lines.append(f"  {time - self._began:8.2f} s  {it}{taken}")
        if self._ear.ended is not None:
            lines.append(f"Its own session has ended: {self._ear.ended.meaning}.")
        if why := self._explain():
            lines.append(why)
        return "\n".join(lines)


def _said(said: str | bytes, wanted: S | re.Pattern[S]) -> S | None:
    """What was said, where it is what is wanted. Bytes are no text, and a text no bytes."""
    if isinstance(wanted, re.Pattern):
        kind = type(wanted.pattern)
        return said if isinstance(said, kind) and wanted.search(said) else None
    return wanted if type(said) is type(wanted) and said == wanted else None


def _shown(said: str | bytes | re.Pattern[str] | re.Pattern[bytes]) -> str:
    if isinstance(said, re.Pattern):
        return f"what fits {said.pattern!r}"
    if isinstance(said, str) or len(said) <= SHOWN_BYTES:
        return repr(said)
    return f"{said[:SHOWN_BYTES]!r}… ({len(said)} bytes)"


def _messages(count: int) -> str:
    return "1 message" if count == 1 else f"{count} messages"
