"""Channels and attributes on Redis.

Owns: these operations, as they are asked for. Must not know how they are done: channels.lua and
attributes.lua do.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from signal_sdk.ecodes import ECode
from signal_sdk.server.engine.base import AccountKey, Asked, ChannelKey, Known
from signal_sdk.server.engine.pending import Pending
from signal_sdk.server.engine.redis import answers
from signal_sdk.server.engine.redis.answers import About
from signal_sdk.server.engine.redis.core import Core
from signal_sdk.server.engine.tables import encode_json
from signal_sdk.wire import names
from signal_sdk.wire.events import ChannelMessage
from signal_sdk.wire.names import JsonValue
from signal_sdk.wire.properties import attach, is_binary

NUMBERS: Final = frozenset(
    {
        names.USER_NOTIFICATION,
        names.CHANNEL_TTL,
        names.AUTO_UPDATE_NUM,
        names.AUTO_UPDATE_TOTAL_NUM,
        names.SENDMSG_LIMIT,
        names.SETATTR_LIMIT,
    }
)
"""The built-in attributes of a channel that the functions look at (attributes.lua, BUILT_IN)."""
MEMBERS_ONLY: Final = (
    ": only its members, and the app's channel managers, clear its attributes and set its limits"
)


class ChannelOperations(Core):
    """Channels and attributes, as the contract has them."""

    def publish(
        self, asked: Asked, message: ChannelMessage, *, members_only: bool
    ) -> Pending[Known | None]:
        """As the contract has it."""
        about = About(
            account=asked.key.account, what=message.channel, ecode=ECode.SENDMESSAGE_E_OTHER
        )
        number, is_bytes = attach(message.id, message.properties), is_binary(message.properties)
        args = (
            *(message.channel, int(members_only), message.uid),
            *(encode_json(message.msg), number, message.size, int(is_bytes)),
        )
        return self._change(asked, "publish", args, about)

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
        seconds = names.conn_timeout_seconds(value) if name == names.CONN_TIMEOUT else ""
        args = (name, encode_json(value), seconds, name_size(name))
        return self._change(asked, "set_user_attr", args, About(account=asked.key.account))

    def user_attrs(self, key: AccountKey) -> Pending[Mapping[str, JsonValue]]:
        """As the contract has it."""
        return self._ask(key.app, "user_attrs", (key.account,), _user_attrs)


def _about(asked: Asked, channel: str, name: str = "") -> About:
    return About(account=asked.key.account, what=channel, name=name, more=MEMBERS_ONLY)


def channel_args(
    channel: str, name: str, value: JsonValue, *, members_only: bool = False
) -> tuple[str | int, ...]:
    """What `set_channel_attr` of attributes.lua is handed behind who asks."""
    number = str(names.check_builtin_number(name, value)) if name in NUMBERS else ""
    return channel, int(members_only), name, encode_json(value), number, name_size(name)


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
