"""`signal-sdk top`: a server as it goes, looked at each second.

Owns: the figures and their order, and how long it goes on. Must not know how they are asked for.
"""

from __future__ import annotations

import signal
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import attrs
import click
import trio

from signal_sdk.admin import AdminError
from signal_sdk.cli.admin_access import Access, access_of, access_options
from signal_sdk.cli.events import as_json
from signal_sdk.cli.hangup import hangup_ignored
from signal_sdk.cli.numbers import Positive
from signal_sdk.cli.output import say
from signal_sdk.cli.samples import Sample, rates, sample
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
@click.option(
    "--seconds",
    type=Positive(MAX_SECONDS),
    metavar="SECONDS",
    help="For how long.  [default: until SIGINT]",
)
@click.option("--json", "is_json", is_flag=True, help="Print each look as one JSON object.")
def top(*, seconds: float | None, is_json: bool, **options: Any) -> None:
    """Look at a server each second, at its admin address, and show what is going on.

    At a terminal that is a table; in a pipe, one line for each look. The key needs the right
    `read`; without `metrics` there are no rates. With several workers, it is one of them that is
    looked at: each has an address of its own. A server that does not answer at the first look is a
    failure; later on it is looked for again.
    """
    access = access_of(**options)
    with hangup_ignored(), _shown(is_json=is_json) as show:
        trio.run(_watch, access, seconds, show)


@attrs.frozen(kw_only=True)
class _Look:
    """What was seen: the rates are those since the look before; `failure`, why nothing was."""

    found: Sample | None = None
    rates: dict[str, float] = attrs.field(factory=dict)
    failure: str = ""

    @property
    def facts(self) -> dict[str, Any]:
        """For programs."""
        at = int(time.time() * 1000)
        if self.found is None:
            return {"event": "no_answer", "ts": at, "reason": self.failure}
        return {"event": "look", "ts": at, **self.found.facts, "rates": self.rates}


async def _watch(access: Access, seconds: float | None, show: Callable[[_Look], None]) -> None:
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async with trio.open_nursery() as nursery, access.client() as client:
            nursery.start_soon(_end_on_signal, signals, nursery.cancel_scope)
            began = trio.current_time()
            before = await sample(client)
            show(_Look(found=before))
            while seconds is None or trio.current_time() - began < seconds:
                await trio.sleep(LOOK_SECONDS)
                try:
                    found = await sample(client)
                except AdminError as exc:
                    show(_Look(failure=str(exc) if exc.status else exc.problem.detail))
                    continue
                show(_Look(found=found, rates=rates(before, found)))
                before = found
            nursery.cancel_scope.cancel()


async def _end_on_signal(signals: AsyncIterator[int], everything: trio.CancelScope) -> None:
    await anext(signals)
    everything.cancel()


@contextmanager
def _shown(*, is_json: bool) -> Iterator[Callable[[_Look], None]]:
    """How looks are shown: as objects, as lines, or as a table that changes."""
    terminal = None if is_json else screen()
    if is_json:
        yield lambda look: say(as_json(look.facts))
    elif terminal is None:
        yield lambda look: say(_line(look))
    else:
        from rich.live import Live  # noqa: PLC0415  only somebody at a terminal sees it

        with Live(console=terminal, auto_refresh=False) as live:
            yield lambda look: live.update(_table(look), refresh=True)


def _line(look: _Look) -> str:
    clock = time.strftime("%H:%M:%S")
    said = ", ".join(f"{name}: {value}" for name, value in _figures(look))
    return one_line(f"{clock} {said}")


def _figures(look: _Look) -> Iterator[tuple[str, str]]:
    """What is told of a look, the weightiest first."""
    found, now = look.found, look.rates
    if found is None:
        yield "no answer", look.failure
        return
    gauges, engine = found.gauges, found.node.engine
    yield from _process(found)
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


def _process(found: Sample) -> Iterator[tuple[str, str]]:
    """How the process is that was asked, and whether there are more of them."""
    if found.node.why_not_ready:
        yield "not ready", found.node.why_not_ready
    if found.gauges.get("workers", 1) > 1:
        yield "worker", f"one of {found.gauges['workers']:.0f}"
    yield "logged in", str(found.node.sessions)


def _table(look: _Look) -> Table:
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    table = Table(box=None, show_header=False, pad_edge=False, title_justify="left")
    if look.found is not None:
        node = look.found.node
        up = duration(look.found.facts["uptime_seconds"])
        title = f"signal-sdk {node.version}, up {up}, {time.strftime('%H:%M:%S')}"
        table.title = Text(one_line(title))
    table.add_column(style="bold")
    table.add_column(justify="right")
    for name, value in _figures(look):
        is_bad = name in ("no answer", "not ready")
        table.add_row(Text(name), Text(one_line(value), style="red" if is_bad else ""))
    return table
