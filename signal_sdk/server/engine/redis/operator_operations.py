"""An operator's operations on Redis.

Owns: these operations, as they are asked for, and how an app's channels are found. Must not know
how they are done: operator.lua does.

Redis has no list of an app's channels, since nothing else needs one: they are looked for among all
of its keys, some at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final, TypeVar

from signal_sdk.ecodes import ECode
from signal_sdk.server.engine.base import (
    AccountKey,
    Call,
    CallKey,
    ChannelKey,
    Entry,
    Part,
    Post,
    Presence,
    Standing,
)
from signal_sdk.server.engine.operating import number_in
from signal_sdk.server.engine.pending import Pending, drive
from signal_sdk.server.engine.redis import answers
from signal_sdk.server.engine.redis.answers import About
from signal_sdk.server.engine.redis.attribute_operations import channel_args, name_size
from signal_sdk.server.engine.redis.call_operations import key_of
from signal_sdk.server.engine.redis.core import first_uid, pack, tag
from signal_sdk.server.engine.redis.presence_operations import PresenceOperations
from signal_sdk.server.engine.values import encode_json
from signal_sdk.wire import built_in
from signal_sdk.wire.events import ChannelMessage
from signal_sdk.wire.names import JsonValue
from signal_sdk.wire.properties import attach, is_binary

NOBODY: Final = ("", "", "", "", "")
"""Who asks, where it is no session."""
GLOB: Final = str.maketrans({it: f"\\{it}" for it in "\\*?[]"})

T = TypeVar("T")


class OperatorOperations(PresenceOperations):
    """What an operator may ask for, as the contract has it."""

    def _do(
        self,
        app: str,
        function: str,
        args: Sequence[str | bytes | int],
        read: Callable[[Any], T],
    ) -> Pending[T]:
        """Change something in the app, which this node serves from here on."""
        self._serve(app)
        return self._ask(app, function, args, read)

    # --- telling ---

    def tell(self, post: Post) -> Pending[None]:
        """As the contract has it; for how long it is good goes by Redis' clock, as in `post`."""
        (app, to), sender = post.key, post.sender
        ttl = f"{post.expires - self._wall():.3f}"
        args = (to, first_uid(app, to), sender, post.line, ttl, int(post.is_binary))
        return self._do(app, "tell", args, partial(_nothing, About(account=sender, what=to)))

    def tell_channel(self, key: ChannelKey, message: ChannelMessage) -> Pending[bool]:
        """As the contract has it."""
        about = About(what=key.channel, ecode=ECode.SENDMESSAGE_E_OTHER)
        number, is_bytes = attach(message.id, message.properties), is_binary(message.properties)
        args = (
            *(key.channel, message.account, message.uid),
            *(encode_json(message.msg), number, message.size, int(is_bytes)),
        )
        return self._do(key.app, "tell_channel", args, partial(_is_done, about))

    # --- ending ---

    def kick(self, key: AccountKey) -> Pending[bool]:
        """As the contract has it."""
        return self._do(key.app, "kick", (key.account,), partial(_is_done, About()))

    def remove(self, key: AccountKey, channel: str) -> Pending[bool]:
        """As the contract has it."""
        return self._do(key.app, "remove", (key.account, channel), partial(_is_done, About()))

    def end_call(self, key: CallKey, call_id: str) -> Pending[bool]:
        """As the contract has it."""
        args = (key_of(key.channel, key.one, key.other), call_id)
        return self._do(key.app, "end_call", args, partial(_is_done, About()))

    # --- attributes ---

    def put_user_attr(self, key: AccountKey, name: str, value: JsonValue) -> Pending[None]:
        """As the contract has it."""
        seconds = built_in.conn_timeout_seconds(value) if name == built_in.CONN_TIMEOUT else ""
        uid = first_uid(*key)
        args = (key.account, uid, "", "", "", name, encode_json(value), seconds, name_size(name))
        read = partial(_nothing, About(account=key.account))
        return self._do(key.app, "put_user_attr", args, read)

    def drop_user_attr(self, key: AccountKey, name: str) -> Pending[bool]:
        """As the contract has it."""
        args = (key.account, name, name_size(name))
        return self._do(key.app, "drop_user_attr", args, partial(_is_done, About()))

    def put_channel_attr(self, key: ChannelKey, name: str, value: JsonValue) -> Pending[None]:
        """As the contract has it."""
        args = (*NOBODY, *channel_args(key.channel, name, value))
        return self._do(
            key.app, "put_channel_attr", args, partial(_nothing, About(what=key.channel))
        )

    def drop_channel_attr(self, key: ChannelKey, name: str) -> Pending[bool]:
        """As the contract has it."""
        args = (*NOBODY, key.channel, 0, name, name_size(name))
        read = partial(_is_done, About(what=key.channel))
        return self._do(key.app, "drop_channel_attr", args, read)

    # --- looking ---

    def inbox_size(self, key: AccountKey) -> Pending[tuple[int, int]]:
        """As the contract has it."""
        return self._ask(key.app, "inbox_size", (key.account,), _size)

    def peek(self, key: AccountKey, after: int, limit: int) -> Pending[Sequence[Entry]]:
        """As the contract has it."""
        return self._ask(key.app, "peek", (key.account, after, limit), _entries)

    def online_in(self, app: str, cursor: str, limit: int) -> Pending[Part[tuple[str, Presence]]]:
        """As the contract has it, in the order of uids."""
        return self._ask(app, "online_in", (number_in(cursor), limit), _online)

    def channel(self, key: ChannelKey) -> Pending[Standing | None]:
        """As the contract has it."""
        found = self._ask(key.app, "channels", (pack([key.channel]),), _standings)
        return found.map(_first)

    def channels_in(self, app: str, cursor: str, limit: int) -> Any:
        """As the contract has it: what so many keys have, whosever they are."""
        return drive(self._channels_in(app, number_in(cursor), limit))

    async def _channels_in(self, app: str, cursor: int, limit: int) -> Part[Standing]:
        base = self._base(app)
        pattern = f"{base}c:".translate(GLOB) + "*"
        words = ("SCAN", cursor, "MATCH", pattern, "COUNT", limit)
        following, keys = await self._servers.ask_raw(tag(app), *words)
        found = [key[len(base.encode()) + 2 :].decode() for key in keys]
        items = await self._ask(app, "channels", (pack(found),), _standings)
        return Part(items, "" if following == b"0" else following.decode())

    def members(self, key: ChannelKey, cursor: str, limit: int) -> Pending[Part[tuple[str, int]]]:
        """As the contract has it, in the order in which they came."""
        args = (key.channel, number_in(cursor), limit)
        return self._ask(key.app, "members", args, _members)

    def call(self, key: CallKey) -> Pending[Call | None]:
        """As the contract has it."""
        args = (key_of(key.channel, key.one, key.other),)
        return self._ask(key.app, "call", args, _calls).map(_first)

    def calls_in(self, app: str, cursor: str, limit: int) -> Pending[Part[Call]]:
        """As the contract has it."""
        return self._ask(app, "calls_in", (number_in(cursor), limit), _calls_part)


def _nothing(about: About, reply: Any) -> None:
    answers.known(about, reply)


def _is_done(about: About, reply: Any) -> bool:
    """Was there anything to do? Raises why it was refused."""
    if reply is None or len(reply) == 1 or reply[1] == b"unset":
        return False
    if reply[1] == b"done":
        return True
    raise answers.refusal(about, reply)


def _size(reply: Any) -> tuple[int, int]:
    return reply[2], reply[3]


def _entries(reply: Any) -> Sequence[Entry]:
    return answers.entries(reply).entries


def _online(reply: Any) -> Part[tuple[str, Presence]]:
    items = [(it[2].decode(), answers.presence(it[3])) for it in reply[3]]
    return Part(items, reply[2].decode())


def _standings(reply: Any) -> Sequence[Standing]:
    return [
        Standing(
            name=name.decode(),
            num=num,
            total=total,
            msgid=msgid,
            idle_since=float(idle) if idle else None,
        )
        for name, num, total, msgid, idle in reply[2]
    ]


def _first(found: Sequence[T]) -> T | None:
    return found[0] if found else None


def _members(reply: Any) -> Part[tuple[str, int]]:
    flat = reply[3]
    items = [(flat[at].decode(), flat[at + 1]) for at in range(0, len(flat), 2)]
    return Part(items, reply[2].decode())


def _calls(reply: Any) -> Sequence[Call]:
    return [] if reply is None else [answers.call(packed) for packed in reply[2]]


def _calls_part(reply: Any) -> Part[Call]:
    items = [answers.call(packed) for packed in reply[3]]
    return Part(items, "" if reply[2] == b"0" else reply[2].decode())
