"""A session's calls: which are alive, what the peer's steps make of them, and how they end.

Owns: calls as one side sees them (protocol.md, section 6), found by channel and peer. Must not know
the connection, any time (the server is the referee), or what is made of its facts.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from functools import partial
from typing import Final

from signal_sdk.client import given
from signal_sdk.client.call_side import (
    CallEnded,
    CallFailed,
    CallSide,
    CallStepped,
    InvitationRefused,
    Invited,
    Key,
    SelfRefused,
)
from signal_sdk.client.call_states import TABLE, CallState, CallStep
from signal_sdk.client.facts import Sink, Turn
from signal_sdk.client.log import Log
from signal_sdk.client.operation import Operation
from signal_sdk.client.request import Codes
from signal_sdk.client.requests import Requests, nothing
from signal_sdk.ecodes import ECode
from signal_sdk.errors import ParameterError, ProtocolError, SignalError
from signal_sdk.wire import call_functions, events, names, results
from signal_sdk.wire.lines import MessageLine
from signal_sdk.wire.names import JsonValue

__all__ = ["Calls"]

CALL_CODES: Final = Codes(other=ECode.INVITE_E_OTHER, timeout=ECode.INVITE_E_OTHER)

_PEER_STEPS: Final = {
    events.VOIP_ACK: CallStep.PEER_RECEIVED,
    events.VOIP_ACCEPT: CallStep.PEER_ACCEPTED,
    events.VOIP_REFUSE: CallStep.PEER_REFUSED,
    events.VOIP_FAILED: CallStep.FAILED,
    events.VOIP_BYE: CallStep.PEER_ENDED,
    events.VOIP_MSG: CallStep.PEER_SENT,
}

_OUR_STEPS: Final[dict[CallStep, type[call_functions.CallArguments]]] = {
    CallStep.ACCEPT: call_functions.VoipInviteAccept,
    CallStep.REFUSE: call_functions.VoipInviteRefuse,
    CallStep.END: call_functions.VoipInviteBye,
    CallStep.SEND: call_functions.VoipInviteMsg,
}


class Calls:
    """All calls of one session that are alive. `sink` is told of those that come in."""

    def __init__(self, sink: Sink[Invited], requests: Requests, log: Log) -> None:
        self._sink = sink
        self._requests = requests
        self._log = log
        self._sides: dict[str, CallSide] = {}

    def __len__(self) -> int:
        return len(self._sides)

    # --- our steps ---

    @staticmethod
    def outgoing(channel: str, peer: str, extra: JsonValue) -> CallSide:
        """This side of a call with `peer` about `channel`, to be begun by `invite`."""
        try:
            key = (
                names.check_channel(given.text("channel", channel)),
                names.check_account(given.text("account", peer)),
            )
        except ParameterError:
            # The request will be refused with the reason.
            key = (_if_text(channel), _if_text(peer))
        call_id = secrets.token_hex(8)
        return CallSide(key, call_id=call_id, state=CallState.INVITING, extra=_text(extra))

    def invite(self, side: CallSide, channel: str, peer: str, extra: JsonValue) -> None:
        """Call `peer` about `channel`, by the side that `outgoing` has made of the same, and whose
        sink is there by now.
        """
        self._requests.check_thread()
        key = side.key
        unless = None
        alive = self._find(key)
        if alive is not None and not alive.is_ending:
            reason = f"a call with {key[1]!r} about the channel {key[0]!r} is alive"
            unless = SignalError(ECode.INVITE_E_REINVITE, reason)
        else:
            if alive is not None and self._step(alive, CallStep.END):
                # What still comes of it is not for the new one, and nobody would hear of its end.
                alive.tell(CallEnded(alive, ""))
            self._sides[side.id] = side
        self._requests.call(
            lambda: call_functions.VoipInvite(
                channel=given.text("channel", channel),
                peer=given.text("account", peer),
                extra=given.json_value("extra", extra),
                call_id=side.id,
            ),
            results.Result,
            nothing,
            done=lambda _: side.invited.succeed(None),
            failed=partial(self._refused, side),
            codes=CALL_CODES,
            unless=unless,
            lapse=partial(_why_not_again, side),
        )

    def _find(self, key: Key, call_id: str = "") -> CallSide | None:
        """The call of this key and id; without an id, which other servers do not tell, the latest
        of the key.
        """
        if call_id:
            side = self._sides.get(call_id)
            return side if side is not None and side.key == key else None
        return next((side for side in reversed(self._sides.values()) if side.key == key), None)

    def _refused(self, side: CallSide, error: SignalError) -> None:
        side.invited.fail(error)
        if self._step(side, CallStep.FAILED):
            side.tell(InvitationRefused(side, error))

    @property
    def alive(self) -> tuple[CallSide, ...]:
        """All calls that are not over."""
        return tuple(self._sides.values())

    def take_step(
        self,
        side: CallSide,
        step: CallStep,
        extra: JsonValue = "",
        *,
        done: Callable[[], None] | None = None,
        failed: Callable[[SignalError], None] | None = None,
    ) -> Operation[None]:
        """Accept, refuse, end, or send within a call."""
        unless = None
        if step not in TABLE[side.state]:
            reason = f"a call that is {side.state.value} cannot be {step.value}"
            unless = SignalError(ECode.INVITE_E_OTHER, reason)
        is_last = TABLE[side.state].get(step) is CallState.ENDED
        operation = self._requests.call(
            lambda: _OUR_STEPS[step](
                channel=side.channel, peer=side.peer, extra=given.json_value("extra", extra)
            ),
            results.Result,
            nothing,
            done=lambda _: self._stepped(side, step, _text(extra), done),
            failed=failed,
            codes=CALL_CODES,
            unless=unless,
            # Both sides may end a call at once; it is over either way.
            moot=lambda: is_last and side.state is CallState.ENDED,
            lapse=partial(_why_not_again, side),
        )
        if is_last and not operation.is_done:
            side.ending = operation
        return operation

    def _stepped(
        self, side: CallSide, step: CallStep, extra: str, done: Callable[[], None] | None
    ) -> None:
        if self._step(side, step):
            if step is CallStep.END:
                side.tell(CallEnded(side, extra))
            elif step is CallStep.REFUSE:
                side.tell(SelfRefused(side))
        if done is not None:
            done()

    # --- the peer's steps ---

    def take(self, line: MessageLine, turn: Turn) -> bool:
        """An inbox entry about a call has come; False where it is told to nobody."""
        try:
            content = events.decode_call_content(line)
            key = (names.check_channel(content.channel), names.check_account(content.peer))
        except (ProtocolError, ParameterError) as exc:
            self._log.debug("%s: passed over: %s", line.type, exc)
            return False
        if line.type == events.VOIP_INVITE:
            self._invited(key, content, turn)
            return True
        side = self._find(key, content.call)
        step = _PEER_STEPS.get(line.type)
        if side is None or step is None or not self._step(side, step):
            return False
        side.peer_uid = content.peeruid or side.peer_uid
        if step is CallStep.FAILED:
            ecode = _ecode(content.ecode)
            side.invited.fail(SignalError(ecode))
            return side.tell(CallFailed(side, ecode, turn))
        return side.tell(CallStepped(side, step, _text(content.extra), turn))

    def _invited(self, key: Key, content: events.CallContent, turn: Turn) -> None:
        before = self._find(key)
        if (
            before is not None
            and before.invited.is_done
            and self._step(before, CallStep.PEER_ENDED)
        ):
            # The server lets nobody call while a call is alive, so that one is over there. (An
            # invitation of ours without an answer has crossed the peer's, and will be refused.)
            before.tell(CallStepped(before, CallStep.PEER_ENDED, ""))
        side = CallSide(
            key,
            call_id=content.call or secrets.token_hex(8),
            state=CallState.INCOMING,
            extra=_text(content.extra),
            peer_uid=content.peeruid,
        )
        side.invited.succeed(None)
        self._sides[side.id] = side
        self._requests.call(
            lambda: call_functions.VoipInviteAck(channel=side.channel, peer=side.peer),
            results.Result,
            nothing,
            # A call that is over already is none of the user's business.
            failed=lambda exc: self._log.debug("%s: %s", events.VOIP_ACK, exc),
            always=True,
        )
        self._sink(Invited(side, turn))

    # --- the session's end ---

    def end(self, ecode: ECode | None) -> None:
        """The session is over, or the server has forgotten it: its calls fail with `ecode`, or end
        by its own logout (None).
        """
        for side in list(self._sides.values()):
            if self._step(side, CallStep.END if ecode is None else CallStep.FAILED):
                side.tell(CallEnded(side, "") if ecode is None else CallFailed(side, ecode))

    def _step(self, side: CallSide, step: CallStep) -> bool:
        """Take a step; a call that is over is forgotten. False where the step does not fit."""
        if not side.step(step):
            return False
        if side.state is CallState.ENDED:
            self._sides.pop(side.id, None)
        return True


def _why_not_again(side: CallSide) -> SignalError | None:
    """Why a step is not to be sent again after a lost connection: a call that is over by then, as
    all are where the server has forgotten the session.
    """
    if side.state is not CallState.ENDED:
        return None
    return SignalError(ECode.INVITE_E_NET, "the call ended with the connection")


def _if_text(name: object) -> str:
    return name if isinstance(name, str) else ""


def _text(extra: JsonValue) -> str:
    """`extra` as callbacks are told it: the text that it is, or its JSON text."""
    if extra is None:
        return ""
    try:
        return names.json_text(given.json_value("extra", extra))
    except (TypeError, ValueError, OverflowError, RecursionError):
        # No JSON: the request that carries it is refused.
        return ""


def _ecode(number: int) -> ECode:
    """The code of a call that failed; other servers send none."""
    try:
        return ECode(number or ECode.INVITE_E_OTHER)
    except ValueError:
        return ECode.INVITE_E_OTHER
