"""`make sbom`: the bill has what the package ships as a file, and names no machine."""

from __future__ import annotations

import copy
import json
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import pytest

from tests.ops.files import ROOT

FOUND: Final[dict[str, Any]] = {
    "bomFormat": "CycloneDX",
    "specVersion": "1.6",
    "metadata": {"tools": {}},
    "components": [
        {"bom-ref": "trio==1", "name": "trio", "type": "library"},
        {
            "bom-ref": "signal-sdk==2",
            "name": "signal-sdk",
            "type": "library",
            "externalReferences": [{"type": "distribution", "url": "file:///tmp/x/a.whl"}],
        },
    ],
    "dependencies": [{"ref": "signal-sdk==2", "dependsOn": ["trio==1"]}, {"ref": "trio==1"}],
}
"""What a look at an environment finds."""


def complete(path: Path, bill: dict[str, Any]) -> subprocess.CompletedProcess[str]:
    path.write_text(json.dumps(bill))
    command = [sys.executable, str(ROOT / "ops" / "bill.py"), str(path)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_what_is_shipped_as_a_file_is_in_it(tmp_path: Path) -> None:
    path = tmp_path / "bill.json"
    done = complete(path, FOUND)
    assert (done.returncode, done.stderr) == (0, "")
    bill = json.loads(path.read_text())
    published = json.loads((ROOT / "tests" / "package.json").read_text())["devDependencies"]
    library = f"pkg:npm/uplot@{published['uplot']}"
    assert [it["bom-ref"] for it in bill["components"]] == ["trio==1", library]
    assert bill["metadata"]["component"]["bom-ref"] == "signal-sdk==2"
    assert bill["dependencies"] == [
        {"ref": "signal-sdk==2", "dependsOn": [library, "trio==1"]},
        {"ref": "trio==1"},
        {"ref": library},
    ]
    assert "file:" not in path.read_text()


def test_a_bill_of_something_else_is_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "bill.json"
    other = copy.deepcopy(FOUND)
    other["components"].pop()
    done = complete(path, other)
    assert done.returncode == 1
    assert "the bill has no signal-sdk" in done.stderr
    assert json.loads(path.read_text()) == other


@pytest.mark.parametrize(
    "words", ["cyclonedx-py environment", "ops/bill.py dist/signal_sdk.cdx.json"]
)
def test_make_does_both(words: str) -> None:
    recipe = (ROOT / "Makefile").read_text().partition("\nsbom: dist\n")[2].partition("\n\n")[0]
    assert words in recipe
