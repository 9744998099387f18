"""The configuration's admin address: where it is, its keys, which are refused, and that none is
shown.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import attrs
import pytest

from signal_sdk.errors import ConfigError
from signal_sdk.server.config import (
    AdminConfig,
    Config,
    ServerConfig,
    dev,
    loads,
    print_config,
)
from signal_sdk.server.config_admin import admin_place, key_bits
from tests.server.configs import ADMIN_KEY, OLD_SECRET, SECRET, admin_key, secret_config

TABLE = f'[[admin.keys]]\nname = "backend"\nkey = "{ADMIN_KEY}"\napp = "app"\nrights = ["read"]\n'
APP = f'[[apps]]\nid = "app"\ncertificate = "{SECRET}"\n'


def with_keys(**values: Any) -> Config:
    return attrs.evolve(secret_config(), admin_keys=(admin_key(**values),))


# --- Where it is


@pytest.mark.parametrize(
    ("admin", "port", "place"),
    [
        ("", 8001, ("127.0.0.1", 8011)),
        ("", 0, ("127.0.0.1", 0)),
        ("10.0.0.1:9000", 8001, ("10.0.0.1", 9000)),
        ("[::1]:0", 8001, ("::1", 0)),
        ("admin.example.com:80", 0, ("admin.example.com", 80)),
    ],
)
def test_where_it_is(admin: str, port: int, place: tuple[str, int]) -> None:
    config = Config(
        server=ServerConfig(dev=True, port=port),
        admin=AdminConfig(address=admin),
        native=attrs.evolve(dev().native, enabled=False),
    )
    assert admin_place(config) == place


@pytest.mark.parametrize("address", ["localhost", "8011", ":8011", "a:65536", "a:b", "http://a:1"])
def test_an_address_that_is_none_is_refused(address: str) -> None:
    with pytest.raises(ConfigError, match=r'^<string>:2: \[admin\] address: expected "HOST:PORT"'):
        loads(f'[admin]\naddress = "{address}"\n{APP}')


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[admin]\naddress = "127.0.0.1:8001"\n', "the port 8001 is taken by [server] port"),
        ('[admin]\naddress = "0.0.0.0:8001"\n', "the port 8001 is taken by [server] port"),
        ('[admin]\naddress = "localhost:80"\n[server]\nalso_listen = [80]\n', "[server] also_l"),
        ("[server]\nport = 1\nalso_listen = [11]\n", "the port 11 is taken by [server] also_l"),
        ('[admin]\naddress = "127.0.0.1:8003"\n[native]\nenabled = true\n', "[native] port"),
        (
            '[admin]\naddress = "127.0.0.1:8000"\n[server]\nredis = "redis://h"\nworkers = 2\n',
            "the port 8001 is taken by [server] port",
        ),
        (
            '[admin]\naddress = "127.0.0.1:8002"\n[server]\ncert = "c"\nkey = "k"\n',
            "the port 8002 is taken by TLS, on [server] port + 1",
        ),
    ],
)
def test_a_port_that_somebody_else_has_is_refused(text: str, said: str) -> None:
    with pytest.raises(ConfigError, match=rf"\[admin\] address: .*{re.escape(said)}"):
        loads(f"{text}{APP}{TABLE}")


@pytest.mark.parametrize(
    "text",
    [
        '[admin]\naddress = "10.0.0.1:8001"\n',
        '[admin]\naddress = "127.0.0.1:8003"\n',
        '[admin]\naddress = "127.0.0.1:0"\n',
    ],
)
def test_one_that_nobody_has_is_not(text: str) -> None:
    assert loads(f"{text}{APP}{TABLE}").has_admin


def test_no_port_is_left_above_the_last() -> None:
    server = ServerConfig(port=65530)
    assert not attrs.evolve(secret_config(), server=server).has_admin
    with pytest.raises(ConfigError, match=r"\[admin\] address: leads to the port 65540"):
        attrs.evolve(with_keys(), server=server)
    many = ServerConfig(redis=("redis://localhost",), workers=3)
    admin = AdminConfig(address="127.0.0.1:65533")
    assert attrs.evolve(with_keys(), server=many, admin=admin).has_admin
    with pytest.raises(ConfigError, match=r"\[admin\] address: leads to the port 65536"):
        attrs.evolve(with_keys(), server=attrs.evolve(many, workers=4), admin=admin)


def test_it_is_off_without_keys_and_without_open_metrics() -> None:
    assert not secret_config().has_admin
    assert with_keys().has_admin
    assert attrs.evolve(secret_config(), admin=AdminConfig(metrics_open=True)).has_admin


def test_a_host_is_a_name() -> None:
    with pytest.raises(ConfigError, match=r'^<string>:2: \[admin\] hosts: .* got "http://a"$'):
        loads(f'[admin]\nhosts = ["b.example.com", "http://a"]\n{APP}')


# --- Keys


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("", "may not be empty: set key or key_file"),
        ("a key in words that is long enough for anybody", "expected letters, digits, and . _"),
        ("é" * 40, "expected letters, digits, and . _"),
        ("0f" * 300, "expected letters, digits, and . _"),
        (ADMIN_KEY[:31], "it can be guessed: expected 128 bits or more"),
        ("01234567890123456789012345678901234567", "it can be guessed"),
        ("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "it can be guessed"),
        ("abcABC" * 20, "it can be guessed"),
        ("Tq3vYx8LmZ0aPw6RsK2cJ", "it can be guessed"),
    ],
)
def test_a_key_that_could_be_guessed_is_refused(key: str, text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        loads(f"{APP}{TABLE}".replace(ADMIN_KEY, key))
    assert str(caught.value).startswith(f"<string>:6: [[admin.keys]] key: {text}")
    assert not key or key not in str(caught.value)


@pytest.mark.parametrize("key", [ADMIN_KEY, ADMIN_KEY.upper(), "Tq3vYx8LmZ0aPw6RsK2cJd"])
def test_a_key_of_128_bits_is_taken(key: str) -> None:
    assert key_bits(key) >= 128
    assert loads(f"{APP}{TABLE}".replace(ADMIN_KEY, key)).admin_keys[0].key == key


def test_no_two_keys_are_alike_nor_have_one_name() -> None:
    with pytest.raises(ConfigError, match=r"\[\[admin.keys\]\] key: the same as that of .* 1$"):
        Config(
            server=ServerConfig(dev=True), admin_keys=(admin_key(name="one"), admin_key(name="two"))
        )
    other = admin_key(key=OLD_SECRET)
    with pytest.raises(ConfigError, match=r"\[\[admin.keys\]\] name: the same as that of .* 1$"):
        Config(server=ServerConfig(dev=True), admin_keys=(admin_key(), other))


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({"name": ""}, r"name: expected 1 to 64 letters, digits, and \. _ -, got \"\"$"),
        ({"name": "a b"}, r'name: .* got "a b"$'),
        ({"app": ""}, r'app: expected the id of an app, or "\*"$'),
        ({"app": "other"}, r'app: no app has the id "other"$'),
        ({"rights": ()}, r"rights: expected some of read, send, kick"),
        ({"rights": ("read", "sned")}, r'rights: expected read, .* or metrics, got "sned"$'),
        ({"app": "app", "rights": ("metrics",)}, r'rights: .* metrics needs app = "\*"$'),
    ],
)
def test_what_a_key_is_good_for_is_checked(values: dict[str, Any], text: str) -> None:
    with pytest.raises(ConfigError, match=rf"^\[\[admin.keys\]\] {text}"):
        with_keys(**values)


def test_in_dev_mode_a_key_may_be_for_an_app_that_nobody_has_named() -> None:
    config = Config(server=ServerConfig(dev=True), admin_keys=(admin_key(app="any"),))
    assert config.admin_keys[0].app == "any"


def test_a_key_is_in_no_repr_no_print_and_no_error() -> None:
    config = with_keys()
    assert ADMIN_KEY not in repr(config)
    printed = print_config(config)
    assert ADMIN_KEY not in printed
    environ = {
        "SIGNAL_SDK_APPS_1_CERTIFICATE": SECRET,
        "SIGNAL_SDK_ADMIN_KEYS_1_KEY": ADMIN_KEY,
    }
    assert loads(printed, environ=environ) == config
    with pytest.raises(ConfigError) as caught:
        loads(f'{APP}{TABLE.replace("name", "nmae")}app = "{ADMIN_KEY}"')
    assert ADMIN_KEY not in str(caught.value)
    for wrong in (f"rights = [1]\nname = ['{ADMIN_KEY}']", f"key = ['{ADMIN_KEY}']"):
        with pytest.raises(ConfigError) as caught:
            loads(f"[[admin.keys]]\n{wrong}\n{APP}")
        assert ADMIN_KEY not in str(caught.value)


def test_a_key_may_stand_in_a_file_of_its_own(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text(f"{ADMIN_KEY}\n")
    text = f"{APP}{TABLE}".replace(f'key = "{ADMIN_KEY}"', f'key_file = "{file}"')
    config = loads(text)
    assert config.admin_keys[0].key == ADMIN_KEY
    assert loads(print_config(config), environ={"SIGNAL_SDK_APPS_1_CERTIFICATE": SECRET}) == config
    with pytest.raises(ConfigError, match=r"key_file: give either this or key$"):
        loads(f'{APP}{TABLE}key_file = "{file}"\n')


def test_variables_stand_for_every_key_of_it() -> None:
    environ = {
        "SIGNAL_SDK_ADMIN_ADDRESS": "127.0.0.1:9000",
        "SIGNAL_SDK_ADMIN_KEYS_1_NAME": "board",
        "SIGNAL_SDK_ADMIN_KEYS_2_KEY": OLD_SECRET,
        "SIGNAL_SDK_ADMIN_KEYS_2_NAME": "second",
        "SIGNAL_SDK_ADMIN_KEYS_2_APP": "*",
        "SIGNAL_SDK_ADMIN_KEYS_2_RIGHTS": '["metrics", "read"]',
    }
    config = loads(f"{APP}{TABLE}", environ=environ)
    assert config.admin.address == "127.0.0.1:9000"
    assert [key.name for key in config.admin_keys] == ["board", "second"]
    assert config.admin_keys[1].rights == ("metrics", "read")
    with pytest.raises(ConfigError, match=r"^SIGNAL_SDK_ADMIN_KEYS_3_NAME: there is no table 2"):
        loads(f"{APP}{TABLE}", environ={"SIGNAL_SDK_ADMIN_KEYS_3_NAME": "third"})


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("admin = 1\n", "1: [admin] expected a table, got a number"),
        ("[admin]\nkeys = 1\n", "2: [[admin.keys]] expected an array of tables, got a number"),
        (
            "# one\n[[admin.key]]\n",
            (
                "2: [admin] unknown key 'key'; known keys: address, hosts, metrics_open, "
                "[[admin.keys]]"
            ),
        ),
        ("['admin.keys']\n", "1: unknown table or key 'admin.keys'; known tables: [server]"),
    ],
)
def test_what_is_no_such_table_is_refused(text: str, line: str) -> None:
    with pytest.raises(ConfigError) as caught:
        loads(text)
    assert str(caught.value).startswith(f"<string>:{line}")
