"""Plain opening requests: whatever is read at once, the library would have taken too, and answered
the same.
"""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.http11 import Request
from websockets.server import ServerProtocol

from signal_sdk.websocket import opening

KEY = "dGhlIHNhbXBsZSBub25jZQ=="
HEADERS = (
    ("Host", "sig.example:8080"),
    ("Upgrade", "websocket"),
    ("Connection", "Upgrade"),
    ("Sec-WebSocket-Key", KEY),
    ("Sec-WebSocket-Version", "13"),
)


def request(headers: tuple[tuple[str, str], ...] = HEADERS, line: str = "GET / HTTP/1.1") -> bytes:
    lines = [line, *(f"{name}: {value}" for name, value in headers), "", ""]
    return "\r\n".join(lines).encode("latin-1")


def but(name: str, *values: str) -> tuple[tuple[str, str], ...]:
    """The headers, with others of that name."""
    rest = tuple(header for header in HEADERS if header[0] != name)
    return rest + tuple((name, value) for value in values)


def by_library(data: bytes) -> tuple[int, str | None]:
    """The status that the library answers, and its Sec-WebSocket-Accept."""
    protocol = ServerProtocol()
    protocol.receive_data(data)
    if protocol.handshake_exc is not None:
        return 400, None
    asked = next(iter(protocol.events_received()), None)
    if not isinstance(asked, Request):
        return 0, None
    response = protocol.accept(asked)
    return response.status_code, response.headers.get("Sec-WebSocket-Accept")


@given(st.integers(1, len(request()) - 1))
def test_each_beginning_of_a_request_is_half_of_one(size: int) -> None:
    assert opening.is_half(request()[:size])


@pytest.mark.parametrize(
    "data",
    [
        request(),
        request() + b"more",
        request(line="GET / HTTP/1.0")[:50],
        b"get / HTTP/1.1",
        b"nonsense",
        b"\x16\x03\x01",
        b"GET  / HTTP/1.1",
        b"GET / HTTP/1.1\nHost: x",
        b"GET / HTTP/1.1\r\nHost: x\n",
        b"G" * 21,
        b"GET / FTP",
        b"\r\nGET / HTTP/1.1",
    ],
)
def test_what_is_whole_or_wrong_so_far_is_half_of_none(data: bytes) -> None:
    assert not opening.is_half(data)


def test_the_example_of_the_rfc() -> None:
    data = request()
    plain = opening.read(data + b"\x81\x80more")
    assert plain is not None
    assert (plain.target, plain.host, plain.end) == ("/", "sig.example:8080", len(data))
    assert plain.origin is None
    assert b"\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n" in plain.answer


@pytest.mark.parametrize(
    "headers",
    [
        but("Connection", "keep-alive, Upgrade"),
        but("Connection", "keep-alive,UPGRADE"),
        but("Upgrade", "WebSocket"),
        (*HEADERS, ("Sec-WebSocket-Extensions", "permessage-deflate; client_max_window_bits")),
        (*HEADERS, ("Origin", "null"), ("Cookie", "a=b; c=d"), ("X-Empty", "")),
        tuple((name.upper(), f"  {value}\t ") for name, value in HEADERS),
    ],
)
def test_as_browsers_write_them(headers: tuple[tuple[str, str], ...]) -> None:
    data = request(headers, "GET /chat?a=1 HTTP/1.1")
    plain = opening.read(data)
    assert plain is not None
    assert plain.target == "/chat?a=1"
    status, accept = by_library(data)
    assert status == 101
    assert f"Sec-WebSocket-Accept: {accept}\r\n".encode() in plain.answer


@pytest.mark.parametrize(
    "data",
    [
        b"",
        request()[:-1],
        request(line="POST / HTTP/1.1"),
        request(line="GET / HTTP/1.0"),
        request(line="GET http://sig.example/ HTTP/1.1"),
        request(line="GET  HTTP/1.1"),
        request(HEADERS[:1]),
        request(but("Sec-WebSocket-Key")),
        request(but("Sec-WebSocket-Key", "short")),
        request(but("Sec-WebSocket-Key", KEY, KEY)),
        request(but("Sec-WebSocket-Version", "8")),
        request(but("Upgrade", "h2c")),
        request(but("Upgrade", "websocket", "websocket")),
        request(but("Connection", "close")),
        request((*HEADERS, ("Content-Length", "0"))),
        request((*HEADERS, ("Transfer-Encoding", "chunked"))),
        request((*HEADERS, ("no name", "x"))),
        request((*HEADERS, ("X", "a\x00b"))),
        request((*HEADERS, ("X", "a\r\n folded"))),
        request((*HEADERS, ("X", "x" * opening.MAX_REQUEST_BYTES))),
        request().replace(b"\r\n", b"\n"),
    ],
)
def test_all_else_is_the_librarys(data: bytes) -> None:
    assert opening.read(data) is None


names = st.sampled_from([name for name, _ in HEADERS] + ["X", "host", "Origin", "x:y", "é"])
values = st.one_of(
    st.sampled_from([value for _, value in HEADERS] + ["keep-alive, upgrade", "", "a\tb", "\xff"]),
    st.binary(min_size=16, max_size=16).map(lambda raw: base64.b64encode(raw).decode()),
    st.text(st.characters(max_codepoint=255), max_size=6),
)


@given(st.lists(st.tuples(names, values), max_size=4), st.permutations(HEADERS))
def test_what_is_read_at_once_is_what_the_library_takes(
    more: list[tuple[str, str]], headers: list[tuple[str, str]]
) -> None:
    data = request((*headers, *more))
    plain = opening.read(data)
    if plain is not None:
        status, accept = by_library(data)
        assert status == 101
        assert f"Sec-WebSocket-Accept: {accept}\r\n".encode() in plain.answer
        assert plain.end == len(data)
