"""The mailbox: inbox entries from the server to callbacks, and word of them back.

Owns: when to poll (as inbox.py says), and what an entry's TYPE means. Must not know the connection.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

import attrs
import trio

from signal_sdk.callbacks import LoginCallback
from signal_sdk.client.calls import Calls
from signal_sdk.client.dispatcher import Dispatcher, Thunk
from signal_sdk.client.inbox import WINDOW, InboxWindow
from signal_sdk.client.log import Log
from signal_sdk.client.requests import Requests
from signal_sdk.errors import ProtocolError, SignalError
from signal_sdk.wire import events, functions, lines
from signal_sdk.wire.lines import MessageLine

if TYPE_CHECKING:
    from signal_sdk.login_session import LoginSession

__all__ = ["Mailbox", "Seen"]

SENDER_UID = 0
"""The uid of a message's sender, which a message line does not carry."""

Seen = dict[int, MessageLine]
"""Entries by version whose callbacks have begun, and which the server may still have: a connection
that breaks leaves some, and the account's next session gets them again."""


@attrs.frozen
class _EntryTurn:
    """One entry's turn in the dispatcher; `line` is None where it could not be read."""

    mailbox: Mailbox
    version: int
    line: MessageLine | None

    def begin(self) -> None:
        self.mailbox.entry_began(self.version, self.line)

    def end(self) -> None:
        self.mailbox.entry_ended(self.version)


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
        wake: Callable[[], None],
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
        self._seen: Seen = {} if seen is None else seen
        self._is_closed = True

    # --- the session's life ---

    def open(self) -> None:
        """The session is logged in: fetch what waits."""
        self._is_closed = False
        self.poll_if_due()

    def close(self) -> None:
        """The session takes no more; entries that have not begun stay with the server."""
        self._is_closed = True
        self._dispatcher.withdraw_turns()

    def tell_last(self) -> None:
        """Tell the server, before logging out, what it need not deliver again."""
        version = self._window.last_told()
        if version is not None:
            # What that poll brings stays in the inbox.
            self._ask(version, self._forget_seen)

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

    def _polled(self, result: functions.GetMessagesResult) -> None:
        new = self._window.polled(result.ver_clear, result.msgs)
        self._forget_seen(result)
        if self._is_closed:
            return
        for version, text in new:
            try:
                line = lines.decode(text)
            except ProtocolError as exc:
                self._log.debug("inbox entry %d is passed over: %s", version, exc)
                self._dispatcher.put(_nothing, _EntryTurn(self, version, None))
            else:
                self._take(version, line)
        self.poll_if_due()
        self._wake()

    def _forget_seen(self, result: functions.GetMessagesResult) -> None:
        for version in [version for version in self._seen if version <= result.ver_clear]:
            del self._seen[version]

    def _take(self, version: int, line: MessageLine) -> None:
        run: Thunk | None
        if self._seen.get(version) == line:
            run = None
        elif line.type != events.INSTANT:
            run = self._calls.take(line)
        elif self._cb is not None:
            receive = self._cb.on_message_instant_receive
            run = partial(receive, self._session, line.src, SENDER_UID, line.content)
        else:
            run = None
        self._dispatcher.put(run or _nothing, _EntryTurn(self, version, line))

    # --- what callbacks do ---

    def entry_began(self, version: int, line: MessageLine | None) -> None:
        """The callback of an entry runs."""
        self._window.begin(version)
        if line is not None:
            self._seen[version] = line

    def entry_ended(self, version: int) -> None:
        """The callback of an entry has returned."""
        self._window.handle(version, trio.current_time())
        if not self._is_closed:
            self.poll_if_due()
            self._wake()

    # --- polls ---

    def poll_if_due(self) -> float:
        """Poll, if it is time; when to ask again."""
        if self._is_closed:
            return math.inf
        now = trio.current_time()
        if self._window.wants_poll(now):
            self._ask(self._window.poll(), self._polled)
        return self._window.due(now)

    def _ask(self, ver_clear: int, done: Callable[[functions.GetMessagesResult], None]) -> None:
        self._requests.call(
            lambda: functions.UserGetMessages(ver_clear=ver_clear, max=WINDOW),
            functions.GetMessagesResult,
            lambda _: None,
            done=done,
            failed=self._poll_failed,
            always=True,
        )

    def _poll_failed(self, error: SignalError) -> None:
        self._log.debug("polling the inbox failed: %s", error)
        self._window.poll_failed(trio.current_time())
        self._wake()


def _nothing() -> None:
    """What an entry that no callback hears of does in its turn, which it has all the same."""
