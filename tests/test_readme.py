"""The README: its programs and commands do what it says, and its table leaves nothing out."""

from __future__ import annotations

import configparser
import csv
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import trio

import signal_sdk
from signal_sdk.testing.server import local_server

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
SURFACE = ROOT / "tests" / "data" / "api_surface.csv"
JAVA = "java"
TIMEOUT_SECONDS = 60


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


def commands() -> list[list[str]]:
    lines = "".join(blocks("sh")).splitlines()
    return [shlex.split(line) for line in lines if line.strip()]


async def run(command: list[str]) -> str:
    """What a command prints, run to its end."""
    with trio.fail_after(TIMEOUT_SECONDS):
        done = await trio.run_process(command, capture_stdout=True)
    return done.stdout.decode()


async def first_line(command: list[str], *, within: str) -> str:
    """Start a command, wait for a line that has `within`, and end it."""
    process = await trio.lowlevel.open_process(command, stdout=subprocess.PIPE)
    assert process.stdout is not None
    seen = b""
    try:
        with trio.fail_after(TIMEOUT_SECONDS):
            while within.encode() not in seen:
                more = await process.stdout.receive_some()
                assert more, f"{command} ended after {seen!r}"
                seen += more
    finally:
        process.terminate()
        await process.wait()
    return seen.decode()


async def test_the_first_bot_answers_what_the_commands_say_to_it(tmp_path: Path) -> None:
    [program] = blocks("python")
    assert len([line for line in program.splitlines() if line]) <= 15
    sends = [command for command in commands() if command[:2] == ["signal-sdk", "send"]]
    listens = [command for command in commands() if command[:2] == ["signal-sdk", "listen"]]
    signal_sdk_command = [sys.executable, "-m", "signal_sdk"]
    async with local_server() as server:
        assert "127.0.0.1:8001" in program
        bot = tmp_path / "bot.py"
        bot.write_text(program.replace("127.0.0.1:8001", server.address))
        there = ["--server", server.address]
        async with trio.open_nursery() as nursery:
            await nursery.start(trio.run_process, [sys.executable, str(bot)])
            for command in sends:
                await run([*signal_sdk_command, *command[1:], *there])
            for command in listens:
                heard = await first_line(
                    [*signal_sdk_command, *command[1:], *there], within="You said: hello"
                )
                assert "echo" in heard
            nursery.cancel_scope.cancel()
    assert sends
    assert listens


async def test_the_server_starts_as_the_readme_says() -> None:
    assert ["signal-sdk", "serve", "--dev"] in commands()
    command = [sys.executable, "-m", "signal_sdk", "serve", "--dev", "--port", "0"]
    assert "127.0.0.1:" in await first_line(command, within="getaddr")


async def test_a_server_of_one_s_own_is_made_as_the_readme_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    [block] = [block for block in blocks("sh") if block.startswith("signal-sdk init")]
    init, check, serve = [shlex.split(line)[1:] for line in block.splitlines()]
    program = [sys.executable, "-m", "signal_sdk"]
    assert "made" in await run([*program, *init])
    assert await run([*program, *check]) == "all is well\n"
    serve[serve.index("--data") + 1] = str(tmp_path / "data")
    said = await first_line([*program, *serve, "--port", "0"], within="admin address")
    assert "listening on" in said


def test_it_is_installed_into_an_environment_of_its_own() -> None:
    """Debian's own pip installs nothing elsewhere."""
    order = [command[:3] for command in commands()]
    made = order.index(["python3", "-m", "venv"])
    assert order[made + 1] == [".", ".venv/bin/activate"]
    assert order[made + 2][:2] == ["pip", "install"]


def test_the_extra_that_is_installed_is_there() -> None:
    [install] = [command for command in commands() if command[:2] == ["pip", "install"]]
    extra = re.fullmatch(r"\.\[(\w+)\]", install[2])
    assert extra
    settings = configparser.ConfigParser()
    settings.read(ROOT / "setup.cfg")
    assert extra[1] in settings["options.extras_require"]


def test_every_make_target_is_there() -> None:
    targets = set(re.findall(r"make ([a-z-]+)", README))
    makefile = (ROOT / "Makefile").read_text()
    assert {"demo", "test"} <= targets
    for target in targets:
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


@pytest.mark.parametrize("link", sorted(set(re.findall(r"\]\(([^)#:]+)\)", README))))
def test_every_link_leads_somewhere(link: str) -> None:
    assert (ROOT / link).exists()


def test_every_page_is_named_and_old_apps_are_found() -> None:
    links = set(re.findall(r"\]\((docs/[^)#:]+)\)", README))
    pages = {link for link in links if link.count("/") == 1}
    assert pages == {f"docs/{page.name}" for page in (ROOT / "docs").glob("*.md")}
    assert "docs/guides/start.md" in links
    before_the_first_title = README.partition("\n## ")[0]
    assert "docs/old_clients.md" in before_the_first_title
    assert "\n## Old apps\n" in README


def test_no_line_of_prose_is_long() -> None:
    prose = re.sub(r"^\|.*$", "", README, flags=re.MULTILINE)
    assert max(map(len, prose.splitlines())) <= 120


def test_the_table_names_every_documented_method() -> None:
    with SURFACE.open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["sdk"] == JAVA]
    methods = [row for row in rows if row["kind"] == "method"]
    assert methods
    [table] = re.findall(r"^\| Java \| Python \|\n(.*?)\n\n", README, re.MULTILINE | re.DOTALL)
    for row in methods:
        assert row["documented_name"] in table, row
        assert row["python_name"] in table, row
        assert hasattr(getattr(signal_sdk, row["class"]), row["python_name"])
