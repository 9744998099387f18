"""Opening requests as nearly all clients write them, read at once.

Owns: which requests are whole, which plain, and the answer to those. Must not know what is said of
any other: the library reads those, and refuses what is wrong. A server whose clients all come back
at once spends most of that time on their handshakes.
"""

from __future__ import annotations

import re
from base64 import b64encode
from hashlib import sha1
from typing import Final

import attrs

MAX_REQUEST_BYTES: Final = 4096
_LINES: Final = rb"(?:[-!#$%&'*+.^_`|~0-9a-zA-Z]+:[\x09\x20-\x7e\x80-\xff]*\r\n)*"
_REQUEST: Final = re.compile(rb"GET (/[\x21-\x7e]*) HTTP/1\.1(\r\n" + _LINES + rb")\r\n")
_HEADER: Final = re.compile(rb"\r\n([^:\r]+):([^\r]*)")
"""Without the blanks around a value: to leave those to the expression takes the square of their
number.
"""
_KEY: Final = re.compile(rb"[A-Za-z0-9+/]{21}[AQgw]==")
"""16 bytes in base64."""
_GUID: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
"""RFC 6455, section 1.3."""


_FIRST_LINE: Final = re.compile(rb"[A-Z]{1,20} [\x21-\x7e]+ HTTP/1\.1")
_FIRST_HALF: Final = re.compile(rb"[A-Z]{0,20}|[A-Z]{1,20} [\x21-\x7e]*(?: [HTP/1.]*\r?)?")


def is_half(data: bytes) -> bool:
    """Is `data` the beginning of a request, of which more is to come? Where it is wrong so far, it
    is not.
    """
    if b"\r\n\r\n" in data:
        return False
    first, is_whole, more = data.partition(b"\r\n")
    if not is_whole:
        return _FIRST_HALF.fullmatch(first) is not None
    return _FIRST_LINE.fullmatch(first) is not None and more.count(b"\n") == more.count(b"\r\n")


@attrs.frozen(kw_only=True)
class PlainOpening:
    """A request that begins a WebSocket; `end` is where its bytes end."""

    target: str
    host: str
    origin: str | None
    forwarded_for: str
    answer: bytes
    end: int


def read(data: bytes) -> PlainOpening | None:
    """The opening request that `data` begins with; None where it is none, is not whole, or is not
    plain.
    """
    request = _REQUEST.match(data, 0, MAX_REQUEST_BYTES)
    if request is None:
        return None
    headers: dict[bytes, bytes] = {}
    for field, value in _HEADER.findall(request[2]):
        name = field.lower()
        if name in headers:
            return None
        headers[name] = value.strip(b" \t")
    key = headers.get(b"sec-websocket-key", b"")
    if (
        headers.get(b"upgrade", b"").lower() != b"websocket"
        or headers.get(b"sec-websocket-version") != b"13"
        or not _KEY.fullmatch(key)
        # Some browsers say `keep-alive, Upgrade`.
        or b"upgrade" not in headers.get(b"connection", b"").lower().replace(b" ", b"").split(b",")
        or b"transfer-encoding" in headers
        or b"content-length" in headers
    ):
        return None
    accept = b64encode(sha1(key + _GUID, usedforsecurity=False).digest())
    return PlainOpening(
        target=request[1].decode(),
        host=headers.get(b"host", b"").decode("latin-1"),
        forwarded_for=headers.get(b"x-forwarded-for", b"").decode("latin-1"),
        origin=headers[b"origin"].decode("latin-1") if b"origin" in headers else None,
        answer=b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n",
        end=request.end(),
    )
