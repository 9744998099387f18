"""Each refusal counts under the key of the limit that it is over, and under no other."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Final

import attrs
import pytest
import trio
from trio.testing import MockClock

from signal_sdk.server.config import Config, LimitsConfig
from signal_sdk.server.engine.embedded import EmbeddedEngine
from signal_sdk.server.engine.journal import Journal
from signal_sdk.server.engine.schema import Batch
from signal_sdk.server.refusals import LIMITS, Limit
from signal_sdk.testing.memory import MemoryTransport
from signal_sdk.testing.server import LocalServer, local_server
from signal_sdk.wire import datagrams, packets
from tests.packet_client import packet_client
from tests.server.helpers import (
    OPENING,
    LogIn,
    connect,
    dev_config,
    is_refusal,
    settle,
    slow_engine,
)
from tests.wire_client import WireClient, wire_client

ONE: Final = "192.0.2.1"
REFUSE_NOTHING: Final = {
    "count_push_seconds": "a push that comes sooner waits for its time",
    "compress_over_bytes": "what is longer goes out all the same, compressed",
    "history_events": "older ones are forgotten, and who comes back is told of a gap",
    "history_seconds": "the same",
}
"""The keys of `[limits]` over which nobody is refused anything, and why."""


@attrs.frozen(eq=False)
class World:
    """A server, and how to log in there."""

    server: LocalServer
    log_in: LogIn

    @property
    def refused(self) -> dict[str, int]:
        """What has counted."""
        return {key: count for key, count in self.server.node.refusals.items() if count}


Provoke = Callable[[World], Awaitable[None]]


@attrs.frozen
class Case:
    """What is refused `times` times over `limit`; None where it is not to be foretold how often."""

    limit: Limit
    limits: dict[str, Any]
    provoke: Provoke
    times: int | None = 1


CASES: list[Case] = []


def over(limit: Limit, *, times: int | None = 1, **limits: int) -> Callable[[Provoke], Provoke]:
    """The decorated function has its server refuse something over `limit`."""

    def add(provoke: Provoke) -> Provoke:
        CASES.append(Case(limit, limits, provoke, times))
        return provoke

    return add


async def refused(client: WireClient, ecode: int, function: str, **args: Any) -> None:
    """It is refused, and the client does not hear the key."""
    reply = await client.call(function, **args)
    assert is_refusal(reply, ecode), reply
    assert not any(key in reply["reason"] for key in LIMITS if "_" in key)


async def done(client: WireClient, function: str, **args: Any) -> None:
    assert (await client.call(function, **args))["result"] == "ok"


def message(to: str, text: str = "x") -> dict[str, Any]:
    return {"peer": to, "flag": "v1:E:60", "t": "instant", "content": text}


async def logins(world: World, *accounts: str, host: str = ONE) -> list[int]:
    """Log in one after the other, from one address: the codes, 0 where one succeeds."""
    codes = []
    async with AsyncExitStack() as stack:
        for account in accounts:
            client = await stack.enter_async_context(wire_client(connect(world.server, host)))
            codes.append((await client.login(account)).get("ecode", 0))
    return codes


async def opened(transport: MemoryTransport) -> bytes:
    """The first line that a server says to who opens a link."""
    transport.send_nowait(OPENING)
    await settle()
    return (await transport.receive_some()).partition(b"\r\n")[0]


# --- rates ---


@over("user_messages_per_second", user_messages_per_second=1)
async def sends_often(world: World) -> None:
    ann = await world.log_in("ann")
    await done(ann, "user_sendmsg", **message("bob"))
    await refused(ann, 400, "user_sendmsg", **message("bob"))


@over("channel_messages_per_second", channel_messages_per_second=1)
async def many_send_to_a_channel(world: World) -> None:
    ann = await world.log_in("ann")
    await done(ann, "channel_join", name="room")
    await done(ann, "channel_sendmsg", name="room", msg="x")
    await refused(ann, 400, "channel_sendmsg", name="room", msg="x")


@over("channel_joins_per_second", channel_joins_per_second=1)
async def many_join(world: World) -> None:
    ann, bob = await world.log_in("ann"), await world.log_in("bob")
    await done(ann, "channel_join", name="room")
    await refused(bob, 300, "channel_join", name="room")


@over("channel_attributes_per_second", channel_attributes_per_second=1)
async def many_change_a_channel(world: World) -> None:
    ann = await world.log_in("ann")
    await done(ann, "channel_set_attr", channel="room", name="a", value="1")
    await refused(ann, 1001, "channel_set_attr", channel="room", name="a", value="2")


@over("changes_per_second", changes_per_second=1)
async def changes_often(world: World) -> None:
    ann = await world.log_in("ann")
    await done(ann, "user_set_attr", name="a", value="1")
    await refused(ann, 1001, "user_set_attr", name="a", value="2")


@over("questions_per_second", questions_per_second=1)
async def asks_often(world: World) -> None:
    ann = await world.log_in("ann")
    await done(ann, "channel_query_num", name="room")
    await refused(ann, 1001, "channel_query_num", name="room")


@over("frames_per_second", times=None, frames_per_second=5)
async def says_much(world: World) -> None:
    ann = await world.log_in("ann")
    await trio.sleep(2)
    for number in range(5):
        ann.send("ping", number)
    await settle()
    assert not world.refused
    for number in range(5):
        ann.send("ping", number)
    await ann.expect(lambda frame: frame == ["pong", 4])
    await trio.sleep(2)


@over("lookups_per_second", lookups_per_second=1)
async def looks_up_often(world: World) -> None:
    question = datagrams.encode_question("app")
    answers = [world.server.node._lookup.answer(question, ONE, "192.0.2.9") for _ in range(2)]
    assert [answer is None for answer in answers] == [False, True]


# --- connections and logins ---


@over("max_connections", max_connections=1)
async def one_connection_too_many(world: World) -> None:
    await world.log_in("ann")
    assert b" 503 " in await opened(world.server.connect())


@over("max_connections", max_connections=1)
async def one_native_connection_too_many(world: World) -> None:
    await world.log_in("ann")
    assert await world.server.connect_native().receive_some() == b""


@over("max_connections", max_connections=1)
async def so_many_too_many_that_nobody_is_asked(world: World) -> None:
    for _ in range(66):
        world.server.connect()
    assert b" 503 " in await world.server.connect().receive_some()


@over("max_connections", max_connections=10)
async def nobody_but_who_comes_back(world: World) -> None:
    others = [connect(world.server, "192.0.2.2") for _ in range(9)]
    assert await logins(world, "ann") == [201]
    assert len(others) == 9


@over("app_connections", app_connections=1)
async def an_app_has_too_many(world: World) -> None:
    assert await logins(world, "ann", "bob") == [0, 201]


@over("connections_per_address", connections_per_address=1)
async def an_address_has_too_many(world: World) -> None:
    assert b" 101 " in await opened(connect(world.server, ONE))
    assert b" 429 " in await connect(world.server, ONE).receive_some()


@over("connections_per_address", connections_per_address=1)
async def an_address_has_too_many_native_ones(world: World) -> None:
    first = connect(world.server, ONE, native=True)
    assert await connect(world.server, ONE, native=True).receive_some() == b""
    assert first.receive_nowait() is None


@over("connections_per_second", connections_per_second=1)
async def an_address_comes_too_often(world: World) -> None:
    assert b" 101 " in await opened(connect(world.server, ONE))
    assert b" 429 " in await connect(world.server, ONE).receive_some()


@over("logins_per_second", logins_per_second=1)
async def an_address_logs_in_often(world: World) -> None:
    assert await logins(world, "ann", "bob") == [0, 201]


@over("wrong_logins_per_minute", wrong_logins_per_minute=1)
async def an_address_guesses(world: World) -> None:
    for _ in range(2):
        async with wire_client(connect(world.server, ONE)) as client:
            client.send("line_login", {"line": "a guess"})
            assert (await client.login_ret())["result"] != "ok"
    # To have guessed is no refusal of this limit; to wait is.
    assert not world.refused
    assert await logins(world, "ann") == [201]


@over("account_logins_per_minute", account_logins_per_minute=1)
async def an_account_logs_in_often(world: World) -> None:
    assert await logins(world, "ann", "ann") == [0, 201]


@over("memory_percent", times=3)
async def memory_is_short(world: World) -> None:
    async with wire_client(world.server.connect()) as client:
        world.server.node.acceptor._services.memory.is_short = True
        assert (await client.login("ann"))["ecode"] == 201
    assert b" 503 " in await opened(world.server.connect())
    assert await world.server.connect_native().receive_some() == b""
    # Who looks after the server is not refused, but told how it is.
    probe = world.server.connect()
    probe.send_nowait(b"GET /readyz HTTP/1.1\r\nHost: memory\r\n\r\n")
    assert b" 503 " in await probe.receive_some()


@over("memory_percent")
async def memory_is_short_and_very_many_come(world: World) -> None:
    world.server.node.acceptor._services.memory.is_short = True
    for _ in range(64):
        world.server.connect()
    assert b" 503 " in await world.server.connect().receive_some()


@over("handshake_seconds", times=3, handshake_seconds=5)
async def nothing_is_said_in_time(world: World) -> None:
    silent, opening, native = (
        world.server.connect(),
        world.server.connect(),
        world.server.connect_native(),
    )
    await opened(opening)
    await trio.sleep(10)
    assert await silent.receive_some() == b""
    assert await native.receive_some() == b""


@over("silence_seconds", silence_seconds=20)
async def falls_silent(world: World) -> None:
    ann = await world.log_in("ann")
    await trio.sleep(60)
    assert ann.closed is not None


# --- single connections ---


@over("max_frame_bytes", max_frame_bytes=1000)
async def says_too_long_a_thing(world: World) -> None:
    ann = await world.log_in("ann")
    ann.send_raw(b"x" * 1001)
    assert (await ann.wait_closed()).code == 1009


@over("max_frame_bytes", max_frame_bytes=1000)
async def says_too_long_a_thing_natively(world: World) -> None:
    async with packet_client(world.server) as ann:
        await ann.login("ann")
        ann.send_raw(packets.encode_plain(b"x" * 1001))
        await settle()
        assert ann.is_closed


@over("max_frame_bytes", max_frame_bytes=1000)
async def says_what_is_too_long_when_inflated(world: World) -> None:
    async with packet_client(world.server) as ann:
        await ann.login("ann")
        ann.send_raw(packets.encode_compressed(b"x" * 1001))
        await settle()
        assert ann.is_closed


@over("outbox_bytes", outbox_bytes=100_000)
async def reads_too_slowly(world: World) -> None:
    ann = await world.log_in("ann")
    await done(ann, "channel_join", name="room")
    async with wire_client(world.server.connect()) as slow:
        await slow.login("slow")
        await slow.call("channel_join", name="room")
        slow.link._transport.receive_some = trio.sleep_forever  # type: ignore[method-assign]  # a client that hangs
        slow.send("ping", 1)
        await settle()
        for _ in range(40):
            await done(ann, "channel_sendmsg", name="room", msg="x" * 8000)


# --- what is kept ---


@over("inbox_messages", inbox_messages=1)
async def an_inbox_is_full(world: World) -> None:
    ann = await world.log_in("ann")
    await done(ann, "user_sendmsg", **message("bob"))
    await refused(ann, 400, "user_sendmsg", **message("bob"))


@over("inbox_bytes", inbox_bytes=500)
async def an_inbox_is_full_of_bytes(world: World) -> None:
    ann = await world.log_in("ann")
    await refused(ann, 400, "user_sendmsg", **message("bob", "x" * 500))


@over("inbox_sender_messages", inbox_sender_messages=1)
async def a_sender_has_his_share(world: World) -> None:
    ann = await world.log_in("ann")
    await done(ann, "user_sendmsg", **message("bob"))
    await refused(ann, 400, "user_sendmsg", **message("bob"))


@over("session_channels", session_channels=1)
async def is_in_many_channels(world: World) -> None:
    ann = await world.log_in("ann", many_channels=True)
    await done(ann, "channel_join", name="room")
    await refused(ann, 300, "channel_join", name="hall")


@over("account_channels", account_channels=1)
async def makes_channels(world: World) -> None:
    ann = await world.log_in("ann")
    await done(ann, "channel_set_attr", channel="room", name="a", value="1")
    await refused(ann, 1001, "channel_set_attr", channel="hall", name="a", value="1")


def asks(lock: str, ask: str) -> dict[str, Any]:
    return {"name": "room", "lock": lock, "askID": ask, "lease": 9000, "wait": 9000}


@over("account_locks", account_locks=1)
async def has_many_locks(world: World) -> None:
    ann = await world.log_in("ann")
    await done(ann, "channel_join", name="room")
    await done(ann, "channel_lock", **asks("a", "1"))
    await refused(ann, 1001, "channel_lock", **asks("a", "2"))


@over("channel_locks", channel_locks=1)
async def locks_much_of_a_channel(world: World) -> None:
    ann = await world.log_in("ann")
    await done(ann, "channel_join", name="room")
    await done(ann, "channel_lock", **asks("a", "1"))
    await refused(ann, 1001, "channel_lock", **asks("b", "1"))


@over("lock_waiters", lock_waiters=1)
async def waits_behind_many(world: World) -> None:
    ann = await world.log_in("ann")
    await done(ann, "channel_join", name="room")
    for ask in "12":
        await done(ann, "channel_lock", **asks("a", ask))
    await refused(ann, 1001, "channel_lock", **asks("a", "3"))


@over("session_watches", session_watches=1)
async def watches_many(world: World) -> None:
    ann = await world.log_in("ann")
    for _ in range(2):
        await done(ann, "user_watch", account="bob")
    await refused(ann, 1001, "user_watch", account="eve")
    await done(ann, "user_unwatch", account="bob")
    await done(ann, "user_watch", account="eve")


@over("account_calls", account_calls=1)
async def calls_many(world: World) -> None:
    ann = await world.log_in("ann")
    await done(ann, "voip_invite", channelName="c", peer="bob", extra="")
    await refused(ann, 700, "voip_invite", channelName="c", peer="eve", extra="")


@over("app_accounts", app_accounts=1)
async def an_app_has_no_room_for_who_is_written_to(world: World) -> None:
    ann = await world.log_in("ann")
    await refused(ann, 1001, "user_sendmsg", **message("bob"))


@over("app_accounts", app_accounts=1)
async def an_app_has_no_room_for_who_logs_in(world: World) -> None:
    assert await logins(world, "ann", "bob") == [0, 201]


@over("app_channels", app_channels=1)
async def an_app_has_no_room_for_a_channel(world: World) -> None:
    ann = await world.log_in("ann")
    await done(ann, "channel_set_attr", channel="room", name="a", value="1")
    await refused(ann, 1001, "channel_set_attr", channel="hall", name="a", value="1")


@over("app_bytes", times=2, app_bytes=500)
async def an_app_has_no_room_for_bytes(world: World) -> None:
    ann = await world.log_in("ann")
    await refused(ann, 1001, "user_set_attr", name="a", value="x" * 500)
    await refused(ann, 400, "user_sendmsg", **message("bob", "x" * 500))


@over("attributes", times=2, attributes=1)
async def has_attributes(world: World) -> None:
    ann = await world.log_in("ann")
    await done(ann, "user_set_attr", name="a", value="1")
    await refused(ann, 1001, "user_set_attr", name="b", value="1")
    await done(ann, "channel_set_attr", channel="room", name="a", value="1")
    await refused(ann, 1001, "channel_set_attr", channel="room", name="b", value="1")


# --- all of them ---


def test_every_limit_is_counted_or_refuses_nothing() -> None:
    keys = [field.name for field in attrs.fields(LimitsConfig)]
    assert [key for key in keys if key not in REFUSE_NOTHING] == list(LIMITS)
    assert REFUSE_NOTHING.keys() <= set(keys)
    assert {case.limit for case in CASES} == set(LIMITS)


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.limit}-{case.provoke.__name__}")
class TestCounts:
    @pytest.fixture
    def config(self, case: Case) -> Config:
        return dev_config(**case.limits)

    async def test_a_refusal_counts_under_its_key_alone(
        self, server: LocalServer, log_in: LogIn, case: Case
    ) -> None:
        world = World(server, log_in)
        assert list(server.node.refusals) == list(LIMITS)
        assert not world.refused
        await case.provoke(world)
        await settle()
        assert list(world.refused) == [case.limit]
        if case.times is not None:
            assert world.refused[case.limit] == case.times


async def test_what_is_refused_for_another_reason_counts_under_no_limit(
    server: LocalServer, log_in: LogIn
) -> None:
    ann = await log_in("ann")
    assert (await ann.call("channel_sendmsg", name="room", msg="x"))["result"] == "failed"
    assert is_refusal(await ann.call("user_sendmsg", **message("")), 1004)
    async with wire_client(server.connect()) as client:
        assert (await client.login(" "))["ecode"] == 209
    # Before a login the bounds are fixed ones.
    async with wire_client(server.connect()) as stranger:
        stranger.send_raw(b"x" * 10_000)
        await stranger.wait_closed()
    await settle()
    assert not World(server, log_in).refused


async def test_the_counts_can_only_be_looked_at(server: LocalServer) -> None:
    with pytest.raises(TypeError):
        server.node.refusals["attributes"] = 1  # type: ignore[index]  # a view


class TestBehindAProxy:
    @pytest.fixture
    def config(self) -> Config:
        config = dev_config(connections_per_address=1)
        server = attrs.evolve(config.server, trusted_proxies=("192.0.2.99",))
        return attrs.evolve(config, server=server)

    async def test_a_request_counts_once_however_often_it_is_looked_at(
        self, server: LocalServer, log_in: LogIn
    ) -> None:
        request = OPENING.replace(b"\r\nHost", b"\r\nX-Forwarded-For: 192.0.2.1\r\nHost", 1)
        answers = []
        for _ in range(2):
            transport = connect(server, "192.0.2.99")
            transport.send_nowait(request)
            await settle()
            answers.append((await transport.receive_some())[:12])
        assert answers == [b"HTTP/1.1 101", b"HTTP/1.1 429"]
        assert World(server, log_in).refused == {"connections_per_address": 1}


class TestWhereNobodyIsHeardAtOnce:
    """An engine that takes its time: a task handles each frame, and gates hold what comes."""

    @pytest.fixture
    async def server(self, autojump_clock: MockClock, config: Config) -> AsyncIterator[LocalServer]:
        async with local_server(config, listens=False, engine=slow_engine(1)) as server:
            yield server

    @pytest.mark.parametrize("config", [dev_config(frames_per_second=5)])
    async def test_a_task_that_waits_counts(self, server: LocalServer, log_in: LogIn) -> None:
        ann = await log_in("ann")
        for number in range(10):
            ann.send("ping", number)
        await ann.expect(lambda frame: frame == ["pong", 9])
        assert World(server, log_in).refused.keys() == {"frames_per_second"}


class TestGates:
    @pytest.fixture
    async def server(self, tmp_path: Path, autojump_clock: MockClock) -> AsyncIterator[LocalServer]:
        """A server whose journal takes a second for each batch."""

        async def slowly(write: Callable[[Batch], None], batch: Batch) -> None:
            with trio.CancelScope(shield=True):
                await trio.sleep(1)
            write(batch)

        engine = EmbeddedEngine(journal=Journal.open(tmp_path), write_in_thread=slowly)
        config = dev_config(outbox_bytes=20_000)
        async with local_server(config, listens=False, engine=engine) as server:
            yield server

    async def test_who_is_cut_off_since_too_much_has_come_while_he_joined_counts(
        self, server: LocalServer, log_in: LogIn
    ) -> None:
        ann, bob = await log_in("ann"), await log_in("bob")
        await done(ann, "channel_join", name="room")
        bob.request("channel_join", name="room")
        await settle()
        for _ in range(4):
            await done(ann, "channel_sendmsg", name="room", msg="x" * 8000)
        assert not World(server, log_in).refused
        await bob.wait_closed()
        assert World(server, log_in).refused == {"outbox_bytes": 1}
