"""The node: start, stop, how many connections it takes, and TLS on the port after its own."""

from __future__ import annotations

import contextlib
import os
import ssl
from pathlib import Path

import attrs
import httpx
import pytest
import trio
import trustme
from trio.testing import MockClock

from signal_sdk.errors import ConfigError, LinkError
from signal_sdk.net.tls import TlsTransport
from signal_sdk.server import config as configs
from signal_sdk.server.certificate import tls_context
from signal_sdk.server.config import AppConfig, ServerConfig
from signal_sdk.server.engine.journal import Journal
from signal_sdk.server.listener import listen
from signal_sdk.server.node import STOP_SECONDS, Node
from signal_sdk.server.sockets import Addresses
from signal_sdk.testing.memory import memory_transport_pair
from signal_sdk.testing.server import EPOCH, LocalServer, local_server
from signal_sdk.websocket.frames import TEXT, encode_masked
from signal_sdk.wire import frames
from signal_sdk.wire.tokens import make_token
from tests.server.helpers import (
    APP,
    CERTIFICATE,
    OPENING,
    LogIn,
    ask,
    dev_config,
    dial,
    settle,
    vanishing_client,
)
from tests.wire_client import wire_client


async def _run(node: Node, task_status: trio.TaskStatus[Addresses]) -> None:
    await node.run(task_status=task_status)


async def _run_in_memory(node: Node, task_status: trio.TaskStatus[Addresses]) -> None:
    await node.run(listens=False, task_status=task_status)


# --- start ---


async def test_a_server_listens_on_a_port_and_serves(server: LocalServer) -> None:
    assert (server.port, server.address) == (0, "")


async def test_clients_log_in_over_a_socket() -> None:
    async with (
        local_server() as server,
        wire_client(await dial(server.host, server.port)) as ann,
        wire_client(await dial(server.host, server.port)) as bob,
    ):
        assert (await ann.login("ann"))["result"] == "ok"
        assert (await bob.login("bob"))["result"] == "ok"
        await ann.call("user_sendmsg", peer="bob", flag="v1:E:60", t="instant", content="hi")
        assert (await bob.expect("notify"))[0] == "recvmsg"
        assert server.node.sessions == 2


async def test_a_port_that_is_taken_is_one_clear_error() -> None:
    with listen("127.0.0.1", 0)[0] as taken:
        port = taken.getsockname()[1]
        node = Node(attrs.evolve(configs.dev(), server=ServerConfig(dev=True, port=port)))
        with pytest.raises(
            ConfigError, match=rf"listen on 127\.0\.0\.1:{port}: the process {os.getpid()} "
        ):
            await node.run()


async def test_a_node_that_cannot_listen_lets_go_of_its_data(tmp_path: Path) -> None:
    with listen("127.0.0.1", 0)[0] as taken:
        port = taken.getsockname()[1]
        server = ServerConfig(dev=True, port=port, data=str(tmp_path))
        with pytest.raises(ConfigError, match="cannot listen"):
            await Node(attrs.evolve(configs.dev(), server=server)).run()
    Journal.open(tmp_path).close()


async def test_a_host_that_does_not_exist_is_one_clear_error() -> None:
    with pytest.raises(ConfigError, match=r"cannot listen on 192\.0\.2\.1:0"):
        listen("192.0.2.1", 0)


def test_a_certificate_that_cannot_be_used_is_one_clear_error(tmp_path: Path) -> None:
    empty = tmp_path / "empty.pem"
    empty.touch()
    for cert in (str(empty), str(tmp_path / "nowhere.pem")):
        with pytest.raises(ConfigError, match="cannot use the certificate"):
            tls_context(cert, cert)


# --- stop ---


async def test_a_stop_tells_every_client_and_ends(autojump_clock: MockClock) -> None:
    async with local_server(dev_config(), listens=False) as server:
        async with wire_client(server.connect()) as ann, wire_client(server.connect()) as nobody:
            await ann.login("ann", device="javasdk")
            server.node.stop()
            closing = await ann.expect("close")
            assert closing["reason"] == "the server is going away"
            assert (await ann.wait_closed()).code == 1001
            # One that has not logged in hears it too.
            await nobody.expect("close")
            await nobody.wait_closed()
        assert trio.current_time() == 0


async def test_a_stop_over_sockets_flushes_the_farewell_and_closes_the_port() -> None:
    node = Node(attrs.evolve(configs.dev(), server=ServerConfig(dev=True, port=0)))
    with trio.fail_after(10):
        async with trio.open_nursery() as nursery:
            addresses: Addresses = await nursery.start(_run, node)
            ((host, port),) = addresses.plain
            async with wire_client(await dial(host, port)) as ann:
                await ann.login("ann", device="javasdk")
                node.stop()
                await ann.expect("close")
                assert (await ann.wait_closed()).code == 1001
    with pytest.raises(OSError, match="all attempts to connect"):
        await dial(host, port)


async def test_a_stop_does_not_wait_for_clients_that_do_not_answer(
    autojump_clock: MockClock,
) -> None:
    node = Node(dev_config(), clock=trio.current_time)
    async with trio.open_nursery() as nursery:
        await nursery.start(_run_in_memory, node)
        local = LocalServer(node=node, host="", port=0, tls_port=0)
        async with vanishing_client(local, "ann"):
            # And this one has said nothing at all.
            local.connect()
            await settle()
            node.stop()
            await settle()
            await trio.sleep(STOP_SECONDS + 0.1)
            assert node._reactor.flusher._nursery is None
        nursery.cancel_scope.cancel()


async def test_a_connection_that_comes_during_the_stop_is_refused(
    autojump_clock: MockClock,
) -> None:
    node = Node(dev_config(), clock=trio.current_time)
    async with trio.open_nursery() as nursery:
        await nursery.start(_run_in_memory, node)
        local = LocalServer(node=node, host="", port=0, tls_port=0)
        async with vanishing_client(local, "ann"):
            node.stop()
            await settle()
            with pytest.raises(ExceptionGroup) as caught:
                async with wire_client(local.connect()):
                    raise AssertionError
            assert caught.group_contains(LinkError, match="the server answered HTTP 503", depth=1)
        nursery.cancel_scope.cancel()


async def test_a_node_that_is_cancelled_ends_at_once(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    node = Node(dev_config(), clock=trio.current_time)
    life = trio.CancelScope()

    async def run(task_status: trio.TaskStatus[Addresses]) -> None:
        with life:
            await node.run(listens=False, task_status=task_status)

    await nursery.start(run)
    local = LocalServer(node=node, host="", port=0, tls_port=0)
    async with wire_client(local.connect()) as ann:
        await ann.login("ann")
        silent = local.connect()
        life.cancel()
        await ann.wait_closed()
        assert await silent.receive_some() == b""
    assert trio.current_time() == 0
    assert len(node.acceptor) == 0
    with pytest.raises(RuntimeError, match="the server has ended"):
        local.connect()


# --- how many ---


async def test_no_more_connections_than_allowed_are_let_in(autojump_clock: MockClock) -> None:
    async with local_server(dev_config(max_connections=2), listens=False) as server:
        async with wire_client(server.connect()) as ann, wire_client(server.connect()) as bob:
            await ann.login("ann")
            await bob.login("bob")
            with pytest.raises(ExceptionGroup) as caught:
                async with wire_client(server.connect()):
                    raise AssertionError
            assert caught.group_contains(LinkError, match="the server answered HTTP 503")
            assert (await ann.call("user_query_user_status", account="bob"))["status"] == 1
            assert (await ask(server, "/getaddr?vid=app")).startswith(b"HTTP/1.1 503")
            assert (await ask(server, "/healthz")).startswith(b"HTTP/1.1 200")
        await settle()
        async with wire_client(server.connect()) as eve:
            assert (await eve.login("eve"))["result"] == "ok"
    assert len(server.node.acceptor) == 0


# --- TLS ---


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def certificate(authority: trustme.CA, tmp_path: Path) -> ServerConfig:
    issued = authority.issue_cert("127.0.0.1")
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    issued.private_key_pem.write_to_path(str(key))
    for blob in issued.cert_chain_pems:
        blob.write_to_path(str(cert), append=True)
    return ServerConfig(dev=True, cert=str(cert), key=str(key))


@pytest.fixture
def trusting(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


async def test_tls_is_served_on_the_port_after_the_plain_one(
    certificate: ServerConfig, trusting: ssl.SSLContext
) -> None:
    config = attrs.evolve(configs.dev(), server=certificate)
    async with local_server(config) as server:
        assert server.tls_port == server.port + 1
        inner = await dial(server.host, server.tls_port)
        tls = TlsTransport(inner, trusting, server_side=False, server_hostname="127.0.0.1")
        await tls.handshake()
        async with (
            wire_client(tls) as ann,
            wire_client(await dial(server.host, server.port)) as bob,
        ):
            await ann.login("ann")
            await bob.login("bob")
            for client in (ann, bob):
                await client.call("channel_join", name="room")
            text = "x" * 8192
            ids = [ann.request("channel_sendmsg", name="room", msg=text) for _ in range(50)]
            for callid in ids:
                assert (await ann.reply(callid))["result"] == "ok"
            for client in (ann, bob):
                for _ in ids:
                    while (await client.expect("notify"))[3].split(" ")[4] != "channel_msg":
                        pass
        async with httpx.AsyncClient(verify=trusting) as http:
            answer = await http.get(f"https://127.0.0.1:{server.tls_port}/getaddr?vid=app")
            # The advertised port is the plain one: clients of TLS count one up themselves.
            assert answer.json()["web"] == [["127.0.0.1", server.port]] * 2


async def test_a_client_that_speaks_plainly_to_the_tls_port_harms_nobody(
    certificate: ServerConfig,
) -> None:
    config = attrs.evolve(configs.dev(), server=certificate)
    async with local_server(config) as server:
        plain = await dial(server.host, server.tls_port)
        plain.send_nowait(b"GET / HTTP/1.1\r\n\r\n")
        with trio.fail_after(5):
            while await plain.receive_some():
                pass
        plain.close()
        async with wire_client(await dial(server.host, server.port)) as ann:
            assert (await ann.login("ann"))["result"] == "ok"


async def test_a_tls_handshake_that_stands_still_ends_with_the_time_for_handshakes(
    certificate: ServerConfig, autojump_clock: MockClock
) -> None:
    config = attrs.evolve(configs.dev(), server=certificate)
    async with local_server(config, listens=False) as server, trio.open_nursery() as nursery:
        # What `connect` gives is plain; this one is served inside TLS.
        client, inner = memory_transport_pair()
        context = tls_context(certificate.cert, certificate.key)
        nursery.start_soon(
            server.node.acceptor.serve, TlsTransport(inner, context, server_side=True), "127.0.0.1"
        )
        assert await client.receive_some() == b""
        assert trio.current_time() == config.limits.handshake_seconds


WITH_TOKENS = attrs.evolve(dev_config(), apps=(AppConfig(id=APP, certificate=CERTIFICATE),))


@pytest.mark.parametrize("config", [WITH_TOKENS], ids=["tokens"])
@pytest.mark.parametrize("is_open", [True, False], ids=["opened before", "all at once"])
@pytest.mark.parametrize("attempt", range(2))
async def test_who_logs_in_in_the_last_moment_is_let_in_or_sent_away(
    server: LocalServer, is_open: bool, attempt: int, autojump_clock: MockClock
) -> None:
    """Never both, in whichever order trio runs its tasks, which it draws anew for each attempt."""
    ends = trio.current_time() + server.node.config.limits.handshake_seconds
    transport = server.connect()
    token = make_token(APP, CERTIFICATE, "ann", int(EPOCH) + 1000)
    text = frames.encode_frame("login", {"vid": APP, "account": "ann", "token": token})
    said = encode_masked(TEXT, text)
    if is_open:
        transport.send_nowait(OPENING)
    else:
        said = OPENING + said
    await trio.sleep_until(ends)
    with contextlib.suppress(LinkError):
        transport.send_nowait(said)
    # A farewell waits two seconds for its answer.
    await trio.sleep(3)
    heard, is_over = b"", False
    while not is_over and (data := transport.receive_nowait()) is not None:
        heard += data
        is_over = not data
    is_in = b"login_ret" in heard
    assert is_in is not is_over
    assert server.node.sessions == is_in
    transport.close()


async def test_nothing_of_a_login_is_logged_that_is_secret(
    log_in: LogIn, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    ann = await log_in("ann", token="a secret token")
    await ann.call("channel_join", name="room")
    ann.line = "a wrong line"
    await ann.call("channel_join", name="room")
    assert "ann" in caplog.text
    assert "secret" not in caplog.text
    assert ann.line not in caplog.text
