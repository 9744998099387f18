"""`signal-sdk doctor`: what is in a server's data directory, and whether it is well.

Owns: how facts and problems are printed. Must not know the file: journal.py looks it over.
"""

from __future__ import annotations

import click

from signal_sdk.cli.failures import FAILED
from signal_sdk.cli.output import complain, one_line, say
from signal_sdk.server.engine.journal import examine

__all__ = ["doctor"]


@click.command()
@click.option("--data", metavar="DIR", required=True, help="The directory that state is kept in.")
def doctor(*, data: str) -> int:
    """Look over what a server keeps in DIR, and change nothing.

    Facts are printed one in a line; what is wrong, too, on stderr. A server that runs there lets
    nobody look: stop it first. Exit codes: 0 all is well, 1 something is wrong.
    """
    health = examine(data)
    for name, fact in health.facts:
        say(one_line(f"{name}: {fact}"))
    for problem in health.problems:
        complain(problem)
    if health.problems:
        return FAILED
    say("all is well")
    return 0
