"""Every block of code in the documents runs, or is marked why not.

A program is run against a server; a command is read by the command line, make and pip as they are;
a configuration is read by the server. What needs more has a test of its own, or says in a comment
above itself why it is not run.
"""

from __future__ import annotations

import configparser
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import attrs
import click
import pytest
import trio

from signal_sdk.cli.main import cli
from signal_sdk.server import config as configs
from signal_sdk.testing.server import local_server
from website.pages import ROOT

HELD: Final = {
    "README.md": "tests/test_readme.py",
    "docs/admin.md": "tests/server/admin/test_admin_page.py",
    "docs/asyncio.md": "tests/test_asyncio_pages.py",
    "docs/configuration.md": "tests/server/test_config_print.py",
    "docs/hooks.md": "tests/server/hooks/test_documentation.py",
    "docs/old_clients.md": "tests/test_old_clients_page.py",
    "docs/pytest.md": "tests/testing/test_pytest_page.py",
    "docs/router.md": "tests/router/test_router_page.py",
    "docs/security.md": "tests/test_security_page.py",
    "docs/streams.md": "tests/test_streams_page.py",
    "docs/sync.md": "tests/test_asyncio_pages.py",
    "docs/testing.md": "tests/testing/test_documentation.py",
}
"""Pages whose blocks have tests of their own."""
BLOCK: Final = re.compile(
    r"(?:^<!-- not run: (?P<why>[^\n]+) -->\n)?^```(?P<language>\w*)\n(?P<text>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
INDENTED: Final = re.compile(r"(?:\A|\n)[ \t]*\n(?: {4}|\t)(?P<text>\S[^\n]*)")
"""How a block begins that has no fence, and so no language and no word on why it is not run."""
BESIDE_OURS: Final = frozenset(
    {"done", "eval", "jq", "printf", "sleep", "sort", "source", "systemctl", "uniq", "uptime"}
)
"""What a line may have beside a command of ours."""
BEFORE_ONE: Final = re.compile(r"until|do|[A-Z_]+=.*")
"""What stands before the command in its own line: a word of the shell's, or a variable."""
SECONDS: Final = 100
"""Generous, for slow machines: a program that takes as long has hung."""


@attrs.frozen
class Block:
    """A block, where it stands, and why it is not run, if it is not."""

    page: str
    number: int
    language: str
    text: str
    why: str


def documents() -> list[Path]:
    return [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]


def blocks() -> Iterator[Block]:
    """Those of all pages that have no test of their own."""
    for path in documents():
        page = path.relative_to(ROOT).as_posix()
        if page not in HELD:
            for number, found in enumerate(BLOCK.finditer(path.read_text())):
                yield Block(page, number, found["language"], found["text"], found["why"] or "")


def of(language: str) -> pytest.MarkDecorator:
    found = [it for it in blocks() if it.language == language and not it.why]
    assert found
    return pytest.mark.parametrize(
        "block", [pytest.param(it, id=f"{it.page}-{it.number}") for it in found]
    )


def test_every_block_is_of_a_kind_that_is_run_or_says_why_not() -> None:
    known = ("python", "sh", "toml")
    assert [it for it in blocks() if it.language not in known and not it.why] == []


@pytest.mark.parametrize("path", documents(), ids=lambda path: path.name)
def test_every_block_has_a_fence(path: Path) -> None:
    """Others are seen by none of these tests."""
    assert INDENTED.findall(BLOCK.sub("```\n", path.read_text())) == []


@pytest.mark.parametrize(("page", "test"), list(HELD.items()))
def test_a_page_that_has_a_test_of_its_own_is_read_by_it(page: str, test: str) -> None:
    assert Path(page).name in (ROOT / test).read_text()


# --- Programs


@of("python")
async def test_a_program_runs_to_its_end(block: Block, tmp_path: Path) -> None:
    """At the server that it would find on the reader's machine."""
    program = tmp_path / "program.py"
    async with local_server() as server:
        program.write_text(block.text.replace("127.0.0.1:8001", server.address))
        with trio.fail_after(SECONDS):
            done = await trio.run_process(
                [sys.executable, "-W", "error", str(program)],
                env={**os.environ, "PYTHONPATH": str(ROOT), "SIGNAL_SDK_SERVER": server.address},
                capture_stdout=True,
                capture_stderr=True,
                check=False,
            )
    assert (done.returncode, done.stderr.decode()) == (0, "")


# --- Configurations


@of("toml")
def test_a_configuration_is_one(block: Block) -> None:
    configs.loads(block.text, block.page, is_draft=True)


# --- Commands


def lines(text: str) -> Iterator[str]:
    for line in text.replace("\\\n", " ").splitlines():
        if line.strip() and not line.startswith("#"):
            yield line


@of("sh")
def test_commands_are_what_they_are_called(block: Block) -> None:
    for line in lines(block.text):
        why = wrong_with(line)
        assert not why, f"{line}: {why}"


def wrong_with(line: str) -> str:
    """What is wrong with a line of commands; one that nobody here knows is."""
    commands = list(commands_in(line))
    ours = [words for words in commands if words[0] not in BESIDE_OURS]
    return next(filter(None, map(wrong_with_command, ours or commands)), "")


def commands_in(line: str) -> Iterator[list[str]]:
    """The commands of a line, without what the shell does around them."""
    within = re.compile(r"\$\((?P<line>[^)]*)\)")
    for found in within.finditer(line):
        yield from commands_in(found["line"])
    lexer = shlex.shlex(within.sub("", line), posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    command: list[str] = []
    for word in lexer:
        if word in ("<", ">"):
            next(lexer)
        elif word in ("|", ";", "&&"):
            yield command
            command = []
        elif command or not BEFORE_ONE.fullmatch(word):
            command.append(word)
    yield command


def wrong_with_command(words: list[str]) -> str:
    name, *args = words
    match Path(name).name:
        case "signal-sdk":
            return wrong_with_ours(args)
        case "make":
            return wrong_with_targets(args)
        case "pip" | "pipx" if args[:1] == ["install"]:
            return wrong_with_extras(args[1:])
        case "python" | "python3":
            return wrong_with_module(args)
        case "ruff" | "mypy" | "pyright":
            return ""
    return "it is not run here: say why in a comment above the block (<!-- not run: … -->)"


def wrong_with_ours(args: list[str]) -> str:
    with click.Context(cli, info_name="signal-sdk", **cli.context_settings) as context:
        command: click.Command = cli
        try:
            while isinstance(command, click.Group):
                name, found, args = command.resolve_command(context, args)
                assert found is not None
                command = found
                if not isinstance(command, click.Group):
                    command.make_context(name, args, parent=context)
        except click.UsageError as exc:
            return exc.format_message()
    return ""


def wrong_with_targets(args: list[str]) -> str:
    makefile = (ROOT / "Makefile").read_text()
    for target in (arg for arg in args if "=" not in arg):
        if not re.search(rf"^{re.escape(target)}:", makefile, re.MULTILINE):
            return f"there is no target {target}"
    return ""


def wrong_with_extras(args: list[str]) -> str:
    settings = configparser.ConfigParser()
    settings.read(ROOT / "setup.cfg")
    for extras in re.findall(r"\[([\w,]+)\]", " ".join(args)):
        for extra in extras.split(","):
            if extra not in settings["options.extras_require"]:
                return f"there is no extra {extra}"
    return "" if any(arg.startswith(("./", ".[")) for arg in args) else "from where?"


def wrong_with_module(args: list[str]) -> str:
    if args[:1] != ["-m"]:
        return "" if (ROOT / args[0]).is_file() else f"there is no {args[0]}"
    done = subprocess.run(
        [sys.executable, "-c", f"import importlib.util as u; u.find_spec({args[1]!r}) or 1/0"],
        cwd=ROOT,
        capture_output=True,
        check=False,
    )
    wrong = "" if done.returncode == 0 else f"there is no module {args[1]}"
    for path in (arg for arg in args[2:] if arg.startswith("tests/")):
        wrong = wrong or ("" if (ROOT / path).exists() else f"there is no {path}")
    return wrong


@pytest.mark.parametrize(
    "command",
    [
        "signal-sdk serv --dev",
        "signal-sdk send --app demo",
        "signal-sdk token make --app a --account b --colour red",
        "uptime | signal-sdk send --app demo",
        "SIGNAL_SDK_TOKEN=1 signal-sdk serv",
        "until signal-sdk redy; do sleep 1; done",
        "signal-sdk check && reboot",
        'eval "$(signal-sdk completion tcsh)"',
        "uptime | sort",
        "make tea",
        "pip install '.[tea]'",
        "pip install signal-sdk",
        "python -m website_of_others",
        "python samples/tea.py",
        ".venv/bin/python -m pytest tests/tea.py",
        "rm -r x",
    ],
)
def test_what_is_wrong_is_seen(command: str) -> None:
    assert wrong_with(command)
