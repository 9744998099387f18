"""Messages on their way out: what a program says, as a request.

Owns: how a message is checked and what goes with it, which one needs no such look, and the codes of
one that fails. Must not know how a request is sent, or who hears of its outcome.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeGuard

from signal_sdk.client import given
from signal_sdk.client.operation import Operation
from signal_sdk.client.request import MESSAGE_CODES
from signal_sdk.client.requests import Requests, nothing
from signal_sdk.errors import ParameterError, SignalError
from signal_sdk.wire import events, functions, lines, names, results
from signal_sdk.wire.arguments import Arguments
from signal_sdk.wire.parameter_errors import as_python

__all__ = ["DEFAULT_FLAG", "channel_message", "instant_message", "is_plain", "send_message"]

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
    wanted = names.check_integer("ttl", seconds, 0, show=as_python)
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


def send_message(
    requests: Requests,
    make: Callable[[], Arguments],
    sent: Callable[[SignalError | None], None] | None = None,
    unless: SignalError | None = None,
) -> Operation[None]:
    """Send a message of either kind; `sent` is told of its outcome, by the error if there is one.
    With `unless`, it is refused with that.
    """
    return requests.call(
        make,
        results.Result,
        nothing,
        done=None if sent is None else lambda _: sent(None),
        failed=sent,
        codes=MESSAGE_CODES,
        unless=unless,
    )
