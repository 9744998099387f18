"""The states of a call as one of its sides sees them.

Only the table may live here: no requests, no callbacks, no timers (the server is the referee, and
keeps them). A step that is not in the table is refused where it is ours, and ignored where it is
the peer's.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import Final

__all__ = ["TABLE", "CallState", "CallStep"]


class CallState(enum.Enum):
    """Where a call stands (`Call.state`)."""

    INVITING = "inviting"
    """Ours: the invitation is on its way."""
    RINGING = "ringing"
    """Ours: the peer's SDK has received it."""
    INCOMING = "incoming"
    """The peer's: waiting for our answer."""
    ACCEPTED = "accepted"
    ENDED = "ended"


class CallStep(enum.Enum):
    """What moves a call on."""

    ACCEPT = "accepted"
    REFUSE = "refused"
    END = "ended"
    SEND = "sent to"

    PEER_RECEIVED = "received by the peer"
    PEER_ACCEPTED = "accepted by the peer"
    PEER_REFUSED = "refused by the peer"
    PEER_ENDED = "ended by the peer"
    PEER_SENT = "sent to by the peer"
    FAILED = "failed"


_OVER: Final = {
    CallStep.END: CallState.ENDED,
    CallStep.PEER_ENDED: CallState.ENDED,
    CallStep.FAILED: CallState.ENDED,
}

TABLE: Final[Mapping[CallState, Mapping[CallStep, CallState]]] = {
    CallState.INVITING: {
        **_OVER,
        CallStep.PEER_RECEIVED: CallState.RINGING,
        CallStep.PEER_ACCEPTED: CallState.ACCEPTED,
        CallStep.PEER_REFUSED: CallState.ENDED,
        CallStep.SEND: CallState.INVITING,
        CallStep.PEER_SENT: CallState.INVITING,
    },
    CallState.RINGING: {
        **_OVER,
        CallStep.PEER_ACCEPTED: CallState.ACCEPTED,
        CallStep.PEER_REFUSED: CallState.ENDED,
        CallStep.SEND: CallState.RINGING,
        CallStep.PEER_SENT: CallState.RINGING,
    },
    CallState.INCOMING: {
        **_OVER,
        CallStep.ACCEPT: CallState.ACCEPTED,
        CallStep.REFUSE: CallState.ENDED,
        CallStep.SEND: CallState.INCOMING,
        CallStep.PEER_SENT: CallState.INCOMING,
    },
    CallState.ACCEPTED: {
        **_OVER,
        CallStep.SEND: CallState.ACCEPTED,
        CallStep.PEER_SENT: CallState.ACCEPTED,
    },
    CallState.ENDED: {},
}
