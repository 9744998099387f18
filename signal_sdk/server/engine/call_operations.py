"""The embedded engine's calls: a live call is replaced, and its entries are posted, in one step.

Owns: these operations. Must not know what a call's state means, or how a change is written.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Sequence

from signal_sdk.ecodes import ECode
from signal_sdk.server.engine.base import AccountKey, Call, CallKey, Post
from signal_sdk.server.engine.bounds import QuotaError, check
from signal_sdk.server.engine.inbox_operations import InboxOperations
from signal_sdk.server.engine.tables import Account, call_row


class CallOperations(InboxOperations):
    """Calls, as the contract has them. A step is an entry in an inbox: hence the inboxes below."""

    async def call(self, key: CallKey) -> Call | None:
        return self._calls.get(key)

    async def swap_call(
        self, key: CallKey, old: Call | None, new: Call | None, posts: Sequence[Post], now: float
    ) -> bool:
        if self._calls.get(key) != old:
            return False
        if old is None and new is not None:
            self._check_calls(AccountKey(key.app, new.caller))
        sides = (AccountKey(key.app, key.one), AccountKey(key.app, key.other))
        if new is None:
            self._calls.pop(key, None)
            for side in sides:
                if (account := self._accounts.get(side)) is not None:
                    account.calls.pop(key, None)
            self._commits.drop("calls", key)
        else:
            for account in self._both(sides):
                account.calls[key] = None
            self._calls[key] = new
            self._commits.put("calls", key, call_row(key, new))
        for post in posts:
            # A call must be able to end, also where a side's inbox has no room.
            with contextlib.suppress(QuotaError):
                await self.post(post, now)
        for side in sides:
            if (account := self._accounts.get(side)) is not None:
                self._inboxes.let_go(account)
        return True

    def _both(self, sides: Iterable[AccountKey]) -> list[Account]:
        """A call's accounts, which need not be known. Raises `QuotaError`, and makes none then."""
        made: list[Account] = []
        try:
            for side in sides:
                made.append(self._state.account(side))  # noqa: PERF401  those before one that fails
        except QuotaError:
            for account in made:
                self._inboxes.let_go(account)
            raise
        return made

    def _check_calls(self, caller: AccountKey) -> None:
        account = self._accounts.get(caller)
        most = self._state.bounds.account_calls
        if account is None or not most or len(account.calls) < most:
            return
        # Nobody's calls end because others call.
        own = sum(self._calls[key].caller == caller.account for key in account.calls)
        check(own, most, f"the live calls of {caller.account!r}", ECode.INVITE_E_OTHER)

    async def calls_of(self, key: AccountKey) -> Sequence[CallKey]:
        account = self._accounts.get(key)
        return tuple(account.calls) if account else ()
