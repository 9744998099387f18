"""The command line as a whole: its ways out, and its page."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator

import click
import pytest
import trio
from click.testing import CliRunner

from signal_sdk.__main__ import main
from signal_sdk.cli import failures, output
from signal_sdk.cli.main import COMMANDS, cli
from signal_sdk.ecodes import ECode
from signal_sdk.errors import (
    ConfigError,
    InUseError,
    LinkError,
    LoginError,
    ParameterError,
    ProtocolError,
)
from signal_sdk.printable import one_line
from tests.cli.program import ROOT, clean_environment, full_disk, run, unread_pipe

PAGE = ROOT / "docs" / "command_line.md"
WITHOUT_CLICK = "import sys; sys.modules['click'] = None; from signal_sdk.__main__ import main; "


def commands(
    group: click.Group = cli, path: str = "signal-sdk"
) -> Iterator[tuple[str, click.Command]]:
    """Every command that does something, with how it is called."""
    for name in COMMANDS if group is cli else group.commands:
        command = group.get_command(click.Context(group), name)
        assert command is not None
        if isinstance(command, click.Group):
            yield from commands(command, f"{path} {name}")
        else:
            yield f"{path} {name}", command


# --- The page


def test_every_command_and_option_is_on_the_page() -> None:
    sections = dict(re.findall(r"(?ms)^## `(.*?)`\n(.*?)(?=^## |\Z)", PAGE.read_text()))
    assert list(sections) == [path for path, _ in commands()]
    for path, command in commands():
        named = set(re.findall(r"(?<![\w-])--?[a-z][a-z-]*", sections[path]))
        known = {
            name
            for parameter in command.params
            for name in (*parameter.opts, *parameter.secondary_opts)
            if "-" in name
        }
        assert known <= named, path


def test_every_option_says_what_it_is() -> None:
    for path, command in commands():
        assert command.help, path
        for parameter in command.params:
            if isinstance(parameter, click.Option):
                assert parameter.help, f"{path} {parameter.name}"


def test_every_command_that_prints_does_so_for_programs() -> None:
    without = {path for path, it in commands() if "is_json" not in {p.name for p in it.params}}
    assert without == set()


# --- The ways in


@pytest.mark.parametrize("option", ["--version", "-V"])
def test_the_version_is_printed(option: str) -> None:
    result = CliRunner().invoke(cli, [option])
    assert (result.exit_code, result.stderr) == (0, "")
    assert re.fullmatch(r"signal-sdk (\d+\.\d+\.\d+\S*|\(not installed\))\n", result.stdout)


@pytest.mark.parametrize(
    ("args", "text"),
    [
        (("token",), "signal-sdk token: missing command; see signal-sdk token --help"),
        (("fly",), "signal-sdk: no such command 'fly'; see signal-sdk --help"),
        (("--fly",), "signal-sdk: no such option '--fly'; see signal-sdk --help"),
        (
            ("serve", "signal.toml"),
            (
                "signal-sdk serve: got unexpected extra argument (a configuration is --config FILE)"
                "; see signal-sdk serve --help"
            ),
        ),
        (
            ("completion",),
            (
                "signal-sdk completion: missing argument {bash|zsh|fish}. Choose from: bash, zsh,"
                " fish; see signal-sdk completion --help"
            ),
        ),
    ],
)
def test_a_wrong_command_is_one_line(args: tuple[str, ...], text: str) -> None:
    result = CliRunner().invoke(cli, args)
    assert (result.exit_code, result.stdout) == (2, "")
    # Some releases of click spell the name in quotes, some do not.
    assert result.stderr.replace("'", "") == f"{text}\n".replace("'", "")


def test_help_is_help() -> None:
    for path, command in [("signal-sdk", cli), *commands()]:
        for option in ("--help", "-h"):
            result = CliRunner().invoke(cli, [*path.split()[1:], option])
            assert (result.exit_code, result.stderr) == (0, ""), path
            assert result.stdout.startswith(f"Usage: {path} "), command.name


@pytest.mark.parametrize("path", [(), ("token",), ("channel",), ("account",)])
def test_at_80_columns_no_list_of_commands_is_cut_short(path: tuple[str, ...]) -> None:
    shown = CliRunner().invoke(cli, [*path, "--help"], terminal_width=80).stdout
    commands_shown = shown.split("Commands:\n")[1].splitlines()
    assert [line for line in commands_shown if line.endswith("...") or len(line) > 80] == []


def test_the_command_alone_shows_its_help() -> None:
    shown = CliRunner().invoke(cli, [])
    assert (shown.exit_code, shown.stderr) == (0, "")
    assert shown.stdout == CliRunner().invoke(cli, ["--help"]).stdout


def test_interrupted_while_libraries_are_imported_it_ends_without_a_word(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    class Interrupted:
        def __getattr__(self, name: str) -> object:
            raise KeyboardInterrupt

    monkeypatch.setitem(sys.modules, "signal_sdk.cli.main", Interrupted())
    assert main() == failures.INTERRUPTED
    assert capfd.readouterr() == ("", "")


def test_without_click_one_line_says_what_to_install() -> None:
    done = subprocess.run(
        [sys.executable, "-c", f"{WITHOUT_CLICK}sys.exit(main())"],
        cwd=ROOT,
        env=clean_environment(),
        capture_output=True,
        check=False,
        text=True,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "signal-sdk's command line needs the extra server: pip install '.[server]' in a clone,"
        " or pip install './FILE.whl[server]' with a wheel\n"
    )


# --- The ways out


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (ConfigError("f.toml:3: no"), 2, "signal-sdk: f.toml:3: no"),
        (InUseError("cannot listen: no"), 1, "signal-sdk: cannot listen: no"),
        (ParameterError(ECode.GENERAL_E_WRONG_PARAM, "no"), 2, "signal-sdk: no (1004 "),
        (LoginError(ECode.LOGIN_E_TOKENWRONG, "no"), 1, "signal-sdk: no (206 LOGIN_E_TOKENWRONG)"),
        (LinkError("no"), 1, "signal-sdk: no"),
        (ProtocolError("no"), 1, "signal-sdk: no"),
        (PermissionError(13, "Permission denied", "f"), 1, "signal-sdk: f: Permission denied"),
        (OSError("no"), 1, "signal-sdk: no"),
        (KeyError("no"), 1, "signal-sdk: internal error: KeyError: 'no'"),
        (click.UsageError("No."), 2, "signal-sdk: no; see signal-sdk --help"),
        (click.FileError("f", "no"), 1, "signal-sdk: Could not open file 'f': no"),
        (LinkError("two\nlines \x1b[31m"), 1, r"signal-sdk: two\nlines \x1b[31m"),
    ],
)
def test_every_error_has_its_line_and_its_code(
    error: Exception, code: int, line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    groups = [error, ExceptionGroup("", [ExceptionGroup("", [error])])]
    for raised in groups:
        assert failures.exit_code(raised) == code
        shown = capsys.readouterr()
        assert shown.out == ""
        assert shown.err.startswith(line)
        assert shown.err.count("\n") == 1


def test_an_interrupt_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    for error in (
        KeyboardInterrupt(),
        click.Abort(),
        BaseExceptionGroup("", [KeyboardInterrupt()]),
    ):
        assert failures.exit_code(error) == 130
    assert capsys.readouterr().err == ""


def test_a_failure_beside_an_interrupt_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    group = BaseExceptionGroup("", [KeyboardInterrupt(), LinkError("no")])
    assert failures.exit_code(group) == 1
    assert capsys.readouterr().err == "signal-sdk: no\n"


def test_what_is_no_error_goes_on() -> None:
    with pytest.raises(GeneratorExit):
        failures.exit_code(GeneratorExit())


@pytest.mark.parametrize("args", [("serve", "--print-config"), ("--version",), ("--help",)])
def test_a_broken_pipe_is_quiet(args: tuple[str, ...]) -> None:
    with unread_pipe() as stdout:
        ended = run(*args, stdout=stdout)
    assert (ended.code, ended.err) == (1, "")


def test_a_full_disk_is_one_line() -> None:
    with full_disk() as full:
        ended = run("serve", "--print-config", stdout=full)
    assert (ended.code, ended.err) == (1, "signal-sdk: No space left on device\n")


def test_a_closed_stdout_is_no_fault() -> None:
    command = f"exec {sys.executable} -m signal_sdk --version >&-"
    done = subprocess.run(
        ["sh", "-c", command], cwd=ROOT, env=clean_environment(), capture_output=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, b"")


# --- Lines


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("plain, åß∂ 👋", "plain, åß∂ 👋"),
        ("two\nlines\r\n", r"two\nlines\r\n"),
        ("\x1b[2J\x07\x9b", r"\x1b[2J\x07\x9b"),
        ("\u202egnp.exe\u2028", r"\u202egnp.exe\u2028"),
        ("half \ud83d", r"half \ud83d"),
        ("", ""),
    ],
)
def test_a_line_moves_nothing_on_the_screen(text: str, line: str) -> None:
    assert one_line(text) == line


async def test_a_reader_that_does_not_read_holds_up_only_the_writer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    reading, writing = os.pipe()
    with os.fdopen(writing, "w") as stdout:
        monkeypatch.setattr(sys, "stdout", stdout)
        writer = output.StdoutWriter()
        with trio.move_on_after(0.2) as scope:
            await writer.write_line("x" * 1_000_000)
        assert scope.cancelled_caught
        # The thread that was given up sees the pipe break, and ends.
        os.close(reading)
        with pytest.raises(output.StdoutClosedError):
            await writer.write_line("x")
