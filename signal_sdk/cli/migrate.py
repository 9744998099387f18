"""`signal-sdk migrate`: a stopped server's state carried from a directory into Redis, or back.

Owns: which way it goes, and what is said of it. Must not know how a state is read or written.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import click

from signal_sdk.cli.completing import files
from signal_sdk.cli.events import as_json, json_option
from signal_sdk.cli.output import say
from signal_sdk.cli.redis import needs_redis, redis_of, visit
from signal_sdk.server import revocations
from signal_sdk.server.config import ServerConfig
from signal_sdk.server.engine import kept
from signal_sdk.server.engine.filling import filled
from signal_sdk.server.revocations import FILE_NAME, Revocation

__all__ = ["migrate"]


@click.command(short_help="Carry a stopped server's state into a Redis, or back.")
@click.option("--from", "source", metavar="DIR|URL", required=True, help="Where the state is.")
@click.option("--to", "target", metavar="URL|DIR", required=True, help="Where it is carried.")
@click.option(
    "--config",
    metavar="FILE",
    shell_complete=files,
    help="The configuration, of which redis_password, redis_password_file and redis_prefix count.",
)
@json_option
def migrate(*, source: str, target: str, config: str | None, is_json: bool) -> None:
    """Carry what a stopped server keeps in a directory into a Redis, or back.

    One of --from and --to is a directory, the other the URL of a Redis. The state stays where it
    was, too. There must be nothing yet where it goes. All of it is carried, or nothing: what ends
    in the midst is done again by the same command, and no server starts on a part of it.

    Sessions are taken up again as after a restart, and no number is given twice.
    """
    is_in = "://" in target
    if is_in == ("://" in source):
        raise click.UsageError(
            "Give a directory and the URL of a Redis: one as --from, the other as --to."
        )
    server = redis_of([target if is_in else source], config)
    needs_redis()
    counts = _carry_in(source, server) if is_in else _carry_out(server, target)
    if is_json:
        say(as_json(counts))
        return
    said = ", ".join(f"{what}: {count}" for what, count in counts.items())
    say(f"carried over: {said}")


def _carry_in(directory: str, server: ServerConfig) -> Mapping[str, int]:
    from signal_sdk.server.engine.redis.migrating import carry_in  # noqa: PLC0415  an extra

    with kept.changed(directory) as keeper:
        revoked = revocations.saved(directory)
        texts = {it.name: it.encode() for it in revoked}
        visit(server, partial(carry_in, state=keeper.state, revocations=texts))
        return {**kept.counts(keeper.state), "revocations": len(revoked)}


def _carry_out(server: ServerConfig, directory: str) -> Mapping[str, int]:
    from signal_sdk.server.engine.redis.migrating import carry_out  # noqa: PLC0415  an extra

    with filled(directory, beside=[FILE_NAME]) as journal:
        state, texts = visit(server, partial(carry_out, journal=journal))
        revoked = [Revocation.decode(text) for text in texts]
        if revoked:
            revocations.write(journal.path.parent, revoked)
        return {**kept.counts(state), "revocations": len(revoked)}
