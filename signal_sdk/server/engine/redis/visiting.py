"""A look into Redis, or a change there, by who is no node: an operator's command.

Owns: connections without a life, and commands that are waited for, many at a time. Must not know
what any of them is for, nor what the keys mean beyond the names that each system has once.
"""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from itertools import islice
from typing import Any, Final, TypeAlias, TypeVar

import trio

from signal_sdk.errors import SignalError, StorageError
from signal_sdk.server.engine.pending import waited
from signal_sdk.server.engine.redis import library
from signal_sdk.server.engine.redis.addresses import parse
from signal_sdk.server.engine.redis.pipeline import Pipeline
from signal_sdk.server.engine.redis.servers import Servers

__all__ = ["Command", "Visit", "chunked", "visiting"]

T = TypeVar("T")

Command: TypeAlias = Sequence[str | bytes | int]
"""The words of a command, of which the second is its key."""
FOUND_PER_LOOK: Final = 1000
"""How many keys Redis looks at for one answer."""


class _Open(Servers):
    """Servers that can be used, whatever they have."""

    async def _prepare(self, pipeline: Pipeline) -> None:
        problem = library.unfit(await library.facts_of(pipeline), is_cluster=self.is_cluster)
        if problem:
            raise StorageError(f"Redis at {pipeline.place} {problem}")

    async def _check_data(self) -> None:
        await trio.lowlevel.checkpoint()


class _Any(_Open):
    """Servers as they are."""

    async def _prepare(self, pipeline: Pipeline) -> None:
        await library.facts_of(pipeline)


class Visit:
    """The servers of one Redis, while they are visited; names there begin with `prefix`."""

    def __init__(self, servers: Servers, prefix: str) -> None:
        self._servers = servers
        self.prefix: str = prefix
        self.is_cluster: bool = servers.is_cluster

    def __str__(self) -> str:
        return "Redis at " + ", ".join(str(it.place) for it in self._servers)

    # --- the names ---

    @property
    def schema_key(self) -> str:
        """Says of which form what is there is."""
        return f"{self.prefix}schema"

    # --- asking ---

    async def ask(self, *words: str | bytes | int) -> Any:
        """The reply to a command. Raises `StorageError` where it is refused or there is none."""
        (reply,) = await self.ask_all([words])
        return reply

    async def ask_all(self, commands: Iterable[Command]) -> list[Any]:
        """The replies to commands that go out together, a thousand or so. Those about one server
        are done in their order. Raises `StorageError` once all are answered, where one is not as it
        should be.
        """
        asked = [self._servers.ask_raw(_place_of(it[1]), *it) for it in commands]
        return [await self._reply(it) for it in asked]

    async def ask_each(self, *words: str | bytes | int) -> Mapping[str, Any]:
        """What each server says to a command, by where it is. Raises `StorageError`."""
        asked = {str(it.place): it.raw(*words) for it in self._servers}
        return {place: await self._reply(it) for place, it in asked.items()}

    async def _reply(self, asked: Any) -> Any:
        try:
            return await waited(asked)
        except SignalError as exc:
            raise StorageError(f"{self}: {exc.reason}") from None

    # --- looking ---

    async def version(self) -> str:
        """Of which form what is there is; empty where nothing is."""
        found = await self.ask("GET", self.schema_key)
        return "" if found is None else found.decode("utf-8", "replace")

    async def check_there(self) -> None:
        """Raise `StorageError` where no server keeps its state there, or only a part is there."""
        found = await self.version()
        if not found:
            raise StorageError(f"{self}: no server keeps its state there under {self.prefix}")
        if problem := library.unknown(found, self.schema_key):
            raise StorageError(f"{self} has {problem}")

    async def keys(self, pattern: str = "") -> AsyncGenerator[list[bytes], None]:
        """All keys that begin with the prefix and go on as the pattern says, some at a time; one
        may come twice.
        """
        glob = re.sub(r"([\[\]*?\\])", r"\\\1", self.prefix) + (pattern or "*")
        for pipeline in self._servers:
            cursor: bytes | int = 0
            while cursor != b"0":
                words = ("SCAN", cursor, "MATCH", glob, "COUNT", FOUND_PER_LOOK)
                cursor, found = await self._reply(pipeline.raw(*words))
                if found:
                    yield found

    async def facts(self) -> Mapping[str, Mapping[str, str]]:
        """What each server says of itself, by where it is. Raises `StorageError`."""
        return {str(it.place): await library.facts_of(it) for it in self._servers}

    async def setting(self, name: str) -> Mapping[str, str]:
        """How a server is configured, by where it is; empty where it does not say."""
        found: dict[str, str] = {}
        for pipeline in self._servers:
            try:
                reply = await waited(pipeline.raw("CONFIG", "GET", name))
            except SignalError:
                # Who rents a Redis may not ask that.
                reply = {}
            found[str(pipeline.place)] = dict(reply).get(name.encode(), b"").decode()
        return found

    async def time(self) -> float:
        """What Redis' clock shows. Raises `StorageError`."""
        seconds, micros = next(iter((await self.ask_each("TIME")).values()))
        return int(seconds) + int(micros) / 1_000_000


def _place_of(key: str | bytes | int) -> bytes:
    """The part of a key that says which slot it is in."""
    data = key if isinstance(key, bytes) else str(key).encode()
    tag = data.partition(b"{")[2].partition(b"}")[0]
    return tag or data


@asynccontextmanager
async def visiting(
    urls: Sequence[str], *, password: str = "", prefix: str, is_careful: bool = True
) -> AsyncIterator[Visit]:
    """Visit a Redis while the block runs; the arguments are those of `RedisEngine`. Unless it
    `is_careful`, a server that no node could use is visited, too.

    Raises `ConfigError` where no URL is one, and, in a group, `StorageError` where Redis cannot be
    reached or used.
    """
    servers = (_Open if is_careful else _Any)(
        parse(urls, password), prefix, make=Pipeline, on_message=_nothing, on_up=_nothing
    )
    async with trio.open_nursery() as nursery:
        await nursery.start(servers.run)
        yield Visit(servers, prefix)
        nursery.cancel_scope.cancel()


def chunked(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """The items, so many at a time."""
    left = iter(items)
    while some := list(islice(left, size)):
        yield some


def _nothing(*_: object) -> None:
    """Nothing is subscribed to."""
