"""`.ci/need`, by which `make test` installs what it calls, says in one line what it could not."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

NEED = Path(__file__).parents[1] / ".ci" / "need"


@pytest.mark.parametrize("uid", [0, 1000])
def test_what_cannot_be_installed_is_said_in_the_last_line(tmp_path: Path, uid: int) -> None:
    asked = tmp_path / "asked"
    for name, does in {
        "apt-get": f'echo "$@" >>{asked}; echo "E: no network" >&2; exit 100',
        "id": f"echo {uid}",
    }.items():
        program = tmp_path / name
        program.write_text(f"#!/bin/sh\n{does}\n")
        program.chmod(0o755)
    ended = subprocess.run(
        [NEED, "sh:dash", "no-such-server:no-such-package"],
        env={"PATH": f"{tmp_path}:/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 1
    assert ended.stdout == ""
    assert ended.stderr.splitlines()[-1] == (
        "error: missing: no-such-server;"
        " install them, on Debian by: apt-get install no-such-package"
    )
    assert asked.exists() == (uid == 0)
