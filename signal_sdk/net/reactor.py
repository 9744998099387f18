"""The reactor: one task that reads every connection of its owner, one that writes, and one that
rings the alarms.

Owns: which transports are watched, in which turn they are read, and what has to wait until all
were. Must not know what the bytes mean. A task per connection would be woken for every packet,
which costs more than most packets do.
"""

from __future__ import annotations

import contextlib
import select
from collections.abc import Callable, Sequence
from typing import Final

import trio

from signal_sdk.net.alarms import Alarms
from signal_sdk.net.outbox import Flusher
from signal_sdk.net.patience import PatientClock
from signal_sdk.net.sleeper import Sleeper
from signal_sdk.net.transport import OnReadable

HAS_EPOLL: Final = hasattr(select, "epoll")
"""Elsewhere than on Linux, each connection is read by the task that serves it."""
READS_PER_POLL: Final = 256
READS_PER_TURN: Final = 16
"""How many connections are read before other tasks run."""

FEW_READS: Final = 8
"""Of how many connections there may have been something to read before it is worth looking for more
at once: of few, the reactor sleeps, and is woken.
"""
PASSES: Final = 8
"""How often all sockets are read before somebody is judged, where there is always more to read."""
TURNS: Final = 3
"""In how many turns of the scheduler a task that what was read has woken has handled it."""


class Reactor:
    """Reads and writes for all connections of one owner, who runs it."""

    def __init__(self) -> None:
        self.flusher: Flusher = Flusher()
        self.alarms: Alarms = Alarms()
        self._epoll: select.epoll | None = None
        self._watched: dict[int, OnReadable] = {}
        self._ready: list[OnReadable] = []
        self._sleeper = Sleeper()
        self._judges: list[Callable[[], None]] = []
        self._judging = Sleeper()

    @property
    def clock(self) -> PatientClock:
        """What others are judged by: it does not count the time in which the process stood
        still.
        """
        return self.alarms.clock

    @property
    def can_watch(self) -> bool:
        """Are there sockets to be watched here?"""
        return HAS_EPOLL

    def watch(self, fileno: int, on_readable: OnReadable) -> None:
        """Call `on_readable` whenever the socket has something to read, until `unwatch`; instead of
        what was called before, where it is watched already.
        """
        if self._epoll is None:
            raise RuntimeError("the reactor is not running")
        if fileno not in self._watched:
            self._epoll.register(fileno, select.EPOLLIN)
        self._watched[fileno] = on_readable

    def unwatch(self, fileno: int) -> None:
        """Call it no more. To be said before the socket is closed."""
        if (
            self._watched.pop(fileno, None) is not None
            and self._epoll is not None
            and not self._epoll.closed
        ):
            self._epoll.unregister(fileno)

    def call_soon(self, on_readable: OnReadable) -> None:
        """Call `on_readable` once, in the reactor's next turn: for what no socket tells."""
        self._ready.append(on_readable)
        self._sleeper.wake()

    def after_catching_up(self, judge: Callable[[], None]) -> None:
        """Call `judge`, which must not raise, once what has arrived was read and handled. Only
        while the reactor runs.
        """
        self._judges.append(judge)
        self._judging.wake()

    async def catch_up(self) -> None:
        """Read every socket that has something to read, and let what comes of it be handled."""
        for _ in range(PASSES):
            for _ in range(TURNS):
                await trio.lowlevel.checkpoint()
            if self._epoll is None:
                return
            events = self._epoll.poll(0, max(len(self._watched), 1))
            if not events:
                return
            await self._read(events)

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Read, write and ring until cancelled. It runs once."""
        with contextlib.ExitStack() as stack:
            async with trio.open_nursery() as nursery:
                await nursery.start(self.flusher.run)
                await nursery.start(self.alarms.run)
                nursery.start_soon(self._ready_loop)
                nursery.start_soon(self._judge_loop)
                if HAS_EPOLL:
                    self._epoll = stack.enter_context(select.epoll())
                    nursery.start_soon(self._poll_loop, self._epoll)
                task_status.started()

    async def _poll_loop(self, epoll: select.epoll) -> None:
        while True:
            events = epoll.poll(0, READS_PER_POLL)
            if not events:
                await trio.lowlevel.wait_readable(epoll)
                continue
            await self._read(events)
            if len(events) > FEW_READS:
                await trio.lowlevel.checkpoint()
            else:
                await trio.lowlevel.wait_readable(epoll)

    async def _read(self, events: Sequence[tuple[int, int]]) -> None:
        """Have read what is ready. What that says goes out at its end."""
        watched, flusher = self._watched, self.flusher
        flusher.hold()
        for number, (fileno, _) in enumerate(events, 1):
            # It may have gone, or be another by now, which has nothing to read then.
            on_readable = watched.get(fileno)
            if on_readable is not None:
                on_readable()
            if number % READS_PER_TURN == 0:
                flusher.release()
                await trio.lowlevel.checkpoint()
                flusher.hold()
        flusher.release()

    async def _judge_loop(self) -> None:
        while True:
            if not self._judges:
                await self._judging.sleep()
            judges, self._judges = self._judges, []
            await self.catch_up()
            for judge in judges:
                judge()

    async def _ready_loop(self) -> None:
        while True:
            if self._ready:
                await trio.lowlevel.checkpoint()
            else:
                await self._sleeper.sleep()
            ready, self._ready = self._ready, []
            self.flusher.hold()
            for on_readable in ready:
                on_readable()
            self.flusher.release()
