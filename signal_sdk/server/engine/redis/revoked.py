"""The list of revoked tokens that all nodes share.

Owns: where it is, how it is changed, and how a node sees that it was. Must not know what a
revocation says.

It is one hash: a text for each app and account that tokens were taken back of, and under the empty
name a mark, which is another one after each change.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Any, Final

from signal_sdk.server.engine.facts import Revoked
from signal_sdk.server.engine.redis.visiting import Command, Visit

__all__ = ["MARK", "key_of", "note", "noting", "revoked"]

MARK: Final = ""
MARK_BYTES: Final = 8


def key_of(prefix: str) -> str:
    """Where the list is."""
    return f"{prefix}revoked"


def noting(prefix: str, texts: Mapping[str, bytes]) -> Command:
    """The command that puts texts into the list, each under its name."""
    words: list[str | bytes] = [MARK, secrets.token_hex(MARK_BYTES)]
    for name, text in texts.items():
        words += [name, text]
    return ["HSET", key_of(prefix), *words]


def revoked(found: Mapping[bytes, bytes]) -> Revoked:
    """The whole list."""
    texts: dict[Any, bytes] = dict(found)
    mark = texts.pop(MARK.encode(), b"").decode()
    return Revoked(mark, tuple(texts.values()))


async def note(visit: Visit, *, name: str, text: bytes) -> None:
    """Put a text into the list, where servers keep their state. Raises `StorageError`."""
    await visit.check_there()
    await visit.ask(*noting(visit.prefix, {name: text}))
