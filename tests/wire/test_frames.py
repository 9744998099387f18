"""Frames: round trips in each form, and nothing but `FrameError` out of what a peer sends."""

from __future__ import annotations

import json
import zlib

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from signal_sdk.ecodes import ECode
from signal_sdk.errors import ParameterError, ProtocolError
from signal_sdk.wire import call2, frames, login, names, results
from signal_sdk.wire.names import JsonValue
from tests.wire import strategies as sts

DEEP = 10_000
TOO_DEEP = b"[" * DEEP + b"]" * DEEP
BOMB = zlib.compress(b"0" * 50_000_000, 9)


def as_pair(frame: frames.Frame) -> tuple[str, JsonValue]:
    return frame.event, frame.decode(object)


# --- as text -------------------------------------------------------------------------------------


@given(sts.texts, sts.json_values())
def test_frame_round_trips(event: str, payload: JsonValue) -> None:
    """Any event with any JSON payload decodes to what it was made of."""
    text = frames.encode_frame(event, payload)
    assert as_pair(frames.decode_frame(text)) == (event, payload)


@sts.few_examples
@given(sts.texts, sts.json_values())
def test_frame_is_what_other_clients_read(event: str, payload: JsonValue) -> None:
    """The text is plain JSON: any other reader finds the same two values."""
    assert json.loads(frames.encode_frame(event, payload)) == [event, payload]


@sts.few_examples
@given(sts.texts, sts.json_values())
def test_frame_of_another_writer_is_read(event: str, payload: JsonValue) -> None:
    """White space and escapes, as other clients may write them, mean the same."""
    text = json.dumps([event, payload], indent=2, ensure_ascii=True)
    assert as_pair(frames.decode_frame(text.encode())) == (event, payload)


@given(sts.valid_frames)
def test_single_frame_is_a_list_of_one(text: bytes) -> None:
    """Both roles read every frame that the other writes."""
    frame = frames.decode_frame(text)
    assert frames.decode_frames(text) == [frame]
    assert frames.encode_frame(frame.event, frame.payload) == text


# --- several in one ------------------------------------------------------------------------------


@given(st.lists(sts.valid_frames, max_size=3))
def test_multi_round_trips(texts: list[bytes]) -> None:
    """A `multi` frame is its frames in their order, none included."""
    decoded = frames.decode_frames(frames.encode_multi(texts))
    assert decoded == [frames.decode_frame(text) for text in texts]


def test_multi_inside_multi_is_not_unfolded() -> None:
    """A frame inside a `multi` is a frame as any: nobody can make the reader recurse."""
    inner = frames.encode_multi([b'["ping",1]'])
    assert [f.event for f in frames.decode_frames(frames.encode_multi([inner]))] == ["multi"]


@pytest.mark.parametrize(
    "payload",
    [
        "1",
        "{}",
        '"x"',
        "null",
        '["ping",1]',
        "[1]",
        '[["ping"]]',
        '[["ping",1,2]]',
        "[[1,2]]",
        "[null]",
    ],
)
def test_multi_of_something_else_is_refused(payload: str) -> None:
    """One wrong frame spoils the whole `multi`, so that no half of it is acted upon."""
    with pytest.raises(frames.FrameError, match="multi"):
        frames.decode_frames(f'["multi",{payload}]'.encode())


# --- compressed ----------------------------------------------------------------------------------


@sts.few_examples
@given(sts.valid_frames | st.binary(max_size=2000))
def test_compressed_frame_round_trips(text: bytes) -> None:
    """A binary frame holds the same text."""
    assert frames.decompress(frames.compress(text)) == text


@sts.few_examples
@given(st.lists(sts.server_frames, min_size=1, max_size=3))
def test_compressed_multi_round_trips(texts: list[bytes]) -> None:
    """A web client gets several frames in one binary frame."""
    data = frames.compress(frames.encode_multi(texts))
    decoded = frames.decode_frames(frames.decompress(data))
    assert decoded == [frames.decode_frame(text) for text in texts]


@given(sts.valid_frames | st.binary(max_size=500), st.data())
def test_compressed_frame_cut_off_is_refused(text: bytes, data: st.DataObject) -> None:
    """A part of a binary frame is refused, even where only the checksum is missing."""
    whole = frames.compress(text)
    cut = data.draw(st.integers(0, len(whole) - 1))
    with pytest.raises(frames.FrameError):
        frames.decompress(whole[:cut])


@sts.few_examples
@given(sts.valid_frames, st.binary(min_size=1, max_size=50) | sts.valid_frames.map(zlib.compress))
def test_data_behind_a_compressed_frame_is_refused(text: bytes, behind: bytes) -> None:
    """What follows the end of the zlib data would be lost, so it is an error."""
    with pytest.raises(frames.FrameError, match="behind"):
        frames.decompress(frames.compress(text) + behind)


@given(st.binary(max_size=200) | sts.mutated(sts.valid_frames.map(zlib.compress)))
def test_damaged_compressed_frame_is_refused_or_read(data: bytes) -> None:
    """Nothing but `FrameError` comes out of any bytes."""
    try:
        text = frames.decompress(data)
    except frames.FrameError:
        return
    assert zlib.decompress(data) == text


@pytest.mark.parametrize("max_bytes", [1, 100, names.MAX_FRAME_BYTES])
def test_inflated_limit_is_allowed_and_one_more_is_refused(max_bytes: int) -> None:
    """A text of exactly the limit passes; one byte more does not."""
    text = b"a" * max_bytes
    assert frames.decompress(frames.compress(text), max_bytes) == text
    with pytest.raises(frames.FrameError, match=f"larger than {max_bytes} bytes"):
        frames.decompress(frames.compress(text + b"a"), max_bytes)


def test_incompressible_text_of_the_limit_is_allowed() -> None:
    """The limit is that of the text: its compressed form may be larger."""
    text = bytes(range(256)) * 4
    stored = zlib.compress(text, 0)
    assert len(stored) > len(text)
    assert frames.decompress(stored, len(text)) == text


def test_decompression_bomb_is_refused() -> None:
    """50 MB in 50 KB are never unpacked: the limit stops the inflating, not a check afterwards."""
    assert len(BOMB) < names.MAX_FRAME_BYTES
    with pytest.raises(frames.FrameError, match="larger than"):
        frames.decompress(BOMB)


def test_preset_dictionary_is_refused() -> None:
    """Zlib data that needs a dictionary, which the protocol does not have, is damaged data."""
    deflater = zlib.compressobj(zdict=b'["notify",')
    data = deflater.compress(b'["notify",1]') + deflater.flush()
    with pytest.raises(frames.FrameError):
        frames.decompress(data)


@pytest.mark.parametrize("wbits", [-15, 31])
def test_raw_deflate_and_gzip_are_refused(wbits: int) -> None:
    """Binary frames are RFC 1950, and nothing else."""
    deflater = zlib.compressobj(wbits=wbits)
    data = deflater.compress(b'["ping",1]') + deflater.flush()
    with pytest.raises(frames.FrameError):
        frames.decompress(data)


# --- what is no frame ----------------------------------------------------------------------------


@given(sts.hostile_bytes)
def test_any_bytes_are_frames_or_a_frame_error(data: bytes) -> None:
    """Nothing but `FrameError` comes out of the envelope, nor of reading the payload."""
    for frame in sts.decodable(data):
        try:
            value = frame.decode(object)
        except frames.FrameError:
            continue
        frames.encode_frame(frame.event, value)


@given(sts.hostile_bytes)
def test_error_of_a_bad_frame_can_be_answered_and_logged(data: bytes) -> None:
    """What a `FrameError` says can be logged, and the id that it names can be answered."""
    try:
        frames.decode_frames(data)
    except frames.FrameError as caught:
        error = caught
    else:
        return
    str(error).encode()
    assert len(str(error)) < 200
    if error.event is not None:
        error.event.encode()
    if error.callid is not None:
        assert type(error.callid) in {int, str}
        call2.encode_success(error.callid, call2.encode_result(results.Result()))


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b" ",
        b"null",
        b"{}",
        b"[]",
        b'"ping"',
        b'["ping"]',
        b'["ping",1,2]',
        b"[1,1]",
        b"[null,1]",
        b'["ping",1',
        b'["ping",1]]',
        b'["ping",1]["ping",2]',
        b'["ping",1]\x00',
        b"['ping',1]",
        b'["ping",]',
        b'["ping",NaN]',
        b'["ping",Infinity]',
        b'["ping",+1]',
        b'["ping\xff",1]',
        b'["ping\xed\xa0\x80",1]',
        b'["\\ud800",1]',
        b'["pi\nng",1]',
        b'\xef\xbb\xbf["ping",1]',
        '["ping",1]'.encode("utf-16"),
        '["ping",1]'.encode("utf-32"),
    ],
    ids=sts.label,
)
def test_other_text_is_no_frame(text: bytes) -> None:
    """Other shapes, other JSON, damaged UTF-8 and other encodings are refused."""
    with pytest.raises(frames.FrameError):
        frames.decode_frames(text)


@pytest.mark.parametrize("depth", [DEEP, 60_000])
@pytest.mark.parametrize(("left", "right"), [(b"[", b"]"), (b'{"a":', b"}"), (b"[", b"")])
def test_deep_nesting_is_refused_or_read(depth: int, left: bytes, right: bytes) -> None:
    """Nesting that no stack holds is an error as any, wherever it stands."""
    deep = left * depth + b"1" + right * depth
    with pytest.raises(frames.FrameError):
        frames.decode_frames(deep)
    for text in (
        b'["ping",' + deep + b"]",
        b'["call2",["f",1,' + deep + b"]]",
        b'["multi",[["ping",' + deep + b"]]]",
    ):
        if sts.READS_DEEP and right:
            assert [frame.event for frame in frames.decode_frames(text)] in (["ping"], ["call2"])
            continue
        with pytest.raises(frames.FrameError):
            frames.decode_frames(text)
    if sts.READS_DEEP and right:
        return
    with pytest.raises(frames.FrameError):
        frames.Frame("ping", msgspec.Raw(deep)).decode(object)
    with pytest.raises(frames.FrameError):
        frames.decode_json(deep.decode(), object, "text")


@pytest.mark.parametrize("digits", [19, 20, 400, 4300])
def test_huge_integer_is_an_integer(digits: int) -> None:
    """An integer beyond 64 bits is relayed exactly, as text that holds it."""
    text = f'["ping",{"9" * digits}]'.encode()
    (frame,) = frames.decode_frames(text)
    assert frames.encode_frame("ping", frame.decode(int)) == text


@pytest.mark.parametrize(
    "number", ["9" * 4301, "-" + "9" * 50_000, "1e309", "1" * 400 + ".5"], ids=sts.label
)
def test_number_that_python_cannot_hold_is_refused(number: str) -> None:
    """Past what Python converts, a number is an error where it is read."""
    (frame,) = frames.decode_frames(f'["ping",{number}]'.encode())
    with pytest.raises(frames.FrameError):
        frame.decode(object)


@pytest.mark.parametrize(
    "payload", [b'"\\ud800"', b'"\\udc00\\ud800"', b'["a\\ud83d"]', b'{"\\ud800":1}']
)
def test_half_a_surrogate_pair_is_refused(payload: bytes) -> None:
    """Half a pair is refused in the envelope or in the payload, wherever it is found."""
    with pytest.raises(frames.FrameError):
        frames.decode_frame(b'["ping",' + payload + b"]").decode(object)


def test_surrogate_pair_is_one_character() -> None:
    """A whole pair of escapes is the character that it stands for."""
    assert frames.decode_frame(rb'["ping","\ud83d\ude00"]').decode(str) == "😀"


@pytest.mark.parametrize(
    ("text", "event", "callid"),
    [
        (rb'["call2",["f",7,{"msg":"\ud800"}]]', "call2", 7),
        (rb'["call2",["f","id",{"msg":"\ud800"}]]', "call2", "id"),
        (b'["call2",["f",7,{"msg":NaN}]]', "call2", 7),
        (rb'["call2",["f","\ud800",{}]]', "call2", None),
        (b'["call2",["f",true,NaN]]', "call2", None),
        (b'["call2",["f",1.5,NaN]]', "call2", None),
        (rb'["ping","\ud800"]', "ping", None),
        (rb'["\ud800",["f",7,{}]]', None, None),
        (rb'["call2",["f",7,{"msg":"\ud800"]', None, None),
        *(() if sts.READS_DEEP else ((b'["call2",["f",7,%b]]' % TOO_DEEP, None, None),)),
        (b'["call2",["f",7,{"msg":"\xff"},NaN]]', None, None),
    ],
    ids=sts.label,
)
def test_refusable_request_is_known_by_its_id(
    text: bytes, event: str | None, callid: int | str | None
) -> None:
    """Where only a value is wrong, the error says which request to refuse, else nothing."""
    with pytest.raises(frames.FrameError) as caught:
        frames.decode_frames(text)
    assert (caught.value.event, caught.value.callid) == (event, callid)


def test_frame_error_is_a_protocol_error() -> None:
    """Whoever handles the protocol's errors handles this one."""
    assert issubclass(frames.FrameError, ProtocolError)


@sts.few_examples
@given(
    st.sampled_from([login.Login, login.LineLogin]),
    st.dictionaries(
        st.sampled_from(["vid", "account", "uid", "device", "ip", "ver", "msgid", "x"]),
        sts.json_values(3),
    ),
    st.sampled_from(["token", "line"]),
    st.sampled_from(["S3CRET", ["S3CRET"], {"S3CRET": "S3CRET"}]),
)
def test_error_does_not_quote_what_arrived(
    type_: type[object], fields: dict[str, JsonValue], key: str, secret: JsonValue
) -> None:
    """A payload may hold a token or a session's line: no error text repeats any of it."""
    frame = frames.decode_frame(frames.encode_frame("login", {**fields, key: secret}))
    try:
        shown = repr(frame.decode(type_))
    except frames.FrameError as error:
        shown = f"{error} {error!r}"
    assert "S3CRET" not in shown


# --- encoding ------------------------------------------------------------------------------------


def test_nan_is_encoded_as_null() -> None:
    """JSON has no NaN and no infinities: they arrive as null, as from a web page."""
    values = [float("nan"), float("inf"), float("-inf")]
    assert frames.encode_frame("ping", values) == b'["ping",[null,null,null]]'


@given(sts.python_values())
def test_encoding_raises_parameter_error_only(value: object) -> None:
    """What JSON cannot hold is the caller's wrong argument (1004), and nothing else comes out."""
    try:
        frames.decode_frame(frames.encode_frame("ping", value))
    except ParameterError as caught:
        error = caught
    else:
        return
    assert error.ecode is ECode.GENERAL_E_WRONG_PARAM
    str(error).encode()


def test_largest_message_fits_into_a_frame_when_escaped() -> None:
    """8192 emoji, each escaped as two surrogates, and the longest names are within the limit."""
    args = {
        "line": "l" * 64,
        "name": "😀" * names.MAX_NAME_CHARS,
        "msg": "😀" * names.MAX_MESSAGE_CHARS,
        "msgID": "😀" * names.MAX_NAME_CHARS,
    }
    text = json.dumps(["call2", ["channel_sendmsg", names.MAX_INTEGER, args]]).encode()
    assert len(text) > 12 * names.MAX_MESSAGE_CHARS
    assert len(text) <= names.MAX_FRAME_BYTES
    (frame,) = frames.decode_frames(text)
    line, _, decoded = call2.decode_args(call2.decode_request(frame))
    assert line == args["line"]
    assert decoded.to_wire() == {k: v for k, v in args.items() if k != "line"}
    assert frames.decompress(frames.compress(text)) == text
