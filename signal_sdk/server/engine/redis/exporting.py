"""What nodes have left in Redis, as the rows of a journal that would hold it.

Owns: how each key is read (core.lua says what it is), and what cannot be. Must not know where the
rows go.

All is read some at a time; of what was read stay the names of accounts and channels, by which rows
name each other. A lease that began because its node went begins anew when the journal's server
starts, as at its own restart: nobody could come back before. Histories are not taken along.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Any, Final

import attrs
import msgspec

from signal_sdk.errors import StorageError
from signal_sdk.server.engine import happened
from signal_sdk.server.engine.base import LIFE_SECONDS, CallKey
from signal_sdk.server.engine.happenings import number_of
from signal_sdk.server.engine.redis import answers
from signal_sdk.server.engine.redis.attribute_operations import unmark
from signal_sdk.server.engine.redis.core import tag, untag
from signal_sdk.server.engine.redis.events import unpack
from signal_sdk.server.engine.redis.happening_operations import unpack_kept
from signal_sdk.server.engine.redis.lock_operations import asker_of, lock_key
from signal_sdk.server.engine.redis.visiting import Visit, chunked
from signal_sdk.server.engine.schema import ENTRIES, FACTS, HAPPENINGS, LOCKS, MAKERS, Batch, Row
from signal_sdk.server.engine.state import GIVEN, NEWEST_TIME, given
from signal_sdk.server.engine.tables import call_row, channel_cell
from signal_sdk.server.engine.values import decode_json

__all__ = ["Found", "Reader", "base_of", "check_nobody", "found_apps", "living", "rows"]

AT_ONCE: Final = 50
"""How many accounts, channels, members or entries one look reads."""
FACTS_OF: Final = ("u", "g", "d", "dv", "vr", "te", "n", "in", "ch", "le", "ti", "ri", "rm")
"""Of an account: those that `answers.presence` reads."""
NUMBERS_OF: Final = ("v", "rv")
"""Its version, and its attributes' revision."""
UNREADABLE: Final = (ArithmeticError, LookupError, TypeError, ValueError, msgspec.MsgspecError)
"""What comes of values that are not what a node has written."""


@attrs.define
class Found:
    """An app that is there, and its channels by their names."""

    name: str
    channels: set[str] = attrs.field(factory=set)


async def found_apps(visit: Visit) -> dict[str, Found]:
    """All apps, by their names."""
    apps: dict[str, Found] = {}
    async for keys in visit.keys("{*}:*"):
        for key in keys:
            text = key.decode("utf-8", "surrogateescape").removeprefix(visit.prefix)
            label, _, rest = text.removeprefix("{").partition("}:")
            kind, _, name = rest.partition(":")
            if rest in ("u", "app") or kind == "c":
                app = untag(label.encode())
                found = apps.setdefault(app, Found(app))
                if kind == "c":
                    found.channels.add(name)
    return apps


async def living(visit: Visit, apps: Sequence[str]) -> list[tuple[str, str]]:
    """The nodes that live, each with its app."""
    now = await visit.time()
    found = []
    for some in chunked(apps, AT_ONCE):
        asked = [("ZRANGE", f"{base_of(visit, app)}nodes", 0, -1, "WITHSCORES") for app in some]
        for app, nodes in zip(some, await visit.ask_all(asked), strict=True):
            found += [(node.decode(), app) for node, heard in nodes if now - heard < LIFE_SECONDS]
    return found


async def check_nobody(visit: Visit, apps: Sequence[str]) -> None:
    """Raise `StorageError` where a node lives."""
    for node, app in await living(visit, apps):
        raise StorageError(
            f"{visit}: a server uses the app {app!r} (node {node}): stop all servers first; one "
            f"that was killed counts for {LIFE_SECONDS:g} s"
        )


async def rows(visit: Visit, apps: Mapping[str, Found]) -> AsyncGenerator[Batch, None]:
    """All rows, some at a time. Raises `StorageError` where something cannot be read."""
    reader = Reader(visit)
    yield {FACTS: {(NEWEST_TIME,): (NEWEST_TIME, await visit.time())}}
    for found in apps.values():
        async for batch in reader.read(found):
            yield batch


def base_of(visit: Visit, app: str) -> str:
    """How the keys of an app begin."""
    return f"{visit.prefix}{{{tag(app)}}}:"


class Reader:
    """Reads app after app, and gives each record its number."""

    def __init__(self, visit: Visit) -> None:
        self._visit = visit
        self._last = dict.fromkeys(("accounts", "channels", ENTRIES, "replies", HAPPENINGS), 0)
        self._asks: list[tuple[str, str, bytes]] = []
        """What accounts ask of locks, which are their channels': those are read later."""
        self._at = ""
        """What is being read."""
        self._batch: Batch = {}

    def _number(self, table: str) -> int:
        self._last[table] += 1
        return self._last[table]

    def _put(self, table: str, width: int, row: Row) -> None:
        """A row, whose key has so many columns."""
        self._batch.setdefault(table, {})[row[:width]] = row

    def _taken(self) -> Batch:
        batch, self._batch = self._batch, {}
        return batch

    async def read(self, found: Found) -> AsyncGenerator[Batch, None]:
        """All rows of an app, some at a time. Raises `StorageError` where some cannot be read."""
        self._batch, self._asks = {}, []
        try:
            async for batch in self._read(found):
                yield batch
        except UNREADABLE as exc:
            raise StorageError(
                f"{self._visit}: {self._at} of the app {found.name!r} cannot be read "
                f"({type(exc).__name__})"
            ) from None

    async def _read(self, found: Found) -> AsyncGenerator[Batch, None]:
        app, base = found.name, base_of(self._visit, found.name)
        self._at = "what was given"
        *numbers, happening = await self._visit.ask("HMGET", f"{base}app", "g", "v", "rv", "hn")
        if happening is not None:
            self._put(FACTS, 1, (number_of(app), float(happening)))
        for kind, number in zip(GIVEN, numbers, strict=True):
            if int(number or 0):
                self._put(FACTS, 1, (given(kind, app), float(number)))
        start = 0
        while kept := await self._visit.ask("LRANGE", f"{base}hs", start, start + AT_ONCE - 1):
            start += AT_ONCE
            self._at = "what is kept for hooks"
            for packed in kept:
                it = unpack_kept(app, packed)
                row = (self._number(HAPPENINGS), app, it.number, happened.encode(it).decode())
                self._put(HAPPENINGS, 1, row)
            yield self._taken()
        accounts: dict[str, int] = {}
        channels: dict[str, int] = {}
        start = 0
        while names := await self._visit.ask("ZRANGE", f"{base}u", start, start + AT_ONCE - 1):
            start += AT_ONCE
            await self._accounts(base, app, [it.decode() for it in names], accounts)
            yield self._taken()
        for some in chunked(sorted(found.channels), AT_ONCE):
            await self._channels(base, app, some, accounts, channels)
            yield self._taken()
        for asks in chunked(self._asks, AT_ONCE):
            await self._locks(base, asks, accounts, channels)
            yield self._taken()
        cursor: Any = 0
        while cursor != b"0":
            cursor, calls = await self._visit.ask("HSCAN", f"{base}calls", cursor)
            for key, packed in _pairs(calls):
                self._at = f"the call {key.decode()!r}"
                self._call(app, key.decode(), packed)
            yield self._taken()

    # --- accounts ---

    async def _accounts(
        self, base: str, app: str, names: Sequence[str], accounts: dict[str, int]
    ) -> None:
        asked = []
        for name in names:
            asked += [
                ("HMGET", f"{base}a:{name}", *FACTS_OF, *NUMBERS_OF),
                ("HGETALL", f"{base}ua:{name}"),
                ("HGETALL", f"{base}ur:{name}"),
                ("LRANGE", f"{base}i:{name}", 0, AT_ONCE - 1),
                ("ZRANGE", f"{base}r:{name}", 0, -1),
                ("HGETALL", f"{base}la:{name}"),
            ]
        replies = iter(await self._visit.ask_all(asked))
        for name in names:
            facts, attributes, marks, entries, kept, asks = (next(replies) for _ in range(6))
            self._at = f"the account {name!r}"
            number = accounts[name] = self._number("accounts")
            self._put("accounts", 1, _account(number, app, name, facts))
            self._attributes("user_attributes", number, attributes, marks)
            start = 0
            while entries:
                for packed in entries:
                    version, expires, _, line = unpack(packed)
                    place = self._number(ENTRIES)
                    self._put(ENTRIES, 1, (place, number, version, float(expires), line))
                start += AT_ONCE
                is_more = len(entries) == AT_ONCE
                words = ("LRANGE", f"{base}i:{name}", start, start + AT_ONCE - 1)
                entries = await self._visit.ask(*words) if is_more else []
            for reply in kept:
                callid, _, text = reply.decode().partition(":")
                place = self._number("replies")
                self._put("replies", 1, (place, number, int(callid), text))
            self._asks += ((name, field.decode(), packed) for field, packed in _pairs(asks))

    def _attributes(self, table: str, number: int, found: Any, marked: Any) -> None:
        marks = dict(_pairs(marked))
        for name, text in _pairs(found):
            decode_json(text.decode())
            revision, expires = unmark(marks.get(name))
            row = (number, name.decode(), revision, expires, text.decode())
            self._put(table, 2, row)

    # --- channels ---

    async def _channels(
        self,
        base: str,
        app: str,
        names: Sequence[str],
        accounts: Mapping[str, int],
        channels: dict[str, int],
    ) -> None:
        asked = []
        for name in names:
            asked += [
                ("HMGET", f"{base}c:{name}", "m", "t", "id", "mk", "rv"),
                ("HGETALL", f"{base}ca:{name}"),
                ("HGETALL", f"{base}cr:{name}"),
            ]
        replies = iter(await self._visit.ask_all(asked))
        for name in names:
            (msgid, total, idle, maker, last), attributes, marks = (next(replies) for _ in range(3))
            self._at = f"the channel {name!r}"
            number = channels[name] = self._number("channels")
            since = None if idle is None else float(idle)
            row = (number, app, name, int(msgid), int(total), since, int(last or 0))
            self._put("channels", 1, row)
            self._attributes("channel_attributes", number, attributes, marks)
            owner = accounts.get(maker.decode()) if maker is not None else None
            if owner is not None:
                self._put(MAKERS, 1, (number, owner))
            start, key = 0, f"{base}m:{name}"
            members: Any = True
            while members:
                words = ("ZRANGE", key, start, start + AT_ONCE - 1, "WITHSCORES")
                members = await self._visit.ask(*words)
                for member, position in members:
                    account = accounts[member.decode()]
                    self._put("members", 2, (number, account, int(position)))
                start += AT_ONCE

    async def _locks(
        self,
        base: str,
        asks: Sequence[tuple[str, str, bytes]],
        accounts: Mapping[str, int],
        channels: Mapping[str, int],
    ) -> None:
        asked = []
        for account, field, _ in asks:
            channel, lock, ask = field.split("\0")
            asked.append(("ZSCORE", lock_key(base, channel, lock), asker_of(account, ask)))
        places = await self._visit.ask_all(asked)
        for (account, field, packed), place in zip(asks, places, strict=True):
            self._at = f"what the account {account!r} asks of a lock"
            channel, lock, ask = field.split("\0")
            seconds, ends, fence = unpack(packed)
            row = (
                *(channels[channel], lock, accounts[account], ask),
                *(int(place), int(fence), float(seconds), float(ends)),
            )
            self._put(LOCKS, 4, row)

    # --- calls ---

    def _call(self, app: str, key: str, packed: bytes) -> None:
        channel, one, other = key.split("\0")
        row = call_row(CallKey(app, channel, one, other), answers.call(packed))
        self._put("calls", 4, row)


def _account(number: int, app: str, name: str, facts: Sequence[Any]) -> Row:
    """The account's own row."""
    *known, version, last = facts
    revision = int(last or 0)
    uid, generation, digest, *_ = known
    row: Row = (number, app, name, int(uid), int(generation), int(version))
    if digest is None:
        return (*row, *(None,) * 9, revision)
    found = answers.presence(known)
    # Its node has gone, and so its lease has begun.
    lease = found.lease_ends if found.node else None
    return (
        *row,
        *(digest, found.device, found.ver, found.token_expires, found.instance),
        channel_cell(found),
        *(lease, found.token_issued, found.rights, revision),
    )


def _pairs(found: Any) -> Sequence[tuple[bytes, bytes]]:
    """The pairs of a hash, as either version of Redis' protocol has them."""
    if isinstance(found, dict):
        return list(found.items())
    return list(zip(found[::2], found[1::2], strict=True))
