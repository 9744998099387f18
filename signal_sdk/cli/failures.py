"""Failures: from an exception to one line on stderr and an exit code.

Owns: the exit codes, and which exception has which. Must not know any command.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

import click

from signal_sdk.cli.output import StdoutClosedError, complain, give_up_stdout
from signal_sdk.errors import ConfigError, InUseError, ParameterError, SignalSdkError
from signal_sdk.raised import text_of, type_name

__all__ = ["FAILED", "INTERRUPTED", "PROGRAM", "WRONG_USE", "exit_code"]

PROGRAM: Final = "signal-sdk"
FAILED: Final = 1
"""It was asked for rightly, and failed."""
WRONG_USE: Final = 2
"""The arguments or the configuration are wrong."""
INTERRUPTED: Final = 130
"""What a shell reports for a program that SIGINT ended."""

_EXTRA: Final = re.compile(r"(unexpected extra arguments?) \(.*\)", re.DOTALL)


def exit_code(error: BaseException) -> int:
    """Say in one line on stderr what `error` means to the user, and return the exit code.

    Of a group, that is the first member that says more than that it was interrupted.
    """
    leaves = list(_leaves(error))
    if any(isinstance(leaf, StdoutClosedError) for leaf in leaves):
        give_up_stdout()
        return FAILED
    interrupts = (KeyboardInterrupt, click.Abort)
    failure = next((leaf for leaf in leaves if not isinstance(leaf, interrupts)), None)
    if failure is None:
        return INTERRUPTED
    match failure:
        case click.UsageError():
            return _wrong_use(failure)
        case click.ClickException():
            complain(f"{PROGRAM}: {failure.format_message()}")
            return failure.exit_code
        case InUseError():
            # As where the data is in use: nothing is wrong with what was asked.
            complain(f"{PROGRAM}: {failure}")
        case ConfigError() | ParameterError():
            complain(f"{PROGRAM}: {failure}")
            return WRONG_USE
        case SignalSdkError():
            complain(f"{PROGRAM}: {failure}")
        case OSError():
            # The disk under stdout may be what is full.
            give_up_stdout()
            where = f"{failure.filename}: " if failure.filename else ""
            complain(f"{PROGRAM}: {where}{failure.strerror or failure}")
        case Exception():
            complain(f"{PROGRAM}: internal error: {type_name(failure)}: {text_of(failure)}")
        case _:
            raise error
    return FAILED


def _leaves(error: BaseException) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for member in error.exceptions:
            yield from _leaves(member)
    else:
        yield error


def _wrong_use(error: click.UsageError) -> int:
    command = error.ctx.command_path if error.ctx else PROGRAM
    # Lists of choices come as lines of their own.
    text = " ".join(error.format_message().split()).rstrip(".")
    # What stands where nothing belongs may be a token or a certificate that lost its option.
    text, are_extra = _EXTRA.subn(r"\1", text)
    if are_extra and error.ctx and any("--config" in it.opts for it in error.ctx.command.params):
        text += " (a configuration is --config FILE)"
    complain(f"{command}: {text[:1].lower()}{text[1:]}; see {command} --help")
    return WRONG_USE
