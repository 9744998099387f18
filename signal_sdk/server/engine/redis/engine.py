"""The engine on Redis: what all nodes share is there, and each operation is one function that runs
there.

Owns: the engine's life on this node, and what is durable. Must not know how an operation is done.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import partial
from typing import Any, Final

import trio

from signal_sdk.errors import SignalError, StorageError
from signal_sdk.server.engine.base import Then
from signal_sdk.server.engine.facts import Revoked
from signal_sdk.server.engine.pending import Pending, drive, waited
from signal_sdk.server.engine.redis import resp, revoked
from signal_sdk.server.engine.redis.attribute_operations import AttributeOperations
from signal_sdk.server.engine.redis.call_operations import CallOperations
from signal_sdk.server.engine.redis.channel_operations import ChannelOperations
from signal_sdk.server.engine.redis.core import Core
from signal_sdk.server.engine.redis.happening_operations import HappeningOperations
from signal_sdk.server.engine.redis.inbox_operations import InboxOperations
from signal_sdk.server.engine.redis.lives import all_done
from signal_sdk.server.engine.redis.lock_operations import LockOperations
from signal_sdk.server.engine.redis.operator_operations import OperatorOperations
from signal_sdk.server.engine.redis.pipeline import Ask, away

logger: logging.Logger = logging.getLogger("signal_sdk.server.redis")

REPLICAS_MS: Final = 1000
"""How long replicas have to say that they have it, in milliseconds."""
FAREWELL_SECONDS: Final = 5.0
"""How long a node that stops may take to tell Redis so: a stop that hangs is killed."""
BEHIND: Final = 2_000
"""How much may be asked and not answered before who has asked already is not heard."""


class RedisEngine(
    OperatorOperations,
    ChannelOperations,
    AttributeOperations,
    LockOperations,
    InboxOperations,
    CallOperations,
    HappeningOperations,
):
    """An engine of many processes, one for each node.

    `urls` is where Redis is (server/redis_urls.py has the forms), `password` for those without
    one; all names there begin with `prefix`. It keeps no more than `bounds` allows. With
    `replicas`, what is done counts as durable once so many of them have it. A node that is silent
    for `life_seconds` is dead to the others. `now` is the time instead of Redis' own, for tests.

    Raises `ConfigError` where no URL is one.
    """

    def __init__(self, *args: Any, **settings: Any) -> None:
        self._unsaid: list[Then] = []
        self._is_asking = False
        self._start_hearing()
        self._start_living()
        Core.__init__(self, *args, **settings)

    # --- life ---

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """As the contract has it. Raises `StorageError` where Redis cannot be used."""
        await self._servers.run(task_status)

    async def aclose(self) -> None:
        """As the contract has it. Where Redis is away, the others find this node silent."""
        apps = [app for app, served in self._served.items() if served.heard_at is not None]
        if not apps:
            await trio.lowlevel.checkpoint()
            return
        try:
            with trio.move_on_after(FAREWELL_SECONDS):
                await self._say_farewell(apps)
        except* (SignalError, StorageError) as exc:
            logger.info("Redis was not told that this node is going: %s", exc.exceptions[0])
        self._served.clear()

    async def _say_farewell(self, apps: Sequence[str]) -> None:
        async with trio.open_nursery() as nursery:
            await nursery.start(self._servers.run)
            for app in apps:
                is_more = True
                while is_more:
                    asked: Pending[bool] = self._ask(app, "go", (), _is_more)
                    is_more = await waited(asked)
            nursery.cancel_scope.cancel()

    # --- durability ---

    def check_writable(self) -> None:
        """As the contract has it."""
        for pipeline in self._servers.used:
            if not pipeline.is_up:
                raise away(pipeline.why)

    def when_durable(self, then: Then, *, is_urgent: bool = False) -> None:  # noqa: ARG002  none gathers
        """As the contract has it: what was answered is in Redis; with `replicas`, once these have
        said that they have it, too.
        """
        if not self.replicas:
            then(None)
            return
        self._unsaid.append(then)
        if not self._is_asking:
            self._ask_replicas()

    def _ask_replicas(self) -> None:
        """Ask for all who wait by now; who comes meanwhile is asked for next."""
        self._is_asking = True
        waiting, self._unsaid = self._unsaid, []
        wait = resp.command("WAIT", self.replicas, REPLICAS_MS)
        asks: list[Pending[int]] = [pipeline.ask(Ask(wait, int)) for pipeline in self._servers]
        all_done(asks).when_done(partial(self._replicas_said, asks, waiting))

    def _replicas_said(self, asks: list[Pending[int]], waiting: list[Then]) -> None:
        refusal: SignalError | None = None
        try:
            if min(ask.result() for ask in asks) < self.replicas:
                refusal = away(f"fewer than {self.replicas} replicas of Redis have it")
        except SignalError as exc:
            refusal = exc
        self._is_asking = False
        for then in waiting:
            try:
                then(refusal)
            except Exception:
                # One client's reply must not take the others' away.
                logger.exception("what was to follow a change failed")
        if self._unsaid and not self._is_asking:
            self._ask_replicas()

    is_volatile: bool = False

    @property
    def is_behind(self) -> bool:
        """As the contract has it."""
        return any(len(pipeline) > BEHIND for pipeline in self._servers)

    # --- revoked tokens ---

    def revoked(self, seen: str) -> Revoked | Pending[Revoked | None] | None:
        """As the contract has it."""
        return drive(self._revoked(seen))

    async def _revoked(self, seen: str) -> Revoked | None:
        key = revoked.key_of(self.prefix)
        mark: bytes | None = await self._servers.ask_raw(key, "HGET", key, revoked.MARK)
        if (mark or b"").decode() == seen:
            return None
        return revoked.revoked(await self._servers.ask_raw(key, "HGETALL", key))

    # --- time ---

    def newest_time(self) -> float:
        """As the contract has it."""
        return self._newest_time

    def forget_newer_time(self) -> None:
        """As the contract has it."""
        self._newest_time = min(self._newest_time, self.redis_time())


def _is_more(reply: Any) -> bool:
    return reply is not None and len(reply) > 1
