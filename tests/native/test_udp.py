"""Datagrams: what is asked, what is answered, and from which address."""

from __future__ import annotations

import socket

import pytest
import trio

from signal_sdk.errors import ConfigError, LinkError
from signal_sdk.native import udp
from signal_sdk.net.reactor import Reactor

Asked = list[tuple[bytes, str, str]]


@pytest.fixture
async def reactor(nursery: trio.Nursery) -> Reactor:
    reactor = Reactor()
    nursery.start_soon(reactor.run)
    return reactor


async def serve(sock: socket.socket, asked: Asked, nursery: trio.Nursery) -> int:
    """Echo what is asked, but for what begins with a dash; the port."""

    def answer(data: bytes, asker: str, at: str) -> bytes | None:
        asked.append((data, asker, at))
        return None if data.startswith(b"-") else b"re: " + data

    nursery.start_soon(udp.serve, sock, answer)
    port: int = sock.getsockname()[1]
    return port


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0", "::"])  # noqa: S104  of this machine only
async def test_an_answer_comes_from_the_address_that_was_asked(
    host: str, reactor: Reactor, nursery: trio.Nursery
) -> None:
    """A client that has connected its socket hears no other."""
    asked: Asked = []
    with udp.listen(host, 0)[0] as sock:
        port = await serve(sock, asked, nursery)
        for at in ("127.0.0.1",) if host == "127.0.0.1" else ("127.0.0.1", "127.0.0.7"):
            assert await udp.ask(reactor, at, port, b"hello", 5) == b"re: hello"
            assert asked.pop() == (b"hello", "127.0.0.1", at)
        nursery.cancel_scope.cancel()


async def test_what_gets_no_answer_is_told_when_the_time_is_over(
    reactor: Reactor, nursery: trio.Nursery
) -> None:
    asked: Asked = []
    with udp.listen("127.0.0.1", 0)[0] as sock:
        port = await serve(sock, asked, nursery)
        with pytest.raises(LinkError, match=rf"udp 127\.0\.0\.1:{port}: no answer in 0\.05 s"):
            await udp.ask(reactor, "127.0.0.1", port, b"- psst", 0.05)
        assert len(asked) == 1
        assert await udp.ask(reactor, "127.0.0.1", port, b"", 5) == b"re: "
        nursery.cancel_scope.cancel()


async def test_an_asker_that_is_gone_harms_nobody(reactor: Reactor, nursery: trio.Nursery) -> None:
    """The network tells of its port: that must not end the serving."""
    asked: Asked = []
    with udp.listen("127.0.0.1", 0)[0] as sock:
        port = await serve(sock, asked, nursery)
        for _ in range(3):
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as gone:
                gone.sendto(b"hello", ("127.0.0.1", port))
        assert await udp.ask(reactor, "127.0.0.1", port, b"still there?", 5) == b"re: still there?"
        nursery.cancel_scope.cancel()


async def test_nobody_at_a_port_is_told(reactor: Reactor) -> None:
    with udp.listen("127.0.0.1", 0)[0] as sock:
        port = sock.getsockname()[1]
    with pytest.raises(LinkError, match=rf"udp 127\.0\.0\.1:{port}: "):
        await udp.ask(reactor, "127.0.0.1", port, b"hello", 0.5)


def test_a_port_that_is_taken_is_one_clear_error() -> None:
    with udp.listen("127.0.0.1", 0)[0] as sock:
        port = sock.getsockname()[1]
        with pytest.raises(ConfigError, match=rf"cannot listen on udp 127\.0\.0\.1:{port}: "):
            udp.listen("127.0.0.1", port)
