"""The node: one server process's parts wired together, and their life.

Owns: which part gets which, the start, and the stop. Must not know any rule.
"""

from __future__ import annotations

import logging
import socket
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Final

import attrs
import trio

from signal_sdk.errors import ConfigError
from signal_sdk.extras import needs_extra
from signal_sdk.net.deadline import move_on_after
from signal_sdk.net.reactor import Reactor
from signal_sdk.server import functions
from signal_sdk.server.acceptor import Acceptor
from signal_sdk.server.admission import Admission
from signal_sdk.server.attributes import ChannelAttributes, UserAttributes
from signal_sdk.server.calls import Calls
from signal_sdk.server.channels import Channels
from signal_sdk.server.clock import Clock, clocks
from signal_sdk.server.config import Config, LimitsConfig
from signal_sdk.server.counts import Tallies
from signal_sdk.server.doors import Doors
from signal_sdk.server.engine.base import Engine, Statistics
from signal_sdk.server.engine.memory import give_back
from signal_sdk.server.engines import bounds_of, make_engine
from signal_sdk.server.feed import Feed
from signal_sdk.server.forwarded import Forwarded
from signal_sdk.server.handed import Handed
from signal_sdk.server.hooks.verdicts import INVITE
from signal_sdk.server.housekeeping import Housekeeping
from signal_sdk.server.http import Routes
from signal_sdk.server.inbox import Inboxes
from signal_sdk.server.links import Links
from signal_sdk.server.locks import Locks
from signal_sdk.server.memory import MemoryWatch
from signal_sdk.server.metrics import Metrics
from signal_sdk.server.metrics.lag import Lag
from signal_sdk.server.metrics.sources import Sources
from signal_sdk.server.native_lookup import NativeLookup
from signal_sdk.server.operator.connections import NodeConnections
from signal_sdk.server.operator.operator import Operator
from signal_sdk.server.places import Places
from signal_sdk.server.presence import Presences
from signal_sdk.server.refusals import Limit, Refusals
from signal_sdk.server.revocations import Revocations
from signal_sdk.server.services import Services
from signal_sdk.server.sockets import Addresses
from signal_sdk.server.tracing import hub_and_spans, traced
from signal_sdk.server.visitors import Visitors

if TYPE_CHECKING:
    from signal_sdk.server.admin.admin import Admin
    from signal_sdk.server.hooks.hooks import Hooks

logger: logging.Logger = logging.getLogger("signal_sdk.server")

NO_ADMIN: Final = needs_extra("[admin]", "server")
STOP_SECONDS: Final = 3.0
"""How long a stop waits for the clients to take their farewell."""


class Node:
    """A signaling server.

    `config` says what it does; `engine` keeps its state, by default the one that `make_engine`
    makes; `clock` is the wall clock. `run` serves until it is cancelled or `stop` is called;
    `acceptor` serves connections that somebody else has accepted, too. Raises `StorageError` where
    the data directory cannot be used.
    """

    def __init__(
        self, config: Config, *, engine: Engine | None = None, clock: Clock = time.time
    ) -> None:
        # A reload changes this node's limits in place, and nobody else's.
        config = attrs.evolve(config, limits=attrs.evolve(config.limits))
        self.config: Config = config
        limits = config.limits
        self.engine: Engine = engine or make_engine(config)
        self._clock = clock
        self._reactor = Reactor()
        self._nursery: trio.Nursery | None = None
        self._hub, spans = hub_and_spans(config.server, self._reactor)
        self.engine.bound(bounds_of(config))
        self.engine.attach(self._hub, clocks(clock, self._reactor))
        self.feed: Feed = Feed(self.engine)
        """What happens, for those who follow it."""
        self._hub.on_happening = self.feed.take
        self._places = Places(config)
        self._stopping = trio.Event()
        self._drain_seconds = 0.0

        self.hooks: Hooks | None = self._make_hooks()
        """What a backend is told and asked; None where there is none."""
        questions = self.hooks.questions if self.hooks else None
        users = UserAttributes(self.engine)
        channel_attributes = ChannelAttributes(self.engine)
        channel_attributes.take_apps(config.apps)
        channels = Channels(self.engine, config, questions)
        calls = Calls(self.engine, questions)
        self._revocations = Revocations(config.server.data, self.engine.revoked)
        presences = self._presences = Presences(
            self.engine, self._hub, config, clock, self._revocations, questions
        )
        handlers = functions.handlers(
            self.engine,
            presences=presences,
            inboxes=Inboxes(self.engine, clock),
            users=users,
            channels=channels,
            channel_attributes=channel_attributes,
            locks=Locks(self.engine),
            calls=calls,
        )
        self._doors: Doors | None = None
        self._admin: Admin | None = None
        forwarded = Forwarded(config.server)
        self._refusals = Refusals()
        tallies = Tallies()
        memory = MemoryWatch(limits, give_back, max(1, config.server.workers))
        self._visitors = Visitors(limits, forwarded.trusts)
        services = Services(
            engine=self.engine,
            hub=self._hub,
            presences=presences,
            handlers=handlers if spans is None else traced(handlers, spans, self.engine),
            limits=limits,
            clock=clock,
            visitors=self._visitors,
            memory=memory,
            refusals=self._refusals,
            tallies=tallies,
            is_draining=self._stopping.is_set,
            holding=functions.INVITATIONS if questions and INVITE in questions.asked else (),
        )
        self._admission = Admission(services, Routes(config.server, self._places), forwarded)
        self._housekeeping = Housekeeping(
            self.engine,
            self._places,
            self._admission,
            self._visitors,
            self._revocations,
            presences,
        )
        self._links = Links(limits, self._reactor)
        self.acceptor: Acceptor = Acceptor(
            services, self._reactor, self._links, self._admission, forwarded
        )
        self._hub.on_fencing = self.acceptor.abort_all
        self._lookup = NativeLookup(
            config, self._places, self._refusals, self._is_closed_to_natives
        )
        self._lag = Lag()
        sources = Sources(
            config=config,
            engine=self.engine,
            hub=self._hub,
            reactor=self._reactor,
            acceptor=self.acceptor,
            tallies=tallies,
            refusals=self._refusals.counts,
            memory=memory,
            lag=self._lag.seconds,
            feed=self.feed,
            hooks=self.hooks.counts if self.hooks else None,
            clock=clock,
        )
        self.metrics: Metrics = Metrics(sources)
        """What there is to be measured of it."""
        connections = NodeConnections(self._hub, self.acceptor)
        self.operator: Operator = Operator(self.engine, config, connections, clock)
        """What whoever runs the server may ask of it."""
        self._knowing_apps = (
            presences,
            channels,
            channel_attributes,
            self._lookup,
            self.metrics,
            self.operator,
        )

    def _make_hooks(self) -> Hooks | None:
        hooks = self.config.hooks
        self.engine.keep_happenings(hooks.kinds if hooks.url else (), hooks.queue_events)
        if not (hooks.url or hooks.ask):
            return None
        # It brings an HTTP client, which few need.
        from signal_sdk.server.hooks.hooks import Hooks  # noqa: PLC0415

        made = Hooks(self.engine, hooks, self._reactor, self._clock)
        self._hub.on_kept = made.wake
        return made

    def _is_closed_to_natives(self) -> bool:
        """Had native clients better not come? They dial two connections at once, and count one that
        is closed again as one of their few tries.
        """
        return bool(self._admission.why_not_ready()) or not self._visitors.has_room(2)

    def why_not_ready(self) -> str:
        """Why nobody should come here now; empty where anybody may."""
        return self._admission.why_not_ready()

    @property
    def sessions(self) -> int:
        """How many logged-in connections there are."""
        return len(self._hub)

    def statistics(self) -> Statistics:
        """How much the engine of this node has."""
        return self.engine.statistics()

    @property
    def refusals(self) -> Mapping[Limit, int]:
        """How often this node has refused somebody something, or sent somebody away, over each key
        of `[limits]`, since it was made: a view, which goes on counting. Keys over which nobody is
        refused anything are not in it.
        """
        return self._refusals.counts

    async def run(
        self,
        *,
        listens: bool = True,
        is_worker: bool = False,
        handed: Handed | None = None,
        task_status: trio.TaskStatus[Addresses] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Serve until stopped or cancelled. Starts with the addresses that it listens on; without
        `listens`, on none. A worker shares its ports with other processes, and leaves them to those
        as soon as it is stopped. Sockets that were `handed` over take the places of those that it
        would open.
        """
        doors = None
        try:
            if listens:
                doors = Doors(
                    self.config,
                    self.acceptor,
                    self._places,
                    self._lookup,
                    is_shared=is_worker,
                    handed=handed,
                )
                self._doors = doors
                self._admin = self._make_admin(doors)
            async with trio.open_nursery() as nursery:
                await nursery.start(self._reactor.run)
                self._nursery = nursery
                await nursery.start(self.engine.run)
                await self._revocations.start()
                await self._presences.recover()
                if self.hooks is not None:
                    await nursery.start(self.hooks.run)
                nursery.start_soon(self._housekeeping.sweep_loop)
                nursery.start_soon(self._lag.measure_loop)
                nursery.start_soon(self._housekeeping.look_loop)
                if self._admin is not None:
                    nursery.start_soon(self._admin.run)
                async with trio.open_nursery() as serving:
                    await serving.start(self.acceptor.run)
                    async with trio.open_nursery() as accepting:
                        if doors is not None:
                            accepting.start_soon(doors.serve)
                        await self._housekeeping.announce()
                        accepting.start_soon(self._housekeeping.announce_loop)
                        task_status.started(doors.addresses if doors else Addresses())
                        await self._stopping.wait()
                        with move_on_after(self._reactor, STOP_SECONDS):
                            await self._housekeeping.announce()
                        if doors is not None:
                            await (doors.leave() if is_worker else doors.close_native())
                        await self.acceptor.drain(self._drain_seconds)
                        accepting.cancel_scope.cancel()
                    with move_on_after(self._reactor, STOP_SECONDS):
                        await self.acceptor.all_gone()
                    if self._admin is not None:
                        await self._admin.stop()
                    serving.cancel_scope.cancel()
                nursery.cancel_scope.cancel()
        finally:
            if doors is not None:
                doors.close()
            with trio.CancelScope(shield=True):
                await self.engine.aclose()

    def _make_admin(self, doors: Doors) -> Admin | None:
        """The admin address, where there is one; what serves it is brought in only then."""
        sockets: Sequence[socket.socket] = doors.take_admin()
        if not sockets:
            return None
        try:
            from signal_sdk.server.admin.admin import Admin  # noqa: PLC0415
            from signal_sdk.server.admin.served import Served  # noqa: PLC0415

            self.metrics.prepare()
        except ModuleNotFoundError as exc:
            for sock in sockets:
                sock.close()
            if exc.name not in ("hypercorn", "starlette", "prometheus_client"):
                raise
            if not self.config.admin_by_default:
                raise ConfigError(NO_ADMIN) from None
            logger.warning("there is no admin address: %s", NO_ADMIN)
            return None
        served = Served(
            operator=self.operator,
            feed=self.feed,
            exposition=self.metrics.exposition,
            node=self,
            reactor=self._reactor,
            since=self._clock(),
        )
        return Admin(self.config, sockets, served)

    def reload(self, config: Config) -> None:
        """Take the certificate, the apps and the limits from `config` from here on; what cannot
        change while the node runs is named in the log. Raises `ConfigError` where the certificate
        cannot be used, and then nothing changes.
        """
        if self._doors is not None:
            self._doors.reload(config)
        if fixed := list(_fixed_changes(self.config, config)):
            logger.warning("a restart is needed for what has changed in %s", ", ".join(fixed))
        limits = self.config.limits
        for field in attrs.fields(LimitsConfig):
            setattr(limits, field.name, getattr(config.limits, field.name))
        self.config = attrs.evolve(self.config, apps=config.apps)
        for knowing in self._knowing_apps:
            knowing.take_apps(config.apps)
        if self._admin is not None:
            self._admin.take(config)
        self._links.take_limits()
        self.engine.bound(bounds_of(self.config))
        if self._nursery is not None:
            self._nursery.start_soon(self._housekeeping.look_for_revocations)
        logger.info("the certificate, the apps and the limits were read again")

    def stop(self, drain_seconds: float = 0.0) -> None:
        """Let nobody in any more, tell every client that the server is going away, spread over
        `drain_seconds`, and end `run` once they have heard.
        """
        self._drain_seconds = drain_seconds
        self._stopping.set()


def _fixed_changes(before: Config, after: Config) -> Iterator[str]:
    """Which keys that need a restart differ."""
    for table, one, other in (
        ("server", before.server, after.server),
        ("native", before.native, after.native),
        ("hooks", before.hooks, after.hooks),
    ):
        for field in attrs.fields(type(one)):
            # Another file is read; only whether there is one is settled.
            is_file = field.name in ("cert", "key")
            values = [getattr(it, field.name) for it in (one, other)]
            if is_file:
                values = list(map(bool, values))
            if values[0] != values[1]:
                yield f"[{table}] {field.name}"
    # Where it follows the server's port, that is named already.
    if before.admin.address != after.admin.address or before.has_admin != after.has_admin:
        yield "[admin]"
