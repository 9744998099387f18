"""A stopped server's state, carried from its directory into Redis and back by `signal-sdk migrate`:
what clients see there is what they saw before.
"""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import attrs
import pytest
import trio
from click.testing import CliRunner
from msgspec.structs import replace
from trio.testing import MockClock

from signal_sdk.cli.main import cli
from signal_sdk.errors import SignalError
from signal_sdk.server.engine.base import AccountKey, ChannelKey, Presence
from signal_sdk.server.engine.happened import HOOKED, Happening, Login
from signal_sdk.server.engine.kept import read
from signal_sdk.server.revocations import Revocation, revoke, saved
from tests.redis.clusters import RedisCluster
from tests.redis.servers import RedisServer
from tests.server.engine.contract.harness import (
    ANN,
    BOB,
    ROOM,
    Backend,
    House,
    OnCluster,
    OnJournal,
    OnRedis,
    User,
    open_house,
)

T = TypeVar("T")
KEYS = [AccountKey(app, f"u{number}") for app in ("app", "a}{pp") for number in range(4)]
CHANNELS = ("room", "hall", "_agora_user_online", "ü n")


@attrs.define
class World:
    """Where the state is, and what time it is, which goes on from life to life."""

    tmp_path: Path
    servers: Sequence[RedisServer]
    urls: list[str]
    prefix: str
    seconds: float = 0.0

    @property
    def directory(self) -> Path:
        return self.tmp_path / "data"

    def on_journal(self, work: Callable[[House], Awaitable[T]], name: str = "data") -> T:
        return self._live(OnJournal(self.tmp_path / name), work)

    def on_redis(self, work: Callable[[House], Awaitable[T]]) -> T:
        backend = (OnCluster if "cluster" in self.urls[0] else OnRedis)(self.tmp_path)
        backend.use(self.servers, self.urls, f"{self.prefix}:")
        return self._live(backend, work)

    def _live(self, backend: Backend, work: Callable[[House], Awaitable[T]]) -> T:
        clock = MockClock(autojump_threshold=0)
        clock.jump(self.seconds)

        async def live() -> T:
            async with open_house(backend) as house:
                found = await work(house)
            self.seconds = trio.current_time() + 1
            return found

        return trio.run(live, clock=clock)

    def migrate(self, source: str, target: str) -> str:
        environment = {"SIGNAL_SDK_SERVER_REDIS_PREFIX": self.prefix}
        args = ["migrate", "--from", source, "--to", target]
        result = CliRunner().invoke(cli, args, env=environment)
        assert (result.exit_code, result.stderr) == (0, "")
        return result.stdout

    def carry_in(self, name: str = "data") -> str:
        return self.migrate(str(self.tmp_path / name), self.urls[0])

    def carry_out(self, name: str = "back") -> str:
        return self.migrate(self.urls[0], str(self.tmp_path / name))


@pytest.fixture
def world(tmp_path: Path, shared_redis: RedisServer, redis_prefix: str) -> World:
    return World(tmp_path, [shared_redis], [shared_redis.unix_url], redis_prefix)


# --- what clients see


async def settled(house: House) -> None:
    """The first looks at what was there before are done: leases have begun."""
    await house.settle()
    await trio.sleep(1.1)
    await house.settle()


async def seen(house: House) -> dict[Any, Any]:
    """All that clients can see, or that the server does by it later."""
    await settled(house)
    engine = house.engine
    found: dict[Any, Any] = {}
    for key in (*KEYS, ANN, BOB):
        page = await engine.read_inbox(key, 0, 10_000)
        found[key] = (
            lasting(await engine.presence(key)),
            page.ver_clear,
            [(it.version, it.expires, it.line) for it in page.entries],
            await engine.user_attrs(key),
            sorted(await engine.calls_of(key), key=lambda call: call.id),
        )
    for app in {key.app for key in KEYS}:
        found[app] = await engine.last_revision(app)
        for name in CHANNELS:
            channel = ChannelKey(app, name)
            roster = await engine.roster(channel, 100)
            found[channel] = (roster, await engine.channel_attrs(channel))
    return found


def lasting(presence: Presence | None) -> Any:
    """Of a session, what outlives its connection. None of it is connected yet."""
    if presence is None:
        return None
    assert presence.lease_ends is not None
    facts = {it: getattr(presence, it) for it in presence.__struct_fields__}
    return {**facts, "node": "", "lease_ends": None, "channels": set(presence.channels)}


# --- what they do


async def live(house: House, key: AccountKey, moments: random.Random) -> None:
    """What one account does, as it comes; some of it is refused."""
    user: User | None = None
    for number in range(25):
        try:
            if user is None:
                token: dict[str, Any] = {"token_expires": 1_700_000_000, "token_issued": 3}
                facts = {**token, "rights": "{}"} if moments.random() < 0.5 else {}
                facts["many_channels"] = KEYS.index(key) % 2 == 0
                user = await house.node.log_in(key, line=f"{number}", instance="i", **facts)
            match moments.randrange(8):
                case 0:
                    await (user.disconnect() if moments.random() < 0.5 else user.end())
                    user = None
                case 1 | 2:
                    await change(user, number, moments)
                case 3 | 4:
                    await ring(house, user, number, moments)
                case _:
                    await talk_or_move(house, user, number, moments)
        except SignalError:
            pass
        await trio.sleep(moments.random())


async def change(user: User, number: int, moments: random.Random) -> None:
    channel = moments.choice(CHANNELS)
    match moments.randrange(4):
        case 0:
            await user.set_own(moments.choice(["name", "_conn_timeout"]), number + 15)
        case 1:
            await user.set(moments.choice(["topic", "ü"]), ["ü\0", None, 1.5], channel)
        case 2:
            await user.set("_channel_ttl", 3000 + number, channel)
        case _:
            await user.set("_auto_update_num", 5, channel)


async def ring(house: House, user: User, number: int, moments: random.Random) -> None:
    calls = await house.engine.calls_of(user.key)
    if calls and moments.random() < 0.5:
        call = moments.choice(calls)
        kind = moments.choice(["voip_invite_ack", "voip_invite_accept", "voip_bye"])
        await user.step(kind, call.other(user.key.account), call.channel)
    else:
        peer, call_id = moments.choice(KEYS[:4]).account, f"{user.key.account} {number}"
        await user.call(peer, moments.choice(CHANNELS), timeout=60, call_id=call_id)


async def talk_or_move(house: House, user: User, number: int, moments: random.Random) -> None:
    asked, channel = user.asked(number, 0, f'{{"reply": "{number}"}}'), moments.choice(CHANNELS)
    match moments.randrange(6):
        case 0 | 1:
            await user.join(channel, asked)
        case 2:
            await user.leave(channel)
        case 3:
            await house.engine.remove(user.key, channel)
        case _:
            peer = AccountKey(user.key.app, moments.choice(KEYS[:4]).account)
            text = f"{number} ü\0{'x' * moments.randrange(200)}"
            await user.post(text, peer, 5000 + number, asked)


async def crowd(house: House, *, seed: int) -> None:
    async with trio.open_nursery() as nursery:
        for number, key in enumerate(KEYS):
            moments = random.Random(seed * 100 + number)
            nursery.start_soon(live, house, key, moments)
    ann = await house.node.log_in(ANN, many_channels=True)
    for channel in CHANNELS:
        await ann.join(channel)
    for channel in CHANNELS[2:]:
        await house.engine.remove(ANN, channel)
    for key in KEYS[:2]:
        # Some of it is handled.
        page = await house.engine.read_inbox(key, 0, 1)
        if page.entries:
            await house.engine.read_inbox(key, page.entries[0].version, 1)


def kept(directory: Path) -> dict[Any, Any]:
    """All that a directory has, but for the numbers of its rows."""
    state = read(directory)
    accounts = {
        key: (
            it.uid,
            it.generation,
            it.reserved,
            # In which order it has joined its channels is kept nowhere.
            it.presence and replace(it.presence, channels=tuple(sorted(it.presence.channels))),
            it.attributes,
            [(entry.version, entry.expires, entry.line) for entry in it.inbox.entries],
            {callid: reply.text for callid, reply in it.replies.items()},
            set(it.calls),
            it.made,
        )
        for key, it in state.accounts.items()
        if not it.is_nobody
    }
    channels = {
        key: (
            list(it.members.items()),
            it.attributes,
            it.reserved,
            it.total,
            it.idle_since,
            it.maker and it.maker.key,
        )
        for key, it in state.channels.items()
    }
    return {"accounts": accounts, "channels": channels, "calls": state.calls}


@pytest.mark.parametrize("seed", range(5))
def test_what_clients_see_is_the_same_there_and_back(world: World, seed: int) -> None:
    world.on_journal(partial(crowd, seed=seed))
    world.carry_in()
    world.carry_out()
    # Nobody has used it meanwhile: nothing was lost, nothing was changed.
    before = kept(world.directory)
    assert before["accounts"]
    assert before["channels"]
    presence = before["accounts"][ANN][3]
    assert (presence.channels, presence.removed) == (("hall", "room"), CHANNELS[2:])
    after = kept(world.tmp_path / "back")
    for kind, records in before.items():
        for key, record in records.items():
            assert after[kind].pop(key) == record, key
    assert after == {kind: {} for kind in before}
    seconds = world.seconds
    there = world.on_redis(seen)
    for name in ("data", "back"):
        world.seconds = seconds
        assert world.on_journal(seen, name) == there


@pytest.mark.xdist_group("redis-cluster")
def test_a_cluster_takes_the_same(
    tmp_path: Path, shared_cluster: RedisCluster, redis_prefix: str
) -> None:
    urls = [shared_cluster.urls[0].replace("redis:", "redis+cluster:")]
    world = World(tmp_path, shared_cluster.nodes, urls, redis_prefix)
    world.on_journal(partial(crowd, seed=9))
    world.carry_in()
    world.carry_out()
    assert kept(tmp_path / "back") == kept(world.directory)
    there = world.on_redis(seen)
    world.seconds -= 3
    assert world.on_journal(seen) == there


# --- sessions and numbers


async def talk(house: House) -> None:
    """Two who are there, one in a call, one whose connection was lost before; and one who has been
    there, of whom nothing is left.
    """
    ann, bob = await house.node.log_in(ANN), await house.node.log_in(BOB)
    await ann.join()
    await ann.set("topic", "x")
    await ann.say("hello", asked=ann.asked(1, 0, "said"))
    await ann.set_own("name", {"a": 1})
    await ann.post("first", asked=ann.asked(2, 0, "posted"))
    await ann.post("second")
    await ann.call()
    await bob.disconnect()
    gone = await house.node.log_in(KEYS[0])
    await gone.post("to myself", KEYS[0])
    await house.engine.read_inbox(KEYS[0], 1, 10)
    await gone.end()


async def go_on(house: House) -> None:
    """All of them come back."""
    await settled(house)
    ann = await house.node.resume(ANN)
    assert ann.presence.channel == "room"
    assert ann.generation == 2
    # What was asked before is not done again.
    known = await ann.post("first", asked=ann.asked(2, 0, "posted"))
    assert known is not None
    assert known.reply == "posted"
    before = (await house.engine.roster(ROOM, 0)).msgid
    await house.engine.subscribe(ROOM)
    await ann.say("again")
    events = [msgid for kind, *_, msgid, _ in await house.node.take("event") if kind == "event"]
    assert events[-1] == before + 1
    bob = await house.node.resume(BOB)
    waiting = await house.inbox(BOB)
    assert [version for version, _ in waiting] == [1, 2, 3]
    assert [text for _, text in waiting[:2]] == ["first", "second"]
    await ann.post("third")
    assert [version for version, _ in await house.inbox(BOB)] == [1, 2, 3, 4]
    await bob.step("voip_invite_accept")
    [call] = await house.engine.calls_of(ANN)
    assert call.state == "accepted"
    # Nobody is given a number that somebody had before.
    again = await house.node.log_in(KEYS[0])
    assert again.generation == 2
    await ann.post("to who was forgotten", KEYS[0])
    assert [version for version, _ in await house.inbox(KEYS[0])] == [2]


def test_sessions_go_on_and_no_number_is_given_twice(world: World) -> None:
    world.on_journal(talk)
    world.carry_in()
    world.on_redis(go_on)


def test_so_they_do_in_the_directory(world: World) -> None:
    world.on_redis(talk)
    world.carry_out("data")
    world.on_journal(go_on)


async def told(house: House) -> None:
    """Things happen that a backend is told, and it has one of them."""
    house.engine.inner.keep_happenings(HOOKED, 100)
    ann = await house.node.log_in(ANN)
    await ann.join("ü n")
    await ann.call("nobody", "talk", call_id="1")
    await ann.post("hello")
    await trio.sleep(0.1)
    assert len(await house.engine.take_happenings("app", 10, seconds=1)) == 4
    assert await house.engine.happenings_done("app", 1)
    other = await house.node.log_in(AccountKey("a}{pp", "ann"))
    await trio.sleep(0.1)
    assert len(await house.engine.take_happenings("a}{pp", 10, seconds=1)) == 1
    assert await house.engine.happenings_done("a}{pp", 1)
    await other.disconnect()


async def goes_on(house: House) -> list[Happening]:
    """What it has not is there, and what happens now has the next number."""
    await settled(house)
    house.engine.inner.keep_happenings(HOOKED, 100)
    left: list[Happening] = list(await house.engine.take_happenings("app", 10, seconds=1))
    await house.node.log_in(BOB)
    await house.node.log_in(AccountKey("a}{pp", "bob"))
    await trio.sleep(0.1)
    for app, number in (("app", 5), ("a}{pp", 2)):
        found = await house.engine.take_happenings(app, 10, seconds=1)
        assert found[-1].number == number
        assert isinstance(found[-1], Login)
    return left


def test_what_a_backend_is_to_be_told_is_carried_too(world: World) -> None:
    """And so are the numbers: what happens later would be taken for what has come before."""
    world.on_journal(told)
    world.carry_in()
    world.carry_out()
    for left in (world.on_redis(goes_on), world.on_journal(goes_on, "back")):
        assert [(it.number, it.kind) for it in left] == [(2, "join"), (3, "call"), (4, "absent")]
        assert left[0].about == "ü n"


def test_a_lease_begins_when_somebody_could_come_back(world: World) -> None:
    """And who had lost the connection before has what was left of it."""

    async def leases(house: House) -> list[float]:
        start = house.wall()
        await settled(house)
        found = [await house.engine.presence(key) for key in (ANN, BOB)]
        return [round(it.lease_ends - start) for it in found if it is not None]

    world.on_journal(talk)
    world.carry_in()
    world.seconds += 100
    left = world.on_redis(leases)
    assert left[0] in (120, 121)
    assert left[1] < 20
    world.carry_out()
    # Ann's node has gone, and Bob's time is over.
    world.seconds += 1000
    assert world.on_journal(leases, "back") == [120]


@pytest.mark.parametrize("where", ["journal", "redis"])
def test_calls_end_and_tell_as_they_would_have(world: World, where: str) -> None:
    async def wait(house: House) -> list[Any]:
        await house.node.resume(ANN)
        await house.node.resume(BOB)
        await trio.sleep(30)
        assert await house.engine.calls_of(ANN) == []
        return [await house.inbox(key) for key in (ANN, BOB)]

    world.on_journal(talk)
    world.carry_in()
    told_ann, told_bob = (world.on_redis if where == "redis" else world.on_journal)(wait)
    [(version, failed)] = told_ann
    assert version == 1
    assert '"ecode":704' in failed
    assert [version for version, _ in told_bob] == [1, 2, 4]
    assert '"call":"id"' in told_bob[-1][1]


def test_revoked_tokens_are_carried_too(world: World) -> None:
    world.on_journal(talk)
    taken = [
        Revocation(app="app", account="ann", before=5, old_before=7),
        Revocation(app="app", before=3),
    ]
    for it in taken:
        revoke(world.directory, it)
    assert "revocations: 2" in world.carry_in()
    assert "revocations: 2" in world.carry_out()
    assert sorted(saved(world.tmp_path / "back"), key=str) == sorted(taken, key=str)


def test_locks_go_along(world: World) -> None:
    """Who has them, under which numbers, and who waits for them, in order."""

    async def ask(house: House) -> list[int]:
        users = [await house.node.log_in(key) for key in (ANN, BOB, KEYS[0])]
        for user in users:
            await user.join()
        ann, bob, carl = users
        fences = [await ann.has(seconds=100), await bob.has("other", seconds=100)]
        assert [await carl.waits(wait=600), await bob.waits(wait=600)] == [1, 2]
        return fences

    async def look(house: House) -> list[int]:
        ann, bob, carl = [await house.node.resume(key) for key in (ANN, BOB, KEYS[0])]
        assert [await carl.waits(wait=600), await bob.waits(wait=600)] == [1, 2]
        return [await ann.has(seconds=100), await bob.has("other", seconds=100)]

    async def end(house: House) -> None:
        ann, bob, carl = [await house.node.resume(key) for key in (ANN, BOB, KEYS[0])]
        assert await ann.unlock()
        assert await carl.has() > max(fences)
        assert await bob.waits(wait=600) == 1

    fences = world.on_journal(ask)
    world.carry_in()
    assert world.on_redis(look) == fences
    world.carry_out()
    assert world.on_journal(look, "back") == fences
    world.on_journal(end, "back")
