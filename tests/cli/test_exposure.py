"""What a server's start warns of: each case, and the same put right."""

from __future__ import annotations

import os
from pathlib import Path

import attrs
import pytest

from signal_sdk.cli.exposure import app_warnings, warnings
from signal_sdk.server import config as configs
from signal_sdk.server.config import AdminConfig, AppConfig, Config, HooksConfig, ServerConfig
from tests.server.configs import ADMIN_KEY, admin_key

SECRET = "5cfd2fd1755d40ecb72977518be15d3b"
OLD = "0b2cf9f5bd6541f0a7e4c3d1e8f60a72"
APP = AppConfig(id="app", certificate=SECRET)


@pytest.fixture(autouse=True)
def somebody(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever runs the tests, it is not root."""
    monkeypatch.setattr(os, "geteuid", lambda: 1000)


def told(config: Config, path: Path | None = None) -> list[str]:
    found = list(warnings(config, str(path) if path else None))
    assert not any(secret in text for text in found for secret in (SECRET, OLD))
    assert all(text.isprintable() for text in found)
    return found


def file(folder: Path, name: str, text: str, mode: int) -> Path:
    path = folder / name
    path.write_text(text)
    path.chmod(mode)
    return path


def test_nothing_is_said_where_all_is_well() -> None:
    assert told(Config(apps=(APP,))) == []


def test_nothing_is_said_in_dev_mode(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    config = attrs.evolve(configs.dev(), apps=(AppConfig(id="app"),))
    assert told(config) == []
    assert list(app_warnings(config)) == []


@pytest.mark.parametrize(
    ("app", "text"),
    [
        (AppConfig(id="a"), 'the app "a" has no certificate: anybody can log in'),
        (
            attrs.evolve(APP, allow_no_token=True),
            'the app "app" allows logins without a token (allow_no_token): anybody can log in',
        ),
        (AppConfig(id="a", allow_no_token=True), 'the app "a" has no certificate: '),
    ],
)
def test_an_app_that_lets_everybody_in_is_told(app: AppConfig, text: str) -> None:
    [found] = told(Config(apps=(app,)))
    assert found.startswith(text)
    assert list(app_warnings(Config(apps=(app,)))) == [found]


@pytest.mark.parametrize(("mode", "is_told"), [(0o604, True), (0o644, True), (0o640, False)])
def test_a_key_that_everybody_can_read_is_told(tmp_path: Path, mode: int, is_told: bool) -> None:
    key = file(tmp_path, "key.pem", "x", mode)
    config = Config(server=ServerConfig(cert="cert.pem", key=str(key)), apps=(APP,))
    text = f"{key}: every user of this machine can read this private key: chmod o-r"
    assert told(config) == [text] * is_told


@pytest.mark.parametrize(("mode", "is_told"), [(0o604, True), (0o600, False)])
@pytest.mark.parametrize(
    "text", [f'redis = "redis://:{SECRET}@h"', f'redis = "redis://h"\nredis_password = "{SECRET}"']
)
def test_a_redis_s_password_that_everybody_can_read_is_told(
    tmp_path: Path, text: str, mode: int, is_told: bool
) -> None:
    own = file(tmp_path, "password", SECRET, mode)
    path = file(tmp_path, "signal.toml", f"[server]\ndev = true\n{text}\n", mode)
    server = attrs.evolve(configs.load(path).server, dev=False)
    config = Config(server=server, apps=(APP,))
    said = f"{path}: every user of this machine can read the secrets in this configuration"
    assert told(config, path) == [f"{said}: chmod o-r"] * is_told
    server = ServerConfig(redis=("redis://h",), redis_password_file=str(own))
    said = f"{own}: every user of this machine can read the password of Redis: chmod o-r"
    assert told(Config(server=server, apps=(APP,))) == [said] * is_told


@pytest.mark.parametrize(("mode", "is_told"), [(0o604, True), (0o600, False)])
def test_a_secret_of_hooks_that_everybody_can_read_is_told(
    tmp_path: Path, mode: int, is_told: bool
) -> None:
    own, old = file(tmp_path, "own", SECRET, mode), file(tmp_path, "old", OLD, mode)
    text = f'[hooks]\nurl = "https://h/"\nsecret = "{SECRET}"\n'
    path = file(tmp_path, "signal.toml", f"[server]\ndev = true\n{text}", mode)
    config = Config(apps=(APP,), hooks=configs.load(path).hooks)
    said = f"{path}: every user of this machine can read the secrets in this configuration"
    assert told(config, path) == [f"{said}: chmod o-r"] * is_told
    hooks = HooksConfig(
        url="https://h/",
        secret=SECRET,
        secret_file=str(own),
        old_secret=OLD,
        old_secret_file=str(old),
    )
    assert (
        told(Config(apps=(APP,), hooks=hooks))
        == [
            f"{it}: every user of this machine can read this secret of hooks: chmod o-r"
            for it in (own, old)
        ]
        * is_told
    )


@pytest.mark.parametrize(("mode", "is_told"), [(0o604, True), (0o600, False)])
def test_a_certificate_that_everybody_can_read_is_told(
    tmp_path: Path, mode: int, is_told: bool
) -> None:
    one, two = file(tmp_path, "one", SECRET, mode), file(tmp_path, "two", OLD, mode)
    text = f'[[apps]]\nid = "app"\ncertificate_file = "{one}"\nold_certificate_files = ["{two}"]\n'
    # The configuration itself holds no secret then, and may be read.
    path = file(tmp_path, "signal.toml", text, 0o644)
    found = told(configs.load(path), path)
    assert found == [
        f'{name}: every user of this machine can read this certificate of the app "app": chmod o-r'
        for name in (one, two)
        if is_told
    ]


@pytest.mark.parametrize(("mode", "is_told"), [(0o644, True), (0o640, False)])
@pytest.mark.parametrize(
    "keys",
    [f'certificate = "{SECRET}"', f'certificate = "$SIGNAL_SDK_X"\nold_certificates = ["{OLD}"]'],
)
def test_a_configuration_with_secrets_that_everybody_can_read_is_told(
    tmp_path: Path, keys: str, mode: int, is_told: bool
) -> None:
    path = file(tmp_path, "signal.toml", f'[[apps]]\nid = "app"\n{keys}\n', mode)
    text = f"{path}: every user of this machine can read the secrets in this configuration"
    config = configs.load(path, environ={"SIGNAL_SDK_X": SECRET})
    assert told(config, path) == [f"{text}: chmod o-r"] * is_told


@pytest.mark.parametrize(
    ("mode", "whose"),
    [(0o602, "every user of this machine"), (0o620, "its whole group"), (0o600, "")],
)
def test_a_configuration_that_others_can_write_is_told(
    tmp_path: Path, mode: int, whose: str
) -> None:
    path = file(tmp_path, "signal.toml", '[[apps]]\nid = "app"\n', mode)
    text = f"{path}: {whose} can write this configuration: chmod go-w"
    assert told(Config(apps=(APP,)), path) == [text] * bool(whose)


def test_root_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    [found] = told(Config(apps=(APP,)))
    assert found.startswith("running as root: ")


def test_what_is_not_there_is_not_told(tmp_path: Path) -> None:
    """Whoever needs it says so."""
    config = Config(server=ServerConfig(cert="c", key=str(tmp_path / "none")), apps=(APP,))
    assert told(config, tmp_path / "nowhere.toml") == []


def test_an_admin_address_that_others_can_reach_is_told(tmp_path: Path) -> None:
    config = Config(apps=(APP,), admin_keys=(admin_key(),))
    assert told(config) == []
    for address, is_told in (("10.1.2.3:1", True), ("localhost:1", False), ("[::1]:1", False)):
        found = told(attrs.evolve(config, admin=AdminConfig(address=address)))
        begins = [text.startswith("the admin address ") and "no TLS" in text for text in found]
        assert begins == [True] * is_told
    none = Config(apps=(APP,), admin=AdminConfig(address="10.1.2.3:1"))
    assert told(none) == [
        "[admin] address is not opened: nobody has a key to it; add [[admin.keys]]"
    ]


def test_a_key_to_the_admin_address_that_everybody_can_read_is_told(tmp_path: Path) -> None:
    key = file(tmp_path, "key", ADMIN_KEY, 0o644)
    found = Config(apps=(APP,), admin_keys=(admin_key(key_file=str(key)),))
    [text] = told(found)
    assert text.startswith(f"{key}: every user of this machine can read this key to the admin")
    key.chmod(0o640)
    assert told(found) == []
    path = file(tmp_path, "signal.toml", f'key = "{ADMIN_KEY}"', 0o644)
    [text] = told(Config(apps=(APP,), admin_keys=(admin_key(),)), path)
    assert "can read the secrets in this configuration" in text
    assert ADMIN_KEY not in text
