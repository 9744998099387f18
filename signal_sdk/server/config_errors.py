"""The configuration's errors: where in a file something is wrong, and how that is spelled.

Owns: the place of a key, and the spelling of tables and values, in a file and in an error. Must not
know: files, which keys there are, or what a value may be.
"""

from __future__ import annotations

import json
from collections.abc import Iterable

from signal_sdk.errors import ConfigError

__all__ = [
    "ADMIN_KEYS",
    "APPS",
    "ARRAYS",
    "ConfigKeyError",
    "ConfigPath",
    "header",
    "shown",
    "table_path",
    "toml_value",
]

APPS = "apps"
ADMIN_KEYS = "admin.keys"
ARRAYS = (APPS, ADMIN_KEYS)
"""The tables that are repeated for each."""
MAX_SHOWN_CHARS = 40

ConfigPath = tuple[str | int, ...]
"""Where a value stands: table, number of the app, key, number of the element."""


def header(table: str) -> str:
    """A table as a file spells it."""
    return f"[[{table}]]" if table in ARRAYS else f"[{table}]"


def table_path(table: str) -> ConfigPath:
    """Where a table stands."""
    return tuple(table.split("."))


class ConfigKeyError(ConfigError):
    """A `ConfigError` that knows at which `path` it stands, but no file and no line; with `others`,
    what else is wrong.
    """

    def __init__(self, path: ConfigPath, text: str, *, said_of: ConfigPath | None = None) -> None:
        self.path = path
        self.others: tuple[ConfigKeyError, ...] = ()
        names = [part for part in (path if said_of is None else said_of) if isinstance(part, str)]
        if (below := ".".join(names[:2])) in ARRAYS:
            names[:2] = [below]
        where = [header(names[0]), *(f"{name}:" for name in names[1:])] if names else []
        super().__init__(" ".join([*where, text]))

    @classmethod
    def first_of(cls, faults: Iterable[ConfigKeyError]) -> ConfigKeyError | None:
        """The first fault, which has the others; of several at one place, only the first counts."""
        by_path: dict[ConfigPath, ConfigKeyError] = {}
        for fault in faults:
            for one in (fault, *fault.others):
                by_path.setdefault(one.path, one)
        if not by_path:
            return None
        first, *others = by_path.values()
        first.others = tuple(others)
        return first


def toml_value(value: object) -> str:
    """A value as a file spells it."""
    match value:
        case bool():
            return "true" if value else "false"
        case int() | float():
            return str(value)
        case str():
            # JSON's escapes are TOML's; DEL is the one character that only TOML wants escaped.
            return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
        case tuple():
            return f"[{', '.join(map(toml_value, value))}]"
        case _:
            raise TypeError(f"no key has values of type {type(value).__name__}")


def shown(value: object) -> str:
    """A value as an error shows it: on one line, and not all of a long one."""
    text = toml_value(value)
    if not text.isprintable():
        text = json.dumps(value)
    return text if len(text) <= MAX_SHOWN_CHARS else f"{text[:MAX_SHOWN_CHARS]}..."
