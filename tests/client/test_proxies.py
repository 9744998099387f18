"""Proxies: which one is gone through, for the lookup and for the connection, and what fails."""

from __future__ import annotations

import base64
import json
import logging
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import attrs
import pytest
import trio
import trustme

from signal_sdk import LoginError, ParameterError, Signal, create_agora_sdk_instance_cpp
from signal_sdk.client.dialer import make_dialer
from signal_sdk.client.proxies import NO_PROXIES, Proxies, Proxy, open_tunnel, proxies_named
from signal_sdk.errors import LinkError
from signal_sdk.net.reactor import Reactor
from signal_sdk.server import config as configs
from signal_sdk.testing.memory import memory_transport_pair
from signal_sdk.testing.server import LocalServer, local_server
from tests.agora.ears import Ears

SECRET = "hunter2"
VARIABLES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "REQUEST_METHOD")


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


# --- which one ---


def named(proxies: Proxies, host: str = "sig.example", port: int = 80, *, tls: bool = False) -> str:
    proxy = proxies.of(host, port, tls=tls)
    return "" if proxy is None else proxy.url


def test_the_environment_names_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    assert named(proxies_named(None)) == ""
    monkeypatch.setenv("ALL_PROXY", "any.example:1")
    proxies = proxies_named(None)
    assert named(proxies) == named(proxies, tls=True) == "http://any.example:1"
    monkeypatch.setenv("HTTPS_PROXY", "http://tls.example")
    monkeypatch.setenv("HTTP_PROXY", "HTTP://[2001:db8::1]:3128/")
    proxies = proxies_named(None)
    assert named(proxies) == "http://[2001:db8::1]:3128"
    assert named(proxies, tls=True) == "http://tls.example:80"
    monkeypatch.setenv("http_proxy", "lower.example:2")
    assert named(proxies_named(None)) == "http://lower.example:2"


def test_the_argument_overrides_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", "any.example:1")
    monkeypatch.setenv("NO_PROXY", "*")
    assert named(proxies_named("http://mine.example:3")) == "http://mine.example:3"
    assert proxies_named("") == NO_PROXIES


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "127.9.9.9", "::1", "localhost", "LOCALHOST.", "a.localhost",
             "::ffff:127.0.0.1"],
)  # fmt: skip
def test_this_machine_is_never_asked_for_through_a_proxy(host: str) -> None:
    assert proxies_named("http://mine.example:3").of(host, 80, tls=False) is None


@pytest.mark.parametrize(
    ("without", "hosts", "others"),
    [
        ("*", ["a.example", "10.0.0.1"], []),
        ("a.example", ["a.example", "A.Example.", "b.a.example"], ["ba.example", "example"]),
        (".a.example", ["a.example", "b.a.example"], ["ba.example"]),
        ("*.a.example", ["b.a.example"], ["ba.example"]),
        ("x, a.example ,y", ["a.example", "x", "y"], ["z"]),
        ("a.example:80", ["a.example"], []),
        ("a.example:81", [], ["a.example"]),
        ("10.0.0.0/8", ["10.1.2.3", "::ffff:10.1.2.3"], ["11.0.0.1", "10.example"]),
        ("10.0.0.1", ["10.0.0.1"], ["10.0.0.2"]),
        ("2001:db8::/32", ["2001:db8::7"], ["2001:db9::7"]),
        ("[2001:db8::1]", ["2001:db8::1"], ["2001:db8::2"]),
        ("", [], ["a.example"]),
    ],
)
def test_no_proxy_names_hosts(
    without: str, hosts: list[str], others: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALL_PROXY", "any.example:1")
    monkeypatch.setenv("NO_PROXY", without)
    proxies = proxies_named(None)
    assert [host for host in hosts if named(proxies, host)] == []
    assert [host for host in others if not named(proxies, host)] == []


@pytest.mark.parametrize(
    "text",
    [
        f"socks5://user:{SECRET}@proxy.example:1",
        f"https://user:{SECRET}@proxy.example:1",
        f"http://user:{SECRET}@",
        f"http://user:{SECRET}@[proxy",
        f"http://user:{SECRET}@proxy:port",
        f"http://user:{SECRET}@proxy:99999",
        f"{SECRET}://x",
    ],
)
def test_what_is_no_proxy_is_said_and_not_repeated(
    text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ParameterError, match="proxy: ") as caught:
        Signal("app", proxy=text)
    monkeypatch.setenv("ALL_PROXY", text)
    proxies = proxies_named(None)
    assert proxies.of("localhost", 80, tls=False) is None
    with pytest.raises(LinkError, match="ALL_PROXY: ") as later:
        proxies.of("sig.example", 80, tls=False)
    for shown in (str(caught.value), str(later.value), repr(proxies)):
        assert SECRET not in shown.replace(f"{SECRET} proxies", "")


def test_a_proxy_is_shown_without_its_secrets() -> None:
    proxies = proxies_named(f"http://us%40er:{SECRET}@proxy.example:1")
    proxy = proxies.of("sig.example", 80, tls=False)
    assert proxy == Proxy("proxy.example", 1, "us@er", SECRET)
    assert SECRET not in repr(proxies) + repr(proxy) + proxy.url
    assert "us@er" not in repr(proxies) + proxy.url


# --- through it ---


@attrs.define
class RunningProxy:
    """An HTTP proxy, which leads every name to this machine."""

    port: int
    heads: list[str] = attrs.field(factory=list)

    @property
    def targets(self) -> list[str]:
        return [" ".join(head.split(" ")[:2]) for head in self.heads]


async def head_of(stream: trio.SocketStream) -> str:
    data = b""
    while b"\r\n\r\n" not in data:
        more = await stream.receive_some()
        if not more:
            return ""
        data += more
    return data.decode()


async def pump(source: trio.SocketStream, sink: trio.SocketStream) -> None:
    try:
        async for data in source:
            await sink.send_all(data)
        await sink.send_eof()
    except (trio.BrokenResourceError, trio.ClosedResourceError):
        pass


@asynccontextmanager
async def proxy_for(ports: dict[str, int], auth: str = "") -> AsyncIterator[RunningProxy]:
    async def serve(stream: trio.SocketStream) -> None:
        async with stream:
            head = await head_of(stream)
            running.heads.append(head)
            method, target, _ = head.split(" ", 2)
            if auth and f"Proxy-Authorization: Basic {auth}\r\n" not in head:
                await stream.send_all(b"HTTP/1.1 407 No\r\nContent-Length: 2\r\n\r\nno")
                return
            where = target if method == "CONNECT" else target.split("/")[2]
            if where not in ports:
                await stream.send_all(b"HTTP/1.1 502 No\r\nContent-Length: 2\r\n\r\nno")
                return
            async with await trio.open_tcp_stream("127.0.0.1", ports[where]) as other:
                if method == "CONNECT":
                    await stream.send_all(b"HTTP/1.1 200 Yes\r\nVia: me\r\n\r\n")
                else:
                    await other.send_all(head.replace(f"http://{where}", "", 1).encode())
                async with trio.open_nursery() as pumps:
                    pumps.start_soon(pump, stream, other)
                    await pump(other, stream)
                    pumps.cancel_scope.cancel()

    async with trio.open_nursery() as nursery:
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        running = RunningProxy(listeners[0].socket.getsockname()[1])
        nursery.start_soon(trio.serve_listeners, serve, listeners)
        yield running
        nursery.cancel_scope.cancel()


@pytest.fixture
async def reactor(nursery: trio.Nursery) -> Reactor:
    reactor = Reactor()
    nursery.start_soon(reactor.run)
    return reactor


@pytest.fixture
async def server() -> AsyncIterator[LocalServer]:
    config = configs.dev()
    advertised = attrs.evolve(config.server, advertise=("192.0.2.7:8001",))
    async with local_server(attrs.evolve(config, server=advertised)) as running:
        yield running


async def test_lookup_and_connection_go_through_the_proxy(
    server: LocalServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    ports = {"sig.example:8001": server.port, "192.0.2.7:8001": server.port}
    auth = base64.b64encode(f"user:{SECRET}".encode()).decode()
    async with proxy_for(ports, auth) as proxy:
        monkeypatch.setenv("HTTP_PROXY", f"http://user:{SECRET}@127.0.0.1:{proxy.port}")
        async with Signal("app", server="sig.example") as signal:
            session = await signal.login("ann", "_no_need_token")
            assert await session.query_user_status("ann")
    assert proxy.targets == [
        "GET http://sig.example:8001/getaddr?vid=app",
        "CONNECT 192.0.2.7:8001",
    ]


@pytest.mark.parametrize("by", ["environment", "argument"])
async def test_the_flat_api_s_go_through_it_too(
    server: LocalServer, monkeypatch: pytest.MonkeyPatch, by: str
) -> None:
    ports = {"sig.example:8001": server.port, "192.0.2.7:8001": server.port}
    async with proxy_for(ports) as proxy:
        name = f"http://127.0.0.1:{proxy.port}"
        if by == "environment":
            monkeypatch.setenv("ALL_PROXY", name)
        given = name if by == "argument" else None
        with create_agora_sdk_instance_cpp(server="sig.example", proxy=given) as api:
            ears = Ears()
            api.callback_set(ears)
            api.login("app", "ann", "_no_need_token")
            await ears.hear("on_login_success")
            api.destroy()
            await ears.hear("on_logout", 101)
    assert proxy.targets == [
        "GET http://sig.example:8001/getaddr?vid=app",
        "CONNECT 192.0.2.7:8001",
    ]


async def test_the_argument_names_the_proxy_of_a_direct_address(server: LocalServer) -> None:
    async with proxy_for({"sig.example:9": server.port}) as proxy:
        name = f"http://127.0.0.1:{proxy.port}"
        async with Signal("app", server="ws://sig.example:9/", proxy=name) as signal:
            await signal.login("ann", "_no_need_token")
    assert proxy.targets == ["CONNECT sig.example:9"]


async def test_tls_is_with_the_server_and_not_with_the_proxy(reactor: Reactor) -> None:
    ca = trustme.CA()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    ca.issue_cert("sig.example").configure_cert(context)
    trusting = ssl.create_default_context()
    ca.configure_trust(trusting)
    seen: list[bytes] = []

    async def serve(stream: trio.SSLStream[trio.SocketStream]) -> None:
        seen.append(bytes(await stream.receive_some()))
        body = json.dumps({"web": [["192.0.2.7", 1]]}).encode()
        head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        await stream.send_all(head.encode() + body)

    async with trio.open_nursery() as nursery:
        [listener] = await trio.open_ssl_over_tcp_listeners(0, context, host="127.0.0.1")
        nursery.start_soon(trio.serve_listeners, serve, [listener])
        sock: Any = listener.transport_listener
        port = sock.socket.getsockname()[1]
        ports = {"sig.example:443": port, "192.0.2.7:2": port}
        async with proxy_for(ports) as proxy:
            proxies = proxies_named(f"http://127.0.0.1:{proxy.port}")
            dialer = make_dialer("https://sig.example", trusting, proxies)
            with pytest.raises(LoginError, match=r"no WebSocket at 192\.0\.2\.7:2: .*HTTP 200"):
                await dialer.dial("app", reactor)
        assert proxy.targets == ["CONNECT sig.example:443", "CONNECT 192.0.2.7:2"]
        assert seen[0].startswith(b"GET /getaddr?vid=app HTTP/1.1\r\n")
        assert seen[1].startswith(b"GET / HTTP/1.1\r\nHost: 192.0.2.7:2\r\n")
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize(
    ("server", "error"),
    [
        ("sig.example:1", r"the lookup at http://sig\.example:1 failed: .*407"),
        ("https://sig.example:1", r"the lookup at https://sig\.example:1 failed: .*407"),
        ("ws://sig.example:1", r"the proxy at http://127\.0\.0\.1:\d+ refuses user or password"),
    ],
)
async def test_a_proxy_that_refuses_is_named_without_its_secrets(
    reactor: Reactor, server: str, error: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    async with proxy_for({}, "other") as proxy:
        proxies = proxies_named(f"http://user:{SECRET}@127.0.0.1:{proxy.port}")
        with pytest.raises((LoginError, LinkError), match=error) as caught:
            await make_dialer(server, None, proxies).dial("app", reactor)
    shown = str(caught.value) + repr(caught.value) + caplog.text
    assert SECRET not in shown
    assert base64.b64encode(f"user:{SECRET}".encode()).decode() not in shown


async def test_a_proxy_that_is_not_there_is_named(reactor: Reactor) -> None:
    proxies = proxies_named("http://127.0.0.1:1")
    refused = r"no connection to the proxy at 127\.0\.0\.1:1: Connection refused"
    with pytest.raises(LinkError, match=refused):
        await make_dialer("ws://sig.example", None, proxies).dial("app", reactor)


Answer = tuple[bytes, str]
ANSWERS: list[Answer] = [
    (b"", "did not answer as an HTTP proxy does"),
    (b"hello\r\n\r\n", "did not answer as an HTTP proxy does"),
    (b"HTTP/1.1 xyz\r\n\r\n", "did not answer as an HTTP proxy does"),
    (b"HTTP/1.1 200 Yes\r\nX: " + b"x" * 20_000, "did not answer as an HTTP proxy does"),
    (b"HTTP/1.1 407 No\r\n\r\n", r"wants a user and a password \(HTTP 407\)"),
    (b"HTTP/1.1 502 No\r\n\r\nsorry", "does not connect to sig.example:9: HTTP 502"),
    (b"HTTP/1.1 200 Yes\r\n\r\nmore", "says more than it was asked"),
]


@pytest.mark.parametrize(("answer", "error"), ANSWERS, ids=[error for _, error in ANSWERS])
async def test_what_a_proxy_may_answer_instead(answer: bytes, error: str) -> None:
    ours, theirs = memory_transport_pair()
    theirs.send_nowait(answer)
    theirs.send_eof()
    with pytest.raises(LinkError, match=error):
        await open_tunnel(ours, Proxy("proxy.example", 1), "sig.example", 9)


async def test_an_answer_may_come_byte_by_byte(nursery: trio.Nursery) -> None:
    ours, theirs = memory_transport_pair()

    async def answer() -> None:
        for byte in b"HTTP/1.0 200\r\n\r\n":
            await trio.lowlevel.checkpoint()
            theirs.send_nowait(bytes([byte]))

    nursery.start_soon(answer)
    await open_tunnel(ours, Proxy("proxy.example", 1), "2001:db8::1", 9)
    asked = await theirs.receive_some()
    assert asked == b"CONNECT [2001:db8::1]:9 HTTP/1.1\r\nHost: [2001:db8::1]:9\r\n\r\n"


@pytest.mark.parametrize("host", ["a\r\nX: y", "a b", "", "ü" * 99])
async def test_a_lookup_s_answer_puts_nothing_into_the_request(host: str) -> None:
    ours, _ = memory_transport_pair()
    with pytest.raises(LinkError, match="is not the name of a host"):
        await open_tunnel(ours, Proxy("proxy.example", 1), host, 9)
