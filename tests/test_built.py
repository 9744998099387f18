"""What is built of the project: an sdist and a wheel that have all they should, say nothing that is
not so, and work where nothing else is.
"""

from __future__ import annotations

import email
import email.message
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path
from typing import Final

import attrs
import pytest
import trio

from tests.test_contents import contents

ROOT: Final = Path(__file__).parents[1]
REPOSITORY: Final = "https://git.example/us/signal"
LINKS: Final = re.compile(r"\]\(([^)\s]+)\)")
SECONDS: Final = 100
"""Generous, for slow machines: a program that takes as long has hung."""

# Libraries are installed anew.
pytestmark = [pytest.mark.xdist_group("built"), pytest.mark.timeout(600)]


@attrs.frozen
class Built:
    """An sdist and the wheel that was built from it."""

    sdist: Path
    wheel: Path

    def metadata(self) -> email.message.Message:
        with zipfile.ZipFile(self.wheel) as archive:
            [name] = [it for it in archive.namelist() if it.endswith(".dist-info/METADATA")]
            return email.message_from_bytes(archive.read(name))


def build(folder: Path, *options: str, repository: str = "") -> None:
    """Have the sdist built into `folder`, and the wheel from it unless `options` say otherwise."""
    # Made from a copy: building puts files beside its sources, where other tests would see them.
    checkout = folder / "checkout"
    for place, path in contents().items():
        copy = checkout / place
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(path, copy)
    told = {**os.environ, "SIGNAL_SDK_REPOSITORY": repository}
    out = ("--no-isolation", "--outdir", str(folder))
    run(checkout, "-m", "build", *out, *options, environment=told)
    shutil.rmtree(checkout)


def run(
    folder: Path,
    *args: str,
    python: Path | str = sys.executable,
    environment: dict[str, str] | None = None,
) -> str:
    """What Python says in that folder, where all goes well."""
    done = subprocess.run(
        [python, *args], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return done.stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    folder = tmp_path_factory.mktemp("built")
    build(folder)
    [sdist] = folder.glob("*.tar.gz")
    [wheel] = folder.glob("*.whl")
    return Built(sdist, wheel)


@pytest.fixture(scope="module")
def sdist(built: Built, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sdist, unpacked, with nothing beside it."""
    folder = tmp_path_factory.mktemp("sdist")
    with tarfile.open(built.sdist) as tar:
        tar.extractall(folder, filter="data")
    [unpacked] = folder.iterdir()
    return unpacked


# --- What they say


def test_an_index_takes_them(built: Built) -> None:
    run(ROOT, "-m", "twine", "check", "--strict", str(built.sdist), str(built.wheel))


def test_the_licence_is_an_expression_and_its_text_is_there(built: Built) -> None:
    metadata = built.metadata()
    assert metadata["License-Expression"] == "MIT"
    licences = ["LICENSE", "signal_sdk/server/admin/console/uPlot.LICENSE"]
    assert metadata.get_all("License-File") == licences
    with zipfile.ZipFile(built.wheel) as archive:
        for licence in licences:
            [text] = [it for it in archive.namelist() if it.endswith(f"/licenses/{licence}")]
            assert archive.read(text) == (ROOT / licence).read_bytes()


def test_debian_is_told_whose_the_chart_library_is() -> None:
    told = (ROOT / "debian" / "copyright").read_text()
    licence = (ROOT / "signal_sdk/server/admin/console/uPlot.LICENSE").read_text()
    [whose] = re.findall(r"Copyright \(c\) (.+)", licence)
    assert f"Files: signal_sdk/server/admin/console/uPlot.*\nCopyright: {whose}\n" in told


def test_no_address_is_made_up(built: Built) -> None:
    """Nobody has said where the project is: it names no place, and no link needs one."""
    metadata = built.metadata()
    assert metadata.get_all("Project-URL") is None
    links = LINKS.findall(str(metadata.get_payload()))
    assert [link for link in links if not link.startswith("https://")] == []
    assert "docs/delivery.md" in str(metadata.get_payload())


def test_whoever_publishes_names_the_repository(tmp_path: Path) -> None:
    build(tmp_path, "--sdist", repository=f"{REPOSITORY}/")
    [sdist] = tmp_path.glob("*.tar.gz")
    with tarfile.open(sdist) as tar:
        file = tar.extractfile(f"{sdist.name.removesuffix('.tar.gz')}/PKG-INFO")
        assert file is not None
        metadata = email.message_from_bytes(file.read())
    addresses = metadata.get_all("Project-URL") or []
    assert f"Source, {REPOSITORY}" in addresses
    assert all(f", {REPOSITORY}" in address for address in addresses)
    links = LINKS.findall(str(metadata.get_payload()))
    ours = [link for link in LINKS.findall((ROOT / "README.md").read_text()) if "://" not in link]
    assert f"{REPOSITORY}/blob/HEAD/docs/delivery.md#in-which-order" in links
    assert {f"{REPOSITORY}/blob/HEAD/{link}" for link in ours} <= set(links)


def test_the_changelog_has_the_version_with_its_date(built: Built) -> None:
    changelog = (ROOT / "CHANGELOG.md").read_text()
    titles = re.findall(r"^## \[(.*?)\](.*)$", changelog, re.MULTILINE)
    assert titles[0] == ("Unreleased", "")
    version, date = titles[1]
    assert version == built.metadata()["Version"]
    assert re.fullmatch(r" - \d{4}-\d\d-\d\d", date)


def test_a_wheel_has_what_the_package_reads(built: Built) -> None:
    """The console, Redis' scripts, and that there are types."""
    with zipfile.ZipFile(built.wheel) as archive:
        there = set(archive.namelist())
    package = [place for place in contents() if place.startswith("signal_sdk/")]
    assert [place for place in package if place not in there] == []
    assert "signal_sdk/server/admin/console/index.html" in package


# --- The sdist has the whole project


def test_an_sdist_has_all_that_a_checkout_has(sdist: Path) -> None:
    assert [place for place in contents() if not (sdist / place).is_file()] == []


def test_all_tests_are_found_in_an_sdist(sdist: Path) -> None:
    run(sdist, "-m", "pytest", "--collect-only", "-qq", "-n0", "tests")


QUICK: Final = (
    *("tests/wire/test_names.py", "tests/wire/test_json_frames.py", "tests/wire/test_tokens.py"),
    *("tests/test_ecodes.py", "tests/test_spelling.py", "tests/agora/test_surface.py"),
)
"""Tests of code, of data and of pages, some seconds of them."""


def test_the_quick_ones_pass_there_and_are_of_what_is_there(sdist: Path) -> None:
    where = run(sdist, "-c", "import signal_sdk; print(signal_sdk.__file__)")
    assert sdist.resolve() in Path(where.strip()).resolve().parents
    passed = re.search(r"(\d+) passed", run(sdist, "-m", "pytest", "-n0", *QUICK))
    assert passed is not None
    assert int(passed[1]) > 500


# --- Where nothing else is


@pytest.fixture(scope="module", params=["wheel", "sdist"])
def installed(
    built: Built, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The folder of programs of an environment that had nothing, and into which one of the two was
    installed as docs/installing.md says: the wheel by pipx, the sdist by pip.
    """
    folder = tmp_path_factory.mktemp("installed")
    if request.param == "wheel":
        places = {"PIPX_HOME": "home", "PIPX_BIN_DIR": "bin", "PIPX_MAN_DIR": "man"}
        told = {**os.environ, **{name: str(folder / place) for name, place in places.items()}}
        run(folder, "-m", "pipx", "install", "--quiet", f"{built.wheel}[server]", environment=told)
        return (folder / "bin" / "signal-sdk").resolve().parent
    run(folder, "-m", "venv", str(folder))
    pip = ("-m", "pip", "install", "--quiet", "--disable-pip-version-check")
    run(folder, *pip, f"{built.sdist}[server]", python=folder / "bin" / "python")
    return folder / "bin"


async def said(command: list[str | Path], *, within: str) -> str:
    """Start a program, wait for a line that has `within`, and end it."""
    async with trio.open_nursery() as nursery:
        line = await nursery.start(program, command, within)
        nursery.cancel_scope.cancel()
    return str(line)


async def program(
    command: list[str | Path], within: str, task_status: trio.TaskStatus[str]
) -> None:
    """Run a program until cancelled; it has started when a line has come that has `within`."""
    process = await trio.lowlevel.open_process(command, stdout=subprocess.PIPE, cwd="/")
    assert process.stdout is not None
    seen = b""
    try:
        async for data in process.stdout:
            seen += data
            [*lines, _] = seen.decode().split("\n")
            if found := [line for line in lines if within in line]:
                task_status.started(found[0])
                await trio.sleep_forever()
        pytest.fail(f"{command} ended after {seen!r}")
    finally:
        process.terminate()
        with trio.CancelScope(shield=True):
            await process.wait()


async def test_the_first_message_comes(installed: Path) -> None:
    command = installed / "signal-sdk"
    with trio.fail_after(SECONDS):
        async with trio.open_nursery() as nursery:
            serve = [command, "serve", "--dev", "--no-native", "--port", "0"]
            line = await nursery.start(program, serve, "listening on")
            address = re.search(r"ws://([\d.:]+)/", line)
            assert address is not None
            there = ["--server", address[1], "--app", "demo"]
            send = [command, "send", *there, "--account", "me", "--to", "you", "hello"]
            await trio.run_process(send, cwd="/")
            listen = [command, "listen", *there, "--account", "you"]
            assert "hello" in await said(listen, within="hello")
            nursery.cancel_scope.cancel()


async def test_a_new_user_has_a_server_of_his_own(installed: Path, tmp_path: Path) -> None:
    """By the commands of docs/guides/start.md: a configuration, a token for each, a message."""
    command = installed / "signal-sdk"
    config = str(tmp_path / "signal.toml")
    with trio.fail_after(SECONDS):
        made = await trio.run_process([command, "init", config, "--json"], capture_stdout=True)
        app = json.loads(made.stdout)["app"]
        await trio.run_process([command, "check", config])
        tokens = {}
        for account in ("me", "you"):
            make = [command, "token", "make", "--app", app, "--account", account]
            done = await trio.run_process([*make, "--config", config], capture_stdout=True)
            tokens[account] = done.stdout.decode().strip()
        async with trio.open_nursery() as nursery:
            serve = [command, "serve", "--config", config, "--port", "0"]
            address = re.search(
                r"ws://([\d.:]+)/", await nursery.start(program, serve, "listening on")
            )
            assert address is not None
            there = ["--server", address[1], "--app", app]
            mine = ["--account", "me", "--token", tokens["me"]]
            await trio.run_process([command, "send", *there, *mine, "--to", "you", "hello"])
            yours = ["--account", "you", "--token", tokens["you"]]
            listen = [command, "listen", *there, *yours]
            assert "hello" in await said(listen, within="hello")
            nursery.cancel_scope.cancel()


def test_what_a_server_needs_is_known(installed: Path) -> None:
    """docs/installing.md names each package that comes with a server, and how many they are."""
    listed = run(
        installed, "-m", "pip", "list", "--format=freeze", python=installed / "python"
    ).split()
    there = {re.sub(r"[-_.]+", "-", it.partition("==")[0]).lower() for it in listed}
    page = (ROOT / "docs" / "installing.md").read_text()
    rows = re.findall(r"(?m)^\| (`[^|]*) \| [^|]+ \| [^|]*\|$", page.partition("What is inst")[2])
    named = {name.lower().replace("_", "-") for row in rows for name in re.findall("`(.+?)`", row)}
    assert there - {"pip", "setuptools", "signal-sdk"} == named
    without = rows.index("`click`")
    plain = sum(len(re.findall("`.+?`", row)) for row in rows[:without])
    assert f"A server is {len(named)} packages" in page
    assert f"only uses the SDK the {plain} of the first rows" in page
