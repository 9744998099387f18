"""One login of an instance, and its end.

Owns: when its session begins, and what is told of the login as a whole. Must not know the
operations within a session, how that logs in and stays so, or how callbacks are run.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final

import attrs
import trio

from signal_sdk.client.channel_states import ChannelState
from signal_sdk.client.dialer import Dialer
from signal_sdk.client.dispatcher import Dispatcher
from signal_sdk.client.log import Log
from signal_sdk.client.login_states import LoginState
from signal_sdk.client.seen import Seen
from signal_sdk.client.session import SessionClient
from signal_sdk.client.shared import Shared
from signal_sdk.ecodes import ECode
from signal_sdk.errors import SignalError
from signal_sdk.flat.listener import Listener, Tell
from signal_sdk.flat.retries import RetryPolicy
from signal_sdk.net.reactor import Reactor
from signal_sdk.wire.names import JsonValue

__all__ = ["Account", "Life", "Means", "Status"]


class Status(enum.IntEnum):
    """Where an instance stands (Linux SDK, `getStatus`)."""

    LOGIN_STATE_NOT_LOGIN = 0
    LOGIN_STATE_LOGINING = 1
    LOGIN_STATE_LOGINED = 2
    LOGIN_STATE_RECONNECTING = 3


_STATUS: Final[Mapping[LoginState, Status]] = {
    LoginState.CONNECTING: Status.LOGIN_STATE_LOGINING,
    LoginState.LOGGED_IN: Status.LOGIN_STATE_LOGINED,
    LoginState.RECONNECTING: Status.LOGIN_STATE_RECONNECTING,
    LoginState.LOGGING_OUT: Status.LOGIN_STATE_NOT_LOGIN,
    LoginState.LOGGED_OUT: Status.LOGIN_STATE_NOT_LOGIN,
    LoginState.FAILED: Status.LOGIN_STATE_NOT_LOGIN,
}


@attrs.frozen(kw_only=True)
class Means:
    """What all logins of one instance stand on. `tell` is for `dispatcher`'s turns only."""

    dialer: Dialer
    reactor: Reactor
    log: Log
    dispatcher: Dispatcher
    tell: Tell


@attrs.frozen(kw_only=True)
class Account:
    """Who logs in."""

    appid: str
    name: str
    token: str = attrs.field(repr=False)


class Life:
    """A login, from `login` to `on_logout` or `on_login_failed`."""

    def __init__(
        self,
        means: Means,
        account: Account,
        policy: RetryPolicy,
        seen: Seen,
        after: trio.Event | None,
    ) -> None:
        self.account = account
        self.is_leaving: bool = False
        self.ended: trio.Event = trio.Event()
        self._means = means
        self._policy = policy
        self._seen = seen
        self._after = after
        self.last_words: list[tuple[Any, ...]] = []
        """What is still to be told of the end: callbacks with their arguments."""
        self._why = ""
        # What is asked before the login's task runs is asked of its session, too.
        self._client, self._listener = self._begin()

    # --- what others see ---

    @property
    def client(self) -> SessionClient | None:
        """The session that there is, logged in or about to be."""
        return self._client if self._client.is_staying else None

    @property
    def status(self) -> Status:
        """Where the login stands. May be read from any thread."""
        if self.ended.is_set() or self.is_leaving:
            return Status.LOGIN_STATE_NOT_LOGIN
        return _STATUS[self._client.state]

    # --- what the user asks for ---

    def leave(self) -> None:
        """Log out, or give the login up."""
        self.is_leaving = True
        if self._client.is_staying:
            self._client.log_out()

    def join(self, channel: str) -> None:
        """Join a channel; joining the one that the session is in is told once more."""
        member = self._client.channels.membership(channel)
        if member.sink is None:
            member.sink = partial(self._listener.channel, member.name)
            self._client.channels.join(member)
        elif member.state is ChannelState.JOINED:
            self._tell(partial(self._means.tell, "on_channel_joined", channel))

    def invite(self, channel: str, account: str, extra: JsonValue) -> None:
        """Call an account."""
        calls = self._client.calls
        side = calls.outgoing(channel, account, extra)
        side.sink = self._listener.call
        calls.invite(side, channel, account, extra)

    # --- its course ---

    async def run(self) -> None:
        """Live to the end, and tell of it."""
        ecode = ECode.LOGIN_E_OTHER
        try:
            if self._after is not None:
                await self._after.wait()
            ecode = await self._live()
        finally:
            # Also where a login that was given up has not ended in time.
            self.ended.set()
            self.last_words = self._end(ecode)
            self._tell(self._tell_end)

    @property
    def _was_in(self) -> bool:
        """Has the session been logged in?"""
        return self._client.state not in (LoginState.CONNECTING, LoginState.FAILED)

    def _end(self, ecode: ECode) -> list[tuple[Any, ...]]:
        if self._was_in:
            return [("on_logout", ECode.LOGOUT_E_USER if self.is_leaving else ecode)]
        if self.is_leaving:
            return [("on_login_failed", ECode.LOGIN_E_CANCEL)]
        # The code alone says nothing of a certificate that is not trusted, or a wrong address.
        why = [("on_error", "login", ecode, self._why)] if self._why else []
        return [("on_login_failed", ecode), *why]

    async def _live(self) -> ECode:
        """Log in and stay; the code that it has ended with. Why, where nobody was ever logged in,
        is kept.
        """
        await self._client.run()
        try:
            await self._client.logged_in
        except SignalError as exc:
            self._why = exc.reason
        return await self._client.ended

    def _begin(self) -> tuple[SessionClient, Listener]:
        means, account = self._means, self.account
        shared = Shared(
            appid=account.appid,
            dialer=means.dialer,
            reactor=means.reactor,
            log=means.log,
            first=self._policy.backoff,
            backoff=self._policy.backoff,
        )
        listener = Listener(means.tell, means.dispatcher)
        client = SessionClient(
            shared,
            account=account.name,
            token=account.token,
            sink=listener.session,
            dispatcher=means.dispatcher,
            seen=self._seen,
        )
        return client, listener

    # --- telling ---

    def _tell(self, run: Callable[[], Any]) -> None:
        self._means.dispatcher.put(run)

    async def _tell_end(self) -> None:
        while self.last_words:
            name, *args = self.last_words.pop(0)
            await self._means.tell(name, *args)
