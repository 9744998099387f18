"""`LoginSession`: what a program holds of a login.

Owns: the documented methods; those about attributes are in session_attributes.py. Must not know a
session's life or the wire: client/ does.
"""

# ruff: noqa: N802, N815  the documented names are camelCase

from __future__ import annotations

import contextlib
from collections.abc import Generator, Mapping
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeAlias, overload

from signal_sdk import call as _call
from signal_sdk import channel as _channel
from signal_sdk.callbacks import CallCallback, ChannelCallback, MessageCallback
from signal_sdk.client import given, outgoing
from signal_sdk.client.membership import Membership
from signal_sdk.client.operation import Operation
from signal_sdk.client.past import Waiting, waiting_in
from signal_sdk.client.session import SessionClient
from signal_sdk.ecodes import ECode
from signal_sdk.errors import SignalError
from signal_sdk.session_attributes import SessionAttributes
from signal_sdk.spelling import DocumentedNames
from signal_sdk.stream_events import Message
from signal_sdk.streams import Readers, Stream
from signal_sdk.wire import functions, names, results
from signal_sdk.wire.names import JsonValue
from signal_sdk.wire.parameter_errors import as_python

__all__ = ["LoginSession"]


class LoginSession(SessionAttributes, DocumentedNames):
    """One login of one account: made by `Signal.login`.

    Java server SDK, "LoginSession Class". Every method returns at once; what it returns can be
    awaited. The order of calls is the order on the wire, also of those made while the login is
    under way: up to 10,000 of these wait for it, each for up to 30 s, and fail then as where there
    is no answer in time. An operation fails with 1003 where the session is not logged in, with
    `LogoutError` where the session ends before it does, and with 1004 or 1005 where an argument is
    wrong or too large: names are `str`, and messages too, or what JSON says exactly. A failure goes
    to the operation's own callback; where it has none, and nobody awaits it, to
    `LoginCallback.on_error`.
    A callback that is of no callback class is refused at once, by `ParameterError`.

    A session outlives its connections: where one is lost, or nothing was heard on it for 20 s, it
    connects again by itself (`Signal(reconnect=…)`), and goes on with its channel, its calls and
    its inbox; `LoginCallback.on_reconnecting` and `on_reconnected` hear of it. What is asked
    meanwhile, and what was not answered yet, is sent once there is a connection again, and done
    once; as ever, it fails where there is no answer in 10 s. Where the server knows the session no
    more, it logs in anew with its token: then its calls fail with 702, and its channel is joined
    again, with a `Channel.gap`.

    Awaiting the session itself waits until it is logged in, and raises `LoginError` where the login
    failed. Leaving its block logs out, and so does a cancellation on the way in:

        async with signal.login("alice", token, callback) as session:
            await session.message_instant_send("bob", "hello")
    """

    Channel: TypeAlias = _channel.Channel
    Call: TypeAlias = _call.Call

    def __init__(
        self,
        client: SessionClient,
        messages: Readers[Message],
        invitations: Readers[_call.Call],
    ) -> None:
        super().__init__(client)
        self._messages = messages
        self._invitations = invitations
        self._channels: dict[Membership, _channel.Channel] = {}

    @property
    def account(self) -> str:
        """The account that is logged in."""
        return self._client.account

    @property
    def uid(self) -> int:
        """The number that the server knows the account by; 0 until the login has succeeded."""
        return self._client.uid

    @property
    def status(self) -> int:
        """As `Signal.get_status`: 0 logged out, 1 connecting or reconnecting, 2 logged in, 3 login
        failed.
        """
        return self._client.status

    def __repr__(self) -> str:
        return f"<LoginSession {self.account!r}: {self._client.state.name.lower()}>"

    def __await__(self) -> Generator[Any, Any, Self]:
        yield from self._client.logged_in.__await__()
        return self

    async def __aenter__(self) -> Self:
        try:
            return await self
        except BaseException:
            # Cancelled: nobody will leave a block that was not entered.
            if self._client.is_staying:
                self.logout()
            raise

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._client.is_staying:
            with contextlib.suppress(SignalError):
                await self.logout()

    async def wait_logged_out(self) -> ECode:
        """Wait until the session is over, for whatever reason, and return the reason's code.

        That is what `on_logout` or `on_login_failed` hears. The original SDKs have none of it.
        """
        return await self._client.ended

    def logout(self) -> Operation[None]:
        """Log out. `on_logout` hears of it with 101, as the session's last callback.

        Point-to-point messages whose callbacks have not begun stay with the server, for the next
        login. Called while the login is under way, it cancels that: `on_login_failed` hears 203.
        Called while the session reconnects, it waits at most two seconds for a connection on which
        to tell the server, which otherwise takes the account for online a while longer.
        Where the session is logged out already, it fails with 108. Java server SDK, `logout`.
        """
        return self._client.log_out()

    # --- streams; the original SDKs have none of them ---

    def messages(self) -> Stream[Message]:
        """A stream of the point-to-point messages that come, beside `on_message_instant_receive`.

        A message has been handled when the next one is asked for. As of a callback that takes its
        time, the server hands over no more than 30 that were not, of all kinds; the others wait in
        the inbox, so that nothing is dropped, and who never reads his stream has nothing handed
        over at all. Where the session has no `LoginCallback`, what nobody reads is kept, the newest
        1000, for the next stream. The stream ends where the session is logged out by its own user;
        else it raises `LogoutError` or `LoginError`, with what `on_logout` or `on_login_failed`
        hears.
        """
        return Stream(self._messages)

    def invitations(self) -> Stream[_call.Call]:
        """A stream of the calls that come in, beside `on_invite_received`: as `messages`.

        What becomes of a call until its own stream is begun is kept for that (`Call.events`).
        """
        return Stream(self._invitations)

    def channel(self, name: str) -> _channel.Channel:
        """Join a channel, as `channel_join`, of which `Channel.events` tells all that happens, from
        the join on: what comes before that stream is begun is kept for it, the newest 1000. Joining
        the channel that the session is in returns the `Channel` that there is.

            async with session.channel("room") as channel:
                async for event in channel.events():
                    ...
        """
        return self._join(name, None, keeps_events=True)

    def peek_messages(self, limit: int = names.MAX_INBOX_PAGE) -> Operation[list[Waiting]]:
        """The point-to-point messages that wait in the account's inbox, oldest first, which stay
        there: those that no callback and no stream has handled, or that the server was not told of.

        `limit` is how many of the oldest entries are looked at, calls' events among them: 1 to 100.
        Fails with 1004 for another limit. docs/protocol.md, section 4; the original SDKs have none
        of it.
        """

        def make() -> functions.UserGetMessages:
            wanted = names.check_integer("limit", limit, 1, names.MAX_INBOX_POLL, show=as_python)
            # Up to no version anything is cleared.
            return functions.UserGetMessages(ver_clear=0, max=wanted)

        return self._client.requests.call(make, results.GetMessagesResult, waiting_in)

    # --- messages ---

    @overload
    def message_instant_send(
        self, account: str, msg: str | bytes, cb: MessageCallback | None, /
    ) -> Operation[None]: ...

    @overload
    def message_instant_send(
        self,
        account: str,
        msg: str | bytes,
        ttl: int | None = None,
        cb: MessageCallback | None = None,
    ) -> Operation[None]: ...

    def message_instant_send(
        self,
        account: str,
        msg: str | bytes,
        ttl: int | MessageCallback | None = None,
        cb: MessageCallback | None = None,
    ) -> Operation[None]:
        """Send a point-to-point message to `account`, which gets it now or with its next login.

        `msg` has at most 8192 visible characters, or is `bytes`, at most 6 KiB: for an account that
        is online and has logged in with `takes_bytes=True` (1004 where not). `ttl` is how many
        seconds the server keeps it for an account that is not there: 30 days (2,592,000) by
        default, and at most. A user may send 60 messages a second. The operation ends when the
        server has the message; it fails with 400, 401 (no answer in 10 s), 1004 or 1005. `cb` hears
        of either. Java server SDK,
        `messageInstantSend`, both forms.
        """
        if ttl is not None and not isinstance(ttl, int | float | str):
            cb, ttl = ttl, None
        client = self._client
        if cb is None:
            sent = None
        else:
            given.callback(cb, MessageCallback)
            sent = _channel.message_sent(cb, self, client)
        if ttl is None and client.spanned is None and outgoing.is_plain(msg, account):
            # As below, of which nothing is wrong here.
            message_id = client.next_message_id()
            return client.requests.message(account, outgoing.DEFAULT_FLAG, msg, message_id, sent)
        make = partial(outgoing.instant_message, client.next_message_id, account, msg, ttl)
        return outgoing.send_message(client.requests, make, sent)

    def message_channel_send_force(
        self, channel: str, msg: str | bytes, cb: MessageCallback | None = None
    ) -> Operation[None]:
        """Send a message to the members of a channel that this session need not have joined.

        Otherwise as `Channel.message_channel_send`. Linux SDK,
        `messageChannelSendForce`.
        """
        given.callback(cb, MessageCallback)
        client = self._client
        return outgoing.send_message(
            client.requests,
            lambda: outgoing.channel_message(
                client.next_message_id, given.text("channel", channel), msg, force=True
            ),
            _channel.message_sent(cb, self, client),
        )

    # --- channels and calls ---

    def channel_join(self, name: str, cb: ChannelCallback | None = None) -> _channel.Channel:
        """Join a channel, and leave the one that this session is in, unless it was logged in with
        `many_channels`.

        `name` has at most 128 visible characters. `cb` hears of the join, then who is in the
        channel, then its attributes, then all that happens there; the channel that is left hears
        `on_channel_leaved` with 602. Joining the channel that the session is in returns the
        `Channel` that there is (and `cb` is not used). The channels `_agora_user_online` and
        `_agora_channel_event` tell who comes, goes, joins and leaves in the whole app: see
        `ChannelCallback.on_special_event`. Java server SDK, `channelJoin`.
        """
        given.callback(cb, ChannelCallback)
        return self._join(name, cb)

    def _join(
        self, name: str, cb: ChannelCallback | None, *, keeps_events: bool = False
    ) -> _channel.Channel:
        self._client.requests.check_thread()
        member = self._client.channels.membership(name)
        if member not in self._channels:
            there = {it: channel for it, channel in self._channels.items() if not it.is_over}
            channel = self.Channel(self._client, self, member, cb)
            self._channels = {**there, member: channel}
            if keeps_events:
                channel.keep_events()
            self._client.channels.join(member)
        return self._channels[member]

    def channel_invite_user2(
        self, channel: str, peer: str, extra: JsonValue = "", cb: CallCallback | None = None
    ) -> _call.Call:
        """Call `peer` about `channel` (which neither needs to join for it).

        `extra` is told to the peer: text of at most 8192 visible characters, or another JSON value.
        The server reads in it, where it is a JSON object, `_require_peer_online` (1: fail at once
        with 703 where the peer is offline) and `_timeout` (seconds, at least 1, instead of the 20
        that an invitation waits). `cb` hears of all that becomes of the call. Fails with 701
        where a call with that peer about that channel is alive. Java server SDK,
        `channelInviteUser2`.
        """
        given.callback(cb, CallCallback)
        calls = self._client.calls
        side = calls.outgoing(channel, peer, extra)
        call = self.Call(self._client, self, side, cb)
        calls.invite(side, channel, peer, extra)
        return call

    # --- questions; of other SDKs: the web SDK's `invoke` and the Linux SDK's queries ---

    def invoke(self, name: str, req: Mapping[str, JsonValue]) -> Operation[dict[str, JsonValue]]:
        """Call a function of the server by its name, with or without `io.agora.signal.` before it.

        `req` is the arguments as JSON values (the session's secret is added). The operation gives
        the answer as it came, `{"result": "ok", …}`. It goes past what this session and its channel
        know of themselves: use it to ask, and the other methods to join and leave.
        """
        return self._client.requests.invoke(name, req)

    def query_user_status(self, account: str) -> Operation[bool]:
        """Is `account` online?"""
        return self._client.requests.call(
            lambda: functions.UserQueryStatus(account=given.text("account", account)),
            results.QueryStatusResult,
            lambda result: result.status != 0,
        )

    def channel_query_user_is_in(self, channel: str, account: str) -> Operation[bool]:
        """Is `account` in `channel`?"""
        return self._client.requests.call(
            lambda: functions.ChannelQueryUserIsIn(
                channel=given.text("channel", channel), account=given.text("account", account)
            ),
            results.QueryUserIsInResult,
            lambda result: result.isin != 0,
        )

    def channel_query_user_list(self, channel: str) -> Operation[list[tuple[str, int]]]:
        """Who is in `channel`: the newest 200 as (account, uid), oldest first."""
        return self._client.requests.call(
            lambda: functions.ChannelQueryUserList(channel=given.text("channel", channel)),
            results.QueryUserListResult,
            lambda result: list(result.list),
        )

    if TYPE_CHECKING:

        @overload
        def messageInstantSend(
            self, account: str, msg: str | bytes, cb: MessageCallback | None, /
        ) -> Operation[None]: ...
        @overload
        def messageInstantSend(
            self,
            account: str,
            msg: str | bytes,
            ttl: int | None = None,
            cb: MessageCallback | None = None,
        ) -> Operation[None]: ...
        def messageInstantSend(
            self,
            account: str,
            msg: str | bytes,
            ttl: int | MessageCallback | None = None,
            cb: MessageCallback | None = None,
        ) -> Operation[None]: ...
        def channelInviteUser2(
            self, channel: str, peer: str, extra: JsonValue = "", cb: CallCallback | None = None
        ) -> _call.Call: ...
        def channelJoin(self, name: str, cb: ChannelCallback | None = None) -> _channel.Channel: ...
    else:
        messageInstantSend = message_instant_send
        channelInviteUser2 = channel_invite_user2
        channelJoin = channel_join
