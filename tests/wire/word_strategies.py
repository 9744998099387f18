"""What the tests of words share: what either side may say, and what nobody says."""

from __future__ import annotations

from hypothesis import strategies as st

from signal_sdk.errors import LoginError, SignalError
from signal_sdk.wire import call2, frames, lines, login, results, typed, words, words_heard
from tests.wire import strategies as sts

V2 = "msg-v2 alice bob v1:E:3600 instant 1500000000000 hello  big world "
V3 = "msg-v3 id-7 alice bob v1:E:3600 instant 1500000000000 hello  big world "
LARGEST = 2**63 - 1

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


SECRET = "S3CRET"
