"""The admin address's connections: how many, for how long, and that each ends alone."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import AsyncIterator
from typing import Any, Self

import attrs
import pytest
import trio
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from trio.testing import MockClock

from signal_sdk.net.reactor import Reactor
from signal_sdk.server.admin.asked import BODY_SECONDS, read_body
from signal_sdk.server.admin.connections import (
    IDLE_SECONDS,
    REST_BYTES,
    SEND_SECONDS,
    Connection,
    Receive,
    Scope,
    Send,
)
from signal_sdk.server.admin.problems import ProblemError
from signal_sdk.server.admin.server import MAX_CONNECTIONS, AdminServer
from signal_sdk.server.admin.shares import Shares
from tests.server.helpers import settle

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


class Client:
    """The other end of a connection."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self._stream = stream
        self.say = stream.send_all
        self.close = stream.aclose

    async def say_all(self, data: bytes) -> None:
        """Say it, or as much of it as is heard."""
        with contextlib.suppress(trio.BrokenResourceError):
            await self.say(data)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def answer(self) -> bytes:
        """What is heard, up to the end."""
        heard = b""
        async for more in self._stream:
            heard += more
        return heard

    async def heard(self, end: bytes = b"done") -> bytes:
        """What is heard, up to that."""
        heard = b""
        while end not in heard:
            more = await self._stream.receive_some()
            assert more, heard
            heard += more
        return heard


class Turns(trio.abc.Instrument):
    """Counts how often all that can go on has done so."""

    count = 0

    def before_io_wait(self, timeout: float) -> None:
        self.count += 1


@attrs.define
class Served:
    """A server of the admin address, without an address."""

    server: AdminServer
    reactor: Reactor
    nursery: trio.Nursery
    gate: trio.Event = attrs.field(factory=trio.Event)
    seen: list[str] = attrs.field(factory=list)
    parts: int = 0
    """How many of what is endless were handed on."""
    turns: Turns = attrs.field(factory=Turns)
    began: list[int] = attrs.field(factory=list)
    """In which turn each was begun."""

    def dial(self) -> Client:
        """A connection to it."""
        ours, theirs = socket.socketpair()
        for sock in (ours, theirs):
            sock.setblocking(False)
        self.server._take(theirs, self.nursery)
        return Client(trio.SocketStream(trio.socket.from_stdlib_socket(ours)))

    async def answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        """What is served."""
        path = scope["path"]
        self.seen.append(path)
        self.began.append(self.turns.count)
        if path.startswith("/known"):
            try:
                scope["state"]["connection"].begin(path)
            except ProblemError as exc:
                await exc.response()(scope, receive, send)
                return
            await self.gate.wait()
        if path == "/body":
            try:
                body = await read_body(Request(scope, receive), self.reactor)
            except ProblemError as exc:
                await exc.response()(scope, receive, send)
                return
            self.seen.append(f"{len(body)}")
        if path == "/endless":
            await send({"type": "http.response.start", "status": 200, "headers": []})
            while True:
                part = {"type": "http.response.body", "body": b"x" * 65536, "more_body": True}
                await send(part)
                self.parts += 1
        await PlainTextResponse("done")(scope, receive, send)


@pytest.fixture
async def served(autojump_clock: MockClock, nursery: trio.Nursery) -> AsyncIterator[Served]:
    reactor = Reactor()
    await nursery.start(reactor.run)
    found: Any = None

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await found.answer(scope, receive, send)

    server = AdminServer(app, [], reactor)
    found = Served(server, reactor, nursery)
    yield found
    server.close()
    nursery.cancel_scope.cancel()


async def test_one_connection_asks_again_and_again(served: Served) -> None:
    async with served.dial() as client:
        for _ in range(3):
            await client.say(GET)
            heard = await client.heard()
            assert heard.startswith(b"HTTP/1.1 200")
            assert b"server:" not in heard.lower()
    await settle()
    assert len(served.server) == 0


@pytest.mark.parametrize(
    "said", [b"", b"GET / HTTP/1.1\r\nHost: a\r\nX-More: ", GET], ids=["nothing", "half", "all"]
)
async def test_who_asks_nothing_is_sent_away(served: Served, said: bytes) -> None:
    async with served.dial() as client:
        began = trio.current_time()
        await client.say(said)
        await client.answer()
        assert trio.current_time() - began == IDLE_SECONDS


async def test_a_header_has_its_bounds(served: Served) -> None:
    async with served.dial() as client:
        await client.say(b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 20_000)
        assert (await client.answer()).startswith(b"HTTP/1.1 431")
    assert served.seen == []


@pytest.mark.parametrize(
    ("said", "status"),
    [
        (b"nothing of HTTP\r\n\r\n", b"HTTP/1.1 400"),
        (b"GET /\xff HTTP/1.1\r\nHost: a\r\n\r\n", b"HTTP/1.1 400"),
        (b"GET / HTTP/1.1\r\n\r\n", b"HTTP/1.1 400"),
    ],
)
async def test_what_is_no_request_is_refused(served: Served, said: bytes, status: bytes) -> None:
    async with served.dial() as client:
        await client.say(said)
        heard = await client.answer()
    assert heard.startswith(status)
    assert served.seen == []


async def test_http_1_is_all_that_is_spoken(served: Served) -> None:
    """Of HTTP/2 one connection could ask any number of things at once."""
    offer = (
        b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n\r\n"
    )
    async with served.dial() as client:
        await client.say(GET.removesuffix(b"\r\n") + offer)
        heard = await client.heard()
        assert heard.startswith(b"HTTP/1.1 200")
        await client.say(GET)
        assert (await client.heard()).startswith(b"HTTP/1.1 200")
    served.seen.clear()
    async with served.dial() as client:
        await client.say(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(30))
        assert (await client.answer()).startswith(b"HTTP/1.1 ")
    assert served.seen == ["*"]


async def test_who_asks_for_the_head_is_sent_no_body(served: Served) -> None:
    async with served.dial() as client:
        await client.say(GET.replace(b"GET", b"HEAD") + GET)
        heard = await client.heard()
        assert heard.count(b"HTTP/1.1 200") == 2
        assert heard.count(b"content-length: 4") == 2
        assert heard.count(b"done") == 1


async def test_who_wants_a_websocket_is_refused(served: Served) -> None:
    offer = (
        b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    async with served.dial() as client:
        await client.say(GET.removesuffix(b"\r\n") + offer)
        assert (await client.answer()).startswith(b"HTTP/1.1 403")
    assert served.seen == []


async def test_however_many_ask_at_once_each_is_begun_in_a_turn_of_its_own(served: Served) -> None:
    """What else the process does goes on between them."""
    clients = [served.dial() for _ in range(50)]
    await settle()
    trio.lowlevel.add_instrument(served.turns)
    for client in clients:
        await client.say(GET * 3)
    for client in clients:
        heard = b""
        while heard.count(b"done") < 3:
            heard += await client.heard()
    assert len(served.seen) == 150
    assert len(set(served.began)) == 150
    for client in clients:
        await client.close()


@pytest.mark.parametrize("name", ["run", "_read"])
async def test_whatever_fails_on_a_connection_ends_that_one(
    served: Served, name: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    method = getattr(Connection, name)
    failed: list[Connection] = []

    async def fail_once(self: Connection, *args: object) -> object:
        if not failed:
            failed.append(self)
        if failed == [self]:
            raise RuntimeError("this was to happen")
        return await method(self, *args)

    monkeypatch.setattr(Connection, name, fail_once)
    async with served.dial() as client:
        await client.say(GET)
        await client.close()
        await settle()
    async with served.dial() as other:
        await other.say(GET)
        assert (await other.heard()).startswith(b"HTTP/1.1 200")
    assert "a connection to the admin address failed: RuntimeError" in caplog.text
    caplog.clear()


async def test_who_sends_more_than_is_wanted_hears_the_answer(served: Served) -> None:
    """A connection that is closed while something lies unread takes the answer with it."""
    size = 2 * 1024**2
    async with served.dial() as client, trio.open_nursery() as nursery:
        head = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % size
        nursery.start_soon(client.say, head + bytes(size))
        assert (await client.heard()).startswith(b"HTTP/1.1 200")
        await client.say(GET)
        assert (await client.heard()).startswith(b"HTTP/1.1 200")


async def test_who_never_ends_is_hung_up_on(served: Served) -> None:
    async with served.dial() as client:
        await client.say(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9999999\r\n\r\n" + GET)
        assert (await client.answer()).startswith(b"HTTP/1.1 200")
    await settle()
    assert len(served.server) == 0


async def test_nothing_is_left_of_one_who_sends_on_and_on(served: Served) -> None:
    """What nobody takes keeps no task either."""
    size = 2 * REST_BYTES
    async with served.dial() as client, trio.open_nursery() as nursery:
        head = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % size
        nursery.start_soon(client.say_all, head + bytes(size))
        await client.heard()
        await trio.sleep(60)
        assert len(served.server) == 0
        nursery.cancel_scope.cancel()


async def test_a_body_takes_its_time_and_no_longer(served: Served) -> None:
    head = b"POST /body HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
    async with served.dial() as client:
        began = trio.current_time()
        await client.say(head + b"Content-Length: 100\r\n\r\nhalf")
        assert (await client.answer()).startswith(b"HTTP/1.1 408")
        assert trio.current_time() - began >= BODY_SECONDS
    assert served.seen == ["/body"]


@pytest.mark.parametrize("is_said", [True, False])
async def test_a_body_is_not_over_1_mib(served: Served, is_said: bool) -> None:
    size = 1024**2 + 1
    head = b"POST /body HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
    for more, status in ((0, b"HTTP/1.1 413"), (-1, b"HTTP/1.1 200")):
        body = bytes(size + more)
        if is_said:
            said = head + b"Content-Length: %d\r\n\r\n" % len(body) + body
        else:
            chunk = b"%x\r\n" % len(body) + body + b"\r\n0\r\n\r\n"
            said = head + b"Transfer-Encoding: chunked\r\n\r\n" + chunk
        async with served.dial() as client, trio.open_nursery() as nursery:
            nursery.start_soon(client.say, said)
            assert (await client.heard(b"\r\n\r\n")).startswith(status)


# --- Many


async def test_over_the_most_who_was_silent_longest_has_to_go(served: Served) -> None:
    clients = [served.dial() for _ in range(MAX_CONNECTIONS)]
    await clients[0].say(b"GET /known HTTP/1.1\r\nHost: a\r\n\r\n")
    await settle()
    more = [served.dial(), served.dial()]
    assert await clients[1].answer() == b""
    assert await clients[2].answer() == b""
    for client in more:
        await client.say(GET)
        assert (await client.heard()).startswith(b"HTTP/1.1 200")
    served.gate.set()
    assert (await clients[0].heard()).startswith(b"HTTP/1.1 200")
    for client in (*clients, *more):
        await client.close()


async def test_who_has_asked_with_a_key_stays_when_strangers_go(served: Served) -> None:
    served.gate.set()
    clients = [served.dial() for _ in range(MAX_CONNECTIONS)]
    for client in clients[:2]:
        await client.say(b"GET /known HTTP/1.1\r\nHost: a\r\n\r\n")
        await client.heard()
    more = [served.dial() for _ in range(2 * MAX_CONNECTIONS)]
    for client in clients[:2]:
        await client.say(GET)
        assert (await client.heard()).startswith(b"HTTP/1.1 200")
    assert await clients[2].answer() == b""
    for client in (*clients, *more):
        await client.close()


async def test_where_all_have_keys_nobody_else_comes_in(served: Served) -> None:
    clients = [served.dial() for _ in range(MAX_CONNECTIONS)]
    for number, client in enumerate(clients):
        await client.say(b"GET /known%d HTTP/1.1\r\nHost: a\r\n\r\n" % number)
    await settle()
    async with served.dial() as other:
        answer = await other.answer()
        assert answer.startswith(b"HTTP/1.1 503 ")
        assert b"\r\nRetry-After: 1\r\n" in answer
    assert len(served.server) == MAX_CONNECTIONS
    served.gate.set()
    for client in clients:
        await client.heard()
        await client.close()


async def test_one_key_does_not_take_all_the_places(served: Served) -> None:
    """However many ask with it, and however slowly: others are answered, and it is told so."""
    clients = [served.dial() for _ in range(MAX_CONNECTIONS)]
    for client in clients:
        await client.say(b"GET /known HTTP/1.1\r\nHost: a\r\n\r\n")
    await settle()
    most = MAX_CONNECTIONS * 3 // 4
    for client in clients[most:]:
        heard = await client.heard(b"}")
        assert heard.startswith(b"HTTP/1.1 429 ")
        assert b"\r\nretry-after: 1\r\n" in heard
        assert b":too-many-under-way" in heard
    async with served.dial() as other:
        await other.say(b"GET /known-other HTTP/1.1\r\nHost: a\r\n\r\n")
        await settle()
        served.gate.set()
        assert (await other.heard()).startswith(b"HTTP/1.1 200")
    for client in clients[:most]:
        await client.heard()
    # What is over leaves its place.
    async with served.dial() as again:
        await again.say(b"GET /known HTTP/1.1\r\nHost: a\r\n\r\n")
        assert (await again.heard()).startswith(b"HTTP/1.1 200")
    for client in clients:
        await client.close()


def test_however_many_places_some_keys_have_taken_one_more_has_some() -> None:
    shares = Shares(128)
    for key, most in (("a", 96), ("b", 24), ("c", 6), ("d", 1), ("e", 1)):
        for _ in range(most):
            shares.begin(key)
        with pytest.raises(ProblemError, match=f"has {most} requests under way: "):
            shares.begin(key)
    shares.end("a")
    # It has more than its share by now.
    with pytest.raises(ProblemError):
        shares.begin("a")
    shares.begin("f")


# --- Slow readers, and the end


async def test_who_reads_nothing_is_hung_up_on(served: Served) -> None:
    async with served.dial() as client:
        await client.say(b"GET /endless HTTP/1.1\r\nHost: a\r\n\r\n")
        await settle()
        began = trio.current_time()
        await served.server.stop()
        assert trio.current_time() - began == SEND_SECONDS
        assert served.parts < 100, "it goes on although nobody can hear it"


async def test_a_stop_lets_what_is_under_way_end(served: Served) -> None:
    async with served.dial() as idle, served.dial() as busy:
        await busy.say(b"GET /known HTTP/1.1\r\nHost: a\r\n\r\n")
        await settle()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(served.server.stop)
            assert await idle.answer() == b""
            await settle()
            assert len(served.server) == 1
            served.gate.set()
            assert (await busy.answer()).endswith(b"done")


async def test_a_cancelled_server_waits_for_nobody(served: Served) -> None:
    with trio.CancelScope() as scope:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(served.server.run)
            served.nursery = nursery
            client = served.dial()
            await client.say(b"GET /endless HTTP/1.1\r\nHost: a\r\n\r\n")
            await settle()
            assert served.seen == ["/endless"]
            began = trio.current_time()
            scope.cancel()
    assert trio.current_time() == began
    await client.close()


async def test_who_comes_by_a_socket_is_served(nursery: trio.Nursery) -> None:
    reactor = Reactor()
    await nursery.start(reactor.run)
    listening = socket.create_server(("127.0.0.1", 0))
    listening.setblocking(False)
    server = AdminServer(PlainTextResponse("done"), [listening], reactor)
    nursery.start_soon(server.run)
    async with Client(await trio.open_tcp_stream(*listening.getsockname())) as client:
        await client.say(GET)
        assert (await client.heard()).startswith(b"HTTP/1.1 200")
    await server.stop()
    nursery.cancel_scope.cancel()
