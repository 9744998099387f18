"""The journal's directory and files: for whom they are, and whether they can be used.

Owns: their names and modes, and by what a file is known as ours. Must not know what is in it.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from signal_sdk.errors import StorageError
from signal_sdk.net import holders
from signal_sdk.printable import one_line

FILE_NAME: Final = "signal.db"
OTHERS: Final = 0o077
"""What a mode lets others than its user do."""
APPLICATION_ID: Final = 0x5347534B
"""By which SQLite's header says that a file is ours."""
FOREIGN: Final = "not a journal of signal-sdk: another program's SQLite file"
UTF_8: Final = 1
"""How the header says that texts are in UTF-8."""
MAX_FORMAT: Final = 2
"""The newest format of a file that SQLite has, for reading and for writing."""
UNOPENED: Final = "it, or the file beside it that ends in -wal, cannot be opened"
READ_ONLY: Final = "the file or its directory is read-only; the server must be able to write both"


def make_directory(directory: Path) -> None:
    """Make the directory where there is none, for this process's user alone. Raises `OSError`."""
    if not directory.exists():
        directory.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileExistsError):
            directory.mkdir(mode=0o700)
            directory.chmod(0o700)
    elif not directory.is_dir():
        raise NotADirectoryError


def make_private(path: Path) -> None:
    """Make the directory and the file where there are none. What is in them is the users' own:
    nobody else may read it, whatever this process's umask is. What SQLite puts beside the file is
    made for the same users as the file.
    """
    make_directory(path.parent)
    if not is_writable(path):
        raise StorageError(f"{path}: {READ_ONLY}")
    if not path.exists():
        path.touch(mode=0o600, exist_ok=False)
        path.chmod(0o600)


def is_writable(path: Path) -> bool:
    """May this process write the file, and make others beside it?"""
    return os.access(path.parent, os.W_OK | os.X_OK) and (
        os.access(path, os.W_OK) or not path.exists()
    )


def unusable(path: Path, exc: OSError) -> StorageError:
    """The error for a file that the system does not let us have."""
    if isinstance(exc, FileExistsError | NotADirectoryError):
        return StorageError(f"{path.parent}: not a directory")
    return StorageError(f"{path}: {exc.strerror or exc}")


def exposed(path: Path) -> Sequence[str]:
    """What others than this user may look at, and how to keep them out, in lines."""
    directory = path.parent
    try:
        mode = directory.stat().st_mode & 0o777
        modes = {it: it.stat().st_mode & 0o777 for it in sorted(directory.glob(f"{FILE_NAME}*"))}
    except OSError:
        # They cannot be looked at, or are gone: others cannot do more.
        return []
    if not mode & OTHERS:
        return []
    found = [(directory, mode, "700")]
    found += [(file, mode, "600") for file, mode in modes.items() if mode & OTHERS]
    return [
        f"{path}: others may look at it (mode {mode:03o}): chmod {wanted} {path}"
        for path, mode, wanted in found
    ]


def check_header(path: Path) -> None:
    """Is it one of our files, as far as its first bytes tell? An empty one is to become one. Raises
    `StorageError`.
    """
    try:
        with path.open("rb") as file:
            header = file.read(100)
    except OSError as exc:
        raise unusable(path, exc) from None
    if not header:
        return
    if len(header) < 100 or not header.startswith(b"SQLite format 3\0"):
        raise StorageError(f"{path}: not a journal of signal-sdk: it is no SQLite file")
    if int.from_bytes(header[68:72], "big") not in (0, APPLICATION_ID):
        raise StorageError(f"{path}: {FOREIGN}")
    if max(header[18:20]) > MAX_FORMAT:
        # SQLite would read such a file, and never write it.
        raise StorageError(corrupt(path, "its header names a format that SQLite does not write"))
    if int.from_bytes(header[56:60], "big") not in (0, UTF_8):
        # Of some such numbers SQLite notices nothing until it vacuums. A new file has none yet.
        raise StorageError(corrupt(path, "its header names an encoding that is not ours"))


def corrupt(path: Path, damage: str) -> str:
    """What is said of a file that is damaged so."""
    return f"{path}: {unreadable(damage.splitlines()[-1])}"


def unreadable(why: object) -> str:
    """The same, without the file's name."""
    told = one_line(str(why))
    return f"the file is corrupt ({told}): run signal-sdk doctor, and put a backup in its place"


def reason(exc: Exception, path: Path) -> str:
    """What SQLite's library says of the file, and what can be done."""
    name = getattr(exc, "sqlite_errorname", "")
    if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
        return f"{holders.of_file(path)} is using it; stop that one first"
    if name.startswith("SQLITE_READONLY"):
        return READ_ONLY
    if name.startswith("SQLITE_CANTOPEN"):
        return UNOPENED
    if name.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB")):
        return unreadable(exc)
    if name.startswith("SQLITE_FULL"):
        return "the disk is full"
    # What has no name is Python's own, which may quote what it could not read or write.
    return f"{exc} ({name})" if name else f"SQLite's library failed ({type(exc).__name__})"
