"""Client libraries: many sessions in one process, each of which answers every message that it gets.

Owns: this load, its sizes, and what is made of a round. Must not know how servers are started.

Here the clients' process has a core of its own, and the server shares the load's. A few askers send
each session a message, and the next one when its answer has come.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import attrs

from benchmarks import clients as sockets
from benchmarks import dialects, results, servers
from benchmarks.bench import Bench
from benchmarks.clients import PING_SECONDS, Client, KeepAlive, Plan, logged_in
from benchmarks.dialects import text_of
from benchmarks.process import BenchmarkError, Process, own_cpu_seconds, running
from benchmarks.results import Metric, Metrics, Work
from benchmarks.servers import Server
from benchmarks.trees import HERE, SHOWS_PATH, Tree

NAME: Final = "sdk"
TITLE: Final = "Client libraries: sessions in one process that answer each message, 100 bytes"
COLUMNS: Final = (
    Metric("rate", "received and answered/s"),
    Metric("client_us", "client µs", 1),
    results.SERVER_US,
    results.LOAD_US,
    Metric("session_kib", "KiB a session", 1),
    results.P50,
    results.P99,
    results.P999,
)
SESSIONS: Final = 1_000
ROUND_SECONDS: Final = 6.0
WARM_UP_SECONDS: Final = 2.0
"""Until each session has had some messages: by then, what is asked and what is answered balance."""
READY_SECONDS: Final = 180.0
ASKERS: Final = 20
BYTES: Final = 100
LABEL_BYTES: Final = 6
PAGE: Final = 50
"""How many messages an asker handles before it says so, as our SDK does."""
STALLED_SECONDS: Final = 30.0

OURS: Final = "ours"
RETIRED: Final = "agora-signaling-sdk"
PYTHON_SOCKET_IO: Final = "python-socketio"
NATS_PY: Final = "nats-py"
CALLBACKS: Final = "callbacks"
NEEDS: Final = {
    CALLBACKS: "from signal_sdk import LoginCallback, LoginSession, Signal",
    "streams": "from signal_sdk import LoginSession, Signal; LoginSession.messages",
    "router": "from signal_sdk.router import Bot, MessageContext; Bot.run_in",
    "asyncio": "from signal_sdk.aio import Signal",
    "uvloop": "from signal_sdk.aio import Signal",
}
"""The styles of our own bots, and what each of them begins with."""


@attrs.frozen
class Library:
    """A client library: its program in peers/, and the server that it talks to."""

    name: str
    program: str
    server: str
    tree: Tree | None = None
    """Whose code it is, where it is ours; the servers are always this tree's."""
    style: str = CALLBACKS
    """How the bot is written, where the library is ours."""

    @property
    def label(self) -> str:
        """What its rows are called."""
        return self.tree.label(self.name) if self.tree is not None else self.name

    @property
    def python(self) -> str:
        return sys.executable if self.tree is not None else str(servers.PEERS_PYTHON)


def ours(name: str, style: str) -> Library:
    """Our own, in a style."""
    return Library(name, "bots_ours.py", servers.OURS, HERE, style)


BY_CALLBACKS: Final = ours(OURS, CALLBACKS)
SOCKET_IO_CLIENT: Final = Library(PYTHON_SOCKET_IO, "bots_socketio.py", servers.SOCKET_IO)
LIBRARIES: Final = (
    BY_CALLBACKS,
    Library(RETIRED, "bots_retired.py", servers.OURS),
    SOCKET_IO_CLIENT,
    Library(NATS_PY, "bots_nats.py", servers.NATS),
)


def run(bench: Bench) -> Work:
    """All libraries."""
    return compared(bench, Work(NAME, TITLE, COLUMNS), LIBRARIES)


def compared(bench: Bench, work: Work, all_: Sequence[Library]) -> Work:
    """Those of the libraries that take part, one after the other, in each round again."""
    count = 50 if bench.is_quick else SESSIONS
    libraries = [each for each in all_ if bench.takes(each.name)]
    for library in libraries:
        if library.tree is None and (lack := servers.lacks_python()):
            raise BenchmarkError(f"{library.name} cannot take part: {lack}")
    for library in bench.in_turns([[each, *_as_it_was(bench, each)] for each in libraries]):
        work.add(library.label, {"sessions": count}, measure(bench, library, count))
    return work


def _as_it_was(bench: Bench, library: Library) -> list[Library]:
    """The library with the code of the commit that is measured against, where it has any."""
    if bench.against is None or library.tree is None:
        return []
    then = attrs.evolve(library, tree=bench.against)
    done = subprocess.run(
        (library.python, "-c", NEEDS[library.style]),
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "PYTHONPATH": str(bench.against.root)},
        check=False,
    )
    if done.returncode:
        bench.left_out(f"{then.label} as a client", done.stderr.strip().splitlines()[-1])
        return []
    return [then]


def measure(bench: Bench, library: Library, count: int) -> Metrics:
    """One round with `count` sessions, at a fresh server."""
    seconds = 0.5 if bench.is_quick else ROUND_SECONDS
    peer = servers.BY_NAME[library.server]
    if lack := peer.missing():
        raise BenchmarkError(f"{library.name} cannot take part: {lack}")
    with (
        peer.serving(bench.cores.load) as server,
        _bots(bench, library, server, count) as bots,
        logged_in(server.dialect, server.port, [Plan(f"asker{i}") for i in range(ASKERS)]) as all_,
    ):
        before = int(bots.wait_for(r"^before (\d+)$")[1])
        memory = (bots.rss_bytes() - before) / count
        load = AskLoad(server, all_, count)
        try:
            load.run(min(seconds, WARM_UP_SECONDS))
            cpu, own = bots.cpu_seconds(), own_cpu_seconds()
            server_cpu = server.process.cpu_seconds()
            load.begin_count()
            took = load.run(seconds)
            cpu, own = bots.cpu_seconds() - cpu, own_cpu_seconds() - own
            server_cpu = server.process.cpu_seconds() - server_cpu
        finally:
            load.close()
    return {
        "rate": load.answered / took,
        "client_us": cpu / load.answered * 1e6,
        "server_us": server_cpu / load.answered * 1e6,
        "load_us": own / load.answered * 1e6,
        "session_kib": memory / 1024,
        **results.latencies(load.latencies_us),
    }


@contextlib.contextmanager
def _bots(bench: Bench, library: Library, server: Server, count: int) -> Iterator[Process]:
    """The library's process, all of whose sessions are logged in."""
    environment = {
        "APP_ID": dialects.APP_ID,
        "CERTIFICATE": dialects.CERTIFICATE,
        "TOKENS": json.dumps([dialects.token(f"bot{number}") for number in range(count)]),
        "PYTHONPATH": str((library.tree or HERE).root),
    }
    program = str(servers.PEERS / library.program)
    style = () if library.tree is None else (library.style,)
    command = (library.python, program, str(server.port), str(count), *style)
    with (
        tempfile.TemporaryDirectory(prefix="benchmark-") as folder,
        running(
            f"{library.label} bots",
            command,
            core=bench.cores.measured,
            folder=Path(folder),
            environment=environment,
        ) as process,
    ):
        process.wait_for(r"^ready\b", READY_SECONDS)
        if library.tree is not None:
            library.tree.check(process.wait_for(SHOWS_PATH)[1])
        yield process


class AskLoad:
    """The askers: each session has one message to answer at any time."""

    def __init__(self, server: Server, askers: Sequence[Client], bots: int) -> None:
        self._keep_alive = KeepAlive(PING_SECONDS, if_needed=True)
        self._keep_alive.add_all(askers)
        self._told = server.dialect.told
        self._by_fd = {asker.fd: asker for asker in askers}
        self._handled = dict.fromkeys(self._by_fd, 0)
        self._askers = [askers[number % len(askers)] for number in range(bots)]
        self._messages = [
            asker.voice.to_peer(f"bot{number}", text_of(BYTES, label=f"{number:0{LABEL_BYTES}d}"))
            for number, asker in enumerate(self._askers)
        ]
        self._asked_at = [0] * bots
        self._number = 0
        self._is_asked = False
        self._poll = select.epoll()
        for fd in self._by_fd:
            self._poll.register(fd, select.EPOLLIN)
        self.begin_count()

    def close(self) -> None:
        """Let go of what watches the sockets, not of the sockets."""
        self._poll.close()

    def begin_count(self) -> None:
        """Forget what has been counted."""
        self.answered = 0
        self.latencies_us: list[int] = []

    def run(self, seconds: float) -> float:
        """Ask for `seconds`, and return how long that was. Questions stay under way."""
        if not self._is_asked:
            self._is_asked = True
            for bot in range(len(self._messages)):
                self._ask(bot, sockets.now_us())
        began = heard = time.perf_counter()
        while (now := time.perf_counter()) < began + seconds:
            self._keep_alive.tick()
            ready = self._poll.poll(0.1)
            if ready:
                heard = now
            elif now - heard > STALLED_SECONDS:
                raise BenchmarkError(f"no answer came in {STALLED_SECONDS:.0f} s")
            for fd, _ in ready:
                self._read(self._by_fd[fd])
        return time.perf_counter() - began

    def _read(self, asker: Client) -> None:
        size = asker.read()
        now = sockets.now_us()
        for label in asker.read_stamps(size, label=LABEL_BYTES):
            bot, asked_at = int(label[:LABEL_BYTES]), int(label[LABEL_BYTES:])
            # A poll may bring again what was pushed.
            if asked_at == self._asked_at[bot]:
                self.answered += 1
                self.latencies_us.append(now - asked_at)
                self._ask(bot, max(now, asked_at + 1))
        before = self._handled[asker.fd]
        handled = self._handled[asker.fd] = before + asker.count(self._told, size)
        told = asker.voice.handled(handled) if handled // PAGE > before // PAGE else b""
        if told or asker.has_backlog:
            asker.send(told)

    def _ask(self, bot: int, now: int) -> None:
        self._asked_at[bot] = now
        self._number += 1
        self._askers[bot].send(self._messages[bot].fill(self._number, now))
