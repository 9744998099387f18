"""The callback classes: what a program hears, and when.

Owns: the documented callbacks as methods that do nothing. Must not know who calls them, or when.

Override what you need, in either spelling, as `async def` or as a plain `def` (so that what an
override inherits returns None, or something to await). One session's callbacks run one at a
time, in order, and each may call and await any method, of its own session too. One that takes its
time delays its own session's callbacks and nobody else; one that raises is logged with its
traceback and reported to `LoginCallback.on_error`, and the session goes on. From the Java server
SDK, section "Server SDK API"; each class is also reachable as in Java (`Signal.LoginCallback`), and
each method has its documented name too (`onLoginSuccess`).
"""

# ruff: noqa: N802, N815  the documented names are camelCase

from __future__ import annotations

from collections.abc import Awaitable
from typing import TYPE_CHECKING, Any, TypeAlias

from signal_sdk.ecodes import ECode
from signal_sdk.spelling import DocumentedNames
from signal_sdk.wire.events import SpecialEvent

if TYPE_CHECKING:
    from signal_sdk.call import Call
    from signal_sdk.channel import Channel
    from signal_sdk.login_session import LoginSession

__all__ = [
    "CallCallback",
    "ChannelCallback",
    "LoginCallback",
    "MessageCallback",
    "UserAttrCallback",
]

Answer: TypeAlias = Awaitable[None] | None
"""What a callback returns: what is to be awaited, as `async def` has it, or nothing."""


class UserAttrCallback(DocumentedNames):
    """What `Signal`'s attribute methods tell. Java server SDK, "UserAttrCallback Class".

    `err` is empty on success and says what was wrong otherwise; `ret` is then `{"result": "failed",
    "reason": err}`.
    """

    def on_user_get_attr(self, err: str, ret: dict[str, Any]) -> Answer:
        """An attribute was asked for: `ret` is `{"result": "ok", "account", "name", "value"}`."""

    def on_user_get_attr_all(self, err: str, ret: dict[str, Any]) -> Answer:
        """All were asked for: `ret` is `{"result": "ok", "account", "json": {name: value}}`."""

    def on_user_set_attr(self, err: str, ret: dict[str, Any]) -> Answer:
        """An attribute was set: `ret` is `{"result": "ok", "reason": ""}`."""

    if TYPE_CHECKING:

        def onUserGetAttr(self, err: str, ret: dict[str, Any]) -> Answer: ...
        def onUserGetAttrAll(self, err: str, ret: dict[str, Any]) -> Answer: ...
        def onUserSetAttr(self, err: str, ret: dict[str, Any]) -> Answer: ...
    else:
        onUserGetAttr = on_user_get_attr
        onUserGetAttrAll = on_user_get_attr_all
        onUserSetAttr = on_user_set_attr


class LoginCallback(DocumentedNames):
    """What happens to a session. Java server SDK, "LoginCallback Class"."""

    def on_login_success(self, session: LoginSession, uid: int) -> Answer:
        """The session is logged in; `uid` is the number that the server knows the account by."""

    def on_logout(self, session: LoginSession, ecode: ECode) -> Answer:
        """The session is over, and this is its last callback but for what is asked of it later.

        `ecode` is 101 after `logout`, 102 where the connection was lost and could not be replaced
        in time (`Signal(reconnect=…)`, by default never), 103 where the account logged in
        elsewhere or an operator ended it, 105 where its token expired or was taken back, 100 for
        anything else.
        """

    def on_reconnecting(self, session: LoginSession, attempt: int) -> Answer:
        """The connection is lost, and the session is about to try for another one: for the
        `attempt`th time, counted from 1 on. The original SDKs have none of it.
        """

    def on_reconnected(self, session: LoginSession) -> Answer:
        """The session has a connection again; what was missed is told after this. The
        original SDKs have none of it: see `LoginSession` for what goes on.
        """

    def on_login_failed(self, session: LoginSession, ecode: ECode) -> Answer:
        """The login failed, and this is the session's last callback.

        `ecode` is 201 where the server could not be reached, 203 where `logout` cancelled the
        login, 204 or 206 where the token has expired or is wrong, 207 where another login was
        quicker, 202 where the server refused for another reason (such as an unknown app id, or a
        backend that said no), 209 where the account is not valid, 200 for anything else.
        """

    def on_message_instant_receive(
        self, session: LoginSession, account: str, uid: int, msg: str
    ) -> Answer:
        """`account` has sent a point-to-point message.

        `uid` is 0: the protocol does not carry it. Each message comes
        once, though the wire may repeat it, for which the ids of the last 10,000 are kept; one
        whose callback has not begun when the session ends comes with the next login.
        """

    def on_message_instant_receive_bytes(
        self, session: LoginSession, account: str, uid: int, data: bytes
    ) -> Answer:
        """`account` has sent a point-to-point message that is bytes, at most 6 KiB: otherwise as
        `on_message_instant_receive`. Only a session that has logged in with `takes_bytes=True` is
        sent any. The original SDKs have none of it: docs/protocol.md, section 12.
        """

    def on_invite_received(self, session: LoginSession, call: Call) -> Answer:
        """`call.peer` calls. Set `call.cb` here to hear of what becomes of the call."""

    def on_error(self, session: LoginSession, ecode: ECode, reason: str) -> Answer:
        """Something went wrong that no other callback hears of; `reason` is one line.

        1002: a callback raised. 1000: channel events were dropped because callbacks fell behind,
        or are missing after a lost connection (`Channel.gap`).
        Otherwise, the code of an operation that has no callback and that nobody awaits, such as
        `channel_set_attr`.
        """

    if TYPE_CHECKING:

        def onLoginSuccess(self, session: LoginSession, uid: int) -> Answer: ...
        def onLogout(self, session: LoginSession, ecode: ECode) -> Answer: ...
        def onReconnecting(self, session: LoginSession, attempt: int) -> Answer: ...
        def onReconnected(self, session: LoginSession) -> Answer: ...
        def onLoginFailed(self, session: LoginSession, ecode: ECode) -> Answer: ...
        def onMessageInstantReceive(
            self, session: LoginSession, account: str, uid: int, msg: str
        ) -> Answer: ...
        def onInviteReceived(self, session: LoginSession, call: Call) -> Answer: ...
        def onError(self, session: LoginSession, ecode: ECode, reason: str) -> Answer: ...
    else:
        onLoginSuccess = on_login_success
        onLogout = on_logout
        onReconnecting = on_reconnecting
        onReconnected = on_reconnected
        onLoginFailed = on_login_failed
        onMessageInstantReceive = on_message_instant_receive
        onInviteReceived = on_invite_received
        onError = on_error


class MessageCallback(DocumentedNames):
    """What becomes of a message. Java server SDK, "MessageCallback Class"."""

    def on_message_send_success(self, session: LoginSession) -> Answer:
        """The server has the message, and will deliver it once (which does not mean that it has
        been read).
        """

    def on_message_send_error(self, session: LoginSession, ecode: ECode) -> Answer:
        """The message was not sent.

        `ecode` is 400 or 401 (no answer in 10 s), 1003 (not logged in), 1004 or 1005 (an argument
        is wrong or too large), or the code of a logout (1xx) that came before the answer.
        """

    if TYPE_CHECKING:

        def onMessageSendSuccess(self, session: LoginSession) -> Answer: ...
        def onMessageSendError(self, session: LoginSession, ecode: ECode) -> Answer: ...
    else:
        onMessageSendSuccess = on_message_send_success
        onMessageSendError = on_message_send_error


class ChannelCallback(DocumentedNames):
    """What happens in a channel. Java server SDK, "ChannelCallback Class".

    After a lost connection, and after a gap, the SDK compares who is in the channel with who was,
    and tells the joins and leaves that were missed. For that it must know everybody: it does in a
    channel that had at most 200 members when it was joined, or at most 1000 at an earlier such
    comparison, and never has more than 1000, while its `_userNotification` is not 0; and in no
    special channel.
    """

    def on_channel_joined(self, session: LoginSession, channel: Channel) -> Answer:
        """The session is in the channel."""

    def on_channel_join_failed(
        self, session: LoginSession, channel: Channel, ecode: ECode
    ) -> Answer:
        """The session is not in the channel: 300, 1003 (not logged in), 1004 or 1005 (the name), or
        a logout's code.
        """

    def on_channel_leaved(self, session: LoginSession, channel: Channel, ecode: ECode) -> Answer:
        """The session is in the channel no more; nothing else is told of this channel.

        `ecode` is 601 where whoever runs the server has taken the session out of the channel, which
        is no ban; 602 after `channel_leave` or joining another channel, 603 after a logout, 604
        where the connection was lost with the session, or the channel could not be joined again
        after it.
        """

    def on_channel_user_joined(
        self, session: LoginSession, channel: Channel, account: str, uid: int
    ) -> Answer:
        """Another user has joined; in a special channel: came online, or joined any channel."""

    def on_channel_user_leaved(
        self, session: LoginSession, channel: Channel, account: str, uid: int
    ) -> Answer:
        """Another user has left; in a special channel: went offline, or left any channel."""

    def on_channel_user_list(
        self, session: LoginSession, channel: Channel, users: list[str], uids: list[int]
    ) -> Answer:
        """Who is in the channel, told once after joining: the newest 200, oldest first."""

    def on_channel_attr_updated(
        self,
        session: LoginSession,
        channel: Channel,
        name: str,
        value: str,
        type: str,  # noqa: A002  its documented name
    ) -> Answer:
        """An attribute of the channel has changed; told once for each that there is after joining,
        and where the channel had to be joined again after a lost connection.

        `type` is `update`, `del`, or `clear` (then `name` and `value` are empty).
        """

    def on_channel_query_user_num(self, session: LoginSession, err: str, num: int) -> Answer:
        """`Signal.channel_query_user_num` was answered: how many are in the channel; `err` is empty
        on success.
        """

    def on_message_channel_receive(
        self, session: LoginSession, channel: Channel, account: str, uid: int, msg: str
    ) -> Answer:
        """`account` has sent a message to the channel; one's own messages come back, too."""

    def on_message_channel_receive_bytes(
        self, session: LoginSession, channel: Channel, account: str, uid: int, data: bytes
    ) -> Answer:
        """`account` has sent a message to the channel that is bytes, at most 6 KiB: otherwise as
        `on_message_channel_receive`. Only where all members have logged in with `takes_bytes=True`
        can there be any. The original SDKs have none of it: docs/protocol.md, section 12.
        """

    def on_special_event(
        self, session: LoginSession, channel: Channel, event: SpecialEvent
    ) -> Answer:
        """A special channel tells who did what, where and when.

        The original SDKs have none of it: the same event as the `on_channel_user_joined` or
        `on_channel_user_leaved` before it, with what these do not pass on.
        """

    if TYPE_CHECKING:

        def onChannelJoined(self, session: LoginSession, channel: Channel) -> Answer: ...
        def onChannelJoinFailed(
            self, session: LoginSession, channel: Channel, ecode: ECode
        ) -> Answer: ...
        def onChannelLeaved(
            self, session: LoginSession, channel: Channel, ecode: ECode
        ) -> Answer: ...
        def onChannelUserJoined(
            self, session: LoginSession, channel: Channel, account: str, uid: int
        ) -> Answer: ...
        def onChannelUserLeaved(
            self, session: LoginSession, channel: Channel, account: str, uid: int
        ) -> Answer: ...
        def onChannelUserList(
            self, session: LoginSession, channel: Channel, users: list[str], uids: list[int]
        ) -> Answer: ...
        def onChannelAttrUpdated(
            self,
            session: LoginSession,
            channel: Channel,
            name: str,
            value: str,
            type: str,  # noqa: A002  its documented name
        ) -> Answer: ...
        def onChannelQueryUserNum(self, session: LoginSession, err: str, num: int) -> Answer: ...
        def onMessageChannelReceive(
            self, session: LoginSession, channel: Channel, account: str, uid: int, msg: str
        ) -> Answer: ...
    else:
        onChannelJoined = on_channel_joined
        onChannelJoinFailed = on_channel_join_failed
        onChannelLeaved = on_channel_leaved
        onChannelUserJoined = on_channel_user_joined
        onChannelUserLeaved = on_channel_user_leaved
        onChannelUserList = on_channel_user_list
        onChannelAttrUpdated = on_channel_attr_updated
        onChannelQueryUserNum = on_channel_query_user_num
        onMessageChannelReceive = on_message_channel_receive


class CallCallback(DocumentedNames):
    """What becomes of a call. Java server SDK, "CallCallback Class".

    `extra` is what the peer gave with its step: JSON as text, or empty.
    """

    def on_invite_received_by_peer(self, session: LoginSession, call: Call) -> Answer:
        """The peer's SDK has received the invitation: it rings."""

    def on_invite_accepted_by_peer(self, session: LoginSession, call: Call, extra: str) -> Answer:
        """The peer has accepted."""

    def on_invite_refused_by_peer(self, session: LoginSession, call: Call, extra: str) -> Answer:
        """The peer has refused: the call is over."""

    def on_invite_failed(self, session: LoginSession, call: Call, ecode: ECode) -> Answer:
        """The call is over without anybody's having ended it.

        `ecode` is 701 (a call with this peer about this channel is alive), 702 (the session was
        lost with its connection), 703 (the peer is offline), 704 (the peer did not answer in time),
        700, 1003 (not logged in), 1004 or 1005 (an argument).
        """

    def on_invite_end_by_peer(self, session: LoginSession, call: Call, extra: str) -> Answer:
        """The peer has ended the call, or is gone."""

    def on_invite_end_by_myself(self, session: LoginSession, call: Call, extra: str) -> Answer:
        """This side has ended the call: by `channel_invite_end` with `extra`, or by a logout."""

    def on_invite_msg(self, session: LoginSession, call: Call, extra: str) -> Answer:
        """The peer has sent something within the call.

        After `channel_invite_dtmf("12#")`, that is `{"msgtype": "dtmf", "msgdata": "12#"}`.
        """

    if TYPE_CHECKING:

        def onInviteReceivedByPeer(self, session: LoginSession, call: Call) -> Answer: ...
        def onInviteAcceptedByPeer(
            self, session: LoginSession, call: Call, extra: str
        ) -> Answer: ...
        def onInviteRefusedByPeer(
            self, session: LoginSession, call: Call, extra: str
        ) -> Answer: ...
        def onInviteFailed(self, session: LoginSession, call: Call, ecode: ECode) -> Answer: ...
        def onInviteEndByPeer(self, session: LoginSession, call: Call, extra: str) -> Answer: ...
        def onInviteEndByMyself(self, session: LoginSession, call: Call, extra: str) -> Answer: ...
        def onInviteMsg(self, session: LoginSession, call: Call, extra: str) -> Answer: ...
    else:
        onInviteReceivedByPeer = on_invite_received_by_peer
        onInviteAcceptedByPeer = on_invite_accepted_by_peer
        onInviteRefusedByPeer = on_invite_refused_by_peer
        onInviteFailed = on_invite_failed
        onInviteEndByPeer = on_invite_end_by_peer
        onInviteEndByMyself = on_invite_end_by_myself
        onInviteMsg = on_invite_msg
