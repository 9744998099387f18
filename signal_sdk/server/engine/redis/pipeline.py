"""What goes to one Redis server: all that is asked in one pass of the scheduler goes out as one
write, and replies are matched in order.

Owns: what is asked and not answered, the connection's life, and what becomes of both when it is
lost or silent. Must not know what any command means.

What was asked on a connection that is lost may have been done or not: it fails, and is not asked
again, since only a request's number makes that right, which its client sends again by itself.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager
from typing import Any, Final, TypeVar

import trio

from signal_sdk.ecodes import ECode
from signal_sdk.errors import SignalError, StorageError
from signal_sdk.net.sleeper import Sleeper
from signal_sdk.server.complaints import Complaint
from signal_sdk.server.engine.base import UnknownError
from signal_sdk.server.engine.measures import Trips
from signal_sdk.server.engine.pending import Pending
from signal_sdk.server.engine.redis import resp
from signal_sdk.server.engine.redis.addresses import Address, Place
from signal_sdk.server.engine.redis.connection import Connection, Failure, failure_of

__all__ = ["Ask", "Full", "Pipeline", "Subscribing", "away", "refusal", "settle"]

T = TypeVar("T")

logger: logging.Logger = logging.getLogger("signal_sdk.server.redis")

MAX_ASKED: Final = 20_000
"""How much may be asked and not answered: a fifth of a second's work of a busy Redis."""
SILENCE_SECONDS: Final = 5
"""How long Redis may answer nothing of what was asked, before its connection is taken for lost."""
RETRY_SECONDS: Final = (0.1, 0.2, 0.5, 1.0)
"""The pauses before each try to connect again; the last one from then on."""


def away(why: str = "Redis is away") -> SignalError:
    """What is answered while nothing can be done."""
    return SignalError(ECode.GENERAL_E_FAILED, f"{why}: nothing can be changed now")


class Full(SignalError):
    """Redis has no room for what was asked, and has not even looked at it."""

    def __init__(self) -> None:
        super().__init__(ECode.GENERAL_E_FAILED, "Redis is full: nothing can be changed now")


class Ask(Pending[T]):
    """What was asked: the bytes of the command, `read`, which makes the result of the reply, and
    the slot of a Cluster that it is about; -1 where it is about this server. `count` is how much it
    is, `pipeline` where it is asked and not answered.
    """

    __slots__ = ("count", "data", "pipeline", "read", "slot", "tries")

    def __init__(self, data: bytes, read: Callable[[Any], T], slot: int = -1) -> None:
        super().__init__()
        self.slot: int = slot
        self.data: bytes = data
        self.read: Callable[[Any], T] = read
        self.tries: int = 0
        self.count: int = 1
        self.pipeline: Pipeline | None = None

    def command(self) -> bytes:
        """The command, as it is written."""
        return self.data

    def answer(self, reply: Any) -> None:
        """This is the reply, which is no error."""
        settle(self, self.read, reply)


def settle(pending: Pending[T], read: Callable[[Any], T], reply: Any) -> None:
    """Give it what `read` makes of the reply."""
    try:
        value = read(reply)
    except SignalError as exc:
        pending.fail(exc)
    except Exception as exc:
        logger.exception("an answer of Redis's cannot be read")
        pending.fail(away(f"an answer of Redis's cannot be read ({type(exc).__name__})"))
    else:
        pending.resolve(value)


class Subscribing(Ask[None]):
    """A subscription to a topic, or the end of one: what has no reply but a message of its own,
    unless it is refused.
    """

    __slots__ = ("confirmed", "topic")

    def __init__(self, topic: bytes, slot: int = -1, *, ends: bool = False) -> None:
        word = b"SUNSUBSCRIBE" if ends else b"SSUBSCRIBE"
        super().__init__(resp.command(word, topic), _nothing, slot)
        self.topic: bytes = topic
        self.confirmed: bytes = word.lower()


class Pipeline:
    """One server. `prepare` is called with this on each new connection, before anything is asked on
    it, and raises `StorageError` where the server cannot be used; `on_up` is told that it can;
    `find` says where to connect to; `on_refused` is told of errors, and says whether it deals with
    what was asked; `on_message` is handed what was published. What is answered counts in `trips`.
    What one read brings is handed on within `together`.
    """

    def __init__(
        self,
        address: Address,
        *,
        prepare: Callable[[Pipeline], Awaitable[None]],
        on_refused: Callable[[Pipeline, Ask[Any], Failure], bool],
        on_message: Callable[[bytes, bytes], None],
        on_up: Callable[[Pipeline], None],
        find: Callable[[], Awaitable[Place]],
        trips: Trips,
        together: Callable[[], AbstractContextManager[None]],
    ) -> None:
        self._address = address
        self._prepare = prepare
        self._on_refused = on_refused
        self._on_message = on_message
        self._on_up = on_up
        self._find = find
        self._together = together
        self.is_up: bool = False
        self.place: Place | None = None
        self.time: float = 0.0
        """What the server's clock showed when the connection was made, in Unix seconds."""
        self.lineage: str = ""
        """Whose data the server has: another where it may have lost some of it meanwhile."""
        self.why: str = "Redis is away"
        """Why it is not."""
        self._asked: deque[Ask[Any]] = deque()
        self._outgoing: list[Ask[Any]] = []
        self._count = 0
        self._answered = 0
        self._trips = trips
        self._timed: Ask[Any] | None = None
        """Of what is asked and not answered, what is timed."""
        self._timed_at = 0.0
        self._sleeper = Sleeper()
        self._scope: trio.CancelScope | None = None
        self._told_full = Complaint("whatever would change something is refused", logger)

    def __len__(self) -> int:
        """How much is asked and not answered."""
        return self._count

    # --- asking ---

    def ask(self, ask: Ask[T]) -> Ask[T]:
        """Have the command done, if the server is there."""
        if not self.is_up:
            ask.fail(away(self.why))
        elif self._count >= MAX_ASKED:
            ask.fail(away("Redis has too much to do"))
        else:
            self.ask_now(ask)
        return ask

    def ask_now(self, ask: Ask[T]) -> Ask[T]:
        """As `ask`, also while the connection is being prepared."""
        self._asked.append(ask)
        self._outgoing.append(ask)
        self._count += ask.count
        ask.pipeline = self
        self._sleeper.wake()
        return ask

    def ask_more(self, ask: Ask[Any]) -> None:
        """What is asked, and not written, is one more than before."""
        ask.count += 1
        self._count += 1

    def raw(self, *words: str | bytes | int) -> Ask[Any]:
        """A command whose reply is the result, also while the connection is being prepared."""
        return self.ask_now(Ask(resp.command(*words), _itself))

    # --- what comes ---

    def _replied(self, reply: Any) -> None:
        if not self._asked:
            logger.error("Redis has answered what was not asked")
            return
        ask = self._take()
        failure = failure_of(reply)
        if failure is None:
            ask.answer(reply)
        elif not self._on_refused(self, ask, failure):
            if failure.is_full:
                self._told_full.tell(f"Redis at {self.place} has all that its maxmemory allows")
            ask.fail(refusal(failure))

    def _take(self) -> Ask[Any]:
        """What is answered now."""
        self._answered += 1
        self._trips.answered += 1
        ask = self._asked.popleft()
        if ask is self._timed:
            self._timed = None
            self._trips.seconds.add(trio.current_time() - self._timed_at)
        self._count -= ask.count
        ask.pipeline = None
        return ask

    def _pushed(self, message: list[Any]) -> None:
        kind = message[0]
        try:
            if kind == b"smessage":
                self._on_message(message[1], message[2])
            else:
                self._confirmed(kind, message[1])
        except Exception:
            logger.exception("what was published cannot be delivered")

    def _confirmed(self, kind: bytes, topic: bytes) -> None:
        first = self._asked[0] if self._asked else None
        if isinstance(first, Subscribing) and (first.confirmed, first.topic) == (kind, topic):
            self._take().answer(None)
        elif kind == b"sunsubscribe":
            # By itself: the server does not have that topic any more.
            self._on_message(topic, b"")

    # --- life ---

    async def run(
        self, is_needed: bool, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """Keep a connection, until cancelled. Where it `is_needed` that there is one at first,
        raises `StorageError` where there cannot be.
        """
        tries, has_begun = 0, False

        def begun() -> None:
            nonlocal tries, has_begun
            if not has_begun:
                has_begun = True
                task_status.started()
            elif tries:
                logger.warning("Redis at %s is there again", self.place)
            tries = 0

        try:
            while True:
                failure = await self._hold(begun)
                if not has_begun and is_needed:
                    raise failure
                if tries == 0:
                    logger.warning("%s", failure)
                await trio.sleep(RETRY_SECONDS[min(tries, len(RETRY_SECONDS) - 1)])
                tries += 1
        finally:
            self._fall()

    async def _hold(self, begun: Callable[[], None]) -> StorageError:
        """Connect, and hold the connection until it is lost; why."""
        failures: list[StorageError] = []
        try:
            place = self.place = await self._find()
        except StorageError as exc:
            return exc
        connection = Connection(place, self._address, self._replied, self._pushed, self._together)
        is_open = trio.Event()

        async def read() -> None:
            try:
                await connection.run(is_open)
            except StorageError as exc:
                failures.append(exc)
            nursery.cancel_scope.cancel()

        async def write() -> None:
            try:
                await self._write(connection)
            except StorageError as exc:
                failures.append(exc)
            nursery.cancel_scope.cancel()

        async def watch() -> None:
            await self._watch()
            failures.append(
                StorageError(f"Redis at {place} has answered nothing for {SILENCE_SECONDS} s")
            )
            nursery.cancel_scope.cancel()

        async with trio.open_nursery() as nursery:
            self._scope = nursery.cancel_scope
            nursery.start_soon(read)
            await is_open.wait()
            nursery.start_soon(write)
            nursery.start_soon(watch)
            try:
                await self._prepare(self)
            except StorageError as exc:
                failures.append(exc)
            except SignalError as exc:
                failures.append(StorageError(f"Redis at {place}: {exc.reason}"))
            else:
                self.is_up = True
                self._on_up(self)
                begun()
                await trio.sleep_forever()
            nursery.cancel_scope.cancel()
        failure = failures[0] if failures else None
        failure = failure or StorageError(f"the connection to Redis at {place} is lost")
        self.why = f"Redis at {place} is away"
        self._fall()
        return failure

    def drop(self) -> None:
        """Give the connection up: there will be another."""
        if self._scope is not None:
            self._scope.cancel()

    def _fall(self) -> None:
        """There is no connection: what was asked on it fails."""
        self.is_up = False
        self._scope = None
        self._outgoing.clear()
        self._timed = None
        self._count = 0
        asked, self._asked = self._asked, deque()
        for ask in asked:
            ask.pipeline = None
            ask.fail(UnknownError(f"{self.why}, and whether this was done is not known"))

    async def _write(self, connection: Connection) -> None:
        while True:
            if self._outgoing:
                outgoing, self._outgoing = self._outgoing, []
                if self._timed is None:
                    self._timed, self._timed_at = outgoing[0], trio.current_time()
                await connection.send(b"".join([ask.command() for ask in outgoing]))
            else:
                await self._rest()

    async def _rest(self) -> None:
        """There is nothing to write."""
        await self._sleeper.sleep()

    async def _watch(self) -> None:
        """Return once nothing was answered for too long, although something was asked. What is
        counted are looks: time in which this process stood still is no fault of Redis's.
        """
        looks, answered = 0, self._answered
        while looks < SILENCE_SECONDS:
            await trio.sleep(1)
            is_silent = bool(self._asked) and self._answered == answered
            looks = looks + 1 if is_silent else 0
            answered = self._answered


def _itself(reply: Any) -> Any:
    return reply


def _nothing(_: object) -> None:
    return None


def refusal(failure: Failure) -> SignalError:
    """What is answered where Redis has refused."""
    if failure.is_full:
        return Full()
    if failure.code in ("LOADING", "MASTERDOWN", "CLUSTERDOWN", "READONLY", "TRYAGAIN", "ASK"):
        return away(f"Redis is not ready ({failure.code})")
    if failure.code == "WRONGTYPE":
        what = "what is there is another program's: use another prefix"
        return SignalError(ECode.GENERAL_E_FAILED, what)
    logger.warning("Redis has refused a command: %s", failure.text)
    return away(f"Redis has refused it ({failure.code})")
