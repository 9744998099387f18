"""`signal-sdk top`: a server as it goes, looked at each second.

Owns: the figures and their order, and how long it goes on. Must not know how they are asked for.
"""

from __future__ import annotations

import signal
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, contextmanager
from typing import TYPE_CHECKING, Any, Final

import click
import trio

from signal_sdk.admin import AdminError
from signal_sdk.cli.admin_access import access_of, access_options, alone_option
from signal_sdk.cli.events import as_json
from signal_sdk.cli.group import Group, Look, looking
from signal_sdk.cli.hangup import hangup_ignored
from signal_sdk.cli.numbers import Positive
from signal_sdk.cli.output import say
from signal_sdk.cli.samples import Sample
from signal_sdk.cli.screen import screen
from signal_sdk.cli.status import duration, shown_bytes
from signal_sdk.printable import one_line

if TYPE_CHECKING:
    from rich.table import Table

__all__ = ["top"]

MAX_SECONDS: Final = 30 * 86400
LOOK_SECONDS: Final = 1.0
MIB: Final = 1024 * 1024


@click.command(short_help="Look at a server each second, and show what goes on.")
@access_options
@alone_option
@click.option(
    "--seconds",
    type=Positive(MAX_SECONDS),
    metavar="SECONDS",
    help="For how long.  [default: until SIGINT]",
)
@click.option("--json", "is_json", is_flag=True, help="Print each look as one JSON object.")
def top(*, seconds: float | None, is_json: bool, is_alone: bool, **options: Any) -> None:
    """Look at a server each second, at its admin address, and show what is going on.

    At a terminal that is a table; in a pipe, one line for each look. The key needs the right
    `read`; without `metrics` there are no rates. Several workers are shown together and each by
    itself, a column or a line for each: the address is that of the first then. A server that does
    not answer at the first look is a failure; later on it is looked for again.
    """
    access = access_of(**options)
    with hangup_ignored(), _shown(is_json=is_json) as show:
        trio.run(_watch, looking(access, is_alone=is_alone), seconds, show)


async def _watch(
    all_of_them: AbstractAsyncContextManager[Group],
    seconds: float | None,
    show: Callable[[Look], None],
) -> None:
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async with trio.open_nursery() as nursery, all_of_them as group:
            nursery.start_soon(_end_on_signal, signals, nursery.cancel_scope)
            began = trio.current_time()
            show(await group.look())
            while seconds is None or trio.current_time() - began < seconds:
                await trio.sleep(LOOK_SECONDS)
                try:
                    look = await group.look()
                except AdminError as exc:
                    look = Look(failure=str(exc) if exc.status else exc.problem.detail)
                show(look)
            nursery.cancel_scope.cancel()


async def _end_on_signal(signals: AsyncIterator[int], everything: trio.CancelScope) -> None:
    await anext(signals)
    everything.cancel()


@contextmanager
def _shown(*, is_json: bool) -> Iterator[Callable[[Look], None]]:
    """How looks are shown: as objects, as lines, or as a table that changes."""
    terminal = None if is_json else screen()
    if is_json:
        yield lambda look: say(as_json(_event(look)))
    elif terminal is None:
        yield _say_lines
    else:
        from rich.live import Live  # noqa: PLC0415  only somebody at a terminal sees it

        with Live(console=terminal, auto_refresh=False) as live:
            yield lambda look: live.update(_table(look), refresh=True)


def _event(look: Look) -> dict[str, Any]:
    """A look for programs."""
    kind = "no_answer" if look.found is None else "look"
    return {"event": kind, "ts": int(time.time() * 1000), **look.facts(has_rates=True)}


def _say_lines(look: Look) -> None:
    say(_line(look))
    for port, it in look.workers.items():
        say(_line(it, f"port: {port}, "))


def _line(look: Look, which: str = "") -> str:
    clock = time.strftime("%H:%M:%S")
    said = ", ".join(f"{name}: {value}" for name, value in _figures(look))
    return one_line(f"{clock} {which}{said}")


def _figures(look: Look) -> Iterator[tuple[str, str]]:
    """What is told of a look, the weightiest first."""
    found, now = look.found, look.rates
    if found is None:
        yield "no answer", look.failure
        return
    gauges, engine = found.gauges, found.node.engine
    yield from _process(found, is_one=not look.workers)
    for name, title in (
        ("logins", "logins"),
        ("received", "in"),
        ("sent", "out"),
        ("deliveries", "deliveries"),
        ("refusals", "refusals"),
    ):
        if name in now:
            yield title, f"{now[name]:.4g}/s"
    for name, title in (("received_bytes", "read"), ("sent_bytes", "written")):
        if name in now:
            yield title, f"{shown_bytes(now[name])}/s"
    if "lag_ms" in now:
        yield "lag", f"{now['lag_ms']:.3g} ms"
    if "cpu_seconds" in now:
        yield "cpu", f"{now['cpu_seconds'] * 100:.0f} %"
    for name, title in (("memory_bytes", "memory"), ("outbox_bytes", "outboxes")):
        if name in gauges:
            yield title, shown_bytes(gauges[name])
    if "slow_readers" in gauges:
        yield "slow readers", f"{gauges['slow_readers']:.0f}"
    yield "online", str(engine.online)
    yield "channels", str(engine.channels)
    yield "calls", str(engine.calls)


def _process(found: Sample, *, is_one: bool) -> Iterator[tuple[str, str]]:
    """How the process is that was asked, and whether there are more of them."""
    if found.node.why_not_ready:
        yield "not ready", found.node.why_not_ready
    if found.gauges.get("workers", 1) > 1:
        count = f"{found.gauges['workers']:.0f}"
        yield "worker", f"one of {count}" if is_one else f"all {count}"
    yield "logged in", str(found.node.sessions)


def _table(look: Look) -> Table:
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    several = bool(look.workers)
    table = Table(box=None, show_header=several, pad_edge=False, title_justify="left")
    if look.found is not None:
        node = look.found.node
        up = duration(look.found.facts["uptime_seconds"])
        title = f"signal-sdk {node.version}, up {up}, {time.strftime('%H:%M:%S')}"
        table.title = Text(one_line(title))
    table.add_column(style="bold")
    table.add_column("all" if several else "", justify="right")
    for port in look.workers:
        table.add_column(str(port), justify="right")
    shown = [dict(_figures(it)) for it in (look, *look.workers.values())]
    for name in dict.fromkeys(name for it in shown for name in it):
        style = "red" if name in ("no answer", "not ready") else ""
        cells = [Text(one_line(it.get(name, "")), style=style) for it in shown]
        table.add_row(Text(name), *cells)
    return table
