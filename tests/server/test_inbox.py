"""Point-to-point messages: sending, being handed them, polling, and how long they are kept."""

from __future__ import annotations

import msgspec
import pytest
import trio
from trio.testing import MockClock

from signal_sdk.server.config import Config
from signal_sdk.server.engine.base import AccountKey
from signal_sdk.server.engine.pending import waited
from signal_sdk.testing.server import LocalServer, local_server, trio_wall_clock
from signal_sdk.wire import lines
from signal_sdk.wire.names import MAX_TTL_SECONDS
from tests.server.helpers import APP, LogIn, dev_config, is_refusal, polled, pushed, settle
from tests.wire_client import WireClient, logged_in, wire_client

PUSH_VERSION = 1_02_00_00_000


@pytest.fixture
def config() -> Config:
    return dev_config(inbox_messages=100)


async def send(client: WireClient, peer: str, content: object, ttl: int = 60) -> None:
    reply = await client.call(
        "user_sendmsg", peer=peer, flag=f"v1:E:{ttl}", t="instant", content=content
    )
    assert reply["result"] == "ok", reply


async def test_a_web_client_is_handed_a_message_as_a_v2_line(log_in: LogIn) -> None:
    ann, bob = await log_in("ann"), await log_in("bob")
    await send(ann, "bob", "hi there, bob")
    kind, text = await bob.expect("notify")
    assert kind == "recvmsg"
    version, line = msgspec.json.decode(text)
    assert version == 1
    assert line.startswith("msg-v2 ann bob v1:E:60 instant ")
    assert line.endswith(" hi there, bob")


async def test_a_native_client_is_told_to_poll(log_in: LogIn) -> None:
    ann, bob = await log_in("ann"), await log_in("bob", device="javasdk")
    await send(ann, "bob", "hi")
    assert await bob.expect("notify") == ["msg", 1]
    assert await polled(bob) == [("instant", "hi")]


async def test_a_client_that_reads_ids_is_handed_a_v3_line(log_in: LogIn) -> None:
    ann, bob = await log_in("ann"), await log_in("bob", device="javasdk", ver=PUSH_VERSION)
    reply = await ann.call(
        "user_sendmsg", peer="bob", flag="v1:E:60", t="instant", content="hi", messageID="m1"
    )
    assert reply["result"] == "ok"
    _, text = await bob.expect("notify")
    assert msgspec.json.decode(text)[1].startswith(f"msg-v3 {ann.uid}.m1 ann bob v1:E:60 instant ")
    page = await bob.call("user_getmsg", ver_clear=0, max=30)
    assert page["msgs"][0][1].startswith(f"msg-v3 {ann.uid}.m1 ")


async def test_two_senders_may_choose_the_same_id(log_in: LogIn) -> None:
    ids = set()
    bob = await log_in("bob", ver=PUSH_VERSION)
    for sender in (await log_in("ann"), await log_in("eve")):
        await sender.call(
            "user_sendmsg", peer="bob", flag="v1:E:60", t="instant", content="x", messageID="1"
        )
        _, text = await bob.expect("notify")
        ids.add(lines.decode(msgspec.json.decode(text)[1]).msg_id)
    assert len(ids) == 2


async def test_one_may_write_to_oneself(log_in: LogIn) -> None:
    ann = await log_in("ann")
    await send(ann, "ann", "note")
    assert await pushed(ann) == [("instant", "note")]


async def test_messages_wait_for_an_account_that_is_offline(
    server: LocalServer, log_in: LogIn
) -> None:
    ann = await log_in("ann")
    for number in range(3):
        await send(ann, "bob", f"message {number}")
    bob = await log_in("bob")
    assert await pushed(bob) == []
    assert await polled(bob) == [("instant", f"message {number}") for number in range(3)]


async def test_forty_messages_come_in_pages_in_order_and_once(log_in: LogIn) -> None:
    ann = await log_in("ann")
    for number in range(40):
        await send(ann, "bob", str(number))
    bob = await log_in("bob")
    first = await bob.call("user_getmsg", ver_clear=0, max=30)
    assert [version for version, _ in first["msgs"]] == list(range(1, 31))
    second = await bob.call("user_getmsg", ver_clear=30, max=30)
    assert second["ver_clear"] == 30
    assert [lines.decode(line).content for _, line in second["msgs"]] == [
        str(number) for number in range(30, 40)
    ]
    third = await bob.call("user_getmsg", ver_clear=40, max=30)
    assert (third["ver_clear"], third["msgs"]) == (40, [])
    # A fresh client says 0, and never gets what was cleared before.
    assert await polled(bob) == []


async def test_a_poll_gets_no_more_than_a_hundred(log_in: LogIn) -> None:
    ann = await log_in("ann")
    for number in range(100):
        if number % 60 == 59:
            await trio.sleep(1)
        await send(ann, "bob", str(number))
    bob = await log_in("bob")
    page = await bob.call("user_getmsg", ver_clear=0, max=10**9)
    assert len(page["msgs"]) == 100


async def test_a_message_is_dropped_when_its_time_is_over(log_in: LogIn) -> None:
    ann = await log_in("ann")
    await send(ann, "bob", "short", ttl=10)
    await send(ann, "bob", "long", ttl=100)
    await send(ann, "bob", "gone at once", ttl=0)
    bob = await log_in("bob")
    await trio.sleep(9)
    assert [text for _, text in await polled(bob)] == ["short", "long"]
    await trio.sleep(2)
    assert [text for _, text in await polled(bob)] == ["long"]
    await trio.sleep(100)
    assert await polled(bob) == []


async def test_no_message_is_kept_longer_than_the_longest_ttl(autojump_clock: MockClock) -> None:
    ahead = [0.0]
    async with (
        local_server(
            dev_config(), listens=False, clock=lambda: trio_wall_clock() + ahead[0]
        ) as server,
        logged_in(server, "ann") as ann,
    ):
        await send(ann, "bob", "for ever", ttl=10**10)
        for seconds, count in ((MAX_TTL_SECONDS - 1.0, 1), (MAX_TTL_SECONDS + 1.0, 0)):
            ahead[0] = seconds
            page = await waited(server.node.engine.read_inbox(AccountKey(APP, "bob"), 0, 30))
            assert len(page.entries) == count


async def test_what_has_expired_is_swept_away_unread(server: LocalServer, log_in: LogIn) -> None:
    ann = await log_in("ann")
    for number in range(50):
        await send(ann, f"nobody{number}", "x", ttl=10)
    await trio.sleep(15)
    # Those of whom nothing is left are forgotten.
    assert server.node.statistics().accounts == 1


async def test_a_full_inbox_refuses_with_400(log_in: LogIn) -> None:
    ann = await log_in("ann")
    for _ in range(100):
        await send(ann, "bob", "x", ttl=3600)
        await trio.sleep(0.1)
    reply = await ann.call(
        "user_sendmsg", peer="bob", flag="v1:E:60", t="instant", content="too much"
    )
    assert is_refusal(reply, 400)
    bob = await log_in("bob")
    await bob.call("user_getmsg", ver_clear=1, max=30)
    await send(ann, "bob", "there is room again")


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("", ""),
        (" leading and trailing ", " leading and trailing "),
        ("line\nbreak\ttab", "line\nbreak\ttab"),
        ({"a": [1, None, "ü"]}, '{"a":[1,null,"ü"]}'),
        (42, "42"),
        (None, "null"),
        ("😀" * 8192, "😀" * 8192),
    ],
)
async def test_whatever_is_sent_arrives(log_in: LogIn, content: object, text: str) -> None:
    ann, bob = await log_in("ann"), await log_in("bob")
    await send(ann, "bob", content)
    assert await pushed(bob) == [("instant", text)]


@pytest.mark.parametrize(
    "wrong",
    [
        {"flag": "v1:E"},
        {"flag": "v2:E:60"},
        {"flag": 60},
        {"t": "voip_invite"},
        {"t": ""},
        {"peer": "a b"},
        {"peer": ""},
        {"messageID": "a b"},
        {"messageID": "x\ny"},
    ],
)
async def test_a_wrong_argument_is_refused_with_1004(
    log_in: LogIn, wrong: dict[str, object]
) -> None:
    ann, bob = await log_in("ann"), await log_in("bob")
    good = {"peer": "bob", "flag": "v1:E:60", "t": "instant", "content": "hi"}
    assert is_refusal(await ann.call("user_sendmsg", **{**good, **wrong}), 1004)
    for name in good:
        args = {key: value for key, value in good.items() if key != name}
        assert is_refusal(await ann.call("user_sendmsg", **args), 1004)
    assert await pushed(bob) == []


@pytest.mark.parametrize(
    "args", [{"ver_clear": -1}, {"ver_clear": "0"}, {}, {"ver_clear": 0, "max": 0}]
)
async def test_a_wrong_poll_is_refused_with_1004(log_in: LogIn, args: dict[str, object]) -> None:
    ann = await log_in("ann")
    assert is_refusal(await ann.call("user_getmsg", **args), 1004)


async def test_the_61st_message_in_a_second_is_refused_and_does_nothing(log_in: LogIn) -> None:
    ann, bob = await log_in("ann"), await log_in("bob")
    ids = [
        ann.request("user_sendmsg", peer="bob", flag="v1:E:60", t="instant", content=str(number))
        for number in range(61)
    ]
    replies = [await ann.reply(callid) for callid in ids]
    assert all(reply["result"] == "ok" for reply in replies[:60])
    assert is_refusal(replies[60], 400)
    assert "60 messages in a second" in replies[60]["reason"]
    assert [text for _, text in await pushed(bob)] == [str(number) for number in range(60)]
    await trio.sleep(1)
    await send(ann, "bob", "again")
    assert await pushed(bob) == [("instant", "again")]


async def test_a_message_that_was_answered_is_there_whatever_becomes_of_its_sender(
    server: LocalServer, log_in: LogIn
) -> None:
    async with wire_client(server.connect()) as ann:
        await ann.login("ann")
        await send(ann, "bob", "last words")
        ann.link.abort()
    await settle()
    assert await polled(await log_in("bob")) == [("instant", "last words")]


async def test_a_page_of_control_characters_fits_into_an_outbox(log_in: LogIn) -> None:
    ann, bob = await log_in("ann"), await log_in("bob", device="javasdk")
    contents = [f"{number} {chr(10) * 32_000}" for number in range(32)]
    for content in contents:
        await send(ann, "bob", content)
    got: list[str] = []
    ver_clear = 0
    while len(got) < len(contents):
        page = await bob.call("user_getmsg", ver_clear=ver_clear, max=30)
        assert 1 <= len(page["msgs"]) < 20
        got += [lines.decode(line).content for _, line in page["msgs"]]
        ver_clear = page["msgs"][-1][0]
    assert got == contents


async def test_the_longest_messages_come_30_at_a_time(log_in: LogIn) -> None:
    ann, bob = await log_in("ann"), await log_in("bob", device="javasdk")
    for _ in range(31):
        await send(ann, "bob", "x" * 8192)
    page = await bob.call("user_getmsg", ver_clear=0, max=30)
    assert len(page["msgs"]) == 30


async def test_a_second_holds_60_messages_of_an_account_however_often_it_logs_in(
    log_in: LogIn, autojump_clock: MockClock
) -> None:
    sent = 0
    ann = await log_in("ann")
    for device in ("websdk", "javasdk", "websdk"):
        ann = await log_in("ann", device=device)
        for _ in range(40):
            reply = await ann.call(
                "user_sendmsg", peer="bob", flag="v1:E:60", t="instant", content="x"
            )
            sent += reply["result"] == "ok"
    assert sent == 60
    await trio.sleep(1)
    await send(ann, "bob", "x")


async def test_set_flag_before_the_login_counts_as_one_after_it(
    server: LocalServer, log_in: LogIn
) -> None:
    ann = await log_in("ann")
    async with wire_client(server.connect()) as bob:
        bob.send("set_flag", {"binary": 1})
        await bob.login("bob")
        await send(ann, "bob", "hi")
        _, text = await bob.expect("notify")
        assert msgspec.json.decode(text)[1].startswith("msg-v3 ")
