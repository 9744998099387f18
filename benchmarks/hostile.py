"""What hostile clients cost: what stays in memory and in the file of what they did, and how late
others are answered meanwhile.

    python -m benchmarks.hostile [--only memory|latency|crowd] [--small]

The server has one core and a journal, the load the other. For `memory` the rates are lifted, which
would stretch the same work over hours; for `latency` every limit is as it is by default but those
of one address, which the load has. The first quarter of each case of `memory` is not counted: what
the code itself needs is there afterwards.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import select
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

import attrs

from benchmarks import dialects
from benchmarks.clients import Client, Plan, logged_in
from benchmarks.dialects import Ours, OurVoice, json_frame
from benchmarks.hostile_crowd import measure_crowd, measure_many
from benchmarks.hostile_latency import ATTACKS, measure_attack
from benchmarks.process import BenchmarkError, Cores, Process, raise_file_limit, running

ROOT: Final = Path(__file__).parents[1]
UNDER_WAY: Final = 500
"""How many requests are unanswered at most."""
ANSWER: Final = b'["call2-ret",'
CALM_SECONDS: Final = 300.0
"""How long the server has to forget."""
BEFORE_SECONDS: Final = 75.0
"""And what the code itself has needed: memory is given back once a minute at most."""
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
    "silence_seconds": 0,
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
            settle(served, lambda: False, BEFORE_SECONDS)
            before, file_before = served.process.rss_bytes(), served.file_bytes()
            began = time.monotonic()
            case(served, talker, count)
            took = time.monotonic() - began
            most, file_most = served.process.rss_bytes(), served.file_bytes()

            def is_calm(
                served: Served = served, before: int = before, file_most: int = file_most
            ) -> bool:
                is_small = file_most <= 2**20 or served.file_bytes() < file_most / 2
                return is_small and served.process.rss_bytes() <= NEAR * before

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


SECONDS: Final = 30.0
CROWD_LIMITS: Final = {**FROM_ONE_ADDRESS, "channel_messages_per_second": 0}


def measure_latency(cores: Cores, seconds: float, attacks: Sequence[str]) -> bool:
    """Each attack in turn; do others stay and are they answered soon? Raises `BenchmarkError` where
    one of those was disconnected.
    """
    is_good = True
    print(
        "| attack | messages sent | cut off | questions: p99 ms quiet | attacked | times ", end=""
    )
    print("| messages: p99 ms quiet | attacked | times |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- | --- |")
    for name in attacks:
        with serving(cores.measured, FROM_ONE_ADDRESS) as served:
            is_good &= measure_attack(served.port, name, seconds)
            served.process.check()
    return is_good


def measure_crowd_latency(cores: Cores, seconds: float) -> bool:
    """A channel of very many is written to: are others answered soon?"""
    print("| members | ms quiet (p99) | written to |")
    print("| --- | --- | --- |")
    with serving(cores.measured, CROWD_LIMITS) as served:
        is_good = measure_crowd(served.port, seconds)
    return measure_many(seconds) and is_good


def main() -> int:
    """Measure, and say whether all is as it should be."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=["memory", "latency", "crowd"])
    parser.add_argument("--attack", action="append", choices=list(ATTACKS), help="these only")
    parser.add_argument("--seconds", type=float, help="of each attack, and of the crowd")
    parser.add_argument("--small", action="store_true", help="a hundredth of it, to try it out")
    options = parser.parse_args()
    raise_file_limit()
    cores = Cores.choose()
    os.sched_setaffinity(0, {cores.load})
    is_good = True
    if options.only in (None, "memory"):
        is_good &= measure_memory(cores, 0.01 if options.small else 1.0)
    if options.only in (None, "latency"):
        is_good &= measure_latency(
            cores,
            options.seconds or (3.0 if options.small else SECONDS),
            options.attack or list(ATTACKS),
        )
    if options.only in (None, "crowd"):
        is_good &= measure_crowd_latency(
            cores, options.seconds or (5.0 if options.small else SECONDS)
        )
    print(json.dumps({"all as it should be": is_good}))
    return 0 if is_good else 1


if __name__ == "__main__":
    sys.exit(main())
