"""The special channels: who may join them, and what they tell."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
import trio

from signal_sdk.server.config import AppConfig, Config
from signal_sdk.testing.server import LocalServer
from tests.server.helpers import LogIn, dev_config, is_refusal, members, told
from tests.wire_client import wire_client

ONLINE = "_agora_user_online"
EVENTS = "_agora_channel_event"

Told = list[tuple[str, str, dict[str, Any]]]


def pairs(events: Told, special: str) -> list[tuple[str, str, str]]:
    """(event, channel, account) of events that come as a join or leave, and then as a message."""
    found = []
    assert len(events) % 2 == 0
    for (channel, kind, plain), (again, message, content) in zip(
        events[::2], events[1::2], strict=True
    ):
        assert channel == again == special
        assert message == "channel_msg"
        assert (content["channel"], content["account"], content["uid"]) == (special, special, 0)
        event = msgspec.json.decode(content["msg"])
        assert set(event) == {"event", "channel", "account", "uid", "ts"}
        assert event["ts"] >= 1_600_000_000_000
        assert plain == {name: event[name] for name in ("channel", "account", "uid")}
        joins = event["event"] in {"online", "join"}
        assert kind == ("channel_user_join" if joins else "channel_user_leave")
        found.append((event["event"], event["channel"], event["account"]))
    return found


@pytest.mark.parametrize("spelling", [ONLINE, "_" + ONLINE])
async def test_every_login_and_logout_is_told(log_in: LogIn, spelling: str) -> None:
    bot = await log_in("bot")
    assert (await bot.call("channel_join", name=spelling))["result"] == "ok"
    assert await told(bot) == []
    ann = await log_in("ann")
    await ann.call("user_logout")
    assert pairs(await told(bot), ONLINE) == [("online", ONLINE, "ann"), ("offline", ONLINE, "ann")]


async def test_an_account_goes_offline_when_its_lease_is_over_and_not_before(
    server: LocalServer, log_in: LogIn
) -> None:
    bot = await log_in("bot")
    await bot.call("channel_join", name=ONLINE)
    async with wire_client(server.connect()) as ann:
        await ann.login("ann")
    await trio.sleep(60)
    assert pairs(await told(bot), ONLINE) == [("online", ONLINE, "ann")]
    # Coming back is no event.
    async with wire_client(server.connect()) as ann:
        await ann.login("ann")
    await trio.sleep(119)
    assert await told(bot) == []
    await trio.sleep(2)
    assert pairs(await told(bot), ONLINE) == [("offline", ONLINE, "ann")]


async def test_a_kick_is_no_event_but_a_fresh_login_is_two(log_in: LogIn) -> None:
    bot = await log_in("bot")
    await bot.call("channel_join", name=ONLINE)
    await log_in("ann")
    await told(bot)
    await log_in("ann")
    assert await told(bot) == []
    await log_in("ann", device="javasdk")
    assert pairs(await told(bot), ONLINE) == [("offline", ONLINE, "ann"), ("online", ONLINE, "ann")]


@pytest.mark.parametrize("spelling", [EVENTS, "_" + EVENTS])
async def test_every_join_and_leave_in_the_app_is_told(log_in: LogIn, spelling: str) -> None:
    bot = await log_in("bot")
    await bot.call("channel_join", name=spelling)
    ann = await log_in("ann")
    await ann.call("channel_join", name="one")
    await ann.call("channel_join", name="one")
    await ann.call("channel_join", name="two")
    await ann.call("channel_leave", name="elsewhere")
    await ann.call("user_logout")
    assert pairs(await told(bot), EVENTS) == [
        ("join", "one", "ann"),
        ("leave", "one", "ann"),
        ("join", "two", "ann"),
        ("leave", "two", "ann"),
    ]


async def test_silenced_channels_are_told_all_the_same(log_in: LogIn) -> None:
    bot, ann = await log_in("bot"), await log_in("ann")
    await bot.call("channel_join", name=EVENTS)
    await ann.call("channel_set_attr", channel="room", name="_userNotification", value=0)
    await ann.call("channel_join", name="room")
    assert pairs(await told(bot), EVENTS) == [("join", "room", "ann")]


async def test_they_hold_no_member_events_of_their_own(log_in: LogIn) -> None:
    bot, other = await log_in("bot"), await log_in("other")
    await bot.call("channel_join", name=EVENTS)
    await other.call("channel_join", name=EVENTS)
    await other.call("channel_join", name=ONLINE)
    await other.call("channel_leave", name=ONLINE)
    assert await told(bot) == []
    assert await members(bot, EVENTS) == ["bot"]


async def test_a_listener_is_in_one_channel_at_a_time_like_everybody(log_in: LogIn) -> None:
    bot = await log_in("bot")
    await bot.call("channel_join", name=ONLINE)
    await bot.call("channel_join", name=EVENTS)
    await log_in("ann")
    assert await told(bot) == []


@pytest.mark.parametrize("name", [ONLINE, EVENTS, "_" + EVENTS])
@pytest.mark.parametrize("force", [False, True])
async def test_nobody_sends_to_them_or_gives_them_attributes(
    log_in: LogIn, name: str, force: bool
) -> None:
    bot = await log_in("bot")
    await bot.call("channel_join", name=name)
    assert is_refusal(await bot.call("channel_sendmsg", name=name, msg="x", force=force), 400)
    for function, args in (
        ("channel_set_attr", {"name": "a", "value": "b"}),
        ("channel_del_attr", {"name": "a"}),
        ("channel_clear_attr", {}),
    ):
        assert is_refusal(await bot.call(function, channel=name, **args), 1001)
    assert await told(bot) == []


async def test_apps_are_apart(log_in: LogIn) -> None:
    bot = await log_in("bot")
    await bot.call("channel_join", name=ONLINE)
    await log_in("ann", app="other")
    assert await told(bot) == []


async def test_a_listener_that_comes_back_hears_on(server: LocalServer, log_in: LogIn) -> None:
    async with wire_client(server.connect()) as bot:
        await bot.login("bot", device="javasdk")
        await bot.call("channel_join", name=ONLINE)
    async with wire_client(server.connect()) as again:
        again.send("line_login", {"line": bot.line})
        assert (await again.login_ret())["result"] == "ok"
        await log_in("ann")
        assert pairs(await told(again), ONLINE) == [("online", ONLINE, "ann")]


class TestListeners:
    @pytest.fixture
    def config(self) -> Config:
        return dev_config(listeners=["bot"])

    async def test_only_they_may_join(self, log_in: LogIn) -> None:
        bot, ann = await log_in("bot"), await log_in("ann")
        await ann.call("channel_join", name="room")
        for name in (ONLINE, EVENTS, "_" + ONLINE):
            assert is_refusal(await ann.call("channel_join", name=name), 300)
        # A join that was refused leaves nothing.
        assert (await ann.call("channel_sendmsg", name="room", msg="hi"))["result"] == "ok"
        assert [kind for _, kind, _ in await told(ann)] == ["channel_msg"]
        assert (await bot.call("channel_join", name=ONLINE))["result"] == "ok"

    async def test_another_app_that_lists_none_lets_everybody_in_dev_mode(
        self, log_in: LogIn
    ) -> None:
        ann = await log_in("ann", app="other")
        assert (await ann.call("channel_join", name=ONLINE))["result"] == "ok"


class TestOutsideDevMode:
    @pytest.fixture
    def config(self) -> Config:
        apps = (
            AppConfig(id="app"),
            AppConfig(id="some", listeners=("bot",)),
            AppConfig(id="all", listeners=("*",)),
        )
        return Config(apps=apps, limits=dev_config().limits)

    @pytest.mark.parametrize(
        ("app", "account", "may"),
        [
            ("app", "bot", False),
            ("app", "*", False),
            ("some", "bot", True),
            ("some", "ann", False),
            ("some", "*", False),
            ("all", "ann", True),
        ],
    )
    async def test_they_are_closed_but_to_those_who_are_named(
        self, log_in: LogIn, app: str, account: str, may: bool
    ) -> None:
        client = await log_in(account, app=app)
        for name in (ONLINE, EVENTS, "_" + ONLINE, "_" + EVENTS):
            reply = await client.call("channel_join", name=name)
            if may:
                assert reply["result"] == "ok"
            else:
                assert is_refusal(reply, 300)
                assert "not among the app's listeners" in reply["reason"]


@pytest.mark.parametrize("special", [ONLINE, EVENTS])
async def test_a_special_channel_that_nobody_listens_to_ends_as_any_other(
    server: LocalServer, log_in: LogIn, special: str
) -> None:
    """Nothing of its last listener is kept for its sake, either."""
    bot = await log_in("bot")
    await bot.call("channel_join", name=special)
    await bot.call("channel_leave", name=special)
    await trio.sleep(7199)
    # Who comes before its time is over finds it as it was, and begins that anew.
    await bot.call("channel_join", name=special)
    await bot.call("user_logout")
    await trio.sleep(7199)
    assert server.node.statistics().accounts == 1
    await trio.sleep(2)
    left = server.node.statistics()
    assert (left.accounts, left.channels, left.due) == (0, 0, 0)
