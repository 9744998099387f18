"""Messages to channels on Redis.

Owns: this operation, as it is asked for. Must not know how it is done: channels.lua does.
"""

from __future__ import annotations

from signal_sdk.ecodes import ECode
from signal_sdk.server.engine.base import Asked, Known
from signal_sdk.server.engine.pending import Pending
from signal_sdk.server.engine.redis.answers import About
from signal_sdk.server.engine.redis.core import Core
from signal_sdk.server.engine.values import encode_json
from signal_sdk.wire.events import ChannelMessage
from signal_sdk.wire.properties import attach, is_binary


class ChannelOperations(Core):
    """Messages, as the contract has them."""

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
