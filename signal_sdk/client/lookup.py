"""The lookup: which addresses a server names for an app (protocol.md, section 1).

Owns: the HTTP request, and that those who ask at the same time ask once. The only module that knows
httpx. Must not know what the addresses are for.
"""

from __future__ import annotations

import functools
import ssl
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from typing import Final

import attrs
import httpx
import msgspec
import trio

from signal_sdk.ecodes import ECode
from signal_sdk.errors import LoginError
from signal_sdk.net.deadline import move_on_after
from signal_sdk.net.reactor import Reactor

__all__ = ["ATTEMPTS", "ATTEMPT_SECONDS", "SharedLookup", "default_ssl_context", "look_up"]

ATTEMPTS: Final = 2
ATTEMPT_SECONDS: Final = 5.0
"""How long one attempt may take; the original clients try twice, 5 s each."""


@attrs.frozen
class _Answer:
    """What `/getaddr` answers; its other keys are for other clients."""

    web: list[tuple[str, int]]


@functools.cache
def default_ssl_context() -> ssl.SSLContext:
    """The context that trusts the system's CAs; made once, when needed, since it takes a while."""
    return ssl.create_default_context()


class SharedLookup:
    """Lookups of one app at one server: after a server's end all sessions ask at once, and one
    answer, to a question that was put after they asked, is new enough for them all.
    """

    def __init__(self, base_url: str, appid: str, ssl_context: ssl.SSLContext | None) -> None:
        self._base_url = base_url
        self._appid = appid
        self._ssl_context = ssl_context
        self._lock = trio.Lock()
        self._asked = 0
        self._answered = 0
        self._addresses: list[tuple[str, int]] = []
        self._error: LoginError | None = None

    async def ask(self, reactor: Reactor) -> list[tuple[str, int]]:
        """As `look_up`; `reactor` bounds the time."""
        self._asked += 1
        number = self._asked
        async with self._lock:
            if number > self._answered:
                answered = self._asked
                try:
                    self._addresses = await look_up(
                        self._base_url,
                        self._appid,
                        self._ssl_context,
                        bound=partial(move_on_after, reactor),
                    )
                    self._error = None
                except LoginError as exc:
                    self._error = exc
                self._answered = answered
            if self._error is not None:
                raise LoginError(self._error.ecode, self._error.reason)
            return self._addresses


async def look_up(
    base_url: str,
    appid: str,
    ssl_context: ssl.SSLContext | None = None,
    *,
    name: str = "",
    attempts: int = ATTEMPTS,
    bound: Callable[[float], AbstractContextManager[object]] = trio.move_on_after,
) -> list[tuple[str, int]]:
    """Ask the server at `base_url` for the addresses that serve `appid`, as (host, port).

    Attempts of 5 s each, by default two; `bound` ends one. Where `base_url` has the server's
    address only, `name` is what it is to be called, and what its certificate is to hold for.
    Raises `LoginError` (201).
    """
    reason = ""
    for _ in range(attempts):
        reason = f"no answer in {ATTEMPT_SECONDS:g} s"
        with bound(ATTEMPT_SECONDS):
            try:
                return await _ask(base_url, appid, ssl_context, name)
            except (httpx.HTTPError, httpx.InvalidURL, msgspec.MsgspecError) as exc:
                reason = _why(exc)
    raise LoginError(ECode.LOGIN_E_NET, f"the lookup at {base_url} failed: {reason}")


async def _ask(
    base_url: str, appid: str, ssl_context: ssl.SSLContext | None, name: str
) -> list[tuple[str, int]]:
    headers = {"Host": name} if name else {}
    extensions = {"sni_hostname": name} if name else {}
    # Without TLS no certificates need to be loaded. Proxies are not asked: the link cannot go
    # through one either.
    verify = False if base_url.startswith("http:") else ssl_context or default_ssl_context()
    async with httpx.AsyncClient(verify=verify, trust_env=False, timeout=None) as client:  # noqa: S113  bounded above
        response = await client.get(
            f"{base_url}/getaddr", params={"vid": appid}, headers=headers, extensions=extensions
        )
        response.raise_for_status()
        addresses = msgspec.json.decode(response.content, type=_Answer).web
    if not addresses:
        raise httpx.RemoteProtocolError("it names no address")
    return addresses


def _why(exc: BaseException) -> str:
    """What went wrong. httpx leaves the text to what its exception was raised from."""
    told: BaseException | None = exc
    while told is not None and not str(told):
        told = told.__cause__ or told.__context__
    return str(told) if told is not None else type(exc).__name__
