"""`IAgoraAPI`: the flat API of the Linux SDK, for programs without an event loop.

Owns: the documented methods. Must not know what a method does in the trio thread: flat/ does; nor
who makes an instance, which agora_instances.py does.
"""

from __future__ import annotations

from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Self

from signal_sdk.agora_callback import ICallBack
from signal_sdk.client import given
from signal_sdk.flat.call_methods import CallMethods
from signal_sdk.flat.methods import message_id
from signal_sdk.flat.obsolete import ObsoleteMethods
from signal_sdk.flat.retries import DEFAULT_RETRY_COUNT, DEFAULT_RETRY_SECONDS
from signal_sdk.flat.undocumented import UndocumentedMethods
from signal_sdk.flat.version import sdk_version

__all__ = ["IAgoraAPI"]


class IAgoraAPI(CallMethods, ObsoleteMethods, UndocumentedMethods):
    """One user of the signaling system: every operation is a method, every event a callback.

    Linux SDK, "IAgoraAPI Class". Made by `create_agora_sdk_instance_cpp` or
    `get_agora_sdk_instance_cpp`. Methods may be called from any thread, in callbacks, and inside a
    running trio or asyncio program: they return at once, and the `ICallBack` hears what comes of
    them. The order of a thread's calls is their order on the wire, also of those made during a
    login.

    A wrong argument raises nothing (but in `callback_set`, of which nobody else could hear), nor
    does a call while nobody is logged in: the method's own callback of a failure hears of it, where
    there is one, and then `on_error` says why, as of every failure. docs/linux_api.md has a table
    of who hears what, in which order. A `uid` or a `deviceID` is ignored. Only after `destroy`, and
    in a process that was forked after the instance's first use, methods raise `RuntimeError`.

    It is a context manager, whose end destroys the instance.
    """

    def __repr__(self) -> str:
        return f"<IAgoraAPI: {'destroyed' if self._core.is_closed else self._core.status.name}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.destroy()

    # --- the instance ---

    def destroy(self) -> None:
        """Log out and end the instance, with its threads. Returns at once; may be called again.

        What was called before goes out first. `on_logout` hears of it with 101 (`on_login_failed`
        with 203, during a login), as the last callback, within a few seconds; then callbacks that
        still wait are dropped. Linux SDK, `destroy`.
        """
        self._core.close()

    def callback_set(self, handler: ICallBack | None) -> None:
        """Set what hears of everything from now on; None for nobody.

        Raises `ParameterError` (1004) for what is no object of a class derived from `ICallBack`.
        Linux SDK, `callbackSet`.
        """
        self._core.check()
        given.callback(handler, ICallBack)
        self._core.callbacks.handler = handler

    def callback_get(self) -> ICallBack | None:
        """What hears of everything; None where nothing was set. Linux SDK, `callbackGet`."""
        self._core.check()
        return self._core.callbacks.handler

    def get_status(self) -> int:
        """Where the user stands, as a `Status`. Linux SDK, `getStatus`.

        0: not logged in. 1: logging in. 2: logged in. 3: reconnecting.
        """
        self._core.check()
        return self._core.status

    def get_sdk_version(self) -> int:
        """The SDK's version: 1010104019 is 1.1.4.19. Linux SDK, `getSdkVersion`."""
        self._core.check()
        return sdk_version()

    # --- logging in ---

    def login(
        self,
        appId: str,
        account: str,
        token: str,
        uid: int = 0,
        deviceID: str = "",
    ) -> None:
        """Log in, and stay: as `login2` with its defaults, 30 s and 3 tries.

        `account` has 1 to 128 visible characters and no white space; `token` is a SignalingToken
        (`signal_sdk.make_token`), or `_no_need_token` where the app needs none. `on_login_success`
        or `on_login_failed` hears of it, and then `on_error` says why it failed. Where the user is
        logged in, or about to be, `on_error` hears 208, and all stays as it is. Linux SDK, `login`.
        """
        del uid, deviceID
        self._core.expect_login()
        retries = (DEFAULT_RETRY_SECONDS, DEFAULT_RETRY_COUNT)
        self._do("login", self._ops.login, appId, account, token, *retries)

    def login2(
        self,
        appId: str,
        account: str,
        token: str,
        uid: int = 0,
        deviceID: str = "",
        retry_time_in_s: float = DEFAULT_RETRY_SECONDS,
        retry_count: int = DEFAULT_RETRY_COUNT,
    ) -> None:
        """Log in as by `login`, and try again where the server is not reached, or is lost.

        Up to `retry_count` times within `retry_time_in_s` seconds, with growing pauses. The first
        login then ends in `on_login_failed`. A connection that is lost is told by
        `on_reconnecting`, then by `on_reconnected`, or in the end `on_logout` with 102. The user
        stays logged in and in its channel and calls; what is asked meanwhile is done when there is
        a connection again, and fails where there is none in 10 s. Linux SDK, `login2`.
        """
        del uid, deviceID
        self._core.expect_login()
        self._do("login", self._ops.login, appId, account, token, retry_time_in_s, retry_count)

    def logout(self) -> None:
        """Log out. `on_logout` hears of it with 101; `on_error` hears 108 where nobody is in.

        During a login, it cancels that: `on_login_failed` hears 203. Messages whose callbacks have
        not begun stay with the server, for the next login. Linux SDK, `logout`.
        """
        self._do("logout", self._ops.log_out)

    def invoke(self, name: str, req: str, callID: str) -> None:
        """Call a function of the server by its name, with `req` as JSON text.

        `name` is `io.agora.signal.` and the function's. `on_invoke_ret` hears of the answer, or of
        what was wrong, under `callID`. Linux SDK, `invoke`.
        """
        self._do("invoke", self._ops.invoke, name, req, callID)

    # --- messages; each returns the message's id ---

    def message_instant_send(
        self, account: str, uid: int = 0, msg: str = "", msgID: str = ""
    ) -> str:
        """Send a point-to-point message, which `account` gets now or with its next login.

        `msg` has at most 8192 visible characters; a user may send 60 messages a second. An empty
        `msgID` (at most 128 visible characters, the first not `~`) is replaced by a unique one,
        which is returned.
        `on_message_send_success` or `on_message_send_error` hears of it under that id, and of a
        failure `on_error`, too. Text in the place of `uid` is an error (1004). Linux SDK,
        `messageInstantSend`.
        """
        msg_id = message_id(msgID)
        self._do("send_instant_msg", self._ops.message_instant_send, account, uid, msg, msg_id)
        return msg_id

    def message_channel_send(self, channelID: str, msg: str, msgID: str = "") -> str:
        """Send a message to all members of a channel that the user has joined, itself included.

        As `message_instant_send`; a channel takes 1000 messages a second. Linux SDK,
        `messageChannelSend`.
        """
        msg_id = message_id(msgID)
        self._do("send_channel_msg", self._ops.message_channel_send, channelID, msg, msg_id)
        return msg_id

    def message_channel_send_force(self, channelID: str, msg: str, msgID: str = "") -> str:
        """Send a message to all members of a channel that the user need not have joined.

        Linux SDK, `messageChannelSendForce`.
        """
        msg_id = message_id(msgID)
        send = partial(self._ops.message_channel_send, force=True)
        self._do("send_channel_msg", send, channelID, msg, msg_id)
        return msg_id

    # --- users ---

    def query_user_status(self, account: str) -> None:
        """Ask whether `account` is online: `on_query_user_status_result`.

        Linux SDK, `queryUserStatus`.
        """
        self._do("query_user_status", self._ops.query_user_status, account)

    def set_attr(self, name: str, value: str) -> None:
        """Set an attribute of the user; only a failure is told, to `on_error`.

        `name` has at most 128 visible characters, `value` 1024. `_conn_timeout` (20 to 120, in
        seconds) is how long the user stays online without a connection. Linux SDK, `setAttr`.
        """
        self._do("set_attr", self._ops.set_attr, name, value)

    def get_attr(self, name: str) -> None:
        """Ask for an attribute of the user itself: `on_user_attr_result`.

        Linux SDK, `getAttr`.
        """
        self._do("get_attr", self._ops.get_attr, name)

    def get_attr_all(self) -> None:
        """Ask for all attributes of the user itself: `on_user_attr_all_result`.

        Linux SDK, `getAttrAll`.
        """
        self._do("get_attr_all", self._ops.get_attr_all)

    def get_user_attr(self, account: str, name: str) -> None:
        """Ask for an attribute of any account of the app: `on_user_attr_result`.

        Linux SDK, `getUserAttr`.
        """
        self._do("get_user_attr", self._ops.get_user_attr, account, name)

    def get_user_attr_all(self, account: str) -> None:
        """Ask for all attributes of any account of the app: `on_user_attr_all_result`.

        Linux SDK, `getUserAttrAll`.
        """
        self._do("get_user_attr_all", self._ops.get_user_attr_all, account)

    # --- channels ---

    def channel_join(self, channelID: str) -> None:
        """Join a channel (at most 128 visible characters), and leave the one before.

        `on_channel_joined`, `on_channel_user_list` and, for each attribute,
        `on_channel_attr_updated` hear of it, or `on_channel_join_failed`. `_agora_user_online` and
        `_agora_channel_event` tell who comes, goes, joins and leaves in the whole app: see
        `ICallBack.on_message_channel_receive`. Linux SDK, `channelJoin`.
        """
        self._do("channel_join", self._ops.channel_join, channelID)

    def channel_leave(self, channelID: str) -> None:
        """Leave a channel: `on_channel_leaved`, with 602.

        Where it was not joined, `on_error` hears that, too (1001); where the server refuses, or
        does not answer, `on_error` alone does, and the user stays. Linux SDK, `channelLeave`.
        """
        self._do("channel_leave", self._ops.channel_leave, channelID)

    def channel_query_user_num(self, channelID: str) -> None:
        """Ask how many users are in a channel: `on_channel_query_user_num_result`.

        Linux SDK, `channelQueryUserNum`.
        """
        self._do("channel_query_num", self._ops.channel_query_user_num, channelID)

    def channel_query_user_is_in(self, channelID: str, account: str) -> None:
        """Ask whether `account` is in a channel: `on_channel_query_user_is_in`.

        Linux SDK, `channelQueryUserIsIn`.
        """
        query = self._ops.channel_query_user_is_in
        self._do("channel_query_user_isin", query, channelID, account)

    def channel_set_attr(self, channelID: str, name: str, value: str) -> None:
        """Set an attribute of a channel, joined or not: every member's `on_channel_attr_updated`.

        `name` has at most 128 visible characters, `value` 8096; the built-in names (`_channel_ttl`,
        `_userNotification`, …) take whole numbers. Linux SDK, `channelSetAttr`.
        """
        self._do("channel_set_attr", self._ops.channel_set_attr, channelID, name, value)

    def channel_del_attr(self, channelID: str, name: str) -> None:
        """Delete an attribute of a channel: the change's type is `del`.

        Linux SDK, `channelDelAttr`.
        """
        self._do("channel_del_attr", self._ops.channel_del_attr, channelID, name)

    def channel_clear_attr(self, channelID: str) -> None:
        """Delete all attributes of a channel: the change's type is `clear`.

        Linux SDK, `channelClearAttr`.
        """
        self._do("channel_clear_attr", self._ops.channel_clear_attr, channelID)

    if TYPE_CHECKING:

        def callbackSet(self, handler: ICallBack | None) -> None: ...
        def callbackGet(self) -> ICallBack | None: ...
        def messageInstantSend(
            self, account: str, uid: int = 0, msg: str = "", msgID: str = ""
        ) -> str: ...
        def queryUserStatus(self, account: str) -> None: ...
        def setAttr(self, name: str, value: str) -> None: ...
        def getAttr(self, name: str) -> None: ...
        def getAttrAll(self) -> None: ...
        def getUserAttr(self, account: str, name: str) -> None: ...
        def getUserAttrAll(self, account: str) -> None: ...
        def channelJoin(self, channelID: str) -> None: ...
        def channelLeave(self, channelID: str) -> None: ...
        def channelQueryUserNum(self, channelID: str) -> None: ...
        def channelQueryUserIsIn(self, channelID: str, account: str) -> None: ...
        def channelSetAttr(self, channelID: str, name: str, value: str) -> None: ...
        def channelDelAttr(self, channelID: str, name: str) -> None: ...
        def channelClearAttr(self, channelID: str) -> None: ...
        def messageChannelSend(self, channelID: str, msg: str, msgID: str = "") -> str: ...
        def getStatus(self) -> int: ...
        def getSdkVersion(self) -> int: ...
        def messageChannelSendForce(self, channelID: str, msg: str, msgID: str = "") -> str: ...
    else:
        callbackSet = callback_set
        callbackGet = callback_get
        messageInstantSend = message_instant_send
        queryUserStatus = query_user_status
        setAttr = set_attr
        getAttr = get_attr
        getAttrAll = get_attr_all
        getUserAttr = get_user_attr
        getUserAttrAll = get_user_attr_all
        channelJoin = channel_join
        channelLeave = channel_leave
        channelQueryUserNum = channel_query_user_num
        channelQueryUserIsIn = channel_query_user_is_in
        channelSetAttr = channel_set_attr
        channelDelAttr = channel_del_attr
        channelClearAttr = channel_clear_attr
        messageChannelSend = message_channel_send
        getStatus = get_status
        getSdkVersion = get_sdk_version
        messageChannelSendForce = message_channel_send_force
