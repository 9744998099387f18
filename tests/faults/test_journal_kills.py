"""SIGKILL at any moment of a start, of making the file or of migrating an older one, leaves a
directory that starts, with all that it had.
"""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Final

import pytest

from signal_sdk.server.engine.checksums import checksum_of
from signal_sdk.server.engine.chunks import chunk_of
from signal_sdk.server.engine.files import FILE_NAME
from signal_sdk.server.engine.schema import CHECKSUM, CHUNK_OF, MIGRATIONS
from tests.cli.program import COMMAND, ROOT, clean_environment, run
from tests.server.engine.journals import old_file

POINTS: Final = 45


def filled(directory: Path, version: int, *, damaged: bool = False) -> Path:
    """A file of that version, with something in it, and as the journal itself makes it."""
    directory.mkdir(mode=0o700)
    # The fifth is made of the fourth, which gives its rows their checksums.
    then, version = version, min(version, 4)
    old_file(directory, version)
    file = directory / FILE_NAME
    file.chmod(0o600)
    numbers = range(1, 21)
    lines = [b"\xff" if damaged and n % 3 == 0 else f"line {n}".encode() for n in range(60)]
    entries = [(n, 1 + n % 20, n, 9e9, line) for n, line in enumerate(lines, 1)]
    every: dict[int, tuple[object, ...]] = {
        1: (1, 5, "{}"),
        2: (1, 1, 5, 50, "{}"),
        3: (1, 1, 50, "{}"),
        4: (1, 1, 50, "{}"),
    }
    with closing(sqlite3.connect(file)) as db:
        db.executemany(
            "INSERT INTO accounts (id, app, account, uid, generation, reserved)"
            " VALUES (?, 'app', 'user' || ?, ?, 1, 2000)",
            [(n, n, n) for n in numbers],
        )
        db.executemany(
            "INSERT INTO entries VALUES (?, ?, ?, CAST(? AS TEXT))"
            if version == 1
            else "INSERT INTO entries VALUES (?, ?, ?, ?, CAST(? AS TEXT))",
            [entry[version == 1 :] for entry in entries],
        )
        marks = ", ".join("?" * len(every[version]))
        db.execute(f"INSERT INTO replies VALUES ({marks})", every[version])  # noqa: S608  marks
        db.executemany(
            "INSERT INTO user_attributes VALUES (?, 'a', ?)", [(n, str(n)) for n in numbers]
        )
        db.commit()
        if then > version:
            db.create_function(CHECKSUM, -1, checksum_of, deterministic=True)
            db.create_function(CHUNK_OF, -1, chunk_of, deterministic=True)
            db.executescript(f"{''.join(MIGRATIONS[version:then])}; PRAGMA user_version = {then}")
        db.execute("PRAGMA journal_mode = WAL")
    return directory


@pytest.mark.parametrize("case", ["new", "1", "2", "3", "4", "5", "6", "7", "8", "9", "damaged"])
def test_a_start_that_is_killed_at_any_point_is_begun_again(tmp_path: Path, case: str) -> None:
    source = tmp_path / "source"
    if case == "damaged":
        filled(source, 4, damaged=True)
    elif case != "new":
        filled(source, int(case))
    assert len(MIGRATIONS) == 10, "a new step wants a file of the one before in this test"
    program = Path(__file__).with_name("journal_kills.py")
    done = subprocess.run(
        [sys.executable, str(program), str(source), str(POINTS)],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        timeout=100,
    )
    assert done.stderr == ""
    assert done.returncode == 0
    kills = int(done.stdout.split()[0])
    sys.stdout.write(f"{case}: {done.stdout}")
    assert kills >= POINTS


def test_a_server_that_is_killed_while_it_starts_starts_the_next_time(tmp_path: Path) -> None:
    draw = random.Random(6)
    data = filled(tmp_path / "data", 1)
    command = [*COMMAND, "serve", "--dev", "--port", "0", "--no-native", "--data", str(data)]
    for _ in range(6):
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=clean_environment(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        time.sleep(draw.uniform(0.2, 1.0))
        process.send_signal(signal.SIGKILL)
        process.wait()
    with subprocess.Popen(
        command, cwd=ROOT, env=clean_environment(), stdout=subprocess.PIPE, text=True
    ) as last:
        assert last.stdout is not None
        assert last.stdout.readline().startswith("listening on ")
        last.terminate()
        assert last.wait(30) == 0
    ended = run("doctor", "--data", str(data))
    assert (ended.code, ended.err) == (0, "")
    assert "accounts: 20\nuser_attributes: 20\nentries: 60\nreplies: 1\n" in ended.out
