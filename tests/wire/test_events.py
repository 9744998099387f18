"""What the server tells unasked: round trips, documented forms, and nonsense refused."""

from __future__ import annotations

import json

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from signal_sdk.ecodes import ECode
from signal_sdk.errors import ParameterError, ProtocolError
from signal_sdk.wire import events, frames, lines, names
from signal_sdk.wire.attribute_functions import WatchedEvent
from signal_sdk.wire.names import JsonValue
from tests.wire import strategies as sts

WRONG_TIMEOUTS: list[JsonValue] = [
    *(0, 0.99, -1, names.MAX_TTL_SECONDS + 1, 10**400, 10**5000, float("nan")),
    *("", "x", "0", "nan", "inf", "-inf", "1e999", "\ud800"),
    *([], {}, [5]),
]

Notified = events.InboxAnnounced | events.InboxPushed | events.ChannelEvent | WatchedEvent


def notified(text: bytes) -> Notified:
    return events.decode_notify(frames.decode_frame(text))


def notify(*payload: JsonValue) -> frames.Frame:
    return frames.decode_frame(frames.encode_frame("notify", payload))


def call_line(content: str, type_: str = events.VOIP_INVITE) -> lines.MessageLine:
    return lines.MessageLine(src="a", dst="b", type=type_, content=content, time=0)


# --- the inbox -----------------------------------------------------------------------------------


@sts.few_examples
@given(sts.counts)
def test_announcement_round_trips(version: int) -> None:
    """The version that a native client is told of arrives."""
    assert notified(events.encode_announcement(version)) == events.InboxAnnounced(version)


@given(sts.counts, sts.message_lines())
def test_push_round_trips(version: int, line: lines.MessageLine) -> None:
    """An entry of either line version arrives whole."""
    assert notified(events.encode_push(version, line.encode())) == events.InboxPushed(version, line)


def test_inbox_events_have_the_documented_form() -> None:
    """An announcement is `["msg", VERSION]`; a push is the text of `[VERSION, LINE]`."""
    assert json.loads(events.encode_announcement(7)) == ["notify", ["msg", 7]]
    event, (kind, text) = json.loads(events.encode_push(7, "LINE"))
    assert (event, kind, json.loads(text)) == ("notify", "recvmsg", [7, "LINE"])


# --- channels ------------------------------------------------------------------------------------


@given(sts.channel_names, sts.counts, sts.channel_contents, sts.counts.filter(lambda n: n < 10**16))
def test_channel_event_round_trips(
    channel: str, msgid: int, content: events.ChannelContent, time_ms: int
) -> None:
    """Every kind of channel event arrives as it was, whatever its channel's name holds."""
    text = events.encode_channel_event(channel, msgid, content, time_ms)
    assert notified(text) == events.ChannelEvent(channel=channel, msgid=msgid, content=content)


@sts.few_examples
@given(sts.channel_contents)
def test_channel_event_has_the_documented_form(content: events.ChannelContent) -> None:
    """`["channel2", CHANNEL_ID, MSGID, LINE]`, the line's CONTENT having the documented keys."""
    text = events.encode_channel_event("my room", 3, content, 1500000000000)
    event, (kind, channel, msgid, line) = json.loads(text)
    assert (event, kind, channel, msgid) == ("notify", "channel2", "my room", 3)
    head = f"msg-v2 {content.account} my_room v1:E:3600 {content.type} 1500000000000 "
    assert line.startswith(head)
    keys = {"channel", "account", "uid"}
    if isinstance(content, events.ChannelMessage):
        keys |= {"msg"}
    elif isinstance(content, events.ChannelAttrUpdate):
        keys |= {"name", "value", "type"}
    assert json.loads(line.removeprefix(head)).keys() == keys


def test_attribute_update_says_its_change_as_type() -> None:
    """`type` on the wire is the change, not the class's own name."""
    content = events.ChannelAttrUpdate(
        channel="c", account="a", uid=1, name="n", value="v", change="del"
    )
    line = lines.decode(json.loads(events.encode_channel_event("c", 1, content, 0))[1][3])
    assert line.type == "channel_attr_update"
    assert json.loads(line.content)["type"] == "del"


@pytest.mark.parametrize(
    ("type_", "content"),
    [
        ("channel_unheard_of", "{}"),
        ("channel_msg", ""),
        ("channel_msg", "x"),
        ("channel_msg", "[]"),
        ("channel_msg", '{"channel":"c","account":"a","uid":1}'),
        ("channel_msg", '{"channel":"c","account":5,"uid":1,"msg":""}'),
        ("channel_msg", '{"channel":"c","account":"a","uid":"1","msg":""}'),
        ("channel_msg", '{"channel":"c","account":"a","uid":1,"msg":"\\ud800"}'),
        ("channel_msg", '{"msg":' + "[" * 10_000 + "]" * 10_000 + "}"),
        ("channel_user_join", '{"channel":"c","uid":1}'),
        ("channel_user_leave", "null"),
        ("channel_attr_update", "[]"),
        ("channel_attr_update", "{}"),
        ("channel_attr_update", '{"channel":"c","account":"a","uid":1,"name":"n"}'),
        (
            "channel_attr_update",
            '{"channel":"c","account":"a","uid":1,"name":"n","value":1,"type":5}',
        ),
    ],
    ids=sts.label,
)
def test_malformed_channel_event_is_a_protocol_error(type_: str, content: str) -> None:
    """An unknown TYPE, and CONTENT that lacks what its TYPE documents, are refused."""
    line = f"msg-v2 a c v1:E:3600 {type_} 0 {content}"
    with pytest.raises(ProtocolError):
        events.decode_notify(notify("channel2", "c", 1, line))


@pytest.mark.parametrize(
    "payload",
    [
        (),
        ("msg",),
        ("msg", "7"),
        ("msg", 7.0),
        ("msg", 7, 7),
        ("recvmsg", 7),
        ("recvmsg", ""),
        ("recvmsg", "[]"),
        ("recvmsg", "[1]"),
        ("recvmsg", '["1","x"]'),
        ("recvmsg", '[1,"x"]'),
        ("recvmsg", "[" * 10_000),
        ("channel2",),
        ("channel2", "c", 1),
        ("channel2", "c", "1", "x"),
        ("channel2", "c", 1, "x"),
        ("channel2", "c", 1, None),
        ("channel3", "c", 1, "x"),
        (None, 1),
    ],
    ids=lambda payload: sts.label(str(payload)),
)
def test_malformed_notify_is_a_protocol_error(payload: tuple[JsonValue, ...]) -> None:
    """A kind that is not documented, or one with other parts, is refused."""
    with pytest.raises(ProtocolError):
        events.decode_notify(notify(*payload))


@pytest.mark.parametrize("payload", [b"1", b"null", b"{}", b'"msg"'])
def test_notify_that_is_no_array_is_a_protocol_error(payload: bytes) -> None:
    """The payload is an array always."""
    with pytest.raises(ProtocolError):
        notified(b'["notify",' + payload + b"]")


notifies = st.one_of(
    st.builds(events.encode_push, sts.counts, sts.message_lines().map(lines.MessageLine.encode)),
    st.builds(
        events.encode_channel_event, sts.channel_names, sts.counts, sts.channel_contents, sts.counts
    ),
)
channel_events_of_any_content = st.builds(
    lambda type_, content: frames.encode_frame(
        "notify", ["channel2", "c", 1, f"msg-v2 a c v1:E:1 {type_} 0 {content}"]
    ),
    st.sampled_from(
        ["channel_msg", "channel_user_join", "channel_user_leave", "channel_attr_update", "x"]
    ),
    sts.texts
    | st.dictionaries(
        st.sampled_from(
            ["channel", "account", "uid", "msg", "name", "value", "type", "change", "x"]
        ),
        sts.json_values(3),
    ).map(json.dumps),
)


@given(sts.hostile_bytes | sts.mutated(notifies) | channel_events_of_any_content)
def test_any_bytes_are_a_notify_or_a_protocol_error(data: bytes) -> None:
    """Nothing but `ProtocolError` comes out, down to a call's and a special event's content."""
    for frame in sts.decodable(data):
        try:
            event = events.decode_notify(frame)
            if isinstance(event, events.InboxPushed):
                events.decode_call_content(event.line)
            elif isinstance(event, events.ChannelEvent) and isinstance(
                event.content, events.ChannelMessage
            ):
                events.decode_special_event(event.content.msg)
        except ProtocolError:
            continue


# --- calls ---------------------------------------------------------------------------------------


@given(sts.call_contents, st.sampled_from([events.VOIP_INVITE, events.VOIP_FAILED]))
def test_call_content_round_trips(content: events.CallContent, type_: str) -> None:
    """What an entry of a call tells arrives as it was."""
    line = call_line(events.encode_call_content(content), type_)
    assert events.decode_call_content(lines.decode(line.encode())) == content


def test_call_content_has_the_documented_form() -> None:
    """The documented keys, and `ecode` only where a call has failed."""
    content = events.CallContent(channel="c", peer="bob", peeruid=5, extra="{}")
    documented = {"channel": "c", "peer": "bob", "peeruid": 5, "extra": "{}"}
    assert json.loads(events.encode_call_content(content)) == documented
    failed = attrs.evolve(content, ecode=703)
    assert json.loads(events.encode_call_content(failed)) == {**documented, "ecode": 703}


@given(
    sts.any_texts
    | sts.json_bytes.map(bytes.decode)
    | st.dictionaries(
        st.sampled_from(["channel", "peer", "peeruid", "extra", "ecode"]), sts.json_values(3)
    ).map(json.dumps)
    | st.just("[" * 10_000)
)
def test_any_call_content_is_read_or_a_protocol_error(content: str) -> None:
    """Nothing but `ProtocolError` comes out of what a peer put into an entry."""
    try:
        decoded = events.decode_call_content(call_line(content))
    except ProtocolError:
        return
    assert events.decode_call_content(call_line(events.encode_call_content(decoded))) == decoded


def test_call_types_are_the_documented_ones() -> None:
    """protocol.md, section 4: one TYPE for each step of a call."""
    assert {
        events.VOIP_INVITE,
        events.VOIP_ACK,
        events.VOIP_ACCEPT,
        events.VOIP_REFUSE,
        events.VOIP_FAILED,
        events.VOIP_BYE,
        events.VOIP_MSG,
    } == {
        "voip_invite",
        *(f"voip_invite_{step}" for step in ("ack", "accept", "refuse", "failed", "bye", "msg")),
    }


@pytest.mark.parametrize(
    ("extra", "is_required", "timeout"),
    [
        ("", False, None),
        ({}, False, None),
        ("{}", False, None),
        (None, False, None),
        ("[1]", False, None),
        (5, False, None),
        ('{"_require_peer_online":1}', True, None),
        ({"_require_peer_online": 1}, True, None),
        ({"_require_peer_online": "1"}, True, None),
        ({"_require_peer_online": True}, True, None),
        ({"_require_peer_online": 0}, False, None),
        ({"_require_peer_online": "0"}, False, None),
        ({"_require_peer_online": [1]}, False, None),
        ('{"_timeout":1}', False, 1),
        ({"_timeout": 30}, False, 30),
        ({"_timeout": "30"}, False, 30),
        ({"_timeout": 2.5}, False, 2.5),
        ({"_timeout": None}, False, None),
        ({"_timeout": names.MAX_TTL_SECONDS}, False, names.MAX_TTL_SECONDS),
        ({"_timeout": 5, "_require_peer_online": 1, "x": 1}, True, 5),
    ],
    ids=sts.label,
)
def test_options_are_read_from_extra(
    extra: JsonValue,
    is_required: bool,
    timeout: float | None,
) -> None:
    """`extra` may carry the options as JSON text or as the value itself, beside other things."""
    assert events.call_options(extra) == events.CallOptions(
        require_peer_online=is_required, timeout_seconds=timeout
    )


@pytest.mark.parametrize(
    "extra",
    [
        *({"_timeout": timeout} for timeout in WRONG_TIMEOUTS),
        '{"_timeout":0}',
        '{"_timeout":"soon"}',
    ],
    ids=sts.label,
)
def test_wrong_timeout_is_1004(extra: JsonValue) -> None:
    """An invitation that nobody could time is refused."""
    with pytest.raises(ParameterError) as caught:
        events.call_options(extra)
    assert caught.value.ecode is ECode.GENERAL_E_WRONG_PARAM


@pytest.mark.parametrize(
    "extra",
    ["x", "{", "_timeout", "[1]", "9" * 5000, "\ud800", "[" * 4096 + "]" * 4096],
    ids=sts.label,
)
def test_text_that_is_no_object_has_no_options(extra: str) -> None:
    """Nor has it a native client's id, and the number that a call shows is put beside it."""
    assert events.call_options(extra) == events.CallOptions()
    assert events.call_id_in(extra) == ""
    if extra != "\ud800":
        assert json.loads(events.with_source(extra, "555")) == {"extra": extra, "srcNum": "555"}


@given(
    sts.python_values()
    | sts.json_values()
    | sts.any_texts
    | st.dictionaries(
        st.sampled_from(["_timeout", "_require_peer_online"]),
        sts.json_values(3) | sts.python_values(),
    )
)
def test_any_extra_has_options_or_is_refused(extra: JsonValue) -> None:
    """Nothing but `ParameterError` comes out, and a timeout is at least a second."""
    try:
        options = events.call_options(extra)
    except ParameterError:
        return
    assert options.timeout_seconds is None or options.timeout_seconds >= 1


@sts.few_examples
@given(st.text(st.sampled_from("0123456789*#"), min_size=1, max_size=30))
def test_dtmf_is_the_documented_extra(digits: str) -> None:
    """Digits travel as `{"msgtype": "dtmf", "msgdata": digits}`."""
    extra = events.encode_dtmf(digits)
    assert json.loads(extra) == {"msgtype": "dtmf", "msgdata": digits}
    assert extra == f'{{"msgtype":"dtmf","msgdata":"{digits}"}}'
    assert names.check_extra(extra) == extra


@pytest.mark.parametrize("digits", ["", "a", "1 2", "+1", "\uff11", "1\n", "\ud800"], ids=sts.label)
def test_other_characters_are_no_dtmf(digits: str) -> None:
    """Only 0 to 9, * and # can be dialled."""
    with pytest.raises(ParameterError) as caught:
        events.encode_dtmf(digits)
    assert caught.value.ecode is ECode.GENERAL_E_WRONG_PARAM


# --- special channels ----------------------------------------------------------------------------


@sts.few_examples
@given(sts.special_events)
def test_special_event_round_trips(event: events.SpecialEvent) -> None:
    """An event travels as the JSON text of a message from the special channel."""
    msg = frames.encode_json(event).decode()
    assert json.loads(msg) == attrs.asdict(event)
    content = events.ChannelMessage(
        channel=names.USER_ONLINE_CHANNEL, account=names.USER_ONLINE_CHANNEL, uid=0, msg=msg
    )
    received = notified(events.encode_channel_event(names.USER_ONLINE_CHANNEL, 1, content, 0))
    assert isinstance(received, events.ChannelEvent)
    assert isinstance(received.content, events.ChannelMessage)
    assert events.decode_special_event(received.content.msg) == event


@given(
    sts.python_values()
    | sts.json_values()
    | sts.json_bytes.map(bytes.decode)
    | st.dictionaries(
        st.sampled_from(["event", "channel", "account", "uid", "ts"]), sts.json_values(3)
    ).map(json.dumps)
)
def test_any_message_is_a_special_event_or_a_protocol_error(msg: JsonValue) -> None:
    """Nothing but `ProtocolError` comes out of what is no event."""
    try:
        event = events.decode_special_event(msg)
    except ProtocolError:
        return
    assert events.decode_special_event(frames.encode_json(event).decode()) == event
