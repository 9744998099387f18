"""The sender: what is kept for hooks goes to the backend, in batches, until that has it.

Owns: what a batch is, its order, the pauses after a failure, and the counts. Must not know how
anything is posted, or kept.

Of an app one batch is under way at a time, over all nodes: what happens to an account arrives in
the order in which it happened, and so does everything else of the app. A batch that has failed is
tried again, in pauses that grow; what is kept outlives the process. So an event may come twice, and
its app and number say that it is the same. Nobody waits for any of this.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Mapping, Sequence
from typing import Final
from urllib.parse import quote

import trio

from signal_sdk.errors import SignalError
from signal_sdk.net.sleeper import Sleeper
from signal_sdk.server.complaints import Complaint
from signal_sdk.server.config_hooks import HooksConfig
from signal_sdk.server.engine.base import Engine
from signal_sdk.server.engine.happened import Backlog, Happening, encode
from signal_sdk.server.engine.pending import waited
from signal_sdk.server.hooks.counts import HookCounts
from signal_sdk.server.hooks.poster import Poster, PostError

__all__ = ["Sender", "body_of"]

logger: logging.Logger = logging.getLogger("signal_sdk.server.hooks")

LOOK_SECONDS: Final = 1.0
"""How often it is looked what is kept, where nobody says that something is."""
SENT_AT_ONCE: Final = 32
"""Of how many apps something is sent at the same time: one whose backend hangs holds up no other,
up to so many."""
MARGIN_SECONDS: Final = 5.0
"""For how much longer a node has a batch than it takes at most."""
FIRST_PAUSE_SECONDS: Final = 1.0


class Sender:
    """Sends what the engine keeps."""

    def __init__(
        self, engine: Engine, hooks: HooksConfig, poster: Poster, counts: HookCounts
    ) -> None:
        self._engine = engine
        self._hooks = hooks
        self._poster = poster
        self._counts = counts
        self._sending: set[str] = set()
        self._dropped: dict[str, int] = {}
        self._sleeper = Sleeper()
        self._is_woken = False
        self._slots = trio.CapacityLimiter(SENT_AT_ONCE)
        self._failing = Complaint("hooks: the backend does not take what it is told", logger)
        self._random = random.Random()  # noqa: S311  no secret

    def wake(self) -> None:
        """Something may be there."""
        self._is_woken = True
        self._sleeper.wake()

    async def run(self) -> None:
        """Send until cancelled."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._tick)
            while True:
                await self._look(nursery)
                if not self._is_woken:
                    await self._sleeper.sleep()
                self._is_woken = False

    async def _tick(self) -> None:
        while True:
            await trio.sleep(LOOK_SECONDS)
            self.wake()

    async def _look(self, nursery: trio.Nursery) -> None:
        try:
            backlogs = await waited(self._engine.backlogs())
        except SignalError:
            # The engine is away; it says so itself.
            return
        self._count(backlogs)
        for app, backlog in backlogs.items():
            if backlog.kept and app not in self._sending:
                self._sending.add(app)
                nursery.start_soon(self._send_all, app)

    def _count(self, backlogs: Mapping[str, Backlog]) -> None:
        counts = self._counts
        counts.queued = sum(it.kept for it in backlogs.values())
        counts.oldest = min((it.oldest for it in backlogs.values() if it.kept), default=0)
        # Nobody tells of an app of which nothing is kept any more.
        self._dropped.update({app: it.dropped for app, it in backlogs.items() if it.dropped})
        counts.dropped = sum(self._dropped.values())

    async def _send_all(self, app: str) -> None:
        """Send what is kept of the app, until nothing is, or another node does so."""
        try:
            async with self._slots:
                await self._send(app)
        except SignalError as exc:
            logger.debug("hooks of app %r: %s", app, exc.reason)
        except Exception:
            # One mistake must not stop the node, nor other apps.
            logger.exception("what happens in app %r cannot be sent", app)
        finally:
            self._sending.discard(app)

    async def _send(self, app: str) -> None:
        hooks, failures = self._hooks, 0
        while True:
            longest = min(FIRST_PAUSE_SECONDS * 2.0**failures, hooks.retry_seconds)
            taken = await waited(
                self._engine.take_happenings(
                    app,
                    hooks.batch_events,
                    seconds=hooks.timeout_seconds + longest + MARGIN_SECONDS,
                )
            )
            if not taken:
                return
            count, body = body_of(app, taken, hooks.batch_bytes)
            first, last = taken[0].number, taken[count - 1].number
            name = f"{quote(app, safe='')}-{first}-{last}"
            try:
                await self._poster.post(hooks.url, name, body, hooks.timeout_seconds)
            except PostError as exc:
                self._counts.failed += 1
                failures = min(failures + 1, 30)
                self._failing.tell(f"{exc}; it is tried again")
                await trio.sleep(longest * (1 - self._random.random() / 2))
                continue
            failures = 0
            self._counts.posted += 1
            self._counts.delivered += count
            if not await waited(self._engine.happenings_done(app, last)):
                return


def body_of(app: str, happenings: Sequence[Happening], most_bytes: int) -> tuple[int, bytes]:
    """How many of these, one at least, a request of so many bytes has room for, and its body."""
    parts = [b'{"type":"events","app":' + encode(app) + b',"events":[']
    size, count = len(parts[0]) + 2, 0
    for happening in happenings:
        text = encode(happening)
        size += len(text) + 1
        if count and size > most_bytes:
            break
        if count:
            parts.append(b",")
        parts.append(text)
        count += 1
    return count, b"".join((*parts, b"]}"))
