"""The project is whole by itself: nothing in it names a file outside of it."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[1]
MADE: Final = re.compile(
    r"(^|/)(\.git|\.venv|node_modules|__pycache__|artifacts|build|dist|[^/]+\.egg-info"
    r"|\.(hypothesis|mypy_cache|pytest_cache|ruff_cache|schemathesis))(/|$)"
    r"|\.pyc$|\.sqlite3(-shm|-wal)?$|^benchmarks/results\.json$|^fuzz/findings"
)
"""What tools make in a checkout."""
STEPS_UP: Final = re.compile(
    r"\bparents\[(?P<parents>-?\d+)\]"
    r"|(?P<parent>(?:\.parent\b(?!\())+)"
    r"|(?P<dots>(?<![\w./])(?:\.\./)*\.\.(?![\w.]))"
    r"|(?P<pardir>(?:\bos\.(?:path\.)?pardir\b[\s,/]*)+)"
)
"""How one goes up: by `pathlib`, by the dots of a path, by `os`."""
ABSOLUTE: Final = re.compile(
    # What dnsmasq is told is names.
    r"(?<![\w./:}\])*<>~$%@\\-])(?<!local=)/(?P<first>[\w.-]+)(?:/[\w.@-]+)+"
    r"|\b(?:Path|open)\([rb]?[\"']/(?P<only>[\w.-]+)[\"']"
    r"|(?P<home>(?<![\w/])~/[\w.-]+|\b(?:Path\.home|expanduser)\()"
    r"|(?P<drive>\b[A-Z]:\\\\?\w+)"
)
"""A place that is named from the root of a file system, or from somebody's home."""
SYSTEM: Final = frozenset({"bin", "dev", "etc", "proc", "sys", "tmp", "usr", "var"})
"""What every system has, and no checkout is in."""
NOWHERE: Final = frozenset({"no", "nowhere"})
"""Where tests look for what is not there."""
ADDRESSES: Final = frozenset({"components", "console", "v1"})
"""What paths of addresses begin with."""


def contents() -> dict[str, Path]:
    """The project's files by their place in it."""
    return {place: path for place, path in everything() if not path.is_dir()}


def everything() -> Iterator[tuple[str, Path]]:
    """The project's files and folders, each with its place in it; links are not followed."""
    for folder, folders, names in os.walk(ROOT):
        here = Path(folder)
        folders[:] = [name for name in folders if not MADE.search(_place(here / name))]
        for path in (here / name for name in (*folders, *names)):
            if not MADE.search(_place(path)):
                yield _place(path), path


def _place(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def leads_out(place: str, text: str) -> list[str]:
    """What in a file's text goes up further than the project's root, or begins elsewhere."""
    depth = place.count("/")
    found = [match[0] for match in STEPS_UP.finditer(text) if _steps(match, depth) > depth]
    if place != ".gitignore":  # whose root is the project's
        matches = ABSOLUTE.finditer(text)
        known = SYSTEM | NOWHERE | ADDRESSES
        found += [it[0] for it in matches if (it["first"] or it["only"]) not in known]
    return [it.strip() for it in found]


def _steps(match: re.Match[str], depth: int) -> int:
    """How many folders above the file's own that is."""
    if match["parents"]:
        return int(match["parents"]) if int(match["parents"]) >= 0 else depth + 1
    if match["parent"]:
        return match["parent"].count(".parent") - 1
    return match[0].count("..") or match[0].count("pardir")


def test_no_file_names_a_place_outside_the_project() -> None:
    wrong = {}
    for place, path in contents().items():
        if path != Path(__file__) and (found := leads_out(place, path.read_text(errors="replace"))):
            wrong[place] = found
    assert wrong == {}


def test_no_link_leads_out_of_the_project() -> None:
    links = [(place, path.resolve()) for place, path in everything() if path.is_symlink()]
    assert [place for place, path in links if ROOT.resolve() not in path.parents] == []


@pytest.mark.parametrize(
    ("place", "text", "found"),
    [
        ("tests/test_x.py", 'Path(__file__).parents[2] / "shared"', ["parents[2]"]),
        ("tests/test_x.py", "Path(__file__).parents[1]", []),
        ("tests/test_x.py", "Path(__file__).parents[-1]", ["parents[-1]"]),
        ("tests/test_x.py", "Path(__file__).parent.parent.parent / 'x'", [".parent.parent.parent"]),
        ("tests/test_x.py", "Path(__file__).parent.parent / 'x'", []),
        ("tests/test_x.py", "os.path.join(HERE, os.pardir, os.pardir)", ["os.pardir, os.pardir"]),
        ("tests/test_x.py", "os.path.join(HERE, os.pardir)", []),
        ("tests/test_x.py", 'HERE / "../.." / "x"', ["../.."]),
        ("setup.py", "os.path.pardir + x", ["os.path.pardir"]),
        ("tests/web/x.js", 'require("../../../x")', ["../../.."]),
        ("tests/web/x.js", 'require("../../x")', []),
        ("docs/x.md", "[README](../README.md)", []),
        ("Makefile", "cp ../shared/x .", [".."]),
        ("Makefile", "cd .. && make", [".."]),
        ("x.md", "wait... 1..2", []),
        ("x.py", 'Path("/home/me/shared/x.csv")', ["/home/me/shared/x.csv"]),
        ("x.py", 'Path("/shared").iterdir()', ['Path("/shared"']),
        ("x.py", "open('/shared')", ["open('/shared'"]),
        ("x.py", 'if path == "/healthz": ...', []),
        ("x.json", '{"file": "/work/x/y.json"}', ["/work/x/y.json"]),
        ("x.csv", "a,/opt/data/x.csv", ["/opt/data/x.csv"]),
        ("x.html", '<img src="/srv/x/y.png">', ["/srv/x/y.png"]),
        ("x.css", "url(/home/me/x.png)", ["/home/me/x.png"]),
        ("x.html", '<a href="https://example.org/a/b">', []),
        ("x.py", "~/shared/x", ["~/shared"]),
        ("x.py", "Path.home() / 'x'", ["Path.home("]),
        ("x.py", r'"C:\\Users\\me"', [r"C:\\Users"]),
        ("x.sh", "cat /proc/self/statm >/dev/null </etc/hosts; ls /tmp/x", []),
        (".gitignore", "/tests/artifacts/", []),
    ],
)
def test_what_leads_out_is_seen(place: str, text: str, found: list[str]) -> None:
    assert leads_out(place, text) == found
