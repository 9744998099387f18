#!/usr/bin/env bash
# Python's sqlite3 (3.11.2 with SQLite 3.40.1, 3.11.7): execute("PRAGMA incremental_vacuum(1000)") gives back one page,
# whatever number it is asked for, and fetchall() behind it changes nothing. The pragma is a statement
# without columns that has a step for each page; execute takes one step of such a statement.
# executescript() steps to the end and gives all of them back. A program that vacuums a little now and
# then sees its file shrink by 4 KiB each time, and no error.
#
# Seen: execute: 1 page, execute and fetchall: 1 page, executescript: 1000 or 1001.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cat >"$folder/show.py" <<'PY'
import sqlite3
import sys


def freed(vacuum):
    db = sqlite3.connect(f"{sys.argv[1]}/{vacuum.__name__}.db", isolation_level=None)
    db.execute("PRAGMA auto_vacuum = INCREMENTAL")
    db.execute("CREATE TABLE t (x)")
    db.execute("BEGIN")
    db.executemany("INSERT INTO t VALUES (?)", [("x" * 3000,) for _ in range(2000)])
    db.execute("DELETE FROM t")
    db.execute("COMMIT")
    (before,) = db.execute("PRAGMA page_count").fetchone()
    vacuum(db)
    (after,) = db.execute("PRAGMA page_count").fetchone()
    return before - after


def execute(db):
    db.execute("PRAGMA incremental_vacuum(1000)")


def fetchall(db):
    db.execute("PRAGMA incremental_vacuum(1000)").fetchall()


def executescript(db):
    db.executescript("PRAGMA incremental_vacuum(1000)")


for how in (execute, fetchall, executescript):
    print(f"{how.__name__}: {freed(how) // 10 * 10 or 'one page at most'}")
PY
python3 "$folder/show.py" "$folder" | tee "$folder/seen"
diff "$folder/seen" - <<'SEEN' || { echo 'it is otherwise now' >&2; exit 1; }
execute: one page at most
fetchall: one page at most
executescript: 1000
SEEN
