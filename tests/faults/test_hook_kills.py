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
from pathlib import Path
from typing import Any, Final

import attrs
import pytest
import trio

from signal_sdk import LoginSession, Signal, SignalError
from tests.faults.processes import Program, free_port
from tests.server.hooks.backend import OK, SECRET, Answer, Backend, Request, running

EVENTS: Final = int(os.environ.get("SIGNAL_SDK_HOOK_EVENTS", "5000"))
"""How many at least."""
BOTS: Final = 40
CHANNELS: Final = 50
FAILED: Final = 0.05
"""How many of the backend's answers are failures of some kind."""
KILLS: Final = 3 if EVENTS <= 5000 else 12
PATIENCE_SECONDS: Final = 120 + EVENTS / 50


@attrs.define
class Moody:
    """How the backend answers: mostly well. What it takes and does not say so, comes again."""

    draw: random.Random
    failed: int = 0

    def __call__(self, _: Request) -> Answer:
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


def configure(folder: Path, backend: Backend) -> tuple[Path, int]:
    port = free_port()
    config = folder / "signal.toml"
    config.write_text(
        f"[server]\ndev = true\nport = {port}\ndata = '{folder / 'data'}'\n"
        "[native]\nenabled = false\n"
        "[limits]\nchanges_per_second = 0\nchannel_joins_per_second = 0\n"
        "account_logins_per_minute = 0\n"
        f'[hooks]\nurl = "{backend.url}"\nsecret = "{SECRET}"\nbatch_events = 500\n'
        f"queue_events = {10 * EVENTS}\nretry_seconds = 1\n"
    )
    return config, port


def serve(config: Path) -> Program:
    program = Program([sys.executable, "-m", "signal_sdk", "serve", "--config", str(config)])
    program.expect_within("listening")
    return program


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


async def kill_at(
    points: Sequence[int], progress: Progress, config: Path, server: list[Program]
) -> None:
    """Kill the server, and begin another, once so much was done, for each of these."""
    for point in points:
        await progress.reach(point)
        with trio.CancelScope(shield=True):
            await trio.to_thread.run_sync(server[0].kill)
            server[0] = await trio.to_thread.run_sync(serve, config)


def wanted(name: str, moves: int) -> list[tuple[str, str]]:
    """What has to be told of an account, in order."""
    told = [("login", "")]
    for number in range(moves):
        told.append(("join", room(name, number)))
        told.append(("leave", room(name, number)))
    return [*told, ("logout", "")]


def first_times(events: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Without what came again, as a backend tells: by the last number that it has."""
    found: list[Mapping[str, Any]] = []
    for event in events:
        if not found or event["number"] > found[-1]["number"]:
            found.append(event)
    return found


@pytest.mark.timeout(3600)
async def test_every_event_comes_at_least_once_and_in_order(tmp_path: Path) -> None:
    draw = random.Random(int.from_bytes(os.urandom(4), "big"))
    moves = -(-EVENTS // (2 * BOTS))
    total = BOTS * (2 * moves + 2)
    mood = Moody(draw)
    backend = Backend(mood)
    names = [f"bot{number}" for number in range(BOTS)]
    progress = Progress()
    points = sorted(draw.sample(range(1, BOTS * moves * 9 // 10), KILLS))
    began = trio.current_time()
    async with running(backend):
        config, port = configure(tmp_path, backend)
        server = [await trio.to_thread.run_sync(serve, config)]

        def has_all() -> bool:
            # Not all of them: that is looked at in the end.
            return bool(backend.requests[-1].json["events"][-1]["number"] >= total)

        try:
            with trio.fail_after(PATIENCE_SECONDS):
                async with Signal("app", server=f"127.0.0.1:{port}") as signal:
                    sessions = [await signal.login(name, "_no_need_token") for name in names]
                    async with trio.open_nursery() as nursery:
                        nursery.start_soon(kill_at, points, progress, config, server)
                        for session in sessions:
                            nursery.start_soon(move_about, session, moves, progress)
                    moved = trio.current_time()
                    for session in sessions:
                        await session.logout()
                await backend.until(has_all)
        finally:
            await trio.to_thread.run_sync(server[0].kill)
    events = [event for request in backend.requests for event in request.json["events"]]
    sys.stdout.write(
        f"\n{KILLS} kills in {moved - began:.0f} s, and {trio.current_time() - moved:.1f} s "
        f"until the last came: {total} events, {len(events)} with those that came again, in "
        f"{len(backend.requests)} requests, {mood.failed} of which failed\n"
    )
    once = first_times(events)
    # Nothing is missing, and none came the first time behind a later one.
    assert [it["number"] for it in once] == list(range(1, total + 1))
    of_number: dict[int, Any] = {}
    for event in events:
        assert of_number.setdefault(event["number"], event) == event
    told: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for event in once:
        told[event["account"]].append((event["kind"], event.get("channel", "")))
    assert told == {name: wanted(name, moves) for name in names}
    assert all(request.is_signed() for request in backend.requests)
    assert mood.failed
