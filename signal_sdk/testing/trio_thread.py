"""A stage in a thread that runs trio, for tests that have another event loop, or none.

Owns: the thread's life, and the way into it. Must not know what is done there.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

import trio

from signal_sdk.testing.stage import Stage, stage

__all__ = ["StageThread"]

END_SECONDS: Final = 10.0
"""How long the stage's end may take."""

T = TypeVar("T")


class StageThread:
    """One test's stage. It begins where it is first needed."""

    def __init__(self, app: str, *, address: str, has_faults: bool) -> None:
        self._app = app
        self._address = address
        self._has_faults = has_faults
        self._thread: threading.Thread | None = None
        self._ready = threading.Event()
        self._token: trio.lowlevel.TrioToken | None = None
        self._stage: Stage | None = None
        self._end: trio.Event | None = None
        self._raised: BaseException | None = None

    @property
    def stage(self) -> Stage:
        """The stage. Its coroutines are for `run` and `wait` alone."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._main, name="signal stage", daemon=True)
            self._thread.start()
        self._ready.wait()
        if self._stage is None:
            raise self._raised or RuntimeError("the test's stage could not be set")
        return self._stage

    def _main(self) -> None:
        try:
            trio.run(self._live)
        except BaseException as exc:  # noqa: BLE001  it is raised where the test ends
            self._raised = exc
        finally:
            self._ready.set()

    async def _live(self) -> None:
        # A port of its own only where the server is not elsewhere.
        listens = not self._address
        faults = self._has_faults
        async with stage(
            self._app, address=self._address, listens=listens, has_faults=faults
        ) as self._stage:
            self._token = trio.lowlevel.current_trio_token()
            self._end = trio.Event()
            self._ready.set()
            await self._end.wait()

    def run(self, do: Callable[[], Awaitable[T]]) -> T:
        """Have it done there, and wait for it."""
        self.stage  # noqa: B018  it begins
        return trio.from_thread.run(do, trio_token=self._token)

    async def wait(self, do: Callable[[], Awaitable[T]]) -> T:
        """As `run`, in asyncio."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(None, self.run, do)

    def call(self, do: Callable[[], T]) -> T:
        """As `run`, for what does not wait."""
        self.stage  # noqa: B018  it begins
        return trio.from_thread.run_sync(do, trio_token=self._token)

    def close(self) -> None:
        """End it. Raises what a bot has raised."""
        if self._thread is None:
            return
        if self._token is not None and self._end is not None:
            with contextlib.suppress(trio.RunFinishedError):
                self._token.run_sync_soon(self._end.set)
        self._thread.join(END_SECONDS)
        if self._thread.is_alive():
            raise RuntimeError(f"the test's stage has not ended in {END_SECONDS:g} s")
        if self._raised is not None:
            raise self._raised
