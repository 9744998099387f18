"""The thread that runs one instance's callbacks, one at a time and in order.

Owns: the hand-over from the trio thread, what becomes of a callback that raises, and the log's
lines that wait for `on_log`. Must not know what a callback tells.
"""

from __future__ import annotations

import contextlib
import inspect
import queue
import threading
from collections.abc import Callable
from typing import Any, Final

import trio

from signal_sdk.agora_callback import ICallBack
from signal_sdk.client.log import logger
from signal_sdk.ecodes import ECode
from signal_sdk.flat.failures import in_words
from signal_sdk.raised import type_name

__all__ = ["MAX_LOG_LINES", "CallbackThread", "note"]

MAX_LOG_LINES: Final = 1000
"""How many log lines may wait for `on_log`; the next ones are dropped, and counted."""


class CallbackThread:
    """A thread for callbacks. The trio thread waits for each before it hands over the next, so that
    what waits is bounded where it comes from.
    """

    def __init__(self) -> None:
        self.handler: ICallBack | None = None
        self.label: str = "nobody"
        """Who has logged in last, for the log."""
        self._queue: queue.SimpleQueue[Callable[[], object] | None] = queue.SimpleQueue()
        # Each of the two counts is written by one thread only.
        self._lines_put = 0
        self._lines_told = 0
        self._lines_dropped = 0

    def start(self) -> None:
        """Start the thread, which is made here: one that was made before a fork could not be
        started behind it with Python 3.13.0.
        """
        threading.Thread(target=self._main, name="signal_sdk callbacks", daemon=True).start()

    def close(self) -> None:
        """End the thread once all that was put has run. Never waits."""
        self._queue.put(None)

    def _main(self) -> None:
        while (run := self._queue.get()) is not None:
            # Whatever it is that anybody's objects have come to: the callbacks after it go on.
            with contextlib.suppress(BaseException):
                run()

    # --- from the trio thread ---

    async def hand_over(self, name: str, *args: Any) -> None:
        """Have the callback `name` run, and wait until it has returned or raised."""
        token = trio.lowlevel.current_trio_token()
        done = trio.Event()

        def run() -> None:
            try:
                self._tell(name, args)
            finally:
                with contextlib.suppress(trio.RunFinishedError):
                    token.run_sync_soon(done.set)

        self._queue.put(run)
        await done.wait()

    def put(self, name: str, *args: Any) -> None:
        """Have the callback `name` run, and wait for nothing."""
        self._queue.put(lambda: self._tell(name, args))

    # --- the log ---

    @property
    def wants_log(self) -> bool:
        """Does anybody listen to the log? Its lines are not even made where nobody does."""
        try:
            on_log = getattr(self.handler, "on_log", None)
            return on_log is not None and getattr(on_log, "__func__", None) is not ICallBack.on_log
        except Exception:  # noqa: BLE001  the handler is anybody's object
            return False

    def put_line(self, line: str) -> None:
        """Have `on_log` hear a line, unless it has fallen too far behind."""
        if self._lines_put - self._lines_told >= MAX_LOG_LINES:
            self._lines_dropped += 1
            return
        if self._lines_dropped:
            line = f"{line} (before it, {self._lines_dropped} lines were dropped)"
            self._lines_dropped = 0
        self._lines_put += 1
        self._queue.put(lambda: self._log(line))

    def _log(self, line: str) -> None:
        self._tell("on_log", (line,))
        self._lines_told += 1

    # --- in the thread ---

    def _tell(self, name: str, args: tuple[Any, ...]) -> None:
        handler = self.handler
        if handler is None:
            return
        try:
            _call(handler, name, args)
        except BaseException as exc:  # noqa: BLE001  it is anybody's code, SystemExit included
            note("%s: %s raised %s", self.label, name, type_name(exc))
            desc = f"the callback raised {in_words(exc)}"
            documented = ICallBack.documented_names.get(name, name)
            try:
                _call(handler, "on_error", (documented, ECode.GENERAL_E_UNKNOWN, desc))
            except BaseException:  # noqa: BLE001  as above
                note("%s: on_error itself raised", self.label)


def note(text: str, *args: object) -> None:
    """Log what is being handled, with its traceback where that can be shown. A log of the user's
    own may raise whatever it is handed.
    """
    try:
        logger.exception(text, *args)
    except BaseException:  # noqa: BLE001  as above
        with contextlib.suppress(BaseException):
            logger.error(f"{text}; its traceback cannot be shown", *args)


def _call(handler: ICallBack, name: str, args: tuple[Any, ...]) -> None:
    result = getattr(handler, name)(*args)
    if inspect.iscoroutine(result):
        result.close()
        raise TypeError(f"{name} is an async function, which only Signal's callbacks may be")
