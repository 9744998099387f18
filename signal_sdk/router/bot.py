"""`Bot`: its decorators, and its life.

Owns: how handlers are registered, and how a run begins and ends. Must not know how events find
their handlers: running.py does.
"""

from __future__ import annotations

import re
import ssl
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from signal import SIGINT, SIGTERM
from typing import Final, TypeAlias, TypeVar

import trio

from signal_sdk.callbacks import Answer
from signal_sdk.channel import Channel
from signal_sdk.client import given
from signal_sdk.client.backoff import Backoff
from signal_sdk.client.dialer import Dialer
from signal_sdk.ecodes import ECode
from signal_sdk.errors import LogoutError, SignalError
from signal_sdk.login_session import LoginSession
from signal_sdk.router.contexts import (
    CallContext,
    CallEndContext,
    ChannelMessageContext,
    Context,
    DtmfContext,
    MemberContext,
    MessageContext,
    Speech,
)
from signal_sdk.router.conversations import Conversations
from signal_sdk.router.handlers import Handler, check, check_digits, compiled
from signal_sdk.router.rules import Rules
from signal_sdk.router.running import Run
from signal_sdk.router.sending import Sender
from signal_sdk.signal import RECONNECT, Signal

__all__ = ["Bot"]

STOP_SECONDS: Final = 5.0
"""How long handlers that run may take to end once the bot is to stop."""

CallNext: TypeAlias = Callable[[], Awaitable[None]]
AnyHandler = TypeVar("AnyHandler", bound=Handler)
OnMessage = TypeVar("OnMessage", bound=Callable[[MessageContext], Answer])
OnChannelMessage = TypeVar("OnChannelMessage", bound=Callable[[ChannelMessageContext], Answer])
OnInvited = TypeVar("OnInvited", bound=Callable[[CallContext], Answer])
OnDtmf = TypeVar("OnDtmf", bound=Callable[[DtmfContext], Answer])
OnCallEnd = TypeVar("OnCallEnd", bound=Callable[[CallEndContext], Answer])
OnMember = TypeVar("OnMember", bound=Callable[[MemberContext], Answer])
Around = TypeVar("Around", bound=Callable[[Context, CallNext], Awaitable[None]])
OnError = TypeVar("OnError", bound=Callable[[Context, Exception], Answer])


class _Life:
    """What there is while a bot runs."""

    def __init__(self, signal: Signal, speech: Speech, channel: Channel | None) -> None:
        self.signal = signal
        self.speech = speech
        self.channel = channel
        self.stop = trio.Event()


class Bot:
    """A bot that is made of handlers: functions that its decorators register.

        bot = Bot("app", account="desk")

        @bot.message(r"^/help")
        async def help_them(context: MessageContext) -> None:
            await context.reply("I know /help and /order.")

    `appid`, `server`, `ssl_context`, `reconnect` and `proxy` are as for `Signal`, `account` and
    `token` as for `Signal.login`. `channel` is the channel to join, if any.

    A handler is an `async def`, or a plain `def`, which runs in a thread, of which `threads` run at
    a time (there, `trio.from_thread.run(context.reply, text)` replies). What one account does in
    one place (its messages to the bot, what it does in the channel, one of its calls) is handled in
    order, one event at a time; all else is handled beside it. So a handler that waits, or never
    returns, delays nobody but its own account there. `handler_timeout` is after how many seconds a
    handler is cancelled (waiting in `ask` does not count; a thread that it has goes on), by default
    never. Behind a handler that runs, 100 events of the same account and place may wait, and 10,000
    in all; what is more is dropped.

    What a handler raises is logged, and told to `error`; the bot goes on. `waits_for_rate=False`
    has `reply` and its like raise at once where the server refuses a message for its rate, instead
    of sending it when the server says. What the bot itself says is told to no handler.

    Each decorator raises `TypeError` where the function cannot be called with what it is for, and
    returns it unchanged.
    """

    def __init__(
        self,
        appid: str,
        *,
        account: str,
        token: str = "_no_need_token",  # noqa: S107  what says that there is none
        channel: str | None = None,
        server: str | Dialer | None = None,
        ssl_context: ssl.SSLContext | None = None,
        reconnect: Backoff | None = RECONNECT,
        proxy: str | None = None,
        waits_for_rate: bool = True,
        handler_timeout: float | None = None,
        threads: int = 8,
    ) -> None:
        self.appid: str = given.text("app id", appid)
        self.account: str = given.text("account", account)
        if handler_timeout is not None and not handler_timeout > 0:
            raise ValueError(f"handler_timeout={handler_timeout!r}: seconds above 0, or None")
        if threads < 1:
            raise ValueError(f"threads={threads!r}: a number from 1 on")
        self._token = token
        self._channel_name = channel
        self._server = server
        self._ssl_context = ssl_context
        self._reconnect = reconnect
        self._proxy = proxy
        self._waits_for_rate = waits_for_rate
        self._handler_timeout = handler_timeout
        self._threads = threads
        self._rules = Rules()
        self._life: _Life | None = None
        self._is_running = False

    def __repr__(self) -> str:
        state = "runs" if self._is_running else "does not run"
        return f"<Bot {self.account!r} in {self.appid!r}: {state}>"

    # --- decorators ---

    def message(self, pattern: str | re.Pattern[str] = "", /) -> Callable[[OnMessage], OnMessage]:
        """A point-to-point message in which `pattern` is found (`re.search`; none is in all).

        Of several handlers, the first that was registered and whose pattern is found takes the
        message, and no other. Raises `ValueError` where the pattern is wrong.
        """
        return self._for_messages("message", pattern)

    def channel_message(
        self, pattern: str | re.Pattern[str] = "", /
    ) -> Callable[[OnChannelMessage], OnChannelMessage]:
        """A message in the bot's channel, otherwise as `message`."""
        return self._for_messages("channel_message", pattern)

    def _for_messages(self, kind: str, pattern: object) -> Callable[[AnyHandler], AnyHandler]:
        expression = compiled(kind, pattern)

        def register(handler: AnyHandler) -> AnyHandler:
            check(kind, handler, "context")
            self._rules.messages[kind].append((expression, handler))
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

    def joined(self, handler: OnMember, /) -> OnMember:
        """Another user has joined the bot's channel."""
        return self._single("joined", handler)

    def left(self, handler: OnMember, /) -> OnMember:
        """Another user has left the bot's channel."""
        return self._single("left", handler)

    def _single(self, kind: str, handler: AnyHandler) -> AnyHandler:
        check(kind, handler, "context")
        self._rules.add_single(kind, handler)
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
        is in its channel no more (`SignalError`; its own account is the context's then). All that
        are registered are told, in order. It is in the log, too.
        """
        check("error", handler, "context, error")
        self._rules.errors.append(handler)
        return handler

    # --- speaking by oneself ---

    @property
    def signal(self) -> Signal:
        """The `Signal` that the bot runs in, for attributes of users: `bot.signal.user_set_attr`.
        Raises `RuntimeError` while it does not run.
        """
        return self._running().signal

    @property
    def session(self) -> LoginSession:
        """The session that the bot runs in. Raises `RuntimeError` while it does not run."""
        return self._running().speech.session

    @property
    def channel(self) -> Channel | None:
        """The channel that it has joined, if any. Raises `RuntimeError` while it does not run."""
        return self._running().channel

    async def send(self, account: str, text: str) -> None:
        """Send `text` to `account`, as `Context.reply` does."""
        await self._running().speech.say(account, text)

    async def say(self, text: str) -> None:
        """Send `text` to the bot's channel, otherwise as `send`. Raises `RuntimeError` where it has
        none.
        """
        channel = self._running().channel
        if channel is None:
            raise RuntimeError("the bot has no channel: Bot(…, channel=NAME) joins one")
        await self._running().speech.say_in(channel, text)

    def _running(self) -> _Life:
        if self._life is None:
            raise RuntimeError("the bot does not run: await bot.run(), or bot.main()")
        return self._life

    # --- running ---

    async def run(
        self,
        *,
        app: str | None = None,
        server: str | Dialer | None = None,
        task_status: trio.TaskStatus[LoginSession] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Log in, join the channel, and react, until `stop` or a cancellation.

        `app` and `server` are instead of those that the bot was made with: for tests. Started by
        `await nursery.start(bot.run)`, it has started once it is in its channel, and gives its
        session. Where the session ends otherwise, handlers that still run are cancelled, and
        `LogoutError` is raised with what `on_logout` hears; where the login fails, `LoginError`;
        where the channel cannot be joined, `SignalError`. A bot that has ended may be run again.
        Raises `RuntimeError` where it runs.
        """
        if self._is_running:
            raise RuntimeError("the bot runs already: make another Bot for a second account")
        self._is_running = True
        try:
            async with (
                Signal(
                    app or self.appid,
                    server=self._server if server is None else server,
                    ssl_context=self._ssl_context if server is None else None,
                    reconnect=self._reconnect,
                    proxy=self._proxy if server is None else None,
                ) as signal,
                # What comes before the streams are read is kept for them.
                signal.login(self.account, self._token) as session,
            ):
                channel = session.channel(self._channel_name) if self._channel_name else None
                if channel is not None:
                    await channel
                await self._live(signal, session, channel, task_status)
        finally:
            self._is_running = False

    async def _live(
        self,
        signal: Signal,
        session: LoginSession,
        channel: Channel | None,
        task_status: trio.TaskStatus[LoginSession],
    ) -> None:
        sender = Sender(waits_for_rate=self._waits_for_rate)
        self._life = life = _Life(signal, Speech(session, sender, Conversations()), channel)
        # Held to the end: what nobody reads any more then stays with the server.
        messages, invitations = session.messages(), session.invitations()
        try:
            async with trio.open_nursery() as nursery:
                run = Run(
                    nursery,
                    self._rules,
                    life.speech,
                    limiter=trio.CapacityLimiter(self._threads),
                    handler_timeout=self._handler_timeout,
                )
                nursery.start_soon(run.read, messages, invitations, channel)
                nursery.start_soon(self._stop_when_told, life, run)
                task_status.started(session)
                ecode = await session.wait_logged_out()
                nursery.cancel_scope.cancel()
        except BaseExceptionGroup as group:
            # A handler has raised what is no Exception: KeyboardInterrupt, SystemExit.
            raise _only(group) from None
        finally:
            self._life = None
        if ecode is not ECode.LOGOUT_E_USER:
            raise LogoutError(ecode)

    @staticmethod
    async def _stop_when_told(life: _Life, run: Run) -> None:
        await life.stop.wait()
        with trio.move_on_after(STOP_SECONDS):
            await run.close()
        life.speech.session.logout()

    def stop(self) -> None:
        """Have the bot end: it reads nothing more, handlers that run have 5 s to end, then it logs
        out, and `run` returns. What was not read stays with the server. Nothing where it does not
        run.
        """
        if self._life is not None:
            self._life.stop.set()

    def main(self, *, app: str | None = None, server: str | Dialer | None = None) -> None:
        """Run the bot as a program, until Ctrl-C or SIGTERM, which `stop` it: for the last line of
        `bot.py`. `app` and `server` are as for `run`.

        It says on stderr that it is online. Where it ends otherwise, the process exits with 1 and
        one line that says why.
        """
        try:
            trio.run(self._main, app, server)
        except SignalError as exc:
            sys.exit(f"error: {exc}")
        except KeyboardInterrupt:
            sys.exit(130)

    async def _main(self, app: str | None, server: str | Dialer | None) -> None:
        with trio.open_signal_receiver(SIGINT, SIGTERM) as signals:
            try:
                async with trio.open_nursery() as nursery:

                    async def run(*, task_status: trio.TaskStatus[LoginSession]) -> None:
                        await self.run(app=app, server=server, task_status=task_status)
                        nursery.cancel_scope.cancel()

                    nursery.start_soon(self._stop_at, signals, nursery.cancel_scope)
                    session = await nursery.start(run)
                    sys.stderr.write(f"{session.account} is online\n")
            except BaseExceptionGroup as group:
                raise _only(group) from None

    async def _stop_at(self, signals: AsyncIterator[int], scope: trio.CancelScope) -> None:
        async for _ in signals:
            if self._life is None or self._life.stop.is_set():
                # It is not online yet, or whoever asks is in a hurry.
                scope.cancel()
            self.stop()


def _only(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The one exception in it, where there is one."""
    exc: BaseException = group
    while isinstance(exc, BaseExceptionGroup) and len(exc.exceptions) == 1:
        exc = exc.exceptions[0]
    return exc
