"""The life of this node in each app that it serves, and what happens there by itself.

Owns: heartbeats, when the next due is looked for, where each node may be reached, and what the node
last saw of how much there is.
Must not know what is due, nor an operation.

A node lives in each app apart, since an app is all in one place: there it says each second that it
is alive, and there the others take it for dead. By the same call it does what is due and over
there. Apps that no node serves any more are found by a slow round over all that are known.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Sequence
from functools import partial
from typing import Any, Final

import msgspec
import trio

from signal_sdk.errors import SignalError
from signal_sdk.server.engine import call_table
from signal_sdk.server.engine.base import (
    PLACE_SECONDS,
    Alarm,
    Clocks,
    Delivery,
    Measures,
    Place,
    Statistics,
)
from signal_sdk.server.engine.pending import Pending
from signal_sdk.server.engine.redis import amounts, answers, resp
from signal_sdk.server.engine.redis.amounts import Amounts
from signal_sdk.server.engine.redis.answers import About
from signal_sdk.server.engine.redis.core import INVITED, new_node, pack, tag
from signal_sdk.server.engine.redis.errands import run_some
from signal_sdk.server.engine.redis.holding import Holding, Served
from signal_sdk.server.engine.redis.pipeline import Ask, Pipeline

logger: logging.Logger = logging.getLogger("signal_sdk.server.redis")

ROUNDING_SECONDS: Final = 0.002
"""How much later than it is due something is looked for: both clocks are only so exact."""
APPS_PER_ROUND: Final = 100
"""How many apps that this node does not serve are looked over in a second."""
NAMED_EVERY: Final = 60
"""After so many heartbeats an app is put among those that are known once more: another node may
have found it empty in the moment before it was not.
"""


class Lives(Holding):
    """A node's own life, and the end of others'."""

    def _start_living(self) -> None:
        self._start_holding()
        self._seen: dict[str, Amounts] = {}
        self._has_kept: set[str] = set()
        """The apps in which something was kept for hooks, as this node was told."""
        self._cursor = b"0"
        self._listening = 0
        self._newest_time = 0.0
        self._alarm: Alarm | None = None

    def attach(self, delivery: Delivery, clocks: Clocks) -> None:
        """As the contract has it."""
        super().attach(delivery, clocks)
        self._alarm = clocks.prompt.alarm(self._look_for_dues)

    # --- serving ---

    def _serve(self, app: str) -> Served:
        """The app, which this node serves from here on."""
        served = self._served.get(app)
        if served is None:
            served = self._served[app] = Served()
            self._greet(app)
            self._hear_as(app, self.node)
            self._name(app)
        return served

    def _greet(self, app: str) -> None:
        """Say whose data it is that the app is in, before anything is done to it."""
        self._ask(app, "greet", self._lineage(app), _itself)

    def _lineage(self, app: str) -> tuple[str, str]:
        """Whose data it is, and whose it may have been before."""
        others = ",".join(sorted(it.lineage for it in self._servers if it.is_up))
        return self._servers.of(tag(app)).lineage, others

    def _name(self, app: str) -> None:
        """Put the app among those that are known."""
        key = f"{self.prefix}apps"
        self._servers.ask_raw(key, "SADD", key, app)

    @staticmethod
    def _lives_in(served: Served, since: float) -> None:
        served.heard_at = max(served.heard_at or since, since)

    def _is_mute(self, app: str) -> bool:
        served = self._served.get(app)
        if served is None or served.heard_at is None:
            return False
        return trio.current_time() - served.heard_at > self._life_seconds

    def _be_reborn(self) -> None:
        logger.warning("this node was silent, and the others took it for dead: it begins anew")
        for app in self._served:
            self._hear_no_more_as(app, self.node)
        self._hear_nothing()
        self.node: str = new_node()
        for app, served in self._served.items():
            served.heard_at = None
            served.held.clear()
            self._hear_as(app, self.node)
        self._own.deliver_fencing()

    # --- the heartbeat ---

    def sweep(self) -> Pending[None]:
        """As the contract has it: this node's heartbeats, and what is over. What cannot be done
        while Redis is away is left for the next time.
        """
        apps: dict[Pipeline, list[str]] = {}
        for app in self._served:
            apps.setdefault(self._servers.of(tag(app)), []).append(app)
        asked = [run_some(self._beat, some) for some in apps.values()]
        return all_done([*asked, self._look_round()])

    def _beat(self, app: str) -> Pending[None] | None:
        served = self._served[app]
        if served.is_asked:
            return None
        lives = "known" if served.heard_at is not None else "new" if served.held else ""
        return self._tick(app, served, lives)

    def _tick(self, app: str, served: Served | None, lives: str) -> Pending[None]:
        node = self.node
        if served is not None:
            served.is_asked = True
            served.beats += 1
            if served.beats % NAMED_EVERY == 0:
                self._name(app)
        seen = served.amounts if served is not None else self._seen.setdefault(app, Amounts())
        behind = seen.behind if lives or served is None else ""
        args = (lives, *self._lineage(app), behind)
        reply: Ask[Any] = self._ask(app, "tick", args, partial(_ticked, About()))
        done: Pending[None] = Pending()
        since = trio.current_time()
        reply.when_done(partial(self._has_ticked, app, served, lives, node, since, reply, done))
        return done

    def _has_ticked(
        self,
        app: str,
        served: Served | None,
        lives: str,
        node: str,
        since: float,
        reply: Pending[Any],
        done: Pending[None],
    ) -> None:
        if served is not None:
            served.is_asked = False
        try:
            _, _, is_more, now_ms, dead, counts, connected, nodes, *more = reply.result()
        except SignalError:
            # Redis is away, which is told once where that is noticed, or this node was dead.
            pass
        else:
            self._saw(now_ms / 1000)
            for name in dead:
                logger.warning("node %s is silent: its clients' leases begin", name.decode())
            if served is not None:
                served.amounts.saw(counts, *more)
                if lives and node == self.node:
                    was_mute = self._is_mute(app)
                    self._lives_in(served, since)
                    if was_mute:
                        self._hears_again(app)
                    else:
                        self._compare(app, served, connected)
            else:
                self._seen.setdefault(app, Amounts()).saw(counts, *more)
                self._round_found(app, nodes)
            if is_more:
                self._tick(app, served, "").when_done(partial(done.resolve, None))
                return
        done.resolve(None)

    def _saw(self, now: float) -> None:
        """It is `now`, by Redis' clock."""
        self._ahead = now - self._wall()
        self._newest_time = max(self._newest_time, now)

    # --- where nodes are ---

    def announce(self, place: Place | None) -> Pending[Sequence[Place]]:
        """As the contract has it."""
        said = pack(place) if place is not None else b""
        key = f"{self.prefix}places"
        return self._ask_at(key, "announce", (said, f"{PLACE_SECONDS:g}"), _places)

    # --- the round ---

    def _look_round(self) -> Pending[None]:
        """Look over some of the apps that this node does not serve."""
        done: Pending[None] = Pending()
        key = f"{self.prefix}apps"
        found = self._servers.ask_raw(key, "SSCAN", key, self._cursor, "COUNT", APPS_PER_ROUND)
        found.when_done(partial(self._look_at, found, done))
        return done

    def _look_at(self, found: Pending[Any], done: Pending[None]) -> None:
        try:
            self._cursor, apps = found.result()
        except SignalError:
            done.resolve(None)
            return
        others = [app for it in apps if (app := it.decode()) not in self._served]
        asked = [self._tick(app, None, "") for app in others]
        all_done(asked).when_done(partial(done.resolve, None))

    def _round_found(self, app: str, nodes: int) -> None:
        if nodes or self._seen[app].is_any:
            return
        self._seen.pop(app, None)
        if app not in self._served:
            key = f"{self.prefix}apps"
            self._servers.ask_raw(key, "SREM", key, app)

    # --- what is due ---

    def _due_at(self, app: str, due_ms: int) -> None:
        served = self._served.get(app)
        if served is not None and served.due_ms != due_ms:
            served.due_ms = due_ms
            self._set_alarm()

    def _set_alarm(self) -> None:
        dues = [it.due_ms for it in self._served.values() if it.due_ms > 0 and not it.is_asked]
        if self._alarm is None:
            return
        if not dues:
            self._alarm.cancel()
            return
        seconds = min(dues) / 1000 - self.redis_time()
        self._alarm.set_after(max(seconds, 0.0) + ROUNDING_SECONDS)

    def _look_for_dues(self) -> None:
        """Do what is due, if no other node has."""
        now_ms = self.redis_time() * 1000
        for app, served in list(self._served.items()):
            is_due = 0 < served.due_ms <= now_ms and not served.is_asked
            if is_due and self._is_there(app):
                self._tick(app, served, "").when_done(self._set_alarm)
        self._set_alarm()

    # --- a connection anew ---

    def _is_up(self, pipeline: Pipeline) -> None:
        if pipeline.time and self._now is None:
            self._saw(pipeline.time)
        for app in self._served:
            if self._servers.of(tag(app)) is pipeline:
                self._greet(app)
        self._hear_again(pipeline)
        for app, served in self._served.items():
            if self._servers.of(tag(app)) is pipeline:
                # What is due is asked with the next heartbeat.
                served.is_asked = False

    # --- how much there is ---

    def _seen_of_apps(self) -> dict[str, Amounts]:
        return {**self._seen, **{app: it.amounts for app, it in self._served.items()}}

    def measures(self, apps: Collection[str]) -> Measures:
        """As the contract has it; as old as `statistics`."""
        seen = self._seen_of_apps()
        eldest_ms = amounts.eldest_ms(seen.values())
        pipelines = self._servers.used
        up = sum(it.is_up for it in pipelines)
        return Measures(
            apps=amounts.holdings(seen, apps),
            calls=amounts.calls(seen.values()),
            invited=self.steps[INVITED],
            ended={it: self.steps[it] for it in call_table.ENDS},
            oldest_seconds=max(self.redis_time() - eldest_ms / 1000, 0.0) if eldest_ms else 0.0,
            trips=self._servers.trips,
            asked=sum(map(len, pipelines)),
            up=up,
            down=len(pipelines) - up,
        )

    def statistics(self) -> Statistics:
        """As the contract has it: what this node last saw, which is at most a second old for the
        apps that it serves, and older by a round over all others. Rates are forgotten by Redis
        itself, and not counted; which channels are heard is asked for by `count` alone.
        """
        seen = self._seen_of_apps().values()
        return Statistics(
            accounts=sum(it.accounts for it in seen),
            online=sum(it.online for it in seen),
            channels=sum(it.channels for it in seen),
            calls=sum(it.calls for it in seen),
            due=sum(it.due for it in seen),
            listening=self._listening,
            rated=0,
        )

    def count(self) -> Pending[None]:
        """See anew how much there is, also of which channels are heard."""
        asked: list[Pending[Any]] = [
            self._tick(app, served, "") for app, served in self._served.items()
        ]
        asked.append(self._look_round())
        asked.extend(self._count_listening())
        return all_done(asked)

    def _count_listening(self) -> list[Pending[Any]]:
        counted: list[int] = []
        asked = []
        for pipeline in self._servers:
            words = ("PUBSUB", "SHARDCHANNELS", f"{self.prefix}{{*}}:e:*")
            ask = pipeline.ask(Ask(resp.command(*words), len))
            ask.when_done(partial(self._counted, ask, counted))
            asked.append(ask)
        return list(asked)

    def _counted(self, ask: Pending[int], counted: list[int]) -> None:
        try:
            counted.append(ask.result())
        except SignalError:
            return
        self._listening = sum(counted)


def all_done(asked: Sequence[Pending[Any]]) -> Pending[None]:
    """Done once all are, whatever came of them."""
    done: Pending[None] = Pending()
    left = len(asked)

    def one() -> None:
        nonlocal left
        left -= 1
        if left == 0:
            done.resolve(None)

    if not asked:
        done.resolve(None)
    for it in asked:
        it.when_done(one)
    return done


def _itself(reply: Any) -> Any:
    return reply


def _places(reply: Any) -> list[Place]:
    return [msgspec.msgpack.decode(it, type=Place) for it in reply[1]]


def _ticked(about: About, reply: Any) -> Any:
    if reply[1] == b"dead":
        raise answers.refusal(about, reply)
    return reply
