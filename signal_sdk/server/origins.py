"""Origins: which web pages may use this server, and by which names of it.

Owns: the check of a request's `Origin` and, in dev mode, of its `Host`, and what browsers are told.
Must not know what is asked. Only browsers say an origin, and a page cannot leave it out where it
opens a WebSocket or reads another origin's answer: whoever says none is no page.
"""

from __future__ import annotations

import ipaddress
from typing import Final

from signal_sdk.server.config import ServerConfig, parse_address
from signal_sdk.server.config_checks import ANY_ORIGIN, parse_origin

__all__ = ["Origins", "host_of", "is_loopback", "leads_here"]

LOCALHOST: Final = "localhost"
BUILT_IN: Final = ".agora.io"
"""Of what original clients have built in to ask: nobody who means harm can have such a name."""
MAX_SHOWN_CHARS: Final = 100


class Origins:
    """What `[server] allowed_origins` says. With none, pages of any origin may come, and in dev
    mode, where anybody can log in as anybody, those of this machine only.
    """

    def __init__(self, config: ServerConfig) -> None:
        self._is_dev = config.dev
        self._allowed = frozenset(map(parse_origin, config.allowed_origins))
        self._is_open = ANY_ORIGIN in self._allowed or not (self._allowed or self._is_dev)
        self._names = {config.host.lower()}
        self._names |= {parse_address(entry)[0].lower() for entry in config.advertise}

    def why_not(self, origin: str | None, host: str) -> str:
        """Why a page of this `Origin`, which asks for this `Host`, may not; empty where it may, or
        where no page asks.
        """
        if origin is None:
            return ""
        if not self._allows(origin):
            named = "is no page of this machine, and no" if self._is_dev else "is not an"
            return f"{_shown(origin)} {named} origin of allowed_origins in [server]"
        if self._is_dev and not self._is_own_name(host):
            # A page can have its own name lead to this machine.
            return f"{_shown(host)} is no name of this server: see advertise in [server]"
        return ""

    def headers(self, origin: str | None, host: str) -> tuple[tuple[str, str], ...]:
        """What tells a browser whether the page may read the answer."""
        if self._is_open:
            return (("Access-Control-Allow-Origin", "*"),)
        if origin is None or self.why_not(origin, host):
            return (("Vary", "Origin"),)
        return (("Access-Control-Allow-Origin", origin), ("Vary", "Origin"))

    def _allows(self, text: str) -> bool:
        if self._is_open:
            return True
        try:
            origin = parse_origin(text)
        except ValueError:
            return False
        if self._allowed:
            return origin in self._allowed
        return is_loopback(host_of(origin.partition("://")[2]))

    def _is_own_name(self, host_header: str) -> bool:
        host = host_of(host_header)
        return host in self._names or host.endswith(BUILT_IN) or leads_here(host)


def leads_here(host: str) -> bool:
    """Is this a name of which whoever asks for it knows where it leads? Nobody who means harm has
    an address as a name, `localhost`, or one without a dot.
    """
    return "." not in host or is_loopback(host) or _is_address(host)


def host_of(place: str) -> str:
    """The host of `host` or `host:port`; empty where that is neither."""
    try:
        return parse_address(place)[0].lower()
    except ValueError:
        return ""


def is_loopback(host: str) -> bool:
    """Is this a name or an address of the machine itself, which nobody else can reach?"""
    if host == LOCALHOST or host.endswith(f".{LOCALHOST}"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _shown(text: str) -> str:
    return repr(text[:MAX_SHOWN_CHARS])
