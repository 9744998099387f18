"""Hypothesis strategies for all that the wire carries, and for what is damaged on its way.

Owns: what a legal value of each kind may look like. Must not assert anything.
"""

from __future__ import annotations

import functools
import sys
import unicodedata

import attrs
from hypothesis import settings
from hypothesis import strategies as st
from msgspec import UNSET

from signal_sdk.ecodes import ECode
from signal_sdk.wire import call2, events, frames, functions, lines, login, looks, names
from signal_sdk.wire import results as wire_results
from signal_sdk.wire.arguments import Arguments
from signal_sdk.wire.attribute_functions import MAX_TTL_MS
from signal_sdk.wire.names import JsonValue
from signal_sdk.wire.properties import SEPARATOR, Properties

READS_DEEP = sys.version_info >= (3, 14)
"""Is JSON that is nested tens of thousands deep read, and refused where it is to be relayed? Until
Python 3.14 nothing reads it: a count bounds what goes by the stack's size since."""

texts = st.text(max_size=20)
"""Text that UTF-8 can hold: no lone surrogates."""
any_texts = st.text(st.characters(), max_size=20)
"""Any Python text, lone surrogates and control characters included."""
integers = st.integers(-names.MAX_INTEGER, names.MAX_INTEGER)
counts = st.integers(0, names.MAX_INTEGER)


@functools.cache
def json_values(leaves: int = 6) -> st.SearchStrategy[JsonValue]:
    """JSON values that come back as they went: everything but NaN and the infinities."""
    return st.recursive(
        st.none()
        | st.booleans()
        | integers
        | st.integers()
        | st.floats(allow_nan=False, allow_infinity=False)
        | texts,
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
        max_leaves=leaves,
    )


def python_values() -> st.SearchStrategy[object]:
    """What a caller may pass by mistake: JSON values, and all that JSON has no form for."""
    odd = (
        any_texts
        | st.floats()
        | st.binary(max_size=10)
        | st.complex_numbers()
        | st.builds(object)
        | st.sampled_from([10**5000, -(10**5000), 2**64, nested(2_000), {1: nested(2_000)}])
    )
    return odd | st.lists(odd, max_size=3) | st.dictionaries(any_texts, odd, max_size=3)


def label(value: object) -> str:
    """A parametrized value as a test's id shows it: short, printable, the same in every process."""
    if isinstance(value, int) and abs(value) > 10**20:
        return f"{value.bit_length()}-bit-integer"
    if not isinstance(value, str | bytes | int | float | None):
        return type(value).__name__
    text = ascii(value).strip("'")
    return text if len(text) <= 40 else f"{text[:20]}...{len(text)}"


def nested(depth: int) -> list[JsonValue]:
    """An empty list inside `depth` more lists."""
    value: list[JsonValue] = []
    for _ in range(depth):
        value = [value]
    return value


few_examples = settings(max_examples=25)
"""For properties of a fixed form, where more examples would show nothing new."""

json_dicts = st.dictionaries(texts, json_values(4), max_size=4)
json_bytes = json_values().map(frames.encode_json)

# --- names ---------------------------------------------------------------------------------------


def is_control(char: str) -> bool:
    return unicodedata.category(char) == "Cc"


_name_chars = st.characters(exclude_categories=["Cs", "Cc"])
_field_chars = _name_chars.filter(lambda char: not char.isspace())
_shown_chars = _name_chars.filter(lambda char: not looks.hidden_char(char))

_LONGEST = ["a" * names.MAX_NAME_CHARS, "😀" * names.MAX_NAME_CHARS]

_longest = st.sampled_from(_LONGEST)

accounts = (
    st.text(_shown_chars.filter(lambda char: not char.isspace()), min_size=1, max_size=20)
    | _longest
)
attr_names = st.text(_name_chars, min_size=1, max_size=20) | _longest
channel_names = (
    st.text(_shown_chars, min_size=1, max_size=20)
    | _longest
    | st.sampled_from(sorted(names.SPECIAL_CHANNELS))
)
message_ids = st.just("") | st.text(_field_chars, min_size=1, max_size=20) | _longest
session_lines = st.text(st.characters(codec="ascii", categories=["L", "N"]), max_size=40)
ttls = st.integers(0, names.MAX_TTL_SECONDS)
extras = st.just("") | json_values(4).map(frames.encode_json).map(bytes.decode) | json_dicts
callids = st.integers(0, names.MAX_INTEGER) | texts
ecodes = st.sampled_from(sorted(ECode))
failure_ecodes = st.sampled_from(sorted(set(ECode) - {ECode.SUCCESS}))

# --- message lines -------------------------------------------------------------------------------

line_fields = st.text(st.characters(exclude_characters=" ", codec="utf-8"), min_size=1, max_size=20)


@functools.cache
def message_lines(content: st.SearchStrategy[str] = texts) -> st.SearchStrategy[lines.MessageLine]:
    return st.builds(
        lines.MessageLine,
        src=line_fields,
        dst=line_fields,
        type=line_fields,
        content=content,
        time=st.integers(0, 10**16 - 1),
        ttl=ttls,
        msg_id=st.none() | line_fields.filter(lambda text: SEPARATOR not in text),
    )


# --- properties ----------------------------------------------------------------------------------


@st.composite
def _any_properties(draw: st.DrawFn) -> Properties:
    trace, span, flags = (draw(st.binary(min_size=it, max_size=it)) for it in (16, 8, 1))
    state = draw(st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=40))
    return Properties(
        traceparent=f"00-{trace.hex()}-{span.hex()}-{flags.hex()}",
        tracestate=state,
        binary=draw(st.booleans()),
    )


properties = _any_properties()

# --- call2 ---------------------------------------------------------------------------------------

_ARGUMENTS: dict[str, st.SearchStrategy[JsonValue]] = {
    "account": accounts,
    "channel": channel_names,
    "content": json_values(4),
    "extra": extras,
    "flag": ttls.map(lines.make_flag),
    "force": st.booleans(),
    "kind": st.just("instant"),
    "ask": message_ids.filter(bool),
    "lease": st.integers(names.MIN_LEASE_MS, names.MAX_LEASE_MS),
    "lock": attr_names,
    "wait": st.integers(0, names.MAX_LOCK_WAIT_MS),
    "max": st.integers(1, names.MAX_INTEGER),
    "message_id": message_ids,
    "call": channel_names,
    "call_id": message_ids,
    "digits": st.text(sorted(names.DTMF_DIGITS), min_size=1, max_size=20),
    "msg": json_values(4),
    "msgid": counts,
    "name": attr_names,
    "num": counts,
    "peer": accounts,
    "properties": st.none() | properties,
    "source": accounts,
    "value": json_values(4),
    "ver_clear": counts,
    "set": st.dictionaries(attr_names, json_values(4), max_size=3),
    "delete": st.lists(attr_names, unique=True, max_size=3).map(tuple),
    "conditions": st.dictionaries(attr_names, counts, max_size=3),
    "revision": st.none() | counts,
    "ttl": st.integers(0, MAX_TTL_MS),
}


def _arguments_of(cls: type[Arguments]) -> st.SearchStrategy[Arguments]:
    fields = attrs.fields(cls)  # type: ignore[arg-type]  # every subclass is an attrs class
    return st.builds(cls, **{field.name: _ARGUMENTS[field.name] for field in fields})


@st.composite
def _arguments(draw: st.DrawFn) -> Arguments:
    # Of a name of its own, since what it is made of fills pages where Hypothesis tells of it.
    return draw(st.one_of([_arguments_of(cls) for cls in functions.FUNCTIONS.values()]))


arguments = _arguments()
"""The arguments of any function, all of them legal."""

members = st.lists(st.tuples(accounts, counts), max_size=4).map(tuple)
results: st.SearchStrategy[wire_results.Result] = st.one_of(
    st.builds(wire_results.Result),
    st.builds(wire_results.SetAttrResult),
    st.builds(
        wire_results.GetMessagesResult,
        ver_clear=counts,
        msgs=st.lists(
            st.tuples(counts, message_lines().map(lines.MessageLine.encode)), max_size=3
        ).map(tuple),
    ),
    st.builds(wire_results.QueryStatusResult, account=accounts, status=st.sampled_from([0, 1])),
    st.builds(wire_results.GetAttrResult, account=accounts, name=attr_names, value=json_values(4)),
    st.builds(
        wire_results.GetAttrAllResult,
        account=accounts,
        json=json_dicts.map(frames.encode_json).map(bytes.decode),
    ),
    st.builds(wire_results.JoinResult, list=members, attrs=json_dicts, num=counts),
    st.builds(wire_results.QueryNumResult, num=counts),
    st.builds(wire_results.QueryUserIsInResult, isin=st.sampled_from([0, 1])),
    st.builds(wire_results.QueryUserListResult, num=counts, list=members),
    st.builds(wire_results.CatchUpResult, msgid=counts, gap=st.sampled_from([0, 1])),
)

# --- logging in ----------------------------------------------------------------------------------

logins = st.builds(
    login.Login,
    vid=texts,
    account=accounts | integers,
    token=texts,
    uid=counts,
    device=st.sampled_from([login.WEB_DEVICE, login.NATIVE_DEVICE]),
    ip=texts,
    ver=counts,
    many_channels=st.just(UNSET) | st.booleans(),
)
line_logins = st.builds(login.LineLogin, line=session_lines, msgid=counts)
_some_channels = st.just(UNSET) | st.lists(channel_names, max_size=3).map(tuple)
login_successes = st.builds(
    login.LoginSucceeded,
    uid=counts,
    line=session_lines,
    gap=st.booleans(),
    channels=_some_channels,
    removed_from=_some_channels,
)
closings = st.builds(login.Closing, ecode=ecodes.map(int), reason=texts)

# --- events --------------------------------------------------------------------------------------

_who = {"channel": channel_names, "account": accounts, "uid": counts}
channel_contents: st.SearchStrategy[events.ChannelContent] = st.one_of(
    st.builds(events.ChannelMessage, **_who, msg=json_values(4)),
    st.builds(events.ChannelUserJoin, **_who),
    st.builds(events.ChannelUserLeave, **_who),
    st.builds(
        events.ChannelAttrUpdate,
        **_who,
        name=attr_names,
        value=json_values(4),
        change=st.sampled_from(["update", "del", "clear", "set"]),
    ),
)
call_contents = st.builds(
    events.CallContent,
    channel=channel_names,
    peer=accounts,
    peeruid=counts,
    extra=json_values(4),
    ecode=ecodes.map(int),
)
special_events = st.builds(
    events.SpecialEvent,
    event=st.sampled_from(["online", "offline", "join", "leave"]),
    channel=channel_names,
    account=accounts,
    uid=counts,
    ts=counts,
)

# --- frames --------------------------------------------------------------------------------------

client_frames = st.one_of(
    st.builds(frames.encode_frame, st.just(login.LOGIN), logins),
    st.builds(frames.encode_frame, st.just(login.LINE_LOGIN), line_logins),
    st.builds(frames.encode_frame, st.just(login.SET_FLAG), st.just(login.SetFlag(binary=1))),
    st.builds(frames.encode_frame, st.just(login.PING), counts),
    st.builds(call2.encode_request, callids, session_lines, arguments),
)
"""What a client sends."""

server_frames = st.one_of(
    st.builds(login.encode_success, login_successes),
    st.builds(call2.encode_success, callids, results),
    st.builds(frames.encode_frame, st.just(login.PONG), counts),
    st.builds(frames.encode_frame, st.just(login.CLOSE), closings),
    st.builds(events.encode_announcement, counts),
    st.builds(events.encode_push, counts, message_lines().map(lines.MessageLine.encode)),
    st.builds(events.encode_channel_event, channel_names, counts, channel_contents, counts),
)
"""What a server sends, one event a frame."""

valid_frames = client_frames | server_frames

_FRAGMENTS = [
    b"",
    b"\x00",
    b"\xff",
    b'"',
    b"\\ud800",
    b"[",
    b"]",
    b"{",
    b"}",
    b",",
    b":",
    b"-",
    b"0",
    b"1e999",
    b"9" * 400,
    b"9" * 5000,
    b"NaN",
    b"null",
    b"true",
    b"[" * 2000,
    b" ",
]


@st.composite
def mutated(draw: st.DrawFn, source: st.SearchStrategy[bytes] = valid_frames) -> bytes:
    """Bytes that were valid until one to three slices were replaced, doubled, or cut out."""
    data = draw(source)
    for _ in range(draw(st.integers(1, 3))):
        start = draw(st.integers(0, len(data)))
        end = draw(st.integers(start, min(len(data), start + 8)))
        middle = draw(st.sampled_from([*_FRAGMENTS, data[start:end] * 2]) | st.binary(max_size=4))
        data = data[:start] + middle + data[end:]
    return data


frame_of_any_json = st.builds(
    lambda event, payload: frames.encode_json([event, payload]),
    st.sampled_from(
        [
            login.LOGIN,
            login.LOGIN_RET,
            login.LINE_LOGIN,
            login.SET_FLAG,
            login.PING,
            login.CLOSE,
            login.KICK,
            call2.CALL,
            call2.REPLY,
            events.NOTIFY,
            frames.MULTI,
        ]
    ),
    json_values(),
)
"""A well-formed frame whose payload is any JSON value."""

hostile_bytes = st.binary(max_size=200) | json_bytes | frame_of_any_json | mutated()
"""What a peer may send that means harm, or nothing."""


def decodable(data: bytes) -> list[frames.Frame]:
    """The frames in `data`, or none."""
    try:
        return frames.decode_frames(data)
    except frames.FrameError:
        return []
