"""Probes: the steps that an original client's login is made of, each tried by itself.

Owns: what is told of a step, how long it may take, and what to do where it fails. Must not know
which client takes which steps: old_clients.py does.
"""

from __future__ import annotations

import contextlib
import ipaddress
import ssl
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Final, TypeAlias, TypeVar

import attrs
import trio

from signal_sdk.client import lookup
from signal_sdk.client.dialer import MAX_ANSWER_BYTES, open_socket
from signal_sdk.errors import LinkError, LoginError, ProtocolError
from signal_sdk.net.reactor import Reactor
from signal_sdk.net.tls import TlsTransport
from signal_sdk.net.transport import SocketTransport, Transport
from signal_sdk.websocket import handshake
from signal_sdk.websocket.link import Link

__all__ = ["Address", "Asked", "Place", "Probe", "Problem", "Step", "bounded"]

STEP_SECONDS: Final = 5.0
"""How long a step may take."""
MAX_PORT: Final = 65534
"""The highest port that leaves one for TLS behind it."""
SHOWN_CHARS: Final = 80
"""How much is repeated of what a server says."""

Address: TypeAlias = tuple[str, int]
T = TypeVar("T")


@attrs.frozen
class Step:
    """What was seen at a step. With `is_warning` that is not well, but another way has worked."""

    name: str
    seen: str
    is_warning: bool = False

    def __str__(self) -> str:
        return f"{self.name}: {'warning: ' if self.is_warning else ''}{self.seen}"


class Problem(Exception):
    """A step failed: which, what is wrong, and what to do."""

    def __init__(self, step: str, wrong: str, advice: str) -> None:
        super().__init__(step, wrong, advice)
        self.step = step
        # Libraries say more on further lines, or end as sentences do.
        self.wrong: str = wrong.partition("\n")[0].rstrip(".")
        self.advice = advice

    @property
    def warning(self) -> Step:
        """What is told of it where another way has worked."""
        return Step(self.step, f"{self.wrong}; {self.advice}", is_warning=True)

    def __str__(self) -> str:
        return f"{self.step}: {self.wrong}; {self.advice}"


@attrs.frozen(kw_only=True)
class Asked:
    """What is to be tried: who logs in, and where. Without `host`, where the names lead."""

    app: str
    account: str
    token: str = attrs.field(repr=False)
    host: str = ""
    lookup_ports: Sequence[int] = ()
    """Instead of those that are built into the client."""
    ssl_context: ssl.SSLContext | None = None
    """Who is trusted; None trusts the system's CAs."""


@attrs.frozen
class Place:
    """A name, and the address that it leads to."""

    name: str
    address: str


@contextmanager
def bounded(step: str, where: str, advice: str) -> Iterator[None]:
    """Have what fails in the block, or takes too long, be the `Problem` of this step."""
    try:
        with trio.fail_after(STEP_SECONDS):
            yield
    except trio.TooSlowError:
        raise Problem(step, f"{where}: nothing in {STEP_SECONDS:g} s", advice) from None
    except (LinkError, ProtocolError) as exc:
        raise Problem(step, str(exc), advice) from None


class Probe:
    """The steps, told of as they succeed; each raises `Problem`. What they open is closed with
    `opened`.
    """

    def __init__(
        self,
        asked: Asked,
        tell: Callable[[Step], None],
        reactor: Reactor,
        opened: contextlib.ExitStack,
    ) -> None:
        self.asked = asked
        self.reactor = reactor
        self._tell = tell
        self._opened = opened

    def seen(self, step: str, text: str) -> None:
        """Tell what was seen at a step."""
        self._tell(Step(step, text))

    async def any_of(self, tries: Iterable[Callable[[], Awaitable[T]]]) -> list[T]:
        """Try all. One has to work, since the client goes on to the next one; what is wrong with
        others is a warning. Raises the first `Problem` where none works.
        """
        results: list[T] = []
        problems: list[Problem] = []
        for attempt in tries:
            try:
                results.append(await attempt())
            except Problem as problem:
                problems.append(problem)
        failure = None if results else problems[0]
        for warning in dict.fromkeys(problem.warning for problem in problems):
            if failure is None or warning != failure.warning:
                self._tell(warning)
        if failure is not None:
            raise failure
        return results

    # --- names ---

    async def find(self, *names: str) -> list[Place]:
        """Where the names of a lookup lead; one has to lead anywhere."""
        host = self.asked.host
        if not host:
            return await self.any_of(partial(self._find_one, name) for name in names)
        advice = "give the server's name or its IPv4 address as --host"
        address = (await _resolve(host, advice))[0]
        where = host if host == address else f"{host} ({address})"
        self.seen("name", f"{where} stands for {', '.join(names)} (not looked up)")
        return [Place(name, address) for name in names]

    async def _find_one(self, name: str) -> Place:
        advice = f"have your name server answer {name} with your server's IPv4 address"
        found = await _resolve(name, advice)
        self.seen("name", f"{name} is {' and '.join(found)}")
        return Place(name, found[0])

    async def check_name(self, name: str, address: str) -> None:
        """`name` has to lead to `address`, and nowhere else."""
        if self.asked.host:
            self.seen("name", f"{address} stands for {name} (not looked up)")
            return
        advice = f"have your name server answer {name} with {address}"
        found = await _resolve(name, advice)
        if found != [address]:
            raise Problem("name", f"{name} is {' and '.join(found)}, not {address}", advice)
        self.seen("name", f"{name} is {address}")

    # --- connections ---

    async def connect(self, host: str, port: int, step: str = "tcp") -> Transport:
        """A TCP connection; only that of the step `tcp` is told of."""
        advice = (
            "have the lookup name the server's address (advertise in [server] or [native]), "
            f"and let TCP port {port} through the firewall"
        )
        if step != "tcp":
            advice = f"have TCP port {port} lead to the server, and let it through the firewall"
        with bounded(step, f"{host}:{port}", advice):
            transport = SocketTransport(await open_socket(host, port))
        self._opened.callback(transport.close)
        if step == "tcp":
            self.seen("tcp", f"{host}:{port} takes connections")
        return transport

    async def secure(self, transport: Transport, name: str) -> Transport:
        """TLS, whose certificate has to hold for `name`."""
        context = self.asked.ssl_context or lookup.default_ssl_context()
        advice = (
            f"give the server a certificate that holds for {name}, of a CA that is trusted "
            "(here: --ca FILE); its TLS port is its port + 1"
        )
        tls = TlsTransport(transport, context, server_side=False, server_hostname=name)
        with bounded("tls name", f"TLS with {transport.peer}", advice):
            await tls.handshake()
        self.seen("tls name", f"the certificate at {transport.peer} holds for {name}")
        return tls

    async def open_websocket(self, transport: Transport, url: str) -> Link:
        """The WebSocket that `url` names."""
        advice = (
            f"have port {transport.peer.rpartition(':')[2]} lead to this server, and to no proxy"
        )
        with bounded("websocket", f"{url} at {transport.peer}", advice):
            link = await handshake.connect(
                transport, self.reactor, url, max_frame_bytes=MAX_ANSWER_BYTES
            )
        self.seen("websocket", f"{url} is open")
        return link

    # --- the lookup by HTTP ---

    async def look_up(self, place: Place, port: int, *, tls: bool) -> list[Address]:
        """The addresses that the lookup of `place` names for web pages."""
        where = f"{place.address}:{port}"
        transport = await self.connect(place.address, port, "lookup")
        if tls:
            await self.secure(transport, place.name)
        transport.close()
        context = self.asked.ssl_context
        try:
            named = await lookup.look_up(
                f"{'https' if tls else 'http'}://{where}",
                self.asked.app,
                context,
                name=place.name,
                attempts=1,
            )
        except LoginError as exc:
            advice = f"have TCP port {port} lead to this server, and to no other program"
            raise Problem("lookup", exc.reason, advice) from None
        self.seen("lookup", f"{place.name} at {where} names {spelled(named)}")
        return named


def spelled(addresses: Sequence[Address]) -> str:
    """Addresses, for a line."""
    return " and ".join(f"{host[:SHOWN_CHARS]}:{port}" for host, port in addresses)


def check_address(address: Address, step: str, key: str) -> None:
    """An address that a lookup named has to be one that the original clients can connect to."""
    host, port = address
    try:
        ipaddress.IPv4Address(host)
    except ValueError:
        is_good = False
    else:
        is_good = 1 <= port <= MAX_PORT
    if not is_good:
        raise Problem(
            step,
            f"the answer names {spelled([address])}, which is no IPv4 address with a port",
            f"set {key} to addresses that clients reach",
        )


async def _resolve(name: str, advice: str) -> list[str]:
    """The IPv4 addresses of `name`: the original clients ask for no others."""
    found = []
    with bounded("name", name, advice):
        try:
            found = await trio.socket.getaddrinfo(
                name, None, family=trio.socket.AF_INET, type=trio.socket.SOCK_STREAM
            )
        except (OSError, UnicodeError) as exc:
            why = getattr(exc, "strerror", None) or str(exc)
            raise Problem("name", f"{name}: {why}", advice) from None
    return list(dict.fromkeys(str(address[0]) for *_, address in found))
