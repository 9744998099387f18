"""Who is not logged in: what he may send and have sent to him, whichever way he comes."""

from __future__ import annotations

import contextlib
import gc
import logging
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import trio
from websockets.frames import Frame, Opcode
from websockets.protocol import Protocol

from signal_sdk.errors import LinkError
from signal_sdk.net.outbox import Outbox
from signal_sdk.net.strangers import Pool
from signal_sdk.net.tls import TlsTransport
from signal_sdk.net.transport import Transport
from signal_sdk.printable import LOGGERS
from signal_sdk.server.connection import Connection
from signal_sdk.server.wires.base import LONG_LOGINS_BYTES, STRANGER
from signal_sdk.server.wires.native import NativeClientLink
from signal_sdk.server.wires.web import WebClientLink
from signal_sdk.testing.memory import memory_transport_pair
from signal_sdk.testing.server import LocalServer
from signal_sdk.wire import frames, packets
from signal_sdk.wire.names import MAX_FRAME_BYTES
from tests.net.pairs import TlsContexts
from tests.server import stranger_memory
from tests.server.helpers import OPENING, LogIn, settle
from tests.wire_client import WireClient, wire_client

FLOOD_BYTES = 256 * 1024
UNHURRIED = OPENING.replace(b"Host: memory\r\n", b"Host: memory\r\nX: 1\r\nX: 2\r\n")
"""An opening request that is not plain: it names a header twice."""


def frame(data: bytes, opcode: Opcode = Opcode.TEXT, *, fin: bool = True) -> bytes:
    return Frame(opcode, data, fin=fin).serialize(mask=True)


def much(data: bytes, first: bytes = b"") -> bytes:
    return first + data * (FLOOD_BYTES // len(data))


WEB_FLOODS = [
    pytest.param(
        much(frame(b"", Opcode.CONT, fin=False), frame(b"", fin=False)), id="empty fragments"
    ),
    pytest.param(
        much(frame(b"xy", Opcode.CONT, fin=False), frame(b"", fin=False)), id="small fragments"
    ),
    pytest.param(much(frame(b"", Opcode.PING)), id="pings of the WebSocket"),
    pytest.param(much(frame(b"", Opcode.PONG)), id="pongs that nobody asked for"),
    pytest.param(much(frame(b'["ping",1]')), id="pings"),
    pytest.param(much(frame(b'["call2",["user_getmsg",1,{}]]')), id="requests"),
    pytest.param(much(frame(b'["no_such_event",1]')), id="unknown events"),
    pytest.param(much(frame(b'["set_flag",{"binary":1}]')), id="flags"),
]
NATIVE_FLOODS = [
    pytest.param(much(packets.encode_plain(b"line_ping:1")), id="pings"),
    pytest.param(much(packets.encode_plain(b"no_such_word")), id="unknown words"),
    pytest.param(much(packets.encode_compressed(b"line_ping:1")), id="compressed pings"),
    pytest.param(much(packets.encode_plain(b"call user_getmsg 1 {}")), id="requests"),
]


@pytest.fixture
async def bystander(log_in: LogIn) -> WireClient:
    return await log_in("bystander")


async def poured(transport: Transport, data: bytes, most: int) -> int:
    """Send `data` for as long as it is taken, and return how much was; reads all the while, `most`
    bytes at a time.
    """
    sent = 0

    async def pour() -> None:
        nonlocal sent
        # How it ends is the transport's affair.
        with contextlib.suppress(LinkError):
            while sent < len(data):
                await transport.wait_writable()
                sent += transport.send_nowait(data[sent : sent + most])
                if most == 1:
                    # It is read before the next one comes; the mock clock may not go on meanwhile.
                    for _ in range(6):
                        await trio.lowlevel.checkpoint()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(pour)
        with trio.fail_after(2.5):
            while await transport.receive_some():
                pass
        nursery.cancel_scope.cancel()
    transport.close()
    await settle()
    return sent


@pytest.mark.parametrize("opening", [OPENING, UNHURRIED], ids=["plain", "by the library"])
@pytest.mark.parametrize("flood", WEB_FLOODS)
async def test_a_flood_before_a_login_ends_its_connection(
    server: LocalServer, bystander: WireClient, flood: bytes, opening: bytes
) -> None:
    transport = server.connect()
    transport.send_nowait(opening)
    await settle()
    assert (await transport.receive_some()).startswith(b"HTTP/1.1 101 ")
    await poured(transport, flood, 4096)
    assert len(server.node.acceptor) == 1
    bystander.send("ping", 1)
    assert await bystander.expect("pong") == 1


@pytest.mark.parametrize("flood", WEB_FLOODS)
async def test_a_flood_in_single_bytes_ends_sooner(
    server: LocalServer, bystander: WireClient, flood: bytes
) -> None:
    transport = server.connect()
    transport.send_nowait(OPENING)
    await settle()
    await transport.receive_some()
    assert await poured(transport, flood, 1) < STRANGER.allowance_bytes // 8
    assert len(server.node.acceptor) == 1


@pytest.mark.parametrize("flood", WEB_FLOODS)
async def test_a_flood_behind_the_opening_request_in_one_packet_ends_its_connection(
    server: LocalServer, bystander: WireClient, flood: bytes
) -> None:
    transport = server.connect()
    await poured(transport, OPENING + flood, FLOOD_BYTES * 2)
    assert len(server.node.acceptor) == 1


@pytest.mark.parametrize("most", [4096, 1], ids=["at once", "in single bytes"])
@pytest.mark.parametrize("flood", NATIVE_FLOODS)
async def test_a_native_flood_before_a_login_ends_its_connection(
    server: LocalServer, bystander: WireClient, flood: bytes, most: int
) -> None:
    transport = server.connect_native()
    await poured(transport, flood, most)
    assert len(server.node.acceptor) == 1


@pytest.mark.parametrize("flood", WEB_FLOODS)
async def test_a_flood_inside_tls_ends_its_connection(
    server: LocalServer, bystander: WireClient, tls: TlsContexts, flood: bytes
) -> None:
    client, inner = memory_transport_pair()
    server.node.acceptor.accept(TlsTransport(inner, tls.server, server_side=True), "127.0.0.1")
    transport = TlsTransport(client, tls.client, server_side=False, server_hostname="sig.example")
    await transport.handshake()
    transport.send_nowait(OPENING)
    assert (await transport.receive_some()).startswith(b"HTTP/1.1 101 ")
    await poured(transport, flood, 4096)
    assert len(server.node.acceptor) == 1


async def test_who_sends_too_much_is_told_so(server: LocalServer) -> None:
    async with wire_client(server.connect()) as stranger:
        for number in range(1000):
            stranger.send("ping", number)
        closed = await stranger.wait_closed()
    reason = "more was sent before a login than any login takes"
    assert (closed.code, closed.reason) == (1008, reason)


async def test_a_frame_that_is_longer_than_a_login_is_refused_by_its_head(
    server: LocalServer,
) -> None:
    async with wire_client(server.connect()) as stranger:
        stranger.link.outbox.append(b"\x81\xfe" + (STRANGER.frame_bytes + 1).to_bytes(2) + bytes(4))
        assert (await stranger.wait_closed()).code == 1009


async def test_half_a_message_holds_no_more_than_a_login(server: LocalServer) -> None:
    async with wire_client(server.connect()) as stranger:
        for number in range(3):
            opcode = Opcode.CONT if number else Opcode.TEXT
            stranger.link.outbox.append(frame(b"x" * 5000, opcode, fin=False))
        assert (await stranger.wait_closed()).code == 1008


@pytest.mark.parametrize("before", [[], [frame(b"", Opcode.PING)]], ids=["at once", "after a ping"])
async def test_the_longest_login_is_read_and_then_frames_as_long_as_any(
    server: LocalServer, before: list[bytes]
) -> None:
    async with wire_client(server.connect()) as client:
        for data in before:
            client.link.outbox.append(data)
        client.send("set_flag", {"binary": 1})
        client.send("ping", 1)
        head = b'["login",{"vid":"app","account":"ann","token":"'
        client.send_raw(head + b"x" * (STRANGER.frame_bytes - len(head) - 3) + b'"}]')
        assert (await client.login_ret())["result"] == "ok"
        text = b'["ping",' + b" " * (MAX_FRAME_BYTES - 10) + b"7]"
        client.send_raw(text)
        assert [await client.expect("pong"), await client.expect("pong")] == [1, 7]
        parts = [text[start : start + 10_000] for start in range(0, len(text), 10_000)]
        for number, part in enumerate(parts, 1):
            opcode = Opcode.TEXT if number == 1 else Opcode.CONT
            client.link.outbox.append(frame(part, opcode, fin=number == len(parts)))
        assert await client.expect("pong") == 7


async def test_a_login_that_comes_byte_by_byte_is_read(server: LocalServer) -> None:
    async with wire_client(server.connect()) as client:
        login = {"vid": "app", "account": "ann", "uid": 0, "token": "x" * 200, "device": "websdk"}
        for byte in frame(frames.encode_json(["login", login])):
            client.link.outbox.append(bytes((byte,)))
            await settle()
        assert (await client.login_ret())["result"] == "ok"


async def test_a_native_packet_longer_than_a_login_is_refused_by_its_head(
    server: LocalServer,
) -> None:
    transport = server.connect_native()
    transport.send_nowait(b"\x80" + (STRANGER.frame_bytes + 5).to_bytes(3))
    with trio.fail_after(2.5):
        assert await transport.receive_some() == b""


def test_a_connection_takes_less_than_4_kib_before_a_login() -> None:
    found = subprocess.run(
        [sys.executable, "-m", stranger_memory.__name__],
        check=True,
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[2],
        timeout=120,
    ).stdout
    taken = {kind: int(size) for kind, size in (it.split(": ") for it in found.splitlines())}
    assert list(taken) == list(stranger_memory.KINDS)
    assert max(taken.values()) <= 4096, taken
    # It was measured at all.
    assert min(taken.values()) >= 300, taken


def half_a_frame(size: int, *, of: int = STRANGER.frame_bytes) -> bytes:
    return b"\x81\xfe" + of.to_bytes(2) + bytes(4) + b"x" * size


def half_a_request(size: int) -> bytes:
    return b"GET / HTTP/1.1\r\nX: ".ljust(size, b"x")


def half_a_packet(size: int) -> bytes:
    return b"\x80" + STRANGER.frame_bytes.to_bytes(3) + b"x" * size


HALVES = [
    pytest.param(lambda size: OPENING + half_a_frame(size), False, id="a frame"),
    pytest.param(
        lambda size: OPENING + frame(b"x" * (size // 2), fin=False) + half_a_frame(size // 2),
        False,
        id="fragments",
    ),
    pytest.param(half_a_request, False, id="a request"),
    pytest.param(half_a_packet, True, id="a packet"),
]


@pytest.fixture
def pool(server: LocalServer) -> Pool:
    pool = server.node._links.pool
    assert pool.left == LONG_LOGINS_BYTES
    return pool


@pytest.mark.parametrize(("half", "is_native"), HALVES)
async def test_what_is_kept_of_half_a_login_is_of_a_pool_where_it_is_long(
    server: LocalServer, pool: Pool, half: Callable[[int], bytes], is_native: bool
) -> None:
    for size in (STRANGER.kept_bytes // 2, STRANGER.kept_bytes + 4000):
        transport = server.connect_native() if is_native else server.connect()
        transport.send_nowait(half(size))
        await settle()
        over = max(0, size - STRANGER.kept_bytes)
        assert over - 100 <= LONG_LOGINS_BYTES - pool.left <= over + 100
        transport.close()
        await settle()
        assert pool.left == LONG_LOGINS_BYTES


@pytest.mark.parametrize(("half", "is_native"), HALVES)
@pytest.mark.parametrize("end", ["overdue", "shed", "too much"])
async def test_however_it_ends_the_pool_has_it_back(
    server: LocalServer, pool: Pool, half: Callable[[int], bytes], is_native: bool, end: str
) -> None:
    transport = server.connect_native() if is_native else server.connect()
    transport.send_nowait(half(5000))
    await settle()
    assert pool.left < LONG_LOGINS_BYTES
    if end == "shed":
        server.node.acceptor.shed()
    elif end == "too much":
        transport.send_nowait(b"x" * 20_000)
    await trio.sleep(15)
    assert len(server.node.acceptor) == 0
    assert pool.left == LONG_LOGINS_BYTES


@pytest.mark.parametrize(("half", "is_native"), HALVES)
async def test_where_the_pool_is_empty_only_what_is_long_and_in_parts_is_refused(
    server: LocalServer, pool: Pool, half: Callable[[int], bytes], is_native: bool
) -> None:
    pool.left = 1000
    transport = server.connect_native() if is_native else server.connect()
    transport.send_nowait(half(5000))
    await settle()
    said = b""
    with trio.fail_after(5):
        while data := await transport.receive_some():
            said += data
    if half is half_a_request:
        assert said.startswith(b"HTTP/1.1 503 ")
        assert b"\r\nRetry-After: 5\r\n" in said
    elif not is_native:
        reason = b"too many long logins are on their way: try again later"
        assert said.endswith((1013).to_bytes(2) + reason)
    transport.close()
    await settle()
    assert (len(server.node.acceptor), pool.left) == (0, 1000)
    # A whole one is not kept, and half of a short one is the stranger's own.
    async with wire_client(server.connect()) as client:
        login = {"vid": "app", "account": "ann", "uid": 0, "token": "x" * 7000}
        client.send("login", login)
        assert (await client.login_ret())["result"] == "ok"
    async with wire_client(server.connect()) as client:
        data = frame(frames.encode_json(["login", {**login, "token": "x" * 500}]))
        for part in (data[:700], data[700:]):
            client.link.outbox.append(part)
            await settle()
        assert (await client.login_ret())["result"] == "ok"
    assert pool.left == 1000


async def test_a_long_login_in_parts_takes_of_the_pool_until_it_is_whole(
    server: LocalServer, pool: Pool
) -> None:
    async with wire_client(server.connect()) as client:
        login = {"vid": "app", "account": "ann", "uid": 0, "token": "x" * 7000}
        data = frame(frames.encode_json(["login", login]))
        for at in range(0, len(data), 1500):
            client.link.outbox.append(data[at : at + 1500])
            await settle()
            if at == 4500:
                assert LONG_LOGINS_BYTES - pool.left == 6000 - STRANGER.kept_bytes
        assert (await client.login_ret())["result"] == "ok"
        assert pool.left == LONG_LOGINS_BYTES
        # Who is logged in is bounded by other means.
        client.link.outbox.append(half_a_frame(7000))
        await settle()
        assert pool.left == LONG_LOGINS_BYTES


def headers_without_end() -> Iterator[bytes]:
    yield b"GET / HTTP/1.1\r\n"
    for _ in range(20):
        yield b"X: " + b"x" * 4000 + b"\r\n"


async def test_headers_without_end_are_refused_with_431(server: LocalServer) -> None:
    transport = server.connect()
    for data in headers_without_end():
        transport.send_nowait(data)
        await settle()
        if not len(server.node.acceptor):
            break
    assert (await transport.receive_some()).startswith(b"HTTP/1.1 431 ")
    assert await transport.receive_some() == b""


async def test_a_request_with_a_body_that_does_not_come_is_refused_at_once(
    server: LocalServer,
) -> None:
    for header in (b"Content-Length: 100", b"Transfer-Encoding: chunked"):
        transport = server.connect()
        transport.send_nowait(b"GET /getaddr?vid=a HTTP/1.1\r\nHost: x\r\n" + header + b"\r\n\r\n")
        await settle()
        assert len(server.node.acceptor) == 0


async def test_a_tls_handshake_without_end_is_refused(
    server: LocalServer, tls: TlsContexts
) -> None:
    client, inner = memory_transport_pair()
    server.node.acceptor.accept(TlsTransport(inner, tls.server, server_side=True), "127.0.0.1")
    # A handshake message of 100 kB, in records that never end it.
    client.send_nowait(b"\x16\x03\x01\x00\x04\x01\x01\x86\xa0")
    for _ in range(100_000):
        if not len(server.node.acceptor):
            break
        client.send_nowait(b"\x16\x03\x01\x00\x01\x00")
        await trio.lowlevel.checkpoint()
    await settle()
    assert len(server.node.acceptor) == 0


@pytest.mark.parametrize(
    ("said", "is_native"),
    [
        pytest.param(OPENING, False, id="an opening"),
        pytest.param(UNHURRIED, False, id="an opening by the library"),
        pytest.param(OPENING + frame(b"", Opcode.PING) + b"\x81", False, id="half a frame"),
        pytest.param(OPENING + much(frame(b"", Opcode.PING)), False, id="a flood"),
        pytest.param(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n", False, id="HTTP"),
        pytest.param(b"nonsense\r\n\r\n", False, id="nonsense"),
        pytest.param(b"GET / HTTP/1.1\r\nX: " + b"x" * 20_000, False, id="a long request"),
        pytest.param(packets.encode_plain(b"line_ping:1"), True, id="native"),
    ],
)
async def test_nothing_is_left_of_one_that_has_gone_and_nobody_has_to_look_for_it(
    server: LocalServer, said: bytes, is_native: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that is not idle looks for garbage seldom."""
    # What captures logs for a test keeps the exceptions in them.
    for name in LOGGERS:
        monkeypatch.setattr(logging.getLogger(name), "disabled", True)

    async def come_and_go() -> None:
        transport = server.connect_native() if is_native else server.connect()
        transport.send_nowait(said)
        await settle()
        transport.close()
        await trio.sleep(3)
        assert len(server.node.acceptor) == 0

    def left() -> int:
        kinds = (WebClientLink, NativeClientLink, Connection, Outbox, Protocol)
        # Other tests leave objects that nobody may ask for their class.
        return sum(issubclass(type(it), kinds) for it in gc.get_objects())

    await come_and_go()
    gc.collect()
    before = left()
    gc.disable()
    try:
        for _ in range(10):
            await come_and_go()
        assert left() <= before
    finally:
        gc.enable()
