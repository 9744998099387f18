"""The opening handshake: HTTP answers, links, and everything that is neither."""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus

import pytest
import trio
from websockets.frames import Frame, Opcode

from signal_sdk.errors import LinkError
from signal_sdk.net.reactor import Reactor
from signal_sdk.net.transport import NothingSaid, Transport
from signal_sdk.testing.memory import MemoryTransport, memory_transport_pair
from signal_sdk.websocket import handshake, opening
from signal_sdk.websocket.handshake import HttpAnswer, HttpRequest
from signal_sdk.websocket.link import Link, Message
from tests.net.pairs import MAX_FRAME_BYTES, Trickle, never, running_reactor

UPGRADE = (
    b"GET /?x=1 HTTP/1.1\r\n"
    b"Host: 127.0.0.1:8001\r\n"
    b"Upgrade: websocket\r\n"
    b"Connection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    b"Sec-WebSocket-Version: 13\r\n"
    b"\r\n"
)


@pytest.fixture(params=["whole", "one byte at a time"])
def wrap(request: pytest.FixtureRequest) -> Callable[[Transport], Transport]:
    return Trickle if request.param == "one byte at a time" else lambda transport: transport


class Server:
    """The server's side of one handshake: what it was asked, and what came of it."""

    def __init__(self, answer: HttpAnswer | None = None) -> None:
        self.answer = answer
        self.asked: list[HttpRequest] = []
        self.link: Link | None = None
        self.error: LinkError | None = None

    def _answer(self, request: HttpRequest) -> HttpAnswer | None:
        self.asked.append(request)
        return self.answer

    async def run(self, transport: Transport, reactor: Reactor) -> None:
        try:
            self.link = await handshake.accept(
                transport,
                reactor,
                self._answer,
                make=Link,
                max_frame_bytes=MAX_FRAME_BYTES,
                outbox_bytes=0,
            )
        except LinkError as exc:
            self.error = exc


async def exchange(
    data: bytes,
    server: Server,
    wrap: Callable[[Transport], Transport] = lambda transport: transport,
    *,
    then_end: bool = False,
) -> bytes:
    """Send `data` to a server, and return all that it answers."""
    client, server_end = memory_transport_pair()
    async with running_reactor() as reactor, trio.open_nursery() as nursery:
        client.send_nowait(data)
        if then_end:
            client.send_eof()
        nursery.start_soon(server.run, wrap(server_end), reactor)
        await trio.testing.wait_all_tasks_blocked()
        answer = await read_now(client)
        nursery.cancel_scope.cancel()
    return answer


async def read_now(transport: MemoryTransport) -> bytes:
    with trio.move_on_after(0.01):
        return await transport.receive_some()
    return b""


def status_of(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1])


# --- the server's side ---


async def test_a_plain_request_gets_its_http_answer_and_the_connection_is_closed(
    wrap: Callable[[Transport], Transport],
) -> None:
    server = Server(HttpAnswer(body=b'{"ok": 1}', content_type="application/json"))
    request = b"GET /getaddr?vid=app&x=%20y HTTP/1.1\r\nHost: sig.example:80\r\n\r\n"
    answer = await exchange(request, server, wrap)
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"Content-Type: application/json" in head
    assert b"Content-Length: 9" in head
    assert b"X-Content-Type-Options: nosniff" in head
    assert b"Connection: close" in head
    assert body == b'{"ok": 1}'
    assert server.asked == [
        HttpRequest(
            path="/getaddr",
            query={"vid": "app", "x": " y"},
            host="sig.example:80",
            is_upgrade=False,
        )
    ]
    assert server.link is None
    assert server.error is None


async def test_an_answer_has_the_status_that_it_was_given() -> None:
    server = Server(HttpAnswer(status=HTTPStatus.SERVICE_UNAVAILABLE, body=b"full\n"))
    answer = await exchange(UPGRADE, server)
    assert answer.startswith(b"HTTP/1.1 503 Service Unavailable\r\n")
    assert server.asked[0].is_upgrade


async def test_an_upgrade_becomes_a_link(wrap: Callable[[Transport], Transport]) -> None:
    server = Server()
    answer = await exchange(UPGRADE, server, wrap)
    assert answer.startswith(b"HTTP/1.1 101 ")
    assert b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" in answer
    assert server.asked == [
        HttpRequest(path="/", query={"x": "1"}, host="127.0.0.1:8001", is_upgrade=True)
    ]
    assert server.link is not None
    assert server.link.is_open


async def test_frames_in_the_same_packet_as_the_handshake_are_not_lost() -> None:
    first, second = (Frame(Opcode.TEXT, text).serialize(mask=True) for text in (b"one", b"two"))
    server = Server()
    # The second frame's end comes later.
    client, server_end = memory_transport_pair()
    async with running_reactor() as reactor, trio.open_nursery() as nursery:
        client.send_nowait(UPGRADE + first + second[:3])
        nursery.start_soon(server.run, server_end, reactor)
        await trio.testing.wait_all_tasks_blocked()
        assert server.link is not None
        assert await server.link.receive() == [Message(b"one", binary=False)]
        client.send_nowait(second[3:])
        assert await server.link.receive() == [Message(b"two", binary=False)]


PLAIN = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.mark.parametrize(
    "behind", [PLAIN, b"\r\n", b"\r\n\r\n", b"\x81\x80\0\0\0\0", b"\xff" * 9000]
)
@pytest.mark.parametrize("ends", [False, True])
async def test_what_is_behind_a_request_that_is_answered_is_not_read(
    wrap: Callable[[Transport], Transport], behind: bytes, ends: bool
) -> None:
    server = Server(HttpAnswer(body=b"ok\n"))
    answer = await exchange(PLAIN + behind, server, wrap, then_end=ends)
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert answer.endswith(b"\r\n\r\nok\n")
    assert answer.count(b"HTTP/1.1") == 1
    assert len(server.asked) == 1
    assert server.link is None
    if wrap is not Trickle:
        # A byte at a time, nothing of it has arrived when the answer is out.
        assert str(server.error) == (
            f"an HTTP request was answered, and {len(behind)} bytes behind it not read"
        )


async def test_frames_behind_an_upgrade_that_is_not_plain_are_not_lost(
    wrap: Callable[[Transport], Transport],
) -> None:
    """An upgrade with a header twice is the library's to read."""
    request = UPGRADE.replace(b"\r\n\r\n", b"\r\nX-A: 1\r\nX-A: 2\r\n\r\n")
    frame = Frame(Opcode.TEXT, b"early").serialize(mask=True)
    server = Server()
    client, server_end = memory_transport_pair()
    async with running_reactor() as reactor:
        client.send_nowait(request + frame + frame)
        await server.run(wrap(server_end), reactor)
        assert server.link is not None
        seen = await server.link.receive()
        seen += await server.link.receive() if len(seen) == 1 else []
        assert seen == [Message(b"early", binary=False)] * 2


@pytest.mark.parametrize("method", [b"POST", b"PUT", b"OPTIONS", b"BREW"])
async def test_another_method_than_get_is_refused(method: bytes) -> None:
    server = Server(HttpAnswer(body=b"never seen"))
    answer = await exchange(method + b" /getaddr?vid=app HTTP/1.1\r\nHost: x\r\n\r\n", server)
    assert b"never seen" not in answer
    # Older releases of the library close without an answer.
    assert not answer or status_of(answer) == 405
    assert server.link is None


@pytest.mark.parametrize(
    "request_",
    [
        pytest.param(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", id="a TLS hello"),
        pytest.param(b"\x00" * 2000 + b"\r\n\r\n", id="zeros"),
        pytest.param(b"GET / HTTP/0.9\r\n\r\n", id="an old HTTP"),
        pytest.param(b"GET /\r\n\r\n", id="no version"),
        pytest.param(b"\r\n\r\n", id="empty lines"),
        pytest.param(b"GET / HTTP/1.1\r\nno colon\r\n\r\n", id="a header without a colon"),
        pytest.param(b"GET /\xff\xfe HTTP/1.1\r\n\r\n", id="a path that is no ASCII"),
    ],
)
async def test_what_is_no_http_request_is_a_bad_handshake(
    request_: bytes, wrap: Callable[[Transport], Transport]
) -> None:
    server = Server(HttpAnswer(body=b"never seen"))
    answer = await exchange(request_, server, wrap)
    assert b"never seen" not in answer
    assert isinstance(server.error, LinkError)


@pytest.mark.parametrize(
    ("old", "new", "status"),
    [
        pytest.param(b"Upgrade: websocket", b"Upgrade: h2c", 426, id="another protocol"),
        pytest.param(b"Connection: Upgrade\r\n", b"", 426, id="no Connection"),
        pytest.param(b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n", b"", 400, id="no key"),
        pytest.param(b"dGhlIHNhbXBsZSBub25jZQ==", b"c2hvcnQ=", 400, id="a short key"),
        pytest.param(b"Version: 13", b"Version: 12", 400, id="another version"),
    ],
)
async def test_a_bad_upgrade_is_answered_and_refused(old: bytes, new: bytes, status: int) -> None:
    assert old in UPGRADE
    server = Server()
    answer = await exchange(UPGRADE.replace(old, new), server)
    assert status_of(answer) == status
    assert server.link is None
    assert server.error is not None


@pytest.mark.parametrize(
    ("data", "status"),
    [
        pytest.param(b"GET /" + b"x" * 10_000 + b" HTTP/1.1\r\n\r\n", 414, id="a long path"),
        pytest.param(
            b"GET / HTTP/1.1\r\nX: " + b"x" * 10_000 + b"\r\n\r\n", 431, id="a long header"
        ),
        pytest.param(b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 200 + b"\r\n", 431, id="many headers"),
    ],
)
async def test_a_request_that_is_too_long_is_a_bad_handshake(data: bytes, status: int) -> None:
    server = Server(HttpAnswer(body=b"never seen"))
    answer = await exchange(data, server)
    # Older releases of the library close without an answer.
    assert not answer or status_of(answer) == status
    assert server.error is not None


async def test_a_header_without_end_is_refused_before_it_is_all_there() -> None:
    server = Server()
    await exchange(b"GET / HTTP/1.1\r\nX: " + b"x" * 60_000, server)
    assert server.error is not None


async def test_several_hosts_are_no_crash() -> None:
    server = Server(HttpAnswer(body=b"ok"))
    answer = await exchange(b"GET / HTTP/1.1\r\nHost: one\r\nHost: two\r\n\r\n", server)
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert server.asked[0].host == "one"


@pytest.mark.parametrize("target", [b"//[", b"http://[/", b"*", b"?", b"//"])
async def test_a_strange_target_is_answered(target: bytes) -> None:
    server = Server(HttpAnswer(body=b"ok"))
    answer = await exchange(b"GET " + target + b" HTTP/1.1\r\nHost: x\r\n\r\n", server)
    assert answer.startswith(b"HTTP/1.1 200 ")


async def test_a_client_that_goes_in_the_middle_of_its_request_is_a_bad_handshake() -> None:
    server = Server()
    await exchange(UPGRADE[:40], server, then_end=True)
    assert isinstance(server.error, LinkError)


async def test_a_client_that_goes_without_a_request_has_said_nothing() -> None:
    server = Server()
    assert await exchange(b"", server, then_end=True) == b""
    assert isinstance(server.error, NothingSaid)


async def test_half_a_handshake_waits_for_the_rest() -> None:
    server = Server()
    assert await exchange(UPGRADE[:40], server) == b""
    assert server.link is None
    assert server.error is None


# --- the client's side ---


async def connected(answer: bytes, url: str = "ws://127.0.0.1/") -> tuple[Link, bytes]:
    """A client's link to a server that says `answer`, and what the client asked."""
    client, server_end = memory_transport_pair()
    asked = b""
    async with running_reactor() as reactor, trio.open_nursery() as nursery:

        async def serve() -> None:
            nonlocal asked
            asked = await server_end.receive_some()
            server_end.send_nowait(answer)
            server_end.send_eof()

        nursery.start_soon(serve)
        link = await handshake.connect(client, reactor, url, max_frame_bytes=MAX_FRAME_BYTES)
    return link, asked


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        pytest.param(
            b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n",
            "the server answered HTTP 503",
            id="an HTTP error",
        ),
        pytest.param(
            b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
            "the server answered HTTP 200",
            id="a page",
        ),
        pytest.param(b"", "did not answer as a WebSocket server does", id="nothing"),
        pytest.param(b"HTTP/1.1 10", "did not answer as a WebSocket server does", id="half"),
        pytest.param(b"220 mail\r\n\r\n", "did not answer as a WebSocket server does", id="mail"),
        pytest.param(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
            b"Connection: Upgrade\r\nSec-WebSocket-Accept: wrong\r\n\r\n",
            "Sec-WebSocket-Accept",
            id="a wrong accept",
        ),
    ],
)
async def test_a_server_that_is_no_websocket_server_is_a_link_error(
    answer: bytes, reason: str
) -> None:
    with pytest.raises(ExceptionGroup) as caught:
        await connected(answer)
    (error,) = _leaves(caught.value)
    assert isinstance(error, LinkError)
    assert reason in str(error)


def _leaves(group: BaseExceptionGroup[BaseException]) -> list[BaseException]:
    return [
        leaf
        for exc in group.exceptions
        for leaf in (_leaves(exc) if isinstance(exc, BaseExceptionGroup) else [exc])
    ]


async def test_messages_in_the_same_packet_as_the_servers_answer_are_not_lost(
    wrap: Callable[[Transport], Transport],
) -> None:
    client, server_end = memory_transport_pair()
    async with running_reactor() as reactor, trio.open_nursery() as nursery:

        async def serve() -> None:
            # Both go out in one write: the reactor runs after this task.
            link = await handshake.accept(
                server_end,
                reactor,
                never,
                make=Link,
                max_frame_bytes=MAX_FRAME_BYTES,
                outbox_bytes=0,
            )
            assert link is not None
            link.send_text(b"early")

        nursery.start_soon(serve)
        link = await handshake.connect(
            wrap(client), reactor, "ws://127.0.0.1/", max_frame_bytes=MAX_FRAME_BYTES
        )
        assert await link.receive() == [Message(b"early", binary=False)]


@pytest.mark.parametrize("cut", range(1, 8))
async def test_a_frame_behind_the_server_s_answer_may_be_cut_anywhere(cut: int) -> None:
    client, server_end = memory_transport_pair()
    async with running_reactor() as reactor, trio.open_nursery() as nursery:
        frame = Frame(Opcode.TEXT, b"early").serialize(mask=False)

        async def serve() -> None:
            request = await server_end.receive_some()
            plain = opening.read(request)
            assert plain is not None
            server_end.send_nowait(plain.answer + frame[:cut])
            await trio.testing.wait_all_tasks_blocked()
            server_end.send_nowait(frame[cut:])

        nursery.start_soon(serve)
        link = await handshake.connect(
            client, reactor, "ws://127.0.0.1/", max_frame_bytes=MAX_FRAME_BYTES
        )
        assert await link.receive() == [Message(b"early", binary=False)]


async def test_a_handshake_that_is_cancelled_sends_nothing_more() -> None:
    client, _ = memory_transport_pair()
    async with running_reactor() as reactor:
        with trio.move_on_after(0.01) as scope:
            await handshake.connect(
                client, reactor, "ws://127.0.0.1/", max_frame_bytes=MAX_FRAME_BYTES
            )
        assert scope.cancelled_caught
