"""The project is whole by itself: nothing in it names a file outside of it, and an sdist has all of
it.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[1]
MADE: Final = re.compile(
    r"(^|/)(\.git|\.venv|node_modules|__pycache__|artifacts|build|dist|[^/]+\.egg-info"
    r"|\.(hypothesis|mypy_cache|pytest_cache|ruff_cache))(/|$)"
    r"|\.pyc$|\.sqlite3(-shm|-wal)?$|^benchmarks/results\.json$|^fuzz/findings"
)
"""What tools make in a checkout."""
READ: Final = (".py", ".js", ".mjs", ".md", ".toml", ".cfg", ".sh", "")
UP: Final = re.compile(r"parents\[(\d)\]|(?<![\w.])((?:\.\./)+)")


def contents() -> dict[str, Path]:
    """The project's files by their place in it."""
    files: dict[str, Path] = {}
    for folder, folders, names in os.walk(ROOT):
        here = Path(folder)
        folders[:] = [name for name in folders if not MADE.search(_place(here / name))]
        places = {_place(here / name): here / name for name in names}
        files |= {place: path for place, path in places.items() if not MADE.search(place)}
    return files


def _place(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def leads_out(place: str, text: str) -> list[str]:
    """What in a file's text goes up further than the project's root."""
    depth = place.count("/")
    found = []
    for match in UP.finditer(text):
        steps = int(match[1]) if match[1] else match[2].count("../")
        if steps > depth:
            found.append(match[0])
    return found


def test_no_file_names_a_place_outside_the_project() -> None:
    wrong = {}
    for place, path in contents().items():
        if path != Path(__file__) and path.suffix in READ:
            text = path.read_text(errors="replace")
            if found := leads_out(place, text):
                wrong[place] = found
    assert wrong == {}


@pytest.mark.parametrize(
    ("place", "text", "found"),
    [
        ("tests/test_x.py", 'Path(__file__).parents[2] / "shared"', ["parents[2]"]),
        ("tests/test_x.py", "Path(__file__).parents[1]", []),
        ("tests/web/x.js", 'require("../../../x")', ["../../../"]),
        ("docs/x.md", "[README](../README.md)", []),
        ("Makefile", "cp ../shared/x .", ["../"]),
        ("x.md", "wait...", []),
    ],
)
def test_what_leads_out_is_seen(place: str, text: str, found: list[str]) -> None:
    assert leads_out(place, text) == found


def test_an_sdist_has_all_that_a_checkout_has(tmp_path: Path) -> None:
    # Made from a copy: building puts files beside its sources, where other tests would see them.
    checkout = tmp_path / "checkout"
    whole = contents()
    for place, path in whole.items():
        copy = checkout / place
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(path, copy)
    command = [
        sys.executable,
        "-m",
        "build",
        "--sdist",
        "--no-isolation",
        "--outdir",
        str(tmp_path),
    ]
    done = subprocess.run(command, cwd=checkout, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    [archive] = tmp_path.glob("*.tar.gz")
    with tarfile.open(archive) as tar:
        names = {name.partition("/")[2] for name in tar.getnames()}
        tar.extractall(tmp_path, filter="data")
    assert whole.keys() - names == set()
    # All tests can at least be found there, with nothing beside it; they are the same files.
    [unpacked] = [path for path in tmp_path.glob("signal_sdk-*") if path.is_dir()]
    command = [sys.executable, "-m", "pytest", "--collect-only", "-qq", "-n0", "tests"]
    done = subprocess.run(command, cwd=unpacked, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:]
