"""Memory: how much there may be, and who goes where it is short."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from signal_sdk.server import memory
from signal_sdk.server.admission import REFUSED_AT_ONCE
from signal_sdk.server.config import LimitsConfig
from signal_sdk.server.memory import MIB, MemoryWatch, allowed_bytes, resident_bytes
from signal_sdk.testing.memory import MemoryTransport
from signal_sdk.testing.server import LocalServer, local_server
from tests.server.helpers import OPENING, dev_config, settle
from tests.wire_client import logged_in, wire_client

ALLOWED = 1000 * MIB
SHORT = (
    "memory is short: 501 MiB are in use, of 500 (memory_percent): nobody new is let in, and "
    "the newest go that are not logged in"
)


class Machine:
    """What a process is said to have and to may have; `free` of it is given back when asked."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.used = 0
        self.free = 0
        self.asked = 0
        monkeypatch.setattr(memory, "resident_bytes", lambda: self.used)
        monkeypatch.setattr(memory, "allowed_bytes", lambda: ALLOWED)

    def give_back(self) -> None:
        self.asked += 1
        self.used -= self.free
        self.free = 0


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    return Machine(monkeypatch)


# --- what there is ---


def files(root: Path, contents: dict[str, str]) -> Path:
    for name, text in contents.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


MEMINFO = {"proc/meminfo": "MemTotal:        1000 kB\nMemFree:          10 kB\n"}


@pytest.mark.parametrize(
    ("contents", "expected"),
    [
        pytest.param({}, 0, id="nothing is said"),
        pytest.param(MEMINFO, 1_024_000, id="the machine"),
        pytest.param(
            {
                **MEMINFO,
                "proc/self/cgroup": "0::/a/b\n",
                "sys/fs/cgroup/a/b/memory.max": "max\n",
                "sys/fs/cgroup/a/memory.max": "5000\n",
                "sys/fs/cgroup/memory.max": "7000\n",
            },
            5000,
            id="a group above its own",
        ),
        pytest.param(
            {
                **MEMINFO,
                "proc/self/cgroup": "0::/\n",
                "sys/fs/cgroup/memory.max": "7000\n",
            },
            7000,
            id="in a container",
        ),
        pytest.param(
            {
                **MEMINFO,
                "proc/self/cgroup": "5:cpu,cpuacct:/x\n4:memory:/x\n0::/\n",
                "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
                "sys/fs/cgroup/memory/x/memory.limit_in_bytes": "9000\n",
                "sys/fs/cgroup/cpu/x/memory.limit_in_bytes": "1\n",
            },
            9000,
            id="version 1",
        ),
        pytest.param(
            {**MEMINFO, "proc/self/cgroup": "nonsense\n\n0::/\n"}, 1_024_000, id="nonsense"
        ),
    ],
)
def test_what_a_process_may_have_is_the_least_that_is_said(
    tmp_path: Path, contents: dict[str, str], expected: int
) -> None:
    assert allowed_bytes(files(tmp_path, contents)) == expected


@pytest.mark.skipif(not memory.STATM.exists(), reason="the system does not say")
def test_what_this_process_has_is_less_than_it_may_have() -> None:
    before = resident_bytes()
    block = bytearray(b"x" * 32 * MIB)
    assert before + 24 * MIB < resident_bytes() < allowed_bytes()
    del block


def test_where_the_system_does_not_say_nothing_is_short(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(memory, "STATM", tmp_path / "none")
    assert resident_bytes() == 0
    watch = MemoryWatch(LimitsConfig(), lambda: None)
    assert not watch.look()


# --- when it is short ---


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [it.getMessage() for it in caplog.records if it.levelno == logging.WARNING]


def test_a_shortage_begins_over_the_bound_and_ends_well_below_it(
    machine: Machine, caplog: pytest.LogCaptureFixture
) -> None:
    watch = MemoryWatch(LimitsConfig(memory_percent=50), machine.give_back)
    found = []
    for used in (400, 500, 501, 600, 490, 475, 490, 501):
        machine.used = used * MIB
        found.append(watch.look())
    assert found == [False, False, True, True, True, False, False, True]
    assert warnings(caplog) == [
        SHORT,
        "memory is enough again: 475 MiB are in use",
        SHORT,
    ]


def test_what_is_free_is_given_back_first_and_now_and_then(
    machine: Machine, caplog: pytest.LogCaptureFixture
) -> None:
    watch = MemoryWatch(LimitsConfig(memory_percent=50), machine.give_back)
    for _ in range(3):
        machine.used, machine.free = 600 * MIB, 200 * MIB
        assert not watch.look()
    assert machine.asked == 3
    machine.used = 600 * MIB
    for _ in range(21):
        assert watch.look()
    assert machine.asked == 6
    machine.used = 400 * MIB
    assert not watch.look()
    assert machine.asked == 6


def test_processes_that_share_the_memory_may_each_have_their_part(machine: Machine) -> None:
    watch = MemoryWatch(LimitsConfig(memory_percent=50), machine.give_back, 4)
    for used, is_short in ((125, False), (126, True)):
        machine.used = used * MIB
        assert watch.look() is is_short


def test_the_bound_may_change_and_zero_is_none(machine: Machine) -> None:
    limits = LimitsConfig(memory_percent=0)
    watch = MemoryWatch(limits, machine.give_back)
    machine.used = 2 * ALLOWED
    assert not watch.look()
    limits.memory_percent = 100
    assert watch.look()
    limits.memory_percent = 0
    assert not watch.look()
    assert not watch.is_short


# --- a server's connections ---


def get(path: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: memory\r\n\r\n".encode()


async def said(transport: MemoryTransport, data: bytes) -> bytes:
    transport.send_nowait(data)
    await settle()
    return await transport.receive_some()


async def is_open(transport: MemoryTransport) -> bool:
    return transport.receive_nowait() is None


async def look(server: LocalServer) -> None:
    """Let the server look once more."""
    await trio.sleep(1.001)
    await settle()


async def test_while_memory_is_short_nobody_new_is_let_in_and_strangers_go(
    autojump_clock: MockClock, machine: Machine, caplog: pytest.LogCaptureFixture
) -> None:
    machine.used = 700 * MIB
    async with (
        local_server(dev_config(), listens=False) as server,
        logged_in(server, "ann") as ann,
        wire_client(server.connect()) as bob,
        wire_client(server.connect()) as back,
    ):
        async with logged_in(server, "eve") as eve:
            line = eve.line
        strangers = [server.connect() for _ in range(3)]
        for transport in strangers[:2]:
            assert (await said(transport, OPENING)).startswith(b"HTTP/1.1 101 ")
        await look(server)
        assert len(server.node.acceptor) == 6
        # They log in after the shortage has begun, and before the server has shed them.
        server.node.acceptor._services.memory.is_short = True
        machine.used = 790 * MIB
        told = await bob.login("bob")
        assert (told["ecode"], told["reason"]) == (
            201,
            'the server is short of memory; {"retry_after": 5}',
        )
        back.send("line_login", {"line": line})
        assert (await back.login_ret())["result"] == "ok"
        await look(server)
        assert len(server.node.acceptor) == 2
        for transport in strangers[:2]:
            assert await transport.receive_some() == b""

        answer = await said(server.connect(), OPENING)
        assert answer.startswith(b"HTTP/1.1 503 ")
        assert b"\r\nRetry-After: 5\r\n" in answer
        assert answer.endswith(b"\r\n\r\nthe server is short of memory\n")
        assert (await said(server.connect(), get("/readyz"))).startswith(b"HTTP/1.1 503 ")
        assert (await said(server.connect(), get("/healthz"))).startswith(b"HTTP/1.1 200 ")
        assert await server.connect_native().receive_some() == b""
        ann.send("ping", 1)
        assert await ann.expect("pong") == 1

        machine.used = 700 * MIB
        await look(server)
        async with logged_in(server, "bob"):
            assert (await said(server.connect(), get("/readyz"))).startswith(b"HTTP/1.1 200 ")
    assert warnings(caplog) == ["memory is enough again: 700 MiB are in use"]


async def test_the_newest_go_first_and_many_who_come_are_not_asked_what_they_want(
    autojump_clock: MockClock, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("signal_sdk.server.acceptor.SHED_FOR_MEMORY", 2)
    async with local_server(dev_config(), listens=False) as server:
        strangers = [server.connect() for _ in range(5)]
        for transport in strangers:
            await said(transport, OPENING)
        machine.used = 801 * MIB
        await look(server)
        assert [await is_open(it) for it in strangers] == [True] * 3 + [False] * 2
        assert server.node.refusals["memory_percent"] == 2
        await look(server)
        assert [await is_open(it) for it in strangers[:3]] == [True] + [False] * 2
        silent = [server.connect() for _ in range(REFUSED_AT_ONCE)]
        await settle()
        assert [await is_open(it) for it in silent] == [True] * REFUSED_AT_ONCE
        assert (await server.connect().receive_some()).startswith(b"HTTP/1.1 503 ")
