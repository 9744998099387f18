"""The functions of `call2`: each one's arguments and result as a class.

Owns: the table of protocol.md, section 3. Must not know what a function does. An arguments class
checks and normalises what it is made of, whichever side makes it: the SDK from its callers' values,
the server from JSON. Unknown keys are ignored, as the original service did.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Final

import attrs
import msgspec

from signal_sdk.ecodes import ECode
from signal_sdk.errors import ParameterError, ProtocolError
from signal_sdk.wire import lines, names
from signal_sdk.wire.names import JsonValue


def _arg(wire: str, convert: Callable[[Any], Any], default: Any = attrs.NOTHING) -> Any:
    return attrs.field(converter=convert, default=default, metadata={"wire": wire})


def _whole_number(
    what: str, least: int, most: int = names.MAX_INTEGER
) -> Callable[[JsonValue], int]:
    return lambda value: names.check_integer(what, value, least, most)


def _check_flag(value: JsonValue) -> str:
    if not isinstance(value, str):
        raise names.wrong("flag", value, "is not text")
    try:
        return lines.cut_flag(value)
    except ProtocolError:
        raise names.wrong("flag", value, "is not of the form v1:E:TTL_SECONDS") from None


def _check_kind(value: JsonValue) -> str:
    if value != "instant":
        raise names.wrong("t", value, "is not 'instant'")
    return "instant"


# --- results --------------------------------------------------------------------------------------


@attrs.frozen(kw_only=True)
class Result:
    """The success text of a function that answers nothing but that it is done."""

    result: str = attrs.field(default="ok", init=True)


DONE: Final = Result()
"""What most functions answer."""


@attrs.frozen(kw_only=True)
class SetAttrResult(Result):
    """`user_set_attr`."""

    reason: str = ""


@attrs.frozen(kw_only=True)
class GetMessagesResult(Result):
    """`user_getmsg`: the inbox from behind `ver_clear` on, as (version, line) pairs."""

    ver_clear: int
    msgs: tuple[tuple[int, str], ...]

    def without_ids(self) -> GetMessagesResult:
        """The same, its lines as they are without message ids."""
        msgs = tuple((version, lines.without_id(line)) for version, line in self.msgs)
        return attrs.evolve(self, msgs=msgs)


@attrs.frozen(kw_only=True)
class QueryStatusResult(Result):
    """`user_query_user_status`: 1 online, 0 offline."""

    account: str
    status: int


@attrs.frozen(kw_only=True)
class GetAttrResult(Result):
    """`user_get_attr`; the value of an attribute that was never set is the empty text."""

    account: str
    name: str
    value: JsonValue


@attrs.frozen(kw_only=True)
class GetAttrAllResult(Result):
    """`user_get_attr_all`; `json` is a text that holds the attributes as a JSON object."""

    account: str
    json: str

    def __attrs_post_init__(self) -> None:
        self.attributes()

    def attributes(self) -> dict[str, JsonValue]:
        """What is in `json`. Raises `ValueError`, which a wrong answer does as it is decoded."""
        return msgspec.json.decode(self.json, type=dict[str, Any])


@attrs.frozen(kw_only=True)
class JoinResult(Result):
    """`channel_join`: the newest 200 members as (account, uid), oldest first, the attributes, and
    how many members there are. `msgid` (ours) is the id of the channel's last event.
    """

    list: tuple[tuple[str, int], ...]
    attrs: dict[str, JsonValue]
    num: int
    msgid: int = 0


@attrs.frozen(kw_only=True)
class QueryNumResult(Result):
    """`channel_query_num`."""

    num: int


@attrs.frozen(kw_only=True)
class QueryUserIsInResult(Result):
    """`channel_query_user_isin`: 1 in the channel, 0 not."""

    isin: int


@attrs.frozen(kw_only=True)
class QueryUserListResult(Result):
    """`channel_query_userlist` and `channel_query_userlist_all`: how many members there are, and
    the newest of them.
    """

    num: int
    list: tuple[tuple[str, int], ...]


# --- arguments ------------------------------------------------------------------------------------


class Arguments:
    """What every arguments class is: attrs fields that know their wire names, and the function's
    name and result.
    """

    __slots__ = ()

    function: ClassVar[str]
    result: ClassVar[type[Result]] = Result

    @classmethod
    def from_wire(cls, args: Mapping[str, JsonValue]) -> Any:
        """Make the class from a request's `args`. Raises `ParameterError` (1004, 1005)."""
        # As the class itself does it, in half the time: this is done for each request.
        made = object.__new__(cls)
        for field in _plan(cls):
            if field.wire in args:
                value = args[field.wire]
            elif field.default is attrs.NOTHING:
                raise ParameterError(
                    ECode.GENERAL_E_WRONG_PARAM, f"{cls.function}: {field.wire!r} is missing"
                )
            else:
                value = field.default
            field.put(made, field.convert(value))
        return made

    def to_wire(self) -> dict[str, JsonValue]:
        """The request's `args` without `line`; what was left at its default is left out."""
        return {
            field.wire: value
            for field in _plan(type(self))
            if (value := getattr(self, field.name)) != field.default
        }


class _Field(msgspec.Struct, frozen=True):
    """A field's name, its name on the wire, its default, and how it is checked and put."""

    name: str
    wire: str
    default: Any
    convert: Callable[[JsonValue], Any]
    put: Callable[[object, Any], None]


_plans: dict[type, tuple[_Field, ...]] = {}


def _plan(cls: type[Arguments]) -> tuple[_Field, ...]:
    plan = _plans.get(cls)
    if plan is None:
        plan = _plans[cls] = _make_plan(cls)
    return plan


def _make_plan(cls: type[Arguments]) -> tuple[_Field, ...]:
    return tuple(
        _Field(
            name=field.name,
            wire=field.metadata["wire"],
            default=field.default,
            convert=field.converter,
            put=getattr(cls, field.name).__set__,
        )
        for field in attrs.fields(cls)  # type: ignore[arg-type]  # every subclass is an attrs class
    )


@attrs.frozen(kw_only=True)
class UserLogout(Arguments):
    """End the session; presence ends at once."""

    function = "user_logout"


@attrs.frozen(kw_only=True)
class UserSendMessage(Arguments):
    """Put an instant message into the inbox of `peer`."""

    function = "user_sendmsg"

    peer: str = _arg("peer", names.check_account)
    flag: str = _arg("flag", _check_flag)
    kind: str = _arg("t", _check_kind)
    content: JsonValue = _arg("content", names.check_message)
    message_id: str = _arg("messageID", names.check_message_id, "")


@attrs.frozen(kw_only=True)
class UserGetMessages(Arguments):
    """Everything up to `ver_clear` is handled: give what comes then."""

    function = "user_getmsg"
    result = GetMessagesResult

    ver_clear: int = _arg("ver_clear", _whole_number("ver_clear", 0))
    max: int = _arg("max", _whole_number("max", 1), names.MAX_INBOX_PAGE)


@attrs.frozen(kw_only=True)
class UserQueryStatus(Arguments):
    """Is the account online?"""

    function = "user_query_user_status"
    result = QueryStatusResult

    account: str = _arg("account", names.check_account)


@attrs.frozen(kw_only=True)
class UserSetAttr(Arguments):
    """Set an attribute of one's own account."""

    function = "user_set_attr"
    result = SetAttrResult

    name: str = _arg("name", names.check_attr_name)
    value: JsonValue = _arg("value", names.check_user_attr_value)


@attrs.frozen(kw_only=True)
class UserGetAttr(Arguments):
    """One attribute of an account."""

    function = "user_get_attr"
    result = GetAttrResult

    account: str = _arg("account", names.check_account)
    name: str = _arg("name", names.check_attr_name)


@attrs.frozen(kw_only=True)
class UserGetAttrAll(Arguments):
    """All attributes of an account."""

    function = "user_get_attr_all"
    result = GetAttrAllResult

    account: str = _arg("account", names.check_account)


@attrs.frozen(kw_only=True)
class ChannelJoin(Arguments):
    """Join a channel, leaving the one before."""

    function = "channel_join"
    result = JoinResult

    channel: str = _arg("name", names.check_channel)


@attrs.frozen(kw_only=True)
class ChannelLeave(Arguments):
    """Leave a channel."""

    function = "channel_leave"

    channel: str = _arg("name", names.check_channel)


@attrs.frozen(kw_only=True)
class ChannelSendMessage(Arguments):
    """Send to a channel; with `force`, without having joined it."""

    function = "channel_sendmsg"

    channel: str = _arg("name", names.check_channel)
    msg: JsonValue = _arg("msg", names.check_message)
    message_id: str = _arg("msgID", names.check_message_id, "")
    force: bool = _arg("force", bool, False)


@attrs.frozen(kw_only=True)
class ChannelSetAttr(Arguments):
    """Set an attribute of a channel."""

    function = "channel_set_attr"

    channel: str = _arg("channel", names.check_channel)
    name: str = _arg("name", names.check_attr_name)
    value: JsonValue = _arg("value", names.check_channel_attr_value)


@attrs.frozen(kw_only=True)
class ChannelDelAttr(Arguments):
    """Delete an attribute of a channel."""

    function = "channel_del_attr"

    channel: str = _arg("channel", names.check_channel)
    name: str = _arg("name", names.check_attr_name)


@attrs.frozen(kw_only=True)
class ChannelClearAttr(Arguments):
    """Delete all attributes of a channel."""

    function = "channel_clear_attr"

    channel: str = _arg("channel", names.check_channel)


@attrs.frozen(kw_only=True)
class ChannelQueryNum(Arguments):
    """How many members has a channel?"""

    function = "channel_query_num"
    result = QueryNumResult

    channel: str = _arg("name", names.check_channel)


@attrs.frozen(kw_only=True)
class ChannelQueryUserIsIn(Arguments):
    """Is an account in a channel?"""

    function = "channel_query_user_isin"
    result = QueryUserIsInResult

    channel: str = _arg("name", names.check_channel)
    account: str = _arg("account", names.check_account)


@attrs.frozen(kw_only=True)
class ChannelQueryUserList(Arguments):
    """The newest 200 members of a channel."""

    function = "channel_query_userlist"
    result = QueryUserListResult

    channel: str = _arg("name", names.check_channel)


@attrs.frozen(kw_only=True)
class ChannelQueryUserListAll(Arguments):
    """The newest `num` members of a channel."""

    function = "channel_query_userlist_all"
    result = QueryUserListResult

    channel: str = _arg("name", names.check_channel)
    num: int = _arg("num", _whole_number("num", 0), names.MAX_USER_LIST_ALL)


@attrs.frozen(kw_only=True)
class CallArguments(Arguments):
    """What every step of a call takes: the call's channel, the other side, and what it is told."""

    channel: str = _arg("channelName", names.check_channel)
    peer: str = _arg("peer", names.check_account)
    extra: JsonValue = _arg("extra", names.check_extra, "")


@attrs.frozen(kw_only=True)
class VoipInvite(CallArguments):
    """Invite `peer` to a call. `call_id` (ours) tells it from others between the same two."""

    function = "voip_invite"

    call_id: str = _arg("callID", names.check_message_id, "")


@attrs.frozen(kw_only=True)
class VoipInviteAck(CallArguments):
    """The invitation has arrived; the callee's SDK says so by itself."""

    function = "voip_invite_ack"


@attrs.frozen(kw_only=True)
class VoipInviteAccept(CallArguments):
    """Take the call."""

    function = "voip_invite_accept"


@attrs.frozen(kw_only=True)
class VoipInviteRefuse(CallArguments):
    """Refuse the call."""

    function = "voip_invite_refuse"


@attrs.frozen(kw_only=True)
class VoipInviteBye(CallArguments):
    """End the call."""

    function = "voip_invite_bye"


@attrs.frozen(kw_only=True)
class VoipInviteMsg(CallArguments):
    """Tell the other side something, such as dialled digits."""

    function = "voip_invite_msg"


FUNCTIONS: Final[Mapping[str, type[Arguments]]] = {
    cls.function: cls
    for cls in (
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
        VoipInvite,
        VoipInviteAck,
        VoipInviteAccept,
        VoipInviteRefuse,
        VoipInviteBye,
        VoipInviteMsg,
    )
}
