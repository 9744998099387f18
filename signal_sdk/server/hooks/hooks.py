"""The hooks of a node: the parts wired together, and their life.

Owns: which part gets which. Must not know what a part does.
"""

from __future__ import annotations

import trio

from signal_sdk.net.reactor import Reactor
from signal_sdk.server.clock import Clock
from signal_sdk.server.config_hooks import HooksConfig, key_of
from signal_sdk.server.engine.base import Engine
from signal_sdk.server.hooks.counts import HookCounts
from signal_sdk.server.hooks.poster import Poster
from signal_sdk.server.hooks.questions import Asker
from signal_sdk.server.hooks.sender import Sender


class Hooks:
    """What a node tells a backend, and asks it."""

    def __init__(self, engine: Engine, hooks: HooksConfig, reactor: Reactor, clock: Clock) -> None:
        self.counts: HookCounts = HookCounts()
        keys = [key_of(secret) for secret in (hooks.secret, hooks.old_secret) if secret]
        self._poster = Poster(keys, reactor, clock, (hooks.url, hooks.ask_url))
        self.questions: Asker | None = (
            Asker(hooks, self._poster, self.counts) if hooks.ask else None
        )
        """None where nothing is asked."""
        self._sender = Sender(engine, hooks, self._poster, self.counts) if hooks.url else None

    def wake(self) -> None:
        """Something that is kept may be sent."""
        if self._sender is not None:
            self._sender.wake()

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Tell and ask until cancelled."""
        async with self._poster.running(), trio.open_nursery() as nursery:
            if self.questions is not None:
                await nursery.start(self.questions.run)
            if self._sender is not None:
                nursery.start_soon(self._sender.run)
            task_status.started()
