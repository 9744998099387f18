"""`LoginSession`, `Channel` and `Call` whose methods wait: each has the object of trio's API, and
asks it in the trio thread.

Owns: which method waits for which. Must not know what any of them does.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping
from functools import partial
from types import TracebackType
from typing import Self, TypeVar

from signal_sdk import call as _call
from signal_sdk import channel as _channel
from signal_sdk import login_session as _login_session
from signal_sdk.client.attributes import Attributes
from signal_sdk.client.call_states import CallState
from signal_sdk.client.lock_values import LockInfo
from signal_sdk.client.past import History, Waiting
from signal_sdk.client.watches import WatchEvent
from signal_sdk.ecodes import ECode
from signal_sdk.errors import SignalError
from signal_sdk.stream_events import CallEvent, ChannelEvent, Message
from signal_sdk.streams import LIMIT
from signal_sdk.sync.lock import Lock
from signal_sdk.sync.stream import Stream
from signal_sdk.sync.waiter import Waiter
from signal_sdk.wire import names
from signal_sdk.wire.names import JsonValue

__all__ = ["Call", "Channel", "LoginSession"]

E = TypeVar("E")


def _same(event: E) -> E:
    return event


class Call:
    """A call with another account: as `signal_sdk.Call`, whose methods wait. Leaving its block ends
    it.
    """

    def __init__(self, waiter: Waiter, call: _call.Call) -> None:
        self._waiter = waiter
        self._call = call

    def __repr__(self) -> str:
        return repr(self._call)

    @property
    def channel(self) -> str:
        """The name of the channel that the call is about."""
        return self._call.channel

    @property
    def peer(self) -> str:
        """The other side's account."""
        return self._call.peer

    @property
    def extra(self) -> str:
        """What the invitation said, as text."""
        return self._call.extra

    @property
    def state(self) -> CallState:
        """Where the call stands now."""
        return self._call.state

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._waiter.get(partial(self._call.__aexit__, None, None, None))

    def events(self, *, timeout: float | None = None) -> Stream[CallEvent]:
        """As `signal_sdk.Call.events`; the loop is left where nothing comes for `timeout`
        seconds.
        """
        return Stream(self._waiter, self._waiter.now(self._call.events), timeout, _same)

    def channel_invite_accept(self, extra: JsonValue = "") -> None:
        """As `signal_sdk.Call.channel_invite_accept`."""
        self._waiter.get(partial(self._call.channel_invite_accept, extra))

    def channel_invite_refuse(self, extra: JsonValue = "") -> None:
        """As `signal_sdk.Call.channel_invite_refuse`."""
        self._waiter.get(partial(self._call.channel_invite_refuse, extra))

    def channel_invite_end(self, extra: JsonValue = "") -> None:
        """As `signal_sdk.Call.channel_invite_end`."""
        self._waiter.get(partial(self._call.channel_invite_end, extra))

    def channel_invite_dtmf(self, digits: str) -> None:
        """As `signal_sdk.Call.channel_invite_dtmf`."""
        self._waiter.get(partial(self._call.channel_invite_dtmf, digits))


class Channel:
    """A channel that is joined: as `signal_sdk.Channel`, whose methods wait. Leaving its block
    leaves it.
    """

    def __init__(self, waiter: Waiter, channel: _channel.Channel) -> None:
        self._waiter = waiter
        self._channel = channel

    def __repr__(self) -> str:
        return repr(self._channel)

    @property
    def name(self) -> str:
        """The channel's name."""
        return self._channel.name

    @property
    def is_joined(self) -> bool:
        """Is the session in the channel?"""
        return self._channel.is_joined

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._waiter.get(partial(self._channel.__aexit__, None, None, None))

    def events(self, limit: int = LIMIT, *, timeout: float | None = None) -> Stream[ChannelEvent]:
        """As `signal_sdk.Channel.events`; the loop is left where nothing comes for `timeout`
        seconds.
        """
        stream = self._waiter.now(partial(self._channel.events, limit))
        return Stream(self._waiter, stream, timeout, _same)

    def channel_leave(self) -> None:
        """As `signal_sdk.Channel.channel_leave`."""
        self._waiter.get(self._channel.channel_leave)

    def channel_set_attr(self, name: str, value: str) -> None:
        """As `signal_sdk.Channel.channel_set_attr`."""
        self._waiter.get(partial(self._channel.channel_set_attr, name, value))

    def channel_del_attr(self, name: str) -> None:
        """As `signal_sdk.Channel.channel_del_attr`."""
        self._waiter.get(partial(self._channel.channel_del_attr, name))

    def channel_clear_attr(self) -> None:
        """As `signal_sdk.Channel.channel_clear_attr`."""
        self._waiter.get(self._channel.channel_clear_attr)

    def history(self, limit: int = names.MAX_HISTORY) -> History:
        """As `signal_sdk.Channel.history`."""
        return self._waiter.get(partial(self._channel.history, limit))

    def lock(self, name: str, *, lease: float = 10.0, wait: float = 30.0) -> Lock:
        """As `signal_sdk.Channel.lock`, whose block is a `with`; nobody breaks it off."""
        begin = self._channel.lock(name, lease=lease, wait=wait).begin
        return Lock(name, begin, self._waiter, wait)

    def query_lock(self, name: str) -> LockInfo:
        """As `signal_sdk.Channel.query_lock`."""
        return self._waiter.get(partial(self._channel.query_lock, name))

    def read_attributes(self) -> Attributes:
        """As `signal_sdk.Channel.read_attributes`."""
        return self._waiter.get(self._channel.read_attributes)

    def change_attributes(
        self,
        values: Mapping[str, str] | None = None,
        *,
        delete: Iterable[str] = (),
        if_revisions: Mapping[str, int] | None = None,
        if_absent: Iterable[str] = (),
        if_revision: int | None = None,
        ttl: float | None = None,
    ) -> int:
        """As `signal_sdk.Channel.change_attributes`."""
        return self._waiter.get(
            partial(
                self._channel.change_attributes,
                values,
                delete=delete,
                if_revisions=if_revisions,
                if_absent=if_absent,
                if_revision=if_revision,
                ttl=ttl,
            )
        )

    def message_channel_send(self, msg: str | bytes) -> None:
        """As `signal_sdk.Channel.message_channel_send`."""
        self._waiter.get(partial(self._channel.message_channel_send, msg))


class LoginSession:
    """One login of one account: as `signal_sdk.LoginSession`, whose methods wait. Leaving its block
    logs out.
    """

    def __init__(self, waiter: Waiter, session: _login_session.LoginSession) -> None:
        self._waiter = waiter
        self._session = session

    def __repr__(self) -> str:
        return repr(self._session)

    @property
    def account(self) -> str:
        """The account that is logged in."""
        return self._session.account

    @property
    def uid(self) -> int:
        """The number that the server knows the account by."""
        return self._session.uid

    @property
    def status(self) -> int:
        """0 logged out, 1 reconnecting, 2 logged in."""
        return self._session.status

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with contextlib.suppress(SignalError):
            # Out is out: what else has ended the session was quicker.
            if self.status:
                self.logout()

    def wait_logged_out(self, *, timeout: float | None = None) -> ECode:
        """As `signal_sdk.LoginSession.wait_logged_out`. Raises `TimeoutError`."""
        return self._waiter.get(self._session.wait_logged_out, timeout)

    def logout(self) -> None:
        """As `signal_sdk.LoginSession.logout`."""
        self._waiter.get(self._session.logout)

    def messages(self, *, timeout: float | None = None) -> Stream[Message]:
        """As `signal_sdk.LoginSession.messages`; the loop is left where nothing comes for `timeout`
        seconds.
        """
        return Stream(self._waiter, self._waiter.now(self._session.messages), timeout, _same)

    def invitations(self, *, timeout: float | None = None) -> Stream[Call]:
        """As `signal_sdk.LoginSession.invitations`; the loop is left where nothing comes for
        `timeout` seconds.
        """
        stream = self._waiter.now(self._session.invitations)
        return Stream(self._waiter, stream, timeout, partial(Call, self._waiter))

    def peek_messages(self, limit: int = names.MAX_INBOX_PAGE) -> list[Waiting]:
        """As `signal_sdk.LoginSession.peek_messages`."""
        return self._waiter.get(partial(self._session.peek_messages, limit))

    def watch(
        self, account: str, limit: int = LIMIT, *, timeout: float | None = None
    ) -> Stream[WatchEvent]:
        """As `signal_sdk.LoginSession.watch`; the loop is left where nothing comes for `timeout`
        seconds.
        """
        stream = self._waiter.now(partial(self._session.watch, account, limit))
        return Stream(self._waiter, stream, timeout, _same)

    def read_attributes(self, account: str | None = None) -> Attributes:
        """As `signal_sdk.LoginSession.read_attributes`."""
        return self._waiter.get(partial(self._session.read_attributes, account))

    def change_attributes(
        self,
        values: Mapping[str, str] | None = None,
        *,
        delete: Iterable[str] = (),
        if_revisions: Mapping[str, int] | None = None,
        if_absent: Iterable[str] = (),
        if_revision: int | None = None,
        ttl: float | None = None,
    ) -> int:
        """As `signal_sdk.LoginSession.change_attributes`."""
        return self._waiter.get(
            partial(
                self._session.change_attributes,
                values,
                delete=delete,
                if_revisions=if_revisions,
                if_absent=if_absent,
                if_revision=if_revision,
                ttl=ttl,
            )
        )

    def read_channel_attributes(self, channel: str) -> Attributes:
        """As `signal_sdk.LoginSession.read_channel_attributes`."""
        return self._waiter.get(partial(self._session.read_channel_attributes, channel))

    def change_channel_attributes(
        self,
        channel: str,
        values: Mapping[str, str] | None = None,
        *,
        delete: Iterable[str] = (),
        if_revisions: Mapping[str, int] | None = None,
        if_absent: Iterable[str] = (),
        if_revision: int | None = None,
        ttl: float | None = None,
    ) -> int:
        """As `signal_sdk.LoginSession.change_channel_attributes`."""
        return self._waiter.get(
            partial(
                self._session.change_channel_attributes,
                channel,
                values,
                delete=delete,
                if_revisions=if_revisions,
                if_absent=if_absent,
                if_revision=if_revision,
                ttl=ttl,
            )
        )

    def channel(self, name: str) -> Channel:
        """As `signal_sdk.LoginSession.channel`, once it is joined."""
        return self._joined(partial(self._session.channel, name))

    def _joined(self, join: partial[_channel.Channel]) -> Channel:
        async def joined() -> _channel.Channel:
            return await join()

        return Channel(self._waiter, self._waiter.get(joined))

    def message_instant_send(self, account: str, msg: str | bytes, ttl: int | None = None) -> None:
        """As `signal_sdk.LoginSession.message_instant_send`."""
        self._waiter.get(partial(self._session.message_instant_send, account, msg, ttl))

    def message_channel_send_force(self, channel: str, msg: str | bytes) -> None:
        """As `signal_sdk.LoginSession.message_channel_send_force`."""
        self._waiter.get(partial(self._session.message_channel_send_force, channel, msg))

    def channel_invite_user2(self, channel: str, peer: str, extra: JsonValue = "") -> Call:
        """As `signal_sdk.LoginSession.channel_invite_user2`, once the server has the invitation."""

        async def called() -> _call.Call:
            return await self._session.channel_invite_user2(channel, peer, extra)

        return Call(self._waiter, self._waiter.get(called))

    def invoke(self, name: str, req: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
        """As `signal_sdk.LoginSession.invoke`."""
        return self._waiter.get(partial(self._session.invoke, name, req))

    def query_user_status(self, account: str) -> bool:
        """As `signal_sdk.LoginSession.query_user_status`."""
        return self._waiter.get(partial(self._session.query_user_status, account))

    def channel_query_user_is_in(self, channel: str, account: str) -> bool:
        """As `signal_sdk.LoginSession.channel_query_user_is_in`."""
        return self._waiter.get(partial(self._session.channel_query_user_is_in, channel, account))

    def channel_query_user_list(self, channel: str) -> list[tuple[str, int]]:
        """As `signal_sdk.LoginSession.channel_query_user_list`."""
        return self._waiter.get(partial(self._session.channel_query_user_list, channel))
