"""The places: which addresses the lookups name, alone and beside other nodes."""

from __future__ import annotations

from collections import Counter
from contextlib import AsyncExitStack

import attrs
import msgspec
import pytest
import trio
from trio.testing import MockClock

from signal_sdk.ecodes import ECode
from signal_sdk.errors import SignalError
from signal_sdk.server.config import Config, LimitsConfig, NativeConfig, ServerConfig
from signal_sdk.server.engine.base import PLACE_SECONDS, Place
from signal_sdk.server.engine.embedded import EmbeddedEngine
from signal_sdk.server.places import MOST_NAMED, Places
from signal_sdk.testing.server import LocalServer, local_server
from tests.wire_client import logged_in

A, B, C = (("192.0.2.1", 8001), ("192.0.2.2", 8001), ("192.0.2.3", 8001))


def places(*web: str, native: tuple[str, ...] = ()) -> Places:
    server = ServerConfig(dev=True, advertise=web, port=8001)
    return Places(Config(server=server, native=NativeConfig(enabled=True, advertise=native)))


def place(*web: tuple[str, int], connections: int = 0, native: bool = False) -> Place:
    return Place(web, tuple((host, 8003) for host, _ in web) if native else (), connections)


def test_a_node_alone_names_its_own_in_the_operator_s_order() -> None:
    alone = places("192.0.2.2", "sig.example:80", "192.0.2.1")
    named = [("192.0.2.2", 8001), ("sig.example", 80), ("192.0.2.1", 8001)]
    assert alone.web() == named
    for _ in range(3):
        alone.take([alone.own(5)])
        assert alone.web() == named
    assert alone.native() == [("192.0.2.2", 8003), ("192.0.2.1", 8003)]


def test_a_node_that_advertises_nothing_names_nobody() -> None:
    one = places()
    assert not one.is_advertised
    one.take([place(A, native=True)])
    assert (one.web(), one.native()) == ([], [])


def test_what_a_node_says_of_itself_has_its_ports() -> None:
    one = places("192.0.2.1", native=("192.0.2.9", "192.0.2.8:1"))
    one.web_port, one.native_port = 9001, 9003
    assert one.own(7) == Place(
        (("192.0.2.1", 9001),), (("192.0.2.9", 9003), ("192.0.2.8", 1)), connections=7
    )


def test_a_node_that_serves_no_native_clients_says_nothing_of_them() -> None:
    one = places("192.0.2.1", native=("192.0.2.9",))
    one.serves_native = False
    assert one.own(0) == place(A)


def test_the_emptiest_is_named_first_and_counts_who_is_sent_there() -> None:
    one = places("192.0.2.1")
    one.take([place(A, connections=12), place(B, connections=10), place(C, connections=11)])
    firsts = [one.web() for _ in range(9)]
    assert firsts[0] == [B, C, A]
    assert all(sorted(named) == [A, B, C] for named in firsts)
    # 12, 10 and 11 have become 14 each.
    assert Counter(named[0] for named in firsts) == {A: 2, B: 4, C: 3}
    one.take([place(A, connections=1), place(B, connections=20)])
    assert one.web() == [A, B]


def test_processes_that_share_an_address_are_one_place_for_as_many() -> None:
    one = places("192.0.2.1")
    one.take([place(A, connections=n) for n in (10, 20, 30)] + [place(B, connections=21)])
    assert one.web() == [A, B]


def test_native_clients_are_sent_to_those_that_serve_them() -> None:
    one = places("192.0.2.1")
    one.take([place(A, connections=1, native=True), place(B), place(C, native=True)])
    assert one.native() == [("192.0.2.3", 8003), ("192.0.2.1", 8003)]
    assert one.web()[0] == B


def test_of_very_many_the_emptiest_are_named() -> None:
    one = places("192.0.2.1")
    one.take([place((f"192.0.2.{n}", 1), connections=n) for n in range(200)])
    assert one.web() == [(f"192.0.2.{n}", 1) for n in range(MOST_NAMED)]


# --- nodes ---


def config(advertise: str) -> Config:
    return Config(server=ServerConfig(dev=True, advertise=(advertise,)))


async def lookup(server: LocalServer) -> tuple[bytes, list[str]]:
    """What the lookup says: its status, and which hosts."""
    transport = server.connect()
    transport.send_nowait(b"GET /getaddr?vid=app HTTP/1.1\r\nHost: x\r\n\r\n")
    data = await transport.receive_some()
    transport.close()
    status = data.split(b" ")[1]
    if status != b"200":
        return status, []
    found = msgspec.json.decode(data.partition(b"\r\n\r\n")[2])
    return status, [host for host, _ in found["web2"]]


async def test_each_node_s_lookup_names_all_that_are_ready(autojump_clock: MockClock) -> None:
    engine = EmbeddedEngine()
    async with (
        local_server(config("192.0.2.1"), listens=False, engine=engine) as one,
        local_server(config("192.0.2.2"), listens=False, engine=engine.neighbour()) as other,
        logged_in(other, "bob"),
        logged_in(other, "eve"),
        AsyncExitStack() as here,
    ):
        for account in ("ann", "cat", "dan"):
            await here.enter_async_context(logged_in(one, account))
        await trio.sleep(2.7)
        for server in (one, other):
            assert await lookup(server) == (b"200", ["192.0.2.2", "192.0.2.1"])
        # Who is sent there counts, until the nodes have said how many they have.
        firsts = [(await lookup(one))[1][0] for _ in range(2)]
        assert sorted(firsts) == ["192.0.2.1", "192.0.2.2"]
        # It goes away, and says so at once.
        other.node.stop(20)
        await trio.sleep(1.5)
        assert await lookup(other) == (b"503", [])
        assert await lookup(one) == (b"200", ["192.0.2.1"])


async def test_who_has_no_room_or_no_engine_is_not_named(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = EmbeddedEngine()
    neighbour = engine.neighbour()
    full = attrs.evolve(config("192.0.2.2"), limits=LimitsConfig(max_connections=2))
    async with (
        local_server(config("192.0.2.1"), listens=False, engine=engine) as one,
        local_server(full, listens=False, engine=neighbour) as other,
    ):
        async with logged_in(other, "ann"), logged_in(other, "bob"):
            await trio.sleep(2)
            assert await lookup(one) == (b"200", ["192.0.2.1"])
        await trio.sleep(2)
        assert await lookup(one) == (b"200", ["192.0.2.2", "192.0.2.1"])

        def is_away(_: object = None) -> None:
            raise SignalError(ECode.GENERAL_E_FAILED, "away")

        monkeypatch.setattr(neighbour, "announce", is_away)
        await trio.sleep(PLACE_SECONDS - 2)
        assert sorted((await lookup(one))[1]) == ["192.0.2.1", "192.0.2.2"]
        await trio.sleep(4)
        assert await lookup(one) == (b"200", ["192.0.2.1"])
