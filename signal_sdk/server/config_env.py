"""The configuration's environment: a variable for each key, and secrets that stand elsewhere than
in the file.

Owns: what the variables are called, how their values are spelled, and reading a certificate or a
password from its own file. Must not know what a key means. No error holds a secret.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, TypeGuard

import attrs

from signal_sdk.errors import ConfigError
from signal_sdk.server.config_errors import ARRAYS, ConfigKeyError, ConfigPath, table_path
from signal_sdk.server.config_keys import TABLES, Table

__all__ = ["Named", "has_settings", "overlay", "resolve_secrets", "variable"]

PREFIX: Final = "SIGNAL_SDK_"
_NAMES: Final = {table.replace(".", "_").upper(): table for table in TABLES}
_TABLES: Final = "|".join(
    # The longest first: one may begin another.
    rf"{name}_[1-9][0-9]*" if _NAMES[name] in ARRAYS else name
    for name in sorted(_NAMES, key=len, reverse=True)
)
_VARIABLE: Final = re.compile(rf"{PREFIX}({_TABLES})_([A-Z0-9_]+)")
_REFERENCE: Final = re.compile(rf"\$({PREFIX}[A-Z0-9_]+)")

Named = dict[ConfigPath, str]
"""Which variable a value comes from."""


def variable(table: str, key: str, number: int = 0) -> str:
    """The variable of a key; apps, and keys to the admin address, are numbered, from 1 on."""
    middle = f"{table}_{number}" if table in ARRAYS else table
    return f"{PREFIX}{middle}_{key}".replace(".", "_").upper()


def has_settings(environ: Mapping[str, str]) -> bool:
    """Does any variable stand for a key? One that is empty is as good as none."""
    return any(value and _VARIABLE.fullmatch(name) for name, value in environ.items())


def overlay(document: dict[str, Any], environ: Mapping[str, str]) -> Named:
    """Put what the variables say into a file's `document`. Raises `ConfigError`."""
    named: Named = {}
    found = [
        (name, match)
        for name, value in environ.items()
        if value and (match := _VARIABLE.fullmatch(name))
    ]
    for name, match in sorted(found, key=lambda it: [_number(it[1][1]), it[0]]):
        table, key = _NAMES[match[1].rstrip("0123456789").rstrip("_")], match[2].lower()
        fields = attrs.fields_dict(attrs.resolve_types(TABLES[table]))
        if key not in fields:
            raise ConfigError(f"{name}: there is no such key; known keys: {', '.join(fields)}")
        value = _value(environ[name], is_text=fields[key].type is str)
        path = table_path(table)
        if table in ARRAYS:
            tables, index = _place(document, path, []), _number(match[1]) - 1
            if isinstance(tables, list):
                if index > len(tables):
                    what = "app" if len(path) == 1 else "table"
                    raise ConfigError(f"{name}: there is no {what} {index} before it")
                if index == len(tables):
                    tables.append({})
                _put(tables[index], key, value)
                named[*path, index, key] = name
        else:
            _put(_place(document, path, {}), key, value)
            named[*path, key] = name
    return named


def _place(document: dict[str, Any], path: ConfigPath, empty: object) -> object:
    """What stands there in a file's document, which is `empty` where nothing does; None where
    something else is on the way.
    """
    found: object = document
    for part in path[:-1]:
        found = found.setdefault(part, {}) if isinstance(found, dict) else None
    return found.setdefault(path[-1], empty) if isinstance(found, dict) else None


def _number(table: str) -> int:
    digits = table.rpartition("_")[2]
    return int(digits) if digits.isdecimal() else 0


def _value(text: str, *, is_text: bool) -> Any:
    """As a file spells it, but that text needs no quotes."""
    if not is_text:
        try:
            return tomllib.loads(f"value = {text}")["value"]
        except (tomllib.TOMLDecodeError, ValueError, RecursionError, KeyError):
            pass
    return text


def _put(table: object, key: str, value: Any) -> None:
    # What is no table is refused where the file is checked.
    if isinstance(table, dict):
        table[key] = value


def resolve_secrets(
    document: dict[str, Any], environ: Mapping[str, str]
) -> Iterator[ConfigKeyError]:
    """Put the secrets in their places that stand in files of their own, or in the environment:
    certificates, keys, and what leads to Redis; what is wrong there. A secret that is not to be had
    is left out.
    """
    for name, cls in TABLES.items():
        path = table_path(name)
        found: object = document
        for part in path:
            found = found.get(part) if isinstance(found, dict) else None
        if name not in ARRAYS:
            yield from _resolve(found, cls, path, environ)
        elif isinstance(found, list):
            for index, table in enumerate(found):
                yield from _resolve(table, cls, (*path, index), environ)


def _resolve(
    table: object, cls: type[Table], at: ConfigPath, environ: Mapping[str, str]
) -> Iterator[ConfigKeyError]:
    if not isinstance(table, dict):
        return
    for field in attrs.fields(cls):
        if not field.metadata["secret"]:
            continue
        try:
            _resolve_key(table, field.name, field.metadata["file"], at, environ)
        except ConfigKeyError as fault:
            table.pop(field.name, None)
            yield fault


def _resolve_key(
    table: dict[str, Any], key: str, file_key: str, at: ConfigPath, environ: Mapping[str, str]
) -> None:
    value, path = table.get(key), (*at, key)
    if isinstance(value, str):
        table[key] = _referred(value, environ, path)
    elif _are_texts(value):
        table[key] = [_referred(one, environ, path) for one in value]
    files, path = table.get(file_key), (*at, file_key)
    if not files or not (isinstance(files, str) or _are_texts(files)):
        return
    if value:
        raise ConfigKeyError(path, f"give either this or {key}")
    if isinstance(files, str):
        table[key] = _read(files, path)
    else:
        table[key] = [_read(file, path) for file in files]


def _are_texts(value: object) -> TypeGuard[list[str]]:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def _referred(secret: str, environ: Mapping[str, str], path: ConfigPath) -> str:
    """The secret itself, where this stands for an environment variable."""
    match = _REFERENCE.fullmatch(secret)
    if match is None:
        return secret
    if not environ.get(match[1]):
        raise ConfigKeyError(path, f"the environment variable {match[1]} is not set")
    return environ[match[1]]


def _read(file: str, path: ConfigPath) -> str:
    try:
        secret = Path(file).read_text("utf-8").strip()
    except OSError as exc:
        # Its name is not shown: it may be the secret itself, in the wrong place.
        raise ConfigKeyError(path, f"the file: {exc.strerror or 'cannot be read'}") from None
    except ValueError:
        raise ConfigKeyError(path, "the file: not UTF-8 text") from None
    if not secret:
        raise ConfigKeyError(path, "the file: empty")
    return secret
