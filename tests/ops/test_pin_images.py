"""`make pin-images`: what is written, and that nothing is where a registry does not answer."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from tests.ops.files import ROOT

FILES: Final = ("Containerfile", "compose.yaml", "samples/compose/compose.yaml")
IMAGES: Final = {
    "docker.io/library/debian:13-slim",
    "gcr.io/distroless/python3-debian13:nonroot",
    "docker.io/prom/prometheus:v3.5.0",
    "docker.io/grafana/grafana:12.1.0",
    "redis:7",
    "haproxy:lts",
}
SKOPEO: Final = """#!/bin/sh
case "$*" in *"$REFUSED") echo "time=now level=fatal" >&2; echo "no such name" >&2; exit 1;; esac
printf %s "$*"
"""


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    """Copies of those that name images."""
    found = [tmp_path / it for it in FILES]
    for name, path in zip(FILES, found, strict=True):
        path.parent.mkdir(parents=True, exist_ok=True)
        # Those of the repository may be pinned.
        path.write_text(re.sub("@sha256:[0-9a-f]{64}", "", (ROOT / name).read_text()))
    return found


def pin(files: list[Path], *, refused: str = "nothing") -> subprocess.CompletedProcess[str]:
    programs = files[0].parent / "bin"
    programs.mkdir(exist_ok=True)
    (programs / "skopeo").write_text(SKOPEO)
    (programs / "skopeo").chmod(0o755)
    environment = {"PATH": f"{programs}:{os.environ['PATH']}", "REFUSED": refused}
    command = [sys.executable, str(ROOT / "ops/pin_images.py"), *map(str, files)]
    return subprocess.run(
        command, env=environment, capture_output=True, text=True, check=False, timeout=60
    )


def pinned(image: str) -> str:
    said = f"inspect --raw docker://{image}".encode()
    return f"{image}@sha256:{hashlib.sha256(said).hexdigest()}"


def test_each_image_has_the_digest_that_its_tag_has_now(files: list[Path]) -> None:
    before = [path.read_text() for path in files]
    done = pin(files)
    assert (done.returncode, done.stderr) == (0, "")
    assert set(done.stdout.splitlines()) == {pinned(it) for it in IMAGES}
    for text, path in zip(before, files, strict=True):
        expected = text
        for image in IMAGES:
            for begin in ("image: ", "BUILD=", "BASE="):
                expected = expected.replace(f"{begin}{image}\n", f"{begin}{pinned(image)}\n")
        assert expected != text
        assert path.read_text() == expected
    # Again, it asks by the tags.
    after = [path.read_text() for path in files]
    assert pin(files).returncode == 0
    assert [path.read_text() for path in files] == after


def test_where_a_registry_does_not_answer_nothing_is_written(files: list[Path]) -> None:
    before = [path.read_text() for path in files]
    done = pin(files, refused="grafana:12.1.0")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == ("nothing was pinned: docker.io/grafana/grafana:12.1.0: no such name\n")
    assert [path.read_text() for path in files] == before
