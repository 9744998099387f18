"""`python -m benchmarks --against COMMIT`: what it measures by turns, what it tells, and what it
leaves behind. Nothing of the figures themselves: the runs are too small.

All is done in a repository that is made for it from this checkout's files, which may be without
one, and whose own repository nothing is to be left in.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import attrs
import pytest

from benchmarks import servers, trees
from benchmarks.bench import Bench
from benchmarks.process import BenchmarkError, Cores
from benchmarks.results import Metric, Row, Work
from benchmarks.trees import Tree

ROOT: Final = Path(__file__).parents[2]
WHOLE: Final = "whole"
EMPTY: Final = "empty"
BROKEN: Final = "broken"
SPEECHLESS: Final = "speechless"

RUN_SECONDS: Final = 250
"""For a run that takes ten where nothing else is to be done: its load has one core, whoever else
has that, too.
"""

pytestmark = pytest.mark.timeout(RUN_SECONDS + 50)
needs_two_cores = pytest.mark.skipif(
    sys.platform != "linux" or len(os.sched_getaffinity(0)) < 2,
    reason="the server has a core of its own, and so has the load",
)


def git(folder: Path, *args: str) -> str:
    who = ("-c", "user.name=Test", "-c", "user.email=test@example.org")
    command = ("git", "-C", str(folder), *who, *args)
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository whose newest commit, `WHOLE`, has all that is measured. Before that, one is
    `EMPTY`; `BROKEN` has code that refuses to be imported, and `SPEECHLESS` a command line that
    lacks a flag. None of them has a setting that ours are measured with.
    """
    folder = tmp_path_factory.mktemp("checkout")
    git(folder, "init", "--quiet")
    (folder / ".gitignore").write_text("__pycache__/\nresults.json\n")
    commit(folder, EMPTY)
    made = shutil.ignore_patterns("__pycache__", ".venv", "node_modules", "results.json")
    for name in ("signal_sdk", "benchmarks"):
        shutil.copytree(ROOT / name, folder / name, ignore=made)
    for name in ("CHANGELOG.md", "setup.cfg"):
        shutil.copy2(ROOT / name, folder / name)
    peers = folder / "benchmarks" / "servers.py"
    limits = "OUR_LIMITS: Final = {"
    text = peers.read_text()
    assert text.count(limits) == 1
    peers.write_text(text.replace(limits, f'{limits}"invented_per_second": 1, '))
    package = folder / "signal_sdk" / "__init__.py"
    whole = package.read_text()
    package.write_text("raise SystemExit('this is the code that is broken')\n")
    commit(folder, BROKEN)
    package.write_text(whole)
    serve = folder / "signal_sdk" / "cli" / "serve.py"
    text = serve.read_text()
    assert text.count('"--data"') == 1
    serve.write_text(text.replace('"--data"', '"--directory", "data"'))
    commit(folder, SPEECHLESS)
    serve.write_text(text)
    commit(folder, WHOLE)
    return folder


def commit(folder: Path, name: str) -> None:
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", name)
    git(folder, "tag", name)


def worktrees(folder: Path) -> list[str]:
    lines = git(folder, "worktree", "list", "--porcelain").splitlines()
    return [line.removeprefix("worktree ") for line in lines if line.startswith("worktree ")]


def command(folder: Path, *args: str) -> list[str]:
    return [sys.executable, "-m", "benchmarks", "--quick", "--json", "results.json", *args]


def measure(folder: Path, *args: str) -> subprocess.CompletedProcess[str]:
    with subprocess.Popen(
        command(folder, *args),
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as run:
        try:
            said, wrong = run.communicate(timeout=RUN_SECONDS)
        except subprocess.TimeoutExpired:
            # What it has started ends with it, but not where it is killed.
            run.terminate()
            raise
    assert worktrees(folder) == [str(folder.resolve())]
    return subprocess.CompletedProcess(run.args, run.returncode, said, wrong)


def results(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "results.json").read_text())
    return found


def short(folder: Path, name: str) -> str:
    return git(folder, "rev-parse", "--short", name).strip()


# --- whole runs


@needs_two_cores
@pytest.mark.parametrize(("name", "rounds"), [("direct", 2), ("sdk", 1)])
def test_ours_are_measured_by_turns_as_they_are_and_as_they_were(
    checkout: Path, name: str, rounds: int
) -> None:
    args = ("--only", name, "--peers", "ours", "--rounds", str(rounds))
    done = measure(checkout, *args, "--against", "HEAD")
    assert done.returncode == 0, done.stderr
    head = short(checkout, WHOLE)
    turns = [line.split(": ")[1] for line in done.stdout.splitlines() if line.startswith("  round")]
    assert turns == ["ours", f"ours at {head}", f"ours at {head}", "ours"][: 2 * rounds]
    document = results(checkout)
    assert document["against"] == head
    assert document["command"].endswith(f" --against {head}")
    released = trees.version((ROOT / "CHANGELOG.md").read_text())
    assert document["tree"] == {"version": released, "commit": head, "is_clean": True}
    work = Work.from_json(name, document["works"][name])
    assert {row.peer for row in work.rows} == {"ours", f"ours at {head}"}
    assert all(len(row.values("rate")) == rounds for row in work.rows)
    assert work.ratio_table(head) in done.stdout
    lack = f"{head} has no setting invented_per_second: it is measured without"
    assert lack in done.stdout.splitlines()
    heads, body = work.ratio_cells(head)
    assert body
    for cells in body:
        found = re.findall(r"[\d.]+", cells[heads.index(work.columns[0].heading)])
        ratio, least, greatest = map(float, found if rounds > 1 else found * 3)
        assert 0 < least <= ratio <= greatest


@needs_two_cores
def test_what_a_commit_lacks_is_told_and_the_rest_is_measured(checkout: Path) -> None:
    args = ("--only", "direct", "--peers", "ours;ours, journal")
    done = measure(checkout, *args, "--against", SPEECHLESS)
    assert done.returncode == 0, done.stderr
    then = short(checkout, SPEECHLESS)
    lack = "is left out: its `signal-sdk serve` has no --data"
    assert f"  ours, journal at {then} {lack}" in done.stdout.splitlines()
    rows = results(checkout)["works"]["direct"]["rows"]
    assert {row["peer"] for row in rows} == {"ours", f"ours at {then}", "ours, journal"}


@needs_two_cores
def test_the_commits_own_code_is_run_and_what_it_says_is_told(checkout: Path) -> None:
    done = measure(checkout, "--only", "direct", "--peers", "ours", "--against", BROKEN)
    assert done.returncode == 0, done.stderr
    lines = [line for line in done.stdout.splitlines() if "left out" in line]
    lack = "its `signal-sdk serve --help` says: this is the code that is broken"
    assert lines == [f"  ours at {short(checkout, BROKEN)} is left out: {lack}"]
    assert {row["peer"] for row in results(checkout)["works"]["direct"]["rows"]} == {"ours"}


@needs_two_cores
@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 128 + signal.SIGTERM)]
)
def test_an_interrupted_run_leaves_no_checkout(checkout: Path, number: int, code: int) -> None:
    args = ("--only", "direct", "--peers", "ours", "--rounds", "1000", "--against", WHOLE)
    with subprocess.Popen(
        command(checkout, *args), cwd=checkout, stdout=subprocess.PIPE, text=True
    ) as run:
        assert run.stdout is not None
        for line in run.stdout:
            if line.startswith("  round 1 "):
                break
        mine, then = worktrees(checkout)
        assert mine == str(checkout.resolve())
        assert (Path(then) / "signal_sdk" / "__init__.py").exists()
        run.send_signal(number)
        run.stdout.read()
        assert run.wait(60) == code
    assert worktrees(checkout) == [mine]
    assert not Path(then).parent.exists()


# --- refusals


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("no-such-branch", "there is no such commit"),
        ("", "there is no such commit"),
        ("HEAD:CHANGELOG.md", "there is no such commit"),
        ("--all", "there is no such commit"),
        (EMPTY, "it has no signal_sdk to be measured"),
    ],
)
def test_a_commit_that_cannot_be_measured_is_refused_in_one_line(
    checkout: Path, name: str, said: str
) -> None:
    done = measure(checkout, "--only", "direct", "--peers", "ours", f"--against={name}")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"error: --against {name}: {said}\n"


def test_outside_of_a_repository_there_is_nothing_to_measure_against(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trees, "HERE", Tree(tmp_path))
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    with (
        pytest.raises(BenchmarkError, match=r"^--against v1: .* is not a checkout of git's$"),
        trees.checkout("v1"),
    ):
        raise AssertionError


def test_an_error_leaves_no_checkout(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trees, "HERE", Tree(checkout))
    with contextlib.suppress(ZeroDivisionError), trees.checkout(WHOLE) as then:
        assert (then.root / "signal_sdk" / "__init__.py").exists()
        raise ZeroDivisionError
    assert not then.root.parent.exists()
    assert worktrees(checkout) == [str(checkout.resolve())]


# --- whose code is run


@needs_two_cores
def test_a_server_that_runs_other_code_than_it_should_is_refused(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(f"import sys\nsys.path.insert(0, {str(ROOT)!r})\n")
    [ours, *_] = servers.ours(Tree(tmp_path, "abc1234"))
    said = rf"^ours at abc1234 was to run the code in {tmp_path}, and ran that in {ROOT}$"
    with pytest.raises(BenchmarkError, match=said), ours.serving(min(os.sched_getaffinity(0))):
        raise AssertionError


# --- parts


def test_settings_that_a_commit_does_not_have_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    assert servers.unknown_keys(trees.HERE) == []
    monkeypatch.setitem(servers.OUR_LIMITS, "invented_per_second", 1)
    assert servers.unknown_keys(trees.HERE) == ["invented_per_second"]


def test_only_ours_have_another_commit_and_each_is_first_in_every_other_round(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = Bench(rounds=2, is_quick=True, cores=Cores(0, 1), against=Tree(ROOT, "abc1234"))
    there = attrs.evolve(servers.BY_NAME[servers.WS], missing=lambda: "")
    monkeypatch.setitem(servers.BY_NAME, servers.WS, there)
    turns = [peer.label for peer in bench.turns([servers.WS, servers.OURS])]
    assert turns == ["ws", "ours", "ours at abc1234", "ws", "ours at abc1234", "ours"]
    assert capsys.readouterr().out.count("  round 2 of 2: ") == 3


RATE: Final = Metric("rate", "messages/s")
CHANGE: Final = Metric("change_percent", "change", 1)


def work(now: list[float], then: list[float]) -> Work:
    rows = [
        Row("ours", {"size": 1}, [{"rate": it, "change_percent": it} for it in now]),
        Row("ours at abc", {"size": 1}, [{"rate": it, "change_percent": it} for it in then]),
        Row("ws", {"size": 1}, [{"rate": 7.0}]),
    ]
    return Work("work", "A work", (RATE, CHANGE), rows)


def test_a_ratio_is_that_of_one_round_and_the_median_is_of_the_ratios() -> None:
    """The medians are 10 and 20; round by round, it is 2, 1 and 0.5 times as much."""
    heads, body = work([10, 20, 10], [5, 20, 20]).ratio_cells("abc")
    assert heads == ["size", "peer", "messages/s"]
    assert body == [["1", "ours", "1.00 (0.50 to 2.00)"]]


@pytest.mark.parametrize("then", [[5, 20], [5, 20, 0], [5, 20, -1], []])
def test_there_is_no_ratio_to_what_is_nothing_or_not_there(then: list[float]) -> None:
    _, [[_, _, *figures]] = work([10, 20, 10], then).ratio_cells("abc")
    assert figures == []


def test_without_rows_of_a_commit_there_is_no_table_of_ratios() -> None:
    assert work([1], [1]).ratio_table("def") == ""
