"""What is read of sources: every kind of import, and circles."""

from __future__ import annotations

import pytest

from tests.modules import Module, circles, modules


def test_the_walk_finds_the_package() -> None:
    names = {module.name for module in modules()}
    assert {"signal_sdk.errors", "signal_sdk.server.config"} <= names


def test_the_law_of_circles_sees() -> None:
    late = Module("signal_sdk.a", "def late():\n  from signal_sdk.b import x")
    for back in ("import signal_sdk.a", "from signal_sdk import a", "from .c import y"):
        there = Module("signal_sdk.b", back)
        last = Module("signal_sdk.c", "from signal_sdk.a import z")
        found = {"signal_sdk.a", "signal_sdk.b"} | ({"signal_sdk.c"} if ".c" in back else set())
        assert circles([late, there, last]) == {frozenset(found)}
        assert circles([late, there, last], running=True) == {frozenset(found)}


def test_the_law_of_circles_tells_apart_what_runs() -> None:
    checked = "import typing\nif typing.TYPE_CHECKING:\n  from .b import x\nelse:\n  import json"
    pair = [Module("signal_sdk.a", checked), Module("signal_sdk.b", "from .a import y")]
    assert circles(pair) == {frozenset({"signal_sdk.a", "signal_sdk.b"})}
    assert circles(pair, running=True) == set()


def test_the_law_of_circles_lets_pass() -> None:
    own = Module("signal_sdk.a", "import signal_sdk.a.b\nfrom . import b", is_package=True)
    below = Module("signal_sdk.a.b", "import json\nfrom signal_sdk.c import x")
    assert circles([own, below, Module("signal_sdk.c", "")]) == set()


@pytest.mark.parametrize(
    ("source", "names"),
    [
        ("import os.path, json", ["os.path", "json"]),
        ("from a.b import c, d as e", ["a.b.c", "a.b.d"]),
        ("from a import *", ["a.*"]),
        ("from . import b", ["signal_sdk.wire.b"]),
        ("from .b import c", ["signal_sdk.wire.b.c"]),
        ("from .. import b", ["signal_sdk.b"]),
        ("from ..b.c import d", ["signal_sdk.b.c.d"]),
        ("def f():\n  if x:\n    import a", ["a"]),
        ("if TYPE_CHECKING:\n  from a import b", ["a.b"]),
        ("importlib.import_module('a.b')", ["a.b"]),
        ("import_module('a')", ["a"]),
        ("__import__('a')", ["a"]),
        ("'import a'\n# import b", []),
    ],
)
def test_every_kind_of_import_is_seen(source: str, names: list[str]) -> None:
    assert list(Module("signal_sdk.wire.frames", source).imports()) == names


def test_a_package_s_own_dots_begin_with_itself() -> None:
    package = Module("signal_sdk.wire", "from .a import b\nfrom ..c import d", is_package=True)
    assert list(package.imports()) == ["signal_sdk.wire.a.b", "signal_sdk.c.d"]
