"""Attributes on Redis, of channels and of users.

Owns: these operations, as they are asked for, and what is read of marks. Must not know how they are
done: attributes.lua and attribute_changes.lua do.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any, Final

from signal_sdk.server.engine.base import (
    AccountKey,
    Asked,
    Attribute,
    AttributeChange,
    Attributes,
    Changed,
    ChannelKey,
    Known,
)
from signal_sdk.server.engine.owners import Mark
from signal_sdk.server.engine.pending import Pending
from signal_sdk.server.engine.redis import answers
from signal_sdk.server.engine.redis.answers import About
from signal_sdk.server.engine.redis.core import Core, asker, pack
from signal_sdk.server.engine.values import decode_json, encode_json
from signal_sdk.wire import built_in
from signal_sdk.wire.names import JsonValue

NUMBERS: Final = frozenset(
    {
        built_in.USER_NOTIFICATION,
        built_in.CHANNEL_TTL,
        built_in.AUTO_UPDATE_NUM,
        built_in.AUTO_UPDATE_TOTAL_NUM,
        built_in.SENDMSG_LIMIT,
        built_in.SETATTR_LIMIT,
    }
)
"""The built-in attributes of a channel that the functions look at (attributes.lua, BUILT_IN)."""
MEMBERS_ONLY: Final = (
    ": only its members, and the app's channel managers, clear its attributes and set its limits"
)


class AttributeOperations(Core):
    """Attributes, as the contract has them."""

    # --- attributes of channels ---

    def set_channel_attr(
        self, asked: Asked, channel: str, name: str, value: JsonValue, *, members_only: bool
    ) -> Pending[Known | None]:
        """As the contract has it."""
        args = channel_args(channel, name, value, members_only=members_only)
        about = _about(asked, channel, name)
        return self._change(asked, "set_channel_attr", args, about)

    def del_channel_attr(
        self, asked: Asked, channel: str, name: str, *, members_only: bool
    ) -> Pending[Known | None]:
        """As the contract has it."""
        args = (channel, int(members_only), name, name_size(name))
        return self._change(asked, "del_channel_attr", args, _about(asked, channel, name))

    def clear_channel_attrs(
        self, asked: Asked, channel: str, *, members_only: bool
    ) -> Pending[Known | None]:
        """As the contract has it."""
        args = (channel, int(members_only))
        return self._change(asked, "clear_channel_attrs", args, _about(asked, channel))

    def channel_attrs(self, key: ChannelKey) -> Pending[Mapping[str, JsonValue]]:
        """As the contract has it."""
        return self._ask(key.app, "channel_attrs", (key.channel,), _channel_attrs)

    def last_revision(self, app: str) -> Pending[int]:
        """As the contract has it."""
        return self._ask(app, "last_revision", (), _number)

    # --- attributes of users ---

    def set_user_attr(self, asked: Asked, name: str, value: JsonValue) -> Pending[Known | None]:
        """As the contract has it."""
        args = (name, encode_json(value), _user_number(name, value), name_size(name))
        return self._change(asked, "set_user_attr", args, About(account=asked.key.account))

    def user_attrs(self, key: AccountKey) -> Pending[Mapping[str, JsonValue]]:
        """As the contract has it."""
        return self._ask(key.app, "user_attrs", (key.account,), _user_attrs)

    # --- attributes with their revisions ---

    def user_attributes(self, key: AccountKey) -> Pending[Attributes]:
        """As the contract has it."""
        return self._ask(key.app, "attributes", ("u", key.account), _attributes)

    def channel_attributes(self, key: ChannelKey) -> Pending[Attributes]:
        """As the contract has it."""
        return self._ask(key.app, "attributes", ("c", key.channel), _attributes)

    def change_attributes(
        self, asked: Asked, channel: str | None, change: AttributeChange, *, members_only: bool
    ) -> Pending[Changed | Known]:
        """As the contract has it."""
        number = _user_number if channel is None else _channel_number
        said = (
            False if change.revision is None else change.revision,
            False if change.ttl is None else float(change.ttl),
            _flat(change.conditions.items()),
            _flat((name, name_size(name)) for name in change.delete),
            _flat(
                (name, encode_json(value), number(name, value), name_size(name))
                for name, value in change.set.items()
            ),
            change.named,
        )
        about = _about(asked, channel) if channel is not None else About(account=asked.key.account)
        is_channel = int(channel is not None)
        args = (*asker(asked), channel or "", int(members_only), is_channel, pack(said))
        return self._ask(asked.key.app, "change_attributes", args, partial(_changed, about))


def _about(asked: Asked, channel: str, name: str = "") -> About:
    return About(account=asked.key.account, what=channel, name=name, more=MEMBERS_ONLY)


def channel_args(
    channel: str, name: str, value: JsonValue, *, members_only: bool = False
) -> tuple[str | int, ...]:
    """What `set_channel_attr` of attributes.lua is handed behind who asks."""
    number = _channel_number(name, value)
    return channel, int(members_only), name, encode_json(value), number, name_size(name)


def _channel_number(name: str, value: JsonValue) -> str:
    """What the functions look at where this attribute of a channel is built in."""
    return str(built_in.check_number(name, value)) if name in NUMBERS else ""


def _user_number(name: str, value: JsonValue) -> str:
    """What the functions look at where this attribute of a user is built in."""
    return str(built_in.conn_timeout_seconds(value)) if name == built_in.CONN_TIMEOUT else ""


def name_size(name: str) -> int:
    """How many bytes the name has in JSON."""
    return len(encode_json(name).encode())


def _number(reply: Any) -> int:
    found: int = reply[2]
    return found


def _channel_attrs(reply: Any) -> Mapping[str, JsonValue]:
    if reply is None:
        return {}
    _, _, num, total, has_num, has_total, flat = reply
    return {**answers.attributes(flat), **answers.counts(num, total, has_num, has_total)}


def _user_attrs(reply: Any) -> Mapping[str, JsonValue]:
    return answers.attributes(reply[2])


# --- their marks ---


def mark_text(mark: Mark) -> str:
    """What marks.lua keeps of an attribute."""
    return str(mark.revision) if mark.expires is None else f"{mark.revision} {mark.expires:.6f}"


def unmark(text: bytes | None) -> Mark:
    """What `mark_text` has made; of what an earlier release has set, the first revision."""
    if text is None:
        return Mark(1)
    revision, _, expires = text.decode().partition(" ")
    return Mark(int(revision), float(expires) if expires else None)


def attributes(revision: int, values: Sequence[bytes], marks: Sequence[bytes]) -> Attributes:
    """Attributes as marks.lua answers them: names and values by turns, names and marks by turns."""
    marked = dict(zip(marks[::2], marks[1::2], strict=True))
    return Attributes(
        revision,
        {
            name.decode(): Attribute(decode_json(text.decode()), *unmark(marked.get(name)))
            for name, text in zip(values[::2], values[1::2], strict=True)
        },
    )


def _attributes(reply: Any) -> Attributes:
    return attributes(*reply[2:])


def _changed(about: About, reply: Any) -> Changed | Known:
    if reply[1] == b"known":
        return Known(reply[2].decode())
    if reply[1] != b"changed":
        raise answers.refusal(about, reply)
    _, _, revision, *found = reply
    return Changed(revision, attributes(*found) if found else None)


def _flat(rows: Iterable[Sequence[Any]]) -> list[Any]:
    return [it for row in rows for it in row]
