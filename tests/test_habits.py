"""The project's habits, as files say them: CI, releases, forms, what a commit checks, and what
those who contribute are told.
"""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from website.pages import ROOT
from website.release import notes

WORKFLOWS: Final = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
FORMS: Final = ROOT / ".github" / "ISSUE_TEMPLATE"
MAKEFILE: Final = (ROOT / "Makefile").read_text()
PYTHONS: Final = ["3.11", "3.12", "3.13", "3.14"]


def steps(path: Path) -> list[dict[str, Any]]:
    jobs = yaml.safe_load(path.read_text())["jobs"].values()
    return [step for job in jobs for step in job["steps"]]


def recipe(target: str) -> str:
    found = re.search(rf"^{re.escape(target)}:.*\n((?:\t.*\n)*)", MAKEFILE, re.MULTILINE)
    assert found is not None, target
    return found[1]


def test_what_runs_an_order_of_tests_again_is_an_option(request: pytest.FixtureRequest) -> None:
    [name] = re.findall(r"`(--[a-z-]+)=…`", (ROOT / "CONTRIBUTING.md").read_text())
    assert request.config.getoption(name) is not None


# --- Workflows and forms


@pytest.mark.parametrize(
    ("schema", "paths"),
    [
        ("vendor.github-workflows", WORKFLOWS),
        ("vendor.github-issue-forms", [FORMS / "fault.yml", FORMS / "wish.yml"]),
        ("vendor.github-issue-config", [FORMS / "config.yml"]),
        ("vendor.compose-spec", [ROOT / "compose.yaml", ROOT / "samples/compose/compose.yaml"]),
    ],
)
def test_files_are_what_their_readers_take(schema: str, paths: list[Path]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "check_jsonschema", "--builtin-schema", schema, *map(str, paths)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_a_workflow_makes_what_there_is(path: Path) -> None:
    commands = "\n".join(step.get("run", "") for step in steps(path))
    made = " ".join(re.findall(r"^make (.*)$", commands, re.MULTILINE))
    targets = [word for word in made.split() if "=" not in word]
    assert targets
    for target in targets:
        assert re.search(rf"^{re.escape(target)}:", MAKEFILE, re.MULTILINE), target
    for module in re.findall(r"python -m (website[\w.]*)", commands):
        assert (ROOT / f"{module.replace('.', '/')}.py").is_file()


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_a_workflow_takes_nothing_that_may_change_under_it(path: Path) -> None:
    """Each action is pinned by commit, beside the version for people, and hands no token on."""
    uses = re.findall(r"uses: (\S+)(.*)$", path.read_text(), re.MULTILINE)
    assert uses
    for action, comment in uses:
        assert re.fullmatch(r"[\w.-]+/[\w.-]+@[0-9a-f]{40}", action), action
        assert re.fullmatch(r" # v\d+\.\d+\.\d+", comment), action
    for step in steps(path):
        if step.get("uses", "").startswith("actions/checkout@"):
            assert step["with"]["persist-credentials"] is False
    assert yaml.safe_load(path.read_text())["permissions"] == {"contents": "read"}


def test_no_event_s_text_reaches_a_shell() -> None:
    """What others may write, such as a branch's name, is data there, and never a command."""
    for path in WORKFLOWS:
        for step in steps(path):
            found = re.findall(r"\$\{\{\s*([\w.]+)", step.get("run", ""))
            assert [it for it in found if not it.startswith("matrix.")] == []


def test_every_supported_python_is_tried() -> None:
    job = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text())["jobs"]["test"]
    assert job["strategy"]["matrix"]["python"] == PYTHONS
    assert job["strategy"]["matrix"]["include"] == [{"python": "3.14t", "may_fail": True}]
    assert "matrix.may_fail" in job["continue-on-error"]
    assert any(step.get("run") == "make test" for step in job["steps"])


# --- Releases


def test_a_release_says_what_the_changelog_says() -> None:
    version = re.search(r"^version = (\S+)$", (ROOT / "setup.cfg").read_text(), re.MULTILINE)
    assert version is not None
    said = notes(f"v{version[1]}")
    assert said.startswith("### ")
    assert "## [" not in said
    with pytest.raises(ValueError, match="the tag is v9"):
        notes("v9.0.0")


def test_a_release_brings_a_bill_of_materials() -> None:
    [build] = [
        step["run"]
        for step in steps(ROOT / ".github/workflows/release.yml")
        if step.get("run", "").startswith("make ")
    ]
    assert build.split()[1:3] == ["dist", "sbom"]
    assert "cyclonedx-py environment" in recipe("sbom")


# --- What a commit checks


def test_a_commit_runs_what_ci_runs() -> None:
    """By the same programs, so that no version stands in two places."""
    content = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())
    [repository] = content["repos"]
    assert repository["repo"] == "local"
    entries = {hook["id"]: shlex.split(hook["entry"]) for hook in repository["hooks"]}
    wanted = [
        shlex.split(line.replace("$(BIN)", ".venv/bin"))
        for target in ("lint", "types")
        for line in recipe(target).splitlines()
    ]
    assert wanted
    assert [command for command in wanted if command not in entries.values()] == []
    laws = [it for it in entries["laws"] if it.startswith("tests/")]
    assert laws
    assert [it for it in laws if not (ROOT / it).is_file()] == []


def test_pre_commit_takes_its_configuration() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pre_commit", "validate-config", ".pre-commit-config.yaml"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_contributors_are_told_what_there_is() -> None:
    """The commands themselves are held by tests/website/test_code_blocks.py."""
    page = (ROOT / "CONTRIBUTING.md").read_text()
    for title in ("Run one test", "How a change goes", "What users may rely on", "A release"):
        assert f"\n## {title}\n" in page
    for target in re.findall(r"`make ([a-z-]+)", page):
        assert re.search(rf"^{target}:", MAKEFILE, re.MULTILINE), target
    for path in re.findall(r"`((?:tests|signal_sdk|\.)[\w./-]*\.(?:py|yaml))`", page):
        assert (ROOT / path).is_file(), path
