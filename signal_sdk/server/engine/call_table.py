"""The states of a call, and what its sides are told.

Owns: the table of a call's steps, how long each state lasts, and the entries that tell of a step
(protocol.md, section 6). Must not know where live calls are kept, or when somebody is told.
"""

from __future__ import annotations

import math
import secrets
from collections.abc import Mapping
from typing import Final

import attrs

from signal_sdk.ecodes import ECode
from signal_sdk.errors import SignalError
from signal_sdk.server.engine.facts import AccountKey, Call, CallKey, Post
from signal_sdk.server.engine.happened import Why
from signal_sdk.wire import events, lines
from signal_sdk.wire.names import JsonValue
from signal_sdk.wire.properties import Properties

EVENT_TTL_SECONDS: Final = lines.EVENT_TTL_SECONDS
"""How long a call's events wait for a side that has lost its connection: longer than its presence
lasts, even where the server itself is away for a while. What comes of a call that is over is passed
over.
"""

PEER_NOT_ONLINE: Final = "peer is not online"
"""The reason by which a native client tells this failure from others."""

INVITING: Final = "inviting"
RINGING: Final = "ringing"
ACCEPTED: Final = "accepted"
ENDED: Final = "ended"

ENDED_BY: Final[Mapping[str, str]] = {events.VOIP_REFUSE: Why.REFUSED, events.VOIP_BYE: Why.BYE}
"""Why a call has ended, by the step that has ended it."""
ENDS: Final = (Why.BYE, Why.REFUSED, Why.GONE, Why.UNANSWERED, Why.OFFLINE, Why.OPERATOR)
"""Why calls end."""

# Who may do what, in which state, and what comes of it. A step that is not here fails, and changes
# nothing.
STEPS: Final[Mapping[str, Mapping[tuple[str, str], str]]] = {
    INVITING: {
        ("callee", events.VOIP_ACK): RINGING,
        ("callee", events.VOIP_ACCEPT): ACCEPTED,
        ("callee", events.VOIP_REFUSE): ENDED,
        ("callee", events.VOIP_BYE): ENDED,
        ("caller", events.VOIP_BYE): ENDED,
    },
    RINGING: {
        ("callee", events.VOIP_ACCEPT): ACCEPTED,
        ("callee", events.VOIP_REFUSE): ENDED,
        ("callee", events.VOIP_BYE): ENDED,
        ("caller", events.VOIP_BYE): ENDED,
    },
    ACCEPTED: {
        ("callee", events.VOIP_BYE): ENDED,
        ("caller", events.VOIP_BYE): ENDED,
        ("callee", events.VOIP_MSG): ACCEPTED,
        ("caller", events.VOIP_MSG): ACCEPTED,
    },
}


def call_key(app: str, channel: str, account: str, peer: str) -> CallKey:
    """The key of the call between two accounts about a channel."""
    one, other = sorted((account, peer))
    return CallKey(app, channel, one, other)


def step(call: Call, account: str, kind: str, now: float) -> Call | None:
    """The call after a step of `account`, None where that ends it. Raises `SignalError` where it
    does not fit.
    """
    role = "caller" if call.caller == account else "callee"
    state = STEPS[call.state].get((role, kind))
    if state is None:
        raise SignalError(
            ECode.INVITE_E_OTHER, f"{kind} by the {role} does not fit a call that is {call.state}"
        )
    if state == ENDED:
        return None
    deadline = call.deadline
    if state == RINGING:
        deadline = now + call.timeout
    elif state == ACCEPTED:
        deadline = None
    return attrs.evolve(call, state=state, deadline=deadline)


def no_call(peer: str, channel: str) -> SignalError:
    """There is no such call."""
    return SignalError(
        ECode.INVITE_E_OTHER, f"there is no call with {peer!r} about the channel {channel!r}"
    )


def call_exists(peer: str, channel: str) -> SignalError:
    """There is such a call already."""
    return SignalError(
        ECode.INVITE_E_REINVITE,
        f"a call with {peer!r} about the channel {channel!r} is alive already",
    )


def entry(
    app: str,
    call: Call,
    *,
    to: str,
    uid: int,
    kind: str,
    extra: JsonValue,
    now: float,
    ttl: float = EVENT_TTL_SECONDS,
    ecode: ECode = ECode.SUCCESS,
    properties: Properties | None = None,
) -> Post:
    """What `to` is told by an entry of `kind` from the other side, whose uid is `uid` (0 where it
    is offline).
    """
    other = call.other(to)
    content = events.CallContent(
        channel=call.channel, peer=other, peeruid=uid, extra=extra, ecode=int(ecode), call=call.id
    )
    line = lines.MessageLine(
        msg_id=f"call.{secrets.token_hex(8)}",
        src=other,
        dst=to,
        type=kind,
        ttl=math.ceil(ttl),
        time=int(now * 1000),
        content=events.encode_call_content(content),
        properties=properties,
    ).encode()
    return Post(key=AccountKey(app, to), sender="", line=line, expires=now + ttl)
