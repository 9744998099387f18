"""How much an engine keeps: of one inbox, one account, one channel, one app.

Owns: the bounds, what an app uses of them, and how it is said that something is over one. Must not
know an operation, or the configuration.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from typing import Final

import attrs

from signal_sdk.ecodes import ECode
from signal_sdk.server.refusals import Limit, LimitError
from signal_sdk.wire import frames, names
from signal_sdk.wire.names import JsonValue

__all__ = ["Bounds", "QuotaError", "Usage"]

ROOM_FOR_CALLS: Final = 0.1
"""How much more of its bounds an inbox has for call events than for messages: a call must be able
to begin and to end, however many messages wait."""

MAX_UID: Final = 2**31 - 1
"""What every old client's integers hold."""


class QuotaError(LimitError):
    """Nothing was done: there would be more than the engine is to keep."""


@attrs.frozen(kw_only=True)
class Bounds:
    """The bounds, each named as its key in `[limits]`; 0 is no bound. `clock_skew_seconds`, a key
    of `[server]`, is by how much a clock may be set back.
    """

    inbox_messages: int = 0
    inbox_bytes: int = 0
    inbox_sender_messages: int = 0
    history_events: int = 256
    history_seconds: float = 60.0
    session_channels: int = 0
    account_channels: int = 0
    account_calls: int = 0
    account_locks: int = 0
    channel_locks: int = 0
    lock_waiters: int = 0
    app_accounts: int = 0
    app_channels: int = 0
    app_bytes: int = 0
    attributes: int = 0
    channel_messages_per_second: int = 0
    channel_attributes_per_second: int = 0
    channel_joins_per_second: int = 0
    count_push_seconds: int = 1
    clock_skew_seconds: float = 0.0

    def room(self, bound: int, *, for_call: bool) -> float:
        """How much of an inbox's `bound` there is for what comes now."""
        if not bound:
            return math.inf
        return math.ceil(bound * (1 + ROOM_FOR_CALLS)) if for_call else bound


@attrs.define
class Usage:
    """What an app has of what is bounded or measured, and whose uid is taken. What was given to an
    account that is forgotten (`generation`, `version`) is given to nobody again: new ones begin
    behind it. `revision` is the last one that was given in the app, `reserved` up to which they are
    in the journal's books.
    """

    uids: set[int] = attrs.field(factory=set)
    channels: int = 0
    bytes: int = 0
    online: int = 0
    members: int = 0
    entries: int = 0
    generation: int = 0
    version: int = 0
    revision: int = 0
    reserved: int = attrs.field(default=0, eq=False)

    @property
    def accounts(self) -> int:
        """How many accounts there are of which something is kept."""
        return len(self.uids)

    @property
    def is_used(self) -> bool:
        """Is anything of the app kept?"""
        return bool(self.uids or self.channels or self.bytes)

    def take_uid(self, app: str, account: str) -> int:
        """A uid for this account: the same whenever it is known anew, unless one who is there has
        that.
        """
        digest = hashlib.blake2b(f"{app}\0{account}".encode(), digest_size=4).digest()
        uid = int.from_bytes(digest, "big") % MAX_UID + 1
        while uid in self.uids:
            uid = uid % MAX_UID + 1
        self.uids.add(uid)
        return uid


def size_of(text: str) -> int:
    """How many bytes `text` has, as UTF-8."""
    return len(text) if text.isascii() else len(text.encode())


def check(
    used: int,
    bound: int,
    what: str,
    ecode: ECode = ECode.GENERAL_E_FAILED,
    *,
    limit: Limit,
) -> None:
    """Raise `QuotaError` where `used` is all that is allowed of `what`, by the key `limit`."""
    if bound and used >= bound:
        raise QuotaError(ecode, f"{what}: {bound}, the most allowed", limit=limit)


def check_attributes(
    attributes: Mapping[str, JsonValue],
    new: Mapping[str, JsonValue],
    gone: Sequence[str],
    most: int,
    whose: str,
) -> None:
    """Raise `QuotaError` where somebody would have more than `most` attributes with the `new` ones
    and without those that are `gone`, or `SignalError` (1005) where they would be too large.
    """
    left = {**attributes, **new}
    for name in gone:
        left.pop(name, None)
    if len(left) > most > 0 and len(left) > len(attributes):
        reason = f"{whose} has {most} attributes, the most allowed"
        raise QuotaError(ECode.GENERAL_E_FAILED, reason, limit="attributes")
    size = len(frames.encode_json(left))
    if size > names.MAX_ATTRS_BYTES:
        raise QuotaError(
            ECode.GENERAL_E_LARGE_PARAM,
            f"all attributes together would have {size} bytes; "
            f"at most {names.MAX_ATTRS_BYTES} are allowed",
            limit=None,
        )


def check_bytes(
    bounds: Bounds,
    usage: Usage,
    attributes: Mapping[str, JsonValue],
    new: Mapping[str, JsonValue],
    gone: Sequence[str],
) -> None:
    """Raise `QuotaError` where the app has no room for the `new` attributes in place of those that
    had their names or are `gone`.
    """
    most = bounds.app_bytes
    if not most:
        return
    size = sum(len(frames.encode_json(value)) for value in new.values())
    before = (attributes[name] for name in (*new, *gone) if name in attributes)
    size -= sum(len(frames.encode_json(value)) for value in before)
    if size > 0 and usage.bytes + size > most:
        check(most, most, "the bytes of all that the app keeps", limit="app_bytes")
