"""One connection to the admin address: HTTP/1.1 in and out, and an end whatever is waited for.

Owns: when one is read on, how long its other side may take to ask and to read, and what becomes of
a request that nobody reads to its end. Must not know what is asked.

hypercorn reads and writes HTTP; its own way to run a connection is not used, nor its HTTP/2 and
WebSocket: there one connection can ask any number of things at once, and everybody would wait.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final, TypeAlias, cast

import trio
from hypercorn.app_wrappers import ASGIWrapper
from hypercorn.config import Config
from hypercorn.events import Closed, Event, RawData, Updated
from hypercorn.protocol.h11 import H11Protocol
from hypercorn.trio.task_group import TaskGroup
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.typing import ASGIFramework, ConnectionState
from hypercorn.utils import parse_socket_addr

from signal_sdk.net.deadline import Deadline, move_on_after
from signal_sdk.net.reactor import Reactor
from signal_sdk.server.admin.shares import Shares
from signal_sdk.server.turnstile import Turnstile

__all__ = [
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

IDLE_SECONDS: Final = 10.0
"""How long the other side may take to ask, and may be kept behind an answer."""
SEND_SECONDS: Final = 20.0
"""How long it may take to read what was written at once."""
READ_BYTES: Final = 2**16
REST_BYTES: Final = 4 * 1024**2
REST_SECONDS: Final = 2.0
"""So much of a body that is not wanted is read and thrown away, so that its sender hears the
answer: what lies unread at a connection's end takes the answer with it.
"""


class GoneError(Exception):
    """Nobody can hear any more what is answered."""


class _Protocol(H11Protocol):
    """HTTP/1.1, whatever else is offered."""

    async def _check_protocol(self, event: object) -> None:
        """That of hypercorn would go over to HTTP/2."""


class Connection:
    """A connection, on which `app` answers. `run` serves it until its end; `close` ends it at
    once, `leave` where nothing is under way.
    """

    def __init__(
        self,
        sock: trio.socket.SocketType,
        app: App,
        settings: Config,
        context: WorkerContext,
        reactor: Reactor,
        turns: Turnstile,
        shares: Shares,
    ) -> None:
        self._stream = trio.SocketStream(sock)
        self._socket = sock
        self._app = ASGIWrapper(cast("ASGIFramework", answering(app, self, reactor, turns)))
        self._settings = settings
        self._context = context
        self._reactor = reactor
        self._turns = turns
        self._protocol: _Protocol | None = None
        self._idle = Deadline(reactor, self.close)
        """Set while nothing is under way."""
        self._writing = trio.Lock()
        self._shares = shares
        self.holder: str = ""
        """With whose key a request is under way; empty where none is, or with no right one."""
        self.known_at: float = -math.inf
        """When the last one with a right key was over."""
        self.is_closed: bool = False

    async def run(self) -> None:
        """Answer what is asked, until either side ends it."""
        try:
            client = parse_socket_addr(self._socket.family, self._socket.getpeername())
            server = parse_socket_addr(self._socket.family, self._socket.getsockname())
        except OSError:
            # It has gone already.
            self.close()
            return
        self._idle.set_after(IDLE_SECONDS)
        try:
            async with TaskGroup() as tasks:
                self._protocol = protocol = _Protocol(
                    self._app,
                    self._settings,
                    self._context,
                    tasks,
                    cast("Any", ConnectionState({"connection": self})),
                    False,
                    client,
                    server,
                    self._tell,
                )
                await self._read(protocol)
        finally:
            self.close()

    async def _read(self, protocol: _Protocol) -> None:
        data = None
        while data != b"":
            try:
                data = bytes(await self._stream.receive_some(READ_BYTES))
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                break
            await self._turns.wait()
            await protocol.handle(RawData(data))
        await protocol.handle(Closed())

    async def _tell(self, event: Event) -> None:
        """What the protocol says."""
        if isinstance(event, RawData):
            await self._write(event.data)
        elif isinstance(event, Closed):
            await self._end()
        elif isinstance(event, Updated):
            if event.idle:
                self._idle.set_after(IDLE_SECONDS)
            else:
                self._idle.cancel()

    async def _write(self, data: bytes) -> None:
        async with self._writing:
            try:
                with move_on_after(self._reactor, SEND_SECONDS) as scope:
                    await self._stream.send_all(data)
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                pass
            else:
                if not scope.cancelled_caught:
                    return
        await self._end()

    async def _end(self) -> None:
        self.close()
        if self._protocol is not None:
            await self._protocol.handle(Closed())

    def begin(self, holder: str) -> None:
        """A request with this one's key is under way. Raises `ProblemError` (429)."""
        self._shares.begin(holder)
        self.holder = holder

    def over(self) -> None:
        """What was under way is not any more."""
        if self.holder:
            self._shares.end(self.holder)
            self.holder = ""
            self.known_at = trio.current_time()

    def leave(self) -> None:
        """End it if nothing is under way."""
        if self._idle.time < math.inf:
            self.close()

    def close(self) -> None:
        """End it at once: who waits for it, hears that it is closed."""
        self._idle.cancel()
        self.is_closed = True
        self._socket.close()


def answering(app: App, connection: Connection, reactor: Reactor, turns: Turnstile) -> App:
    """`app`, whose answers are heard by those who have not said all that they wanted to."""

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await send({"type": "websocket.close"})
            return
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
            await turns.wait()
            await app(scope, rest.receive, sending)
        except GoneError:
            pass
        finally:
            connection.over()
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
