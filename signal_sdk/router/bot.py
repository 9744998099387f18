"""`Bot`: what it is made of, and how it is run.

Owns: how a run begins and ends. Must not know how handlers are registered, which decorators.py
does, how events find them, which running.py does, or how a bot joins, leaves and stops, which
life.py does.
"""

from __future__ import annotations

import ssl
import sys
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from contextlib import contextmanager
from signal import SIGINT, SIGTERM

import trio

from signal_sdk.channel import Channel
from signal_sdk.client import given
from signal_sdk.client.backoff import Backoff
from signal_sdk.client.dialer import Dialer
from signal_sdk.ecodes import ECode
from signal_sdk.errors import LogoutError, SignalError
from signal_sdk.login_session import LoginSession
from signal_sdk.raised import only
from signal_sdk.router.contexts import Speech
from signal_sdk.router.conversations import Conversations
from signal_sdk.router.decorators import Decorators
from signal_sdk.router.life import Life, join_all
from signal_sdk.router.running import Run
from signal_sdk.router.sending import Sender
from signal_sdk.signal import RECONNECT, Signal

__all__ = ["Bot"]


class Bot(Decorators):
    """A bot that is made of handlers: functions that its decorators register.

        bot = Bot("app", account="desk")

        @bot.message(r"^/help")
        async def help_them(context: MessageContext) -> None:
            await context.reply("I know /help and /order.")

    `appid`, `server`, `ssl_context`, `reconnect` and `proxy` are as for `Signal`, `account` and
    `token` as for `Signal.login`. `channel` is the channel to join, if any; with `channels`, the
    bot may be in many (docs/guides/bots.md), joins these, which may be none, and others by `join`.

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
    """

    def __init__(
        self,
        appid: str,
        *,
        account: str,
        token: str = "_no_need_token",  # noqa: S107  what says that there is none
        channel: str | None = None,
        channels: Iterable[str] | None = None,
        server: str | Dialer | None = None,
        ssl_context: ssl.SSLContext | None = None,
        reconnect: Backoff | None = RECONNECT,
        proxy: str | None = None,
        waits_for_rate: bool = True,
        handler_timeout: float | None = None,
        threads: int = 8,
    ) -> None:
        self._is_in_many = channels is not None
        self._channels = _channels(channel, channels)
        super().__init__(None if self._is_in_many else self._channels)
        self.appid: str = given.text("app id", appid)
        self.account: str = given.text("account", account)
        if handler_timeout is not None and not handler_timeout > 0:
            raise ValueError(f"handler_timeout={handler_timeout!r}: seconds above 0, or None")
        if threads < 1:
            raise ValueError(f"threads={threads!r}: a number from 1 on")
        self._token = token
        self._server = server
        self._ssl_context = ssl_context
        self._reconnect = reconnect
        self._proxy = proxy
        self._waits_for_rate = waits_for_rate
        self._handler_timeout = handler_timeout
        self._threads = threads
        self._life: Life | None = None

    def __repr__(self) -> str:
        state = "runs" if self._is_running else "does not run"
        return f"<Bot {self.account!r} in {self.appid!r}: {state}>"

    # --- speaking by oneself ---

    @property
    def signal(self) -> Signal:
        """The `Signal` that the bot runs in, for attributes of users: `bot.signal.user_get_attr`.
        What that sets is the attribute of the account that logged in last: where several bots share
        a `Signal`, `bot.session.change_attributes` sets the bot's own. Raises `RuntimeError` while
        it does not run.
        """
        return self._running().signal

    @property
    def session(self) -> LoginSession:
        """The session that the bot runs in. Raises `RuntimeError` while it does not run."""
        return self._running().speech.session

    @property
    def channel(self) -> Channel | None:
        """The channel that the bot is in, if any. Raises `RuntimeError` where it is in several, and
        while it does not run.
        """
        return self._running().channel

    @property
    def channels(self) -> Mapping[str, Channel]:
        """The channels that the bot is in, by name. Raises `RuntimeError` while it does not run."""
        return self._running().channels

    async def join(self, channel: str) -> Channel:
        """Join a channel, too, and return it once the bot is in it; the one that there is, where it
        is. A run begins in those that the bot was made with.

        Where the server refuses it for its rate, it is asked for again after the time that the
        server says, as in `send`. Raises `SignalError` (300, where the bot may be in no more) where
        it cannot be joined, and `RuntimeError` where the bot was made without `channels`, or does
        not run.
        """
        return await self._running().join(channel)

    async def leave(self, channel: str) -> None:
        """Leave a channel. Raises `SignalError` (600) where the bot is not in it, and
        `RuntimeError` while it does not run.
        """
        await self._running().leave(channel)

    async def send(self, account: str, text: str | bytes) -> None:
        """Send `text` to `account`, as `Context.reply` does."""
        await self._running().speech.say(account, text)

    async def say(self, text: str | bytes, *, channel: str | None = None) -> None:
        """Send `text` to a channel that the bot is in, otherwise as `send`. Where it is in one,
        that need not be named. Raises `RuntimeError` where none is named and there is not one, and
        `SignalError` (400) where the bot is not in the one that is.
        """
        life = self._running()
        await life.speech.say_in(life.find(channel), text)

    def _running(self) -> Life:
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
        """Log in, join the channels, and react, until `stop` or a cancellation.

        `app` and `server` are instead of those that the bot was made with: for tests. Started by
        `await nursery.start(bot.run)`, it has started once it is in its channels, and gives its
        session. Where the session ends otherwise, handlers that still run are cancelled, and
        `LogoutError` is raised with what `on_logout` hears; where the login fails, `LoginError`;
        where a channel cannot be joined, `SignalError`. A bot that has ended may be run again.
        Raises `RuntimeError` where it runs.
        """
        with self._once():
            async with Signal(
                app or self.appid,
                server=self._server if server is None else server,
                ssl_context=self._ssl_context if server is None else None,
                reconnect=self._reconnect,
                proxy=self._proxy if server is None else None,
            ) as signal:
                await self._live(signal, task_status)

    async def run_in(
        self,
        signal: Signal,
        *,
        task_status: trio.TaskStatus[LoginSession] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Run the bot as `run` does, in a `Signal` that there is, which any number of bots and
        sessions may share; each bot then costs less than with one of its own.

            async with Signal("app") as signal, trio.open_nursery() as nursery:
                for bot in bots:
                    await nursery.start(bot.run_in, signal)

        The app, the server and how a lost connection comes back are the `Signal`'s: those that the
        bot was made with do not count. Raises what `run` raises, and `RuntimeError` where the
        `Signal` has a session of the bot's account already.
        """
        with self._once():
            if self.account in signal.accounts:
                raise RuntimeError(f"{self.account!r} is logged in in this Signal already")
            await self._live(signal, task_status)

    @contextmanager
    def _once(self) -> Iterator[None]:
        if self._is_running:
            raise RuntimeError("the bot runs already: make another Bot for a second account")
        self._is_running = True
        try:
            yield
        finally:
            self._is_running = False

    async def _live(self, signal: Signal, task_status: trio.TaskStatus[LoginSession]) -> None:
        login = signal.login(
            self.account,
            self._token,
            many_channels=self._is_in_many,
            takes_bytes=self._rules.takes_bytes,
        )
        # What comes before the streams are read is kept for them.
        async with login as session:
            speech = Speech(session, Sender(waits_for_rate=self._waits_for_rate), Conversations())
            channels = await join_all(speech, self._channels)
            # Held to the end: what nobody reads any more then stays with the server.
            messages, invitations = session.messages(), session.invitations()
            try:
                async with trio.open_nursery() as nursery:
                    run = Run(
                        nursery,
                        self._rules,
                        speech,
                        limiter=trio.CapacityLimiter(self._threads),
                        handler_timeout=self._handler_timeout,
                    )
                    self._life = Life(signal, speech, run, nursery, is_in_many=self._is_in_many)
                    await nursery.start(run.read, messages, invitations, channels)
                    task_status.started(session)
                    ecode = await session.wait_logged_out()
                    nursery.cancel_scope.cancel()
            except BaseExceptionGroup as group:
                # A handler has raised what is no Exception: KeyboardInterrupt, SystemExit.
                raise only(group) from None
            finally:
                if self._life is not None:
                    self._life.is_over = True
                self._life = None
        if ecode is not ECode.LOGOUT_E_USER:
            raise LogoutError(ecode)

    def stop(self) -> None:
        """Have the bot end: it reads nothing more, handlers that run have 5 s to end, then it logs
        out, and `run` returns. What was not read stays with the server. Nothing where it does not
        run. May be called in any thread.
        """
        if self._life is not None:
            self._life.stop()

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
                raise only(group) from None

    async def _stop_at(self, signals: AsyncIterator[int], scope: trio.CancelScope) -> None:
        async for _ in signals:
            if self._life is None or self._life.is_stopping:
                # It is not online yet, or whoever asks is in a hurry.
                scope.cancel()
            self.stop()


def _channels(one: str | None, many: Iterable[str] | None) -> tuple[str, ...]:
    """The names of the channels to join, each once."""
    if many is None:
        return (given.text("channel", one),) if one else ()
    if one is not None:
        raise ValueError("channel=… is for a bot in one channel, channels=[…] for one in many")
    if isinstance(many, str):
        raise TypeError(f"channels={many!r}: a list of names, not one of them")
    return tuple(dict.fromkeys(given.text("channel", name) for name in many))
