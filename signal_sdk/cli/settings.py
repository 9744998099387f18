"""What `signal-sdk serve` was told, and the configuration that it makes with the file and the
environment.

Owns: reading that, as often as it is asked for, and handing what was told to another process. Must
not know what is done with a configuration. No `repr` shows what was told: a password may be in it.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final

import attrs
import msgspec

from signal_sdk.errors import ConfigError
from signal_sdk.printable import LOGGERS
from signal_sdk.server import config as configs
from signal_sdk.server.config import AdminKeyConfig, Config
from signal_sdk.server.config_admin import RIGHTS
from signal_sdk.server.config_checks import parse_log_level
from signal_sdk.server.config_errors import ConfigKeyError

__all__ = ["LEVELS", "NO_STATE", "Settings"]

NO_STATE: Final = (
    "where is state to be kept? Give --data DIR or --redis URL, or data or redis in [server]; only "
    "with --dev may it be in memory"
)
LEVELS: Final = (logging.WARNING, logging.INFO, logging.DEBUG)


@attrs.frozen(kw_only=True, repr=False)
class Settings:
    """The flags. `server`, `native` and `admin` stand in place of what the file says there."""

    config: str | None = None
    """The configuration's file."""
    dev: bool = False
    server: Mapping[str, Any] = attrs.field(factory=dict)
    native: Mapping[str, Any] = attrs.field(factory=dict)
    verbose: int = 0
    admin: Mapping[str, Any] = attrs.field(factory=dict)
    dev_key: str = ""
    """A key to the admin address that may do everything, for a server in dev mode."""

    def levels(self, config: Config) -> dict[str, int]:
        """What the log has of each logger, by the flags and by `config`."""
        levels = {LOGGERS[0]: LEVELS[0], **dict(map(parse_log_level, config.server.log_levels))}
        if self.verbose:
            levels[LOGGERS[0]] = LEVELS[min(self.verbose, len(LEVELS) - 1)]
        return levels

    def read(self, *, is_draft: bool = False) -> Config:
        """The configuration as it is now. Raises `ConfigError`."""
        load: Callable[..., Config] = partial(configs.loads, "", "the environment")
        if self.config:
            load = partial(configs.load, self.config)
        found = load(dev=self.dev, environ=os.environ, is_draft=is_draft)
        try:
            return attrs.evolve(
                found,
                server=attrs.evolve(found.server, **self.server),
                native=attrs.evolve(found.native, **self.native),
                native_by_default=found.native_by_default and not self.native,
                **self._admin(found),
            )
        except ConfigError as exc:
            told = (exc, *exc.others) if isinstance(exc, ConfigKeyError) else (exc,)
            raise ConfigError(*(f"with the flags given, {it}" for it in told)) from None

    def _admin(self, found: Config) -> dict[str, Any]:
        """What is otherwise of the admin address than in the file."""
        admin = attrs.evolve(found.admin, **self.admin)
        if not self.dev_key or found.admin_keys:
            return {"admin": admin}
        return {
            "admin": attrs.evolve(admin, metrics_open=True),
            "admin_keys": (AdminKeyConfig(name="dev", key=self.dev_key, app="*", rights=RIGHTS),),
            "admin_by_default": not found.has_admin,
        }

    def of_worker(self, number: int) -> Settings:
        """As the worker with this number, from 1 on, has them: its admin address is its own."""
        address = self.admin.get("address")
        if not address:
            return self
        host, _, port = address.rpartition(":")
        return attrs.evolve(self, admin={"address": f"{host}:{int(port) + number - 1}"})

    def encode(self) -> bytes:
        """One line for another process."""
        return msgspec.json.encode(attrs.asdict(self))

    @classmethod
    def decode(cls, line: bytes) -> Settings:
        """What `encode` has made."""
        found = msgspec.json.decode(line)
        for table in ("server", "native", "admin"):
            for key, value in found[table].items():
                # JSON has no tuples.
                found[table][key] = tuple(value) if isinstance(value, list) else value
        return cls(**found)
