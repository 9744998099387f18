"""The pages for those who come from elsewhere: each name of ours in their tables is one."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from pathlib import Path

import attrs
import pytest

import signal_sdk
import signal_sdk.admin
import signal_sdk.router

ROOT = Path(__file__).parents[1]
SURFACE = ROOT / "tests" / "data" / "api_surface.csv"
PAGES = ("from_java", "from_agora_2", "from_socketio")
HOMES = (signal_sdk, signal_sdk.router, signal_sdk.admin)


@attrs.frozen
class Line:
    """One line of a table of names."""

    theirs: tuple[str, ...]
    ours: tuple[str, ...]


def names(page: str) -> list[Line]:
    """The table of a page, of which the second column is ours."""
    text = (ROOT / "docs" / "guides" / f"{page}.md").read_text()
    [table] = re.findall(
        r"^\| [^|]+ \| ours \| what differs \|\n\| --- .*\n((?:\|.*\n)+)", text, re.MULTILINE
    )
    rows = [[cell.strip() for cell in row.split("|")[1:-1]] for row in table.splitlines()]
    assert all(len(row) == 3 for row in rows)
    return [Line(tuple(spans(theirs)), tuple(spans(ours))) for theirs, ours, _ in rows]


def spans(cell: str) -> Iterator[str]:
    yield from re.findall(r"`([^`]+)`", cell)


def is_there(name: str) -> bool:
    """Is it a public class, or an attribute of one? A decorator hides none of them."""
    first, *rest = name.split(".")
    for home in HOMES:
        found = getattr(home, first, None)
        for each in rest:
            found = getattr(found, each, None)
        if found is not None:
            return first in home.__all__
    return False


@pytest.mark.parametrize("page", PAGES)
def test_each_name_of_ours_is_there(page: str) -> None:
    ours = [name for line in names(page) for name in line.ours]
    assert len(ours) > 20
    assert [name for name in ours if not is_there(name)] == []


def test_a_name_that_is_none_is_found() -> None:
    assert not is_there("LoginSession.send")
    assert not is_there("Session")
    assert not is_there("client.Backoff")


def test_every_documented_name_of_java_leads_to_ours() -> None:
    table = names("from_java")
    with SURFACE.open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["sdk"] == "java"]
    for row in rows:
        if row["kind"] != "constructor":
            theirs = f"{row['class']}.{row['documented_name']}"
            [line] = [line for line in table if theirs in line.theirs]
            assert f"{row['class']}.{row['python_name']}" in line.ours, theirs
