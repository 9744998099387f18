"""Frames by hand: the same as the library's, for every size at which the header changes."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.frames import Frame, Opcode

from signal_sdk.websocket import frames

SIZES = (0, 1, 125, 126, 127, 65535, 65536, 70000)


@pytest.mark.parametrize("size", SIZES)
def test_a_message_is_encoded_as_the_library_does_it(size: int) -> None:
    payload = bytes(size)
    assert frames.encode(frames.TEXT, payload) == Frame(Opcode.TEXT, payload).serialize(mask=False)
    assert frames.encode(frames.BINARY, payload) == Frame(Opcode.BINARY, payload).serialize(
        mask=False
    )


@pytest.mark.parametrize("size", SIZES)
def test_a_masked_message_is_encoded_as_the_library_does_it(size: int) -> None:
    payload = bytes(range(256)) * (size // 256) + bytes(size % 256)
    data = frames.encode_masked(frames.TEXT, payload)
    head = frames.read_head(data, 0)
    assert head is not None
    mask = data[head.start - 4 : head.start]
    with mock.patch("secrets.token_bytes", return_value=mask):
        assert data == Frame(Opcode.TEXT, payload).serialize(mask=True)
    assert frames.unmask(data, head) == payload


def masks_of(count: int) -> list[bytes]:
    return [frames.encode_masked(frames.TEXT, b"")[2:] for _ in range(count)]


def test_each_message_has_a_mask_of_its_own() -> None:
    masks = masks_of(3 * frames.MASKS_PER_BLOCK)
    assert {len(mask) for mask in masks} == {4}
    # Of so few random ones, hardly any are alike.
    assert len(set(masks)) > len(masks) - 5


def test_threads_share_no_mask() -> None:
    with ThreadPoolExecutor(4) as pool:
        every = [mask for masks in pool.map(masks_of, [2000] * 4) for mask in masks]
    assert len(set(every)) > len(every) - 50


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_the_two_sides_of_a_fork_share_no_mask() -> None:
    """Nor do they know by one's masks the other's."""
    program = """
import os, sys
from signal_sdk.websocket import frames
frames.encode_masked(frames.TEXT, b"")
child = os.fork()
masks = [frames.encode_masked(frames.TEXT, b"")[2:].hex() for _ in range(10)]
if child:
    os.waitpid(child, 0)
print(*masks, flush=True)
os._exit(0)
"""
    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
    )
    child, parent = (set(line.split()) for line in ran.stdout.splitlines())
    assert len(child) == len(parent) == 10
    assert len(child | parent) > 15


@given(
    payload=st.one_of(st.binary(max_size=300), st.sampled_from([bytes(size) for size in SIZES])),
    is_masked=st.booleans(),
    before=st.binary(max_size=10),
    behind=st.binary(max_size=10),
)
def test_a_frame_of_the_librarys_is_found_and_read(
    payload: bytes, is_masked: bool, before: bytes, behind: bytes
) -> None:
    frame = Frame(Opcode.TEXT, payload).serialize(mask=is_masked)
    data = before + frame + behind
    head = frames.read_head(data, len(before))
    assert head is not None
    assert (head.first, head.is_masked) == (frames.TEXT, is_masked)
    assert head.end == len(before) + len(frame)
    read = frames.unmask(data, head) if is_masked else data[head.start : head.end]
    assert read == payload


@pytest.mark.parametrize("size", SIZES)
def test_a_head_that_is_not_all_there_is_none(size: int) -> None:
    frame = Frame(Opcode.TEXT, bytes(size)).serialize(mask=False)
    length = len(frame) - size
    assert [frames.read_head(frame[:count], 0) for count in range(length)] == [None] * length
    assert frames.read_head(frame[:length], 0) is not None


@st.composite
def masked_texts(draw: st.DrawFn) -> bytes:
    return frames.encode_masked(frames.TEXT, draw(st.binary(max_size=130)))


@given(st.binary(max_size=130) | masked_texts(), st.binary(max_size=4))
def test_a_lone_text_is_what_all_else_would_read_as_one_message(data: bytes, behind: bytes) -> None:
    for read in (data, data + behind, data[:-1]):
        texts, end = frames.take_texts(read, 2, 125, masked=True)
        is_lone = len(texts) == 1 and end == len(read) and len(texts[0]) < 126
        assert frames.lone_text(read) == (texts[0] if is_lone else None)
