"""One login of an instance, over all sessions that it takes: tries, reconnecting, the end.

Owns: when a session begins, and what is told of the login as a whole. Must not know the operations
within a session, or how callbacks are run.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from functools import partial
from typing import Any, Final

import attrs
import trio

from signal_sdk.call import Call
from signal_sdk.channel import Channel
from signal_sdk.client.channel_states import ChannelState
from signal_sdk.client.channels import Membership
from signal_sdk.client.dialer import Dialer
from signal_sdk.client.dispatcher import Dispatcher
from signal_sdk.client.log import Log
from signal_sdk.client.login_states import LoginState
from signal_sdk.client.mailbox import Seen
from signal_sdk.client.session import SessionClient, Shared
from signal_sdk.ecodes import ECode
from signal_sdk.flat.listener import Absence, Listener, Tell
from signal_sdk.flat.retries import RetryPolicy, Tries
from signal_sdk.login_session import LoginSession
from signal_sdk.websocket.outbox import Flusher
from signal_sdk.wire.names import JsonValue

__all__ = ["Account", "Life", "Means", "Status"]

_LOGOUT_CODES: Final = {
    ECode.LOGIN_E_NET: ECode.LOGOUT_E_NET,
    ECode.LOGIN_E_CANCEL: ECode.LOGOUT_E_USER,
    ECode.LOGIN_E_TOKENEXPIRED: ECode.LOGOUT_E_TOKENEXPIRED,
    ECode.LOGIN_E_TOKEN_KICKED: ECode.LOGOUT_E_KICKED,
}
"""What a login that reconnects ends with, where logging in again has failed for good."""


class Status(enum.IntEnum):
    """Where an instance stands (Linux SDK, `getStatus`)."""

    LOGIN_STATE_NOT_LOGIN = 0
    LOGIN_STATE_LOGINING = 1
    LOGIN_STATE_LOGINED = 2
    LOGIN_STATE_RECONNECTING = 3


@attrs.frozen(kw_only=True)
class Means:
    """What all logins of one instance stand on. `tell` is for `dispatcher`'s turns only."""

    dialer: Dialer
    flusher: Flusher
    log: Log
    dispatcher: Dispatcher
    tell: Tell


@attrs.frozen(kw_only=True)
class Account:
    """Who logs in."""

    appid: str
    name: str
    token: str = attrs.field(repr=False)


@attrs.define(eq=False)
class _Attempt:
    """One session of the login. `members` are the channels that were joined, the last one last."""

    client: SessionClient
    listener: Listener
    members: list[Membership] = attrs.field(factory=list)
    rejoined: Membership | None = None

    @property
    def was_in(self) -> bool:
        """Has the session been logged in?"""
        return self.client.state not in (LoginState.CONNECTING, LoginState.FAILED)

    def lost_channel(self) -> str | None:
        """The channel that the session was in when its connection was lost."""
        for member in reversed(self.members):
            # A join that was refused left everything as it was.
            if member.state is not ChannelState.FAILED or member is self.rejoined:
                return member.name if member.leaving is None else None
        return None

    def join(self, channel: str) -> Membership:
        """Join a channel."""
        make = partial(Channel, self.client)
        member = self.client.channels.join(channel, self.listener, make)
        self.members = [it for it in self.members if it.is_staying and it is not member]
        self.members.append(member)
        return member


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
        self.is_leaving = False
        self.ended = trio.Event()
        self._means = means
        self._policy = policy
        self._seen = seen
        self._after = after
        self._leave = trio.Event()
        self._has_been_in = False
        self._absence = Absence()
        self._to_rejoin: str | None = None
        self.last_word: tuple[str, ECode] | None = None
        # What is asked before the login's task runs is asked of its first session.
        self._attempt = self._begin()

    # --- what others see ---

    @property
    def client(self) -> SessionClient | None:
        """The session that there is, logged in or about to be."""
        client = self._attempt.client
        return client if client.is_staying else None

    @property
    def status(self) -> Status:
        """Where the login stands. May be read from any thread."""
        attempt = self._attempt
        if self.ended.is_set() or self.is_leaving:
            return Status.LOGIN_STATE_NOT_LOGIN
        if attempt.client.state is LoginState.LOGGED_IN:
            return Status.LOGIN_STATE_LOGINED
        if not (self._has_been_in or attempt.was_in):
            return Status.LOGIN_STATE_LOGINING
        return Status.LOGIN_STATE_RECONNECTING

    # --- what the user asks for ---

    def leave(self) -> None:
        """Log out, or give the login up."""
        self.is_leaving = True
        self._leave.set()
        if self._attempt.client.is_staying:
            self._attempt.client.log_out()

    def join(self, channel: str) -> None:
        """Join a channel; joining the one that the session is in is told once more."""
        if self._attempt.join(channel).state is ChannelState.JOINED:
            self._tell(partial(self._means.tell, "on_channel_joined", channel))

    def invite(self, channel: str, account: str, extra: JsonValue) -> None:
        """Call an account."""
        attempt = self._attempt
        attempt.client.calls.invite(channel, account, extra, attempt.listener)

    # --- its course ---

    async def run(self) -> None:
        """Live to the end, and tell of it."""
        ecode = ECode.LOGIN_E_OTHER
        try:
            if self._after is not None:
                await self._after.wait()
            ecode = await self._try_to_stay()
        finally:
            # Also where a login that was given up has not ended in time.
            self.ended.set()
            self.last_word = self._end(ecode)
            self._tell(self._tell_end)

    def _end(self, ecode: ECode) -> tuple[str, ECode]:
        if not (self._has_been_in or self._attempt.was_in):
            return "on_login_failed", ECode.LOGIN_E_CANCEL if self.is_leaving else ecode
        if self.is_leaving:
            return "on_logout", ECode.LOGOUT_E_USER
        ecode = _LOGOUT_CODES.get(ecode, ecode)
        return "on_logout", ecode if 100 <= ecode < 200 else ECode.LOGOUT_E_OTHER

    async def _try_to_stay(self) -> ECode:
        """Session after session, for as long as that makes sense; the last one's code."""
        tries: Tries | None = None
        deadline = trio.current_time() + self._policy.seconds
        while True:
            bound = tries.deadline if tries is not None else deadline
            ecode, was_in = await self._live_once(bound)
            if was_in:
                tries = None
            is_lost = ecode is (ECode.LOGOUT_E_NET if was_in else ECode.LOGIN_E_NET)
            if self.is_leaving or not is_lost or not self._policy.tries_again:
                return ecode
            now = trio.current_time()
            if tries is None:
                tries = Tries(self._policy, now)
                if not self._has_been_in:
                    # The first login's time began with its first try.
                    tries.deadline = deadline
            pause = tries.next_pause(now)
            if pause is None:
                return ecode
            if self._has_been_in:
                self._tell(partial(self._means.tell, "on_reconnecting", tries.made))
            with trio.move_on_after(pause):
                await self._leave.wait()
                return ECode.LOGIN_E_CANCEL
            self._attempt = self._begin()

    async def _live_once(self, deadline: float) -> tuple[ECode, bool]:
        """One session, which has until `deadline` to log in, where there are to be others."""
        attempt = self._attempt
        client = attempt.client
        is_late = False

        async def give_up() -> None:
            nonlocal is_late
            await trio.sleep_until(deadline)
            if client.state is LoginState.CONNECTING:
                is_late = True
                client.log_out()

        async with trio.open_nursery() as nursery:
            if self._policy.tries_again:
                nursery.start_soon(give_up)
            await client.run()
            nursery.cancel_scope.cancel()
        ecode = await client.ended
        if attempt.was_in:
            self._has_been_in = True
            self._to_rejoin = attempt.lost_channel()
        elif is_late:
            ecode = ECode.LOGIN_E_NET
        return ecode, attempt.was_in

    def _begin(self) -> _Attempt:
        means, account = self._means, self.account
        shared = Shared(
            appid=account.appid,
            dialer=means.dialer,
            flusher=means.flusher,
            log=means.log,
            spare=means.dispatcher,
        )
        listener = Listener(
            means.tell,
            self._absence,
            is_again=self._has_been_in,
            is_rejoined=lambda name: self._is_rejoined(attempt, name),
        )
        client = SessionClient(
            shared,
            account=account.name,
            token=account.token,
            cb=listener,
            make_session=LoginSession,
            make_call=Call,
            dispatcher=means.dispatcher,
            seen=self._seen,
        )
        attempt = _Attempt(client, listener)
        if self._to_rejoin is not None:
            attempt.rejoined = attempt.join(self._to_rejoin)
        return attempt

    def _is_rejoined(self, attempt: _Attempt, name: str) -> bool:
        is_over = self.is_leaving or self.ended.is_set()
        return self._policy.tries_again and not is_over and attempt.lost_channel() == name

    # --- telling ---

    def _tell(self, run: Callable[[], Any]) -> None:
        self._means.dispatcher.put(run)

    async def _tell_end(self) -> None:
        last_word, self.last_word = self.last_word, None
        if self._absence.channel is not None:
            ecode = ECode.LEAVECHANNEL_E_DISCONN
            await self._means.tell("on_channel_leaved", self._absence.channel, ecode)
        if last_word is not None:
            await self._means.tell(*last_word)
