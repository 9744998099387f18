"""What goes wrong between a backend and the admin address of a server.

Owns: the one exception. Must not know what was asked. Its text holds no key.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import attrs
import msgspec

from signal_sdk.ecodes import ECode
from signal_sdk.errors import SignalSdkError

__all__ = ["AdminError", "Problem", "error_of"]


@attrs.frozen(kw_only=True)
class Problem:
    """What the server says of a request that failed (RFC 9457): `type` names its kind, `detail`
    says what was wrong, `place` where in the request.
    """

    type: str = "about:blank"
    title: str = ""
    status: int = 0
    detail: str = ""
    ecode: int | None = None
    ecode_name: str | None = None
    place: str | None = None
    retry_after: float | None = None


NO_PROBLEM: Final = Problem()
NO_ADMIN_ADDRESS: Final = (
    "what has answered is no admin address: a proxy before it, or another port"
)


class AdminError(SignalSdkError):
    """A request to the admin address failed.

    `status` is the HTTP status, 0 where nobody has answered. `problem` is what the server says of
    it; where nobody has, its `detail` says why. It may have been done where `may_be_done`.
    """

    def __init__(self, status: int, problem: Problem) -> None:
        super().__init__(status, problem)
        self.status: int = status
        self.problem: Problem = problem

    @property
    def ecode(self) -> ECode | None:
        """The code that a client of the server's would hear, where its rules have refused it."""
        try:
            return None if self.problem.ecode is None else ECode(self.problem.ecode)
        except ValueError:
            # A newer server may have more of them.
            return None

    @property
    def retry_after(self) -> float | None:
        """After how many seconds it may be tried again, where the server says so."""
        return self.problem.retry_after

    @property
    def may_be_done(self) -> bool:
        """Does nobody know whether it was done? A message with an `idempotency_key` can be sent
        again then, with the same.
        """
        return self.status in (0, 504)

    def __str__(self) -> str:
        problem = self.problem
        code = f" ({problem.ecode} {problem.ecode_name})" if problem.ecode is not None else ""
        return f"{self.status or 'no answer'}: {problem.detail or problem.title}{code}"


def error_of(status: int, content: bytes) -> AdminError:
    """The error of an answer with this status."""
    read: Callable[..., Problem] = msgspec.json.decode
    try:
        problem = read(content, type=Problem)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        problem = attrs.evolve(NO_PROBLEM, status=status, detail=NO_ADMIN_ADDRESS)
    return AdminError(status, problem)
