"""`signal-sdk doctor`: whether what a server keeps its state in is well, a data directory or a
Redis, or the way on which an original client comes to a server.

Owns: what is asked for, and how facts and problems are printed. Must not know the file or the keys
(the engine's checkups look them over), nor what a client does (old_clients.py).
"""

from __future__ import annotations

import contextlib
import ipaddress
from functools import partial
from typing import Any, Final

import click
import trio
from click.core import ParameterSource

from signal_sdk.cli import old_clients
from signal_sdk.cli.account import trusting
from signal_sdk.cli.completing import directories, files
from signal_sdk.cli.events import as_json, json_option
from signal_sdk.cli.failures import FAILED
from signal_sdk.cli.output import complain, say
from signal_sdk.cli.probes import Asked, Step
from signal_sdk.cli.redis import needs_redis, redis_of, redis_option, visit
from signal_sdk.cli.screen import say_fact, say_well
from signal_sdk.cli.settings import Settings
from signal_sdk.server.config import MAX_PORT, ServerConfig
from signal_sdk.server.engine.checkup import Health, examine
from signal_sdk.wire import names
from signal_sdk.wire.parameter_errors import wrong

__all__ = ["doctor"]

DEFAULT_APP: Final = "demo"
DEFAULT_ACCOUNT: Final = "signal-sdk-doctor"
MAX_LOOKUP_PORTS: Final = 2


@click.command(short_help="Look over what a server keeps, or try a client's way to it.")
@click.option(
    "--data", metavar="DIR", shell_complete=directories, help="The directory that state is kept in."
)
@redis_option
@click.option(
    "--config",
    metavar="FILE",
    shell_complete=files,
    help="The configuration, whose data or redis is looked over, or which has the password of"
    " --redis.",
)
@click.option(
    "--client",
    type=click.Choice(old_clients.CLIENTS),
    help="Do as this original client does: the native SDK, the web SDK 1.4.0, or the Java SDK.",
)
@click.option(
    "--host",
    metavar="HOST",
    help="Go to this machine, as if the client's names led there."
    "  [default: look the client's names up]",
)
@click.option("--app", metavar="ID", help=f"The app id.  [default: {DEFAULT_APP}]")
@click.option(
    "--account",
    metavar="ACCOUNT",
    help="The account to log in; where it is logged in already, that login ends."
    f"  [default: {DEFAULT_ACCOUNT}]",
)
@click.option(
    "--token",
    metavar="TOKEN",
    envvar="SIGNAL_SDK_TOKEN",
    help="The SignalingToken; better in $SIGNAL_SDK_TOKEN, which not every user of the machine can "
    f"read.  [default: {names.NO_TOKEN}]",
)
@click.option(
    "--lookup-port",
    "lookup_ports",
    type=click.IntRange(1, MAX_PORT),
    multiple=True,
    metavar="PORT",
    help="Where the lookup is asked, instead of UDP 8180 and 8181 (native; may be given twice), "
    "443 (web) or 80 (java).",
)
@click.option(
    "--ca",
    metavar="FILE",
    shell_complete=files,
    help="With web: a CA to trust beside the system's, in PEM.",
)
@json_option
@click.pass_context
def doctor(
    context: click.Context,
    /,
    *,
    data: str | None,
    redis: tuple[str, ...],
    config: str | None,
    client: str | None,
    is_json: bool,
    **options: Any,
) -> int:
    """Look over what a server keeps, or the way on which an original client gets to it.

    With --data, nothing is changed. A server that runs there lets nobody look: stop it first.

    With --redis, nothing is changed either, and servers may run; records are read one by one where
    none does.

    With --client, the client's lookup and login are done, step by step, and the account is really
    logged in, and out again: where it is logged in elsewhere, that login ends.

    What is seen is printed one in a line; what is wrong, on stderr. Exit codes: 0 all is well, 1
    something is wrong.
    """
    ways = (data is not None, bool(redis) or config is not None, client is not None)
    if sum(ways) != 1:
        raise click.UsageError("Give either --data, --redis or --config, or --client.")
    if client is not None:
        return _try(client, is_json=is_json, **options)
    _refuse_others(context)
    if data is not None:
        return _tell_health(examine(data), is_json=is_json)
    if not redis and (kept := Settings(config=config).read(is_draft=True).server.data):
        return _tell_health(examine(kept), is_json=is_json)
    return _tell_health(_visit(redis_of(redis, config)), is_json=is_json)


def _refuse_others(context: click.Context) -> None:
    """What only --client has a use for is refused; a token in the environment is not."""
    for parameter in context.command.params:
        source = context.get_parameter_source(str(parameter.name))
        is_ours = parameter.name in ("data", "redis", "config", "is_json")
        if source is ParameterSource.COMMANDLINE and not is_ours:
            raise click.UsageError(f"{parameter.opts[0]} goes with --client.")


def _visit(server: ServerConfig) -> Health:
    needs_redis()
    from signal_sdk.server.engine.redis.checkup import examine as look  # noqa: PLC0415  an extra

    replicas = server.replicas if server.durability == "replicas" else 0
    return visit(server, partial(look, replicas=replicas), is_careful=False)


def _tell_health(health: Health, *, is_json: bool) -> int:
    if is_json:
        facts = [{"name": name, "fact": fact} for name, fact in health.facts]
        problems = list(health.problems)
        say(as_json({"ok": not problems, "facts": facts, "problems": problems}))
        return FAILED if problems else 0
    for name, fact in health.facts:
        say_fact(name, fact)
    for problem in health.problems:
        complain(problem)
    if health.problems:
        return FAILED
    say_well()
    return 0


def _try(
    client: str,
    *,
    host: str | None,
    app: str | None,
    account: str | None,
    token: str | None,
    lookup_ports: tuple[int, ...],
    ca: str | None,
    is_json: bool,
) -> int:
    if ca is not None and client != "web":
        raise click.UsageError("--ca goes with --client web: the others use no TLS.")
    if len(lookup_ports) > (MAX_LOOKUP_PORTS if client == "native" else 1):
        raise click.UsageError("--lookup-port is given once, and for native at most twice.")
    if host is not None:
        _check_host(host)
    asked = Asked(
        app=_text("app id", app or DEFAULT_APP),
        is_app_given=bool(app),
        account=names.check_account(account or DEFAULT_ACCOUNT),
        token=_text("token", token or names.NO_TOKEN, is_secret=True),
        host=host or "",
        lookup_ports=lookup_ports,
        ssl_context=trusting(ca) if ca is not None else None,
    )
    steps: list[Step] = []
    problem = trio.run(old_clients.run, client, asked, steps.append if is_json else _tell)
    if is_json:
        said = [{"name": it.name, "seen": it.seen, "is_warning": it.is_warning} for it in steps]
        problems = [] if problem is None else [str(problem)]
        say(as_json({"ok": not problems, "steps": said, "problems": problems}))
        return FAILED if problems else 0
    if problem is not None:
        complain(str(problem))
        return FAILED
    say_well()
    return 0


def _tell(step: Step) -> None:
    say_fact(step.name, step.seen, is_warning=step.is_warning)


def _check_host(host: str) -> None:
    """It has to be a name or an address: what else there may be in a URL goes elsewhere."""
    if not host:
        raise click.UsageError("--host is empty.")
    with contextlib.suppress(ValueError):
        ipaddress.IPv6Address(host)
        raise click.UsageError("--host takes no IPv6 address: the original clients know none.")
    if ":" in host or "/" in host:
        raise click.UsageError(
            "--host takes a host alone, without port; --lookup-port is the port."
        )


def _text(what: str, text: str, *, is_secret: bool = False) -> str:
    """`text`, which has to be UTF-8. Raises `ParameterError` (1004)."""
    if not names.is_encodable(text):
        raise wrong(what, "" if is_secret else text, "is not UTF-8 text")
    return text
