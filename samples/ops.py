"""What whoever runs a server has of it, in one terminal: a server in dev mode with the sample bots
as its load, and a Prometheus that asks it each second, with the alerts of `ops/prometheus`.

    python -m samples.ops [--seconds N] [--port P] [--prometheus-port P]

Owns: which programs run, and what Prometheus is told. Must not know how one is run.
"""

from __future__ import annotations

import argparse
import math
import os
import shutil
import socket
import tempfile
from pathlib import Path

import trio

from samples.programs import (
    HOST,
    PORT,
    ROOT,
    ProgramError,
    cancel_on_signal,
    end_with,
    free_port,
    module,
    run,
    run_to_its_end,
    show,
)

APP = "ops"
PROMETHEUS_PORT = 9090
CONFIG = ROOT / "ops/prometheus/prometheus.yml"
TARGET = "server:8011"
"""What is asked in `compose.yaml`."""
LISTENS = r"ws://([\w.]+:\d+)/[\s\S]*admin address: (http://([\w.]+:\d+)/)"
"""How a server says where clients and its operators find it."""
PAUSE_SECONDS = 1
"""Between two rounds of the bots that come and go."""


async def ops(seconds: float, port: int | None, prometheus_port: int | None) -> None:
    """Run everything until a signal comes or the time is over. Bots end first, then what watches,
    and the server last.
    """
    prometheus = program_of_this_machine()
    with tempfile.TemporaryDirectory(prefix="ops-") as name:
        directory = Path(name)
        async with trio.open_nursery() as servers:
            async with trio.open_nursery() as watching:
                with trio.move_on_after(seconds) as bots_scope:
                    await servers.start(cancel_on_signal, bots_scope)
                    chosen = free_port(PORT) if port is None else port
                    command = f"signal_sdk serve --dev --no-native --port {chosen}"
                    found = await servers.start(run, "server", module(command), LISTENS)
                    server, console, admin = found.groups()
                    chosen = (
                        free_port(PROMETHEUS_PORT) if prometheus_port is None else prometheus_port
                    )
                    address = f"{HOST}:{chosen or any_free_port()}"
                    config = directory / "prometheus.yml"
                    config.write_text(configuration(admin))
                    command = (
                        f"{prometheus} --config.file={config} --storage.tsdb.path={directory}/data "
                        f"--web.listen-address={address}"
                    )
                    await watching.start(run, "watch", command.split(), "eady to receive web")
                    show("ops", f"the console is at {console}#app={APP}, its key is above")
                    show("ops", f"Prometheus is at http://{address}/")
                    show("ops", "its alerts are at /alerts there; Ctrl-C ends all")
                    await bear_down_on(server)
                watching.cancel_scope.cancel()
            servers.cancel_scope.cancel()
    show("ops", "all has ended")


async def bear_down_on(server: str) -> None:
    """Have the bots talk until cancelled."""
    at = f"--server {server} --app {APP}"
    async with trio.open_nursery() as bots:
        await bots.start(run, "presence", module(f"samples.presence_listener {at}"), "listens to")
        await bots.start(run, "echo", module(f"samples.echo_bot {at}"), "is online")
        await bots.start(run, "desk", module(f"samples.call_desk {at}"), "is online")
        while True:
            await run_to_its_end("visitor", module(f"samples.visitor {at}"))
            await run_to_its_end("many", module(f"samples.many_bots {at}"))
            await trio.sleep(PAUSE_SECONDS)


def configuration(admin: str) -> str:
    """What Prometheus is told: to ask this server, and each second, else as in `compose.yaml`."""
    text = CONFIG.read_text()
    for what, instead in (
        (f'"{TARGET}"', f'"{admin}"'),
        ("scrape_interval: 15s", "scrape_interval: 1s"),
        ("evaluation_interval: 15s", "evaluation_interval: 1s"),
        ("- alerts.yml", f"- {CONFIG.parent}/alerts.yml"),
    ):
        if what not in text:
            raise ProgramError(f"{CONFIG} has no {what!r} any more")
        text = text.replace(what, instead)
    return text


def program_of_this_machine() -> str:
    """The Prometheus that is installed. Raises `ProgramError` where there is none."""
    found = shutil.which("prometheus", path=os.pathsep.join([*os.get_exec_path(), "/usr/sbin"]))
    if found is None:
        raise ProgramError("there is no prometheus: install it (on Debian by apt)")
    return found


def any_free_port() -> int:
    """A port that nobody has now: Prometheus does not say which one it took."""
    with socket.socket() as sock:
        sock.bind((HOST, 0))
        port: int = sock.getsockname()[1]
        return port


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="A server, bots, and what watches them.")
    parser.add_argument("--seconds", type=float, default=math.inf, help="end after so many")
    parser.add_argument("--port", type=int, help=f"the server's (default: {PORT}, if it is free)")
    parser.add_argument(
        "--prometheus-port",
        type=int,
        help=f"Prometheus' (default: {PROMETHEUS_PORT}, if it is free)",
    )
    args = parser.parse_args()
    try:
        trio.run(ops, args.seconds, args.port, args.prometheus_port)
    except* ProgramError as group:
        end_with(group)
