"""Two apps on one server share nothing that can be seen.

App `two` has the same accounts and channels as app `one`, and does everything that a client can do,
on either wire. Nothing of `one` changes, hears of it, or shows: what `two` is answered and told is,
byte for byte, what it gets on a server that has never had an app `one`.
"""

from __future__ import annotations

import copy
import json
import re
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import attrs
import pytest
import trio
from trio.testing import MockClock

from signal_sdk.server.config import AppConfig, Config, NativeConfig, ServerConfig
from signal_sdk.server.engine.base import AccountKey, ChannelKey
from signal_sdk.server.engine.locks import Ask
from signal_sdk.server.engine.tables import Account, Channel
from signal_sdk.server.native_lookup import NativeLookup
from signal_sdk.server.node import Node
from signal_sdk.server.places import Places
from signal_sdk.server.refusals import Refusals
from signal_sdk.server.requests import WATCHING
from signal_sdk.server.revocations import Revocation, Revocations, revoke
from signal_sdk.testing.server import LocalServer, local_server
from signal_sdk.wire import datagrams
from signal_sdk.wire.functions import ChannelCatchUp, UserLogout
from tests.packet_client import PacketClient, packet_client
from tests.server.helpers import ask, dev_config, settle
from tests.server.inside import state_of, times_of
from tests.wire_client import WireClient, wire_client

ONE: Final = "one"
TWO: Final = "two"
LISTENERS: Final = ("lena", "lars")
WIRES: Final = ("web", "native")

Client = WireClient | PacketClient
Step = tuple[str, dict[str, Any]]

ROOM: Final = {"name": "room"}
JOIN: Final[Step] = ("channel_join", ROOM)
LOCK: Final = {**ROOM, "lock": "door", "askID": "1", "lease": 9000}
"""`one` has this lock, ann by the same id, for which bob waits."""
TALK: Final = {"channelName": "talk", "peer": "bob"}
"""`one` has a call of ann and bob about this, which is accepted, and one of ann and carl that
rings.
"""
RINGING: Final = {"channelName": "talk", "peer": "carl"}
INVITED: Final[Step] = ("voip_invite", {**TALK, "callID": "call"})


def message(peer: str, **more: Any) -> dict[str, Any]:
    return {"peer": peer, "flag": "v1:E:3600", "t": "instant", "content": "x", **more}


CASES: Final[dict[str, list[Sequence[Step]]]] = {
    "user_logout": [[("user_logout", {})], [JOIN, ("user_logout", {"ver_clear": 1})]],
    "user_sendmsg": [
        # `one` has a message of this id, to the same account.
        [("user_sendmsg", message(peer, messageID="id"))]
        for peer in ("ann", "bob", "zoe", "nobody")
    ],
    "user_getmsg": [
        [("user_getmsg", {"ver_clear": 0, "max": 30})],
        [("user_getmsg", {"ver_clear": 2, "max": 30})],
        [("user_sendmsg", message("ann", messageID="own")), ("user_getmsg", {"ver_clear": 0})],
    ],
    "user_query_user_status": [
        [("user_query_user_status", {"account": account})]
        for account in ("ann", "bob", "carl", "zoe", "nobody")
    ],
    "user_set_attr": [
        [("user_set_attr", {"name": "mood", "value": "mine"})],
        [("user_set_attr", {"name": "_conn_timeout", "value": "20"})],
    ],
    "user_get_attr": [
        [("user_get_attr", {"account": account, "name": "mood"})] for account in ("ann", "carl")
    ],
    "user_get_attr_all": [
        [("user_get_attr_all", {"account": account})] for account in ("ann", "carl")
    ],
    "channel_join": [
        [JOIN],
        [JOIN, ("channel_join", {"name": "hall"}), JOIN],
        [("channel_join", {"name": "_agora_user_online"})],
        [("channel_join", {"name": "_agora_channel_event"})],
    ],
    "channel_leave": [[("channel_leave", ROOM)], [JOIN, ("channel_leave", ROOM)]],
    "channel_sendmsg": [
        [("channel_sendmsg", {**ROOM, "msg": "x"})],
        [("channel_sendmsg", {**ROOM, "msg": "x", "force": True})],
        [JOIN, ("channel_sendmsg", {**ROOM, "msg": "x", "msgID": "id"})],
        [("channel_sendmsg", {"name": "_agora_user_online", "msg": "x", "force": True})],
    ],
    "channel_set_attr": [
        [("channel_set_attr", {"channel": channel, "name": name, "value": value})]
        for channel, name, value in [
            ("room", "topic", "mine"),
            ("room", "_channel_ttl", "1"),
            ("room", "_setattr_limit", "1"),
            ("room", "_sendmsg_limit", "1"),
            ("room", "_userNotification", "0"),
            ("room", "_auto_update_num", "5"),
            ("_agora_user_online", "topic", "mine"),
        ]
    ],
    "channel_del_attr": [
        [("channel_del_attr", {"channel": "room", "name": "topic"})],
        [
            ("channel_set_attr", {"channel": "room", "name": "topic", "value": "mine"}),
            ("channel_del_attr", {"channel": "room", "name": "topic"}),
        ],
    ],
    "channel_clear_attr": [
        [("channel_clear_attr", {"channel": "room"})],
        [
            ("channel_set_attr", {"channel": "room", "name": "topic", "value": "mine"}),
            ("channel_clear_attr", {"channel": "room"}),
        ],
    ],
    "channel_query_num": [[("channel_query_num", ROOM)], [JOIN, ("channel_query_num", ROOM)]],
    "channel_query_user_isin": [
        [("channel_query_user_isin", {**ROOM, "account": account})] for account in ("ann", "carl")
    ],
    "channel_query_userlist": [
        [("channel_query_userlist", ROOM)],
        [JOIN, ("channel_query_userlist", ROOM)],
    ],
    "channel_query_userlist_all": [
        [("channel_query_userlist_all", ROOM)],
        [JOIN, ("channel_query_userlist_all", {**ROOM, "num": 5})],
    ],
    "user_change_attrs": [
        [("user_change_attrs", {"set": {"a": "2"}, "if": {"a": 0}, "ttl": 5000})],
        [("user_change_attrs", {"del": ["a"], "revision": 1})],
    ],
    "user_read_attrs": [[("user_read_attrs", {"account": "bob"})]],
    "channel_change_attrs": [
        [("channel_change_attrs", {"channel": "room", "set": {"a": "2"}, "if": {"a": 0}})],
        [JOIN, ("channel_change_attrs", {"channel": "room", "del": ["a"], "revision": 1})],
    ],
    "channel_read_attrs": [[("channel_read_attrs", {"channel": "room"})]],
    "user_watch": [[("user_watch", {"account": "bob"})]],
    "user_unwatch": [
        [("user_watch", {"account": "bob"}), ("user_unwatch", {"account": "bob"})],
    ],
    "channel_history": [
        [("channel_history", ROOM)],
        [JOIN, ("channel_history", {**ROOM, "num": 5})],
    ],
    "channel_catch_up": [[JOIN, ("channel_catch_up", {**ROOM, "msgid": 1})]],
    "channel_lock": [
        [("channel_lock", LOCK)],
        [JOIN, ("channel_lock", {**LOCK, "wait": 5000})],
        [JOIN, ("channel_lock", {**LOCK, "lock": "free"})],
    ],
    "channel_lock_renew": [
        [("channel_lock_renew", LOCK)],
        [JOIN, ("channel_lock", LOCK), ("channel_lock_renew", LOCK)],
    ],
    "channel_unlock": [
        [("channel_unlock", LOCK)],
        [JOIN, ("channel_lock", {**LOCK, "wait": 5000}), ("channel_unlock", LOCK)],
    ],
    "channel_query_lock": [
        [("channel_query_lock", {**ROOM, "lock": "door"})],
        [JOIN, ("channel_query_lock", {**ROOM, "lock": "door"})],
    ],
    "voip_invite": [
        [INVITED],
        [("voip_invite", {**RINGING, "callID": "call", "extra": '{"_require_peer_online":1}'})],
        [INVITED, INVITED],
    ],
    **{
        function: [
            [(function, TALK)],
            [(function, RINGING)],
            [INVITED, (function, TALK)],
        ]
        for function in (
            "voip_invite_ack",
            "voip_invite_accept",
            "voip_invite_refuse",
            "voip_invite_bye",
            "voip_invite_msg",
        )
    },
    "call_bye": [
        [("call_bye", {"channelName": "talk", "srcNum": source, "destNum": "bob"})]
        for source in ("ann", "carl")
    ],
    "pstn_invite": [
        [("pstn_invite", {"channelName": "talk", "srcNum": "110", "destNum": "bob"})],
    ],
    "pstn_dtmf": [
        [("pstn_dtmf", {"cid": call, "dtmf": "12"})] for call in ("talk", "call", "ringing")
    ],
    "push_sendmsg": [
        [("push_sendmsg", {"peer": peer, "msg": "x"})] for peer in ("ann", "bob", "zoe")
    ],
    "user_setfg": [[("user_setfg", {})]],
    "appmsg_send": [[("appmsg_send", {})]],
    "appmsg_send2": [[("appmsg_send2", {})]],
    "user_ext_call": [[("user_ext_call", {})]],
}
"""For each function what ann of app `two` does, up to that function itself."""


@pytest.fixture
def config() -> Config:
    return two_apps()


def two_apps(*ids: str, **limits: int) -> Config:
    """A configuration of these apps, by default both."""
    apps = [
        AppConfig(id=app, listeners=LISTENERS, channel_managers=("ann",))
        for app in ids or (ONE, TWO)
    ]
    return attrs.evolve(dev_config(listeners=(), **limits), apps=tuple(apps))


# --- who there is ---


class World:
    """A server and its clients, by app and account."""

    def __init__(self, server: LocalServer, nursery: trio.Nursery) -> None:
        self.server = server
        self.clients: dict[tuple[str, str], Client] = {}
        self._nursery = nursery

    async def log_in(self, app: str, account: str, wire: str = "web") -> Client:
        client: Client = await self._nursery.start(self._hold, wire)
        answer = await client.login(account, app=app)
        assert answer["result"] == "ok" if isinstance(answer, dict) else answer.startswith("ok ")
        self.clients[app, account] = client
        return client

    async def _hold(self, wire: str, task_status: trio.TaskStatus[Client]) -> None:
        """A connection that lasts as long as the world."""
        native = packet_client(self.server) if wire == "native" else None
        async with native or wire_client(self.server.connect()) as client:
            task_status.started(client)
            await trio.sleep_forever()

    async def does(self, app: str, account: str, *steps: Step) -> list[Any]:
        """What an account is answered."""
        client = self.clients[app, account]
        return [await client.call(function, **args) for function, args in steps]

    async def heard(self, app: str) -> dict[str, list[Any]]:
        """Take what the app's clients were told, without what is random in it."""
        await settle()
        told: dict[str, list[Any]] = {}
        for (whose, account), client in self.clients.items():
            if whose == app:
                told[account] = [plain(frame, client) for frame in client.seen]
                client.seen.clear()
        return told


def plain(said: Any, client: Client) -> str:
    """A frame or an answer without its random ids."""
    text = json.dumps(said)
    return re.sub(r"\b[0-9a-f]{16}\b", "ID", text.replace(client.line or "none", "LINE"))


async def _serve(config: Config, task_status: trio.TaskStatus[LocalServer]) -> None:
    async with local_server(config, listens=False) as server:
        task_status.started(server)
        await trio.sleep_forever()


@asynccontextmanager
async def worlds(*configs: Config) -> AsyncIterator[list[World]]:
    """Servers of these configurations on one clock."""
    failed: Exception | None = None
    async with trio.open_nursery() as nursery:
        try:
            yield [World(await nursery.start(_serve, config), nursery) for config in configs]
        except Exception as exc:  # noqa: BLE001  it is raised again below
            # The block's own exception is not the nursery's to wrap.
            failed = exc
        nursery.cancel_scope.cancel()
    if failed is not None:
        raise failed


async def populate_one(world: World) -> None:
    """People of app `one`, who have of everything something."""
    for account in ("ann", "bob", "carl", *LISTENERS):
        await world.log_in(ONE, account, "native" if account == "bob" else "web")
    await world.does(ONE, "lena", ("channel_join", {"name": "_agora_user_online"}))
    await world.does(ONE, "lars", ("channel_join", {"name": "_agora_channel_event"}))
    ann: list[Step] = [
        JOIN,
        ("channel_sendmsg", {**ROOM, "msg": "x"}),
        ("user_set_attr", {"name": "mood", "value": "good"}),
        ("channel_set_attr", {"channel": "room", "name": "topic", "value": "tea"}),
        ("channel_set_attr", {"channel": "room", "name": "_auto_update_num", "value": "5"}),
        ("channel_set_attr", {"channel": "empty", "name": "topic", "value": "none"}),
        *[("user_sendmsg", message(peer, messageID="id")) for peer in ("ann", "bob", "zoe", "zoe")],
        INVITED,
        ("voip_invite", {**RINGING, "callID": "ringing"}),
        ("channel_lock", {**LOCK, "lease": 120_000}),
    ]
    answers = await world.does(ONE, "ann", *ann)
    answers += await world.does(ONE, "bob", JOIN, ("channel_lock", {**LOCK, "wait": 600_000}))
    talk = {"channelName": "talk", "peer": "ann"}
    answers += await world.does(ONE, "bob", ("voip_invite_accept", talk))
    answers += await world.does(ONE, "carl", ("voip_invite_ack", talk), JOIN)
    assert {answer["result"] for answer in answers} == {"ok"}
    await world.heard(ONE)


async def populate_two(world: World, wire: str) -> None:
    """Some of the same names in app `two`, of which ann is the one who acts."""
    await world.log_in(TWO, "bob")
    await world.log_in(TWO, "ann", wire)
    for account, special in zip(LISTENERS, ("user_online", "channel_event"), strict=True):
        await world.log_in(TWO, account)
        [joined] = await world.does(TWO, account, ("channel_join", {"name": f"_agora_{special}"}))
        assert joined["result"] == "ok"


# --- what a server has of an app ---


def key_of(of: Any) -> Any:
    """What something is due of: the app first."""
    return (of.channel.key.app, of.row()) if isinstance(of, Ask) else getattr(of, "key", of)


def kept_of(server: LocalServer, app: str) -> dict[str, Any]:
    """All that a server knows of an app, to compare it with what it knows later."""
    node = server.node
    state, hub = state_of(node.engine), node._hub
    presences: Any = node._presences

    def copied(record: Account | Channel) -> Any:
        kept = attrs.asdict(record, recurse=False)
        del kept["usage"]
        kept.pop("maker", None)
        if isinstance(record, Account):
            kept["inbox"] = attrs.asdict(record.inbox, recurse=False)
        return copy.deepcopy(kept)

    def own(table: Any, value: Callable[[Any], Any]) -> dict[Any, Any]:
        return {key: value(it) for key, it in table.items() if key[0] == app}

    def times(rates: Any) -> dict[Any, Any]:
        return own({**rates._old, **rates._young, **rates._held}, lambda rate: list(rate._times))

    return {
        "accounts": own(state.accounts, copied),
        "channels": own(state.channels, copied),
        "calls": own(state.calls, lambda call: call),
        "lines": {digest for digest, key in state.lines.items() if key.app == app},
        "usage": attrs.asdict(state.usage(app)),
        "holders": own(hub._holders, id),
        "listeners": own(hub._listeners, dict),
        "due": {
            (kind, key): time
            for dues in (state.dues, state.expiries)
            for (kind, of), time in times_of(dues).items()
            if (key := key_of(of))[0] == app
        },
        "sent": times(presences._sent),
        "logins": own(presences._logins._paces, lambda pace: pace._paid_until),
        "locks": [it.row() for it in state.locks if it.channel.key.app == app],
        "rates": times(state.messages),
        "changes": times(state.changes),
    }


async def test_what_is_compared_shows_what_changes(autojump_clock: MockClock) -> None:
    """Each step of `one` itself is seen by the comparison: it compares enough."""
    async with worlds(two_apps()) as (world,):
        await populate_one(world)
        seen = kept_of(world.server, ONE)
        assert all(seen.values()), seen
        for function, args in [
            ("user_sendmsg", message("zoe")),
            ("user_set_attr", {"name": "mood", "value": "bad"}),
            ("channel_set_attr", {"channel": "room", "name": "topic", "value": "coffee"}),
            ("channel_sendmsg", {**ROOM, "msg": "x"}),
            ("voip_invite_bye", TALK),
            ("channel_leave", ROOM),
            ("channel_clear_attr", {"channel": "empty"}),
        ]:
            [answer] = await world.does(ONE, "ann", (function, args))
            assert answer["result"] == "ok"
            assert seen != (seen := kept_of(world.server, ONE)), function


# --- the walk ---


OWN = (UserLogout, ChannelCatchUp)
"""What is about the connection itself."""


def test_every_function_of_the_server_is_walked() -> None:
    """A new function is not isolated before it stands above."""
    services: Any = Node(two_apps()).acceptor._services
    handlers = services.handlers
    known = {cls.function for cls in (*handlers.questions, *handlers.changes, *OWN)}
    known |= {cls.function for cls in WATCHING}
    assert set(CASES) == known
    for function, cases in CASES.items():
        assert cases
        assert all(case[-1][0] == function for case in cases)


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("function", CASES)
async def test_no_function_reaches_into_another_app(
    autojump_clock: MockClock, function: str, wire: str
) -> None:
    for case in CASES[function]:
        async with worlds(two_apps(), two_apps(TWO)) as (shared, alone):
            await populate_one(shared)
            before = kept_of(shared.server, ONE)
            for world in (shared, alone):
                await populate_two(world, wire)
            assert await shared.heard(TWO) == await alone.heard(TWO)
            answers = [
                [plain(it, world.clients[TWO, "ann"]) for it in await world.does(TWO, "ann", *case)]
                for world in (shared, alone)
            ]
            assert answers[0] == answers[1]
            assert await shared.heard(TWO) == await alone.heard(TWO)
            assert kept_of(shared.server, ONE) == before
            assert not any((await shared.heard(ONE)).values())


# --- what is no function ---


@pytest.mark.parametrize("wire", WIRES)
async def test_a_login_under_the_same_name_is_somebody_else_s(
    autojump_clock: MockClock, wire: str
) -> None:
    """It kicks nobody of the other app, is told to no listener there, and has an uid, versions and
    a lease of its own.
    """
    async with worlds(two_apps(), two_apps(TWO)) as (shared, alone):
        await populate_one(shared)
        before = kept_of(shared.server, ONE)
        uids = {}
        for world in (shared, alone):
            await populate_two(world, wire)
            uids[world] = {it: client.uid for it, client in world.clients.items() if it[0] == TWO}
            # Once more, which kicks the first of its own app.
            await world.log_in(TWO, "ann", wire)
            await world.log_in(TWO, "carl", wire)
        assert uids[shared] == uids[alone]
        assert shared.clients[TWO, "ann"].uid != shared.clients[ONE, "ann"].uid
        assert await shared.heard(TWO) == await alone.heard(TWO)
        assert kept_of(shared.server, ONE) == before
        assert not any((await shared.heard(ONE)).values())


async def test_the_end_of_a_lease_is_its_own_app_s(autojump_clock: MockClock) -> None:
    async with worlds(two_apps()) as (world,):
        for account in ("ann", *LISTENERS):
            await world.log_in(ONE, account)
        await world.does(ONE, "ann", JOIN)
        await world.does(ONE, "lena", ("channel_join", {"name": "_agora_user_online"}))
        await world.does(ONE, "lars", ("channel_join", {"name": "_agora_channel_event"}))
        await world.heard(ONE)
        async with wire_client(world.server.connect()) as ann:
            await ann.login("ann", app=TWO)
            ttl = {"channel": "room", "name": "_channel_ttl", "value": "10"}
            assert (await ann.call("channel_set_attr", **ttl))["result"] == "ok"
            await ann.call("channel_join", **ROOM)
        # Longer than a lease, and then than an empty channel lives.
        await trio.sleep(140)
        kept = kept_of(world.server, TWO)
        assert not any(kept[name] for name in ("accounts", "channels", "lines", "due"))
        assert not any((await world.heard(ONE)).values())
        status, listed = await world.does(
            ONE,
            "lena",
            ("user_query_user_status", {"account": "ann"}),
            ("channel_query_userlist", ROOM),
        )
        assert status["status"] == 1
        assert [account for account, _ in listed["list"]] == ["ann"]


@pytest.mark.parametrize("wire", WIRES)
async def test_a_line_of_another_app_is_worth_nothing_to_who_is_logged_in(
    autojump_clock: MockClock, wire: str
) -> None:
    """A request under it is refused as one under any wrong line, and so is taking it up."""
    async with worlds(two_apps(), two_apps(TWO)) as (shared, alone):
        await populate_one(shared)
        line = shared.clients[ONE, "ann"].line
        before = kept_of(shared.server, ONE)
        for function, cases in CASES.items():
            said = []
            for world in (shared, alone):
                eve = await world.log_in(TWO, "eve", wire)
                eve.line, own = line, eve.line
                said.append(await world.does(TWO, "eve", (function, cases[0][-1][1])))
                eve.line = own
                assert said[-1][0]["reason"] == "wrong line"
                if isinstance(eve, WireClient):
                    eve.send("line_login", {"line": line})
                    assert (await eve.login_ret())["result"] == "failed"
                else:
                    eve.say(f"line_login2 {line} 2 0")
                await settle()
            assert said[0] == said[1], function
        assert kept_of(shared.server, ONE) == before
        assert not any((await shared.heard(ONE)).values())


async def test_quotas_and_rates_are_each_app_s_own(autojump_clock: MockClock) -> None:
    """What one app or its people have used up is not taken from the other's."""
    limits = {
        "app_accounts": 4,
        "app_channels": 2,
        "app_bytes": 2000,
        "account_channels": 1,
        "account_calls": 1,
        "inbox_messages": 3,
        "channel_messages_per_second": 1,
        "channel_attributes_per_second": 2,
        "user_messages_per_second": 6,
        "changes_per_second": 20,
        "questions_per_second": 20,
    }
    uses: list[Step] = [
        JOIN,
        *[("channel_sendmsg", {**ROOM, "msg": "x"}) for _ in range(3)],
        *[
            ("channel_set_attr", {"channel": channel, "name": "topic", "value": "x" * 900})
            for channel in ("room", "hall", "room", "room")
        ],
        *[("user_sendmsg", message("bob")) for _ in range(5)],
        *[("voip_invite", {"channelName": name, "peer": "bob"}) for name in ("a", "b")],
        *[("user_query_user_status", {"account": "bob"}) for _ in range(25)],
    ]
    async with worlds(two_apps(**limits), two_apps(TWO, **limits)) as (shared, alone):
        answers = []
        for world, app in ((shared, ONE), (shared, TWO), (alone, TWO)):
            client = await world.log_in(app, "ann")
            answers.append([plain(it, client) for it in await world.does(app, "ann", *uses)])
        assert sum('"result": "failed"' in answer for answer in answers[0]) > 10
        assert answers[1] == answers[2]


async def test_a_lookup_tells_nothing_of_another_app(autojump_clock: MockClock) -> None:
    """Neither of the two answers depends on which other apps there are, and one that there is not
    is refused in the same words.
    """
    server = ServerConfig(advertise=("10.0.0.1",), data="/nowhere")
    found = []
    for ids in ((ONE, TWO), (TWO,)):
        apps = tuple(AppConfig(id=app, certificate=app * 16) for app in ids)
        config = Config(server=server, native=NativeConfig(enabled=True), apps=apps)
        lookup = NativeLookup(config, Places(config), Refusals(), lambda: False)
        questions = [datagrams.encode_question(app) for app in (TWO, "none")]
        # From one address each time: whoever asks pays by that, whichever app it asks for.
        found.append([lookup.answer(data, "10.0.0.9", "10.0.0.1") for data in questions])
    assert found[0] == found[1]
    async with worlds(two_apps(), two_apps(TWO)) as (shared, alone):
        http = [await ask(world.server, f"/getaddr?vid={TWO}") for world in (shared, alone)]
        assert http[0] == http[1]


def test_a_revocation_is_one_app_s(tmp_path: Path) -> None:
    for account in ("", "ann"):
        revoke(tmp_path, Revocation(app=ONE, account=account, before=100))
        known = Revocations(str(tmp_path))
        assert known.is_revoked(ONE, "ann", 50, 1000)
        assert not known.is_revoked(TWO, "ann", 50, 1000)


def test_one_name_is_two_keys() -> None:
    """No pair of an app and a name is another's, wherever the two are put together."""
    assert AccountKey("a", "b:c") != AccountKey("a:b", "c")
    assert ChannelKey("a", "b\0c") != ChannelKey("a\0b", "c")
