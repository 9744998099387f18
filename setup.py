"""What of the package's metadata depends on where it is built; all else is in setup.cfg.

Owns: the long description and the project's addresses. An index shows the README by itself, where
links into the repository lead nowhere. So they become addresses in the repository that
`SIGNAL_SDK_REPOSITORY` names (`https://HOST/OWNER/NAME`, as whoever publishes a release knows it),
and without that they become the names of the files. Nothing is made up.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Final

from setuptools import setup

REPOSITORY: Final = os.environ.get("SIGNAL_SDK_REPOSITORY", "").rstrip("/")
LINK: Final = re.compile(r"\[(?P<text>[^\]]+)\]\((?P<place>(?!https?:|#)[^)\s]+)\)")
"""A link to a file of the project."""


def description(readme: str, repository: str) -> str:
    """The README for readers who have not the repository beside it."""

    def elsewhere(link: re.Match[str]) -> str:
        text, place = link["text"], link["place"]
        if repository:
            return f"[{text}]({repository}/blob/HEAD/{place})"
        file = place.partition("#")[0]
        return text if text == file else f"{text} ({file})"

    return LINK.sub(elsewhere, readme)


def addresses(repository: str) -> dict[str, str]:
    """The project's addresses, by what an index calls them."""
    if not repository:
        return {}
    return {
        "Source": repository,
        "Changelog": f"{repository}/blob/HEAD/CHANGELOG.md",
        "Documentation": f"{repository}/tree/HEAD/docs",
        "Issues": f"{repository}/issues",
    }


if __name__ == "__main__":
    readme = Path(__file__).with_name("README.md").read_text(encoding="utf-8")
    setup(long_description=description(readme, REPOSITORY), project_urls=addresses(REPOSITORY))
