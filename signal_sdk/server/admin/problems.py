"""What is said of a request that fails: a problem (RFC 9457), with the code of the failure where
the server's rules have one.

Owns: which status each failure has, and how it is spelled. Must not know what was asked. No problem
holds a key.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from http import HTTPStatus
from types import MappingProxyType
from typing import Final

import msgspec
from starlette.responses import Response

from signal_sdk.ecodes import ECode
from signal_sdk.errors import ParameterError, SignalError
from signal_sdk.server.engine.base import NoBytesError, UnknownError
from signal_sdk.server.operator.facts import NotThereError
from signal_sdk.server.refusals import LimitError

__all__ = ["MEDIA_TYPE", "Problem", "ProblemError", "problem_of"]

MEDIA_TYPE: Final = "application/problem+json"
TYPES: Final = "urn:signal-sdk:problem:"
"""What the name of each kind of problem begins with."""
NO_HEADERS: Final[Mapping[str, str]] = MappingProxyType({})


class Problem(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What failed: `type` names its kind, `detail` says what was wrong. `ecode` and `ecode_name`
    are the code that a client of the server's would hear; `place` is where in the request a wrong
    value stands: `$.ttl` is a field of its body, `query.limit` a parameter, `path.account` a part
    of its path. After `retry_after` seconds it may be tried again.
    """

    type: str
    title: str
    status: int
    detail: str
    ecode: int | None = None
    ecode_name: str | None = None
    place: str | None = None
    retry_after: float | None = None


class ProblemError(Exception):
    """A request fails. `kind` is a word for what failed, `detail` one line that says it."""

    def __init__(
        self,
        status: HTTPStatus,
        kind: str,
        detail: str,
        *,
        ecode: ECode | None = None,
        place: str | None = None,
        retry_after: float | None = None,
        headers: Mapping[str, str] = NO_HEADERS,
    ) -> None:
        super().__init__(status, kind, detail)
        self.problem: Problem = Problem(
            type=f"{TYPES}{kind}",
            title=status.phrase,
            status=int(status),
            detail=detail,
            ecode=None if ecode is None else int(ecode),
            ecode_name=None if ecode is None else ecode.name,
            place=place,
            retry_after=retry_after,
        )
        self.headers: Mapping[str, str] = headers
        if retry_after is not None:
            self.headers = {**headers, "Retry-After": str(math.ceil(retry_after))}

    def response(self) -> Response:
        """How it is answered."""
        return Response(
            msgspec.json.encode(self.problem),
            status_code=self.problem.status,
            headers=dict(self.headers),
            media_type=MEDIA_TYPE,
        )


def problem_of(error: SignalError) -> ProblemError:
    """What is said of a refusal by the server's rules."""
    status, kind = _status_of(error)
    return ProblemError(
        status, kind, error.reason, ecode=error.ecode, retry_after=error.retry_after
    )


KINDS: Final[tuple[tuple[type[SignalError], HTTPStatus, str], ...]] = (
    (ParameterError, HTTPStatus.UNPROCESSABLE_ENTITY, "refused-value"),
    (NotThereError, HTTPStatus.NOT_FOUND, "not-there"),
    (NoBytesError, HTTPStatus.CONFLICT, "no-bytes"),
    (UnknownError, HTTPStatus.GATEWAY_TIMEOUT, "outcome-unknown"),
)


def _status_of(error: SignalError) -> tuple[HTTPStatus, str]:
    if isinstance(error, LimitError):
        if error.retry_after is None:
            return HTTPStatus.CONFLICT, "no-room"
        return HTTPStatus.TOO_MANY_REQUESTS, "too-often"
    found = ((status, kind) for cls, status, kind in KINDS if isinstance(error, cls))
    return next(found, (HTTPStatus.SERVICE_UNAVAILABLE, "not-now"))
