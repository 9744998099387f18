"""The package's laws, kept by walking its modules: who may import what, and how long a file may be.

Each law is a function of one module that returns what is wrong with it. Each is tested twice:
that every module keeps it, and that it sees a module which does not.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import attrs
import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = "signal_sdk"
MAX_LINES = 500

SHARED = (
    "signal_sdk.wire",
    "signal_sdk.net",
    "signal_sdk.websocket",
    "signal_sdk.native",
    "signal_sdk.ecodes",
    "signal_sdk.errors",
    "signal_sdk.printable",
    "signal_sdk.raised",
)
"""What the SDK and the server both stand on."""

ABOVE = ("signal_sdk.cli", "signal_sdk.testing", "signal_sdk.__main__")
"""What may stand on both."""

CLIENT = "signal_sdk.client"
"""What tells facts, below the API's objects."""

ENGINE = "signal_sdk.server.engine"

BELOW_THE_SEAM = (
    "signal_sdk.server.wires",
    "signal_sdk.server.acceptor",
    "signal_sdk.server.doors",
    "signal_sdk.server.http",
    "signal_sdk.server.sockets",
    "signal_sdk.server.openings",
)
"""What knows that there are different kinds of links."""

IMPURE = (
    "asyncio",
    "anyio",
    "http",
    "select",
    "selectors",
    "signal",
    "socket",
    "ssl",
    "subprocess",
    "threading",
    "time",
    "trio",
)
"""What has a clock, a socket or a scheduler."""

CIRCLES = {
    frozenset(
        {
            "signal_sdk.call",
            "signal_sdk.callbacks",
            "signal_sdk.channel",
            "signal_sdk.login_session",
        }
    ): "the API's types name each other: callbacks are handed what hands out callbacks",
    frozenset(
        {"signal_sdk.server.config_checks", "signal_sdk.server.config_keys"}
    ): "a key's type names what it is checked by, and what checks it the types of keys",
}
"""Which modules type checkers go round in, and why; no other circle is allowed, and none at all
when the program runs.
"""

TIMED = ("move_on_after", "move_on_at", "fail_after", "fail_at", "sleep_until")

ON_TIME = {
    "signal_sdk.net.alarms": "it sleeps up to the next alarm",
    "signal_sdk.cli.workers": "it pauses before it begins another worker",
    "signal_sdk.client.reconnector": "it pauses before a try",
    "signal_sdk.flat.life": "it pauses before a try",
    "signal_sdk.server.acceptor": "it sends the clients away at a pace",
    "signal_sdk.server.connection": "a shield has to end where no reactor runs any more, too",
    "signal_sdk.server.engine.redis.engine": "a stop has to end without a reactor, too",
    "signal_sdk.testing.faulty_link": "a fault strikes in its time",
}
"""Who has a reason to go by trio's clock."""


@attrs.frozen
class Module:
    """A module of the package, or what could be one."""

    name: str
    source: str
    is_package: bool = False

    def is_in(self, *rooms: str) -> bool:
        return is_in(self.name, *rooms)

    def imports(self, *, running: bool = False) -> Iterator[str]:
        """Full names of all that it imports, anywhere in it, for whatever reason; with `running`,
        without those for type checkers.

        `from a import b` is `a.b`, whether `b` is a module or something in one.
        """
        tree = ast.parse(self.source)
        if running:
            tree = _Running().visit(tree)
        for node in ast.walk(tree):
            match node:
                case ast.Import(names=names):
                    yield from (alias.name for alias in names)
                case ast.ImportFrom(module=module, names=names, level=level):
                    base = ".".join(filter(None, [self._package(level), module]))
                    yield from (f"{base}.{alias.name}" for alias in names)
                case ast.Call(
                    func=ast.Attribute(attr="import_module")
                    | ast.Name(id="import_module" | "__import__"),
                    args=[ast.Constant(value=str(name)), *_],
                ):
                    yield name

    def _package(self, level: int) -> str:
        """The package that `level` dots stand for."""
        if level == 0:
            return ""
        parts = self.name.split(".")
        return ".".join(parts[: len(parts) - level + self.is_package])


class _Running(ast.NodeTransformer):
    """What of a module runs."""

    def visit_If(self, node: ast.If) -> ast.AST | list[ast.stmt]:
        self.generic_visit(node)
        match node.test:
            case ast.Name(id="TYPE_CHECKING") | ast.Attribute(attr="TYPE_CHECKING"):
                return node.orelse
        return node


def is_in(name: str, *rooms: str) -> bool:
    return any(name == room or name.startswith(f"{room}.") for room in rooms)


def modules() -> list[Module]:
    found = []
    for path in sorted((ROOT / PACKAGE).rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        is_package = parts[-1] == "__init__"
        name = ".".join(parts[:-1] if is_package else parts)
        found.append(Module(name, path.read_text(), is_package))
    return found


# --- The laws


def wire_is_pure(module: Module) -> list[str]:
    """`wire` imports of ours only `ecodes` and `errors`, and no clock, socket or scheduler."""
    if not module.is_in("signal_sdk.wire"):
        return []
    allowed = ("signal_sdk.wire", "signal_sdk.ecodes", "signal_sdk.errors")
    return [
        name
        for name in module.imports()
        if is_in(name, *IMPURE) or (is_in(name, PACKAGE) and not is_in(name, *allowed))
    ]


def net_knows_no_protocol(module: Module) -> list[str]:
    """`net` imports of ours only `errors`: to it, bytes are bytes."""
    if not module.is_in("signal_sdk.net"):
        return []
    ours = [name for name in module.imports() if is_in(name, PACKAGE)]
    return [name for name in ours if not is_in(name, "signal_sdk.net", "signal_sdk.errors")]


def halves_are_apart(module: Module) -> list[str]:
    """The SDK and the server never import each other, nor does what they share import either."""
    if module.is_in(*ABOVE):
        return []
    ours = [name for name in module.imports() if is_in(name, PACKAGE)]
    if module.is_in("signal_sdk.server"):
        return [name for name in ours if not is_in(name, "signal_sdk.server", *SHARED)]
    if module.is_in(*SHARED):
        return [name for name in ours if not is_in(name, *SHARED)]
    return [name for name in ours if is_in(name, "signal_sdk.server", *ABOVE)]


def the_client_knows_no_api(module: Module) -> list[str]:
    """`client` tells facts: of ours it imports only itself and what is shared."""
    if not module.is_in(CLIENT):
        return []
    ours = [name for name in module.imports() if is_in(name, PACKAGE)]
    return [name for name in ours if not is_in(name, CLIENT, *SHARED)]


def circles(modules: list[Module], *, running: bool = False) -> set[frozenset[str]]:
    """The circles in who imports whom: of each, all modules that can be reached from each other."""
    names = {module.name for module in modules}
    found = {
        module.name: {_home(name, names) for name in module.imports(running=running)} - {None}
        for module in modules
    }
    reached = {name: _reached(name, found) for name in found}
    return {
        frozenset(others)
        for name in found
        if len(others := {it for it in reached[name] if name in reached[it]} | {name}) > 1
    }


def _home(name: str, modules: set[str]) -> str | None:
    """The module that an imported name is, or is in; a package's own is not counted for what is
    below it, since it only says which names there are.
    """
    while name and name not in modules:
        name = name.rpartition(".")[0]
    return name or None


def _reached(start: str, found: Mapping[str, set[Any]]) -> set[str]:
    """All that is imported from `start` on."""
    reached: set[str] = set()
    waiting = [start]
    while waiting:
        new = found[waiting.pop()] - reached
        reached |= new
        waiting.extend(new)
    return reached


def the_seam_is_kept(module: Module) -> list[str]:
    """Above the seam of typed frames, nobody in the server knows a wire: only what opens
    connections and answers HTTP imports a kind of link, and only that names one.
    """
    if not module.is_in("signal_sdk.server") or module.is_in(*BELOW_THE_SEAM):
        return []
    kinds = ("signal_sdk.websocket", "signal_sdk.native")
    wires = ("signal_sdk.server.wires.web", "signal_sdk.server.wires.native")
    return [name for name in module.imports() if is_in(name, *kinds, *wires)]


def the_engine_is_known_by_its_contract(module: Module) -> list[str]:
    """Of the engine, the server's rules import its contract alone, which is `base`, and what a
    result is that comes later; the node picks one, and commands look over what one keeps, list and
    remove of it, carry it elsewhere, or change a list that all nodes share.
    """
    commands = ("doctor", "kept", "migrate", "redis", "revoke")
    if module.is_in(ENGINE, "signal_sdk.server.node", *(f"signal_sdk.cli.{it}" for it in commands)):
        return []
    contract = (f"{ENGINE}.base", f"{ENGINE}.pending")
    return [name for name in module.imports() if is_in(name, ENGINE) and not is_in(name, *contract)]


def the_journal_knows_no_state(module: Module) -> list[str]:
    """The journal imports of ours only `errors`, its schema, its checksums, who has a file, and how
    text is made a line: to it, a row is a row. The records import no journal.
    """
    ours = [name for name in module.imports() if is_in(name, PACKAGE)]
    if module.is_in(f"{ENGINE}.schema"):
        return ours
    if module.is_in(f"{ENGINE}.journal"):
        known = (
            *("signal_sdk.errors", "signal_sdk.net", "signal_sdk.printable"),
            *(f"{ENGINE}.schema", f"{ENGINE}.checksums", f"{ENGINE}.files"),
        )
        return [it for it in ours if not is_in(it, *known)]
    if module.is_in(f"{ENGINE}.base", f"{ENGINE}.tables", f"{ENGINE}.inboxes"):
        return [name for name in ours if is_in(name, f"{ENGINE}.journal")]
    return []


def only(*rooms: str, libraries: tuple[str, ...]) -> Callable[[Module], list[str]]:
    """The law that nothing outside `rooms` imports any of `libraries`."""

    def law(module: Module) -> list[str]:
        if module.is_in(*rooms):
            return []
        return [name for name in module.imports() if is_in(name, *libraries)]

    return law


only_websocket_knows_websockets = only(
    "signal_sdk.websocket", libraries=("websockets", "wsproto", "trio_websocket")
)
only_lookup_knows_httpx = only(
    "signal_sdk.client.lookup", libraries=("httpx", "httpcore", "urllib.request")
)
only_the_journal_knows_sqlite = only("signal_sdk.server.engine.journal", libraries=("sqlite3",))
only_the_redis_engine_knows_redis = only(
    "signal_sdk.server.engine.redis", libraries=("coredis", "redis")
)
only_jwt_tokens_knows_pyjwt = only("signal_sdk.wire.jwt_tokens", libraries=("jwt",))
only_the_command_line_knows_click = only(
    "signal_sdk.cli", "signal_sdk.__main__", libraries=("click",)
)


def modules_are_short(module: Module) -> list[str]:
    """No module has more than 500 lines; one that nears 400 wants to be two."""
    lines = len(module.source.splitlines())
    return [f"{lines} lines"] if lines > MAX_LINES else []


def others_are_judged_patiently(module: Module) -> list[str]:
    """Whoever waits for somebody else does so by `net/deadline.py`: a scope with a deadline of
    trio's is over once the process has stood still.
    """
    return [] if module.name in ON_TIME else list(_times(module.source))


def _times(source: str) -> Iterator[str]:
    """What goes by trio's clock and ends a waiting."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Attribute(value=ast.Name(id="trio"), attr=name) if name in TIMED:
                yield name
            case ast.ImportFrom(module="trio", names=names):
                yield from (alias.name for alias in names if alias.name in TIMED)
            case ast.Call(func=ast.Attribute(attr="CancelScope"), keywords=keywords):
                given = [keyword.arg for keyword in keywords]
                yield from (name for name in given if name in ("deadline", "relative_deadline"))
            case ast.Attribute(
                value=ast.Name(id=scope) | ast.Attribute(attr=scope),
                attr="deadline" | "relative_deadline" as name,
                ctx=ast.Store(),
            ) if "scope" in scope:
                yield name


# --- The package keeps them


def test_the_walk_finds_the_package() -> None:
    names = {module.name for module in modules()}
    assert {"signal_sdk.errors", "signal_sdk.server.config"} <= names


@pytest.mark.parametrize(
    "law",
    [
        pytest.param(wire_is_pure, id="wire is pure"),
        pytest.param(net_knows_no_protocol, id="net knows no protocol"),
        pytest.param(halves_are_apart, id="the SDK and the server are apart"),
        pytest.param(the_client_knows_no_api, id="the client knows no API"),
        pytest.param(the_seam_is_kept, id="above the seam nobody knows a wire"),
        pytest.param(the_engine_is_known_by_its_contract, id="the engine is known by its contract"),
        pytest.param(the_journal_knows_no_state, id="the journal knows no state"),
        pytest.param(only_websocket_knows_websockets, id="only websocket knows websockets"),
        pytest.param(only_lookup_knows_httpx, id="only client.lookup knows httpx"),
        pytest.param(only_the_journal_knows_sqlite, id="only engine.journal knows sqlite3"),
        pytest.param(only_the_redis_engine_knows_redis, id="only engine.redis knows Redis"),
        pytest.param(only_jwt_tokens_knows_pyjwt, id="only wire.jwt_tokens knows PyJWT"),
        pytest.param(only_the_command_line_knows_click, id="only the command line knows click"),
        pytest.param(others_are_judged_patiently, id="others are judged patiently"),
        pytest.param(modules_are_short, id="modules are short"),
    ],
)
def test_every_module_keeps_the_law(law: Callable[[Module], list[str]]) -> None:
    broken = {module.name: wrong for module in modules() if (wrong := law(module))}
    assert broken == {}


def test_nobody_imports_in_a_circle() -> None:
    assert circles(modules()) == set(CIRCLES)
    assert circles(modules(), running=True) == set()


SERVER = ("signal_sdk.server",)
SDK = (
    *("signal_sdk.client", "signal_sdk.flat", "signal_sdk.signal", "signal_sdk.login_session"),
    *("signal_sdk.channel", "signal_sdk.call", "signal_sdk.callbacks", "signal_sdk.agora_api"),
    "httpx",
)
COMMAND = "import click; from signal_sdk.cli.main import cli; cli.get_command(click.Context(cli), "


STATE = ("signal_sdk.server.node", "signal_sdk.server.engine")
"""What makes a process a server, and takes the memory of one."""


@pytest.mark.parametrize(
    ("program", "needed", "not_imported"),
    [
        pytest.param("import signal_sdk", "signal_sdk", (*SERVER, *SDK), id="the package"),
        pytest.param("import signal_sdk.server.node", "trio", SDK, id="the server"),
        pytest.param(f"{COMMAND}'serve')", "signal_sdk.server.config", (*SDK, *STATE), id="serve"),
        pytest.param("import signal_sdk.cli.serving", "signal_sdk.server.node", SDK, id="serving"),
        pytest.param("import signal_sdk.cli.workers", "trio", (*SDK, *STATE), id="the supervisor"),
        pytest.param("from signal_sdk import *", "httpx", SERVER, id="the SDK"),
        pytest.param(f"{COMMAND}'send')", "httpx", SERVER, id="send"),
        pytest.param(
            "import signal_sdk.client.session", "httpx", (*SERVER, *SDK[1:-1]), id="the client"
        ),
        pytest.param(
            "import signal_sdk.wire.frames",
            "msgspec",
            (*SERVER, *SDK, "trio", "socket"),
            id="the wire",
        ),
    ],
)
def test_a_process_imports_the_half_that_it_needs(
    program: str, needed: str, not_imported: tuple[str, ...]
) -> None:
    """Whatever modules say of each other, a package's `__init__` is run for each of them."""
    code = f"import sys; {program}; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True, text=True
    )
    imported = done.stdout.split()
    assert needed in imported
    assert [name for name in imported if is_in(name, *not_imported)] == []


# --- The laws see what breaks them


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


def test_the_law_of_the_client_sees() -> None:
    for source in (
        "from signal_sdk.callbacks import LoginCallback",
        "from signal_sdk import Signal",
        "if TYPE_CHECKING:\n  from ..channel import Channel",
    ):
        assert the_client_knows_no_api(Module("signal_sdk.client.channels", source))
    source = "from .facts import Sink\nfrom signal_sdk.websocket.link import Link\nimport trio"
    assert not the_client_knows_no_api(Module("signal_sdk.client.channels", source))


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


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("signal_sdk.wire", "import trio"),
        ("signal_sdk.wire.frames", "from time import time"),
        ("signal_sdk.wire.frames", "import socket"),
        ("signal_sdk.wire.frames", "from signal_sdk.websocket import link"),
        ("signal_sdk.wire.frames", "from ..client import lookup"),
        ("signal_sdk.wire.frames", "from signal_sdk import Signal"),
        ("signal_sdk.wire.frames", "import signal_sdk"),
    ],
)
def test_the_law_of_the_wire_sees(name: str, source: str) -> None:
    assert wire_is_pure(Module(name, source))


def test_the_law_of_the_wire_lets_pass() -> None:
    source = "import json, msgspec\nfrom signal_sdk.ecodes import ECode\nfrom .names import x"
    assert not wire_is_pure(Module("signal_sdk.wire.frames", source))
    assert not wire_is_pure(Module("signal_sdk.wires", "import trio"))


def test_the_law_of_the_net_sees() -> None:
    for source in ("from signal_sdk.websocket import link", "from ..wire import names"):
        assert net_knows_no_protocol(Module("signal_sdk.net.outbox", source))
    source = "import trio\nfrom signal_sdk.errors import LinkError\nfrom .sleeper import Sleeper"
    assert not net_knows_no_protocol(Module("signal_sdk.net.outbox", source))


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("signal_sdk", "from signal_sdk.server.config import Config"),
        ("signal_sdk.channel", "import signal_sdk.server"),
        ("signal_sdk.client.lookup", "from ..server import http"),
        ("signal_sdk.channel", "from signal_sdk.testing import x"),
        ("signal_sdk.server", "from signal_sdk.client import lookup"),
        ("signal_sdk.server.node", "from signal_sdk.channel import Channel"),
        ("signal_sdk.server.engine.base", "from signal_sdk import Signal"),
        ("signal_sdk.server.node", "from signal_sdk.testing import x"),
        ("signal_sdk.websocket.link", "from signal_sdk.server import config"),
        ("signal_sdk.websocket.link", "from signal_sdk.client import lookup"),
        ("signal_sdk.errors", "from signal_sdk.client import lookup"),
    ],
)
def test_the_law_of_the_halves_sees(name: str, source: str) -> None:
    assert halves_are_apart(Module(name, source))


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("signal_sdk", "from signal_sdk.signal import Signal"),
        ("signal_sdk.client.lookup", "from signal_sdk.wire import frames"),
        ("signal_sdk.server.node", "from signal_sdk.websocket import link\nfrom . import hub"),
        ("signal_sdk.cli.serve", "import signal_sdk.server\nfrom signal_sdk import Signal"),
        ("signal_sdk.testing.servers", "from signal_sdk.server import node"),
    ],
)
def test_the_law_of_the_halves_lets_pass(name: str, source: str) -> None:
    assert not halves_are_apart(Module(name, source))


def test_the_law_of_the_seam_sees() -> None:
    for source in (
        "from signal_sdk.websocket import link",
        "from signal_sdk.native.link import NativeLink",
        "from .wires.web import WebClientLink",
    ):
        assert the_seam_is_kept(Module("signal_sdk.server.connection", source))
        assert not the_seam_is_kept(Module("signal_sdk.server.acceptor", source))
    source = "from signal_sdk.server.wires.base import ClientLink"
    assert not the_seam_is_kept(Module("signal_sdk.server.connection", source))


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("signal_sdk.server.presence", "from signal_sdk.server.engine.embedded import x"),
        ("signal_sdk.server.requests", "from .engine import journal"),
        ("signal_sdk.cli.serve", "import signal_sdk.server.engine.journal"),
        ("signal_sdk.testing.server", "from signal_sdk.server.engine import embedded"),
    ],
)
def test_the_law_of_the_engine_sees(name: str, source: str) -> None:
    assert the_engine_is_known_by_its_contract(Module(name, source))


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("signal_sdk.server.presence", "from signal_sdk.server.engine.base import Engine"),
        ("signal_sdk.server.node", "from .engine.embedded import EmbeddedEngine"),
        ("signal_sdk.server.engine.state", "from .journal import Journal"),
        ("signal_sdk.cli.doctor", "from signal_sdk.server.engine.checkup import examine"),
    ],
)
def test_the_law_of_the_engine_lets_pass(name: str, source: str) -> None:
    assert not the_engine_is_known_by_its_contract(Module(name, source))


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("signal_sdk.server.engine.journal", "from signal_sdk.server.engine.tables import Row"),
        ("signal_sdk.server.engine.journal", "from .base import Presence"),
        ("signal_sdk.server.engine.schema", "from signal_sdk.errors import x"),
        ("signal_sdk.server.engine.tables", "from .journal import Row"),
        ("signal_sdk.server.engine.base", "import signal_sdk.server.engine.journal"),
    ],
)
def test_the_law_of_the_journal_sees(name: str, source: str) -> None:
    assert the_journal_knows_no_state(Module(name, source))


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("signal_sdk.server.engine.journal", "import sqlite3\nfrom signal_sdk.errors import x"),
        ("signal_sdk.server.engine.journal", "from signal_sdk.server.engine.schema import Row"),
        ("signal_sdk.server.engine.commits", "from .journal import Batch\nfrom .tables import x"),
    ],
)
def test_the_law_of_the_journal_lets_pass(name: str, source: str) -> None:
    assert not the_journal_knows_no_state(Module(name, source))


@pytest.mark.parametrize(
    ("law", "library", "home", "elsewhere"),
    [
        (
            only_websocket_knows_websockets,
            "websockets.server",
            "signal_sdk.websocket.link",
            "signal_sdk.server.listener",
        ),
        (
            only_lookup_knows_httpx,
            "httpx",
            "signal_sdk.client.lookup",
            "signal_sdk.client.connecting",
        ),
        (
            only_the_journal_knows_sqlite,
            "sqlite3",
            "signal_sdk.server.engine.journal",
            "signal_sdk.server.engine.embedded",
        ),
        (
            only_the_redis_engine_knows_redis,
            "coredis",
            "signal_sdk.server.engine.redis",
            "signal_sdk.server.engine.base",
        ),
        (only_the_command_line_knows_click, "click", "signal_sdk.cli.serve", "signal_sdk.signal"),
        (only_the_command_line_knows_click, "click", "signal_sdk.__main__", "signal_sdk.server"),
    ],
)
def test_the_law_of_a_library_s_home_sees(
    law: Callable[[Module], list[str]], library: str, home: str, elsewhere: str
) -> None:
    assert law(Module(elsewhere, f"import {library}")) == [library]
    assert law(Module(elsewhere, f"def late():\n  from {library} import x")) == [f"{library}.x"]
    assert not law(Module(home, f"import {library}"))


@pytest.mark.parametrize(
    "source",
    [
        "with trio.move_on_after(5): pass",
        "with trio.fail_after(5): pass",
        "from trio import move_on_at",
        "scope = trio.CancelScope(deadline=5)",
        "scope = trio.CancelScope(shield=True, relative_deadline=5)",
        "nursery.cancel_scope.deadline = trio.current_time() + 5",
        "async def give_up():\n  await trio.sleep_until(5)",
    ],
)
def test_the_law_of_patience_sees(source: str) -> None:
    assert others_are_judged_patiently(Module("signal_sdk.client.dialer", source))
    assert not others_are_judged_patiently(Module("signal_sdk.net.alarms", source))


def test_the_law_of_patience_lets_pass() -> None:
    source = "with move_on_after(reactor, 5): pass\nself.deadline = 5\nawait trio.sleep(5)"
    assert not others_are_judged_patiently(Module("signal_sdk.client.dialer", source))


def test_all_who_go_by_trio_s_clock_still_do() -> None:
    timed = {module.name for module in modules() if list(_times(module.source))}
    assert timed == set(ON_TIME)


def test_the_law_of_length_sees() -> None:
    assert modules_are_short(Module("signal_sdk.signal", "x = 1\n" * (MAX_LINES + 1)))
    assert not modules_are_short(Module("signal_sdk.signal", "x = 1\n" * MAX_LINES))
