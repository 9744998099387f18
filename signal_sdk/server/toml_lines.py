"""On which line of a TOML document each key stands.

Owns: a scanner that knows just enough of TOML's grammar for that, because `tomllib` keeps no
positions. Must not know: what any key means. Give it only text that `tomllib` has accepted; it
checks nothing itself.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable

__all__ = ["Path", "key_lines"]

Path = tuple[str | int, ...]
"""Where a value stands: names of keys, and indexes of arrays."""

_BLANK = " \t\r\n"
_LONG_QUOTES = ('"""', "'''")


def key_lines(text: str) -> dict[Path, int]:
    """The line, from 1, of each table, key and array element of `text`.

    A table's line is that of its header or, where it has none, of the first key that implies it.
    """
    return _Scanner(text).scan()


class _Scanner:
    """One pass over the text; `at` is the index of the next character."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.lines: dict[Path, int] = {}
        self._counted_to = 0
        self._line = 1
        # How many elements each array of tables has so far.
        self._lengths: dict[Path, int] = {}

    def scan(self) -> dict[Path, int]:
        table: Path = ()
        while self._skip_blank():
            if self._take("[["):
                table = self._resolve(self._key())
                index = self._lengths.get(table, 0)
                self._lengths[table] = index + 1
                table = (*table, index)
                self._take("]]")
                self._note(table)
            elif self._take("["):
                table = self._resolve(self._key())
                self._take("]")
                # An earlier [table.child] implied this table, here is the table itself.
                self.lines[table] = self._line_here()
            else:
                self._assignment(table)
        return self.lines

    def _resolve(self, key: Iterable[str]) -> Path:
        """The path of a header's key, each array of tables on the way at its newest element."""
        path: Path = ()
        for part in key:
            if path in self._lengths:
                path = (*path, self._lengths[path] - 1)
            path = (*path, part)
        return path

    def _assignment(self, table: Path) -> None:
        path = table
        for part in self._key():
            path = (*path, part)
            self._note(path)
        self._take("=")
        self._value(path)

    def _key(self) -> list[str]:
        parts = []
        while True:
            self._skip_blank()
            start = self.at
            if self.text[start] in "\"'":
                self._string()
                quoted = self.text[start : self.at]
                parts.append(str(tomllib.loads(f"key = {quoted}")["key"]))
            else:
                self._skip_to(_BLANK + ".=]")
                parts.append(self.text[start : self.at])
            self._skip_blank()
            if not self._take("."):
                return parts

    def _value(self, path: Path) -> None:
        self._skip_blank()
        if self.text[self.at] in "\"'":
            self._string()
        elif self._take("["):
            index = 0
            while self._skip_blank() and not self._take("]"):
                self._note((*path, index))
                self._value((*path, index))
                self._skip_blank()
                self._take(",")
                index += 1
        elif self._take("{"):
            while self._skip_blank() and not self._take("}"):
                self._assignment(path)
                self._skip_blank()
                self._take(",")
        else:
            self._skip_to(",]}#\n")

    def _string(self) -> None:
        quote = self.text[self.at : self.at + 3]
        if quote in _LONG_QUOTES:
            self.at += 3
            self._skip_string(quote)
            # Up to two quotes may stand right before the three that close the string.
            while self.text.startswith(quote[0], self.at):
                self.at += 1
        else:
            self.at += 1
            self._skip_string(quote[0])

    def _skip_string(self, end: str) -> None:
        has_escapes = end[0] == '"'
        while not self.text.startswith(end, self.at):
            self.at += 2 if has_escapes and self.text[self.at] == "\\" else 1
        self.at += len(end)

    def _skip_blank(self) -> bool:
        """Skip blanks, line ends and comments; whether anything is left."""
        while self.at < len(self.text):
            if self.text[self.at] == "#":
                self._skip_to("\n")
            elif self.text[self.at] in _BLANK:
                self.at += 1
            else:
                return True
        return False

    def _skip_to(self, ends: str) -> None:
        while self.at < len(self.text) and self.text[self.at] not in ends:
            self.at += 1

    def _take(self, token: str) -> bool:
        if self.text.startswith(token, self.at):
            self.at += len(token)
            return True
        return False

    def _note(self, path: Path) -> None:
        self.lines.setdefault(path, self._line_here())

    def _line_here(self) -> int:
        self._line += self.text.count("\n", self._counted_to, self.at)
        self._counted_to = self.at
        return self._line
