"""Rights: what the holder of a token may do, where the token says so.

Owns: their form in a token and in a record, and which names they cover. Must not know: which
request needs which right (server/rights.py), or how a token is signed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from signal_sdk.wire import names

__all__ = ["ALL", "Rights", "check_patterns", "covers"]


class Rights(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True
):
    """`channels` are those that may be joined, written to, changed and asked about, `peers` the
    accounts that may be written to and called; None is all. A name that ends in `*` stands for all
    that begin so. A `listener` may join the special channels.

    A right that is not known is refused with its token: it might have taken something away.
    """

    channels: tuple[str, ...] | None = None
    peers: tuple[str, ...] | None = None
    listener: bool = False

    def encode(self) -> str:
        """As a record keeps them: empty where all is allowed."""
        return "" if self == ALL else msgspec.json.encode(self).decode()

    @classmethod
    def decode(cls, text: str) -> Rights:
        """What `encode` has made."""
        return msgspec.json.decode(text, type=cls) if text else ALL


ALL: Final = Rights()
"""What a token without rights allows."""


def covers(patterns: Sequence[str] | None, name: str) -> bool:
    """Is `name` among them?"""
    return patterns is None or any(
        name == pattern or (pattern.endswith("*") and name.startswith(pattern[:-1]))
        for pattern in patterns
    )


def check_patterns(what: str, patterns: Sequence[str] | None) -> None:
    """Raise `ParameterError` (1004, 1005) where one can be no name, nor the beginning of one."""
    check = names.check_account if what == "account" else names.check_channel
    for pattern in patterns or ():
        if pattern != names.EVERYBODY:
            check(pattern)
