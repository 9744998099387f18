"""A journal that is opened by processes which are killed at many points of that: after so many
steps of SQLite's machine or statements, counted, and after so many microseconds.

`python journal_kills.py DIRECTORY POINTS`: opens copies of the directory, and says how many kills
there were. It ends with an error at the first copy that does not start afterwards, or has lost
something.
"""

from __future__ import annotations

import logging
import os
import shutil
import signal
import sqlite3
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from signal_sdk.server.engine.checkup import examine
from signal_sdk.server.engine.embedded import EmbeddedEngine
from signal_sdk.server.engine.files import FILE_NAME
from signal_sdk.server.engine.journal import Journal
from tests.server.inside import state_of

STEPS_PER_TICK: Final = 20
"""How many steps of SQLite's machine are between two points."""


def start(directory: Path, tick: Callable[[], None] = lambda: None) -> dict[str, Any]:
    """Start an engine there, and end it; what it found."""
    connect = sqlite3.connect

    def counted(*args: Any, **kwargs: Any) -> sqlite3.Connection:
        db: sqlite3.Connection = connect(*args, **kwargs)
        db.set_progress_handler(tick, STEPS_PER_TICK)
        db.set_trace_callback(lambda _: tick())
        return db

    sqlite3.connect = counted  # type: ignore[assignment]
    try:
        journal = Journal.open(directory)
        engine = EmbeddedEngine(journal=journal)
    finally:
        sqlite3.connect = connect
    found = {
        f"{key.app}/{key.account}": (
            account.attributes,
            [entry.line for entry in account.inbox.entries],
            [reply.text for reply in account.replies.values()],
        )
        for key, account in state_of(engine).accounts.items()
    }
    journal.close()
    return found


def ended_by(action: Callable[[], None]) -> int:
    """Do it in a process of its own; the signal that ended that, or 0."""
    if pid := os.fork():
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    try:
        action()
    except BaseException:  # noqa: BLE001  it must not get out of this process
        sys.excepthook(*sys.exc_info())
        sys.stderr.flush()
        os._exit(1)
    os._exit(0)


def killed_after(directory: Path, ticks: int) -> None:
    """Start there, and be killed by SIGKILL at that point."""
    left = ticks

    def tick() -> None:
        nonlocal left
        left -= 1
        if left <= 0:
            os.kill(os.getpid(), signal.SIGKILL)

    start(directory, tick)


def killed_at(directory: Path, seconds: float) -> None:
    """Start there, and be killed after that time, wherever that is."""
    if killer := os.fork():
        start(directory)
        os.kill(killer, signal.SIGKILL)
        return
    time.sleep(seconds)
    os.kill(os.getppid(), signal.SIGKILL)
    os._exit(0)


def main(source: Path, points: int) -> None:
    """Kill, and look."""
    # What the log says is another test's.
    logging.disable()
    copy = source.with_name("copy")

    def fresh() -> Path:
        shutil.rmtree(copy, ignore_errors=True)
        if source.exists():
            shutil.copytree(source, copy)
        return copy

    count = 0

    def tick() -> None:
        nonlocal count
        count += 1

    began = time.perf_counter()
    expected = start(fresh(), tick)
    lasted = time.perf_counter() - began
    aside = dict(examine(copy).facts).get("set aside")
    kills = 0
    step = max(1, count // points)
    for at in range(1, count + 1, step):
        code = ended_by(lambda at=at: killed_after(fresh(), at))  # type: ignore[misc]
        assert code == -signal.SIGKILL, (at, code)
        kills += 1
        look(copy, expected, aside, f"tick {at}")
    for number in range(points // 3):
        after = lasted * 2 * number / (points // 3)
        code = ended_by(lambda after=after: killed_at(fresh(), after))  # type: ignore[misc]
        assert code in (0, -signal.SIGKILL), code
        kills += code != 0
        look(copy, expected, aside, f"{after:.6f} s")
    print(f"{kills} kills at {count} points")  # noqa: T201  what it is asked for


def look(directory: Path, expected: object, aside: object, when: str) -> None:
    """Does what was left start, and is all there?"""
    found = start(directory)
    assert found == expected, when
    health = examine(directory)
    assert not health.problems, (when, health.problems)
    assert dict(health.facts).get("set aside") == aside, when
    modes = {path.name: path.stat().st_mode & 0o777 for path in directory.iterdir()}
    assert modes == {FILE_NAME: 0o600}, (when, modes)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
