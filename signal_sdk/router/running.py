"""One run of a bot: its streams are read, and each event is put into its line with its handler.

Owns: the readers, what is handled how, and who is told of errors. Must not know how handlers are
registered, or how a run begins and ends.
"""

from __future__ import annotations

import json
from collections.abc import Hashable, Iterable
from functools import partial
from typing import Final, TypedDict

import attrs
import trio

from signal_sdk.call import Call
from signal_sdk.channel import Channel
from signal_sdk.client.call_states import CallState
from signal_sdk.client.log import log_raised, warn
from signal_sdk.ecodes import ECode
from signal_sdk.errors import LoginError, LogoutError, SignalError, SignalSdkError
from signal_sdk.raised import type_name
from signal_sdk.router.contexts import (
    BytesMessageContext,
    CallContext,
    CallEndContext,
    ChannelBytesMessageContext,
    ChannelContext,
    ChannelMessageContext,
    Context,
    DtmfContext,
    MemberContext,
    MessageContext,
    Speech,
)
from signal_sdk.router.failures import BacklogError
from signal_sdk.router.handlers import DIGITS, Handler, call
from signal_sdk.router.lines import Lines
from signal_sdk.router.rules import Rules
from signal_sdk.router.time_limit import TimeLimit
from signal_sdk.stream_events import (
    CallEnded,
    CallFailed,
    CallMessage,
    CallRefused,
    ChannelLeft,
    ChannelMessage,
    Message,
    Missed,
    UserJoined,
    UserLeft,
)
from signal_sdk.streams import Stream

__all__ = ["Run"]

OWN_DOING: Final = (ECode.LEAVECHANNEL_E_BYUSER, ECode.LEAVECHANNEL_E_LOGOUT)
"""How a channel is left without anything's having gone wrong."""


class _Means(TypedDict):
    """What every context has."""

    speech: Speech
    limit: TimeLimit


@attrs.frozen(eq=False)
class _Event:
    """Something to be handled."""

    context: Context
    handler: Handler | None


class Run:
    """One run, within its nursery."""

    def __init__(
        self,
        nursery: trio.Nursery,
        rules: Rules,
        speech: Speech,
        *,
        limiter: trio.CapacityLimiter,
        handler_timeout: float | None,
    ) -> None:
        self._nursery = nursery
        self._rules = rules
        self._speech = speech
        self._limiter = limiter
        self._handler_timeout = handler_timeout
        self._account = speech.session.account
        self._readers: trio.Nursery | None = None
        self.channels: dict[str, Channel] = {}
        """Those that are read, by name: of what has happened in them, some may not be yet."""
        self._lines: Lines[_Event] = Lines(nursery, self._handle)

    async def read(
        self,
        messages: Stream[Message],
        invitations: Stream[Call],
        channels: Iterable[Channel],
        *,
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Read these streams, and the channels', until the session ends, or `close`."""
        async with trio.open_nursery() as nursery:
            self._readers = nursery
            nursery.start_soon(self._read_invitations, invitations, nursery)
            for channel in channels:
                self.read_channel(channel)
            task_status.started()
            await self._read_messages(messages)

    def read_channel(self, channel: Channel) -> None:
        """Read a channel that was joined, too, until the bot is in it no more."""
        if self._readers is None or self._readers.cancel_scope.cancel_called:
            return
        self.channels[channel.name] = channel
        self._readers.start_soon(self._read_channel, channel)

    async def close(self) -> None:
        """Read nothing more, and wait until what was read is handled."""
        if self._readers is not None:
            self._readers.cancel_scope.cancel()
        await self._lines.wait_empty()

    # --- reading: nobody waits for a handler here ---

    async def _read_messages(self, messages: Stream[Message]) -> None:
        try:
            async for message in messages:
                if message.account != self._account:
                    self._put_message(message)
        except (LogoutError, LoginError):
            pass  # Whoever runs the bot hears of it from the session.

    async def _read_invitations(self, invitations: Stream[Call], nursery: trio.Nursery) -> None:
        try:
            async for incoming in invitations:
                context = CallContext(account=incoming.peer, call=incoming, **self._means())
                self._put(incoming, context, self._rules.find_single("invited"))
                nursery.start_soon(self._read_call, incoming)
        except (LogoutError, LoginError):
            pass  # As above.

    async def _read_call(self, incoming: Call) -> None:
        async with incoming.events() as events:
            async for event in events:
                account = incoming.peer
                match event:
                    case CallMessage(extra=extra):
                        for digit in _dialled(extra):
                            dialled = DtmfContext(
                                account=account, call=incoming, digit=digit, **self._means()
                            )
                            self._put(incoming, dialled, self._rules.find_dtmf(digit))
                    case CallEnded() | CallRefused() | CallFailed():
                        over = CallEndContext(
                            account=account, call=incoming, end=event, **self._means()
                        )
                        self._put(incoming, over, self._rules.find_single("call_ended"))
                    case _:
                        pass

    async def _read_channel(self, channel: Channel) -> None:
        async with channel.events() as events:
            async for event in events:
                match event:
                    case ChannelMessage(account=account):
                        if account != self._account:
                            self._put_channel_message(channel, event)
                    case UserJoined(account=account, uid=uid):
                        self._put_member("joined", channel, account, uid)
                    case UserLeft(account=account, uid=uid):
                        self._speech.conversations.leave(channel.name, account)
                        self._put_member("left", channel, account, uid)
                    case ChannelLeft(ecode=ecode) if ecode not in OWN_DOING:
                        reason = f"the bot is in the channel {channel.name!r} no more"
                        self._tell(SignalError(ecode, f"{reason}: {ecode.meaning}"))
                    case Missed(count=count):
                        reason = f"{count} events of the channel {channel.name!r} were dropped"
                        self._tell(BacklogError(f"{reason}: more came than could be read"))
                    case _:
                        pass
        if self.channels.get(channel.name) is channel:
            del self.channels[channel.name]
            self._speech.conversations.close(channel.name)

    def _put_message(self, message: Message) -> None:
        account, text = message.account, message.text
        context: Context
        if message.data is not None:
            context = BytesMessageContext(account=account, data=message.data, **self._means())
            self._put(account, context, self._rules.find_single("bytes_message"))
        elif not self._speech.conversations.answer("", account, text):
            handler, match = self._rules.find("message", text)
            context = MessageContext(account=account, text=text, match=match, **self._means())
            self._put(account, context, handler)

    def _put_channel_message(self, channel: Channel, message: ChannelMessage) -> None:
        account, text, uid = message.account, message.text, message.uid
        context: ChannelContext
        if message.data is not None:
            context = ChannelBytesMessageContext(
                account=account, channel=channel, uid=uid, data=message.data, **self._means()
            )
            handler = self._rules.find_single("channel_bytes_message", channel.name)
            self._put((channel, account), context, handler)
        elif not self._speech.conversations.answer(channel.name, account, text):
            handler, match = self._rules.find("channel_message", text, channel.name)
            context = ChannelMessageContext(
                account=account, channel=channel, uid=uid, text=text, match=match, **self._means()
            )
            self._put((channel, account), context, handler)

    def _put_member(self, kind: str, channel: Channel, account: str, uid: int) -> None:
        context = MemberContext(account=account, channel=channel, uid=uid, **self._means())
        self._put((channel, account), context, self._rules.find_single(kind, channel.name))

    def _means(self) -> _Means:
        return {"speech": self._speech, "limit": TimeLimit(self._handler_timeout)}

    def _put(self, line: Hashable, context: Context, handler: Handler | None) -> None:
        if handler is None and not self._rules.middleware and type(context) is not CallContext:
            return
        limit = self._lines.put(line, _Event(context, handler))
        if limit is not None:
            reason = f"{limit} events wait to be handled: one of {context.account!r} was dropped"
            self._nursery.start_soon(self._fail, context, BacklogError(reason))

    def _tell(self, error: SignalSdkError) -> None:
        """Something has gone wrong that is nobody's doing."""
        context = Context(account=self._account, **self._means())
        self._nursery.start_soon(self._fail, context, error)

    # --- handling: in lines ---

    async def _handle(self, event: _Event) -> None:
        context = event.context
        try:
            with context.limit.kept():
                await self._call_next(0, event)
        except Exception as exc:  # noqa: BLE001  it is anybody's code
            await self._fail(context, exc)
            if type(context) is CallContext:
                self._let_down(context.call)

    async def _call_next(self, index: int, event: _Event) -> None:
        if index < len(self._rules.middleware):
            call_next = partial(self._call_next, index + 1, event)
            await self._rules.middleware[index](event.context, call_next)
        elif event.handler is not None:
            await call(event.handler, event.context, limiter=self._limiter)
        elif type(event.context) is CallContext:
            self._let_down(event.context.call)

    def _let_down(self, incoming: Call) -> None:
        """Nobody answers it: whoever calls hears so at once."""
        if incoming.state is CallState.INCOMING:
            incoming.channel_invite_refuse()

    async def _fail(self, context: Context, exc: Exception) -> None:
        what = f"{self._account}: {type(context).__name__} of {context.account!r}"
        if isinstance(exc, SignalSdkError):
            warn("%s: %s", what, exc)
        else:
            log_raised(f"{what}: a handler raised {type_name(exc)}", exc)
        for handler in self._rules.errors:
            # One of its own, in which waiting for an answer does not count either.
            context.limit = TimeLimit(self._handler_timeout)
            try:
                with context.limit.kept():
                    await call(handler, context, exc, limiter=self._limiter)
            except Exception as failure:  # noqa: BLE001  as above
                log_raised(f"{what}: an error handler raised {type_name(failure)}", failure)


def _dialled(extra: str) -> str:
    """The digits that were dialled; none where it is something else that was sent."""
    try:
        message = json.loads(extra)
        digits = message["msgdata"] if message["msgtype"] == "dtmf" else ""
    except (ValueError, TypeError, LookupError, RecursionError):
        return ""
    return digits if isinstance(digits, str) and DIGITS.issuperset(digits) else ""
