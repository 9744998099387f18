"""Presence and membership on Redis: who is online, and in which channel.

Owns: these operations, as they are asked for. Must not know how they are done: presence.lua and
membership.lua do.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import trio

from signal_sdk.ecodes import ECode
from signal_sdk.errors import SignalError
from signal_sdk.server.engine.base import (
    AccountKey,
    Asked,
    ChannelKey,
    Joined,
    Known,
    LoginFacts,
    Past,
    Presence,
    Roster,
)
from signal_sdk.server.engine.happened import Why
from signal_sdk.server.engine.pending import Pending, drive
from signal_sdk.server.engine.redis import answers
from signal_sdk.server.engine.redis.answers import About
from signal_sdk.server.engine.redis.core import asker, deliver, first_uid, tag, untag
from signal_sdk.server.engine.redis.lives import Lives

LINE_SECONDS = 30 * 24 * 3600
"""How long a session of a Cluster's is found by its line alone."""


class PresenceOperations(Lives):
    """Presence and membership, as the contract has them."""

    def token_time(self) -> float:
        """As the contract has it, by Redis' clock."""
        now, skew = self.redis_time(), self._bounds.clock_skew_seconds
        return max(now, self._newest_time - skew) if skew else now

    def arrival_time(self) -> float:
        """As the contract has it: Redis' clock, which is the one that all nodes share."""
        return self.redis_time()

    def _shift(self) -> str:
        """By how much sooner a token ends than its time says: its time is checked against a later
        one than Redis' where that was set back.
        """
        return f"{max(self.token_time() - self.redis_time(), 0.0):.3f}"

    # --- logging in ---

    def log_in(
        self, key: AccountKey, facts: LoginFacts, *, again: bool = False, keeps: bool = False
    ) -> Presence | Pending[Presence | None] | None:
        """As the contract has it."""
        args = (
            key.account,
            first_uid(*key),
            facts.line_digest,
            facts.device,
            facts.ver,
            facts.instance,
            _number(facts.token_expires),
            _number(facts.token_issued),
            facts.rights,
            int(again),
            int(keeps),
            f"{facts.began:.3f}",
            int(facts.many_channels),
        )
        return drive(self._log_in(key, facts.line_digest, args))

    async def _log_in(
        self, key: AccountKey, digest: bytes, args: Sequence[str | bytes | int]
    ) -> Presence | None:
        if self._servers.is_cluster:
            await self._note_line(digest, key.app)
        found = await self._hold(key.app, "log_in", args)
        return None if found is None else found[1]

    async def _hold(
        self, app: str, function: str, args: Sequence[str | bytes | int]
    ) -> tuple[AccountKey, Presence] | None:
        """Have a session held by this node, and by its new life where it finds itself dead."""
        while True:
            served, node, since = self._serve(app), self.node, trio.current_time()
            is_registered = int(served.heard_at is not None)
            read = partial(_held, app)
            try:
                found = await self._ask(app, function, (*args, is_registered, self._shift()), read)
            except answers.Dead:
                continue
            if not is_registered and node == self.node:
                self._lives_in(served, since)
            if found is not None:
                served.held[found[0].account] = found[1].generation
            return found

    def resume(
        self, line_digest: bytes
    ) -> tuple[AccountKey, Presence] | Pending[tuple[AccountKey, Presence] | None] | None:
        """As the contract has it. In two steps: which app the line is of, and then there."""
        return drive(self._resume(line_digest))

    async def _resume(self, digest: bytes) -> tuple[AccountKey, Presence] | None:
        found = await self._find_line(digest)
        return None if found is None else await self._hold(untag(found), "resume", (digest,))

    # --- the end ---

    def disconnect(self, key: AccountKey, generation: int) -> Pending[None]:
        """As the contract has it."""
        self._forget(key, generation)
        return self._lease(key, generation)

    def end(
        self, key: AccountKey, generation: int, *, expires: bool = False, why: str = Why.LOGOUT
    ) -> Pending[bool]:
        """As the contract has it."""
        if not expires:
            self._forget(key, generation)
        args = (key.account, generation, int(expires), why)
        asked = self._ask(key.app, "end", args, _has_ended)
        if not expires:
            self._is_leaving(key.app, asked)
        return asked

    def _forget(self, key: AccountKey, generation: int) -> None:
        served = self._served.get(key.app)
        if served is not None and served.held.get(key.account) == generation:
            del served.held[key.account]

    def _told(self, app: str, told: Sequence[Any]) -> None:
        kind, account, number, *_ = told
        if kind == "entry":
            # Or several, one behind the other.
            for at in range(1, len(told), 3):
                deliver(self._own, AccountKey(app, told[at]), told[at + 1], told[at + 2])
            return
        if kind == "kept":
            self._has_kept.add(app)
            self._own.deliver_kept()
            return
        key = AccountKey(app, account)
        if kind == "removal":
            self._own.deliver_removal(key, number, *told[3:])
            return
        if kind == "grant":
            self._own.deliver_grant(key, number, *told[3:])
            return
        self._forget(key, number)
        if kind == "kick":
            self._own.deliver_kick(key, number)
        elif kind == "loss":
            self._own.deliver_loss(key, number)
        else:
            self._own.deliver_expiry(key, number)

    # --- who is there ---

    def presence(self, key: AccountKey) -> Pending[Presence | None]:
        """As the contract has it."""
        return self._ask(key.app, "presence", (key.account,), _presence)

    def online(self) -> Any:
        """As the contract has it; not at one moment, where there are many."""
        return drive(self._online())

    async def _online(self) -> Sequence[tuple[AccountKey, Presence]]:
        found: dict[AccountKey, Presence] = {}
        for app in await self._apps():
            cursor: Any = "0"
            while True:
                reply = await self._ask(app, "online", (cursor,), _itself)
                cursor = reply[2]
                for it in reply[3]:
                    key, presence = _held(app, it) or (None, None)
                    if key is not None and presence is not None:
                        found[key] = presence
                if cursor == b"0":
                    break
        return list(found.items())

    async def _apps(self) -> Sequence[str]:
        """All apps that are known."""
        key = f"{self.prefix}apps"
        apps = await self._servers.ask_raw(key, "SMEMBERS", key)
        return sorted({it.decode() for it in apps} | set(self._served))

    # --- replies ---

    def recall(self, asked: Asked) -> Pending[Known | None]:
        """As the contract has it."""
        account, generation, callid, ack, _ = asker(asked)
        read = partial(answers.known, About())
        return self._ask(asked.key.app, "recall", (account, generation, callid, ack), read)

    def keep(self, asked: Asked) -> Pending[Known | None]:
        """As the contract has it."""
        return self._change(asked, "keep", (), About())

    # --- membership ---

    def join(self, asked: Asked, channel: str, *, newest: int) -> Pending[Joined | Known]:
        """As the contract has it."""
        about = About(
            account=asked.key.account,
            what=channel,
            ecode=ECode.JOINCHANNEL_E_OTHER,
            fenced=ECode.JOINCHANNEL_E_OTHER,
        )
        args = (*asker(asked), channel, newest)
        return self._ask(asked.key.app, "join", args, partial(_joined, about))

    def leave(self, asked: Asked, channel: str) -> Pending[Known | None]:
        """As the contract has it."""
        code = ECode.LEAVECHANNEL_E_OTHER
        about = About(account=asked.key.account, what=channel, ecode=code, fenced=code)
        return self._change(asked, "leave", (channel,), about)

    def roster(self, key: ChannelKey, newest: int) -> Pending[Roster]:
        """As the contract has it."""
        return self._ask(key.app, "roster", (key.channel, newest), _roster)

    def is_member(self, key: ChannelKey, account: str) -> Pending[bool]:
        """As the contract has it."""
        return self._ask(key.app, "membership", (key.channel, account), _is_there)

    def past(self, key: ChannelKey, account: str, most: int) -> Past | Pending[Past]:
        """As the contract has it."""
        is_member, held = self.is_member(key, account), self._events(key, 0)

        async def both() -> Past:
            if not await is_member:
                raise SignalError(
                    ECode.GENERAL_E_FAILED, f"{account!r} is not in the channel {key.channel!r}"
                )
            msgid, found = await held
            return Past.newest(found, most, is_whole=len(found) == msgid)

        return drive(both())

    def joined_at(self, key: ChannelKey, account: str) -> Pending[int]:
        """As the contract has it."""
        return self._ask(key.app, "membership", (key.channel, account), _joined_at)

    # --- sessions by their lines ---

    def _line_key(self, digest: bytes) -> str:
        return f"{self.prefix}line:{digest.hex()}"

    def _find_line(self, digest: bytes) -> Pending[bytes | None]:
        """The app, as its keys have it, of the session of this line."""
        key = self._line_key(digest)
        return self._servers.ask_raw(key, "GET", key)

    def _note_line(self, digest: bytes, app: str) -> Pending[Any]:
        key = self._line_key(digest)
        return self._servers.ask_raw(key, "SET", key, tag(app), "EX", LINE_SECONDS)


def _number(value: int | None) -> str:
    return "" if value is None else str(value)


def _itself(reply: Any) -> Any:
    return reply


def _has_ended(reply: Any) -> bool:
    return reply is not None and len(reply) > 1


def _held(app: str, reply: Any) -> tuple[AccountKey, Presence] | None:
    if reply is None or len(reply) == 1:
        return None
    if reply[1] != b"presence":
        raise answers.refusal(About(), reply)
    return AccountKey(app, reply[2].decode()), answers.presence(reply[3])


def _presence(reply: Any) -> Presence | None:
    return None if reply is None else answers.presence(reply[3])


def _joined(about: About, reply: Any) -> Joined | Known:
    if reply[1] == b"joined":
        return answers.joined(reply)
    known = answers.known(about, reply)
    if known is None:
        raise ValueError("a join has no result")
    return known


def _roster(reply: Any) -> Roster:
    return Roster() if reply is None else answers.roster(*reply[2:])


def _is_there(reply: Any) -> bool:
    return reply is not None


def _joined_at(reply: Any) -> int:
    return 0 if reply is None else int(reply[2])
