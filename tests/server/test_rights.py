"""Rights: what a session may ask for where its token says so, as long as it lasts."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import attrs
import pytest
from trio.testing import MockClock

from signal_sdk.server.config import Config
from signal_sdk.testing.server import LocalServer, local_server
from signal_sdk.wire import functions
from signal_sdk.wire.rights import Rights
from tests.server.helpers import is_refusal, journal_engine, polled, resume
from tests.server.test_tokens import CONFIG, modern
from tests.wire_client import WireClient, logged_in, wire_client

ONLINE = "_agora_user_online"
MESSAGE = {"flag": "v1:E:60", "t": "instant", "content": "hi"}
GUEST = Rights(channels=("room", "team-*"), peers=("bob",))


@pytest.fixture
async def server(autojump_clock: MockClock) -> AsyncIterator[LocalServer]:
    async with local_server(CONFIG, listens=False) as server:
        yield server


def logging_in(server: LocalServer, account: str, rights: Rights, **more: Any) -> Any:
    token = modern(account, 600, rights=rights)
    return logged_in(server, account, token=token, device="javasdk", ver=1_02_00_00_000, **more)


IN_CHANNELS: list[tuple[str, dict[str, Any], int]] = [
    ("channel_join", {"name": "{}"}, 300),
    ("channel_sendmsg", {"name": "{}", "msg": "hi", "force": True}, 400),
    ("channel_set_attr", {"channel": "{}", "name": "a", "value": "b"}, 1001),
    ("channel_query_num", {"name": "{}"}, 1001),
    ("channel_query_user_isin", {"name": "{}", "account": "bob"}, 1001),
    ("channel_query_userlist", {"name": "{}"}, 1001),
    ("channel_query_userlist_all", {"name": "{}"}, 1001),
    ("channel_change_attrs", {"channel": "{}", "set": {"a": "1"}}, 1001),
    ("channel_read_attrs", {"channel": "{}"}, 1001),
]
ONLY_INSIDE: list[tuple[str, dict[str, Any], int]] = [
    ("channel_history", {"name": "{}"}, 1001),
    ("channel_catch_up", {"name": "{}"}, 1001),
    ("channel_lock", {"name": "{}", "lock": "a", "askID": "1", "lease": 9000}, 1001),
    ("channel_lock_renew", {"name": "{}", "lock": "a", "askID": "1", "lease": 9000}, 1001),
    ("channel_query_lock", {"name": "{}", "lock": "a"}, 1001),
    ("channel_del_attr", {"channel": "{}", "name": "a"}, 1001),
    ("channel_clear_attr", {"channel": "{}"}, 1001),
]
TO_PEERS: list[tuple[str, dict[str, Any], int]] = [
    ("user_sendmsg", {"peer": "{}", **MESSAGE}, 400),
    ("push_sendmsg", {"peer": "{}", "msg": "hi"}, 400),
    ("voip_invite", {"peer": "{}", "channelName": "call", "extra": ""}, 700),
    ("pstn_invite", {"destNum": "{}", "channelName": "phone", "extra": ""}, 700),
]


def about(args: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: name if value == "{}" else value for key, value in args.items()}


@pytest.mark.parametrize(("function", "args", "ecode"), [*IN_CHANNELS, *ONLY_INSIDE])
async def test_a_channel_right_is_for_its_channels(
    server: LocalServer, function: str, args: dict[str, Any], ecode: int
) -> None:
    async with logging_in(server, "ann", GUEST, many_channels=True) as ann:
        for name in ("other", "tea", ONLINE):
            reply = await ann.call(function, **about(args, name))
            assert is_refusal(reply, ecode)
            assert reply["reason"] == f"the token gives no right to the channel {name!r}"
        if (function, args, ecode) in IN_CHANNELS:
            for name in ("room", "team-a"):
                assert (await ann.call(function, **about(args, name)))["result"] == "ok"
        else:
            await ann.call("channel_join", name="team-a")
            await ann.call("channel_set_attr", channel="team-a", name="a", value="b")
            assert (await ann.call(function, **about(args, "team-a")))["result"] == "ok"


@pytest.mark.parametrize(("function", "args", "ecode"), TO_PEERS)
async def test_a_peer_right_is_for_its_peers(
    server: LocalServer, function: str, args: dict[str, Any], ecode: int
) -> None:
    async with (
        logging_in(server, "ann", GUEST) as ann,
        logging_in(server, "carl", Rights()) as carl,
    ):
        reply = await ann.call(function, **about(args, "carl"))
        assert is_refusal(reply, ecode)
        assert reply["reason"] == "the token gives no right to write to 'carl', or call it"
        assert await polled(carl) == []
        assert (await ann.call(function, **about(args, "bob")))["result"] == "ok"
        # And whoever has all rights is bound by nothing.
        assert (await carl.call(function, **about(args, "ann")))["result"] == "ok"


async def test_who_may_write_to_nobody_may_answer_a_call(server: LocalServer) -> None:
    nobody = Rights(peers=())
    async with logging_in(server, "ann", nobody) as ann, logging_in(server, "bob", Rights()) as bob:
        call = {"channelName": "call", "extra": ""}
        assert (await bob.call("voip_invite", peer="ann", **call))["result"] == "ok"
        assert (await ann.call("voip_invite_accept", peer="bob", **call))["result"] == "ok"
        assert (await ann.call("voip_invite_bye", peer="bob", **call))["result"] == "ok"
        assert is_refusal(await ann.call("voip_invite", peer="bob", **call), 700)


async def test_every_function_that_names_a_channel_or_a_peer_is_looked_at() -> None:
    """A function that is added must not go past the rights."""
    tried = {name for name, _, _ in (*IN_CHANNELS, *ONLY_INSIDE, *TO_PEERS)}
    asks_nothing = {"channel_leave", "channel_unlock", "call_bye"} | {
        name for name in functions.FUNCTIONS if name.startswith("voip_invite_")
    }
    naming = {
        name
        for name, cls in functions.FUNCTIONS.items()
        if {"channel", "peer"}
        & {
            field.name
            for field in attrs.fields(cls)  # type: ignore[arg-type]  # every subclass is an attrs class
        }
    }
    assert naming == tried | asks_nothing


async def test_a_listener_joins_the_special_channels_whatever_else_it_may(
    server: LocalServer,
) -> None:
    async with (
        logging_in(server, "ear", Rights(channels=(), listener=True)) as ear,
        logging_in(server, "ann", Rights()) as ann,
    ):
        for name in (ONLINE, f"_{ONLINE}", "_agora_channel_event"):
            assert (await ear.call("channel_join", name=name))["result"] == "ok"
            assert is_refusal(await ann.call("channel_join", name=name), 300)
        assert is_refusal(await ear.call("channel_join", name="room"), 300)


async def limits(client: WireClient) -> list[str]:
    return [(await client.call("channel_join", name=name))["result"] for name in ("room", "other")]


@pytest.mark.parametrize("restarts", [True, False])
async def test_rights_last_over_a_resume_and_a_restart(
    tmp_path: Path, autojump_clock: MockClock, restarts: bool
) -> None:
    def serve(config: Config = CONFIG) -> Any:
        return local_server(config, listens=False, engine=journal_engine(tmp_path))

    async with serve() as server:
        async with logging_in(server, "ann", GUEST) as ann:
            assert await limits(ann) == ["ok", "failed"]
        if not restarts:
            async with wire_client(server.connect()) as again:
                again.line = ann.line
                assert (await resume(again, ann.line))["result"] == "ok"
                assert await limits(again) == ["ok", "failed"]
    async with serve() as server, wire_client(server.connect()) as again:
        again.line = ann.line
        assert (await resume(again, ann.line))["result"] == "ok"
        assert await limits(again) == ["ok", "failed"]


async def test_rights_are_those_of_the_latest_login(server: LocalServer) -> None:
    async with logging_in(server, "ann", GUEST):
        pass
    async with logging_in(server, "ann", Rights()) as ann:
        assert await limits(ann) == ["ok", "ok"]
    async with logging_in(server, "ann", GUEST) as ann:
        assert await limits(ann) == ["ok", "failed"]
        # Leaving is always allowed.
        assert (await ann.call("channel_leave", name="room"))["result"] == "ok"
