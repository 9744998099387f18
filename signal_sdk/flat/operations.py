"""The operations of the flat API, by argument: each ends in its documented callback.

Owns: which request, or which step of a channel or a call, a method is, and which callback hears of
its outcome. Must not know threads, or a login's course. All of it runs in the trio thread.

Each takes its method's documented name first: under it `on_error` hears of a failure where there is
no other callback, and of what is raised as `SignalError`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeVar

import msgspec

from signal_sdk.client.call_states import CallState, CallStep
from signal_sdk.client.calls import Leg
from signal_sdk.client.requests import GENERAL, Codes, nothing
from signal_sdk.client.session import SessionClient
from signal_sdk.client.user_attributes import NUM_CODES
from signal_sdk.ecodes import ECode
from signal_sdk.errors import LoginError, ParameterError, SignalError
from signal_sdk.flat.core import Core, not_logged_in
from signal_sdk.flat.life import Account
from signal_sdk.flat.listener import Sent
from signal_sdk.flat.retries import RetryPolicy
from signal_sdk.wire import events, frames, functions, lines, names, results
from signal_sdk.wire.arguments import Arguments
from signal_sdk.wire.names import JsonValue

__all__ = ["Operations"]

R = TypeVar("R", bound=results.Result)

Failed = Callable[[SignalError], None]
MakeMessage = Callable[[], Arguments]

_FLAG: Final = lines.make_flag(names.DEFAULT_TTL_SECONDS)


class Operations:
    """The operations of one instance."""

    def __init__(self, core: Core) -> None:
        self._core = core

    # --- asking the server ---

    def _client(self) -> SessionClient:
        client = self._core.client
        if client is None:
            raise not_logged_in()
        return client

    def _failing(self, method: str) -> Failed:
        return lambda exc: self._core.put("on_error", method, exc.ecode, exc.reason)

    def _ask(
        self,
        make: Callable[[], Arguments],
        type_: type[R],
        done: Callable[[R], None],
        failed: Failed,
        codes: Codes = GENERAL,
    ) -> None:
        try:
            client = self._client()
        except SignalError as exc:
            failed(exc)
        else:
            client.requests.call(make, type_, nothing, done=done, failed=failed, codes=codes)

    def invoke(self, _: str, name: str, req: str, call_id: str) -> None:
        """`invoke`."""
        put = self._core.put

        def failed(exc: SignalError) -> None:
            told = {"result": "failed", "reason": exc.reason, "ecode": int(exc.ecode)}
            text = frames.encode_json(told).decode()
            put("on_invoke_ret", call_id, str(int(exc.ecode)), text)

        try:
            client = self._client()
            if not isinstance(name, str):
                raise names.wrong("function", name, "is not text")
            args = _decode("req", req)
        except SignalError as exc:
            failed(exc)
        else:
            client.requests.invoke(
                name, args, done=lambda text: put("on_invoke_ret", call_id, "", text), failed=failed
            )

    # --- logging in and out ---

    def login(
        self,
        _: str,
        appid: object,
        account: object,
        token: str,
        seconds: object = 0,
        count: object = 0,
    ) -> None:
        """`login`, and with retries `login2`."""
        try:
            if not isinstance(appid, str) or not appid or not names.is_encodable(appid):
                raise names.wrong("app id", appid, "is empty or not UTF-8 text")
            if not isinstance(account, str):
                raise LoginError(ECode.LOGIN_E_INVALID_USER, "the account is not text")
            policy = RetryPolicy.checked(seconds, count)
        except SignalError as exc:
            self._core.refuse_login(exc)
        else:
            self._core.login(Account(appid=appid, name=account, token=token), policy)

    def log_out(self, _: str) -> None:
        """`logout`."""
        self._core.log_out()

    # --- messages ---

    def message_instant_send(
        self, _: str, account: str, uid: object, msg: str, msg_id: str
    ) -> None:
        """`messageInstantSend`."""

        def make() -> functions.UserSendMessage:
            if isinstance(uid, str):
                # Most likely the message, in the wrong place.
                raise names.wrong("uid", uid, "is not a number")
            return functions.UserSendMessage(
                peer=account,
                flag=_FLAG,
                kind=events.INSTANT,
                content=_checked_text("message", msg),
                message_id=msg_id,
            )

        self._send(make, msg_id)

    def message_channel_send(
        self, _: str, channel: str, msg: str, msg_id: str, *, force: bool = False
    ) -> None:
        """`messageChannelSend`, and with `force` `messageChannelSendForce`."""
        # Whether one has joined the channel is the server's to say: it counts the joins.
        self._send(
            lambda: functions.ChannelSendMessage(
                channel=channel,
                msg=_checked_text("message", msg),
                message_id=msg_id,
                force=force,
            ),
            msg_id,
        )

    def _send(self, make: MakeMessage, msg_id: str) -> None:
        client = self._core.client
        if client is None:
            self._core.put("on_message_send_error", msg_id, ECode.GENERAL_E_NOT_LOGIN)
        else:
            client.send_message(make, Sent(self._core.tell, msg_id))

    # --- users ---

    def query_user_status(self, method: str, account: str) -> None:
        """`queryUserStatus`."""
        self._ask(
            lambda: functions.UserQueryStatus(account=account),
            results.QueryStatusResult,
            lambda result: self._core.put(
                "on_query_user_status_result", result.account, str(result.status)
            ),
            self._failing(method),
        )

    def set_attr(self, method: str, name: str, value: str) -> None:
        """`setAttr`."""
        self._ask(
            lambda: functions.UserSetAttr(name=name, value=value),
            results.SetAttrResult,
            nothing,
            self._failing(method),
        )

    def get_attr(self, method: str, name: str) -> None:
        """`getAttr`."""
        self.get_user_attr(method, self._core.account, name)

    def get_attr_all(self, method: str) -> None:
        """`getAttrAll`."""
        self.get_user_attr_all(method, self._core.account)

    def get_user_attr(self, method: str, account: str, name: str) -> None:
        """`getUserAttr`."""
        self._ask(
            lambda: functions.UserGetAttr(account=account, name=name),
            results.GetAttrResult,
            lambda result: self._core.put(
                "on_user_attr_result", result.account, result.name, names.json_text(result.value)
            ),
            self._failing(method),
        )

    def get_user_attr_all(self, method: str, account: str) -> None:
        """`getUserAttrAll`."""
        self._ask(
            lambda: functions.UserGetAttrAll(account=account),
            results.GetAttrAllResult,
            lambda result: self._core.put("on_user_attr_all_result", result.account, result.json),
            self._failing(method),
        )

    # --- channels ---

    def channel_join(self, _: str, channel: str) -> None:
        """`channelJoin`."""
        self._core.join(channel)

    def channel_leave(self, method: str, channel: str) -> None:
        """`channelLeave`."""
        channels = self._client().channels
        member = channels.find(names.check_channel(channel))
        if member is None:
            reason = f"not in the channel {channel!r}"
            raise SignalError(ECode.LEAVECHANNEL_E_OTHER, reason)
        channels.leave(member, self._failing(method))

    def channel_query_user_num(self, _: str, channel: str) -> None:
        """`channelQueryUserNum`."""
        put, heard = self._core.put, "on_channel_query_user_num_result"
        self._ask(
            lambda: functions.ChannelQueryNum(channel=channel),
            results.QueryNumResult,
            lambda result: put(heard, channel, ECode.SUCCESS, result.num),
            lambda exc: put(heard, channel, exc.ecode, 0),
            NUM_CODES,
        )

    def channel_query_user_is_in(self, method: str, channel: str, account: str) -> None:
        """`channelQueryUserIsIn`."""
        self._ask(
            lambda: functions.ChannelQueryUserIsIn(channel=channel, account=account),
            results.QueryUserIsInResult,
            lambda result: self._core.put(
                "on_channel_query_user_is_in", channel, account, result.isin
            ),
            self._failing(method),
        )

    def channel_set_attr(self, method: str, channel: str, name: str, value: str) -> None:
        """`channelSetAttr`."""
        self._change(
            method, lambda: functions.ChannelSetAttr(channel=channel, name=name, value=value)
        )

    def channel_del_attr(self, method: str, channel: str, name: str) -> None:
        """`channelDelAttr`."""
        self._change(method, lambda: functions.ChannelDelAttr(channel=channel, name=name))

    def channel_clear_attr(self, method: str, channel: str) -> None:
        """`channelClearAttr`."""
        self._change(method, lambda: functions.ChannelClearAttr(channel=channel))

    def _change(self, method: str, make: Callable[[], Arguments]) -> None:
        self._ask(make, results.Result, nothing, self._failing(method))

    # --- calls ---

    def invite(self, _: str, channel: str, account: str, extra: JsonValue) -> None:
        """`channelInviteUser` and `channelInviteUser2`."""
        try:
            names.check_channel(channel)
            names.check_account(account)
            self._core.invite(channel, account, extra)
        except SignalError as exc:
            self._core.put("on_invite_failed", channel, account, 0, exc.ecode, extra)

    def invite_phone(self, method: str, channel: str, phone: str, source: str, extra: str) -> None:
        """`channelInvitePhone`, `channelInvitePhone2` and `channelInvitePhone3`."""
        try:
            told = _decode("extra", extra) if extra else {}
            told["srcNum"] = _checked_text("sourcesNum", source)
            text = frames.encode_json(told).decode()
        except ParameterError as exc:
            self._core.put("on_invite_failed", channel, phone, 0, exc.ecode, extra)
        else:
            self.invite(method, channel, phone, text)

    def take_step(
        self, method: str, step: CallStep, channel: str, account: str, extra: JsonValue = ""
    ) -> None:
        """`channelInviteAccept`, `channelInviteRefuse` and `channelInviteEnd`."""
        calls = self._client().calls
        key = (names.check_channel(channel), names.check_account(account))
        leg = next((leg for leg in calls.alive if leg.key == key), None)
        if leg is None:
            reason = f"there is no call with {account!r} about the channel {channel!r}"
            raise SignalError(ECode.INVITE_E_OTHER, reason)
        calls.take_step(leg, step, extra, failed=self._failing(method))

    def channel_invite_dtmf(self, method: str, channel: str, phone: str, dtmf: str) -> None:
        """`channelInviteDTMF`."""
        extra = events.encode_dtmf(_checked_text("DTMF digits", dtmf))
        self.take_step(method, CallStep.SEND, channel, phone, extra)

    def message_dtmf_send(self, _: str, uid: int, msg: str, msg_id: str) -> None:
        """`messageDTMFSend`."""
        put = self._core.put

        def failed(exc: SignalError) -> None:
            is_other = exc.ecode is ECode.INVITE_E_OTHER
            ecode = ECode.SENDMESSAGE_E_OTHER if is_other else exc.ecode
            put("on_message_send_error", msg_id, ecode)

        try:
            calls = self._client().calls
            extra = events.encode_dtmf(_checked_text("DTMF digits", msg))
            leg = _talking(calls.alive, uid)
        except SignalError as exc:
            failed(exc)
        else:
            calls.take_step(
                leg,
                CallStep.SEND,
                extra,
                done=lambda: put("on_message_send_success", msg_id),
                failed=failed,
            )


def _talking(legs: tuple[Leg, ...], uid: int) -> Leg:
    """The one call that was accepted, and whose peer has that uid (0: whoever it is)."""
    found = [
        leg for leg in legs if leg.state is CallState.ACCEPTED and uid in (0, None, leg.peer_uid)
    ]
    if len(found) != 1:
        reason = f"{len(found)} calls are connected with a peer of that uid, and not 1"
        raise SignalError(ECode.SENDMESSAGE_E_OTHER, reason)
    return found[0]


def _checked_text(what: str, value: object) -> str:
    if not isinstance(value, str):
        raise names.wrong(what, value, "is not text")
    return value


def _decode(what: str, text: str) -> dict[str, Any]:
    """The JSON object in `text`. Raises `ParameterError` (1004)."""
    try:
        decoded = msgspec.json.decode(_checked_text(what, text))
    except (msgspec.MsgspecError, RecursionError, UnicodeError):
        raise names.wrong(what, text, "is not JSON") from None
    if not isinstance(decoded, dict):
        raise names.wrong(what, text, "is not a JSON object")
    return decoded
