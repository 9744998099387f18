"""What hostile clients cost: what stays in memory and in the file of what they did, and how late
others are answered meanwhile.

    python -m benchmarks.hostile [--only memory|latency] [--small]

The server has one core and a journal, the load the other. For `memory` the rates are lifted, which
would stretch the same work over hours; for `latency` every limit is as it is by default but those
of one address, which the load has. The first quarter of each case of `memory` is not counted: what
the code itself needs is there afterwards.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import select
import socket
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

import attrs

from benchmarks import dialects
from benchmarks.clients import PING_SECONDS, Client, KeepAlive, Plan, logged_in
from benchmarks.dialects import Ours, OurVoice, json_frame
from benchmarks.process import BenchmarkError, Cores, Process, raise_file_limit, running

ROOT: Final = Path(__file__).parents[1]
UNDER_WAY: Final = 500
"""How many requests are unanswered at most."""
ANSWER: Final = b'["call2-ret",'
CALM_SECONDS: Final = 150.0
"""How long the server has to forget."""
NEAR: Final = 1.1
"""How much more memory than before is taken for none."""


@attrs.frozen
class Served:
    """A server of ours, and its files."""

    process: Process
    port: int
    data: Path

    def file_bytes(self) -> int:
        """What its files take."""
        return sum(path.stat().st_size for path in self.data.iterdir() if path.is_file())


@contextlib.contextmanager
def serving(core: int, limits: dict[str, int]) -> Iterator[Served]:
    """A server with an app, these limits and a journal."""
    with tempfile.TemporaryDirectory(prefix="hostile-") as name:
        folder = Path(name)
        data = folder / "data"
        config = folder / "signal.toml"
        lines = [f"{key} = {value}" for key, value in limits.items()]
        config.write_text(
            "\n".join(
                [
                    "[server]",
                    "port = 0",
                    "drain_seconds = 0",
                    f'data = "{data}"',
                    "[[apps]]",
                    f'id = "{dialects.APP_ID}"',
                    f'certificate = "{dialects.CERTIFICATE}"',
                    "[limits]",
                    *lines,
                    "",
                ]
            )
        )
        config.chmod(0o600)
        command = (sys.executable, "-m", "signal_sdk", "serve", "--config", str(config))
        environment = {"PYTHONPATH": str(ROOT)}
        with running("server", command, core=core, folder=folder, environment=environment) as it:
            port = int(it.wait_for(r"127\.0\.0\.1:(\d+)")[1])
            yield Served(it, port, data)


class Talker:
    """A client that asks much, and waits for the answers."""

    def __init__(self, client: Client) -> None:
        voice = client.voice
        if not isinstance(voice, OurVoice):
            raise BenchmarkError("a client of our own dialect is needed")
        self.line = voice.line
        self._client = client
        self._asked = 0

    def ask_all(self, requests: Iterator[tuple[str, dict[str, object]]]) -> None:
        """Ask, many at a time, until all are answered, be it by a refusal."""
        with select.epoll() as poll:
            poll.register(self._client.fd, select.EPOLLIN)
            under_way = 0
            is_over = False
            while under_way or not is_over:
                text = []
                while not is_over and under_way < UNDER_WAY:
                    request = next(requests, None)
                    if request is None:
                        is_over = True
                        break
                    function, args = request
                    self._asked += 1
                    under_way += 1
                    call = [function, self._asked, {"line": self.line, **args}]
                    text.append(json_frame(["call2", call]))
                self._client.send(b"".join(text))
                poll.poll(0.05)
                size = self._client.read()
                under_way -= self._client.count(ANSWER, size)


# --- what stays ---


Case = Callable[[Served, Talker, int], None]


def accounts(_: Served, talker: Talker, count: int) -> None:
    """Accounts that a message names once, which expires soon."""
    message = {"flag": "v1:E:1", "t": "instant", "content": "hello"}
    talker.ask_all(("user_sendmsg", {"peer": f"nobody{n}", **message}) for n in range(count))


def channels(_: Served, talker: Talker, count: int) -> None:
    """Channels that are joined, given an attribute, and left."""

    def requests() -> Iterator[tuple[str, dict[str, object]]]:
        for number in range(count):
            name = f"room{number}"
            yield "channel_join", {"name": name}
            yield "channel_set_attr", {"channel": name, "name": "_channel_ttl", "value": "1"}
            yield "channel_leave", {"name": name}

    talker.ask_all(requests())


def refused(_: Served, talker: Talker, count: int) -> None:
    """Requests that are refused."""
    wrong: dict[str, object] = {"line": "somebody else's", "name": "room"}
    talker.ask_all(("channel_query_num", wrong) for _ in range(count))


def strangers(served: Served, _: Talker, count: int) -> None:
    """Connections that never log in, 200 at a time."""
    for start in range(0, count, 200):
        socks = []
        for _number in range(start, min(start + 200, count)):
            sock = socket.create_connection(("127.0.0.1", served.port))
            sock.send(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: webso")
            socks.append(sock)
        for sock in socks:
            sock.close()


CASES: Final[dict[str, tuple[Case, int]]] = {
    "accounts named once": (accounts, 200_000),
    "channels made and left": (channels, 100_000),
    "refused requests": (refused, 1_000_000),
    "connections that never log in": (strangers, 20_000),
}
FROM_ONE_ADDRESS: Final = {
    "max_connections": 0,
    "connections_per_address": 0,
    "connections_per_second": 0,
    "logins_per_second": 0,
}
"""The load has one address."""
LIFTED: Final = {
    **FROM_ONE_ADDRESS,
    "user_messages_per_second": 0,
    "frames_per_second": 0,
    "changes_per_second": 0,
    "questions_per_second": 0,
    "account_channels": 0,
}


def measure_memory(cores: Cores, share: float) -> bool:
    """Each case in turn; is all forgotten?"""
    is_good = True
    print("| case | count | s | MiB before | most | after | file KiB before | most | after |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- | --- |")
    for name, (case, number) in CASES.items():
        count = int(number * share)
        with serving(cores.measured, LIFTED) as served, talking(served) as talker:
            # See above.
            case(served, talker, count // 4)
            settle(served, lambda: False, 10.0)
            before, file_before = served.process.rss_bytes(), served.file_bytes()
            began = time.monotonic()
            case(served, talker, count)
            took = time.monotonic() - began
            most, file_most = served.process.rss_bytes(), served.file_bytes()

            def is_calm(served: Served = served, before: int = before) -> bool:
                return served.process.rss_bytes() <= NEAR * before

            settle(served, is_calm, CALM_SECONDS)
            after = served.process.rss_bytes()
            is_good &= after <= NEAR * before
            sizes = [f"{size / 2**20:.1f}" for size in (before, most, after)]
            files = [f"{size / 2**10:.0f}" for size in (file_before, file_most)]
            files.append(f"{served.file_bytes() / 2**10:.0f}")
            print(f"| {name} | {count:,} | {took:.0f} | {' | '.join(sizes + files)} |", flush=True)
    return is_good


@contextlib.contextmanager
def talking(served: Served) -> Iterator[Talker]:
    with logged_in(Ours(), served.port, [Plan("hostile")]) as clients:
        yield Talker(clients[0])


def settle(served: Served, is_calm: Callable[[], bool], seconds: float) -> None:
    """Wait so long, or until all is calm."""
    ends = time.monotonic() + seconds
    while time.monotonic() < ends and not is_calm():
        served.process.check()
        time.sleep(0.5)


# --- how late others are ---


HONEST: Final = 100
HOSTILE: Final = 200
SECONDS: Final = 30.0
TIMES: Final = 3.0
"""How much later others may be answered than in a quiet hour, at the 99th percentile."""
ASKS_PER_SECOND: Final = 2.0
"""Of each honest client."""

Attack = Callable[[OurVoice, int], bytes]


def call(voice: OurVoice, number: int, function: str, **args: object) -> bytes:
    return json_frame(["call2", [function, number, {"line": voice.line, **args}]])


ATTACKS: Final[dict[str, Attack]] = {
    "pings": lambda _, n: json_frame(["ping", n]),
    "nonsense": lambda _, n: json_frame(["nonsense", n]),
    "wrong lines": lambda v, n: call(v, n, "channel_query_num", line=f"x{n}", name="room"),
    "messages to nobody": lambda v, n: call(
        v, n, "user_sendmsg", peer=f"nobody{n}", flag="v1:E:60", t="instant", content="x"
    ),
    "channel messages": lambda v, n: call(v, n, "channel_sendmsg", name="hall", msg="x" * 1000),
    "joins": lambda v, n: call(v, n, "channel_join", name=f"room{n}"),
    "attributes": lambda v, n: call(
        v, n, "channel_set_attr", channel=f"room{n}", name="a", value="x" * 8000
    ),
    "deleting what is not": lambda v, n: call(
        v, n, "channel_del_attr", channel=f"nowhere{n}", name="a"
    ),
    "rosters": lambda v, n: call(v, n, "channel_query_userlist_all", name="hall"),
    "polls": lambda v, n: call(v, n, "user_getmsg", ver_clear=0, max=100),
    "calls": lambda v, n: call(
        v, n, "voip_invite", channelName=f"c{n}", peer=f"nobody{n % 50}", extra=""
    ),
}


class Honest:
    """Clients that ask a question now and then, and how long the answers take."""

    def __init__(self, clients: Sequence[Client]) -> None:
        self._clients = clients
        self._by_fd = {client.fd: client for client in clients}
        self._asked: dict[int, float] = {}
        self.took: list[float] = []
        self._poll = select.epoll()
        for client in clients:
            self._poll.register(client.fd, select.EPOLLIN)
        gap = 1 / ASKS_PER_SECOND
        now = time.monotonic()
        self._due = {
            client.fd: now + gap * number / len(clients) for number, client in enumerate(clients)
        }

    def turn(self) -> None:
        """Ask those whose time it is, and read what has come."""
        now = time.monotonic()
        for client in self._clients:
            fd = client.fd
            if self._due[fd] <= now and fd not in self._asked:
                self._due[fd] = now + 1 / ASKS_PER_SECOND
                self._asked[fd] = time.monotonic()
                voice = client.voice
                assert isinstance(voice, OurVoice)
                client.send(call(voice, 1, "channel_query_num", name="quiet"))
        for fd, _ in self._poll.poll(0.0005):
            client = self._by_fd[fd]
            if client.has_read(ANSWER, client.read()):
                self.took.append(time.monotonic() - self._asked.pop(fd))

    def p99_ms(self) -> float:
        """The 99th percentile since the last time, those who wait still among them."""
        now = time.monotonic()
        took = [*self.took, *(now - asked for asked in self._asked.values())]
        self.took = []
        return statistics.quantiles(took, n=100)[98] * 1000


class Hostile:
    """Clients that send as fast as it is taken."""

    def __init__(self, clients: Sequence[Client], attack: Attack) -> None:
        self._clients = list(clients)
        self._attack = attack
        self._number = 0
        self.sent = 0
        self.gone = 0

    def turn(self) -> None:
        """Some send some more, and read what has come."""
        for client in self._clients[:10]:
            try:
                client.read()
                if not client.has_backlog:
                    voice = client.voice
                    assert isinstance(voice, OurVoice)
                    data = b"".join(
                        self._attack(voice, self._number + number) for number in range(20)
                    )
                    self._number += 20
                    self.sent += 20
                    client.send(data)
                else:
                    client.send(b"")
            except BenchmarkError:
                self._clients.remove(client)
                self.gone += 1
        self._clients = self._clients[10:] + self._clients[:10]


def measure_latency(cores: Cores, seconds: float) -> bool:
    """Each attack in turn; do others stay and are they answered soon?"""
    is_good = True
    print("| attack | messages sent | hostile clients cut off | p99 ms quiet | attacked | times |")
    print("| --- | --- | --- | --- | --- | --- |")
    for name, attack in ATTACKS.items():
        with (
            serving(cores.measured, FROM_ONE_ADDRESS) as served,
            logged_in(Ours(), served.port, [Plan(f"bot{n}") for n in range(HONEST)]) as bots,
            logged_in(
                Ours(),
                served.port,
                [Plan(f"hostile{n}", "hall") for n in range(HOSTILE)],
                already=bots,
            ) as others,
        ):
            keep_alive = KeepAlive(PING_SECONDS)
            keep_alive.add_all([*bots, *others])
            honest, hostile = Honest(bots), Hostile(others, attack)
            spend(seconds / 3, honest.turn, keep_alive.tick)
            quiet = honest.p99_ms()
            spend(seconds, honest.turn, hostile.turn, keep_alive.tick)
            late = honest.p99_ms()
            is_good &= late <= TIMES * quiet
            row = [name, f"{hostile.sent:,}", str(hostile.gone), f"{quiet:.1f}", f"{late:.1f}"]
            print(f"| {' | '.join(row)} | {late / quiet:.1f} |", flush=True)
    return is_good


def spend(seconds: float, *turns: Callable[[], None]) -> None:
    """Take turns for so long."""
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        for turn in turns:
            turn()


def main() -> int:
    """Measure, and say whether all is as it should be."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=["memory", "latency"])
    parser.add_argument("--small", action="store_true", help="a hundredth of it, to try it out")
    options = parser.parse_args()
    raise_file_limit()
    cores = Cores.choose()
    is_good = True
    if options.only != "latency":
        is_good &= measure_memory(cores, 0.01 if options.small else 1.0)
    if options.only != "memory":
        is_good &= measure_latency(cores, 3.0 if options.small else SECONDS)
    print(json.dumps({"all as it should be": is_good}))
    return 0 if is_good else 1


if __name__ == "__main__":
    sys.exit(main())
