"""What is shown to somebody at a terminal, and what a pipe gets of the same."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
import trio

from signal_sdk.cli.screen import WELL
from signal_sdk.server.engine.journal import Journal
from tests.cli.program import ROOT, run
from tests.cli.terminal import Terminal, shown

ODD = "x-\x1b[2J\n\u202e[bold]"
SHOWN = r"x-\x1b[2J\n\u202e[bold]"
COLOUR = "\x1b["


@pytest.fixture
def data(tmp_path: Path) -> str:
    facts = (*(None,) * 9, 0)
    journal = Journal.open(tmp_path)
    journal.write(
        {
            "accounts": {
                (1,): (1, "app", "ann", 1, 1, 2000, *facts),
                (2,): (2, "app", ODD, 2, 1, 2000, *facts),
            },
            "entries": {(n,): (n, 1, n, 9e9, "line") for n in range(1, 13)},
        }
    )
    journal.close()
    return str(tmp_path)


async def at_terminal(*args: str, **environment: str) -> Terminal:
    code, seen = await shown(*args, environment=environment)
    assert code == 0, seen.text
    # Nothing of others' obeys: only colours of ours are there, and the ends of lines.
    rest = re.sub(r"\x1b\[[0-9;]*m|\r\n", "", seen.seen)
    assert rest.isprintable(), rest
    return seen


async def test_a_list_is_a_table_whose_numbers_are_aligned(data: str) -> None:
    seen = await at_terminal("account", "list", "--data", data)
    lines = seen.text.splitlines()
    assert lines[0].split() == [
        *("app", "name", "is", "online", "channel", "attributes", "entries", "bytes", "calls"),
        *("made", "channels"),
    ]
    ann, odd = lines[1:]
    assert ann.split() == ["app", "ann", "no", "0", "12", "48", "0", "0"]
    assert odd.split() == ["app", SHOWN, "no", "0", "0", "0", "0", "0"]
    ends = [[it.end() for it in re.finditer(r"\S+", line)][3:] for line in (ann, odd)]
    assert ends[0] == ends[1]
    assert COLOUR in seen.seen


async def test_facts_have_their_colours(data: str) -> None:
    seen = await at_terminal("doctor", "--data", data)
    assert seen.text.splitlines()[-1] == WELL
    assert re.search(r"\x1b\[32m" + WELL, seen.seen)
    assert "\x1b[1mentries\x1b[0m: 12" in seen.seen
    plain = await trio.to_thread.run_sync(lambda: run("doctor", "--data", data))
    assert seen.text == plain.out


@pytest.mark.parametrize("environment", [{"TERM": "dumb"}, {"NO_COLOR": "1"}])
async def test_who_wants_no_colours_gets_none(data: str, environment: dict[str, str]) -> None:
    seen = await at_terminal("doctor", "--data", data, **environment)
    assert "\x1b[3" not in seen.seen
    assert seen.text.splitlines()[-1] == WELL


async def test_an_empty_list_is_nothing(tmp_path: Path) -> None:
    Journal.open(tmp_path).close()
    seen = await at_terminal("channel", "list", "--data", str(tmp_path))
    assert seen.text.strip() == ""


async def test_a_pipe_gets_plain_lines(data: str) -> None:
    ended = await trio.to_thread.run_sync(lambda: run("account", "list", "--data", data))
    assert ended.out.splitlines()[1] == (
        f"'app' '{SHOWN}': offline, attributes: 0, entries: 0, bytes: 0"
    )


def test_without_rich_a_terminal_gets_plain_lines_too() -> None:
    code = (
        "import sys; sys.modules['rich'] = None; sys.stdout.isatty = lambda: True; "
        "from signal_sdk.cli.screen import say_fact, say_well; say_fact('a', 'b'); say_well()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True, text=True
    )
    assert done.stdout == f"a: b\n{WELL}\n"


def test_what_goes_to_a_pipe_does_not_import_rich() -> None:
    code = (
        "import sys; from signal_sdk.cli.screen import say_well; say_well(); "
        "print([name for name in sys.modules if name.startswith('rich')])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True, text=True
    )
    assert done.stdout == f"{WELL}\n[]\n"
