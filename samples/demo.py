"""The whole system in one terminal: a server in dev mode, the sample bots, a visitor, a web page.

    python -m samples.demo [--seconds N] [--port P] [--page-port P]

Owns: which programs run, and in which order they come and go. Must not know how one is run.
"""

from __future__ import annotations

import argparse
import math

import trio

from samples.programs import (
    HOST,
    PAGE_PORT,
    PORT,
    ProgramError,
    cancel_on_signal,
    end_with,
    free_port,
    free_server_port,
    module,
    run,
    run_to_its_end,
    show,
)

APP = "demo"

LISTENS = (
    r"ws://([\w.]+:\d+)/ [\s\S]*"
    r"native clients: tcp \S+ \(lookup udp [\d.]+:(\d+) and udp [\d.]+:(\d+)\)"
)
"""How a server says where it listens, and where old apps ask for it."""


async def demo(seconds: float, port: int | None, page_port: int | None) -> None:
    """Run everything until a signal comes or the time is over. Bots end first, servers last."""
    async with trio.open_nursery() as servers:
        with trio.move_on_after(seconds) as bots_scope:
            await servers.start(cancel_on_signal, bots_scope)
            chosen = free_server_port() if port is None else port
            command = f"signal_sdk serve --dev --native --port {chosen}"
            server, *lookup = (
                await servers.start(run, "server", module(command), LISTENS)
            ).groups()
            chosen = free_port(PAGE_PORT) if page_port is None else page_port
            command = f"samples.web_server --port {chosen}"
            url = (await servers.start(run, "page", module(command), r"(http://\S+)"))[1]
            # On its own, the page looks for a server on port 8001.
            page = url if server == f"{HOST}:{PORT}" else f"{url}?server={server}"
            await show_bots(server, f"{HOST}:{','.join(lookup)}", page)
        servers.cancel_scope.cancel()
    show("demo", "all has ended")


async def show_bots(server: str, lookup: str, url: str) -> None:
    """Run the bots until cancelled."""
    at = f"--server {server} --app {APP}"
    async with trio.open_nursery() as bots:
        await bots.start(run, "presence", module(f"samples.presence_listener {at}"), "listens to")
        await bots.start(run, "echo", module(f"samples.echo_bot {at}"), "is online")
        await bots.start(run, "desk", module(f"samples.call_desk {at}"), "is online")
        await run_to_its_end("visitor", module(f"samples.visitor {at}"))
        await run_to_its_end("old app", module(f"samples.old_app --lookup {lookup} --app {APP}"))
        await run_to_its_end("many", module(f"samples.many_bots {at}"))
        show("demo", f"now it is your turn: {url} is the page, and Ctrl-C ends all")
        await trio.sleep_forever()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="A server, the sample bots, and a web page.")
    parser.add_argument("--seconds", type=float, default=math.inf, help="end after so many")
    parser.add_argument("--port", type=int, help=f"the server's (default: {PORT}, if it is free)")
    parser.add_argument(
        "--page-port", type=int, help=f"the page's (default: {PAGE_PORT}, if it is free)"
    )
    args = parser.parse_args()
    try:
        trio.run(demo, args.seconds, args.port, args.page_port)
    except* ProgramError as group:
        end_with(group)
