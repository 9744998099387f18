"""Channels: joining, leaving, messages, and asking who is there."""

from __future__ import annotations

import pytest
import trio

from signal_sdk.server.config import Config
from signal_sdk.testing.server import LocalServer
from signal_sdk.wire import names
from tests.server.helpers import LogIn, dev_config, is_refusal, members, settle, told
from tests.wire_client import wire_client


async def test_a_join_answers_with_the_members_and_attributes(log_in: LogIn) -> None:
    ann, bob = await log_in("ann"), await log_in("bob")
    reply = await ann.call("channel_join", name="room")
    assert reply == {
        "err": "",
        "result": "ok",
        "list": [["ann", ann.uid]],
        "attrs": {},
        "num": 1,
        "msgid": 1,
    }
    await ann.call("channel_set_attr", channel="room", name="topic", value="tea")
    reply = await bob.call("channel_join", name="room")
    assert reply["list"] == [["ann", ann.uid], ["bob", bob.uid]]
    assert (reply["attrs"], reply["num"]) == ({"topic": "tea"}, 2)


async def test_the_others_hear_of_a_join_and_of_a_leave_and_oneself_does_not(
    log_in: LogIn,
) -> None:
    ann, bob = await log_in("ann"), await log_in("bob")
    await ann.call("channel_join", name="room")
    await bob.call("channel_join", name="room")
    about_bob = {"channel": "room", "account": "bob", "uid": bob.uid}
    assert await told(ann) == [("room", "channel_user_join", about_bob)]
    await bob.call("channel_leave", name="room")
    assert await told(ann) == [("room", "channel_user_leave", about_bob)]
    assert await told(bob) == []


async def test_a_message_reaches_every_member_and_its_sender(log_in: LogIn) -> None:
    ann, bob, eve = await log_in("ann"), await log_in("bob"), await log_in("eve")
    await ann.call("channel_join", name="room")
    await bob.call("channel_join", name="room")
    await eve.call("channel_join", name="elsewhere")
    await told(ann)
    await ann.call("channel_sendmsg", name="room", msg={"any": ["JSON", 1, None]})
    content = {
        "channel": "room",
        "account": "ann",
        "uid": ann.uid,
        "msg": {"any": ["JSON", 1, None]},
    }
    assert await told(ann) == await told(bob) == [("room", "channel_msg", content)]
    assert await told(eve) == []


async def test_every_member_sees_the_same_events_with_ids_that_rise_by_one(log_in: LogIn) -> None:
    clients = [await log_in(name) for name in ("ann", "bob", "eve")]
    for client in clients:
        await client.call("channel_join", name="room")
    for client in clients:
        client.channel_events()
    for number in range(10):
        for client in clients:
            client.request("channel_sendmsg", name="room", msg=number)
    await settle()
    first, *others = [client.channel_events() for client in clients]
    assert len(first) == 30
    assert all(other == first for other in others)
    msgids = [msgid for _, msgid, _, _ in first]
    assert msgids == list(range(msgids[0], msgids[0] + 30))
    for name in ("ann", "bob", "eve"):
        sent = [content["msg"] for *_, content in first if content["account"] == name]
        assert sent == list(range(10))


async def test_sending_needs_membership_or_force(log_in: LogIn) -> None:
    ann, bob = await log_in("ann"), await log_in("bob")
    await ann.call("channel_join", name="room")
    assert is_refusal(await bob.call("channel_sendmsg", name="room", msg="hi"), 400)
    assert await told(ann) == []
    assert (await bob.call("channel_sendmsg", name="room", msg="hi", force=True))["result"] == "ok"
    assert [content["msg"] for *_, content in await told(ann)] == ["hi"]
    assert await told(bob) == []


async def test_a_forced_message_makes_no_channel(server: LocalServer, log_in: LogIn) -> None:
    ann = await log_in("ann")
    await ann.call("channel_sendmsg", name="nowhere", msg="hi", force=True)
    assert server.node.statistics().channels == 0
    await ann.call("channel_join", name="nowhere")
    assert await told(ann) == []


async def test_joining_another_channel_leaves_the_first(log_in: LogIn) -> None:
    ann, bob = await log_in("ann"), await log_in("bob")
    for client in (ann, bob):
        await client.call("channel_join", name="one")
    await told(ann)
    await bob.call("channel_join", name="two")
    assert [kind for _, kind, _ in await told(ann)] == ["channel_user_leave"]
    assert await members(ann, "one") == ["ann"]
    assert await members(ann, "two") == ["bob"]
    await ann.call("channel_sendmsg", name="one", msg="hi")
    # Not even the leaving itself: the web SDK would take its id for one of the new channel's.
    assert await told(bob) == []
    assert is_refusal(await bob.call("channel_sendmsg", name="one", msg="hi"), 400)


async def test_joining_again_answers_and_is_no_event(log_in: LogIn) -> None:
    ann, bob = await log_in("ann"), await log_in("bob")
    for client in (ann, bob):
        await client.call("channel_join", name="room")
    await told(ann)
    reply = await bob.call("channel_join", name="room")
    assert reply["num"] == 2
    assert await told(ann) == []
    await ann.call("channel_sendmsg", name="room", msg="hi")
    assert len(await told(bob)) == 1


async def test_leaving_a_channel_that_one_is_not_in_fails_and_changes_nothing(
    log_in: LogIn,
) -> None:
    ann, bob = await log_in("ann"), await log_in("bob")
    for client in (ann, bob):
        await client.call("channel_join", name="room")
    await told(ann)
    assert is_refusal(await bob.call("channel_leave", name="elsewhere"), 600)
    assert (await bob.call("channel_sendmsg", name="room", msg="still here"))["result"] == "ok"
    assert len(await told(bob)) == 1
    assert [kind for _, kind, _ in await told(ann)] == ["channel_msg"]
    await bob.call("channel_leave", name="room")
    assert is_refusal(await bob.call("channel_leave", name="room"), 600)
    assert [kind for _, kind, _ in await told(ann)] == ["channel_user_leave"]


async def test_a_logout_leaves_the_channel(log_in: LogIn) -> None:
    ann, bob = await log_in("ann"), await log_in("bob")
    for client in (ann, bob):
        await client.call("channel_join", name="room")
    await told(ann)
    await bob.call("user_logout")
    assert [kind for _, kind, _ in await told(ann)] == ["channel_user_leave"]
    await bob.wait_closed()
    assert bob.channel_events() == []


async def test_queries_answer_about_any_channel(log_in: LogIn) -> None:
    ann, bob = await log_in("ann"), await log_in("bob")
    await ann.call("channel_join", name="room")
    for name, account, number in (("room", "ann", 1), ("room", "bob", 0), ("no", "ann", 0)):
        isin = await bob.call("channel_query_user_isin", name=name, account=account)
        assert isin["isin"] == number
    assert (await bob.call("channel_query_num", name="room"))["num"] == 1
    assert (await bob.call("channel_query_num", name="no"))["num"] == 0
    listed = await bob.call("channel_query_userlist", name="room")
    assert (listed["num"], listed["list"]) == (1, [["ann", ann.uid]])
    listed = await bob.call("channel_query_userlist_all", name="no")
    assert (listed["num"], listed["list"]) == (0, [])


async def test_a_large_channels_lists_name_the_newest_200_and_count_all(
    server: LocalServer, log_in: LogIn
) -> None:
    async def join(number: int) -> None:
        client = await log_in(f"u{number:03}")
        reply = await client.call("channel_join", name="room")
        assert reply["num"] == number + 1
        assert len(reply["list"]) == min(number + 1, 200)

    ann = await log_in("ann")
    # 125,000 events that nobody here looks at.
    await ann.call("channel_set_attr", channel="room", name="_userNotification", value=0)
    for number in range(500):
        await join(number)
    listed = await ann.call("channel_query_userlist", name="room")
    assert listed["num"] == 500
    assert [account for account, _ in listed["list"]] == [f"u{n:03}" for n in range(300, 500)]
    everybody = await ann.call("channel_query_userlist_all", name="room")
    assert len(everybody["list"]) == 500
    some = await ann.call("channel_query_userlist_all", name="room", num=3)
    assert (some["num"], [account for account, _ in some["list"]]) == (
        500,
        ["u497", "u498", "u499"],
    )
    assert (await ann.call("channel_query_userlist_all", name="room", num=0))["list"] == []
    joined = await ann.call("channel_join", name="room")
    assert (joined["num"], len(joined["list"])) == (501, names.MAX_USER_LIST)


async def test_apps_have_channels_of_their_own(log_in: LogIn) -> None:
    ann, other = await log_in("ann"), await log_in("ann", app="other")
    await ann.call("channel_join", name="room")
    reply = await other.call("channel_join", name="room")
    assert reply["num"] == 1
    await other.call("channel_sendmsg", name="room", msg="hi")
    assert await told(ann) == []


@pytest.mark.parametrize("name", ["with spaces too", "ü" * 128, "a/b?c", "123", 123])
async def test_a_channel_may_have_any_visible_name(log_in: LogIn, name: object) -> None:
    ann = await log_in("ann")
    assert (await ann.call("channel_join", name=name))["result"] == "ok"
    await ann.call("channel_sendmsg", name=name, msg="hi")
    ((channel, _, content),) = await told(ann)
    assert channel == content["channel"] == str(name)


@pytest.mark.parametrize(
    ("name", "ecode"), [("", 1004), ("a\nb", 1004), ("x" * 129, 1005), ("\x00", 1004)]
)
async def test_a_wrong_name_is_refused(log_in: LogIn, name: str, ecode: int) -> None:
    ann = await log_in("ann")
    for function in ("channel_join", "channel_leave", "channel_sendmsg", "channel_query_num"):
        assert is_refusal(await ann.call(function, name=name, msg="hi"), ecode)


# --- rates ---


class TestRates:
    @pytest.fixture
    def config(self) -> Config:
        return dev_config(channel_messages_per_second=5)

    async def test_a_channel_takes_so_many_messages_in_a_second_from_all_its_users(
        self, log_in: LogIn
    ) -> None:
        ann, bob = await log_in("ann"), await log_in("bob")
        for client in (ann, bob):
            await client.call("channel_join", name="room")
        replies = [
            await client.call("channel_sendmsg", name="room", msg="hi") for client in (ann, bob) * 3
        ]
        assert [reply["result"] for reply in replies] == ["ok"] * 5 + ["failed"]
        assert is_refusal(replies[5], 400)
        assert "in one channel" in replies[5]["reason"]
        # Another channel is another's.
        reply = await ann.call("channel_sendmsg", name="other", msg="hi", force=True)
        assert reply["result"] == "ok"
        await trio.sleep(1)
        assert (await bob.call("channel_sendmsg", name="room", msg="hi"))["result"] == "ok"

    async def test_what_a_users_own_rate_refuses_is_not_taken_from_the_channels(
        self, log_in: LogIn
    ) -> None:
        ann, bob = await log_in("ann"), await log_in("bob")
        for number in range(60):
            await ann.call("channel_sendmsg", name=f"room{number}", msg="hi", force=True)
        for _ in range(20):
            reply = await ann.call("channel_sendmsg", name="room", msg="hi", force=True)
            assert "from one user" in reply["reason"]
        reply = await bob.call("channel_sendmsg", name="room", msg="hi", force=True)
        assert reply["result"] == "ok"


async def test_messages_of_all_kinds_count_together(log_in: LogIn) -> None:
    ann = await log_in("ann")
    await ann.call("channel_join", name="room")
    for _ in range(30):
        await ann.call("channel_sendmsg", name="room", msg="hi")
        await ann.call("user_sendmsg", peer="bob", flag="v1:E:60", t="instant", content="hi")
    assert is_refusal(await ann.call("channel_sendmsg", name="room", msg="hi"), 400)
    # Asking is no message.
    assert (await ann.call("channel_query_num", name="room"))["num"] == 1


async def test_the_rates_of_quiet_channels_are_forgotten(
    server: LocalServer, log_in: LogIn
) -> None:
    ann = await log_in("ann")
    for number in range(100):
        await ann.call("channel_sendmsg", name=f"room{number}", msg="hi", force=True)
        await trio.sleep(0.2)
    assert server.node.statistics().rated <= 11


class TestSlowReader:
    @pytest.fixture
    def config(self) -> Config:
        return dev_config(outbox_bytes=100_000)

    async def test_it_is_cut_off_delays_nobody_and_stays_online_for_its_lease(
        self, server: LocalServer, log_in: LogIn
    ) -> None:
        ann = await log_in("ann")
        await ann.call("channel_join", name="room")
        async with wire_client(server.connect()) as slow:
            await slow.login("slow")
            await slow.call("channel_join", name="room")
            # Its reader stands still from the next read on: nothing is taken out of the pipe.
            slow.link._transport.receive_some = trio.sleep_forever  # type: ignore[method-assign]  # a client that hangs
            slow.send("ping", 1)
            await settle()
            for _ in range(40):
                assert (await ann.call("channel_sendmsg", name="room", msg="x" * 8000))["err"] == ""
            assert len(await told(ann)) == 41
            assert server.node.sessions == 1
        assert (await ann.call("user_query_user_status", account="slow"))["status"] == 1
        await trio.sleep(121)
        assert (await ann.call("user_query_user_status", account="slow"))["status"] == 0


async def test_what_is_refused_does_not_make_a_client_hear_its_channel(
    server: LocalServer, log_in: LogIn
) -> None:
    ann, bob = await log_in("ann"), await log_in("bob")
    for client in (ann, bob):
        await client.call("channel_join", name="room")
    async with wire_client(server.connect()) as again:
        await again.login("ann")
        again.send("set_flag", {"binary": 1})
        assert is_refusal(await again.call("channel_leave", name="another"), 600)
        await bob.call("channel_sendmsg", name="room", msg="hi")
        await settle()
        assert again.channel_events() == []
        await again.call("channel_join", name="room")
        assert is_refusal(await again.call("channel_leave", name="another"), 600)
        await bob.call("channel_sendmsg", name="room", msg="hi again")
        await settle()
        assert [content["msg"] for *_, content in again.channel_events()] == ["hi again"]
