"""The screen of somebody who reads: what is shown with colours and tables where stdout is a
terminal, and as plain lines elsewhere.

Owns: whether there is somebody, and how facts and tables look to them. Must not know what they say.
Without rich, which is an extra, everything is plain.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING

from signal_sdk.cli.output import say
from signal_sdk.printable import one_line

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["WELL", "say_fact", "say_table", "say_well", "screen"]

WELL = "all is well"


def screen() -> Console | None:
    """The terminal that stdout is, if it is one that can show more than lines."""
    if sys.stdout is None or not sys.stdout.isatty() or os.environ.get("TERM") == "dumb":
        return None
    if find_spec("rich") is None:
        return None
    # It takes as long to import as all else, and most output goes to a pipe or a file.
    from rich.console import Console  # noqa: PLC0415

    return Console(file=sys.stdout, highlight=False, markup=False, emoji=False)


def say_fact(name: str, fact: str, *, is_warning: bool = False) -> None:
    """One line: what it is about, and what is to be said of it."""
    said = one_line(f"{'warning: ' if is_warning else ''}{fact}")
    terminal = screen()
    if terminal is None:
        say(f"{one_line(name)}: {said}")
        return
    from rich.text import Text  # noqa: PLC0415

    style = "yellow" if is_warning else ""
    line = Text.assemble((one_line(name), "bold"), ": ", (said, style))
    terminal.print(line, soft_wrap=True)


def say_well() -> None:
    """Nothing was found to be wrong."""
    terminal = screen()
    if terminal is None:
        say(WELL)
    else:
        terminal.print(WELL, style="green")


def say_table(terminal: Console, heads: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """A table, whose numbers are aligned."""
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    table = Table(box=None, header_style="bold", pad_edge=False)
    some = [[*row] for row in rows]
    for index, head in enumerate(heads):
        is_number = bool(some) and all(isinstance(row[index], int) for row in some)
        table.add_column(head, justify="right" if is_number else "left", overflow="fold")
    for row in some:
        table.add_row(*(Text(one_line(str(it))) for it in row))
    terminal.print(table)
