"""The lookup: which addresses a server names for an app (protocol.md, section 1).

Owns: the HTTP request, and that those who ask at the same time ask once. The only module that knows
httpx. Must not know what the addresses are for.
"""

from __future__ import annotations

import errno
import functools
import os
import ssl
from typing import Final
from urllib.parse import urlsplit

import attrs
import httpx
import msgspec
import trio

from signal_sdk.client.proxies import NO_PROXIES, Proxies, Proxy
from signal_sdk.ecodes import ECode
from signal_sdk.errors import LinkError, LoginError
from signal_sdk.net.deadline import move_on_after
from signal_sdk.net.reactor import Reactor
from signal_sdk.printable import one_line
from signal_sdk.raised import cause_of

__all__ = [
    "ATTEMPTS",
    "ATTEMPT_SECONDS",
    "SharedLookup",
    "cause_of",
    "default_ssl_context",
    "look_up",
]

ATTEMPTS: Final = 2
ATTEMPT_SECONDS: Final = 5.0
"""How long one attempt may take; the original clients try twice, 5 s each."""
MAX_BYTES: Final = 64 * 1024
"""How long an answer may be: a thousand addresses fit."""
IDENTITY: Final = "identity"


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

    def __init__(
        self,
        base_url: str,
        appid: str,
        ssl_context: ssl.SSLContext | None,
        proxies: Proxies = NO_PROXIES,
    ) -> None:
        self._ask = functools.partial(
            look_up, base_url, appid, ssl_context=ssl_context, proxies=proxies
        )
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
                    self._addresses = await self._ask(reactor)
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
    reactor: Reactor,
    *,
    ssl_context: ssl.SSLContext | None = None,
    name: str = "",
    attempts: int = ATTEMPTS,
    proxies: Proxies = NO_PROXIES,
) -> list[tuple[str, int]]:
    """Ask the server at `base_url` for the addresses that serve `appid`, as (host, port).

    Attempts of 5 s each, by default two, by the clock of `reactor`. Where `base_url` has the
    server's address only, `name` is what it is to be called, and what its certificate is to hold
    for. Raises `LoginError` (201), which says what to look at where that can be told.
    """
    reason = ""
    for _ in range(attempts):
        reason = f"no answer in {ATTEMPT_SECONDS:g} s"
        with move_on_after(reactor, ATTEMPT_SECONDS):
            try:
                return await _ask(base_url, appid, ssl_context, name, _proxy(base_url, proxies))
            except (httpx.HTTPError, httpx.InvalidURL, msgspec.MsgspecError, LinkError) as exc:
                reason = _reason(exc, base_url, proxies)
    raise LoginError(ECode.LOGIN_E_NET, f"the lookup at {base_url} failed: {reason}")


def _reason(exc: Exception, base_url: str, proxies: Proxies) -> str:
    """Why an attempt has failed, with a question where it most likely went to a wrong place. Behind
    a proxy nobody knows whose the failure is.
    """
    reason = cause_of(exc)
    if isinstance(exc, LinkError) or _proxy(base_url, proxies) is not None:
        return reason
    if isinstance(exc, httpx.HTTPStatusError) and exc.response.status_code == 404:
        return "HTTP 404, so that is no signaling server, or not its port for clients"
    advice = ""
    is_tls = base_url.startswith("https:")
    if reason == os.strerror(errno.ECONNREFUSED):
        advice = "is a server running there, and is it that port?"
    elif "self-signed certificate" in reason or "unable to get local issuer" in reason:
        advice = "a CA of one's own is trusted by ssl_context, or --ca FILE"
    elif is_tls and "[SSL: " in reason and "CERTIFICATE_VERIFY_FAILED" not in reason:
        advice = "is that its TLS port, the one above the plain one?"
    elif not is_tls and isinstance(exc, httpx.RemoteProtocolError) and "disconnected" in reason:
        advice = "is that its plain port? where it is the one for TLS, write https://"
    return f"{reason} ({advice})" if advice else reason


def _proxy(base_url: str, proxies: Proxies) -> httpx.Proxy | None:
    """The proxy that the lookup is asked through. Raises `LinkError`."""
    parts = urlsplit(base_url)
    is_tls = parts.scheme == "https"
    port = parts.port or (443 if is_tls else 80)
    proxy: Proxy | None = proxies.of(parts.hostname or "", port, tls=is_tls)
    return None if proxy is None else httpx.Proxy(proxy.url, auth=proxy.auth)


async def _ask(
    base_url: str,
    appid: str,
    ssl_context: ssl.SSLContext | None,
    name: str,
    proxy: httpx.Proxy | None,
) -> list[tuple[str, int]]:
    headers = {"Accept-Encoding": IDENTITY} | ({"Host": name} if name else {})
    extensions = {"sni_hostname": name} if name else {}
    # Without TLS no certificates need to be loaded. Of proxies httpx hears from us alone, so that
    # the link goes through the same one.
    verify = False if base_url.startswith("http:") else ssl_context or default_ssl_context()
    async with httpx.AsyncClient(
        verify=verify,
        trust_env=False,
        timeout=None,  # noqa: S113  bounded above
        proxy=proxy,
    ) as client:
        url, params = f"{base_url}/getaddr", {"vid": appid}
        stream = client.stream("GET", url, params=params, headers=headers, extensions=extensions)
        async with stream as response:
            response.raise_for_status()
            body = await _read(response)
    # One that is alone is named twice, for old clients.
    addresses = list(dict.fromkeys(msgspec.json.decode(body, type=_Answer).web))
    if not addresses:
        raise httpx.RemoteProtocolError("it names no address")
    return addresses


async def _read(response: httpx.Response) -> bytes:
    """The body as it came. Whoever answers may answer anything: what is long is not read to its
    end, and what is encoded, which may be a thousand times as long, not at all.
    """
    encoding = response.headers.get("Content-Encoding", IDENTITY)
    if encoding.strip().lower() != IDENTITY:
        raise httpx.RemoteProtocolError(f"its answer is encoded ({one_line(encoding):.40})")
    body = bytearray()
    try:
        async for part in response.aiter_raw():
            body += part
            if len(body) > MAX_BYTES:
                # Not left here: generators deep in httpx would be left unfinished. What it has
                # still to read fails.
                await response.aclose()
    except (httpx.TransportError, httpx.StreamError):
        if len(body) <= MAX_BYTES:
            raise
    if len(body) > MAX_BYTES:
        raise httpx.RemoteProtocolError(f"its answer is longer than {MAX_BYTES} bytes")
    return bytes(body)
