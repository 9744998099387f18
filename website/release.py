"""`python -m website.release TAG`: what a release says of itself.

Owns: that the tag, the version and the changelog agree, and the changelog's part for it.
"""

from __future__ import annotations

import configparser
import re
import sys

from website.pages import ROOT

__all__ = ["notes"]


def notes(tag: str) -> str:
    """The changelog's part for a tag. Raises `ValueError` where the tag is not the version, or the
    changelog has nothing of it.
    """
    settings = configparser.ConfigParser()
    settings.read(ROOT / "setup.cfg")
    version = settings["metadata"]["version"]
    if tag != f"v{version}":
        raise ValueError(f"the tag is {tag}, and the version in setup.cfg {version}")
    changelog = (ROOT / "CHANGELOG.md").read_text("utf-8")
    part = re.search(rf"(?ms)^## \[{re.escape(version)}\] - \S+\n(.*?)(?=^## \[|\Z)", changelog)
    if part is None:
        raise ValueError(f"CHANGELOG.md has no part with a date for {version}")
    return part[1].strip() + "\n"


if __name__ == "__main__":
    try:
        sys.stdout.write(notes(sys.argv[1]))
    except ValueError as exc:
        sys.exit(f"error: {exc}")
