"""Words: each side reads what the other writes, and nothing that a client says raises."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from signal_sdk.ecodes import ECode
from signal_sdk.errors import LoginError, ParameterError, ProtocolError, SignalError
from signal_sdk.wire import (
    call2,
    frames,
    functions,
    lines,
    login,
    names,
    results,
    typed,
    words,
    words_heard,
)
from signal_sdk.wire.arguments import Arguments
from signal_sdk.wire.names import JsonValue
from tests.wire import strategies as sts

V2 = "msg-v2 alice bob v1:E:3600 instant 1500000000000 hello  big world "
V3 = "msg-v3 id-7 alice bob v1:E:3600 instant 1500000000000 hello  big world "
LARGEST = 2**63 - 1

# --- strategies -----------------------------------------------------------------------------------

some_words = st.text(st.characters(exclude_characters=" ", codec="utf-8"), min_size=1, max_size=20)
numbers = st.integers(0, LARGEST)
requests = st.builds(call2.Request, some_words, numbers, sts.json_dicts)
logins = st.builds(
    login.Login,
    vid=sts.texts,
    account=sts.json_values(4),
    token=sts.texts,
    uid=sts.counts,
    device=st.just("") | sts.texts,
    ip=sts.texts,
    ver=sts.counts,
)
said = st.one_of(
    logins,
    st.builds(login.LineLogin, line=some_words, msgid=sts.counts, channel=st.just("")),
    st.builds(typed.ChannelSub, channel=sts.channel_names, msgid=sts.counts),
    st.builds(typed.Ping, numbers),
    requests,
)
"""What a native client says."""

line_texts = sts.message_lines().map(lines.MessageLine.encode)
pages = st.builds(
    results.GetMessagesResult,
    ver_clear=sts.counts,
    msgs=st.lists(st.tuples(sts.counts, line_texts), max_size=3).map(tuple),
)
login_errors = st.builds(LoginError, sts.failure_ecodes, sts.texts)
told = st.one_of(
    st.builds(typed.LoggedIn, success=sts.login_successes, is_resumed=st.booleans()),
    st.builds(typed.Refused, error=login_errors, is_resume=st.booleans()),
    st.builds(typed.Reply, numbers, sts.json_dicts.map(frames.encode_json).map(bytes.decode)),
    st.builds(typed.Reply, numbers, pages),
    st.builds(typed.Failure, numbers, st.builds(SignalError, sts.failure_ecodes, sts.texts)),
    st.builds(typed.Entry, numbers, line_texts),
    st.builds(typed.Pong, numbers),
)
"""What a server tells a native client."""

fragments = st.sampled_from(
    [
        *("call", "login", "line_login", "line_login2", "channel_sub", "line_ping:", "line_ping:7"),
        *("login_res", "line_login_res", "line_pong:7", "call_ret", "notify", "ok", "failed"),
        *("msg", "recvmsg", "channel2", "kick", "0", "2", "7", "-1", "", "१", "9" * 30),
        *("{}", '{"vid":"A","account":1}', '{"cname":"c","msgid":1}', "[1,", "[" * 2000),
        r'{"a":"\ud800"}',
    ]
)
hostile_texts = (
    st.lists(fragments | sts.any_texts, max_size=6).map(
        lambda parts: " ".join(parts).encode(errors="surrogatepass")
    )
    | st.binary(max_size=60)
    | sts.mutated(said.map(words_heard.encode_client) | told.map(words.encode_server))
)


def shown(frame: object) -> str:
    """All that a log could say of a frame."""
    return f"{frame!r} {frame}"


# --- from the client, as documented ---------------------------------------------------------------

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
        (b'call f 7 0 {"a":' + b"[" * 10_000 + b"]" * 10_000 + b"}", 7),
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


SECRET = "S3CRET"


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


# --- from the server, as documented ---------------------------------------------------------------

SUCCESS = login.LoginSucceeded(uid=7, line="LINE")


def last_word(text: bytes, words_before: int) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(text.split(b" ", words_before)[words_before])
    return found


def test_login_that_succeeded_has_the_documented_form() -> None:
    text = words.encode_server(typed.LoggedIn(success=SUCCESS))
    assert text.startswith(b"login_res ok 7 {")
    assert last_word(text, 3) == {
        "result": "ok",
        "line": "LINE",
        "uid": 7,
        "config_msg_set": 0,
        "config_inst_msg_with_msgid": 0,
        "channel": None,
        "msgid": 0,
        "gap": False,
    }
    assert words_heard.decode_server(text) == words_heard.LoginResult(
        ok=True,
        uid=7,
        line="LINE",
        config={"config_msg_set": 0, "config_inst_msg_with_msgid": 0},
    )


@pytest.mark.parametrize(
    ("ecode", "reason", "heard"),
    [
        (ECode.LOGIN_E_TOKENEXPIRED, "it was", "TokenErrorExpired"),
        (ECode.LOGIN_E_TOKENWRONG, "it is", "TokenErrorWrong"),
        (ECode.LOGIN_E_TOKEN_KICKED, "elsewhere", "kick"),
        (ECode.LOGIN_E_INVALID_USER, "the account is empty", "the account is empty"),
        (ECode.LOGIN_E_NET, "no room", "no room"),
        (ECode.LOGIN_E_NET, "kick", "failed: kick"),
        (ECode.LOGIN_E_NET, "TokenErrorExpired", "failed: TokenErrorExpired"),
        (ECode.LOGIN_E_INVALID_USER, "TokenErrors are few", "failed: TokenErrors are few"),
        (ECode.LOGIN_E_FAILED, "kicked", "kicked"),
    ],
    ids=sts.label,
)
def test_refused_login_is_known_by_its_word(ecode: ECode, reason: str, heard: str) -> None:
    """And no reason is taken for another code by accident."""
    text = words.encode_server(typed.Refused(error=LoginError(ecode, reason)))
    head, word, told = text.split(b" ")
    assert (head, word, json.loads(told)) == (b"login_res", b"failed", {"reason": heard})
    assert words_heard.decode_server(text) == words_heard.LoginResult(ok=False, reason=heard)


@given(login_errors)
def test_refused_login_is_taken_for_what_it_is(error: LoginError) -> None:
    """204, 206 and 207 are heard as they are; all else is the network's failure, 201."""
    known = {
        ECode.LOGIN_E_TOKENEXPIRED,
        ECode.LOGIN_E_TOKENWRONG,
        ECode.LOGIN_E_TOKEN_KICKED,
    }
    heard = words_heard.decode_server(words.encode_server(typed.Refused(error=error)))
    assert isinstance(heard, words_heard.LoginResult)
    ecode = login.ecode_of(heard.reason)
    assert ecode == error.ecode if error.ecode in known else ecode not in known


@pytest.mark.parametrize(
    ("frame", "text", "heard"),
    [
        (
            typed.LoggedIn(success=SUCCESS, is_resumed=True),
            b"line_login_res ok ",
            words_heard.LineLoginResult(ok=True),
        ),
        (
            typed.Refused(error=LoginError(ECode.LOGIN_E_TOKENEXPIRED), is_resume=True),
            b"line_login_res kick",
            words_heard.LineLoginResult(ok=False, reason="kick"),
        ),
        (typed.Pong(1), b"line_pong:1", words_heard.LinePong(1)),
        (
            typed.Reply(12, '{"result":"ok", "num":3}'),
            b'call_ret 0 12 0 {"result":"ok", "num":3}',
            words_heard.CallResult(12, '{"result":"ok", "num":3}'),
        ),
        (
            typed.Entry(5, V3),
            f'notify recvmsg [5,"{V2}"]'.encode(),
            words_heard.MessagePushed(5, V2),
        ),
    ],
    ids=sts.label,
)
def test_what_a_server_tells_has_the_documented_form(
    frame: typed.ServerFrame, text: bytes, heard: words_heard.NativeFrame
) -> None:
    assert words.encode_server(frame) == text
    assert words_heard.decode_server(text) == heard


@pytest.mark.parametrize(
    ("frame", "fields"),
    [
        (
            typed.Failure(12, SignalError(ECode.INVITE_E_PEEROFFLINE, "peer is not online")),
            {
                "result": "failed",
                "reason": "peer is not online",
                "ecode": 703,
                "data": {"result": "peer is not online"},
            },
        ),
        (
            typed.Reply(12, results.GetMessagesResult(ver_clear=3, msgs=((4, V3), (5, V2)))),
            {"result": "ok", "ver_clear": 3, "msgs": [[4, V2], [5, V2]]},
        ),
    ],
    ids=["failure", "page"],
)
def test_answer_is_the_json_that_all_clients_read(
    frame: typed.ServerFrame, fields: dict[str, JsonValue]
) -> None:
    """A refusal's reason in plain words, and message lines without an id."""
    text = words.encode_server(frame)
    assert text.startswith(b"call_ret 0 12 0 {")
    assert last_word(text, 4) == fields
    heard = words_heard.decode_server(text)
    assert isinstance(heard, words_heard.CallResult)
    assert heard.callid == 12
    assert json.loads(heard.text) == fields


def test_refusal_is_that_of_the_other_clients() -> None:
    error = SignalError(ECode.GENERAL_E_WRONG_PARAM, "wrong")
    _, (_, _, text) = json.loads(call2.encode_failure(12, error))
    assert words.encode_server(typed.Failure(12, error)) == f"call_ret 0 12 0 {text}".encode()


@pytest.mark.parametrize(
    ("text", "heard"),
    [
        (b"notify msg 5", words_heard.MessageWaiting(5)),
        (f'notify recvmsg [5, "{V3}"]'.encode(), words_heard.MessagePushed(5, V3)),
        (b"notify wrong_line", words_heard.Ended("wrong_line")),
        (b"line_login_res wrong_line", words_heard.LineLoginResult(ok=False, reason="wrong_line")),
        (
            b'login_res ok 7 {"result":"ok", "line":"L", "uid":7, "config_call_mode":0, "x":1}',
            words_heard.LoginResult(ok=True, uid=7, line="L", config={"config_call_mode": 0}),
        ),
    ],
    ids=sts.label,
)
def test_what_the_original_server_tells_is_read(
    text: bytes, heard: words_heard.NativeFrame
) -> None:
    assert words_heard.decode_server(text) == heard


def test_channel_event_has_the_documented_form() -> None:
    text = words.encode_channel_event(9, V2)
    assert text == f"notify channel2 9 {V2}".encode()
    assert words_heard.decode_server(text) == words_heard.ChannelNotified(9, V2)


def test_announcement_has_the_documented_form() -> None:
    text = words.encode_announcement(5)
    assert text == b"notify msg 5"
    assert words_heard.decode_server(text) == words_heard.MessageWaiting(5)


@given(numbers, sts.texts)
def test_channel_event_round_trips(msgid: int, line: str) -> None:
    heard = words_heard.decode_server(words.encode_channel_event(msgid, line))
    assert heard == words_heard.ChannelNotified(msgid, line)


def test_farewells_are_the_notices_that_end_a_session() -> None:
    """What a client knows no word for has none."""
    assert words.FAREWELLS == {
        typed.End.KICKED: b"notify kick",
        typed.End.EXPIRED: b"notify TokenErrorExpired",
        typed.End.OUT_OF_SYNC: b"notify outofsync",
    }
    for text in words.FAREWELLS.values():
        reason = text.decode().removeprefix("notify ")
        assert words_heard.decode_server(text) == words_heard.Ended(reason)


def expected_of(frame: typed.ServerFrame) -> object:
    """What a client has to make of `frame`."""
    match frame:
        case typed.LoggedIn(success=success):
            login_result = words_heard.LoginResult(
                ok=True,
                uid=success.uid,
                line=success.line,
                config={"config_msg_set": 0, "config_inst_msg_with_msgid": 0},
            )
            return words_heard.LineLoginResult(ok=True) if frame.is_resumed else login_result
        case typed.Refused(is_resume=True):
            return words_heard.LineLoginResult(ok=False, reason="kick")
        case typed.Entry():
            return words_heard.MessagePushed(frame.version, lines.without_id(frame.line))
        case typed.Pong():
            return words_heard.LinePong(frame.number)
    return None


@given(told)
def test_what_a_server_tells_is_heard(frame: typed.ServerFrame) -> None:
    heard = words_heard.decode_server(words.encode_server(frame))
    match frame:
        case typed.Refused(is_resume=False):
            assert isinstance(heard, words_heard.LoginResult)
            assert not heard.ok
        case typed.Failure() | typed.Reply():
            assert isinstance(heard, words_heard.CallResult)
            assert heard.callid == frame.callid
            assert answer_is(frame, heard.text)
        case _:
            assert heard == expected_of(frame)


def answer_is(frame: typed.Failure | typed.Reply, text: str) -> bool:
    """Does a call's answer say what the server meant?"""
    if isinstance(frame, typed.Failure):
        return text == call2.encode_failure_text(frame.error)
    if isinstance(frame.result, str):
        return text == frame.result
    msgs = tuple((version, lines.without_id(line)) for version, line in frame.result.msgs)
    page = results.GetMessagesResult(ver_clear=frame.result.ver_clear, msgs=msgs)
    return msgspec.json.decode(text, type=results.GetMessagesResult) == page


# --- from the server, malformed -------------------------------------------------------------------

OK_JSON = '{"result":"ok","line":"S3CRET","uid":7}'


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "hello",
        "login",
        "login_res",
        "login_res ok",
        "login_res ok 7",
        "login_res ok 7 ",
        "login_res ok " + OK_JSON,
        "login_res ok x " + OK_JSON,
        "login_res ok -7 " + OK_JSON,
        "login_res ok 8 " + OK_JSON,
        "login_res ok 7 0 " + OK_JSON,
        "login_res  7 " + OK_JSON,
        "login_res fine 7 " + OK_JSON,
        "login_res ok 7 " + OK_JSON[:-1],
        "login_res ok 7 " + OK_JSON + " x",
        'login_res ok 7 {"line":"S3CRET","uid":7}',
        'login_res ok 7 {"result":"ok","uid":7}',
        'login_res ok 7 {"result":"ok","line":"S3CRET"}',
        'login_res ok 7 {"result":"failed","line":"S3CRET","uid":7}',
        "login_res failed",
        "login_res failed ",
        "login_res failed because",
        "login_res failed {}",
        'login_res failed {"reason":5}',
        'login_res failed 7 {"reason":"no"}',
        "line_login_res",
        "line_login_res ",
        "line_login_res ok",
        "line_login_res ok  ",
        "line_login_res ok x",
        "line_login_res kick ",
        "line_pong",
        "line_pong:",
        "line_pong:x",
        "line_pong:-1",
        "line_pong:1 ",
        "call_ret",
        "call_ret 0 7 0",
        "call_ret 0 7 0 ",
        "call_ret 7 0 {}",
        "call_ret 0 7 {}",
        "call_ret 0 x 0 {}",
        "call_ret 1 7 0 {}",
        "call_ret 0 7 1 {}",
        "call_ret 0 7  0 {}",
        "call_ret 0 7 0 0 {}",
        "call_ret 0 7 0 []",
        'call_ret 0 7 0 {"line":"S3CRET"',
        "notify",
        "notify ",
        "notify kick ",
        "notify kick now",
        "notify msg",
        "notify msg ",
        "notify msg x",
        "notify msg 5 6",
        "notify recvmsg",
        "notify recvmsg 5",
        "notify recvmsg [5]",
        'notify recvmsg ["5","S3CRET"]',
        'notify recvmsg [-5,"S3CRET"]',
        'notify recvmsg [5,"S3CRET",6]',
        'notify recvmsg [5,"S3CRET"',
        "notify channel2",
        "notify channel2 5",
        "notify channel2 S3CRET " + V2,
        "notify channel2 -5 " + V2,
        "notify channel S3CRET",
        "notify S3CRET",
    ],
    ids=sts.label,
)
def test_malformed_text_of_a_server_is_a_protocol_error(text: str) -> None:
    """As few or as many words as the original does not read; no error quotes what arrived."""
    with pytest.raises(ProtocolError) as caught:
        words_heard.decode_server(text.encode())
    assert SECRET not in shown(caught.value)


@given(hostile_texts | told.map(words.encode_server).flatmap(lambda it: sts.mutated(st.just(it))))
def test_whatever_a_server_tells_is_heard_or_a_protocol_error(text: bytes) -> None:
    try:
        words_heard.decode_server(text)
    except ProtocolError as exc:
        str(exc).encode()


def test_line_is_not_in_the_repr_of_a_login() -> None:
    text = f"login_res ok 7 {OK_JSON}".encode()
    heard = words_heard.decode_server(text)
    assert isinstance(heard, words_heard.LoginResult)
    assert heard.line == SECRET
    assert SECRET not in shown(heard)


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
