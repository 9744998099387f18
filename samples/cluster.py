"""One system of several processes in one terminal: a Redis, two nodes in dev mode that keep their
state there, and the sample bots, a visitor and a web page, spread over both.

    python -m samples.cluster [--seconds N] [--port P P] [--page-port P] [--redis URL]

The bots that answer are on the first node, whoever talks to them is on the second. With `--redis`,
the state is there, under "cluster:", and no Redis is started.

Owns: which programs run, where, and in which order they come and go. Must not know how one is run.
"""

from __future__ import annotations

import argparse
import math
import os
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import trio

from samples.programs import (
    HOST,
    PAGE_PORT,
    ProgramError,
    cancel_on_signal,
    end_with,
    free_node_port,
    free_port,
    module,
    run,
    run_to_its_end,
    show,
)

APP = "demo"
PORTS = (8001, 8002)
LISTENS = r"ws://([\w.]+:\d+)/"
"""How a node says where it listens."""


async def cluster(
    seconds: float, ports: Sequence[int] | None, page_port: int | None, redis: str
) -> None:
    """Run everything until a signal comes or the time is over. Bots end first, then the nodes, and
    Redis last.
    """
    with tempfile.TemporaryDirectory(prefix="cluster-") as directory:
        async with trio.open_nursery() as store:
            async with trio.open_nursery() as nodes:
                with trio.move_on_after(seconds) as bots_scope:
                    await store.start(cancel_on_signal, bots_scope)
                    if not redis:
                        redis = f"unix://{directory}/socket"
                        command = [redis_server(), *redis_settings(Path(directory))]
                        await store.start(run, "redis", command, "eady to accept")
                    one, two = [
                        await start_node(nodes, name, port, redis)
                        for name, port in zip(("one", "two"), ports or free_ports(), strict=True)
                    ]
                    chosen = free_port(PAGE_PORT) if page_port is None else page_port
                    command = module(f"samples.web_server --port {chosen}")
                    url = (await nodes.start(run, "page", command, r"(http://\S+)"))[1]
                    await show_bots(one, two, f"{url}?server={two}")
                nodes.cancel_scope.cancel()
            store.cancel_scope.cancel()
    show("cluster", "all has ended")


async def start_node(nodes: trio.Nursery, name: str, port: int, redis: str) -> str:
    """Start a node; where it listens."""
    command = f"signal_sdk serve --dev --no-native --port {port} --redis {redis}"
    address: str = (await nodes.start(run, name, module(command), LISTENS))[1]
    return address


async def show_bots(one: str, two: str, url: str) -> None:
    """Run the bots until cancelled."""
    first, second = (f"--server {it} --app {APP}" for it in (one, two))
    async with trio.open_nursery() as bots:
        await bots.start(
            run, "presence", module(f"samples.presence_listener {second}"), "listens to"
        )
        await bots.start(run, "echo", module(f"samples.echo_bot {first}"), "is online")
        await bots.start(run, "desk", module(f"samples.call_desk {first}"), "is online")
        await run_to_its_end("visitor", module(f"samples.visitor {second}"))
        await run_to_its_end("many", module(f"samples.many_bots {second}"))
        show("cluster", f"the bots are on {one}, and the page is on {two}:")
        show("cluster", f"now it is your turn: {url} is the page, and Ctrl-C ends all")
        await trio.sleep_forever()


def free_ports() -> list[int]:
    """The usual ports, or where one is taken 0, for any that is free."""
    return [free_node_port(port) for port in PORTS]


def redis_server() -> str:
    """The redis-server of this machine. Raises `ProgramError` where it has none."""
    # Among a virtual environment's programs may be one that only tests use.
    own = Path(sys.prefix) / "bin"
    path = [it for it in os.get_exec_path() if Path(it) != own]
    found = shutil.which("redis-server", path=os.pathsep.join(path))
    if found is None:
        raise ProgramError("there is no redis-server: install it, or name a Redis by --redis")
    return found


def redis_settings(directory: Path) -> list[str]:
    """What it is started with: nobody but this machine's user reaches it, and nothing is kept."""
    socket = ["--port", "0", "--unixsocket", f"{directory}/socket", "--unixsocketperm", "700"]
    return [*socket, "--dir", f"{directory}", "--save", "", "--appendonly", "no"]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="A Redis, two nodes, the sample bots, and a page.")
    parser.add_argument("--seconds", type=float, default=math.inf, help="end after so many")
    parser.add_argument(
        "--port", type=int, nargs=2, help=f"the nodes' (default: {PORTS}, if they are free)"
    )
    parser.add_argument(
        "--page-port", type=int, help=f"the page's (default: {PAGE_PORT}, if it is free)"
    )
    parser.add_argument("--redis", default="", help=f"a Redis at {HOST} or elsewhere, as a URL")
    args = parser.parse_args()
    # What the nodes' keys begin with.
    os.environ["SIGNAL_SDK_SERVER_REDIS_PREFIX"] = "cluster"
    try:
        trio.run(cluster, args.seconds, args.port, args.page_port, args.redis)
    except* ProgramError as group:
        end_with(group)
