"""What happens reaches the backend: signed, in order, once at least, whatever the backend does."""

from __future__ import annotations

import ssl
from itertools import count, pairwise
from pathlib import Path
from typing import Any

import pytest
import trio
import trustme
from trio.testing import MockClock

from signal_sdk.server.engine.embedded import EmbeddedEngine
from signal_sdk.server.engine.happened import Login
from signal_sdk.server.hooks import sender
from tests.server.helpers import journal_engine
from tests.server.hooks.backend import HANGS, OK, SECRET, Answer, Backend, Request, running
from tests.server.hooks.helpers import Clients, counts, served


def brief(events: list[dict[str, Any]]) -> list[tuple[str, ...]]:
    return [
        tuple(str(it[name]) for name in ("kind", "account", "channel", "why") if name in it)
        for it in events
    ]


async def test_a_backend_is_told_what_happens(backend: Backend) -> None:
    async with served(backend) as server, Clients(server) as clients:
        ann = await clients.log_in("ann")
        await ann.call("channel_join", name="room")
        await ann.call("channel_leave", name="room")
        await ann.call("user_sendmsg", peer="bob", flag="v1:E:60", t="instant", content="hello")
        await ann.call("user_logout")
        await backend.until(lambda: len(backend.events) == 5)
        await trio.sleep(5)
    assert brief(backend.events) == [
        ("login", "ann"),
        ("join", "ann", "room"),
        ("leave", "ann", "room"),
        ("absent", "bob"),
        ("logout", "ann", "logout"),
    ]
    assert [it["number"] for it in backend.events] == [1, 2, 3, 4, 5]
    assert all(it["app"] == "app" for it in backend.events)
    for request in backend.requests:
        assert request.is_signed()
        assert not request.is_signed("another")
        assert request.path == "/hooks?for=us"
        assert request.headers["content-type"] == "application/json"
        first, last = request.json["events"][0], request.json["events"][-1]
        assert request.headers["webhook-id"] == f"app-{first['number']}-{last['number']}"
        assert request.json["type"] == "events"
        assert request.json["app"] == "app"
    assert b"hello" not in b"".join(it.body for it in backend.requests)


async def test_only_what_is_switched_on_is_told(backend: Backend) -> None:
    async with served(backend, kinds=("join",)) as server, Clients(server) as clients:
        ann = await clients.log_in("ann")
        await ann.call("channel_join", name="room")
        await backend.until(lambda: bool(backend.events))
        await ann.call("user_logout")
        await trio.sleep(5)
    assert brief(backend.events) == [("join", "ann", "room")]


async def test_while_a_secret_is_replaced_both_sign(backend: Backend) -> None:
    new = "whsec_" + "QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVowMTIz"
    async with served(backend, secret=new, old_secret=SECRET) as server, Clients(server) as clients:
        await clients.log_in("ann")
        await backend.until(lambda: bool(backend.events))
    (request,) = backend.requests
    assert request.is_signed()
    assert request.is_signed("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123")


FAILURES = {
    "500": Answer(500),
    "400": Answer(400),
    "404 with a page": Answer(404, b"<html>nothing here</html>"),
    "a redirect": Answer(302, headers=(("Location", "http://127.0.0.1:1/"),)),
    "no answer": HANGS,
    "it hangs up": Answer(hangs_up=True),
}


@pytest.mark.parametrize("failure", FAILURES)
async def test_what_failed_is_tried_again_until_it_is_taken(
    backend: Backend, failure: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Events that come meanwhile are behind it."""
    tries = count()
    backend.answer = lambda _: FAILURES[failure] if next(tries) < 3 else OK
    async with served(backend) as server, Clients(server) as clients:
        ann = await clients.log_in("ann")
        await backend.until(lambda: len(backend.requests) == 2)
        await ann.call("channel_join", name="room")
        await backend.until(lambda: any(it["kind"] == "join" for it in backend.events))
        await trio.sleep(60)
        assert (counts(server).failed, counts(server).delivered) == (3, 2)
        assert counts(server).queued == 0
    batches = [[it["number"] for it in request.json["events"]] for request in backend.requests]
    assert batches == [[1], [1], [1, 2], [1, 2]]
    assert SECRET not in caplog.text
    assert "the backend does not take what it is told" in caplog.text
    parts = [it.name for it in caplog.records if "the backend does not take" in it.getMessage()]
    assert set(parts) == {"signal_sdk.server.hooks"}
    caplog.clear()


@pytest.mark.parametrize(
    "answer",
    [
        Answer(204),
        Answer(299, b"<html>well</html>"),
        Answer(200, b"x" * 1_000_000),
        Answer(200, b"no gzip", (("Content-Encoding", "gzip"),)),
    ],
    ids=["204", "299 with a page", "a long one", "compressed"],
)
async def test_any_answer_of_2xx_is_one(backend: Backend, answer: Answer) -> None:
    backend.answer = lambda _: answer
    async with served(backend) as server, Clients(server) as clients:
        ann = await clients.log_in("ann")
        await backend.until(lambda: len(backend.events) == 1)
        await ann.call("user_logout")
        await backend.until(lambda: len(backend.events) == 2)
        await trio.sleep(60)
        assert (counts(server).failed, counts(server).delivered) == (0, 2)
    assert [it["number"] for it in backend.events] == [1, 2]


async def test_pauses_grow_up_to_what_is_configured(
    backend: Backend, caplog: pytest.LogCaptureFixture
) -> None:
    backend.answer = lambda _: Answer(503)
    times: list[float] = []

    def answer(_: Request) -> Answer:
        times.append(trio.current_time())
        return Answer(503)

    backend.answer = answer
    async with served(backend, retry_seconds=20) as server, Clients(server) as clients:
        await clients.log_in("ann")
        await backend.until(lambda: len(times) == 10)
    pauses = [after - before for before, after in pairwise(times)]
    for pause, longest in zip(pauses, (1, 2, 4, 8, 16, 20, 20, 20, 20), strict=True):
        assert longest / 2 - 0.1 <= pause <= longest + 0.1
    caplog.clear()


async def test_a_backend_that_is_down_for_a_day_is_bounded_and_told(
    backend: Backend, caplog: pytest.LogCaptureFixture
) -> None:
    """Of too many the oldest go: the numbers say how many, and nobody was delayed."""
    backend.answer = lambda _: Answer(500)
    async with served(backend, queue_events=5) as server, Clients(server) as clients:
        ann = await clients.log_in("ann")
        for number in range(10):
            await ann.call("channel_join", name=f"room{number}")
        began = server.node._clock()
        await trio.sleep(3600)
        told = counts(server)
        assert (told.queued, told.dropped, told.delivered) == (5, 15, 0)
        assert began * 1000 - 60_000 <= told.oldest <= began * 1000
        backend.answer = lambda _: OK
        backend.requests.clear()
        await backend.until(lambda: len(backend.events) == 5)
        await trio.sleep(5)
        assert (told.queued, told.oldest, told.delivered) == (0, 0, 5)
    assert [it["number"] for it in backend.events] == [16, 17, 18, 19, 20]
    caplog.clear()


async def test_a_client_waits_for_no_backend(backend: Backend) -> None:
    """One that hangs makes nothing take longer."""
    backend.answer = lambda _: HANGS
    async with served(backend, timeout_seconds=60) as server, Clients(server) as clients:
        ann = await clients.log_in("ann")
        await backend.until(lambda: bool(backend.requests))
        with trio.fail_after(1):
            for _ in range(10):
                await ann.call("channel_join", name="room")
                await ann.call("channel_leave", name="room")


async def test_batches_have_bounds(backend: Backend, caplog: pytest.LogCaptureFixture) -> None:
    tries = count()
    backend.answer = lambda _: Answer(500) if next(tries) < 4 else OK
    async with (
        served(backend, batch_events=7, batch_bytes=1024) as server,
        Clients(server) as clients,
    ):
        ann = await clients.log_in("ann")
        for number in range(20):
            await ann.call("channel_join", name=f"room{number}")
        await backend.until(lambda: any(it["number"] == 40 for it in backend.events))
    for request in backend.requests:
        assert 1 <= len(request.json["events"]) <= 7
        assert len(request.body) <= 1024
    assert max(len(it.json["events"]) for it in backend.requests) > 3
    numbers = [it["number"] for it in backend.events]
    assert list(dict.fromkeys(numbers)) == list(range(1, 41))
    caplog.clear()


def test_one_event_goes_however_large_it_is() -> None:
    happening = Login(app="app", account="ann", number=1)
    sent, body = sender.body_of("app", [happening, happening], 1)
    assert sent == 1
    assert body.count(b'"number":1') == 1


async def test_another_app_s_backlog_holds_nobody_up(
    backend: Backend, caplog: pytest.LogCaptureFixture
) -> None:
    def answer(request: Request) -> Answer:
        return HANGS if request.json["app"] == "slow" else OK

    backend.answer = answer
    async with served(backend) as server, Clients(server) as clients:
        await clients.log_in("ann", app="slow")
        await backend.until(lambda: bool(backend.requests))
        began = trio.current_time()
        await clients.log_in("ann", app="app")
        await backend.until(lambda: any(it["app"] == "app" for it in backend.events))
        assert trio.current_time() - began < 1
    caplog.clear()


async def test_what_was_not_taken_comes_after_a_restart(
    backend: Backend, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    backend.answer = lambda _: Answer(500)
    async with (
        served(backend, journal_engine(tmp_path)) as server,
        Clients(server) as clients,
    ):
        ann = await clients.log_in("ann")
        await ann.call("channel_join", name="room")
        await backend.until(lambda: len(backend.requests) > 2)
    backend.answer = lambda _: OK
    backend.requests.clear()
    async with served(backend, journal_engine(tmp_path)) as server:
        await backend.until(lambda: len(backend.events) >= 2)
        await trio.sleep(5)
    assert brief(backend.events)[:2] == [("login", "ann"), ("join", "ann", "room")]
    assert [it["number"] for it in backend.events][:2] == [1, 2]
    caplog.clear()


async def test_a_backend_that_comes_later_is_told(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    backend = Backend()
    async with running(backend):
        pass
    async with served(backend) as server, Clients(server) as clients:
        await clients.log_in("ann")
        await trio.sleep(100)
        assert counts(server).failed > 3
        async with running(backend):
            await backend.until(lambda: bool(backend.events))
            await trio.sleep(1)
    assert brief(backend.events) == [("login", "ann")]
    caplog.clear()


async def test_where_a_node_is_gone_another_goes_on(
    backend: Backend, caplog: pytest.LogCaptureFixture
) -> None:
    """One of them sends at a time; each event comes, in order."""
    backend.answer = lambda _: HANGS if len(backend.requests) < 1 else OK
    engine, scope = EmbeddedEngine(), trio.CancelScope()

    async def first(task_status: trio.TaskStatus[None]) -> None:
        with scope:
            async with served(backend, engine) as server, Clients(server) as clients:
                await clients.log_in("ann")
                task_status.started()
                await trio.sleep_forever()

    async with trio.open_nursery() as nursery:
        await nursery.start(first)
        await backend.until(lambda: bool(backend.requests))
        async with served(backend, engine.neighbour()) as other, Clients(other) as clients:
            bob = await clients.log_in("bob")
            await trio.sleep(5)
            assert len(backend.requests) == 1
            # It goes in the midst of it.
            scope.cancel()
            await bob.call("channel_join", name="room")
            await backend.until(lambda: any(it["kind"] == "join" for it in backend.events))
            await trio.sleep(1)
            assert counts(other).delivered == 3
    numbers = [it["number"] for it in backend.events]
    assert list(dict.fromkeys(numbers)) == [1, 2, 3]
    caplog.clear()


@pytest.mark.parametrize("is_trusted", [True, False])
async def test_a_backend_inside_tls_has_to_be_the_one(
    autojump_clock: MockClock,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    is_trusted: bool,
) -> None:
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    if is_trusted:
        authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    async with (
        running(Backend(ssl_context=context)) as backend,
        served(backend) as server,
        Clients(server) as clients,
    ):
        await clients.log_in("ann")
        await trio.sleep(60)
        assert (counts(server).delivered == 1) is is_trusted
        assert (counts(server).failed > 3) is not is_trusted
    assert ("CERTIFICATE_VERIFY_FAILED" in caplog.text) is not is_trusted
    caplog.clear()
