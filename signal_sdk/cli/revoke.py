"""`signal-sdk token revoke`: tokens that are not to log in any more.

Owns: which tokens the user means, and what is said of it. Must not know the file, or the list in
Redis, or how a server takes either up.
"""

from __future__ import annotations

import time
from functools import partial
from pathlib import Path
from typing import Final

import click

from signal_sdk.cli.completing import directories, files
from signal_sdk.cli.events import as_json, json_option
from signal_sdk.cli.output import say
from signal_sdk.cli.redis import needs_redis, redis_of, redis_option, visit
from signal_sdk.cli.settings import Settings
from signal_sdk.cli.times import read_time, shown_time
from signal_sdk.errors import StorageError
from signal_sdk.printable import one_line
from signal_sdk.server.config import ServerConfig
from signal_sdk.server.revocations import Revocation
from signal_sdk.server.revocations import revoke as write
from signal_sdk.wire import names

__all__ = ["revoke"]

JOURNAL: Final = "signal.db"
"""Where that is not, no server looks for what was revoked: most likely the directory is another."""


@click.command(short_help="Take tokens back, and log out who has one.")
@click.option(
    "--data", metavar="DIR", shell_complete=directories, help="The directory that state is kept in."
)
@redis_option
@click.option(
    "--config",
    metavar="FILE",
    shell_complete=files,
    help="The configuration, which says where state is kept, or has the password of --redis.",
)
@click.option("--app", metavar="ID", required=True, help="The app id.")
@click.option("--account", metavar="ACCOUNT", help="All tokens of ACCOUNT that there are now.")
@click.option(
    "--before",
    callback=read_time,
    metavar="TIME",
    help="All of the app's that were made before: Unix seconds, or 2026-01-31T12:00:00 (UTC).",
)
@click.option(
    "--old-lifetime",
    type=click.IntRange(1),
    metavar="SECONDS",
    help="How long tokens of the original form are made to last at most.  [default: unknown]",
)
@json_option
def revoke(
    *,
    data: str | None,
    redis: tuple[str, ...],
    config: str | None,
    app: str,
    account: str | None,
    before: int | None,
    old_lifetime: int | None,
    is_json: bool,
) -> None:
    """Take tokens back: who is logged in with one is logged out, and nobody logs in with it.

    A running server takes that up within a minute, or at once on SIGHUP; those that keep their
    state in Redis, within seconds. Tokens that are made later
    are good. One of the original form does not say when it was made: all are taken back, later ones
    too, unless --old-lifetime says how long they last, and then those that end later than one from
    before could. What is given again for the same app and account replaces what was given before.
    """
    if (account is None) == (before is None):
        raise click.UsageError("Give either --account or --before.")
    if (data is None) == (not redis and config is None):
        raise click.UsageError("Give either --data, or --redis or --config.")
    names.check_app_id(app)
    if account is not None:
        account = names.check_account(account)
    # What was made in this very second is meant, too.
    until = int(time.time()) + 1 if before is None else before
    old_before = None if old_lifetime is None else until + old_lifetime
    revocation = Revocation(app=app, account=account or "", before=until, old_before=old_before)
    if data is None and not redis:
        data = Settings(config=config).read(is_draft=True).server.data or None
    if data is not None:
        _write(data, revocation)
    else:
        _share(redis_of(redis, config), revocation)
    if is_json:
        told = {"app": app, "account": account, "before": until, "old_before": old_before}
        say(as_json(told))
        return
    whose = f" of {account!r}" if account else ""
    say(one_line(f"revoked: tokens{whose} of the app {app!r} made before {shown_time(until)}"))
    if old_before is None:
        say("and all of the original form, whenever they were made")
    else:
        say(f"and those of the original form that end before {shown_time(old_before)}")


def _write(data: str, revocation: Revocation) -> None:
    """Note it in the file in the directory."""
    if not (Path(data) / JOURNAL).exists():
        raise StorageError(f"{data}: no server keeps its state there")
    write(data, revocation)


def _share(server: ServerConfig, revocation: Revocation) -> None:
    """Note it in the list that servers share in Redis."""
    needs_redis()
    from signal_sdk.server.engine.redis.revoked import note  # noqa: PLC0415  an extra

    visit(server, partial(note, name=revocation.name, text=revocation.encode()))
