"""What the tests of the admin address share: a node that is none, an operator that notes what is
asked of it, and requests to what would be served, in memory.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final, cast

import attrs
import httpx
import trio

from signal_sdk.net.reactor import Reactor
from signal_sdk.server.admin.app import AdminApp
from signal_sdk.server.admin.served import Exposition, Served
from signal_sdk.server.config import AdminConfig, AdminKeyConfig, AppConfig, Config, ServerConfig
from signal_sdk.server.config_admin import RIGHTS
from signal_sdk.server.engine.base import Engine, Statistics
from signal_sdk.server.engine.happened import Follow
from signal_sdk.server.feed import Feed
from signal_sdk.server.operator.operator import Operator

KEY: Final = "f3b0c1d2e4a59687f3b0c1d2e4a59688"
APP_KEY: Final = "Tq3vYx8LmZ0aPw6RsK2cJd"
WRONG_KEY: Final = "0123456789abcdef0123456789abcdef"
URL: Final = "http://127.0.0.1:8011"


def admin_config(*keys: AdminKeyConfig, **admin: Any) -> Config:
    """A key for all, and one to read of the app `app`, unless `keys` says otherwise."""
    return Config(
        server=ServerConfig(dev=True),
        apps=(AppConfig(id="app"), AppConfig(id="other")),
        admin=AdminConfig(**admin),
        admin_keys=keys
        or (
            AdminKeyConfig(name="all", key=KEY, app="*", rights=RIGHTS),
            AdminKeyConfig(name="reader", key=APP_KEY, app="app", rights=("read",)),
        ),
    )


@attrs.define
class NotedOperator:
    """Notes what is asked of it, and answers what it was told to, or raises it."""

    asked: list[tuple[Any, ...]] = attrs.field(factory=list)
    answers: dict[str, Any] = attrs.field(factory=dict)
    gate: trio.Event | None = None
    """What it waits for."""

    def __getattr__(self, name: str) -> Any:
        async def rule(*args: Any, **more: Any) -> Any:
            self.asked.append((name, *args, more))
            if self.gate is not None:
                await self.gate.wait()
            answer = self.answers.get(name)
            if isinstance(answer, Exception):
                raise answer
            return answer

        return rule


class _NoEngine:
    """An engine in which nothing happens by itself."""

    def follow(self, app: str, follow: Follow) -> None:
        """Nobody is told anything."""


def lone_feed() -> Feed:
    """A feed that tells what a test puts into it."""
    return Feed(cast("Engine", _NoEngine()))


@attrs.define
class FixedNode:
    """A node that tells what it was told to."""

    sessions: int = 7
    why: str = ""

    def statistics(self) -> Statistics:
        return Statistics(accounts=1, online=2, channels=3, calls=4, due=5, listening=6, rated=7)

    def why_not_ready(self) -> str:
        return self.why


@attrs.define
class Asker:
    """Asks what would be served at the admin address, in memory."""

    app: AdminApp
    operator: NotedOperator
    node: FixedNode
    served: Served
    client: httpx.AsyncClient

    async def __call__(
        self, method: str, path: str, key: str | None = KEY, **more: Any
    ) -> httpx.Response:
        """Ask with this key."""
        headers = {**more.pop("headers", {})}
        if key is not None:
            headers["Authorization"] = f"Bearer {key}"
        return await self.client.request(method, path, headers=headers, **more)


@asynccontextmanager
async def asker(
    config: Config | None = None, exposition: Exposition | None = None, feed: Feed | None = None
) -> AsyncIterator[Asker]:
    """What `config` serves, while the block runs."""
    reactor, operator, node = Reactor(), NotedOperator(), FixedNode()
    served = Served(
        operator=cast("Operator", operator),
        feed=lone_feed() if feed is None else feed,
        node=node,
        reactor=reactor,
        since=1.6e9,
        exposition=exposition,
    )
    app = AdminApp(config or admin_config(), served)
    transport = httpx.ASGITransport(cast("Any", app))
    async with trio.open_nursery() as nursery:
        await nursery.start(reactor.run)
        async with httpx.AsyncClient(transport=transport, base_url=URL) as client:
            yield Asker(app, operator, node, served, client)
        nursery.cancel_scope.cancel()
