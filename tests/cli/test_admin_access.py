"""The way to the admin address: from options, a configuration or the environment, and no secret on
the command line or in what is said.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from signal_sdk.cli.admin_access import Access, access_of
from signal_sdk.cli.main import cli
from tests.cli.looked_at import Certificates
from tests.cli.serves import write_config
from tests.server.admin.helpers import APP_KEY, KEY, WRONG_KEY


@pytest.fixture(autouse=True)
def nothing_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SIGNAL_SDK_OPERATOR_KEY", "SIGNAL_SDK_OPERATOR_URL"):
        monkeypatch.delenv(name, raising=False)


def access(**options: Any) -> Access:
    return access_of(**{"admin": None, "key_file": None, "config": None, "ca": None} | options)


def config(folder: Path, more: str = "") -> str:
    keys = "".join(
        f'[[admin.keys]]\nname = "k{number}"\nkey = "{key}"\napp = "{app}"\nrights = {rights}\n'
        for number, (key, app, rights) in enumerate(
            [
                (WRONG_KEY, "a", '["read"]'),
                (APP_KEY, "*", '["read", "send"]'),
                (KEY, "*", '["metrics", "read"]'),
            ]
        )
    )
    return write_config(folder, f'[server]\nport = 9000\n{more}\n[[apps]]\nid = "a"\n{keys}')


def test_a_configuration_has_the_address_and_the_best_key(tmp_path: Path) -> None:
    assert access(config=config(tmp_path)) == Access(url="http://127.0.0.1:9010", key=KEY)
    found = access(config=config(tmp_path), admin="https://admin.example.com")
    assert found == Access(url="https://admin.example.com", key=KEY)


@pytest.mark.parametrize(
    ("address", "url"),
    [
        ("0.0.0.0:1", "http://127.0.0.1:1"),
        ("[::]:1", "http://[::1]:1"),
        ("10.0.0.1:8", "http://10.0.0.1:8"),
    ],
)
def test_what_is_listened_on_everywhere_is_reached_here(
    tmp_path: Path, address: str, url: str
) -> None:
    found = access(config=config(tmp_path, f'[admin]\naddress = "{address}"'))
    assert found.url == url


def test_the_environment_and_a_file_have_the_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SIGNAL_SDK_OPERATOR_KEY", f"{APP_KEY}\n")
    assert access() == Access(url="http://127.0.0.1:8011", key=APP_KEY)
    monkeypatch.setenv("SIGNAL_SDK_OPERATOR_URL", "http://there:1")
    file = tmp_path / "key"
    file.write_text(f"{KEY}\n")
    assert access(key_file=str(file)) == Access(url="http://there:1", key=KEY)
    assert access(config=config(tmp_path)).url == "http://there:1"
    assert access(admin="http://here:1").url == "http://here:1"


def test_nothing_shows_the_key() -> None:
    assert KEY not in repr(Access(url="http://h:1", key=KEY))
    assert KEY not in repr(Access(url="http://h:1", key=KEY).client())


def test_a_ca_is_trusted_with_https(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIGNAL_SDK_OPERATOR_KEY", KEY)
    found = access(admin="https://h:1", ca=Certificates(tmp_path).ca)
    assert "AsyncAdminClient" in repr(found.client())


@pytest.mark.parametrize(
    ("args", "text"),
    [
        ((), "signal-sdk status: give the key: --key-file, --config, or $SIGNAL_SDK_OPERATOR_KEY"),
        (("--key-file", "k", "--config", "c"), "signal-sdk status: give --key-file or --config"),
        (("--key-file", "/no/such"), "signal-sdk: /no/such: No such file or directory"),
        (("--key-file", "EMPTY"), "signal-sdk: EMPTY: the key is empty"),
        (("--key-file", "BINARY"), "signal-sdk: BINARY: not UTF-8 text"),
        (("--key-file", "ODD"), "signal-sdk status: the key has characters that no key has"),
        (("--config", "APPS"), 'signal-sdk: APPS: none of [[admin.keys]] has the right "read"'),
        (("--key-file", "KEY", "--admin", "h:1"), "signal-sdk status: --admin is an address that"),
        (("--key-file", "KEY", "--admin", "http://[::1"), "signal-sdk status: --admin is an addr"),
        (("--key-file", "KEY", "--admin", "http://h:99999"), "signal-sdk status: --admin is an a"),
        (
            ("--key-file", "KEY", "--admin", "http://h:1", "--ca", "c"),
            "signal-sdk status: --ca goes with an address that begins with https://",
        ),
        (
            ("--key-file", "KEY", "--admin", "https://h:1", "--ca", "/no/such"),
            "signal-sdk: cannot use the CA in /no/such: No such file",
        ),
    ],
)
def test_what_is_wrong_is_one_line_and_exit_code_2(
    tmp_path: Path, args: tuple[str, ...], text: str
) -> None:
    contents = {
        "EMPTY": b"\n",
        "BINARY": b"\xff",
        "ODD": "k\u00e9y".encode(),
        "KEY": KEY.encode(),
        "APPS": b'[[apps]]\nid = "a"\n',
    }
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    result = CliRunner().invoke(
        cli, ["status", *(str(tmp_path / it) if it in contents else it for it in args)]
    )
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.replace(f"{tmp_path}/", "").startswith(text)
    assert result.stderr.count("\n") == 1
    assert KEY not in result.stderr
