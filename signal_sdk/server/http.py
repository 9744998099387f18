"""The HTTP answers: the lookup `/getaddr`, the health check and the readiness.

Owns: the routes. Must not know how a request came in, or who else is connected.
"""

from __future__ import annotations

import ipaddress
import logging
from http import HTTPStatus
from typing import Final

import attrs

from signal_sdk.server.complaints import Complaint
from signal_sdk.server.config import ServerConfig, parse_address
from signal_sdk.server.origins import Origins
from signal_sdk.server.places import Places
from signal_sdk.server.visitors import RETRY_SECONDS
from signal_sdk.websocket.handshake import HttpAnswer, HttpRequest
from signal_sdk.wire import frames

logger: logging.Logger = logging.getLogger("signal_sdk.server.connections")

HEALTH_PATH: Final = "/healthz"
READY_PATH: Final = "/readyz"


def unavailable(why: str) -> HttpAnswer:
    """The answer while nobody should come here."""
    return _later(HTTPStatus.SERVICE_UNAVAILABLE, why)


def too_many(why: str) -> HttpAnswer:
    """The answer to who has come too often."""
    return _later(HTTPStatus.TOO_MANY_REQUESTS, why)


def _later(status: HTTPStatus, why: str) -> HttpAnswer:
    headers = (("Retry-After", str(RETRY_SECONDS)),)
    return HttpAnswer(status=status, body=f"{why}\n".encode(), headers=headers)


class Routes:
    """What is answered to requests that are not the beginning of a link."""

    def __init__(self, config: ServerConfig, places: Places) -> None:
        self._places = places
        self._origins = Origins(config)
        self._told = Complaint("a page was refused", logger)

    def answer(
        self, request: HttpRequest, local_host: str, why_not: HttpAnswer | None = None
    ) -> HttpAnswer | None:
        """The answer to `request`, which came in at `local_host`; None where it begins a link. With
        `why_not`, the server lets nobody in.
        """
        answered = self._refuse_page(request) or why_not or self._answer(request, local_host)
        if answered is None:
            return None
        return attrs.evolve(
            answered, headers=answered.headers + self._origins.headers(request.origin, request.host)
        )

    def _refuse_page(self, request: HttpRequest) -> HttpAnswer | None:
        if request.path in (HEALTH_PATH, READY_PATH):
            return None
        why = self._origins.why_not(request.origin, request.host)
        if not why:
            return None
        self._told.tell(why)
        return HttpAnswer(status=HTTPStatus.FORBIDDEN, body=f"{why}\n".encode())

    def _answer(self, request: HttpRequest, local_host: str) -> HttpAnswer | None:
        if request.path == "/getaddr":
            return self._getaddr(request, local_host)
        if request.path in (HEALTH_PATH, READY_PATH):
            return HttpAnswer(body=b"ok\n")
        if request.is_upgrade:
            return None
        return HttpAnswer(
            status=HTTPStatus.NOT_FOUND,
            body=b"there is /getaddr, /healthz, /readyz, and a WebSocket everywhere\n",
        )

    def _getaddr(self, request: HttpRequest, local_host: str) -> HttpAnswer:
        if not request.query.get("vid"):
            return HttpAnswer(status=HTTPStatus.BAD_REQUEST, body=b"/getaddr needs ?vid=APP_ID\n")
        addresses = self._places.web()
        if not addresses:
            addresses = [(_reached_host(request.host) or local_host, self._places.web_port)]
        found = {
            # The web SDK 1.2 opens two connections at once, to the first two.
            "web": addresses * 2 if len(addresses) == 1 else addresses,
            "web2": addresses,
            # Mini programs know TLS only, which is one port up.
            "wx_web": [f"{_bracketed(host)}:{port + 1}" for host, port in addresses],
        }
        return HttpAnswer(body=frames.encode_json(found), content_type="application/json")


def _reached_host(host_header: str) -> str:
    """The address that the client reached us on, where it named one: behind a port mapping only the
    client knows it.
    """
    try:
        host, _ = parse_address(host_header)
        return str(ipaddress.ip_address(host))
    except ValueError:
        # A name: the original clients make wss addresses of IPv4 addresses only.
        return ""


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
