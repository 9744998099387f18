"""The doctor's look at a data directory: all that the server would read there, and nothing is
changed.

Owns: what is counted, and what is a problem. Must not know how the file is read, or how findings
are printed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import attrs

from signal_sdk.errors import StorageError
from signal_sdk.server.engine.files import FILE_NAME, READ_ONLY, exposed, is_writable, unusable
from signal_sdk.server.engine.journal import Journal, looked_at
from signal_sdk.server.engine.kept import AppUse, uses
from signal_sdk.server.engine.noting import Commits
from signal_sdk.server.engine.recovery import load, told
from signal_sdk.server.engine.schema import COUNTED, MIGRATIONS
from signal_sdk.server.engine.state import State

NAMED: Final = 20
"""How many bad rows are named one by one; the others are counted."""
APPS_TOLD: Final = 10
"""How many apps are told one by one, the largest; the others are counted."""
TOLD_OF_APP: Final = 3
"""How many lifetimes and makers of an app's channels are told, the most frequent."""


@attrs.frozen(kw_only=True)
class Health:
    """What the doctor has found: what is wrong, each in a line, and facts of the file."""

    problems: Sequence[str]
    facts: Sequence[tuple[str, str]]


def examine(directory: str | Path) -> Health:
    """Look a journal over without changing it; whoever uses it meanwhile is not disturbed."""
    path = Path(directory) / FILE_NAME
    facts: list[tuple[str, str]] = [("file", str(path))]
    problems: list[str] = []
    try:
        if path.exists():
            facts.append(("size", f"{path.stat().st_size} bytes"))
            with looked_at(path) as journal:
                _examine(journal, facts, problems)
        else:
            problems.append(f"{path}: there is no such file")
    except StorageError as exc:
        problems.append(str(exc))
    except OSError as exc:
        problems.append(str(unusable(path, exc)))
    return Health(problems=problems, facts=facts)


def _examine(journal: Journal, facts: list[tuple[str, str]], problems: list[str]) -> None:
    version = journal.version
    facts.append(("version", f"{version}, and this release writes {len(MIGRATIONS)}"))
    problems += (f"{journal.path}: {line}" for line in journal.damage())
    with journal.up_to_date() as current:
        state = State(Commits())
        load(state, current)
        facts += ((name, str(sum(1 for _ in current.rows(name)))) for name in COUNTED)
        bad = current.bad_rows
        aside = current.set_aside()
    facts += _by_app(state)
    problems += (f"{journal.path}: {it}; the server will set it aside" for it in bad[:NAMED])
    if len(bad) > NAMED:
        problems.append(f"{journal.path}: and {len(bad) - NAMED} more such rows")
    facts += (("warning", line) for line in exposed(journal.path))
    if aside:
        facts.append(("set aside", f"{told(aside)}, which could not be used"))
    if not is_writable(journal.path):
        problems.append(f"{journal.path}: {READ_ONLY}")


def _by_app(state: State) -> Sequence[tuple[str, str]]:
    """What each app has, the largest first."""
    found = uses(state)
    facts = [(f"app {use.app!r}", _use(use)) for use in found[:APPS_TOLD]]
    if len(found) > APPS_TOLD:
        facts.append(("apps", f"and {len(found) - APPS_TOLD} more, which have less"))
    return facts


def _use(use: AppUse) -> str:
    empty = sum(use.empty.values())
    said = [f"accounts: {use.accounts}", f"channels: {use.channels}", f"empty channels: {empty}"]
    if empty:
        lifetimes = _most(use.empty, lambda ttl: f"{ttl} s")
        said[-1] += f" (by their _channel_ttl, {lifetimes})"
    if use.makers:
        makers = _most(use.makers, lambda maker: repr(maker) if maker else "unknown")
        said[1] += f" (made by {makers})"
    return ", ".join([*said, f"inbox entries: {use.entries}", f"bytes: {use.bytes}"])


def _most(counts: Mapping[Any, int], name: Callable[[Any], str]) -> str:
    """The most frequent, each with its number."""
    most = sorted(counts.items(), key=lambda it: -it[1])
    said = [f"{name(it)}: {count}" for it, count in most[:TOLD_OF_APP]]
    if rest := sum(count for _, count in most[TOLD_OF_APP:]):
        said.append(f"others: {rest}")
    return ", ".join(said)
