"""One connection to the admin address: bytes in and out, and an end whatever hypercorn waits for.

Owns: how long its other side may take to read, and what becomes of a request that nobody reads to
its end. Must not know what is asked.
"""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final, TypeAlias

import trio

from signal_sdk.net.deadline import move_on_after
from signal_sdk.net.reactor import Reactor

__all__ = [
    "HOLDER",
    "App",
    "Connection",
    "GoneError",
    "Message",
    "Receive",
    "Scope",
    "Send",
    "answering",
]

Message: TypeAlias = MutableMapping[str, Any]
Scope: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
App: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]
"""What ASGI calls an application."""

SEND_SECONDS: Final = 20.0
"""How long the other side may take to read what was written at once."""
HOLDER: Final = "holder"
"""Whose key a request has come with, in its scope's state."""
REST_BYTES: Final = 4 * 1024**2
REST_SECONDS: Final = 2.0
"""So much of a body that is not wanted is read and thrown away, so that its sender hears the
answer: what lies unread at a connection's end takes the answer with it.
"""


class GoneError(Exception):
    """Nobody can hear any more what is answered."""


class Connection(trio.abc.HalfCloseableStream):
    """A connection, as the stream that hypercorn reads and writes. `close` ends it at once."""

    def __init__(self, sock: trio.socket.SocketType, reactor: Reactor) -> None:
        self._stream = trio.SocketStream(sock)
        self._reactor = reactor
        self.socket: trio.socket.SocketType = sock
        """hypercorn asks it where the two ends are."""
        self.known: int = 0
        """How many requests are under way that came with a right key; of HTTP/2 there may be many.
        """
        self.is_closed: bool = False

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        """As a stream does."""
        return await self._stream.receive_some(max_bytes)

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """As a stream does; raises `trio.BrokenResourceError` where the other side reads nothing.
        hypercorn shields this, so that nothing else ends it.
        """
        with move_on_after(self._reactor, SEND_SECONDS) as scope:
            await self._stream.send_all(data)
        if scope.cancelled_caught:
            self.close()
            raise trio.BrokenResourceError(f"nothing was read for {SEND_SECONDS:g} s")

    async def wait_send_all_might_not_block(self) -> None:
        """As a stream does."""
        await self._stream.wait_send_all_might_not_block()

    async def send_eof(self) -> None:
        """As a stream does."""
        await self._stream.send_eof()

    async def aclose(self) -> None:
        """As a stream does."""
        self.is_closed = True
        await self._stream.aclose()

    def close(self) -> None:
        """End it at once: who waits for it, hears that it is closed."""
        self.is_closed = True
        self.socket.close()


def answering(app: App, connection: Connection, reactor: Reactor) -> App:
    """`app`, whose answers are heard by those who have not said all that they wanted to."""

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        rest = _Rest(receive, reactor)

        async def sending(message: Message) -> None:
            if connection.is_closed:
                # hypercorn takes what nobody can hear, without waiting.
                raise GoneError
            if message["type"] == "http.response.start":
                await rest.discard()
            if rest.is_read or message.get("more_body", False):
                await send(message)
            else:
                # hypercorn waits for the rest to be taken, even behind the answer.
                with move_on_after(reactor, REST_SECONDS):
                    await send(message)

        try:
            await app(scope, rest.receive, sending)
        except GoneError:
            pass
        finally:
            if HOLDER in scope["state"]:
                connection.known -= 1
            if not rest.is_read:
                connection.close()

    return answer


class _Rest:
    """What of a request's body has not been read."""

    def __init__(self, receive: Receive, reactor: Reactor) -> None:
        self._receive = receive
        self._reactor = reactor
        self.is_read: bool = False

    async def receive(self) -> Message:
        message = await self._receive()
        if not message.get("more_body", False):
            self.is_read = True
        return message

    async def discard(self) -> None:
        count = 0
        with move_on_after(self._reactor, REST_SECONDS), contextlib.suppress(KeyError):
            while not self.is_read and count < REST_BYTES:
                count += len((await self.receive())["body"])
