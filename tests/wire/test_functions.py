"""The functions of `call2`: the table, round trips of requests and replies, nonsense refused."""

from __future__ import annotations

import json
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from signal_sdk.ecodes import ECode
from signal_sdk.errors import ParameterError, ProtocolError, SignalError
from signal_sdk.wire import call2, frames, functions, names, results
from signal_sdk.wire.arguments import Arguments
from signal_sdk.wire.names import JsonValue
from tests.wire import strategies as sts

TABLE: dict[str, tuple[str, str, str]] = {
    # function: (arguments beside `line`, optional ones, keys of the success beside `result`)
    "user_logout": ("", "ver_clear", ""),
    "user_sendmsg": ("peer flag t content", "messageID properties", ""),
    "user_getmsg": ("ver_clear", "max", "ver_clear msgs"),
    "user_query_user_status": ("account", "", "account status"),
    "user_set_attr": ("name value", "", "reason"),
    "user_get_attr": ("account name", "", "account name value"),
    "user_get_attr_all": ("account", "", "account json"),
    "channel_join": ("name", "", "list attrs num msgid"),
    "channel_leave": ("name", "", ""),
    "channel_sendmsg": ("name msg", "msgID force properties", ""),
    "channel_set_attr": ("channel name value", "", ""),
    "channel_del_attr": ("channel name", "", ""),
    "channel_clear_attr": ("channel", "", ""),
    "channel_query_num": ("name", "", "num"),
    "channel_query_user_isin": ("name account", "", "isin"),
    "channel_query_userlist": ("name", "", "num list"),
    "channel_query_userlist_all": ("name", "num", "num list"),
    "channel_history": ("name", "num", "msgs whole binary"),
    "channel_catch_up": ("name", "msgid", "msgid gap"),
    "user_change_attrs": ("", "set del if revision ttl", "conflict revision"),
    "user_read_attrs": ("account", "", "revision attributes"),
    "user_watch": ("account", "", "online presence revision attributes"),
    "user_unwatch": ("account", "", ""),
    "channel_change_attrs": ("channel", "set del if revision ttl", "conflict revision"),
    "channel_read_attrs": ("channel", "", "revision attributes"),
    "voip_invite": ("channelName peer", "extra callID properties", ""),
    "channel_lock": ("name lock askID lease", "wait", "fence lease place holder"),
    "channel_lock_renew": ("name lock askID lease", "", "fence lease place holder"),
    "channel_unlock": ("name lock askID", "", "held"),
    "channel_query_lock": ("name lock", "", "holder fence lease waiting"),
    "voip_invite_ack": ("channelName peer", "extra", ""),
    "voip_invite_accept": ("channelName peer", "extra", ""),
    "voip_invite_refuse": ("channelName peer", "extra", ""),
    "voip_invite_bye": ("channelName peer", "extra", ""),
    "voip_invite_msg": ("channelName peer", "extra", ""),
    "call_bye": ("channelName srcNum destNum", "extra", ""),
    "pstn_invite": ("channelName destNum", "srcNum extra", ""),
    "pstn_dtmf": ("cid dtmf", "", ""),
    "push_sendmsg": ("peer msg", "", ""),
    "user_setfg": ("", "", ""),
    "appmsg_send": ("", "", ""),
    "appmsg_send2": ("", "", ""),
    "user_ext_call": ("", "", ""),
}
"""protocol.md, section 3, and native_protocol.md, section 4; `max`, `extra` and `srcNum` are
optional by our leave.
"""

MINIMAL: dict[str, JsonValue] = {
    "account": "bob",
    "askID": "1",
    "channel": "room",
    "channelName": "room",
    "cid": "room",
    "content": "hi",
    "destNum": "bob",
    "dtmf": "1",
    "flag": "v1:E:3600",
    "lease": 10_000,
    "lock": "door",
    "msg": "hi",
    "name": "room",
    "peer": "bob",
    "srcNum": "ann",
    "t": "instant",
    "value": "v",
    "ver_clear": 0,
}
"""A legal value for each argument that must be there."""


def fields_of(cls: type[object]) -> dict[str, attrs.Attribute[object]]:
    return {field.name: field for field in attrs.fields(cls)}  # type: ignore[arg-type]  # an attrs class


def request(function: str, args: JsonValue, callid: JsonValue = 1) -> call2.Request:
    frame = frames.decode_frame(frames.encode_frame("call2", [function, callid, args]))
    return call2.decode_request(frame)


def refusal(function: str, args: JsonValue) -> ParameterError:
    with pytest.raises(ParameterError) as caught:
        call2.decode_args(request(function, args))
    return caught.value


def reply(text: bytes) -> call2.Reply:
    return call2.decode_reply(frames.decode_frame(text))


# --- the table -----------------------------------------------------------------------------------


def test_functions_are_the_documented_ones() -> None:
    """Every function of the table is there under its name, and no other."""
    assert functions.FUNCTIONS.keys() == TABLE.keys()
    for name, cls in functions.FUNCTIONS.items():
        assert cls.function == name


@pytest.mark.parametrize("function", TABLE)
def test_arguments_are_the_documented_ones(function: str) -> None:
    """A function's arguments have the documented names on the wire, and the same are optional."""
    needed, optional, _ = map(str.split, TABLE[function])
    fields = fields_of(functions.FUNCTIONS[function]).values()
    is_needed = {field.metadata["wire"]: field.default is attrs.NOTHING for field in fields}
    assert is_needed == dict.fromkeys(needed, True) | dict.fromkeys(optional, False)


@pytest.mark.parametrize("function", TABLE)
def test_result_keys_are_the_documented_ones(function: str) -> None:
    """A success has the documented keys beside `result`."""
    keys = fields_of(functions.FUNCTIONS[function].result).keys()
    assert keys == {"result", *TABLE[function][2].split()}


@pytest.mark.parametrize("function", TABLE)
def test_missing_argument_is_1004_and_is_named(function: str) -> None:
    """Each argument that must be there is missed by its name on the wire."""
    needed = TABLE[function][0].split()
    args = {name: MINIMAL[name] for name in needed}
    line, _, decoded = call2.decode_args(request(function, {**args, "line": "L"}))
    assert line == "L"
    assert type(decoded) is functions.FUNCTIONS[function]
    assert decoded.to_wire() == args
    for name in needed:
        error = refusal(function, {key: args[key] for key in needed if key != name})
        assert error.ecode is ECode.GENERAL_E_WRONG_PARAM
        assert repr(name) in str(error)


# --- requests ------------------------------------------------------------------------------------


@given(sts.callids, sts.session_lines, sts.arguments)
def test_request_round_trips(callid: int | str, line: str, args: Arguments) -> None:
    """The server decodes what the SDK encodes: function, id, line and each argument."""
    text = call2.encode_request(callid, line, args)
    decoded = call2.decode_request(frames.decode_frame(text))
    assert (decoded.function, decoded.callid) == (args.function, callid)
    assert call2.decode_args(decoded) == (line, None, args)


PIECES = (
    *(b"", b" ", b"null", b"1", b"[", b"]", b"{}", b'"', b",", b'"ack":true', b'"line":1'),
    *(b"\\ud800", b"\xff", b"1e400", b"9" * 400, b"[" * 2000, b'"\\u0061"'),
)


@given(sts.callids, sts.session_lines, sts.arguments, st.data())
def test_a_request_in_one_go_is_the_request_step_by_step(
    callid: int | str, line: str, args: Arguments, data: st.DataObject
) -> None:
    """Whatever is done to a request's text, both ways find the same, or the quick one nothing."""
    text = call2.encode_request(callid, line, args, data.draw(st.none() | st.integers(0, 9)))
    assert call2.decode_plain_request(text) is not None
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, min(start + 9, len(text))))
    text = text[:start] + data.draw(st.sampled_from(PIECES)) + text[end:]
    quick = call2.decode_plain_request(text)
    if quick is not None:
        steps = call2.decode_request(frames.decode_frame(text))
        assert (quick.function, quick.callid) == (steps.function, steps.callid)
        assert type(quick.callid) is type(steps.callid)
        assert _outcome(quick) == _outcome(steps)


some_messages = st.builds(
    functions.UserSendMessage,
    peer=sts.accounts,
    flag=st.sampled_from(["v1:E:0", "v1:E:3600", "v1:E:999999999"]),
    kind=st.just("instant"),
    content=st.text(st.characters(exclude_categories=["Cs"]), max_size=20) | sts.json_dicts,
    message_id=st.text("ab1-", max_size=9),
)


@given(sts.callids, sts.session_lines, some_messages, st.data())
def test_a_message_in_one_go_is_the_message_step_by_step(
    callid: int | str, line: str, args: functions.UserSendMessage, data: st.DataObject
) -> None:
    """Whatever is done to a message's text, both ways find the same, or the quick one nothing."""
    text = call2.encode_request(callid, line, args, data.draw(st.none() | st.integers(0, 9)))
    if isinstance(args.content, str):
        assert call2.decode_message(text) is not None
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, min(start + 9, len(text))))
    text = text[:start] + data.draw(st.sampled_from(PIECES)) + text[end:]
    quick = call2.decode_message(text)
    if quick is not None:
        steps = call2.decode_request(frames.decode_frame(text))
        assert (quick.function, quick.callid) == (steps.function, steps.callid)
        assert type(quick.callid) is type(steps.callid)
        found = quick.args
        same = functions.UserSendMessage(
            peer=found.peer,
            flag=found.flag,
            kind=found.kind,
            content=found.content,
            message_id=found.message_id,
        )
        assert (found.line, found.ack, same) == call2.decode_args(steps)


@pytest.mark.parametrize(
    "wrong",
    [
        {"content": "x" * 8193},
        {"messageID": "a b"},
        {"messageID": "x" * 129},
        {"messageID": "\x7f"},
        {"messageID": 7},
        {"peer": ""},
        {"peer": "a b"},
        {"flag": "v1:E:x"},
        {"t": "other"},
        {"ack": "1"},
        {"more": 1},
    ],
)
def test_what_may_be_wrong_with_a_message_is_not_for_the_quick_way(wrong: dict[str, Any]) -> None:
    args = {"peer": "ann", "flag": "v1:E:60", "t": "instant", "content": "x", "line": "L"}
    right = frames.encode_frame("call2", ["user_sendmsg", 1, args])
    assert call2.decode_message(right) is not None
    assert (
        call2.decode_message(frames.encode_frame("call2", ["user_sendmsg", 1, {**args, **wrong}]))
        is None
    )


def _outcome(request: call2.Request) -> tuple[object, ...]:
    try:
        return call2.decode_args(request)
    except ParameterError as exc:
        return exc.ecode, exc.reason


def test_a_request_shows_no_secret() -> None:
    text = call2.encode_request(1, "a secret line", functions.UserLogout())
    request = call2.decode_plain_request(text)
    assert request is not None
    assert "secret" not in repr(request)


@sts.few_examples
@given(sts.arguments)
def test_arguments_on_the_wire_are_documented_names(args: Arguments) -> None:
    """Nothing but documented keys is sent, and all that must be."""
    needed, optional, _ = map(str.split, TABLE[args.function])
    assert set(needed) <= args.to_wire().keys() <= {*needed, *optional}


@sts.few_examples
@given(sts.callids, sts.session_lines, sts.arguments, sts.json_dicts)
def test_invoke_sends_what_a_request_sends(
    callid: int | str, line: str, args: Arguments, more: dict[str, JsonValue]
) -> None:
    """`invoke` is the function it names: unknown keys are ignored, `line` is the session's."""
    documented = " ".join(TABLE[args.function]).split()
    extra = {key: value for key, value in more.items() if key not in documented}
    req = {**extra, **args.to_wire(), "line": "somebody else's"}
    text = call2.encode_invoke(callid, line, args.function, req)
    decoded = call2.decode_request(frames.decode_frame(text))
    assert call2.decode_args(decoded) == (line, None, args)


@pytest.mark.parametrize("line", [5, None, [], {}, True, 1.5])
def test_line_of_another_type_is_no_line(line: JsonValue) -> None:
    """A `line` that is no text is nobody's."""
    assert call2.decode_args(request("user_logout", {"line": line}))[0] == ""
    assert call2.decode_args(request("user_logout", {}))[0] == ""


@pytest.mark.parametrize(
    "payload",
    [
        None,
        1,
        "user_logout",
        {},
        [],
        ["user_logout"],
        ["user_logout", 1],
        ["user_logout", 1, {}, 2],
        [1, 1, {}],
        ["user_logout", None, {}],
        ["user_logout", True, {}],
        ["user_logout", 1.5, {}],
        ["user_logout", [1], {}],
    ],
    ids=sts.label,
)
def test_payload_without_an_id_is_no_request(payload: JsonValue) -> None:
    """Where there is no id to refuse it under, it is a protocol error."""
    frame = frames.decode_frame(frames.encode_frame("call2", payload))
    with pytest.raises(ProtocolError):
        call2.decode_request(frame)


@pytest.mark.parametrize("args", [None, 1, "x", [], [1], True], ids=sts.label)
def test_arguments_that_are_no_object_are_1004(args: JsonValue) -> None:
    """The request is refused under its id."""
    assert refusal("user_logout", args).ecode is ECode.GENERAL_E_WRONG_PARAM


@pytest.mark.parametrize(
    "args",
    [
        rb'{"name":"\ud800"}',
        b'{"name":1e999}',
        b'{"name":"\xff"}',
        b'{"name":' + b"9" * 5000 + b"}",
    ],
    ids=sts.label,
)
def test_damaged_argument_is_refused(args: bytes) -> None:
    """A value that JSON forbids is refused in the frame or in the argument, with the id known."""
    text = b'["call2",["channel_join",7,' + args + b"]]"
    try:
        decoded = call2.decode_request(frames.decode_frame(text))
        callid: int | str | None = decoded.callid
        with pytest.raises(ParameterError):
            call2.decode_args(decoded)
    except frames.FrameError as error:
        callid = error.callid
    assert callid == 7


@pytest.mark.parametrize(
    "function",
    ["", "user_logout ", "USER_LOGOUT", "io.agora.signal.user_logout", "x" * 9000],
    ids=sts.label,
)
def test_unknown_function_is_1004(function: str) -> None:
    """A function that is not in the table is refused, in one short line."""
    error = refusal(function, {})
    assert error.ecode is ECode.GENERAL_E_WRONG_PARAM
    assert len(str(error)) < 200


@pytest.mark.parametrize(
    ("function", "name", "limit"),
    [
        *((function, "name", 128) for function in TABLE if "name" in TABLE[function][0].split()),
        *(
            (function, "channel", 128)
            for function in TABLE
            if "channel" in TABLE[function][0].split()
        ),
        *(
            (function, "account", 128)
            for function in TABLE
            if "account" in TABLE[function][0].split()
        ),
        *((function, "peer", 128) for function in TABLE if "peer" in TABLE[function][0].split()),
        *((function, "channelName", 128) for function in TABLE if function.startswith("voip")),
        ("user_sendmsg", "content", 8192),
        ("user_sendmsg", "messageID", 128),
        ("channel_sendmsg", "msg", 8192),
        ("channel_sendmsg", "msgID", 128),
        ("channel_lock", "lock", 128),
        ("channel_lock", "askID", 128),
        ("user_set_attr", "value", 1024),
        ("channel_set_attr", "value", 8096),
    ],
)
def test_argument_over_its_limit_is_1005(function: str, name: str, limit: int) -> None:
    """Each text has its documented limit in each function that takes it."""
    args = {key: MINIMAL[key] for key in TABLE[function][0].split()}
    call2.decode_args(request(function, {**args, name: "a" * limit}))
    error = refusal(function, {**args, name: "a" * (limit + 1)})
    assert error.ecode is ECode.GENERAL_E_LARGE_PARAM


@pytest.mark.parametrize(
    ("function", "name", "value"),
    [
        ("user_sendmsg", "flag", 5),
        ("user_sendmsg", "flag", ""),
        ("user_sendmsg", "flag", "v1:E:x"),
        ("user_sendmsg", "flag", "v1:E:1 x"),
        ("user_sendmsg", "t", "voip_invite"),
        ("user_sendmsg", "t", None),
        ("user_sendmsg", "t", ["instant"]),
        ("user_sendmsg", "peer", ""),
        ("user_sendmsg", "peer", "a b"),
        ("user_sendmsg", "messageID", "a b"),
        ("user_getmsg", "ver_clear", -1),
        ("user_getmsg", "ver_clear", "0"),
        ("user_getmsg", "ver_clear", True),
        ("user_getmsg", "ver_clear", 2**53),
        ("user_getmsg", "max", 0),
        ("user_getmsg", "max", 1.0),
        ("channel_query_userlist_all", "num", -1),
        ("channel_query_userlist_all", "num", "5"),
        ("channel_join", "name", ""),
        ("channel_join", "name", "a\n"),
        ("channel_lock", "lock", ""),
        ("channel_lock", "lock", "a\n"),
        ("channel_lock", "askID", ""),
        ("channel_lock", "askID", "a b"),
        ("channel_lock", "lease", 999),
        ("channel_lock", "lease", 120_001),
        ("channel_lock", "lease", 9000.5),
        ("channel_lock", "wait", -1),
        ("channel_lock", "wait", 600_001),
        ("channel_lock_renew", "lease", 0),
        ("channel_sendmsg", "msg", sts.nested(names.MAX_JSON_DEPTH + 1)),
        ("voip_invite", "extra", sts.nested(names.MAX_JSON_DEPTH + 1)),
        ("voip_invite", "peer", "a b"),
    ],
    ids=sts.label,
)
def test_wrong_argument_is_1004(function: str, name: str, value: JsonValue) -> None:
    """What is otherwise wrong is refused as such."""
    args = {key: MINIMAL[key] for key in TABLE[function][0].split()}
    assert refusal(function, {**args, name: value}).ecode is ECode.GENERAL_E_WRONG_PARAM


def test_ttl_over_the_maximum_is_cut() -> None:
    """A message whose sender asks for years is kept as long as any."""
    flag = f"v1:E:{10**9}"
    _, _, args = call2.decode_args(
        request("user_sendmsg", {"peer": "b", "flag": flag, "t": "instant", "content": ""})
    )
    assert args.to_wire()["flag"] == f"v1:E:{names.MAX_TTL_SECONDS}"


@pytest.mark.parametrize("value", [5, 1.5, True, None, {"a": [1]}, ["x"]], ids=sts.label)
def test_message_of_a_web_page_keeps_its_type(value: JsonValue) -> None:
    """Numbers and objects, where text is documented, are relayed as the JSON value they were."""
    _, _, args = call2.decode_args(request("channel_sendmsg", {"name": "room", "msg": value}))
    assert args.to_wire()["msg"] == value
    assert type(args.to_wire()["msg"]) is type(value)


def test_account_of_a_web_page_becomes_text() -> None:
    """An account given as a number is its JSON text."""
    _, _, args = call2.decode_args(request("user_query_user_status", {"account": 5}))
    assert args.to_wire() == {"account": "5"}


def test_both_spellings_of_a_special_channel_are_one() -> None:
    """The name with two underscores arrives as the one with one."""
    _, _, args = call2.decode_args(request("channel_join", {"name": "__agora_user_online"}))
    assert args.to_wire() == {"name": "_agora_user_online"}


@given(
    st.sampled_from(sorted(TABLE)),
    st.dictionaries(
        st.sampled_from(
            sorted({key for row in TABLE.values() for key in " ".join(row[:2]).split()})
        ),
        sts.json_values(4) | st.sampled_from([*MINIMAL.values(), 10**400]),
    ),
)
def test_any_arguments_are_legal_or_a_parameter_error(
    function: str, args: dict[str, JsonValue]
) -> None:
    """Nothing but `ParameterError` comes out, and what is legal comes back as it went."""
    try:
        _, _, decoded = call2.decode_args(request(function, args))
    except ParameterError as error:
        call2.encode_failure(1, error)
        return
    text = call2.encode_request(1, "", decoded)
    again = call2.decode_request(frames.decode_frame(text))
    assert call2.decode_args(again) == ("", None, decoded)


@given(
    sts.hostile_bytes
    | sts.mutated(st.builds(call2.encode_request, sts.callids, sts.session_lines, sts.arguments))
)
def test_any_bytes_are_a_request_or_a_documented_error(data: bytes) -> None:
    """Whatever a client sends is legal, or refused under its id, or a protocol error."""
    for frame in sts.decodable(data):
        try:
            decoded = call2.decode_request(frame)
        except ProtocolError:
            continue
        try:
            call2.decode_args(decoded)
        except ParameterError as error:
            answer = reply(call2.encode_failure(decoded.callid, error))
            assert answer.callid == decoded.callid


# --- replies -------------------------------------------------------------------------------------


@given(sts.callids, sts.results)
def test_success_round_trips(callid: int | str, result: results.Result) -> None:
    """What the server answers is what the SDK reads."""
    answer = reply(call2.encode_success(callid, call2.encode_result(result)))
    assert (answer.callid, answer.err) == (callid, "")
    assert answer.result(type(result)) == result


@sts.few_examples
@given(sts.results)
def test_success_has_the_documented_form(result: results.Result) -> None:
    """`[callid, "", text]`, the text being JSON in a string with `"result": "ok"`."""
    event, (callid, err, text) = json.loads(call2.encode_success(7, call2.encode_result(result)))
    assert (event, callid, err) == ("call2-ret", 7, "")
    assert json.loads(text)["result"] == "ok"


@given(sts.callids, sts.failure_ecodes, sts.texts)
def test_failure_round_trips(callid: int | str, ecode: ECode, reason: str) -> None:
    """A refusal arrives with its code and its reason."""
    error = SignalError(ecode, reason)
    answer = reply(call2.encode_failure(callid, error))
    assert answer.callid == callid
    with pytest.raises(SignalError) as caught:
        answer.result(results.Result)
    assert (caught.value.ecode, caught.value.reason) == (ecode, error.reason)


@sts.few_examples
@given(sts.failure_ecodes, sts.texts)
def test_failure_has_the_documented_form(ecode: ECode, reason: str) -> None:
    """`err` is never empty, and the text carries what the web SDK reads, and our code."""
    event, (callid, err, text) = json.loads(call2.encode_failure("id", SignalError(ecode, reason)))
    assert (event, callid) == ("call2-ret", "id")
    assert err == (reason or ecode.meaning)
    assert json.loads(text) == {
        "result": "failed",
        "reason": err,
        "ecode": int(ecode),
        "data": {"result": err},
    }


@pytest.mark.parametrize(
    ("err", "text", "ecode", "reason"),
    [
        ("no", "{}", 1001, "no"),
        ("no", '{"result":"failed","reason":"r","ecode":703}', 703, "no"),
        ("no", '{"result":"failed","ecode":9999}', 1001, "no"),
        ("no", '{"result":"failed","ecode":0}', 1001, "no"),
        ("no", '{"result":"ok"}', 1001, "no"),
        ("", '{"result":"failed","reason":"r"}', 1001, "r"),
        ("", '{"result":"failed","data":{"result":"d"}}', 1001, "d"),
        ("", '{"result":"failed"}', 1001, "the operation failed"),
    ],
)
def test_refusal_of_another_server_is_a_signal_error(
    err: str, text: str, ecode: int, reason: str
) -> None:
    """Without a code of ours a refusal is 1001: never success, nor a code that nobody knows."""
    with pytest.raises(SignalError) as caught:
        call2.Reply(callid=1, err=err, text=text).result(results.Result)
    assert (caught.value.ecode, caught.value.reason) == (ecode, reason)


def test_success_of_another_server_may_say_more() -> None:
    """Keys that are not ours are ignored, and `result` may be left out."""
    text = '{"num":3,"name":"room","debug":[1]}'
    result = call2.Reply(callid=1, err="", text=text).result(results.QueryNumResult)
    assert result == results.QueryNumResult(num=3)


@pytest.mark.parametrize(
    "text", ["", "x", "1", "null", "[]", '{"result":1}', '{"num":"3"}', '{"num":null}', "{}"]
)
def test_nonsense_as_a_success_is_a_protocol_error(text: str) -> None:
    """A success that lacks what the function answers is the server's fault, not a refusal."""
    with pytest.raises(ProtocolError):
        call2.Reply(callid=1, err="", text=text).result(results.QueryNumResult)


def test_deeply_nested_text_is_a_protocol_error() -> None:
    """JSON in a string may be nested as deep as a frame, and is refused alike."""
    for err in ("", "no"):
        answer = call2.Reply(callid=1, err=err, text="[" * 10_000 + "]" * 10_000)
        with pytest.raises(ProtocolError):
            answer.result(results.Result)


replies_of_any_text = st.builds(
    lambda callid, err, text: frames.encode_frame("call2-ret", [callid, err, text]),
    sts.callids,
    st.just("") | sts.texts,
    sts.texts | sts.json_values().map(frames.encode_json).map(bytes.decode),
)


@given(
    sts.hostile_bytes
    | replies_of_any_text
    | sts.mutated(st.builds(call2.encode_success, sts.callids, sts.results)),
    st.sampled_from(sorted({cls.result for cls in functions.FUNCTIONS.values()}, key=repr)),
)
def test_any_bytes_are_a_reply_or_a_documented_error(
    data: bytes, type_: type[results.Result]
) -> None:
    """Whatever a server sends is a result, a `SignalError` or a `ProtocolError`."""
    for frame in sts.decodable(data):
        try:
            result = call2.decode_reply(frame).result(type_)
        except (ProtocolError, SignalError):
            continue
        assert type(result) is type_
