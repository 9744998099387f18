"""A server in this process, from its configuration to its last farewell.

Owns: the process's log and the interpreter's settings while it serves, and what signals do. Must
not know how a configuration was made, nor what the server does with it.
"""

from __future__ import annotations

import gc
import logging
import signal
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from typing import Final

import trio

from signal_sdk.cli.descriptors import all_descriptors
from signal_sdk.cli.exposure import app_warnings
from signal_sdk.cli.hangup import HANGUP
from signal_sdk.errors import ConfigError
from signal_sdk.server.config import Config
from signal_sdk.server.handed import Handed
from signal_sdk.server.node import Node
from signal_sdk.server.sockets import Addresses

__all__ = ["SWITCH_SECONDS", "serve_here"]

logger: logging.Logger = logging.getLogger("signal_sdk.server")

SWITCH_SECONDS: Final = 0.0001
"""How long a busy thread keeps the interpreter from the others. The journal's gives it away with
each statement, and a server that is busy would have it back only after Python's own 5 ms: ten
statements later, an acknowledgement would be late by 50. It works for less than this at a time.
"""
GC_THRESHOLDS: Final = (700, 1, 30_000)
"""How many objects may be made between two looks for garbage, in each generation. Everything stands
still meanwhile: one look at 100,000 would be 30 ms, one at 2,000 is 1 ms, for which others
wait. All are looked at as seldom as can be.
"""


def serve_here(
    config: Config,
    read: Callable[[], Config],
    tell: Callable[[Addresses], None],
    supervisor: trio.abc.ReceiveStream | None = None,
    handed: Handed | None = None,
) -> None:
    """Serve until signals end it; `tell` is called once it listens, and `read` has the
    configuration that SIGHUP asks for. With a `supervisor`, it is one of its workers: it ends when
    that stream does, as at SIGTERM, and leaves telling of the configuration to the supervisor. What
    was `handed` over is listened on.
    """
    with all_descriptors(config.limits.max_connections), _tuned():
        trio.run(_serve, config, read, tell, supervisor, handed)


@contextmanager
def _tuned() -> Iterator[None]:
    """The interpreter as a busy server wants it; as it was, afterwards.

    A server makes little that only the collector can free, and has much to look through; what it
    has at its start is frozen then, until memory is given back for the first time.
    """
    interval, thresholds = sys.getswitchinterval(), gc.get_threshold()
    sys.setswitchinterval(SWITCH_SECONDS)
    gc.set_threshold(*GC_THRESHOLDS)
    try:
        yield
    finally:
        gc.set_threshold(*thresholds)
        gc.unfreeze()
        sys.setswitchinterval(interval)


async def _serve(
    config: Config,
    read: Callable[[], Config],
    tell: Callable[[Addresses], None],
    supervisor: trio.abc.ReceiveStream | None,
    handed: Handed | None,
) -> None:
    node = Node(config)
    is_worker = supervisor is not None
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM, *HANGUP) as signals:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_obey, signals, node, read, nursery.cancel_scope, is_worker)
            if supervisor is not None:
                nursery.start_soon(_end_with, supervisor, node)
            async with trio.open_nursery() as running:
                addresses: Addresses = await running.start(_run, node, is_worker, handed)
                gc.freeze()
                tell(addresses)
            nursery.cancel_scope.cancel()


async def _run(
    node: Node, is_worker: bool, handed: Handed | None, task_status: trio.TaskStatus[Addresses]
) -> None:
    await node.run(is_worker=is_worker, handed=handed, task_status=task_status)


async def _end_with(supervisor: trio.abc.ReceiveStream, node: Node) -> None:
    async for _ in supervisor:
        pass
    logger.warning("the supervisor is gone: this worker ends, too")
    node.stop(node.config.server.drain_seconds)


async def _obey(
    signals: AsyncIterator[int],
    node: Node,
    read: Callable[[], Config],
    everything: trio.CancelScope,
    is_worker: bool,
) -> None:
    """Stop at the first signal that says so: somebody at a terminal does not want to wait for the
    clients. At the second, end at once. SIGHUP has the configuration read again.
    """
    is_stopping = False
    async for number in signals:
        if number in HANGUP:
            if not is_stopping:
                _reload(node, read, is_worker)
        elif is_stopping:
            everything.cancel()
        else:
            is_stopping = True
            node.stop(node.config.server.drain_seconds if number == signal.SIGTERM else 0.0)


def _reload(node: Node, read: Callable[[], Config], is_worker: bool) -> None:
    """Have `node` take up what `read` reads; where that cannot be, nothing changes."""
    try:
        node.reload(config := read())
        for warning in () if is_worker else app_warnings(config):
            logger.warning("%s", warning)
    except ConfigError as exc:
        logger.warning("the configuration in force stays: %s", exc)
