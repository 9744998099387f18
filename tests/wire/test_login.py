"""Logging in: round trips of its payloads, and how refusals map to codes."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signal_sdk.ecodes import ECode
from signal_sdk.errors import LoginError, ProtocolError
from signal_sdk.wire import frames, login
from signal_sdk.wire.names import JsonValue
from tests.wire import strategies as sts


def login_ret(err: JsonValue, text: JsonValue) -> frames.Frame:
    return frames.decode_frame(frames.encode_frame("login_ret", [err, text]))


def refusal(frame: frames.Frame) -> LoginError:
    with pytest.raises(LoginError) as caught:
        login.decode_login_ret(frame)
    return caught.value


# --- client to server ----------------------------------------------------------------------------


@given(
    sts.logins | sts.line_logins | st.builds(login.SetFlag, binary=st.integers(0, 1)) | sts.closings
)
def test_payload_round_trips(payload: object) -> None:
    """What one side encodes as a payload is what the other decodes."""
    frame = frames.decode_frame(frames.encode_frame("event", payload))
    assert frame.decode(type(payload)) == payload


def test_login_of_the_web_sdk_is_read() -> None:
    """The documented payload, with and without `ver`, is a login; unknown keys are ignored."""
    payload = {"vid": "A", "account": "bob", "uid": 0, "token": "T", "device": "websdk", "ip": ""}
    frame = frames.decode_frame(frames.encode_frame("login", payload))
    assert frame.decode(login.Login) == login.Login(vid="A", account="bob", token="T")
    frame = frames.decode_frame(frames.encode_frame("login", {**payload, "ver": 5, "os": [1]}))
    assert frame.decode(login.Login) == login.Login(vid="A", account="bob", token="T", ver=5)


def test_account_may_be_a_number_in_a_login() -> None:
    """Web pages log in with numbers; what makes them accounts is `names.check_account`."""
    frame = frames.decode_frame(b'["login",{"vid":"A","account":5}]')
    assert frame.decode(login.Login).account == 5


@pytest.mark.parametrize(
    "payload",
    [
        None,
        [],
        {},
        {"vid": "A"},
        {"account": "bob"},
        {"vid": 1, "account": "bob"},
        {"vid": "A", "account": "bob", "token": 1},
        {"vid": "A", "account": "bob", "uid": "0"},
        {"vid": "A", "account": "bob", "ver": 1.5},
    ],
    ids=str,
)
def test_other_payload_is_no_login(payload: JsonValue) -> None:
    """What lacks the app or the account, or has other types, is a protocol error."""
    frame = frames.decode_frame(frames.encode_frame("login", payload))
    with pytest.raises(ProtocolError):
        frame.decode(login.Login)


def test_secrets_are_not_in_a_repr() -> None:
    """Neither a token nor a session's line reaches a log by way of `repr`."""
    assert "S3CRET" not in repr(login.Login(vid="A", account="bob", token="S3CRET"))
    assert "S3CRET" not in repr(login.LineLogin(line="S3CRET"))
    assert "S3CRET" not in repr(login.LoginSucceeded(uid=1, line="S3CRET"))


# --- login_ret -----------------------------------------------------------------------------------


@given(sts.login_successes)
def test_success_round_trips(success: login.LoginSucceeded) -> None:
    """The SDK reads the success that the server writes."""
    frame = frames.decode_frame(login.encode_success(success))
    assert login.decode_login_ret(frame) == success


def test_success_has_the_documented_form() -> None:
    """`["", text]`, the text being JSON in a string with every documented key."""
    event, (err, text) = json.loads(login.encode_success(login.LoginSucceeded(uid=5, line="L")))
    assert (event, err) == ("login_ret", "")
    assert json.loads(text) == {
        "result": "ok",
        "uid": 5,
        "line": "L",
        "config_msg_set": 0,
        "config_inst_msg_with_msgid": 0,
        "channel": None,
        "msgid": 0,
        "gap": False,
        "removed": False,
    }


def test_success_of_another_server_is_read() -> None:
    """The documented keys are enough."""
    text = '{"result":"ok","uid":5,"line":"L","config_msg_set":0,"config_inst_msg_with_msgid":0}'
    assert login.decode_login_ret(login_ret("", text)) == login.LoginSucceeded(uid=5, line="L")


@given(sts.failure_ecodes, sts.texts)
def test_failure_round_trips(ecode: ECode, reason: str) -> None:
    """The SDK reads the code and the reason of the refusal that the server writes."""
    error = LoginError(ecode, reason)
    read = refusal(frames.decode_frame(login.encode_failure(error)))
    assert (read.ecode, read.reason) == (ecode, error.reason)


MAPPING = [
    ("kick", 207),
    ("TokenErrorExpired", 204),
    ("TokenErrorWrong", 206),
    ("TokenErrorSignature", 206),
    ("TokenErrorExpiredLongAgo", 206),
    ("TokenError", 206),
    ("wrong account", 209),
    ("wrong account: holds white space", 209),
    ("kicked", 201),
    ("Kick", 201),
    ("tokenerror", 201),
    ("no wrong account", 201),
    ("server is full", 201),
    ("", 201),
]


@pytest.mark.parametrize(("word", "code"), MAPPING)
def test_word_of_a_refusal_maps_to_its_code(word: str, code: int) -> None:
    """The original clients' mapping, for servers that send no code of ours."""
    assert login.ecode_of(word) == code


@pytest.mark.parametrize(("word", "code"), MAPPING)
def test_word_is_read_from_the_reason_where_err_is_empty(word: str, code: int) -> None:
    """A refusal may carry its word in either place; `err` comes first."""
    text = json.dumps({"result": "failed", "reason": word})
    assert refusal(login_ret("", text)).ecode == code
    if word:
        assert refusal(login_ret(word, '{"result":"failed","reason":"kick"}')).ecode == code


@pytest.mark.parametrize(
    "ecode",
    [
        ECode.LOGIN_E_TOKENEXPIRED,
        ECode.LOGIN_E_TOKENWRONG,
        ECode.LOGIN_E_TOKEN_KICKED,
        ECode.LOGIN_E_INVALID_USER,
        ECode.LOGIN_E_NET,
    ],
)
def test_original_clients_map_our_refusals_alike(ecode: ECode) -> None:
    """Each code that the mapping knows is written with a word that maps back to it."""
    _, (err, text) = json.loads(login.encode_failure(LoginError(ecode, "because")))
    assert err
    assert login.ecode_of(err) is ecode
    assert json.loads(text) == {"result": "failed", "reason": "because", "ecode": int(ecode)}


@pytest.mark.parametrize("ecode", [0, 9999, -1])
def test_unknown_code_in_a_refusal_falls_back_to_its_word(ecode: int) -> None:
    """A code that is not documented does not hide what the word says."""
    text = json.dumps({"result": "failed", "ecode": ecode})
    assert refusal(login_ret("TokenErrorExpired", text)).ecode is ECode.LOGIN_E_TOKENEXPIRED


def test_err_makes_a_refusal_of_any_text() -> None:
    """`err` decides: a text that says "ok" beside it does not let the client in."""
    text = '{"result":"ok","uid":1,"line":"L"}'
    assert refusal(login_ret("kick", text)).ecode is ECode.LOGIN_E_TOKEN_KICKED


@pytest.mark.parametrize(
    ("err", "text"),
    [
        (None, "{}"),
        (1, "{}"),
        ("", None),
        ("", {"result": "ok", "uid": 1, "line": "L"}),
        ("", "x"),
        ("", "[]"),
        ("", '{"result":1}'),
        ("", '{"result":"ok"}'),
        ("", '{"result":"ok","uid":1}'),
        ("", '{"result":"ok","uid":"1","line":"L"}'),
        ("", "[" * 10_000),
    ],
    ids=sts.label,
)
def test_nonsense_is_a_protocol_error(err: JsonValue, text: JsonValue) -> None:
    """What neither lets in nor refuses is the server's fault."""
    with pytest.raises(ProtocolError):
        login.decode_login_ret(login_ret(err, text))


@given(
    sts.hostile_bytes
    | sts.mutated(st.builds(login.encode_success, sts.login_successes))
    | st.builds(
        lambda err, value: frames.encode_frame("login_ret", [err, json.dumps(value)]),
        st.sampled_from(["", "kick"]),
        sts.json_values()
        | st.dictionaries(
            st.sampled_from(["result", "reason", "ecode", "uid", "line", "gap"]),
            st.just("ok") | sts.json_values(3),
        ),
    )
)
def test_any_bytes_are_a_login_ret_or_a_documented_error(data: bytes) -> None:
    """Whatever a server sends is a success, a `LoginError` or a `ProtocolError`."""
    for frame in sts.decodable(data):
        try:
            success = login.decode_login_ret(frame)
        except (LoginError, ProtocolError):
            continue
        assert type(success) is login.LoginSucceeded


# --- close and kick ------------------------------------------------------------------------------


@given(sts.closings)
def test_closing_of_our_server_is_read(closing: login.Closing) -> None:
    """`close` and `kick` carry the code and the reason."""
    frame = frames.decode_frame(frames.encode_frame("close", closing))
    assert login.decode_closing(frame, ECode.LOGOUT_E_OTHER) == closing


@pytest.mark.parametrize("default", [ECode.LOGIN_E_NET, ECode.LOGOUT_E_NET, ECode.LOGOUT_E_KICKED])
@pytest.mark.parametrize(
    "payload",
    [None, "", 0, [], {}, {"reason": "x"}, {"ecode": "103"}, {"ecode": 9999}, "kick"],
    ids=str,
)
def test_closing_of_another_server_stands_for_the_default(
    payload: JsonValue, default: ECode
) -> None:
    """A payload without a code of ours says nothing: the event itself does."""
    frame = frames.decode_frame(frames.encode_frame("kick", payload))
    closing = login.decode_closing(frame, default)
    assert closing == login.Closing(ecode=int(default), reason=default.meaning)


@sts.few_examples
@given(sts.hostile_bytes)
def test_any_closing_has_a_documented_code(data: bytes) -> None:
    """Whatever it holds, a `close` or `kick` ends the session with a code that callbacks know."""
    for frame in sts.decodable(data):
        ECode(login.decode_closing(frame, ECode.LOGOUT_E_NET).ecode)
