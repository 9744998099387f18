"""Messages on their way out: what a program says, as its request's arguments.

Owns: how a message is checked and what goes with it, and which one needs no such look. Must not
know how a request is sent, or who hears of its outcome.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeGuard

from signal_sdk.client import given
from signal_sdk.errors import ParameterError
from signal_sdk.wire import events, functions, lines, names

__all__ = ["DEFAULT_FLAG", "channel_message", "instant_message", "is_plain"]

DEFAULT_FLAG: Final = lines.make_flag(names.DEFAULT_TTL_SECONDS)
"""The flag of a message that is kept as long as it may be."""


def is_plain(msg: object, account: object) -> TypeGuard[str]:
    """Can nothing be wrong with a message and its receiver, as with nearly all?"""
    if type(account) is not str or type(msg) is not str:
        return False
    try:
        names.check_account_text(account)
    except ParameterError:
        return False
    return len(msg) <= names.MAX_MESSAGE_CHARS and msg.isascii()


def instant_message(
    next_id: Callable[[], str], account: str, msg: str | bytes, ttl: int | None
) -> functions.UserSendMessage:
    """A message to an account. `ttl` is for how many seconds it is kept; None: as long as it may
    be. Raises `ParameterError` (1004, 1005).
    """
    seconds = names.DEFAULT_TTL_SECONDS if ttl is None else ttl
    wanted = names.check_integer("ttl", seconds, 0, show=names.as_python)
    kept = min(wanted, names.MAX_TTL_SECONDS)
    content, properties = given.message(msg)
    return functions.UserSendMessage(
        peer=given.text("account", account),
        flag=lines.make_flag(kept),
        kind=events.INSTANT,
        content=content,
        message_id=next_id(),
        properties=properties,
    )


def channel_message(
    next_id: Callable[[], str], channel: str, msg: str | bytes, *, force: bool = False
) -> functions.ChannelSendMessage:
    """A message to a channel; with `force`, to one that need not be joined. Raises
    `ParameterError` (1004, 1005).
    """
    said, properties = given.message(msg)
    return functions.ChannelSendMessage(
        channel=channel,
        msg=said,
        message_id=next_id(),
        force=force,
        properties=properties,
    )
