"""What the flat API's tests listen with: all callbacks, written down, and waited for with bounds.

Owns: waiting for callbacks, and for threads to end. Must not know what is tested.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any, Final

import trio

from signal_sdk import ICallBack

HEAR_SECONDS: Final = 20.0
"""How long a callback may take, on a slow machine; whatever is waited for comes at once."""

Event = tuple[str, tuple[Any, ...]]


class Ears(ICallBack):
    """All callbacks. `react`, where it is set, is run in each, before that is written down."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.fired: set[str] = set()
        self.threads: set[str] = set()
        self.react: Callable[[str, tuple[Any, ...]], object] | None = None
        self._news = threading.Condition()

    def _hear(self, name: str, *args: Any) -> None:
        try:
            if self.react is not None:
                self.react(name, args)
        finally:
            with self._news:
                self.events.append((name, args))
                self.fired.add(name)
                self.threads.add(threading.current_thread().name)
                self._news.notify_all()

    def wait(self, name: str, *args: Any, seconds: float = HEAR_SECONDS) -> tuple[Any, ...]:
        """Wait for such a callback, with these arguments where any are given; take it, and return
        its arguments.
        """
        ends = time.monotonic() + seconds
        with self._news:
            while True:
                for number, (event, told) in enumerate(self.events):
                    if event == name and (not args or told == args):
                        del self.events[number]
                        return told
                left = ends - time.monotonic()
                if left <= 0:
                    raise AssertionError(f"no {name}{args or ''}; there is {self.events}")
                self._news.wait(left)

    async def hear(self, name: str, *args: Any) -> tuple[Any, ...]:
        """As `wait`, in a trio program."""
        return await trio.to_thread.run_sync(partial(self.wait, name, *args))

    def seen(self, name: str) -> list[tuple[Any, ...]]:
        """The arguments of all such callbacks that nobody has taken."""
        with self._news:
            return [args for event, args in self.events if event == name]


def _overrides() -> None:
    def make(name: str) -> Callable[..., None]:
        return lambda self, *args: self._hear(name, *args)

    for name, documented in ICallBack.documented_names.items():
        override = make(name)
        setattr(Ears, name, override)
        setattr(Ears, documented, override)


_overrides()


def sdk_threads() -> list[threading.Thread]:
    """The SDK's threads that live."""
    return [thread for thread in threading.enumerate() if thread.name.startswith("signal_sdk")]


def wait_for_no_threads(seconds: float = HEAR_SECONDS) -> None:
    """Wait until none of the SDK's threads lives."""
    ends = time.monotonic() + seconds
    for thread in sdk_threads():
        thread.join(max(0, ends - time.monotonic()))
    assert sdk_threads() == [], sdk_threads()
