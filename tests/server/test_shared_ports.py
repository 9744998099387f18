"""Ports that several processes listen on: who gets who comes, and what is left to the others."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import attrs
import pytest
import trio

from signal_sdk.errors import InUseError
from signal_sdk.server import config as configs
from signal_sdk.server.config import ServerConfig
from signal_sdk.server.control_groups import usable_cores
from signal_sdk.server.node import Node
from signal_sdk.server.sockets import Sockets, hold, with_ports
from tests.server.helpers import dial
from tests.wire_client import wire_client

ANY = attrs.evolve(configs.dev(), server=ServerConfig(dev=True, port=0))


def test_the_ports_that_are_found_are_shared_and_nobody_else_s() -> None:
    first = Sockets(ANY)
    found = first.addresses
    first.close()
    fixed = with_ports(ANY, found)
    held = hold(found)
    one, other = Sockets(fixed, is_shared=True), Sockets(fixed, is_shared=True)
    try:
        assert one.addresses == other.addresses == found
        with pytest.raises(InUseError):
            Sockets(attrs.evolve(fixed, native_by_default=False))
    finally:
        for sock in held:
            sock.close()
        one.close()
        other.close()


def test_without_native_clients_the_workers_do_without_them() -> None:
    config = attrs.evolve(ANY, native=attrs.evolve(ANY.native, enabled=False))
    sockets = Sockets(config)
    sockets.close()
    assert not with_ports(config, attrs.evolve(sockets.addresses, plain=[("h", 5)])).native.enabled


async def test_who_is_stopped_leaves_its_port_to_the_others(nursery: trio.Nursery) -> None:
    """While it sends its own clients away."""
    sockets = Sockets(ANY)
    fixed = with_ports(ANY, sockets.addresses)
    sockets.close()

    async def run(node: Node, task_status: trio.TaskStatus[object]) -> None:
        await node.run(is_worker=True, task_status=task_status)

    with trio.fail_after(20):
        leaving, staying = Node(fixed), Node(fixed)
        await nursery.start(run, leaving)
        async with (
            wire_client(await dial("127.0.0.1", fixed.server.port)) as ann,
            wire_client(await dial("127.0.0.1", fixed.server.port)) as bob,
        ):
            await ann.login("ann", device="javasdk")
            await bob.login("bob", device="javasdk")
            await nursery.start(run, staying)
            leaving.stop(3600)
            await trio.testing.wait_all_tasks_blocked()
            for number in range(20):
                async with wire_client(await dial("127.0.0.1", fixed.server.port)) as client:
                    assert (await client.login(f"user{number}"))["result"] == "ok"
            assert (leaving.sessions, bob.closed) == (1, None)
            nursery.cancel_scope.cancel()


async def test_who_waits_to_be_let_in_as_one_leaves_is_told(nursery: trio.Nursery) -> None:
    sockets = Sockets(ANY)
    fixed = with_ports(ANY, sockets.addresses)
    sockets.close()
    node = Node(fixed)

    async def run(task_status: trio.TaskStatus[object]) -> None:
        await node.run(is_worker=True, task_status=task_status)

    with trio.fail_after(20):
        await nursery.start(run)
        node.stop(0)
        # It has not had its turn: this one waits in the system's queue.
        with socket.create_connection(("127.0.0.1", fixed.server.port)) as sock:
            sock.sendall(b"GET /readyz HTTP/1.1\r\nHost: h\r\n\r\n")
            sock.setblocking(False)
            await trio.lowlevel.wait_readable(sock)
            answer = sock.recv(1000)
            assert answer.startswith(b"HTTP/1.1 503"), answer


@pytest.mark.parametrize(
    ("files", "cores"),
    [
        ({}, 8),
        ({"proc/self/cgroup": "0::/a\n", "sys/fs/cgroup/a/cpu.max": "max 100000\n"}, 8),
        ({"proc/self/cgroup": "0::/a\n", "sys/fs/cgroup/a/cpu.max": "150000 100000\n"}, 2),
        ({"proc/self/cgroup": "0::/a/b\n", "sys/fs/cgroup/a/cpu.max": "300000 100000\n"}, 3),
        ({"proc/self/cgroup": "0::/a\n", "sys/fs/cgroup/cpu.max": "50000 100000\n"}, 1),
        ({"proc/self/cgroup": "0::/a\n", "sys/fs/cgroup/a/cpu.max": "?\n"}, 8),
    ],
)
def test_cores_are_those_that_the_process_may_use(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, files: dict[str, str], cores: int
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)))
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    assert usable_cores(tmp_path) == cores
