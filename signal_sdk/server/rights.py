"""What a session may ask for, where its token says so.

Owns: which request needs which right, and what a refusal is called. Must not know a token, or what
a request does; who may join the special channels is `channels.py`'s, which asks for `listener`.
"""

from __future__ import annotations

from typing import Final

from signal_sdk.ecodes import ECode
from signal_sdk.errors import SignalError
from signal_sdk.wire import call2, call_functions, functions, lock_functions, names
from signal_sdk.wire.arguments import Arguments
from signal_sdk.wire.attribute_functions import ChannelChangeAttributes, ChannelReadAttributes
from signal_sdk.wire.rights import Rights, covers

__all__ = ["check"]

CHANNELS: Final[dict[type[Arguments], ECode]] = {
    functions.ChannelJoin: ECode.JOINCHANNEL_E_OTHER,
    functions.ChannelSendMessage: ECode.SENDMESSAGE_E_OTHER,
    functions.ChannelSetAttr: ECode.GENERAL_E_FAILED,
    functions.ChannelDelAttr: ECode.GENERAL_E_FAILED,
    functions.ChannelClearAttr: ECode.GENERAL_E_FAILED,
    functions.ChannelQueryNum: ECode.GENERAL_E_FAILED,
    functions.ChannelQueryUserIsIn: ECode.GENERAL_E_FAILED,
    functions.ChannelQueryUserList: ECode.GENERAL_E_FAILED,
    functions.ChannelQueryUserListAll: ECode.GENERAL_E_FAILED,
    functions.ChannelHistory: ECode.GENERAL_E_FAILED,
    functions.ChannelCatchUp: ECode.GENERAL_E_FAILED,
    lock_functions.ChannelLock: ECode.GENERAL_E_FAILED,
    lock_functions.ChannelLockRenew: ECode.GENERAL_E_FAILED,
    lock_functions.ChannelQueryLock: ECode.GENERAL_E_FAILED,
    ChannelChangeAttributes: ECode.GENERAL_E_FAILED,
    ChannelReadAttributes: ECode.GENERAL_E_FAILED,
}
"""What is about the channel of that name, and the code of its refusal. Leaving is always allowed,
and so is giving a lock up: a later login's rights may be fewer.
"""
PEERS: Final[dict[type[Arguments], ECode]] = {
    functions.UserSendMessage: ECode.SENDMESSAGE_E_OTHER,
    call2.Message: ECode.SENDMESSAGE_E_OTHER,
    functions.PushSendMessage: ECode.SENDMESSAGE_E_OTHER,
    call_functions.VoipInvite: ECode.INVITE_E_OTHER,
    call_functions.PstnInvite: ECode.INVITE_E_OTHER,
}
"""What begins something with the account of that name. Whoever is called may answer."""


def check(rights: Rights, args: Arguments) -> None:
    """Raise `SignalError` where a session with these rights may not ask for this."""
    if rights.channels is not None and (ecode := CHANNELS.get(type(args))):
        channel: str = args.channel  # type: ignore[attr-defined]  # all of them have it
        if not (rights.listener and channel in names.SPECIAL_CHANNELS) and not covers(
            rights.channels, channel
        ):
            raise SignalError(ecode, f"the token gives no right to the channel {channel!r}")
    elif rights.peers is not None and (ecode := PEERS.get(type(args))):
        peer: str = args.peer  # type: ignore[attr-defined]  # all of them have it
        if not covers(rights.peers, peer):
            raise SignalError(ecode, f"the token gives no right to write to {peer!r}, or call it")
