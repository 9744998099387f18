"""The configuration's file: one TOML file, read into the classes of `config_keys` and printed.

Owns: reading with errors that name the file, the line and the key, and printing, as TOML and as
the tables of docs/configuration.md (`python -m signal_sdk.server.config` prints those). No error
and no print ever holds a certificate or a password. Must not know: any single key, but for those
that are spelled in two ways, and what the server does with it.
"""

from __future__ import annotations

import re
import sys
import textwrap
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

import attrs
import msgspec

from signal_sdk.errors import ConfigError
from signal_sdk.server import config_env
from signal_sdk.server.config_admin import AdminConfig, AdminKeyConfig
from signal_sdk.server.config_checks import DURABILITIES, MAX_PORT, parse_address
from signal_sdk.server.config_errors import (
    ADMIN_KEYS,
    APPS,
    ARRAYS,
    ConfigKeyError,
    ConfigPath,
    header,
    shown,
    table_path,
    toml_value,
)
from signal_sdk.server.config_hooks import HooksConfig
from signal_sdk.server.config_keys import (
    MAX_DRAIN_SECONDS,
    MAX_WORKERS,
    TABLES,
    AppConfig,
    Config,
    NativeConfig,
    ServerConfig,
    Table,
)
from signal_sdk.server.config_limits import LimitsConfig
from signal_sdk.server.redis_urls import parse_redis
from signal_sdk.server.toml_lines import key_lines

__all__ = [
    "DURABILITIES",
    "MAX_DRAIN_SECONDS",
    "MAX_PORT",
    "MAX_WORKERS",
    "AdminConfig",
    "AdminKeyConfig",
    "AppConfig",
    "Config",
    "HooksConfig",
    "LimitsConfig",
    "NativeConfig",
    "ServerConfig",
    "dev",
    "load",
    "loads",
    "markdown_tables",
    "parse_address",
    "print_config",
]

_ITEM_NAMES: dict[Any, str] = {tuple[str, ...]: "strings", tuple[int, ...]: "integers"}
NO_VARIABLES: Mapping[str, str] = MappingProxyType({})
ONE_OR_MORE = ("redis",)
"""The arrays that may be a single string."""
_TYPE_NAMES = {int: "an integer", bool: "true or false", str: "a string"}

T = TypeVar("T", bound=Table)


def dev() -> Config:
    """What `signal-sdk serve --dev` uses without a file: the defaults, any app id, no tokens, and
    native clients, too.
    """
    return Config(
        server=ServerConfig(dev=True), native=NativeConfig(enabled=True), native_by_default=True
    )


def load(
    path: str | Path,
    *,
    dev: bool = False,
    environ: Mapping[str, str] = NO_VARIABLES,
    is_draft: bool = False,
) -> Config:
    """The configuration in the file `path`; `dev` turns `[server] dev` on whatever the file says.
    What a variable of `environ` says has precedence over the file. With `is_draft`, one in which
    nobody could log in is not refused: it is to be shown, and not to be served.

    Raises `ConfigError`, whose text is one line with the file, the line and the key; its `faults`
    are all that is wrong.
    """
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror or 'cannot be read'}") from None
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ConfigError(f"{path}:{line}: not UTF-8 text") from None
    return loads(text, str(path), dev=dev, environ=environ, is_draft=is_draft)


def loads(
    text: str,
    name: str = "<string>",
    *,
    dev: bool = False,
    environ: Mapping[str, str] = NO_VARIABLES,
    is_draft: bool = False,
) -> Config:
    """As `load`, from the text itself; `name` is what errors call it."""
    # `from None` throughout: a chained exception would show the file's text, secrets and all.
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{name}:{_syntax_error(text, str(error))}") from None
    except RecursionError:
        raise ConfigError(f"{name}: nested too deeply") from None
    except ValueError:
        raise ConfigError(f"{name}: a number has too many digits") from None
    named = config_env.overlay(document, environ)
    faults = list(config_env.resolve_secrets(document, environ))
    found = _from_document(document, faults, dev=dev, is_draft=is_draft)
    if isinstance(found, Config):
        return found
    told = partial(_told, lines=key_lines(text), name=name, named=named)
    # In the order of the file, behind what the environment says; what stands nowhere comes last.
    raise ConfigError(*(line for _, line in sorted(map(told, (found, *found.others)), key=_number)))


def _told(
    fault: ConfigKeyError, *, lines: Mapping[ConfigPath, int], name: str, named: config_env.Named
) -> tuple[int, str]:
    """A fault with where it stands, a variable, or the file and the line; and the line's number."""
    if variable := _variable_of(fault.path, named):
        return 0, f"{variable}: {fault}"
    if line := _line_of(fault.path, lines):
        return line, f"{name}:{line}: {fault}"
    return sys.maxsize, f"{name}: {fault}"


def _number(told: tuple[int, str]) -> int:
    return told[0]


def _syntax_error(text: str, message: str) -> str:
    """`tomllib`'s message with the line before it, as everywhere else."""
    match = re.fullmatch(
        r"(.*) \(at (?:line (\d+), column \d+|end of document)\)", message, re.DOTALL
    )
    if match is None:
        return f" not TOML: {message}"
    line = match[2] or str(text.rstrip().count("\n") + 1)
    return f"{line}: not TOML: {match[1]}"


def _variable_of(path: ConfigPath, named: config_env.Named) -> str:
    """The variable that a value comes from, if one does."""
    return next((named[path[:end]] for end in range(len(path), 0, -1) if path[:end] in named), "")


def _line_of(path: ConfigPath, lines: Mapping[ConfigPath, int]) -> int:
    """Where that is, or what it is in; of an array of tables, its first; 0 is nowhere."""
    if (*path, 0) in lines and path not in lines:
        return lines[*path, 0]
    while path:
        if path in lines:
            return lines[path]
        path = path[:-1]
    return 0


Faults = list[ConfigKeyError]
"""What is wrong, as it is found: whoever finds something goes on as if the key were not there."""


def _from_document(
    document: dict[str, Any], faults: Faults, *, dev: bool, is_draft: bool
) -> Config | ConfigKeyError:
    """The configuration, or what is wrong with it; `faults` are what was found before."""
    for name in document:
        if name not in TABLES or "." in name:
            known = ", ".join(map(header, TABLES))
            text = f"unknown table or key {name!r}; known tables: {known}"
            faults.append(ConfigKeyError((name,), text, said_of=()))
    server = _table(ServerConfig, document.get("server", {}), ("server",), faults)
    server = attrs.evolve(server, dev=server.dev or dev)
    native = document.get("native", {})
    if isinstance(native, dict):
        native = {"enabled": server.dev, **native}
    admin = document.get("admin", {})
    keys: object = []
    if isinstance(admin, dict):
        keys = admin.get("keys", [])
        admin = {name: value for name, value in admin.items() if name != "keys"}
    try:
        config = Config(
            server=server,
            native=_table(NativeConfig, native, ("native",), faults),
            apps=_tables(AppConfig, document.get(APPS, []), APPS, faults),
            limits=_table(LimitsConfig, document.get("limits", {}), ("limits",), faults),
            admin=_table(AdminConfig, admin, ("admin",), faults),
            admin_keys=_tables(AdminKeyConfig, keys, ADMIN_KEYS, faults),
            hooks=_table(HooksConfig, document.get("hooks", {}), ("hooks",), faults),
            native_by_default=server.dev and not document.get("native"),
            is_draft=is_draft,
        )
    except ConfigKeyError as fault:
        return ConfigKeyError.first_of([*faults, fault]) or fault
    return ConfigKeyError.first_of(faults) or config


def _tables(cls: type[T], tables: object, name: str, faults: Faults) -> tuple[T, ...]:
    path = table_path(name)
    if not isinstance(tables, list):
        faults.append(ConfigKeyError(path, f"expected an array of tables, got {_kind(tables)}"))
        return ()
    return tuple(_table(cls, table, (*path, index), faults) for index, table in enumerate(tables))


def _table(cls: type[T], table: object, path: ConfigPath, faults: Faults) -> T:
    if not isinstance(table, dict):
        faults.append(ConfigKeyError(path, f"expected a table, got {_kind(table)}"))
        return cls()
    fields = attrs.fields_dict(attrs.resolve_types(cls))
    values = {}
    for name, value in table.items():
        if name not in fields:
            below = [header(it) for it in TABLES if it.startswith(f"{path[0]}.") and path[1:] == ()]
            text = f"unknown key {name!r}; known keys: {', '.join([*fields, *below])}"
            faults.append(ConfigKeyError((*path, name), text, said_of=path))
            continue
        field = fields[name]
        found = _kind if field.metadata["secret"] else partial(_found, path=path)
        many = [value] if name in ONE_OR_MORE and isinstance(value, str) else value
        try:
            values[name] = _value(field.type, many, (*path, name), found)
        except ConfigKeyError as fault:
            faults.append(fault)
    return cls(**values)


def _value(kind: Any, value: object, path: ConfigPath, found: Callable[[object], str]) -> Any:
    try:
        return msgspec.convert(value, kind, strict=True)
    except msgspec.ValidationError:
        if kind in _TYPE_NAMES:
            text = f"expected {_TYPE_NAMES[kind]}, got {found(value)}"
        elif not isinstance(value, list):
            text = f"expected an array of {_ITEM_NAMES[kind]}, got {found(value)}"
        else:
            item = kind.__args__[0]
            index = next(i for i, one in enumerate(value) if type(one) is not item)
            path = (*path, index)
            names = _ITEM_NAMES[kind]
            text = f"expected only {names} in the array, got {found(value[index])}"
    raise ConfigKeyError(path, text)


def _found(value: object, path: ConfigPath) -> str:
    """The value as an error may show it: short, and nothing of where secrets stand."""
    is_secret = any(path[: len(it)] == it for it in map(table_path, ARRAYS))
    if not is_secret and isinstance(value, str | int | float):
        return shown(value)
    return _kind(value)


def _kind(value: object) -> str:
    """What sort of value it is, in TOML's words."""
    match value:
        case bool():
            return "true or false"
        case int() | float():
            return "a number"
        case str():
            return "a string"
        case list():
            return "an array"
        case dict():
            return "a table"
        case _:
            return "a date or a time"


# --- Printing


def print_config(config: Config) -> str:
    """`config` as a TOML file with every key and its text; `loads` reads it back.

    Certificates and passwords are secrets, and are not printed: one from a file of its own is read
    from there again, and for any other the name of an environment variable stands there, which
    holds all of a list's, as a file spells them.
    """
    lines = ["# The configuration of `signal-sdk serve`, with every key that there is."]
    lines += _printed_table(config.server, "server")
    native = _printed_table(config.native, "native")
    # A file that says anything of native clients asks for them by name.
    is_by_name = not config.native_by_default or config.native != NativeConfig(enabled=True)
    lines += native if is_by_name else _commented(native)
    for number, app in enumerate(config.apps, 1):
        lines += _printed_table(app, APPS, number)
    if not config.apps:
        lines += _commented(_printed_table(AppConfig(), APPS))
    lines += _printed_table(config.limits, "limits")
    lines += _printed_table(config.admin, "admin")
    for number, key in enumerate(config.admin_keys, 1):
        lines += _printed_table(key, ADMIN_KEYS, number)
    if not config.admin_keys:
        lines += _commented(_printed_table(AdminKeyConfig(), ADMIN_KEYS))
    lines += _printed_table(config.hooks, "hooks")
    return "\n".join(lines) + "\n"


def _commented(lines: Iterable[str]) -> Iterator[str]:
    return (f"# {line}" if line else "" for line in lines)


def _printed_table(table: Table, name: str, number: int = 0) -> Iterator[str]:
    yield ""
    yield header(name)
    for field in attrs.fields(type(table)):
        value = getattr(table, field.name)
        yield from (f"# {line}" for line in textwrap.wrap(field.metadata["doc"], 94))
        if field.metadata["secret"] and value and not _is_open(field.name, value):
            named = f"${config_env.variable(name, field.name, number)}"
            file = field.metadata["file"]
            if file and getattr(table, file):
                value = field.default
            else:
                value = named if isinstance(value, str) else (named,)
        yield f"{field.name} = {toml_value(value)}"


def _is_open(name: str, value: Any) -> bool:
    """Is this value of a key that may hold a secret without one?"""
    return name == "redis" and not parse_redis(value).password


def markdown_tables() -> str:
    """The tables of docs/configuration.md."""
    lines = []
    for name, cls in TABLES.items():
        _, _, summary = str(cls.__doc__).partition(": ")
        lines += [f"## `{header(name)}`", "", summary[0].upper() + summary[1:], ""]
        lines += ["| key | default | what it is |", "|---|---|---|"]
        lines += [
            f"| `{field.name}` | `{toml_value(field.default)}` | {field.metadata['doc']} |"
            for field in attrs.fields(cls)
        ]
        lines.append("")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.stdout.write(markdown_tables())
