"""What the functions of `call2` answer: each one's result as a class.

Owns: the answers of protocol.md, section 3. Must not know what is asked.
"""

from __future__ import annotations

from typing import Any, Final

import attrs
import msgspec
from msgspec import UNSET, UnsetType

from signal_sdk.wire import lines
from signal_sdk.wire.hidden import hides
from signal_sdk.wire.names import JsonValue


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


@hides("msgs")
@attrs.frozen(kw_only=True)
class GetMessagesResult(Result):
    """`user_getmsg`: the inbox from behind `ver_clear` on, as (version, line) pairs."""

    ver_clear: int
    msgs: tuple[tuple[int, str], ...]

    def without_ids(self) -> GetMessagesResult:
        """The same, its lines as they are without message ids."""
        msgs = tuple((version, lines.without_id(line)) for version, line in self.msgs)
        return attrs.evolve(self, msgs=msgs)

    def without_properties(self) -> GetMessagesResult:
        """The same, its lines as they are with ids alone."""
        msgs = tuple((version, lines.without_properties(line)) for version, line in self.msgs)
        return attrs.evolve(self, msgs=msgs)


@attrs.frozen(kw_only=True)
class QueryStatusResult(Result):
    """`user_query_user_status`: 1 online, 0 offline."""

    account: str
    status: int


@hides("value")
@attrs.frozen(kw_only=True)
class GetAttrResult(Result):
    """`user_get_attr`; the value of an attribute that was never set is the empty text."""

    account: str
    name: str
    value: JsonValue


@hides("json")
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


@hides("attrs")
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


@hides("msgs")
@attrs.frozen(kw_only=True)
class HistoryResult(Result):
    """`channel_history` (ours): messages of a channel as (msgid, account, uid, Unix milliseconds,
    message), oldest first; `whole` is 1 where there was none before them; `binary` are the msgids
    of those that say bytes, which whoever does not take these does not get.
    """

    msgs: tuple[tuple[int, str, int, int, JsonValue], ...]
    whole: int
    binary: tuple[int, ...] | UnsetType = UNSET


@attrs.frozen(kw_only=True)
class CatchUpResult(Result):
    """`channel_catch_up` (ours): `msgid` is the id of the channel's last event; `gap` is 1 where
    some that its member has missed are not held any more.
    """

    msgid: int
    gap: int


@attrs.frozen(kw_only=True)
class QueryUserListResult(Result):
    """`channel_query_userlist` and `channel_query_userlist_all`: how many members there are, and
    the newest of them.
    """

    num: int
    list: tuple[tuple[str, int], ...]
