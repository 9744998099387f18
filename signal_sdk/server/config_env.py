"""The configuration's environment: a variable for each key, and certificates that stand elsewhere
than in the file.

Owns: what the variables are called, how their values are spelled, and reading a certificate from
its own file. Must not know what a key means. No error holds a certificate.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, TypeGuard

import attrs

from signal_sdk.errors import ConfigError
from signal_sdk.server.config_checks import APPS, ConfigKeyError, ConfigPath
from signal_sdk.server.config_keys import TABLES

__all__ = ["Named", "has_settings", "overlay", "resolve_certificates", "variable"]

PREFIX: Final = "SIGNAL_SDK_"
_VARIABLE: Final = re.compile(rf"{PREFIX}(SERVER|NATIVE|LIMITS|APPS_[1-9][0-9]*)_([A-Z0-9_]+)")
_REFERENCE: Final = re.compile(rf"\$({PREFIX}[A-Z0-9_]+)")

Named = dict[ConfigPath, str]
"""Which variable a value comes from."""


def variable(table: str, key: str, number: int = 0) -> str:
    """The variable of a key; apps are numbered, from 1 on."""
    middle = f"{table}_{number}" if table == APPS else table
    return f"{PREFIX}{middle}_{key}".upper()


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
        table, key = match[1].partition("_")[0].lower(), match[2].lower()
        fields = attrs.fields_dict(attrs.resolve_types(TABLES[table]))
        if key not in fields:
            raise ConfigError(f"{name}: there is no such key; known keys: {', '.join(fields)}")
        value = _value(environ[name], is_text=fields[key].type is str)
        if table == APPS:
            apps, index = document.setdefault(APPS, []), _number(match[1]) - 1
            if isinstance(apps, list):
                if index > len(apps):
                    raise ConfigError(f"{name}: there is no app {index} before it")
                if index == len(apps):
                    apps.append({})
                _put(apps[index], key, value)
                named[APPS, index, key] = name
        else:
            _put(document.setdefault(table, {}), key, value)
            named[table, key] = name
    return named


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


def resolve_certificates(document: dict[str, Any], environ: Mapping[str, str]) -> None:
    """Put the certificates of apps in their places that stand in files of their own, or in the
    environment. Raises `ConfigKeyError`.
    """
    apps = document.get(APPS)
    for index, app in enumerate(apps if isinstance(apps, list) else ()):
        if not isinstance(app, dict):
            continue
        path = (APPS, index, "certificate")
        certificate, file = app.get("certificate"), app.get("certificate_file")
        if isinstance(certificate, str):
            app["certificate"] = _referred(certificate, environ, path)
        if file and isinstance(file, str):
            path = (APPS, index, "certificate_file")
            if certificate:
                raise ConfigKeyError(path, "give either this or certificate")
            app["certificate"] = _read(file, path)
        path = (APPS, index, "old_certificates")
        olds, files = app.get("old_certificates"), app.get("old_certificate_files")
        if _are_texts(olds):
            app["old_certificates"] = [_referred(old, environ, path) for old in olds]
        if files and _are_texts(files):
            path = (APPS, index, "old_certificate_files")
            if olds:
                raise ConfigKeyError(path, "give either this or old_certificates")
            app["old_certificates"] = [_read(file, path) for file in files]


def _are_texts(value: object) -> TypeGuard[list[str]]:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def _referred(certificate: str, environ: Mapping[str, str], path: ConfigPath) -> str:
    """The certificate itself, where this stands for an environment variable."""
    match = _REFERENCE.fullmatch(certificate)
    if match is None:
        return certificate
    if not environ.get(match[1]):
        raise ConfigKeyError(path, f"the environment variable {match[1]} is not set")
    return environ[match[1]]


def _read(file: str, path: ConfigPath) -> str:
    try:
        certificate = Path(file).read_text("utf-8").strip()
    except OSError as exc:
        # Its name is not shown: it may be the certificate itself, in the wrong place.
        raise ConfigKeyError(path, f"the file: {exc.strerror or 'cannot be read'}") from None
    except ValueError:
        raise ConfigKeyError(path, "the file: not UTF-8 text") from None
    if not certificate:
        raise ConfigKeyError(path, "the file: empty")
    return certificate
