"""A data directory that is filled with another state: it has all of it, or nothing.

Owns: where the journal is until it is whole, and that nobody else fills the directory meanwhile.
Must not know the rows.

It is written in a directory of its own below, which no server looks at, and gets its name last.
What a process that was killed has left there is removed by the next.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from signal_sdk.errors import StorageError
from signal_sdk.server.engine.database import POWER
from signal_sdk.server.engine.files import FILE_NAME, make_directory, unusable
from signal_sdk.server.engine.journal import Journal

__all__ = ["UNFINISHED", "filled"]

UNFINISHED: Final = "migrating"
"""Where it is until it is whole."""


@contextlib.contextmanager
def filled(directory: str | Path, beside: Sequence[str] = ()) -> Iterator[Journal]:
    """A journal to be filled; files that are called as those `beside` may be put where it is. When
    the block ends in good order, all of them are in `directory`.

    Raises `StorageError`, before the block where there is something already or somebody else fills
    it, and behind it where a server has begun there meanwhile.
    """
    path = Path(directory)
    try:
        make_directory(path)
        with _alone(path):
            unfinished = path / UNFINISHED
            _clear(path, unfinished, beside)
            for name in (FILE_NAME, *beside):
                if (path / name).exists():
                    raise StorageError(
                        f"{path / name}: there is one already: name another directory"
                    )
            with contextlib.ExitStack() as left:
                left.callback(shutil.rmtree, unfinished)
                journal = Journal.open(unfinished, POWER)
                left.callback(journal.close)
                yield journal
                left.pop_all()
            journal.close()
            _finish(path, unfinished, [name for name in beside if (unfinished / name).exists()])
    except OSError as exc:
        raise unusable(path / FILE_NAME, exc) from None


@contextlib.contextmanager
def _alone(directory: Path) -> Iterator[None]:
    """Nobody else does the same in this directory meanwhile."""
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StorageError(f"{directory}: another command changes what is kept there") from None
        yield
    finally:
        os.close(fd)


def _clear(path: Path, unfinished: Path, beside: Sequence[str]) -> None:
    """Remove what a process has left that was killed."""
    if not unfinished.exists():
        return
    if not (path / FILE_NAME).exists():
        # That gets its name last: what would be beside it is nobody's.
        for name in beside:
            (path / name).unlink(missing_ok=True)
    shutil.rmtree(unfinished)


def _finish(path: Path, unfinished: Path, beside: Sequence[str]) -> None:
    """Have what is in `unfinished` be in `path`, and be there for good."""
    owner = path.stat()
    for name in (*beside, FILE_NAME):
        if os.geteuid() == 0:
            # Root may do this for the server's user.
            os.chown(unfinished / name, owner.st_uid, owner.st_gid)
        try:
            # As a rename, but for what may be there.
            os.link(unfinished / name, path / name)
        except FileExistsError:
            raise StorageError(f"{path}: a server has begun there meanwhile") from None
        _sync(path)
    shutil.rmtree(unfinished)


def _sync(directory: Path) -> None:
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
