"""A server that is killed again and again while it tells a backend what happens, which fails now
and then: every event comes, at least once, in order, and a number tells what comes again.

    SIGNAL_SDK_HOOK_EVENTS=100000 python -m pytest tests/faults/test_hook_kills.py -s
"""

from __future__ import annotations

import os
import random
import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Final

import attrs
import pytest
import trio

from signal_sdk import LoginSession, Signal, SignalError
from tests.faults.processes import Program, free_port
from tests.redis.servers import RedisServer
from tests.server.hooks.backend import OK, SECRET, Answer, Backend, Request, running

EVENTS: Final = int(os.environ.get("SIGNAL_SDK_HOOK_EVENTS", "5000"))
"""How many at least."""
KILLS: Final = 3 if EVENTS <= 5000 else 12
BOTS: Final = 40
CHANNELS: Final = 50
MORE: Final = 2 * KILLS
"""How many moves of an account may be made again."""
FAILED: Final = 0.05
"""How many of the backend's answers are failures of some kind."""
PATIENCE_SECONDS: Final = 120 + EVENTS / 50


@attrs.define
class Moody:
    """How the backend answers: mostly well. What it takes and does not say so, comes again."""

    draw: random.Random
    failed: int = 0
    gone: set[str] = attrs.field(factory=set)
    """Whose logout it has been told."""

    def __call__(self, request: Request) -> Answer:
        self.gone |= {it["account"] for it in request.json["events"] if it["kind"] == "logout"}
        if self.draw.random() >= FAILED:
            return OK
        self.failed += 1
        kinds = (
            Answer(500),
            Answer(200, b"x", hangs_up=True),
            Answer(404, b"<html></html>"),
            Answer(302, headers=(("Location", "/"),)),
        )
        return self.draw.choice(kinds)


class Server:
    """A server that comes back to its port after each `kill`; `state` is where its state is."""

    def __init__(self, folder: Path, name: str, state: str, backend: Backend) -> None:
        self.port = free_port()
        self._config = folder / f"{name}.toml"
        self._config.write_text(
            f"[server]\ndev = true\nport = {self.port}\n{state}\n"
            "[native]\nenabled = false\n"
            "[limits]\nchanges_per_second = 0\nchannel_joins_per_second = 0\n"
            "account_logins_per_minute = 0\n"
            f'[hooks]\nurl = "{backend.url}"\nsecret = "{SECRET}"\nbatch_events = 500\n'
            f"queue_events = {10 * EVENTS}\nretry_seconds = 1\ntimeout_seconds = 2\n"
        )
        self._program: Program | None = None

    async def start(self) -> None:
        await trio.to_thread.run_sync(self._start)

    def _start(self) -> None:
        command = [sys.executable, "-m", "signal_sdk", "serve", "--config", str(self._config)]
        self._program = Program(command)
        self._program.expect_within("listening")

    async def kill(self) -> None:
        if self._program is not None:
            await trio.to_thread.run_sync(self._program.kill)


@attrs.define
class Progress:
    """How many moves have been made by all."""

    made: int = 0
    _news: trio.Event = attrs.field(factory=trio.Event)

    def one_more(self) -> None:
        self.made += 1
        self._news.set()
        self._news = trio.Event()

    async def reach(self, count: int) -> None:
        while self.made < count:
            await self._news.wait()


def room(name: str, number: int) -> str:
    """Where an account goes by its move of this number: into channels of its own."""
    return f"{name}-{number % CHANNELS}"


async def move_about(session: LoginSession, moves: int, progress: Progress) -> None:
    """Join one channel behind the other; each is acknowledged before the next."""
    name = session.account
    for number in range(moves):
        while True:
            try:
                await session.channel_join(room(name, number))
                break
            except SignalError:
                # Nobody knows whether it was done. To join where one is changes nothing.
                await trio.sleep(0.1)
        progress.one_more()


async def kill_at(points: Sequence[int], progress: Progress, servers: Sequence[Server]) -> None:
    """Kill one server after the other, and begin it again, once so much was done."""
    for number, point in enumerate(points):
        await progress.reach(point)
        server = servers[number % len(servers)]
        with trio.CancelScope(shield=True):
            await server.kill()
            await server.start()


def check_story(name: str, told: Sequence[tuple[str, str]], moves: int) -> None:
    """What was told of an account is whole: it goes out of where it came in, from its login to its
    logout, and everywhere where it was acknowledged to be, in that order. Where it was not
    acknowledged, it may have been between, as a move that nobody knew of may be made again.
    """
    assert told[0] == ("login", "")
    assert told[-1] == ("logout", "")
    joins, leaves = told[1:-1:2], told[2:-1:2]
    assert {kind for kind, _ in joins} == {"join"}
    assert leaves == [("leave", channel) for _, channel in joins]
    been = iter(channel for _, channel in joins)
    assert all(room(name, number) in been for number in range(moves))
    assert len(joins) <= moves + MORE


def first_times(events: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Without what came again, as a backend tells: by the last number that it has."""
    found: list[Mapping[str, Any]] = []
    for event in events:
        if not found or event["number"] > found[-1]["number"]:
            found.append(event)
    return found


@pytest.mark.timeout(3600)
async def test_every_event_comes_at_least_once_and_in_order(tmp_path: Path) -> None:
    async with running(Backend(Moody(random.Random()))) as backend:
        data = f"data = '{tmp_path / 'data'}'"
        await tell_all(backend, [Server(tmp_path, "one", data, backend)])


@pytest.mark.timeout(3600)
async def test_so_they_do_of_several_nodes(
    tmp_path: Path, shared_redis: RedisServer, redis_prefix: str
) -> None:
    """Of which one sends at a time: where it dies, another goes on."""
    async with running(Backend(Moody(random.Random()))) as backend:
        redis = f"redis = '{shared_redis.unix_url}'\nredis_prefix = '{redis_prefix}'"
        await tell_all(
            backend, [Server(tmp_path, name, redis, backend) for name in ("one", "other")]
        )


async def tell_all(backend: Backend, servers: Sequence[Server]) -> None:
    """Bots move about on the servers, which are killed by turns; what does the backend hear?"""
    mood = backend.answer
    assert isinstance(mood, Moody)
    moves = -(-EVENTS // (2 * BOTS))
    total = BOTS * (2 * moves + 2)
    names = [f"bot{number}" for number in range(BOTS)]
    progress = Progress()
    points = sorted(mood.draw.sample(range(1, BOTS * moves * 9 // 10), KILLS))
    began = trio.current_time()

    try:
        for server in servers:
            await server.start()
        with trio.fail_after(PATIENCE_SECONDS):
            async with AsyncExitStack() as stack:
                signals = [
                    await stack.enter_async_context(
                        Signal("app", server=f"127.0.0.1:{server.port}")
                    )
                    for server in servers
                ]
                sessions = [
                    await signals[number % len(signals)].login(name, "_no_need_token")
                    for number, name in enumerate(names)
                ]
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(kill_at, points, progress, servers)
                    for session in sessions:
                        nursery.start_soon(move_about, session, moves, progress)
                moved = trio.current_time()
                for session in sessions:
                    await session.logout()
            await backend.until(lambda: len(mood.gone) == BOTS)
    finally:
        for server in servers:
            await server.kill()
    events = [event for request in backend.requests for event in request.json["events"]]
    once = first_times(events)
    sys.stdout.write(
        f"\n{KILLS} kills in {moved - began:.0f} s, and {trio.current_time() - moved:.1f} s "
        f"until the last came: {len(once)} events, {len(events)} with those that came again, in "
        f"{len(backend.requests)} requests, {mood.failed} of which failed\n"
    )
    # Nothing is missing, and none came the first time behind a later one.
    assert [it["number"] for it in once] == list(range(1, len(once) + 1))
    assert len(once) >= total
    of_number: dict[int, Any] = {}
    for event in events:
        assert of_number.setdefault(event["number"], event) == event
    told: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for event in once:
        told[event["account"]].append((event["kind"], event.get("channel", "")))
    assert told.keys() == set(names)
    for name in names:
        check_story(name, told[name], moves)
    assert all(request.is_signed() for request in backend.requests)
    assert mood.failed
