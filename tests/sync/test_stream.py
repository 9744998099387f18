"""Streams as plain iterators: nothing is lost on the way, whenever a reader gives up waiting."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, cast

from signal_sdk.streams import Readers
from signal_sdk.streams import Stream as TrioStream
from signal_sdk.sync.stream import Stream
from signal_sdk.sync.waiter import Waiter


class AtOnce:
    """In the place of a lodger: calls are made at once, and nobody waits."""

    def check(self) -> None:
        """It is always there."""

    def call(self, do: Callable[[], object]) -> bool:
        do()
        return True

    ask = call

    def wait(self, answer: Future[None], seconds: float | None) -> None:
        answer.result(0)


class Between(Stream[str]):
    """A stream of which something happens between its reader's look and its waiting."""

    meanwhile: Callable[[], object] | None = None

    def _wait(self, *args: Any) -> None:
        meanwhile, self.meanwhile = self.meanwhile, None
        if meanwhile is not None:
            meanwhile()
        super()._wait(*args)


def test_what_comes_while_a_reader_begins_to_wait_again_is_not_lost() -> None:
    readers: Readers[str] = Readers()
    waiter = Waiter(cast("Any", AtOnce()), None)
    stream = Between(waiter, TrioStream(readers), 0, str)
    assert list(stream) == []

    def tell() -> None:
        for word in ("one", "two"):
            readers.tell(word, is_heard=False)

    stream.meanwhile = tell
    got = []
    for _ in range(3):
        with contextlib.suppress(StopIteration):
            got.append(next(stream))
    assert got == ["one", "two"]
