"""The functions of `call2`: each one's arguments as a class.

Owns: the table of protocol.md, section 3; the functions of calls, of locks and of attributes with
revisions are in modules of their own. Must not know what a function does. An arguments class checks
and normalises what it is made of, whichever side makes it: the SDK from its callers' values, the
server from JSON. Unknown keys are ignored, as the original service did.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import ClassVar, Final

import attrs

from signal_sdk.errors import ProtocolError
from signal_sdk.wire import lines, names
from signal_sdk.wire.arguments import Arguments, arg
from signal_sdk.wire.attribute_functions import (
    ChannelChangeAttributes,
    ChannelReadAttributes,
    UserChangeAttributes,
    UserReadAttributes,
    UserUnwatch,
    UserWatch,
)
from signal_sdk.wire.call_functions import CALL_FUNCTIONS
from signal_sdk.wire.hidden import hides
from signal_sdk.wire.lock_functions import (
    ChannelLock,
    ChannelLockRenew,
    ChannelQueryLock,
    ChannelUnlock,
)
from signal_sdk.wire.names import JsonValue
from signal_sdk.wire.parameter_errors import wrong_content
from signal_sdk.wire.properties import Properties
from signal_sdk.wire.properties import check as check_properties
from signal_sdk.wire.results import (
    CatchUpResult,
    GetAttrAllResult,
    GetAttrResult,
    GetMessagesResult,
    HistoryResult,
    JoinResult,
    QueryNumResult,
    QueryStatusResult,
    QueryUserIsInResult,
    QueryUserListResult,
    Result,
    SetAttrResult,
)


def _whole_number(
    what: str, least: int, most: int = names.MAX_INTEGER
) -> Callable[[JsonValue], int]:
    return lambda value: names.check_integer(what, value, least, most)


def _check_flag(value: JsonValue) -> str:
    if not isinstance(value, str):
        raise wrong_content("flag", "is not text")
    try:
        return lines.cut_flag(value)
    except ProtocolError:
        raise wrong_content("flag", "is not of the form v1:E:TTL_SECONDS") from None


def _check_kind(value: JsonValue) -> str:
    if value != "instant":
        raise wrong_content("kind 't'", "is not 'instant'")
    return "instant"


@attrs.frozen(kw_only=True)
class UserLogout(Arguments):
    """End the session; presence ends at once. Everything up to `ver_clear` is handled."""

    function = "user_logout"

    ver_clear: int = arg("ver_clear", _whole_number("ver_clear", 0), 0)


@hides("content")
@attrs.frozen(kw_only=True)
class UserSendMessage(Arguments):
    """Put an instant message into the inbox of `peer`."""

    function = "user_sendmsg"

    peer: str = arg("peer", names.check_account)
    flag: str = arg("flag", _check_flag)
    kind: str = arg("t", _check_kind)
    content: JsonValue = arg("content", names.check_message)
    message_id: str = arg("messageID", names.check_message_id, "")
    properties: Properties | None = arg("properties", check_properties, None)


@attrs.frozen(kw_only=True)
class UserGetMessages(Arguments):
    """Everything up to `ver_clear` is handled: give what comes then."""

    function = "user_getmsg"
    result: ClassVar[type[Result]] = GetMessagesResult

    ver_clear: int = arg("ver_clear", _whole_number("ver_clear", 0))
    max: int = arg("max", _whole_number("max", 1), names.MAX_INBOX_PAGE)


@attrs.frozen(kw_only=True)
class UserQueryStatus(Arguments):
    """Is the account online?"""

    function = "user_query_user_status"
    result: ClassVar[type[Result]] = QueryStatusResult

    account: str = arg("account", names.check_account)


@hides("value")
@attrs.frozen(kw_only=True)
class UserSetAttr(Arguments):
    """Set an attribute of one's own account."""

    function = "user_set_attr"
    result: ClassVar[type[Result]] = SetAttrResult

    name: str = arg("name", names.check_attr_name)
    value: JsonValue = arg("value", names.check_user_attr_value)


@attrs.frozen(kw_only=True)
class UserGetAttr(Arguments):
    """One attribute of an account."""

    function = "user_get_attr"
    result: ClassVar[type[Result]] = GetAttrResult

    account: str = arg("account", names.check_account)
    name: str = arg("name", names.check_attr_name)


@attrs.frozen(kw_only=True)
class UserGetAttrAll(Arguments):
    """All attributes of an account."""

    function = "user_get_attr_all"
    result: ClassVar[type[Result]] = GetAttrAllResult

    account: str = arg("account", names.check_account)


@attrs.frozen(kw_only=True)
class ChannelJoin(Arguments):
    """Join a channel, leaving the one before."""

    function = "channel_join"
    result: ClassVar[type[Result]] = JoinResult

    channel: str = arg("name", names.check_channel)


@attrs.frozen(kw_only=True)
class ChannelLeave(Arguments):
    """Leave a channel."""

    function = "channel_leave"

    channel: str = arg("name", names.check_channel)


@hides("msg")
@attrs.frozen(kw_only=True)
class ChannelSendMessage(Arguments):
    """Send to a channel; with `force`, without having joined it."""

    function = "channel_sendmsg"

    channel: str = arg("name", names.check_channel)
    msg: JsonValue = arg("msg", names.check_message)
    message_id: str = arg("msgID", names.check_message_id, "")
    force: bool = arg("force", bool, False)
    properties: Properties | None = arg("properties", check_properties, None)


@hides("value")
@attrs.frozen(kw_only=True)
class ChannelSetAttr(Arguments):
    """Set an attribute of a channel."""

    function = "channel_set_attr"

    channel: str = arg("channel", names.check_channel)
    name: str = arg("name", names.check_attr_name)
    value: JsonValue = arg("value", names.check_channel_attr_value)


@attrs.frozen(kw_only=True)
class ChannelDelAttr(Arguments):
    """Delete an attribute of a channel."""

    function = "channel_del_attr"

    channel: str = arg("channel", names.check_channel)
    name: str = arg("name", names.check_attr_name)


@attrs.frozen(kw_only=True)
class ChannelClearAttr(Arguments):
    """Delete all attributes of a channel."""

    function = "channel_clear_attr"

    channel: str = arg("channel", names.check_channel)


@attrs.frozen(kw_only=True)
class ChannelQueryNum(Arguments):
    """How many members has a channel?"""

    function = "channel_query_num"
    result: ClassVar[type[Result]] = QueryNumResult

    channel: str = arg("name", names.check_channel)


@attrs.frozen(kw_only=True)
class ChannelQueryUserIsIn(Arguments):
    """Is an account in a channel?"""

    function = "channel_query_user_isin"
    result: ClassVar[type[Result]] = QueryUserIsInResult

    channel: str = arg("name", names.check_channel)
    account: str = arg("account", names.check_account)


@attrs.frozen(kw_only=True)
class ChannelQueryUserList(Arguments):
    """The newest 200 members of a channel."""

    function = "channel_query_userlist"
    result: ClassVar[type[Result]] = QueryUserListResult

    channel: str = arg("name", names.check_channel)


@attrs.frozen(kw_only=True)
class ChannelQueryUserListAll(Arguments):
    """The newest `num` members of a channel."""

    function = "channel_query_userlist_all"
    result: ClassVar[type[Result]] = QueryUserListResult

    channel: str = arg("name", names.check_channel)
    num: int = arg("num", _whole_number("num", 0), names.MAX_USER_LIST_ALL)


@attrs.frozen(kw_only=True)
class ChannelHistory(Arguments):
    """The newest `num` messages of a channel that one is in, as far as the server holds them
    (ours).
    """

    function = "channel_history"
    result: ClassVar[type[Result]] = HistoryResult

    channel: str = arg("name", names.check_channel)
    num: int = arg("num", _whole_number("num", 0), names.MAX_HISTORY)


@attrs.frozen(kw_only=True)
class ChannelCatchUp(Arguments):
    """Of a session with many channels that has come back: hear again of one that it is in, and what
    it has missed since the event `msgid` (ours).
    """

    function = "channel_catch_up"
    result: ClassVar[type[Result]] = CatchUpResult

    channel: str = arg("name", names.check_channel)
    msgid: int = arg("msgid", _whole_number("msgid", 0), 0)


# --- of the older clients -------------------------------------------------------------------------


@hides("content")
@attrs.frozen(kw_only=True)
class PushSendMessage(Arguments):
    """Send `peer` an instant message."""

    function = "push_sendmsg"

    peer: str = arg("peer", names.check_account)
    content: JsonValue = arg("msg", names.check_message)


@attrs.frozen(kw_only=True)
class UserSetForeground(Arguments):
    """Is the app in the foreground? Nothing depends on it here."""

    function = "user_setfg"


@attrs.frozen(kw_only=True)
class AppSendMessage(Arguments):
    """Refused: a message to the app's own servers at its vendor's."""

    function = "appmsg_send"


@attrs.frozen(kw_only=True)
class AppSendMessage2(Arguments):
    """Refused, as `AppSendMessage`: of the native SDK's chat."""

    function = "appmsg_send2"


@attrs.frozen(kw_only=True)
class UserExtCall(Arguments):
    """Refused: a function of the vendor's other services."""

    function = "user_ext_call"


_ALL: Final[tuple[type[Arguments], ...]] = (
    UserLogout,
    UserSendMessage,
    UserGetMessages,
    UserQueryStatus,
    UserSetAttr,
    UserGetAttr,
    UserGetAttrAll,
    ChannelJoin,
    ChannelLeave,
    ChannelSendMessage,
    ChannelSetAttr,
    ChannelDelAttr,
    ChannelClearAttr,
    ChannelQueryNum,
    ChannelQueryUserIsIn,
    ChannelQueryUserList,
    ChannelQueryUserListAll,
    ChannelHistory,
    ChannelCatchUp,
    ChannelLock,
    ChannelLockRenew,
    ChannelUnlock,
    ChannelQueryLock,
    UserChangeAttributes,
    UserReadAttributes,
    UserWatch,
    UserUnwatch,
    ChannelChangeAttributes,
    ChannelReadAttributes,
    *CALL_FUNCTIONS,
    PushSendMessage,
    UserSetForeground,
    AppSendMessage,
    AppSendMessage2,
    UserExtCall,
)
FUNCTIONS: Final[Mapping[str, type[Arguments]]] = {cls.function: cls for cls in _ALL}
