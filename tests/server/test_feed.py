"""The feed: what happens, for those who follow it, none of whom delays anybody."""

from __future__ import annotations

import pytest
import trio
from msgspec.structs import replace
from trio.testing import MockClock

from signal_sdk.ecodes import ECode
from signal_sdk.errors import SignalError
from signal_sdk.server.engine.embedded import EmbeddedEngine
from signal_sdk.server.engine.happened import NOTHING, Follow, Happening, Join, Login, Message
from signal_sdk.server.feed import Feed, Lost, Reader
from signal_sdk.testing.server import LocalServer
from tests.server.helpers import LogIn


class Followed(EmbeddedEngine):
    """Remembers what was followed last of each app."""

    def __init__(self) -> None:
        super().__init__()
        self.followed: dict[str, Follow] = {}

    def follow(self, app: str, follow: Follow) -> None:
        self.followed[app] = follow


@pytest.fixture
def engine() -> Followed:
    return Followed()


@pytest.fixture
def feed(engine: Followed) -> Feed:
    return Feed(engine)


def login(account: str, app: str = "app") -> Login:
    return Login(app=app, account=account, device="websdk")


async def some(reader: Reader, count: int) -> list[Happening | Lost]:
    found: list[Happening | Lost] = []
    with trio.fail_after(1):
        while len(found) < count:
            found.append(await anext(reader))
    return found


async def none_is_left(reader: Reader) -> bool:
    with trio.move_on_after(1) as scope:
        await anext(reader)
    return scope.cancelled_caught


async def test_a_reader_hears_what_it_has_asked_for(feed: Feed, autojump_clock: MockClock) -> None:
    join = Join(app="app", account="ann", channel="room", members=1)
    told = [login("ann"), join, login("bob"), login("ann", "other")]
    said = Message(app="app", sender="ann", channel="room", size=3)
    async with (
        feed.follow("app") as every,
        feed.follow("app", kinds=("login",)) as logins,
        feed.follow("app", account="ann") as of_ann,
        feed.follow("app", channel="room") as of_room,
        feed.follow("app", account="bob", channel="room") as of_both,
    ):
        for happening in [*told, said]:
            feed.take(happening)
        assert await some(every, 3) == told[:3]
        assert await some(logins, 2) == [told[0], told[2]]
        assert await some(of_ann, 3) == [told[0], join, said]
        assert await some(of_room, 2) == [join, said]
        for reader in (every, logins, of_ann, of_room, of_both):
            assert await none_is_left(reader)


async def test_a_reader_that_falls_behind_loses_the_oldest_and_is_told_how_many(
    feed: Feed, autojump_clock: MockClock
) -> None:
    async with feed.follow("app", most=2) as slow, feed.follow("app") as quick:
        for number in range(5):
            feed.take(login(f"a{number}"))
        assert await some(slow, 3) == [Lost(3), login("a3"), login("a4")]
        feed.take(login("b"))
        assert await some(slow, 1) == [login("b")]
        assert len(await some(quick, 6)) == 6
    assert feed.lost == 3


async def test_the_engine_is_told_what_is_followed(
    feed: Feed, engine: Followed, autojump_clock: MockClock
) -> None:
    async with feed.follow("app", kinds=("login", "message")):
        # Nobody has named whose messages.
        assert engine.followed["app"] == Follow(frozenset({"login"}))
        async with feed.follow("app", kinds=("message",), account="ann"):
            async with feed.follow("app", kinds=("message", "join"), channel="room"):
                assert engine.followed["app"] == Follow(
                    frozenset({"login", "message", "join"}),
                    frozenset({"ann"}),
                    frozenset({"room"}),
                )
            assert engine.followed["app"].channels == frozenset()
        assert len(feed) == 1
    assert engine.followed["app"] == NOTHING
    assert len(feed) == 0


class Away(EmbeddedEngine):
    def follow(self, app: str, follow: Follow) -> None:
        raise SignalError(ECode.GENERAL_E_FAILED, "Redis is away")


async def test_where_the_engine_is_away_nobody_follows(autojump_clock: MockClock) -> None:
    feed = Feed(Away())
    with pytest.raises(SignalError, match="away"):
        async with feed.follow("app"):
            raise AssertionError("it follows")
    assert len(feed) == 0


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"kinds": ("login", "logins")}, "no such kind: logins; there are login, logout"),
        ({"most": 0}, "most is 0: it has to be 1 or more"),
    ],
)
async def test_what_is_wrong_with_a_reader_is_told(
    feed: Feed, arguments: dict[str, object], text: str
) -> None:
    with pytest.raises(ValueError, match=text):
        async with feed.follow("app", **arguments):  # type: ignore[arg-type]
            raise AssertionError("it follows")
    assert len(feed) == 0


async def test_a_node_s_feed_hears_its_clients(server: LocalServer, log_in: LogIn) -> None:
    async with server.node.feed.follow("app", channel="room") as reader:
        ann, _ = await log_in("ann"), await log_in("bob")
        await ann.call("channel_join", name="room")
        await ann.call("channel_sendmsg", name="room", msg="hello")
        found = [replace(it, time=0) for it in await some(reader, 2) if isinstance(it, Happening)]
        assert found == [
            Join(app="app", account="ann", channel="room", members=1),
            Message(app="app", sender="ann", channel="room", size=5),
        ]
