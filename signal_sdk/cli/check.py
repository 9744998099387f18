"""`signal-sdk check`: a configuration looked over, all of it, and nothing served.

Owns: what is looked at beside the file's own checks, and how faults and warnings are printed. Must
not know a key.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from importlib.util import find_spec

import click

from signal_sdk.cli import exposure
from signal_sdk.cli.completing import directories, files
from signal_sdk.cli.events import as_json, json_option
from signal_sdk.cli.failures import WRONG_USE
from signal_sdk.cli.output import complain, say
from signal_sdk.cli.screen import say_well
from signal_sdk.cli.settings import NO_STATE, Settings
from signal_sdk.errors import ConfigError
from signal_sdk.extras import needs_extra
from signal_sdk.server.certificate import tls_context
from signal_sdk.server.config import Config

__all__ = ["check"]


@click.command(short_help="Say all that is wrong with a configuration.")
@click.argument("file", metavar="CONFIG", shell_complete=files)
@click.option("--dev", is_flag=True, help="As with serve --dev.")
@click.option("--data", metavar="DIR", shell_complete=directories, help="As with serve --data DIR.")
@json_option
def check(*, file: str, dev: bool, data: str | None, is_json: bool) -> int:
    """Read the configuration CONFIG as `serve` would, and say all that is wrong with it.

    Each fault is one line on stderr, and so is each warning, of what stands more open than it need.
    Nothing is listened on, and no data is looked at: `doctor` does that. Exit codes: 0 it can be
    served (also with warnings), 2 it cannot.
    """
    settings = Settings(config=file, dev=dev, server={} if data is None else {"data": data})
    warnings: list[str] = []
    try:
        config = settings.read()
        faults = list(_faults(config))
        warnings = list(exposure.warnings(config, file))
    except ConfigError as exc:
        faults = list(exc.faults)
    if is_json:
        say(as_json({"config": file, "ok": not faults, "faults": faults, "warnings": warnings}))
    else:
        _tell(faults, warnings)
    return WRONG_USE if faults else 0


def _faults(config: Config) -> Iterator[str]:
    """What keeps a configuration that is right by itself from being served."""
    server = config.server
    if not (server.data or server.redis or server.dev):
        yield NO_STATE
    if server.cert:
        try:
            tls_context(server.cert, server.key)
        except ConfigError as exc:
            yield str(exc)
    if server.redis and find_spec("coredis") is None:
        yield needs_extra("[server] redis", "redis")


def _tell(faults: Sequence[str], warnings: Sequence[str]) -> None:
    for fault in faults:
        complain(fault)
    for warning in warnings:
        complain(f"warning: {warning}")
    if not faults:
        say_well()
