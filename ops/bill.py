"""`make sbom`: what the bill of materials has beside what a look at an environment finds.

Owns: the project as what the bill is of, without the place where it was built, and the library that
the package ships as a file. Must not know how a bill is made, or what else is in it.
"""

from __future__ import annotations

import hashlib
import json
import re
import sys
from pathlib import Path
from typing import Any, Final

CHARTS: Final = Path(__file__).parents[1] / "signal_sdk/server/admin/console/uPlot.esm.js"
"""The console's chart library."""
VERSION: Final = re.compile(r"github\.com/leeoniya/uPlot \(v([\d.]+)\)")
PROJECT: Final = "signal-sdk"


def charts() -> dict[str, Any]:
    """The chart library, as a bill has it. Raises `ValueError` where its head has no version."""
    content = CHARTS.read_bytes()
    version = VERSION.search(content.decode("utf-8"))
    if version is None:
        raise ValueError(f"{CHARTS.name} does not say which version it is")
    name = f"pkg:npm/uplot@{version[1]}"
    return {
        "bom-ref": name,
        "hashes": [{"alg": "SHA-256", "content": hashlib.sha256(content).hexdigest()}],
        "licenses": [{"license": {"id": "MIT"}}],
        "name": "uplot",
        "purl": name,
        "type": "library",
        "version": version[1],
    }


def completed(bill: dict[str, Any]) -> dict[str, Any]:
    """The bill with both. Raises `ValueError` where the project is not in it."""
    parts = {part["name"]: part for part in bill["components"]}
    project = parts.pop(PROJECT, None)
    if project is None:
        raise ValueError(f"the bill has no {PROJECT}")
    for reference in project.get("externalReferences", ()):
        if reference["url"].startswith("file:"):
            reference["url"] = reference["url"].rpartition("/")[2]
    library = charts()
    needs = {it["ref"]: it for it in bill["dependencies"]}
    own = needs[project["bom-ref"]]
    own["dependsOn"] = sorted([*own.get("dependsOn", ()), library["bom-ref"]])
    needs[library["bom-ref"]] = {"ref": library["bom-ref"]}
    return {
        **bill,
        "metadata": {**bill.get("metadata", {}), "component": project},
        "components": [*parts.values(), library],
        "dependencies": list(needs.values()),
    }


def main(arguments: list[str]) -> int:
    """Complete the bill in this file."""
    [path] = map(Path, arguments)
    try:
        bill = completed(json.loads(path.read_text("utf-8")))
    except ValueError as exc:
        sys.stderr.write(f"error: {path}: {exc}\n")
        return 1
    path.write_text(json.dumps(bill, indent=2) + "\n", "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
