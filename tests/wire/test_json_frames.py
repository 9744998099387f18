"""Typed frames as the JSON that WebSocket clients speak."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signal_sdk.ecodes import ECode
from signal_sdk.errors import LoginError, SignalError
from signal_sdk.wire import call2, frames, json_frames, lines, login, typed
from signal_sdk.wire.results import GetMessagesResult
from tests.wire import strategies as sts

LINE = lines.MessageLine(
    src="bob", dst="ann", type="instant", content="hi there", time=0, msg_id="1.x"
).encode()


def spelled(frame: typed.ServerFrame, *, has_ids: bool = True, is_pushed: bool = True) -> Any:
    return json.loads(json_frames.encode_server(frame, has_ids=has_ids, is_pushed=is_pushed))


# --- what clients say ---


def test_each_event_is_its_typed_frame() -> None:
    for event, payload, frame in [
        ("ping", 7, typed.Ping(7)),
        ("set_flag", {"binary": 1}, login.SetFlag(binary=1)),
        ("line_login", {"line": "x", "msgid": 3}, login.LineLogin(line="x", msgid=3)),
        ("login", {"vid": "a", "account": "b"}, login.Login(vid="a", account="b")),
        ("call2", ["f", 1, {"line": "x"}], call2.Request("f", 1, {"line": "x"})),
        ("hello", None, typed.Unknown("hello")),
    ]:
        assert json_frames.decode_client(frames.encode_frame(event, payload)) == frame


@given(
    st.integers(-1, 10**20).map(b"%d".__mod__)
    | st.sampled_from([b"007", b"1.5", b"", b"x", b"1 "]),
    st.sampled_from([b"]", b"", b" ]", b"]]", b"}"]),
)
def test_a_ping_in_one_go_is_the_ping_step_by_step(number: bytes, end: bytes) -> None:
    said, slowly = b'["ping",' + number + end, b'[ "ping",' + number + end
    quick, steps = json_frames.decode_client(said), json_frames.decode_client(slowly)
    assert type(quick) is type(steps)
    if isinstance(quick, typed.Ping):
        assert quick == steps


@given(st.binary() | st.text().map(str.encode) | sts.mutated())
def test_whatever_comes_is_a_typed_frame(data: bytes) -> None:
    assert isinstance(json_frames.decode_client(data), typed.ClientFrame)


@pytest.mark.parametrize(
    ("text", "callid", "is_login"),
    [
        (b'["call2", ["f", 5, {"line": "\\ud800"}]]', 5, False),
        (b'["call2", ["f", "a", NaN]]', "a", False),
        (b'["login", {"vid": "a", "account": "\\ud800"}]', None, True),
        (b'["login", {"vid": 1}]', None, False),
        (b'["ping", "x"]', None, False),
        (b'["call2", 5]', None, False),
        (b"[]", None, False),
    ],
)
def test_what_is_wrong_says_what_it_was_meant_to_be(
    text: bytes, callid: int | str | None, is_login: bool
) -> None:
    frame = json_frames.decode_client(text)
    assert isinstance(frame, typed.Malformed)
    assert (frame.callid, frame.is_login) == (callid, is_login)
    assert frame.reason


# --- what the server says ---


def test_an_entry_is_spelled_as_its_client_reads_it() -> None:
    entry = typed.Entry(5, LINE)
    assert spelled(entry) == ["notify", ["recvmsg", json.dumps([5, LINE], separators=(",", ":"))]]
    plain = json.dumps([5, lines.without_id(LINE)], separators=(",", ":"))
    assert spelled(entry, has_ids=False) == ["notify", ["recvmsg", plain]]
    assert spelled(entry, is_pushed=False) == ["notify", ["msg", 5]]


def test_a_page_s_lines_are_spelled_so_too() -> None:
    reply = typed.Reply(1, GetMessagesResult(ver_clear=0, msgs=((5, LINE),)))
    for has_ids, line in ((True, LINE), (False, lines.without_id(LINE))):
        _, (callid, err, text) = spelled(reply, has_ids=has_ids)
        assert (callid, err, json.loads(text)["msgs"]) == (1, "", [[5, line]])


def test_all_else_is_the_same_for_all() -> None:
    success = login.LoginSucceeded(uid=7, line="secret")
    expected: list[tuple[typed.ServerFrame, bytes]] = [
        (typed.Reply(1, '{"result":"ok"}'), call2.encode_success(1, '{"result":"ok"}')),
        (typed.Pong(3), b'["pong",3]'),
        (
            typed.LockGranted("room", "door", "a1"),
            b'["lock",{"channel":"room","lock":"door","askID":"a1"}]',
        ),
        (typed.LoggedIn(success=success), login.encode_success(success)),
    ]
    for frame, text in expected:
        for has_ids in (False, True):
            found = json_frames.encode_server(frame, has_ids=has_ids, is_pushed=has_ids)
            assert found == text
    refusal = SignalError(ECode.GENERAL_E_WRONG_PARAM, "no")
    assert spelled(typed.Failure(2, refusal))[1][:2] == [2, "no"]
    kicked = LoginError(ECode.LOGIN_E_TOKEN_KICKED)
    assert spelled(typed.Refused(error=kicked))[1][0] == "kick"


@pytest.mark.parametrize("end", typed.End)
def test_a_farewell_says_why(end: typed.End) -> None:
    text = json_frames.encode_farewell(typed.Farewell(end=end, reason="because", delay=2.5))
    if end is typed.End.DONE:
        assert text is None
        return
    assert text is not None
    event, payload = json.loads(text)
    assert event == ("kick" if end is typed.End.KICKED else "close")
    ecodes = {typed.End.KICKED: 103, typed.End.EXPIRED: 105}
    assert payload["ecode"] == ecodes.get(end, 102)
    assert (payload["reason"] == "because") is (end is not typed.End.KICKED)
    assert payload["delay"] == 2.5


@given(
    st.integers().map(lambda number: b'["ping",%d]' % number)
    | st.binary(max_size=20).map(lambda number: b'["ping",' + number + b"]")
    | st.binary(max_size=30)
)
def test_a_plain_ping_is_one_of_its_number_and_answered_alike(text: bytes) -> None:
    number = json_frames.ping_number(text)
    if number:
        assert len(text) <= json_frames.PING_BYTES
        assert json_frames.decode_client(text) == typed.Ping(int(number))
        pong = json_frames.encode_server(typed.Pong(int(number)), has_ids=True, is_pushed=True)
        assert json_frames.encode_pong(number) == pong
    elif text.startswith(b'["ping",') and text[8:-1].isdigit() and text.endswith(b"]"):
        assert text[8:9] == b"0" or len(text) > json_frames.PING_BYTES
