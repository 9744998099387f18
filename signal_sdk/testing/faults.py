"""The fault kit: a network in memory on which things go wrong, by a seed or by hand.

Owns: dialing across it, which links there are, and the history of what was done to them. Must not
know what passes: faulty_link.py carries it.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from types import TracebackType
from typing import Final, Self, TypeAlias

import trio

from signal_sdk.client.dialer import MAX_ANSWER_BYTES
from signal_sdk.errors import LinkError
from signal_sdk.net.deadline import move_on_after
from signal_sdk.net.reactor import Reactor
from signal_sdk.testing.faulty_link import Faults, FaultyLink
from signal_sdk.testing.memory import MemoryTransport, memory_transport_pair
from signal_sdk.testing.server import LocalServer
from signal_sdk.websocket import handshake
from signal_sdk.websocket.link import Link

__all__ = ["ClientDialer", "FaultyNetwork", "ServerSource"]

DIAL_SECONDS: Final = 5.0
"""How long dialing may take, as on a real network."""
HISTORY_ENTRIES: Final = 10_000
"""How much of the history is kept: the newest."""

ServerSource: TypeAlias = LocalServer | Callable[[], LocalServer | None] | None
"""A server, or what names the one to dial now, or none."""


class FaultyNetwork:
    """A network in memory between clients and a local server, on trio's clock; a `Dialer`.

        async with (
            local_server(listens=False) as server,
            FaultyNetwork(server, seed=1, faults=Faults(mean_cut_seconds=30)) as network,
            Signal("app", server=network) as signal,
        ):
            ...

    Every dial makes a link of its own, which `faults` strikes as `seed` has it. What strikes a
    client's n-th link depends on the seed, the client's name and n alone, and what strikes the k-th
    frame of one of its directions on k besides, whatever else goes on. Without `faults`, nothing
    goes wrong but by hand. Leaving the block cuts all links.

    May be set at any time:

    - `server`: where the next dials lead to, a `LocalServer`, a function that is asked for one at
      each dial, or None, where dialing fails;
    - `is_down`: while it is true, dialing fails; the links that there are stay;
    - `faults`: what strikes the links that are dialed from then on.
    """

    def __init__(self, server: ServerSource, *, seed: int, faults: Faults | None = None) -> None:
        self.server = server
        self.seed = seed
        self.faults: Faults = faults or Faults()
        self.is_down = False
        self._links: dict[int, FaultyLink] = {}
        self._dials = 0
        self._dials_of: dict[str, int] = {}
        self._history: deque[tuple[float, int, str]] = deque(maxlen=HISTORY_ENTRIES)
        self._manager: AbstractAsyncContextManager[None] | None = None
        self._nursery: trio.Nursery | None = None

    def __repr__(self) -> str:
        return f"<FaultyNetwork seed={self.seed}: {len(self._links)} links>"

    # --- the block ---

    async def __aenter__(self) -> Self:
        if self._manager is not None:
            raise RuntimeError("a FaultyNetwork's block is entered once; make another one")
        self._manager = self._run()
        await self._manager.__aenter__()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool | None:
        if self._manager is None:
            raise RuntimeError("the FaultyNetwork's block was not entered")
        return await self._manager.__aexit__(exc_type, exc, traceback)

    @asynccontextmanager
    async def _run(self) -> AsyncIterator[None]:
        failed: Exception | None = None
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            try:
                yield
            except Exception as exc:  # noqa: BLE001  it is raised again below
                # The block's own exception is not the nursery's to wrap.
                failed = exc
            finally:
                self._nursery = None
            self.cut_all()
            nursery.cancel_scope.cancel()
        if failed is not None:
            raise failed

    # --- dialing ---

    async def dial(self, appid: str, reactor: Reactor, *, avoid: str = "") -> Link:
        """Open a link to the server that there is. Raises `LinkError` within five seconds where
        there is none to be had.

        What makes this a `Dialer`; there is one server, so that `appid` and `avoid` make no
        difference.
        """
        return await self.client("").dial(appid, reactor, avoid=avoid)

    def connect(self, name: str = "") -> MemoryTransport:
        """A new link, as the client's end of a byte stream: for clients below any SDK. `name` is
        the client's. Raises `LinkError` where dialing fails.
        """
        if self._nursery is None:
            raise RuntimeError(
                "dial inside the network's block: `async with FaultyNetwork(…) as network:`"
            )
        self._dials += 1
        number = self._dials
        nth = self._dials_of[name] = self._dials_of.get(name, 0) + 1
        draw = random.Random(f"{self.seed}/{name}/{nth}")  # noqa: S311  nothing secret is drawn
        faults = self.faults
        is_refused = draw.random() < faults.refuse_rate
        far = None if self.is_down or is_refused else self._reach_server()
        if far is None:
            self._record(number, f"dial {name}".rstrip() + " failed")
            raise LinkError("no connection: the network is down")
        client, near = memory_transport_pair()
        link = FaultyLink(
            number=number,
            name=name,
            ends=(near, far),
            faults=faults,
            draw=draw,
            record=self._record,
        )
        self._record(number, f"dial {name}".rstrip())
        self._links[number] = link
        self._nursery.start_soon(self._carry, link)
        return client

    def _reach_server(self) -> MemoryTransport | None:
        server = self.server() if callable(self.server) else self.server
        if server is None:
            return None
        try:
            return server.connect()
        except RuntimeError:
            # Its block has been left: a machine that is there no more.
            return None

    async def _carry(self, link: FaultyLink) -> None:
        try:
            await link.run()
        finally:
            del self._links[link.number]

    def client(self, name: str) -> ClientDialer:
        """The network as the client `name` has it: a `Dialer` whose links carry the name, and have
        a schedule of faults of their own.
        """
        return ClientDialer(self, name)

    # --- by hand ---

    @property
    def links(self) -> list[FaultyLink]:
        """The links that are open, in the order of their dialing."""
        return [link for link in self._links.values() if link.is_open]

    def cut_all(self) -> None:
        """Cut every link that there is. New ones can be dialed unless `is_down` is set."""
        for link in self.links:
            link.cut()

    def half_open_all(self, *, up: bool = True, down: bool = True) -> None:
        """Let nothing pass any more on every link that there is: from the client (`up`), from the
        server (`down`), or both. Nobody is told.
        """
        for link in self.links:
            link.half_open(up=up, down=down)

    def heal(self) -> None:
        """Let nothing go wrong by the seed from now on, on any link, old or new.

        What has gone wrong stays so: a half-open link is one still, and what is delayed comes late.
        `is_down` is left as it is.
        """
        self.faults = Faults()
        for link in self.links:
            link.faults = self.faults

    # --- looking back ---

    @property
    def history(self) -> list[tuple[float, int, str]]:
        """What has happened, oldest first, the newest 10,000 of it: trio's time, the link's number,
        and what. Delays are not in it: they are in the times of all else.
        """
        return list(self._history)

    def _record(self, number: int, what: str) -> None:
        self._history.append((trio.current_time(), number, what))


class ClientDialer:
    """A `FaultyNetwork` as one client has it; made by `FaultyNetwork.client`. It is handed to a
    `Signal` as it is.
    """

    def __init__(self, network: FaultyNetwork, name: str) -> None:
        self._network = network
        self.name = name

    def __repr__(self) -> str:
        return f"<ClientDialer {self.name!r}: {len(self.links)} links>"

    async def dial(self, appid: str, reactor: Reactor, *, avoid: str = "") -> Link:  # noqa: ARG002  one server for all
        """As `FaultyNetwork.dial`."""
        await trio.lowlevel.checkpoint()
        transport = self.connect()
        link = None
        try:
            with move_on_after(reactor, DIAL_SECONDS):
                link = await handshake.connect(
                    transport, reactor, "ws://memory/", max_frame_bytes=MAX_ANSWER_BYTES
                )
        finally:
            if link is None:
                transport.close()
        if link is None:
            raise LinkError(f"no connection in {DIAL_SECONDS:g} s")
        return link

    def connect(self) -> MemoryTransport:
        """As `FaultyNetwork.connect`."""
        return self._network.connect(self.name)

    @property
    def links(self) -> list[FaultyLink]:
        """This client's links that are open, in the order of their dialing."""
        return [link for link in self._network.links if link.name == self.name]

    def cut(self) -> None:
        """Cut this client's links."""
        for link in self.links:
            link.cut()

    def half_open(self, *, up: bool = True, down: bool = True) -> None:
        """Let nothing pass any more on this client's links, as `FaultyNetwork.half_open_all`."""
        for link in self.links:
            link.half_open(up=up, down=down)
