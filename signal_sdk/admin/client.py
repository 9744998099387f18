"""The clients of the admin address: one that waits, and one for trio and asyncio.

Owns: their connections. Must not know what can be asked (`asks`), nor how anything is spelled. No
`repr` and no error shows a key.

    with AdminClient("http://127.0.0.1:8011", key) as admin:
        admin.send("app", "alice", "hello")
"""

from __future__ import annotations

import functools
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Coroutine, Iterator
from typing import Any, Concatenate, Final, ParamSpec, Self, TypeVar

import anyio
import httpx

from signal_sdk.admin import asks
from signal_sdk.admin.asks import Ask
from signal_sdk.admin.errors import AdminError, Problem, error_of
from signal_sdk.admin.results import Event, Page
from signal_sdk.admin.streams import SILENT_SECONDS, EventReader
from signal_sdk.raised import cause_of

__all__ = ["AdminClient", "AsyncAdminClient"]

P = ParamSpec("P")
T = TypeVar("T")
TIMEOUT_SECONDS: Final = 30.0


def _now(
    build: Callable[P, Ask[T]],
) -> Callable[Concatenate[AdminClient, P], T]:
    """A method that waits for the answer."""

    @functools.wraps(build)
    def method(self: AdminClient, /, *args: P.args, **more: P.kwargs) -> T:
        return self.ask(build(*args, **more))

    return method


def _later(
    build: Callable[P, Ask[T]],
) -> Callable[Concatenate[AsyncAdminClient, P], Coroutine[Any, Any, T]]:
    """A method whose answer is awaited."""

    @functools.wraps(build)
    async def method(self: AsyncAdminClient, /, *args: P.args, **more: P.kwargs) -> T:
        return await self.ask(build(*args, **more))

    return method


class _Settings:
    """What both clients are made with."""

    def __init__(
        self,
        url: str,
        key: str,
        *,
        timeout: float = TIMEOUT_SECONDS,
        verify: bool | ssl.SSLContext = True,
    ) -> None:
        self.url: str = url.rstrip("/")
        """Where the admin address is."""
        self._options: dict[str, Any] = {
            "base_url": self.url,
            "headers": {"Authorization": f"Bearer {key}"},
            "timeout": timeout,
            "verify": verify,
            # A proxy of the environment's would have the key, and a .netrc take its place.
            "trust_env": False,
        }

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.url!r})"


def _request(ask: Ask[Any]) -> dict[str, Any]:
    content = ask.content()
    headers = dict(ask.headers)
    if content is not None:
        headers["Content-Type"] = "application/json"
    return {
        "method": ask.method,
        "url": ask.path,
        "params": ask.query or None,
        "content": content,
        "headers": headers,
    }


def _stream(reader: EventReader) -> dict[str, Any]:
    return {
        "method": "GET",
        "url": reader.path,
        "params": reader.query or None,
        "headers": reader.headers(),
        "timeout": httpx.Timeout(TIMEOUT_SECONDS, read=SILENT_SECONDS),
    }


def _unanswered(exc: Exception) -> AdminError:
    return AdminError(0, Problem(detail=cause_of(exc)))


class AdminClient(_Settings):
    """A server's admin address, for programs that wait for each answer. It may be used by several
    threads, and is closed by `close`, or where its block ends.

    `url` is the address, such as `http://127.0.0.1:8011`; `key` one of `[[admin.keys]]`. An answer
    takes `timeout` seconds at most; `verify` says which certificates are trusted, as in httpx. The
    environment's proxies are not used. Methods raise `AdminError`.
    """

    def __init__(
        self,
        url: str,
        key: str,
        *,
        timeout: float = TIMEOUT_SECONDS,
        verify: bool | ssl.SSLContext = True,
    ) -> None:
        super().__init__(url, key, timeout=timeout, verify=verify)
        self._client = httpx.Client(**self._options)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close its connections."""
        self._client.close()

    def ask(self, ask: Ask[T]) -> T:
        """Send a request, and wait for its answer. Raises `AdminError`."""
        try:
            answer = self._client.request(**_request(ask))
        except (httpx.HTTPError, httpx.InvalidURL) as exc:
            raise _unanswered(exc) from None
        return ask.answer(answer.status_code, answer.content)

    def each(self, pages: Callable[..., Page[T]], *args: str) -> Iterator[T]:
        """All that a method has which answers in pages: `each(admin.members, "app", "room")`."""
        cursor, has_more = "", True
        while has_more:
            page = pages(*args, cursor=cursor)
            yield from page.items
            cursor = page.cursor
            has_more = bool(cursor)

    def events(
        self, app: str, *, kinds: Collection[str] = (), account: str = "", channel: str = ""
    ) -> Iterator[Event]:
        """What happens in `app` from here on, without end: of these `kinds`, or of all; what
        concerns `account`, what is about `channel`, where these are given. A stream that is lost is
        followed by another, after an event `missed`. Raises `AdminError` where there is no use in
        another.
        """
        reader = EventReader(app, kinds, account, channel)
        while True:
            error = None
            try:
                with self._client.stream(**_stream(reader)) as stream:
                    if stream.status_code == httpx.codes.OK:
                        yield from reader.began()
                        for part in stream.iter_bytes():
                            yield from reader.take(part)
                    else:
                        error = error_of(stream.status_code, stream.read())
            except (httpx.HTTPError, httpx.InvalidURL) as exc:
                error = _unanswered(exc)
            time.sleep(reader.pause(error))

    key: Final = _now(asks.key)
    node: Final = _now(asks.node)
    metrics: Final = _now(asks.metrics)
    send: Final = _now(asks.send)
    send_to_many: Final = _now(asks.send_to_many)
    send_to_channel: Final = _now(asks.send_to_channel)
    online: Final = _now(asks.online)
    presence: Final = _now(asks.presence)
    kick: Final = _now(asks.kick)
    inbox: Final = _now(asks.inbox)
    waiting: Final = _now(asks.waiting)
    user_attributes: Final = _now(asks.user_attributes)
    set_user_attribute: Final = _now(asks.set_user_attribute)
    delete_user_attribute: Final = _now(asks.delete_user_attribute)
    calls_of: Final = _now(asks.calls_of)
    connection: Final = _now(asks.connection)
    make_token: Final = _now(asks.make_token)
    channels: Final = _now(asks.channels)
    channel: Final = _now(asks.channel)
    members: Final = _now(asks.members)
    remove: Final = _now(asks.remove)
    channel_attributes: Final = _now(asks.channel_attributes)
    set_channel_attribute: Final = _now(asks.set_channel_attribute)
    delete_channel_attribute: Final = _now(asks.delete_channel_attribute)
    calls: Final = _now(asks.calls)
    call: Final = _now(asks.call)
    end_call: Final = _now(asks.end_call)
    connections: Final = _now(asks.connections)


class AsyncAdminClient(_Settings):
    """As `AdminClient`, for trio and asyncio: answers are awaited, and it is closed by `aclose`, or
    where its block ends.
    """

    def __init__(
        self,
        url: str,
        key: str,
        *,
        timeout: float = TIMEOUT_SECONDS,
        verify: bool | ssl.SSLContext = True,
    ) -> None:
        super().__init__(url, key, timeout=timeout, verify=verify)
        self._client = httpx.AsyncClient(**self._options)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close its connections."""
        await self._client.aclose()

    async def ask(self, ask: Ask[T]) -> T:
        """Send a request, and wait for its answer. Raises `AdminError`."""
        try:
            answer = await self._client.request(**_request(ask))
        except (httpx.HTTPError, httpx.InvalidURL) as exc:
            raise _unanswered(exc) from None
        return ask.answer(answer.status_code, answer.content)

    async def each(self, pages: Callable[..., Awaitable[Page[T]]], *args: str) -> AsyncIterator[T]:
        """As `AdminClient.each`."""
        cursor, has_more = "", True
        while has_more:
            page = await pages(*args, cursor=cursor)
            for item in page.items:
                yield item
            cursor = page.cursor
            has_more = bool(cursor)

    async def events(
        self, app: str, *, kinds: Collection[str] = (), account: str = "", channel: str = ""
    ) -> AsyncIterator[Event]:
        """As `AdminClient.events`."""
        reader = EventReader(app, kinds, account, channel)
        while True:
            error = None
            try:
                async with self._client.stream(**_stream(reader)) as stream:
                    if stream.status_code == httpx.codes.OK:
                        for event in reader.began():
                            yield event
                        async for part in stream.aiter_bytes():
                            for event in reader.take(part):
                                yield event
                    else:
                        error = error_of(stream.status_code, await stream.aread())
            except (httpx.HTTPError, httpx.InvalidURL) as exc:
                error = _unanswered(exc)
            await anyio.sleep(reader.pause(error))

    key: Final = _later(asks.key)
    node: Final = _later(asks.node)
    metrics: Final = _later(asks.metrics)
    send: Final = _later(asks.send)
    send_to_many: Final = _later(asks.send_to_many)
    send_to_channel: Final = _later(asks.send_to_channel)
    online: Final = _later(asks.online)
    presence: Final = _later(asks.presence)
    kick: Final = _later(asks.kick)
    inbox: Final = _later(asks.inbox)
    waiting: Final = _later(asks.waiting)
    user_attributes: Final = _later(asks.user_attributes)
    set_user_attribute: Final = _later(asks.set_user_attribute)
    delete_user_attribute: Final = _later(asks.delete_user_attribute)
    calls_of: Final = _later(asks.calls_of)
    connection: Final = _later(asks.connection)
    make_token: Final = _later(asks.make_token)
    channels: Final = _later(asks.channels)
    channel: Final = _later(asks.channel)
    members: Final = _later(asks.members)
    remove: Final = _later(asks.remove)
    channel_attributes: Final = _later(asks.channel_attributes)
    set_channel_attribute: Final = _later(asks.set_channel_attribute)
    delete_channel_attribute: Final = _later(asks.delete_channel_attribute)
    calls: Final = _later(asks.calls)
    call: Final = _later(asks.call)
    end_call: Final = _later(asks.end_call)
    connections: Final = _later(asks.connections)
