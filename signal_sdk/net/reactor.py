"""The reactor: one task that reads every connection of its owner, one that writes, and one that
rings the alarms.

Owns: which transports are watched, for how long each is read at once, and what has to wait until
all were read. Must not know what the bytes mean, who is next (turns.py does), nor when a rest is
over (rests.py does). A task per connection would be woken for every packet, which costs more than
most packets do.

All is read in slices of about a millisecond, before each of which, and now and then within, every
socket is looked at: who has asked seldom is read next, and those who ask all the time share what is
left.
"""

from __future__ import annotations

import contextlib
import math
import select
import sys
from collections.abc import Callable, Sequence
from typing import Final, TypeAlias

import trio

from signal_sdk.net.alarms import Alarms
from signal_sdk.net.flusher import Flusher
from signal_sdk.net.haste import Haste
from signal_sdk.net.patience import PatientClock
from signal_sdk.net.rests import Rests
from signal_sdk.net.sleeper import Sleeper
from signal_sdk.net.transport import OnReadable, Traffic
from signal_sdk.net.turns import SELDOM_STEPS, Line, Turns

HAS_EPOLL: Final = hasattr(select, "epoll")
"""Elsewhere than on Linux, each connection is read by the task that serves it."""
READS_PER_POLL: Final = 256
READS_PER_SLICE: Final = 64
"""How many connections are read before other tasks run, at most."""
SLICE_SECONDS: Final = 0.001
"""For how long some are read before others are looked for, and other tasks run."""
LOOK_SECONDS: Final = 0.00025
"""For how long some are read, where others wait, before it is looked who has come."""
TURN_SECONDS: Final = 0.00025
"""For how long one is read where others wait; one message is always taken."""
IN_A_WORD: Final = -math.inf
"""When the turn ends of one of whom nothing is known yet, where others wait: he may say one thing,
if that is all. There may be very many, and among them whoever asks seldom.
"""
MORE_SECONDS: Final = 0.0015
"""What it counts once to have more than one turn takes, or than one may say: who asks seldom has
not, and comes before all who have.
"""
STALL_SECONDS: Final = 0.001
"""What it counts at most to be read, of one who asks seldom: all may have stood still meanwhile,
for the garbage collector or another process, and he is no other for that.
"""
FLUSH_SECONDS: Final = 0.000005
"""What each outbox counts that a turn has put something into: all are written after the slice."""
MANY_TOLD: Final = 32
"""Of how many outboxes that one turn has put something into those of others are written first."""
FEW_READS: Final = 8
"""Of how many connections there may have been something to read before it is worth looking for more
at once: of few, the reactor sleeps, and is woken.
"""
PASSES: Final = 8
"""How often all sockets are read before somebody is judged, where there is always more to read."""
TURNS: Final = 3
"""In how many turns of the scheduler a task that what was read has woken has handled it."""

_Key: TypeAlias = "int | OnReadable"
"""A socket that is watched, or what was to be called soon."""


class Reactor:
    """Reads and writes for all connections of one owner, who runs it. They are many people's, who
    share the time, unless nobody `shares` it: then they are read in the order in which they come.
    """

    def __init__(self, *, shares: bool = True) -> None:
        self.flusher: Flusher = Flusher()
        self.alarms: Alarms = Alarms()
        self.traffic: Traffic = Traffic()
        """What has come in and gone out by the transports that were made with it."""
        self.turn_ends: float = math.inf
        """Until when whoever is called may go on with what it has, by `time`, once something is
        handled.
        """
        self.read_at: tuple[float, float] = (-math.inf, -math.inf)
        """When what is being read was read, by the patient clock and by trio's: one reading serves
        all of a slice.
        """
        self.serves_seldom: bool = False
        """Is somebody being read who asks seldom, while others wait?"""
        self._urgent_from = sys.maxsize
        """Of the outboxes that are ready, which is the first that such ones have had told?"""
        self.time: Callable[[], float] = lambda: 0.0
        """Trio's clock, while it runs."""
        self._epoll: select.epoll | None = None
        self._watched: dict[int, OnReadable] = {}
        self._turns: Turns[_Key] | Line[_Key] = Turns() if shares else Line()
        self._look_seconds = LOOK_SECONDS if shares else math.inf
        self._rests: Rests[_Key] = Rests(self.alarms, self._read_after_rest)
        self._is_reading = False
        self._is_polling = False
        """Is the task that polls about to read again?"""
        self._gives_way = False
        self.haste: Haste = Haste(self.alarms, self._see_to_turns)
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
            self._register(self._epoll, fileno)
        self._watched[fileno] = on_readable

    def unwatch(self, fileno: int) -> None:
        """Call it no more. To be said before the socket is closed."""
        if self._watched.pop(fileno, None) is None:
            return
        self._turns.forget(fileno)
        is_resting = self._rests.forget(fileno)
        if not is_resting and self._epoll is not None and not self._epoll.closed:
            self._epoll.unregister(fileno)

    @staticmethod
    def _register(epoll: select.epoll, fileno: int) -> None:
        # Told of once for whatever arrives, and not in each poll until all of it is read: where
        # many wait, most of what a poll said was known.
        epoll.register(fileno, select.EPOLLIN | select.EPOLLRDHUP | select.EPOLLET)

    def read_again(self, fileno: int) -> None:
        """There may be more to read than was read just now, of which nobody tells."""
        if fileno in self._watched:
            self._turns.add(fileno)
            self._see_to_turns()

    def call_soon(self, on_readable: OnReadable) -> None:
        """Call `on_readable` once, when it is its turn: for what no socket tells."""
        self._turns.add(on_readable)
        self._see_to_turns()

    @property
    def _has_to_go_on(self) -> bool:
        """Does somebody wait, to be read or to be written to? Whoever did may have gone since."""
        haste, flusher = self.haste, self.flusher
        return self._turns.waits(haste.most_steps) or (
            (flusher.others_wait or flusher.is_gathering) and not haste.is_on
        )

    def _see_to_turns(self) -> None:
        """Somebody may wait: have him read, unless that is about to be done."""
        if not self._is_reading and not self._is_polling:
            self._sleeper.wake()

    def give_way(self, *, at_once: bool = False) -> None:
        """Whoever is being woken, and whoever he wakes, runs before the next slice is read, or
        `at_once` before the rest of this one: each would wait for a slice else. That begins a
        `haste`. May be called in any thread, but not `at_once`.
        """
        self._gives_way = True
        if at_once:
            self.haste.begin()

    async def _let_others_run(self) -> None:
        """Between two slices."""
        await trio.lowlevel.checkpoint()
        if self._gives_way:
            self._gives_way = False
            for _ in range(TURNS):
                await trio.lowlevel.checkpoint()

    def after_catching_up(self, judge: Callable[[], None]) -> None:
        """Call `judge`, which must not raise, once what has arrived was read and handled. Only
        while the reactor runs.
        """
        self._judges.append(judge)
        self._judging.wake()

    async def catch_up(self) -> None:
        """Read every socket that has something to read, and let what comes of it be handled."""
        turns = self._turns
        for _ in range(PASSES):
            for _ in range(TURNS):
                await trio.lowlevel.checkpoint()
            if self._epoll is None or self._epoll.closed:
                return
            self._line_up(self._poll(len(self._watched)))
            if not turns:
                return
            last = turns.number
            while turns.eldest <= last:
                self.haste.end()
                self._read_slice(())
                await trio.lowlevel.checkpoint()

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Read, write and ring until cancelled. It runs once."""
        self.time = trio.lowlevel.current_clock().current_time
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
            events = self._poll()
            if events or self._has_to_go_on:
                self._read_slice(events)
            self._is_polling = len(events) > FEW_READS or self._has_to_go_on
            if self._is_polling:
                await self._let_others_run()
            else:
                await trio.lowlevel.wait_readable(epoll)
                self._is_polling = True

    def _poll(self, most: int = READS_PER_POLL) -> Sequence[tuple[int, int]]:
        """At which sockets something has arrived since they were asked."""
        epoll = self._epoll
        if epoll is None:
            return ()
        events = epoll.poll(0, max(most, 1))
        for fileno, what in events:
            if what != select.EPOLLIN:
                # The other side has gone: that is told of until somebody has seen it.
                epoll.modify(fileno, select.EPOLLIN)
        return events

    def _line_up(self, events: Sequence[tuple[int, int]]) -> None:
        add = self._turns.add
        for fileno, _ in events:
            add(fileno)

    def look_at_clock(self) -> float:
        """What is read from here on is read now, by trio's clock."""
        now = trio.current_time()
        self.read_at = (self.clock.time_at(now), now)
        return now

    def _read_slice(self, events: Sequence[tuple[int, int]]) -> None:
        """Have read what is ready, as far as there is time. What that says goes out at its end."""
        now = self.look_at_clock()
        ends = now + SLICE_SECONDS
        self._is_reading = True
        is_for_all = not self.haste.is_on
        self.flusher.hold()
        if self._turns.is_calm(now):
            self._read_all(events, ends)
        else:
            self._line_up(events)
            self._read_some(now, ends)
        self.flusher.release(others_wait=bool(self._turns))
        self._is_reading = False
        if is_for_all:
            self.haste.note_slice()
        if self._has_to_go_on:
            self._see_to_turns()

    def _read_all(self, events: Sequence[tuple[int, int]], ends: float) -> None:
        """Nobody waits: all are read, as they come, until the time is over."""
        watched, time = self._watched, self.time
        self.turn_ends = ends
        for number, (fileno, _) in enumerate(events, 1):
            # It may have gone, or be another by now, which has nothing to read then.
            on_readable = watched.get(fileno)
            if on_readable is not None:
                seconds = on_readable()
                if seconds is not None:
                    self._call_again(fileno, seconds)
            now = time()
            if (now >= ends or number >= READS_PER_SLICE) and number < len(events):
                self._turns.count(now)
                self._line_up(events[number:])
                break

    def _read_some(self, now: float, ends: float) -> None:
        """Some wait: those who have used least are read."""
        turns, watched, flusher, time = self._turns, self._watched, self.flusher, self.time
        again: list[tuple[_Key, float]] = []
        looks, most = now + self._look_seconds, self.haste.most_steps
        self._urgent_from = sys.maxsize
        for _ in range(READS_PER_SLICE):
            key = turns.pop(most)
            if key is None:
                break
            on_readable = watched.get(key) if isinstance(key, int) else key
            if on_readable is None or key in self._rests.resting:
                continue
            began, written = now, len(flusher.ready)
            step = turns.step
            self.turn_ends = began + TURN_SECONDS if step else IN_A_WORD
            self.serves_seldom = step <= SELDOM_STEPS
            seconds = on_readable()
            now = time()
            told = len(flusher.ready) - written
            stall = STALL_SECONDS if self.serves_seldom else math.inf
            used = now - began
            used = used if used < stall else stall  # noqa: FURB136  a call of `min` costs more
            used += FLUSH_SECONDS * told
            if told > MANY_TOLD:
                flusher.put_off(written)
            if self.serves_seldom and self._writes_at_once(written):
                # That is not to be laid to who is read next.
                now = time()
            if seconds is not None:
                again.append((key, seconds))
                used += MORE_SECONDS if self.serves_seldom else 0.0
            if on_readable is key or key in watched:
                turns.charge(key, used, now)
            if now >= ends or self.haste.most_steps != most:
                break
            if now >= looks:
                looks = now + self._look_seconds
                self._line_up(self._poll())
        self.serves_seldom = False
        if turns:
            turns.count(now)
        for key, seconds in again:
            self._call_again(key, seconds)

    def _writes_at_once(self, first: int) -> bool:
        """One who asks seldom was read, and told what is ready from the `first` on. He hears it at
        once; where more of them wait, as in a storm of logins, they are read before, and more goes
        out in one write.
        """
        first = min(first, self._urgent_from)
        if first == len(self.flusher.ready):
            # None was told anything: what others are told from here on is not urgent.
            return False
        if self._turns.waits(SELDOM_STEPS):
            self._urgent_from = first
            return False
        self._urgent_from = sys.maxsize
        self.flusher.flush_few(first)
        return True

    def _call_again(self, key: _Key, seconds: float) -> None:
        """It is to be called without being told of, at once or in so many seconds, and not sooner
        for what arrives meanwhile.
        """
        if isinstance(key, int) and key not in self._watched:
            return
        if not seconds:
            self._turns.add(key)
            return
        if isinstance(key, int) and key not in self._rests.resting and self._epoll is not None:
            self._epoll.unregister(key)
        self._rests.begin(key, seconds)

    def _read_after_rest(self, keys: Sequence[_Key]) -> None:
        for key in keys:
            if isinstance(key, int) and self._epoll is not None:
                self._register(self._epoll, key)
            self._turns.add(key)
        self._see_to_turns()

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
            if self._has_to_go_on and not self._is_polling:
                await self._let_others_run()
            else:
                await self._sleeper.sleep()
            self._read_slice(self._poll())
