"""The listener: what it does where there are no descriptors left."""

from __future__ import annotations

import errno
import socket
from typing import Any, cast

import pytest
import trio
from trio.testing import MockClock

from signal_sdk.server.listener import SHORTAGE_SECONDS, Shortage, accept_loop


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
    full, shortage = FullProcess(), Shortage()
    for _ in range(3):
        nursery.start_soon(accept_loop, cast("socket.socket", full), accept, shortage)
    await trio.sleep(SHORTAGE_SECONDS - 1)
    assert caplog.messages == ["cannot accept connections: Too many open files"]
    assert full.tries > 100
    await trio.sleep(SHORTAGE_SECONDS)
    assert len(caplog.records) == 2
    nursery.cancel_scope.cancel()
