"""Who may ask what at the admin address: with which key, and from which pages.

Owns: finding a key in the same time whichever it is, what is said to those who have none, how often
somebody may try, and which pages and names are refused. Must not know what is asked. No key is in a
log, an error or a `repr`.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import re
import secrets
from collections.abc import Sequence
from http import HTTPStatus
from typing import Final

import attrs
import trio

from signal_sdk.server.admin.problems import ProblemError
from signal_sdk.server.complaints import Complaint
from signal_sdk.server.config import AdminKeyConfig
from signal_sdk.server.config_admin import ALL_APPS
from signal_sdk.server.origins import host_of, leads_here
from signal_sdk.server.rates import Paces
from signal_sdk.server.visitors import network_of

__all__ = ["Holder", "Keys", "check_page"]

logger: logging.Logger = logging.getLogger("signal_sdk.server.admin")

WRONG_PER_MINUTE: Final = 20
"""So many wrong keys from one address are told that they are."""
MINUTE_SECONDS: Final = 60.0
MAX_SHOWN_CHARS: Final = 100
CHALLENGE: Final = 'Bearer realm="signal-sdk admin"'
_BEARER: Final = re.compile(r"bearer +(\S+) *", re.IGNORECASE)
NO_KEY: Final = "a key is needed: Authorization: Bearer KEY, one of [[admin.keys]]"
WRONG_KEY: Final = "the key is not one of [[admin.keys]]"


@attrs.frozen(kw_only=True)
class Holder:
    """Who has asked: the name of the key, its app (`*` for all), and its rights."""

    name: str
    app: str
    rights: frozenset[str]

    def check(self, right: str, app: str | None) -> None:
        """Raise `ProblemError` (403) where it may not: for want of `right`, or since `app`, or the
        whole server where that is None, is none of its own.
        """
        if right not in self.rights:
            detail = f"the key {self.name} has no right to {right}"
        elif self.app in (ALL_APPS, app):
            return
        else:
            what = "for every app" if app is None else "for this app"
            detail = f"the key {self.name} is not {what}"
        raise ProblemError(HTTPStatus.FORBIDDEN, "forbidden", detail)


class Keys:
    """The keys of `[[admin.keys]]`."""

    def __init__(self, keys: Sequence[AdminKeyConfig]) -> None:
        self._salt = secrets.token_bytes(32)
        self._paces: Paces[str] = Paces()
        self._told_wrong = Complaint("wrong keys come to the admin address", logger)
        self.take(keys)

    def take(self, keys: Sequence[AdminKeyConfig]) -> None:
        """From here on these are the keys."""
        self._holders = [
            (
                self._digest(key.key),
                Holder(name=key.name, app=key.app, rights=frozenset(key.rights)),
            )
            for key in keys
        ]

    def holder(self, authorization: str, host: str) -> Holder:
        """Who asks from the address `host` with this header. Raises `ProblemError`: 401 with no key
        or a wrong one, 429 once too many were wrong. A right key is always one: whoever shares an
        address with somebody who guesses is not kept out by that, and a key cannot be guessed.
        """
        match = _BEARER.fullmatch(authorization)
        found = self._find(match[1] if match else "")
        if found is not None:
            return found
        if match is None:
            raise ProblemError(
                HTTPStatus.UNAUTHORIZED,
                "no-key",
                NO_KEY,
                headers={"WWW-Authenticate": CHALLENGE},
            )
        network = network_of(host) or host
        self._told_wrong.tell(f"from {network}")
        late = self._paces.of(network).seconds_left(
            WRONG_PER_MINUTE, trio.current_time(), MINUTE_SECONDS
        )
        if late:
            text = "too many wrong keys came from this address"
            raise ProblemError(
                HTTPStatus.TOO_MANY_REQUESTS, "too-many-wrong-keys", text, retry_after=late
            )
        raise ProblemError(
            HTTPStatus.UNAUTHORIZED,
            "wrong-key",
            WRONG_KEY,
            headers={"WWW-Authenticate": f'{CHALLENGE}, error="invalid_token"'},
        )

    def _find(self, key: str) -> Holder | None:
        """Whose key it is. All are compared, and none by its text, so that the time tells nothing
        of how much of one is right, nor of which.
        """
        found = None
        given = self._digest(key)
        for digest, holder in self._holders:
            if hmac.compare_digest(given, digest):
                found = holder
        return found

    def _digest(self, key: str) -> bytes:
        return hmac.digest(self._salt, key.encode("utf-8", "surrogatepass"), hashlib.sha256)


def check_page(host_header: str, origin: str | None, names: frozenset[str]) -> None:
    """Raise `ProblemError` (403) where a page asks that is not the server's own, or where one may
    have had a name of its own lead here: `names` are those by which the server is reached beside
    addresses, `localhost` and names without a dot.
    """
    host = host_of(host_header)
    if not host or not (host in names or leads_here(host)):
        detail = f"{_shown(host_header)} is no name of this address: see hosts in [admin]"
    elif origin is None or origin.partition("://")[2].lower() == host_header.lower():
        return
    else:
        detail = f"a page of {_shown(origin)} may not use this address: only its own may"
    raise ProblemError(HTTPStatus.FORBIDDEN, "other-origin", detail)


def _shown(text: str) -> str:
    return repr(text[:MAX_SHOWN_CHARS])
