"""A new file for this user alone: configurations with their secrets, recordings with what was said.

Owns: that nobody else can read it, and that one that is there is not lost. Must not know what is in
it.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from signal_sdk.errors import ConfigError

__all__ = ["new_file"]

MODE: Final = 0o600


@contextmanager
def new_file(path: Path, *, is_forced: bool) -> Iterator[int]:
    """A file to write to, by its descriptor, while the block runs. One that is there already is
    replaced once the block has been left well, and only if that is forced; where it is left
    otherwise, nothing is left of the new one. Raises `ConfigError`, `OSError`.
    """
    target = path.with_name(f".{path.name}.{secrets.token_hex(4)}") if is_forced else path
    try:
        fd = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, MODE)
    except FileExistsError:
        raise ConfigError(f"{path}: it is there already; --force replaces it") from None
    try:
        try:
            yield fd
            os.fsync(fd)
        finally:
            os.close(fd)
        if is_forced:
            target.replace(path)
    except BaseException:
        target.unlink()
        raise
