"""The configuration file: what is read of it, and what stands where it says nothing."""

from __future__ import annotations

from pathlib import Path

import attrs
import pytest

from signal_sdk.errors import ConfigError
from signal_sdk.server.config import (
    AppConfig,
    Config,
    LimitsConfig,
    NativeConfig,
    ServerConfig,
    dev,
    load,
    loads,
    parse_address,
    print_config,
)
from tests.server.configs import OLD_SECRET, SECRET


def test_every_key_has_a_default() -> None:
    config = loads('[[apps]]\nid = "app"\n')
    assert config == Config(apps=(AppConfig(id="app"),))
    assert config.server == ServerConfig(
        host="127.0.0.1",
        port=8001,
        also_listen=(),
        cert="",
        key="",
        advertise=(),
        data="",
        redis=(),
        redis_password="",
        redis_password_file="",
        redis_prefix="signal",
        workers=1,
        durability="process",
        replicas=1,
        drain_seconds=10,
        clock_skew_seconds=60,
        dev=False,
    )
    assert config.native == NativeConfig(
        enabled=False,
        port=8003,
        also_listen=(),
        lookup_ports=(8180, 8181),
        advertise=(),
    )
    assert config.limits == LimitsConfig(
        user_messages_per_second=60,
        channel_messages_per_second=1000,
        channel_joins_per_second=3000,
        channel_attributes_per_second=60,
        frames_per_second=500,
        changes_per_second=100,
        questions_per_second=300,
        count_push_seconds=5,
        max_frame_bytes=131072,
        compress_over_bytes=4096,
        lookups_per_second=20,
        max_connections=20_000,
        app_connections=15_000,
        connections_per_address=1000,
        connections_per_second=200,
        logins_per_second=100,
        wrong_logins_per_minute=60,
        account_logins_per_minute=60,
        memory_percent=80,
        outbox_bytes=4194304,
        inbox_messages=10000,
        inbox_bytes=16 * 1024 * 1024,
        inbox_sender_messages=2000,
        session_channels=100,
        account_channels=1000,
        account_calls=100,
        account_locks=100,
        channel_locks=100,
        lock_waiters=1000,
        app_accounts=1_000_000,
        app_channels=100_000,
        app_bytes=1024 * 1024 * 1024,
        attributes=256,
        handshake_seconds=10,
        history_events=256,
        history_seconds=60,
        silence_seconds=40,
    )


def test_every_key_is_read() -> None:
    keys = [field.name for field in attrs.fields(LimitsConfig)]
    limits = "\n".join(f"{key} = {number}" for number, key in enumerate(keys, 1))
    config = loads(
        f"""
        [server]
        host = "0.0.0.0"
        port = 0
        also_listen = [80, 8080]
        cert = "cert.pem"
        key = "key.pem"
        advertise = ["signal.example.com:9001", "203.0.113.7", "[::1]:8001"]
        allowed_origins = ["https://example.com", "null"]
        trusted_proxies = ["10.0.0.0/8"]
        proxy_protocol = true
        data = "/var/lib/signal"
        durability = "power"
        drain_seconds = 30
        clock_skew_seconds = 5
        dev = true

        [native]
        enabled = true
        port = 9003
        also_listen = [9004, 9005]
        lookup_ports = [9180]
        advertise = ["203.0.113.7:9003", "203.0.113.8", "[::ffff:203.0.113.9]:9003"]

        [[apps]]
        id = "one"
        certificate = "{SECRET}"
        old_certificates = ["{OLD_SECRET}"]
        allow_old_tokens = false
        allow_no_token = true
        listeners = ["desk", "watch"]
        channel_managers = ["caretaker"]

        [[apps]]
        id = "two"

        [limits]
        {limits}
        """
    )
    assert config.server == ServerConfig(
        host="0.0.0.0",  # noqa: S104 -- read and compared, not listened on
        port=0,
        also_listen=(80, 8080),
        cert="cert.pem",
        key="key.pem",
        advertise=("signal.example.com:9001", "203.0.113.7", "[::1]:8001"),
        allowed_origins=("https://example.com", "null"),
        trusted_proxies=("10.0.0.0/8",),
        proxy_protocol=True,
        data="/var/lib/signal",
        durability="power",
        drain_seconds=30,
        clock_skew_seconds=5,
        dev=True,
    )
    assert config.native == NativeConfig(
        enabled=True,
        port=9003,
        also_listen=(9004, 9005),
        lookup_ports=(9180,),
        advertise=("203.0.113.7:9003", "203.0.113.8", "[::ffff:203.0.113.9]:9003"),
    )
    assert config.apps == (
        AppConfig(
            id="one",
            certificate=SECRET,
            old_certificates=(OLD_SECRET,),
            allow_old_tokens=False,
            allow_no_token=True,
            listeners=("desk", "watch"),
            channel_managers=("caretaker",),
        ),
        AppConfig(id="two"),
    )
    assert attrs.astuple(config.limits) == tuple(range(1, 1 + len(keys)))


def test_development_needs_no_file() -> None:
    assert dev() == loads("[server]\ndev = true")
    assert dev().server.dev
    assert dev().apps == ()


def test_the_command_line_s_dev_adds_to_the_file() -> None:
    config = loads('[[apps]]\nid = "app"\n[server]\nport = 9\n', dev=True)
    assert config == Config(
        server=ServerConfig(port=9, dev=True),
        native=NativeConfig(enabled=True),
        apps=(AppConfig(id="app"),),
    )
    assert loads("", dev=True) == dev()


@pytest.mark.parametrize(
    ("text", "by_flag", "enabled"),
    [
        ("", True, True),
        ("[server]\ndev = true\n", False, True),
        ("[server]\ndev = true\n[native]\nport = 9003\n", False, True),
        ("[server]\ndev = true\n[native]\nenabled = false\n", False, False),
        ("[native]\nenabled = false\n", True, False),
        ('[[apps]]\nid = "app"\n', False, False),
        ('[[apps]]\nid = "app"\n[native]\nport = 9003\n', False, False),
        ('[[apps]]\nid = "app"\n[native]\nenabled = true\n', False, True),
    ],
)
def test_dev_mode_serves_native_clients_unless_the_file_says_otherwise(
    text: str, by_flag: bool, enabled: bool
) -> None:
    assert loads(text, dev=by_flag).native.enabled is enabled


@pytest.mark.parametrize(
    ("text", "by_default"),
    [
        ("[server]\ndev = true\n", True),
        ("[server]\ndev = true\n[native]\n", True),
        ("[server]\ndev = true\n[native]\nenabled = true\n", False),
        ("[server]\ndev = true\n[native]\nport = 9003\n", False),
        ('[[apps]]\nid = "app"\n', False),
    ],
)
def test_native_clients_are_asked_for_where_the_file_says_anything_of_them(
    text: str, by_default: bool
) -> None:
    assert loads(text).native_by_default is by_default
    assert dev().native_by_default


@pytest.mark.parametrize(
    "text",
    [
        # Nobody listens there.
        '[[apps]]\nid = "app"\n[server]\nport = 8003\n[native]\nenabled = false\n',
        # The server does without native clients.
        "[server]\ndev = true\nport = 8003\n",
        # There is no TLS.
        '[[apps]]\nid = "app"\n[server]\nport = 8002\n[native]\nenabled = true\n',
        # Theirs is any other one.
        "[server]\ndev = true\nport = 0\nalso_listen = [8003]\n[native]\nenabled = true\n",
        '[[apps]]\nid = "app"\n[native]\nenabled = true\nport = 0\n',
    ],
)
def test_ports_that_nobody_else_listens_on_are_read(text: str) -> None:
    """And printed as they can be read."""
    config = loads(text)
    again = loads(print_config(config))
    assert (again, again.native_by_default) == (config, config.native_by_default)


def test_ports_that_only_look_alike_are_read() -> None:
    """0 is any port, which is no port twice; TCP's and UDP's are not one another's."""
    config = loads(
        """
        [server]
        dev = true
        port = 0
        [native]
        port = 8180
        also_listen = [8181]
        lookup_ports = [0, 0, 8180]
        """
    )
    assert config.native.lookup_ports == (0, 0, 8180)


def test_a_file_is_read_as_utf8(tmp_path: Path) -> None:
    path = tmp_path / "signal.toml"
    path.write_bytes('[[apps]]\nid = "日本"\r\n'.encode())
    assert load(path).apps[0].id == "日本"
    assert load(str(path), dev=True).server.dev


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("203.0.113.7:8001", ("203.0.113.7", 8001)),
        ("signal.example.com", ("signal.example.com", None)),
        ("[2001:db8::1]:8001", ("2001:db8::1", 8001)),
        ("[2001:db8::1]", ("2001:db8::1", None)),
        ("[::ffff:192.0.2.7]:8001", ("192.0.2.7", 8001)),
        ("[::FFFF:c000:207]", ("192.0.2.7", None)),
        ("[0:0:0:0:0:ffff:192.0.2.7]:1", ("192.0.2.7", 1)),
        ("[192.0.2.7]:8001", ("192.0.2.7", 8001)),
    ],
)
def test_an_advertised_address_has_a_host_and_maybe_a_port(
    text: str, address: tuple[str, int | None]
) -> None:
    assert parse_address(text) == address


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a b",
        ":8001",
        "a:",
        "a:b",
        "a:0",
        "a:65536",
        "::1",
        "ws://a/",
        "[]:1",
        "a\n",
        "[:::]:1",
        "[1.2]",
    ],
)
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="expected"):
        parse_address(text)


@pytest.mark.parametrize("name", [field.name for field in attrs.fields(LimitsConfig)])
def test_0_is_no_limit_and_the_table_says_so(name: str) -> None:
    config = loads(f"[server]\ndev = true\n[limits]\n{name} = 0\n")
    assert getattr(config.limits, name) == 0
    doc = attrs.fields_dict(LimitsConfig)[name].metadata["doc"]
    assert "0 is no limit" in " ".join(doc.split())


def test_not_both_bounds_of_a_channel_s_history_may_be_0_and_the_table_says_so() -> None:
    limits = attrs.fields_dict(LimitsConfig)
    for name in ("history_events", "history_seconds"):
        assert "not both may be 0" in limits[name].metadata["doc"]
    with pytest.raises(ConfigError, match="history_events: may not be 0 where history_seconds is"):
        loads("[server]\ndev = true\n[limits]\nhistory_events = 0\nhistory_seconds = 0\n")


def test_a_draft_may_let_nobody_log_in_yet() -> None:
    text = print_config(loads("", is_draft=True))
    assert print_config(loads(text, is_draft=True)) == text
    with pytest.raises(ConfigError, match="nobody could log in"):
        loads(text)
