"""The native client finds the server by itself: it asks by UDP, and dials two of the answer's
addresses, of which the later one gives way. Over real sockets, and in real time.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import attrs
import pytest
import trio

from signal_sdk.errors import LinkError, ProtocolError
from signal_sdk.native import udp
from signal_sdk.net.transport import Transport
from signal_sdk.server.acceptor import Acceptor
from signal_sdk.server.config import AppConfig, Config, NativeConfig, ServerConfig
from signal_sdk.testing.native_line import connect_by_lookup
from signal_sdk.testing.native_peer import NativePeer, native_peer
from signal_sdk.testing.server import LocalServer, local_server
from signal_sdk.wire import datagrams
from tests.native.helpers import ROOM, dev_config
from tests.net.pairs import running_reactor

ANSWER_SECONDS = 5.0
"""How long an answer may take on a slow machine."""
SILENT_SECONDS = 0.3
"""How long is waited for an answer that must not come."""
LOCALHOST = "127.0.0.1"


@asynccontextmanager
async def finder(
    server: LocalServer, *, app: str = "app", ports: Sequence[int] = ()
) -> AsyncIterator[NativePeer]:
    """A client that asks where the server is; not logged in."""
    connect = connect_by_lookup(app, server.host, ports or server.lookup_ports)
    async with native_peer(app=app, connect=connect) as peer:
        yield peer


async def ask(
    server: LocalServer,
    question: bytes,
    *,
    host: str = "",
    port: int = 0,
    seconds: float = ANSWER_SECONDS,
) -> bytes:
    """Ask at the first port, or at `port`. Raises `LinkError` where there is no answer."""
    port = port or server.lookup_ports[0]
    async with running_reactor() as reactor:
        return await udp.ask(reactor, host or server.host, port, question, seconds)


def native_config(*advertise: str, server: ServerConfig | None = None) -> Config:
    return attrs.evolve(
        dev_config(),
        server=server or ServerConfig(dev=True),
        native=NativeConfig(enabled=True, advertise=advertise),
    )


@pytest.fixture
async def server() -> AsyncIterator[LocalServer]:
    """A server on real sockets."""
    async with local_server(dev_config()) as server:
        yield server


@pytest.mark.parametrize("number", [0, 1])
async def test_login_by_the_lookup_at_either_port(server: LocalServer, number: int) -> None:
    assert len(server.lookup_ports) == 2
    async with finder(server, ports=[server.lookup_ports[number]]) as alice:
        await alice.login("alice")
        await alice.message_instant_send("alice", "to myself")
        await alice.expect("on_message_instant_receive", "alice", 0, "to myself")


async def test_where_one_port_does_not_answer_the_next_one_does(server: LocalServer) -> None:
    with udp.listen(LOCALHOST, 0)[0] as silent:
        ports = [silent.getsockname()[1], server.lookup_ports[1]]
        async with finder(server, ports=ports) as alice:
            await alice.login("alice")


async def test_a_client_that_was_cut_off_asks_again_and_resumes(server: LocalServer) -> None:
    async with finder(server) as alice, finder(server) as bob:
        await alice.login("alice")
        await bob.login("bob")
        for peer in (alice, bob):
            await peer.channel_join(ROOM)
        await trio.sleep(0.3)  # the poll behind the login
        bob.is_down = True
        bob.cut()
        await bob.expect("on_reconnecting", 1)
        await alice.message_channel_send("meanwhile")
        bob.is_down = False
        await bob.expect("on_reconnected", 0)
        await bob.expect("on_message_channel_receive", ROOM, "alice", alice.uid, "meanwhile")


async def test_of_two_dials_the_later_one_is_closed_without_a_word(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    accepted: list[Transport] = []
    accept = Acceptor.accept_native

    def count(self: Acceptor, transport: Transport, host: str) -> None:
        accepted.append(transport)
        accept(self, transport, host)

    monkeypatch.setattr(Acceptor, "accept_native", count)
    async with local_server(dev_config()) as server, finder(server) as alice:
        await alice.login("alice")
        with trio.fail_after(ANSWER_SECONDS):
            # The server tells nobody that a connection has gone.
            while len(accepted) < 2 or len(server.node.acceptor) > 1:  # noqa: ASYNC110
                await trio.sleep(0.01)
        assert (len(accepted), alice.lines, server.node.sessions) == (2, 1, 1)
        await alice.message_instant_send("alice", "still here")
        await alice.expect("on_message_instant_receive", "alice", 0, "still here")


@pytest.mark.parametrize("stored", [True, False])
async def test_both_forms_of_the_question_are_answered_at_both_ports(
    server: LocalServer, stored: bool
) -> None:
    """Zlib that only stores, as the original writes it, and zlib that compresses. A server that is
    told no addresses names the one that was asked, and names it twice.
    """
    question = datagrams.encode_question("app", stored=stored)
    for port in server.lookup_ports:
        data = await ask(server, question, port=port)
        assert len(data) <= 3 * len(question) + 200
        answer = datagrams.decode_answer(data)
        assert answer.tcp == ((LOCALHOST, server.native_port),) * 2
        assert answer.http == ((LOCALHOST, server.port),) * 2


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.2"])
async def test_the_address_that_was_asked_answers_and_is_named(host: str) -> None:
    config = native_config(server=ServerConfig(dev=True, host="0.0.0.0"))  # noqa: S104  both of them
    async with local_server(config) as server:
        # What comes from another address than the one asked is not received.
        data = await ask(server, datagrams.encode_question("app"), host=host)
        assert datagrams.decode_answer(data).tcp == ((host, server.native_port),) * 2


async def test_addresses_that_are_advertised_are_each_named_twice() -> None:
    config = native_config("10.0.0.1:9000", "10.0.0.2")
    async with local_server(config) as server:
        answer = datagrams.decode_answer(await ask(server, datagrams.encode_question("app")))
    named = {("10.0.0.1", 9000), ("10.0.0.2", server.native_port)}
    assert set(answer.tcp) == named
    assert all(answer.tcp.count(address) >= 2 for address in named)
    assert set(answer.http) == {(LOCALHOST, server.port)}


async def test_what_the_server_advertises_to_others_is_named_too() -> None:
    advertised = ServerConfig(dev=True, advertise=("10.0.0.1:80", "sig.example", "10.0.0.2"))
    async with local_server(native_config(server=advertised)) as server:
        answer = datagrams.decode_answer(await ask(server, datagrams.encode_question("app")))
    # The native client resolves no names.
    http = {("10.0.0.1", 80), ("10.0.0.2", server.port)}
    tcp = {("10.0.0.1", server.native_port), ("10.0.0.2", server.native_port)}
    assert (set(answer.http), set(answer.tcp)) == (http, tcp)
    for addresses in (answer.http, answer.tcp):
        assert all(addresses.count(address) >= 2 for address in addresses)


async def test_an_answer_is_not_much_longer_than_its_question() -> None:
    """Whoever asks longer is told more, but never more than three times its question and 200."""
    advertised = [f"10.{n * 37 % 256}.{n * 101 % 256}.{n}:{1024 + n * 239}" for n in range(1, 201)]
    counts = []
    async with local_server(native_config(*advertised)) as server:
        for app in ("app", "a" * 32, "a" * 300, "a" * 1200):
            for stored in (True, False):
                question = datagrams.encode_question(app, stored=stored)
                data = await ask(server, question)
                assert len(data) <= 3 * len(question) + 200
                answer = datagrams.decode_answer(data)
                named = [f"{host}:{port}" for host, port in answer.tcp]
                half = len(named) // 2
                assert named == advertised[:half] * 2
                counts.append(half)
    stored_counts = counts[::2]
    assert stored_counts == sorted(stored_counts)
    assert 2 <= stored_counts[0] < stored_counts[-1]


async def test_an_app_that_the_server_does_not_know_is_refused() -> None:
    config = attrs.evolve(
        native_config(server=ServerConfig(data="")), apps=(AppConfig(id="known"),)
    )
    async with local_server(config) as server:
        data = await ask(server, datagrams.encode_question("unknown"))
        with pytest.raises(ProtocolError, match="refused: unknown app id"):
            datagrams.decode_answer(data)
        async with finder(server, app="known") as alice:
            await alice.login("alice")


async def test_what_is_no_question_is_not_answered(server: LocalServer) -> None:
    for data in (b"getaddr", datagrams.encode_question("app")[:-1], b""):
        with pytest.raises(LinkError, match="no answer"):
            await ask(server, data, seconds=SILENT_SECONDS)


async def test_a_server_that_is_stopped_closes_its_port_and_its_lookup_before_its_clients(
    server: LocalServer,
) -> None:
    async with finder(server) as alice, finder(server) as bob:
        await alice.login("alice")
        await bob.login("bob")
        await trio.sleep(0.3)  # the polls behind the logins
        server.node.stop(2)
        with trio.fail_after(1):
            await alice.expect("on_reconnecting", 1)
        # Bob's turn comes a second later: he is served, and nobody else is let in.
        await bob.message_instant_send("bob", "still here")
        await bob.expect("on_message_instant_receive", "bob", 0, "still here")
        with pytest.raises(OSError, match=r"refused|attempts to connect"):
            await trio.open_tcp_stream(server.host, server.native_port)
        for port in server.lookup_ports:
            with pytest.raises(LinkError):
                await ask(
                    server, datagrams.encode_question("app"), port=port, seconds=SILENT_SECONDS
                )
        assert bob.seen("on_reconnecting") == []
        await bob.expect("on_reconnecting", 1)
        # Nobody there is no try: they go on asking.
        assert (alice.lines, alice.seen("on_logout"), bob.seen("on_logout")) == (1, [], [])


async def test_a_server_whose_native_clients_are_not_served_has_no_such_ports() -> None:
    config = attrs.evolve(dev_config(), native=NativeConfig(enabled=False))
    async with local_server(config) as server:
        assert (server.native_port, list(server.lookup_ports)) == (0, [])
