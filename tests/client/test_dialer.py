"""Dialing: what a server may be called, the lookup, and the addresses that it names."""

from __future__ import annotations

import gzip
import json
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from functools import partial
from http import HTTPStatus
from typing import Any

import attrs
import pytest
import trio
import trustme
from trio.testing import MockClock

from signal_sdk import LoginError, ParameterError
from signal_sdk.client import dialer as dialers
from signal_sdk.client import lookup
from signal_sdk.client.dialer import make_dialer
from signal_sdk.errors import LinkError
from signal_sdk.net.reactor import Reactor
from signal_sdk.net.tls import TlsTransport
from signal_sdk.net.transport import SocketTransport, Transport
from signal_sdk.websocket import handshake
from signal_sdk.websocket.handshake import HttpAnswer, HttpRequest
from signal_sdk.websocket.link import Link

Answer = Callable[[HttpRequest], HttpAnswer | None]


@attrs.define
class Listening:
    """A server that answers HTTP as the test says, and takes every WebSocket."""

    port: int
    requests: list[HttpRequest] = attrs.field(factory=list)
    links: int = 0


def named(*addresses: tuple[str, int]) -> Answer:
    body = json.dumps({"web": addresses}).encode()
    return lambda request: None if request.is_upgrade else HttpAnswer(body=body)


@asynccontextmanager
async def listen(
    reactor: Reactor,
    answer: Answer,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    context: ssl.SSLContext | None = None,
) -> AsyncIterator[Listening]:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = trio.socket.socket(family)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    await sock.bind((host, port))
    sock.listen()
    listening = Listening(sock.getsockname()[1])

    def note(request: HttpRequest) -> HttpAnswer | None:
        listening.requests.append(request)
        return answer(request)

    async def serve(stream: trio.SocketStream) -> None:
        plain = socket.socket(fileno=stream.socket.detach())
        transport: Transport = SocketTransport(plain)
        try:
            if context is not None:
                tls = TlsTransport(transport, context, server_side=True)
                transport = tls
                await tls.handshake()
            link = await handshake.accept(
                transport, reactor, note, make=Link, max_frame_bytes=1000, outbox_bytes=0
            )
            if link is not None:
                listening.links += 1
                await link.receive()
        except LinkError:
            pass
        finally:
            transport.close()

    listener = trio.SocketListener(sock)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.serve_listeners, serve, [listener])
        yield listening
        nursery.cancel_scope.cancel()


@pytest.fixture
async def reactor(nursery: trio.Nursery) -> Reactor:
    reactor = Reactor()
    nursery.start_soon(reactor.run)
    return reactor


@pytest.fixture(scope="module")
def ca() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def trusting(ca: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context()
    ca.configure_trust(context)
    return context


@pytest.fixture
def certified(ca: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    ca.issue_cert("127.0.0.1", "localhost").configure_cert(context)
    return context


async def dial(server: str, reactor: Reactor, context: ssl.SSLContext | None = None) -> Link:
    link = await make_dialer(server, context).dial("app", reactor)
    assert link.is_open
    link.abort()
    return link


# --- names ---


@pytest.mark.parametrize(
    ("server", "host", "port", "tls"),
    [
        ("example.org:9", "example.org", 9, False),
        ("example.org", "example.org", 8001, False),
        ("[::1]:9", "::1", 9, False),
        ("http://example.org:9", "example.org", 9, False),
        ("http://example.org/", "example.org", 80, False),
        ("https://example.org", "example.org", 443, True),
        ("https://[2001:db8::1]:9", "2001:db8::1", 9, True),
    ],
)
def test_a_server_to_ask(server: str, host: str, port: int, tls: bool) -> None:
    dialer: Any = make_dialer(server)
    assert (dialer.host, dialer.port, dialer.tls) == (host, port, tls)


@pytest.mark.parametrize(
    ("server", "url"),
    [
        ("ws://example.org:9", "ws://example.org:9/"),
        ("ws://example.org", "ws://example.org:80/"),
        ("wss://example.org/a/b?c=d", "wss://example.org:443/a/b?c=d"),
        ("ws://[::1]:9/", "ws://[::1]:9/"),
    ],
)
def test_a_server_to_connect_to(server: str, url: str) -> None:
    dialer: Any = make_dialer(server)
    assert dialer.target.url == url


@pytest.mark.parametrize(
    "server",
    ["", ":9", "http://", "ftp://example.org", "example.org:x", "http://[::1", "h:99999999"],
)
def test_what_is_no_server(server: str) -> None:
    with pytest.raises(ParameterError):
        make_dialer(server)


def test_a_password_is_refused_and_not_repeated() -> None:
    with pytest.raises(ParameterError) as caught:
        make_dialer("http://user:hunter2@example.org")
    assert "hunter2" not in str(caught.value)


# --- connecting ---


async def test_the_lookup_s_address_is_connected_to(reactor: Reactor) -> None:
    async with listen(reactor, lambda _: None) as target:
        async with listen(reactor, named(("127.0.0.1", target.port))) as asked:
            await dial(f"127.0.0.1:{asked.port}", reactor)
        [request] = asked.requests
        assert (request.path, request.query) == ("/getaddr", {"vid": "app"})
        assert (asked.links, target.links) == (0, 1)


async def test_an_app_id_may_hold_anything(reactor: Reactor) -> None:
    async with listen(reactor, named(("127.0.0.1", 1))) as asked:
        with pytest.raises(LoginError):
            await make_dialer(f"127.0.0.1:{asked.port}").dial("a&b=c d/é", reactor)
        assert asked.requests[0].query == {"vid": "a&b=c d/é"}


async def test_addresses_that_do_not_answer_are_passed_over(reactor: Reactor) -> None:
    async with listen(reactor, lambda _: None) as target:
        async with listen(reactor, lambda _: HttpAnswer()) as no_websocket:
            addresses = [
                ("127.0.0.1", 1),
                ("127.0.0.1", no_websocket.port),
                ("127.0.0.1", target.port),
            ]
            async with listen(reactor, named(*addresses)) as asked:
                for _ in range(5):
                    await dial(f"http://127.0.0.1:{asked.port}", reactor)
        assert target.links == 5


async def test_the_server_that_was_lost_is_tried_last(reactor: Reactor) -> None:
    async with listen(reactor, lambda _: None) as lost, listen(reactor, lambda _: None) as other:
        addresses = [("127.0.0.1", lost.port), ("127.0.0.1", other.port)]
        async with listen(reactor, named(*addresses)) as asked:
            dialer = make_dialer(f"127.0.0.1:{asked.port}")
            avoid = f"127.0.0.1:{lost.port}"
            for _ in range(10):
                (await dialer.dial("app", reactor, avoid=avoid)).abort()
        assert (lost.links, other.links) == (0, 10)
        async with listen(reactor, named(addresses[0])) as asked:
            link = await make_dialer(f"127.0.0.1:{asked.port}").dial("app", reactor, avoid=avoid)
            assert link.peer == avoid
            link.abort()


async def test_no_address_that_answers(reactor: Reactor) -> None:
    async with listen(reactor, named(("127.0.0.1", 1), ("127.0.0.1", 2))) as asked:
        with pytest.raises(LoginError, match=r"127\.0\.0\.1:[12]: Connection refused") as caught:
            await dial(f"127.0.0.1:{asked.port}", reactor)
        assert caught.value.ecode == 201


async def test_ipv6(reactor: Reactor) -> None:
    async with listen(reactor, lambda _: None, host="::1") as target:
        async with listen(reactor, named(("::1", target.port)), host="::1") as asked:
            await dial(f"[::1]:{asked.port}", reactor)
            await dial(f"ws://[::1]:{target.port}", reactor)
        assert target.links == 2


async def test_a_direct_address(reactor: Reactor) -> None:
    async with listen(reactor, lambda _: None) as target:
        await dial(f"ws://127.0.0.1:{target.port}/signal?x=1", reactor)
        [request] = target.requests
        assert (request.path, request.query) == ("/signal", {"x": "1"})
        assert request.host == f"127.0.0.1:{target.port}"


async def test_a_direct_address_where_nobody_is(reactor: Reactor) -> None:
    with pytest.raises(LinkError, match="Connection refused"):
        await dial("ws://127.0.0.1:1", reactor)
    with pytest.raises(LinkError, match="no-such-host"):
        await dial("ws://no-such-host.invalid:1", reactor)


async def test_an_address_that_says_nothing(
    reactor: Reactor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dialers, "CONNECT_SECONDS", 0.05)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        with pytest.raises(LinkError, match=r"no connection to .* in 0\.05 s"):
            await dial(f"ws://127.0.0.1:{port}", reactor)


# --- the lookup ---


@pytest.mark.parametrize(
    "answer",
    [
        HttpAnswer(body=b"nonsense"),
        HttpAnswer(body=b"[]"),
        HttpAnswer(body=b"{}"),
        HttpAnswer(body=b'{"web": []}'),
        HttpAnswer(body=b'{"web": [["127.0.0.1"]]}'),
        HttpAnswer(body=b'{"web": [["127.0.0.1", "8001"]]}'),
        HttpAnswer(status=HTTPStatus.NOT_FOUND),
    ],
    ids=lambda answer: f"{int(answer.status)} {answer.body.decode()}",
)
async def test_a_lookup_that_makes_no_sense_is_tried_twice(
    reactor: Reactor, answer: HttpAnswer
) -> None:
    async with listen(reactor, lambda _: answer) as asked:
        with pytest.raises(LoginError, match=f"lookup at http://127.0.0.1:{asked.port}") as caught:
            await dial(f"127.0.0.1:{asked.port}", reactor)
        assert caught.value.ecode == 201
        assert len(asked.requests) == 2


async def test_the_second_attempt_counts(reactor: Reactor) -> None:
    async with listen(reactor, lambda _: None) as target:
        answers = [HttpAnswer(body=b"x"), named(("127.0.0.1", target.port))]

        def answer(request: HttpRequest) -> HttpAnswer | None:
            now: Any = answers.pop(0)
            return now if isinstance(now, HttpAnswer) else now(request)

        async with listen(reactor, answer) as asked:
            await dial(f"127.0.0.1:{asked.port}", reactor)
        assert answers == []


async def test_a_lookup_that_is_not_answered_is_given_up(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock, reactor: Reactor
) -> None:
    async def forever(*_: object) -> list[tuple[str, int]]:
        await trio.sleep_forever()
        raise AssertionError

    monkeypatch.setattr(lookup, "_ask", forever)
    with pytest.raises(LoginError, match="no answer in 5 s"):
        await lookup.look_up("http://example.org", "app", reactor)
    assert trio.current_time() == 10


@asynccontextmanager
async def answering(head: str, parts: Sequence[bytes]) -> AsyncIterator[tuple[str, list[int]]]:
    """An HTTP server that answers so, for as long as somebody listens; how many bytes it has
    sent.
    """
    sent: list[int] = []

    async def serve(stream: trio.SocketStream) -> None:
        await stream.receive_some()
        try:
            await stream.send_all(f"HTTP/1.1 200 OK\r\n{head}\r\n\r\n".encode())
            for part in parts:
                await stream.send_all(part)
                sent.append(len(part))
        except trio.BrokenResourceError:
            pass

    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(partial(trio.serve_tcp, serve, 0, host="127.0.0.1"))
        port = listeners[0].socket.getsockname()[1]
        yield f"http://127.0.0.1:{port}", sent
        nursery.cancel_scope.cancel()


MEGABYTE = b"x" * 2**20


@pytest.mark.parametrize(
    ("head", "before"),
    [
        (f"Content-Length: {600 * 2**20}", b""),
        ("Content-Type: application/json", b""),
        ("Transfer-Encoding: chunked", b"100000\r\n"),
    ],
)
async def test_a_lookup_without_end_is_read_up_to_64_kb(
    reactor: Reactor, head: str, before: bytes
) -> None:
    async with answering(head, [before + MEGABYTE] * 600) as (url, sent):
        with pytest.raises(LoginError) as caught:
            await lookup.look_up(url, "app", reactor)
        assert caught.value.reason == (
            f"the lookup at {url} failed: its answer is longer than 65536 bytes"
        )
    # What the system's buffers take, at most, twice.
    assert sum(sent) < 40 * 2**20


@pytest.mark.parametrize("encoding", ["gzip", "GZIP", "deflate, gzip", "br", "\x9b2J", "x" * 500])
async def test_a_lookup_s_answer_that_is_encoded_is_refused_unread(
    reactor: Reactor, encoding: str
) -> None:
    body = gzip.compress(b'{"web": [["127.0.0.1", 8001]]}')
    head = f"Content-Encoding: {encoding}\r\nContent-Length: {len(body)}"
    async with answering(head, [body]) as (url, _):
        with pytest.raises(LoginError, match="failed: its answer is encoded") as caught:
            await lookup.look_up(url, "app", reactor)
    assert caught.value.reason.isprintable()
    assert len(caught.value.reason) < 120


@pytest.mark.parametrize("size", [65536, 65537])
async def test_a_lookup_s_answer_of_64_kb_is_read(reactor: Reactor, size: int) -> None:
    body = b'{"web": [["127.0.0.1", 8001]]}'.ljust(size)
    async with answering(f"Content-Length: {size}", [body]) as (url, _):
        if size == lookup.MAX_BYTES:
            assert await lookup.look_up(url, "app", reactor) == [("127.0.0.1", 8001)]
        else:
            with pytest.raises(LoginError, match="longer than"):
                await lookup.look_up(url, "app", reactor)


async def test_the_lookup_asks_for_no_encoding(reactor: Reactor) -> None:
    asked: list[bytes] = []
    body = json.dumps({"web": [["127.0.0.1", 8001]]}).encode()

    async def serve(stream: trio.SocketStream) -> None:
        asked.append(await stream.receive_some())
        head = f"HTTP/1.1 200 OK\r\nContent-Encoding: identity\r\nContent-Length: {len(body)}"
        await stream.send_all(head.encode() + b"\r\n\r\n" + body)

    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(partial(trio.serve_tcp, serve, 0, host="127.0.0.1"))
        port = listeners[0].socket.getsockname()[1]
        assert await lookup.look_up(f"http://127.0.0.1:{port}", "app", reactor) == [
            ("127.0.0.1", 8001)
        ]
        nursery.cancel_scope.cancel()
    assert b"\r\nAccept-Encoding: identity\r\n" in asked[0]


@pytest.mark.parametrize("port", [-1, 65536, 10**6, 2**80])
async def test_a_port_that_is_none_is_an_address_that_does_not_answer(
    reactor: Reactor, port: int
) -> None:
    async with listen(reactor, named(("127.0.0.1", port))) as asked:
        dialer = make_dialer(f"127.0.0.1:{asked.port}")
        with pytest.raises(LoginError) as caught:
            await dialer.dial("app", reactor)
        assert caught.value.ecode == 201


async def test_a_lookup_that_is_refused_says_its_cause(reactor: Reactor) -> None:
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        port = nobody.getsockname()[1]
    with pytest.raises(
        LoginError, match=rf"the lookup at http://127\.0\.0\.1:{port} failed: .*Con"
    ):
        await lookup.look_up(f"http://127.0.0.1:{port}", "app", reactor)


async def test_a_lookup_that_fails_at_a_wrong_place_says_what_to_look_at(
    reactor: Reactor, trusting: ssl.SSLContext
) -> None:
    async def serve(answer: bytes, stream: trio.abc.Stream) -> None:
        with suppress(trio.BrokenResourceError):
            await stream.receive_some()
            await stream.send_all(answer)
        await stream.aclose()

    async def failure(url: str) -> str:
        with pytest.raises(LoginError) as caught:
            await lookup.look_up(url, "app", reactor, ssl_context=trusting)
        return caught.value.reason.removeprefix(f"the lookup at {url} failed: ")

    with socket.create_server(("127.0.0.1", 0)) as nobody:
        closed = nobody.getsockname()[1]
    nothing = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"
    async with trio.open_nursery() as nursery:
        ports = []
        for answer in (nothing, b""):
            handler = partial(serve, answer)
            (listener,) = await nursery.start(partial(trio.serve_tcp, handler, 0, host="127.0.0.1"))
            ports.append(listener.socket.getsockname()[1])
        other, silent = ports
        assert await failure(f"http://127.0.0.1:{closed}") == (
            "Connection refused (is a server running there, and is it that port?)"
        )
        assert await failure(f"http://127.0.0.1:{other}") == (
            "HTTP 404, so that is no signaling server, or not its port for clients"
        )
        assert (await failure(f"http://127.0.0.1:{silent}")).endswith(
            "(is that its plain port? where it is the one for TLS, write https://)"
        )
        assert (await failure(f"https://127.0.0.1:{other}")).endswith(
            "(is that its TLS port, the one above the plain one?)"
        )
        nursery.cancel_scope.cancel()


# --- TLS ---


async def test_over_tls_the_link_is_on_the_next_port(
    reactor: Reactor, trusting: ssl.SSLContext, certified: ssl.SSLContext
) -> None:
    async with listen(reactor, lambda _: None, context=certified) as target:
        advertised = named(("127.0.0.1", target.port - 1))
        async with listen(reactor, advertised, context=certified) as asked:
            await dial(f"https://127.0.0.1:{asked.port}", reactor, trusting)
        assert target.links == 1
        await dial(f"wss://127.0.0.1:{target.port}/", reactor, trusting)
        await dial(f"wss://localhost:{target.port}/", reactor, trusting)
        assert target.links == 3


async def test_the_certificate_is_the_given_host_s_wherever_the_lookup_leads(
    reactor: Reactor, ca: trustme.CA, trusting: ssl.SSLContext
) -> None:
    """Addresses are bare numbers; the certificate names the host that the user knows."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    ca.issue_cert("localhost").configure_cert(context)
    async with listen(reactor, lambda _: None, context=context) as target:
        advertised = named(("127.0.0.1", target.port - 1))
        async with listen(reactor, advertised, context=context) as asked:
            await dial(f"https://localhost:{asked.port}", reactor, trusting)
        with pytest.raises(LinkError, match="TLS"):
            await dial(f"wss://127.0.0.1:{target.port}", reactor, trusting)


async def test_a_stranger_s_certificate_is_refused(
    reactor: Reactor, certified: ssl.SSLContext
) -> None:
    """Without `ssl_context`, the system's CAs are trusted, and no others."""
    async with listen(reactor, lambda _: None, context=certified) as target:
        with pytest.raises(LinkError, match="certificate"):
            await dial(f"wss://127.0.0.1:{target.port}", reactor)
        assert target.links == 0
    async with listen(reactor, named(("127.0.0.1", 1)), context=certified) as asked:
        with pytest.raises(LoginError, match=r"certificate .*is trusted by ssl_context, or --ca"):
            await dial(f"https://127.0.0.1:{asked.port}", reactor)
        assert asked.requests == []


def test_the_system_s_cas_are_read_once() -> None:
    assert lookup.default_ssl_context() is lookup.default_ssl_context()
