"""The configuration as it is printed and documented: every key, and each value as it reads back."""

from __future__ import annotations

import tomllib
from pathlib import Path

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from signal_sdk.errors import ConfigError
from signal_sdk.server.config import (
    AdminConfig,
    AppConfig,
    Config,
    LimitsConfig,
    NativeConfig,
    ServerConfig,
    dev,
    loads,
    markdown_tables,
    print_config,
)
from signal_sdk.server.config_errors import header
from signal_sdk.wire.looks import hidden_char
from tests.server.configs import TABLES, secret_config

DOCS = Path(__file__).parents[2] / "docs" / "configuration.md"

TEXT = st.text(st.characters(codec="utf-8"), min_size=1, max_size=20)
APP_IDS = st.text(st.characters(categories=["L", "N", "S"]), min_size=1, max_size=20).filter(
    lambda text: not hidden_char(text)
)
HOSTS = st.from_regex(r"[a-z0-9.-]{1,20}", fullmatch=True)
PORTS = st.integers(1, 65534)
# The one behind a plain port may be TLS's.
TCP_PORTS = st.lists(
    PORTS.map(lambda port: (port + 1) // 2 * 2), min_size=2, max_size=8, unique=True
)
IPV4 = st.ip_addresses(v=4).map(str)


@st.composite
def configs(draw: st.DrawFn) -> Config:
    """Any valid configuration without certificates."""
    ids = draw(st.lists(APP_IDS, max_size=3, unique=True))
    tls = draw(st.none() | st.tuples(TEXT, TEXT))
    cert, key = tls or ("", "")
    addresses = HOSTS | st.builds(lambda host, port: f"{host}:{port}", HOSTS, PORTS)
    native_addresses = IPV4 | st.builds(lambda host, port: f"{host}:{port}", IPV4, PORTS)
    tcp_ports = draw(TCP_PORTS)
    ports, native_ports = tcp_ports[::2], tcp_ports[1::2]
    return Config(
        server=ServerConfig(
            host=draw(TEXT),
            port=ports[0],
            also_listen=tuple(ports[1:]),
            cert=cert,
            key=key,
            advertise=tuple(draw(st.lists(addresses, max_size=3))),
            dev=not ids or draw(st.booleans()),
        ),
        native=NativeConfig(
            enabled=draw(st.booleans()),
            port=native_ports[0],
            also_listen=tuple(native_ports[1:]),
            lookup_ports=tuple(draw(st.lists(PORTS, max_size=3, unique=True))),
            advertise=tuple(draw(st.lists(native_addresses, max_size=3))),
        ),
        apps=tuple(
            AppConfig(
                id=app_id,
                allow_old_tokens=draw(st.booleans()),
                allow_no_token=draw(st.booleans()),
                channel_managers=tuple(draw(st.lists(TEXT, max_size=3))),
                listeners=tuple(draw(st.lists(TEXT, max_size=3))),
            )
            for app_id in ids
        ),
        limits=LimitsConfig(
            **{
                field.name: draw(
                    st.integers(
                        int(field.name == "history_events"), field.metadata["most"] or 2**70
                    )
                )
                for field in attrs.fields(LimitsConfig)
            }
        ),
        admin=AdminConfig(
            address=draw(st.just("") | st.builds("{}:{}".format, HOSTS, PORTS)),
            hosts=tuple(draw(st.lists(HOSTS, max_size=2))),
            metrics_open=draw(st.booleans()) and ports[0] < 60_000,
        ),
    )


@given(configs())
def test_what_is_printed_reads_back(config: Config) -> None:
    assert loads(print_config(config)) == config


@given(configs(), st.data())
def test_an_unknown_key_is_found_in_any_file(config: Config, data: st.DataObject) -> None:
    lines = print_config(config).split("\n")
    assignments = [number for number, line in enumerate(lines) if " = " in line and line[0] != "#"]
    at = data.draw(st.sampled_from(assignments))
    lines.insert(at, "unknown_key = 1")
    with pytest.raises(ConfigError, match=rf"^<string>:{at + 1}: .* unknown key 'unknown_key'; "):
        loads("\n".join(lines))


@pytest.mark.parametrize("config", [dev(), secret_config()], ids=["without apps", "with apps"])
def test_every_key_is_printed_with_its_text(config: Config) -> None:
    printed = print_config(config)
    words = " ".join(printed.replace("#", " ").split())
    for cls in TABLES.values():
        for field in attrs.fields(cls):
            assert f"\n{field.name} = " in printed.replace("\n# ", "\n")
            assert field.metadata["doc"] in words


# --- What is documented


def test_the_documentation_has_a_row_for_every_key() -> None:
    page = DOCS.read_text()
    for table, cls in TABLES.items():
        _, _, section = page.partition(f"## `{header(table)}`")
        rows = [row.split(" | ") for row in section.split("\n## ")[0].splitlines() if "| `" in row]
        documented = {
            name.strip("|` "): (tomllib.loads(f"value = {default.strip('`')}")["value"], text)
            for name, default, text in rows
        }
        assert documented == {
            field.name: (
                list(field.default) if isinstance(field.default, tuple) else field.default,
                f"{field.metadata['doc']} |",
            )
            for field in attrs.fields(cls)
        }


def test_the_documentation_s_tables_are_those_of_the_code() -> None:
    assert DOCS.read_text().endswith(f" -->\n\n{markdown_tables()}")


def test_the_documentation_s_example_is_valid() -> None:
    example = DOCS.read_text().partition("```toml\n")[2].partition("```")[0]
    assert len(loads(example).apps) == 1
