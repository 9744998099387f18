"""The sessions of one `Signal`, by their accounts.

Owns: which session an account has, which of them run, and what an account's last one hands on to
its next. Must not know how a session is made, nor what it does.
"""

from __future__ import annotations

from typing import Final

import trio

from signal_sdk.client.seen import Seen
from signal_sdk.client.session import SessionClient
from signal_sdk.session_sink import SessionSink

__all__ = ["Sessions"]

MAX_SEEN_ACCOUNTS: Final = 1000
"""Of how many accounts that are not logged in any more it is kept which messages have been seen."""


class Sessions:
    """All sessions that have not ended, and the `latest`, even where it has."""

    def __init__(self) -> None:
        self.latest: SessionSink | None = None
        self._by_account: dict[str, SessionSink] = {}
        self._running: set[SessionSink] = set()
        self._seen: dict[str, Seen] = {}
        self._waiting_for_end = trio.lowlevel.ParkingLot()

    def __len__(self) -> int:
        return len(self._running)

    def of(self, account: str) -> SessionSink | None:
        """The account's latest session, where that has not ended."""
        return self._by_account.get(account)

    @property
    def accounts(self) -> frozenset[str]:
        """Who is logged in, or about to be. In any thread: the list is made in one step."""
        logins = list(self._by_account.items())
        return frozenset(account for account, login in logins if login.client.is_staying)

    def handed_on(self, account: str) -> Seen | None:
        """What the account's earlier sessions hand on to its next."""
        before = self._by_account.get(account)
        return before.client.seen if before is not None else self._seen.pop(account, None)

    def add(self, login: SessionSink) -> None:
        """There is another session, which is to be run."""
        self._by_account[login.client.account] = login
        self.latest = login
        self._running.add(login)

    async def run(self, login: SessionSink) -> None:
        """Run a session that was added, to its end."""
        try:
            await login.run()
        finally:
            self._running.discard(login)
            account = login.client.account
            if self._by_account.get(account) is login:
                del self._by_account[account]
                self._keep_seen(login.client)
            self._waiting_for_end.unpark_all()

    def _keep_seen(self, client: SessionClient) -> None:
        """Keep what the server does not know yet to have been handled, for the next login."""
        if client.seen.may_come_again:
            while len(self._seen) >= MAX_SEEN_ACCOUNTS:
                del self._seen[next(iter(self._seen))]
            self._seen[client.account] = client.seen.trimmed()

    async def log_out_all(self) -> None:
        """Log all of them out, and wait until they have ended."""
        for login in self._running:
            if login.client.is_staying:
                login.client.log_out()
        while self._running:
            await self._waiting_for_end.park()
