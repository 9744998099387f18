"""What is decoded in one go is what comes out step by step, or nothing."""

from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from signal_sdk.errors import ProtocolError
from signal_sdk.wire import call2, events, frames, functions, lines, names, results
from signal_sdk.wire.heard import decode_plain
from tests.wire.strategies import json_values

words = st.text(st.sampled_from('ab ~|ü\n"\\'), max_size=5)
message_lines = st.one_of(
    words,
    st.lists(
        st.sampled_from(
            ["", "msg-v2", "msg-v3", "~a.1", "bob", "v1:E:60", "v1:E:", "instant", "17"]
        ),
        max_size=10,
    ).map(" ".join),
    st.builds(
        "msg-v3 {} bob alice v1:E:{} instant {} {}".format,
        words,
        st.integers(-1, 10**13),
        st.one_of(st.integers(-1, 10**17), words),
        words,
    ),
)
entries = st.tuples(st.integers(-(2**63), 2**63), message_lines)
payloads = st.one_of(
    json_values(),
    st.tuples(st.just("recvmsg"), entries.map(frames.encode_json).map(bytes.decode)),
    st.tuples(st.just("recvmsg"), words),
    st.tuples(
        st.sampled_from([1, "1", 1.5, None]),
        words,
        st.sampled_from(['{"result":"ok"}', "{}", ""]),
    ),
    st.lists(st.one_of(words, st.integers(0, 9)), max_size=4),
)
texts = st.one_of(
    st.binary(max_size=20),
    st.builds(
        frames.encode_frame, st.sampled_from(["notify", "call2-ret", "multi", "x"]), payloads
    ),
    # White space where JSON allows it, or something cut off.
    st.builds(
        lambda event, payload, cut: msgspec.json.format(frames.encode_frame(event, payload))[:cut],
        st.sampled_from(["notify", "call2-ret"]),
        payloads,
        st.sampled_from([None, -1, -3]),
    ),
)


def step_by_step(text: bytes) -> Any:
    """What a frame says by itself, or None where that cannot be told."""
    try:
        [frame] = frames.decode_frames(text)
        if frame.event == call2.REPLY:
            return call2.decode_reply(frame)
        if frame.event == events.NOTIFY:
            told = events.decode_notify(frame)
            return told if isinstance(told, events.InboxPushed) else None
    except (ProtocolError, ValueError):
        pass
    return None


@given(texts)
def test_what_is_decoded_in_one_go_is_what_comes_out_step_by_step(text: bytes) -> None:
    plain = decode_plain(text)
    assert plain is None or plain == step_by_step(text)


@given(st.integers(0, 2**62), words.filter(bool), st.integers(0, 1000))
def test_what_the_server_says_most_is_decoded_in_one_go(
    number: int, content: str, ttl: int
) -> None:
    push = events.encode_push(
        number, lines.encode_message("~a.1", "bob", "alice", ttl, "instant", 17, content)
    )
    line = lines.MessageLine(
        src="bob", dst="alice", type="instant", content=content, time=17, ttl=ttl, msg_id="~a.1"
    )
    assert decode_plain(push) == events.InboxPushed(number, line)
    reply = call2.encode_success(number, call2.encode_result(results.DONE))
    decoded = decode_plain(reply)
    assert isinstance(decoded, call2.Reply)
    assert decoded.result(results.Result) is results.DONE


def _decode_line_by_parts(text: str) -> lines.MessageLine:
    """Field by field, as protocol.md has it."""
    version, _, rest = text.partition(" ")
    msg_id = None
    if version == lines.V3:
        msg_id, _, rest = rest.partition(" ")
    elif version != lines.V2:
        raise ProtocolError("version")
    fields = rest.split(" ", 5)
    if len(fields) != 6 or not all(fields[:5]) or msg_id == "":
        raise ProtocolError("fields")
    src, dst, flag, kind, time, content = fields
    if not time.isascii() or not time.isdigit() or len(time) > 16:
        raise ProtocolError("time")
    return lines.MessageLine(
        src=src,
        dst=dst,
        type=kind,
        content=content,
        time=int(time),
        ttl=lines.parse_flag(flag),
        msg_id=msg_id,
    )


@given(message_lines)
def test_a_line_is_taken_apart_at_once_as_field_by_field(text: str) -> None:
    try:
        expected = _decode_line_by_parts(text)
    except ProtocolError:
        expected = None
    try:
        decoded = lines.decode(text)
    except ProtocolError:
        decoded = None
    assert decoded == expected


@given(st.text(max_size=10), st.integers(0, names.MAX_TTL_SECONDS), st.integers(1, 10**9))
def test_a_message_that_is_right_is_spelled_as_any(content: str, ttl: int, number: int) -> None:
    flag, message_id = lines.make_flag(ttl), f"~a.{number}"
    message = functions.UserSendMessage(
        peer="bob", flag=flag, kind=events.INSTANT, content=content, message_id=message_id
    )
    quick = call2.encode_message(number, "line", 5, "bob", flag, content, message_id)
    assert quick == call2.encode_request(number, "line", message, 5)
