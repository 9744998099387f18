"""`signal-sdk completion`: what real shells complete with its scripts."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from click.testing import CliRunner

from signal_sdk.cli.main import COMMANDS, cli
from tests.cli.program import clean_environment

HERE = Path(sys.executable).parent
"""Where the command itself is: shells ask it."""

BASH = """
eval "$(signal-sdk completion bash)"
complete -p signal-sdk >/dev/null || exit 3
COMP_WORDS=({words}); COMP_CWORD=$(( ${{#COMP_WORDS[@]}} - 1 ))
compopt() {{ echo "names of $2"; }}
_signal_sdk_completion signal-sdk
printf '%s\\n' "${{COMPREPLY[@]}}"
"""
ZSH = """
compdef() {{ : }}
_describe() {{ print -l -- ${{(P)3}} }}
compadd() {{ print -l -- ${{(P)argv[-1]}} }}
_path_files() {{ [[ $1 == -/ ]] && print names of dirnames || print names of default }}
eval "$(signal-sdk completion zsh)"
words=({words}); CURRENT=${{#words}}
_signal_sdk_completion
"""
FISH = """
signal-sdk completion fish | source
complete --do-complete "{line}"
"""


def completed(shell: str, *words: str, folder: Path) -> list[str]:
    """What is offered for the last word, each without what is said of it."""
    line = " ".join(words)
    quoted = " ".join(f"'{word}'" for word in words)
    scripts = {"bash": BASH, "zsh": ZSH, "fish": FISH}
    flags = {"bash": ["--norc"], "zsh": ["-f"], "fish": ["--no-config"]}
    done = subprocess.run(
        [shell, *flags[shell], "-c", scripts[shell].format(words=quoted, line=line)],
        cwd=folder,
        env={**clean_environment(), "PATH": f"{HERE}{os.pathsep}{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, ""), done
    offered = [it.partition("\t")[0].partition(":")[0] for it in done.stdout.splitlines()]
    return [it.strip() for it in offered if it.strip()]


SHELLS = pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])


@SHELLS
@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (("signal-sdk", "re"), ["ready", "record", "replay"]),
        (("signal-sdk", "token", "re"), ["revoke"]),
        (("signal-sdk", "serve", "--log-f"), ["--log-format"]),
        (("signal-sdk", "serve", "--log-format", "j"), ["json"]),
        (("signal-sdk", "completion", ""), ["bash", "zsh", "fish"]),
    ],
)
def test_words_are_completed(
    shell: str, words: Sequence[str], offered: Sequence[str], tmp_path: Path
) -> None:
    assert sorted(completed(shell, *words, folder=tmp_path)) == sorted(offered)


@SHELLS
def test_names_of_files_are_the_shell_s_own(shell: str, tmp_path: Path) -> None:
    (tmp_path / "signal.toml").touch()
    (tmp_path / "signal-data").mkdir()
    files = completed(shell, "signal-sdk", "check", "sig", folder=tmp_path)
    folders = completed(shell, "signal-sdk", "serve", "--data", "sig", folder=tmp_path)
    if shell == "fish":
        assert sorted(files) == ["signal-data/", "signal.toml"]
        assert folders == ["signal-data/"]
    else:
        assert files == ["names of default"]
        assert folders == ["names of dirnames"]


@SHELLS
def test_programs_read_it_as_well(shell: str) -> None:
    plain = CliRunner().invoke(cli, ["completion", shell])
    told = json.loads(CliRunner().invoke(cli, ["completion", shell, "--json"]).stdout)
    assert (plain.exit_code, plain.stderr) == (0, "")
    assert told == {"shell": shell, "script": told["script"]}
    assert told["script"].rstrip("\n") == plain.stdout.rstrip("\n")
    assert "_SIGNAL_SDK_COMPLETE" in plain.stdout


def test_a_script_needs_no_shell_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """It may be for another machine."""
    monkeypatch.setenv("PATH", "")
    result = CliRunner().invoke(cli, ["completion", "bash"])
    assert (result.exit_code, result.stderr) == (0, "")


def test_another_shell_is_refused_with_those_that_there_are() -> None:
    result = CliRunner().invoke(cli, ["completion", "tcsh"])
    assert (result.exit_code, result.stdout) == (2, "")
    assert "'bash', 'zsh', 'fish'" in result.stderr


def test_every_command_is_offered(tmp_path: Path) -> None:
    assert sorted(completed("bash", "signal-sdk", "", folder=tmp_path)) == sorted(COMMANDS)
