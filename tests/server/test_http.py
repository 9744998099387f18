"""The HTTP answers: where to connect to, and whether the server is well."""

from __future__ import annotations

import socket
from http import HTTPStatus
from typing import Any

import attrs
import httpx
import msgspec
import pytest

from signal_sdk.server.config import Config, ServerConfig
from signal_sdk.server.http import Routes
from signal_sdk.server.places import Places
from signal_sdk.testing.server import local_server
from signal_sdk.websocket.handshake import HttpAnswer, HttpRequest
from tests.server.helpers import dev_config


def ask(
    path: str = "/getaddr",
    *,
    query: dict[str, str] | None = None,
    host: str = "",
    advertise: tuple[str, ...] = (),
    is_upgrade: bool = False,
) -> HttpAnswer | None:
    request = HttpRequest(
        path=path,
        query={"vid": "app"} if query is None else query,
        host=host,
        is_upgrade=is_upgrade,
    )
    server = ServerConfig(dev=True, advertise=advertise, port=8001)
    return Routes(server, Places(Config(server=server))).answer(request, "192.0.2.1")


def lookup(**more: Any) -> dict[str, Any]:
    answer = ask(**more)
    assert answer is not None
    assert (answer.status, answer.content_type) == (HTTPStatus.OK, "application/json")
    found: dict[str, Any] = msgspec.json.decode(answer.body)
    return found


def test_the_lookup_names_the_address_that_the_client_reached() -> None:
    assert lookup(host="203.0.113.7:8001") == {
        # Twice, for the web SDK 1.2, which connects to the first two at once.
        "web": [["203.0.113.7", 8001]] * 2,
        "web2": [["203.0.113.7", 8001]],
        "wx_web": ["203.0.113.7:8002"],
    }
    # The port is where the server listens, not the mapped one, which may lead to HTTP only.
    assert lookup(host="203.0.113.7:80")["web"] == [["203.0.113.7", 8001]] * 2
    assert lookup(host="[2001:db8::1]:8001")["wx_web"] == ["[2001:db8::1]:8002"]


@pytest.mark.parametrize("host", ["[::ffff:203.0.113.7]:8001", "[::FFFF:cb00:7107]"])
def test_the_lookup_names_an_ipv4_address_as_one_however_the_client_has_written_it(
    host: str,
) -> None:
    assert lookup(host=host)["web"] == [["203.0.113.7", 8001]] * 2


async def test_the_lookup_of_a_server_for_both_families_names_ipv4_addresses() -> None:
    config = attrs.evolve(dev_config(), server=ServerConfig(dev=True, host="::", port=0))
    async with local_server(config) as server, httpx.AsyncClient() as client:
        url = f"http://127.0.0.1:{server.port}/getaddr?vid=app"
        answer = await client.get(url, headers={"Host": "sig.example"})
        assert answer.json()["web"] == [["127.0.0.1", server.port]] * 2


async def test_a_server_on_localhost_is_reached_at_all_that_the_name_stands_for() -> None:
    config = attrs.evolve(dev_config(), server=ServerConfig(dev=True, host="localhost", port=0))
    async with local_server(config) as server, httpx.AsyncClient() as client:
        hosts = {str(entry[4][0]) for entry in socket.getaddrinfo("localhost", server.port)}
        for host in filter(is_here, hosts):
            name = f"[{host}]" if ":" in host else host
            assert (await client.get(f"http://{name}:{server.port}/healthz")).text == "ok\n"


def is_here(host: str) -> bool:
    """Has this machine the address? Its names may say more than it has."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.socket(family) as sock:
            sock.bind((host, 0))
    except OSError:
        return False
    return True


@pytest.mark.parametrize(
    "host", ["", "sig.example", "sig.example:80", "not a host", "1.2.3", "a@b"]
)
def test_the_lookup_names_the_local_address_where_the_client_used_a_name(host: str) -> None:
    assert lookup(host=host)["web"] == [["192.0.2.1", 8001]] * 2


def test_the_lookup_names_what_the_operator_advertises() -> None:
    found = lookup(advertise=("sig.example", "203.0.113.7:9000", "[2001:db8::1]:9000"))
    assert found["web"] == [
        ["sig.example", 8001],
        ["203.0.113.7", 9000],
        ["2001:db8::1", 9000],
    ]
    assert found["wx_web"] == ["sig.example:8002", "203.0.113.7:9001", "[2001:db8::1]:9001"]


def test_an_advertised_address_that_maps_one_of_ipv4_is_named_as_that() -> None:
    found = lookup(advertise=("[::ffff:192.0.2.7]:9000", "[::FFFF:c000:208]"))
    assert found["web"] == [["192.0.2.7", 9000], ["192.0.2.8", 8001]]
    assert found["wx_web"] == ["192.0.2.7:9001", "192.0.2.8:8002"]


@pytest.mark.parametrize("query", [{}, {"vid": ""}, {"app": "x"}])
def test_a_lookup_without_an_app_is_a_bad_request(query: dict[str, str]) -> None:
    answer = ask(query=query)
    assert answer is not None
    assert answer.status == HTTPStatus.BAD_REQUEST


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_health_and_readiness_are_answered(path: str) -> None:
    answer = ask(path)
    assert answer is not None
    assert (answer.status, answer.body) == (HTTPStatus.OK, b"ok\n")


@pytest.mark.parametrize("path", ["/", "/favicon.ico", "", "/getaddr/", "*"])
def test_another_path_is_not_found_unless_it_begins_a_link(path: str) -> None:
    answer = ask(path)
    assert answer is not None
    assert answer.status == HTTPStatus.NOT_FOUND
    assert ask(path, is_upgrade=True) is None


async def test_an_http_client_gets_its_answers_from_the_port_of_the_links() -> None:
    async with local_server() as server, httpx.AsyncClient() as client:
        page = {"Origin": "http://localhost:3000"}
        answer = await client.get(
            f"http://{server.address}/getaddr", params={"vid": "app"}, headers=page
        )
        assert answer.status_code == HTTPStatus.OK
        assert answer.headers["Access-Control-Allow-Origin"] == page["Origin"]
        assert answer.json()["web"] == [[server.host, server.port]] * 2
        for path in ("healthz", "readyz"):
            assert (await client.get(f"http://{server.address}/{path}")).text == "ok\n"
            seen = await client.head(f"http://{server.address}/{path}")
            assert (seen.status_code, seen.headers["Content-Length"], seen.text) == (200, "3", "")
        asked = await client.head(f"http://{server.address}/getaddr", params={"vid": "app"})
        assert asked.headers["Content-Length"] == str(len(answer.content))
        assert (await client.head(f"http://{server.address}/no")).status_code == 404
        missing = await client.get(f"http://{server.address}/no")
        assert missing.status_code == HTTPStatus.NOT_FOUND
        refused = await client.post(f"http://{server.address}/getaddr?vid=app")
        assert refused.status_code == HTTPStatus.METHOD_NOT_ALLOWED
