"""The operations of the flat API that are about calls: known by their channel and the other side.

Owns: which call a method means, what its `extra` may be, and which callbacks hear of a failure.
Must not know a call's rules (client/calls.py does), or threads. All of it runs in the trio thread,
and takes first, as operations.py does, the name under which `on_error` hears of a failure.
"""

from __future__ import annotations

from typing import Final

import msgspec

from signal_sdk.client import given
from signal_sdk.client.call_side import CallSide
from signal_sdk.client.call_states import CallState, CallStep
from signal_sdk.client.calls import Calls
from signal_sdk.ecodes import ECode
from signal_sdk.errors import ParameterError, SignalError
from signal_sdk.flat.core import Core
from signal_sdk.flat.failures import NOT_LOGIN, message_code, not_logged_in
from signal_sdk.wire import events, frames, names
from signal_sdk.wire.names import JsonValue
from signal_sdk.wire.parameter_errors import as_python, wrong_content

__all__ = ["CallOperations"]

NOT_JSON: Final = "wrong param extra"
"""What `on_invite_failed` hears of an `extra` that is no JSON."""
WRONG_EXTRA: Final = "wrong extra param"
"""What `on_error` hears of it."""


class CallOperations:
    """The operations of one instance that are about calls."""

    def __init__(self, core: Core) -> None:
        self._core = core

    def _calls(self) -> Calls:
        client = self._core.client
        if client is None:
            raise not_logged_in()
        return client.calls

    # --- calling ---

    def invite(self, name: str, channel: str, account: str, extra: JsonValue) -> None:
        """`channelInviteUser` and `channelInviteUser2`."""
        if error := _wrong_extra(extra):
            self._refuse_extra(name, error, channel, account)
            return
        try:
            checked = names.check_channel(given.text("channel", channel))
            peer = names.check_account(given.text("account", account))
            self._core.invite(checked, peer, given.json_value("extra", extra))
        except SignalError as exc:
            is_out = exc.ecode is ECode.GENERAL_E_NOT_LOGIN
            told = _reason(NOT_LOGIN) if is_out else extra
            self._fail(name, exc, channel, account, exc.ecode, told)

    def invite_phone(
        self, name: str, channel: str, phone: str, source: str, extra: JsonValue
    ) -> None:
        """`channelInvitePhone`, `channelInvitePhone2` and `channelInvitePhone3`."""
        if error := _wrong_extra(extra):
            self._refuse_extra(name, error, channel, phone)
            return
        try:
            given_text = given.text("extra", "" if extra is None else extra)
            told = msgspec.json.decode(given_text) if given_text else {}
            if not isinstance(told, dict):
                raise wrong_content("extra", "is not a JSON object")
            told["srcNum"] = given.text("sourcesNum", source)
            text = frames.encode_json(told).decode()
        except ParameterError as exc:
            self._fail(name, exc, channel, phone, exc.ecode, extra)
        else:
            self.invite(name, channel, phone, text)

    def _refuse_extra(self, name: str, error: ParameterError, channel: str, account: str) -> None:
        self._fail(name, error, channel, account, ECode.INVITE_E_OTHER, _reason(NOT_JSON))

    def _fail(
        self,
        name: str,
        exc: SignalError,
        channel: str,
        account: str,
        ecode: ECode,
        extra: JsonValue,
    ) -> None:
        self._core.fail(name, exc, "on_invite_failed", channel, account, 0, ecode, extra)

    # --- within a call ---

    def take_step(
        self, name: str, step: CallStep, channel: str, account: str, extra: JsonValue = ""
    ) -> None:
        """`channelInviteAccept`, `channelInviteRefuse` and `channelInviteEnd`."""
        calls = self._calls()
        checked = names.check_channel(given.text("channel", channel))
        peer = names.check_account(given.text("account", account))
        side = next((side for side in calls.alive if side.key == (checked, peer)), None)
        if side is None:
            reason = f"there is no call with {peer!r} about the channel {checked!r}"
            raise SignalError(ECode.INVITE_E_OTHER, reason)
        calls.take_step(side, step, extra, failed=lambda exc: self._core.fail(name, exc))

    def channel_invite_dtmf(self, name: str, channel: str, phone: str, dtmf: str) -> None:
        """`channelInviteDTMF`."""
        extra = events.encode_dtmf(given.text("DTMF digits", dtmf))
        self.take_step(name, CallStep.SEND, channel, phone, extra)

    def message_dtmf_send(self, name: str, uid: int | None, msg: str, msg_id: str) -> None:
        """`messageDTMFSend`."""
        put, fail = self._core.put, self._core.fail

        def failed(exc: SignalError) -> None:
            is_other = exc.ecode is ECode.INVITE_E_OTHER
            ecode = ECode.SENDMESSAGE_E_OTHER if is_other else message_code(exc)
            fail(name, exc, "on_message_send_error", msg_id, ecode)

        try:
            calls = self._calls()
            given.text("message id", msg_id)
            extra = events.encode_dtmf(given.text("DTMF digits", msg))
            side = _talking(calls.alive, uid)
        except SignalError as exc:
            failed(exc)
        else:
            calls.take_step(
                side,
                CallStep.SEND,
                extra,
                done=lambda: put("on_message_send_success", msg_id),
                failed=failed,
            )


def _talking(sides: tuple[CallSide, ...], uid: int | None) -> CallSide:
    """The one call that was accepted, and whose peer has that uid (0: whoever it is)."""
    if uid is not None:
        names.check_integer("uid", uid, 0, show=as_python)
    found = [
        side
        for side in sides
        if side.state is CallState.ACCEPTED and uid in (0, None, side.peer_uid)
    ]
    if len(found) != 1:
        reason = f"{len(found)} calls are connected with a peer of that uid, and not 1"
        raise SignalError(ECode.SENDMESSAGE_E_OTHER, reason)
    return found[0]


def _wrong_extra(extra: JsonValue) -> ParameterError | None:
    """What is wrong with an invitation's `extra`, if anything is: text has to hold JSON, which the
    original insists on, or be empty; another value has to be one that JSON says exactly.
    """
    try:
        plain = given.json_value("extra", extra)
        if isinstance(plain, str) and plain:
            msgspec.json.decode(plain)
    except ParameterError as exc:
        return exc
    except (msgspec.MsgspecError, RecursionError, ValueError):
        return ParameterError(ECode.GENERAL_E_WRONG_PARAM, WRONG_EXTRA)
    return None


def _reason(text: str) -> str:
    return frames.encode_json({"reason": text}).decode()
