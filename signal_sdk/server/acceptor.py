"""The acceptor: every connection, from when it is accepted until it is closed.

Owns: which transports are open, in which task each is served, and how all are sent away. Must not
know how a socket is accepted, who is let in (admission.py does), within which limits a link is made
(links.py does), or what is said on a connection.
"""

from __future__ import annotations

import contextlib
import logging
import math
from collections.abc import Callable
from functools import partial
from typing import Final

import attrs
import trio

from signal_sdk.errors import LinkError
from signal_sdk.net.reactor import Reactor
from signal_sdk.net.tls import TlsTransport
from signal_sdk.net.transport import NothingSaid, Traffic, Transport
from signal_sdk.server.admission import Admission
from signal_sdk.server.connection import Connection
from signal_sdk.server.forwarded import Forwarded
from signal_sdk.server.links import Links
from signal_sdk.server.lookout import Lookout
from signal_sdk.server.openings import Opening, RefusedOpening
from signal_sdk.server.refusals import Limit
from signal_sdk.server.services import Services
from signal_sdk.server.wires.base import ClientLink
from signal_sdk.websocket.handshake import answer_at_once

logger: logging.Logger = logging.getLogger("signal_sdk.server.connections")

SWEEP_SECONDS: Final = 1.0
"""Between two looks at all connections, of which 10,000 take a millisecond and a half."""
SHED_AT_ONCE: Final = 16
"""How many go where there are no descriptors left."""
SHED_FOR_MEMORY: Final = 500
"""How many go at each sweep while memory is short: closing them takes some milliseconds."""
ENDED_PER_TURN: Final = 64
"""How many overdue connections are closed before others run."""
_Serve = Callable[[trio.Nursery, Transport, str], None]
"""Serves a connection that came in at a local address, without waiting."""


@attrs.frozen(eq=False)
class _Rouse:
    """Gives a connection that rests a task. Each that rests has one, which is a quarter of what a
    partial takes.
    """

    _nursery: trio.Nursery
    _acceptor: Acceptor
    _transport: Transport
    _connection: Connection

    def __call__(self) -> None:
        self._nursery.start_soon(self._acceptor.serve_until_end, self._transport, self._connection)


class Acceptor:
    """A node's connections. `run` serves those that `accept` is given."""

    def __init__(
        self,
        services: Services,
        reactor: Reactor,
        links: Links,
        admission: Admission,
        forwarded: Forwarded,
    ) -> None:
        self.admission: Admission = admission
        self._services = services
        self._forwarded = forwarded
        self._reactor = reactor
        self._links = links
        self._nursery: trio.Nursery | None = None
        self._openings: dict[Transport, Opening] = {}
        """Transports whose handshake is not done."""
        self._connections: dict[Transport, Connection] = {}
        self._lookout = Lookout(self._reactor.clock, self._connections)
        self._gone = trio.Event()
        self._began_at = 0.0
        """When the latest connection was made."""

    def __len__(self) -> int:
        """How many transports are open, also those on which nothing was said yet."""
        return len(self._openings) + len(self._connections)

    @property
    def traffic(self) -> Traffic:
        """What has come in and gone out by the transports that were made with it."""
        return self._reactor.traffic

    @property
    def connections(self) -> list[Connection]:
        """Those whose handshake is done, in the order in which it was."""
        return list(self._connections.values())

    @property
    def is_running(self) -> bool:
        """Can `accept` serve anybody?"""
        return self._nursery is not None

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Serve what `accept` is given, and close what is overdue, until cancelled."""
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            try:
                task_status.started()
                while True:
                    await trio.sleep(SWEEP_SECONDS)
                    if self._services.memory.look():
                        self.shed(SHED_FOR_MEMORY, limit="memory_percent")
                    await self._sweep()
            finally:
                for transport in list(self._openings):
                    self._close(transport)
                for connection in self.connections:
                    # Who rests gets a task in which to end.
                    connection.wake()
                self._nursery = None

    def accept(self, transport: Transport, local_host: str) -> None:
        """Serve one connection, which came in at `local_host`, until it ends: without a task until
        it has to wait for something, since most of a server's connections are idle. It has
        `handshake_seconds` for all handshakes and the login together.
        """
        self._accept_as(self._serve_web, transport, local_host)

    def accept_native(self, transport: Transport, local_host: str) -> None:
        """As `accept`, for a client of the native SDK, which does no handshake."""
        self._accept_as(self._serve_native, transport, local_host)

    def _accept_as(self, serve: _Serve, transport: Transport, local_host: str) -> None:
        nursery = self._nursery
        if nursery is None:
            # It came in the moment in which the node was ended.
            transport.close()
        elif self._forwarded.begins_with_header(transport.host):
            if not self.admission.turns_away(transport, len(self._openings)):
                self._admit(transport)
                nursery.start_soon(self._serve_behind, serve, nursery, transport, local_host)
        else:
            serve(nursery, transport, local_host)

    async def _serve_behind(
        self, serve: _Serve, nursery: trio.Nursery, transport: Transport, local_host: str
    ) -> None:
        """Serve a connection that a proxy has made, once that has said for whom."""
        try:
            speaker = await self._forwarded.read_header(transport)
        except LinkError as exc:
            self._fail(transport, exc)
            return
        except trio.Cancelled:
            self._close(transport)
            raise
        if self._openings.pop(transport, None) is None:
            return
        self._services.visitors.leave(transport.host)
        if speaker is not None:
            transport.pass_for(speaker.host)
            local_host = speaker.reached
        serve(nursery, transport, local_host)

    def _serve_web(self, nursery: trio.Nursery, transport: Transport, local_host: str) -> None:
        if self.admission.turns_away(transport, len(self._openings)):
            return
        read = partial(self._read, nursery, transport, local_host, self._admit(transport))
        try:
            if isinstance(transport, TlsTransport) or not transport.watch(self._reactor, read):
                nursery.start_soon(self._open, nursery, transport, local_host)
        except LinkError as exc:
            self._fail(transport, exc)

    def _serve_native(self, nursery: trio.Nursery, transport: Transport, _: str) -> None:
        if self.admission.hangs_up_on(transport.host):
            transport.close()
            return
        self._admit(transport)
        try:
            connection = self._begin(transport, self._links.native(transport))
            self._serve_resting(nursery, transport, connection)
        except LinkError as exc:
            self._fail(transport, exc)

    async def serve(self, transport: Transport, local_host: str) -> None:
        """As `accept`, in the caller's task."""
        if self.admission.turns_away(transport, len(self._openings)):
            return
        self._admit(transport)
        connection = await self._do_handshakes(transport, local_host)
        if connection is not None:
            await self.serve_until_end(transport, connection)

    def shed(self, most: int = SHED_AT_ONCE, *, limit: Limit | None = None) -> None:
        """There is no room any more, by `limit` where that is one of ours: the newest `most` go
        that are not logged in.
        """
        strangers = [
            connection
            for connection in reversed(self._connections.values())
            if connection.is_stranger
        ]
        openings = list(reversed(self._openings))[:most]
        del strangers[most - len(openings) :]
        if limit is not None:
            self._services.refusals.count(limit, len(openings) + len(strangers))
        for transport in openings:
            self._close(transport)
        for connection in strangers:
            connection.abort()

    def _admit(self, transport: Transport) -> Opening:
        seconds = self._services.limits.handshake_seconds or math.inf
        opening = Opening(self._reactor.clock.time() + seconds, self._links.pool)
        self._openings[transport] = opening
        return opening

    def _begin(self, transport: Transport, link: ClientLink) -> Connection:
        """The handshake is done. Raises `LinkError` where that comes too late."""
        opening = self._openings.pop(transport, None)
        if opening is None:
            raise LinkError("the handshake was not done in time")
        opening.let_go()
        self._services.tallies.opened[link.kind] += 1
        # No two have begun at once, so that whoever looks at them all knows where he was.
        self._began_at = max(trio.current_time(), math.nextafter(self._began_at, math.inf))
        connection = Connection(link, self._services, opening.ends_at, self._began_at)
        self._connections[transport] = connection
        self._lookout.look_later(transport)
        return connection

    def _close(self, transport: Transport) -> None:
        transport.close()
        gone = self._openings.pop(transport, None) or self._connections.pop(transport, None)
        if isinstance(gone, Connection):
            self._lookout.forget(transport, gone)
        if gone is not None:
            gone.let_go()
            self._services.visitors.leave(transport.host)
        self._gone.set()

    def _fail(self, transport: Transport, exc: Exception) -> None:
        """Close the transport, and tell why. One connection's mistake must not end the others'."""
        if isinstance(exc, NothingSaid):
            # A load balancer looks every second whether the port is open.
            logger.debug("%s: %s", transport.peer, exc)
        elif isinstance(exc, LinkError):
            logger.info("%s: %s", transport.peer, exc)
        else:
            logger.error("%s: the connection failed", transport.peer, exc_info=exc)
        self._close(transport)

    # --- the handshake, and all behind it ---

    def _read(
        self, nursery: trio.Nursery, transport: Transport, local_host: str, opening: Opening
    ) -> None:
        """Take a client's opening request where that is plain. The reactor's."""
        try:
            data = opening.read(transport)
            if data is None:
                return
            answer = partial(self.admission.answer, transport, local_host, opening)
            link = self._links.open_plainly(data, transport, answer)
            if link is None:
                transport.unwatch()
                nursery.start_soon(self._open, nursery, transport, local_host, data)
                return
            self._serve_resting(nursery, transport, self._begin(transport, link))
        except RefusedOpening as exc:
            with contextlib.suppress(LinkError):
                answer_at_once(transport, exc.answer)
            self._fail(transport, LinkError(f"half a request was refused: {exc}"))
        except Exception as exc:  # noqa: BLE001  `_fail` tells of it
            self._fail(transport, exc)

    def _serve_resting(
        self, nursery: trio.Nursery, transport: Transport, connection: Connection
    ) -> None:
        """Serve a connection without a task, until it needs one."""
        rouse = _Rouse(nursery, self, transport, connection)
        if not connection.rest(rouse):
            transport.unwatch()
            rouse()

    async def _open(
        self,
        nursery: trio.Nursery,
        transport: Transport,
        local_host: str,
        data: bytes | None = None,
    ) -> None:
        """Do what handshakes there are, of which `data` has been received, and serve the
        connection, without this task where that can be.
        """
        connection = await self._do_handshakes(transport, local_host, data)
        if connection is not None:
            try:
                self._serve_resting(nursery, transport, connection)
            except Exception as exc:  # noqa: BLE001  `_fail` tells of it
                self._fail(transport, exc)

    async def _do_handshakes(
        self, transport: Transport, local_host: str, data: bytes | None = None
    ) -> Connection | None:
        connection = None
        try:
            if isinstance(transport, TlsTransport):
                await transport.handshake()
            opening = self._openings.get(transport)
            answer = partial(self.admission.answer, transport, local_host, opening)
            link = await self._links.open(data, transport, answer)
            if link is not None:
                connection = self._begin(transport, link)
        except Exception as exc:  # noqa: BLE001  `_fail` tells of it
            self._fail(transport, exc)
        finally:
            if connection is None:
                self._close(transport)
        return connection

    async def serve_until_end(self, transport: Transport, connection: Connection) -> None:
        """Serve a connection that has to wait for something. For those who rest."""
        try:
            await connection.run()
        except Exception as exc:  # noqa: BLE001  `_fail` tells of it
            self._fail(transport, exc)
        finally:
            self._close(transport)

    # --- sending away ---

    async def _sweep(self) -> None:
        """Close what has lasted too long: a handshake, a login, a token, a silence. What has
        arrived is read before that.
        """
        overdue = self._lookout.overdue()
        if overdue or self._overdue_openings():
            await self._reactor.catch_up()
        for transport in self._overdue_openings():
            self._services.refusals.count("handshake_seconds")
            self._close(transport)
        for number, (transport, connection) in enumerate(overdue, 1):
            # It may have gone, or have been heard, while others ran.
            if transport in self._connections:
                connection.end_overdue(self._reactor.clock.time())
                self._lookout.look_later(transport)
            if number % ENDED_PER_TURN == 0:
                await trio.lowlevel.checkpoint()

    def _overdue_openings(self) -> list[Transport]:
        now = self._reactor.clock.time()
        return [transport for transport, it in self._openings.items() if it.ends_at <= now]

    def abort_all(self) -> None:
        """Break every connection that somebody has logged in on: others have taken this node for
        dead, and its clients come back.
        """
        for connection in self.connections:
            if not connection.is_stranger:
                connection.abort()

    async def drain(self, window: float) -> None:
        """Send the clients away one by one, over `window` seconds: ours are told to come back when
        this node has gone, in the same order and over the same time.
        """
        start = trio.current_time()
        leaving = list(self._connections.items())
        for number, (transport, connection) in enumerate(leaving):
            with trio.move_on_at(start + window * number / len(leaving)):
                await self.all_gone()
                return
            if transport in self._connections:
                connection.go_away(delay=round(window, 1))

    async def all_gone(self) -> None:
        """Wait until no transport is open."""
        while len(self):
            self._gone = trio.Event()
            await self._gone.wait()
