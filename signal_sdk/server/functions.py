"""The functions of `call2`: which rule serves which.

Owns: the table from an arguments class to its rule. Must not know what a rule does, or who is
connected.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from signal_sdk.server.attributes import ChannelAttributes, UserAttributes
from signal_sdk.server.calls import Calls
from signal_sdk.server.channels import Channels
from signal_sdk.server.inbox import Inboxes
from signal_sdk.server.presence import Presences
from signal_sdk.server.session import Session
from signal_sdk.wire import functions as wire

Handler = Callable[[Session, Any], Awaitable[wire.Result]]


def handlers(
    *,
    presences: Presences,
    inboxes: Inboxes,
    users: UserAttributes,
    channels: Channels,
    channel_attributes: ChannelAttributes,
    calls: Calls,
) -> Mapping[type[wire.Arguments], Handler]:
    """The rule of each function but `user_logout`, which is the connection's own."""
    return {
        wire.UserSendMessage: inboxes.send,
        wire.UserGetMessages: inboxes.read,
        wire.UserQueryStatus: presences.query_status,
        wire.UserSetAttr: users.set,
        wire.UserGetAttr: users.get,
        wire.UserGetAttrAll: users.get_all,
        wire.ChannelJoin: channels.join,
        wire.ChannelLeave: channels.leave,
        wire.ChannelSendMessage: channels.send,
        wire.ChannelSetAttr: channel_attributes.set,
        wire.ChannelDelAttr: channel_attributes.delete,
        wire.ChannelClearAttr: channel_attributes.clear,
        wire.ChannelQueryNum: channels.query_num,
        wire.ChannelQueryUserIsIn: channels.query_is_in,
        wire.ChannelQueryUserList: channels.query_list,
        wire.ChannelQueryUserListAll: channels.query_list_all,
        wire.VoipInvite: calls.invite,
        wire.VoipInviteAck: calls.step,
        wire.VoipInviteAccept: calls.step,
        wire.VoipInviteRefuse: calls.step,
        wire.VoipInviteBye: calls.step,
        wire.VoipInviteMsg: calls.step,
    }
