"""The command `signal-sdk`: the commands put together, and the way out of all of them.

Owns: which commands there are, and that every end is an exit code and at most one line on stderr.
Must not know what a command does.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence
from importlib import import_module, metadata
from typing import Any, Final

import click

from signal_sdk.cli.failures import PROGRAM, exit_code
from signal_sdk.cli.output import say

__all__ = ["COMMANDS", "cli", "run"]

COMMANDS: Final = {
    "init": "signal_sdk.cli.init",
    "check": "signal_sdk.cli.check",
    "serve": "signal_sdk.cli.serve",
    "ready": "signal_sdk.cli.ready",
    "status": "signal_sdk.cli.status",
    "top": "signal_sdk.cli.top",
    "doctor": "signal_sdk.cli.doctor",
    "migrate": "signal_sdk.cli.migrate",
    "token": "signal_sdk.cli.token",
    "listen": "signal_sdk.cli.listen",
    "send": "signal_sdk.cli.send",
    "call": "signal_sdk.cli.call",
    "record": "signal_sdk.cli.record",
    "replay": "signal_sdk.cli.replay",
    "bench": "signal_sdk.cli.bench",
    "channel": "signal_sdk.cli.kept",
    "account": "signal_sdk.cli.kept",
    "completion": "signal_sdk.cli.completion",
}
"""Which module each is in. That is imported when the command is asked for: a server has no use for
the SDK, nor `send` for the server.
"""


class _Program(click.Group):
    """A group of commands that ends in an exit code, never in a traceback or click's own lines."""

    def list_commands(self, _: click.Context) -> list[str]:
        return sorted(COMMANDS)

    def get_command(self, _: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        command: click.Command = getattr(import_module(COMMANDS[name]), name)
        return command

    def main(self, *args: Any, **extra: Any) -> Any:
        """As click's, but for errors; commands return their exit code, or None for 0."""
        try:
            code = super().main(*args, **{**extra, "standalone_mode": False})
        except BaseException as exc:  # noqa: BLE001  what is not an error of ours is raised again
            code = exit_code(exc)
        sys.exit(code)


def _version() -> str:
    try:
        return metadata.version(PROGRAM)
    except metadata.PackageNotFoundError:
        return "(not installed)"


def _show_version(context: click.Context, _: click.Parameter, value: bool) -> None:
    if value and not context.resilient_parsing:
        say(f"{PROGRAM} {_version()}")
        context.exit()


@click.group(
    PROGRAM,
    cls=_Program,
    no_args_is_help=False,
    invoke_without_command=True,
    context_settings={"max_content_width": 100, "help_option_names": ["-h", "--help"]},
)
@click.option(
    "-V",
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_show_version,
    help="Print the version, and end.",
)
@click.pass_context
def cli(context: click.Context) -> None:
    """A signaling server and its tools: run a server, make tokens, listen and send.

    Exit codes: 0 all went well, 1 it failed, 2 the arguments or the configuration are wrong.
    """
    # What the SDK warns of, callbacks hear too; only `serve` has a log.
    logging.getLogger("signal_sdk").addHandler(logging.NullHandler())
    if context.invoked_subcommand is None:
        say(context.get_help())


def run(args: Sequence[str]) -> int:
    """Run the command line on `args`, and return the exit code."""
    try:
        cli.main(args=list(args), prog_name=PROGRAM)
    except SystemExit as exc:
        return exc.code if isinstance(exc.code, int) else 0
    return 0
