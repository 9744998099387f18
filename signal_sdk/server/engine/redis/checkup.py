"""The doctor's look at a Redis: whether nodes can use it, what it keeps under which fault, and what
it has. Nothing is changed.

Owns: what is counted, and what is a problem. Must not know how a record is read, or how findings
are printed.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from contextlib import aclosing
from time import time as wall
from typing import Final

import attrs

from signal_sdk.errors import StorageError
from signal_sdk.server.engine.checkup import APPS_TOLD, Health
from signal_sdk.server.engine.redis import library, revoked
from signal_sdk.server.engine.redis.exporting import Found, Reader, base_of, found_apps, living
from signal_sdk.server.engine.redis.visiting import Visit
from signal_sdk.server.engine.schema import COUNTED

__all__ = ["examine"]

CLOCK_SECONDS: Final = 1.0
"""By how much clocks may differ before that is worth a warning."""
FULL: Final = 0.9
"""How much of `maxmemory` may be in use."""


@attrs.define
class _Findings:
    facts: list[tuple[str, str]] = attrs.field(factory=list)
    problems: list[str] = attrs.field(factory=list)

    def see(self, what: str, fact: object) -> None:
        self.facts.append((what, str(fact)))


async def examine(visit: Visit, *, replicas: int = 0) -> Health:
    """Look a Redis over, whose nodes wait for so many replicas; whoever uses it meanwhile is not
    disturbed, but for the time that it takes to look. Raises `StorageError` where it cannot be
    reached.
    """
    found = _Findings()
    sync = await visit.setting("appendfsync")
    for place, facts in (await visit.facts()).items():
        _server(found, place, facts, sync[place], replicas)
        if problem := library.unfit(facts, is_cluster=visit.is_cluster):
            found.problems.append(f"Redis at {place} {problem}")
    await _clock(found, visit)
    try:
        await _data(found, visit)
    except StorageError as exc:
        found.problems.append(str(exc))
    return Health(problems=found.problems, facts=found.facts)


# --- the servers ---


def _server(
    found: _Findings, place: str, facts: Mapping[str, str], sync: str, replicas: int
) -> None:
    name = "valkey" if "valkey_version" in facts else "redis"
    version = facts.get("valkey_version") or facts.get("redis_version", "unknown")
    found.see("server", f"{place}, {name} {version}")
    used, most = (int(facts.get(it) or 0) for it in ("used_memory", "maxmemory"))
    bound = f"{most} (maxmemory)" if most else "no maxmemory"
    found.see("memory", f"{used} bytes in use, {bound}")
    if most and used > most * FULL:
        percent = 100 * used // most
        found.problems.append(
            f"Redis at {place} is full to {percent} %: nothing can be changed once it is full; "
            "raise maxmemory, or look what has so much"
        )
    _disk(found, facts, sync)
    online = len(re.findall("state=online", " ".join(facts.values())))
    found.see("replicas", f"{online}, and {replicas} are waited for")
    if online < replicas:
        found.problems.append(
            f"Redis at {place} has fewer replicas than are waited for ({online} of {replicas}): "
            "nothing is acknowledged"
        )


def _disk(found: _Findings, facts: Mapping[str, str], sync: str) -> None:
    """What is on the disk of what is acknowledged."""
    if facts.get("aof_enabled") != "1":
        found.see("disk", "no log of changes (appendonly no)")
        found.see(
            "warning",
            "what was acknowledged since the last snapshot is lost when Redis ends: set appendonly "
            "to yes",
        )
        return
    found.see("disk", f"a log of changes (appendonly yes, appendfsync {sync or 'unknown'})")
    if sync == "no":
        found.see("warning", "the log is written when the system likes: set appendfsync")
    if facts.get("aof_last_write_status", "ok") != "ok":
        found.problems.append("the log of changes cannot be written: is the disk full?")


async def _clock(found: _Findings, visit: Visit) -> None:
    before = wall()
    there = await visit.time()
    ahead = there - (before + wall()) / 2
    found.see("clock", f"{abs(ahead):.3f} s {'ahead of' if ahead > 0 else 'behind'} this machine's")
    if abs(ahead) > CLOCK_SECONDS:
        found.see("warning", "Redis' clock decides when a token, a message or a lease ends")


# --- what it has ---


async def _data(found: _Findings, visit: Visit) -> None:
    version = await visit.version()
    if not version:
        found.see("schema", f"none: no server keeps its state there under {visit.prefix}")
        return
    if problem := library.unknown(version, visit.schema_key):
        found.problems.append(f"{visit} has {problem}")
        return
    found.see("schema", f"{version}, and this release writes {library.SCHEMA}")
    apps = await found_apps(visit)
    nodes = await living(visit, list(apps))
    found.see("nodes that serve", len({node for node, _ in nodes}))
    listed = await visit.ask("HLEN", revoked.key_of(visit.prefix))
    found.see("revocations", max(0, listed - 1))
    await _apps(found, visit, apps)
    if nodes:
        found.see("records", "not read one by one, since servers change them")
    else:
        await _records(found, visit, apps)


async def _apps(found: _Findings, visit: Visit, apps: Mapping[str, Found]) -> None:
    """What each app has, the largest first."""
    said: list[tuple[int, str, str]] = []
    for app, it in apps.items():
        base = base_of(visit, app)
        accounts, online, calls, size, dying = await visit.ask_all(
            [
                ("ZCARD", f"{base}u"),
                ("SCARD", f"{base}on"),
                ("HLEN", f"{base}calls"),
                ("HGET", f"{base}app", "b"),
                ("SCARD", f"{base}dying"),
            ]
        )
        use = f"accounts: {accounts}, online: {online}, channels: {len(it.channels)}"
        use += f", calls: {calls}, bytes: {int(size or 0)}"
        if dying:
            use += f", dead nodes whose clients' leases have not begun: {dying}"
        said.append((accounts + len(it.channels), app, use))
    said.sort(key=lambda it: (-it[0], it[1]))
    for _, app, use in said[:APPS_TOLD]:
        found.see(f"app {app!r}", use)
    if len(said) > APPS_TOLD:
        found.see("apps", f"and {len(said) - APPS_TOLD} more, which have less")


async def _records(found: _Findings, visit: Visit, apps: Mapping[str, Found]) -> None:
    """Read all that is there; where something of an app cannot be read, that is said."""
    reader = Reader(visit)
    counts: Counter[str] = Counter()
    for app in apps.values():
        try:
            async with aclosing(reader.read(app)) as batches:
                async for batch in batches:
                    counts.update({table: len(rows) for table, rows in batch.items()})
        except StorageError as exc:
            found.problems.append(str(exc))
    for table in COUNTED:
        found.see(table, counts[table])
