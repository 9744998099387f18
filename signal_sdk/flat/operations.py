"""The operations of the flat API but for calls, by argument: each ends in its callback.

Owns: which request, or which step of a channel, a method is, and which callbacks hear of its
outcome. Must not know threads, or a login's course. All of it runs in the trio thread.

Each takes the name first under which `on_error` hears of its failure, behind its own callback, as
the original's did.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeVar

import msgspec

from signal_sdk.client import given
from signal_sdk.client.request import GENERAL, MESSAGE_CODES, NUM_CODES, Codes
from signal_sdk.client.requests import nothing
from signal_sdk.client.session import SessionClient
from signal_sdk.ecodes import ECode
from signal_sdk.errors import ParameterError, SignalError
from signal_sdk.flat.core import Core
from signal_sdk.flat.failures import (
    NOT_LOGIN,
    in_words,
    invoke_words,
    message_code,
    not_logged_in,
)
from signal_sdk.flat.life import Account
from signal_sdk.flat.retries import RetryPolicy
from signal_sdk.wire import call2, events, frames, functions, lines, names, results
from signal_sdk.wire.arguments import Arguments
from signal_sdk.wire.parameter_errors import wrong, wrong_content

__all__ = ["Failed", "Operations"]

R = TypeVar("R", bound=results.Result)
T = TypeVar("T")

Failed = Callable[[SignalError], None]
MakeMessage = Callable[[], Arguments]

_FLAG: Final = lines.make_flag(names.DEFAULT_TTL_SECONDS)


class Operations:
    """The operations of one instance."""

    def __init__(self, core: Core) -> None:
        self._core = core

    # --- asking the server ---

    def _client(self, absent: str = NOT_LOGIN) -> SessionClient:
        client = self._core.client
        if client is None:
            raise not_logged_in(absent)
        return client

    def _failing(self, name: str) -> Failed:
        return lambda exc: self._core.fail(name, exc)

    def _ask(
        self,
        make: Callable[[], Arguments],
        type_: type[R],
        done: Callable[[R], None],
        failed: Failed,
        codes: Codes = GENERAL,
        absent: str = NOT_LOGIN,
    ) -> None:
        try:
            client = self._client(absent)
            args = _made(make)
        except SignalError as exc:
            failed(exc)
        else:
            client.requests.call(
                lambda: args, type_, nothing, done=done, failed=failed, codes=codes
            )

    def invoke(self, name: str, function: object, req: str, call_id: str) -> None:
        """`invoke`."""
        put = self._core.put

        def failed(exc: SignalError) -> None:
            ecode, reason = invoke_words(exc)
            told = {"result": "failed", "reason": reason, "ecode": int(ecode)}
            text = frames.encode_json(told).decode()
            self._core.fail(name, exc, "on_invoke_ret", call_id, str(int(ecode)), text)

        # Of these two the original tells `on_error` nothing.
        if not isinstance(function, str) or not str.startswith(function, call2.INVOKE_PREFIX):
            put("on_invoke_ret", call_id, "unsupported method name", "")
            return
        try:
            args = msgspec.json.decode(given.text("req", req))
        except (ParameterError, msgspec.MsgspecError, RecursionError, ValueError):
            put("on_invoke_ret", call_id, "args is not JSON", "")
            return
        try:
            given.text("callID", call_id)
            if not isinstance(args, dict):
                raise wrong_content("req", "is not a JSON object")
            client = self._client()
        except SignalError as exc:
            failed(exc)
        else:
            client.requests.invoke(
                given.text("function", function),
                args,
                done=lambda text: put("on_invoke_ret", call_id, "", text),
                failed=failed,
            )

    # --- logging in and out ---

    def login(
        self,
        _: str,
        appid: object,
        account: object,
        token: object,
        seconds: object,
        count: object,
    ) -> None:
        """`login` and `login2`."""

        def make() -> tuple[Account, RetryPolicy]:
            app = given.text("app id", appid)
            if not app or not names.is_encodable(app):
                raise wrong("app id", app, "is empty or not UTF-8 text")
            name, secret = given.text("account", account), given.text("token", token)
            who = Account(appid=app, name=name, token=secret)
            return who, RetryPolicy.checked(seconds, count)

        try:
            who, policy = _made(make)
        except SignalError as exc:
            self._core.refuse_login(exc)
        else:
            self._core.login(who, policy)

    def log_out(self, _: str) -> None:
        """`logout`."""
        self._core.log_out()

    # --- messages ---

    def message_instant_send(
        self, name: str, account: str, uid: object, msg: str, msg_id: str
    ) -> None:
        """`messageInstantSend`."""

        def make() -> functions.UserSendMessage:
            if isinstance(uid, str):
                # Most likely the message, in the wrong place.
                reason = "uid is of the type str, not int"
                raise ParameterError(ECode.GENERAL_E_WRONG_PARAM, reason)
            return functions.UserSendMessage(
                peer=given.text("account", account),
                flag=_FLAG,
                kind=events.INSTANT,
                content=given.text("message", msg),
                message_id=given.text("message id", msg_id),
            )

        self._send(name, make, msg_id)

    def message_channel_send(
        self, name: str, channel: str, msg: str, msg_id: str, *, force: bool = False
    ) -> None:
        """`messageChannelSend`, and with `force` `messageChannelSendForce`."""
        # Whether one has joined the channel is the server's to say: it counts the joins.
        self._send(
            name,
            lambda: functions.ChannelSendMessage(
                channel=given.text("channel", channel),
                msg=given.text("message", msg),
                message_id=given.text("message id", msg_id),
                force=force,
            ),
            msg_id,
        )

    def _send(self, name: str, make: MakeMessage, msg_id: str) -> None:
        put, fail, heard = self._core.put, self._core.fail, "on_message_send_error"
        self._ask(
            make,
            results.Result,
            lambda _: put("on_message_send_success", msg_id),
            lambda exc: fail(name, exc, heard, msg_id, message_code(exc)),
            MESSAGE_CODES,
        )

    def refuse_undocumented(self, name: str, method: str) -> None:
        """A method of the original's header that nobody has ever said what it does."""
        reason = f"{method} was never documented: it does nothing here"
        self._core.fail(name, SignalError(ECode.GENERAL_E_FAILED, reason))

    # --- users ---

    def query_user_status(self, name: str, account: str) -> None:
        """`queryUserStatus`."""
        self._ask(
            lambda: functions.UserQueryStatus(account=given.text("account", account)),
            results.QueryStatusResult,
            lambda result: self._core.put(
                "on_query_user_status_result", result.account, str(result.status)
            ),
            self._failing(name),
        )

    def set_attr(self, name: str, attr: str, value: str) -> None:
        """`setAttr`."""
        self._ask(
            lambda: functions.UserSetAttr(
                name=given.text("attribute name", attr),
                value=given.content("attribute value", value),
            ),
            results.SetAttrResult,
            nothing,
            self._failing(name),
        )

    def get_attr(self, name: str, attr: str) -> None:
        """`getAttr`."""
        self.get_user_attr(name, self._core.account, attr)

    def get_attr_all(self, name: str) -> None:
        """`getAttrAll`."""
        self.get_user_attr_all(name, self._core.account)

    def get_user_attr(self, name: str, account: str, attr: str) -> None:
        """`getUserAttr`."""
        self._ask(
            lambda: functions.UserGetAttr(
                account=given.text("account", account), name=given.text("attribute name", attr)
            ),
            results.GetAttrResult,
            lambda result: self._core.put(
                "on_user_attr_result", result.account, result.name, names.json_text(result.value)
            ),
            self._failing(name),
        )

    def get_user_attr_all(self, name: str, account: str) -> None:
        """`getUserAttrAll`."""
        self._ask(
            lambda: functions.UserGetAttrAll(account=given.text("account", account)),
            results.GetAttrAllResult,
            lambda result: self._core.put("on_user_attr_all_result", result.account, result.json),
            self._failing(name),
        )

    # --- channels ---

    def channel_join(self, name: str, channel: str) -> None:
        """`channelJoin`."""
        try:
            self._core.join(given.text("channel", channel))
        except SignalError as exc:
            self._core.fail(name, exc, "on_channel_join_failed", channel, exc.ecode)

    def channel_leave(self, name: str, channel: str) -> None:
        """`channelLeave`."""
        fail, heard = self._core.fail, "on_channel_leaved"
        try:
            channels = self._client("channel leave when logouted").channels
            checked = names.check_channel(given.text("channel", channel))
        except SignalError as exc:
            fail(name, exc, heard, channel, exc.ecode)
            return
        member = channels.find(checked)
        if member is None:
            error = SignalError(ECode.LEAVECHANNEL_E_OTHER, f"not in the channel {checked!r}")
            fail(name, error, heard, channel, ECode.LEAVECHANNEL_E_BYUSER)
        else:
            # Where that fails, the user stays in the channel: nothing is left.
            channels.leave(member, self._failing(name))

    def channel_query_user_num(self, name: str, channel: str) -> None:
        """`channelQueryUserNum`."""
        put, fail, heard = self._core.put, self._core.fail, "on_channel_query_user_num_result"
        self._ask(
            lambda: functions.ChannelQueryNum(channel=given.text("channel", channel)),
            results.QueryNumResult,
            lambda result: put(heard, channel, ECode.SUCCESS, result.num),
            lambda exc: fail(name, exc, heard, channel, exc.ecode, 0),
            NUM_CODES,
            "channel query_num when logouted",
        )

    def channel_query_user_is_in(self, name: str, channel: str, account: str) -> None:
        """`channelQueryUserIsIn`."""
        self._ask(
            lambda: functions.ChannelQueryUserIsIn(
                channel=given.text("channel", channel), account=given.text("account", account)
            ),
            results.QueryUserIsInResult,
            lambda result: self._core.put(
                "on_channel_query_user_is_in", channel, account, result.isin
            ),
            self._failing(name),
        )

    def channel_set_attr(self, name: str, channel: str, attr: str, value: str) -> None:
        """`channelSetAttr`."""
        self._change(
            name,
            lambda: functions.ChannelSetAttr(
                channel=given.text("channel", channel),
                name=given.text("attribute name", attr),
                value=given.content("attribute value", value),
            ),
        )

    def channel_del_attr(self, name: str, channel: str, attr: str) -> None:
        """`channelDelAttr`."""
        self._change(
            name,
            lambda: functions.ChannelDelAttr(
                channel=given.text("channel", channel), name=given.text("attribute name", attr)
            ),
        )

    def channel_clear_attr(self, name: str, channel: str) -> None:
        """`channelClearAttr`."""
        self._change(
            name, lambda: functions.ChannelClearAttr(channel=given.text("channel", channel))
        )

    def _change(self, name: str, make: Callable[[], Arguments]) -> None:
        self._ask(make, results.Result, nothing, self._failing(name))


def _made(make: Callable[[], T]) -> T:
    """What is made of a user's values. Raises `ParameterError` whatever these raise."""
    try:
        return make()
    except SignalError:
        raise
    except BaseException as exc:  # noqa: BLE001  it may come from a `__repr__` of anybody's
        reason = f"an argument cannot be used: {in_words(exc)}"
        raise ParameterError(ECode.GENERAL_E_WRONG_PARAM, reason) from None
