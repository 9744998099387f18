"""`ICallBack`: what a program of the flat API hears.

Owns: the documented callbacks as methods that do nothing. Must not know who calls them, or when.
"""

# ruff: noqa: N802, N803, N815  the documented names are camelCase

from __future__ import annotations

from typing import TYPE_CHECKING

from signal_sdk.ecodes import ECode
from signal_sdk.spelling import DocumentedNames

__all__ = ["ICallBack"]


class ICallBack(DocumentedNames):
    """All callbacks of an `IAgoraAPI`. Linux SDK, "ICallBack Class".

    Override what you need, in either spelling (`on_login_success`, `onLoginSuccess`), as plain
    functions. An instance's callbacks run one at a time and in order, in a thread of its own. Each
    may block, call any method, and destroy its own instance; no other instance is delayed. One that
    raises is logged with its traceback and reported to `on_error`, and all goes on.

    Codes are `ECode` members, which are the documented integers. A `uid` is the number that the
    server knows an account by, and 0 where it is not told.
    """

    # --- the connection ---

    def on_login_success(self, uid: int, fd: int) -> None:
        """The user is logged in. `fd` is 0."""

    def on_login_failed(self, ecode: ECode) -> None:
        """The login failed.

        `on_error` hears next why (such as a certificate that is not trusted), unless it was
        cancelled. `ecode` is 201 where the server could not be reached, 203 where `logout` or
        `destroy` cancelled the login, 204 or 206 where the token has expired or is wrong, 207 where
        another login was quicker, 202 where the server refused for another reason (such as an
        unknown app id), 209 where the account is not valid, 1004 where another argument is, 200 for
        anything else.
        """

    def on_logout(self, ecode: ECode) -> None:
        """The user is logged out.

        `ecode` is 101 after `logout` or `destroy`, 102 where the connection was lost and the
        retries are used up, 103 where the account logged in elsewhere, 105 where its token expired,
        100 for anything else.
        """

    def on_reconnecting(self, nretry: int) -> None:
        """The connection was lost, and is about to be made again.

        `nretry` counts the tries from 1 on.
        """

    def on_reconnected(self, fd: int) -> None:
        """After `on_reconnecting`: the connection is there again. `fd` is 0.

        The channel and the calls go on, and what was missed is told now. Where the server holds
        some of the channel's events no more, `on_error` hears which, with 1000. Where it knew the
        login no more, the user was logged in again: its calls fail with 702, and its channel is
        joined again, of which only the attributes as they are then are told, or `on_channel_leaved`
        with 604.
        """

    def on_error(self, name: str, ecode: ECode, desc: str) -> None:
        """Something went wrong; `desc` is one line. Where the method has a callback of its own for
        a failure, that has heard of it right before.

        `name` is what the original calls the method that failed (`send_instant_msg`, `invite_end`;
        docs/linux_api.md lists all, and which of them are ours), with 1001 where the server
        refused, 1002 ("time out") where it did not answer in 10 s, 1003 where nobody is logged in,
        1004 or 1005 where an argument is wrong or too large, or a logout's code that came before
        the answer; or `name` is a callback that raised (`onLogout`; then `ecode` is 1002),
        `session` where events of the channel were missed, `callbacks` or `calls` where so many wait
        that some were dropped (1000).
        """

    def on_log(self, txt: str) -> None:
        """A line of the instance's debug log.

        It names frames and functions, sizes and codes, and never holds a token, a session's secret,
        or what a message says. Lines that come faster than this method takes them are dropped, and
        the next one says how many. Where this method is not overridden, the log is off.
        """

    # --- users ---

    def on_query_user_status_result(self, name: str, status: str) -> None:
        """`query_user_status` was answered: the account `name` is online ("1"), or not ("0")."""

    def on_user_attr_result(self, account: str, name: str, value: str) -> None:
        """An attribute was asked for; `value` is empty where it was never set."""

    def on_user_attr_all_result(self, account: str, value: str) -> None:
        """All attributes were asked for: `value` is a JSON object by their names."""

    def on_invoke_ret(self, callID: str, err: str, resp: str) -> None:
        """`invoke` was answered: `err` is empty, and `resp` the answer as JSON.

        Where it failed, `err` is the code as text ("1004"; "1002" where no answer came), `resp`
        says why under `reason`, and `on_error` hears of it next; or `err` is "unsupported method
        name" or "args is not JSON", and `resp` empty, and `on_error` hears nothing.
        """

    # --- messages ---

    def on_message_send_success(self, messageID: str) -> None:
        """The server has the message, and will deliver it once."""

    def on_message_send_error(self, messageID: str, ecode: ECode) -> None:
        """The message was not sent.

        `ecode` is 400 (the server refused, or nobody is logged in) or 401 (no answer in 10 s), 1004
        or 1005 (an argument is wrong or too large), or a logout's code that came before the answer.
        `on_error` says why.
        """

    def on_message_instant_receive(self, account: str, uid: int, msg: str) -> None:
        """`account` has sent a point-to-point message. Each message comes once."""

    def on_message_channel_receive(self, channelID: str, account: str, uid: int, msg: str) -> None:
        """`account` has sent a message to the channel; one's own messages come back, too.

        In a special channel, `account` is the channel's name, and `msg` the event as JSON: who
        (`account`) did what (`event`), in which `channel`, when (`ts`, in Unix ms).
        """

    # --- channels ---

    def on_channel_joined(self, channelID: str) -> None:
        """The user is in the channel."""

    def on_channel_join_failed(self, channelID: str, ecode: ECode) -> None:
        """The user is not in the channel: 300, 1003, 1004, 1005, or a logout's code."""

    def on_channel_leaved(self, channelID: str, ecode: ECode) -> None:
        """The user is in the channel no more.

        `ecode` is 601 where whoever runs the server has taken the user out of the channel, 602
        after `channel_leave` (also of a channel that was not joined: then `on_error` says so) or
        joining another channel, 603 after a logout, 604 where the connection was lost, 1003 where
        `channel_leave` was called and nobody is logged in, 1004 or 1005 where it was called with
        what is no channel's name.
        """

    def on_channel_user_joined(self, account: str, uid: int) -> None:
        """Another user has joined; in a special channel: came online, or joined any channel."""

    def on_channel_user_leaved(self, account: str, uid: int) -> None:
        """Another user has left; in a special channel: went offline, or left any channel."""

    def on_channel_user_list(self, n: int, accounts: list[str], uids: list[int]) -> None:
        """Who is in the channel, told once after joining: the newest 200, oldest first."""

    def on_channel_query_user_num_result(self, channelID: str, ecode: ECode, num: int) -> None:
        """`channel_query_user_num` was answered: `num` users, where `ecode` is 0."""

    def on_channel_query_user_is_in(self, channelID: str, account: str, isIn: int) -> None:
        """`channel_query_user_is_in` was answered: 1 in the channel, 0 not."""

    def on_channel_attr_updated(
        self,
        channelID: str,
        name: str,
        value: str,
        type: str,  # noqa: A002  its documented name
    ) -> None:
        """An attribute of the channel has changed; after joining, told once for each there is.

        `type` is `update`, `del`, or `clear` (then `name` and `value` are empty).
        """

    # --- calls; `extra` is JSON or empty ---

    def on_invite_received(self, channelID: str, account: str, uid: int, extra: str) -> None:
        """`account` calls about `channelID`; `extra` is the invitation's."""

    def on_invite_received_by_peer(self, channelID: str, account: str, uid: int) -> None:
        """The called account's SDK has received the invitation: it rings."""

    def on_invite_accepted_by_peer(
        self, channelID: str, account: str, uid: int, extra: str
    ) -> None:
        """The called account has accepted."""

    def on_invite_refused_by_peer(self, channelID: str, account: str, uid: int, extra: str) -> None:
        """The called account has refused: the call is over."""

    def on_invite_failed(
        self, channelID: str, account: str, uid: int, ecode: ECode, extra: str
    ) -> None:
        """The call is over without anybody's having ended it; `extra` is the invitation's, or
        `{"reason": …}` where that is no JSON (700), or nobody is logged in (1003).

        `ecode` is 701 (a call with this account about this channel is alive), 702 (the connection
        was lost), 703 (the account is offline), 704 (it did not answer in time), 700, 1003 (not
        logged in), 1004 or 1005 (an argument).
        """

    def on_invite_end_by_myself(self, channelID: str, account: str, uid: int) -> None:
        """The user has ended the call, by `channel_invite_end` or by logging out.

        `account` is empty and `uid` 0, as in the original.
        """

    def on_invite_end_by_peer(self, channelID: str, account: str, uid: int, extra: str) -> None:
        """The other side has ended the call, or is gone."""

    def on_invite_msg(
        self, channelID: str, account: str, uid: int, msgType: str, msgData: str, extra: str
    ) -> None:
        """The other side has sent something within the call.

        After `channel_invite_dtmf(…, "12#")`, `msgType` is `dtmf`, `msgData` is `12#`, and `extra`
        the whole as it came, `{"msgtype": "dtmf", "msgdata": "12#"}`.
        """

    # --- in the Linux SDK's header, but never documented; nothing calls them here ---

    def on_message_send_progress(self, account: str, messageID: str, type: str, info: str) -> None:  # noqa: A002
        """Never called. Linux SDK's header, `onMessageSendProgress`."""

    def on_message_app_received(self, msg: str) -> None:
        """Never called. Linux SDK's header, `onMessageAppReceived`."""

    def on_msg(self, from_: str, t: str, msg: str) -> None:
        """Never called. Linux SDK's header, `onMsg`."""

    def on_bc_call_result(self, reason: str, json_ret: str, callID: str) -> None:
        """Never called. Linux SDK's header, `onBCCall_result`."""

    def on_dbg(self, a: str, b: str) -> None:
        """Never called. Linux SDK's header, `onDbg`."""

    if TYPE_CHECKING:

        def onReconnecting(self, nretry: int) -> None: ...
        def onError(self, name: str, ecode: ECode, desc: str) -> None: ...
        def onQueryUserStatusResult(self, name: str, status: str) -> None: ...
        def onReconnected(self, fd: int) -> None: ...
        def onLoginSuccess(self, uid: int, fd: int) -> None: ...
        def onLogout(self, ecode: ECode) -> None: ...
        def onInvokeRet(self, callID: str, err: str, resp: str) -> None: ...
        def onLoginFailed(self, ecode: ECode) -> None: ...
        def onChannelJoined(self, channelID: str) -> None: ...
        def onChannelJoinFailed(self, channelID: str, ecode: ECode) -> None: ...
        def onChannelLeaved(self, channelID: str, ecode: ECode) -> None: ...
        def onChannelUserJoined(self, account: str, uid: int) -> None: ...
        def onChannelUserLeaved(self, account: str, uid: int) -> None: ...
        def onChannelUserList(self, n: int, accounts: list[str], uids: list[int]) -> None: ...
        def onChannelQueryUserNumResult(self, channelID: str, ecode: ECode, num: int) -> None: ...
        def onChannelQueryUserIsIn(self, channelID: str, account: str, isIn: int) -> None: ...
        def onChannelAttrUpdated(
            self,
            channelID: str,
            name: str,
            value: str,
            type: str,  # noqa: A002  its documented name
        ) -> None: ...
        def onInviteReceived(self, channelID: str, account: str, uid: int, extra: str) -> None: ...
        def onInviteReceivedByPeer(self, channelID: str, account: str, uid: int) -> None: ...
        def onInviteAcceptedByPeer(
            self, channelID: str, account: str, uid: int, extra: str
        ) -> None: ...
        def onInviteRefusedByPeer(
            self, channelID: str, account: str, uid: int, extra: str
        ) -> None: ...
        def onInviteFailed(
            self, channelID: str, account: str, uid: int, ecode: ECode, extra: str
        ) -> None: ...
        def onInviteEndByMyself(self, channelID: str, account: str, uid: int) -> None: ...
        def onInviteEndByPeer(self, channelID: str, account: str, uid: int, extra: str) -> None: ...
        def onInviteMsg(
            self, channelID: str, account: str, uid: int, msgType: str, msgData: str, extra: str
        ) -> None: ...
        def onMessageSendError(self, messageID: str, ecode: ECode) -> None: ...
        def onMessageSendSuccess(self, messageID: str) -> None: ...
        def onMessageInstantReceive(self, account: str, uid: int, msg: str) -> None: ...
        def onMessageChannelReceive(
            self, channelID: str, account: str, uid: int, msg: str
        ) -> None: ...
        def onLog(self, txt: str) -> None: ...
        def onUserAttrResult(self, account: str, name: str, value: str) -> None: ...
        def onUserAttrAllResult(self, account: str, value: str) -> None: ...
        def onMessageSendProgress(
            self,
            account: str,
            messageID: str,
            type: str,  # noqa: A002  its documented name
            info: str,
        ) -> None: ...
        def onMessageAppReceived(self, msg: str) -> None: ...
        def onMsg(self, from_: str, t: str, msg: str) -> None: ...
        def onBCCall_result(self, reason: str, json_ret: str, callID: str) -> None: ...
        def onDbg(self, a: str, b: str) -> None: ...
    else:
        onReconnecting = on_reconnecting
        onError = on_error
        onQueryUserStatusResult = on_query_user_status_result
        onReconnected = on_reconnected
        onLoginSuccess = on_login_success
        onLogout = on_logout
        onInvokeRet = on_invoke_ret
        onLoginFailed = on_login_failed
        onChannelJoined = on_channel_joined
        onChannelJoinFailed = on_channel_join_failed
        onChannelLeaved = on_channel_leaved
        onChannelUserJoined = on_channel_user_joined
        onChannelUserLeaved = on_channel_user_leaved
        onChannelUserList = on_channel_user_list
        onChannelQueryUserNumResult = on_channel_query_user_num_result
        onChannelQueryUserIsIn = on_channel_query_user_is_in
        onChannelAttrUpdated = on_channel_attr_updated
        onInviteReceived = on_invite_received
        onInviteReceivedByPeer = on_invite_received_by_peer
        onInviteAcceptedByPeer = on_invite_accepted_by_peer
        onInviteRefusedByPeer = on_invite_refused_by_peer
        onInviteFailed = on_invite_failed
        onInviteEndByMyself = on_invite_end_by_myself
        onInviteEndByPeer = on_invite_end_by_peer
        onInviteMsg = on_invite_msg
        onMessageSendError = on_message_send_error
        onMessageSendSuccess = on_message_send_success
        onMessageInstantReceive = on_message_instant_receive
        onMessageChannelReceive = on_message_channel_receive
        onLog = on_log
        onUserAttrResult = on_user_attr_result
        onUserAttrAllResult = on_user_attr_all_result
        onMessageSendProgress = on_message_send_progress
        onMessageAppReceived = on_message_app_received
        onMsg = on_msg
        onBCCall_result = on_bc_call_result
        onDbg = on_dbg
