"""Bad input: what each kind of it gets, and that nobody else notices.

Whatever arrives, a bystander is still served behind it, and no error is logged (conftest.py).
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest
import trio
from websockets.frames import Frame, Opcode

from signal_sdk.server.config import Config
from signal_sdk.testing.server import LocalServer
from signal_sdk.wire.names import MAX_FRAME_BYTES
from tests.server.helpers import LogIn, dev_config, is_refusal, polled, pushed, settle
from tests.wire import strategies as sts
from tests.wire_client import WireClient, wire_client

DEEP = b"[" * 10_000 + b"]" * 10_000
LESS_DEEP = b"[" * 4_000 + b"]" * 4_000
"""What a stranger may send at all."""
EMOJI = "😀" * 8192
ESCAPED_EMOJI = rb"\ud83d\ude00" * 8192
LONE = rb"\ud83d"


@pytest.fixture
async def bystander(log_in: LogIn) -> AsyncIterator[WireClient]:
    """Somebody else, who is served before and after."""
    client = await log_in("bystander")
    await client.call("channel_join", name="square")
    yield client
    with trio.fail_after(5):
        client.send("ping", 12345)
        assert await client.expect("pong") == 12345
        reply = await client.call("channel_sendmsg", name="square", msg="still here")
        assert reply["result"] == "ok"
        assert (await client.call("user_query_user_status", account="bystander"))["status"] == 1


@pytest.fixture
async def stranger(server: LocalServer, bystander: WireClient) -> AsyncIterator[WireClient]:
    """A client that has not logged in."""
    async with wire_client(server.connect()) as client:
        yield client


@pytest.fixture
async def ann(log_in: LogIn, bystander: WireClient) -> WireClient:
    """A client that has logged in."""
    return await log_in("ann")


async def is_sent_away(client: WireClient, code: int = 1007) -> bool:
    """Is the client told `close`, and then closed with `code`?"""
    with trio.fail_after(5):
        closing = await client.expect("close")
        closed = await client.wait_closed()
    return bool(closing["reason"]) and closed.code == code


def raw_call(client: WireClient, function: str, args: bytes, callid: bytes = b"7") -> None:
    """Send a `call2` whose `args` (without braces and `line`) are JSON text as it is."""
    line = msgspec.json.encode(client.line)
    client.send_raw(b'["call2",["%b",%b,{"line":%b%b}]]' % (function.encode(), callid, line, args))


# --- frames that are none ---

NO_FRAMES = [
    pytest.param(b"", id="nothing"),
    pytest.param(b"hello", id="not JSON"),
    pytest.param(b'["ping", 1', id="JSON that is cut off"),
    pytest.param(b'["ping", 1] x', id="something behind the JSON"),
    pytest.param(b'{"event": "ping"}', id="not an array"),
    pytest.param(b'"ping"', id="a string"),
    pytest.param(b"42", id="a number"),
    pytest.param(b"null", id="null"),
    pytest.param(b"[]", id="an empty array"),
    pytest.param(b'["ping"]', id="no payload"),
    pytest.param(b'["ping", 1, 2]', id="too much payload"),
    pytest.param(b"[1, 2]", id="an event that is a number"),
    pytest.param(b"[null, 2]", id="an event that is null"),
    pytest.param(b'["\xff\xfe", 1]', id="not UTF-8"),
    pytest.param(b'["ping", NaN]', id="NaN"),
    pytest.param(DEEP, id="JSON nested 10,000 deep"),
    pytest.param(b'["ping", %b]' % DEEP, id="a payload nested 10,000 deep"),
    pytest.param(b'["call2", %b]' % DEEP, id="a call nested 10,000 deep"),
    pytest.param(b'["login", {"account": %b}]' % DEEP, id="a login nested 10,000 deep"),
    pytest.param(b'["%b", 1]' % LONE, id="an event with half a surrogate pair"),
]


@pytest.mark.parametrize("text", NO_FRAMES)
async def test_what_is_no_frame_closes_the_connection_before_a_login(
    stranger: WireClient, text: bytes
) -> None:
    stranger.send_raw(text.replace(DEEP, LESS_DEEP))
    assert await is_sent_away(stranger)


@pytest.mark.parametrize("text", NO_FRAMES)
async def test_what_is_no_frame_closes_the_connection_after_a_login(
    ann: WireClient, bystander: WireClient, text: bytes
) -> None:
    ann.send_raw(text)
    assert await is_sent_away(ann)
    # The account is not to blame for its connection: it has its time to come back.
    assert (await bystander.call("user_query_user_status", account="ann"))["status"] == 1


WRONG_PAYLOADS = [
    pytest.param("login", [1, 2], id="login: a list"),
    pytest.param("login", "ann", id="login: text"),
    pytest.param("login", {}, id="login: nothing"),
    pytest.param("login", {"vid": "app"}, id="login: no account"),
    pytest.param("login", {"vid": 1, "account": "x"}, id="login: an app that is a number"),
    pytest.param(
        "login", {"vid": "app", "account": "x", "token": 5}, id="login: a token that is a number"
    ),
    pytest.param(
        "login", {"vid": "app", "account": "x", "ver": "new"}, id="login: a version that is text"
    ),
    pytest.param("line_login", {"line": 1}, id="line_login: a number"),
    pytest.param("line_login", {}, id="line_login: nothing"),
    pytest.param("ping", "x", id="ping: text"),
    pytest.param("ping", None, id="ping: null"),
    pytest.param("ping", 1.5, id="ping: a fraction"),
    pytest.param("set_flag", 1, id="set_flag: a number"),
    pytest.param("call2", {}, id="call2: an object"),
    pytest.param("call2", ["channel_join"], id="call2: no id"),
    pytest.param("call2", ["channel_join", {"id": 1}, {}], id="call2: an id that is an object"),
    pytest.param("call2", ["channel_join", None, {}], id="call2: an id that is null"),
    pytest.param("call2", ["channel_join", True, {}], id="call2: an id that is true"),
    pytest.param("call2", [1, 2, {}], id="call2: a function that is a number"),
    pytest.param("call2", ["channel_join", 1, {}, "more"], id="call2: too much"),
]


@pytest.mark.parametrize(("event", "payload"), WRONG_PAYLOADS)
async def test_a_payload_of_a_wrong_type_closes_the_connection(
    stranger: WireClient, ann: WireClient, event: str, payload: Any
) -> None:
    for client in (stranger, ann):
        client.send(event, payload)
        assert await is_sent_away(client)


async def test_a_binary_frame_closes_the_connection(stranger: WireClient, ann: WireClient) -> None:
    for client in (stranger, ann):
        frame = Frame(Opcode.BINARY, b'["ping", 1]').serialize(mask=True)
        client.link.outbox.append(frame)
        assert await is_sent_away(client)


async def test_an_unknown_event_is_passed_over(stranger: WireClient, ann: WireClient) -> None:
    for client in (stranger, ann):
        for payload in (None, {"a": [1]}, "x"):
            client.send("no_such_event", payload)
            client.send("multi", [["ping", 1]])
            client.send("login_ret", ["", "{}"])
        client.send("ping", 1)
        assert await client.expect("pong") == 1
        assert client.seen == []


@pytest.mark.parametrize("counter", [0, -1, 2**63, 2**64, 10**30])
async def test_a_ping_of_any_integer_is_answered(ann: WireClient, counter: int) -> None:
    ann.send("ping", counter)
    assert await ann.expect("pong") == counter


# --- size ---


@pytest.mark.parametrize("fragments", [1, 4])
async def test_a_frame_over_128_kib_closes_the_connection_with_1009(
    ann: WireClient, fragments: int
) -> None:
    part = b"x" * (MAX_FRAME_BYTES // fragments + 1)
    for number in range(fragments):
        opcode = Opcode.CONT if number else Opcode.TEXT
        frame = Frame(opcode, part, fin=number == fragments - 1)
        ann.link.outbox.append(frame.serialize(mask=True))
    assert (await ann.wait_closed()).code == 1009


async def test_a_frame_that_only_says_that_it_is_huge_is_refused_at_once(
    stranger: WireClient,
) -> None:
    stranger.link.outbox.append(b"\x81\xff" + (2**62).to_bytes(8) + bytes(4))
    assert (await stranger.wait_closed()).code == 1009


async def test_a_frame_of_exactly_128_kib_is_read(ann: WireClient) -> None:
    head = b'["no_such_event", "'
    ann.send_raw(head + b"x" * (MAX_FRAME_BYTES - len(head) - 2) + b'"]')
    ann.send("ping", 1)
    assert await ann.expect("pong") == 1


@pytest.mark.parametrize("function", ["user_sendmsg", "channel_sendmsg"])
async def test_a_message_of_8193_characters_is_refused_with_1005(
    ann: WireClient, bystander: WireClient, function: str
) -> None:
    args = {
        "peer": "bystander",
        "flag": "v1:E:60",
        "t": "instant",
        "name": "square",
        "force": True,
    }
    for text in ("x" * 8193, "😀" * 8193, ["x" * 8190]):
        assert is_refusal(await ann.call(function, **args, content=text, msg=text), 1005)
    assert await pushed(bystander) == []
    assert bystander.channel_events() == []
    # What cannot be seen does not count.
    assert (await ann.call(function, **args, content="x\n" * 8192, msg="x\n" * 8192))["err"] == ""


@pytest.mark.parametrize("kind", ["channel", "peer", "call"])
async def test_8192_emoji_escaped_as_surrogate_pairs_pass_from_end_to_end(
    ann: WireClient, bystander: WireClient, kind: str
) -> None:
    if kind == "channel":
        raw_call(ann, "channel_sendmsg", b',"name":"square","force":1,"msg":"%b"' % ESCAPED_EMOJI)
        assert (await ann.reply(7))["result"] == "ok"
        await settle()
        ((_, _, _, content),) = bystander.channel_events()
        assert content["msg"] == EMOJI
    elif kind == "peer":
        raw_call(
            ann,
            "user_sendmsg",
            b',"peer":"bystander","flag":"v1:E:60","t":"instant","content":"%b"' % ESCAPED_EMOJI,
        )
        assert (await ann.reply(7))["result"] == "ok"
        assert await pushed(bystander) == [("instant", EMOJI)]
        assert await polled(bystander) == [("instant", EMOJI)]
    else:
        extra = b'\\"%b\\"' % ESCAPED_EMOJI[: 12 * 8190]
        raw_call(ann, "voip_invite", b',"channelName":"c","peer":"bystander","extra":"%b"' % extra)
        assert (await ann.reply(7))["result"] == "ok"
        ((_, call),) = await pushed(bystander)
        assert call["extra"] == f'"{EMOJI[:8190]}"'


# --- calls ---


async def test_a_call_before_login_is_refused_with_1003(stranger: WireClient) -> None:
    assert is_refusal(await stranger.call("channel_join", name="room"), 1003)
    assert is_refusal(await stranger.call("no_such_function"), 1003)
    assert is_refusal(await stranger.call("user_logout"), 1003)
    # It may log in all the same.
    assert (await stranger.login("late"))["result"] == "ok"
    assert (await stranger.call("channel_join", name="room"))["result"] == "ok"


async def test_another_sessions_line_is_refused_with_1003(
    ann: WireClient, bystander: WireClient
) -> None:
    own = ann.line
    lines: tuple[Any, ...] = (bystander.line, "", own + "x", own[:-1], None, 1, [own], "é")
    for line in lines:
        ann.line = line
        assert is_refusal(await ann.call("channel_join", name="room"), 1003)
        assert is_refusal(await ann.call("user_logout"), 1003)
    raw = b'["call2",["channel_join","no line",{"name":"room"}]]'
    ann.send_raw(raw)
    assert is_refusal(await ann.reply("no line"), 1003)  # type: ignore[arg-type]  # ids may be text
    ann.line = own
    assert (await ann.call("channel_join", name="room"))["list"] == [["ann", ann.uid]]


@pytest.mark.parametrize("function", ["no_such_function", "", "channel_join ", "é", "x" * 10_000])
async def test_an_unknown_function_is_refused_with_1004(ann: WireClient, function: str) -> None:
    assert is_refusal(await ann.call(function), 1004)


@pytest.mark.parametrize("args", [None, [], "x", 5, [["name", "room"]]])
async def test_arguments_that_are_no_object_are_refused_with_1004(
    ann: WireClient, args: Any
) -> None:
    ann.send("call2", ["channel_join", 1, args])
    assert is_refusal(await ann.reply(1), 1004)


@pytest.mark.parametrize("callid", [b"10000000000000000000000000", b'""', b"-1", b'"\\u0000"'])
async def test_any_number_or_text_is_an_id(ann: WireClient, callid: bytes) -> None:
    raw_call(ann, "channel_query_num", b',"name":"room"', callid)
    reply = await ann.expect("call2-ret")
    assert reply[:2] == [msgspec.json.decode(callid), ""]


async def test_arguments_nested_10_000_deep_close_the_connection(ann: WireClient) -> None:
    """Nothing can read past them, not even to find the request's id; or they are read, and refused
    as others that are too deep.
    """
    raw_call(ann, "channel_sendmsg", b',"name":"square","force":1,"msg":%b' % DEEP)
    if sts.READS_DEEP:
        assert is_refusal(await ann.reply(7), 1004)
    else:
        assert await is_sent_away(ann)


@pytest.mark.parametrize("depth", [101, 500, 900])
async def test_a_value_nested_deeper_than_100_is_refused_with_1004(
    ann: WireClient, bystander: WireClient, depth: int
) -> None:
    deep = b"[" * depth + b"]" * depth
    for args in (
        b',"name":"square","force":1,"msg":%b' % deep,
        b',"channelName":"c","peer":"bystander","extra":%b' % deep,
        b',"peer":"bystander","flag":"v1:E:60","t":"instant","content":%b' % deep,
    ):
        for function in ("channel_sendmsg", "voip_invite", "user_sendmsg"):
            raw_call(ann, function, args)
            assert is_refusal(await ann.reply(7), 1004)
    assert await pushed(bystander) == []
    assert bystander.channel_events() == []


@pytest.mark.parametrize("depth", [1, 99, 2000, 4000])
async def test_an_extra_of_nested_text_is_relayed_as_any_text_is(
    ann: WireClient, bystander: WireClient, depth: int
) -> None:
    extra = "[" * depth + "]" * depth
    reply = await ann.call("voip_invite", channelName="c", peer="bystander", extra=extra)
    assert reply["result"] == "ok"
    assert [content["extra"] for _, content in await pushed(bystander)] == [extra]


async def test_an_extra_of_text_nested_10_000_deep_is_refused(ann: WireClient) -> None:
    reply = await ann.call("voip_invite", channelName="c", peer="bystander", extra=DEEP.decode())
    assert is_refusal(reply, 1005)


@pytest.mark.parametrize(
    ("function", "args"),
    [
        ("channel_sendmsg", b',"name":"square","force":1,"msg":"%b"'),
        ("channel_sendmsg", b',"name":"square","force":1,"msg":["%b"]'),
        ("channel_join", b',"name":"%b"'),
        ("user_sendmsg", b',"peer":"%b","flag":"v1:E:60","t":"instant","content":"x"'),
        ("user_set_attr", b',"name":"a","value":"%b"'),
        ("channel_set_attr", b',"channel":"square","name":"a","value":{"%b":1}'),
        ("voip_invite", b',"channelName":"c","peer":"bystander","extra":"%b"'),
        ("channel_join", b',"name":"room","unknown":"%b"'),
    ],
)
async def test_half_a_surrogate_pair_in_arguments_is_refused_with_1004_under_its_id(
    ann: WireClient, bystander: WireClient, function: str, args: bytes
) -> None:
    for half in (LONE, rb"\ude00", rb"\ude00\ud83d"):
        raw_call(ann, function, args % half)
        assert is_refusal(await ann.reply(7), 1004)
    assert await pushed(bystander) == []
    assert bystander.channel_events() == []
    # A pair is a character.
    raw_call(ann, "channel_join", rb',"name":"\ud83d\ude00"')
    assert (await ann.reply(7))["result"] == "ok"


@pytest.mark.parametrize("callid", [b'"%b"' % LONE, b'["x"]', b"true"])
async def test_half_a_surrogate_pair_where_no_id_can_be_found_closes_the_connection(
    ann: WireClient, callid: bytes
) -> None:
    raw_call(ann, "channel_join", b',"name":"%b"' % LONE, callid)
    assert await is_sent_away(ann)


async def test_a_message_id_with_spaces_is_refused_with_1004(
    ann: WireClient, bystander: WireClient
) -> None:
    for message_id in ("a b", " ", "a\tb", "a\u3000b", "x\n", "\x00"):
        reply = await ann.call(
            "user_sendmsg",
            peer="bystander",
            flag="v1:E:60",
            t="instant",
            content="hi",
            messageID=message_id,
        )
        assert is_refusal(reply, 1004)
        reply = await ann.call(
            "channel_sendmsg", name="square", msg="hi", force=True, msgID=message_id
        )
        assert is_refusal(reply, 1004)
    assert await pushed(bystander) == []
    assert bystander.channel_events() == []


async def test_the_61st_message_in_a_second_is_refused_and_a_second_later_it_works(
    ann: WireClient, bystander: WireClient
) -> None:
    ids = [
        ann.request("channel_sendmsg", name="square", msg=number, force=True)
        for number in range(61)
    ]
    replies = [await ann.reply(callid) for callid in ids]
    assert [reply["result"] for reply in replies] == ["ok"] * 60 + ["failed"]
    assert is_refusal(replies[60], 400)
    await settle()
    assert [content["msg"] for *_, content in bystander.channel_events()] == list(range(60))
    await trio.sleep(1)
    reply = await ann.call("channel_sendmsg", name="square", msg="again", force=True)
    assert reply["result"] == "ok"
    await settle()
    assert [content["msg"] for *_, content in bystander.channel_events()] == ["again"]


# --- logins ---


@pytest.mark.parametrize(
    "account",
    [
        "a b",
        " ann",
        "ann\u3000",
        "",
        "x" * 129,
        "😀" * 129,
        "a\nb",
        "\x00",
        "a\x7fb",
        "a\u0085b",
        ["a b"],
        {"a": "\n \t"},
        ["x" * 128],
    ],
)
async def test_a_wrong_account_is_refused_with_209(
    stranger: WireClient, bystander: WireClient, account: Any
) -> None:
    result = await stranger.login(account)
    assert (result["result"], result["ecode"]) == ("failed", 209)
    assert result["err"].startswith("wrong account")
    assert (await stranger.wait_closed()).code == 1000


async def test_half_a_surrogate_pair_in_an_account_is_refused_with_209(
    stranger: WireClient,
) -> None:
    stranger.send_raw(b'["login",{"vid":"app","account":"a%b","token":""}]' % LONE)
    result = await stranger.login_ret()
    assert (result["ecode"], result["err"][:13]) == (209, "wrong account")
    await stranger.wait_closed()


async def test_an_account_nested_too_deep_is_refused(stranger: WireClient) -> None:
    deep = b"[" * 500 + b"]" * 500
    stranger.send_raw(b'["login",{"vid":"app","account":%b,"token":""}]' % deep)
    assert (await stranger.login_ret())["ecode"] == 209


# --- silence ---


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"G",
        b"GET / HTTP/1.1\r\nHost: x\r\n",
        b"GET / HTTP/1.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-",
    ],
)
async def test_half_a_handshake_is_closed_after_ten_seconds(
    server: LocalServer, bystander: WireClient, said: bytes
) -> None:
    client = server.connect()
    began = trio.current_time()
    client.send_nowait(said)
    assert await client.receive_some() == b""
    assert trio.current_time() - began == 10


async def test_a_handshake_that_trickles_in_is_closed_after_ten_seconds(
    server: LocalServer, bystander: WireClient
) -> None:
    client = server.connect()
    began = trio.current_time()

    async def trickle() -> None:
        for byte in b"GET / HTTP/1.1\r\nX: " + b"y" * 100:
            client.send_nowait(bytes([byte]))
            await trio.sleep(0.9)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(trickle)
        assert await client.receive_some() == b""
        nursery.cancel_scope.cancel()
    assert trio.current_time() - began == 10


@pytest.mark.parametrize("says", ["nothing", "pings", "half a login"])
async def test_a_client_that_does_not_log_in_is_sent_away_after_ten_seconds(
    stranger: WireClient, says: str
) -> None:
    began = trio.current_time()
    if says == "half a login":
        frame = Frame(Opcode.TEXT, b'["login",{"vid":"app"').serialize(mask=True)
        stranger.link.outbox.append(frame[:-5])
    async with trio.open_nursery() as nursery:

        async def ping() -> None:
            while stranger.closed is None:
                stranger.send("ping", 1)
                await trio.sleep(2)

        if says == "pings":
            nursery.start_soon(ping)
        closing = await stranger.expect("close")
        assert closing["reason"] == "nothing was said in time"
        await stranger.wait_closed()
        nursery.cancel_scope.cancel()
    assert trio.current_time() - began == 10


class TestSilence:
    @pytest.fixture
    def config(self) -> Config:
        return dev_config(silence_seconds=30)

    async def test_a_client_that_falls_silent_after_its_login_is_sent_away(
        self, server: LocalServer
    ) -> None:
        async with wire_client(server.connect()) as ann:
            await ann.login("ann")
            for _ in range(3):
                await trio.sleep(29)
                ann.send("ping", 1)
            await settle()
            assert ann.closed is None
            began = trio.current_time()
            closing = await ann.expect("close")
            assert (closing["ecode"], closing["reason"]) == (102, "nothing was heard for 30 s")
            assert (await ann.wait_closed()).code == 1008
            assert trio.current_time() - began == 30


# --- floods ---


async def test_a_client_that_sends_much_at_once_keeps_nobody_waiting(
    server: LocalServer, ann: WireClient, bystander: WireClient
) -> None:
    """Others get their turn between its frames."""
    text = b"".join(
        Frame(Opcode.TEXT, b'["ping",%d]' % number).serialize(mask=True) for number in range(3000)
    )
    ann.link.outbox.append(text)
    bystander.send("ping", 1)
    await bystander.expect("pong")
    # They are read at a pace: 500 a second.
    await trio.sleep(6)
    assert [payload for event, payload in ann.seen if event == "pong"] == list(range(3000))


async def test_what_comes_behind_bad_input_in_the_same_packet_is_not_heard(
    ann: WireClient, bystander: WireClient
) -> None:
    ann.send_raw(b"hello")
    ann.request("channel_sendmsg", name="square", msg="behind it", force=True)
    ann.request("user_logout")
    assert await is_sent_away(ann)
    assert bystander.channel_events() == []
    assert (await bystander.call("user_query_user_status", account="ann"))["status"] == 1
