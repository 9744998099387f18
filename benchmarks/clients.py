"""The load's clients: connected and logged in many at a time, on raw non-blocking sockets.

Owns: sockets, their opening dialogues, what waits to be sent, keeping alive. Must not know what is
measured, nor decode what it reads.
"""

from __future__ import annotations

import contextlib
import re
import select
import socket
import struct
import time
from collections import deque
from collections.abc import Iterator, Sequence
from typing import Final

import attrs

from benchmarks.dialects import MARK, STAMP, Dialect, Dialogue, Voice
from benchmarks.process import BenchmarkError

OPENING: Final = 100
"""How many clients are logging in at any time."""
OPENING_SECONDS: Final = 300.0
PING_SECONDS: Final = 8.0
"""For servers that take a silent client for dead."""
READ_BYTES: Final = 1 << 18
RESET_ON_CLOSE: Final = struct.pack("ii", 1, 0)
_KEPT_BYTES: Final = 16
"""How much of each client's last read stands before its next one: no mark is longer."""
_buffer: Final = bytearray(_KEPT_BYTES + READ_BYTES)
_read_into: Final = memoryview(_buffer)[_KEPT_BYTES:]
_STAMP_AT: Final = len(MARK)
_STAMP_BYTES: Final = len(STAMP)


@attrs.frozen
class Plan:
    """Who is to log in, and to which channel. `receive_bytes`, where it is not 0, bounds the
    socket's receive buffer.
    """

    account: str
    channel: str | None = None
    silently: bool = False
    receive_bytes: int = 0


class Client:
    """A logged-in client. `read` and `count` are the only things that the load does often."""

    __slots__ = (
        "_backlog",
        "_kept",
        "_recv_into",
        "_tail",
        "account",
        "dialect",
        "fd",
        "sock",
        "voice",
    )

    def __init__(self, sock: socket.socket, account: str, voice: Voice, dialect: Dialect) -> None:
        self.dialect = dialect
        self.sock = sock
        self.fd = sock.fileno()
        self.account = account
        self.voice = voice
        self._backlog = b""
        self._kept = bytes(_KEPT_BYTES)
        self._tail = b""
        self._recv_into = sock.recv_into

    def send(self, data: bytes) -> None:
        """Send what can be sent; the rest goes before what is sent next."""
        data = self._backlog + data
        try:
            sent = self.sock.send(data) if data else 0
        except BlockingIOError:
            sent = 0
        except OSError as exc:
            raise BenchmarkError(f"{self.account} cannot send: {exc}") from None
        self._backlog = data[sent:] if sent < len(data) else b""

    @property
    def has_backlog(self) -> bool:
        return bool(self._backlog)

    def read(self, limit: int = READ_BYTES) -> int:
        """Read into the shared buffer: how many bytes. 0: nothing has come."""
        _buffer[:_KEPT_BYTES] = self._kept
        try:
            size = self._recv_into(_read_into, limit)
        except BlockingIOError:
            return 0
        except OSError as exc:
            raise BenchmarkError(f"the server broke {self.account}'s connection: {exc}") from None
        if not size:
            raise BenchmarkError(f"the server closed {self.account}'s connection")
        self._kept = bytes(_buffer[size : size + _KEPT_BYTES])
        return size

    def count(self, mark: bytes, size: int) -> int:
        """How often the mark ends in what has just been read, `size` bytes."""
        return _buffer.count(mark, _KEPT_BYTES - len(mark) + 1, _KEPT_BYTES + size)

    def has_read(self, mark: bytes, size: int) -> bool:
        """Does `mark` end in what has just been read, `size` bytes?"""
        return self.count(mark, size) > 0

    def find(self, pattern: re.Pattern[bytes], size: int) -> list[bytes]:
        """What `pattern` finds in what has just been read, `size` bytes."""
        return pattern.findall(_buffer, _KEPT_BYTES, _KEPT_BYTES + size)

    def read_stamps(self, size: int, label: int = 0) -> Iterator[bytes]:
        """The label and stamp of each message in what has just been read, `size` bytes, and of one
        that an earlier read has cut.
        """
        data = self._tail + bytes(_read_into[:size])
        length = label + _STAMP_BYTES
        start = data.find(MARK)
        end_of_last = 0
        while start >= 0:
            end = start + _STAMP_AT + length
            if end > len(data):
                self._tail = data[start:]
                return
            yield data[start + _STAMP_AT : end]
            end_of_last = end
            start = data.find(MARK, end)
        # What a mark may begin with.
        self._tail = data[max(len(data) - len(MARK) + 1, end_of_last) :]

    def close(self) -> None:
        """End the connection with a reset, so that no port has to wait for its next use."""
        with contextlib.suppress(OSError):
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
        self.sock.close()


def now_us() -> int:
    """The load's clock, in microseconds, with at most as many digits as a stamp has."""
    return time.perf_counter_ns() // 1000


# --- Staying


class KeepAlive:
    """Sends each client's ping every `seconds`. Does nothing in a dialect whose server pings, and,
    with `if_needed`, where the server does without.
    """

    def __init__(self, seconds: float, *, if_needed: bool = False) -> None:
        self._if_needed = if_needed
        self._seconds = seconds
        self._due: deque[tuple[float, Client]] = deque()

    def _pings(self, client: Client) -> bool:
        dialect = client.dialect
        return bool(dialect.ping) and (dialect.needs_pings or not self._if_needed)

    def add(self, client: Client) -> None:
        """Ping this client, too: for the first time when `seconds` are over."""
        if self._pings(client):
            self._due.append((time.monotonic() + self._seconds, client))

    def add_all(self, clients: Sequence[Client]) -> None:
        """Ping all of these, evenly spread over the time, beginning now."""
        pinging = [client for client in clients if self._pings(client)]
        now = time.monotonic()
        step = self._seconds / max(1, len(pinging))
        self._due.extend((now + number * step, each) for number, each in enumerate(pinging))

    def tick(self) -> None:
        """Send what is due."""
        if not self._due:
            return
        now = time.monotonic()
        while self._due[0][0] <= now:
            due, client = self._due.popleft()
            client.send(client.dialect.ping)
            self._due.append((due + self._seconds, client))


def read_and_answer(client: Client) -> None:
    """Read what has come, which is not counted, and answer a ping in it."""
    size = client.read()
    dialect = client.dialect
    if dialect.asks and client.has_read(dialect.asks, size):
        client.send(dialect.answer)


# --- Opening


class _Opening:
    """A client that is on its way in."""

    def __init__(self, port: int, plan: Plan, dialogue: Dialogue) -> None:
        self.plan = plan
        self.voice: Voice | None = None
        self.began = now_us()
        self._dialogue = dialogue
        self._data = b""
        self._is_connected = False
        self._outgoing, self._until = next(dialogue)
        self.sock = socket.socket()
        self.sock.setblocking(False)
        if plan.receive_bytes:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, plan.receive_bytes)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock.connect_ex(("127.0.0.1", port))

    def go_on(self) -> bool:
        """The socket is ready: is the client logged in?"""
        try:
            if not self._is_connected:
                if error := self.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
                    raise BenchmarkError(f"{self.plan.account} cannot connect: error {error}")
                self._is_connected = True
                self._send()
                return False
            data = self.sock.recv(1 << 16)
        except BlockingIOError:
            return False
        except OSError as exc:
            raise BenchmarkError(f"{self.plan.account} cannot log in: {exc}") from None
        if not data:
            raise BenchmarkError(f"{self.plan.account} was sent away after {self._data[-300:]!r}")
        self._data += data
        if self._until in self._data:
            try:
                self._outgoing, self._until = self._dialogue.send(self._data)
            except StopIteration as done:
                self.voice = done.value
                return True
            except ValueError as exc:
                raise BenchmarkError(str(exc)) from None
            self._data = b""
            self._send()
        return False

    def _send(self) -> None:
        # What opens a connection fits into an empty socket's buffer.
        if self._outgoing and self.sock.send(self._outgoing) != len(self._outgoing):
            raise BenchmarkError(f"{self.plan.account}: the socket takes no more")


@attrs.frozen
class Opened:
    """Clients in the order of their plans, and how long each took to log in and join."""

    clients: list[Client]
    microseconds: list[int]


def open_clients(
    dialect: Dialect,
    port: int,
    plans: Sequence[Plan],
    *,
    at_once: int = OPENING,
    already: Sequence[Client] = (),
) -> Opened:
    """Log all of them in, `at_once` at a time. Those who are in, and those who were before
    (`already`), read what comes, and ping or answer pings.
    """
    keep_alive = KeepAlive(PING_SECONDS, if_needed=True)
    poll = select.epoll()
    opening: dict[int, _Opening] = {}
    opened = {client.fd: client for client in already}
    took: list[int] = []
    order: list[str] = []
    waiting = iter(plans)
    left = len(plans)
    ends = time.monotonic() + OPENING_SECONDS
    for client in already:
        poll.register(client.fd, select.EPOLLIN)
        keep_alive.add(client)
    try:
        while left:
            while len(opening) < at_once and (plan := next(waiting, None)) is not None:
                dialogue = dialect.log_in(plan.account, plan.channel, silently=plan.silently)
                one = _Opening(port, plan, dialogue)
                opening[one.sock.fileno()] = one
                poll.register(one.sock, select.EPOLLIN | select.EPOLLOUT)
                order.append(plan.account)
            for fd, _ in poll.poll(1.0):
                if fd in opened:
                    read_and_answer(opened[fd])
                    continue
                one = opening[fd]
                if one.go_on():
                    assert one.voice is not None
                    took.append(now_us() - one.began)
                    opened[fd] = Client(one.sock, one.plan.account, one.voice, dialect)
                    keep_alive.add(opened[fd])
                    del opening[fd]
                    left -= 1
                poll.modify(fd, select.EPOLLIN)
            if time.monotonic() > ends:
                raise BenchmarkError(f"{left} of {len(plans)} clients are not in")
            keep_alive.tick()
    finally:
        poll.close()
        if left:
            for each in opening.values():
                each.sock.close()
            for client in opened.values():
                client.close()
    by_account = {client.account: client for client in opened.values()}
    return Opened([by_account[account] for account in order], took)


@contextlib.contextmanager
def logged_in(
    dialect: Dialect,
    port: int,
    plans: Sequence[Plan],
    *,
    at_once: int = OPENING,
    already: Sequence[Client] = (),
) -> Iterator[list[Client]]:
    """Clients that are closed at the block's end; else as `open_clients`."""
    clients = open_clients(dialect, port, plans, at_once=at_once, already=already).clients
    try:
        yield clients
    finally:
        for client in clients:
            client.close()
