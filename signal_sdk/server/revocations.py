"""Tokens that were taken back: a list which a command writes and servers read.

Owns: which tokens it names, when it is looked at, and the file. Must not know a session, or how a
token is spelled. Where state is in a data directory, the list is a small file there. It is written
beside the server, which has the journal for itself, and replaced in one step, so that whoever reads
it finds the old one or the new one. Where several processes share their state, the engine has it.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final, TypeAlias

import msgspec
import trio

from signal_sdk.errors import SignalError, StorageError
from signal_sdk.server.engine.base import Answer, Revoked
from signal_sdk.server.engine.pending import waited

__all__ = [
    "FILE_NAME",
    "LOOK_SECONDS",
    "SHARED_LOOK_SECONDS",
    "Revocation",
    "Revocations",
    "revoke",
    "saved",
    "write",
]

logger: logging.Logger = logging.getLogger("signal_sdk.server")

FILE_NAME: Final = "revoked.json"
LOOK_SECONDS: Final = 60.0
"""Between two looks at the file."""
SHARED_LOOK_SECONDS: Final = 2.0
"""Between two looks at whether the list has changed that servers share: one small question."""

Shared: TypeAlias = "Callable[[str], Answer[Revoked | None]]"
"""The list that servers share, where it is not the one of this mark."""


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

    @property
    def name(self) -> str:
        """By which a list knows it: one of the same app and account takes its place."""
        return f"{self.app}\0{self.account}"

    def encode(self) -> bytes:
        """It as one text of a list that is not in a file."""
        return msgspec.json.encode(self)

    @classmethod
    def decode(cls, text: bytes) -> Revocation:
        """What `encode` made. Raises `ValueError`, whose text has nothing of it."""
        try:
            return msgspec.json.decode(text, type=cls)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            raise ValueError("not a revocation") from None

    def names(self, issued: int | None, expires: int) -> bool:
        """Is a token meant that was made and ends then?"""
        if issued is not None:
            return issued < self.before
        return self.old_before is None or expires < self.old_before


class Revocations:
    """What the file in `directory` says; where that is empty, what the list `shared` says, an
    engine's `revoked`, from `start` on. Raises `StorageError` where there is a file that cannot be
    read: nobody would know who is to be kept out.
    """

    def __init__(self, directory: str, shared: Shared | None = None) -> None:
        self._path = Path(directory) / FILE_NAME if directory else None
        self._shared = shared
        self._seen: tuple[int, int, int] | None = None
        self._mark = ""
        self._known: dict[tuple[str, str], Revocation] = {}
        self._take()

    @property
    def look_seconds(self) -> float:
        """How often to look."""
        return LOOK_SECONDS if self._path is not None else SHARED_LOOK_SECONDS

    def is_revoked(self, app: str, account: str, issued: int | None, expires: int | None) -> bool:
        """Was the token taken back that says so of itself? Where there was none, `expires` is
        None.
        """
        if expires is None or not self._known:
            return False
        found = (self._known.get((app, "")), self._known.get((app, account)))
        return any(it is not None and it.names(issued, expires) for it in found)

    async def start(self) -> None:
        """The engine runs: take up the list that nodes share. Raises `SignalError` where it does
        not answer, and `StorageError` where the list cannot be read.
        """
        if self._path is None:
            await self._take_shared()

    async def look(self) -> bool:
        """Where the list has changed, take up what is there; has anything changed? What cannot be
        read is told once, and what was known stays, as it does while the engine does not answer.
        """
        try:
            if not await self._take_changes():
                return False
        except StorageError as exc:
            logger.warning("what was known of revoked tokens stays: %s", exc)
            return False
        except SignalError:
            # That it is away is told where it is noticed.
            return False
        where = self._path or "the list of revoked tokens"
        logger.warning("%s was read: %d revocations are in force", where, len(self._known))
        return True

    async def _take_changes(self) -> bool:
        if self._path is None:
            return await self._take_shared()
        await trio.lowlevel.checkpoint()
        if _state(self._path) == self._seen:
            return False
        self._take()
        return True

    async def _take_shared(self) -> bool:
        found = None if self._shared is None else await waited(self._shared(self._mark))
        if found is None:
            return False
        self._mark = found.mark
        try:
            self._know([Revocation.decode(text) for text in found.texts])
        except ValueError:
            raise StorageError(
                "the list of revoked tokens that servers share cannot be read"
            ) from None
        return True

    def _take(self) -> None:
        if self._path is not None:
            self._seen = _state(self._path)
            self._know(_read(self._path))

    def _know(self, revocations: Sequence[Revocation]) -> None:
        self._known = {(it.app, it.account): it for it in revocations}


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


def saved(directory: str | Path) -> list[Revocation]:
    """What the file in `directory` says; nothing, where there is none. Raises `StorageError`."""
    return _read(Path(directory) / FILE_NAME)


def write(directory: str | Path, revocations: Sequence[Revocation]) -> None:
    """Write the file in `directory`. Raises `StorageError`."""
    path = Path(directory) / FILE_NAME
    try:
        _replace(path, msgspec.json.format(msgspec.json.encode(revocations)))
    except OSError as exc:
        raise StorageError(f"{path}: {exc.strerror or exc}") from None


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
