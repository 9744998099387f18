"""Proxies: which one a connection goes through, and the tunnel through it.

Owns: the variables that name proxies, as curl and others read them, and `CONNECT`. Must not know
what goes through the tunnel.

A proxy's user and password are in no error text, log or repr.
"""

from __future__ import annotations

import base64
import ipaddress
import os
from collections.abc import Mapping
from typing import Final
from urllib.parse import unquote, urlsplit

import attrs

from signal_sdk.ecodes import ECode
from signal_sdk.errors import LinkError, ParameterError
from signal_sdk.net.transport import Transport

__all__ = ["NO_PROXIES", "Proxies", "Proxy", "open_tunnel", "proxies_named"]

DEFAULT_PORT: Final = 80
MAX_ANSWER_BYTES: Final = 16 * 1024
"""How long the head of a proxy's answer may be."""
ANY: Final = "all"


@attrs.frozen
class Proxy:
    """An HTTP proxy."""

    host: str
    port: int
    user: str | None = attrs.field(default=None, repr=False)
    password: str = attrs.field(default="", repr=False)

    @property
    def url(self) -> str:
        """Its address, without user and password."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}"

    @property
    def auth(self) -> tuple[str, str] | None:
        """Its user and password."""
        return None if self.user is None else (self.user, self.password)


@attrs.frozen
class Proxies:
    """The proxies by the scheme of what is connected to (`http`, `https`, or `all`), and for which
    hosts there is none. A value of `by_scheme` is an error where what was said is of no use.
    """

    by_scheme: Mapping[str, Proxy | LinkError] = attrs.field(factory=dict)
    without: str = ""

    def of(self, host: str, port: int, *, tls: bool) -> Proxy | None:
        """The proxy to `port` of `host`. Raises `LinkError` where it is of no use.

        This machine itself is never asked for through one.
        """
        proxy = self.by_scheme.get("https" if tls else "http", self.by_scheme.get(ANY))
        if proxy is None or _is_loopback(host) or _is_among(self.without, host, port):
            return None
        if isinstance(proxy, LinkError):
            raise LinkError(*proxy.args)
        return proxy


NO_PROXIES: Final = Proxies()


def proxies_named(proxy: str | None) -> Proxies:
    """What `Signal`'s argument says: that proxy for all, none where it is empty; with None, what
    the environment says. Raises `ParameterError` (1004) for what is no proxy.
    """
    if proxy is None:
        return _of_environment()
    if not proxy:
        return NO_PROXIES
    try:
        return Proxies({ANY: _read("proxy", proxy)})
    except LinkError as exc:
        raise ParameterError(ECode.GENERAL_E_WRONG_PARAM, str(exc)) from None


def _of_environment() -> Proxies:
    found: dict[str, Proxy | LinkError] = {}
    for scheme in ("http", "https", ANY):
        name = f"{scheme.upper()}_PROXY"
        if text := _variable(name):
            try:
                found[scheme] = _read(name, text)
            except LinkError as exc:
                found[scheme] = exc
    return Proxies(found, _variable("NO_PROXY"))


def _variable(name: str) -> str:
    """A variable's text: lower case goes first."""
    lower = os.environ.get(name.lower())
    if lower is not None:
        return lower
    if name == "HTTP_PROXY" and "REQUEST_METHOD" in os.environ:
        # In a CGI program, whoever sends the request sets it, by a header called Proxy.
        return ""
    return os.environ.get(name, "")


def _read(name: str, text: str) -> Proxy:
    """The proxy at an address, which no error repeats. Raises `LinkError`."""
    scheme, is_there, _ = text.partition("://")
    if is_there and scheme.lower() != "http":
        kind = scheme if scheme.isalnum() else "such"
        raise LinkError(f"{name}: {kind} proxies are not supported; give http://HOST:PORT")
    wrong = f"{name}: not the address of a proxy; give http://HOST:PORT"
    try:
        parts = urlsplit(text if is_there else f"http://{text}")
        host, port = parts.hostname, parts.port
    except ValueError:
        raise LinkError(wrong) from None
    if not host:
        raise LinkError(wrong)
    user = None if parts.username is None else unquote(parts.username)
    return Proxy(host, port or DEFAULT_PORT, user, unquote(parts.password or ""))


def _ip(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        ip = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return None
    return getattr(ip, "ipv4_mapped", None) or ip


def _is_loopback(host: str) -> bool:
    ip = _ip(host)
    if ip is not None:
        return ip.is_loopback
    name = host.rstrip(".").lower()
    return name == "localhost" or name.endswith(".localhost")


def _is_among(without: str, host: str, port: int) -> bool:
    """Is the host one of `NO_PROXY`'s: `*`, names (with what is below them), addresses, networks,
    each of them with a port or without?
    """
    name, ip = host.rstrip(".").lower(), _ip(host)
    for entry in without.lower().replace(",", " ").split():
        if entry == "*":
            return True
        if ip is not None and (bare := entry.strip("[]")):
            try:
                if ip in ipaddress.ip_network(bare, strict=False):
                    return True
            except ValueError:
                pass
        what, colon, its_port = entry.rpartition(":")
        if colon and its_port.isdigit() and int(its_port) != port:
            continue
        wanted = (what if colon and its_port.isdigit() else entry).strip("[]").lstrip("*.")
        if wanted and (name == wanted or name.endswith(f".{wanted}")):
            return True
    return False


async def open_tunnel(transport: Transport, proxy: Proxy, host: str, port: int) -> None:
    """Have the proxy at the other end of `transport` connect to `port` of `host`: from here on,
    what is sent goes there. Raises `LinkError`; the caller bounds the time.
    """
    where = _authority(host, port)
    unsent = memoryview(_request(proxy, where))
    while unsent:
        if not (sent := transport.send_nowait(unsent)):
            await transport.wait_writable()
        unsent = unsent[sent:]
    answer = bytearray()
    while b"\r\n\r\n" not in answer:
        data = await transport.receive_some()
        answer += data
        if not data or len(answer) > MAX_ANSWER_BYTES:
            raise LinkError(f"the proxy at {proxy.url} did not answer as an HTTP proxy does")
    version, _, rest = bytes(answer).partition(b"\r\n")[0].partition(b" ")
    status = rest[:3]
    if not version.startswith(b"HTTP/1.") or not status.isdigit():
        raise LinkError(f"the proxy at {proxy.url} did not answer as an HTTP proxy does")
    if status == b"407":
        why = "wants a user and a password" if proxy.user is None else "refuses user or password"
        raise LinkError(f"the proxy at {proxy.url} {why} (HTTP 407)")
    if not status.startswith(b"2"):
        code = status.decode()
        raise LinkError(f"the proxy at {proxy.url} does not connect to {where}: HTTP {code}")
    if not answer.endswith(b"\r\n\r\n"):
        # Who is connected to speaks when it has been spoken to.
        raise LinkError(f"the proxy at {proxy.url} says more than it was asked")


def _authority(host: str, port: int) -> str:
    """The address as HTTP has it. Raises `LinkError`: a lookup's answer may hold anything."""
    try:
        name = host if host.isascii() else host.encode("idna").decode()
    except UnicodeError:
        name = ""
    if not name or not name.isprintable() or " " in name:
        raise LinkError(f"{host!r} is not the name of a host")
    return f"[{name}]:{port}" if ":" in name else f"{name}:{port}"


def _request(proxy: Proxy, where: str) -> bytes:
    lines = [f"CONNECT {where} HTTP/1.1", f"Host: {where}"]
    if proxy.user is not None:
        secret = base64.b64encode(f"{proxy.user}:{proxy.password}".encode()).decode()
        lines.append(f"Proxy-Authorization: Basic {secret}")
    return "\r\n".join([*lines, "", ""]).encode()
