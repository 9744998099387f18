"""The embedded engine: all state in this process's memory, every operation done in one step, and
noted for the journal where there is one.

Owns: the engine's life, from its start over its sweeps to its end, and what is done when something
is due; the operations are classes below it, each group in a module of its own. Must not know how a
change is written. Nothing here or below waits, which is what makes each operation atomic; what one
request changes is in one batch.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Collection
from typing import Final

import trio

from signal_sdk.server.engine import call_table
from signal_sdk.server.engine.base import CallKey, Engine, Measures, Statistics
from signal_sdk.server.engine.call_operations import CALL
from signal_sdk.server.engine.channel_operations import ATTRIBUTES, END
from signal_sdk.server.engine.happened import Why
from signal_sdk.server.engine.locks import Ask
from signal_sdk.server.engine.memory import give_back
from signal_sdk.server.engine.operator_operations import OperatorOperations
from signal_sdk.server.engine.presence_operations import EXPIRY, LEASE
from signal_sdk.server.engine.state import Due
from signal_sdk.server.engine.tables import Account, Channel

logger: logging.Logger = logging.getLogger("signal_sdk.server.engine")

GIVEN_BACK_SECONDS: Final = 60.0
"""How often memory is given back, at most."""
SWEPT: Final = 1000
"""How many channels' histories one sweep looks at."""


class EmbeddedEngine(OperatorOperations, Engine):
    """An engine of one process.

    It keeps no more than `bounds` allows. With a `journal`, it goes on where that was left
    (`StorageError` where that cannot be), and writes to it by `write_in_thread`. `shared` is
    another's, for its neighbour.
    """

    _is_roomy = False
    """Has much gone whose memory was not given back yet?"""
    _gave_back_at = -math.inf

    def neighbour(self) -> EmbeddedEngine:
        """The engine of another node, on the same state."""
        return EmbeddedEngine(shared=(self._state, self._inboxes))

    def statistics(self) -> Statistics:
        state = self._state
        return Statistics(
            accounts=len(state.accounts),
            online=len(state.lines),
            channels=len(state.channels),
            calls=len(state.calls),
            due=len(state.dues) + len(state.expiries),
            listening=len(state.listening),
            rated=len(state.messages) + len(state.changes),
        )

    def measures(self, apps: Collection[str]) -> Measures:
        state = self._state
        oldest_ms = self._inboxes.oldest_ms
        return Measures(
            apps=state.holdings(apps),
            calls={it: state.live[it] for it in call_table.STEPS},
            invited=state.invited,
            ended={it: state.ended[it] for it in call_table.ENDS},
            oldest_seconds=max(self._wall() - oldest_ms / 1000, 0.0),
            batches=self._commits.batches,
        )

    def revoked(self, seen: str) -> None:  # noqa: ARG002  it keeps none
        return None

    # --- life ---

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        self._state.lives[self.node] = self._patient()
        if not self._state.has_begun:
            self._state.has_begun = True
            self._begin()
        self._dues.start()
        self._expiries.start()
        task_status.started()
        delivery, _ = self._own
        await self._commits.run(delivery)

    def _begin(self) -> None:
        """Leases that ran go on. Whoever was online beside has lost the connection, and the lease
        begins now, since nobody could come back before.
        """
        for account in self._accounts.values():
            self._watch_ends(account)
            if account.presence is not None and account.presence.node not in self._state.lives:
                self._lease(account)
                self._watch_presence(account)
        for channel in self._channels.values():
            if not channel.members and channel.idle_since is None:
                # Its members were of no use, and nobody noticed when they went.
                channel.idle_since = self._wall()
                self._commits.channel(channel)
            self._watch_end(channel)
            self._watch_ends(channel)
            for name in channel.attributes:
                self._watch_channel(channel, name)
        for key in self._calls:
            self._watch_call(key)
        self._begin_locks()

    async def aclose(self) -> None:
        if self._state.lives.keys() - {self.node}:
            self._bury(self.node)
            delivery, _ = self._own
            self._happenings.forget(delivery)
            return
        self._part_from(self.node)
        self._state.reserve_no_more()
        await self._commits.aclose()

    # --- time ---

    def newest_time(self) -> float:
        return self._state.newest_time

    def forget_newer_time(self) -> None:
        self._state.forget_newer_time(self._wall())

    def _do_due(self, due: Due) -> None:
        try:
            match due:
                case (kind, Account() as account) if kind == LEASE and account.presence is not None:
                    self._end(account, account.presence, why=Why.LOST)
                case (kind, Account() as account) if kind == EXPIRY:
                    self._expire(account, why=Why.EXPIRED)
                case (kind, CallKey() as key) if kind == CALL:
                    self._run_out(key)
                case (_, Ask() as ask):
                    self._end_ask(ask)
                case (kind, Account() | Channel() as owner) if kind == ATTRIBUTES:
                    self._attributes_due(owner)
                case (kind, Channel() as channel) if kind == END:
                    self._destroy(channel)
                case (name, Channel() as channel):
                    self._push_count(channel, name)
        except Exception:
            # One mistake must not stop all else that is due.
            logger.exception("what was due failed")

    def sweep(self) -> None:
        now = self._wall()
        self._live()
        state = self._state
        state.saw(now)
        for rates in (state.messages, state.changes):
            rates.age(trio.current_time())
        state.joins.age(trio.current_time())
        self._inboxes.sweep(now)
        seconds = state.bounds.history_seconds
        for _ in range(min(SWEPT, len(state.histories))):
            channel = self._channels.get(key := state.histories.popleft())
            if channel is not None:
                if seconds:
                    channel.forget(now - seconds)
                if channel.history:
                    state.histories.append(key)
        if state.tidy():
            self._inboxes.tidy()
            self._is_roomy = True
        # Everything stands still meanwhile; a clock that was set back does not matter.
        if self._is_roomy and not 0 <= now - self._gave_back_at < GIVEN_BACK_SECONDS:
            self._is_roomy = False
            self._gave_back_at = now
            give_back()
