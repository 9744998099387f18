"""What is answered at the admin address: the API, its document, the health checks, the metrics, the
console's files.

Owns: in which order a request is looked at, and that each is answered, whatever fails. Must not
know any operation, nor what a connection is. First it is asked which page and name a request comes
by, then for its key, before anything tells what there is; then for the right, and only then for
what it says.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable, Iterable
from http import HTTPStatus
from typing import Final, TypeAlias

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route, Router

from signal_sdk.errors import SignalError
from signal_sdk.raised import type_name
from signal_sdk.server.admin.asked import decode_body, path_of, query_of, read_body
from signal_sdk.server.admin.connections import (
    Connection,
    GoneError,
    Message,
    Receive,
    Scope,
    Send,
)
from signal_sdk.server.admin.files import console_files
from signal_sdk.server.admin.idempotency import HEADER, Idempotency
from signal_sdk.server.admin.keys import Keys, check_page
from signal_sdk.server.admin.openapi import document
from signal_sdk.server.admin.operations import Asked, Operation
from signal_sdk.server.admin.problems import ProblemError, problem_of
from signal_sdk.server.admin.routes import OPERATIONS
from signal_sdk.server.admin.served import Served
from signal_sdk.server.config import Config
from signal_sdk.server.config_admin import admin_place

__all__ = ["AdminApp"]

logger: logging.Logger = logging.getLogger("signal_sdk.server.admin")

API: Final = "/v1/"
JSON: Final = "application/json"
HOLDER: Final = "holder"
"""Whose key a request has come with, in its scope's state."""
HEADERS: Final = (
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"x-content-type-options", b"nosniff"),
)
"""Of every answer: it is not shown within another page."""
NOT_KEPT: Final = (b"cache-control", b"no-store")
"""Of every answer that does not say otherwise."""
_Answer: TypeAlias = Callable[[Request], Awaitable[Response]]


class AdminApp:
    """What is served to those who run a server. It is called as ASGI says."""

    def __init__(self, config: Config, served: Served) -> None:
        self._served = served
        self._keys = Keys(())
        self._idempotency = Idempotency()
        self._document = document(OPERATIONS)
        self.take(config)
        answers: dict[str, dict[str, _Answer]] = {}
        for operation in OPERATIONS:
            answers.setdefault(operation.path, {})[operation.method] = self._answer_to(operation)
        pages: dict[str, _Answer] = {
            "/openapi.json": self._openapi,
            "/healthz": self._healthz,
            "/readyz": self._readyz,
            "/metrics": self._metrics,
            **{path: file.answer for path, file in console_files().items()},
        }
        # Who looks whether a server is there often asks for no more than the head.
        answers |= {path: {"GET": page, "HEAD": page} for path, page in pages.items()}
        self._router = Router(
            [Route(path, _Place(methods)) for path, methods in answers.items()],
            redirect_slashes=False,
            default=_nothing,
        )

    def take(self, config: Config) -> None:
        """The keys, the names and the apps are those of `config` from here on."""
        self._keys.take(config.admin_keys)
        self._apps = config.apps
        self._names = frozenset(
            name.lower() for name in (*config.admin.hosts, admin_place(config)[0])
        )
        self._has_open_metrics = config.admin.metrics_open
        for stream in self._served.streams:
            # Its key may be none any more.
            stream.end()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        has_begun = False

        async def sending(message: Message) -> None:
            nonlocal has_begun
            if message["type"] == "http.response.start":
                has_begun = True
                headers = [*message.get("headers", ()), *HEADERS]
                if all(name != NOT_KEPT[0] for name, _ in headers):
                    headers.append(NOT_KEPT)
                message["headers"] = headers
            await send(message)

        try:
            await self._route(scope, receive, sending)
        except GoneError:
            raise
        except Exception as exc:  # noqa: BLE001  whatever it is, the server goes on
            problem = _problem_of(exc)
            if not has_begun:
                await problem.response()(scope, receive, sending)

    async def _route(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        check_page(request.headers.get("host", ""), request.headers.get("origin"), self._names)
        # The parts of a path may have slashes, escaped, which are not to part them.
        scope["path"] = scope["raw_path"].decode("ascii")
        if scope["path"].startswith(API):
            self._let_in(request)
        await self._router(scope, receive, send)

    def _let_in(self, request: Request) -> None:
        """Know whose key it is that a request comes with."""
        host = request.client.host if request.client else ""
        state = request.scope.setdefault("state", {})
        holder = self._keys.holder(request.headers.get("authorization", ""), host)
        connection = state.get("connection")
        if isinstance(connection, Connection):
            connection.begin(holder.name)
        state[HOLDER] = holder

    def _answer_to(self, operation: Operation) -> _Answer:
        async def answer(request: Request) -> Response:
            holder = request.scope["state"][HOLDER]
            path = path_of(request.path_params)
            if operation.right:
                holder.check(operation.right, path.get("app"))
            query = query_of(request.scope["query_string"], operation.query)
            asked = Asked(
                served=self._served,
                holder=holder,
                apps=self._apps,
                path=path,
                query=query,
                last_event_id=request.headers.get("last-event-id"),
            )
            if operation.body is None:
                return await self._act(operation, asked)
            said = await read_body(request, self._served.reactor)
            asked = asked.saying(decode_body(said, operation.body))
            key = request.headers.get(HEADER) if operation.sends else None
            if key is None:
                return await self._act(operation, asked)
            with self._idempotency.once(holder.name, request.scope["path"], key, said) as answered:
                if answered.body is None:
                    response = await self._act(operation, asked.as_message(answered.message_id))
                    answered.body = bytes(response.body)
                return _json(answered.body)

        return answer

    async def _act(self, operation: Operation, asked: Asked) -> Response:
        began = time.monotonic()
        found = await operation.act(asked)
        if operation.changes:
            logger.info(
                "key %s: %s %s, in %.0f ms",
                asked.holder.name,
                operation.name,
                " ".join(map(repr, asked.path.values())),
                (time.monotonic() - began) * 1000,
            )
        if isinstance(found, Response):
            return found
        return _json(b"" if found is None else msgspec.json.encode(found))

    # --- What needs no key

    async def _openapi(self, _: Request) -> Response:
        return Response(self._document, media_type=JSON)

    async def _healthz(self, _: Request) -> Response:
        return Response("ok\n", media_type="text/plain")

    async def _readyz(self, _: Request) -> Response:
        why = self._served.node.why_not_ready()
        status = HTTPStatus.SERVICE_UNAVAILABLE if why else HTTPStatus.OK
        return Response(f"{why or 'ok'}\n", status_code=status, media_type="text/plain")

    async def _metrics(self, request: Request) -> Response:
        if not self._has_open_metrics:
            self._let_in(request)
            request.scope["state"][HOLDER].check("metrics", None)
        if self._served.exposition is None:
            raise ProblemError(HTTPStatus.NOT_FOUND, "not-there", "this node has no metrics")
        kind, text = self._served.exposition(request.headers.get("accept", ""))
        return Response(text, headers={"Content-Type": kind})


class _Place:
    """What is answered at one path, by the method."""

    def __init__(self, answers: dict[str, _Answer]) -> None:
        self._answers = answers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        answer = self._answers.get(scope["method"])
        if answer is None:
            raise ProblemError(
                HTTPStatus.METHOD_NOT_ALLOWED,
                "other-method",
                f"there is {_listed(self._answers)} here",
                headers={"Allow": ", ".join(self._answers)},
            )
        response = await answer(Request(scope, receive))
        await response(scope, receive, send)


async def _nothing(scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG001  as ASGI says
    raise ProblemError(
        HTTPStatus.NOT_FOUND, "no-such-path", "there is nothing here: see /openapi.json"
    )


def _json(body: bytes) -> Response:
    if not body:
        return Response(status_code=HTTPStatus.NO_CONTENT)
    return Response(body, media_type=JSON)


def _listed(methods: Iterable[str]) -> str:
    return " and ".join(methods)


def _problem_of(exc: Exception) -> ProblemError:
    if isinstance(exc, ProblemError):
        return exc
    if isinstance(exc, SignalError):
        return problem_of(exc)
    logger.error("a request to the admin address failed: %s", type_name(exc), exc_info=exc)
    return ProblemError(
        HTTPStatus.INTERNAL_SERVER_ERROR, "failed", "the server failed: its log says why"
    )
