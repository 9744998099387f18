"""Forwarded: on whose behalf a proxy before the server connects.

Owns: which proxies are believed (`[server] trusted_proxies`), and what they say, by the PROXY
protocol or in `X-Forwarded-For`. Must not know what is counted by addresses. Whoever else says such
a thing is not heard.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from typing import TypeAlias

from signal_sdk.errors import LinkError, ProtocolError
from signal_sdk.net import proxy_header
from signal_sdk.net.addresses import plain_address
from signal_sdk.net.proxy_header import Speaker
from signal_sdk.net.transport import Transport
from signal_sdk.server.config import ServerConfig, parse_address

__all__ = ["Forwarded"]

_Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network


class Forwarded:
    """What `[server] trusted_proxies` and `proxy_protocol` say."""

    def __init__(self, config: ServerConfig) -> None:
        self._networks: tuple[_Network, ...] = tuple(
            ipaddress.ip_network(entry, strict=False) for entry in config.trusted_proxies
        )
        self._has_headers = config.proxy_protocol

    def trusts(self, host: str) -> bool:
        """Is this the address of a proxy?"""
        if not self._networks or not host:
            return False
        try:
            address = ipaddress.ip_address(host.partition("%")[0])
        except ValueError:
            return False
        return any(address in network for network in self._networks)

    def begins_with_header(self, host: str) -> bool:
        """Does a connection from there begin with a header of the PROXY protocol?"""
        return self._has_headers and self.trusts(host)

    async def read_header(self, transport: Transport) -> Speaker | None:
        """That header: whom the proxy speaks for; None where that is itself. Raises `LinkError`."""
        head = await transport.receive_exactly(proxy_header.HEAD_BYTES)
        try:
            rest = await transport.receive_exactly(proxy_header.rest_length(head))
            return proxy_header.read_rest(head, rest)
        except ProtocolError as exc:
            raise LinkError(f"the proxy {transport.peer}: {exc}") from None

    def client_of(self, host: str, forwarded_for: str) -> str:
        """The client's address, where `host` is a proxy that says which; else `host`. Of several
        names, the last is the word of the proxy that is nearest: each before it is believed as far
        as the one behind it is a proxy that is trusted, too.
        """
        if self._has_headers or not self.trusts(host):
            return host
        for named in _from_the_nearest(forwarded_for):
            host = named
            if not self.trusts(host):
                break
        return host


def _from_the_nearest(forwarded_for: str) -> Iterator[str]:
    """The addresses in the header's value, as far as they are some."""
    for entry in reversed(forwarded_for.split(",")):
        text = entry.strip()
        try:
            # Some proxies name the port, too.
            host = text if text.count(":") > 1 and text[0] != "[" else parse_address(text)[0]
            yield plain_address(str(ipaddress.ip_address(host)))
        except ValueError:
            return
