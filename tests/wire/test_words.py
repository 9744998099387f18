"""Words: what a client says is read as it was said, and nothing that it says raises."""

from __future__ import annotations

import json

import msgspec
import pytest
from hypothesis import given

from signal_sdk.ecodes import ECode
from signal_sdk.errors import ParameterError
from signal_sdk.wire import call2, frames, functions, login, names, typed, words, words_heard
from signal_sdk.wire.arguments import Arguments
from signal_sdk.wire.names import JsonValue
from tests.wire import strategies as sts
from tests.wire.word_strategies import LARGEST, SECRET, hostile_texts, said, shown

# --- from the client, as documented ---------------------------------------------------------------

TOO_DEEP = b"[" * 10_000 + b"]" * 10_000
LOGIN = login.Login(vid="APP", account="bob", token="T", uid=7, device="", ip="", ver=1010300009)
LOGIN_TEXT = (
    b'login {"account":"bob","device":"","ip":"","token":"T","uid":7,"ver":1010300009,"vid":"APP"}'
)
REQUEST_TEXT = b'call user_getmsg 12 0 {"line":"L","max":30,"ver_clear":0}'
REQUEST = call2.Request("user_getmsg", 12, {"line": "L", "max": 30, "ver_clear": 0})


@pytest.mark.parametrize(
    ("text", "frame"),
    [
        (LOGIN_TEXT, LOGIN),
        (b"line_login2 LINE 2 5", login.LineLogin(line="LINE", msgid=5, channel="")),
        (b"line_login2 LINE 2 0", login.LineLogin(line="LINE", channel="")),
        (
            b'channel_sub {"cid":"room 1","cname":"room 1","msgid":5,"vid":"APP"}',
            typed.ChannelSub(channel="room 1", msgid=5),
        ),
        (b"line_ping:1", typed.Ping(1)),
        (b"line_ping:0", typed.Ping(0)),
        (b"line_ping:%d" % LARGEST, typed.Ping(LARGEST)),
        (REQUEST_TEXT, REQUEST),
        (b"call f 0 0 {}", call2.Request("f", 0, {})),
        (b"call f %d 0 {}" % LARGEST, call2.Request("f", LARGEST, {})),
        (
            b'call f 3 0 {"msg":"a  b {c} "}',
            call2.Request("f", 3, {"msg": "a  b {c} "}),
        ),
    ],
    ids=sts.label,
)
def test_what_a_client_says_has_the_documented_form(text: bytes, frame: words_heard.Said) -> None:
    assert words.decode_client(text) == frame
    assert words_heard.encode_client(frame, vid="APP") == text


@given(said)
def test_what_a_client_says_round_trips(frame: words_heard.Said) -> None:
    decoded = words.decode_client(words_heard.encode_client(frame, vid="APP"))
    assert decoded == frame


def test_line_login_without_a_msgid_is_read() -> None:
    """The form of the web clients' name."""
    assert words.decode_client(b"line_login LINE") == login.LineLogin(line="LINE", channel="")


def test_words_of_unknown_meaning_are_read_past() -> None:
    assert words.decode_client(b"call f 3 1 {}") == call2.Request("f", 3, {})
    assert words.decode_client(b"line_login2 LINE 3 5") == login.LineLogin(
        line="LINE", msgid=5, channel=""
    )


def test_arguments_may_be_written_with_white_space() -> None:
    text = b'call f 3 0  { "msg" : [ 1, 2 ] }\n'
    assert words.decode_client(text) == call2.Request("f", 3, {"msg": [1, 2]})


def test_request_is_read_as_that_of_any_client() -> None:
    decoded = words.decode_client(REQUEST_TEXT)
    assert isinstance(decoded, call2.Request)
    expected = functions.UserGetMessages(ver_clear=0, max=30)
    assert call2.decode_args(decoded) == ("L", None, expected)


@given(sts.callids.filter(lambda it: isinstance(it, int)), sts.session_lines, sts.arguments)
def test_arguments_of_any_function_arrive(callid: int, line: str, args: Arguments) -> None:
    request = call2.Request(args.function, callid, {**args.to_wire(), "line": line})
    decoded = words.decode_client(words_heard.encode_client(request))
    assert isinstance(decoded, call2.Request)
    assert call2.decode_args(decoded) == (line, None, args)


@pytest.mark.parametrize(
    ("uid", "read"),
    [
        (0, 0),
        (7, 7),
        ("7", 7),
        ("0", 0),
        ("", 0),
        ("seven", 0),
        ("-7", 0),
        ("7.5", 0),
        ("७", 0),
        ("9" * 5000, 0),
    ],
    ids=sts.label,
)
def test_uid_may_be_text(uid: JsonValue, read: int) -> None:
    text = b"login " + frames.encode_json({"vid": "A", "account": "bob", "uid": uid})
    decoded = words.decode_client(text)
    assert isinstance(decoded, login.Login)
    assert decoded.uid == read


@pytest.mark.parametrize(
    ("device", "read"), [({}, ""), ({"device": ""}, ""), ({"device": "x"}, "x")]
)
def test_device_is_never_a_web_page_by_default(device: dict[str, str], read: str) -> None:
    text = b"login " + frames.encode_json({"vid": "A", "account": "bob", **device})
    assert words.decode_client(text) == login.Login(vid="A", account="bob", device=read)


def test_account_may_be_any_value() -> None:
    """What makes it an account is `names.check_account`."""
    decoded = words.decode_client(b'login {"vid":"A","account":[1, 2],"os":[]}')
    assert decoded == login.Login(vid="A", account=[1, 2], device="")


def test_login_says_what_the_original_says_and_no_more() -> None:
    """Keys in alphabetical order, and none of those that are ours."""
    ours = login.Login(vid="A", account="bob", instance="i", again=True)
    text = words_heard.encode_client(ours).removeprefix(b"login ")
    assert list(json.loads(text)) == ["account", "device", "ip", "token", "uid", "ver", "vid"]
    text = words_heard.encode_client(typed.ChannelSub(channel="c", msgid=1), vid="A")
    assert text == b'channel_sub {"cid":"c","cname":"c","msgid":1,"vid":"A"}'


# --- from the client, malformed -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "callid"),
    [
        (b"call", None),
        (b"call ", None),
        (b"call f", None),
        (b"call f ", None),
        (b"call f x 0 {}", None),
        (b"call f -1 0 {}", None),
        (b"call f 1.5 0 {}", None),
        (b"call f %d 0 {}" % (LARGEST + 1), None),
        (b"call f " + b"9" * 5000 + b" 0 {}", None),
        ("call f ७ 0 {}".encode(), None),
        (b"call  7 0 {}", 7),
        (b"call f 7", 7),
        (b"call f 7 0", 7),
        (b"call f 7 {}", 7),
        (b"call f 7  {}", 7),
        (b"call f 7 0 ", 7),
        (b"call f 7 0 []", 7),
        (b"call f 7 0 null", 7),
        (b'call f 7 0 {"a":1', 7),
        (b'call f 7 0 {"a":1} x', 7),
        (b'call f 7 0 {"a":NaN}', 7),
        (b'call f 7 0 {"a":1e999}', 7),
        (b'call f 7 0 {"a":' + b"9" * 5000 + b"}", 7),
        (rb'call f 7 0 {"a":"\ud800"}', 7),
        (b'call f 7 0 {"a":"\xff"}', 7),
        (b"call \xff 7 0 {}", 7),
        *(() if sts.READS_DEEP else ((b'call f 7 0 {"a":%b}' % TOO_DEEP, 7),)),
    ],
    ids=sts.label,
)
def test_broken_call_is_known_by_its_id(text: bytes, callid: int | None) -> None:
    """So that it can be refused."""
    decoded = words.decode_client(text)
    assert isinstance(decoded, typed.Malformed)
    assert (decoded.callid, decoded.is_login) == (callid, False)
    assert decoded.reason


@pytest.mark.parametrize(
    "text",
    [
        b"login",
        b"login ",
        b"login bob",
        b"login {}",
        b"login []",
        b"login null",
        b'login {"vid":"A"}',
        b'login {"account":"bob"}',
        b'login {"vid":1,"account":"bob"}',
        b'login {"vid":"A","account":"bob","token":1}',
        b'login {"vid":"A","account":"bob","uid":1.5}',
        b'login {"vid":"A","account":"bob","uid":null}',
        b'login {"vid":"A","account":"bob","ver":"x"}',
        b'login {"vid":"A","account":"bob"',
        b'login {"vid":"A","account":"bob"} x',
        rb'login {"vid":"A","account":"\ud800"}',
        b'login {"vid":"A","account":"\xff"}',
        b'login {"vid":"A","account":"bob","x":"\xff"}',
        b"line_login2",
        b"line_login2 ",
        b"line_login2 LINE",
        b"line_login2 LINE 2",
        b"line_login2 LINE 2 ",
        b"line_login2 LINE  5",
        b"line_login2  2 5",
        b"line_login2 LINE 2 5 ",
        b"line_login2 LINE 2 5 6",
        b"line_login2 LINE 2 -1",
        b"line_login2 LINE 2 x",
        b"line_login2 LINE 2 %d" % (names.MAX_INTEGER + 1),
        b"line_login2 LINE 2 " + b"9" * 5000,
        b"line_login2 \xff 2 5",
        b"line_login",
        b"line_login ",
        b"line_login LINE 5",
    ],
    ids=sts.label,
)
def test_broken_login_is_known_as_one(text: bytes) -> None:
    decoded = words.decode_client(text)
    assert isinstance(decoded, typed.Malformed)
    # What cannot be answered as a login: there is one word for a resume that was refused, and that
    # ends the session.
    assert (decoded.callid, decoded.is_login) == (None, text.startswith(b"login"))
    assert decoded.reason


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b" ",
        b" login {}",
        b"\xff",
        b"foo \xff",
        b"line_ping:",
        b"line_ping:x",
        b"line_ping:-1",
        b"line_ping:1 ",
        b"line_ping:1 2",
        b"line_ping: 1",
        b"line_ping:1.5",
        b"line_ping:%d" % (LARGEST + 1),
        b"channel_sub",
        b"channel_sub room",
        b"channel_sub {}",
        b'channel_sub {"cname":"c"}',
        b'channel_sub {"msgid":1}',
        b'channel_sub {"cname":"","msgid":1}',
        b'channel_sub {"cname":"' + b"c" * 129 + b'","msgid":1}',
        b'channel_sub {"cname":"c","msgid":-1}',
        b'channel_sub {"cname":"c","msgid":"1"}',
        b'channel_sub {"cname":"c","msgid":%d}' % (names.MAX_INTEGER + 1),
    ],
    ids=sts.label,
)
def test_other_broken_text_is_malformed(text: bytes) -> None:
    decoded = words.decode_client(text)
    assert isinstance(decoded, typed.Malformed)
    assert (decoded.callid, decoded.is_login) == (None, False)
    assert decoded.reason


@pytest.mark.parametrize(
    ("text", "event"),
    [
        (b"hello", "hello"),
        (b"hello {}", "hello"),
        (b"line_ping", "line_ping"),
        (b"LOGIN {}", "LOGIN"),
        (b"line_login3 LINE 2 5", "line_login3"),
        (b"x" * 5000, "x" * 40),
        ("é".encode() * 50, "é" * 40),
    ],
    ids=sts.label,
)
def test_unknown_word_is_unknown(text: bytes, event: str) -> None:
    assert words.decode_client(text) == typed.Unknown(event)


@given(hostile_texts)
def test_whatever_a_client_says_is_a_frame(text: bytes) -> None:
    """Nothing is raised, and what is read can be said again."""
    decoded = words.decode_client(text)
    if isinstance(decoded, typed.Malformed):
        decoded.reason.encode()
    elif not isinstance(decoded, typed.Unknown | login.SetFlag | call2.MessageRequest):
        again = words.decode_client(words_heard.encode_client(decoded))
        assert again == decoded


@pytest.mark.parametrize(
    "text",
    [
        'login {"vid":"A","account":"bob","token":"S3CRET"}',
        'login {"vid":"A","account":"bob","token":["S3CRET"]}',
        'login {"vid":"A","account":"bob","token":{"S3CRET":"S3CRET"}}',
        'login {"vid":"A","token":"S3CRET"}',
        'login {"vid":"A","account":"bob","token":"S3CRET',
        'login {"vid":"A","account":"bob","token":"S3CRET"} x',
        'login {"vid":"A","account":"bob","token":"S3CRET","uid":null}',
        'login {"vid":"A","account":"bob","token":"S3CRET\udcff"}',
        'login {"vid":"A","account":"bob","token":S3CRET}',
        "login S3CRET",
        "line_login2 S3CRET 2 5",
        "line_login2 S3CRET 2 x",
        "line_login2 S3CRET 2 S3CRET",
        "line_login2 S3CRET",
        "line_login2 S3CRET S3CRET S3CRET S3CRET",
        "line_login S3CRET",
        "line_login S3CRET 5",
        'call f 7 0 {"line":"S3CRET"}',
        'call f 7 0 {"line":"S3CRET"',
        'call f 7 0 {"line":S3CRET}',
        'call f 7 0 {"line":"S3CRET"} x',
        'call f 7 0 {"line":"S3CRET\udcff"}',
        'call f S3CRET 0 {"line":"S3CRET"}',
        'call f 7 {"line":"S3CRET"}',
        'call {"line":"S3CRET"}',
        'channel_sub {"cid":"c","line":"S3CRET"}',
    ],
    ids=sts.label,
)
def test_nothing_that_is_read_shows_a_secret(text: str) -> None:
    """Neither a token nor a line reaches a log, read or not."""
    decoded = words.decode_client(text.encode(errors="surrogateescape"))
    assert not isinstance(decoded, typed.Unknown)
    assert SECRET not in shown(decoded)


# --- what cannot be said --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "frame",
    [
        call2.Request("f", "id", {"line": SECRET}),
        call2.Request("f", 7, msgspec.Raw(b'{"line":"S3CRET"}')),
        call2.Request("f", 7, {"line": SECRET, "a": "\ud800"}),
        call2.Request("f", 7, {"line": SECRET, "a": object()}),
        call2.Request("f g", 7, {"line": SECRET}),
        call2.Request("", 7, {"line": SECRET}),
        call2.Request("\ud800", 7, {"line": SECRET}),
        login.LineLogin(line="S3CRET 2", msgid=5),
        login.LineLogin(line="S3CRET\ud800", msgid=5),
        login.LineLogin(line="", msgid=5),
        login.Login(vid="A", account=object(), token=SECRET),
        typed.ChannelSub(channel="\ud800", msgid=5),
    ],
    ids=sts.label,
)
def test_what_cannot_be_said_is_the_caller_s_mistake(frame: words_heard.Said) -> None:
    with pytest.raises(ParameterError) as caught:
        words_heard.encode_client(frame)
    assert caught.value.ecode is ECode.GENERAL_E_WRONG_PARAM
    assert SECRET not in shown(caught.value)
