"""The pages that the site has of what stands in the repository.

Owns: which files become pages, where, and what becomes of their links. Must not know how a page is
shown.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

__all__ = ["ROOT", "gather", "pages", "relinked"]

ROOT: Final = Path(__file__).parents[1]
BESIDE: Final = {
    "README.md": "index.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "security_policy.md",
}
"""The documents outside of docs/, and what they are in the site."""
LINK: Final = re.compile(
    r"(?P<image>!?)\[(?P<text>[^\]\n]*)\]\((?P<place>(?!https?:|mailto:|#)[^)\s]+)\)"
)
FENCE: Final = re.compile(r"^( *)(```|~~~).*?^\1\2 *$", re.MULTILINE | re.DOTALL)


def pages() -> dict[str, str]:
    """Each file that the site has, by its place in the repository: its place there."""
    found = {place: there for place, there in BESIDE.items() if (ROOT / place).is_file()}
    for folder, prefix in (("docs", ""), ("website/api", "api/")):
        for path in sorted((ROOT / folder).rglob("*")):
            if path.is_file():
                inside = path.relative_to(ROOT / folder).as_posix()
                found[path.relative_to(ROOT).as_posix()] = prefix + inside
    return found


def gather(folder: Path, repository: str) -> None:
    """Write all pages into `folder`. A link to a file that is no page leads into `repository`,
    where that is known (`https://HOST/OWNER/NAME`), and else is the name of the file.
    """
    known = pages()
    for place, there in known.items():
        target = folder / there
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.suffix == ".md":
            text = (ROOT / place).read_text("utf-8")
            target.write_text(relinked(text, place, known, repository), "utf-8")
        else:
            shutil.copyfile(ROOT / place, target)


def relinked(text: str, place: str, known: Mapping[str, str], repository: str) -> str:
    """A document's text with links that lead on in the site, where it is no code."""

    def lead_on(link: re.Match[str]) -> str:
        path, _, anchor = link["place"].partition("#")
        wanted = os.path.normpath(os.path.join(os.path.dirname(place), path))  # noqa: PTH118, PTH120
        if wanted in known:
            way = os.path.relpath(known[wanted], os.path.dirname(known[place]) or ".")  # noqa: PTH120
            return f"{link['image']}[{link['text']}]({way}{f'#{anchor}' if anchor else ''})"
        if not (ROOT / wanted).exists():
            # As it is: the builder says that it leads nowhere.
            return link[0]
        if repository:
            return f"[{link['text']}]({repository}/blob/HEAD/{wanted})"
        name = f"`{wanted}`"
        return name if link["text"].strip("`") in (wanted, path) else f"{link['text']} ({name})"

    return "".join(part if is_code else LINK.sub(lead_on, part) for part, is_code in _parts(text))


def _parts(text: str) -> Iterator[tuple[str, bool]]:
    """The text in parts, each with whether it is a block of code."""
    end = 0
    for fence in FENCE.finditer(text):
        yield text[end : fence.start()], False
        yield fence[0], True
        end = fence.end()
    yield text[end:], False
