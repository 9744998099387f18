"""A node's engine that is far from the state that all nodes share, as one behind a network is.

Owns: the way between the two, in both directions: how long it takes, that it can be cut, and what
is made up for afterwards. Must not know who cuts it, nor what an operation does.

As over one connection to a server, what is asked arrives in its order, and so do results and what
is delivered, among one another. While nothing passes, all waits; a connection that is lost fails
all that was asked, which may have been done, and loses what would have been delivered: a new one
makes up for it from the histories and the inboxes.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Any, Final

import trio

from signal_sdk.ecodes import ECode
from signal_sdk.errors import SignalError
from signal_sdk.net.sleeper import Sleeper
from signal_sdk.server.engine.base import (
    AccountKey,
    ChannelKey,
    Clocks,
    Delivery,
    UnknownError,
    WatchedFact,
)
from signal_sdk.server.engine.embedded import EmbeddedEngine
from signal_sdk.server.engine.happened import Happening, Why
from signal_sdk.server.engine.pending import Answer, Pending
from signal_sdk.wire.events import ChannelContent

HERE: Final = frozenset(
    {
        "bound",
        "is_behind",
        "newest_time",
        "token_time",
        "arrival_time",
        "forget_newer_time",
        "statistics",
        "measures",
    }
)
"""What a node knows without asking."""
SILENCE_SECONDS: Final = 5.0
"""How long nothing may pass before the connection is taken for lost."""
INBOX: Final = 10_000


class Lane:
    """One direction: what is put into it is called at the other end, in order."""

    def __init__(self, delay: Callable[[], float]) -> None:
        self.is_held = False
        self._delay = delay
        self._under_way: deque[tuple[float, Callable[[], None]]] = deque()
        self._latest = 0.0
        self._sleeper = Sleeper()

    def put(self, call: Callable[[], None]) -> None:
        """Have it called at the other end."""
        delay = self._delay()
        if not (delay or self.is_held or self._under_way):
            call()
            return
        self._latest = max(self._latest, trio.current_time() + delay)
        self._under_way.append((self._latest, call))
        self._sleeper.wake()

    def go_on(self) -> None:
        """Let it pass again."""
        self.is_held = False
        self._sleeper.wake()

    def clear(self) -> None:
        """What is under way is lost."""
        self._under_way.clear()

    async def run(self) -> None:
        """Carry it."""
        while True:
            if self.is_held or not self._under_way:
                await self._sleeper.sleep()
                continue
            time, call = self._under_way[0]
            if time > trio.current_time():
                await trio.sleep_until(time)
            elif self._under_way.popleft():
                call()


class FarEngine:
    """The engine of one node. `inner` is the same at the state; `delay` tells how long the next
    thing is under way.
    """

    def __init__(self, inner: EmbeddedEngine, delay: Callable[[], float]) -> None:
        self.inner = inner
        self.is_dead = False
        self._is_up = True
        self._up, self._down = Lane(delay), Lane(delay)
        self._asked: dict[Pending[Any], None] = {}
        self._heard: dict[ChannelKey, int] = {}
        """What is subscribed to, and the last msgid that came of it; 0 where none has."""
        self._held: dict[AccountKey, int] = {}
        """The generations of the sessions that are connected here."""
        self._watched: dict[AccountKey, None] = {}
        self._delivery: Delivery | None = None

    # --- the node's side ---

    def attach(self, delivery: Delivery, clocks: Clocks) -> None:
        """As the contract has it."""
        self._delivery = delivery
        self.inner.attach(_Behind(self), clocks)

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """As the contract has it."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._up.run)
            nursery.start_soon(self._down.run)
            await nursery.start(self.inner.run)
            task_status.started()

    async def aclose(self) -> None:
        """As the contract has it; whoever is dead or has no connection says nothing of it."""
        if self.is_dead or not self._is_up or self._up.is_held:
            await trio.lowlevel.checkpoint()
        else:
            await self.inner.aclose()
        self.die()

    def die(self) -> None:
        """Nothing that this node does counts any more, and nobody is told."""
        self.is_dead = True
        self._lose()

    def check_writable(self) -> None:
        """As the contract has it."""
        if not self._is_up:
            raise away()

    def when_durable(
        self, then: Callable[[SignalError | None], None], *, is_urgent: bool = False
    ) -> None:
        """As the contract has it: what is answered is kept."""
        then(None)

    def __getattr__(self, name: str) -> Any:
        operation = getattr(self.inner, name)
        return operation if name in HERE else partial(self._ask, operation)

    def sweep(self) -> Answer[None]:
        """As the contract has it: what cannot be done now is left for the next time."""
        swept: Pending[None] = Pending()

        def when() -> None:
            swept.resolve(None)

        asked = self._begin(self.inner.sweep)
        asked.when_done(when)
        return swept

    def log_in(self, *args: Any, **kwargs: Any) -> Any:
        """As the contract has it."""
        return self._ask(partial(self._hold, self.inner.log_in), *args, **kwargs)

    def resume(self, *args: Any) -> Any:
        """As the contract has it."""
        return self._ask(partial(self._hold, self.inner.resume), *args)

    def disconnect(self, key: AccountKey, generation: int) -> Any:
        """As the contract has it."""
        self._let_go(key, generation)
        return self._ask(self.inner.disconnect, key, generation)

    def end(
        self, key: AccountKey, generation: int, *, expires: bool = False, why: str = Why.LOGOUT
    ) -> Any:
        """As the contract has it."""
        if not expires:
            self._let_go(key, generation)
        return self._ask(self.inner.end, key, generation, expires=expires, why=why)

    def subscribe(self, key: ChannelKey) -> Any:
        """As the contract has it."""
        self._heard.setdefault(key, 0)
        return self._ask(self._subscribe, key)

    def watch(self, key: AccountKey) -> Any:
        """As the contract has it."""
        self._watched[key] = None
        return self._ask(self.inner.watch, key)

    def unwatch(self, key: AccountKey) -> None:
        """As the contract has it."""
        self._watched.pop(key, None)
        if self._is_up:
            self._up.put(partial(self._unwatch, key))

    def _unwatch(self, key: AccountKey) -> None:
        if key not in self._watched:
            self.inner.unwatch(key)

    def unsubscribe(self, key: ChannelKey) -> None:
        """As the contract has it."""
        self._heard.pop(key, None)
        if self._is_up:
            self._up.put(partial(self._unsubscribe, key))

    def _ask(self, operation: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        asked = self._begin(partial(operation, *args, **kwargs))
        return asked.result() if asked.is_done else asked

    def _begin(self, operation: Callable[[], Any]) -> Pending[Any]:
        asked: Pending[Any] = Pending()
        if self._is_up:
            self._asked[asked] = None
            self._up.put(partial(self._arrive, operation, asked))
        else:
            asked.fail(away())
        return asked

    def _let_go(self, key: AccountKey, generation: int) -> None:
        if self._held.get(key) == generation:
            del self._held[key]

    # --- the state's side ---

    def _arrive(self, operation: Callable[[], Any], asked: Pending[Any]) -> None:
        try:
            answer = partial(asked.resolve, operation())
        except SignalError as exc:
            answer = partial(asked.fail, exc)
        self._down.put(partial(self._answer, asked, answer))

    def _answer(self, asked: Pending[Any], answer: Callable[[], None]) -> None:
        del self._asked[asked]
        answer()

    def _hold(self, operation: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        found = operation(*args, **kwargs)
        if found is not None:
            # Before the result, so that what is delivered between is the session's.
            key, presence = found if isinstance(found, tuple) else (args[0], found)
            self._down.put(partial(self._held.__setitem__, key, presence.generation))
        return found

    def _subscribe(self, key: ChannelKey) -> None:
        self.inner.subscribe(key)
        last = self.inner.roster(key, 0).msgid
        self._down.put(partial(self._begins, key, last))

    def _begins(self, key: ChannelKey, last: int) -> None:
        if self._heard.get(key) == 0:
            self._heard[key] = last

    def _unsubscribe(self, key: ChannelKey) -> None:
        if key not in self._heard:
            self.inner.unsubscribe(key)

    def tell(self, of: AccountKey | ChannelKey | None, call: Callable[[Delivery], None]) -> None:
        """Tell the node of what is its own."""
        if self._is_up:
            self._down.put(partial(self._told, of, call))

    def _told(self, of: AccountKey | ChannelKey | None, call: Callable[[Delivery], None]) -> None:
        if self._delivery is not None and not (
            isinstance(of, ChannelKey) and of not in self._heard
        ):
            call(self._delivery)

    def heard(self, key: ChannelKey, msgid: int) -> None:
        """This event of a channel was handed on."""
        self._heard[key] = msgid

    # --- cuts ---

    def hold(self, *, up: bool = True, down: bool = True) -> None:
        """Let nothing pass: what is asked (`up`), and what is answered and delivered (`down`)."""
        self._up.is_held = self._up.is_held or up
        self._down.is_held = self._down.is_held or down

    def lose(self) -> None:
        """The connection is lost."""
        if not self.is_dead:
            self._lose()

    def _lose(self) -> None:
        self._is_up = False
        for lane in (self._up, self._down):
            lane.clear()
            lane.go_on()
        if not self.is_dead:
            for key in self._heard:
                self.inner.unsubscribe(key)
            for watched in self._watched:
                self.inner.unwatch(watched)
        asked, self._asked = self._asked, {}
        for it in asked:
            it.fail(UnknownError("the state is away, and whether this was done is not known"))

    def heal(self) -> None:
        """There is a connection again, or the old one goes on."""
        if self.is_dead:
            return
        if self._is_up:
            self._up.go_on()
            self._down.go_on()
            return
        self._is_up = True
        node = self.inner.node
        self.inner.sweep()
        if self.inner.node != node:
            # Others were quicker: nothing of this is its own any more, and it is told so.
            return
        for channel, last in list(self._heard.items()):
            self.inner.subscribe(channel)
            for event in self.inner.history(channel, last) or () if last else ():
                _Behind(self).deliver_event(channel, event.msgid, event.content, event.time_ms)
        for watched in self._watched:
            _Behind(self).deliver_watched(watched, self.inner.watch(watched))
        for key, generation in list(self._held.items()):
            self._look_over(key, generation)
        self._part_from_others()

    def _look_over(self, key: AccountKey, generation: int) -> None:
        """What was this session told meanwhile?"""
        presence = self.inner.presence(key)
        behind = _Behind(self)
        if presence is None or (presence.generation, presence.node) != (
            generation,
            self.inner.node,
        ):
            behind.deliver_loss(key, generation)
            return
        entries = self.inner.read_inbox(key, 0, INBOX).entries
        if entries:
            behind.deliver_entry(key, entries[-1].version, entries[-1].line)

    def _part_from_others(self) -> None:
        """What this node has begun or ended and nobody has heard of is as if the connection had
        broken now.
        """
        for key, presence in self.inner.online():
            if presence.node == self.inner.node and self._held.get(key) != presence.generation:
                self.inner.disconnect(key, presence.generation)

    def be_reborn(self) -> None:
        """Nothing of the earlier life is this node's any more."""
        self._heard.clear()
        self._held.clear()
        self._watched.clear()


class _Behind(Delivery):
    """The node, as the state tells it."""

    def __init__(self, far: FarEngine) -> None:
        self._far = far

    def deliver_entry(self, key: AccountKey, version: int, line: str) -> None:
        self._far.tell(key, lambda it: it.deliver_entry(key, version, line))

    def deliver_event(
        self, key: ChannelKey, msgid: int, content: ChannelContent, time_ms: int
    ) -> None:
        def deliver(delivery: Delivery) -> None:
            self._far.heard(key, msgid)
            delivery.deliver_event(key, msgid, content, time_ms)

        self._far.tell(key, deliver)

    def deliver_kick(self, key: AccountKey, generation: int) -> None:
        self._far.tell(key, lambda it: it.deliver_kick(key, generation))

    def deliver_loss(self, key: AccountKey, generation: int) -> None:
        self._far.tell(key, lambda it: it.deliver_loss(key, generation))

    def deliver_expiry(self, key: AccountKey, generation: int) -> None:
        self._far.tell(key, lambda it: it.deliver_expiry(key, generation))

    def deliver_removal(
        self, key: AccountKey, generation: int, channel: str, msgid: int, time_ms: int
    ) -> None:
        self._far.tell(key, lambda it: it.deliver_removal(key, generation, channel, msgid, time_ms))

    def deliver_grant(
        self, key: AccountKey, generation: int, channel: str, lock: str, ask: str
    ) -> None:
        self._far.tell(key, lambda it: it.deliver_grant(key, generation, channel, lock, ask))

    def deliver_watched(self, key: AccountKey, fact: WatchedFact) -> None:
        self._far.tell(key, lambda it: it.deliver_watched(key, fact))

    def deliver_fencing(self) -> None:
        def deliver(delivery: Delivery) -> None:
            self._far.be_reborn()
            delivery.deliver_fencing()

        self._far.tell(None, deliver)

    def deliver_happening(self, happening: Happening) -> None:
        self._far.tell(None, lambda it: it.deliver_happening(happening))

    def deliver_kept(self) -> None:
        self._far.tell(None, lambda it: it.deliver_kept())

    def gather(self) -> AbstractContextManager[None]:
        # What is behind goes its own way, and says nothing of turns.
        return nullcontext()

    def give_way(self, *, at_once: bool = False) -> None:
        """Nothing is read."""

    def flush(self) -> None:
        """Nothing is written."""

    def together(self) -> AbstractContextManager[None]:
        return nullcontext()


def away() -> SignalError:
    """What is answered while nothing can be done."""
    return SignalError(ECode.GENERAL_E_FAILED, "the state is away: nothing can be changed now")
