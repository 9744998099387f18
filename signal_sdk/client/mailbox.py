"""The mailbox: inbox entries from the server, each told once, and word of them back.

Owns: when to poll (as inbox.py says), what an entry's TYPE means, and what is passed over because
it has come before. Must not know the connection, but that there is one, nor what is made of an
entry, but when that begins and ends.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import msgspec
import trio

from signal_sdk.client.calls import Calls
from signal_sdk.client.facts import MessageReceived, PassedOver, Sink, Turn
from signal_sdk.client.inbox import WINDOW, InboxWindow
from signal_sdk.client.log import Log
from signal_sdk.client.requests import Requests, nothing
from signal_sdk.client.seen import Seen, key_of
from signal_sdk.client.spanned import Spanned
from signal_sdk.client.trace import SessionTrace
from signal_sdk.ecodes import ECode
from signal_sdk.errors import ParameterError, ProtocolError, SignalError
from signal_sdk.wire import events, functions, lines, results
from signal_sdk.wire.lines import MessageLine
from signal_sdk.wire.properties import decode_bytes

__all__ = ["Mailbox"]

_POLLED_ANEW = SignalError(
    ECode.GENERAL_E_FAILED, "after a lost connection, the inbox is polled anew"
)


class _EntryTurn(msgspec.Struct, frozen=True, eq=False):
    """One entry's turn in the dispatcher; `line` is None where it could not be read, and `key` is
    what tells it from others. `window` is the one that it was fetched in.
    """

    mailbox: Mailbox
    window: InboxWindow
    version: int
    line: MessageLine | None = None
    key: str | None = None

    def begin(self) -> None:
        """The callback of the entry runs."""
        version, line, mailbox = self.version, self.line, self.mailbox
        self.window.begin(version)
        if line is not None:
            mailbox.in_hand.discard(self.key)
            mailbox.seen.add(version, line, self.key)

    def end(self) -> None:
        """The callback of the entry has returned."""
        if self.window.handle(self.version, trio.current_time):
            self.mailbox.look()


class Mailbox:
    """A session's inbox. `withdraw` takes back every entry that was told and has not begun."""

    def __init__(
        self,
        sink: Sink[MessageReceived | PassedOver],
        requests: Requests,
        calls: Calls,
        log: Log,
        *,
        wake: Callable[[float], None],
        withdraw: Callable[[], None],
        seen: Seen,
    ) -> None:
        self._sink = sink
        self._requests = requests
        self._calls = calls
        self._log = log
        self._wake = wake
        self._withdraw = withdraw
        self._window = InboxWindow()
        self.seen: Seen = seen
        self.in_hand: set[str | None] = set()
        self._is_closed = True
        self._is_paused = False
        self.trace: SessionTrace | None = None
        """What is told of each entry."""
        self.takes_bytes: bool = False
        """Is the session told messages that are bytes?"""
        self.spanned: Spanned | None = None
        """What makes spans of the messages among them."""

    # --- the session's life ---

    def open(self) -> None:
        """The session is logged in: fetch what waits."""
        self._is_closed = False
        self.poll_if_due()

    def pause(self) -> None:
        """The connection is lost: callbacks go on, and the server hears of them later."""
        self._is_paused = True

    def resume(self) -> None:
        """There is a connection again: fetch what came meanwhile."""
        self._is_paused = False
        self._window.resume()
        self._wake(self.poll_if_due())

    def start_afresh(self) -> None:
        """The server knows nothing of the session any more, and counts as it likes. What is in hand
        is told all the same, and passed over where it comes again.
        """
        self._window = InboxWindow()

    def close(self) -> None:
        """The session takes no more; entries that have not begun stay with the server."""
        self._is_closed = True
        self._withdraw()

    def tell_last(self) -> None:
        """Tell the server, before logging out, what it need not deliver again."""
        version = self._window.last_told()
        if version is not None:
            # What that poll brings stays in the inbox.
            self._requests.call(
                lambda: _page_after(version),
                results.GetMessagesResult,
                nothing,
                done=self._forget_seen,
                failed=lambda exc: self._log.debug("the inbox was not told: %s", exc),
                always=True,
            )

    # --- what the server sends ---

    def announced(self, version: int) -> None:
        """An entry of this version is there."""
        self._window.announce(version)
        self.poll_if_due()

    def pushed(self, version: int, line: MessageLine) -> None:
        """An entry has come by itself."""
        if self._is_closed:
            return
        if self._window.push(version):
            self._take(version, line)
        else:
            self.poll_if_due()

    def _polled(self, window: InboxWindow, result: results.GetMessagesResult) -> None:
        new = window.polled(result.ver_clear, result.msgs)
        self._forget_seen(result)
        if self._is_closed:
            return
        for version, text in new:
            try:
                line = lines.decode(text)
            except ProtocolError as exc:
                self._log.debug("inbox entry %d is passed over: %s", version, exc)
                self._sink(PassedOver(_EntryTurn(self, self._window, version)))
            else:
                self._take(version, line)
        self._wake(self.poll_if_due())

    def _forget_seen(self, result: results.GetMessagesResult) -> None:
        self.seen.forget(result.ver_clear)

    def _take(self, version: int, line: MessageLine) -> None:
        if self.trace is not None:
            self.trace.entry(version, line)
        key = key_of(line)
        turn: Turn = _EntryTurn(self, self._window, version, line, key)
        if key in self.in_hand or self.seen.has(version, line, key):
            self._sink(PassedOver(turn))
            return
        if key is not None:
            self.in_hand.add(key)
        if self.spanned is not None:
            turn = self.spanned.entry(line, turn)
        if line.properties is not None and line.properties.binary:
            self._take_bytes(line, turn)
        elif line.type == events.INSTANT:
            self._sink(MessageReceived(line.src, line.content, turn, line.properties))
        elif not self._calls.take(line, turn):
            self._sink(PassedOver(turn))

    def _take_bytes(self, line: MessageLine, turn: Turn) -> None:
        """A message that says bytes has come, which is for who takes these."""
        try:
            data = decode_bytes(line.content) if self.takes_bytes else None
        except ParameterError as exc:
            self._log.debug("bytes of %s are passed over: %s", line.src, exc)
            data = None
        if data is None:
            self._sink(PassedOver(turn))
        else:
            self._sink(MessageReceived(line.src, "", turn, line.properties, data))

    # --- polls ---

    def look(self) -> None:
        """Something may be due, or sooner than it was."""
        if not self._is_closed:
            self._wake(self.poll_if_due())

    def poll_if_due(self) -> float:
        """Poll, if it is time; when to ask again."""
        if self._is_closed or self._is_paused:
            return math.inf
        window = self._window
        now = trio.current_time()
        if window.wants_poll(now):
            version = window.poll()
            self._requests.call(
                lambda: _page_after(version),
                results.GetMessagesResult,
                nothing,
                done=partial(self._polled, window),
                failed=partial(self._poll_failed, window),
                lapse=lambda: _POLLED_ANEW,
                always=True,
            )
        return window.due(now)

    def _poll_failed(self, window: InboxWindow, error: SignalError) -> None:
        self._log.debug("polling the inbox failed: %s", error)
        now = trio.current_time()
        window.poll_failed(now)
        self._wake(window.due(now))


def _page_after(version: int) -> functions.UserGetMessages:
    return functions.UserGetMessages(ver_clear=version, max=WINDOW)
