"""How a link begins: the server's side (with plain HTTP requests answered on the same port) and the
client's.

Owns: the opening handshake and the HTTP messages that the WebSocket library reads and writes. Must
not know any route.
"""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus
from typing import Any, Final, TypeVar
from urllib.parse import SplitResult, parse_qsl, urlsplit

import attrs
from websockets.client import ClientProtocol
from websockets.datastructures import Headers
from websockets.exceptions import InvalidHandshake, InvalidMessage, InvalidStatus
from websockets.http11 import Request, Response
from websockets.protocol import SEND_EOF, Event, Protocol, Side, State
from websockets.server import ServerProtocol
from websockets.typing import StatusLike
from websockets.uri import parse_uri

from signal_sdk.errors import LinkError
from signal_sdk.net.outbox import Outbox
from signal_sdk.net.reactor import Reactor
from signal_sdk.net.strangers import READ_COST_BYTES
from signal_sdk.net.transport import Transport, receive_first
from signal_sdk.websocket import opening
from signal_sdk.websocket.link import Link, WebSocketLink, silent

SECURITY_HEADERS: Final = (
    ("Cache-Control", "no-store"),
    ("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'"),
    ("Referrer-Policy", "no-referrer"),
    ("X-Content-Type-Options", "nosniff"),
)
"""What every HTTP answer says: nothing here is a page. Strict-Transport-Security is not among them:
it counts for all ports of a host, and a browser would not reach the plain one any more.
"""
MAX_REQUEST_BYTES: Final = 16 * 1024
"""How long an opening request may be, where each read counts as some bytes more: browsers may send
cookies along.
"""


@attrs.frozen(kw_only=True)
class HttpRequest:
    """A request that may be an HTTP client's."""

    path: str
    query: dict[str, str]
    host: str
    is_upgrade: bool
    origin: str | None = None
    """Which page asks; None where it is no page."""
    forwarded_for: str = ""
    """For whom a proxy asks, as far as that is one's word."""


@attrs.frozen(kw_only=True)
class HttpAnswer:
    """What an HTTP client is answered."""

    status: HTTPStatus = HTTPStatus.OK
    body: bytes = b""
    content_type: str = "text/plain; charset=utf-8"
    headers: tuple[tuple[str, str], ...] = ()
    """More than every answer has."""


HEAD_END: Final = b"\r\n\r\n"
"""What ends a head: a request's, and an answer's that begins a link, which have no body."""

Answer = Callable[[HttpRequest], HttpAnswer | None]
"""The answer to a request; None where it begins a link."""
L = TypeVar("L", bound=WebSocketLink[Any])
MakeLink = Callable[..., L]
"""Makes a link: a subclass of `WebSocketLink`, or what has its arguments."""


def accept_plain(
    data: bytes,
    transport: Transport,
    reactor: Reactor,
    answer: Answer,
    *,
    make: MakeLink[L],
    max_frame_bytes: int,
    outbox_bytes: int,
) -> L | None:
    """Make a link of a transport on which `data` was received first. None where that takes more
    than a glance, which is `accept`'s: nothing was answered then.
    """
    plain = opening.read(data)
    if plain is None:
        return None
    request = _request(
        plain.target,
        host=plain.host,
        is_upgrade=True,
        origin=plain.origin,
        forwarded_for=plain.forwarded_for,
    )
    if answer(request) is not None:
        return None
    link = make(
        transport, reactor, Side.SERVER, max_bytes=max_frame_bytes, outbox_bytes=outbox_bytes
    )
    link.outbox.append(plain.answer)
    link.feed_early(data[plain.end :])
    return link


async def accept(
    transport: Transport,
    reactor: Reactor,
    answer: Answer,
    *,
    make: MakeLink[L],
    max_frame_bytes: int,
    outbox_bytes: int,
    data: bytes | None = None,
) -> L | None:
    """Read one request: answer it where `answer` has an answer, else make it a link. `data` is what
    was received of it already.

    Returns None where the client got an HTTP answer, and the transport is closed. Raises
    `LinkError` for a bad handshake, and for what came behind a request that was answered; the
    client has its answer then, and the transport is closed; and `NothingSaid` where the client goes
    without a byte. The caller bounds the time.
    """
    data, room = await _receive_whole(transport, data)
    link = accept_plain(
        data,
        transport,
        reactor,
        answer,
        make=make,
        max_frame_bytes=max_frame_bytes,
        outbox_bytes=outbox_bytes,
    )
    if link is not None:
        return link
    protocol = _ServerProtocol(max_size=max_frame_bytes, logger=silent)
    link = make(
        transport,
        reactor,
        Side.SERVER,
        max_bytes=max_frame_bytes,
        outbox_bytes=outbox_bytes,
        protocol=protocol,
    )
    # The library would take what is behind the request for the beginning of a link's frames, and
    # fail where there is to be no link.
    end = _end_of_head(b"", data)
    behind = data[end:]
    if end > room:
        await _refuse_long(protocol, link.outbox)
        transport.close()
        link.let_go()
        raise LinkError(f"a request of more than {MAX_REQUEST_BYTES} bytes")
    protocol.receive_data(data[:end])
    events: list[Event] = protocol.events_received()
    if not events and protocol.handshake_exc is None:
        # It will never be whole.
        protocol.receive_eof()
        events = protocol.events_received()
    request = events[0] if events else None
    if isinstance(request, Request):
        response = _respond(protocol, request, answer)
        protocol.send_response(response)
    await _send(protocol, link.outbox)
    if protocol.state is State.OPEN:
        link.take_early(events[1:])
        link.feed_early(behind)
        return link
    transport.close()
    why, protocol.handshake_exc = protocol.handshake_exc, None
    link.let_go()
    if why is not None:
        raise LinkError(f"a bad handshake: {why}") from None
    if behind:
        raise LinkError(f"an HTTP request was answered, and {len(behind)} bytes behind it not read")
    return None


def gone_halfway(transport: Transport) -> LinkError:
    """The other side has closed, and what it has said begins a request."""
    return LinkError(f"{transport.peer} has closed after half a request")


async def _receive_whole(transport: Transport, data: bytes | None) -> tuple[bytes, int]:
    """A request, of which `data` was received already, once it is whole, or as much of one that
    never will be; and how much room there is for it. What the library holds of half a request takes
    several times as much. Raises `LinkError` where the other side goes before that.
    """
    if data is None:
        data = await receive_first(transport)
    room = MAX_REQUEST_BYTES - READ_COST_BYTES
    while opening.is_half(data) and len(data) <= room:
        more = await transport.receive_some()
        if not more:
            raise gone_halfway(transport)
        data += more
        room -= READ_COST_BYTES
    return data, room


class _ServerProtocol(ServerProtocol):
    """What the library refuses by itself has every answer's headers, too."""

    def reject(self, status: StatusLike, text: str) -> Response:
        response = super().reject(status, text)
        response.headers.update(SECURITY_HEADERS)
        return response


async def _refuse_long(protocol: ServerProtocol, outbox: Outbox) -> None:
    status = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
    protocol.send_response(protocol.reject(status, "the request is too long\n"))
    await _send(protocol, outbox)


def _end_of_head(seen: bytes, data: bytes) -> int:
    """Where a request that began with `seen` ends in `data`, or as far as that has come."""
    at = (seen + data).find(HEAD_END)
    return len(data) if at < 0 else at + len(HEAD_END) - len(seen)


def _respond(protocol: ServerProtocol, request: Request, answer: Answer) -> Response:
    # `get` raises where a client names several.
    host = next(iter(request.headers.get_all("Host")), "")
    # A browser sends one origin; several are none that could be allowed.
    origin = ", ".join(request.headers.get_all("Origin")) if "Origin" in request.headers else None
    is_upgrade = "Upgrade" in request.headers
    answered = answer(
        _request(
            request.path,
            host=host,
            is_upgrade=is_upgrade,
            origin=origin,
            forwarded_for=",".join(request.headers.get_all("X-Forwarded-For")),
        )
    )
    is_head = request.method == "HEAD"
    if request.method != "GET" and not (is_head and answered is not None):
        answered = HttpAnswer(status=HTTPStatus.METHOD_NOT_ALLOWED)
    if answered is None:
        return protocol.accept(request)
    return _response(answered, answered.body if not is_head else b"")


def encode_answer(answer: HttpAnswer) -> bytes:
    """An answer as bytes, for whom is not even asked what he wants."""
    return _response(answer, answer.body).serialize()


def answer_at_once(transport: Transport, answer: HttpAnswer) -> None:
    """Answer as far as that needs no waiting, and say nothing more. Raises `LinkError`."""
    transport.send_nowait(encode_answer(answer))
    transport.send_eof()


def _response(answered: HttpAnswer, body: bytes) -> Response:
    headers = Headers(
        [
            ("Content-Type", answered.content_type),
            ("Content-Length", str(len(answered.body))),
            ("Connection", "close"),
            *SECURITY_HEADERS,
            *answered.headers,
        ]
    )
    return Response(answered.status, answered.status.phrase, headers, body)


def _request(target: str, **more: Any) -> HttpRequest:
    parts = _split(target)
    query = dict(parse_qsl(parts.query)) if parts.query else {}
    return HttpRequest(path=parts.path, query=query, **more)


def _split(target: str) -> SplitResult:
    try:
        return urlsplit(target)
    except ValueError:
        return SplitResult("", "", "/", "", "")


async def _send(protocol: Protocol, outbox: Outbox) -> None:
    for data in protocol.data_to_send():
        if data == SEND_EOF:
            outbox.append_eof()
        else:
            outbox.append(data)
    if protocol.state is not State.OPEN:
        await outbox.drained()


async def connect(
    transport: Transport, reactor: Reactor, url: str, *, max_frame_bytes: int
) -> Link:
    """Do the client's handshake for `url` over `transport`. Raises `LinkError`; the caller bounds
    the time.
    """
    protocol = ClientProtocol(parse_uri(url), max_size=max_frame_bytes, logger=silent)
    link = Link(transport, reactor, Side.CLIENT, max_bytes=max_frame_bytes, protocol=protocol)
    protocol.send_request(protocol.connect())
    await _send(protocol, link.outbox)
    seen = behind = b""
    while protocol.state is State.CONNECTING and protocol.handshake_exc is None:
        data = await transport.receive_some()
        if not data:
            protocol.receive_eof()
            break
        end = _end_of_head(seen, data)
        protocol.receive_data(data[:end])
        behind, seen = data[end:], (seen + data)[1 - len(HEAD_END) :]
        if behind and protocol.state is State.CONNECTING:
            # What a refusal says.
            protocol.receive_data(behind)
    if protocol.state is not State.OPEN:
        transport.close()
        raise LinkError(f"no WebSocket at {transport.peer}: {_why(protocol.handshake_exc)}")
    link.take_early(protocol.events_received())
    link.feed_early(behind)
    return link


def _why(exc: Exception | None) -> str:
    if isinstance(exc, InvalidStatus):
        return f"the server answered HTTP {exc.response.status_code}"
    if isinstance(exc, InvalidMessage) or exc is None:
        return "the server did not answer as a WebSocket server does"
    return str(exc) if isinstance(exc, InvalidHandshake) else type(exc).__name__
