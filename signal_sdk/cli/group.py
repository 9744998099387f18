"""All processes of a server, looked at by their admin addresses.

Owns: which addresses these are, that one that does not answer takes nothing from the others, and
what they come to together. Must not know how a look is shown.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Final
from urllib.parse import urlsplit

import attrs
import trio

from signal_sdk.admin import AdminError, AsyncAdminClient
from signal_sdk.admin import Node as NodeFacts
from signal_sdk.cli.admin_access import Access
from signal_sdk.cli.samples import Sample, rates, sample

__all__ = ["Group", "Look", "looking", "together"]

MAX_PORT: Final = 65_535
NO_SUM: Final = ("workers",)
"""What each process says of all."""


@attrs.frozen(kw_only=True)
class Look:
    """What was seen of one process, or of all together: the `rates` are those since the look
    before; `failure` is why nothing was. `workers` are those of several processes, by their ports.
    """

    found: Sample | None = None
    rates: Mapping[str, float] = attrs.field(factory=dict)
    failure: str = ""
    workers: Mapping[int, Look] = attrs.field(factory=dict)

    def facts(self, *, has_rates: bool) -> dict[str, Any]:
        """For programs."""
        if self.found is None:
            return {"reason": self.failure}
        told = self.found.facts
        if has_rates:
            told["rates"] = dict(self.rates)
        if self.workers:
            told["workers"] = [
                {"port": port, **it.facts(has_rates=has_rates)} for port, it in self.workers.items()
            ]
        return told


class Group:
    """The processes of the server at `access`: that one, and where it is one of several workers,
    those at the ports behind it. Use it by `looking`.
    """

    def __init__(self, access: Access, stack: AsyncExitStack, *, is_alone: bool) -> None:
        self._access = access
        self._stack = stack
        self._port = 0 if is_alone else urlsplit(access.url).port or 0
        """0 where nobody can say at which ports others are."""
        self._clients: dict[int, AsyncAdminClient] = {}
        self._before: dict[int, Sample] = {}

    async def _client(self, port: int) -> AsyncAdminClient:
        client = self._clients.get(port)
        if client is None:
            access = self._access if port == self._port else self._access.at(port)
            client = await self._stack.enter_async_context(access.client())
            self._clients[port] = client
        return client

    async def look(self) -> Look:
        """Ask all of them. Raises `AdminError` where nobody answers."""
        looks: dict[int, Look] = {}
        for port in list(self._clients) or [self._port]:
            await self._client(port)
        errors = await self._ask(list(self._clients), looks)
        count = _workers(looks)
        if self._port and count > len(self._clients):
            more = [
                port
                for port in range(self._port + 1, min(self._port + count, MAX_PORT + 1))
                if port not in self._clients
            ]
            for port in more:
                await self._client(port)
            errors += await self._ask(more, looks)
        found = {port: it.found for port, it in looks.items() if it.found is not None}
        if not found:
            raise errors[0]
        if len(looks) == 1:
            return next(iter(looks.values()))
        looks = dict(sorted(looks.items()))
        return Look(found=together(looks), rates=_sum(looks), workers=looks)

    async def _ask(self, ports: list[int], looks: dict[int, Look]) -> list[AdminError]:
        errors: list[AdminError] = []

        async def ask(port: int) -> None:
            try:
                found = await sample(self._clients[port])
            except AdminError as exc:
                errors.append(exc)
                looks[port] = Look(failure=str(exc) if exc.status else exc.problem.detail)
                return
            before = self._before.get(port)
            looks[port] = Look(found=found, rates=rates(before, found) if before else {})
            self._before[port] = found

        async with trio.open_nursery() as nursery:
            for port in ports:
                nursery.start_soon(ask, port)
        return errors


@asynccontextmanager
async def looking(access: Access, *, is_alone: bool = False) -> AsyncIterator[Group]:
    """Look at a server's processes within the block; `is_alone` at the one at this address."""
    async with AsyncExitStack() as stack:
        yield Group(access, stack, is_alone=is_alone)


def _workers(looks: Mapping[int, Look]) -> int:
    said = (it.found.gauges.get("workers", 1) for it in looks.values() if it.found is not None)
    return int(max(said, default=1))


def together(looks: Mapping[int, Look]) -> Sample:
    """What processes come to: sums, but of what they share, where the largest is the newest. One
    that does not answer lets nobody in. At least one has to have answered.
    """
    found = [it.found for it in looks.values() if it.found is not None]
    engine = max((it.node.engine for it in found), key=lambda it: (it.accounts, it.online))
    why = {
        port: it.failure if it.found is None else it.found.node.why_not_ready
        for port, it in looks.items()
    }
    node = NodeFacts(
        version=found[0].node.version,
        since=min(it.node.since for it in found),
        sessions=sum(it.node.sessions for it in found),
        why_not_ready="; ".join(f"at port {port}: {it}" for port, it in why.items() if it),
        engine=engine,
    )
    return Sample(
        at=max(it.at for it in found),
        node=node,
        gauges=_total([it.gauges for it in found]),
        counters=_total([it.counters for it in found]),
    )


def _total(some: list[Mapping[str, float]]) -> dict[str, float]:
    names = dict.fromkeys(name for it in some for name in it)
    return {
        name: (max if name in NO_SUM else sum)(it[name] for it in some if name in it)
        for name in names
    }


def _sum(looks: Mapping[int, Look]) -> dict[str, float]:
    """The rates of all; how late tasks are, where they are latest."""
    some = [it.rates for it in looks.values()]
    names = dict.fromkeys(name for it in some for name in it)
    return {
        name: round((max if name == "lag_ms" else sum)(it[name] for it in some if name in it), 3)
        for name in names
    }
