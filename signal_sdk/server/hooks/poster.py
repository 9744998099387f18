"""Posting to a backend: one signed request and its answer, whatever the backend does.

Owns: the HTTP client, the time that an answer has, and what counts as one. Must not know what is
posted.

Only an answer of 2xx is one. No redirect is followed: where it leads, nobody has said that the
backend is. Proxies of the environment are not used. Of an answer so many bytes are read, and none
of one that is compressed, which may be a thousand times as long.
"""

from __future__ import annotations

import logging
import ssl
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Final

import httpx

from signal_sdk.net.deadline import move_on_after
from signal_sdk.net.reactor import Reactor
from signal_sdk.printable import one_line
from signal_sdk.raised import cause_of
from signal_sdk.server.hooks import signing

__all__ = ["MAX_ANSWER_BYTES", "PostError", "Poster"]

MAX_ANSWER_BYTES: Final = 64 * 1024
MAX_CAUSE_CHARS: Final = 200
IDENTITY: Final = "identity"
KEPT_ALIVE: Final = 20
"""How many connections that are not used are kept."""

# It tells of each request, and names its URL.
logging.getLogger("httpx").setLevel(logging.WARNING)
logging.getLogger("httpcore").setLevel(logging.WARNING)


class PostError(Exception):
    """The backend does not have what was posted, or nobody knows. Its text is one line."""


class Poster:
    """Posts JSON to a backend, signed with `keys`, by the clock of `reactor` and the wall clock
    `now`. Nothing is posted but within `running`.
    """

    def __init__(
        self, keys: Sequence[bytes], reactor: Reactor, now: Callable[[], float], urls: Sequence[str]
    ) -> None:
        self._keys = keys
        self._reactor = reactor
        self._now = now
        self._is_tls = any(url.startswith("https:") for url in urls)
        self._client: httpx.AsyncClient | None = None

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Within this, it may post."""
        # To load certificates takes a while, and without TLS none are needed.
        verify = ssl.create_default_context() if self._is_tls else False
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=KEPT_ALIVE)
        async with httpx.AsyncClient(
            verify=verify,
            trust_env=False,
            timeout=None,  # noqa: S113  bounded below
            limits=limits,
        ) as client:
            self._client = client
            try:
                yield
            finally:
                self._client = None

    async def post(self, url: str, name: str, body: bytes, seconds: float) -> bytes:
        """Post `body` under this name, and return the answer's; empty where that is compressed, or
        longer than `MAX_ANSWER_BYTES`. Raises `PostError` where there is no answer of 2xx in so
        many seconds.
        """
        if self._client is None:
            raise PostError("the server is being stopped")
        headers = {
            "Content-Type": "application/json",
            "Accept-Encoding": IDENTITY,
            "User-Agent": "signal-sdk",
            **signing.headers(self._keys, name, self._now(), body),
        }
        request = self._client.build_request("POST", url, content=body, headers=headers)
        request.stream = _Body(body)
        with move_on_after(self._reactor, seconds):
            try:
                response = await self._client.send(request, stream=True)
                try:
                    if not response.is_success:
                        raise PostError(f"it answered {response.status_code}")
                    return await _read(response)
                finally:
                    await response.aclose()
            except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, OSError) as exc:
                raise PostError(one_line(cause_of(exc))[:MAX_CAUSE_CHARS]) from None
        raise PostError(f"no answer in {seconds:g} s")


class _Body(httpx.AsyncByteStream):
    """A request's body. httpx's own is a generator, which is left unfinished where a connection
    ends meanwhile.
    """

    def __init__(self, body: bytes) -> None:
        self._left = [body]

    def __aiter__(self) -> _Body:
        return self

    async def __anext__(self) -> bytes:
        if not self._left:
            raise StopAsyncIteration
        return self._left.pop()


async def _read(response: httpx.Response) -> bytes:
    """The body, where it is one that is read."""
    body = bytearray()
    if response.headers.get("Content-Encoding", IDENTITY).strip().lower() != IDENTITY:
        await response.aclose()
        return b""
    try:
        async for part in response.aiter_raw():
            body += part
            if len(body) > MAX_ANSWER_BYTES:
                # Not left here: generators deep in httpx would be left unfinished. What it has
                # still to read fails.
                await response.aclose()
    except (httpx.TransportError, httpx.StreamError):
        if len(body) <= MAX_ANSWER_BYTES:
            raise
    return bytes(body) if len(body) <= MAX_ANSWER_BYTES else b""
