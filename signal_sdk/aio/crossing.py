"""The user's event loop, as the trio thread sees it; and the trio thread, as the loop sees it.

Owns: the way back into the loop, many things in one wake, and the rule that a `Signal` is used in
its own loop. Must not know what is handed over.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Final, ParamSpec, TypeVar

from signal_sdk.aio.operation import LoopOperation
from signal_sdk.bridge.lodger import NOT_ENTERED, Lodger
from signal_sdk.client.operation import Operation
from signal_sdk.net.sleeper import Sleeper

__all__ = ["Crossing"]

T = TypeVar("T")
P = ParamSpec("P")

THINGS_PER_TURN: Final = 100
"""How many things are done in the loop before others have their turn."""
NO_LOOP: Final = (
    "this Signal runs in asyncio, and no event loop runs in this thread: begin by"
    " `asyncio.run(main())`; from another thread, `loop.call_soon_threadsafe` leads to the loop"
)
OTHER_LOOP: Final = (
    "this Signal belongs to the event loop that entered its block, and another one runs here: use"
    " it there, or enter another Signal's block here"
)


class Crossing:
    """Both ends of the way between a loop and a `Signal` in the trio thread."""

    def __init__(self) -> None:
        self.lodger: Lodger | None = None
        self.on_closed: Callable[[], object] | None = None
        """Is called in the trio thread where the loop turns out to be closed."""
        self._loop: asyncio.AbstractEventLoop | None = None
        self._things: deque[Callable[[], object]] = deque()
        self._is_woken = False
        self._sleeper = Sleeper()

    def bind(self, lodger: Lodger) -> None:
        """It is this loop, which runs, and that `Signal`. Raises `RuntimeError`."""
        try:
            self._loop = asyncio.get_running_loop()
        except RuntimeError:
            raise RuntimeError(NO_LOOP) from None
        self.lodger = lodger

    # --- in the loop ---

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The loop. Raises `RuntimeError` where the block was not entered."""
        if self._loop is None:
            raise RuntimeError(NOT_ENTERED)
        return self._loop

    def check(self) -> Lodger:
        """Raise `RuntimeError` in any thread and any loop but the right one."""
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            if self.lodger is not None:
                self.lodger.check()
            raise RuntimeError(NO_LOOP) from None
        if self.lodger is None:
            raise RuntimeError(NOT_ENTERED)
        if loop is not self._loop:
            self.lodger.check()
            raise RuntimeError(OTHER_LOOP)
        return self.lodger

    def ask(self, do: Callable[P, Operation[T]], *args: P.args, **kwargs: P.kwargs) -> Operation[T]:
        """Have `do` called in the trio thread, in the order of the calls and in a copy of this
        context; the operation that it returns there, for who awaits it here.
        """
        lodger = self.check()
        operation = LoopOperation(self, do, args, kwargs)
        lodger.ask(operation)
        return operation

    def now(self, do: Callable[[], T]) -> T:
        """What `do` returns in the trio thread, where it makes an object and waits for nothing."""
        return self.check().now(do)

    def _do(self) -> None:
        """Do what there is, in the loop."""
        self._is_woken = False
        things = self._things
        for _ in range(THINGS_PER_TURN):
            if not things:
                return
            things.popleft()()
        if not self._is_woken:
            self._is_woken = True
            self.loop.call_soon(self._do)

    # --- in the trio thread ---

    def call(self, do: Callable[[], object]) -> None:
        """Have `do` called in the trio thread. From any thread."""
        if self.lodger is not None:
            self.lodger.call(do)

    def put(self, do: Callable[[], object]) -> None:
        """Have `do` called in the loop, in the order of the calls: all that is put before the loop
        comes to it is one wake. Where the loop is closed, nobody is there any more.
        """
        self._things.append(do)
        if not self._is_woken:
            self._is_woken = True
            if self._sleeper.is_asleep:
                self._sleeper.wake()
            else:
                self._wake()

    async def flush(self) -> None:
        """Wake the loop once for all that the tasks of one turn have put."""
        while True:
            await self._sleeper.sleep()
            self._wake()

    def _wake(self) -> None:
        try:
            self.loop.call_soon_threadsafe(self._do)
        except RuntimeError:
            self._things.clear()
            self._is_woken = False
            if self.on_closed is not None:
                self.on_closed()

    @property
    def is_closed(self) -> bool:
        """Is the loop closed?"""
        return self._loop is not None and self._loop.is_closed()
