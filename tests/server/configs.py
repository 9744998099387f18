"""What the tests of the configuration share: certificates, tables and names of keys."""

from __future__ import annotations

from typing import Any

from signal_sdk.server.config import (
    AdminConfig,
    AdminKeyConfig,
    AppConfig,
    Config,
    HooksConfig,
    LimitsConfig,
    NativeConfig,
    ServerConfig,
)

SECRET = "5cfd2fd1755d40ecb72977518be15d3b"
OLD_SECRET = "0b2cf9f5bd6541f0a7e4c3d1e8f60a72"
NATIVE_KEYS = "enabled, port, also_listen, lookup_ports, advertise"
TABLES = {
    "server": ServerConfig,
    "native": NativeConfig,
    "apps": AppConfig,
    "limits": LimitsConfig,
    "admin": AdminConfig,
    "admin.keys": AdminKeyConfig,
    "hooks": HooksConfig,
}
ADMIN_KEY = "f3b0c1d2e4a59687f3b0c1d2e4a59688"
VARIABLE = "SIGNAL_SDK_APPS_1_CERTIFICATE"


def secret_config() -> Config:
    return Config(apps=(AppConfig(id="app", certificate=SECRET),))


def admin_key(**values: Any) -> AdminKeyConfig:
    """A key to the admin address, to read with, unless `values` say otherwise."""
    given = {"name": "backend", "key": ADMIN_KEY, "app": "*", "rights": ("read",), **values}
    return AdminKeyConfig(**given)
