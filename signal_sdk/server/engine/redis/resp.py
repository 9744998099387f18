"""Commands as Redis reads them.

Owns: how a command is spelt in bytes. Must not know any command.
"""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["command", "head", "word"]


def word(value: str | bytes | int) -> bytes:
    """One word of a command."""
    data = value if isinstance(value, bytes) else str(value).encode()
    return b"$%d\r\n%b\r\n" % (len(data), data)


def head(count: int, words: Sequence[str | bytes | int]) -> bytes:
    """The first `words` of a command of `count` words."""
    return b"*%d\r\n" % count + b"".join(map(word, words))


def command(*words: str | bytes | int) -> bytes:
    """A whole command."""
    return head(len(words), words)
