"""Replies: what is kept of an answer for the same request that comes again.

Owns: the text of each such reply, and for which call ids one is kept. Must not know when a request
is answered, nor where replies are kept: the engine does.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, TypeGuard

from signal_sdk.server.attributes import CHANGED
from signal_sdk.server.engine.base import Known
from signal_sdk.wire import call2, functions, lock_functions, results
from signal_sdk.wire.arguments import Arguments
from signal_sdk.wire.attribute_functions import ChannelChangeAttributes, UserChangeAttributes

__all__ = ["DONE", "REPLIES", "is_countable", "text_of"]

MAX_CALLID: Final = 2**63 - 1
"""The largest call id whose reply is kept for a request that comes again: what a row can hold."""
DONE: Final = call2.encode_result(results.DONE)
LOCK_OVER: Final = call2.encode_result(
    lock_functions.LockResult(fence=0, lease=0, place=0, holder="")
)
"""What is kept for who asks of a lock once more: how that stands is looked up, or it is over."""
OVERTAKEN: Final = call2.encode_result(results.JoinResult(list=(), attrs={}, num=0))
"""What a join is answered that comes again where a later request has led elsewhere: how things were
then is of no use any more, and may be large."""
REPLIES: Final[Mapping[type[Arguments], str]] = {
    functions.UserSetAttr: call2.encode_result(results.SetAttrResult()),
    functions.ChannelJoin: OVERTAKEN,
    lock_functions.ChannelLock: LOCK_OVER,
    lock_functions.ChannelLockRenew: LOCK_OVER,
    lock_functions.ChannelUnlock: call2.encode_result(lock_functions.UnlockResult(held=1)),
    UserChangeAttributes: CHANGED,
    ChannelChangeAttributes: CHANGED,
}
"""What is kept of the answers that are not `DONE`."""


def text_of(result: results.Result | Known) -> str:
    """The result that a change's answer has."""
    return result.reply if isinstance(result, Known) else call2.encode_result(result)


def is_countable(callid: call2.CallId) -> TypeGuard[int]:
    """Is it one whose reply is kept?"""
    return isinstance(callid, int) and 0 <= callid <= MAX_CALLID
