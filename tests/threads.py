"""A server in a thread of its own, for tests that do not run on trio."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager

import trio

from signal_sdk.testing.server import LocalServer, local_server

WAIT_SECONDS = 20


class ThreadedServer:
    """A server that listens on a port of its own, in a trio thread of its own."""

    def __init__(self) -> None:
        self.local: Future[LocalServer] = Future()
        self._token: Future[trio.lowlevel.TrioToken] = Future()
        self._end = trio.Event()
        self._thread = threading.Thread(target=trio.run, args=(self._run,), name="server")

    def start(self) -> None:
        self._thread.start()

    async def _run(self) -> None:
        async with local_server() as server:
            self._token.set_result(trio.lowlevel.current_trio_token())
            self.local.set_result(server)
            await self._end.wait()

    @property
    def address(self) -> str:
        return self.local.result(WAIT_SECONDS).address

    def call(self, do: object) -> None:
        assert callable(do)
        self._token.result(WAIT_SECONDS).run_sync_soon(do)

    def stop(self) -> None:
        if self._thread.is_alive():
            self.call(self._end.set)
        self._thread.join(WAIT_SECONDS)
        assert not self._thread.is_alive()


@contextmanager
def threaded_server() -> Iterator[ThreadedServer]:
    server = ThreadedServer()
    server.start()
    try:
        yield server
    finally:
        server.stop()
