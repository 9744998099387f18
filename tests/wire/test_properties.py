"""A message's properties: they come out as they went in, and whoever knows nothing of them reads
the same as without.
"""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from signal_sdk.ecodes import ECode
from signal_sdk.errors import ParameterError
from signal_sdk.wire import (
    call2,
    events,
    frames,
    functions,
    java_frames,
    json_frames,
    lines,
    results,
    typed,
    words,
)
from signal_sdk.wire import properties as wire
from signal_sdk.wire.names import JsonValue
from signal_sdk.wire.properties import Properties
from tests.wire import strategies as sts

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
TRACED = Properties(traceparent=PARENT, tracestate="vendor=a b")
LINE = lines.MessageLine(
    src="alice", dst="bob", type="instant", content="hi \x1f{}", time=15, ttl=60, msg_id="7.~a.1"
)
MESSAGE = events.ChannelMessage(channel="room", account="alice", uid=7, msg="hi", id="~a.1")


@given(sts.message_ids, sts.properties)
def test_properties_come_out_of_an_id_as_they_went_in(
    message_id: str, properties: Properties
) -> None:
    text = wire.attach(message_id, properties)
    assert " " not in text.removeprefix(message_id)
    assert wire.detach(text) == (message_id, properties)
    assert wire.bare(text) == message_id


@given(sts.message_ids)
def test_an_id_without_properties_stays_as_it_is(message_id: str) -> None:
    assert wire.attach(message_id, None) == wire.attach(message_id, wire.NONE) == message_id
    assert wire.detach(message_id) == (message_id, None)


@given(sts.any_texts)
def test_whatever_stands_behind_an_id_raises_nothing(said: str) -> None:
    message_id, _ = wire.detach(f"id{wire.SEPARATOR}{said}")
    assert message_id == "id"


@given(sts.message_lines(), sts.properties)
def test_a_line_with_properties_is_read_without_them(
    line: lines.MessageLine, properties: Properties
) -> None:
    line = structs.replace(line, msg_id="id")
    text = structs.replace(line, properties=properties).encode()
    assert lines.decode(text) == structs.replace(line, properties=properties)
    assert lines.without_properties(text) == line.encode()
    assert lines.without_id(text) == structs.replace(line, msg_id=None).encode()
    assert lines.time_ms(text) == line.time
    assert lines.is_binary(text) is properties.binary


@pytest.mark.parametrize(
    "value",
    [
        *(None, {}, {"traceparent": 7}, {"traceparent": ""}, {"binary": False}, {"unknown": 1}),
        {"traceparent": PARENT[:-1]},
        {"traceparent": PARENT.upper()},
        {"traceparent": f"{PARENT}\n"},
        {"tracestate": "a=b"},
    ],
)
def test_a_trace_that_is_none_is_passed_over(value: JsonValue) -> None:
    assert wire.check(value) is None


@pytest.mark.parametrize("value", [1, "00", [], {"binary": 1}, {"binary": None}])
def test_what_leaves_open_whether_it_is_bytes_is_refused(value: JsonValue) -> None:
    with pytest.raises(ParameterError) as refused:
        wire.check(value)
    assert refused.value.ecode is ECode.GENERAL_E_WRONG_PARAM


@given(st.binary(max_size=300), sts.properties)
def test_what_a_line_says_in_bytes_is_counted_as_bytes(data: bytes, properties: Properties) -> None:
    line = structs.replace(
        LINE,
        content=wire.encode_bytes(data),
        properties=structs.replace(properties, binary=True),
    ).encode()
    assert lines.is_binary(line)
    assert lines.content_size(line) == len(data)
    assert not lines.is_binary(lines.without_properties(line))


@pytest.mark.parametrize("state", [7, "é", "a\x1fb", "x" * 513])
def test_a_state_that_is_none_is_passed_over(state: JsonValue) -> None:
    found = wire.check({"traceparent": PARENT, "tracestate": state})
    assert found == Properties(traceparent=PARENT)


def test_a_request_says_them_as_an_object() -> None:
    args = functions.ChannelSendMessage(channel="room", msg="hi", properties=TRACED)
    frame = frames.decode_frame(call2.encode_request(1, "line", args))
    _, _, read = call2.decode_args(call2.decode_request(frame))
    assert read == args
    assert json.loads(bytes(frame.payload))[2]["properties"] == {
        "traceparent": PARENT,
        "tracestate": "vendor=a b",
    }


def test_a_message_with_properties_is_decoded_step_by_step() -> None:
    args = functions.UserSendMessage(
        peer="bob", flag="v1:E:60", kind="instant", content="hi", properties=TRACED
    )
    text = call2.encode_request(1, "line", args)
    assert call2.decode_message(text) is None
    request = call2.decode_plain_request(text)
    assert request is not None
    assert call2.decode_args(request)[2] == args


def test_an_id_with_a_separator_is_refused() -> None:
    """So nobody can make up properties."""
    with pytest.raises(ValueError, match="message id"):
        functions.ChannelSendMessage(channel="room", msg="hi", message_id=f"a{wire.SEPARATOR}{{}}")


def test_original_clients_read_an_entry_as_without() -> None:
    plain, traced = LINE.encode(), structs.replace(LINE, properties=TRACED).encode()

    def entries(line: str, *, has_ids: bool) -> list[bytes]:
        page = results.GetMessagesResult(ver_clear=1, msgs=((2, line),))
        said: list[typed.Plain] = [typed.Entry(2, line), typed.Reply(1, page)]
        return [
            text
            for frame in said
            for text in (
                json_frames.encode_server(frame, has_ids=has_ids, is_pushed=True),
                java_frames.encode_server(frame),
                words.encode_server(frame),
            )
        ]

    for has_ids in (True, False):
        assert entries(traced, has_ids=has_ids) == entries(plain, has_ids=has_ids)


def test_original_clients_read_an_event_as_without() -> None:
    traced = events.ChannelMessage(
        channel="room", account="alice", uid=7, msg="hi", id="~a.1", properties=TRACED
    )
    for encode in (events.encode_channel_event, java_frames.encode_event):
        assert encode("room", 3, traced, 4) == encode("room", 3, MESSAGE, 4)
    assert events.channel_line("room", traced, 4) == events.channel_line("room", MESSAGE, 4)


def test_clients_of_ours_read_both() -> None:
    traced = structs.replace(LINE, properties=TRACED)
    frame = json_frames.encode_server(
        typed.Entry(2, traced.encode()), has_ids=True, is_pushed=True, has_properties=True
    )
    assert events.decode_notify(frames.decode_frame(frame)) == events.InboxPushed(2, traced)
    told = events.ChannelMessage(
        channel="room", account="alice", uid=7, msg="hi", id="~a.1", properties=TRACED
    )
    event = events.encode_channel_event("room", 3, told, 4, has_properties=True)
    heard = events.decode_notify(frames.decode_frame(event))
    assert heard == events.ChannelEvent(channel="room", msgid=3, content=told)
