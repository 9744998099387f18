"""The load of a channel: one member speaks, all are read, and a few watch the time.

Owns: how messages are sent, read and counted in a channel. Must not know processes or tables.

A message is in flight until the server has acknowledged it and every watcher has it. Watchers are
spread over the channel and read as soon as something comes; all others are read in turn, so that
each read takes several messages. That keeps the load far cheaper than what it measures. A round
ends when every member has every message.
"""

from __future__ import annotations

import select
import time
from collections.abc import Sequence
from typing import Final

import attrs

from benchmarks import clients as sockets
from benchmarks.clients import PING_SECONDS, Client, KeepAlive
from benchmarks.dialects import MARK, Dialect, Message
from benchmarks.process import BenchmarkError, own_cpu_seconds

WATCHERS: Final = 16
LAZY_MESSAGES: Final = 16
"""How many messages wait for a lazily read member, more or less."""
LAZY_READS_AT_ONCE: Final = 32
"""How many lazy reads there may be before the watchers are looked at: about 0.1 ms."""
DRAIN_SECONDS: Final = 120.0
SLOW_BYTES: Final = 1024
SLOW_SECONDS: Final = 0.05
"""A slow reader takes so many bytes each time, 20 KB a second; one that is not slow takes all."""


@attrs.frozen
class Round:
    """What the load has seen in a round."""

    messages: int
    deliveries: int
    seconds: float
    load_cpu_seconds: float
    latencies_us: list[int]


class ChannelLoad:
    """The members of one channel, the first of whom speaks. With `has_slow` the second can be made
    to read slowly; what it gets is not counted.
    """

    def __init__(
        self, dialect: Dialect, members: Sequence[Client], *, has_slow: bool = False
    ) -> None:
        self._ack = dialect.ack
        self._sender = members[0]
        self.voice = self._sender.voice
        self._slow = members[1] if has_slow else None
        self.reads_slowly = False
        self._slow_read = 0.0
        self._readers = [member for member in members if member is not self._slow]
        self._keep_alive = KeepAlive(PING_SECONDS, if_needed=True)
        self._keep_alive.add_all(members)
        others = self._readers[1:]
        step = max(1, len(others) // WATCHERS)
        # The last member is among them: most servers write to it last.
        watchers = others[::-1][::step][:WATCHERS]
        self._watchers = {member.fd: member for member in watchers}
        watched = {self._sender, *watchers}
        self._lazy = {member.fd: member for member in self._readers if member not in watched}
        self._prompt_poll = select.epoll()
        self._lazy_poll = select.epoll()
        for member in watched:
            self._prompt_poll.register(member.fd, select.EPOLLIN)
        for fd in self._lazy:
            self._lazy_poll.register(fd, select.EPOLLIN)
        self._number = 0
        self._begin()

    def close(self) -> None:
        """Let go of what watches the sockets, not of the sockets."""
        self._prompt_poll.close()
        self._lazy_poll.close()

    def _begin(self) -> None:
        self._sent = 0
        self._acknowledged = 0
        self._received = 0
        self._watched = 0
        self._lazy_due = 0.0
        self._latencies: list[int] = []

    # --- rounds ---

    def run(self, message: Message, in_flight: int, seconds: float) -> Round:
        """Keep `in_flight` messages in flight for `seconds`."""
        self._begin()
        began, cpu = time.perf_counter(), own_cpu_seconds()
        ends = began + seconds
        while time.perf_counter() < ends:
            done = min(self._acknowledged, self._watched // max(1, len(self._watchers)))
            self._say(message, in_flight - (self._sent - done))
            self._read(0.1)
        self._drain()
        return self._finish(began, cpu)

    def run_paced(self, message: Message, per_second: float, seconds: float) -> Round:
        """Send `per_second` messages, evenly, whatever becomes of them, for `seconds`."""
        self._begin()
        began, cpu = time.perf_counter(), own_cpu_seconds()
        for number in range(int(per_second * seconds)):
            due = began + number / per_second
            while (left := due - time.perf_counter()) > 0:
                self._read(left)
            self._say(message, 1)
        self._drain()
        return self._finish(began, cpu)

    def _finish(self, began: float, cpu: float) -> Round:
        took = time.perf_counter() - began
        return Round(self._sent, self._received, took, own_cpu_seconds() - cpu, self._latencies)

    def _say(self, message: Message, times: int) -> None:
        if times <= 0:
            return
        now = sockets.now_us()
        data = b"".join(message.fill(self._number + i, now) for i in range(times))
        self._number += times
        self._sent += times
        self._lazy_due += times * len(self._lazy) / LAZY_MESSAGES
        self._sender.send(data)

    def _drain(self) -> None:
        ends = time.monotonic() + DRAIN_SECONDS
        while (missing := self._sent * len(self._readers) - self._received) > 0:
            if time.monotonic() > ends:
                raise BenchmarkError(f"{missing} deliveries are missing")
            self._lazy_due = len(self._lazy)
            self._read(0.005)
        while self._acknowledged < self._sent:
            if time.monotonic() > ends:
                raise BenchmarkError(f"{self._sent - self._acknowledged} acknowledgements missing")
            self._read(0.005)

    # --- reading ---

    def _read(self, seconds: float) -> None:
        """Read what has come, waiting at most so long for it, and less where others can be read."""
        self._keep_alive.tick()
        if self._sender.has_backlog:
            self._sender.send(b"")
        if self._slow is not None:
            self._read_slow(self._slow)
        reads = int(min(self._lazy_due, LAZY_READS_AT_ONCE))
        if reads:
            self._lazy_due -= reads
            ready = self._lazy_poll.poll(0, reads)
            for fd, _ in ready:
                member = self._lazy[fd]
                self._received += member.count(MARK, member.read())
            if len(ready) == reads:
                seconds = 0
            else:
                # Nothing more has come yet.
                self._lazy_due = 0.0
        for fd, _ in self._prompt_poll.poll(seconds):
            watcher = self._watchers.get(fd)
            if watcher is None:
                size = self._sender.read()
                self._acknowledged += self._sender.count(self._ack, size)
                self._received += self._sender.count(MARK, size)
            else:
                now = 0
                size = watcher.read()
                for stamp in watcher.read_stamps(size):
                    now = now or sockets.now_us()
                    self._latencies.append(now - int(stamp))
                    self._watched += 1
                    self._received += 1

    def _read_slow(self, slow: Client) -> None:
        """Read what has come for the slow reader, or a little of it and only now and then."""
        now = time.monotonic()
        if now - self._slow_read >= SLOW_SECONDS:
            self._slow_read = now
            slow.read(SLOW_BYTES if self.reads_slowly else sockets.READ_BYTES)
