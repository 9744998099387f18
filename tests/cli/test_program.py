"""What tells of a program that takes too long."""

from __future__ import annotations

import os
import re

import pytest
import trio
from trio.testing import MockClock

from tests.cli import program


async def test_a_program_that_takes_too_long_is_told_of(autojump_clock: MockClock) -> None:
    """Has it hung, or no core to run on?"""
    with pytest.raises(trio.TooSlowError) as caught:
        async with program.program("serve", "--dev", "--port", "0"):
            await trio.sleep_forever()
    (note,) = caught.value.__notes__
    assert re.match(r"process \d+: [A-Z], ran for .* s, waited for a core for .* s", note)


def test_of_a_process_its_children_are_told_of_too() -> None:
    reading, writing = os.pipe()
    pid = os.fork()
    if not pid:
        os.close(writing)
        os.read(reading, 1)
        os._exit(0)
    try:
        assert f"\nprocess {pid}: " in program.standing_of(os.getpid())
    finally:
        os.close(reading)
        os.close(writing)
        os.waitpid(pid, 0)
    assert program.standing_of(pid) == f"process {pid} has gone"
