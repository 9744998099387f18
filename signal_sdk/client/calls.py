"""A session's calls: which are alive, what the peer's steps make of them, and whom that is told.

Owns: calls as one side sees them (protocol.md, section 6), found by channel and peer. Must not know
the connection, or any time: the server is the referee.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Final

from signal_sdk.callbacks import CallCallback, LoginCallback
from signal_sdk.client import given
from signal_sdk.client.call_states import TABLE, CallState, CallStep
from signal_sdk.client.dispatcher import Dispatcher, Thunk
from signal_sdk.client.log import Log
from signal_sdk.client.operation import Operation, Promise
from signal_sdk.client.request import Codes
from signal_sdk.client.requests import Requests, nothing
from signal_sdk.ecodes import ECode
from signal_sdk.errors import ParameterError, ProtocolError, SignalError
from signal_sdk.wire import events, functions, names, results
from signal_sdk.wire.lines import MessageLine
from signal_sdk.wire.names import JsonValue

if TYPE_CHECKING:
    from signal_sdk.call import Call
    from signal_sdk.login_session import LoginSession

__all__ = ["Calls", "Leg"]

CALL_CODES: Final = Codes(other=ECode.INVITE_E_OTHER, timeout=ECode.INVITE_E_OTHER)

_PEER_STEPS: Final = {
    events.VOIP_ACK: CallStep.PEER_RECEIVED,
    events.VOIP_ACCEPT: CallStep.PEER_ACCEPTED,
    events.VOIP_REFUSE: CallStep.PEER_REFUSED,
    events.VOIP_FAILED: CallStep.FAILED,
    events.VOIP_BYE: CallStep.PEER_ENDED,
    events.VOIP_MSG: CallStep.PEER_SENT,
}

_OUR_STEPS: Final[dict[CallStep, type[functions.CallArguments]]] = {
    CallStep.ACCEPT: functions.VoipInviteAccept,
    CallStep.REFUSE: functions.VoipInviteRefuse,
    CallStep.END: functions.VoipInviteBye,
    CallStep.SEND: functions.VoipInviteMsg,
}

Key = tuple[str, str]
"""A call's channel and peer: between two accounts there is one call about a channel, whoever
called."""


class Leg:
    """One side of one call. `cb` is read when a callback runs, since an incoming call gets its own
    in the first one.
    """

    def __init__(
        self,
        key: Key,
        *,
        call_id: str,
        state: CallState,
        extra: str,
        peer_uid: int,
        cb: CallCallback | None,
        make_call: Callable[[Leg], Call],
    ) -> None:
        self.key = key
        self.id = call_id
        self.state: CallState = state
        self.extra = extra
        self.peer_uid = peer_uid
        self.cb = cb
        self.invited: Promise[None] = Promise()
        """The server's having taken the invitation. What `on_invite_failed` hears before it fails
        with the same."""
        self.ending: Operation[None] | None = None
        self.call: Call = make_call(self)

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


class Calls:
    """All calls of one session that are alive."""

    def __init__(
        self,
        session: LoginSession,
        cb: LoginCallback | None,
        requests: Requests,
        dispatcher: Dispatcher,
        log: Log,
        make_call: Callable[[Leg], Call],
    ) -> None:
        self._session = session
        self._cb = cb
        self._requests = requests
        self._dispatcher = dispatcher
        self._log = log
        self._make_call = make_call
        self._legs: dict[str, Leg] = {}

    def __len__(self) -> int:
        return len(self._legs)

    # --- our steps ---

    def invite(self, channel: str, peer: str, extra: JsonValue, cb: CallCallback | None) -> Leg:
        """Call `peer` about `channel`."""
        try:
            key = (
                names.check_channel(given.text("channel", channel)),
                names.check_account(given.text("account", peer)),
            )
        except ParameterError:
            # The request will be refused with the reason.
            key = (_if_text(channel), _if_text(peer))
        call_id = secrets.token_hex(8)
        leg = Leg(
            key,
            call_id=call_id,
            state=CallState.INVITING,
            extra=_text(extra),
            peer_uid=0,
            cb=cb,
            make_call=self._make_call,
        )
        unless = None
        alive = self._find(key)
        if alive is not None and not alive.is_ending:
            reason = f"a call with {key[1]!r} about the channel {key[0]!r} is alive"
            unless = SignalError(ECode.INVITE_E_REINVITE, reason)
        else:
            if alive is not None and self._step(alive, CallStep.END):
                # What still comes of it is not for the new one, and nobody would hear of its end.
                self._dispatcher.put(partial(self._tell_ended, alive, ""))
            self._legs[leg.id] = leg
        self._requests.call(
            lambda: functions.VoipInvite(
                channel=given.text("channel", channel),
                peer=given.text("account", peer),
                extra=given.json_value("extra", extra),
                call_id=call_id,
            ),
            results.Result,
            nothing,
            done=lambda _: leg.invited.succeed(None),
            failed=partial(self._failed, leg),
            codes=CALL_CODES,
            unless=unless,
            lapse=partial(_why_not_again, leg),
        )
        return leg

    def _find(self, key: Key, call_id: str = "") -> Leg | None:
        """The call of this key and id; without an id, which other servers do not tell, the latest
        of the key.
        """
        if call_id:
            leg = self._legs.get(call_id)
            return leg if leg is not None and leg.key == key else None
        return next((leg for leg in reversed(self._legs.values()) if leg.key == key), None)

    def _failed(self, leg: Leg, error: SignalError) -> None:
        leg.invited.fail(error)
        if self._step(leg, CallStep.FAILED):
            self._dispatcher.put_outcome(partial(self._tell_failed, leg, error.ecode))

    @property
    def alive(self) -> tuple[Leg, ...]:
        """All calls that are not over."""
        return tuple(self._legs.values())

    def take_step(
        self,
        leg: Leg,
        step: CallStep,
        extra: JsonValue = "",
        *,
        done: Callable[[], None] | None = None,
        failed: Callable[[SignalError], None] | None = None,
    ) -> Operation[None]:
        """Accept, refuse, end, or send within a call."""
        unless = None
        if step not in TABLE[leg.state]:
            reason = f"a call that is {leg.state.value} cannot be {step.value}"
            unless = SignalError(ECode.INVITE_E_OTHER, reason)
        is_last = TABLE[leg.state].get(step) is CallState.ENDED
        operation = self._requests.call(
            lambda: _OUR_STEPS[step](
                channel=leg.channel, peer=leg.peer, extra=given.json_value("extra", extra)
            ),
            results.Result,
            nothing,
            done=lambda _: self._stepped(leg, step, _text(extra), done),
            failed=failed,
            codes=CALL_CODES,
            unless=unless,
            # Both sides may end a call at once; it is over either way.
            moot=lambda: is_last and leg.state is CallState.ENDED,
            lapse=partial(_why_not_again, leg),
        )
        if is_last and not operation.is_done:
            leg.ending = operation
        return operation

    def _stepped(
        self, leg: Leg, step: CallStep, extra: str, done: Callable[[], None] | None
    ) -> None:
        if self._step(leg, step) and step is CallStep.END:
            self._dispatcher.put(partial(self._tell_ended, leg, extra))
        if done is not None:
            done()

    # --- the peer's steps ---

    def take(self, line: MessageLine) -> Thunk | None:
        """An inbox entry about a call has come: the callback that tells of it, if any does."""
        try:
            content = events.decode_call_content(line)
            key = (names.check_channel(content.channel), names.check_account(content.peer))
        except (ProtocolError, ParameterError) as exc:
            self._log.debug("%s: passed over: %s", line.type, exc)
            return None
        if line.type == events.VOIP_INVITE:
            return self._invited(key, content)
        leg = self._find(key, content.call)
        step = _PEER_STEPS.get(line.type)
        if leg is None or step is None or not self._step(leg, step):
            return None
        leg.peer_uid = content.peeruid or leg.peer_uid
        if step is CallStep.FAILED:
            ecode = _ecode(content.ecode)
            leg.invited.fail(SignalError(ecode))
            return partial(self._tell_failed, leg, ecode)
        return partial(self._tell_step, leg, step, _text(content.extra))

    def _invited(self, key: Key, content: events.CallContent) -> Thunk | None:
        before = self._find(key)
        if (
            before is not None
            and before.invited.is_done
            and self._step(before, CallStep.PEER_ENDED)
        ):
            # The server lets nobody call while a call is alive, so that one is over there. (An
            # invitation of ours without an answer has crossed the peer's, and will be refused.)
            self._dispatcher.put(partial(self._tell_step, before, CallStep.PEER_ENDED, ""))
        leg = Leg(
            key,
            call_id=content.call or secrets.token_hex(8),
            state=CallState.INCOMING,
            extra=_text(content.extra),
            peer_uid=content.peeruid,
            cb=None,
            make_call=self._make_call,
        )
        leg.invited.succeed(None)
        self._legs[leg.id] = leg
        self._requests.call(
            lambda: functions.VoipInviteAck(channel=leg.channel, peer=leg.peer),
            results.Result,
            nothing,
            # A call that is over already is none of the user's business.
            failed=lambda exc: self._log.debug("%s: %s", events.VOIP_ACK, exc),
            always=True,
        )
        if self._cb is None:
            return None
        return partial(self._cb.on_invite_received, self._session, leg.call)

    # --- the session's end ---

    def end(self, ecode: ECode | None) -> None:
        """The session is over, or the server has forgotten it: its calls fail with `ecode`, or end
        by its own logout (None).
        """
        for leg in list(self._legs.values()):
            if self._step(leg, CallStep.END if ecode is None else CallStep.FAILED):
                if ecode is None:
                    self._dispatcher.put(partial(self._tell_ended, leg, ""))
                else:
                    self._dispatcher.put(partial(self._tell_failed, leg, ecode))

    def _step(self, leg: Leg, step: CallStep) -> bool:
        """Take a step; a call that is over is forgotten. False where the step does not fit."""
        if not leg.step(step):
            return False
        if leg.state is CallState.ENDED:
            self._legs.pop(leg.id, None)
        return True

    # --- callbacks: each looks for `cb` when it runs ---

    def _tell_failed(self, leg: Leg, ecode: ECode) -> object:
        if leg.cb is None:
            return None
        return leg.cb.on_invite_failed(self._session, leg.call, ecode)

    def _tell_ended(self, leg: Leg, extra: str) -> object:
        if leg.cb is None:
            return None
        return leg.cb.on_invite_end_by_myself(self._session, leg.call, extra)

    def _tell_step(self, leg: Leg, step: CallStep, extra: str) -> object:
        cb, session, call = leg.cb, self._session, leg.call
        if cb is None:
            return None
        match step:
            case CallStep.PEER_RECEIVED:
                return cb.on_invite_received_by_peer(session, call)
            case CallStep.PEER_ACCEPTED:
                return cb.on_invite_accepted_by_peer(session, call, extra)
            case CallStep.PEER_REFUSED:
                return cb.on_invite_refused_by_peer(session, call, extra)
            case CallStep.PEER_ENDED:
                return cb.on_invite_end_by_peer(session, call, extra)
            case _:
                return cb.on_invite_msg(session, call, extra)


def _why_not_again(leg: Leg) -> SignalError | None:
    """Why a step is not to be sent again after a lost connection: a call that is over by then, as
    all are where the server has forgotten the session.
    """
    if leg.state is not CallState.ENDED:
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
