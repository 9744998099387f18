"""Words: what a server tells is heard as it was told, or is a protocol error."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from signal_sdk.ecodes import ECode
from signal_sdk.errors import LoginError, ProtocolError, SignalError
from signal_sdk.wire import call2, lines, login, results, typed, words, words_heard
from signal_sdk.wire.names import JsonValue
from tests.wire import strategies as sts
from tests.wire.word_strategies import (
    SECRET,
    V2,
    V3,
    hostile_texts,
    login_errors,
    numbers,
    shown,
    told,
)

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
        "removed": False,
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
    frame: typed.Plain, text: bytes, heard: words_heard.NativeFrame
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
    frame: typed.Plain, fields: dict[str, JsonValue]
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


def expected_of(frame: typed.Plain) -> object:
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
def test_what_a_server_tells_is_heard(frame: typed.Plain) -> None:
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
