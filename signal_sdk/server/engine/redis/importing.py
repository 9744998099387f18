"""A stopped server's state as the keys of Redis that would hold it.

Owns: which commands make a state there (core.lua says what each key is). Must not know where the
state is from, nor how a command is sent.

It is as at a server's start after its stop: sessions may be taken up again, and a lease that did
not run begins when the first node looks, since all of these sessions are of a node that is dying.
Histories, rates and who was told which count begin anew.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, Final

import attrs

from signal_sdk.server.engine import call_table
from signal_sdk.server.engine.bounds import size_of
from signal_sdk.server.engine.locks import Locks
from signal_sdk.server.engine.owners import Owner
from signal_sdk.server.engine.redis.answers import channels_text
from signal_sdk.server.engine.redis.attribute_operations import mark_text, name_size
from signal_sdk.server.engine.redis.call_operations import key_of, record
from signal_sdk.server.engine.redis.core import pack, tag
from signal_sdk.server.engine.redis.happening_operations import pack_kept
from signal_sdk.server.engine.redis.lock_operations import ask_field, asker_of, lock_key
from signal_sdk.server.engine.redis.presence_operations import LINE_SECONDS
from signal_sdk.server.engine.redis.visiting import Command, chunked
from signal_sdk.server.engine.state import State
from signal_sdk.server.engine.tables import Account, Channel
from signal_sdk.server.engine.values import encode_json
from signal_sdk.wire import built_in

__all__ = ["commands"]

NODE: Final = "carried"
"""The node that these sessions were at."""
AT_ONCE: Final = 100
"""How many entries, members or replies one command has."""
BUILT_IN: Final = {
    built_in.USER_NOTIFICATION: "un",
    built_in.CHANNEL_TTL: "ttl",
    built_in.AUTO_UPDATE_NUM: "an",
    built_in.AUTO_UPDATE_TOTAL_NUM: "at",
    built_in.SENDMSG_LIMIT: "sl",
    built_in.SETATTR_LIMIT: "al",
}
"""As in attributes.lua."""
STATES: Final = {call_table.INVITING: "ki", call_table.RINGING: "kr", call_table.ACCEPTED: "ka"}
"""As in calls.lua."""
EMPTY_SECONDS: Final = 30 * 24 * 3600
"""As in accounts.lua: how long the numbers of an empty app are known."""


@attrs.define
class _App:
    """What is counted of an app; `generation` and `version` are behind those of whom it forgets,
    `revision` is the last one.
    """

    base: str
    generation: int = 0
    version: int = 0
    revision: int = 0
    accounts: int = 0
    channels: int = 0
    bytes: int = 0
    counts: Counter[str] = attrs.field(factory=Counter)
    """As counts.lua has them."""
    happening: int = 0
    """The number of its last one."""
    is_kept: bool = False
    """Is anything kept for hooks?"""


def commands(state: State, prefix: str, now: float, *, is_cluster: bool) -> Iterator[Command]:
    """All that makes the state in an empty Redis, in which it is `now`."""
    apps: dict[str, _App] = {}

    def app_of(name: str) -> _App:
        found = apps.get(name)
        if found is None:
            usage = state.usage(name)
            base = f"{prefix}{{{tag(name)}}}:"
            found = apps[name] = _App(base, usage.generation, usage.version, usage.revision)
        return found

    for name in list(state.usages):
        app_of(name)
    for account in state.accounts.values():
        app = app_of(account.key.app)
        if account.is_nobody:
            # As at a start: it is forgotten.
            app.generation = max(app.generation, account.generation)
            app.version = max(app.version, account.reserved)
            continue
        app.accounts += 1
        yield from _account(app, account)
        yield from _presence(app, account, prefix, is_cluster=is_cluster)
    for channel in state.channels.values():
        app = app_of(channel.key.app)
        app.channels += 1
        yield from _channel(app, channel, now)
        yield from _locks(app, channel, state.locks)
    for key, call in state.calls.items():
        app, name = app_of(key.app), key_of(key.channel, key.one, key.other)
        base = app.base
        app.counts[STATES[call.state]] += 1
        yield "HSET", f"{base}calls", name, record(key.app, call)
        yield from (("RPUSH", f"{base}k:{it}", name) for it in dict.fromkeys((key.one, key.other)))
        if call.deadline is not None:
            yield _due(base, f"C{name}", call.deadline)
    for name, last, kept in state.happenings.carried():
        app = app_of(name)
        app.happening, app.is_kept = last, bool(kept)
        for some in chunked(map(pack_kept, kept), AT_ONCE):
            yield "RPUSH", f"{app.base}hs", *some
    for name, app in apps.items():
        yield from _app(name, app, prefix)


def _app(name: str, app: _App, prefix: str) -> Iterator[Command]:
    is_used = app.accounts or app.channels or app.is_kept
    if not (is_used or app.generation or app.version or app.revision or app.happening):
        return
    numbers = {"g": app.generation, "v": app.version, "c": app.channels, "b": app.bytes}
    numbers.update(app.counts)
    if app.revision:
        numbers["rv"] = app.revision
    if app.happening:
        numbers["hn"] = app.happening
    yield "HSET", f"{app.base}app", *_flat(numbers)
    if is_used:
        yield "SADD", f"{prefix}apps", name
    else:
        yield "EXPIRE", f"{app.base}app", EMPTY_SECONDS


# --- accounts ---


def _account(app: _App, account: Account) -> Iterator[Command]:
    base, name, inbox = app.base, account.key.account, account.inbox
    facts: dict[str, Any] = {"u": account.uid, "g": account.generation, "v": account.reserved}
    yield "ZADD", f"{base}u", account.uid, name
    if account.revision:
        facts["rv"] = account.revision
    if account.made:
        facts["md"] = account.made
    if account.attributes:
        texts = {it: encode_json(value) for it, value in account.attributes.items()}
        facts["ab"] = _size(texts)
        app.bytes += sum(map(size_of, texts.values()))
        yield "HSET", f"{base}ua:{name}", *_flat(texts)
        yield from _marks(base, "u", name, account)
        if built_in.CONN_TIMEOUT in texts:
            timeout = account.attributes[built_in.CONN_TIMEOUT]
            facts["ct"] = built_in.conn_timeout_seconds(timeout)
    if inbox.entries:
        facts["ib"] = inbox.size
        app.bytes += inbox.size
        app.counts["ie"] += len(inbox.entries)
        packed = (pack([it.version, it.expires, it.sender, it.line]) for it in inbox.entries)
        for entries in chunked(packed, AT_ONCE):
            yield "RPUSH", f"{base}i:{name}", *entries
        yield "ZADD", f"{base}stale", repr(inbox.entries[0].expires), name
    replies = ((it, f"{it}:{reply.text}") for it, reply in account.replies.items())
    for many in chunked(replies, AT_ONCE):
        yield "ZADD", f"{base}r:{name}", *(part for pair in many for part in pair)
    yield "HSET", f"{base}a:{name}", *_flat(facts)


def _presence(app: _App, account: Account, prefix: str, *, is_cluster: bool) -> Iterator[Command]:
    base, name, presence = app.base, account.key.account, account.presence
    if presence is None:
        return
    digest = presence.line_digest
    facts: dict[str, Any] = {
        "d": digest,
        "dv": presence.device,
        "vr": presence.ver,
        "n": NODE,
        "in": presence.instance or None,
        "ri": presence.rights or None,
        "te": presence.token_expires,
        "ti": presence.token_issued,
        "ch": channels_text(presence, presence.channels),
        "rm": channels_text(presence, presence.removed) if presence.removed else None,
        "le": presence.lease_ends and repr(presence.lease_ends),
    }
    known = {field: value for field, value in facts.items() if value is not None}
    yield "HSET", f"{base}a:{name}", *_flat(known)
    yield "HSET", f"{base}lines", digest, name
    line: list[str | int] = ["SET", f"{prefix}line:{digest.hex()}", tag(account.key.app)]
    yield [*line, "EX", LINE_SECONDS] if is_cluster else line
    yield "SADD", f"{base}on", name
    if presence.lease_ends is not None:
        yield _due(base, f"L{name}", presence.lease_ends)
    else:
        yield "SADD", f"{base}n:{NODE}", name
        yield "SADD", f"{base}dying", NODE


# --- channels ---


def _channel(app: _App, channel: Channel, now: float) -> Iterator[Command]:
    base, name, num = app.base, channel.key.channel, len(channel.members)
    facts: dict[str, Any] = {"m": channel.reserved, "t": max(channel.total, num)}
    if channel.revision:
        facts["rv"] = channel.revision
    if channel.maker is not None:
        facts["mk"] = channel.maker.key.account
    numbers = {
        field: built_in.check_number(it, channel.attributes[it])
        for it, field in BUILT_IN.items()
        if it in channel.attributes
    }
    facts.update(numbers)
    if channel.attributes:
        texts = {it: encode_json(value) for it, value in channel.attributes.items()}
        facts["ab"] = _size(texts)
        app.bytes += sum(map(size_of, texts.values()))
        yield "HSET", f"{base}ca:{name}", *_flat(texts)
        yield from _marks(base, "c", name, channel)
    # The numbers of their joins are not known any more, but for their order.
    app.counts["mb"] += num
    members = enumerate(channel.members, facts["t"] - num + 1)
    for some in chunked(members, AT_ONCE):
        yield "ZADD", f"{base}m:{name}", *(part for pair in some for part in pair)
    if not num:
        idle = now if channel.idle_since is None else channel.idle_since
        facts["id"] = repr(idle)
        ttl = numbers.get("ttl", built_in.DEFAULT_CHANNEL_TTL_SECONDS)
        ttl = min(ttl, built_in.MAX_CHANNEL_TTL_SECONDS)
        yield _due(base, f"E{name}", idle + ttl)
    else:
        for kind, field in (("N", "an"), ("M", "at")):
            if numbers.get(field):
                yield _due(base, f"{kind}{name}", now + numbers[field])
    yield "HSET", f"{base}c:{name}", *_flat(facts)


def _locks(app: _App, channel: Channel, locks: Locks) -> Iterator[Command]:
    base, name, there = app.base, channel.key.channel, locks.names_in(channel)
    if there:
        yield "HSET", f"{base}c:{name}", "lk", len(there)
    for lock in there:
        for place, ask in enumerate(locks.asks(channel, lock), 1):
            account, packed = ask.account.key.account, pack([ask.seconds, ask.ends, ask.fence])
            yield "ZADD", lock_key(base, name, lock), place, asker_of(account, ask.id)
            yield "HSET", f"{base}la:{account}", ask_field(name, lock, ask.id), packed
            yield _due(base, f"K{name}\0{lock}\0{asker_of(account, ask.id)}", ask.ends)


# --- below ---


def _marks(base: str, kind: str, name: str, owner: Owner) -> Iterator[Command]:
    """What there is to know of each attribute of an account (`u`) or a channel (`c`)."""
    marks = {it: mark_text(mark) for it, mark in owner.marks.items()}
    yield "HSET", f"{base}{kind}r:{name}", *_flat(marks)
    if owner.next_end is not None:
        yield "ZADD", f"{base}ends", repr(owner.next_end), f"{kind}{name}"


def _due(base: str, what: str, time: float) -> Command:
    return "ZADD", f"{base}due", repr(time), what


def _size(texts: Mapping[str, str]) -> int:
    """How many bytes these have as an object of JSON, as attributes.lua counts them."""
    return sum(size_of(text) + name_size(name) + 2 for name, text in texts.items())


def _flat(facts: Mapping[str, Any]) -> list[Any]:
    return [part for pair in facts.items() for part in pair]
