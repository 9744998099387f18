"""`[hooks]`: what is refused, and that no secret shows."""

from __future__ import annotations

from pathlib import Path

import pytest

from signal_sdk.errors import ConfigError
from signal_sdk.server.config import HooksConfig, loads, print_config
from signal_sdk.server.config_hooks import ASKED, TOLD, key_of
from signal_sdk.server.engine.happened import HOOKED
from signal_sdk.server.hooks import verdicts
from tests.server.hooks.backend import SECRET

HEAD = "[server]\ndev = true\n[hooks]\n"
GOOD = f'{HEAD}url = "https://backend.example/hooks"\nsecret = "{SECRET}"\n'


def test_the_words_are_those_of_the_engine_and_of_the_rules() -> None:
    assert TOLD == HOOKED
    assert ASKED == (verdicts.LOGIN, verdicts.JOIN, verdicts.INVITE)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('url = "ftp://host/"', "4: [hooks] url: expected https://HOST/PATH or http://HOST/PATH"),
        ('url = "host/path"', "4: [hooks] url: expected https://HOST/PATH"),
        ('url = "https://host:99999/"', "4: [hooks] url: expected https://HOST/PATH"),
        ('url = "https://me:pass@host/"', "4: [hooks] url: may name no user"),
        ('url = "https://host/#x"', "4: [hooks] url: may have no fragment"),
        ('url = "https://host/"', "4: [hooks] url: needs what requests are signed with"),
        ('ask_url = "https://host/"', "4: [hooks] ask_url: needs what requests are signed with"),
        ('secret = "short"', "4: [hooks] secret: expected 32 characters or more"),
        ('secret = "whsec_c2hvcnQ="', "4: [hooks] secret: expected a key of 24 bytes or more"),
        ('secret = "whsec_!"', "4: [hooks] secret: what follows whsec_ is no Base64"),
        (f'old_secret = "{SECRET}"', "4: [hooks] old_secret: needs the secret that is in force"),
        ('kinds = ["login", "logins"]', "4: [hooks] kinds: expected one of login, logout"),
        ('ask = ["leave"]', '4: [hooks] ask: expected one of login, join, invite, got "leave"'),
        ('ask = ["login"]', "4: [hooks] ask: needs whom to ask: set url, or ask_url"),
        ('ask_default = "no"', '4: [hooks] ask_default: expected "allow" or "refuse", got "no"'),
        ("queue_events = 0", "4: [hooks] queue_events: expected 1 to 10000000, got 0"),
        ("secret = 5", "4: [hooks] secret: expected a string, got a number"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(text: str, told: str) -> None:
    with pytest.raises(ConfigError) as caught:
        loads(HEAD + text)
    assert told in str(caught.value)
    assert "short" not in str(caught.value).replace("a shorter", "")
    assert "pass" not in str(caught.value)


def test_secrets_come_from_files_and_from_the_environment(tmp_path: Path) -> None:
    (tmp_path / "new").write_text(f"{SECRET}\n")
    text = f'{HEAD}url = "http://host/"\nsecret_file = "{tmp_path}/new"\n'
    hooks = loads(text).hooks
    assert hooks.secret == SECRET
    environ = {"SIGNAL_SDK_HOOKS_SECRET": SECRET, "SIGNAL_SDK_HOOKS_URL": "http://host/"}
    assert loads("[server]\ndev = true\n", environ=environ).hooks == HooksConfig(
        url="http://host/", secret=SECRET
    )


def test_no_secret_shows() -> None:
    config = loads(f'{GOOD}old_secret = "{SECRET[::-1]}"\n')
    for shown in (repr(config), print_config(config)):
        assert SECRET not in shown
        assert SECRET[::-1] not in shown


def test_a_secret_is_its_bytes_or_what_it_holds_in_base64() -> None:
    assert key_of(SECRET) == SECRET.encode()
    assert key_of("whsec_QUJDREVGR0hJSktMTU5PUFFSU1RVVldY") == b"ABCDEFGHIJKLMNOPQRSTUVWX"
