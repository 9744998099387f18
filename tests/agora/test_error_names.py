"""The names that `on_error` says: the page lists them all, and which of them are ours."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "linux_api.md").read_text()
MODULES = [
    *(ROOT / "signal_sdk" / "flat").glob("*.py"),
    *(ROOT / "signal_sdk").glob("agora_*.py"),
]
NAMING = ("_do", "_refuse", "_tell_error")
"""Who takes the name first."""


def names_said(source: str) -> Iterator[str]:
    """The names under which a module has `on_error` told of something."""
    tree = ast.parse(source)
    constants: dict[str, str] = {}
    for line in tree.body:
        match line:
            case ast.AnnAssign(target=ast.Name(constant), value=ast.Constant(value=str(text))):
                constants[constant] = text
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Attribute(attr=who), args=[first, *_]) if who in NAMING:
                yield from _told(first, constants)
            case ast.Call(args=words) | ast.Tuple(elts=words):
                for word, name in pairwise(words):
                    if isinstance(word, ast.Constant) and word.value == "on_error":
                        yield from _told(name, constants)


def _told(name: ast.expr, constants: dict[str, str]) -> Iterator[str]:
    match name:
        case ast.Constant(value=str(text)):
            yield text
        case ast.Name(id) if id in constants:
            yield constants[id]
        case ast.Name(id="name") | ast.Tuple():
            # Handed on, or a callback's.
            return
        case _:
            raise AssertionError(f"which name is it? {ast.unparse(name)}")


def listed(beginning: str) -> list[str]:
    """The names in one item of the page's list."""
    section = PAGE.partition("### The names that `on_error` says\n")[2]
    [item] = re.findall(rf"^- {beginning}: (.+(?:\n  .+)*)$", section, re.MULTILINE)
    return re.findall(r"`([a-z_]+)`", item)


SEEN, OURS = listed("Seen from the original"), listed("Ours")


def test_the_page_lists_each_name_that_is_said_and_no_other() -> None:
    said = {name for module in MODULES for name in names_said(module.read_text())}
    assert len(said) > 20
    assert sorted(SEEN + OURS) == sorted(said)


def test_what_was_seen_is_in_the_page_s_table() -> None:
    table = PAGE.partition("### The names")[0]
    for name in SEEN:
        assert f'onError("{name}", ' in table or f"`{name}`" in table


@pytest.mark.parametrize(
    ("source", "names"),
    [
        ("self._do('invite', self._calls.invite)", ["invite"]),
        ("await self._tell_error('channel_join', channel)", ["channel_join"]),
        ("LOGIN: Final = 'login'\nself.put('on_error', LOGIN, ecode)", ["login"]),
        ("why = [('on_error', 'login', ecode)]", ["login"]),
        ("partial(self.tell, 'on_error', 'callbacks')", ["callbacks"]),
        ("self.put('on_error', name, ecode)", []),
        ("self._do(name, self._ops.refuse)", []),
        ("call(handler, 'on_error', (documented, ecode))", []),
        ("self.put('on_logout', ecode)", []),
    ],
)
def test_every_way_of_saying_one_is_seen(source: str, names: list[str]) -> None:
    assert list(names_said(source)) == names


def test_a_name_that_cannot_be_told_is_no_name() -> None:
    with pytest.raises(AssertionError, match="which name"):
        list(names_said("self.put('on_error', f'{method}_failed', ecode)"))
