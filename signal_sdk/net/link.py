"""What every link is: one connection, on which whole messages come in and bytes go out.

Owns: how what arrives is handed to whoever serves the connection, with and without a task. Must
not know where a message ends (each kind of link does: `_feed`), nor what is made of it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import ClassVar, Final, Generic, TypeVar

import trio

from signal_sdk.errors import LinkError
from signal_sdk.net.closed import ABNORMAL_CLOSURE, LinkClosed, ReadsTooSlowly
from signal_sdk.net.outbox import Outbox
from signal_sdk.net.reactor import IN_A_WORD, Reactor
from signal_sdk.net.sleeper import Sleeper
from signal_sdk.net.strangers import (
    FRAME_COST_BYTES,
    READ_COST_BYTES,
    Pool,
    StrangerBounds,
    Tab,
)
from signal_sdk.net.transport import Transport

M = TypeVar("M")

MESSAGES_PER_TURN: Final = 32
"""How many messages of one read are handed out at once before others run."""


class StreamLink(Generic[M]):
    """A connection that is open. Subclasses put what they have read into `_messages`."""

    __slots__ = (
        "_failure",
        "_has_more",
        "_is_closed",
        "_is_held",
        "_messages",
        "_outbox_bytes",
        "_pause",
        "_reactor",
        "_receiving",
        "_rouse",
        "_sleeper",
        "_tab",
        "_take",
        "_transport",
        "heard_at",
        "outbox",
    )

    def __init__(self, transport: Transport, reactor: Reactor, *, outbox_bytes: int = 0) -> None:
        self._transport = transport
        self._reactor = reactor
        self._is_closed = False
        self._is_held = False
        self._has_more = False
        """Is there something that was received, and is not taken apart yet?"""
        self._messages: list[M] = []
        self._take: Callable[[M], bool] | None = None
        self._failure: Exception | None = None
        self._sleeper = Sleeper()
        self._rouse: Callable[[], None] | None = None
        self._receiving: trio.CancelScope | None = None
        self._pause = 0.0
        """For how many seconds nothing is to be handed out."""
        self._tab: Tab | None = None
        """What a stranger has used up; None where the other side is known."""
        self._outbox_bytes = outbox_bytes
        self.heard_at: float = reactor.clock.time()
        """When the last message arrived, or the link began, by the reactor's patient clock."""
        self.outbox: Outbox = Outbox(
            transport, reactor.flusher, self._on_broken, max_bytes=outbox_bytes
        )

    # --- what each kind of link says ---

    def _feed(self, data: bytes) -> None:
        """Take what was received, or with no bytes the end of the stream."""
        raise NotImplementedError

    @property
    def _is_ended(self) -> bool:
        """Is nothing more to come, but for what is in `_messages`?"""
        raise NotImplementedError

    SHORT_BYTES: ClassVar[int] = 0
    """No more bytes than this are shown to `_is_answered`."""

    def _is_answered(self, data: bytes) -> bool:  # noqa: ARG002  for who answers some
        """Was what was received answered where it was read? It is nothing for `_feed` then."""
        return False

    def _feed_more(self) -> None:
        """Take some of what was received, and is not taken apart yet."""

    def _end_reason(self) -> LinkClosed:
        """Why nothing more is to come."""
        raise NotImplementedError

    @property
    def _kept_bytes(self) -> int:
        """How much is kept of what is not whole yet."""
        raise NotImplementedError

    def _turn_away(self, reason: str, *, is_full: bool) -> None:
        """Tell the other side, which has sent too much, that nothing more is heard of it; it may
        try again where it is rather that all have, and `is_full`.
        """

    # --- strangers ---

    def distrust(self, bounds: StrangerBounds, pool: Pool | None = None) -> None:
        """The other side is a stranger, until `trust`. What is over a bound ends the link, and what
        is kept over one takes of `pool`, which links share.
        """
        self._tab = Tab(bounds.allowance_bytes, bounds.kept_bytes, pool)
        self.outbox.bound(min(bounds.outbox_bytes, self._outbox_bytes or bounds.outbox_bytes))

    def trust(self) -> None:
        """From here on the link's own bounds are all."""
        self._let_go_of_tab()
        self._tab = None
        self.outbox.bound(self._outbox_bytes)

    def _let_go_of_tab(self) -> None:
        if self._tab is not None:
            self._tab.let_go()

    def _affords(self, cost: int) -> bool:
        """Count what a stranger sends. Where that is too much, the link ends."""
        tab = self._tab
        if tab is None:
            return True
        was_over = tab.is_over
        if tab.affords(cost):
            return True
        if not was_over:
            self._shut_out(tab, "more was sent before a login than any login takes")
        return False

    def _feed_of_stranger(self, tab: Tab, data: bytes) -> None:
        """As `_feed`, where that is within the bounds."""
        if self._affords(len(data) + READ_COST_BYTES):
            self._feed(data)
            if not tab.keeps(self._kept_bytes):
                reason = "too many long logins are on their way: try again later"
                self._shut_out(tab, reason, is_full=True)

    def _shut_out(self, tab: Tab, reason: str, *, is_full: bool = False) -> None:
        tab.end()
        self._messages.clear()
        self._turn_away(reason, is_full=is_full)
        self._fail(LinkClosed(ABNORMAL_CLOSURE, reason))

    # --- what all have in common ---

    @property
    def peer(self) -> str:
        """The other side's address, for logs."""
        return self._transport.peer

    @property
    def host(self) -> str:
        """The other side's IP address; empty where it has none."""
        return self._transport.host

    @property
    def unsent_bytes(self) -> int:
        """How many bytes wait to be sent."""
        return self.outbox.size

    @property
    def is_open(self) -> bool:
        """Can messages still be sent?"""
        return self.is_listening

    @property
    def is_listening(self) -> bool:
        """Is what arrives still of interest: was it not this side that has closed? What the other
        side said before its own close is.
        """
        return not self._is_closed and not self.outbox.broken

    @property
    def taken_at(self) -> float:
        """When what is being handed to `take` was read, by trio's clock."""
        return self._reactor.read_at[1]

    def _on_broken(self, reason: str) -> None:
        kind = ReadsTooSlowly if self.outbox.is_overrun else LinkClosed
        self._fail(kind(ABNORMAL_CLOSURE, reason))

    def _fail(self, exc: Exception) -> None:
        """There is nothing more to be received, and this is why."""
        if self._failure is None:
            self._failure = exc
        self.wake()

    def watch(self, take: Callable[[M], bool]) -> None:
        """From here on, whenever messages arrive, the reactor hands them to `take`, one by one.
        What `take` returns False for waits for `receive`, and so does all behind it: until
        `receive` is called again, no more is read. An exception of `take` is raised by `receive`.
        """
        self._take = take

    def rest(self, rouse: Callable[[], None]) -> bool:
        """Have messages taken while nobody is in `receive`; `rouse` is called once, when there is
        something for it: what `take` did not take, or the end. False where `receive` is needed from
        the start. Raises `LinkError` where the transport is closed.
        """
        is_due = self._messages or self._failure is not None or self._is_ended
        if is_due or not self._transport.watch(self._reactor, self._read):
            return False
        self._rouse = rouse
        if self._has_more:
            self._reactor.call_soon(self._read)
        return True

    def pause(self, seconds: float) -> None:
        """For who takes messages, and has just not taken one: it is handed to him again in so many
        seconds, and nothing is read until then. Where a task of its own reads, `receive` has it.
        """
        self._pause = seconds

    def hold(self) -> None:
        """For who takes messages, and has just not taken one: nothing is handed to him, or read,
        until `go_on`. Where a task of its own reads, `receive` has it at once.
        """
        self._is_held = True
        self._transport.unwatch()

    def go_on(self) -> None:
        """What was held goes on. Does nothing where nothing was, or somebody receives by now."""
        if not self._is_held:
            return
        self._is_held = False
        if not self._is_closed and self._transport.watch(self._reactor, self._read):
            self._reactor.call_soon(self._read)

    async def receive(self) -> list[M]:
        """Wait for messages: one or more, in order. Raises `LinkClosed` once there are none to
        come: the other side has closed or gone, or `close` was called here, by whatever task.
        """
        while True:
            if self._messages:
                self._is_held = False
                messages, self._messages = self._messages, []
                return messages
            if self._failure is not None:
                raise self._failure
            if self._is_ended:
                raise self._end_reason()
            try:
                await self._arrival()
            except LinkError as exc:
                self._fail(LinkClosed(ABNORMAL_CLOSURE, str(exc)))

    async def _arrival(self) -> None:
        """Wait until something has arrived, which may be nothing for `receive`."""
        if self._has_more:
            await trio.lowlevel.checkpoint()
            self._feed_more()
            self._hand_out_all()
            return
        if self._take is not None and self._transport.watch(self._reactor, self._read):
            try:
                await self._sleeper.sleep()
            finally:
                self._transport.unwatch()
            return
        data = None
        with trio.CancelScope() as self._receiving:
            data = await self._transport.receive_some()
        if data is not None:
            if self._tab is None:
                self._feed(data)
            else:
                self._feed_of_stranger(self._tab, data)
            self._hand_out_all()

    def _hand_out_all(self) -> None:
        """What is not taken at once is for `receive`."""
        if self._messages and self._affords(len(self._messages) * FRAME_COST_BYTES):
            self._reactor.look_at_clock()
            self.heard_at, _ = self._reactor.read_at
            self._hand_out(math.inf)

    def wake(self) -> None:
        """Have whoever waits in `receive` look again; where nobody does, rouse somebody."""
        rouse, self._rouse = self._rouse, None
        self._is_held = False
        if rouse is not None:
            self._transport.unwatch()
            rouse()
        self._sleeper.wake()
        if self._receiving is not None:
            self._receiving.cancel()

    def _read(self) -> float | None:
        """Take what has arrived, without waiting. The reactor's: in how many seconds to call it
        again, if anything is left.
        """
        if self._rouse is None and not self._sleeper.is_asleep:
            # Whoever receives has been woken, and is not there yet.
            return None
        was_behind = self._has_more or bool(self._messages)
        later = None
        try:
            if not was_behind and self._tab is None:
                data = self._transport.receive_nowait()
                if data is not None:
                    if len(data) <= self.SHORT_BYTES and self._is_answered(data):
                        return None
                    self._feed(data)
            elif not self._messages:
                self._take_in()
            if self._messages:
                self.heard_at, _ = self._reactor.read_at
                later = self._hand_out(self._reactor.turn_ends)
        except LinkError as exc:
            self._fail(LinkClosed(ABNORMAL_CLOSURE, str(exc)))
        except Exception as exc:  # noqa: BLE001  `receive` raises it
            self._messages.clear()
            self._fail(exc)
        if later is not None or self._is_held:
            return later
        if self._messages or self._is_ended:
            self.wake()
        elif was_behind or self._has_more:
            # What has arrived meanwhile may have been told of, to no avail.
            return 0.0
        return None

    def _take_in(self) -> None:
        """Take apart some of what has arrived. What is too much of a stranger makes no messages."""
        if self._has_more:
            self._feed_more()
        else:
            data = self._transport.receive_nowait()
            if data is None:
                return
            if self._tab is None:
                self._feed(data)
            else:
                self._feed_of_stranger(self._tab, data)
        if self._tab is not None and not self._affords(len(self._messages) * FRAME_COST_BYTES):
            self._messages.clear()

    def _hand_out(self, ends: float) -> float | None:
        """Let `take` have what it takes until `ends`, by the reactor's time. In how many seconds
        the rest is to be handed out; None where there is none, or it is for `receive`.
        """
        take, messages, outbox = self._take, self._messages, self.outbox
        if take is None:
            return None
        last = len(messages)
        if last > 1 and ends == IN_A_WORD:
            return 0.0
        for taken, message in enumerate(messages):
            if taken and (taken == MESSAGES_PER_TURN or self._reactor.time() >= ends):
                del messages[:taken]
                return 0.0
            # As `is_listening`.
            if self._is_closed or outbox.broken or not take(message):
                del messages[:taken]
                later, self._pause = self._pause or None, 0.0
                return later
        del messages[:last]
        return None

    def send_encoded(self, data: bytes) -> None:
        """Send bytes that are whole messages of this kind of link. Never waits; on a link that is
        closing, nothing is sent.
        """
        if self.is_open:
            self.outbox.append(data)

    def let_go(self) -> None:
        """It is closed: hold nothing that holds it, so that it goes with whoever has it, and need
        not be looked for as garbage, which a busy server seldom does.
        """
        self._take = None
        self._let_go_of_tab()
        if self._failure is not None:
            self._failure.__traceback__ = None
        self.outbox.let_go()

    def abort(self) -> None:
        """Close the transport at once, without a word."""
        self._is_closed = True
        self._let_go_of_tab()
        self._transport.close()
        self.wake()
