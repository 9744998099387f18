"""Secrets and what users say are in no `repr`, whatever object ends in a log or a traceback; and
the WebSocket library, which logs frames, logs nowhere.
"""

from __future__ import annotations

import importlib
import inspect
import logging
import pkgutil
from collections.abc import Iterator
from typing import Any, Final

import attrs
import msgspec
import pytest

import signal_sdk
from signal_sdk.websocket.link import silent
from signal_sdk.wire.hidden import hides

SECRET: Final[frozenset[str]] = frozenset(
    {
        *("token", "line", "lines", "line_digest", "certificate", "password", "instance"),
        *("msg", "msgs", "message", "content", "extra", "value", "text", "json", "attrs"),
        *("data", "payload", "digits", "attributes"),
    }
)
"""The names of fields that hold what nobody but their users is to read."""
NOT_SECRET: Final = {
    "signal_sdk.cli.init.Fresh": {"data"},
    "signal_sdk.server.admin.files.ConsoleFile": {"content"},
    "signal_sdk.client.mailbox._EntryTurn": {"line"},
    "signal_sdk.server.config_keys.ServerConfig": {"data"},
    "signal_sdk.server.config_limits.LimitsConfig": {"attributes"},
    "signal_sdk.wire.call2._Failure": {"data"},
    "signal_sdk.wire.events.ChannelEvent": {"content"},
    "signal_sdk.server.engine.bounds.Bounds": {"attributes"},
    "signal_sdk.server.engine.facts.Event": {"content"},
    "signal_sdk.server.engine.kept.KeptAccount": {"attributes"},
    "signal_sdk.server.engine.kept.KeptChannel": {"attributes"},
    "signal_sdk.server.engine.state.State": {"lines"},
}
"""Names that mean something else there: a directory, a number, a refusal's reason, what has a
`repr` of its own, an index that is never printed.
"""
PLANTED: Final = "planted"


class Planted:
    """Anything, in any field."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __repr__(self) -> str:
        return self.text

    def __len__(self) -> int:
        return 0


def fields_of(cls: Any) -> list[str]:
    if attrs.has(cls):
        return [field.name for field in attrs.fields(cls)]
    return list(getattr(cls, "__struct_fields__", ()) or getattr(cls, "_fields", ()))


def holders() -> Iterator[Any]:
    """The package's classes of data that have a field of such a name."""
    for info in pkgutil.walk_packages(signal_sdk.__path__, "signal_sdk."):
        if info.name.endswith("__main__"):
            continue
        for cls in vars(importlib.import_module(info.name)).values():
            if inspect.isclass(cls) and cls.__module__ == info.name and secrets_of(cls):
                yield cls


def secrets_of(cls: Any) -> frozenset[str]:
    name = f"{cls.__module__}.{cls.__qualname__}"
    return SECRET.intersection(fields_of(cls)).difference(NOT_SECRET.get(name, ()))


def made(cls: Any) -> list[Any]:
    """Objects of the class, with something planted in each field that is to be hidden: one, or one
    for each of the fields that it has one of.
    """
    secrets = secrets_of(cls)
    values = {it: Planted(PLANTED if it in secrets else "0") for it in fields_of(cls)}
    if not attrs.has(cls):
        one_of = getattr(cls, "ONE_OF", ())
        left_out = [{*one_of} - {it} for it in one_of] or [set()]
        return [cls(**{it: values[it] for it in values.keys() - out}) for out in left_out]
    it = object.__new__(cls)
    for name, value in values.items():
        object.__setattr__(it, name, value)
    return [it]


def test_no_repr_shows_what_only_its_users_are_to_read() -> None:
    classes = list(holders())
    assert len(classes) > 30
    shown = [
        f"{cls.__module__}.{cls.__qualname__}" for cls in classes if PLANTED in repr(made(cls))
    ]
    assert shown == []


class Struct(msgspec.Struct):
    name: str
    text: str


@attrs.frozen
class Attrs:
    name: str
    text: str
    token: str = attrs.field(default="x", repr=False)


@pytest.mark.parametrize("cls", [Struct, Attrs])
def test_what_is_hidden_is_so_and_the_rest_is_shown(cls: Any) -> None:
    assert repr(hides("text")(cls)("ann", "hello")) == f"{cls.__name__}(name='ann', text=…)"


def test_a_field_that_is_not_there_cannot_be_hidden() -> None:
    with pytest.raises(TypeError, match="Struct has no texts"):
        hides("texts")(Struct)


def test_no_configuration_of_logging_has_the_library_log() -> None:
    assert not silent.isEnabledFor(logging.CRITICAL)
    assert silent.parent is None
    assert "signal_sdk.websocket.library" not in logging.root.manager.loggerDict
