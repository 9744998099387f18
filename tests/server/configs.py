"""What the tests of the configuration share: certificates, tables and names of keys."""

from __future__ import annotations

from signal_sdk.server.config import AppConfig, Config, LimitsConfig, NativeConfig, ServerConfig

SECRET = "5cfd2fd1755d40ecb72977518be15d3b"
OLD_SECRET = "0b2cf9f5bd6541f0a7e4c3d1e8f60a72"
NATIVE_KEYS = "enabled, port, also_listen, lookup_ports, advertise"
TABLES = {
    "server": ServerConfig,
    "native": NativeConfig,
    "apps": AppConfig,
    "limits": LimitsConfig,
}
VARIABLE = "SIGNAL_SDK_APPS_1_CERTIFICATE"


def secret_config() -> Config:
    return Config(apps=(AppConfig(id="app", certificate=SECRET),))
