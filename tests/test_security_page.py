"""SECURITY.md and docs/security.md: what they name is there, and no bound is missing."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Final

import attrs
import pytest

from signal_sdk.server.config import loads
from signal_sdk.server.config_keys import TABLES
from signal_sdk.server.config_limits import LimitsConfig
from signal_sdk.server.refusals import LIMITS
from signal_sdk.wire import built_in, names

ROOT: Final = Path(__file__).parents[1]
PAGE: Final = (ROOT / "docs" / "security.md").read_text()
POLICY: Final = (ROOT / "SECURITY.md").read_text()


def section(title: str) -> str:
    """What stands under a heading, up to the next one."""
    return PAGE.split(f"\n## {title}\n")[1].split("\n## ")[0]


def test_the_table_of_bounds_has_every_limit_in_the_order_of_the_configuration() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (.+) \|$", section("What each bound stops"), re.MULTILINE)
    assert [key for key, _ in rows] == [field.name for field in attrs.fields(LimitsConfig)]
    assert all(len(text) > 20 for _, text in rows)


def test_the_limits_over_which_nobody_is_refused_anything_are_named() -> None:
    text = section("What each bound stops")
    said = re.search(r"client has said\. Over ([^.]+) nobody is refused anything\.", text)
    assert said is not None
    keys = [field.name for field in attrs.fields(LimitsConfig)]
    assert re.findall(r"`(\w+)`", said[1]) == [key for key in keys if key not in LIMITS]
    [label] = re.findall(r'`signal_sdk_refused_total\{limit="(\w+)"\}`', text)
    assert label in list(LIMITS)


def test_what_is_named_as_a_key_is_one() -> None:
    keys = {field.name for table in TABLES.values() for field in attrs.fields(table)}
    others = {"retry_after", "_auto_update_num", "CAP_NET_BIND_SERVICE"}
    named = set(re.findall(r"`(\w*_\w+)(?: = \w+)?`", PAGE)) - others
    assert named
    assert named <= keys


def test_the_fixed_bounds_are_those_of_the_wire() -> None:
    days = 24 * 3600
    assert f"at most {names.MAX_NAME_CHARS} characters, a message {names.MAX_MESSAGE_CHARS}" in PAGE
    assert f"{names.BYTES_PER_CHAR} times as many bytes" in PAGE
    assert f"one owner {names.MAX_ATTRS_BYTES // 1024**2} MiB" in PAGE
    assert f"ends within {built_in.MAX_CHANNEL_TTL_SECONDS // days} days\nand a message too" in PAGE
    assert names.MAX_TTL_SECONDS == built_in.MAX_CHANNEL_TTL_SECONDS


@pytest.mark.parametrize("text", [PAGE, POLICY], ids=["docs/security.md", "SECURITY.md"])
def test_commands_have_the_options_that_are_named(text: str) -> None:
    commands = re.findall(r"`signal-sdk ([^`]+)`", text)
    assert commands
    for command in commands:
        words = [word for word in command.split() if not word.startswith("-")]
        options = [word for word in command.split() if word.startswith("-")]
        names_only = [word for word in words if "." not in word]
        shown = subprocess.run(
            [sys.executable, "-m", "signal_sdk", *names_only, "--help"],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        assert all(option in shown for option in options)


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


APPS: Final = '[[apps]]\nid = "app"\ncertificate = "0123456789abcdef0123456789abcdef"\n'


def test_the_servers_behind_proxies_listen_where_those_connect() -> None:
    [nginx], [haproxy] = blocks("nginx"), blocks("haproxy")
    behind = [loads(text + APPS) for text in blocks("toml")]
    by_http, by_tcp = behind
    assert re.findall(r"http://127.0.0.1:(\d+)", nginx) == [str(by_http.server.port)]
    assert not by_http.server.proxy_protocol
    # Plain, TLS one port above it, native.
    plain, native = by_tcp.server.port, by_tcp.native.port
    ports = [int(port) for port in re.findall(r"127.0.0.1:(\d+) send-proxy-v2", haproxy)]
    assert ports == [plain, plain + 1, native]
    assert by_tcp.server.proxy_protocol
    assert by_tcp.native.enabled
    assert by_tcp.server.cert
    for config, proxy, listens in (
        (by_http, nginx, r"listen (\d+)"),
        (by_tcp, haproxy, r"bind :(\d+)"),
    ):
        assert config.server.trusted_proxies == ("127.0.0.1",)
        outside, tls, *more = map(int, re.findall(listens, proxy))
        assert tls == outside + 1
        assert config.server.advertise == (f"203.0.113.7:{outside}",)
        assert [f"203.0.113.7:{port}" for port in more] == list(config.native.advertise)


def test_both_are_linked_from_the_readme_and_to_each_other() -> None:
    readme = (ROOT / "README.md").read_text()
    assert "(docs/security.md)" in readme
    assert "(SECURITY.md)" in readme
    assert "(docs/security.md)" in POLICY
    assert "(../SECURITY.md)" in PAGE
    for target in re.findall(r"\]\(([\w./]+)", PAGE):
        assert (ROOT / "docs" / target).exists()
