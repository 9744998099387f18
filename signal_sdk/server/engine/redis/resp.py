"""Commands as Redis reads them.

Owns: how a command is spelt in bytes. Must not know any command.
"""

from __future__ import annotations

from collections.abc import Iterable

__all__ = ["command", "head", "words"]


def words(values: Iterable[str | bytes | int]) -> bytes:
    """Some words of a command, one behind the other."""
    parts: list[bytes] = []
    for value in values:
        data = value if isinstance(value, bytes) else str(value).encode()
        parts.append(b"$%d\r\n%b\r\n" % (len(data), data))
    return b"".join(parts)


def head(count: int, values: Iterable[str | bytes | int]) -> bytes:
    """The first words of a command of `count` words."""
    return b"*%d\r\n" % count + words(values)


def command(*values: str | bytes | int) -> bytes:
    """A whole command."""
    return head(len(values), values)
