"""The package's laws: that every module keeps each, and that each sees a module which does not."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.laws import (
    CIRCLES,
    ENGINE,
    MAX_LINES,
    MAX_ROOM_LINES,
    ON_TIME,
    halves_are_apart,
    modules_are_short,
    net_knows_no_protocol,
    only_admin_knows_http_servers,
    only_aio_knows_asyncio,
    only_jwt_tokens_knows_pyjwt,
    only_lookup_knows_httpx,
    only_spans_knows_opentelemetry,
    only_the_collector_knows_prometheus,
    only_the_command_line_knows_click,
    only_the_command_line_knows_rich,
    only_the_journal_knows_sqlite,
    only_the_redis_engine_knows_redis,
    only_websocket_knows_websockets,
    only_who_does_not_run_on_trio_knows_the_bridge,
    others_are_judged_patiently,
    private_names,
    the_client_knows_no_api,
    the_engine_is_known_by_its_contract,
    the_journal_knows_no_state,
    the_seam_is_kept,
    waits_by_trio,
    what_is_remembered_can_be_forgotten,
    wire_is_pure,
)
from tests.modules import ROOT, Module, circles, is_in, modules

# --- The package keeps them


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
        pytest.param(only_admin_knows_http_servers, id="only server.admin knows HTTP servers"),
        pytest.param(only_jwt_tokens_knows_pyjwt, id="only wire.jwt_tokens knows PyJWT"),
        pytest.param(only_the_command_line_knows_click, id="only the command line knows click"),
        pytest.param(only_the_command_line_knows_rich, id="only the command line knows rich"),
        pytest.param(only_the_collector_knows_prometheus, id="only the collector knows Prometheus"),
        pytest.param(only_spans_knows_opentelemetry, id="only spans knows OpenTelemetry"),
        pytest.param(only_aio_knows_asyncio, id="only aio knows asyncio"),
        pytest.param(
            only_who_does_not_run_on_trio_knows_the_bridge, id="trio's API knows no bridge"
        ),
        pytest.param(others_are_judged_patiently, id="others are judged patiently"),
        pytest.param(modules_are_short, id="modules are short"),
        pytest.param(what_is_remembered_can_be_forgotten, id="what is remembered can be forgotten"),
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
    *("signal_sdk.aio", "signal_sdk.sync", "signal_sdk.bridge"),
    "httpx",
)
COMMAND = "import click; from signal_sdk.cli.main import cli; cli.get_command(click.Context(cli), "


STATE = ("signal_sdk.server.node", "signal_sdk.server.engine")
"""What makes a process a server, and takes the memory of one."""
ADMIN = ("signal_sdk.server.admin", "starlette", "hypercorn")
"""What only a server with an admin address needs."""


@pytest.mark.parametrize(
    ("program", "needed", "not_imported"),
    [
        pytest.param("import signal_sdk", "signal_sdk", (*SERVER, *SDK), id="the package"),
        pytest.param(
            "import signal_sdk.server.node",
            "trio",
            (*SDK, *ADMIN, "prometheus_client"),
            id="the server",
        ),
        pytest.param(f"{COMMAND}'serve')", "signal_sdk.server.config", (*SDK, *STATE), id="serve"),
        pytest.param("import signal_sdk.cli.serving", "signal_sdk.server.node", SDK, id="serving"),
        pytest.param(
            "import signal_sdk.cli.workers", "trio", (*SDK, *STATE, *ADMIN), id="the supervisor"
        ),
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
        (only_the_command_line_knows_rich, "rich.table", "signal_sdk.cli.screen", "signal_sdk.net"),
        (
            only_spans_knows_opentelemetry,
            "opentelemetry.trace",
            "signal_sdk.spans",
            "signal_sdk.client",
        ),
        (
            only_the_collector_knows_prometheus,
            "prometheus_client",
            "signal_sdk.server.metrics.collector",
            "signal_sdk.server.metrics",
        ),
        (
            *(only_admin_knows_http_servers, "starlette"),
            *("signal_sdk.server.admin.app", "signal_sdk.server.node"),
        ),
        (only_aio_knows_asyncio, "asyncio", "signal_sdk.aio.crew", "signal_sdk.sync.stream"),
        (
            only_who_does_not_run_on_trio_knows_the_bridge,
            "signal_sdk.bridge.tap",
            "signal_sdk.sync.stream",
            "signal_sdk.streams",
        ),
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
    timed = {module.name for module in modules() if list(waits_by_trio(module.source))}
    assert timed == set(ON_TIME)


def test_the_law_of_length_sees() -> None:
    assert modules_are_short(Module("signal_sdk.signal", "x = 1\n" * (MAX_LINES + 1)))
    assert not modules_are_short(Module("signal_sdk.signal", "x = 1\n" * MAX_LINES))
    room = f"{ENGINE}.call_operations"
    assert modules_are_short(Module(room, "x = 1\n" * (MAX_ROOM_LINES + 1)))
    assert not modules_are_short(Module(room, "x = 1\n" * MAX_ROOM_LINES))


def test_a_memory_of_its_own_is_seen() -> None:
    source = "from functools import lru_cache"
    assert what_is_remembered_can_be_forgotten(Module("signal_sdk.wire.names", source))
    assert not what_is_remembered_can_be_forgotten(Module("signal_sdk.wire.remembered", source))


def test_the_engine_s_tests_know_nothing_private_of_it() -> None:
    """What its contract does not tell, they have by names of `tests/server/inside.py`."""
    paths = sorted((ROOT / "tests" / "server" / "engine").rglob("*.py"))
    assert paths
    found = {path.name: names for path in paths if (names := [*private_names(path.read_text())])}
    assert found == {}


def test_nobody_s_tests_reach_into_an_engine() -> None:
    tests = ROOT / "tests"
    folders = [it for it in tests.iterdir() if it.is_dir() and it.name != "node_modules"]
    paths = {*tests.glob("*.py"), *(path for it in folders for path in it.rglob("*.py"))}
    paths -= {tests / "server" / "inside.py", Path(__file__)}
    found = [it.name for it in paths if re.search(r"\bengine\._[a-z]", it.read_text())]
    assert found == []


@pytest.mark.parametrize("source", ["engine._state", "open()._db.execute(x)", "x._clock = y"])
def test_a_private_name_is_seen(source: str) -> None:
    assert [*private_names(source)]


@pytest.mark.parametrize("source", ["self._state", "super()._watch()", "cls._a", "x.__class__"])
def test_a_private_name_of_one_s_own_is_let_pass(source: str) -> None:
    assert not [*private_names(source)]
