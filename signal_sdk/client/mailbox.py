"""The mailbox: inbox entries from the server to callbacks, each once, and word of them back.

Owns: when to poll (as inbox.py says), what an entry's TYPE means, and what is passed over because
it has come before. Must not know the connection, but that there is one.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

import msgspec
import trio

from signal_sdk.callbacks import LoginCallback
from signal_sdk.client.calls import Calls
from signal_sdk.client.dispatcher import Dispatcher, Thunk
from signal_sdk.client.inbox import WINDOW, InboxWindow
from signal_sdk.client.log import Log
from signal_sdk.client.requests import Requests, nothing
from signal_sdk.client.seen import Seen, key_of
from signal_sdk.ecodes import ECode
from signal_sdk.errors import ProtocolError, SignalError
from signal_sdk.wire import events, functions, lines, results
from signal_sdk.wire.lines import MessageLine

if TYPE_CHECKING:
    from signal_sdk.login_session import LoginSession

__all__ = ["Mailbox"]

SENDER_UID = 0
"""The uid of a message's sender, which a message line does not carry."""

_POLLED_ANEW = SignalError(
    ECode.GENERAL_E_FAILED, "after a lost connection, the inbox is polled anew"
)


class _EntryTurn(msgspec.Struct, frozen=True, eq=False):
    """One entry's turn in the dispatcher; `line` is None where it could not be read. `window` is
    the one that it was fetched in.
    """

    mailbox: Mailbox
    window: InboxWindow
    version: int
    line: MessageLine | None

    def begin(self) -> None:
        self.mailbox.entry_began(self.window, self.version, self.line)

    def end(self) -> None:
        self.mailbox.entry_ended(self.window, self.version)


class Mailbox:
    """A session's inbox."""

    def __init__(
        self,
        session: LoginSession,
        cb: LoginCallback | None,
        requests: Requests,
        dispatcher: Dispatcher,
        calls: Calls,
        log: Log,
        wake: Callable[[float], None],
        seen: Seen | None = None,
    ) -> None:
        self._session = session
        self._cb = cb
        self._requests = requests
        self._dispatcher = dispatcher
        self._calls = calls
        self._log = log
        self._wake = wake
        self._window = InboxWindow()
        self._seen = Seen() if seen is None else seen
        self._in_hand: set[str] = set()
        self._is_closed = True
        self._is_paused = False

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
        self._dispatcher.withdraw_turns()

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
                self._put(_nothing, version, None)
            else:
                self._take(version, line)
        self._wake(self.poll_if_due())

    def _forget_seen(self, result: results.GetMessagesResult) -> None:
        self._seen.forget(result.ver_clear)

    def _take(self, version: int, line: MessageLine) -> None:
        run: Thunk | None
        key = key_of(line)
        if self._seen.has(version, line) or key in self._in_hand:
            run = None
        elif line.type != events.INSTANT:
            run = self._calls.take(line)
        elif self._cb is not None:
            receive = self._cb.on_message_instant_receive
            run = partial(receive, self._session, line.src, SENDER_UID, line.content)
        else:
            run = None
        if key is not None:
            self._in_hand.add(key)
        self._put(run or _nothing, version, line)

    def _put(self, run: Thunk, version: int, line: MessageLine | None) -> None:
        turn = _EntryTurn(self, self._window, version, line)
        self._dispatcher.put(run, turn)

    # --- what callbacks do ---

    def entry_began(self, window: InboxWindow, version: int, line: MessageLine | None) -> None:
        """The callback of an entry runs."""
        window.begin(version)
        if line is not None:
            key = key_of(line)
            if key is not None:
                self._in_hand.discard(key)
            self._seen.add(version, line)

    def entry_ended(self, window: InboxWindow, version: int) -> None:
        """The callback of an entry has returned."""
        window.handle(version, trio.current_time())
        if not self._is_closed:
            self._wake(self.poll_if_due())

    # --- polls ---

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


def _nothing() -> None:
    """What an entry that no callback hears of does in its turn, which it has all the same."""
