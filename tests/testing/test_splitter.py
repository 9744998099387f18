"""Frames are found where they end, however their bytes arrive."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.frames import Frame, Opcode

from signal_sdk.testing.splitter import MAX_FRAME_BYTES, Piece, Splitter

REQUEST = b"GET / HTTP/1.1\r\nHost: memory\r\n\r\n"
SWITCH = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n"

heads = st.sampled_from([REQUEST, SWITCH])
sizes = st.sampled_from([0, 1, 125, 126, 127, 65535, 65536]) | st.integers(0, 300)
frames = st.builds(
    lambda opcode, size, mask: Frame(opcode, b"x" * size).serialize(mask=mask),
    st.sampled_from([Opcode.TEXT, Opcode.BINARY]),
    sizes,
    st.booleans(),
)


def in_chunks(data: bytes, cuts: list[int]) -> list[bytes]:
    places = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    return [data[begin:end] for begin, end in itertools.pairwise(places)]


@given(heads, st.lists(frames, max_size=5), st.lists(st.integers(0, 10**6), max_size=10))
def test_each_frame_is_one_piece(head: bytes, sent: list[bytes], cuts: list[int]) -> None:
    splitter = Splitter()
    found = [
        piece for chunk in in_chunks(head + b"".join(sent), cuts) for piece in splitter.feed(chunk)
    ]
    assert found == [Piece(head), *(Piece(frame, is_frame=True) for frame in sent)]
    assert splitter.rest() == b""


@given(st.binary(max_size=300), heads | st.just(b""), st.lists(st.integers(0, 300), max_size=5))
def test_nothing_is_lost_or_added_whatever_comes(data: bytes, head: bytes, cuts: list[int]) -> None:
    splitter = Splitter()
    chunks = in_chunks(head + data, cuts)
    passed = b"".join(piece.data for chunk in chunks for piece in splitter.feed(chunk))
    assert passed + splitter.rest() == head + data


def test_control_frames_stand_alone_and_fragments_do_not() -> None:
    splitter = Splitter()
    splitter.feed(REQUEST)
    sent = [
        Frame(Opcode.TEXT, b"a", fin=False),
        Frame(Opcode.PING, b"p"),
        Frame(Opcode.CONT, b"b", fin=False),
        Frame(Opcode.CONT, b"c"),
        Frame(Opcode.CLOSE, b""),
    ]
    found = splitter.feed(b"".join(frame.serialize(mask=True) for frame in sent))
    assert [piece.is_frame for piece in found] == [False, True, False, False, True]


def test_an_http_answer_that_begins_no_websocket_passes_as_it_comes() -> None:
    splitter = Splitter()
    answer = b"HTTP/1.1 503 Service Unavailable\r\n\r\n"
    assert splitter.feed(answer + b"no ") == [Piece(answer), Piece(b"no ")]
    assert splitter.feed(b"room") == [Piece(b"room")]


@pytest.mark.parametrize("head", [b"", REQUEST])
def test_what_never_ends_is_not_held(head: bytes) -> None:
    splitter = Splitter()
    splitter.feed(head)
    endless = b"\x82\x7f" + MAX_FRAME_BYTES.to_bytes(8) + b"x" * 100_000
    assert splitter.feed(endless) == [Piece(endless)]
    assert splitter.feed(b"\x81\x00") == [Piece(b"\x81\x00")]
