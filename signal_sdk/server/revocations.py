"""Tokens that were taken back: a small file in the data directory, which a command writes and the
server reads.

Owns: the file, and which tokens it names. Must not know a session, or how a token is spelled. It is
written beside the server, which has the journal for itself, and replaced in one step, so that
whoever reads it finds the old one or the new one.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec

from signal_sdk.errors import StorageError

__all__ = ["FILE_NAME", "LOOK_SECONDS", "Revocation", "Revocations", "revoke"]

logger: logging.Logger = logging.getLogger("signal_sdk.server")

FILE_NAME: Final = "revoked.json"
LOOK_SECONDS: Final = 60.0
"""Between two looks at the file."""


class Revocation(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Tokens of the app `app`, and of `account` alone where that is not empty, that were made
    before `before` (Unix seconds).

    A token of the original form does not say when it was made: it is meant where it ends before
    `old_before`, and with None whenever it ends.
    """

    app: str
    account: str = ""
    before: int
    old_before: int | None = None

    def names(self, issued: int | None, expires: int) -> bool:
        """Is a token meant that was made and ends then?"""
        if issued is not None:
            return issued < self.before
        return self.old_before is None or expires < self.old_before


class Revocations:
    """What the file in `directory` says; empty, there is no file. Raises `StorageError` where there
    is one that cannot be read: nobody would know who is to be kept out.
    """

    def __init__(self, directory: str) -> None:
        self._path = Path(directory) / FILE_NAME if directory else None
        self._seen: tuple[int, int, int] | None = None
        self._known: dict[tuple[str, str], Revocation] = {}
        self._take()

    def is_revoked(self, app: str, account: str, issued: int | None, expires: int | None) -> bool:
        """Was the token taken back that says so of itself? Where there was none, `expires` is
        None.
        """
        if expires is None or not self._known:
            return False
        found = (self._known.get((app, "")), self._known.get((app, account)))
        return any(it is not None and it.names(issued, expires) for it in found)

    def look(self) -> bool:
        """Where the file has changed, take up what is there; has anything changed? What cannot be
        read is told once, and what was known stays.
        """
        if self._path is None or _state(self._path) == self._seen:
            return False
        try:
            self._take()
        except StorageError as exc:
            logger.warning("what was known of revoked tokens stays: %s", exc)
            return False
        logger.warning("%s was read: %d revocations are in force", self._path, len(self._known))
        return True

    def _take(self) -> None:
        if self._path is not None:
            self._seen = _state(self._path)
            self._known = {(it.app, it.account): it for it in _read(self._path)}


def _state(path: Path) -> tuple[int, int, int] | None:
    try:
        stat = path.stat()
    except OSError:
        return None
    return stat.st_mtime_ns, stat.st_size, stat.st_ino


def _read(path: Path) -> list[Revocation]:
    try:
        return msgspec.json.decode(path.read_bytes(), type=list[Revocation])
    except FileNotFoundError:
        return []
    except OSError as exc:
        raise StorageError(f"{path}: {exc.strerror or exc}") from None
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise StorageError(
            f"{path}: not a list of revoked tokens; put a backup in its place, or make it anew "
            "with signal-sdk token revoke once it is away"
        ) from None


def revoke(directory: str | Path, revocation: Revocation) -> None:
    """Add `revocation` to the file in `directory`; one of the same app and account is replaced.

    Who is the directory's owner is the file's, so that a server may read what root has written.
    Raises `StorageError`.
    """
    path = Path(directory) / FILE_NAME
    try:
        with _alone(path.parent):
            known = {(it.app, it.account): it for it in _read(path)}
            known[revocation.app, revocation.account] = revocation
            _replace(path, msgspec.json.format(msgspec.json.encode(list(known.values()))))
    except OSError as exc:
        raise StorageError(f"{path}: {exc.strerror or exc}") from None


@contextlib.contextmanager
def _alone(directory: Path) -> Iterator[None]:
    """Nobody else does the same in this directory meanwhile."""
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)


def _replace(path: Path, data: bytes) -> None:
    new = path.with_name(f"{path.name}.new")
    # One that is left of a process that was killed is nobody's: we are alone.
    new.unlink(missing_ok=True)
    fd = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(fd, "wb") as file:
        owner = path.parent.stat()
        if os.geteuid() == 0:
            os.fchown(fd, owner.st_uid, owner.st_gid)
        os.fchmod(fd, 0o600)
        file.write(data)
        file.flush()
        os.fsync(fd)
    new.replace(path)
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
