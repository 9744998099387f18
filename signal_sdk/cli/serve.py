"""`signal-sdk serve`: the command, which serves in this process or has workers serve.

Owns: the flags, and what the operator is told at the start. Must not know what the server does with
its configuration, nor import it where workers do.
"""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from typing import Any, Final

import attrs
import click

from signal_sdk.cli.completing import directories, files
from signal_sdk.cli.events import as_json
from signal_sdk.cli.exposure import warnings
from signal_sdk.cli.failures import PROGRAM, exit_code
from signal_sdk.cli.logs import json_complaints, log_on_stderr
from signal_sdk.cli.output import complain, say
from signal_sdk.cli.settings import NO_STATE, Settings
from signal_sdk.errors import ConfigError
from signal_sdk.server import config as configs
from signal_sdk.server import config_env
from signal_sdk.server.config import DURABILITIES, MAX_DRAIN_SECONDS, MAX_PORT, MAX_WORKERS, Config
from signal_sdk.server.config_admin import admin_place
from signal_sdk.server.config_checks import LOG_FORMATS, parse_log_level
from signal_sdk.server.control_groups import usable_cores
from signal_sdk.server.handed import handed_over
from signal_sdk.server.origins import is_loopback
from signal_sdk.server.sockets import Addresses

__all__ = ["serve"]

JSON: Final = "json"
DEV_KEY_BYTES: Final = 24
DEV_WARNING: Final = (
    f"{PROGRAM}: DEVELOPMENT MODE: any app id and no token are accepted, "
    "so that anybody who reaches this server can log in as anybody"
)


def _log_levels(_: click.Context, __: click.Parameter, entries: tuple[str, ...]) -> tuple[str, ...]:
    for entry in entries:
        try:
            parse_log_level(entry)
        except ValueError as exc:
            raise click.BadParameter(str(exc)) from None
    return entries


def _workers(_: click.Context, __: click.Parameter, value: str | None) -> int | None:
    """How many; 0 is one for each core."""
    if value is None or value == "auto":
        return None if value is None else 0
    found = int(value) if re.fullmatch("[0-9]{1,4}", value) else 0
    if not 1 <= found <= MAX_WORKERS:
        raise click.BadParameter(f"{value!r} is neither auto nor 1 to {MAX_WORKERS}.")
    return found


@click.command()
@click.option("--host", metavar="ADDRESS", help="The address to listen on.  [default: 127.0.0.1]")
@click.option(
    "--port",
    type=click.IntRange(0, MAX_PORT),
    metavar="PORT",
    help="The port to listen on; 0 takes any free one.  [default: 8001]",
)
@click.option("--dev", is_flag=True, help="For development: accept any app id, and no token.")
@click.option(
    "--native/--no-native",
    default=None,
    help="Serve the clients of the original native SDK, too.  [default: with --dev only]",
)
@click.option(
    "--config", metavar="FILE", shell_complete=files, help="The configuration, a TOML file."
)
@click.option(
    "--data",
    metavar="DIR",
    shell_complete=directories,
    help="The directory that state is kept in; this or --redis is needed without --dev."
    "  [default: in memory]",
)
@click.option(
    "--redis",
    multiple=True,
    metavar="URL",
    help="The Redis that state is kept in, and shared with other servers; repeat it for a Cluster"
    " and for Sentinels.",
)
@click.option(
    "--workers",
    callback=_workers,
    metavar="N|auto",
    help="How many processes serve, with --redis; auto is one for each core.  [default: 1]",
)
@click.option(
    "--durability",
    type=click.Choice(DURABILITIES),
    help="What an acknowledged message outlives: the process's end, or the power's; of Redis's"
    " servers, the one, or the loss of the master.  [default: process]",
)
@click.option(
    "--drain",
    "drain_seconds",
    type=click.IntRange(0, MAX_DRAIN_SECONDS),
    metavar="SECONDS",
    help="Over how many seconds SIGTERM sends the clients away.  [default: 10]",
)
@click.option(
    "--cert",
    metavar="FILE",
    shell_complete=files,
    help="The TLS certificate and its chain, in PEM: TLS on PORT + 1.",
)
@click.option(
    "--key", metavar="FILE", shell_complete=files, help="The TLS certificate's private key, in PEM."
)
@click.option(
    "--print-config",
    "prints_config",
    is_flag=True,
    help="Print the configuration, with every key, as a TOML file, and end.",
)
@click.option(
    "-v", "--verbose", count=True, help="Log logins and refusals (-v), or all there is (-vv)."
)
@click.option(
    "--log-format",
    type=click.Choice(LOG_FORMATS),
    help="Log lines to read, or a JSON object on each line.  [default: text]",
)
@click.option(
    "--log-level",
    "log_levels",
    multiple=True,
    callback=_log_levels,
    metavar="[LOGGER=]LEVEL",
    help="What to log: debug, info, warning or error, of all or of a part, such as"
    " signal_sdk.server.logins=debug; again for more.  [default: warning]",
)
@click.option(
    "--json",
    "is_json",
    is_flag=True,
    help="Print what it listens on as one JSON object.",
)
def serve(
    *,
    dev: bool,
    native: bool | None,
    config: str | None,
    prints_config: bool,
    verbose: int,
    redis: tuple[str, ...],
    log_levels: tuple[str, ...],
    is_json: bool,
    **flags: str | int | None,
) -> int:
    """Run a server, until SIGTERM or SIGINT ends it.

    It needs --config FILE, or --dev, or both. The other flags have precedence over the file.
    SIGTERM sends the clients away one by one, SIGINT all together; a second signal ends it at once.
    SIGHUP has the certificate, the apps and the limits read again.
    """
    overrides: dict[str, Any] = {name: value for name, value in flags.items() if value is not None}
    several = {"redis": redis, "log_levels": log_levels}
    overrides |= {name: values for name, values in several.items() if values}
    if is_json and prints_config:
        raise click.UsageError("--json does not go with --print-config, which prints TOML.")
    if not (config or dev or prints_config or config_env.has_settings(os.environ)):
        raise click.UsageError("Give --config FILE, or --dev for development.")
    settings = Settings(
        config=config,
        dev=dev,
        server=overrides,
        native={} if native is None else {"enabled": native},
        verbose=verbose,
    )
    if prints_config:
        say(configs.print_config(settings.read(is_draft=True)).rstrip("\n"))
        return 0
    with ExitStack() as style:
        if flags["log_format"] == JSON:
            style.enter_context(json_complaints())
        try:
            chosen = settings.read()
            if chosen.server.log_format == JSON:
                style.enter_context(json_complaints())
            return _log_and_serve(settings, chosen, is_json=is_json)
        except BaseException as exc:  # noqa: BLE001  what is not an error of ours is raised again
            return exit_code(exc)


def _log_and_serve(settings: Settings, config: Config, *, is_json: bool) -> int:
    server = config.server
    if not (server.data or server.redis or server.dev):
        raise ConfigError(NO_STATE)
    if server.dev and not config.admin_keys and is_loopback(admin_place(config)[0]):
        settings = attrs.evolve(settings, dev_key=secrets.token_urlsafe(DEV_KEY_BYTES))
        config = settings.read()
    with log_on_stderr(settings.levels(config), is_json=server.log_format == JSON):
        return _serve(settings, config, server.workers or usable_cores(), is_json=is_json)


def _serve(settings: Settings, config: Config, workers: int, *, is_json: bool) -> int:
    told = list(warnings(config, settings.config))
    tell = partial(_tell, config, told, settings.dev_key, is_json)
    handed = handed_over(os.environ)
    if workers > 1:
        if handed:
            raise ConfigError(
                "LISTEN_FDS hands over sockets to one process, and several workers would listen:"
                " workers = 1, or no socket unit"
            )
        from signal_sdk.cli.workers import supervise  # noqa: PLC0415  one of the two is needed

        return supervise(settings, config, workers, tell)
    from signal_sdk.cli.serving import serve_here  # noqa: PLC0415

    serve_here(config, settings.read, tell, handed=handed)
    return 0


def _tell(
    config: Config, told: list[str], dev_key: str, is_json: bool, addresses: Addresses
) -> None:
    """It serves: say what an operator has to know."""
    if config.server.dev:
        complain(DEV_WARNING, is_warning=True)
    for warning in told:
        complain(f"{PROGRAM}: warning: {warning}", is_warning=True)
    if is_json:
        say(as_json({**_places(addresses), **({"admin_key": dev_key} if dev_key else {})}))
        return
    for line in _listening(addresses):
        say(line)
    if addresses.admin:
        places = " and ".join(f"http://{_place(address)}/" for address in addresses.admin)
        say(f"admin address: {places}" + (f" (key {dev_key})" if dev_key else ""))


def _places(addresses: Addresses) -> dict[str, list[str]]:
    """What a program has to know."""
    found = {
        "plain": addresses.plain,
        "tls": addresses.tls,
        "native": addresses.native,
        "lookup": addresses.lookup,
        "admin": addresses.admin,
    }
    return {name: list(map(_place, some)) for name, some in found.items()}


def _listening(addresses: Addresses) -> Iterator[str]:
    links = [("ws", address) for address in addresses.plain]
    links += [("wss", address) for address in addresses.tls]
    places = [f"{scheme}://{_place(address)}/" for scheme, address in links]
    lookup = _place(addresses.plain[0])
    yield f"listening on {' and '.join(places)} (lookup http://{lookup}/getaddr)"
    if addresses.native:
        tcp = " and ".join(f"tcp {_place(address)}" for address in addresses.native)
        udp = " and ".join(f"udp {_place(address)}" for address in addresses.lookup)
        yield f"native clients: {tcp}" + (f" (lookup {udp})" if udp else " (no lookup)")


def _place(address: tuple[str, int]) -> str:
    host, port = address
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
