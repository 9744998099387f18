"""The functions of `call2`: which rule serves which.

Owns: the table from an arguments class to its rule. Must not know what a rule does, or who is
connected.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final

import attrs

from signal_sdk.ecodes import ECode
from signal_sdk.errors import SignalError
from signal_sdk.server.attributes import ChannelAttributes, UserAttributes
from signal_sdk.server.calls import Calls
from signal_sdk.server.channels import Channels
from signal_sdk.server.engine.base import Answer, Asked, Engine, Known
from signal_sdk.server.inbox import Inboxes
from signal_sdk.server.locks import Locks
from signal_sdk.server.presence import Presences
from signal_sdk.server.session import Session
from signal_sdk.wire import call2, call_functions, lock_functions, results
from signal_sdk.wire import functions as wire
from signal_sdk.wire.arguments import Arguments
from signal_sdk.wire.attribute_functions import (
    ChannelChangeAttributes,
    ChannelReadAttributes,
    UserChangeAttributes,
    UserReadAttributes,
)

Question = Callable[[Session, Any], Answer[results.Result]]
Change = Callable[[Session, Any, Asked], Answer[results.Result | Known | None]]
"""None where the answer is the one that was to be kept: `Asked.reply`."""


@attrs.frozen(kw_only=True)
class Handlers:
    """The rule of each function, by its arguments. `questions` may be asked twice: they change
    nothing, but for what `user_getmsg` clears. `changes` are made once for each request.
    """

    questions: Mapping[type[Arguments], Question]
    changes: Mapping[type[Arguments], Change]


INVITATIONS: Final = (call_functions.VoipInvite, call_functions.PstnInvite)
"""The changes that begin a call."""


def handlers(
    engine: Engine,
    *,
    presences: Presences,
    inboxes: Inboxes,
    users: UserAttributes,
    channels: Channels,
    channel_attributes: ChannelAttributes,
    locks: Locks,
    calls: Calls,
) -> Handlers:
    """The rule of each function but `user_logout`, `channel_catch_up`, `user_watch` and
    `user_unwatch`, which are about the connection itself.
    """
    return Handlers(
        questions={
            wire.UserGetMessages: inboxes.read,
            wire.UserQueryStatus: presences.query_status,
            wire.UserGetAttr: users.get,
            wire.UserGetAttrAll: users.get_all,
            wire.ChannelQueryNum: channels.query_num,
            wire.ChannelQueryUserIsIn: channels.query_is_in,
            wire.ChannelQueryUserList: channels.query_list,
            wire.ChannelQueryUserListAll: channels.query_list_all,
            wire.ChannelHistory: channels.history,
            lock_functions.ChannelQueryLock: locks.look,
            UserReadAttributes: users.read,
            ChannelReadAttributes: channel_attributes.read,
        },
        changes={
            wire.UserSendMessage: inboxes.send,
            call2.Message: inboxes.send,
            wire.UserSetAttr: users.set,
            UserChangeAttributes: users.change,
            wire.ChannelJoin: channels.join,
            wire.ChannelLeave: channels.leave,
            wire.ChannelSendMessage: channels.send,
            wire.ChannelSetAttr: channel_attributes.set,
            wire.ChannelDelAttr: channel_attributes.delete,
            wire.ChannelClearAttr: channel_attributes.clear,
            lock_functions.ChannelLock: locks.lock,
            lock_functions.ChannelLockRenew: locks.renew,
            lock_functions.ChannelUnlock: locks.unlock,
            ChannelChangeAttributes: channel_attributes.change,
            call_functions.VoipInvite: calls.invite,
            call_functions.VoipInviteAck: calls.step,
            call_functions.VoipInviteAccept: calls.step,
            call_functions.VoipInviteRefuse: calls.step,
            call_functions.VoipInviteBye: calls.step,
            call_functions.VoipInviteMsg: calls.step,
            call_functions.CallBye: calls.bye,
            call_functions.PstnInvite: calls.invite_phone,
            call_functions.PstnDtmf: calls.dial,
            wire.PushSendMessage: inboxes.push,
            wire.UserSetForeground: partial(_accept, engine),
            wire.AppSendMessage: _refuse,
            wire.AppSendMessage2: _refuse,
            wire.UserExtCall: _refuse,
        },
    )


def _accept(engine: Engine, _: Session, __: Arguments, asked: Asked) -> Answer[Known | None]:
    """What makes no difference here."""
    return engine.keep(asked)


def _refuse(_: Session, args: Arguments, __: Asked) -> None:
    """What only the retired service's own other servers could have answered."""
    raise SignalError(
        ECode.GENERAL_E_FAILED,
        f"{args.function} was a service of the vendor's own, which this server does not have",
    )
