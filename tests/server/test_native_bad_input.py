"""What nobody should say to the ports of native clients, and what it gets: nothing that costs
much, and never the others.
"""

from __future__ import annotations

import json
import random
import zlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.lowlevel
from trio.testing import MockClock

from signal_sdk.net.transport import Transport
from signal_sdk.server.config import AppConfig, Config, NativeConfig, ServerConfig
from signal_sdk.server.connection import Connection
from signal_sdk.server.engine.embedded import EmbeddedEngine
from signal_sdk.server.engine.journal import Journal
from signal_sdk.server.engine.schema import Batch
from signal_sdk.server.native_lookup import NativeLookup
from signal_sdk.server.places import Places
from signal_sdk.server.refusals import Refusals
from signal_sdk.server.wires.native import NativeClientLink
from signal_sdk.testing.native_peer import NativePeer, native_peer
from signal_sdk.testing.server import LocalServer, local_server
from signal_sdk.wire import datagrams, names, packets
from tests.server.helpers import dev_config, settle, vanishing_client

LOGIN: dict[str, Any] = {
    "account": "eve",
    "device": "",
    "ip": "",
    "token": "_no_need_token",
    "uid": "0",
    "ver": 1010300009,
    "vid": "app",
}


def login_packet(**more: Any) -> bytes:
    return packets.encode_plain(b"login " + json.dumps({**LOGIN, **more}).encode())


async def rest_of(client: Transport) -> bytes:
    """All that comes until the server closes."""
    heard = b""
    while data := await client.receive_some():
        heard += data
    client.close()
    return heard


def texts_in(data: bytes) -> list[bytes]:
    reader = packets.PacketReader(packets.MAX_PACKET_BYTES)
    texts = reader.feed(data)
    assert reader.error is None
    return texts


def connection_of(server: LocalServer, account: str) -> Connection:
    for connection in server.node.acceptor.connections:
        session = connection.client.session if connection.client is not None else None
        if session is not None and session.account == account:
            return connection
    raise AssertionError(account)


def line_in(answer: bytes) -> str:
    """The line that a login's answer names."""
    [text] = texts_in(answer)
    line: str = json.loads(text.split(b" ", 3)[3])["line"]
    return line


@pytest.fixture
async def ann(server: LocalServer) -> AsyncIterator[NativePeer]:
    """Somebody who is there, and must not notice."""
    async with native_peer(server) as ann:
        await ann.login("ann")
        yield ann
        await ann.message_instant_send("ann", "still here")
        await ann.expect("on_message_instant_receive", "ann", 0, "still here")


# --- packets ---


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"\x80\x00\x00\x00", id="a length of 0"),
        pytest.param(b"\x80\x00\x00\x03", id="a length of 3"),
        pytest.param(b"\x80\xff\xff\xff", id="a length of 2^24-1"),
        pytest.param(b"\x00\x00\x00\x0aline_ping:1"[:14], id="the type 0x00"),
        pytest.param(b"\x82\x00\x00\x08abcd", id="the type 0x82"),
        pytest.param(
            packets.encode_bundle([packets.encode_plain(b"line_ping:1")]),
            id="the type 0x82 with a packet in it",
        ),
        pytest.param(b"\x81\x00\x00\x08abcd", id="what is not zlib"),
        pytest.param(
            b"\x81\x00\x00\x0c" + zlib.compress(b"line_ping:1")[:8],
            id="a compressed packet that never ends",
        ),
        pytest.param(packets.encode_compressed(bytes(names.MAX_FRAME_BYTES + 1)), id="a zlib bomb"),
        pytest.param(packets.encode_plain(b"\xff\xfe not UTF-8"), id="what is not text"),
        pytest.param(packets.encode_plain(b""), id="no word"),
        pytest.param(packets.encode_plain(b"login"), id="a login without its words"),
        pytest.param(packets.encode_plain(b"line_login2 LINE"), id="a resume without its words"),
        pytest.param(packets.encode_plain(b"line_login2 LINE 2 x"), id="a resume of no number"),
        pytest.param(packets.encode_plain(b"line_ping:"), id="a ping without its number"),
        pytest.param(packets.encode_plain(b"call user_getmsg"), id="a call without its words"),
        pytest.param(packets.encode_plain(b'channel_sub {"cname":1'), id="a sub that is no JSON"),
    ],
)
async def test_what_is_wrong_ends_its_own_connection_at_once(
    server: LocalServer, ann: NativePeer, data: bytes
) -> None:
    client = server.connect_native()
    client.send_nowait(data)
    before = trio.current_time()
    heard = texts_in(await rest_of(client))
    assert heard == [] or heard[0].startswith(b"login_res failed ")
    # It lets the client close, too, for two seconds.
    assert trio.current_time() - before <= 2.5
    await settle()
    assert len(server.node.acceptor) == 1


async def test_what_is_wrong_is_wrong_too_byte_by_byte(
    server: LocalServer, ann: NativePeer
) -> None:
    client = server.connect_native()
    for byte in b"\x80\x00\x00\x03":
        client.send_nowait(bytes((byte,)))
        await settle()
    assert await rest_of(client) == b""


async def test_what_came_before_it_counts(server: LocalServer, ann: NativePeer) -> None:
    client = server.connect_native()
    client.send_nowait(login_packet() + b"\x80\x00\x00\x03")
    await rest_of(client)
    assert (await ann.call("user_query_user_status", account="eve"))["status"] == 1


async def test_a_header_that_does_not_come_closes(server: LocalServer, ann: NativePeer) -> None:
    client = server.connect_native()
    client.send_nowait(b"\x80\x00")
    limit = server.node.config.limits.handshake_seconds
    began = trio.current_time()
    assert await rest_of(client) == b""
    assert limit <= trio.current_time() - began <= limit + 3


async def test_a_login_that_does_not_come_closes(server: LocalServer, ann: NativePeer) -> None:
    client = server.connect_native()
    limit = server.node.config.limits.handshake_seconds
    began = trio.current_time()
    while trio.current_time() - began < limit - 2:
        client.send_nowait(packets.encode_plain(b"line_ping:1"))
        await trio.sleep(1)
    assert await rest_of(client) != b""
    assert limit <= trio.current_time() - began <= limit + 3


async def test_a_packet_that_never_ends_is_silence(server: LocalServer, ann: NativePeer) -> None:
    """Bytes that are no message keep nobody alive."""
    client = server.connect_native()
    client.send_nowait(login_packet())
    await settle()
    client.send_nowait(b"\x80\x00\xff\xff")
    await settle()
    eve = connection_of(server, "eve")
    before = eve._link.alive_at
    await trio.sleep(5)
    client.send_nowait(b"x" * 100)
    await settle()
    assert eve._link.alive_at == before
    client.close()


async def test_little_that_is_inflated_to_much_holds_nobody_up(
    server: LocalServer, ann: NativePeer
) -> None:
    """Before its login a client's packets are small, and its calls are not looked into."""
    client = server.connect_native()
    client.send_nowait(login_packet())
    await client.receive_some()
    bomb = b'call f 1 0 {"x":[' + b"{}," * 40_000 + b"{}]}"
    client.send_nowait(packets.encode_compressed(bomb) * 50)
    eve = connection_of(server, "eve")._link
    assert isinstance(eve, NativeClientLink)
    most = 0
    with trio.move_on_after(5):
        while eve._has_more or not most:
            most = max(most, len(eve._messages))
            await trio.lowlevel.checkpoint()
            await ann.call("user_setfg")
            most = most or 1
    assert most <= 3
    client.close()
    stranger = server.connect_native()
    stranger.send_nowait(packets.encode_plain(b"call f 1 0 " + b"{" * 8000))
    assert texts_in(await stranger.receive_some())[0].startswith(b"call_ret 0 1 0 ")
    stranger.send_nowait(packets.encode_plain(b"call f 1 0 " + b"{" * 8200))
    assert await rest_of(stranger) == b""


async def test_a_client_that_is_kicked_before_its_login_is_durable_hears_so_in_the_answer(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async def slowly(write: Callable[[Batch], None], batch: Batch) -> None:
        with trio.CancelScope(shield=True):
            await trio.sleep(1)
        write(batch)

    engine = EmbeddedEngine(journal=Journal.open(tmp_path), write_in_thread=slowly)
    async with local_server(dev_config(), listens=False, engine=engine) as server:
        first, second = server.connect_native(), server.connect_native()
        for client in (first, second):
            client.send_nowait(login_packet())
        assert texts_in(await rest_of(first)) == [b'login_res failed {"reason":"kick"}']
        assert texts_in(await second.receive_some())[0].startswith(b"login_res ok ")
        second.close()


# --- words ---


async def test_a_call_before_the_login_is_refused(server: LocalServer, ann: NativePeer) -> None:
    client = server.connect_native()
    text = b'call user_query_user_status 7 0 {"account":"ann","line":"x"}'
    client.send_nowait(packets.encode_plain(text))
    (heard,) = texts_in(await client.receive_some())
    head, answer = heard[:15], json.loads(heard[15:])
    assert head == b"call_ret 0 7 0 "
    assert (answer["result"], answer["reason"]) == ("failed", "not logged in")
    client.send_nowait(login_packet())
    assert (await client.receive_some())[4:].startswith(b"login_res ok ")
    client.close()


async def test_another_s_line_is_a_wrong_line(server: LocalServer, ann: NativePeer) -> None:
    async with native_peer(server) as eve:
        await eve.login("eve")
        eve.line_id = ann.line_id
        answer = json.loads(await eve._ask("user_set_attr", name="a", value="b"))
    assert (answer["result"], answer["reason"]) == ("failed", "wrong line")
    assert (await ann.call("user_get_attr_all", account="ann"))["json"] == "{}"


async def test_a_call_whose_json_is_wrong_is_refused_under_its_id(
    server: LocalServer, ann: NativePeer
) -> None:
    ann.line.say_raw(packets.encode_plain(b"call user_getmsg 99 0 {nonsense"))
    with trio.fail_after(1):
        while 99 not in ann._answers:
            await ann._news.wait()
    assert json.loads(ann._answers[99])["ecode"] == 1004


async def test_an_unknown_word_is_passed_over(server: LocalServer, ann: NativePeer) -> None:
    ann.line.say_raw(packets.encode_plain(b"hello there"))
    assert (await ann.call("user_setfg", isfg=False))["result"] == "ok"


async def test_a_sub_of_a_channel_that_one_is_not_in_is_out_of_sync(
    server: LocalServer, ann: NativePeer
) -> None:
    async with native_peer(server) as eve:
        await eve.login("eve")
        sub = packets.encode_plain(b'channel_sub {"cid":"x","cname":"x","msgid":0}')
        # Who is in none may not know yet that it has left.
        eve.line.say_raw(sub)
        await eve.call("user_setfg")
        await eve.channel_join("room")
        eve.cut()
        await eve.expect("on_reconnecting")
        eve.channel = "x"
        assert await eve.expect("on_logout") == (102,)
        # Its session is over, for the others, too.
        assert (await ann.call("user_query_user_status", account="eve"))["status"] == 0


async def test_more_pings_than_are_answered_get_one_answer(
    server: LocalServer, ann: NativePeer
) -> None:
    client = server.connect_native()
    client.send_nowait(login_packet())
    await client.receive_some()
    began = trio.current_time()
    for number in range(1, 1001):
        client.send_nowait(packets.encode_plain(b"line_ping:%d" % number))
    await settle()
    assert len(server.node._links.native_wires.pongs) == 1
    assert texts_in(await client.receive_some()) == [b"line_pong:1"]
    assert trio.current_time() - began >= 0.005
    client.close()


@pytest.mark.parametrize("config", [dev_config(questions_per_second=0, frames_per_second=0)])
async def test_a_reader_that_is_too_slow_is_let_go(
    server: LocalServer, ann: NativePeer, config: Config
) -> None:
    client = server.connect_native()
    client.send_nowait(login_packet())
    line = line_in(await client.receive_some())
    # What cannot be compressed: answers of this length would go out small.
    await ann.message_instant_send("eve", random.Random(1).randbytes(4000).hex())
    asked = {"ver_clear": 0, "max": 30, "line": line}
    poll = b"call user_getmsg %d 0 " + json.dumps(asked).encode()
    limit = config.limits.outbox_bytes
    with trio.fail_after(30):
        for number in range(1, 2 * limit // 8000):
            if server.node.sessions != 2:
                break
            client.send_nowait(packets.encode_plain(poll % number))
            await settle()
    assert server.node.sessions == 1
    client.close()


async def test_a_full_server_takes_no_native_client(autojump_clock: MockClock) -> None:
    async with (
        local_server(dev_config(max_connections=1), listens=False) as server,
        vanishing_client(server, "ann"),
    ):
        assert await server.connect_native().receive_some() == b""


# --- datagrams ---

APP = AppConfig(id="known")
ASKER = "192.0.2.99"
SELF = "192.0.2.7"


class Lookup:
    """A lookup as the network has it."""

    def __init__(self, config: Config) -> None:
        self.is_silent = False
        self._lookup = NativeLookup(config, Places(config), Refusals(), lambda: self.is_silent)

    def ask(self, data: bytes, asker: str = ASKER) -> bytes | None:
        return self._lookup.answer(data, asker, SELF)


@pytest.fixture
def lookup(autojump_clock: MockClock) -> Lookup:
    return Lookup(Config(server=ServerConfig(), native=NativeConfig(enabled=True), apps=(APP,)))


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", id="0 bytes"),
        pytest.param(b"\x78", id="1 byte"),
        pytest.param(zlib.compress(b"getaddr {}", 0) + bytes(65_000), id="65,000 bytes"),
        pytest.param(zlib.compress(b'getaddr {"appid":"known"}' + b" " * 64_000), id="a zlib bomb"),
        pytest.param(b'getaddr {"appid":"known"}', id="not zlib"),
        pytest.param(datagrams.encode_question("known")[:-1], id="cut off"),
        pytest.param(datagrams.encode_question("known") + b"x", id="something behind it"),
        pytest.param(zlib.compress(b"getaddr"), id="words missing"),
        pytest.param(zlib.compress(b'getaddr {"appid":""}'), id="no app"),
        pytest.param(zlib.compress(b'getadd {"appid":"known"}'), id="another word"),
    ],
)
async def test_what_is_no_question_gets_nothing(lookup: Lookup, data: bytes) -> None:
    assert lookup.ask(data) is None
    assert lookup.ask(datagrams.encode_question("known")) is not None


async def test_a_question_for_an_unknown_app_gets_a_reason(
    lookup: Lookup, caplog: pytest.LogCaptureFixture
) -> None:
    """And the log says which app it was: the client's user cannot see that."""
    question = datagrams.encode_question("nobody's")
    answer = lookup.ask(question)
    assert answer is not None
    assert zlib.decompress(answer) == b"unknown app id"
    assert len(answer) <= 3 * len(question) + 200
    assert f'lookup of {ASKER} (udp) refused: unknown app id "nobody\'s"' in caplog.text
    for _ in range(20):
        lookup.ask(question)
    assert caplog.text.count("unknown app id") == 5


async def test_an_address_is_answered_so_often_in_a_second(lookup: Lookup) -> None:
    question = datagrams.encode_question("known")
    limit = Config(server=ServerConfig(dev=True)).limits.lookups_per_second
    assert [lookup.ask(question) is not None for _ in range(limit + 2)] == [True] * limit + [
        False,
        False,
    ]
    assert lookup.ask(question, "192.0.2.100") is not None
    await trio.sleep(1)
    assert lookup.ask(question) is not None


async def test_more_askers_than_are_counted_get_nothing(
    lookup: Lookup, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who writes another address into each question must not make the server keep them all."""
    monkeypatch.setattr("signal_sdk.server.native_lookup.MAX_ASKERS", 10)
    question = datagrams.encode_question("known")
    answered = [lookup.ask(question, f"192.0.2.{number}") is not None for number in range(20)]
    assert answered == [True] * 10 + [False] * 10
    assert len(lookup._lookup._counts) == 10
    assert lookup.ask(question, "192.0.2.3") is not None
    await trio.sleep(1)
    assert lookup.ask(question, "192.0.2.19") is not None


async def test_who_is_going_away_says_nothing(lookup: Lookup) -> None:
    lookup.is_silent = True
    assert lookup.ask(datagrams.encode_question("known")) is None


@pytest.mark.parametrize("count", [1, 2, 16, 500])
async def test_an_answer_is_bounded_by_its_question(autojump_clock: MockClock, count: int) -> None:
    addresses = tuple(f"192.0.{number // 250}.{1 + number % 250}" for number in range(count))
    config = Config(
        server=ServerConfig(dev=True, advertise=addresses),
        native=NativeConfig(enabled=True, advertise=(f"{SELF}:9", *addresses)),
    )
    question = datagrams.encode_question("a")
    answer = Lookup(config).ask(question)
    assert answer is not None
    assert len(answer) <= 3 * len(question) + 200
    found = datagrams.decode_answer(answer)
    assert found.tcp[0] == (SELF, 9)
    assert all(found.tcp.count(address) == 2 for address in found.tcp)
    assert all(port == config.native.port for _, port in found.tcp if port != 9)
    assert all(port == config.server.port for _, port in found.http)


@pytest.mark.parametrize("advertise", [(), ("sig.example:1", "[2001:db8::1]:2")])
async def test_where_no_address_is_advertised_the_one_that_was_asked_is_named(
    autojump_clock: MockClock, advertise: tuple[str, ...]
) -> None:
    server = ServerConfig(dev=True, advertise=advertise)
    lookup = Lookup(Config(server=server, native=NativeConfig(enabled=True)))
    question = datagrams.encode_question("a")
    answer = lookup.ask(question)
    assert answer is not None
    assert {host for host, _ in datagrams.decode_answer(answer).tcp} == {SELF}
    refusal = lookup._lookup.answer(question, ASKER, "2001:db8::7")
    assert refusal is not None
    assert zlib.decompress(refusal) == b"no IPv4 address is advertised"


async def test_an_address_that_maps_one_of_ipv4_is_named_as_that(
    autojump_clock: MockClock,
) -> None:
    server = ServerConfig(dev=True, advertise=("[::ffff:192.0.2.7]:1",))
    native = NativeConfig(enabled=True, advertise=("[::ffff:192.0.2.8]:2",))
    answer = Lookup(Config(server=server, native=native)).ask(datagrams.encode_question("a"))
    assert answer is not None
    found = datagrams.decode_answer(answer)
    assert (set(found.http), set(found.tcp)) == ({("192.0.2.7", 1)}, {("192.0.2.8", 2)})


async def test_names_and_ipv6_are_not_named(autojump_clock: MockClock) -> None:
    """What a native client cannot dial, its lookup does not say."""
    server = ServerConfig(dev=True, advertise=("sig.example:1", "[2001:db8::1]:2", "192.0.2.1:3"))
    config = Config(server=server, native=NativeConfig(enabled=True))
    answer = Lookup(config).ask(datagrams.encode_question("a"))
    assert answer is not None
    found = datagrams.decode_answer(answer)
    assert set(found.http) == {("192.0.2.1", 3)}
    assert set(found.tcp) == {("192.0.2.1", config.native.port)}
