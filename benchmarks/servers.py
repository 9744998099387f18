"""The servers: how each is configured, started and found.

Owns: the table of peers. Must not know what is measured.
"""

from __future__ import annotations

import contextlib
import functools
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Final

import attrs

from benchmarks import dialects
from benchmarks.dialects import Dialect
from benchmarks.native_dialect import Native
from benchmarks.process import BenchmarkError, Process, running
from benchmarks.trees import HERE, SHOWS_PATH, Tree

PEERS: Final = Path(__file__).parent / "peers"
PEERS_PYTHON: Final = Path(__file__).parent / ".venv" / "bin" / "python"
REDIS_URL: Final = "REDIS_URL"
"""In a command, and in its environment: where the Redis is."""
NEVER_SECONDS: Final = 3600.0
"""For servers that ping: not while something else is measured."""

NATIVE_LISTENS: Final = r"^native clients: tcp [^ ]*:(\d+) "
CONFIG: Final = "signal.toml"
OUR_SERVER: Final = {"drain_seconds": 0}
OUR_LIMITS: Final = {
    "user_messages_per_second": 100_000_000,
    "channel_messages_per_second": 100_000_000,
    "frames_per_second": 0,
    "changes_per_second": 0,
    "questions_per_second": 0,
    "inbox_sender_messages": 0,
    # The load looks for marks in what is plain: a join's answer has 200 names.
    "compress_over_bytes": 65_536,
    # All clients come from one address.
    "max_connections": 0,
    "channel_joins_per_second": 0,
    "connections_per_address": 0,
    "connections_per_second": 0,
    "logins_per_second": 0,
    "account_logins_per_minute": 0,
    "handshake_seconds": 60,
}
OURS: Final = "ours"
OURS_NATIVE: Final = "ours, native"
OURS_BOTH: Final = "ours, both wires"
OURS_JOURNAL: Final = "ours, journal"
OURS_REDIS: Final = "ours, Redis"
WS: Final = "ws"
SOCKET_IO: Final = "socket.io"
SOCKET_IO_REDIS: Final = "socket.io, Redis streams"
PYTHON_SOCKET_IO: Final = "python-socketio"
NATS: Final = "NATS"


@attrs.frozen
class Server:
    """A server that listens."""

    name: str
    process: Process
    port: int
    dialect: Dialect
    other: tuple[Dialect, int] | None = None
    """Another dialect that it is spoken to in, and at which port."""
    config: Path | None = None
    """Its configuration, where it is one of ours."""

    def set_limits(self, limits: Mapping[str, int]) -> None:
        """Have these limits from here on, beside those that it was started with: it is told to read
        its configuration again. One of ours only.
        """
        assert self.config is not None
        lines = [*self.config.read_text().splitlines(), ""]
        lines = [line for line in lines if line.partition(" = ")[0] not in limits]
        # The last table are the limits.
        lines[-1:] = [*(f"{name} = {value}" for name, value in limits.items()), ""]
        self.config.write_text("\n".join(lines))
        os.kill(self.process.pid, signal.SIGHUP)


@attrs.frozen
class Start:
    """A command, and how it says where it listens. `folder` is for its files."""

    command: tuple[str, ...]
    listens: str = r"^port (\d+)$"
    cwd: Path = PEERS
    listens_too: str = ""
    """As `listens`, for the peer's other dialect."""


@attrs.frozen
class Peer:
    """A server that can be started. `missing` says what it lacks, or nothing. Ours have a tree,
    whose code they are.
    """

    name: str
    dialect: Dialect
    start: Callable[[Path], Start]
    missing: Callable[[], str]
    other: Dialect | None = None
    needs_redis: bool = False
    tree: Tree | None = None

    @property
    def label(self) -> str:
        """What its rows are called."""
        return self.called(self.name)

    def called(self, name: str) -> str:
        """What its rows are called in a work that has another name for it."""
        return self.tree.label(name) if self.tree is not None else name

    @contextlib.contextmanager
    def serving(
        self, core: int, ping_seconds: float = NEVER_SECONDS, *, redis: str = ""
    ) -> Iterator[Server]:
        """The server, fresh, on `core`, on the Redis at that URL where it needs one. Raises
        `BenchmarkError` where it does not start.
        """
        environment = {
            "APP_ID": dialects.APP_ID,
            "CERTIFICATE": dialects.CERTIFICATE,
            "PING_SECONDS": str(ping_seconds),
            "NODE_ENV": "production",
            REDIS_URL: redis,
            "PYTHONPATH": str((self.tree or HERE).root),
            # Go counts cores before it knows that it has one.
            "GOMAXPROCS": "1",
        }
        with tempfile.TemporaryDirectory(prefix="benchmark-") as name:
            folder = Path(name)
            start = self.start(folder)
            with running(
                self.label,
                tuple(redis if part == REDIS_URL else part for part in start.command),
                core=core,
                folder=folder,
                cwd=start.cwd,
                environment=environment,
            ) as process:
                port = int(process.wait_for(start.listens)[1])
                other = None
                if self.other is not None:
                    other = (self.other, int(process.wait_for(start.listens_too)[1]))
                if self.tree is not None:
                    self.tree.check(process.wait_for(SHOWS_PATH)[1])
                config = folder / CONFIG if self.tree is not None else None
                yield Server(self.name, process, port, self.dialect, other, config)


# --- Ours


def _our_command(*args: str) -> tuple[str, ...]:
    return (sys.executable, str(PEERS / "serve_ours.py"), *args)


@functools.cache
def _ask_ours(tree: Tree, *args: str) -> str:
    """What the tree's command line says of itself."""
    done = subprocess.run(
        _our_command(*args),
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "PYTHONPATH": str(tree.root)},
        check=False,
    )
    if done.returncode:
        # What is wrong is in the last line, be it a refusal's or a traceback's.
        said = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        raise BenchmarkError(f"its `signal-sdk serve {' '.join(args)}` says: {said}")
    return done.stdout


def _lacks_flags(tree: Tree, *flags: str) -> str:
    """Which of these flags the tree's command line does not have, or nothing."""
    try:
        text = _ask_ours(tree, "--help")
    except BenchmarkError as exc:
        return str(exc)
    needed = ("--config", "--print-config", *flags)
    lacking = [flag for flag in needed if not re.search(rf"^ +{flag}\b", text, re.MULTILINE)]
    return f"its `signal-sdk serve` has no {', '.join(lacking)}" if lacking else ""


def _known_keys(tree: Tree) -> list[str]:
    return re.findall(r"^#? ?(\w+) = ", _ask_ours(tree, "--dev", "--print-config"), re.MULTILINE)


def unknown_keys(tree: Tree) -> list[str]:
    """Which keys of the configuration that ours are measured with the tree does not have; none
    where its command line cannot say.
    """
    if _lacks_flags(tree):
        return []
    known = _known_keys(tree)
    return [name for name in (*OUR_SERVER, *OUR_LIMITS) if name not in known]


def _our_config(tree: Tree, folder: Path) -> str:
    """The file's path. The rates are lifted, since the load is a few users who say much."""
    known = _known_keys(tree)

    def lines(keys: dict[str, int]) -> list[str]:
        # A release that does not have a key yet, or any more, does without it.
        return [f"{name} = {value}" for name, value in keys.items() if name in known]

    text = "\n".join(
        [
            "[server]",
            'host = "127.0.0.1"',
            "port = 0",
            *lines(OUR_SERVER),
            "[[apps]]",
            f'id = "{dialects.APP_ID}"',
            f'certificate = "{dialects.CERTIFICATE}"',
            "[limits]",
            *lines(OUR_LIMITS),
            "",
        ]
    )
    path = folder / CONFIG
    path.write_text(text)
    return str(path)


def _start_ours(tree: Tree, *flags: str, folder: Path) -> Start:
    command = _our_command("--config", _our_config(tree, folder), *flags)
    return Start(command, r"^listening on ws://[^ ]*:(\d+)/", tree.root)


def _start_ours_in_memory(tree: Tree, folder: Path) -> Start:
    # Only in development may state be in memory. The app's tokens are checked all the same.
    return _start_ours(tree, "--dev", folder=folder)


def _start_ours_native(tree: Tree, folder: Path) -> Start:
    start = _start_ours(tree, "--dev", "--native", folder=folder)
    return attrs.evolve(start, listens=NATIVE_LISTENS)


def _start_ours_both(tree: Tree, folder: Path) -> Start:
    start = _start_ours(tree, "--dev", "--native", folder=folder)
    return attrs.evolve(start, listens_too=NATIVE_LISTENS)


def _start_ours_journal(tree: Tree, folder: Path) -> Start:
    data = folder / "data"
    data.mkdir()
    return _start_ours(tree, "--data", str(data), folder=folder)


def _start_ours_redis(tree: Tree, folder: Path) -> Start:
    return _start_ours(tree, "--redis", REDIS_URL, folder=folder)


def ours(tree: Tree) -> tuple[Peer, ...]:
    """Our peers, with the code of that tree."""

    def peer(
        name: str, start: Callable[[Tree, Path], Start], *flags: str, dialect: Dialect | None = None
    ) -> Peer:
        return Peer(
            name,
            dialect or dialects.Ours(),
            functools.partial(start, tree),
            functools.partial(_lacks_flags, tree, *flags),
            tree=tree,
        )

    both = peer(OURS_BOTH, _start_ours_both, "--dev", "--native")
    redis = peer(OURS_REDIS, _start_ours_redis, "--redis")
    return (
        peer(OURS, _start_ours_in_memory, "--dev"),
        peer(OURS_NATIVE, _start_ours_native, "--dev", "--native", dialect=Native()),
        attrs.evolve(both, other=Native()),
        peer(OURS_JOURNAL, _start_ours_journal, "--data"),
        attrs.evolve(redis, needs_redis=True, missing=lambda: _lacks_redis() or redis.missing()),
    )


# --- The others


def _start_ws(_: Path) -> Start:
    return Start(("node", "ws_server.mjs"))


def _start_socket_io(_: Path) -> Start:
    return Start(("node", "socketio_server.mjs"))


def _start_python_socket_io(_: Path) -> Start:
    return Start((str(PEERS_PYTHON), "socketio_server.py"))


def nats_command() -> str:
    """Debian keeps it where only administrators look."""
    return shutil.which("nats-server", path=f"{os.environ.get('PATH', '')}:/usr/sbin") or ""


def _start_nats(folder: Path) -> Start:
    config = folder / "nats.conf"
    config.write_text(
        f'listen: "127.0.0.1:-1"\nping_interval: {NEVER_SECONDS:.0f}\n'
        # Its own 2 s are soon over where 2,000 clients come at once and the host is busy.
        f'authorization {{ token: "{dialects.CERTIFICATE}", timeout: {NEVER_SECONDS:.0f} }}\n'
    )
    return Start(
        (nats_command(), "--config", str(config)),
        r"Listening for client connections on 127\.0\.0\.1:(\d+)",
    )


def redis_command() -> str:
    """The program's path, or nothing."""
    return shutil.which("redis-server") or ""


def _lacks_redis() -> str:
    return "" if redis_command() else "redis-server is not installed"


def _lacks_node_or_redis() -> str:
    return _lacks_node() or _lacks_redis()


def _lacks_node() -> str:
    if not shutil.which("node"):
        return "node is not installed"
    if not (PEERS / "node_modules" / "socket.io").is_dir():
        return "benchmarks/peers has no node_modules: `make bench` installs them"
    return ""


def lacks_python() -> str:
    """What the Python peers lack, or nothing."""
    return "" if PEERS_PYTHON.exists() else "benchmarks/.venv is missing: `make bench` makes it"


def _lacks_nats() -> str:
    return "" if nats_command() else "nats-server is not installed"


ALL: Final = (
    *ours(HERE),
    Peer(WS, dialects.Ws(), _start_ws, _lacks_node),
    Peer(SOCKET_IO, dialects.SocketIo(), _start_socket_io, _lacks_node),
    Peer(
        SOCKET_IO_REDIS,
        dialects.SocketIo(),
        _start_socket_io,
        _lacks_node_or_redis,
        needs_redis=True,
    ),
    Peer(PYTHON_SOCKET_IO, dialects.SocketIo(), _start_python_socket_io, lacks_python),
    Peer(NATS, dialects.Nats(), _start_nats, _lacks_nats),
)
BY_NAME: Final = {peer.name: peer for peer in ALL}
