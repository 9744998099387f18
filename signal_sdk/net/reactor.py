"""The reactor: one task that reads every connection of its owner, one that writes, and one that
rings the alarms.

Owns: which transports are watched, and in which turn they are read. Must not know what the bytes
mean. A task per connection would be woken for every packet, which costs more than most packets do.
"""

from __future__ import annotations

import contextlib
import select
from typing import Final

import trio

from signal_sdk.net.alarms import Alarms
from signal_sdk.net.outbox import Flusher
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


class Reactor:
    """Reads and writes for all connections of one owner, who runs it."""

    def __init__(self) -> None:
        self.flusher: Flusher = Flusher()
        self.alarms: Alarms = Alarms()
        self._epoll: select.epoll | None = None
        self._watched: dict[int, OnReadable] = {}
        self._ready: list[OnReadable] = []
        self._sleeper = Sleeper()

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

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Read, write and ring until cancelled. It runs once."""
        with contextlib.ExitStack() as stack:
            async with trio.open_nursery() as nursery:
                await nursery.start(self.flusher.run)
                await nursery.start(self.alarms.run)
                nursery.start_soon(self._ready_loop)
                if HAS_EPOLL:
                    self._epoll = stack.enter_context(select.epoll())
                    nursery.start_soon(self._poll_loop, self._epoll)
                task_status.started()

    async def _poll_loop(self, epoll: select.epoll) -> None:
        watched, flusher = self._watched, self.flusher
        while True:
            events = epoll.poll(0, READS_PER_POLL)
            if not events:
                await trio.lowlevel.wait_readable(epoll)
                continue
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
            if len(events) > FEW_READS:
                await trio.lowlevel.checkpoint()
            else:
                await trio.lowlevel.wait_readable(epoll)

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
