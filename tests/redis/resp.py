"""A connection to Redis for tests: one command after the other, each waited for where it is asked.

Owns: how a command is written and its reply read (RESP2). Must not know a server's life. It blocks
the thread on purpose: a test on trio's mock clock sees no time go by meanwhile.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

REPLY_SECONDS: Final = 10.0
"""How long a reply may take: what takes longer has hung."""

Address = Path | tuple[str, int]
"""A Unix socket, or a host and a port."""


class ReplyError(Exception):
    """Redis refused a command; its text is Redis' own, and begins with the kind of error."""


class Connection:
    """One connection, on which commands are asked in turn. Close it, or use it as a block.

    Raises `OSError` where nobody listens, or where a reply takes longer than `REPLY_SECONDS`.
    """

    def __init__(self, address: Address) -> None:
        if isinstance(address, Path):
            self._socket = socket.socket(socket.AF_UNIX)
            self._socket.settimeout(REPLY_SECONDS)
            try:
                self._socket.connect(str(address))
            except OSError:
                self._socket.close()
                raise
        else:
            self._socket = socket.create_connection(address, REPLY_SECONDS)
        self._replies = self._socket.makefile("rb")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close it; a second time changes nothing."""
        self._replies.close()
        self._socket.close()

    def command(self, *words: str | bytes | float) -> Any:
        """The reply to a command: text, a number, None, or a list of these. A part that is not
        UTF-8 stays bytes. Raises `ReplyError`, or `OSError` where the connection ends.
        """
        self._socket.sendall(encode(*words))
        return self.receive()

    def receive(self) -> Any:
        """The next reply, or what is pushed to a subscriber."""
        reply = self._read()
        if isinstance(reply, ReplyError):
            raise reply
        return reply

    def _read(self) -> Any:
        line = self._replies.readline()
        if not line.endswith(b"\r\n"):
            raise ConnectionError("Redis closed the connection")
        return READERS[line[:1]](self, line[1:-2].decode())

    def _read_bulk(self, size: str) -> str | bytes | None:
        if size == "-1":
            return None
        data = self._replies.read(int(size) + 2)[:-2]
        try:
            return data.decode()
        except UnicodeDecodeError:
            return data

    def _read_array(self, size: str) -> list[Any] | None:
        return None if size == "-1" else [self._read() for _ in range(int(size))]


READERS: Final[dict[bytes, Callable[[Connection, str], Any]]] = {
    b"+": lambda _, text: text,
    b"-": lambda _, text: ReplyError(text),
    b":": lambda _, text: int(text),
    b"$": Connection._read_bulk,
    b"*": Connection._read_array,
}


def encode(*words: str | bytes | float) -> bytes:
    """A command as it is written."""
    parts = [b"*%d\r\n" % len(words)]
    for word in words:
        data = word if isinstance(word, bytes) else str(word).encode()
        parts.append(b"$%d\r\n%s\r\n" % (len(data), data))
    return b"".join(parts)
