"""The listener: what it does where there are no descriptors left."""

from __future__ import annotations

import errno
import socket
from typing import Any, cast

import pytest
import trio
from trio.testing import MockClock

from signal_sdk.server.complaints import SILENT_SECONDS
from signal_sdk.server.listener import Shortage, accept_loop


class FullProcess:
    """A listening socket of a process that has no descriptors left."""

    tries = 0

    def accept(self) -> Any:
        self.tries += 1
        raise OSError(errno.EMFILE, "Too many open files")


async def test_descriptors_that_are_used_up_are_told_of_once_a_minute(
    monkeypatch: pytest.MonkeyPatch,
    nursery: trio.Nursery,
    autojump_clock: MockClock,
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def at_once(_: object) -> None:
        await trio.lowlevel.checkpoint()

    def accept(*_: object) -> None:
        raise AssertionError("nobody is accepted")

    monkeypatch.setattr(trio.lowlevel, "wait_readable", at_once)
    sheds: list[None] = []
    full, shortage = FullProcess(), Shortage(lambda: sheds.append(None))
    for _ in range(3):
        nursery.start_soon(accept_loop, cast("socket.socket", full), accept, shortage)
    await trio.sleep(SILENT_SECONDS - 1)
    assert caplog.messages == ["cannot accept connections: Too many open files"]
    assert full.tries > 100
    assert len(sheds) == full.tries // 2
    await trio.sleep(SILENT_SECONDS)
    assert len(caplog.records) == 2
    nursery.cancel_scope.cancel()
    shortage.close()


class LastDescriptor:
    """A listening socket of a process that has one descriptor left, which `shortage` keeps."""

    def __init__(self, shortage: Shortage, waiting: list[socket.socket]) -> None:
        self._shortage = shortage
        self._waiting = waiting

    def accept(self) -> tuple[socket.socket, None]:
        if self._shortage._spare is not None:
            raise OSError(errno.EMFILE, "Too many open files")
        if not self._waiting:
            raise BlockingIOError
        return self._waiting.pop(0), None


async def test_who_comes_when_descriptors_are_used_up_is_refused_with_the_one_in_reserve(
    autojump_clock: MockClock,
) -> None:
    sheds: list[None] = []
    shortage = Shortage(lambda: sheds.append(None))
    pairs = [socket.socketpair() for _ in range(3)]
    full = LastDescriptor(shortage, [ours for ours, _ in pairs])
    pairs[0][1].send(b"GET / HTTP/1.1\r\n\r\n")
    with pytest.raises(OSError, match="Too many"):
        full.accept()
    shortage.handle(cast("socket.socket", full), "Too many open files", b"HTTP/1.1 503 full")
    for ours, theirs in pairs:
        assert ours.fileno() == -1
        with theirs:
            assert theirs.recv(100) == b"HTTP/1.1 503 full"
            assert theirs.recv(100) == b""
    assert sheds == [None]
    # It is in reserve again.
    assert shortage._spare is not None
    shortage.close()
    assert shortage._spare is None
