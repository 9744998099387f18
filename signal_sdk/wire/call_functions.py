"""Calls: the arguments of their functions, each client's.

Owns: these forms (protocol.md, section 3). Must not know what a function does.
"""

from __future__ import annotations

from typing import Final

import attrs

from signal_sdk.wire import names
from signal_sdk.wire.arguments import Arguments, arg
from signal_sdk.wire.hidden import hides
from signal_sdk.wire.names import JsonValue
from signal_sdk.wire.properties import Properties
from signal_sdk.wire.properties import check as check_properties


@hides("extra")
@attrs.frozen(kw_only=True)
class CallArguments(Arguments):
    """What every step of a call takes: the call's channel, the other side, and what it is told."""

    channel: str = arg("channelName", names.check_channel)
    peer: str = arg("peer", names.check_account)
    extra: JsonValue = arg("extra", names.check_extra, "")


@hides("extra")
@attrs.frozen(kw_only=True)
class VoipInvite(CallArguments):
    """Invite `peer` to a call. `call_id` (ours) tells it from others between the same two."""

    function = "voip_invite"

    call_id: str = arg("callID", names.check_call_id, "")
    properties: Properties | None = arg("properties", check_properties, None)


@hides("extra")
@attrs.frozen(kw_only=True)
class VoipInviteAck(CallArguments):
    """The invitation has arrived; the callee's SDK says so by itself."""

    function = "voip_invite_ack"


@hides("extra")
@attrs.frozen(kw_only=True)
class VoipInviteAccept(CallArguments):
    """Take the call."""

    function = "voip_invite_accept"


@hides("extra")
@attrs.frozen(kw_only=True)
class VoipInviteRefuse(CallArguments):
    """Refuse the call."""

    function = "voip_invite_refuse"


@hides("extra")
@attrs.frozen(kw_only=True)
class VoipInviteBye(CallArguments):
    """End the call."""

    function = "voip_invite_bye"


@hides("extra")
@attrs.frozen(kw_only=True)
class VoipInviteMsg(CallArguments):
    """Tell the other side something, such as dialled digits."""

    function = "voip_invite_msg"


# --- of the older clients -------------------------------------------------------------------------


@hides("extra")
@attrs.frozen(kw_only=True)
class CallBye(Arguments):
    """End the call between `source`, one's own account, and `peer`: how native clients and the
    original Java SDK do it.
    """

    function = "call_bye"

    channel: str = arg("channelName", names.check_channel)
    source: str = arg("srcNum", names.check_account)
    peer: str = arg("destNum", names.check_account)
    extra: JsonValue = arg("extra", names.check_extra, "")


@hides("extra")
@attrs.frozen(kw_only=True)
class PstnInvite(Arguments):
    """Call the phone number `peer`, which shows the number `source`."""

    function = "pstn_invite"

    channel: str = arg("channelName", names.check_channel)
    source: str = arg("srcNum", names.check_phone_number, "")
    peer: str = arg("destNum", names.check_account)
    extra: JsonValue = arg("extra", names.check_extra, "")


@hides("digits")
@attrs.frozen(kw_only=True)
class PstnDtmf(Arguments):
    """Dial digits in a call, which `call` names: by its id, its channel, or the `callid` in its
    invitation's `extra`.
    """

    function = "pstn_dtmf"

    call: str = arg("cid", names.check_call_name)
    digits: str = arg("dtmf", names.check_digits)


CALL_FUNCTIONS: Final[tuple[type[Arguments], ...]] = (
    VoipInvite,
    VoipInviteAck,
    VoipInviteAccept,
    VoipInviteRefuse,
    VoipInviteBye,
    VoipInviteMsg,
    CallBye,
    PstnInvite,
    PstnDtmf,
)
