"""A new file: for its user alone, whole or not there, and never over another one unasked."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from signal_sdk.cli.newfile import new_file
from signal_sdk.errors import ConfigError


def test_it_is_for_its_user_alone_whatever_the_umask(tmp_path: Path) -> None:
    path = tmp_path / "new"
    before = os.umask(0)
    try:
        with new_file(path, is_forced=False) as fd:
            os.write(fd, b"hello")
    finally:
        os.umask(before)
    assert path.read_bytes() == b"hello"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_one_that_is_there_is_replaced_only_where_that_is_forced(tmp_path: Path) -> None:
    path = tmp_path / "new"
    path.write_text("mine")
    with pytest.raises(ConfigError, match=r"it is there already; --force"):
        new_file(path, is_forced=False).__enter__()
    with new_file(path, is_forced=True) as fd:
        os.write(fd, b"hello")
        # Until it is whole, what was there is.
        assert path.read_text() == "mine"
    assert path.read_text() == "hello"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("is_forced", [False, True])
def test_nothing_is_left_of_one_that_fails(tmp_path: Path, is_forced: bool) -> None:
    with pytest.raises(OSError, match="full"), new_file(tmp_path / "new", is_forced=is_forced):
        raise OSError("the disk is full")
    assert list(tmp_path.iterdir()) == []
