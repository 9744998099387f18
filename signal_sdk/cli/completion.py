"""`signal-sdk completion`: what a shell needs to complete the command's words.

Owns: which shells. Must not know the words: click finds them when the shell asks.
"""

from __future__ import annotations

from typing import Final

import click
from click.shell_completion import BashComplete, FishComplete, ShellComplete, ZshComplete

from signal_sdk.cli.events import as_json, json_option
from signal_sdk.cli.failures import PROGRAM
from signal_sdk.cli.output import say

__all__ = ["completion"]

SHELLS: Final[dict[str, type[ShellComplete]]] = {
    "bash": BashComplete,
    "zsh": ZshComplete,
    "fish": FishComplete,
}
VARIABLE: Final = "_SIGNAL_SDK_COMPLETE"
"""By which a shell asks: click's own name for it."""


@click.command(short_help="Print a script with which a shell completes words.")
@click.argument("shell", type=click.Choice(list(SHELLS)))
@json_option
@click.pass_context
def completion(context: click.Context, *, shell: str, is_json: bool) -> None:
    """Print a script with which SHELL (bash, zsh or fish) completes this command's words.

    For this shell: eval "$(signal-sdk completion bash)", or signal-sdk completion fish | source.
    For each to come, put that into your .bashrc, .zshrc or config.fish.
    """
    asks = SHELLS[shell](context.find_root().command, {}, PROGRAM, VARIABLE)
    # Past what looks for a bash here, and at its version: the script may be for another machine.
    script = ShellComplete.source(asks)
    say(as_json({"shell": shell, "script": script}) if is_json else script.rstrip("\n"))
