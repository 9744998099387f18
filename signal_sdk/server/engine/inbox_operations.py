"""The embedded engine's inboxes, as its node uses them: an entry is put in, told of, and read.

Owns: these operations, and when an entry is delivered. Must not know how entries are kept:
inboxes.py does.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from signal_sdk.errors import SignalError
from signal_sdk.server.engine.base import AccountKey, Asked, Delivery, Entry, Known, Page, Post
from signal_sdk.server.engine.core import Core
from signal_sdk.server.engine.facts import takes_no_bytes
from signal_sdk.server.engine.happened import ABSENT, MESSAGE, Absent, Message
from signal_sdk.server.engine.tables import Account
from signal_sdk.wire import lines


class _Durable(msgspec.Struct, gc=False):
    """Tells an account of an entry once that is in the journal. A `partial` is four objects, which
    the garbage collector looks at.
    """

    deliveries: Mapping[str, Delivery]
    account: Account
    entry: Entry

    def __call__(self, _: SignalError | None) -> None:
        # What cannot be written now is in the inbox all the same, and will be.
        _tell_of(self.deliveries, self.account, self.entry)


def _tell_of(deliveries: Mapping[str, Delivery], account: Account, entry: Entry) -> None:
    presence = account.presence
    if presence is not None:
        delivery = deliveries.get(presence.node)
        if delivery is not None:
            delivery.deliver_entry(account.key, entry.version, entry.line)


class InboxOperations(Core):
    """Inboxes, as the contract has them."""

    def post(self, asked: Asked, post: Post) -> Known | None:
        sender, is_kept = self._asker(asked), asked.callid is not None
        if is_kept and sender.replies and (known := self._known(sender, asked)):
            return known
        self._post(post)
        if is_kept:
            self._keep(sender, asked)
        return None

    def _post(self, post: Post) -> None:
        account = self._accounts.get(post.key)
        if post.is_binary:
            presence = account.presence if account is not None else None
            if presence is None or not presence.takes_bytes:
                raise takes_no_bytes(post.key.account)
        account = account or self._state.account(post.key)
        entry = self._inboxes.post(account, post, self._wall)
        if self._wanted and post.sender:
            self._message_happens(account, post)
        if self.is_volatile:
            _tell_of(self._deliveries, account, entry)
        else:
            self._commits.when_durable(_Durable(self._deliveries, account, entry))

    def _message_happens(self, account: Account, post: Post) -> None:
        app, name = post.key
        if ABSENT in self._wanted:
            presence = account.presence
            if presence is None or presence.lease_ends is not None:
                size = lines.content_size(post.line)
                self._tell(Absent(app=app, account=name, sender=post.sender, size=size))
        if MESSAGE in self._wanted:
            size = lines.content_size(post.line)
            self._tell(Message(app=app, account=name, sender=post.sender, size=size))

    def read_inbox(self, key: AccountKey, ver_clear: int, limit: int) -> Page:
        return self._inboxes.read(self._state.account(key), ver_clear, limit, self._wall())
