"""The package's modules as sources: what each imports, and who imports in a circle."""

from __future__ import annotations

import ast
import functools
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import attrs

ROOT = Path(__file__).parents[1]
PACKAGE = "signal_sdk"


@attrs.frozen
class Module:
    """A module of the package, or what could be one."""

    name: str
    source: str
    is_package: bool = False

    def is_in(self, *rooms: str) -> bool:
        return is_in(self.name, *rooms)

    def imports(self, *, running: bool = False) -> tuple[str, ...]:
        """Full names of all that it imports, anywhere in it, for whatever reason; with `running`,
        without those for type checkers.

        `from a import b` is `a.b`, whether `b` is a module or something in one.
        """
        return _imports(self, running)

    def package(self, level: int) -> str:
        """The package that `level` dots stand for."""
        if level == 0:
            return ""
        parts = self.name.split(".")
        return ".".join(parts[: len(parts) - level + self.is_package])


@functools.cache
def _imports(module: Module, running: bool) -> tuple[str, ...]:
    """As `Module.imports`. Each law asks every module."""
    return tuple(_imported(module, running=running))


def _imported(module: Module, *, running: bool) -> Iterator[str]:
    tree = ast.parse(module.source)
    if running:
        tree = _Running().visit(tree)
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                yield from (alias.name for alias in names)
            case ast.ImportFrom(module=name, names=names, level=level):
                base = ".".join(filter(None, [module.package(level), name]))
                yield from (f"{base}.{alias.name}" for alias in names)
            case ast.Call(
                func=ast.Attribute(attr="import_module")
                | ast.Name(id="import_module" | "__import__"),
                args=[ast.Constant(value=str(name)), *_],
            ):
                yield name


class _Running(ast.NodeTransformer):
    """What of a module runs."""

    def visit_If(self, node: ast.If) -> ast.AST | list[ast.stmt]:
        self.generic_visit(node)
        match node.test:
            case ast.Name(id="TYPE_CHECKING") | ast.Attribute(attr="TYPE_CHECKING"):
                return node.orelse
        return node


def is_in(name: str, *rooms: str) -> bool:
    return any(name == room or name.startswith(f"{room}.") for room in rooms)


def modules() -> list[Module]:
    found = []
    for path in sorted((ROOT / PACKAGE).rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        is_package = parts[-1] == "__init__"
        name = ".".join(parts[:-1] if is_package else parts)
        found.append(Module(name, path.read_text(), is_package))
    return found


def circles(modules: list[Module], *, running: bool = False) -> set[frozenset[str]]:
    """The circles in who imports whom: of each, all modules that can be reached from each other."""
    names = {module.name for module in modules}
    found = {
        module.name: {_home(name, names) for name in module.imports(running=running)} - {None}
        for module in modules
    }
    reached = {name: _reached(name, found) for name in found}
    return {
        frozenset(others)
        for name in found
        if len(others := {it for it in reached[name] if name in reached[it]} | {name}) > 1
    }


def _home(name: str, modules: set[str]) -> str | None:
    """The module that an imported name is, or is in; a package's own is not counted for what is
    below it, since it only says which names there are.
    """
    while name and name not in modules:
        name = name.rpartition(".")[0]
    return name or None


def _reached(start: str, found: Mapping[str, set[Any]]) -> set[str]:
    """All that is imported from `start` on."""
    reached: set[str] = set()
    waiting = [start]
    while waiting:
        new = found[waiting.pop()] - reached
        reached |= new
        waiting.extend(new)
    return reached
