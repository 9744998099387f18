"""What users read in an editor, by `help` or in an error names nothing that they do not have."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "signal_sdk"
MODULES = [
    path
    for path in sorted(PACKAGE.rglob("*.py"))
    # What the fault kit is given is a seed.
    if "testing" not in path.parts
]


def docstrings(tree: ast.Module) -> Iterator[str]:
    """Those of classes and functions, which `help` shows."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield ast.get_docstring(node) or ""


def texts(tree: ast.Module) -> Iterator[str]:
    """All that is raised or printed, or could be."""
    docs = set(docstrings(tree))
    docs.add(ast.get_docstring(tree) or "")
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            text = node.value
            if not any(re.sub(r"\s+", "", text) == re.sub(r"\s+", "", doc) for doc in docs):
                yield text


ELSEWHERE = r"\bseeds?\b|(?<!\bdocs/)(?<!/)\b[\w-]+\.md\b"
"""A file is named as one of docs/, which the project's pages are in, or not at all."""


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_nothing_speaks_of_a_seed_or_of_a_section_elsewhere(path: Path) -> None:
    tree = ast.parse(path.read_text())
    for text in docstrings(tree):
        assert not re.search(ELSEWHERE, text), text
    for text in texts(tree):
        assert not re.search(ELSEWHERE, text), text


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("one of protocol.md's functions", True),
        ("protocol.md, section 3", True),
        ("the seed says so", True),
        ("docs/linux_api.md has a table", False),
        ("see README.md", True),
        ("https://example.org/page.md", False),
        ("a seedling", False),
    ],
)
def test_what_speaks_of_something_elsewhere_is_seen(text: str, found: bool) -> None:
    assert bool(re.search(ELSEWHERE, text)) == found


def test_every_page_that_is_named_is_there() -> None:
    for path in MODULES:
        for page in re.findall(r"\bdocs/[\w-]+\.md\b", path.read_text()):
            assert (PACKAGE.parent / page).is_file(), (path, page)
