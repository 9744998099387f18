"""A page for each error code, made of what the package knows of it and of ecodes.toml.

Owns: what stands on these pages. Must not know who sends a code: that is written down.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Final

import attrs

from signal_sdk.ecodes import ECode

__all__ = ["Advice", "advice", "code_page", "code_pages"]

SOURCE: Final = Path(__file__).with_name("ecodes.toml")
GROUPS: Final = {
    0: "No error",
    1: "The session ended",
    2: "The login failed",
    3: "Joining a channel",
    4: "Sending a message",
    5: "Asking how many are in a channel",
    6: "Leaving a channel",
    7: "Calls",
    10: "Anything",
}
"""What the codes of each hundred are about."""
OBSOLETE: Final = "obsolete"


@attrs.frozen
class Advice:
    """What is written down of a code. One that nobody sends has no more than its meaning."""

    means: str
    heard: str = ""
    advice: str = ""


def advice() -> dict[ECode, Advice]:
    """What is written down of each code, in the order of the file. Raises `KeyError` for a name
    that is no code, `TypeError` for a field that there is not.
    """
    with SOURCE.open("rb") as file:
        return {ECode[name]: Advice(**fields) for name, fields in tomllib.load(file).items()}


def code_page(code: ECode, known: Advice) -> str:
    """The page of a code, as Markdown."""
    lines = [f"# {code.value} {code.name}", f"*{code.meaning.capitalize()}.*", known.means]
    if known.heard:
        lines += ["## Who hears it", known.heard, "## What to do", known.advice]
    lines.append(f"In Python: `signal_sdk.ECode.{code.name}`, which equals {code.value}.")
    return "\n\n".join(lines) + "\n"


def code_pages(folder: Path) -> None:
    """Write all pages of codes into `folder`, and the one that has them all."""
    folder.mkdir(parents=True, exist_ok=True)
    found = advice()
    index = ["# Error codes", "What each means, who hears it, and what to do."]
    for hundred, title in GROUPS.items():
        codes = [code for code in ECode if code // 100 == hundred]
        rows = [f"| [{it.value}]({it.value}.md) | `{it.name}` | {it.meaning} |" for it in codes]
        index += [f"## {title}", "\n".join(["| code | name | meaning |", "|---|---|---|", *rows])]
    (folder / "index.md").write_text("\n\n".join(index) + "\n", "utf-8")
    for code, known in found.items():
        (folder / f"{code.value}.md").write_text(code_page(code, known), "utf-8")
