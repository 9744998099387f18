"""Our code in the trees that are measured: the one that this file is in, and a commit's beside it.

Owns: where a tree is, what it calls itself, and a commit's checkout, which is gone at the end. Must
not know what is measured.
"""

from __future__ import annotations

import contextlib
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import attrs

from benchmarks.process import BenchmarkError
from benchmarks.results import at

GIT_SECONDS: Final = 120.0
SHOWS_PATH: Final = r"^signal_sdk is of (.+)$"
"""What a program of ours says first, before it does anything: where its code is."""
UNRELEASED: Final = "unreleased"


@attrs.frozen
class Tree:
    """A checkout of ours. `commit` is how its figures are told from those of the tree that this
    file is in, which has none.
    """

    root: Path
    commit: str = ""

    def label(self, name: str) -> str:
        """What a row of the tables is called that has this tree's figures."""
        return at(name, self.commit)

    def check(self, path: str) -> None:
        """Raises `BenchmarkError` where that is not this tree's root."""
        if Path(path).resolve() != self.root.resolve():
            raise BenchmarkError(
                f"{self.label('ours')} was to run the code in {self.root}, and ran that in {path}"
            )


HERE: Final = Tree(Path(__file__).parents[1])


@contextlib.contextmanager
def checkout(name: str) -> Iterator[Tree]:
    """A commit's files in a temporary folder, until the end of the block, however that comes.

    Raises `BenchmarkError` where there is no such commit, or it has no code of ours.
    """
    commit = _resolve(name)
    with tempfile.TemporaryDirectory(prefix="benchmark-") as folder:
        root = Path(folder).resolve() / f"against-{commit}"
        try:
            # Hooks are made for those who work in a checkout.
            done = _git(
                *("-c", "core.hooksPath=/dev/null", "worktree", "add", "--quiet", "--detach"),
                *(str(root), commit),
            )
            if done.returncode:
                raise BenchmarkError(f"--against {name}: {_last_line(done.stderr)}")
            # Python would find what is installed then, which is this tree's.
            if not (root / "signal_sdk" / "__init__.py").is_file():
                raise BenchmarkError(f"--against {name}: it has no signal_sdk to be measured")
            yield Tree(root, commit)
        finally:
            _remove(root)


def _resolve(name: str) -> str:
    if _git("rev-parse", "--git-dir").returncode:
        raise BenchmarkError(f"--against {name}: {HERE.root} is not a checkout of git's")
    asked = ("rev-parse", "--verify", "--quiet", "--short", "--end-of-options")
    done = _git(*asked, f"{name}^{{commit}}")
    if done.returncode:
        raise BenchmarkError(f"--against {name}: there is no such commit")
    return done.stdout.strip()


def _remove(root: Path) -> None:
    known = _git("worktree", "list", "--porcelain").stdout.splitlines()
    if f"worktree {root}" not in known:
        return
    # Twice: even one whose making was interrupted, which is locked.
    done = _git("worktree", "remove", "--force", "--force", str(root))
    if done.returncode:
        print(f"warning: {_last_line(done.stderr)}; try `git worktree prune`", file=sys.stderr)


def describe() -> dict[str, Any]:
    """Which release and which commit this tree is, and whether what is measured is as committed."""
    commit = _git("rev-parse", "--short", "HEAD")
    measured = ("signal_sdk", "benchmarks", ":!benchmarks/history.json")
    changed = _git("status", "--porcelain", "--", *measured)
    return {
        "version": version((HERE.root / "CHANGELOG.md").read_text()),
        "commit": commit.stdout.strip() if not commit.returncode else "",
        "is_clean": not changed.returncode and not changed.stdout,
    }


def version(changelog: str) -> str:
    """The release whose changes are at its top, or `UNRELEASED`."""
    for name, text in re.findall(r"^## \[(.+?)\].*\n((?:(?!## ).*\n?)*)", changelog, re.MULTILINE):
        if name.lower() != UNRELEASED:
            return str(name)
        if text.strip():
            break
    return UNRELEASED


def _git(*args: str) -> subprocess.CompletedProcess[str]:
    command = ("git", "-C", str(HERE.root), *args)
    try:
        return subprocess.run(
            command, capture_output=True, text=True, timeout=GIT_SECONDS, check=False
        )
    except FileNotFoundError:
        return subprocess.CompletedProcess(command, 127, "", "git is not installed")


def _last_line(text: str) -> str:
    return (text.strip().splitlines() or ["git says nothing"])[-1]
