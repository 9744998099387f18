"""The embedded engine's inboxes, as its node uses them: an entry is put in, told of, and read.

Owns: these operations, and when an entry is delivered. Must not know how entries are kept:
inboxes.py does.
"""

from __future__ import annotations

from functools import partial

from signal_sdk.errors import SignalError
from signal_sdk.server.engine.base import AccountKey, Entry, Page, Post
from signal_sdk.server.engine.core import Core


class InboxOperations(Core):
    """Inboxes, as the contract has them."""

    async def post(self, post: Post, now: float) -> int:
        account = self._state.account(post.key)
        entry = self._inboxes.post(account, post, now)
        self._commits.when_durable(partial(self._tell_of, post.key, entry))
        return entry.version

    def _tell_of(self, key: AccountKey, entry: Entry, _: SignalError | None) -> None:
        # What cannot be written now is in the inbox all the same, and will be.
        self._deliver.deliver_entry(key, entry.version, entry.line)

    async def read_inbox(self, key: AccountKey, ver_clear: int, limit: int, now: float) -> Page:
        return self._inboxes.read(self._state.account(key), ver_clear, limit, now)
