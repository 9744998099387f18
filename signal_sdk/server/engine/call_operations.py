"""The embedded engine's calls: a live call is replaced, and its entries are posted, in one step.

Owns: these operations. Must not know what a call's state means, or how a change is written.
"""

from __future__ import annotations

from collections.abc import Sequence

from signal_sdk.server.engine.base import AccountKey, Call, CallKey, Post
from signal_sdk.server.engine.inbox_operations import InboxOperations
from signal_sdk.server.engine.tables import call_row


class CallOperations(InboxOperations):
    """Calls, as the contract has them. A step is an entry in an inbox: hence the inboxes below."""

    async def call(self, key: CallKey) -> Call | None:
        return self._calls.get(key)

    async def swap_call(
        self, key: CallKey, old: Call | None, new: Call | None, posts: Sequence[Post], now: float
    ) -> bool:
        if self._calls.get(key) != old:
            return False
        sides = (AccountKey(key.app, key.one), AccountKey(key.app, key.other))
        if new is None:
            self._calls.pop(key, None)
            for side in sides:
                self._state.account(side).calls.pop(key, None)
            self._commits.drop("calls", key)
        else:
            self._calls[key] = new
            for side in sides:
                self._state.account(side).calls[key] = None
            self._commits.put("calls", key, call_row(key, new))
        for post in posts:
            await self.post(post, now)
        return True

    async def calls_of(self, key: AccountKey) -> Sequence[CallKey]:
        account = self._accounts.get(key)
        return tuple(account.calls) if account else ()
