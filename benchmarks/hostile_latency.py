"""How late others are answered while hostile clients do their worst.

Owns: the attacks, the honest clients, and how long these wait. Must not know how a server is
started: hostile.py does.

Whoever attacks is a process of its own that gives way to the honest clients, which have their core
whenever something has come for them: what is measured is the server.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import re
import select
import statistics
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from multiprocessing.connection import Connection as Pipe
from typing import Final

from benchmarks.clients import PING_SECONDS, Client, KeepAlive, Plan, logged_in
from benchmarks.dialects import Ours, OurVoice, json_frame
from benchmarks.process import BenchmarkError

HONEST: Final = 100
HOSTILE: Final = 200
TIMES: Final = 3.0
"""How much later others may be answered than in a quiet hour, at the 99th percentile."""
ASKS_PER_SECOND: Final = 2.0
"""Of each honest client."""
ATTACKERS_NICE: Final = 10
FRAMES_AT_ONCE: Final = 20
CLIENTS_AT_ONCE: Final = 10
ANSWERED: Final = re.compile(rb'\["call2-ret",\s*\[\s*"?\^?([0-9]+)')

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


class Waits:
    """How long some answers took, in seconds."""

    def __init__(self) -> None:
        self._took: list[float] = []
        self._asked: dict[tuple[int, int], float] = {}

    def ask(self, fd: int, number: int) -> None:
        """It is asked now."""
        self._asked[fd, number] = time.monotonic()

    def answer(self, fd: int, number: int) -> None:
        """It is answered now, if it was asked here."""
        asked = self._asked.pop((fd, number), None)
        if asked is not None:
            self._took.append(time.monotonic() - asked)

    def p99_ms(self) -> float:
        """The 99th percentile since the last time, those who wait still among them."""
        now = time.monotonic()
        took = [*self._took, *(now - asked for asked in self._asked.values())]
        self._took = []
        return statistics.quantiles(took, n=100)[98] * 1000


class Honest:
    """Clients that ask a question or write to somebody now and then, whether or not the last one
    was answered.
    """

    def __init__(self, clients: Sequence[Client], *, writes: bool = True) -> None:
        self._writes = writes
        self._by_fd = {client.fd: client for client in clients}
        self._accounts = [client.account for client in clients]
        self._poll = select.epoll()
        self._number = 0
        self.questions = Waits()
        self.messages = Waits()
        for client in clients:
            self._poll.register(client.fd, select.EPOLLIN)
        gap = 1 / ASKS_PER_SECOND / len(clients)
        now = time.monotonic()
        self._due = deque((now + gap * number, client) for number, client in enumerate(clients))

    def turn(self) -> None:
        """Ask those whose time it is, and read what has come."""
        while self._due[0][0] <= time.monotonic():
            due, client = self._due.popleft()
            self._due.append((due + 1 / ASKS_PER_SECOND, client))
            self._ask(client)
        wait = max(self._due[0][0] - time.monotonic(), 0.0)
        for fd, _ in self._poll.poll(wait):
            client = self._by_fd[fd]
            for number in client.find(ANSWERED, client.read()):
                self.questions.answer(fd, int(number))
                self.messages.answer(fd, int(number))

    def _ask(self, client: Client) -> None:
        voice = client.voice
        assert isinstance(voice, OurVoice)
        self._number += 1
        number = self._number
        if self._writes and number // len(self._by_fd) % 2:
            peer = self._accounts[number % len(self._accounts)]
            args = {"peer": peer, "flag": "v1:E:60", "t": "instant", "content": "hello"}
            data = call(voice, number, "user_sendmsg", **args)
            self.messages.ask(client.fd, number)
        else:
            data = call(voice, number, "channel_query_num", name="quiet")
            self.questions.ask(client.fd, number)
        client.send(data)


class Hostile:
    """Clients that send as fast as it is taken."""

    def __init__(self, clients: Sequence[Client], attack: Attack) -> None:
        self._clients = deque(clients)
        self._attack = attack
        self._number = 0
        self.sent = 0
        self.gone = 0

    def turn(self) -> None:
        """Some send some more, and read what has come."""
        for _ in range(min(CLIENTS_AT_ONCE, len(self._clients))):
            client = self._clients.popleft()
            try:
                self._attack_by(client)
            except BenchmarkError:
                self.gone += 1
            else:
                self._clients.append(client)

    def _attack_by(self, client: Client) -> None:
        client.read()
        if client.has_backlog:
            client.send(b"")
            return
        voice = client.voice
        assert isinstance(voice, OurVoice)
        numbers = range(self._number, self._number + FRAMES_AT_ONCE)
        self._number += FRAMES_AT_ONCE
        self.sent += FRAMES_AT_ONCE
        client.send(b"".join(self._attack(voice, number) for number in numbers))


def _attack(port: int, name: str, pipe: Pipe) -> None:
    """The process that attacks: logs in, says so, attacks once it is told to, until it is again."""
    os.nice(ATTACKERS_NICE)
    plans = [Plan(f"hostile{n}", "hall") for n in range(HOSTILE)]
    with logged_in(Ours(), port, plans) as clients:
        keep_alive = KeepAlive(PING_SECONDS)
        keep_alive.add_all(clients)
        pipe.send("ready")
        while not pipe.poll(0.1):
            keep_alive.tick()
            for client in clients:
                client.read()
        pipe.recv()
        hostile = Hostile(clients, ATTACKS[name])
        while not pipe.poll(0):
            hostile.turn()
        pipe.recv()
        pipe.send((hostile.sent, hostile.gone))


@contextlib.contextmanager
def attacking(port: int, name: str) -> Iterator[Pipe]:
    """A process that is ready to attack."""
    context = multiprocessing.get_context("fork")
    pipe, far = context.Pipe()
    process = context.Process(target=_attack, args=(port, name, far), daemon=True)
    process.start()
    far.close()
    try:
        yield pipe
    finally:
        process.terminate()
        process.join()


def spend(seconds: float, *turns: Callable[[], object]) -> None:
    """Take turns for so long."""
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        for turn in turns:
            turn()


def measure_attack(port: int, name: str, seconds: float) -> bool:
    """One attack: do others stay, and are they answered soon?"""
    plans = [Plan(f"bot{n}") for n in range(HONEST)]
    with logged_in(Ours(), port, plans) as bots, attacking(port, name) as attackers:
        keep_alive = KeepAlive(PING_SECONDS)
        keep_alive.add_all(bots)
        honest = Honest(bots)
        spend(2.0, lambda: attackers.poll(0), honest.turn, keep_alive.tick)
        while not attackers.poll(0):
            honest.turn()
        attackers.recv()
        honest.questions.p99_ms(), honest.messages.p99_ms()
        spend(max(seconds / 3, 4.0), honest.turn, keep_alive.tick)
        quiet = honest.questions.p99_ms(), honest.messages.p99_ms()
        attackers.send("go")
        spend(seconds, honest.turn, keep_alive.tick)
        late = honest.questions.p99_ms(), honest.messages.p99_ms()
        attackers.send("stop")
        while not attackers.poll(0):
            honest.turn()
        sent, gone = attackers.recv()
    figures = []
    for before, after in zip(quiet, late, strict=True):
        figures += [f"{before:.1f}", f"{after:.1f}", f"{after / before:.1f}"]
    print(f"| {name} | {sent:,} | {gone} | {' | '.join(figures)} |", flush=True)
    return all(after <= TIMES * before for before, after in zip(quiet, late, strict=True))
