"""Holders: which process has a port or a file that this one wants.

Owns: reading that in /proc, where there is one. Must not know what it is wanted for. Another user's
processes do not show what they hold: then it is `another process`.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Final

__all__ = ["UNKNOWN", "of_file", "of_port"]

UNKNOWN: Final = "another process"
PROC: Final = Path("/proc")
_LISTENS: Final = "0A"
"""TCP's state of a socket that listens."""


def of_port(port: int, kind: socket.SocketKind) -> str:
    """Who listens on `port`, as an error says it: `the process 4711 (nginx)`."""
    name = "udp" if kind is socket.SOCK_DGRAM else "tcp"
    links = {f"socket:[{inode}]" for inode in _inodes(port, name)}
    return _holder(links, is_other=False)


def of_file(path: Path) -> str:
    """Which other process has the file open."""
    return _holder({os.path.realpath(path)}, is_other=True)


def _inodes(port: int, name: str) -> Iterator[str]:
    for family in ("", "6"):
        try:
            lines = (PROC / "net" / f"{name}{family}").read_text().splitlines()[1:]
        except OSError:
            continue
        for fields in map(str.split, lines):
            is_its = int(fields[1].rpartition(":")[2], 16) == port
            if is_its and (name == "udp" or fields[3] == _LISTENS):
                yield fields[9]


def _holder(links: set[str], *, is_other: bool) -> str:
    for pid in _processes():
        if is_other and pid == os.getpid():
            continue
        if _holds(pid, links):
            try:
                command = (PROC / str(pid) / "comm").read_text().strip()
            except OSError:
                return f"the process {pid}"
            return f"the process {pid} ({command})"
    return UNKNOWN


def _processes() -> list[int]:
    try:
        return sorted(int(entry.name) for entry in PROC.iterdir() if entry.name.isdigit())
    except OSError:
        return []


def _holds(pid: int, links: set[str]) -> bool:
    try:
        with os.scandir(PROC / str(pid) / "fd") as entries:
            return any(_link(entry.path) in links for entry in entries)
    except OSError:
        return False


def _link(path: str) -> str:
    try:
        return os.readlink(path)  # noqa: PTH115  a Path for each descriptor takes ten times as long
    except OSError:
        return ""
