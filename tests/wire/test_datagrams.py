"""The lookup by UDP: what is asked is answered, and whatever else arrives is no question."""

from __future__ import annotations

import json
import zlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signal_sdk.ecodes import ECode
from signal_sdk.errors import ParameterError, ProtocolError
from signal_sdk.wire import datagrams, packets
from signal_sdk.wire.datagrams import Address
from tests.wire import strategies as sts

appids = st.text(min_size=1, max_size=40)
addresses = st.tuples(st.ip_addresses().map(str), st.integers(0, 2**16 - 1))
address_lists = st.lists(addresses, min_size=1, max_size=8)
HERE: Address = ("192.0.2.1", 8001)
THERE: Address = ("192.0.2.2", 8002)
QUESTION = b'getaddr {"appid":"APP"}'
PLENTY = 2**16


def spelled(text: str | bytes) -> bytes:
    return zlib.compress(text.encode() if isinstance(text, str) else text)


def lists_in(datagram: bytes) -> dict[str, Any]:
    word, _, text = zlib.decompress(datagram).partition(b" ")
    assert word == b"ok"
    found: dict[str, Any] = json.loads(text)
    return found


# --- questions ------------------------------------------------------------------------------------


@given(appids, st.booleans())
def test_question_round_trips(appid: str, stored: bool) -> None:
    assert datagrams.decode_question(datagrams.encode_question(appid, stored=stored)) == appid


def test_question_has_the_documented_form() -> None:
    """One zlib stream, which the original clients do not make smaller."""
    data = datagrams.encode_question("APP")
    assert QUESTION in data
    assert zlib.decompress(data) == QUESTION
    assert zlib.decompress(datagrams.encode_question("APP", stored=False)) == QUESTION


@pytest.mark.parametrize("level", range(10))
def test_question_of_any_level_is_read(level: int) -> None:
    assert datagrams.decode_question(zlib.compress(QUESTION, level)) == "APP"


def test_other_keys_of_a_question_are_read_past() -> None:
    assert datagrams.decode_question(spelled('getaddr {"a": [1], "appid": "APP"}')) == "APP"


OTHER_TEXTS: list[str | bytes] = [
    "",
    "getaddr",
    "getaddr ",
    'getaddr{"appid":"APP"}',
    'GETADDR {"appid":"APP"}',
    ' getaddr {"appid":"APP"}',
    'getaddr2 {"appid":"APP"}',
    "getaddr APP",
    "getaddr {}",
    "getaddr []",
    "getaddr null",
    'getaddr {"appid":""}',
    'getaddr {"appid":null}',
    'getaddr {"appid":5}',
    'getaddr {"appid":["APP"]}',
    'getaddr {"appid":"APP"',
    'getaddr {"appid":"APP"} x',
    r'getaddr {"appid":"\ud800"}',
    b'getaddr {"appid":"\xff"}',
    b'getaddr {"appid":"APP","x":"\xff"}',
    "getaddr " + "[" * 1400,
]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"x",
        QUESTION,
        b"garbage" * 9,
        spelled(QUESTION)[:-1],
        spelled(QUESTION)[:5],
        spelled(QUESTION) + b"\0",
        spelled(QUESTION) * 2,
        spelled(QUESTION + b" " * 1500),
        spelled(b"0" * 1_000_000),
        zlib.compress(QUESTION + b" " * 1480, 0),
        *map(spelled, OTHER_TEXTS),
    ],
    ids=sts.label,
)
def test_whatever_else_is_no_question(data: bytes) -> None:
    assert datagrams.decode_question(data) is None


def test_longest_question_is_read() -> None:
    """1,500 bytes, as a datagram and as text."""
    blank = b" " * (datagrams.MAX_QUESTION_BYTES - len(QUESTION))
    assert datagrams.decode_question(spelled(QUESTION + blank)) == "APP"
    assert datagrams.decode_question(spelled(QUESTION + blank + b" ")) is None
    stored = zlib.compress(QUESTION + blank[:-11], 0)
    assert len(stored) == datagrams.MAX_QUESTION_BYTES
    assert datagrams.decode_question(stored) == "APP"


def test_what_is_too_long_is_not_inflated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packets, "inflate", None)
    assert datagrams.decode_question(bytes(datagrams.MAX_QUESTION_BYTES + 1)) is None


@given(
    st.binary(max_size=100)
    | st.binary(max_size=100).map(zlib.compress)
    | sts.hostile_bytes.map(lambda data: spelled(b"getaddr " + data))
    | sts.mutated(appids.map(datagrams.encode_question))
)
def test_any_bytes_are_a_question_or_none(data: bytes) -> None:
    found = datagrams.decode_question(data)
    assert found is None or found


def test_app_id_that_utf_8_cannot_hold_is_refused() -> None:
    with pytest.raises(ParameterError) as caught:
        datagrams.encode_question("\ud800")
    assert caught.value.ecode is ECode.GENERAL_E_WRONG_PARAM


# --- answers --------------------------------------------------------------------------------------


@given(address_lists, address_lists)
def test_answer_round_trips(http: list[Address], tcp: list[Address]) -> None:
    """All addresses are there, in order, and then again."""
    answer = datagrams.decode_answer(datagrams.encode_answer(http, tcp, PLENTY))
    assert answer == datagrams.Answer(tuple(http * 2), tuple(tcp * 2))


def test_answer_has_the_documented_form() -> None:
    data = datagrams.encode_answer([HERE], [THERE], PLENTY)
    assert zlib.decompress(data) == (
        b'ok {"http":[["192.0.2.1",8001],["192.0.2.1",8001]],'
        b'"tcp":[["192.0.2.2",8002],["192.0.2.2",8002]]}'
    )


def test_every_address_is_named_twice() -> None:
    """The client dials the first two: they are two different ones where there are."""
    found = lists_in(datagrams.encode_answer([HERE], [HERE, THERE], PLENTY))
    assert found["http"] == [[*HERE]] * 2
    assert found["tcp"] == [[*HERE], [*THERE], [*HERE], [*THERE]]


@given(address_lists, address_lists, st.integers(-1, 600))
def test_as_many_addresses_are_named_as_fit(
    http: list[Address], tcp: list[Address], max_bytes: int
) -> None:
    """From the front, and one of each kind in any case; where one more would fit, it is there."""
    data = datagrams.encode_answer(http, tcp, max_bytes)
    found = lists_in(data)
    for kind, given_ones in (("http", http), ("tcp", tcp)):
        half = len(found[kind]) // 2
        assert half >= 1
        assert found[kind] == [[*it] for it in given_ones[:half]] * 2
    count = max(len(found["http"]), len(found["tcp"])) // 2
    assert len(data) <= max_bytes or count == 1
    if count < max(len(http), len(tcp)):
        longer = datagrams.encode_answer(http[: count + 1], tcp[: count + 1], PLENTY)
        assert len(longer) > max_bytes


@given(appids, addresses, addresses, st.booleans())
def test_answer_with_one_address_each_is_within_its_bound(
    appid: str, http: Address, tcp: Address, stored: bool
) -> None:
    question = datagrams.encode_question(appid, stored=stored)
    bound = datagrams.answer_bound(question)
    assert bound == 3 * len(question) + 200
    assert len(datagrams.encode_answer([http], [tcp], bound)) <= bound


@pytest.mark.parametrize(("http", "tcp"), [([], []), ([HERE], []), ([], [HERE])])
def test_answer_without_an_address_is_a_mistake(http: list[Address], tcp: list[Address]) -> None:
    with pytest.raises(ParameterError, match="without an address"):
        datagrams.encode_answer(http, tcp, PLENTY)


# --- refusals -------------------------------------------------------------------------------------


@given(st.text(max_size=100))
def test_refusal_is_heard_with_its_reason(reason: str) -> None:
    data = datagrams.encode_refusal(reason, PLENTY)
    with pytest.raises(ProtocolError) as caught:
        datagrams.decode_answer(data)
    assert reason in str(caught.value)


def test_refusal_is_its_reason_as_text() -> None:
    assert zlib.decompress(datagrams.encode_refusal("no such app", 100)) == b"no such app"


@pytest.mark.parametrize("reason", ["ok ", 'ok {"http":[],"tcp":[]}', "ok then"])
def test_refusal_never_looks_like_an_answer(reason: str) -> None:
    assert zlib.decompress(datagrams.encode_refusal(reason, 100)) == f"failed: {reason}".encode()


@given(sts.any_texts | st.text(min_size=50, max_size=600), st.integers(-1, 700))
def test_refusal_is_cut_to_what_fits(reason: str, max_bytes: int) -> None:
    data = datagrams.encode_refusal(reason, max_bytes)
    text = zlib.decompress(data).decode()
    whole = reason.encode(errors="replace").decode()
    assert whole.startswith(text) or f"failed: {whole}".startswith(text)
    assert len(data) <= max(max_bytes, 8)


def test_refusal_of_any_length_is_cut() -> None:
    for reason in ("x" * 100_000, "".join(map(chr, range(256, 50_000)))):
        data = datagrams.encode_refusal(reason, 300)
        assert 8 < len(data) <= 300
        assert len(datagrams.encode_refusal(reason, 10**6)) <= 10**6


# --- what a client does not read ------------------------------------------------------------------


def answer(**lists: Any) -> bytes:
    return spelled("ok " + json.dumps(lists))


TWO = [[*HERE], [*THERE]]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"x",
        spelled("ok "),
        spelled("ok {}"),
        spelled("ok []"),
        answer(http=TWO),
        answer(tcp=TWO),
        answer(http=TWO, tcp=TWO[:1]),
        answer(http=[], tcp=TWO),
        answer(http=TWO, tcp=[["192.0.2.1"], [*HERE]]),
        answer(http=TWO, tcp=[["192.0.2.1", "8001"], [*HERE]]),
        answer(http=TWO, tcp=[["192.0.2.1", 65536], [*HERE]]),
        answer(http=TWO, tcp=[["192.0.2.1", -1], [*HERE]]),
        answer(http=TWO, tcp=TWO)[:-1],
        answer(http=TWO, tcp=TWO) + b"\0",
        spelled("ok " + " " * datagrams.MAX_ANSWER_BYTES),
    ],
    ids=sts.label,
)
def test_other_answer_is_a_protocol_error(data: bytes) -> None:
    with pytest.raises(ProtocolError) as caught:
        datagrams.decode_answer(data)
    assert "refused" not in str(caught.value)


def test_answer_as_another_server_writes_it_is_read() -> None:
    found = datagrams.decode_answer(answer(http=TWO, tcp=TWO, more=1))
    assert found == datagrams.Answer((HERE, THERE), (HERE, THERE))


def test_long_refusal_is_cut_in_the_error() -> None:
    with pytest.raises(ProtocolError) as caught:
        datagrams.decode_answer(spelled("x" * 60_000))
    assert len(str(caught.value)) < 600


@given(
    st.binary(max_size=100)
    | sts.hostile_bytes.map(spelled)
    | sts.hostile_bytes.map(lambda data: spelled(b"ok " + data))
)
def test_any_bytes_are_an_answer_or_a_protocol_error(data: bytes) -> None:
    try:
        datagrams.decode_answer(data)
    except ProtocolError as exc:
        str(exc).encode()
