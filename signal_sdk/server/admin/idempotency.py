"""Requests that come again: one with the same `Idempotency-Key` is answered as the first was, and
not done once more.

Owns: how long an answer is remembered, of how many, and what is said of one that differs. Must not
know what is asked. What a node remembers is its own; each key is a message's id, too, so that
whoever is sent it again, by way of another node, passes over it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from typing import Final

import attrs
import trio

from signal_sdk.server.admin.problems import ProblemError

__all__ = ["KEPT_SECONDS", "MAX_KEPT", "Answered", "Idempotency"]

KEPT_SECONDS: Final = 600.0
MAX_KEPT: Final = 10_000
MAX_KEPT_BYTES: Final = 16 * 1024**2
MAX_CHARS: Final = 255
HEADER: Final = "Idempotency-Key"


@attrs.define(eq=False)
class Answered:
    """A request that came with a key. `body` is what it was answered with, None until it was."""

    message_id: str
    """The id of what it sends."""
    digest: bytes
    """Of what it says."""
    until: float
    body: bytes | None = attrs.field(default=None, repr=False)


class Idempotency:
    """The requests of the last ten minutes that came with a key, of at most so many."""

    def __init__(self) -> None:
        self._done: dict[bytes, Answered] = {}
        """In the order in which they were answered."""
        self._under_way: dict[bytes, Answered] = {}
        self._size = 0

    def __len__(self) -> int:
        """How many are remembered."""
        return len(self._done) + len(self._under_way)

    @contextmanager
    def once(self, holder: str, place: str, key: str, said: bytes) -> Iterator[Answered]:
        """What is to be done once of all that the key's `holder` asks at `place` with this `key`.
        Where its `body` is set, that is the answer; otherwise the block does it, and sets it. One
        whose block raises was not done, or nobody knows, and may be tried again. Raises
        `ProblemError` where the key comes with something else, or while the first is under way.
        """
        if not 1 <= len(key) <= MAX_CHARS or not all("!" <= char <= "~" for char in key):
            text = f"{HEADER} is 1 to {MAX_CHARS} visible characters of ASCII"
            raise ProblemError(
                HTTPStatus.UNPROCESSABLE_ENTITY, "bad-field", text, place=f"header.{HEADER}"
            )
        name = hashlib.sha256(f"{holder}\0{place}\0{key}".encode()).digest()
        digest = hashlib.sha256(said).digest()
        self._forget()
        known = self._done.get(name) or self._under_way.get(name)
        if known is not None and known.digest != digest:
            text = f"this {HEADER} came before with another body: take a new one"
            raise ProblemError(
                HTTPStatus.UNPROCESSABLE_ENTITY, "key-reused", text, place=f"header.{HEADER}"
            )
        if name in self._under_way:
            text = f"the request that came before with this {HEADER} is under way"
            raise ProblemError(HTTPStatus.CONFLICT, "under-way", text, retry_after=1.0)
        if known is not None:
            yield known
            return
        answered = self._under_way[name] = Answered(
            name.hex()[:32], digest, trio.current_time() + KEPT_SECONDS
        )
        try:
            yield answered
        finally:
            del self._under_way[name]
            if answered.body is not None:
                self._done[name] = answered
                self._size += len(answered.body)
                self._forget()

    def _forget(self) -> None:
        """What is old, and what is too much."""
        now = trio.current_time()
        while self._done:
            name, oldest = next(iter(self._done.items()))
            is_much = len(self._done) > MAX_KEPT or self._size > MAX_KEPT_BYTES
            if oldest.until > now and not is_much:
                break
            del self._done[name]
            self._size -= len(oldest.body or b"")
