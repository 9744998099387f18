"""The PROXY protocol's header: read back as it was written, and all else is refused."""

from __future__ import annotations

import contextlib
from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signal_sdk.errors import ProtocolError
from signal_sdk.net.proxy_header import (
    HEAD_BYTES,
    MAX_REST_BYTES,
    SIGNATURE,
    Speaker,
    encode,
    read_rest,
    rest_length,
)

PORTS = st.integers(0, 65535)
V4 = st.integers(0, 2**32 - 1).map(lambda number: str(IPv4Address(number)))
V6 = st.integers(2**64, 2**128 - 1).map(lambda number: str(IPv6Address(number)))
SPEAKERS = st.one_of(
    st.builds(Speaker, V4, PORTS, reached=V4), st.builds(Speaker, V6, PORTS, reached=V6)
)


def read(data: bytes) -> tuple[Speaker | None, int]:
    """Whom the header at the beginning of `data` names, and how long it is."""
    head = data[:HEAD_BYTES]
    length = rest_length(head)
    return read_rest(head, data[HEAD_BYTES : HEAD_BYTES + length]), HEAD_BYTES + length


def test_a_header_as_haproxy_sends_it() -> None:
    data = SIGNATURE + bytes.fromhex("2111000c c0000207 cb007101 d903 1f41".replace(" ", ""))
    assert read(data + b"GET /") == (Speaker("192.0.2.7", 55555, reached="203.0.113.1"), 28)


@given(SPEAKERS, st.binary(max_size=50))
def test_what_is_written_is_read_back(speaker: Speaker, behind: bytes) -> None:
    data = encode(speaker)
    assert read(data + behind) == (speaker, len(data))


@given(SPEAKERS, st.binary(max_size=200))
def test_what_a_proxy_tells_of_tls_is_passed_over(speaker: Speaker, more: bytes) -> None:
    data = encode(speaker)
    length = len(data) - HEAD_BYTES + len(more)
    longer = data[: HEAD_BYTES - 2] + length.to_bytes(2) + data[HEAD_BYTES:] + more
    assert read(longer) == (speaker, len(longer))


def test_a_proxy_may_speak_for_itself_or_for_nobody_with_an_address() -> None:
    assert read(encode(None)) == (None, HEAD_BYTES)
    unix = SIGNATURE + b"\x21\x31\x00\xd8" + bytes(216)
    assert read(unix) == (None, HEAD_BYTES + 216)
    unspecified = SIGNATURE + b"\x21\x00\x00\x00"
    assert read(unspecified) == (None, HEAD_BYTES)


def test_an_ipv4_address_is_one_also_where_it_comes_as_ipv6() -> None:
    mapped = bytes(10) + b"\xff\xff" + bytes((192, 0, 2, 7))
    data = SIGNATURE + b"\x21\x21\x00\x24" + mapped * 2 + bytes(4)
    speaker, _ = read(data)
    assert speaker == Speaker("192.0.2.7", 0, reached="192.0.2.7")


@pytest.mark.parametrize(
    "head",
    [
        pytest.param(b"GET / HTTP/1.1\r\n", id="HTTP"),
        pytest.param(b"PROXY TCP4 1.2.3", id="version 1"),
        pytest.param(SIGNATURE + b"\x11\x11\x00\x0c", id="another version"),
        pytest.param(SIGNATURE + b"\x22\x11\x00\x0c", id="another command"),
        pytest.param(SIGNATURE + b"\x21\x11" + (MAX_REST_BYTES + 1).to_bytes(2), id="too long"),
    ],
)
def test_what_is_no_header_is_refused(head: bytes) -> None:
    with pytest.raises(ProtocolError, match="PROXY"):
        rest_length(head)


def test_addresses_that_are_cut_off_are_refused() -> None:
    with pytest.raises(ProtocolError, match="cut off after 4 bytes"):
        read(SIGNATURE + b"\x21\x11\x00\x04" + bytes(4))


@given(st.binary(min_size=HEAD_BYTES, max_size=HEAD_BYTES), st.binary(max_size=60))
def test_only_a_protocol_error_comes_of_anything(head: bytes, rest: bytes) -> None:
    with contextlib.suppress(ProtocolError):
        assert 0 <= rest_length(head) <= MAX_REST_BYTES
    for start in (head, SIGNATURE + head[12:]):
        with contextlib.suppress(ProtocolError):
            read_rest(start, rest)
