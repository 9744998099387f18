"""How nodes may hear of what Redis publishes: what sharded pub/sub costs, and what streams do.

    python -m benchmarks.topics [--rounds 5] [--small]

Owns: the ways, what each publishes by, and the pace. Must not know how one is heard (hearer.py).

Redis has one core, whoever publishes and all who hear the other. A message is published by one
script, as in the server: it gives a number, keeps the event in its channel's history, and tells of
it. A stream of a channel is that channel's history itself, so that it needs no list beside it. All
ways are given the same messages at the same pace, so that their CPU can be compared: one every
2 ms, which each wakes who hears it, and 16 at once every 4 ms. Whoever hears them decodes none.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import socket
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import attrs

from benchmarks.hearer import ALL, CHANNEL, END, PUBSUB, STREAM, key_of
from benchmarks.nodes import redis_on
from benchmarks.process import BenchmarkError, Cores, Process, running
from signal_sdk.server.engine.redis import resp

ROOT: Final = Path(__file__).parents[1]
KEPT: Final = 10_000
"""How much is kept of a history or a stream: no slow moment of the machine loses any."""
KEPT_MS: Final = 60_000
BYTES: Final = 200
"""How long an event is: that of a message of 100 characters."""
NUMBERED: Final = "local id = redis.call('HINCRBY', KEYS[1] .. ':c', 'm', 1)\n"
LISTED: Final = f"""{NUMBERED}
if redis.call('RPUSH', KEYS[1] .. ':h', ARGV[1]) > {KEPT} then
  redis.call('LTRIM', KEYS[1] .. ':h', -{KEPT}, -1)
end
redis.call('PEXPIRE', KEYS[1] .. ':h', {KEPT_MS})
"""
SCRIPTS: Final = {
    PUBSUB: f"{LISTED} redis.call('SPUBLISH', KEYS[1], ARGV[1]) return id",
    STREAM: f"""{NUMBERED}
redis.call('XADD', KEYS[1], 'MAXLEN', '~', {KEPT}, id .. '-0', 'e', ARGV[1])
redis.call('PEXPIRE', KEYS[1], {KEPT_MS})
return id
""",
    ALL: f"{LISTED} redis.call('XADD', '{key_of(ALL, 0)}', 'MAXLEN', '~', {KEPT}, '*', "
    "'c', KEYS[1], 'e', ARGV[1]) return id",
}
HEARERS: Final = (1, 2)
CHANNELS: Final = (1, 1000)
PACES: Final = {"one": (1, 0.002), "16 at once": (16, 0.004)}
SECONDS: Final = 1.5


@attrs.frozen
class Figures:
    """Of one pace: CPU a message in microseconds, of all hearers together, and how long a message
    was on its way, in milliseconds.
    """

    redis_us: float
    hearers_us: float
    p50_ms: float
    p99_ms: float


class Publisher:
    """Has messages published, and waits until they are."""

    def __init__(self, port: int, way: str, channels: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._keys = [key_of(CHANNEL, number) for number in range(channels)]
        self._said = 0
        self._socket.sendall(resp.command("SCRIPT", "LOAD", SCRIPTS[way]))
        self._script = self._socket.recv(1024).split()[1]

    def close(self) -> None:
        self._socket.close()

    def say(self, count: int) -> None:
        """Publish so many, each in the channel that comes next."""
        text = f"{time.monotonic_ns()} ".ljust(BYTES, "x")
        self._send([text] * count)

    def end(self) -> None:
        """Tell hearers how many there were."""
        self._send([f"{END} {self._said}"])

    def _send(self, texts: Sequence[str]) -> None:
        commands = []
        for text in texts:
            key = self._keys[self._said % len(self._keys)]
            commands.append(resp.command("EVALSHA", self._script, 1, key, text))
            self._said += 1
        self._socket.sendall(b"".join(commands))
        replies = 0
        while replies < len(texts):
            data = self._socket.recv(65536)
            if not data or b"-" in data:
                raise BenchmarkError(f"Redis says {data[:200]!r}")
            replies += data.count(b"\r\n")


def measure(
    cores: Cores, way: str, hearers: int, channels: int, pace: str, seconds: float
) -> Figures:
    """One round: a fresh Redis, and whoever hears it."""
    count, every = PACES[pace]
    with (
        redis_on(cores.measured) as (redis, port),
        tempfile.TemporaryDirectory(prefix="benchmark-") as name,
        contextlib.ExitStack() as stack,
    ):
        ears = []
        for number in range(hearers):
            folder = Path(name) / str(number)
            folder.mkdir()
            ears.append(stack.enter_context(_hearing(cores.load, port, way, channels, folder)))
        publisher = Publisher(port, way, channels)
        stack.callback(publisher.close)
        for number in range(channels if channels > 1 else 50):
            # What is made once for each channel is there by then.
            publisher.say(1)
            if number % 16 == 0:
                time.sleep(every)
        # Nothing of that is under way when it is counted,
        time.sleep(0.2)
        used = [_cpu_seconds(process) for process in (redis, *ears)]
        began, said = time.monotonic(), 0
        while (due := began + said // count * every) < began + seconds:
            time.sleep(max(0.0, due - time.monotonic()))
            publisher.say(count)
            said += count
        # and all of what is counted has been heard.
        time.sleep(0.1)
        used = [_cpu_seconds(it) - then for it, then in zip((redis, *ears), used, strict=True)]
        publisher.end()
        found = [ear.wait_for(r"^heard all; p50 ([\d.]+) p99 ([\d.]+)$") for ear in ears]
    return Figures(
        redis_us=used[0] / said * 1e6,
        hearers_us=sum(used[1:]) / said * 1e6,
        p50_ms=max(float(it[1]) for it in found),
        p99_ms=max(float(it[2]) for it in found),
    )


@contextlib.contextmanager
def _hearing(core: int, port: int, way: str, channels: int, folder: Path) -> Iterator[Process]:
    command = (sys.executable, "-m", "benchmarks.hearer", str(port), way, str(channels))
    with running("hearer", command, core=core, folder=folder, cwd=ROOT) as process:
        process.wait_for("^hears$")
        yield process


def _cpu_seconds(process: Process) -> float:
    """As `Process.cpu_seconds`, without its steps of 10 ms: a lone message takes less."""
    tasks = Path(f"/proc/{process.pid}/task").iterdir()
    return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e9


def _shown(digits: int, values: Sequence[float]) -> str:
    """The median, and the least and the greatest."""
    figures = statistics.median(values), min(values), max(values)
    median, least, greatest = (f"{figure:.{digits}f}" for figure in figures)
    return f"{median} ({least} to {greatest})"


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--small", action="store_true", help="to see that it works")
    options = parser.parse_args()
    cores = Cores.choose()
    os.sched_setaffinity(0, {cores.load})
    seconds = 0.2 if options.small else SECONDS
    rounds = 1 if options.small else options.rounds
    cases = [
        (channels, hearers, pace, way)
        for channels in CHANNELS
        for hearers in HEARERS
        for pace in PACES
        for way in SCRIPTS
    ]
    found: dict[tuple[int, int, str, str], list[Figures]] = {case: [] for case in cases}
    for _ in range(rounds):
        for case in cases:
            channels, hearers, pace, way = case
            found[case].append(measure(cores, way, hearers, channels, pace, seconds))
    print("| channels | hearers | published | by | redis µs | hearers µs | p50 ms | p99 ms |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for case, figures in found.items():
        cells = [
            _shown(1, [it.redis_us for it in figures]),
            _shown(1, [it.hearers_us for it in figures]),
            _shown(2, [it.p50_ms for it in figures]),
            _shown(2, [it.p99_ms for it in figures]),
        ]
        print("|", " | ".join([*map(str, case), *cells]), "|", flush=True)


if __name__ == "__main__":
    try:
        main()
    except BenchmarkError as exc:
        sys.exit(f"error: {exc}")
