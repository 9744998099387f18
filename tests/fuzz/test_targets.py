"""What the fuzzer holds the readers to, without it: on what it begins with, on that with a few
bytes changed, and on what it has found.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fuzz.__main__ import NAMES
from fuzz.targets import SECRET, TARGETS, Target, make_image, patched

FOUND: list[tuple[str, bytes]] = [
    # SQLite quotes the damaged schema in an error that is no UTF-8.
    ("journal", b"\x00\x044\x00\xff"),
    # A frame that is too long, behind fragments: who says so depends on the cuts; and one that is
    # not masked, too: which of that is said does.
    ("frames", b"\x05\x01\x81\x81\x81\x81\x81\x81\x81\x7e\x81\x81\x81" + b"\0" * 9),
    ("frames", b"\x05\x01\x81\xff\xff\xff\x81\x81\x80\x8a,\x10[\x80\x8a" + b"\xff" * 40),
    (
        "frames",
        bytes.fromhex(
            "050181ffffff8181808a2c105b808a5bee102c0cffeffffff8ff810cffefffff"
            "fff52681ffffffffffffffffff"
        ),
    ),
    # A frame behind fragments whose head came with them, and its payload later: it was lost.
    (
        "frames",
        bytes.fromhex(
            "05018428281871730a68180080631e3e74898ace4e9100a720b162ab3ae665ab2080869736c3fbf9008ace4e"
            "9100a720b162ab3a00000000000000000000000000000000000000000000000000000000d7a668"
        ),
    ),
]


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """Damage is logged, as it is to be."""
    logging.disable()
    yield
    logging.disable(logging.NOTSET)


@pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS)
def test_what_the_fuzzer_begins_with_keeps_the_promises(target: Target) -> None:
    seeds = target.seeds()
    assert len(seeds) == len(set(seeds)) > 10
    for seed in seeds:
        target.check(seed)


@pytest.mark.parametrize(("name", "data"), FOUND)
def test_what_was_found_keeps_the_promises(name: str, data: bytes) -> None:
    TARGETS[name].check(data)


@pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS)
@settings(max_examples=30)
@given(data=st.data())
def test_what_is_nearly_that_keeps_the_promises(target: Target, data: st.DataObject) -> None:
    text = bytearray(data.draw(st.sampled_from(target.seeds())))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(text)))
        end = data.draw(st.integers(at, min(len(text), at + 4)))
        text[at:end] = data.draw(st.binary(max_size=4))
    target.check(bytes(text))


def test_the_command_line_names_the_targets() -> None:
    assert tuple(TARGETS) == NAMES


def test_the_journal_that_is_damaged_holds_what_must_not_be_told() -> None:
    image = make_image()
    assert SECRET.encode() in image.data
    assert patched(b"", image.data) == image.data
    assert patched(b"\0\0\5\1x", image.data)[5:7] == b"xx"
    assert len(patched(b"\xff\xff\xff\xffx" * 9, image.data)) == len(image.data)
