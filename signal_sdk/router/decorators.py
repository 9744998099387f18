"""The decorators of a bot, by which its handlers are registered.

Owns: what each decorator is for, and what it refuses. Must not know how a handler is found or
called, or how a bot lives.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Collection
from functools import partial
from typing import TypeAlias, TypeVar, overload

from signal_sdk.callbacks import Answer
from signal_sdk.router.contexts import (
    BytesMessageContext,
    CallContext,
    CallEndContext,
    ChannelBytesMessageContext,
    ChannelMessageContext,
    Context,
    DtmfContext,
    MemberContext,
    MessageContext,
)
from signal_sdk.router.handlers import Handler, check, check_digits, compiled
from signal_sdk.router.rules import BYTES, Rules

__all__ = ["Decorators"]

CallNext: TypeAlias = Callable[[], Awaitable[None]]
AnyHandler = TypeVar("AnyHandler", bound=Handler)
OnMessage = TypeVar("OnMessage", bound=Callable[[MessageContext], Answer])
OnChannelMessage = TypeVar("OnChannelMessage", bound=Callable[[ChannelMessageContext], Answer])
OnBytes = TypeVar("OnBytes", bound=Callable[[BytesMessageContext], Answer])
OnChannelBytes = TypeVar("OnChannelBytes", bound=Callable[[ChannelBytesMessageContext], Answer])
OnInvited = TypeVar("OnInvited", bound=Callable[[CallContext], Answer])
OnDtmf = TypeVar("OnDtmf", bound=Callable[[DtmfContext], Answer])
OnCallEnd = TypeVar("OnCallEnd", bound=Callable[[CallEndContext], Answer])
OnMember = TypeVar("OnMember", bound=Callable[[MemberContext], Answer])
Around = TypeVar("Around", bound=Callable[[Context, CallNext], Awaitable[None]])
OnError = TypeVar("OnError", bound=Callable[[Context, Exception], Answer])


class Decorators:
    """What registers the handlers of a `Bot`.

    Each raises `TypeError` where the function cannot be called with what it is for, and returns it
    unchanged. What is for a `channel` is called for what happens there alone; that of all channels
    is then for the others. `ValueError` is raised for one that the bot will never be in.
    """

    def __init__(self, only: Collection[str] | None = None) -> None:
        """`only` are the channels that the bot is ever in; None: it may be in any."""
        self._only = only
        self._rules = Rules()
        self._is_running = False

    def message(self, pattern: str | re.Pattern[str] = "", /) -> Callable[[OnMessage], OnMessage]:
        """A point-to-point message in which `pattern` is found (`re.search`; none is in all).

        Of several handlers, the first that was registered and whose pattern is found takes the
        message, and no other. Raises `ValueError` where the pattern is wrong.
        """
        return self._for_messages("message", pattern)

    def channel_message(
        self, pattern: str | re.Pattern[str] = "", /, *, channel: str | None = None
    ) -> Callable[[OnChannelMessage], OnChannelMessage]:
        """A message in a channel of the bot's, or in this one of them, otherwise as `message`: one
        of all channels that was registered before one of this takes its messages.
        """
        return self._for_messages("channel_message", pattern, channel)

    def bytes_message(self, handler: OnBytes, /) -> OnBytes:
        """A point-to-point message that is bytes: `context.data`.

        A bot that has a handler of bytes when its run begins logs in with `takes_bytes`; to any
        other nobody can send some. Raises `RuntimeError` where such a one runs.
        """
        return self._single("bytes_message", handler)

    @overload
    def channel_bytes_message(self, handler: OnChannelBytes, /) -> OnChannelBytes: ...
    @overload
    def channel_bytes_message(
        self, /, *, channel: str | None = None
    ) -> Callable[[OnChannelBytes], OnChannelBytes]: ...
    def channel_bytes_message(
        self, handler: Handler | None = None, /, *, channel: str | None = None
    ) -> Handler:
        """A message in a channel of the bot's that is bytes, otherwise as `bytes_message`;
        `@bot.channel_bytes_message(channel=NAME)`: in this one. It can be sent where all members
        take bytes.
        """
        return self._in_channel("channel_bytes_message", handler, channel)

    def _for_messages(
        self, kind: str, pattern: object, channel: str | None = None
    ) -> Callable[[AnyHandler], AnyHandler]:
        expression = compiled(kind, pattern)
        self._check_channel(kind, channel)

        def register(handler: AnyHandler) -> AnyHandler:
            check(kind, handler, "context")
            self._rules.messages[kind].append((expression, channel, handler))
            return handler

        return register

    def invited(self, handler: OnInvited, /) -> OnInvited:
        """Somebody calls: `context.accept()` or `context.refuse()`.

        A call is refused where there is no handler, or it raises before it has done either.
        """
        return self._single("invited", handler)

    def dtmf(self, digit: str = "", /) -> Callable[[OnDtmf], OnDtmf]:
        """A caller has dialled `digit`, or, without one, any that has no handler of its own.
        Several that are dialled at once are told one by one.
        """
        wanted = check_digits(digit)

        def register(handler: OnDtmf) -> OnDtmf:
            check("dtmf", handler, "context")
            self._rules.add_dtmf(wanted, handler)
            return handler

        return register

    def call_ended(self, handler: OnCallEnd, /) -> OnCallEnd:
        """A call that came to the bot is over, whoever has ended it: `context.end` says how."""
        return self._single("call_ended", handler)

    @overload
    def joined(self, handler: OnMember, /) -> OnMember: ...
    @overload
    def joined(self, /, *, channel: str | None = None) -> Callable[[OnMember], OnMember]: ...
    def joined(self, handler: Handler | None = None, /, *, channel: str | None = None) -> Handler:
        """Another user has joined a channel of the bot's; `@bot.joined(channel=NAME)`: this one."""
        return self._in_channel("joined", handler, channel)

    @overload
    def left(self, handler: OnMember, /) -> OnMember: ...
    @overload
    def left(self, /, *, channel: str | None = None) -> Callable[[OnMember], OnMember]: ...
    def left(self, handler: Handler | None = None, /, *, channel: str | None = None) -> Handler:
        """Another user has left a channel of the bot's; `@bot.left(channel=NAME)`: this one."""
        return self._in_channel("left", handler, channel)

    def _in_channel(self, kind: str, handler: Handler | None, channel: str | None) -> Handler:
        self._check_channel(kind, channel)
        register = partial(self._single, kind, channel=channel)
        return register if handler is None else register(handler)

    def _check_channel(self, kind: str, channel: object) -> None:
        """Raise where no channel of the bot's will ever be this one."""
        if channel is None:
            return
        if not isinstance(channel, str):
            raise TypeError(
                f"@bot.{kind}(channel=…) takes a channel's name, not what is of the type"
                f" {type(channel).__name__}"
            )
        if self._only is not None and channel not in self._only:
            where = (
                f"in {', '.join(map(repr, self._only))} alone" if self._only else "in no channel"
            )
            raise ValueError(
                f"@bot.{kind}(channel={channel!r}) would never be called: the bot is {where}"
            )

    def _single(self, kind: str, handler: AnyHandler, *, channel: str | None = None) -> AnyHandler:
        check(kind, handler, "context")
        if kind in BYTES and self._is_running and not self._rules.takes_bytes:
            raise RuntimeError(f"@bot.{kind}: the bot runs without bytes: register it before")
        self._rules.add_single(kind, handler, channel)
        return handler

    def middleware(self, function: Around, /) -> Around:
        """An `async def` around all handlers, for each event, whether a handler takes it or not:
        `await call_next()` has it handled, by the next middleware or the handler. The first that
        was registered is the outermost. One that does not call it keeps the event from them.
        Answers to `ask` go past it.
        """
        check("middleware", function, "context, call_next", threads=False)
        self._rules.middleware.append(function)
        return function

    def error(self, handler: OnError, /) -> OnError:
        """A handler or a middleware has raised, an event was dropped (`BacklogError`), or the bot
        is in a channel no more (`SignalError`; its own account is the context's then). All that
        are registered are told, in order. It is in the log, too.
        """
        check("error", handler, "context, error")
        self._rules.errors.append(handler)
        return handler
