"""Origins: which web pages may use a server, and what every HTTP answer says."""

from __future__ import annotations

import logging

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock

from signal_sdk.errors import ConfigError
from signal_sdk.server.complaints import SILENT_SECONDS
from signal_sdk.server.config import AppConfig, Config, ServerConfig
from signal_sdk.server.config_checks import parse_origin
from signal_sdk.server.origins import Origins
from signal_sdk.testing.server import LocalServer, local_server
from signal_sdk.websocket.handshake import SECURITY_HEADERS
from tests.server.helpers import OPENING, dev_config, settle

PAGE = "https://page.example"
EVIL = "http://evil.example"


def config(*allowed: str, dev: bool = False, advertise: tuple[str, ...] = ()) -> Config:
    server = ServerConfig(dev=dev, allowed_origins=allowed, advertise=advertise)
    return attrs.evolve(dev_config(), server=server, apps=(AppConfig(id="app"),))


def refused(origin: str | None, config: Config, host: str = "127.0.0.1:8001") -> bool:
    return bool(Origins(config.server).why_not(origin, host))


async def said(server: LocalServer, request: bytes) -> bytes:
    """What a server says to a request at first."""
    transport = server.connect()
    transport.send_nowait(request)
    await settle()
    answer = await transport.receive_some()
    transport.close()
    return answer


def opening(origin: str, host: str = "127.0.0.1:8001") -> bytes:
    own = f"Host: {host}\r\nOrigin: {origin}\r\n".encode()
    return OPENING.replace(b"Host: memory\r\n", own)


def lookup(*headers: str) -> bytes:
    lines = ["GET /getaddr?vid=app HTTP/1.1", "Host: 127.0.0.1:8001", *headers, "", ""]
    return "\r\n".join(lines).encode()


@pytest.mark.parametrize(
    "origin",
    [
        "http://localhost",
        "http://localhost:3000",
        "https://app.localhost",
        "http://127.0.0.1:8080",
        "http://127.1.2.3",
        "http://[::1]:8080",
        "capacitor://localhost",
    ],
)
def test_in_dev_mode_pages_of_this_machine_may_come(origin: str) -> None:
    assert not refused(origin, config(dev=True))


@pytest.mark.parametrize(
    "origin",
    [
        EVIL,
        "null",
        "",
        "http://localhost.evil.example",
        "http://evil.example#http://localhost",
        "http://localhost@evil.example",
        "http://127.0.0.1.evil.example",
        "http://192.168.1.5:8080",
        "http://localhost, http://evil.example",
        "file://",
        "http://",
        "localhost",
    ],
)
def test_in_dev_mode_no_other_page_may(origin: str) -> None:
    assert refused(origin, config(dev=True))
    assert not refused(origin, config(), host="sig.example")


def test_who_is_no_page_may_come_by_any_name() -> None:
    assert not refused(None, config(dev=True), host="evil.example")
    assert not refused(None, config(PAGE), host="evil.example")


@pytest.mark.parametrize(
    ("host", "is_refused"),
    [
        ("evil.example:8001", True),
        ("localhost.evil.example", True),
        ("127.0.0.1.evil.example:8001", True),
        ("localhost:8001", False),
        ("127.0.0.1", False),
        ("[::1]:8001", False),
        ("192.168.1.5:8001", False),
        ("signal:8001", False),
        ("Sig.Example:8001", False),
        ("ulbs.sig.agora.io", False),
    ],
)
def test_in_dev_mode_a_page_may_come_by_a_name_of_this_server_only(
    host: str, is_refused: bool
) -> None:
    """A page can have its own name lead to this machine."""
    advertise = ("sig.example:9000",)
    assert refused("http://localhost", config(dev=True, advertise=advertise), host) is is_refused
    assert not refused("http://localhost", config(advertise=advertise), host)


def test_named_origins_are_all_that_may_come() -> None:
    allowed = config(PAGE, "http://LAN.example:80", "https://[2001:DB8::1]:8443")
    assert not refused(PAGE, allowed)
    assert not refused("http://lan.example", allowed)
    assert not refused("https://[2001:db8::1]:8443", allowed)
    for other in ("http://page.example", f"{PAGE}:8443", "null", "http://localhost", EVIL):
        assert refused(other, allowed)
    assert not refused("null", config("null"))
    assert not refused(EVIL, config("*", dev=True))


@given(st.text())
def test_no_text_is_taken_for_an_origin_that_is_named(text: str) -> None:
    assert refused(text, config(PAGE)) is (text.lower() not in (PAGE, f"{PAGE}:443"))


@pytest.mark.parametrize(
    "origin", ["page.example", "https://page.example/", "https://", "*.example"]
)
def test_what_is_no_origin_is_refused_in_the_configuration(origin: str) -> None:
    with pytest.raises(ConfigError, match=r'allowed_origins: expected "scheme://host"') as caught:
        config(origin)
    assert "\n" not in str(caught.value)
    with pytest.raises(ValueError, match="expected"):
        parse_origin(origin)


@pytest.mark.parametrize("more", [b"", b"X: 1\r\nX: 2\r\n"], ids=["plain", "by the library"])
async def test_a_page_that_may_not_come_gets_403_and_one_plain_line(
    autojump_clock: MockClock, more: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    async with local_server(config(dev=True), listens=False) as server:
        request = opening(EVIL).replace(b"\r\nUpgrade", b"\r\n" + more + b"Upgrade")
        head, _, body = (await said(server, request)).partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 403 ")
        assert b"Access-Control-Allow-Origin" not in head
        assert body.endswith(b"allowed_origins in [server]\n")
        assert body.count(b"\n") == 1
        assert (await said(server, opening("http://localhost:3000"))).startswith(b"HTTP/1.1 101 ")
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert caplog.records[0].name == "signal_sdk.server.connections"
    assert caplog.messages[0].startswith("a page was refused: 'http://evil.example' is no page")


async def test_pages_that_are_refused_again_and_again_are_one_line_a_minute(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    async with local_server(config(PAGE), listens=False) as server:
        for _ in range(20):
            await said(server, lookup(f"Origin: {EVIL}"))
        assert len(caplog.records) == 1
        autojump_clock.jump(SILENT_SECONDS)
        await said(server, lookup(f"Origin: {EVIL}"))
    assert caplog.messages[1].endswith("(and 19 before it)")


async def test_several_origins_are_none(autojump_clock: MockClock) -> None:
    async with local_server(config(PAGE), listens=False) as server:
        request = lookup(f"Origin: {PAGE}", f"Origin: {EVIL}")
        assert (await said(server, request)).startswith(b"HTTP/1.1 403 ")


async def test_a_lookup_is_read_by_the_pages_that_may(autojump_clock: MockClock) -> None:
    async with local_server(config(PAGE), listens=False) as server:
        head = await said(server, lookup(f"Origin: {PAGE}"))
        assert head.startswith(b"HTTP/1.1 200 ")
        assert b"\r\nAccess-Control-Allow-Origin: https://page.example\r\nVary: Origin\r\n" in head
        head = await said(server, lookup(f"Origin: {EVIL}"))
        assert head.startswith(b"HTTP/1.1 403 ")
        assert b"Access-Control-Allow-Origin" not in head
        # Whoever is no page, a cache among them, is answered without.
        head = await said(server, lookup())
        assert head.startswith(b"HTTP/1.1 200 ")
        assert b"Access-Control-Allow-Origin" not in head
        assert b"\r\nVary: Origin\r\n" in head
    async with local_server(config(), listens=False) as server:
        head = await said(server, lookup(f"Origin: {EVIL}"))
        assert b"\r\nAccess-Control-Allow-Origin: *\r\n" in head


@pytest.mark.parametrize(
    "request_",
    [
        pytest.param(lookup(), id="the lookup"),
        pytest.param(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n", id="health"),
        pytest.param(b"GET /nothing HTTP/1.1\r\nHost: x\r\n\r\n", id="nothing"),
        pytest.param(b"GET /getaddr HTTP/1.1\r\nHost: x\r\n\r\n", id="no app"),
        pytest.param(OPENING.replace(b"Version: 13", b"Version: 12"), id="a bad opening"),
        pytest.param(b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 200 + b"\r\n", id="many headers"),
    ],
)
async def test_every_answer_has_the_headers_that_keep_browsers_from_making_more_of_it(
    autojump_clock: MockClock, request_: bytes
) -> None:
    async with local_server(config(), listens=False) as server:
        head = await said(server, request_)
    for name, value in SECURITY_HEADERS:
        assert f"\r\n{name}: {value}\r\n".encode() in head
    assert b"Strict-Transport-Security" not in head
