"""What of a run is kept for its release, and the page that shows a run beside the last release."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any, Final

import pytest

from benchmarks import direct, history, idle, report, slow_reader, trees
from benchmarks.__main__ import WORKS
from benchmarks.history import Kept, Release
from benchmarks.results import TIMES, Row, Work

CASE: Final = {"clients": 200, "in flight": 1}


def run_of(
    version: str, rates: list[float], *, peer: str = "ours", **changed: Any
) -> dict[str, Any]:
    """The JSON of a run that has measured one peer, and an earlier commit's."""
    work = Work(direct.NAME, direct.TITLE, direct.COLUMNS)
    for rate in rates:
        work.add(peer, dict(CASE), {"rate": rate, "p99_ms": 2.0})
        work.add(f"{peer} at abc1234", dict(CASE), {"rate": rate / 2, "p99_ms": 2.0})
    return {
        "date": "2026-01-02 03:04 UTC",
        "command": "python -m benchmarks",
        "rounds": len(rates),
        "is_quick": False,
        "peers": [],
        "tree": {"version": version, "commit": "def5678", "is_clean": True},
        "against": "abc1234",
        "machine": {"processor": "A processor, 2 cores"},
        "versions": {"signal_sdk": "def5678", "python": "3.11.2"},
        "works": {direct.NAME: work.to_json()},
        "targets": [],
    } | changed


def rates(release: Release) -> dict[str, tuple[float, float, float]]:
    rows = release.works[direct.NAME].rows
    return {row.peer: (row.median("rate"), *row.spread("rate")) for row in rows}


# --- what is kept


def test_medians_with_their_spread_and_where_they_are_from_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "history.json"
    history.save(path, history.with_run([], run_of("0.1.0", [1, 9.87654321, 4, 3])))
    [release] = history.load(path)
    assert release.version == "0.1.0"
    assert rates(release) == {"ours": (3.5, 1, 9.87654)}
    assert release.works[direct.NAME].measured == {
        "commit": "def5678",
        "date": "2026-01-02 03:04 UTC",
        "command": "python -m benchmarks",
        "rounds": "4",
        "processor": "A processor, 2 cores",
        "python": "3.11.2",
    }
    before = path.read_text()
    history.save(path, history.load(path))
    assert path.read_text() == before


def test_a_versions_record_is_replaced_and_others_stay() -> None:
    releases = history.with_run([], run_of("0.1.0", [1]))
    releases = history.with_run(releases, run_of("0.2.0", [2]))
    releases = history.with_run(releases, run_of("0.2.0", [3]))
    assert [(each.version, rates(each)["ours"][0]) for each in releases] == [
        ("0.1.0", 1),
        ("0.2.0", 3),
    ]


def test_works_that_were_not_measured_again_stay() -> None:
    kept = Kept({"commit": "123"}, [Row("ours", {"connections": 9}, [{"kib": 7.0}])])
    [release] = history.with_run([Release("0.1.0", {idle.NAME: kept})], run_of("0.1.0", [1]))
    assert release.works[idle.NAME] == kept
    assert rates(release) == {"ours": (1, 1, 1)}


def test_a_release_ends_the_record_of_what_was_not_released() -> None:
    releases = history.with_run([], run_of("0.1.0", [1]))
    releases = history.with_run(releases, run_of(trees.UNRELEASED, [2]))
    assert [each.version for each in releases] == ["0.1.0", trees.UNRELEASED]
    releases = history.with_run(releases, run_of("0.2.0", [3]))
    assert [each.version for each in releases] == ["0.1.0", "0.2.0"]


@pytest.mark.parametrize(
    ("version", "last"), [("unreleased", "0.2.0"), ("0.3.0", "0.2.0"), ("0.2.0", "0.1.0")]
)
def test_the_last_release_is_another_that_was_released(version: str, last: str) -> None:
    releases = [Release(each, {}) for each in ("0.1.0", "0.2.0", trees.UNRELEASED)]
    found = history.last_release(releases, version)
    assert found is not None
    assert found.version == last


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"is_quick": True}, "it was a quick run"),
        ({"peers": ["ours"]}, "only some peers were measured"),
        (
            {"tree": {"version": "0.1.0", "commit": "def5678", "is_clean": False}},
            "what was measured is in no commit: signal_sdk or benchmarks had been changed",
        ),
    ],
)
def test_what_is_not_kept_is_told(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    changed: dict[str, Any],
    reason: str,
) -> None:
    keep(tmp_path, monkeypatch, run_of("0.1.0", [1]) | changed)
    path = tmp_path / "history.json"
    assert capsys.readouterr().out == f"not kept in {path}: {reason}\n"
    assert not path.exists()


def test_a_run_that_does_not_say_of_what_it_is_is_not_kept() -> None:
    document = run_of("0.1.0", [1])
    del document["tree"]
    assert history.why_not(document) == "it does not say which release it has measured"


def keep(folder: Path, monkeypatch: pytest.MonkeyPatch, document: dict[str, Any]) -> None:
    (folder / "results.json").write_text(json.dumps(document))
    names = {"--json": "results.json", "--history": "history.json"}
    args = [word for flag, name in names.items() for word in (flag, str(folder / name))]
    monkeypatch.setattr(sys, "argv", ["history", *args])
    history.main()


def test_what_is_committed_has_only_works_peers_and_metrics_that_are_measured() -> None:
    releases = history.load(history.HISTORY)
    assert releases
    for release in releases:
        assert release.works.keys() <= WORKS.keys()
        for kept in release.works.values():
            assert kept.measured.keys() == history.measured(run_of("0.1.0", [1])).keys()
            assert kept.rows
            assert all(row.rounds[0] for row in kept.rows)


# --- which release it is


@pytest.mark.parametrize(
    ("changelog", "version"),
    [
        ("# Changelog\n\n## [Unreleased]\n\n### Added\n\n- It was added.\n", "unreleased"),
        ("## [Unreleased]\n\n- New.\n\n## [0.1.0] - 2026-12-01\n\n- Old.\n", "unreleased"),
        ("## [Unreleased]\n\n## [0.1.0] - 2026-12-01\n\n- Old.\n", "0.1.0"),
        ("## [0.2.0] - 2026-12-02\n\n- New.\n\n## [0.1.0] - 2026-12-01\n\n- Old.\n", "0.2.0"),
        ("# Changelog\n", "unreleased"),
    ],
)
def test_the_version_is_that_whose_changes_are_on_top(changelog: str, version: str) -> None:
    assert trees.version(changelog) == version


# --- the page


def page(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    document: dict[str, Any],
    releases: list[Release] | None = None,
) -> str:
    """What is written of that run."""
    (folder / "results.json").write_text(json.dumps(document))
    if releases is not None:
        history.save(folder / "history.json", releases)
    names = {"--json": "results.json", "--history": "history.json", "--page": "page.md"}
    args = [word for flag, name in names.items() for word in (flag, str(folder / name))]
    monkeypatch.setattr(sys, "argv", ["report", *args])
    report.main()
    return (folder / "page.md").read_text()


def test_each_figure_stands_beside_the_last_releases(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    releases = history.with_run([], run_of("0.1.0", [8000, 10_000, 11_000]))
    text = page(tmp_path, monkeypatch, run_of("unreleased", [12_000, 12_500, 14_000]), releases)
    assert "## The last release: 0.1.0\n" in text
    assert (
        f"| 200 | 1 | ours | 12,500 (12,000 to 14,000) = 1.25 {TIMES} 10,000 "
        f"| 2.00 (2.00 to 2.00) = 1.00 {TIMES} 2.00 |"
    ) in text
    # What was measured at a commit has no release.
    assert "| ours at abc1234 | 6,250 (6,000 to 7,000) | 2.00 (2.00 to 2.00) |" in text
    assert "| direct | def5678 | 2026-01-02 03:04 UTC | python -m benchmarks | 3 |" in text
    assert report.OTHER_MACHINE.strip() not in text


def test_without_a_history_there_are_only_the_runs_own_figures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = page(tmp_path, monkeypatch, run_of("unreleased", [12_000, 12_500, 14_000]))
    assert "The last release" not in text
    assert "| 200 | 1 | ours | 12,500 (12,000 to 14,000) | 2.00 (2.00 to 2.00) |" in text


def test_the_page_has_the_ratios_to_a_commit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = page(tmp_path, monkeypatch, run_of("unreleased", [12_000, 12_500]))
    assert "Now, divided by what it was at abc1234: medians of the rounds' ratios.\n" in text
    assert "| 200 | 1 | ours | 2.00 (2.00 to 2.00) | 1.00 (1.00 to 1.00) |" in text


def test_where_nothing_was_measured_at_a_commit_there_are_no_ratios(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = page(tmp_path, monkeypatch, {**run_of("unreleased", [12_000, 12_500]), "against": ""})
    assert "| 200 | 1 | ours |" in text
    assert "divided by" not in text


def test_another_machine_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = {"processor": "Another, 8 cores"}
    releases = history.with_run([], run_of("0.1.0", [1], machine=other))
    text = page(tmp_path, monkeypatch, run_of("unreleased", [1]), releases)
    assert report.OTHER_MACHINE.strip() in text
    assert "| Another, 8 cores |" in text


def test_a_quick_runs_figures_stand_beside_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    releases = history.with_run([], run_of("0.1.0", [1]))
    text = page(tmp_path, monkeypatch, run_of("unreleased", [1], is_quick=True), releases)
    assert "The last release" not in text


def test_a_change_has_no_ratio_and_stands_beside_what_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(version: str, change: float) -> dict[str, Any]:
        work = Work(slow_reader.NAME, slow_reader.TITLE, slow_reader.COLUMNS)
        work.add("ours", {"members": 500}, {"change_percent": change})
        return run_of(version, [1], works={slow_reader.NAME: work.to_json()})

    text = page(
        tmp_path, monkeypatch, run("unreleased", 4.5), history.with_run([], run("0.1.0", -1.5))
    )
    assert "| 500 | ours | 4.5, was -1.5 |" in text
