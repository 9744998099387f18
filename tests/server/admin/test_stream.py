"""The stream of what happens in an app: what is told, to whom, and when it ends."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import attrs
import pytest
import trio
from trio.testing import MockClock

from signal_sdk.server.admin.stream import BEAT_SECONDS, MAX_STREAMS
from signal_sdk.server.config import AdminKeyConfig
from signal_sdk.server.engine.happened import Join, Login
from signal_sdk.server.feed import WAITING
from tests.server.admin.helpers import APP_KEY, KEY, Asker, admin_config, asker, lone_feed
from tests.server.helpers import settle

EVENTS = "/v1/apps/app/events"


@attrs.define
class Stream:
    """A stream as its reader has it."""

    heard: list[str] = attrs.field(factory=list)
    status: int = 0
    headers: dict[str, str] = attrs.field(factory=dict)
    has_ended: bool = False
    gate: trio.Event | None = None
    """What the reader waits for, before it reads on."""
    gone: trio.Event = attrs.field(factory=trio.Event)

    def events(self) -> list[tuple[str, Any]]:
        """The events that were heard, by their kinds."""
        blocks = "".join(self.heard).split("\n\n")
        lines = [dict(it.partition(": ")[::2] for it in one.splitlines()) for one in blocks]
        return [(it["event"], json.loads(it["data"])) for it in lines if "event" in it]


@asynccontextmanager
async def following(
    ask: Asker, query: str = "", *, path: str = EVENTS, key: str = KEY, last_id: str = ""
) -> AsyncIterator[Stream]:
    """A reader, while the block runs."""
    stream = Stream()
    headers = {"host": "localhost", "authorization": f"Bearer {key}"}
    if last_id:
        headers["last-event-id"] = last_id
    scope = {
        "type": "http",
        "method": "GET",
        "path": path,
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
        "client": ("127.0.0.1", 1),
    }
    first = True

    async def receive() -> dict[str, Any]:
        nonlocal first
        if first:
            first = False
            return {"type": "http.request", "body": b"", "more_body": False}
        await stream.gone.wait()
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            stream.status = message["status"]
            stream.headers = {
                name.decode().lower(): value.decode() for name, value in message["headers"]
            }
        else:
            if stream.gate is not None:
                await stream.gate.wait()
            stream.heard.append(message.get("body", b"").decode())
            stream.has_ended = not message.get("more_body", False)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(ask.app, scope, receive, send)
        await settle()
        yield stream
        nursery.cancel_scope.cancel()


def login(account: str, number: int = 0) -> Login:
    return Login(app="app", account=account, number=number, time=5)


def join(account: str, channel: str) -> Join:
    return Join(app="app", account=account, channel=channel, members=1, time=5)


async def test_what_happens_is_told_as_it_happens(autojump_clock: MockClock) -> None:
    feed = lone_feed()
    async with asker(feed=feed) as ask, following(ask) as stream:
        assert stream.status == 200
        assert stream.headers["content-type"] == "text/event-stream"
        assert stream.headers["cache-control"] == "no-store"
        assert stream.heard == ["retry: 2000\n\n"]
        feed.take(login("ann", 7))
        feed.take(join("ann", "new\nline"))
        await settle()
        assert stream.heard[1].startswith("id: 7\nevent: login\ndata: {")
        assert stream.heard[2].startswith("event: join\ndata: {")
        (_, first), (_, second) = stream.events()
        assert (first["kind"], first["account"], first["number"]) == ("login", "ann", 7)
        assert second["channel"] == "new\nline"


async def test_no_name_ends_a_line_for_whoever_reads_lines(autojump_clock: MockClock) -> None:
    feed, name = lone_feed(), "a\x85b\u2028c\u2029dä"
    async with asker(feed=feed) as ask, following(ask) as stream:
        feed.take(join("ann", name))
        await settle()
        assert len(stream.heard[1].splitlines()) == 3
        [(_, event)] = stream.events()
        assert event["channel"] == name


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ("", ["login ann", "join ann", "join bob"]),
        ("kinds=join", ["join ann", "join bob"]),
        ("kinds=login,logout", ["login ann"]),
        ("account=ann", ["login ann", "join ann"]),
        ("channel=news", ["join ann"]),
        ("account=ann&kinds=join&channel=news", ["join ann"]),
        ("account=nobody", []),
    ],
)
async def test_who_follows_says_what(
    autojump_clock: MockClock, query: str, told: list[str]
) -> None:
    feed = lone_feed()
    async with asker(feed=feed) as ask, following(ask, query) as stream:
        for one in (login("ann"), join("ann", "news"), join("bob", "other")):
            feed.take(one)
        await settle()
        assert [f"{kind} {data['account']}" for kind, data in stream.events()] == told


@pytest.mark.parametrize(
    ("query", "place"),
    [("kinds=login,logn", "query.kinds"), ("kind=login", "query.kind")],
)
async def test_what_is_no_kind_is_refused(
    autojump_clock: MockClock, query: str, place: str
) -> None:
    async with asker() as ask:
        answer = await ask("GET", f"{EVENTS}?{query}")
        assert (answer.status_code, answer.json()["place"]) == (422, place)


async def test_it_needs_its_right(autojump_clock: MockClock) -> None:
    async with asker() as ask:
        assert (await ask("GET", EVENTS, APP_KEY)).status_code == 403
        assert (await ask("GET", EVENTS, None)).status_code == 401


async def test_a_silent_stream_is_seen_to_live(autojump_clock: MockClock) -> None:
    async with asker() as ask, following(ask) as stream:
        await trio.sleep(BEAT_SECONDS * 3 + 1)
        assert stream.heard[1:] == [":\n\n"] * 3


async def test_a_slow_reader_loses_the_oldest_and_hears_how_many(autojump_clock: MockClock) -> None:
    feed = lone_feed()
    async with asker(feed=feed) as ask, following(ask) as stream:
        stream.gate = trio.Event()
        feed.take(login("first"))
        await settle()
        for number in range(WAITING + 10):
            feed.take(login(f"user{number}"))
        stream.gate.set()
        await settle()
        events = stream.events()
        assert events[0][1]["account"] == "first"
        assert events[1] == ("lost", {"count": 10})
        assert [data["account"] for _, data in events[2:]] == [
            f"user{number}" for number in range(10, WAITING + 10)
        ]


async def test_who_comes_back_is_told_that_something_was_missed(autojump_clock: MockClock) -> None:
    async with asker() as ask, following(ask, last_id="41") as stream:
        assert stream.events() == [("missed", {"after": "41"})]


async def test_it_ends_where_its_reader_has_gone(autojump_clock: MockClock) -> None:
    feed = lone_feed()
    async with asker(feed=feed) as ask, following(ask) as stream:
        assert len(feed) == 1
        stream.gone.set()
        await settle()
        assert len(feed) == 0
        assert len(ask.served.streams) == 0


async def test_it_ends_with_the_node_and_where_keys_are_taken_anew(
    autojump_clock: MockClock,
) -> None:
    feed = lone_feed()
    async with asker(feed=feed) as ask, following(ask) as stream, following(ask) as other:
        key = AdminKeyConfig(name="new", key=APP_KEY, app="*", rights=("events",))
        ask.app.take(admin_config(key))
        await settle()
        assert stream.has_ended
        assert other.has_ended
        async with following(ask, key=KEY) as again:
            assert again.status == 401
        async with following(ask, key=APP_KEY) as again:
            assert again.status == 200
            ask.served.stopping.set()
            await settle()
            assert again.has_ended
    assert len(feed) == 0


async def test_there_are_so_many_and_no_more(autojump_clock: MockClock) -> None:
    async with asker() as ask, trio.open_nursery() as nursery:

        async def follow() -> None:
            async with following(ask):
                await trio.sleep_forever()

        for _ in range(MAX_STREAMS):
            nursery.start_soon(follow)
        await settle()
        async with following(ask) as stream:
            assert stream.status == 503
            assert int(stream.headers["retry-after"]) == BEAT_SECONDS
        nursery.cancel_scope.cancel()
