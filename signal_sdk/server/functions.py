"""The functions of `call2`: which rule serves which.

Owns: the table from an arguments class to its rule. Must not know what a rule does, or who is
connected.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from signal_sdk.ecodes import ECode
from signal_sdk.errors import SignalError
from signal_sdk.server.attributes import ChannelAttributes, UserAttributes
from signal_sdk.server.calls import Calls
from signal_sdk.server.channels import Channels
from signal_sdk.server.inbox import Inboxes
from signal_sdk.server.presence import Presences
from signal_sdk.server.session import Session
from signal_sdk.wire import functions as wire
from signal_sdk.wire import results
from signal_sdk.wire.arguments import Arguments

Handler = Callable[[Session, Any], Awaitable[results.Result]]


def handlers(
    *,
    presences: Presences,
    inboxes: Inboxes,
    users: UserAttributes,
    channels: Channels,
    channel_attributes: ChannelAttributes,
    calls: Calls,
) -> Mapping[type[Arguments], Handler]:
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
        wire.CallBye: calls.bye,
        wire.PstnInvite: calls.invite_phone,
        wire.PstnDtmf: calls.dial,
        wire.PushSendMessage: inboxes.push,
        wire.UserSetForeground: _accept,
        wire.AppSendMessage: _refuse,
        wire.AppSendMessage2: _refuse,
        wire.UserExtCall: _refuse,
    }


async def _accept(_: Session, __: Arguments) -> results.Result:
    """What makes no difference here."""
    return results.DONE


async def _refuse(_: Session, args: Arguments) -> results.Result:
    """What only the retired service's own other servers could have answered."""
    raise SignalError(
        ECode.GENERAL_E_FAILED,
        f"{args.function} was a service of the vendor's own, which this server does not have",
    )
