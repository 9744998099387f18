"""A connection to a Redis server, and who the servers are: the only place that knows coredis.

Owns: connecting, logging in, whole replies out of bytes, and what every failure of these is called.
Must not know a command of the engine, nor when one is sent.

coredis's own requests cost a task's switch and an object or two each. So its connection is used for
what it does at the beginning, and its parser for good; commands are written as bytes, many at once,
and replies are handed on as they are read, without a task in between. A socket that is not inside
TLS is read and written here, too: through two libraries each of both takes some turns of the
scheduler, which are most of what a lone message waits for.
"""

from __future__ import annotations

import contextlib
import logging
import socket
import ssl
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, Final

import anyio
import attrs
import trio
from anyio.abc import ByteStream, SocketAttribute, SocketStream
from coredis.connection import (
    TCPConnection,
    TCPLocation,
    UnixDomainSocketConnection,
    UnixDomainSocketLocation,
)
from coredis.constants.resp import DataType
from coredis.exceptions import (
    AuthenticationFailureError,
    AuthenticationRequiredError,
    AuthorizationError,
    MovedError,
    RedisError,
    UnknownCommandError,
    WrongTypeError,
)
from coredis.exceptions import ConnectionError as ConnectionLostError
from coredis.parser import NotEnoughData

from signal_sdk.errors import StorageError
from signal_sdk.server.engine.redis.addresses import Address, Place

__all__ = ["Connection", "Failure", "ask_once", "failure_of"]

logger: logging.Logger = logging.getLogger("signal_sdk.server.redis")

CONNECT_SECONDS: Final = 5.0
"""How long a server may take to accept a connection, and for each answer until it is open."""

# What it says of lost connections, the engine says itself, in one line; and of one that is given up
# while it is being made, it says an error with a traceback.
logging.getLogger("coredis").setLevel(logging.CRITICAL)
logging.getLogger("coredis").addHandler(logging.NullHandler())
logging.getLogger("coredis").propagate = False


@attrs.frozen
class Failure:
    """An error that Redis answered: its first word, and all of it. `moved` is who has the slot
    now, where that is what it says.
    """

    code: str
    text: str = attrs.field(repr=False)
    moved: Place | None = None

    @classmethod
    def of(cls, text: str) -> Failure:
        """The error of this text."""
        text = text.removeprefix("-")
        return cls(text.partition(" ")[0], text)

    @property
    def is_full(self) -> bool:
        """Has Redis no room for more?"""
        return self.code == "OOM" or "OOM" in self.text.partition(":")[0]


_CODES: Final[dict[type[Exception], str]] = {
    AuthenticationFailureError: "WRONGPASS",
    AuthenticationRequiredError: "NOAUTH",
    AuthorizationError: "NOPERM",
    UnknownCommandError: "ERR",
    WrongTypeError: "WRONGTYPE",
}
"""What the parser has taken off the text of these."""


def failure_of(reply: object) -> Failure | None:
    """The error that the reply is, if it is one."""
    if not isinstance(reply, RedisError):
        return None
    text = str(reply)
    if isinstance(reply, MovedError):
        return Failure("MOVED", text, Place(reply.host, reply.port))
    name = type(reply).__name__
    codes = {
        "AskError": "ASK",
        "TryAgainError": "TRYAGAIN",
        "ClusterDownError": "CLUSTERDOWN",
        "ReadOnlyError": "READONLY",
        "BusyLoadingError": "LOADING",
    }
    code = _CODES.get(type(reply)) or codes.get(name) or text.partition(" ")[0]
    return Failure(code, text)


LOST: Final = (trio.ClosedResourceError, anyio.BrokenResourceError, anyio.ClosedResourceError)
"""What is raised of a connection that is no more, beside `OSError`."""
READ_BYTES: Final = 64 * 1024
"""The most that one read takes."""
STREAMS: Final = tuple(
    f"{name}_{end}"
    for name in ("_push_message_buffer", "_streamed_message_buffer", "_write_buffer")
    for end in ("in", "out")
)
"""What a connection of coredis's holds."""


class _Fast:
    """What is otherwise in a connection of coredis's: whole replies are handed on where they are
    read, and that is as soon as there is something.
    """

    on_reply: Callable[[Any], None]
    on_push: Callable[[list[Any]], None]
    together: Callable[[], AbstractContextManager[None]]
    stream: ByteStream | None
    socket: socket.socket | None = None
    """Of what is not inside TLS."""
    _parser: Any
    _ready: bool
    _transport_failed: bool

    async def _connect(self) -> ByteStream:
        stream: ByteStream = await super()._connect()  # type: ignore[misc]
        if isinstance(stream, SocketStream):
            self.socket = stream.extra_attributes[SocketAttribute.raw_socket]()
        return stream

    async def _reader_task(self) -> None:
        try:
            while (stream := self.stream) is not None:
                self._data_received(await self._read(stream))
        except (OSError, anyio.EndOfStream, *LOST):
            self._transport_failed = True
            # Without a cause: it was there, so that it is none of those that keep it from being.
            raise ConnectionLostError("Connection lost while receiving response") from None

    async def _read(self, stream: ByteStream) -> bytes:
        if self.socket is None:
            return await stream.receive()
        while True:
            await trio.lowlevel.wait_readable(self.socket)
            # There may be nothing all the same.
            with contextlib.suppress(BlockingIOError):
                if data := self.socket.recv(READ_BYTES):
                    return data
                raise anyio.EndOfStream

    async def write(self, data: bytes) -> None:
        """Write whole commands. Where there is room for all of them, without waiting."""
        stream = self.stream
        if stream is None:
            raise anyio.ClosedResourceError
        if self.socket is not None:
            with contextlib.suppress(BlockingIOError):
                data = data[self.socket.send(data) :]
        if data:
            await stream.send(data)

    def _data_received(self, data: bytes) -> None:
        if not self._ready:
            super()._data_received(data)  # type: ignore[misc]
            return
        parser, push = self._parser, DataType.PUSH
        parser.feed(data)
        with self.together():
            while not isinstance(response := parser.parse(), NotEnoughData):
                kind, value = response
                if kind is push:
                    self.on_push(value)
                else:
                    self.on_reply(value)


class _Tcp(_Fast, TCPConnection):
    pass


class _Unix(_Fast, UnixDomainSocketConnection):
    pass


class Connection:
    """One connection. `on_reply` is called with each reply, in the order of the commands, and
    `on_push` with each message that was subscribed to; neither waits nor raises. What one read
    brings is handed on within `together`.
    """

    def __init__(
        self,
        place: Place,
        address: Address,
        on_reply: Callable[[Any], None],
        on_push: Callable[[list[Any]], None],
        together: Callable[[], AbstractContextManager[None]] = contextlib.nullcontext,
    ) -> None:
        self.place = place
        settings: dict[str, Any] = {
            "username": address.user or None,
            "password": address.password or None,
            "db": address.db,
            "connect_timeout": CONNECT_SECONDS,
            "stream_timeout": CONNECT_SECONDS,
        }
        self._connection: _Tcp | _Unix
        self._has_tls = address.has_tls and not place.path
        if place.path:
            self._connection = _Unix(UnixDomainSocketLocation(place.path), **settings)
        else:
            if self._has_tls:
                settings["ssl_context"] = _tls(address)
            location = TCPLocation(place.host, place.port)
            self._connection = _Tcp(location, socket_keepalive=True, **settings)
        self._connection.on_reply = on_reply
        self._connection.on_push = on_push
        self._connection.together = together

    async def run(self, is_open: trio.Event) -> None:
        """Connect, and read until the connection is lost. Raises `StorageError` where there never
        was one.
        """
        try:
            await self._connection.run(task_status=_Started(is_open))
        except RedisError as exc:
            if not is_open.is_set():
                raise StorageError(self._why(exc)) from None
        except BaseExceptionGroup as exc:
            _, other = exc.split(RedisError)
            if other is not None:
                raise
        finally:
            # Of a connection that there never was, coredis closes none.
            for name in STREAMS:
                getattr(self._connection, name).close()

    def _why(self, exc: RedisError) -> str:
        where = f"Redis at {self.place}"
        if isinstance(exc, AuthenticationFailureError):
            return f"{where} refuses this user and password: are both right?"
        if isinstance(exc, AuthenticationRequiredError):
            return f"{where} wants a password, and the URL has none"
        if isinstance(exc, AuthorizationError):
            return f"{where} does not permit its user a command that is needed: {exc}"
        if isinstance(exc, UnknownCommandError):
            return f"{where} does not know HELLO: it has to be Redis 7 or later, or Valkey"
        cause = exc.__cause__
        if isinstance(cause, TimeoutError) or isinstance(exc, TimeoutError):
            why = f"{where} does not answer within {CONNECT_SECONDS:g} s"
            return f"{why}: is it not inside TLS (redis://)?" if self._has_tls else why
        why = f"{where} cannot be reached: {cause if isinstance(cause, OSError) else exc}"
        # Whoever is inside TLS and hears something else hangs up.
        is_hung_up = type(exc) is ConnectionLostError and not isinstance(cause, OSError)
        is_bare = not self._has_tls and not self.place.path
        return f"{why}: is it inside TLS (rediss://)?" if is_hung_up and is_bare else why

    @property
    def version(self) -> str:
        """What the server says that its version is."""
        return self._connection.server_version or ""

    async def send(self, data: bytes) -> None:
        """Write whole commands; one task at a time. Where there is room for all of them, without
        waiting.
        """
        try:
            await self._connection.write(data)
        except (OSError, *LOST):
            raise StorageError(f"the connection to Redis at {self.place} is lost") from None


def _tls(address: Address) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=address.ca_file or None)
        if address.cert_file:
            context.load_cert_chain(address.cert_file, address.key_file)
    except OSError as exc:
        raise StorageError(f"the TLS files in the URL of Redis cannot be used: {exc}") from None
    return context


async def ask_once(place: Place, address: Address, data: bytes) -> Any:
    """The reply to one command, on a connection of its own. Raises `StorageError`."""
    replies: list[Any] = []
    is_open = trio.Event()

    def take(reply: Any) -> None:
        replies.append(reply)
        nursery.cancel_scope.cancel()

    connection = Connection(place, address, take, take)

    async def read() -> None:
        with contextlib.suppress(StorageError):
            await connection.run(is_open)
        nursery.cancel_scope.cancel()

    async def give_up() -> None:
        await trio.sleep(CONNECT_SECONDS)
        nursery.cancel_scope.cancel()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(read)
        nursery.start_soon(give_up)
        await is_open.wait()
        # Where it is lost by now, that is said below.
        with contextlib.suppress(StorageError):
            await connection.send(data)
            await trio.sleep_forever()
        nursery.cancel_scope.cancel()
    if not replies:
        raise StorageError(f"Redis at {place} cannot be reached, or does not answer")
    failure = failure_of(replies[0])
    if failure is not None:
        raise StorageError(f"Redis at {place} has refused: {failure.text}")
    return replies[0]


class _Started:
    """What a task of coredis's tells when it has begun."""

    def __init__(self, event: trio.Event) -> None:
        self._event = event

    def started(self, _: object = None) -> None:
        self._event.set()
