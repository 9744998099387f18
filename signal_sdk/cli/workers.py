"""The workers of `signal-sdk serve --workers`: processes that serve on the same ports, and what
looks after them.

Owns: their start, their replacement, and their end, by their process ids; what signals do to all of
them. Must not know what a worker does: no state of a server is in this process.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from typing import Final, cast

import attrs
import trio

from signal_sdk.cli.exposure import app_warnings
from signal_sdk.cli.failures import FAILED, PROGRAM
from signal_sdk.cli.hangup import HANGUP
from signal_sdk.cli.output import complain
from signal_sdk.cli.settings import Settings
from signal_sdk.errors import ConfigError
from signal_sdk.server.config import Config
from signal_sdk.server.sockets import Addresses, Sockets, hold, with_ports

__all__ = ["Workers", "supervise"]

logger: logging.Logger = logging.getLogger("signal_sdk.server")

COMMAND: Final = (sys.executable, "-P", "-m", "signal_sdk.cli.worker")
"""It takes the worker's number. The directory that one happens to be in has no modules for it."""
END_SECONDS: Final = 20.0
"""How much longer than it drains a worker may take to end, before it is killed: what it waits for
by itself, of its clients and of Redis, takes up to 11 s.
"""
LASTING_SECONDS: Final = 30.0
"""A worker that has served for so long did not fail at its start."""
FIRST_PAUSE_SECONDS: Final = 0.5
LONGEST_PAUSE_SECONDS: Final = 30.0
"""Before another is begun in the place of one that has ended: twice as long for each that has
failed at its start.
"""


@attrs.define(eq=False)
class _Worker:
    """A worker's process, from its start to its end."""

    number: int
    process: trio.Process
    serves: bool = False
    is_behind: bool = False
    """Has the configuration changed since it began, and it could not be told?"""

    def __str__(self) -> str:
        return f"worker {self.number} (pid {self.process.pid})"

    def begin_serving(self) -> None:
        """It says that it serves."""
        self.serves = True
        if self.is_behind:
            self.hang_up()

    def hang_up(self) -> None:
        """Have it read its configuration again."""
        self.is_behind = not self.serves
        if self.serves:
            self.process.send_signal(*HANGUP)

    def end(self, number: int) -> None:
        """Send it away by this signal."""
        # Before it serves, it may not have learnt yet what SIGINT is to it.
        self.process.send_signal(number if self.serves else signal.SIGTERM)


class Workers:
    """So many workers, each of which is replaced where it ends. `line` is what each is told at its
    start, by the end of its line.
    """

    def __init__(self, count: int, line: bytes, command: Sequence[str] = COMMAND) -> None:
        self._count = count
        self._line = line
        self._command = command
        self._workers: dict[int, _Worker] = {}
        self._stopping = trio.Event()
        self._begin: Callable[[], None] | None = None
        self._killers: trio.Nursery | None = None
        self._code = 0

    async def run(self, tell: Callable[[], None]) -> int:
        """Have them serve, until all have ended after `stop`; the exit code. The others begin once
        the first serves, and `tell` is called then: where that ends before, it has said why, none
        is replaced, and its exit code is this one.
        """
        try:
            async with trio.open_nursery() as killers:
                self._killers = killers
                async with trio.open_nursery() as keepers:

                    def begin() -> None:
                        for number in range(2, self._count + 1):
                            keepers.start_soon(self._keep, number)
                        tell()

                    self._begin = begin
                    keepers.start_soon(self._keep, 1)
                killers.cancel_scope.cancel()
        finally:
            self._killers = None
            with trio.CancelScope(shield=True):
                for worker in self._workers.values():
                    worker.process.kill()
                    await worker.process.wait()
        return self._code

    def stop(self, number: int, seconds: float) -> None:
        """Send all of them this signal. Who has not ended `seconds` later is killed."""
        self._stopping.set()
        for worker in self._workers.values():
            worker.end(number)
        if self._killers is not None:
            self._killers.start_soon(self._kill_after, seconds)

    def hang_up(self) -> None:
        """Have all of them read their configuration again."""
        for worker in self._workers.values():
            worker.hang_up()

    async def _kill_after(self, seconds: float) -> None:
        await trio.sleep(seconds)
        for worker in self._workers.values():
            logger.warning("%s has not ended: it is killed", worker)
            worker.process.kill()

    async def _keep(self, number: int) -> None:
        """Have one worker with this number, and another where that ends."""
        pause = FIRST_PAUSE_SECONDS
        while not self._stopping.is_set():
            began = trio.current_time()
            worker = await self._start(number)
            code = await self._attend(worker)
            del self._workers[number]
            if self._stopping.is_set():
                # It may have been sent away before it knew how to go.
                if code and (worker.serves or code != -signal.SIGTERM):
                    logger.warning("%s has ended %s", worker, _how(code))
                    self._code = FAILED
                return
            if self._begin is not None:
                if code <= 0:
                    complain(f"{PROGRAM}: {worker} has ended {_how(code)} before it served")
                self._code = code if code > 0 else FAILED
                return
            if trio.current_time() - began >= LASTING_SECONDS:
                pause = FIRST_PAUSE_SECONDS
            level = logging.WARNING if code else logging.INFO
            logger.log(level, "%s has ended %s: another in %g s", worker, _how(code), pause)
            with trio.move_on_after(pause):
                await self._stopping.wait()
            pause = min(pause * 2, LONGEST_PAUSE_SECONDS)

    async def _start(self, number: int) -> _Worker:
        process = await trio.lowlevel.open_process(
            [*self._command, str(number)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            # A terminal's signals are for the supervisor, which knows what each of them is to hear.
            start_new_session=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        )
        worker = self._workers[number] = _Worker(number, process)
        if self._stopping.is_set():
            worker.end(signal.SIGTERM)
        return worker

    async def _attend(self, worker: _Worker) -> int:
        """Tell a worker what to do, and wait for its end; its exit code."""
        # They are pipes: `_start` says so.
        stdin = cast("trio.abc.SendStream", worker.process.stdin)
        stdout = cast("trio.abc.ReceiveStream", worker.process.stdout)
        async with stdin, stdout:
            # One that has ended already reads nothing.
            with contextlib.suppress(trio.BrokenResourceError):
                await stdin.send_all(self._line + b"\n")
            async for _ in stdout:
                if not worker.serves:
                    self._note_serving(worker)
            return await worker.process.wait()

    def _note_serving(self, worker: _Worker) -> None:
        logger.info("%s serves", worker)
        worker.begin_serving()
        if self._begin is not None:
            begin, self._begin = self._begin, None
            begin()


def _how(code: int) -> str:
    return f"by {signal.Signals(-code).name}" if code < 0 else f"with exit code {code}"


def supervise(
    settings: Settings, config: Config, count: int, tell: Callable[[Addresses], None]
) -> int:
    """Have `count` workers serve what `settings` say, which `config` has been read from, until
    signals end them; the exit code. `tell` is called once the first serves. Raises `ConfigError`
    where their ports cannot be had.
    """
    addresses = _found(config, count)
    fixed = with_ports(config, addresses)
    native: dict[str, object] = {"enabled": fixed.native.enabled}
    if fixed.native.enabled:
        for key in ("port", "also_listen", "lookup_ports"):
            native[key] = getattr(fixed.native, key)
    told = attrs.evolve(
        settings,
        server={**settings.server, "port": fixed.server.port, "workers": count},
        native=native,
        admin={"address": fixed.admin.address} if addresses.admin else {},
    )
    with _held(addresses):
        workers = Workers(count, told.encode())
        return trio.run(_supervise, workers, settings, config, lambda: tell(addresses))


def _found(config: Config, count: int) -> Addresses:
    """Where the workers are to listen, where nobody else may: a port that is shared would be taken
    without a word.
    """
    sockets = Sockets(config, admin_ports=count)
    try:
        sockets.warn(config)
        return sockets.addresses
    finally:
        sockets.close()


@contextlib.contextmanager
def _held(addresses: Addresses) -> Iterator[None]:
    held = hold(addresses)
    try:
        yield
    finally:
        for sock in held:
            sock.close()


async def _supervise(
    workers: Workers, settings: Settings, config: Config, tell: Callable[[], None]
) -> int:
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM, *HANGUP) as signals:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_obey, signals, workers, settings, config.server.drain_seconds)
            code = await workers.run(tell)
            nursery.cancel_scope.cancel()
    return code


async def _obey(
    signals: AsyncIterator[int], workers: Workers, settings: Settings, drain_seconds: int
) -> None:
    """As a single server does: the first signal sends the clients away, the second ends at once."""
    is_stopping = False
    async for number in signals:
        if number in HANGUP:
            if not is_stopping:
                _reload(workers, settings)
            continue
        seconds = drain_seconds if number == signal.SIGTERM and not is_stopping else 0
        is_stopping = True
        workers.stop(number, seconds + END_SECONDS)


def _reload(workers: Workers, settings: Settings) -> None:
    """Have the workers read again what can be read; where there is a mistake, none is told."""
    try:
        config = settings.read()
    except ConfigError as exc:
        logger.warning("the configuration in force stays: %s", exc)
        return
    for warning in app_warnings(config):
        logger.warning("%s", warning)
    workers.hang_up()
