"""Dialing: from the server's name to an open link.

Owns: which forms the name may take, and the sockets and TLS of a connection. Must not know the
login on it.
"""

from __future__ import annotations

import os
import random
import socket
import ssl
from typing import Final, Protocol
from urllib.parse import SplitResult, urlsplit

import attrs
import trio

from signal_sdk.client import given
from signal_sdk.client.lookup import SharedLookup, cause_of, default_ssl_context
from signal_sdk.client.proxies import NO_PROXIES, Proxies, open_tunnel, proxies_named
from signal_sdk.ecodes import ECode
from signal_sdk.errors import LinkError, LoginError, ParameterError
from signal_sdk.net.deadline import move_on_after
from signal_sdk.net.reactor import Reactor
from signal_sdk.net.tls import TlsTransport
from signal_sdk.net.transport import SocketTransport, Transport
from signal_sdk.websocket import handshake
from signal_sdk.websocket.link import Link
from signal_sdk.wire.parameter_errors import wrong

__all__ = [
    "MAX_ANSWER_BYTES",
    "SERVER_VARIABLE",
    "Dialer",
    "dialer_of",
    "make_dialer",
    "open_socket",
]

DEFAULT_PORT: Final = 8001
DEFAULT_SERVER: Final = f"127.0.0.1:{DEFAULT_PORT}"
SERVER_VARIABLE: Final = "SIGNAL_SDK_SERVER"
"""Where the environment says which server it is."""
CONNECT_SECONDS: Final = 5.0
"""How long connecting to one address may take: TCP, TLS and the WebSocket's handshake together."""
MAX_ADDRESSES: Final = 4
"""How many of the addresses that a lookup names are tried: with more, a login would take minutes to
fail."""
MAX_ANSWER_BYTES: Final = 16 * 1024 * 1024
"""The largest frame that is read: the whole user list of a large channel fits."""

_PORTS: Final = {"http": 80, "https": 443, "ws": 80, "wss": 443}


class Dialer(Protocol):
    """What makes a `Signal`'s links: pass your own as `Signal(appid, server=dialer)`."""

    async def dial(self, appid: str, reactor: Reactor, *, avoid: str = "") -> Link:
        """Open a link, written to by `reactor`, to a server of `appid`.

        Called for each login, and for each try to reconnect; `avoid` is then the `peer` of the link
        that was lost, which is to be tried last where there are other servers. Raises `LoginError`
        (201) or `LinkError` where there is none to be had; it bounds its own time.
        `signal_sdk.websocket.handshake.connect` makes a link of any transport.
        """


def dialer_of(
    server: str | Dialer | None, ssl_context: ssl.SSLContext | None, proxy: str | None
) -> Dialer:
    """The dialer of what a user has given, as `Signal` says. Raises `ParameterError` (1004)."""
    given.instance("ssl_context", ssl_context, ssl.SSLContext)
    given.instance("proxy", proxy, str)
    if server is None:
        server = os.environ.get(SERVER_VARIABLE) or DEFAULT_SERVER
    if isinstance(server, str):
        return make_dialer(server, ssl_context, proxies_named(proxy))
    given.has_method("server", server, "dial")
    for what, value in (("ssl_context", ssl_context), ("proxy", proxy)):
        if value:
            reason = f"{what} is of no use where server is a Dialer: make the dialer see to it"
            raise ParameterError(ECode.GENERAL_E_WRONG_PARAM, reason)
    return server


def make_dialer(
    server: str, ssl_context: ssl.SSLContext | None = None, proxies: Proxies = NO_PROXIES
) -> Dialer:
    """The dialer for `server`, in one of the forms that `Signal` names.

    Raises `ParameterError` (1004).
    """
    scheme, _, _ = server.partition("://")
    if "@" in server:
        # Which is not quoted: it may hold a password.
        raise ParameterError(ECode.GENERAL_E_WRONG_PARAM, "the server is given without a user")
    try:
        parts = urlsplit(server if "://" in server else f"//{server}")
        host, port = parts.hostname, parts.port
    except ValueError as exc:
        raise wrong("server", server, f"is not an address: {exc}") from None
    if not host:
        raise wrong("server", server, "names no host")
    if parts.scheme and parts.scheme not in _PORTS:
        why = f"begins with {scheme!r}, not with http, https, ws or wss"
        raise wrong("server", server, why)
    if ssl_context is not None and parts.scheme not in ("https", "wss"):
        why = "is not reached by TLS, for which ssl_context is: begin it with https:// or wss://"
        raise wrong("server", server, why)
    if not parts.scheme:
        return _LookupDialer(host=host, port=port or DEFAULT_PORT, tls=False, proxies=proxies)
    port = port or _PORTS[parts.scheme]
    if parts.scheme in ("http", "https"):
        tls = parts.scheme == "https"
        base = parts.path.rstrip("/")
        return _LookupDialer(
            host=host, port=port, tls=tls, ssl_context=ssl_context, path=base, proxies=proxies
        )
    tls = parts.scheme == "wss"
    return _DirectDialer(_Target(host, port, tls, host, _target(parts)), ssl_context, proxies)


def _target(parts: SplitResult) -> str:
    return (parts.path or "/") + (f"?{parts.query}" if parts.query else "")


def _netloc(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


@attrs.frozen
class _Target:
    """One address: where to connect, and whose certificate to expect there."""

    host: str
    port: int
    tls: bool
    certified: str
    path: str = "/"

    @property
    def url(self) -> str:
        return f"{'wss' if self.tls else 'ws'}://{_netloc(self.host, self.port)}{self.path}"


@attrs.frozen
class _DirectDialer:
    """Connects to one address, without a lookup."""

    target: _Target
    ssl_context: ssl.SSLContext | None
    proxies: Proxies

    async def dial(
        self,
        appid: str,  # noqa: ARG002  the app makes no difference here
        reactor: Reactor,
        *,
        avoid: str = "",  # noqa: ARG002  there is one server
    ) -> Link:
        return await _connect(self.target, reactor, self.ssl_context, self.proxies)


@attrs.frozen(kw_only=True)
class _LookupDialer:
    """Asks the lookup, and connects to the addresses that it names until one answers: in random
    order, and to the one that was lost last.
    """

    host: str
    port: int
    tls: bool
    ssl_context: ssl.SSLContext | None = None
    path: str = ""
    proxies: Proxies = NO_PROXIES
    _lookups: dict[str, SharedLookup] = attrs.field(factory=dict, init=False)

    async def dial(self, appid: str, reactor: Reactor, *, avoid: str = "") -> Link:
        lookup = self._lookups.get(appid)
        if lookup is None:
            scheme = "https" if self.tls else "http"
            base_url = f"{scheme}://{_netloc(self.host, self.port)}{self.path}"
            lookup = SharedLookup(base_url, appid, self.ssl_context, self.proxies)
            self._lookups[appid] = lookup
        addresses = await lookup.ask(reactor)
        # A server with a certificate listens for TLS on the port after the advertised one.
        targets = [
            _Target(host, port + 1 if self.tls else port, self.tls, self.host)
            for host, port in addresses
        ]
        random.shuffle(targets)
        targets.sort(key=lambda target: f"{target.host}:{target.port}" == avoid)
        reason = ""
        for target in targets[:MAX_ADDRESSES]:
            try:
                return await _connect(target, reactor, self.ssl_context, self.proxies)
            except LinkError as exc:
                reason = str(exc)
        raise LoginError(ECode.LOGIN_E_NET, reason)


async def _connect(
    target: _Target, reactor: Reactor, ssl_context: ssl.SSLContext | None, proxies: Proxies
) -> Link:
    """An open link to `target`. Raises `LinkError`."""
    where = _netloc(target.host, target.port)
    proxy = proxies.of(target.host, target.port, tls=target.tls)
    transport: Transport | None = None
    link: Link | None = None
    try:
        with move_on_after(reactor, CONNECT_SECONDS):
            if proxy is None:
                transport = SocketTransport(await open_socket(target.host, target.port))
            else:
                tunnel = SocketTransport(await open_socket(proxy.host, proxy.port, "the proxy at "))
                transport = tunnel
                await open_tunnel(transport, proxy, target.host, target.port)
                # Whom it is with from here on, as if there were no proxy.
                tunnel.peer = f"{target.host}:{target.port}"
            if target.tls:
                context = ssl_context or default_ssl_context()
                tls = TlsTransport(
                    transport, context, server_side=False, server_hostname=target.certified
                )
                transport = tls
                await tls.handshake()
            link = await handshake.connect(
                transport, reactor, target.url, max_frame_bytes=MAX_ANSWER_BYTES
            )
    finally:
        if link is None and transport is not None:
            transport.close()
    if link is None:
        raise LinkError(f"no connection to {where} in {CONNECT_SECONDS:g} s")
    return link


async def open_socket(host: str, port: int, what: str = "") -> socket.socket:
    """A socket that is connected to `port` of `host`, which is `what`. Raises `LinkError`; the
    caller bounds the time.
    """
    try:
        stream = await trio.open_tcp_stream(host, port)
    except (OSError, ValueError, OverflowError) as exc:
        raise LinkError(f"no connection to {what}{_netloc(host, port)}: {cause_of(exc)}") from None
    # trio's wrapper has done its part; the outbox sends on the plain socket.
    return socket.socket(fileno=stream.socket.detach())
