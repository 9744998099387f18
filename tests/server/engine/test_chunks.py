"""Chunks of entries: what was put in comes out, whatever has become of the rest."""

from __future__ import annotations

import zlib
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signal_sdk.server.engine import chunks
from signal_sdk.server.engine.checksums import checksum, pack
from signal_sdk.server.engine.chunks import CHUNK_BYTES, CHUNK_ENTRIES, chunk_of, chunked, read
from signal_sdk.server.engine.schema import Row

NUMBERS = st.integers(0, 2**62)
ROWS = st.lists(
    st.tuples(NUMBERS, NUMBERS, st.floats(allow_nan=False), st.text(max_size=40)), max_size=30
).map(lambda facts: [(number, *row) for number, row in enumerate(facts, 1)])


def row(number: int, line: str = "line") -> Row:
    return (number, 1, number, 5.0, line)


def packed(rows: Iterable[Row]) -> dict[int, bytes]:
    return {it[0]: pack(it) for it in rows}


def written(*rows: Row) -> bytes:
    ((_, contents),) = chunked(packed(rows))
    return contents


def good(contents: bytes) -> list[Row]:
    return [it for it, is_good in read(contents)[0] if is_good]


@given(ROWS)
def test_what_goes_in_comes_out(rows: list[Row]) -> None:
    found = []
    for name, contents in chunked(packed(rows)):
        some, rest = read(contents)
        assert rest == b""
        assert all(is_good for _, is_good in some)
        assert some[-1][0][0] == name
        found += [it for it, _ in some]
    assert found == rows


@given(ROWS.filter(bool), st.data())
def test_whatever_bytes_are_changed_no_row_comes_out_that_did_not_go_in(
    rows: list[Row], data: st.DataObject
) -> None:
    contents = bytearray(written(*rows))
    at = data.draw(st.integers(0, len(contents) - 1))
    changed = data.draw(st.binary(min_size=1, max_size=20))
    contents[at : at + len(changed)] = changed
    found, rest = read(bytes(contents))
    assert set(good(bytes(contents))) <= set(rows)
    # What is damaged is somewhere in what is told, or did no harm.
    if len(good(bytes(contents))) < len(rows):
        assert rest or any(not is_good for _, is_good in found)


@given(st.binary(max_size=200))
def test_any_bytes_can_be_read(contents: bytes) -> None:
    found, rest = read(contents)
    assert sum(len(it[-1]) for it, _ in found if isinstance(it[-1], bytes)) <= len(contents)
    assert isinstance(rest, bytes)
    assert contents.endswith(rest)


@given(st.integers(0, 2), st.integers(0, 255))
def test_a_row_that_is_damaged_takes_no_other_with_it(which: int, byte: int) -> None:
    rows = [row(number, f"a line that is {number}") for number in range(1, 4)]
    contents = written(*rows)
    at = contents.index(b"line that is %d" % (which + 1))
    damaged = contents[:at] + bytes([byte]) + contents[at + 1 :]
    left = rows if damaged == contents else [*rows[:which], *rows[which + 1 :]]
    assert good(damaged) == left
    assert read(damaged)[1] == b""


@pytest.mark.parametrize("count", [1, 15, 16, 999])
@pytest.mark.parametrize("byte", [0, 0x92, 0xC1, 0xDC, 0xFF])
def test_a_list_whose_own_head_is_damaged_takes_no_row_with_it(count: int, byte: int) -> None:
    rows = [row(number) for number in range(1, count + 1)]
    contents = written(*rows)
    assert good(bytes([byte]) + contents[1:]) == rows


def test_behind_a_length_that_is_damaged_the_rest_is_told() -> None:
    rows = [row(number, "x" * 300) for number in range(1, 4)]
    contents = written(*rows)
    second = contents.index(b"\xc5", contents.index(b"\xc5") + 300)
    for damaged in (contents[: second + 1] + b"\xff\xff" + contents[second + 3 :], contents[:-1]):
        found, rest = read(damaged)
        assert [it for it, is_good in found if is_good] == rows[: len(found)]
        assert isinstance(rest, bytes)
        assert damaged.endswith(rest)
        assert len(rest) > 300


@pytest.mark.parametrize("contents", [None, "text", 5, 5.0])
def test_what_are_no_bytes_is_the_rest(contents: object) -> None:
    assert read(contents) == ([], contents)


def test_a_chunk_has_a_bound() -> None:
    rows = [row(number) for number in range(1, 2 * CHUNK_ENTRIES + 2)]
    assert [name for name, _ in chunked(packed(rows))] == [
        CHUNK_ENTRIES,
        2 * CHUNK_ENTRIES,
        rows[-1][0],
    ]
    rows = [row(number, "x" * 10_000) for number in range(1, 101)]
    found = list(chunked(packed(rows)))
    assert len(found) == 4
    assert all(CHUNK_BYTES - 11_000 < len(it) < CHUNK_BYTES + 1000 for _, it in found[:-1])
    assert [it for _, contents in found for it in good(contents)] == rows
    assert [name for name, _ in found] == [good(contents)[-1][0] for _, contents in found]


def test_one_that_has_more_than_a_chunk_may_is_a_chunk() -> None:
    rows = [row(1), row(2, "x" * (CHUNK_BYTES + 1)), row(3)]
    assert [name for name, _ in chunked(packed(rows))] == [1, 2, 3]


def test_a_row_of_an_older_file_keeps_its_checksum() -> None:
    one = row(1, "\U0001f600")
    values = (*one[:4], "\U0001f600".encode(), "text")
    assert read(chunk_of(checksum(one), *values)) == ([(one, True)], b"")
    for told in (checksum(one) + 1, None, "text", -(2**63)):
        assert read(chunk_of(told, *values))[0] == [(one, False)]
    # Bytes where a text should be, and a text that is none.
    for line, kind in ((b"line", "blob"), (b"\xff", "text"), (None, "null")):
        ((found, is_good),) = read(chunk_of(5, 1, 1, 1, 5.0, line, kind))[0]
        assert (found, is_good) == ((1, 1, 1, 5.0, line), False)


def test_a_record_of_something_else_is_no_row_whatever_its_checksum() -> None:
    other = pack([1, 2])
    contents = pack([(zlib.crc32(other), other)])
    assert read(contents) == ([((other,), False)], b"")


def test_a_text_that_is_none_is_an_error() -> None:
    with pytest.raises(ValueError, match="surrogates"):
        written(row(1, "\ud800"))


def test_a_row_has_the_columns_that_its_table_names() -> None:
    assert len(row(1)) == chunks.ROW_LENGTH
