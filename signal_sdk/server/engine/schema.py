"""The journal's tables: their columns, and what makes them of an older file.

Owns: the schema. Must not know SQLite's library, nor what a row means.

Inbox entries and kept replies have numbers that rise whosever they are, so that a batch writes a
few pages at the end of their tables and not one for each account. Which entries are handled is told
by one row for each account, up to which version; the entries themselves are deleted later, many at
a time, up to the floor of their log (entry_log.py). Many entries are one row of the file, a chunk
(chunks.py), which goes when all of them are beneath the floor.

Each row ends in a checksum of what is before it, so that one that a disk has changed is not taken
for what was written; in a chunk, each entry has one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import attrs

Row = tuple[Any, ...]
Batch = dict[str, dict[Any, Any]]
"""Each table's rows by their keys, None where one is gone. Inbox entries are only ever added: as
rows of `ENTRIES`, whose keys do not matter, or under `CHUNKS`, each packed already (checksums.py),
by their numbers, which rise."""


ENTRIES: Final = "entries"
CHUNKS: Final = "entry_chunks"
"""The table of inbox entries, many in a row (chunks.py), each by the largest number in it."""
DROPPED: Final = "entries_dropped"
"""The numbers of entries that are gone, though others before them in their inboxes are not."""
HANDLED: Final = "entries_done"
"""Up to which version each account's entries are handled."""
FACTS: Final = "facts"
"""What is known of the server itself, each under its name: the newest time that it has seen."""
MAKERS: Final = "makers"
"""Which account has made each channel, where that is known."""
LOCKS: Final = "locks"
"""Who has each lock of a channel, and who waits for it, in the order of their numbers."""
HAPPENINGS: Final = "happenings"
"""What has happened and is kept for hooks, by numbers that rise whatever app each is of; `number`
is its own within its app."""
FLOORS: Final = "floors"
"""Not a table: in a batch, up to which number the entries are gone."""
FLOOR: Final = "entries_floor"
"""The fact that says so, since a chunk may have some of them beside others."""
SET_ASIDE: Final = "set_aside"
"""The table of rows that could not be used: which table's each was, why, and what it held."""
CHECKSUM: Final = "checksum"
"""Each table's last column, and the function of SQL by which a migration computes it."""
CHUNK_OF: Final = "chunk_of"
"""The function of SQL by which a migration makes a chunk of a row."""


@attrs.frozen
class Table:
    """A table and its columns without the checksum, those of the key first; `reals` are those whose
    whole numbers come back as floats. One that is not `is_summed` has no such column: what is in
    its rows has sums of its own.
    """

    name: str
    key: tuple[str, ...]
    columns: tuple[str, ...]
    reals: tuple[str, ...] = ()
    is_summed: bool = True
    real_at: tuple[int, ...] = attrs.field(
        init=False,
        default=attrs.Factory(
            lambda table: tuple(map(table.columns.index, table.reals)), takes_self=True
        ),
    )
    """Where the reals are in a row."""


TABLES: Final[Mapping[str, Table]] = {
    table.name: table
    for table in (
        Table(
            "accounts",
            ("id",),
            (
                *("id", "app", "account", "uid", "generation", "reserved"),
                *("line_digest", "device", "ver", "token_expires", "instance", "channel"),
                *("lease_ends", "token_issued", "rights", "revision"),
            ),
            reals=("lease_ends",),
        ),
        Table(
            "user_attributes",
            ("account", "name"),
            ("account", "name", "revision", "expires", "value"),
            reals=("expires",),
        ),
        Table(
            ENTRIES,
            ("id",),
            ("id", "account", "version", "expires", "line"),
            reals=("expires",),
        ),
        Table(CHUNKS, ("id",), ("id", "contents"), is_summed=False),
        Table(DROPPED, ("id",), ("id",)),
        Table(HANDLED, ("account",), ("account", "upto")),
        Table("replies", ("id",), ("id", "account", "callid", "text")),
        Table(FACTS, ("name",), ("name", "value"), reals=("value",)),
        Table(
            "channels",
            ("id",),
            ("id", "app", "name", "reserved", "total", "idle_since", "revision"),
            reals=("idle_since",),
        ),
        Table("members", ("channel", "account"), ("channel", "account", "position")),
        Table(MAKERS, ("channel",), ("channel", "account")),
        Table(
            "channel_attributes",
            ("channel", "name"),
            ("channel", "name", "revision", "expires", "value"),
            reals=("expires",),
        ),
        Table(
            "calls",
            ("app", "channel", "one", "other"),
            (
                *("app", "channel", "one", "other", "id", "caller", "callee", "extra"),
                *("state", "timeout", "deadline", "revision"),
            ),
            reals=("timeout", "deadline"),
        ),
        Table(
            LOCKS,
            ("channel", "name", "account", "ask"),
            ("channel", "name", "account", "ask", "number", "fence", "seconds", "ends"),
            reals=("seconds", "ends"),
        ),
        Table(HAPPENINGS, ("id",), ("id", "app", "number", "text")),
    )
}


STORED: Final = tuple(table for name, table in TABLES.items() if name != ENTRIES)
"""The tables that the file has; the rows of `ENTRIES` are in those of `CHUNKS`."""
COUNTED: Final = tuple(
    name for name in TABLES if name not in (CHUNKS, DROPPED, HANDLED, FACTS, MAKERS, HAPPENINGS)
)
"""The tables that are worth a user's look."""
INDEXED: Final = ("accounts", "channels")
"""The tables that have an index beside their key."""


def _with_checksum(table: str, *columns: str) -> str:
    """Give each row of `table` its checksum. Before each column stands its kind: `i`, a whole
    number, `r`, a float, `b`, bytes, or `t`, text, which is handed over as bytes, since it may be
    none.
    """
    added = f"ALTER TABLE {table} ADD COLUMN {CHECKSUM} INTEGER;"
    return f"{added} UPDATE {table} SET {CHECKSUM} = {checksum_sql(columns)};"  # noqa: S608  ours


def checksum_sql(columns: Sequence[str]) -> str:
    """The expression that is the checksum of a row of these columns."""
    kinds = "".join(column[0] for column in columns)
    values = ", ".join(
        f"CAST({column[2:]} AS BLOB)" if column[0] == "t" else column[2:] for column in columns
    )
    return f"{CHECKSUM}('{kinds}', {values})"


ACCOUNT: Final = (
    *("i id", "t app", "t account", "i uid", "i generation", "i reserved", "b line_digest"),
    *("t device", "i ver", "i token_expires", "t instance", "t channel", "r lease_ends"),
    *("i token_issued", "t rights"),
)
CHANNEL: Final = ("i id", "t app", "t name", "i reserved", "i total", "r idle_since")
_REVISION: Final = "revision INTEGER NOT NULL DEFAULT"


def _widened(table: str, added: str, before: tuple[str, ...], after: tuple[str, ...]) -> str:
    """Give `table` more columns, and each row whose checksum is right that of what it has then.
    Columns are named as in `_with_checksum`: those of before, and those of after.
    """
    were, are = (checksum_sql(columns) for columns in (before, after))
    return (
        f"{added}; UPDATE {table} SET {CHECKSUM} = "  # noqa: S608  ours
        f"CASE WHEN {CHECKSUM} = {were} THEN {are} ELSE {CHECKSUM} END;"
    )


MIGRATIONS: Final[Sequence[str]] = (
    # 1: the first. A value is JSON; a line's digest, never the line; what only an online account
    # has is NULL where it is offline.
    """
    CREATE TABLE accounts (
        id INTEGER PRIMARY KEY, app TEXT NOT NULL, account TEXT NOT NULL, uid INTEGER NOT NULL,
        generation INTEGER NOT NULL, reserved INTEGER NOT NULL, line_digest BLOB,
        device TEXT, ver INTEGER, token_expires INTEGER, instance TEXT, channel TEXT,
        lease_ends REAL, UNIQUE (app, account)
    );
    CREATE TABLE user_attributes (
        account INTEGER NOT NULL, name TEXT NOT NULL, value TEXT NOT NULL,
        PRIMARY KEY (account, name)
    ) WITHOUT ROWID;
    CREATE TABLE entries (
        account INTEGER NOT NULL, version INTEGER NOT NULL, expires REAL NOT NULL,
        line TEXT NOT NULL, PRIMARY KEY (account, version)
    ) WITHOUT ROWID;
    CREATE TABLE replies (
        account INTEGER NOT NULL, callid INTEGER NOT NULL, text TEXT NOT NULL,
        PRIMARY KEY (account, callid)
    ) WITHOUT ROWID;
    CREATE TABLE channels (
        id INTEGER PRIMARY KEY, app TEXT NOT NULL, name TEXT NOT NULL, reserved INTEGER NOT NULL,
        total INTEGER NOT NULL, idle_since REAL, UNIQUE (app, name)
    );
    CREATE TABLE members (
        channel INTEGER NOT NULL, account INTEGER NOT NULL, position INTEGER NOT NULL,
        PRIMARY KEY (channel, account)
    ) WITHOUT ROWID;
    CREATE TABLE channel_attributes (
        channel INTEGER NOT NULL, name TEXT NOT NULL, value TEXT NOT NULL,
        PRIMARY KEY (channel, name)
    ) WITHOUT ROWID;
    CREATE TABLE calls (
        app TEXT NOT NULL, channel TEXT NOT NULL, one TEXT NOT NULL, other TEXT NOT NULL,
        id TEXT NOT NULL, caller TEXT NOT NULL, callee TEXT NOT NULL, extra TEXT NOT NULL,
        state TEXT NOT NULL,
        timeout REAL NOT NULL, deadline REAL, revision INTEGER NOT NULL,
        PRIMARY KEY (app, channel, one, other)
    ) WITHOUT ROWID;
    """,
    # 2: entries and replies in the order in which they were written.
    """
    ALTER TABLE entries RENAME TO entries_by_account;
    CREATE TABLE entries (
        id INTEGER PRIMARY KEY, account INTEGER NOT NULL, version INTEGER NOT NULL,
        expires REAL NOT NULL, line TEXT NOT NULL
    );
    INSERT INTO entries (account, version, expires, line)
        SELECT account, version, expires, line FROM entries_by_account ORDER BY account, version;
    DROP TABLE entries_by_account;
    CREATE TABLE entries_done (account INTEGER PRIMARY KEY, upto INTEGER NOT NULL);
    ALTER TABLE replies RENAME TO replies_by_account;
    CREATE TABLE replies (
        id INTEGER PRIMARY KEY, account INTEGER NOT NULL, number INTEGER NOT NULL,
        callid INTEGER NOT NULL, text TEXT NOT NULL
    );
    INSERT INTO replies (account, number, callid, text)
        SELECT account, ROW_NUMBER() OVER (ORDER BY account, callid), callid, text
        FROM replies_by_account ORDER BY account, callid;
    DROP TABLE replies_by_account;
    CREATE TABLE replies_done (account INTEGER PRIMARY KEY, upto INTEGER NOT NULL);
    """,
    # 3: a reply's number is its key.
    """
    ALTER TABLE replies RENAME TO replies_by_id;
    CREATE TABLE replies (
        id INTEGER PRIMARY KEY, account INTEGER NOT NULL, callid INTEGER NOT NULL,
        text TEXT NOT NULL
    );
    INSERT INTO replies
        SELECT number, account, callid, text FROM replies_by_id WHERE IFNULL(
            number > (SELECT upto FROM replies_done WHERE account = replies_by_id.account), TRUE
        );
    DROP TABLE replies_by_id;
    DROP TABLE replies_done;
    """,
    # 4: what a session's token says beside its end; the newest time that was seen.
    """
    ALTER TABLE accounts ADD COLUMN token_issued INTEGER;
    ALTER TABLE accounts ADD COLUMN rights TEXT;
    CREATE TABLE facts (name TEXT PRIMARY KEY, value REAL NOT NULL) WITHOUT ROWID;
    """,
    # 5: each row has a checksum, and those that cannot be used a table.
    """
    CREATE TABLE set_aside (
        id INTEGER PRIMARY KEY, origin TEXT NOT NULL, why TEXT NOT NULL, contents BLOB NOT NULL
    );
    """
    + _with_checksum("accounts", *ACCOUNT)
    + _with_checksum("user_attributes", "i account", "t name", "t value")
    + _with_checksum("entries", "i id", "i account", "i version", "r expires", "t line")
    + _with_checksum("entries_done", "i account", "i upto")
    + _with_checksum("replies", "i id", "i account", "i callid", "t text")
    + _with_checksum("facts", "t name", "r value")
    + _with_checksum("channels", *CHANNEL)
    + _with_checksum("members", "i channel", "i account", "i position")
    + _with_checksum("channel_attributes", "i channel", "t name", "t value")
    + _with_checksum(
        "calls",
        *("t app", "t channel", "t one", "t other", "t id", "t caller", "t callee", "t extra"),
        *("t state", "r timeout", "r deadline", "i revision"),
    ),
    # 6: who has made a channel; of those that are there, nobody knows.
    """
    CREATE TABLE makers (
        channel INTEGER PRIMARY KEY, account INTEGER NOT NULL, checksum INTEGER
    );
    """,
    # 7: entries are in chunks. Each has the checksum that it had, even where that is wrong.
    f"""
    CREATE TABLE entry_chunks (id INTEGER PRIMARY KEY, contents BLOB NOT NULL);
    INSERT INTO entry_chunks SELECT
        id, {CHUNK_OF}(checksum, id, account, version, expires, CAST(line AS BLOB), typeof(line))
        FROM entries ORDER BY id;
    DROP TABLE entries;
    CREATE TABLE entries_dropped (id INTEGER PRIMARY KEY, checksum INTEGER);
    """,  # noqa: S608  ours
    # 8: what has happened and is kept for hooks.
    """
    CREATE TABLE happenings (
        id INTEGER PRIMARY KEY, app TEXT NOT NULL, number INTEGER NOT NULL, text TEXT NOT NULL,
        checksum INTEGER
    );
    """,
    # 9: the locks of channels. Who waits has no number of its own yet: `fence` is 0.
    """
    CREATE TABLE locks (
        channel INTEGER NOT NULL, name TEXT NOT NULL, account INTEGER NOT NULL, ask TEXT NOT NULL,
        number INTEGER NOT NULL, fence INTEGER NOT NULL, seconds REAL NOT NULL, ends REAL NOT NULL,
        checksum INTEGER, PRIMARY KEY (channel, name, account, ask)
    ) WITHOUT ROWID;
    """,
    # 10: attributes have revisions, and may have an end. All that are there have the first.
    _widened(
        "accounts",
        f"ALTER TABLE accounts ADD COLUMN {_REVISION} 0",
        ACCOUNT,
        (*ACCOUNT, "i revision"),
    )
    + _widened(
        "channels",
        f"ALTER TABLE channels ADD COLUMN {_REVISION} 0",
        CHANNEL,
        (*CHANNEL, "i revision"),
    )
    + "".join(
        _widened(
            f"{kind}_attributes",
            f"ALTER TABLE {kind}_attributes ADD COLUMN {_REVISION} 1; "
            f"ALTER TABLE {kind}_attributes ADD COLUMN expires REAL",
            (f"i {owner}", "t name", "t value"),
            (f"i {owner}", "t name", "i revision", "r expires", "t value"),
        )
        for kind, owner in (("user", "account"), ("channel", "channel"))
    ),
)
"""`MIGRATIONS[n]` makes a file of version n one of version n + 1."""
