"""How hooks fare, and who follows, as metrics."""

from __future__ import annotations

import math

import pytest
import trio
from trio.testing import MockClock

from signal_sdk.testing.server import LocalServer
from tests.server.helpers import settle
from tests.server.hooks.backend import SECRET, Answer, Backend, running
from tests.server.hooks.helpers import Clients, served
from tests.server.metrics.scraping import scrape


async def test_a_backend_that_is_away_is_seen_with_what_waits_for_it(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    async with (
        running(Backend(answer=lambda _: Answer(status=500))) as backend,
        served(backend, kinds=("join", "leave"), queue_events=3) as server,
        Clients(server) as clients,
    ):
        ann = await clients.log_in("ann")
        for _ in range(2):
            await ann.call("channel_join", name="room")
            await ann.call("channel_leave", name="room")
        await trio.sleep(100)
        now = scrape(server.node)
        assert now("signal_sdk_hook_queued_events") == 3
        assert now("signal_sdk_hook_dropped_events_total") == 1
        assert now("signal_sdk_hook_oldest_event_seconds") == pytest.approx(100, abs=2)
        assert now("signal_sdk_hook_requests_total", outcome="failed") > 2
        assert now("signal_sdk_hook_requests_total", outcome="done") == 0
        backend.answer = lambda _: Answer()
        await trio.sleep(400)
        now = scrape(server.node)
        assert now("signal_sdk_hook_queued_events") == 0
        assert now("signal_sdk_hook_oldest_event_seconds") == 0
        assert now("signal_sdk_hook_events_delivered_total") == 3
        assert now("signal_sdk_hook_requests_total", outcome="done") >= 1
        _, text = server.node.metrics.exposition()
        assert SECRET.encode() not in text


async def test_without_hooks_nothing_is_said_of_them(server: LocalServer) -> None:
    now = scrape(server.node)
    assert math.isnan(now("signal_sdk_hook_queued_events"))
    assert not any("hook" in name for name in now.names)


async def test_who_follows_is_counted(server: LocalServer) -> None:
    assert scrape(server.node)("signal_sdk_feed_readers") == 0
    async with server.node.feed.follow("app", kinds=("login",)):
        await settle()
        assert scrape(server.node)("signal_sdk_feed_readers") == 1
    assert scrape(server.node)("signal_sdk_feed_readers") == 0
