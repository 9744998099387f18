"""The package's exceptions, their tree, and nothing else.

    SignalSdkError
    ├── SignalError            an operation failed; carries its `ecode`
    │   ├── LoginError         the login failed (2xx)
    │   ├── ConflictError      attributes were not as a change of them wants it
    │   ├── LogoutError        the session ended while the operation was under way (1xx)
    │   ├── LockLostError      a lock was lost while its block ran (1001)
    │   └── ParameterError     an argument is wrong or too large (1004, 1005); also a ValueError
    ├── ProtocolError          the peer sent something that the protocol does not allow
    ├── LinkError              the connection could not be made, or broke
    ├── ConfigError            the configuration is wrong; also a ValueError
    │   └── InUseError         it names a port that somebody else has
    └── StorageError           the server's data cannot be used, or not be written

No text of these ever holds a token, a certificate or a session's `line`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from signal_sdk.ecodes import ECode

__all__ = [
    "ConfigError",
    "ConflictError",
    "InUseError",
    "LinkError",
    "LockLostError",
    "LoginError",
    "LogoutError",
    "ParameterError",
    "ProtocolError",
    "SignalError",
    "SignalSdkError",
    "StorageError",
]


_RETRY_AFTER: Final = re.compile(r'\{"retry_after": (\d{1,6}(?:\.\d)?)\}$')


class SignalSdkError(Exception):
    """What every exception of this package derives from."""


class SignalError(SignalSdkError):
    """An operation failed.

    `ecode` is the documented code, `reason` one line that says what was wrong.
    """

    def __init__(self, ecode: ECode, reason: str = "") -> None:
        super().__init__(ecode, reason)
        self.ecode: ECode = ecode
        self.reason: str = reason or ecode.meaning

    @property
    def retry_after(self) -> float | None:
        """After how many seconds the same may be tried again, where the server said so: what was
        asked came too often. None where trying again is of no use as far as anybody knows.
        """
        found = _RETRY_AFTER.search(self.reason)
        return float(found[1]) if found else None

    def __str__(self) -> str:
        return f"{self.reason} ({int(self.ecode)} {self.ecode.name})"


class LoginError(SignalError):
    """The login failed; `ecode` is what `LoginCallback.on_login_failed` hears."""


class LogoutError(SignalError):
    """The session ended before the operation did; `ecode` is what `on_logout` hears."""


class LockLostError(SignalError):
    """A lock was lost while its block ran: it was not renewed in time, or the session is not in the
    channel any more. Somebody else may have it; the reason says which lock, and why.
    """


class ParameterError(SignalError, ValueError):
    """An argument is wrong (1004) or too large (1005); nothing was sent, and nothing changed."""


class ConflictError(SignalError):
    """Nothing was changed: the attributes were not as the change wanted them.

    What they were like is told of those that it named: their `revisions` (0: is not set) and
    `values`, by their names, and the `revision` of all attributes together.
    """

    def __init__(
        self,
        ecode: ECode,
        reason: str = "",
        *,
        revision: int = 0,
        revisions: Mapping[str, int] | None = None,
        values: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(ecode, reason)
        self.revision: int = revision
        self.revisions: Mapping[str, int] = revisions or {}
        self.values: Mapping[str, str] = values or {}


class ProtocolError(SignalSdkError):
    """The peer sent something that the protocol does not allow."""


class LinkError(SignalSdkError):
    """The connection could not be made, or it broke."""


class ConfigError(SignalSdkError, ValueError):
    """The configuration file is wrong; the text is one line with the file, the line and the key.

    `faults` is all that was found to be wrong, a line each, of which the text is the first.
    """

    def __init__(self, text: str, *others: str) -> None:
        super().__init__(text, *others)
        self.text = text
        self.faults: tuple[str, ...] = (text, *others)

    def __str__(self) -> str:
        return self.text


class InUseError(ConfigError):
    """A port is to be listened on that another process has; the text names it, where it shows."""


class StorageError(SignalSdkError):
    """The server's data cannot be used, or not be written; the text is one line with the file."""
