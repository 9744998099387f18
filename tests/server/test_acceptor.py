"""The acceptor: which connections have a task, and what becomes of those that have none."""

from __future__ import annotations

import logging
import socket
import struct
from collections.abc import AsyncIterator, Callable
from functools import partial

import pytest
import trio
import trio.lowlevel
from trio.testing import MockClock

from signal_sdk.net import reactor as reactor_module
from signal_sdk.net.tls import TlsTransport
from signal_sdk.net.transport import SocketTransport, Transport
from signal_sdk.server.engine.base import AccountKey
from signal_sdk.server.engine.embedded import EmbeddedEngine
from signal_sdk.server.engine.pending import Pending, waited
from signal_sdk.server.listener import ACCEPTS_PER_TURN
from signal_sdk.server.node import Node
from signal_sdk.testing.memory import memory_transport_pair
from signal_sdk.testing.server import LocalServer, local_server
from signal_sdk.websocket.frames import TEXT, encode_masked
from signal_sdk.websocket.handshake import HttpAnswer
from signal_sdk.wire import frames
from tests.net.pairs import TlsContexts, socket_pair
from tests.server.helpers import (
    APP,
    OPENING,
    ask,
    dev_config,
    dial,
    settle,
    slow_engine,
    vanishing_client,
)
from tests.wire_client import logged_in, wire_client


def served(server: LocalServer) -> int:
    """How many connections have a task."""
    nursery = server.node.acceptor._nursery
    assert nursery is not None
    return len(nursery.child_tasks)


@pytest.fixture
async def server(autojump_clock: MockClock) -> AsyncIterator[LocalServer]:
    async with local_server(dev_config(), listens=False) as server:
        yield server


async def test_a_connection_has_no_task_from_its_beginning_to_its_end(server: LocalServer) -> None:
    silent = server.connect()
    async with logged_in(server, "ann") as ann, logged_in(server, "bob") as bob:
        await ann.call("channel_join", name="red", ack=0)
        await ann.call("user_sendmsg", peer="bob", flag="v1:E:60", t="instant", content="x", ack=1)
        await bob.call("user_getmsg", ver_clear=0, max=30, ack=0)
        await settle()
        assert served(server) == 0
        assert (len(server.node.acceptor), len(server.node.acceptor.connections)) == (3, 2)
    silent.close()
    await settle()
    assert len(server.node.acceptor) == 0


async def test_a_connection_whose_engine_takes_its_time_has_no_task_either(
    autojump_clock: MockClock,
) -> None:
    engine = slow_engine(1, EmbeddedEngine())
    async with local_server(dev_config(), listens=False, engine=engine) as server:
        async with logged_in(server, "ann") as ann:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(partial(ann.call, "channel_join", name="red", ack=0))
                await trio.lowlevel.checkpoint()
                assert served(server) == 0
            assert await ann.call("channel_sendmsg", name="red", msg="hi", ack=0)
            assert served(server) == 0
        await trio.sleep(1)
        assert len(server.node.acceptor) == 0


async def test_a_connection_without_epoll_has_a_task(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reactor_module, "HAS_EPOLL", False)
    async with (
        local_server(dev_config()) as server,
        wire_client(await dial(server.host, server.port)) as ann,
    ):
        await ann.login("ann")
        await ann.call("channel_join", name="red", ack=0)
        assert served(server) == 1


async def test_what_comes_in_one_packet_with_the_opening_request_is_heard(
    server: LocalServer,
) -> None:
    client = server.connect()
    text = frames.encode_frame("login", {"vid": APP, "account": "ann", "token": "_no_need_token"})
    client.send_nowait(OPENING + encode_masked(TEXT, text))
    await settle()
    heard = client.receive_nowait()
    assert heard is not None
    assert b'"login_ret"' in heard
    assert server.node.sessions == 1


async def test_an_engine_that_hangs_keeps_no_silent_client_alive(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    def hang() -> Pending[None]:
        return Pending()

    engine = EmbeddedEngine()
    monkeypatch.setattr(engine, "sweep", hang)
    config = dev_config(silence_seconds=20)
    async with local_server(config, listens=False, engine=engine) as server:
        silent = server.connect()
        async with vanishing_client(server, "ann"):
            assert await silent.receive_some() == b""
            assert trio.current_time() == config.limits.handshake_seconds
            await trio.sleep(13)
            assert server.node.sessions == 0


async def test_half_an_opening_request_has_no_task_nor_has_a_link_that_was_not_plain(
    server: LocalServer,
) -> None:
    assert (await ask(server, "/healthz")).startswith(b"HTTP/1.1 200")
    for request in (
        b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n",
        OPENING,
        OPENING.replace(b"Host: memory\r\n", b"Host: memory\r\nX: 1\r\nX: 2\r\n"),
    ):
        client = server.connect()
        for at in range(0, len(request), 7):
            assert (served(server), client.receive_nowait()) == (0, None)
            client.send_nowait(request[at : at + 7])
            await settle()
        answer = await client.receive_some()
        assert answer.startswith((b"HTTP/1.1 200 ", b"HTTP/1.1 101 "))
        await settle()
        assert served(server) == 0
        client.close()
        await settle()
    assert (served(server), len(server.node.acceptor)) == (0, 0)


async def test_what_begins_no_request_is_not_waited_for(server: LocalServer) -> None:
    for said in (b"n", b"get / HTTP/1.1", b"GET / HTTP/1.1\nX", b"\x16\x03\x01"):
        client = server.connect()
        client.send_nowait(said)
        assert await client.receive_some() == b""
        await settle()
        assert (served(server), len(server.node.acceptor)) == (0, 0)


@pytest.mark.parametrize("said", [b"GET /", b"GET / HTTP/1.1\r\nX: 1\r\n"])
async def test_who_goes_after_half_a_request_is_gone_without_ever_having_a_task(
    server: LocalServer, caplog: pytest.LogCaptureFixture, said: bytes
) -> None:
    """Nobody is there to be answered, and a library that makes an answer costs twice as much."""
    client = server.connect()
    client.send_nowait(said)
    await settle()
    assert len(server.node.acceptor) == 1
    nursery = server.node.acceptor._nursery
    assert nursery is not None
    with caplog.at_level(logging.INFO, "signal_sdk.server"), pytest.MonkeyPatch.context() as patch:
        patch.setattr(nursery, "start_soon", None)
        client.close()
        await settle()
    assert len(server.node.acceptor) == 0
    (line,) = caplog.messages
    assert line.endswith("has closed after half a request")


async def test_a_client_without_a_task_that_vanishes_has_a_lease(server: LocalServer) -> None:
    async with vanishing_client(server, "ann"):
        assert served(server) == 0
    await settle()
    assert (served(server), len(server.node.acceptor)) == (0, 0)
    presence = await waited(server.node.engine.presence(AccountKey(APP, "ann")))
    assert presence is not None
    assert presence.lease_ends is not None


async def test_a_mistake_in_one_handshake_ends_that_connection_only(
    server: LocalServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object) -> HttpAnswer | None:
        raise ZeroDivisionError

    async with logged_in(server, "ann") as ann:
        with monkeypatch.context() as patch, caplog.at_level(logging.ERROR):
            patch.setattr(server.node._admission._routes, "answer", fail)
            with pytest.raises(ExceptionGroup):
                async with wire_client(server.connect()):
                    raise AssertionError
        assert "the connection failed" in caplog.text
        assert "ZeroDivisionError" in caplog.text
        caplog.clear()
        await ann.call("channel_join", name="red", ack=0)
        assert len(server.node.acceptor) == 1


WAYS_IN = pytest.mark.parametrize("way", ["plain", "plain without epoll", "tls", "native"])


async def log_of_one(
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    tls: TlsContexts,
    way: str,
    do: Callable[[SocketTransport], None],
) -> list[tuple[str, str]]:
    """What the log says, and at which level, of a client that does something to a new connection
    and is gone then.
    """
    monkeypatch.setattr(reactor_module, "HAS_EPOLL", way != "plain without epoll")
    client, end = socket_pair()
    assert isinstance(client, SocketTransport)
    async with local_server(dev_config(), listens=False) as server:
        acceptor, gone = server.node.acceptor, trio.Event()
        close = acceptor._close

        def close_and_tell(transport: Transport) -> None:
            close(transport)
            gone.set()

        monkeypatch.setattr(acceptor, "_close", close_and_tell)
        accept = acceptor.accept_native if way == "native" else acceptor.accept
        if way == "tls":
            end = TlsTransport(end, tls.server, server_side=True)
        with caplog.at_level(logging.DEBUG, "signal_sdk.server"), trio.fail_after(10):
            accept(end, "127.0.0.1")
            do(client)
            client.close()
            await gone.wait()
    return [(record.levelname, record.getMessage()) for record in caplog.records]


@WAYS_IN
@pytest.mark.parametrize("resets", [False, True])
async def test_whoever_goes_without_a_byte_is_not_worth_a_line(
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    tls: TlsContexts,
    way: str,
    resets: bool,
) -> None:
    """A load balancer looks every second whether the port is open."""

    def do(client: SocketTransport) -> None:
        if resets:
            linger = struct.pack("ii", 1, 0)
            client._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)

    ((level, _),) = await log_of_one(caplog, monkeypatch, tls, way, do)
    assert level == "DEBUG"


@pytest.mark.parametrize("way", ["plain", "plain without epoll"])
async def test_whoever_goes_after_half_a_request_is_told_of(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, tls: TlsContexts, way: str
) -> None:
    def do(client: SocketTransport) -> None:
        client.send_nowait(b"GET / HT")

    (level, text), *_ = await log_of_one(caplog, monkeypatch, tls, way, do)
    assert level == "INFO"
    assert text.endswith("has closed after half a request")


@WAYS_IN
async def test_whoever_goes_behind_half_a_word_is_told_of(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, tls: TlsContexts, way: str
) -> None:
    def do(client: SocketTransport) -> None:
        client.send_nowait(b"\x16")

    (level, text), *_ = await log_of_one(caplog, monkeypatch, tls, way, do)
    why = {"tls": "TLS with ", "native": "a packet begins with 0x16"}.get(way, "a bad handshake")
    assert (level, why in text) == ("INFO", True)


async def test_a_handshake_that_is_done_in_the_moment_of_its_end_is_none(
    server: LocalServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """As TLS has it, which gives others their turn between what it reads and what it returns."""
    client, end = memory_transport_pair()
    receive = end.receive_some

    async def receive_late() -> bytes:
        data = await receive()
        await trio.sleep(server.node.config.limits.handshake_seconds + 1)
        return data

    monkeypatch.setattr(end, "receive_some", receive_late)
    client.send_nowait(OPENING)
    await server.node.acceptor.serve(end, "127.0.0.1")
    assert "the handshake was not done in time" in caplog.text
    assert len(server.node.acceptor) == 0
    async with logged_in(server, "ann"):
        pass


async def test_a_node_that_has_ended_lets_nobody_in() -> None:
    client, end = memory_transport_pair()
    Node(dev_config()).acceptor.accept(end, "127.0.0.1")
    assert await client.receive_some() == b""


async def test_where_nothing_limits_it_a_client_may_be_silent_for_ever(
    autojump_clock: MockClock,
) -> None:
    config = dev_config(silence_seconds=0, handshake_seconds=0)
    async with local_server(config, listens=False) as server:
        waiting = server.connect()
        async with logged_in(server, "ann"):
            await trio.sleep(3600)
            assert (server.node.sessions, len(server.node.acceptor)) == (1, 2)
        waiting.close()


async def test_of_very_many_who_come_and_go_at_once_few_are_there_together(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """They take as much memory as are accepted before it is seen that the first have gone."""
    monkeypatch.setattr(reactor_module, "SLICE_SECONDS", 10.0)
    many = 200
    async with local_server(dev_config(connections_per_second=0)) as server:
        acceptor, most = server.node.acceptor, 0
        for _ in range(many):
            with socket.create_connection(("127.0.0.1", server.port)) as client:
                client.send(b"GET / HT")
        with trio.fail_after(10):
            gone = 0
            while gone < 10:
                await trio.lowlevel.checkpoint()
                most = max(most, len(acceptor))
                gone = gone + 1 if not len(acceptor) else 0
    assert 0 < most <= 3 * ACCEPTS_PER_TURN < many / 4
