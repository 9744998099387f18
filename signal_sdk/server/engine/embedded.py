"""The embedded engine: all state in this process's memory, every operation done in one step, and
noted for the journal where there is one.

Owns: the engine's life, from its start over its sweeps to its end; the operations are classes below
it, each group in a module of its own. Must not know a rule, or how a change is written. Nothing
here or below waits, which is what makes each operation atomic; what one request changes is in one
batch.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import trio

from signal_sdk.server.engine.account_operations import AccountOperations
from signal_sdk.server.engine.base import AccountKey, Call, CallKey, ChannelKey, Engine, Presence
from signal_sdk.server.engine.call_operations import CallOperations
from signal_sdk.server.engine.memory import give_back

GIVEN_BACK_SECONDS: Final = 60.0
"""How often memory is given back, at most."""
SWEPT: Final = 1000
"""How many channels' histories one sweep looks at."""


class EmbeddedEngine(AccountOperations, CallOperations, Engine):
    """An engine for one node.

    It keeps no more than `bounds` allows. With a `journal`, it goes on where that was left
    (`StorageError` where that cannot be), and writes to it by `write_in_thread`.
    """

    is_immediate = True
    _is_roomy = False
    """Has much gone whose memory was not given back yet?"""
    _gave_back_at = -math.inf

    # --- after a start ---

    async def online(self) -> Sequence[tuple[AccountKey, Presence]]:
        return [(key, it.presence) for key, it in self._accounts.items() if it.presence is not None]

    async def live_calls(self) -> Sequence[tuple[CallKey, Call]]:
        return list(self._calls.items())

    async def channels(self) -> Sequence[tuple[ChannelKey, float | None]]:
        return [(key, channel.idle_since) for key, channel in self._channels.items()]

    # --- life ---

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        task_status.started()
        await self._commits.run()

    async def aclose(self) -> None:
        self._state.reserve_no_more()
        await self._commits.aclose()

    # --- time ---

    def newest_time(self) -> float:
        return self._state.newest_time

    def forget_newer_time(self, now: float) -> None:
        self._state.forget_newer_time(now)

    async def sweep(self, now: float) -> None:
        self._state.saw(now)
        self._inboxes.sweep(now)
        for _ in range(min(SWEPT, len(self._histories))):
            channel = self._channels.get(key := self._histories.popleft())
            if channel is not None:
                channel.forget(now - self._history_seconds)
                if channel.history:
                    self._histories.append(key)
        if self._state.tidy():
            self._inboxes.tidy()
            self._is_roomy = True
        # Everything stands still meanwhile; a clock that was set back does not matter.
        if self._is_roomy and not 0 <= now - self._gave_back_at < GIVEN_BACK_SECONDS:
            self._is_roomy = False
            self._gave_back_at = now
            give_back()
