"""The package's laws: who may import what, how long a file may be, and who has a reason to differ.

Each is a function of one module that returns what is wrong with it.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator

from tests.modules import PACKAGE, Module, is_in

MAX_LINES = 400
MAX_ROOM_LINES = 300
"""Of each class that the embedded engine is made of: what changes together, and no more."""

SHARED = (
    "signal_sdk.wire",
    "signal_sdk.net",
    "signal_sdk.websocket",
    "signal_sdk.native",
    "signal_sdk.ecodes",
    "signal_sdk.errors",
    "signal_sdk.extras",
    "signal_sdk.printable",
    "signal_sdk.raised",
    "signal_sdk.spans",
)
"""What the SDK and the server both stand on."""

ABOVE = (
    "signal_sdk.cli",
    "signal_sdk.pytest_plugin",
    "signal_sdk.testing",
    "signal_sdk.__main__",
)
"""What may stand on both."""

CLIENT = "signal_sdk.client"
"""What tells facts, below the API's objects."""

ENGINE = "signal_sdk.server.engine"

BELOW_THE_SEAM = (
    "signal_sdk.server.wires",
    "signal_sdk.server.acceptor",
    "signal_sdk.server.admission",
    "signal_sdk.server.doors",
    "signal_sdk.server.http",
    "signal_sdk.server.links",
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
        {
            "signal_sdk.server.config_admin",
            "signal_sdk.server.config_checks",
            "signal_sdk.server.config_keys",
        }
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
    "signal_sdk.router.life": "its user's handlers have so long to end",
    "signal_sdk.router.conversations": "it looks for a late answer before it gives up",
    "signal_sdk.router.time_limit": "a handler is its user's own, who says how long it may take",
    "signal_sdk.server.acceptor": "it sends the clients away at a pace",
    "signal_sdk.server.connection": "a shield has to end where no reactor runs any more, too",
    "signal_sdk.server.engine.commits": "it gathers for a moment, unless something is urgent",
    "signal_sdk.server.engine.redis.engine": "a stop has to end without a reactor, too",
    "signal_sdk.testing.faulty_link": "a fault strikes in its time",
    "signal_sdk.testing.notes": "a test says how long it waits",
}
"""Who has a reason to go by trio's clock."""


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
    """Of the engine, the server's rules import its contract alone, which is `base`, what is told of
    what happens, and what a result is that comes later; `engines` picks one, and commands look over
    what one keeps, list and remove of it, carry it elsewhere, or change a list that all nodes
    share.
    """
    commands = ("doctor", "kept", "migrate", "redis", "revoke")
    picking = ("signal_sdk.server.engines", "signal_sdk.server.node")
    if module.is_in(ENGINE, *picking, *(f"signal_sdk.cli.{it}" for it in commands)):
        return []
    contract = (f"{ENGINE}.base", f"{ENGINE}.pending", f"{ENGINE}.happened")
    return [name for name in module.imports() if is_in(name, ENGINE) and not is_in(name, *contract)]


def the_journal_knows_no_state(module: Module) -> list[str]:
    """The journal imports of ours only `errors`, its database and vacuum, its schema, checksums,
    chunks and statements, who has a file, and how text is made a line: to it, a row is a row. The
    records import no journal.
    """
    ours = [name for name in module.imports() if is_in(name, PACKAGE)]
    if module.is_in(f"{ENGINE}.schema"):
        return ours
    parts = ("schema", "checksums", "chunks", "statements", "database", "vacuum")
    below = tuple(f"{ENGINE}.{name}" for name in parts)
    if module.is_in(f"{ENGINE}.journal", *below):
        known = (
            *("signal_sdk.errors", "signal_sdk.net", "signal_sdk.printable"),
            *(f"{ENGINE}.files", *below),
        )
        return [it for it in ours if not is_in(it, *known)]
    if module.is_in(*(f"{ENGINE}.{name}" for name in ("base", "tables", "owners", "inboxes"))):
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
    "signal_sdk.admin.client",
    "signal_sdk.client.lookup",
    "signal_sdk.server.hooks.poster",
    libraries=("httpx", "httpcore", "urllib.request"),
)
only_the_journal_knows_sqlite = only(
    *(f"{ENGINE}.{name}" for name in ("journal", "database", "vacuum")), libraries=("sqlite3",)
)
only_the_redis_engine_knows_redis = only(
    "signal_sdk.server.engine.redis", libraries=("coredis", "redis")
)
only_admin_knows_http_servers = only(
    "signal_sdk.server.admin", libraries=("starlette", "hypercorn", "h11", "h2")
)
only_jwt_tokens_knows_pyjwt = only("signal_sdk.wire.jwt_tokens", libraries=("jwt",))
only_the_command_line_knows_click = only(
    "signal_sdk.cli", "signal_sdk.__main__", libraries=("click",)
)
only_aio_knows_asyncio = only(
    # What tests on asyncio are given waits there, too.
    *("signal_sdk.aio", "signal_sdk.testing.trio_thread"),
    libraries=("asyncio", "uvloop"),
)
only_who_does_not_run_on_trio_knows_the_bridge = only(
    *("signal_sdk.aio", "signal_sdk.sync", "signal_sdk.bridge"),
    libraries=("signal_sdk.aio", "signal_sdk.sync", "signal_sdk.bridge"),
)
only_spans_knows_opentelemetry = only("signal_sdk.spans", libraries=("opentelemetry",))
only_the_command_line_knows_rich = only("signal_sdk.cli", libraries=("rich",))

only_the_collector_knows_prometheus = only(
    "signal_sdk.server.metrics.collector",
    # What the collector says is read there.
    "signal_sdk.cli.samples",
    libraries=("prometheus_client",),
)


def modules_are_short(module: Module) -> list[str]:
    """No module has more than 400 lines, and none of those that the embedded engine is made of more
    than 300.
    """
    parent, _, name = module.name.rpartition(".")
    is_room = parent == ENGINE and name.endswith("_operations")
    lines = len(module.source.splitlines())
    return [f"{lines} lines"] if lines > (MAX_ROOM_LINES if is_room else MAX_LINES) else []


def what_is_remembered_can_be_forgotten(module: Module) -> list[str]:
    """Whoever remembers what was asked for last does so by `wire/remembered.py`: a cache of its own
    keeps what only a flood has named.
    """
    is_own = "lru_cache" in module.source and not module.is_in("signal_sdk.wire.remembered")
    return ["lru_cache"] if is_own else []


def others_are_judged_patiently(module: Module) -> list[str]:
    """Whoever waits for somebody else does so by `net/deadline.py`: a scope with a deadline of
    trio's is over once the process has stood still.
    """
    return [] if module.name in ON_TIME else list(waits_by_trio(module.source))


def waits_by_trio(source: str) -> Iterator[str]:
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


def private_names(source: str) -> Iterator[str]:
    """What a source names of other objects that is theirs alone."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Attribute(value=ast.Name(id="self" | "cls")):
                continue
            case ast.Attribute(value=ast.Call(func=ast.Name(id="super"))):
                continue
            case ast.Attribute(attr=name) if name.startswith("_") and not name.startswith("__"):
                yield name
