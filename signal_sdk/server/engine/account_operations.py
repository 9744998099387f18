"""The embedded engine's accounts: who is online, which replies a session keeps, and the users'
attributes.

Owns: these operations. Must not know a rule, or how a change is written.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from msgspec.structs import replace

from signal_sdk.server.engine.base import AccountKey, ChannelKey, Ended, Presence
from signal_sdk.server.engine.channel_operations import ChannelOperations
from signal_sdk.server.engine.tables import Account, Reply, encode_json
from signal_sdk.wire.events import ChannelContent
from signal_sdk.wire.names import JsonValue

MAX_REPLIES: Final = 10_000
"""How many replies a session keeps, which is how many requests our SDK has under way at most."""


class AccountOperations(ChannelOperations):
    """Presence, replies and users, as the contract has them. A presence ends with its membership:
    hence the channels below.
    """

    # --- replies ---

    async def remember(
        self, key: AccountKey, generation: int, callid: int, text: str, *, durably: bool
    ) -> None:
        account = self._held(key, generation)
        if account is None:
            return
        # Behind the others, so that they are in the order of their numbers.
        if callid in account.replies:
            self._forget_replies(account, [callid])
        number = None
        if durably:
            number = self._state.last_reply = self._state.last_reply + 1
            self._commits.put("replies", (number,), (number, account.id, callid, text))
        account.replies[callid] = Reply(text, number)
        if len(account.replies) > MAX_REPLIES:
            self._forget_replies(account, [next(iter(account.replies))])

    async def recall(self, key: AccountKey, callid: int, ack: int) -> str | None:
        account = self._accounts.get(key)
        if account is None:
            return None
        acked = []
        # They are in the order of their call ids, but for a few that were sent again.
        for kept in account.replies:
            if kept > ack:
                break
            acked.append(kept)
        if acked:
            self._forget_replies(account, acked)
        reply = account.replies.get(callid)
        return reply.text if reply else None

    def _forget_replies(self, account: Account, callids: Sequence[int]) -> None:
        for callid in callids:
            number = account.replies.pop(callid).number
            if number is not None:
                self._commits.drop("replies", (number,))

    # --- presence ---

    async def log_in(
        self,
        key: AccountKey,
        *,
        line_digest: bytes,
        device: str,
        ver: int,
        token_expires: int | None,
        instance: str,
        again: bool = False,
        token_issued: int | None = None,
        rights: str = "",
    ) -> tuple[Presence, Presence | None] | None:
        account = self._state.account(key)
        before = account.presence
        if again and before is not None and before.instance != instance:
            return None
        presence = Presence(
            uid=account.uid,
            generation=account.generation + 1,
            line_digest=line_digest,
            device=device,
            ver=ver,
            token_expires=token_expires,
            instance=instance,
            channel=before.channel if before else None,
            token_issued=token_issued,
            rights=rights,
        )
        self._forget_replies(account, list(account.replies))
        self._take_over(key, account, presence)
        return presence, before

    async def resume(self, line_digest: bytes) -> tuple[AccountKey, Presence] | None:
        key = self._lines.get(line_digest)
        if key is None:
            return None
        account = self._accounts[key]
        if account.presence is None:
            return None
        presence = replace(account.presence, generation=account.generation + 1, lease_ends=None)
        self._take_over(key, account, presence)
        return key, presence

    def _take_over(self, key: AccountKey, account: Account, presence: Presence) -> None:
        before = account.presence
        account.presence = presence
        account.generation = presence.generation
        if before is not None:
            del self._lines[before.line_digest]
            if before.lease_ends is None:
                self._deliver.deliver_kick(key, before.generation)
        self._lines[presence.line_digest] = key
        self._commits.account(account)

    async def disconnect(self, key: AccountKey, generation: int, lease_ends: float) -> bool:
        account = self._held(key, generation)
        if account is None or account.presence is None:
            return False
        account.presence = replace(account.presence, lease_ends=lease_ends)
        self._commits.account(account)
        return True

    async def log_out(
        self,
        key: AccountKey,
        presence: Presence,
        announce: ChannelContent | None,
        *,
        kick: bool,
        now: float,
    ) -> Ended | None:
        account = self._accounts.get(key)
        if account is None or account.presence != presence:
            return None
        account.presence = None
        del self._lines[presence.line_digest]
        self._forget_replies(account, list(account.replies))
        if kick and presence.lease_ends is None:
            self._deliver.deliver_kick(key, presence.generation)
        self._commits.account(account)
        left = None
        if presence.channel is not None:
            left = self._leave(ChannelKey(key.app, presence.channel), account, announce, now)
        self._inboxes.let_go(account)
        return Ended(left=left)

    async def presence(self, key: AccountKey) -> Presence | None:
        account = self._accounts.get(key)
        return account.presence if account else None

    # --- users ---

    async def set_user_attr(self, key: AccountKey, name: str, value: JsonValue) -> None:
        text = encode_json(value)
        size = self._added(key.app, await self.user_attrs(key), name, text)
        account = self._state.account(key)
        account.usage.bytes += size
        account.attributes[name] = value
        self._commits.put("user_attributes", (account.id, name), (account.id, name, text))

    async def user_attrs(self, key: AccountKey) -> Mapping[str, JsonValue]:
        account = self._accounts.get(key)
        return account.attributes if account else {}
