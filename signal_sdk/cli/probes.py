"""Probes: the steps that an original client's login is made of, each tried by itself.

Owns: what is told of a step, how long it may take, and what to do where it fails. Must not know
which client takes which steps: old_clients.py does.
"""

from __future__ import annotations

import contextlib
import ipaddress
import ssl
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Final, TypeAlias, TypeVar

import attrs
import trio

from signal_sdk.client import lookup
from signal_sdk.client.dialer import MAX_ANSWER_BYTES, open_socket
from signal_sdk.errors import LinkError, LoginError, ProtocolError
from signal_sdk.net.deadline import move_on_after
from signal_sdk.net.reactor import Reactor
from signal_sdk.net.tls import TlsTransport
from signal_sdk.net.transport import SocketTransport, Transport
from signal_sdk.websocket import handshake
from signal_sdk.websocket.link import Link

__all__ = ["THEM", "Address", "Asked", "Place", "Probe", "Problem", "Step", "listed"]

STEP_SECONDS: Final = 5.0
"""How long a step may take."""
MAX_PORT: Final = 65534
"""The highest port that leaves one for TLS behind it."""
SHOWN_CHARS: Final = 80
"""How much is repeated of what a server says."""
THEM: Final = "{them}"
"""Stands in an advice for what the problem is about."""

_NOT_TLS: Final = (
    "UNEXPECTED_EOF_WHILE_READING",
    "WRONG_VERSION_NUMBER",
    "PACKET_LENGTH_TOO_LONG",
    "RECORD_LAYER_FAILURE",
)
"""What OpenSSL says of bytes that are no TLS at all, or of none."""
_UNTRUSTED: Final = ("unable to get", "unable to verify", "self-signed", "self signed")
"""How OpenSSL begins to say that it does not know a certificate's CA."""
_CERTIFICATES: Final[Mapping[str, str]] = {
    "Hostname mismatch": "make a certificate for *.agora.io",
    "certificate has expired": "renew it",
    "certificate is not yet valid": "set this machine's clock, or wait",
}
"""What to do about a certificate of which OpenSSL says this."""

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
    """A step failed: which, what is wrong, and what to do; with `about`, for what it does."""

    def __init__(self, step: str, wrong: str, advice: str, *about: str) -> None:
        super().__init__(step, wrong, advice, *about)
        self.step = step
        # Libraries say more on further lines, or end as sentences do.
        self.wrong: str = wrong.partition("\n")[0].rstrip(".")
        self.advice = advice
        self.about = about

    @property
    def warning(self) -> Step:
        """What is told of it where it is not what ends the course."""
        return Step(self.step, self._said, is_warning=True)

    @property
    def _said(self) -> str:
        them = listed(self.about)
        where = f"{them}: " if them else ""
        return f"{where}{self.wrong}; {self.advice.replace(THEM, them)}"

    def __str__(self) -> str:
        return f"{self.step}: {self._said}"


def _merged(problems: Iterable[Problem]) -> list[Problem]:
    """The problems, in their order; those that only differ in what they are about as one."""
    alike: dict[tuple[str, str, str], dict[str, None]] = {}
    for it in problems:
        about = alike.setdefault((it.step, it.wrong, it.advice), {})
        about.update(dict.fromkeys(it.about))
    return [Problem(*what, *about) for what, about in alike.items()]


@attrs.frozen(kw_only=True)
class Asked:
    """What is to be tried: who logs in, and where. Without `host`, where the names lead."""

    app: str
    is_app_given: bool = True
    """Whether somebody has named it, so that it is not only the default."""
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

    @contextmanager
    def bounded(self, step: str, about: str, advice: str) -> Iterator[None]:
        """Have what fails in the block, or takes too long, be the `Problem` of this step."""
        try:
            with move_on_after(self.reactor, STEP_SECONDS) as scope:
                yield
        except (LinkError, ProtocolError) as exc:
            raise Problem(step, str(exc), advice) from None
        if scope.cancelled_caught:
            raise Problem(step, f"nothing in {STEP_SECONDS:g} s", advice, about) from None

    async def any_of(self, tries: Iterable[Callable[[], Awaitable[T]]]) -> list[T]:
        """Try all. One has to work, since the client goes on to the next one; what is wrong with
        others is a warning. Raises the last `Problem` where none works; those that are alike are
        one.
        """
        results: list[T] = []
        problems: list[Problem] = []
        for attempt in tries:
            try:
                results.append(await attempt())
            except Problem as problem:
                problems.append(problem)
        others = _merged(problems)
        failure = None if results else others.pop()
        for other in others:
            self._tell(other.warning)
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
        address = (await self._resolve(host, advice))[0]
        where = host if host == address else f"{host} ({address})"
        self.seen("name", f"{where} stands for {', '.join(names)} (not looked up)")
        return [Place(name, address) for name in names]

    async def _find_one(self, name: str) -> Place:
        advice = f"have your name server answer {THEM} with your server's IPv4 address"
        found = await self._resolve(name, advice)
        self.seen("name", f"{name} is {listed(found)}")
        return Place(name, found[0])

    async def check_name(self, name: str, address: str) -> None:
        """`name` has to lead to `address`, and nowhere else."""
        if self.asked.host:
            self.seen("name", f"{address} stands for {name} (not looked up)")
            return
        advice = f"have your name server answer {name} with {address}"
        found = await self._resolve(name, advice)
        if found != [address]:
            raise Problem("name", f"{name} is {listed(found)}, not {address}", advice)
        self.seen("name", f"{name} is {address}")

    async def _resolve(self, name: str, advice: str) -> list[str]:
        """The IPv4 addresses of `name`: the original clients ask for no others."""
        found = []
        with self.bounded("name", name, advice):
            try:
                found = await trio.socket.getaddrinfo(
                    name, None, family=trio.socket.AF_INET, type=trio.socket.SOCK_STREAM
                )
            except (OSError, UnicodeError) as exc:
                why = getattr(exc, "strerror", None) or str(exc)
                raise Problem("name", why, advice, name) from None
        return list(dict.fromkeys(str(address[0]) for *_, address in found))

    # --- connections ---

    async def connect(self, step: str, host: str, port: int, advice: str) -> Transport:
        """A TCP connection."""
        with self.bounded(step, f"{host}:{port}", advice):
            transport = SocketTransport(await open_socket(host, port))
        self._opened.callback(transport.close)
        return transport

    async def secure(self, transport: Transport, name: str) -> Transport:
        """TLS, whose certificate has to hold for `name`."""
        context = self.asked.ssl_context or lookup.default_ssl_context()
        tls = TlsTransport(transport, context, server_side=False, server_hostname=name)
        advice = f"have {transport.peer} lead to this server's TLS port, which is its port + 1"
        with self.bounded("tls name", f"TLS with {transport.peer}", advice):
            try:
                await tls.handshake()
            except LinkError as exc:
                raise self._insecure(transport.peer, name, str(exc), advice) from None
        self.seen("tls name", f"the certificate at {transport.peer} holds for {name}")
        return tls

    def _insecure(self, peer: str, name: str, wrong: str, advice: str) -> Problem:
        """What `wrong` means, which the TLS handshake has ended with."""
        beginning = f"TLS with {peer} failed: "
        if not wrong.startswith(beginning):
            return Problem("tls name", wrong, advice)
        reason = wrong.removeprefix(beginning)
        if reason in _NOT_TLS:
            wrong = f"{peer} does not speak TLS ({reason})"
            return Problem(
                "tls name", wrong, "that is the server's port + 1, once it has cert and key"
            )
        for known, what_to_do in _CERTIFICATES.items():
            if reason.startswith(known):
                # OpenSSL names the host as well.
                return Problem("tls name", f"{beginning}{known}", what_to_do, name)
        if reason.startswith(_UNTRUSTED):
            advice = (
                "this machine does not trust its CA: give --ca FILE"
                if self.asked.ssl_context is None
                else "neither this machine nor --ca FILE holds its CA: give it there"
            )
            advice += "; each client's machine has to trust it, too"
        return Problem("tls name", wrong, advice, name)

    async def open_websocket(self, transport: Transport, url: str) -> Link:
        """The WebSocket that `url` names."""
        advice = (
            f"have port {transport.peer.rpartition(':')[2]} lead to this server, and to no proxy"
        )
        with self.bounded("websocket", f"{url} at {transport.peer}", advice):
            link = await handshake.connect(
                transport, self.reactor, url, max_frame_bytes=MAX_ANSWER_BYTES
            )
        self.seen("websocket", f"{url} is open")
        return link

    # --- the lookup by HTTP ---

    async def look_up(self, place: Place, port: int, advice: str, *, tls: bool) -> list[Address]:
        """The addresses that the lookup of `place` names for web pages; `advice` is for where
        nobody takes the connection.
        """
        where = f"{place.address}:{port}"
        transport = await self.connect("lookup", place.address, port, advice)
        if tls:
            await self.secure(transport, place.name)
        transport.close()
        try:
            named = await lookup.look_up(
                f"{'https' if tls else 'http'}://{where}",
                self.asked.app,
                self.reactor,
                ssl_context=self.asked.ssl_context,
                name=place.name,
                attempts=1,
            )
        except LoginError as exc:
            advice = f"have TCP port {port} lead to this server, and to no other program"
            raise Problem("lookup", exc.reason, advice) from None
        self.seen("lookup", f"{place.name} at {where} names {spelled(named)}")
        return named


def listed(texts: Iterable[str]) -> str:
    """Texts, for a line: `a`, `a and b`, `a, b and c`."""
    *others, last = [*texts] or [""]
    return f"{', '.join(others)} and {last}" if others else last


def spelled(addresses: Iterable[Address]) -> str:
    """Addresses, each once, for a line."""
    return listed(f"{host[:SHOWN_CHARS]}:{port}" for host, port in dict.fromkeys(addresses))


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
