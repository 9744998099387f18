"""The locks that a session has and waits for: asked for, renewed in time, and given up.

Owns: how a lock is got, by which count it is held, and when it is lost. Must not know who holds it
in a block, nor how that is told.

A lock is held from the server's answer on, for its lease from the moment in which that was asked
for: so whoever holds it here never does for longer than the server lets it. Whatever is not known
for sure is asked again: behind a lost connection, behind a push that says that the lock has come,
and every few seconds while it has not.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Callable
from functools import partial
from typing import Final

import trio

from signal_sdk.client.membership import Membership
from signal_sdk.client.operation import Operation, Promise
from signal_sdk.client.request import UnansweredError
from signal_sdk.client.requests import Requests, nothing
from signal_sdk.ecodes import ECode
from signal_sdk.errors import LockLostError, SignalError
from signal_sdk.net.alarms import Alarm
from signal_sdk.net.deadline import Deadline
from signal_sdk.net.reactor import Reactor
from signal_sdk.wire import events, lock_functions
from signal_sdk.wire.arguments import Arguments

__all__ = ["LockAsk", "Locks"]

ASK_AGAIN_SECONDS: Final = 10.0
"""How often who waits asks how that stands, whatever it is told meanwhile."""
RETRY_SECONDS: Final = 1.0
"""When something is asked again that was refused for the moment, where the server names no time."""
RENEWED_AT: Final = 1 / 3
"""At which part of a lease it is renewed; an answer that has taken twice as long is no good."""


class State(enum.Enum):
    """How it stands with one lock."""

    WAITING = enum.auto()
    HELD = enum.auto()
    OVER = enum.auto()


class LockAsk:
    """One lock, from its asking to its end. `acquired` gives its number (`fence`) once it is held;
    `on_lost` is told why it is held no more, once, where nobody has given it up.
    """

    def __init__(
        self,
        locks: Locks,
        member: Membership,
        name: str,
        *,
        lease: int,
        wait: int,
        on_lost: Callable[[LockLostError], None],
    ) -> None:
        self.name: str = name
        self.id: str = locks.next_id()
        self.state: State = State.WAITING
        self.acquired: Promise[int] = Promise()
        self.fence: int = 0
        self.loss: LockLostError | None = None
        """Why it is lost."""
        self._locks = locks
        self._member = member
        self._lease = lease
        self._wait = wait
        self._on_lost = on_lost
        self._ends_at = -math.inf
        """Until when it is held."""
        self._under_way = 0
        """How many requests are."""
        if (why_not := member.why_not()) is not None:
            # Also where the session's whole thread is gone, and there is no clock any more.
            self.state = State.OVER
            self.acquired.fail(why_not)
            return
        self._alarm = Alarm(locks.reactor.alarms, self._ring)
        self._patience = Deadline(locks.reactor, self._waited)
        self._waits_until = trio.current_time() + wait / 1000
        if wait:
            self._patience.set_after(wait / 1000)
        member.on_over.append(self._left)
        self._ask(is_first=True)

    # --- getting it ---

    def _ask(self, *, is_first: bool = False) -> None:
        """Ask for it, or how that stands."""
        now = trio.current_time()
        wait = self._wait if is_first else max(int((self._waits_until - now) * 1000), 0)
        self._alarm.set(now + ASK_AGAIN_SECONDS)
        self._call(
            lambda: lock_functions.ChannelLock(
                channel=self._member.name,
                lock=self.name,
                ask=self.id,
                lease=self._lease,
                wait=wait,
            ),
            now,
            is_first=is_first,
        )

    def _call(
        self, make: Callable[[], Arguments], asked_at: float, *, is_first: bool = False
    ) -> None:
        self._under_way += 1
        self._locks.requests.call(
            make,
            lock_functions.LockResult,
            nothing,
            done=partial(self._answered, asked_at),
            failed=self._refused,
            unless=self._member.why_not(),
            always=not is_first,
        )

    def _answered(self, asked_at: float, result: lock_functions.LockResult) -> None:
        self._under_way -= 1
        if self.state is State.OVER:
            # It was given up meanwhile, which the server hears behind this.
            return
        if self.state is State.HELD:
            self._held_on(asked_at, result)
        elif result.fence:
            self._is_granted(asked_at, result)
        elif not result.place and result.holder and not self._is_patient:
            self._fail(f"is held by {result.holder!r}")
        elif not result.place:
            # It came and went before this was asked.
            self._ask()

    @property
    def _is_patient(self) -> bool:
        """Is there time left to wait?"""
        return self._wait > 0 and trio.current_time() < self._waits_until

    def _is_granted(self, asked_at: float, result: lock_functions.LockResult) -> None:
        lease = min(result.lease, self._lease) / 1000
        ends_at = asked_at + lease
        if ends_at - trio.current_time() < lease * RENEWED_AT:
            # The answer took so long that there is hardly anything left of it.
            self._ask()
            return
        self.state = State.HELD
        self.fence = result.fence
        self._patience.cancel()
        self._hold(asked_at, ends_at)
        self.acquired.succeed(result.fence)

    def _refused(self, error: SignalError) -> None:
        self._under_way -= 1
        if self.state is State.OVER:
            return
        if self.state is State.HELD:
            self._renewal_failed(error)
        elif isinstance(error, UnansweredError):
            self._unanswered(error)
        elif self._is_patient and (error.retry_after is not None or self._member.is_absent):
            # It comes too often, or the channel is about to be joined again.
            self._alarm.set(trio.current_time() + (error.retry_after or RETRY_SECONDS))
        else:
            self._end()
            self.acquired.fail(error)

    def _unanswered(self, error: UnansweredError) -> None:
        if not self._is_patient:
            # It may have been had by now.
            self._give_back()
            self._end()
            self.acquired.fail(error)
        elif not self._under_way:
            self._ask()

    def _waited(self) -> None:
        """There is no more time to wait."""
        if self.state is State.WAITING:
            self._fail(f"was not to be had within {self._wait / 1000:g} s")

    def _fail(self, why: str) -> None:
        self._give_back()
        self._end()
        reason = f"the lock {self.name!r} of the channel {self._member.name!r} {why}"
        self.acquired.fail(SignalError(ECode.GENERAL_E_FAILED, reason))

    # --- holding it ---

    def _hold(self, asked_at: float, ends_at: float) -> None:
        self._ends_at = ends_at
        self._alarm.set(asked_at + (ends_at - asked_at) * RENEWED_AT)

    def _held_on(self, asked_at: float, result: lock_functions.LockResult) -> None:
        if result.fence != self.fence:
            self._lose("the server has ended its lease")
            return
        lease = min(result.lease, self._lease) / 1000
        self._hold(asked_at, max(self._ends_at, asked_at + lease))

    def _renew(self) -> None:
        self._alarm.set(self._ends_at)
        self._call(
            lambda: lock_functions.ChannelLockRenew(
                channel=self._member.name, lock=self.name, ask=self.id, lease=self._lease
            ),
            trio.current_time(),
        )

    def _renewal_failed(self, error: SignalError) -> None:
        """It is held for as long as the last lease, and until then it is tried again."""
        seconds = 0.0 if isinstance(error, UnansweredError) else RETRY_SECONDS
        seconds = error.retry_after or seconds
        self._alarm.set(min(trio.current_time() + seconds, self._ends_at))

    def _ring(self) -> None:
        if self.state is State.WAITING and self._under_way:
            self._alarm.set(trio.current_time() + ASK_AGAIN_SECONDS)
        elif self.state is State.WAITING:
            self._ask()
        elif self.state is State.HELD:
            if trio.current_time() >= self._ends_at:
                self._lose(f"it was not renewed within {self._lease / 1000:g} s")
            elif self._under_way:
                self._alarm.set(self._ends_at)
            else:
                self._renew()

    def _lose(self, why: str) -> None:
        self._give_back()
        self._is_lost(why)

    def _is_lost(self, why: str) -> None:
        self._end()
        reason = f"the lock {self.name!r} of the channel {self._member.name!r} is lost: {why}"
        self.loss = LockLostError(ECode.GENERAL_E_FAILED, reason)
        self._on_lost(self.loss)

    # --- what the session knows ---

    def granted(self) -> None:
        """The server says that it has come."""
        if self.state is State.WAITING:
            self._ask()

    def resumed(self) -> None:
        """There is a connection again: what was told meanwhile was lost."""
        if self._under_way:
            # That is asked again by itself.
            return
        if self.state is State.WAITING:
            self._ask()
        elif self.state is State.HELD:
            self._renew()

    def _left(self, error: SignalError) -> None:
        """The session is not in the channel any more, and so the server has taken it away."""
        if self.state is State.HELD:
            self._is_lost(error.reason)
        elif self.state is State.WAITING:
            self._end()
            self.acquired.fail(error)

    # --- the end ---

    def give_up(self) -> Operation[bool]:
        """Have it no more, or wait for it no more; was it held until now, as far as the server
        knows? Where it is over already, nothing is asked.
        """
        if self.state is State.OVER:
            gone: Promise[bool] = Promise()
            gone.succeed(False)
            return gone
        given = self._give_back()
        self._end()
        return given

    def _give_back(self) -> Operation[bool]:
        return self._locks.requests.call(
            lambda: lock_functions.ChannelUnlock(
                channel=self._member.name, lock=self.name, ask=self.id
            ),
            lock_functions.UnlockResult,
            lambda result: result.held != 0,
            # It ends with its lease in any case.
            failed=self._locks.note_failure,
            unless=self._member.why_not(),
            always=True,
        )

    def _end(self) -> None:
        self.state = State.OVER
        self._alarm.cancel()
        self._patience.cancel()
        self._member.on_over.remove(self._left)
        self._locks.forget(self)


class Locks:
    """All locks of one session. `next_id` makes an id that no other one has."""

    def __init__(
        self,
        requests: Requests,
        reactor: Reactor,
        next_id: Callable[[], str],
        note_failure: Callable[[SignalError], None],
    ) -> None:
        self.requests: Requests = requests
        self.reactor: Reactor = reactor
        self.next_id: Callable[[], str] = next_id
        self.note_failure: Callable[[SignalError], None] = note_failure
        self._asks: dict[str, LockAsk] = {}

    def ask(
        self,
        member: Membership,
        name: str,
        *,
        lease: int,
        wait: int,
        on_lost: Callable[[LockLostError], None],
    ) -> LockAsk:
        """Ask for a lock for a `lease` in milliseconds, which is renewed from then on, and `wait`
        so many for it.
        """
        self.requests.check_thread()
        ask = LockAsk(self, member, name, lease=lease, wait=wait, on_lost=on_lost)
        if ask.state is not State.OVER:
            self._asks[ask.id] = ask
        return ask

    def forget(self, ask: LockAsk) -> None:
        """It is over."""
        self._asks.pop(ask.id, None)

    def granted(self, told: events.LockGranted) -> None:
        """The server says that a lock has come."""
        ask = self._asks.get(told.ask)
        if ask is not None:
            ask.granted()

    def resumed(self) -> None:
        """There is a connection again."""
        for ask in list(self._asks.values()):
            ask.resumed()
