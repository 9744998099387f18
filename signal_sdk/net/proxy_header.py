"""The PROXY protocol's header, version 2: what a proxy says before a connection's own bytes, to
tell for whom it speaks.

Owns: the header's bytes. Must not know whose word counts. It is pure, and whatever arrives, only
`ProtocolError` comes of it.
"""

from __future__ import annotations

import ipaddress
import struct
from typing import Final

import attrs

from signal_sdk.errors import ProtocolError
from signal_sdk.net.addresses import plain_address

__all__ = ["HEAD_BYTES", "SIGNATURE", "Speaker", "encode", "read_rest", "rest_length"]

SIGNATURE: Final = b"\r\n\r\n\x00\r\nQUIT\n"
_HEAD: Final = struct.Struct("!12sBBH")
HEAD_BYTES: Final = _HEAD.size
"""How long the part is that every header has."""
MAX_REST_BYTES: Final = 2048
"""What may follow: two addresses, and what proxies tell of TLS, which is passed over."""
_LOCAL: Final = 0x20
_PROXY: Final = 0x21
_TCP4: Final = 0x11
_TCP6: Final = 0x21
_ADDRESSES: Final = {_TCP4: struct.Struct("!4s4sHH"), _TCP6: struct.Struct("!16s16sHH")}


@attrs.frozen
class Speaker:
    """Whom a proxy speaks for: the client's address and port, and the address that it reached."""

    host: str
    port: int
    reached: str


def rest_length(head: bytes) -> int:
    """How many bytes follow the first `HEAD_BYTES`. Raises `ProtocolError`."""
    signature, command, _, length = _HEAD.unpack(head)
    if signature != SIGNATURE or command not in (_LOCAL, _PROXY):
        raise ProtocolError("no header of the PROXY protocol, version 2")
    if length > MAX_REST_BYTES:
        raise ProtocolError(f"a PROXY header with {length} bytes, of at most {MAX_REST_BYTES}")
    return int(length)


def read_rest(head: bytes, rest: bytes) -> Speaker | None:
    """Whom the proxy speaks for; None where that is itself, or somebody without an IP address.
    Raises `ProtocolError`.
    """
    _, command, family, _ = _HEAD.unpack(head)
    layout = _ADDRESSES.get(family)
    if command == _LOCAL or layout is None:
        return None
    if len(rest) < layout.size:
        raise ProtocolError(f"a PROXY header whose addresses are cut off after {len(rest)} bytes")
    source, destination, port, _ = layout.unpack_from(rest)
    return Speaker(_host(source), port, _host(destination))


def _host(packed: bytes) -> str:
    return plain_address(str(ipaddress.ip_address(packed)))


def encode(speaker: Speaker | None) -> bytes:
    """The header of a proxy that speaks for `speaker`, or with None for itself. For tests."""
    if speaker is None:
        return _HEAD.pack(SIGNATURE, _LOCAL, 0, 0)
    source, reached = (ipaddress.ip_address(it) for it in (speaker.host, speaker.reached))
    family = _TCP4 if source.version == 4 else _TCP6
    layout = _ADDRESSES[family]
    rest = layout.pack(source.packed, reached.packed, speaker.port, 0)
    return _HEAD.pack(SIGNATURE, _PROXY, family, len(rest)) + rest
