"""The configuration's variables: one for every key, and what is said of a wrong one."""

from __future__ import annotations

import attrs
import pytest

from signal_sdk.errors import ConfigError
from signal_sdk.server.config import (
    AppConfig,
    Config,
    LimitsConfig,
    NativeConfig,
    ServerConfig,
    loads,
)
from signal_sdk.server.config_env import has_settings, variable
from tests.server.configs import NATIVE_KEYS, SECRET, TABLES

LISTENERS = "SIGNAL_SDK_APPS_1_LISTENERS"


def test_there_is_a_variable_for_every_key() -> None:
    environ = {
        "SIGNAL_SDK_SERVER_PORT": "9000",
        "SIGNAL_SDK_SERVER_HOST": "0.0.0.0",  # noqa: S104 -- read, not listened on
        "SIGNAL_SDK_SERVER_ADVERTISE": '["203.0.113.7"]',
        "SIGNAL_SDK_NATIVE_ENABLED": "true",
        "SIGNAL_SDK_APPS_1_CERTIFICATE": SECRET,
        "SIGNAL_SDK_APPS_2_ID": "2",
        "SIGNAL_SDK_LIMITS_ATTRIBUTES": "0",
        "SIGNAL_SDK_SERVER": "another's",
        "SIGNAL_SDK_TOKEN": "another's",
    }
    config = loads('[server]\nport = 1\n[[apps]]\nid = "one"\n', environ=environ)
    assert config == Config(
        server=ServerConfig(host="0.0.0.0", port=9000, advertise=("203.0.113.7",)),  # noqa: S104
        native=NativeConfig(enabled=True),
        apps=(AppConfig(id="one", certificate=SECRET), AppConfig(id="2")),
        limits=LimitsConfig(attributes=0),
    )
    for table, cls in TABLES.items():
        for field in attrs.fields(cls):
            name = variable(table, field.name, 1)
            assert has_settings({name: "x"})


@pytest.mark.parametrize(
    ("environ", "text"),
    [
        (
            {"SIGNAL_SDK_SERVER_PORT": "80a"},
            'SIGNAL_SDK_SERVER_PORT: [server] port: expected an integer, got "80a"',
        ),
        (
            {"SIGNAL_SDK_SERVER_ALSO_LISTEN": "[80, 80]"},
            "SIGNAL_SDK_SERVER_ALSO_LISTEN: [server] also_listen: the port 80 is named twice",
        ),
        (
            {"SIGNAL_SDK_NATIVE_UDP": "1"},
            f"SIGNAL_SDK_NATIVE_UDP: there is no such key; known keys: {NATIVE_KEYS}",
        ),
        (
            {"SIGNAL_SDK_APPS_2_ID": "b"},
            "SIGNAL_SDK_APPS_2_ID: there is no app 1 before it",
        ),
        (
            {LISTENERS: SECRET},
            f"{LISTENERS}: [[apps]] listeners: expected an array of strings, got a string",
        ),
    ],
)
def test_a_variable_that_is_wrong_is_named(environ: dict[str, str], text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        loads("", dev=True, environ=environ)
    assert str(caught.value) == text
