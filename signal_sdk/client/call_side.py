"""One side of one call: what is known of it, and the facts that it is told by.

Owns: how it takes the steps of call_states.py. Must not know requests, or the session's other
calls.
"""

from __future__ import annotations

import msgspec

from signal_sdk.client.call_states import TABLE, CallState, CallStep
from signal_sdk.client.facts import Sink, Turn
from signal_sdk.client.operation import Operation, Promise
from signal_sdk.ecodes import ECode
from signal_sdk.errors import SignalError
from signal_sdk.wire.hidden import hides

__all__ = [
    "CallEnded",
    "CallFact",
    "CallFailed",
    "CallSide",
    "CallStepped",
    "InvitationRefused",
    "Invited",
    "Key",
    "SelfRefused",
]

Key = tuple[str, str]
"""A call's channel and peer: between two accounts there is one call about a channel, whoever
called."""


class CallSide:
    """One side of one call, told to `sink` from when that is set on."""

    def __init__(
        self, key: Key, *, call_id: str, state: CallState, extra: str, peer_uid: int = 0
    ) -> None:
        self.key = key
        self.id = call_id
        self.state: CallState = state
        self.extra = extra
        self.peer_uid = peer_uid
        self.sink: Sink[CallFact] | None = None
        self.invited: Promise[None] = Promise()
        """The server's having taken the invitation. Where that is refused, it is told, too."""
        self.ending: Operation[None] | None = None

    @property
    def is_ending(self) -> bool:
        """Has this side asked for the call's end, and had no answer yet?"""
        return self.ending is not None and not self.ending.is_done

    @property
    def channel(self) -> str:
        """The call's channel."""
        return self.key[0]

    @property
    def peer(self) -> str:
        """The other side's account."""
        return self.key[1]

    def step(self, step: CallStep) -> bool:
        """Take a step of the table; False where it does not fit the call's state."""
        state = TABLE[self.state].get(step)
        if state is None:
            return False
        self.state = state
        return True

    def tell(self, fact: CallFact) -> bool:
        """Tell the sink; False where there is none."""
        if self.sink is None:
            return False
        self.sink(fact)
        return True


class Invited(msgspec.Struct, frozen=True):
    """A peer calls: who is told sets the side's `sink` at once, or nobody hears of the call. It is
    the session that is told.
    """

    side: CallSide
    turn: Turn


@hides("extra")
class CallStepped(msgspec.Struct, frozen=True):
    """The peer has taken a step."""

    side: CallSide
    step: CallStep
    extra: str
    turn: Turn | None = None


@hides("extra")
class CallEnded(msgspec.Struct, frozen=True):
    """This side has ended the call."""

    side: CallSide
    extra: str


class CallFailed(msgspec.Struct, frozen=True):
    """The call is over without either side having ended it."""

    side: CallSide
    ecode: ECode
    turn: Turn | None = None


class InvitationRefused(msgspec.Struct, frozen=True):
    """The invitation was refused before it was a call, here or by the server."""

    side: CallSide
    error: SignalError


class SelfRefused(msgspec.Struct, frozen=True):
    """This side has refused the call, of which no callback hears."""

    side: CallSide


CallFact = CallStepped | CallEnded | CallFailed | InvitationRefused | SelfRefused
