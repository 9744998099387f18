"""What was asked at the admin address: a request's path, parameters and body, each as its form.

Owns: reading them, and the problem where one is wrong, with its place. Must not know what is done
with any of it, nor who asks.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import Final, TypeVar
from urllib.parse import parse_qsl, unquote_to_bytes

import msgspec
from starlette.requests import Request

from signal_sdk.net.deadline import move_on_after
from signal_sdk.net.reactor import Reactor
from signal_sdk.server.admin.problems import ProblemError

__all__ = ["MAX_BODY_BYTES", "decode_body", "path_of", "query_of", "read_body"]

MAX_BODY_BYTES: Final = 1024**2
BODY_SECONDS: Final = 20.0
"""How long a body may take to come."""
MAX_QUERY_FIELDS: Final = 32
_AT: Final = re.compile(r"(?P<what>.*?)(?: - at `(?P<at>[^`]*)`)?", re.DOTALL)
_FIELD: Final = re.compile(r"Object (?:contains unknown|missing required) field `(?P<name>[^`]*)`")

T = TypeVar("T")


def path_of(found: Mapping[str, str]) -> dict[str, str]:
    """The parts of a path, of which each was escaped by itself. Raises `ProblemError`."""
    parts = {}
    for name, part in found.items():
        try:
            parts[name] = unquote_to_bytes(part).decode()
        except UnicodeDecodeError:
            raise _wrong("is not UTF-8 text", f"path.{name}") from None
    return parts


def query_of(text: bytes, form: type[T]) -> T:
    """What stands behind the question mark. Raises `ProblemError`."""
    found: dict[str, str] = {}
    try:
        pairs = parse_qsl(
            text.decode("ascii"),
            keep_blank_values=True,
            errors="strict",
            max_num_fields=MAX_QUERY_FIELDS,
        )
    except UnicodeDecodeError:
        raise _wrong("is not UTF-8 text", "query") from None
    except ValueError:
        raise _wrong(f"has more than {MAX_QUERY_FIELDS} parameters", "query") from None
    for name, value in pairs:
        if name in found:
            raise _wrong("is there twice", f"query.{name}")
        found[name] = value
    try:
        return msgspec.convert(found, form, strict=False)
    except msgspec.ValidationError as exc:
        raise _invalid(exc, "query") from None


async def read_body(request: Request, reactor: Reactor) -> bytes:
    """The body of a request, which is JSON. Raises `ProblemError`."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        detail = "the body is to be JSON: Content-Type: application/json"
        raise ProblemError(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "no-json", detail)
    length = request.headers.get("content-length", "")
    if length.isdecimal() and int(length[:12]) > MAX_BODY_BYTES:
        raise _too_large()
    body = bytearray()
    with move_on_after(reactor, BODY_SECONDS):
        has_more = True
        while has_more:
            message = await request.receive()
            if message["type"] != "http.request":
                raise ProblemError(HTTPStatus.BAD_REQUEST, "no-json", "the body broke off")
            body += message.get("body", b"")
            if len(body) > MAX_BODY_BYTES:
                raise _too_large()
            has_more = message.get("more_body", False)
        return bytes(body)
    raise ProblemError(
        HTTPStatus.REQUEST_TIMEOUT, "too-slow", f"the body took longer than {BODY_SECONDS:g} s"
    )


def decode_body(body: bytes, form: type[T]) -> T:
    """A body as its form. Raises `ProblemError`: 400 where it is no JSON, 422 where it is not what
    it should be, with the place.
    """
    try:
        return msgspec.json.decode(body, type=form)
    except msgspec.ValidationError as exc:
        raise _invalid(exc, "$") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as exc:
        text = str(exc) if isinstance(exc, msgspec.DecodeError) else "it is not UTF-8 text"
        raise ProblemError(
            HTTPStatus.BAD_REQUEST, "no-json", f"the body is no JSON: {text}"
        ) from None
    except RecursionError:
        raise ProblemError(
            HTTPStatus.BAD_REQUEST, "no-json", "the body is nested too deeply"
        ) from None


def _invalid(exc: msgspec.ValidationError, root: str) -> ProblemError:
    match = _AT.fullmatch(str(exc))
    what, at = (match["what"], match["at"]) if match else (str(exc), None)
    place = (at or "$").replace("$", root, 1)
    field = _FIELD.fullmatch(what)
    if field:
        place = f"{place}.{field['name']}"
    return _wrong(what, place)


def _wrong(detail: str, place: str) -> ProblemError:
    return ProblemError(
        HTTPStatus.UNPROCESSABLE_ENTITY, "bad-field", f"{place}: {detail}", place=place
    )


def _too_large() -> ProblemError:
    detail = f"the body has more than {MAX_BODY_BYTES} bytes"
    return ProblemError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "too-large", detail)
