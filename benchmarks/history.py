"""`python -m benchmarks.history`: what a run gave is kept, as the record of its release.

Owns: benchmarks/history.json, which is committed: of each release the medians, with the least and
the greatest, of each work, and what they were measured on. Must not know how anything is measured
or shown.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import attrs

from benchmarks.results import Row, Work, at
from benchmarks.trees import UNRELEASED

HISTORY: Final = Path(__file__).parent / "history.json"
RESULTS: Final = Path(__file__).parent / "results.json"
DIGITS: Final = 6
"""How many of a figure's digits are kept: more than it is shown with, and far more than it says."""


@attrs.frozen
class Kept:
    """A work's figures, and where they are from: by whatever names tell it."""

    measured: dict[str, str]
    rows: list[Row]

    def to_json(self) -> dict[str, Any]:
        return {"measured": self.measured, "rows": [_row_to_json(row) for row in self.rows]}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Kept:
        """As `to_json` wrote it."""
        return cls(dict(data["measured"]), [_row_from_json(row) for row in data["rows"]])


@attrs.frozen
class Release:
    """What is kept of a release. The works need not have been measured in one run."""

    version: str
    works: dict[str, Kept]
    note: str = ""

    def to_json(self) -> dict[str, Any]:
        works = {name: kept.to_json() for name, kept in self.works.items()}
        return {"version": self.version, "note": self.note, "works": works}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Release:
        """As `to_json` wrote it."""
        works = {name: Kept.from_json(kept) for name, kept in data["works"].items()}
        return cls(data["version"], works, data["note"])


def _row_to_json(row: Row) -> dict[str, Any]:
    names = list(dict.fromkeys(name for metrics in row.rounds for name in metrics))
    return {
        "peer": row.peer,
        "case": row.case,
        "figures": {
            name: [_short(figure) for figure in (row.median(name), *row.spread(name))]
            for name in names
            if row.values(name)
        },
    }


def _row_from_json(data: Mapping[str, Any]) -> Row:
    # Three rounds have that median, that least and that greatest.
    rounds = [
        {name: figures[number] for name, figures in data["figures"].items()} for number in range(3)
    ]
    return Row(data["peer"], dict(data["case"]), rounds)


def _short(figure: float) -> float:
    short = float(f"{figure:.{DIGITS}g}")
    return int(short) if short.is_integer() else short


def load(path: Path) -> list[Release]:
    """All releases, the oldest first; none where there is no such file."""
    if not path.exists():
        return []
    return [Release.from_json(data) for data in json.loads(path.read_text())["releases"]]


def save(path: Path, releases: Sequence[Release]) -> None:
    """Write all of them, each row on a line of its own, so that a change of it is seen as one."""
    lines = []
    for data in (release.to_json() for release in releases):
        works = []
        for name, kept in data["works"].items():
            rows = ",\n".join(f"    {_line(row)}" for row in kept["rows"])
            works.append(
                f'  {_line(name)}: {{"measured": {_line(kept["measured"])}, "rows": [\n{rows}]}}'
            )
        inner = ",\n".join(works)
        head = f'"version": {_line(data["version"])}, "note": {_line(data["note"])}'
        lines.append(f' {{{head}, "works": {{\n{inner}}}}}')
    path.write_text('{"releases": [\n' + ",\n".join(lines) + "]}\n")


def _line(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False)


def last_release(releases: Sequence[Release], version: str) -> Release | None:
    """The newest that is neither this version's nor of something that was not released."""
    others = [each for each in releases if each.version not in {version, UNRELEASED}]
    return others[-1] if others else None


def tree_of(document: Mapping[str, Any]) -> Mapping[str, Any]:
    """Which release and which commit a run has measured; a run of long ago does not say."""
    unknown = {"version": UNRELEASED, "commit": document["versions"].get("signal_sdk", "")}
    found: Mapping[str, Any] = document.get("tree", unknown)
    return found


def measured(document: Mapping[str, Any]) -> dict[str, str]:
    """What of a run's circumstances is kept with its figures."""
    return {
        "commit": tree_of(document)["commit"],
        "date": document["date"],
        "command": document["command"],
        "rounds": str(document["rounds"]),
        "processor": document["machine"]["processor"],
        "python": document["versions"]["python"],
    }


def why_not(document: Mapping[str, Any]) -> str:
    """Why a run's figures are not to be kept; nothing where they are."""
    if "tree" not in document:
        return "it does not say which release it has measured"
    if document["is_quick"]:
        return "it was a quick run"
    if document["peers"]:
        return "only some peers were measured"
    if not document["tree"]["is_clean"]:
        return "what was measured is in no commit: signal_sdk or benchmarks had been changed"
    return ""


def with_run(releases: Sequence[Release], document: Mapping[str, Any]) -> list[Release]:
    """The releases and what a run has measured: in the record of its version, works that were
    measured again are replaced. A release ends the record of what was not released.
    """
    version = document["tree"]["version"]
    found = next((each for each in releases if each.version == version), Release(version, {}))
    works = dict(found.works)
    then = at("", document["against"])
    for name, data in document["works"].items():
        rows = Work.from_json(name, data).rows
        if then:
            rows = [row for row in rows if not row.peer.endswith(then)]
        works[name] = Kept(measured(document), rows)
    left = [each for each in releases if each.version not in {version, UNRELEASED}]
    return [*left, Release(version, works)]


def main() -> None:
    """Keep a run's figures, or say why not."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.history", description="Keep a run's figures for its release."
    )
    parser.add_argument("--json", type=Path, default=RESULTS, metavar="FILE", help="to read")
    parser.add_argument("--history", type=Path, default=HISTORY, metavar="FILE", help="to change")
    options = parser.parse_args()
    document = json.loads(options.json.read_text())
    if reason := why_not(document):
        print(f"not kept in {options.history}: {reason}")
        return
    save(options.history, with_run(load(options.history), document))
    print(f"kept in {options.history}: {', '.join(document['works'])}")


if __name__ == "__main__":
    main()
