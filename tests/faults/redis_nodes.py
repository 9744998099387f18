"""Real servers on one Redis, the programs that keep them busy, and what these have to say in the
end.

Owns: the processes, and the promises that are the same whatever has befallen them: of what was
acknowledged nothing is lost, nothing comes twice, and who is in a channel is known. Must not know
what befalls them.
"""

from __future__ import annotations

import json
import sys
import time
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import attrs
import httpx

from tests.faults.processes import PATIENCE_SECONDS, Program, free_port

FOLDER: Final = Path(__file__).parent
CHANNEL: Final = "room"
SETTLE_SECONDS: Final = 3.0
"""In which all that can come has come, and by which a roster may be late."""


@attrs.frozen
class Lives:
    """How long a node may be silent, and for how long whoever has lost the connection is kept."""

    life: float
    lease: int


SHORT: Final = Lives(6.0, 2)
FULL: Final = Lives(10.0, 20)
"""As servers have them."""


class NodeProcess:
    """A server on `url`, which comes back to its port after each `kill`."""

    def __init__(self, folder: Path, name: str, url: str, lives: Lives) -> None:
        self.port = free_port()
        config = folder / f"{name}.toml"
        config.write_text(
            f"[server]\ndev = true\nport = {self.port}\nredis = '{url}'\n"
            "[native]\nenabled = false\n"
            # As often as the original page logs in again while its node is away.
            "[limits]\naccount_logins_per_minute = 0\n"
            # A client that was not read for seconds says all of that at once.
            "user_messages_per_second = 2000\nchannel_messages_per_second = 0\n"
        )
        shorten = [str(FOLDER / "short_lives.py"), str(lives.life), str(lives.lease)]
        program = ["-m", "signal_sdk"] if lives == FULL else shorten
        self._command = [sys.executable, *program, "serve", "--config", str(config)]
        self.program: Program | None = None

    @property
    def address(self) -> str:
        """Where it is, as the SDK takes it."""
        return f"127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it, and wait until it listens."""
        self.program = Program(self._command)
        self.program.expect("listening on")

    def kill(self) -> None:
        """End it by SIGKILL; nothing where it has ended."""
        if self.program is not None:
            self.program.kill()
            self.program = None

    def is_ready(self) -> bool:
        """What it says of that itself."""
        return httpx.get(f"http://{self.address}/readyz", trust_env=False).status_code == 200

    def wait_until_ready(self) -> None:
        """Until it says so."""
        until = time.monotonic() + PATIENCE_SECONDS
        while not self.is_ready():
            assert time.monotonic() < until, "it does not become ready"
            time.sleep(0.02)


@attrs.frozen
class Gone:
    """Who is in the channel no more: they lost their connection at `at`, and have to be out of it
    between `earliest` and `latest` seconds later.
    """

    names: tuple[str, ...]
    at: float
    earliest: float
    latest: float


class Load:
    """Two nodes under load of our SDK and of the original web SDK, and a third with somebody who
    watches who is in the channel; `nodes` are the first two.
    """

    def __init__(self, folder: Path, url: str, lives: Lives) -> None:
        self.lives = lives
        self.nodes = [NodeProcess(folder, name, url, lives) for name in "ab"]
        self._third = NodeProcess(folder, "third", url, lives)
        self._stack = ExitStack()
        self._gone: list[Gone] = []
        self._programs: dict[NodeProcess, list[Program]] = {}
        self._members = [("room1", "room2"), ("room3", "room4"), ("watcher",)]
        self.sessions = [
            ("ann", "bob", "web1", *self._members[0]),
            ("cem", "dia", "web2", *self._members[1]),
        ]
        """Whose are at each of the two."""

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            for node in (*self.nodes, self._third):
                stack.callback(node.kill)
                node.start()
            everybody = ",".join(name for names in self.sessions for name in names[:3])
            for node, (*accounts, web, _, _) in zip(self.nodes, self.sessions, strict=True):
                ours = ",".join(accounts)
                sdk = [sys.executable, str(FOLDER / "sdk_load.py"), node.address, ours, everybody]
                page = ["node", str(FOLDER / "web_load.js"), f"ws://{node.address}/", web]
                self._programs[node] = [
                    stack.enter_context(Program(sdk)),
                    stack.enter_context(Program([*page, everybody])),
                ]
            self._programs[self._third] = []
            for node, names in zip((*self.nodes, self._third), self._members, strict=True):
                room = [sys.executable, str(FOLDER / "room_load.py"), node.address, CHANNEL]
                self._programs[node].append(stack.enter_context(Program([*room, ",".join(names)])))
            for program in self.programs:
                program.expect("ready")
            for programs in self._programs.values():
                programs[-1].tell("speak")
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stack.close()

    @property
    def programs(self) -> list[Program]:
        """All that keeps the nodes busy."""
        return [program for programs in self._programs.values() for program in programs]

    def wait_until_back(self, node: NodeProcess) -> None:
        """Until all who were at the node have come back to it."""
        for program in self._programs[node]:
            program.expect("back")

    def ghosts(self, node: NodeProcess, *names: str) -> Program:
        """Who will not come back: they are in the channel."""
        program = Program(
            [
                *(sys.executable, str(FOLDER / "ghosts.py"), node.address, CHANNEL),
                *(str(self.lives.lease), ",".join(names)),
            ]
        )
        self._stack.callback(program.kill)
        program.expect("ready")
        return program

    def gone(self, *names: str, at: float, life: float) -> None:
        """They have lost their connection `at` that time, and that was known `life` seconds later
        at the latest, with which their leases began.
        """
        latest = life + self.lives.lease + SETTLE_SECONDS
        self._gone.append(Gone(names, at, self.lives.lease, latest))

    def result(self, faults: str, settle_seconds: float = SETTLE_SECONDS) -> dict[str, Any]:
        """End the load, hold what it tells against the promises once all has come, and say it in a
        line. What each session has told.
        """
        for program in self.programs:
            program.tell("stop")
        for program in self.programs:
            program.expect("stopped")
        until = max([it.at + it.latest for it in self._gone], default=0.0)
        time.sleep(max(settle_seconds, until - time.monotonic()))
        watcher = self._programs[self._third][0]
        watcher.tell("list")
        listed = json.loads(watcher.expect("["))
        told: dict[str, Any] = {}
        # It hears nobody else's end.
        for program in (watcher, *(it for it in self.programs if it is not watcher)):
            program.tell("tell")
            told |= json.loads(program.expect("{"))
        members = [name for names in self._members for name in names]
        peers = {name: it for name, it in told.items() if name not in members}
        room = {name: told[name] for name in members}
        texts = [_peers(peers), _room(room)]
        late = _moves(told["watcher"]["moves"], self._gone, members)
        resumes = sum(it["reconnected"] for it in told.values())
        sys.stdout.write(
            f"\n{faults}, {resumes} reconnections; {'; '.join(texts)}; of "
            f"{sum(len(it.names) for it in self._gone)} who did not come back, the last was out of "
            f"the channel {late:.1f} s before it had to be\n"
        )
        assert listed == sorted(members)
        assert all(it["ended"] == [] for it in room.values())
        return told


def _peers(told: dict[str, Any]) -> str:
    acked = [text for it in told.values() for text in it["acked"]]
    unknown = sum(len(it["unknown"]) for it in told.values())
    heard = Counter(text for it in told.values() for text in it["heard"])
    lost = [text for text in acked if not heard[text]]
    twice = {text: count for text, count in heard.items() if count > 1}
    again = sum(len(it.get("again", ())) for it in told.values())
    # Also for a run without pytest.
    assert lost == [], lost
    assert twice == {}, twice
    assert len(acked) > 5 * len(told)
    return (
        f"to peers {len(acked)} acknowledged, {unknown} of unknown outcome, "
        f"{sum(heard.values())} delivered, {len(lost)} lost, {len(twice)} twice, {again} again "
        "after a page's own new login"
    )


def _room(told: dict[str, Any]) -> str:
    """Whoever has not heard of what was acknowledged was told that so much is missing."""
    acked = [text for it in told.values() for text in it["acked"]]
    unknown = sum(len(it["unknown"]) for it in told.values())
    gaps = 0
    for name, it in told.items():
        heard = Counter(it["heard"])
        lost = [text for text in acked if not heard[text]]
        assert len(lost) <= sum(it["missed"]), (name, lost, it["missed"])
        assert {text for text, count in heard.items() if count > 1} == set(), name
        gaps += len(it["missed"])
    assert len(acked) > 5 * len(told)
    return (
        f"to the channel {len(acked)} acknowledged, {unknown} of unknown outcome, "
        f"{sum(len(it['heard']) for it in told.values())} delivered, {gaps} gaps"
    )


def _moves(moves: list[tuple[str, str, float]], gone: list[Gone], members: list[str]) -> float:
    """Who was in the channel left it once, in time; who came back never did. How many seconds were
    left at the latest.
    """
    assert [it for it in moves if it[1] in members and it[0] == "leave"] == []
    spare = []
    for it in gone:
        for name in it.names:
            at = [when for kind, account, when in moves if (kind, account) == ("leave", name)]
            assert len(at) == 1, (name, at)
            assert it.earliest <= at[0] - it.at <= it.latest, (name, at[0] - it.at, it)
            spare.append(it.latest - (at[0] - it.at))
    return min(spare, default=0.0)
