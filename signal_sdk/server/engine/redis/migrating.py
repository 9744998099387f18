"""A stopped server's state carried into Redis, and out of it.

Owns: when that is let be done, and what says that it has not ended. Must not know a key of an app,
nor a row.

Until all is there, the place of the schema's version says that it is not, and no server starts.
What a run that was killed has left is removed by the next, which knows it by that.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import aclosing
from typing import Final

import trio

from signal_sdk.errors import StorageError
from signal_sdk.server.engine.journal import Journal
from signal_sdk.server.engine.kept import loaded
from signal_sdk.server.engine.redis import exporting, importing, library, revoked
from signal_sdk.server.engine.redis.visiting import Command, Visit, chunked
from signal_sdk.server.engine.state import State

__all__ = ["carry_in", "carry_out"]

COMMANDS_AT_ONCE: Final = 500
BYTES_AT_ONCE: Final = 1_000_000
"""How much is on its way to Redis at a time."""
REMOVED_AT_ONCE: Final = 500


async def carry_in(visit: Visit, *, state: State, revocations: Mapping[str, bytes]) -> None:
    """Make the state and the list of revoked tokens in Redis, where there is nothing yet. Raises
    `StorageError`.
    """
    mark = await _begin(visit)
    now = await visit.time()
    commands = importing.commands(state, visit.prefix, now, is_cluster=visit.is_cluster)
    for some in _some(commands):
        await _do(visit, some, mark)
    if revocations:
        await _do(visit, [revoked.noting(visit.prefix, revocations)], mark)
    await visit.ask("SET", visit.schema_key, library.SCHEMA)


async def carry_out(visit: Visit, *, journal: Journal) -> tuple[State, Sequence[bytes]]:
    """Write all that nodes have left in Redis, which stays there, into an empty journal; returns
    it as a server would have it, and the texts of the list of revoked tokens. Raises
    `StorageError`.
    """
    await visit.check_there()
    apps = await exporting.found_apps(visit)
    await exporting.check_nobody(visit, list(apps))
    async with aclosing(exporting.rows(visit, apps)) as batches:
        async for batch in batches:
            await trio.to_thread.run_sync(journal.write, batch)
    found = revoked.revoked(await visit.ask("HGETALL", revoked.key_of(visit.prefix)))
    # One that has begun meanwhile has changed what was read already.
    await exporting.check_nobody(visit, list(await exporting.found_apps(visit)))
    state = await trio.to_thread.run_sync(loaded, journal)
    if bad := journal.bad_rows:
        raise StorageError(f"{visit}: what is there does not fit together: {bad[0]}")
    return state, found.texts


# --- into Redis ---


async def _begin(visit: Visit) -> str:
    """Have nobody but this run use what is under the prefix. Returns what says so."""
    found = await visit.version()
    mark = f"{library.INCOMPLETE} {secrets.token_hex(8)}"
    if found.startswith(library.INCOMPLETE):
        await visit.ask("SET", visit.schema_key, mark)
        await _remove_all(visit, mark)
        return mark
    if found not in ("", library.SCHEMA, library.CLAIMED):
        raise StorageError(f"{visit} has {library.unknown(found, visit.schema_key)}")
    await _check_empty(visit)
    await visit.ask("SET", visit.schema_key, library.CLAIMED)
    try:
        # A server may have begun in between: what it has is not to be removed by the next run.
        await _check_empty(visit)
    except StorageError:
        await visit.ask("SET", visit.schema_key, library.SCHEMA)
        raise
    await visit.ask("SET", visit.schema_key, mark)
    return mark


async def _check_empty(visit: Visit) -> None:
    async with aclosing(visit.keys()) as found:
        async for keys in found:
            others = sorted(set(keys) - {visit.schema_key.encode()})
            if others:
                raise StorageError(
                    f"{visit} has something under {visit.prefix} already: name another prefix, or "
                    "remove it first"
                )


async def _remove_all(visit: Visit, mark: str) -> None:
    async with aclosing(visit.keys()) as found:
        async for keys in found:
            others = [key for key in keys if key != visit.schema_key.encode()]
            for some in chunked(others, REMOVED_AT_ONCE):
                await _do(visit, [("UNLINK", key) for key in some], mark)


async def _do(visit: Visit, commands: Iterable[Command], mark: str) -> None:
    *_, found = await visit.ask_all([*commands, ("GET", visit.schema_key)])
    if found != mark.encode():
        raise StorageError(f"{visit}: another signal-sdk migrate has begun there")


def _some(commands: Iterator[Command]) -> Iterator[Sequence[Command]]:
    """The commands, as many at a time as are to be on their way."""
    some: list[Command] = []
    size = 0
    for command in commands:
        some.append(command)
        size += sum(map(_size, command))
        if len(some) >= COMMANDS_AT_ONCE or size >= BYTES_AT_ONCE:
            yield some
            some, size = [], 0
    if some:
        yield some


def _size(word: str | bytes | int) -> int:
    return 8 if isinstance(word, int) else len(word)
