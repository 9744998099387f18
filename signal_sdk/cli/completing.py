"""What a shell is to complete: names of files and of directories, where an option takes one.

Owns: that the shell does it, by its own rules. Must not know which option asks.
"""

from __future__ import annotations

import click
from click.shell_completion import CompletionItem

__all__ = ["directories", "files"]


def files(_: click.Context, __: click.Parameter, begun: str) -> list[CompletionItem]:
    """Names of files that begin so."""
    return [CompletionItem(begun, type="file")]


def directories(_: click.Context, __: click.Parameter, begun: str) -> list[CompletionItem]:
    """Names of directories that begin so."""
    return [CompletionItem(begun, type="dir")]
