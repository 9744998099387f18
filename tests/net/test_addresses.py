"""Addresses: how one is written, and what is listened on where a name stands for several."""

from __future__ import annotations

import socket
from typing import Any

import pytest

from signal_sdk.errors import ConfigError, InUseError
from signal_sdk.net.addresses import bind_all, plain_address

STREAM, DATAGRAM = socket.SOCK_STREAM, socket.SOCK_DGRAM


def nothing(_: socket.socket) -> None:
    """Sets no option."""


@pytest.fixture
def name(monkeypatch: pytest.MonkeyPatch) -> str:
    """A name that stands for two addresses of this machine, and one that it has not."""
    found: Any = socket.getaddrinfo

    def resolve(host: str, port: int, **more: Any) -> list[Any]:
        hosts = ["127.0.0.1", "127.0.0.1", "192.0.2.1", "127.0.0.9"] if host == "sig" else [host]
        return [entry for at in hosts for entry in found(at, port, **more)]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    return "sig"


def close(socks: list[socket.socket]) -> list[tuple[str, int]]:
    places = [sock.getsockname()[:2] for sock in socks]
    for sock in socks:
        sock.close()
    return places


@pytest.mark.parametrize("kind", [STREAM, DATAGRAM])
def test_all_that_a_name_stands_for_is_listened_on_at_one_port(
    name: str, kind: socket.SocketKind
) -> None:
    (one, port), (other, same) = close(bind_all(name, 0, kind, nothing))
    assert (one, other) == ("127.0.0.1", "127.0.0.9")
    assert port == same != 0


def test_a_port_that_is_free_is_free_everywhere(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the first that are drawn, the second address has none free."""
    socks = [bind_all("127.0.0.9", 0, STREAM, nothing)[0] for _ in range(3)]
    drawn = iter([sock.getsockname()[1] for sock in socks])
    real: Any = socket.socket.bind

    class Drawn(socket.socket):
        def bind(self, address: Any) -> None:
            if address == ("127.0.0.1", 0):
                address = ("127.0.0.1", next(drawn, 0))
            real(self, address)

    monkeypatch.setattr(socket, "socket", Drawn)
    (_, port), (_, same) = close(bind_all(name, 0, STREAM, nothing))
    assert port == same
    assert port not in {place[1] for place in close(socks)}


def test_where_none_of_them_is_here_it_is_one_clear_error(name: str) -> None:
    with pytest.raises(ConfigError, match=r"^cannot listen on 192\.0\.2\.1:0: Cannot assign"):
        bind_all("192.0.2.1", 0, STREAM, nothing)
    with pytest.raises(ConfigError, match=r"^cannot listen on nobody\.invalid:1: "):
        bind_all("nobody.invalid", 1, STREAM, nothing)


@pytest.mark.parametrize(("kind", "udp"), [(STREAM, ""), (DATAGRAM, "udp ")])
def test_whoever_has_the_port_is_named_and_nothing_stays_open(
    name: str, kind: socket.SocketKind, udp: str
) -> None:
    (taken,) = bind_all("127.0.0.9", 0, kind, nothing)
    port = taken.getsockname()[1]
    who = r"the process \d+ \([^)]+\) is using it$"
    with pytest.raises(InUseError, match=rf"^cannot listen on {udp}sig:{port}: {who}"):
        bind_all(name, port, kind, nothing)
    taken.close()
    close(bind_all(name, port, kind, nothing))


@pytest.mark.parametrize(
    ("host", "plain"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("::ffff:c000:201", "192.0.2.1"),
        ("2001:db8::1", "2001:db8::1"),
    ],
)
def test_an_address_is_written_as_its_own_family_does(host: str, plain: str) -> None:
    assert plain_address(host) == plain
