"""Packets: round trips however the stream is cut, and nothing raised whatever arrives."""

from __future__ import annotations

import itertools
import zlib
from collections.abc import Callable, Iterable

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from signal_sdk.errors import ProtocolError
from signal_sdk.wire import packets
from tests.wire import strategies as sts

MAX = 1000


def packet(kind: int, payload: bytes) -> bytes:
    """A packet of any kind, not checked by what is under test."""
    return bytes([kind]) + (4 + len(payload)).to_bytes(3, "big") + payload


def header(kind: int, length: int) -> bytes:
    return bytes([kind]) + length.to_bytes(3, "big")


def read(parts: Iterable[bytes], max_bytes: int = MAX) -> tuple[list[bytes], str | None, int]:
    """What a reader makes of a stream: the texts, the error's text, and how many bytes wait."""
    reader = packets.PacketReader(max_bytes)
    texts = []
    for part in parts:
        texts += reader.feed(part)
        while reader.has_more:
            texts += reader.feed(b"")
    return texts, str(reader.error) if reader.error else None, reader.rest


def wrong(data: bytes, match: str, max_bytes: int = MAX) -> None:
    """Behind a good packet, `data` is an error: the good one's text is there, nothing else is."""
    stream = packets.encode_plain(b"good") + data
    for parts in ([stream], [stream[i : i + 1] for i in range(len(stream))]):
        texts, error, _ = read(parts, max_bytes)
        assert texts == [b"good"]
        assert error is not None
        assert match in error


payloads = st.binary(max_size=60) | st.integers(0, 200).map(lambda size: b"z" * size)
singles: st.SearchStrategy[tuple[bytes, list[bytes]]] = st.builds(
    lambda encode, text: (encode(text), [text]),
    st.sampled_from([packets.encode_plain, packets.encode_compressed, packets.encode_stored]),
    payloads,
)


def bundle(inner: list[tuple[bytes, list[bytes]]], *, deflated: bool) -> tuple[bytes, list[bytes]]:
    texts = [text for _, texts in inner for text in texts]
    if deflated:
        return packet(0x83, zlib.compress(b"".join(data for data, _ in inner))), texts
    return packets.encode_bundle(data for data, _ in inner), texts


bundles = st.builds(bundle, st.lists(singles, max_size=3), deflated=st.booleans())
streams = st.lists(singles | bundles, max_size=4)
"""Packets, each with the texts that are in it."""


@st.composite
def hostile_streams(draw: st.DrawFn) -> bytes:
    """Packets of which some are damaged, and what was never one."""
    parts = draw(
        st.lists(
            singles.map(lambda it: it[0])
            | bundles.map(lambda it: it[0])
            | st.builds(packet, st.integers(0x7E, 0x85), st.binary(max_size=20))
            | st.builds(
                lambda kind, text: packet(kind, zlib.compress(text)),
                st.sampled_from([0x81, 0x83]),
                st.binary(max_size=20),
            )
            | sts.mutated(bundles.map(lambda it: it[0]))
            | st.binary(max_size=6),
            max_size=4,
        )
    )
    return b"".join(parts)


def cut(data: bytes, places: Iterable[int]) -> list[bytes]:
    edges = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[a:b] for a, b in itertools.pairwise(edges)]


# --- round trips ----------------------------------------------------------------------------------


@given(streams, st.lists(st.integers(0, 2000), max_size=6))
def test_texts_come_out_in_order_however_the_stream_is_cut(
    stream: list[tuple[bytes, list[bytes]]], places: list[int]
) -> None:
    data = b"".join(part for part, _ in stream)
    expected = ([text for _, texts in stream for text in texts], None, 0)
    assert read([data]) == expected
    assert read([data[i : i + 1] for i in range(len(data))]) == expected
    assert read(cut(data, places)) == expected


@given(hostile_streams(), st.lists(st.integers(0, 2000), max_size=6))
def test_any_bytes_say_the_same_however_they_are_cut(data: bytes, places: list[int]) -> None:
    """Nothing is raised, and the texts and the error are those of the stream in one."""
    whole = read([data], 50)
    assert read([data[i : i + 1] for i in range(len(data))], 50) == whole
    assert read(cut(data, places), 50) == whole
    assert all(len(text) <= 50 for text in whole[0])


@given(singles, st.data())
def test_text_is_there_with_its_last_byte(
    single: tuple[bytes, list[bytes]], data: st.DataObject
) -> None:
    encoded, texts = single
    place = data.draw(st.integers(0, len(encoded) - 1))
    reader = packets.PacketReader(MAX)
    assert reader.feed(encoded[:place]) == []
    assert reader.rest == place
    assert reader.feed(encoded[place:]) == texts
    assert reader.rest == 0


def test_packets_have_the_documented_form() -> None:
    assert packets.encode_plain(b"line_ping:1") == b"\x80\x00\x00\x0fline_ping:1"
    assert packets.encode_plain(b"") == b"\x80\x00\x00\x04"
    for encode in (packets.encode_compressed, packets.encode_stored):
        data = encode(b"line_ping:1")
        assert data[0] == 0x81
        assert int.from_bytes(data[1:4], "big") == len(data)
        assert zlib.decompress(data[4:]) == b"line_ping:1"
    inner = packets.encode_plain(b"a")
    assert packets.encode_bundle([inner, inner]) == b"\x82\x00\x00\x0e" + 2 * b"\x80\x00\x00\x05a"


def test_stored_text_is_legible_in_its_packet() -> None:
    """As the original client's is."""
    text = b"login {}" * 50
    assert text in packets.encode_stored(text)
    assert len(packets.encode_compressed(text)) < len(text)


def test_bundle_of_nothing_is_nothing() -> None:
    assert read([packets.encode_bundle([]) + packets.encode_plain(b"a")]) == ([b"a"], None, 0)


@pytest.mark.parametrize(
    ("encode", "overhead"),
    [
        (packets.encode_plain, 4),
        (lambda data: packets.encode_bundle([data[:5], data[5:]]), 4),
        (packets.encode_stored, None),
    ],
)
def test_packet_is_as_long_as_a_header_can_say(
    encode: Callable[[bytes], bytes], overhead: int | None
) -> None:
    """And not a byte longer."""
    if overhead is not None:
        assert encode(bytes(2**24 - 1 - overhead))[1:4] == b"\xff\xff\xff"
    with pytest.raises(packets.PacketError, match="at most 16777215"):
        encode(bytes(2**24 - 4))


def test_what_compresses_well_may_be_longer() -> None:
    text = bytes(2**24)
    assert read([packets.encode_compressed(text)], 2**24) == ([text], None, 0)


# --- what is wrong --------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [0x00, 0x01, 0x02, 0x7F, 0x84, 0x90, 0xC0, 0xFF])
def test_unknown_kind_is_wrong_with_its_first_byte(kind: int) -> None:
    wrong(bytes([kind]), f"0x{kind:02x}")
    wrong(packet(kind, b"payload"), f"0x{kind:02x}")


@pytest.mark.parametrize("kind", [0x80, 0x81, 0x82, 0x83])
@pytest.mark.parametrize("length", [0, 3, MAX + 5, 2**24 - 1])
def test_wrong_length_is_wrong_with_the_header(kind: int, length: int) -> None:
    """Nothing of such a packet is waited for."""
    wrong(header(kind, length), f"a packet of {length} bytes")


def test_longest_packet_is_read() -> None:
    text = b"x" * MAX
    assert read([packets.encode_plain(text)]) == ([text], None, 0)
    assert read([packets.encode_compressed(text)]) == ([text], None, 0)
    assert read([packet(0x83, zlib.compress(packets.encode_plain(text[4:])))]) == (
        [text[4:]],
        None,
        0,
    )


def test_limit_of_a_whole_header_waits() -> None:
    """A reader that takes any length goes on waiting for the longest packet."""
    assert read([header(0x80, 2**24 - 1) + bytes(9)], 2**24) == ([], None, 13)


@pytest.mark.parametrize("kind", [0x81, 0x83])
@pytest.mark.parametrize(
    ("payload", "match"),
    [
        (b"", "cut off"),
        (b"garbage", "not zlib"),
        (zlib.compress(b"abc")[:-1], "cut off"),
        (zlib.compress(b"abc")[:-1] + b"\0", "not zlib"),
        (zlib.compress(b"abc") + b"\0", "behind"),
        (zlib.compress(b"abc") * 2, "behind"),
        (zlib.compress(b"0" * 300_000, 9), "more than 1000"),
        (zlib.compress(b"0" * (MAX + 1)), "more than 1000"),
        (b"x\x9c" + b"\0\0\0\xff\xff" * 100, "cut off"),
    ],
    ids=sts.label,
)
def test_damaged_zlib_data_is_wrong(kind: int, payload: bytes, match: str) -> None:
    """Garbage, a bomb, a stream that never ends, or that ends too early."""
    wrong(packet(kind, payload), match)


A = packets.encode_plain(b"a")


@pytest.mark.parametrize("deflated", [False, True])
@pytest.mark.parametrize(
    ("content", "match"),
    [
        (b"garbage", "0x67"),
        (A + b"\0", "0x00"),
        (A + A[:1], "within a packet"),
        (A + A[:-1], "within a packet"),
        (A + header(0x80, 0), "a packet of 0 bytes"),
        (A + header(0x80, 3), "a packet of 3 bytes"),
        (A + header(0x80, 2**24 - 1), "a packet of 16777215 bytes"),
        (A + packet(0x81, b"garbage"), "not zlib"),
        (A + packets.encode_bundle([A]), "0x82, not with 0x80 to 0x81"),
        (packet(0x83, zlib.compress(A)), "0x83, not with 0x80 to 0x81"),
        (packets.encode_bundle([]), "0x82, not with 0x80 to 0x81"),
        (packets.encode_compressed(b"0" * 600) * 2, "more than 400"),
        (packets.encode_compressed(b"0" * MAX) + A, "more than 1000"),
        (packets.encode_compressed(b"0" * MAX) * 2, "zlib data of more than 0"),
        (packets.encode_compressed(b"0" * 100) * 11, "zlib data of more than 0"),
    ],
    ids=sts.label,
)
def test_bundle_with_something_wrong_in_it_is_wrong(
    content: bytes, match: str, deflated: bool
) -> None:
    """All of it, so that no half of a bundle is acted upon."""
    data = packet(0x83, zlib.compress(content)) if deflated else packet(0x82, content)
    wrong(data, match)


def test_bundle_of_packets_that_are_compressed_to_nothing_is_within_the_limit() -> None:
    """Where the limit is reached, empty texts still fit."""
    content = packets.encode_compressed(b"0" * MAX) + packets.encode_compressed(b"") * 3
    assert read([packet(0x82, content)]) == ([b"0" * MAX, b"", b"", b""], None, 0)


def test_bundle_in_its_documented_form_is_read() -> None:
    data = packet(0x82, A + packets.encode_compressed(b"b"))
    assert read([data + packets.encode_plain(b"c")]) == ([b"a", b"b", b"c"], None, 0)


def test_nothing_comes_behind_an_error() -> None:
    """What was whole before it is there; what follows is not looked at, nor kept."""
    reader = packets.PacketReader(MAX)
    assert reader.feed(A + b"\0" + A) == [b"a"]
    error = reader.error
    assert isinstance(error, ProtocolError)
    assert reader.feed(A) == []
    assert reader.error is error
    assert reader.rest == 0


def test_what_would_be_very_much_comes_by_and_by() -> None:
    """A few bytes can be inflated to very many: each call returns little more than one packet."""
    bombs = packets.encode_compressed(bytes(MAX)) * 50
    reader = packets.PacketReader(MAX)
    got = [reader.feed(bombs + A)]
    while reader.has_more:
        got.append(reader.feed(b""))
    assert [text for part in got for text in part] == [bytes(MAX)] * 50 + [b"a"]
    assert max(map(len, got)) <= 2
    many = packets.encode_plain(b"") * 1000
    assert len(packets.PacketReader(MAX).feed(many)) <= 20


def test_error_does_not_quote_what_arrived() -> None:
    for kind in (0x81, 0x82, 0x83):
        _, error, _ = read([packet(kind, b"S3CRET")])
        assert error is not None
        assert "S3CRET" not in error


def test_many_small_packets_and_single_bytes_are_read_in_good_time() -> None:
    """Neither copies what waits again and again."""
    texts = [b"x" * 10] * 20_000
    stream = b"".join(map(packets.encode_plain, texts))
    assert read([stream[:3], stream[3:]]) == (texts, None, 0)
    text = bytes(2**20)
    data = packets.encode_plain(text)
    assert read((data[i : i + 1] for i in range(len(data))), 2**20) == ([text], None, 0)


# --- one zlib stream ------------------------------------------------------------------------------


@given(st.binary(max_size=300), st.integers(0, 9))
@example(b"", 0)
def test_stream_of_any_level_is_inflated_within_its_limit(content: bytes, level: int) -> None:
    data = zlib.compress(content, level)
    assert packets.inflate(data, len(content)) == content
    if content:
        with pytest.raises(packets.PacketError, match="more than"):
            packets.inflate(data, len(content) - 1)


@given(st.binary(max_size=100) | sts.mutated(st.binary(max_size=50).map(zlib.compress)))
def test_any_bytes_are_inflated_or_a_packet_error(data: bytes) -> None:
    try:
        content = packets.inflate(data, 100)
    except packets.PacketError:
        return
    assert zlib.decompress(data) == content
