"""`signal-sdk serve`: a server in this process, from its configuration to its last farewell.

Owns: how flags and file become one configuration, what the operator is told, and what signals do.
Must not know what the server does with either.
"""

from __future__ import annotations

import gc
import logging
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, Final

import attrs
import click
import trio

from signal_sdk.cli.descriptors import all_descriptors
from signal_sdk.cli.exposure import app_warnings, warnings
from signal_sdk.cli.failures import PROGRAM
from signal_sdk.cli.hangup import HANGUP
from signal_sdk.cli.output import complain, say
from signal_sdk.errors import ConfigError, SignalSdkError
from signal_sdk.server import config as configs
from signal_sdk.server import config_env
from signal_sdk.server.config import DURABILITIES, MAX_DRAIN_SECONDS, MAX_PORT, Config
from signal_sdk.server.doors import Addresses
from signal_sdk.server.node import Node

__all__ = ["serve"]

logger: logging.Logger = logging.getLogger("signal_sdk.server")

SWITCH_SECONDS: Final = 0.0001
"""How long a busy thread keeps the interpreter from the others. The journal's gives it away with
each statement, and a server that is busy would have it back only after Python's own 5 ms: ten
statements later, an acknowledgement would be late by 50. It works for less than this at a time.
"""
LOG_FORMAT: Final = "%(asctime)s %(levelname)s %(message)s"
LEVELS: Final = (logging.WARNING, logging.INFO, logging.DEBUG)
GC_THRESHOLDS: Final = (5_000, 3, 6_000)
"""How many objects may be made between two looks for garbage, in each generation. Everything stands
still meanwhile: one look at 100,000 would be 30 ms. All are looked at as seldom as can be.
"""

DEV_WARNING: Final = (
    f"{PROGRAM}: DEVELOPMENT MODE: any app id and no token are accepted, "
    "so that anybody who reaches this server can log in as anybody"
)


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
@click.option("--config", metavar="FILE", help="The configuration, a TOML file.")
@click.option(
    "--data",
    metavar="DIR",
    help="The directory that state is kept in; needed without --dev.  [default: in memory]",
)
@click.option(
    "--durability",
    type=click.Choice(DURABILITIES),
    help="What an acknowledged message outlives: the process's end, or the power's."
    "  [default: process]",
)
@click.option(
    "--drain",
    "drain_seconds",
    type=click.IntRange(0, MAX_DRAIN_SECONDS),
    metavar="SECONDS",
    help="Over how many seconds SIGTERM sends the clients away.  [default: 10]",
)
@click.option(
    "--cert", metavar="FILE", help="The TLS certificate and its chain, in PEM: TLS on PORT + 1."
)
@click.option("--key", metavar="FILE", help="The TLS certificate's private key, in PEM.")
@click.option(
    "--print-config",
    "prints_config",
    is_flag=True,
    help="Print the configuration, with every key, as a TOML file, and end.",
)
@click.option(
    "-v", "--verbose", count=True, help="Log logins and refusals (-v), or all there is (-vv)."
)
def serve(
    *,
    dev: bool,
    native: bool | None,
    config: str | None,
    prints_config: bool,
    verbose: int,
    **flags: str | int | None,
) -> None:
    """Run a server, until SIGTERM or SIGINT ends it.

    It needs --config FILE, or --dev, or both. The other flags have precedence over the file.
    SIGTERM sends the clients away one by one, SIGINT all together; a second signal ends it at once.
    SIGHUP has the certificate, the apps and the limits read again.
    """
    overrides = {name: value for name, value in flags.items() if value is not None}
    if not (config or dev or prints_config or config_env.has_settings(os.environ)):
        raise click.UsageError("Give --config FILE, or --dev for development.")

    def read(*, is_draft: bool = False) -> Config:
        load: Callable[..., Config] = partial(configs.loads, "", "the environment")
        if config:
            load = partial(configs.load, config)
        found = load(dev=dev, environ=os.environ, is_draft=is_draft)
        return _override(found, overrides, native=native)

    chosen = read(is_draft=prints_config)
    if prints_config:
        say(configs.print_config(chosen).rstrip("\n"))
        return
    if not (chosen.server.data or chosen.server.dev):
        raise ConfigError(
            "where is state to be kept? Give --data DIR, or data in [server];"
            " only with --dev may it be in memory"
        )
    level = LEVELS[min(verbose, len(LEVELS) - 1)]
    with _log_on_stderr(level), all_descriptors(chosen.limits.max_connections), _tuned():
        trio.run(_serve, chosen, read, list(warnings(chosen, config)))


# --- The configuration


def _override(config: Config, overrides: dict[str, Any], *, native: bool | None) -> Config:
    """`config` with what the flags say instead. Raises `ConfigError`."""
    enabled = config.native.enabled if native is None else native
    try:
        return attrs.evolve(
            config,
            server=attrs.evolve(config.server, **overrides),
            native=attrs.evolve(config.native, enabled=enabled),
            native_by_default=config.native_by_default and native is None,
        )
    except ConfigError as exc:
        raise ConfigError(f"with the flags given, {exc}") from None


# --- The server's life


@contextmanager
def _tuned() -> Iterator[None]:
    """The interpreter as a busy server wants it; as it was, afterwards.

    A server makes little that only the collector can free, and has much to look through; what it
    has at its start is frozen then.
    """
    interval, thresholds = sys.getswitchinterval(), gc.get_threshold()
    sys.setswitchinterval(SWITCH_SECONDS)
    gc.set_threshold(*GC_THRESHOLDS)
    try:
        yield
    finally:
        gc.set_threshold(*thresholds)
        gc.unfreeze()
        sys.setswitchinterval(interval)


@contextmanager
def _log_on_stderr(level: int) -> Iterator[None]:
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter(LOG_FORMAT))
    logger = logging.getLogger("signal_sdk")
    before = logger.level
    logger.addHandler(handler)
    logger.setLevel(level)
    try:
        yield
    except Exception as exc:
        # One line is said of it in any case; where it came from is for who asked for all there is.
        logger.debug("the server ended: %s", exc, exc_info=not isinstance(exc, SignalSdkError))
        raise
    finally:
        logger.removeHandler(handler)
        logger.setLevel(before)


async def _serve(config: Config, read: Callable[[], Config], told: Sequence[str]) -> None:
    node = Node(config)
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM, *HANGUP) as signals:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_obey, signals, node, read, nursery.cancel_scope)
            async with trio.open_nursery() as running:
                addresses: Addresses = await running.start(node.run)
                gc.freeze()
                if config.server.dev:
                    complain(DEV_WARNING)
                for warning in told:
                    complain(f"{PROGRAM}: warning: {warning}")
                for line in _listening(addresses):
                    say(line)
            nursery.cancel_scope.cancel()


async def _obey(
    signals: AsyncIterator[int],
    node: Node,
    read: Callable[[], Config],
    everything: trio.CancelScope,
) -> None:
    """Stop at the first signal that says so: somebody at a terminal does not want to wait for the
    clients. At the second, end at once. SIGHUP has the configuration read again.
    """
    is_stopping = False
    async for number in signals:
        if number in HANGUP:
            if not is_stopping:
                _reload(node, read)
        elif is_stopping:
            everything.cancel()
        else:
            is_stopping = True
            node.stop(node.config.server.drain_seconds if number == signal.SIGTERM else 0.0)


def _reload(node: Node, read: Callable[[], Config]) -> None:
    """Have `node` take up what `read` reads; where that cannot be, nothing changes."""
    try:
        node.reload(config := read())
        for warning in app_warnings(config):
            logger.warning("%s", warning)
    except ConfigError as exc:
        logger.warning("the configuration in force stays: %s", exc)


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
