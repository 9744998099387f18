"""What handlers are handed: who has done what, and how to answer.

Owns: the context classes. Must not know how handlers are chosen, or run. No `repr` shows what
somebody says.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from contextlib import nullcontext
from functools import partial
from typing import Final, TypeAlias

import attrs

from signal_sdk.call import Call
from signal_sdk.channel import Channel
from signal_sdk.login_session import LoginSession
from signal_sdk.router.conversations import Conversations, Question
from signal_sdk.router.sending import Sender
from signal_sdk.router.time_limit import TimeLimit
from signal_sdk.stream_events import CallEnded, CallFailed, CallRefused
from signal_sdk.wire.names import JsonValue

__all__ = [
    "ANSWER_SECONDS",
    "BytesMessageContext",
    "CallContext",
    "CallEnd",
    "CallEndContext",
    "ChannelBytesMessageContext",
    "ChannelContext",
    "ChannelMessageContext",
    "Context",
    "DtmfContext",
    "MemberContext",
    "MessageContext",
    "Speech",
]

ANSWER_SECONDS: Final = 60.0
"""How long an answer is waited for where the bot does not say."""

CallEnd: TypeAlias = CallEnded | CallRefused | CallFailed
"""How a call may end."""


@attrs.frozen(eq=False)
class Speech:
    """What one run of a bot speaks by."""

    session: LoginSession
    sender: Sender
    conversations: Conversations

    async def say(self, account: str, text: str | bytes, question: Question | None = None) -> None:
        """Send a point-to-point message in its turn; be it a question."""

        async def send() -> None:
            with nullcontext() if question is None else question.put():
                await self.session.message_instant_send(account, text)

        await self.sender.deliver("account", account, send)

    async def say_in(
        self, channel: Channel, text: str | bytes, question: Question | None = None
    ) -> None:
        """Send a message to the channel in its turn; be it a question."""

        async def send() -> None:
            with nullcontext() if question is None else question.put():
                await channel.message_channel_send(text)

        await self.sender.deliver("channel", channel.name, send)


@attrs.define(eq=False, kw_only=True)
class Context:
    """Something has happened: `account` has done it. What each handler, middleware and error
    handler is handed; which of its classes says what has happened.
    """

    account: str
    speech: Speech = attrs.field(repr=False)
    limit: TimeLimit = attrs.field(repr=False)

    @property
    def session(self) -> LoginSession:
        """The bot's session."""
        return self.speech.session

    async def reply(self, text: str | bytes) -> None:
        """Send `text` to `account`, behind what was sent to it before, and wait until the server
        has it.

        `bytes`, at most 6 KiB, are sent to who takes them: they are refused with 1004 where
        `account` is not online, or has not logged in with `takes_bytes`. Where the server refuses a
        message for its rate, it is sent again after the time that the server says (unless the bot
        was made with `waits_for_rate=False`). Raises `SignalError` where it is not sent, and
        `BacklogError` where 100 messages to the same receiver wait already.
        """
        await self.speech.say(self.account, text)

    async def _ask(
        self, channel: str, put: Callable[[Question], Awaitable[None]], timeout: float
    ) -> str:
        with self.limit.paused():
            return await self.speech.conversations.ask(channel, self.account, put, timeout)


@attrs.define(eq=False, kw_only=True)
class MessageContext(Context):
    """`account` has sent `text` to the bot; `match` is what the handler's pattern has found in it.

    Where no handler takes it, and before a middleware has asked for one, `match` is empty.
    """

    text: str = attrs.field(repr=False)
    match: re.Match[str] = attrs.field(repr=False)

    async def ask(self, question: str | bytes, *, timeout: float = ANSWER_SECONDS) -> str:
        """Send `question` as `reply` does, and return the text that `account` sends next: that
        goes to no other handler.

        What came before the question is no answer: it is handled after this; nor are bytes. Raises
        `NoAnswerError` where nothing comes for `timeout` seconds after the question was sent. Who
        has logged out has until then to come back: the question waits in the inbox.
        """
        put = partial(self.speech.say, self.account, question)
        return await self._ask("", put, timeout)


@attrs.define(eq=False, kw_only=True)
class BytesMessageContext(Context):
    """`account` has sent `data` to the bot."""

    data: bytes = attrs.field(repr=False)

    async def ask(self, question: str | bytes, *, timeout: float = ANSWER_SECONDS) -> str:
        """As `MessageContext.ask`."""
        put = partial(self.speech.say, self.account, question)
        return await self._ask("", put, timeout)


@attrs.define(eq=False, kw_only=True)
class ChannelContext(Context):
    """Something has happened in `channel`; `uid` is the number of `account`."""

    channel: Channel = attrs.field(repr=False)
    uid: int

    async def say(self, text: str | bytes) -> None:
        """Send `text` to the channel; otherwise as `reply`, which sends to `account` alone."""
        await self.speech.say_in(self.channel, text)


@attrs.define(eq=False, kw_only=True)
class ChannelMessageContext(ChannelContext):
    """`account` has sent `text` to the channel; `match` is as in `MessageContext`."""

    text: str = attrs.field(repr=False)
    match: re.Match[str] = attrs.field(repr=False)

    async def reply(self, text: str | bytes) -> None:
        """Send `text` to the channel, otherwise as `Context.reply`: bytes are refused with 1004
        where any member has not asked for them.
        """
        await self.say(text)

    async def ask(self, question: str | bytes, *, timeout: float = ANSWER_SECONDS) -> str:
        """As `MessageContext.ask`, in the channel: the answer is the text that `account` sends
        there next.

        `NoAnswerError` is raised at once where `account`, or the bot, leaves the channel.
        """
        put = partial(self.speech.say_in, self.channel, question)
        return await self._ask(self.channel.name, put, timeout)


@attrs.define(eq=False, kw_only=True)
class ChannelBytesMessageContext(ChannelContext):
    """`account` has sent `data` to the channel."""

    data: bytes = attrs.field(repr=False)

    async def reply(self, text: str | bytes) -> None:
        """As `ChannelMessageContext.reply`."""
        await self.say(text)

    async def ask(self, question: str | bytes, *, timeout: float = ANSWER_SECONDS) -> str:
        """As `ChannelMessageContext.ask`."""
        put = partial(self.speech.say_in, self.channel, question)
        return await self._ask(self.channel.name, put, timeout)


@attrs.define(eq=False, kw_only=True)
class MemberContext(ChannelContext):
    """`account` has joined the channel, or has left it."""


@attrs.define(eq=False, kw_only=True)
class CallContext(Context):
    """`account` calls, and waits for `accept` or `refuse`."""

    call: Call = attrs.field(repr=False)

    async def accept(self, extra: JsonValue = "") -> None:
        """As `Call.channel_invite_accept`. Raises `SignalError` where the call is over already."""
        await self.call.channel_invite_accept(extra)

    async def refuse(self, extra: JsonValue = "") -> None:
        """As `Call.channel_invite_refuse`, and raises as `accept` does."""
        await self.call.channel_invite_refuse(extra)

    async def hang_up(self, extra: JsonValue = "") -> None:
        """As `Call.channel_invite_end`, and raises as `accept` does."""
        await self.call.channel_invite_end(extra)


@attrs.define(eq=False, kw_only=True)
class DtmfContext(CallContext):
    """`account` has dialled `digit` (0 to 9, * or #) within the call."""

    digit: str


@attrs.define(eq=False, kw_only=True)
class CallEndContext(CallContext):
    """The call is over: `end` says how."""

    end: CallEnd = attrs.field(repr=False)
