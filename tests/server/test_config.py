"""The configuration file: what is read, what is refused and with which words, what is printed."""

from __future__ import annotations

import tomllib
import traceback
from pathlib import Path
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from signal_sdk.errors import ConfigError, SignalSdkError
from signal_sdk.server.config import (
    AppConfig,
    Config,
    LimitsConfig,
    NativeConfig,
    ServerConfig,
    dev,
    load,
    loads,
    markdown_tables,
    parse_address,
    print_config,
)
from signal_sdk.server.config_env import has_settings, variable
from signal_sdk.wire.looks import hidden_char

DOCS = Path(__file__).parents[2] / "docs" / "configuration.md"
SECRET = "5cfd2fd1755d40ecb72977518be15d3b"
OLD_SECRET = "0b2cf9f5bd6541f0a7e4c3d1e8f60a72"
SERVER_KEYS = (
    "host, port, also_listen, cert, key, advertise, allowed_origins, trusted_proxies, "
    "proxy_protocol, data, redis, redis_password, redis_password_file, redis_prefix, workers, "
    "durability, replicas, drain_seconds, clock_skew_seconds, dev"
)
APP_KEYS = (
    "id, certificate, certificate_file, old_certificates, old_certificate_files, allow_old_tokens, "
    "allow_no_token, listeners, channel_managers"
)
NATIVE_KEYS = "enabled, port, also_listen, lookup_ports, advertise"
TABLES = {
    "server": ServerConfig,
    "native": NativeConfig,
    "apps": AppConfig,
    "limits": LimitsConfig,
}


# --- What is read


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
        account_channels=1000,
        account_calls=100,
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


# --- What is refused

TLS = 'cert = "a.pem"\nkey = "a.key"\n'
NO_IPV4 = '[native] advertise: expected "address:port" or "address", an IPv4 one, got'
REFUSED = {
    "unknown table": (
        "[server]\ndev = true\n[limit]\n",
        "3: unknown table or key 'limit'; known tables: [server], [native], [[apps]], [limits]",
    ),
    "unknown key": (
        "[server]\n\n# dvé = 1\ndvé = true\n".replace("dvé", '"dvé"'),
        f"4: [server] unknown key 'dvé'; known keys: {SERVER_KEYS}",
    ),
    "unknown key of the second app": (
        '[[apps]]\nid = "a"\n[[apps]]\nid = "b"\nname = "c"\n',
        f"5: [[apps]] unknown key 'name'; known keys: {APP_KEYS}",
    ),
    "unknown key of an inline app": (
        'apps = [\n  {id = "a"},\n  {id = "b", name = "c"},\n]\n',
        f"3: [[apps]] unknown key 'name'; known keys: {APP_KEYS}",
    ),
    "an unknown table below a known one": (
        "[server]\ndev = true\n[server.tls]\n",
        f"3: [server] unknown key 'tls'; known keys: {SERVER_KEYS}",
    ),
    "string for integer": (
        '# port = 1\n[server]\nport = "80a"\n',
        '3: [server] port: expected an integer, got "80a"',
    ),
    "float for integer": (
        "limits.max_connections = 1.0\n",
        "1: [limits] max_connections: expected an integer, got 1.0",
    ),
    "boolean for integer": (
        "[server]\nport = true\n",
        "2: [server] port: expected an integer, got true",
    ),
    "integer for boolean": (
        "[server]\n'dev' = 1\n",
        "2: [server] dev: expected true or false, got 1",
    ),
    "integer for string": (
        '[server]\nhost = 1\nadvertise = ["host = 1"]',
        "2: [server] host: expected a string, got 1",
    ),
    "date for string": (
        "[server]\nhost = 2020-06-30\n",
        "2: [server] host: expected a string, got a date or a time",
    ),
    "table for string": (
        "[server]\n[server.host]\n",
        "2: [server] host: expected a string, got a table",
    ),
    "string for array": (
        '[server]\nadvertise = "a"\n',
        '2: [server] advertise: expected an array of strings, got "a"',
    ),
    "integer in an array of strings": (
        '[server]\nadvertise = [\n  "a", # ]\n  "]",\n  5,\n]\n',
        "5: [server] advertise: expected only strings in the array, got 5",
    ),
    "unknown key of native": (
        "[native]\nudp_ports = [8180]\n",
        f"2: [native] unknown key 'udp_ports'; known keys: {NATIVE_KEYS}",
    ),
    "boolean for the table of native": (
        "native = true\n",
        "1: [native] expected a table, got true or false",
    ),
    "integer for array of integers": (
        "[server]\nalso_listen = 80\n",
        "2: [server] also_listen: expected an array of integers, got 80",
    ),
    "string in an array of integers": (
        '[server]\nalso_listen = [\n  80, # ]\n  "81",\n]\n',
        '4: [server] also_listen: expected only integers in the array, got "81"',
    ),
    "boolean in an array of integers": (
        "[native]\nlookup_ports = [8180, true]\n",
        "2: [native] lookup_ports: expected only integers in the array, got true",
    ),
    "another port out of bounds": (
        "[server]\nalso_listen = [\n  80,\n  65536,\n]\n",
        "4: [server] also_listen: expected 1 to 65535, got 65536",
    ),
    "another port that is any": (
        "[native]\nalso_listen = [\n  0,\n]\n",
        "3: [native] also_listen: expected 1 to 65535, got 0",
    ),
    "lookup port out of bounds": (
        "[native]\nlookup_ports = [\n  0,\n  8181,\n  -1,\n]\n",
        "5: [native] lookup_ports: expected 0 to 65535, got -1",
    ),
    "native port out of bounds": (
        "[native]\nport = 65536\n",
        "2: [native] port: expected 0 to 65535, got 65536",
    ),
    "port once more": (
        "[server]\nport = 80\nalso_listen = [\n  8080,\n  80,\n]\n",
        "5: [server] also_listen: the port 80 is named twice",
    ),
    "default port once more": (
        "[server]\nalso_listen = [8001]\n",
        "2: [server] also_listen: the port 8001 is named twice",
    ),
    "another port twice": (
        "[native]\nalso_listen = [\n  8004,\n  8005,\n  8004,\n]\n",
        "5: [native] also_listen: the port 8004 is named twice",
    ),
    "native port once more": (
        "[native]\nport = 9003\nalso_listen = [9003]\n",
        "3: [native] also_listen: the port 9003 is named twice",
    ),
    "lookup port twice": (
        "[native]\nlookup_ports = [\n  8180,\n  8180,\n]\n",
        "4: [native] lookup_ports: the port 8180 is named twice",
    ),
    "port of TLS once more": (
        f"[server]\nport = 442\n{TLS}also_listen = [\n  80,\n  443,\n]\n",
        "7: [server] also_listen: the port 443 is taken by TLS, on [server] port + 1",
    ),
    "native port that is a plain one": (
        "[native]\nenabled = true\nport = 9001\n[server]\nport = 9001\n",
        "3: [native] port: the port 9001 is taken by [server] port",
    ),
    "native port that is another plain one": (
        "[native]\nenabled = true\nport = 80\n[server]\nalso_listen = [8080, 80]\n",
        "3: [native] port: the port 80 is taken by [server] also_listen",
    ),
    "native port by default, of TLS": (
        f"[server]\nport = 8002\n{TLS}[native]\nenabled = true\n",
        "5: [native] port: the port 8003 is taken by TLS, on [server] port + 1",
    ),
    "another native port that is a plain one": (
        "[native]\nenabled = true\nalso_listen = [\n  80,\n  8001,\n]\n",
        "5: [native] also_listen: the port 8001 is taken by [server] port",
    ),
    "another native port that is one of TLS": (
        f"[native]\nenabled = true\nalso_listen = [443]\n[server]\nport = 442\n{TLS}",
        "3: [native] also_listen: the port 443 is taken by TLS, on [server] port + 1",
    ),
    "native address that is a name": (
        '[native]\nadvertise = [\n  "203.0.113.7",\n  "signal.example.com:8003",\n]\n',
        f'4: {NO_IPV4} "signal.example.com:8003"',
    ),
    "native address of IPv6": (
        '[native]\nadvertise = ["[2001:db8::1]:8003"]\n',
        f'2: {NO_IPV4} "[2001:db8::1]:8003"',
    ),
    "native address that is none": (
        '[native]\nadvertise = ["203.0.113.7:0"]\n',
        f'2: {NO_IPV4} "203.0.113.7:0"',
    ),
    "no limit of lookups": (
        "[limits]\nlookups_per_second = -1\n",
        "2: [limits] lookups_per_second: expected 0 or more, got -1",
    ),
    "array of arrays": (
        '[server]\nadvertise = [["a"]]\n',
        "2: [server] advertise: expected only strings in the array, got an array",
    ),
    "long values": (
        f'[server]\nport = "{"9" * 1000}"\n',
        f'2: [server] port: expected an integer, got "{"9" * 39}...',
    ),
    "values of several lines": (
        '[server]\nport = """a\nb\u2028"""\n',
        '2: [server] port: expected an integer, got "a\\nb\\u2028"',
    ),
    "a table that is a value": (
        "limits = 5\n",
        "1: [limits] expected a table, got a number",
    ),
    "one app as a table": (
        '[apps]\nid = "a"\n',
        "1: [[apps]] expected an array of tables, got a table",
    ),
    "an app that is a value": (
        'apps = [\n"a"]\n',
        "2: [[apps]] expected a table, got a string",
    ),
    "port too high": (
        "[server]\nport = 65536\n",
        "2: [server] port: expected 0 to 65535, got 65536",
    ),
    "port below zero": (
        "[server]\nport = -1\n",
        "2: [server] port: expected 0 to 65535, got -1",
    ),
    "no port for TLS": (
        '[server]\ncert = "c"\nkey = "k"\nport = 65535\n',
        "4: [server] port: leaves no port + 1 for TLS: at most 65534",
    ),
    "limit below zero": (
        "[limits]\noutbox_bytes = -1\n",
        "2: [limits] outbox_bytes: expected 0 or more, got -1",
    ),
    "a history without any limit": (
        "[limits]\nhistory_seconds = 0\nhistory_events = 0\n",
        "3: [limits] history_events: may not be 0 where history_seconds is: all would be kept",
    ),
    "no host": ('[server]\nhost = ""\n', "2: [server] host: may not be empty"),
    "cert without key": (
        '[server]\ndev = true\ncert = "c"\n',
        "3: [server] cert: needs its private key: set key, too",
    ),
    "key without cert": (
        '[server]\nkey = "k"\n',
        "2: [server] key: needs its certificate: set cert, too",
    ),
    "no such durability": (
        '[server]\ndata = "d"\ndurability = "disk"\n',
        (
            '3: [server] durability: expected "process" or "power" or "redis" or "replicas", '
            'got "disk"'
        ),
    ),
    "a drain of hours": (
        "[server]\ndrain_seconds = 3601\n",
        "2: [server] drain_seconds: expected 0 to 3600, got 3601",
    ),
    "no address": (
        '[server]\nadvertise = [\n"a",\n"ws://b/"]\n',
        '4: [server] advertise: expected "host:port" or "host", got "ws://b/"',
    ),
    "empty app id": ('[[apps]]\nid = ""\n', "2: [[apps]] id: may not be empty"),
    "no app id": (
        '[[apps]]\nid = "a"\n\n[[apps]]\nallow_no_token = true\n',
        "4: [[apps]] id: may not be empty",
    ),
    "duplicate app id": (
        '[[apps]]\nid = "a"\n[[apps]]\nid = "b"\n[[apps]]\nid = "a"\n',
        "6: [[apps]] id: the same as that of [[apps]] 1",
    ),
    "nobody could log in": (
        "[server]\n",
        " nobody could log in: add [[apps]], or set dev = true in [server]",
    ),
    "too deep": ("a = " + "[" * 10_000, " nested too deeply"),
    "too many digits": ("a = " + "9" * 10_000, " a number has too many digits"),
}


@pytest.mark.parametrize(("text", "error"), REFUSED.values(), ids=REFUSED.keys())
def test_what_is_wrong_is_refused_in_one_line_with_its_place(text: str, error: str) -> None:
    with pytest.raises(ConfigError) as caught:
        loads(text, "signal.toml")
    assert str(caught.value) == f"signal.toml:{error}"
    assert isinstance(caught.value, SignalSdkError)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("[server]\nport = \n", 2),
        ("[server]\nport = 1\nport = 2\n", 3),
        ('[server]\nhost = "a\n\n[limits]\n', 2),
        ("[limits]\n[server]\nadvertise = [", 3),
        ("[limits]\n[limits]\n", 2),
        ("\r\n[server\r\n", 2),
    ],
)
def test_what_is_not_toml_is_refused_in_one_line_with_its_place(text: str, line: int) -> None:
    with pytest.raises(ConfigError, match=rf"^signal\.toml:{line}: not TOML: .+$") as caught:
        loads(text, "signal.toml")
    assert "(at " not in str(caught.value)


def test_a_file_that_is_not_there_is_a_configuration_error(tmp_path: Path) -> None:
    path = tmp_path / "signal.toml"
    with pytest.raises(ConfigError) as caught:
        load(path)
    assert str(caught.value) == f"{path}: No such file or directory"


def test_a_file_that_is_not_utf8_is_a_configuration_error(tmp_path: Path) -> None:
    path = tmp_path / "signal.toml"
    path.write_bytes(b'[server]\nhost = "\xff"\n')
    with pytest.raises(ConfigError) as caught:
        load(path)
    assert str(caught.value) == f"{path}:2: not UTF-8 text"


WORDS = "an app's certificate as somebody might write it"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"certificate": SECRET}, {"certificate": SECRET}),
        ({"certificate": SECRET}, {"certificate": f"{SECRET}1446"}),
        ({"certificate": f"x{SECRET}"}, {"certificate": SECRET}),
        ({"certificate": SECRET}, {"certificate": OLD_SECRET, "old_certificates": (SECRET,)}),
        (
            {"certificate": SECRET, "old_certificates": (WORDS, OLD_SECRET)},
            {"certificate": SECRET[::-1], "old_certificates": (OLD_SECRET,)},
        ),
    ],
)
def test_two_apps_do_not_share_a_certificate(one: dict[str, Any], other: dict[str, Any]) -> None:
    """The original token's digest has no delimiters: one app's could be made into the other's."""
    with pytest.raises(ConfigError) as caught:
        Config(apps=(AppConfig(id="one"), AppConfig(id="two", **one), AppConfig(id="a", **other)))
    text = str(caught.value)
    assert text == (
        '[[apps]] certificate: the apps "two" and "a" have one certificate, or one holds the '
        "other's: give each a secret of its own"
    )
    both = (AppConfig(id="two", **one), AppConfig(id="a", certificate=f"{SECRET[1:]}another"))
    assert Config(apps=both).apps == both


@pytest.mark.parametrize("key", ["certificate", "old_certificates"])
def test_a_certificate_that_could_be_guessed_is_refused(key: str) -> None:
    short = SECRET[:31]
    value = f'"{short}"' if key == "certificate" else f'["{short}"]\ncertificate = "{OLD_SECRET}"'
    with pytest.raises(ConfigError) as caught:
        loads(f'[[apps]]\nid = "a"\n{key} = {value}\n')
    text = f"<string>:3: [[apps]] {key}: expected 32 characters or more: a shorter secret can"
    assert str(caught.value) == f"{text} be guessed"


def test_an_old_certificate_alone_is_refused() -> None:
    """The app would have none in force, and let everybody in."""
    with pytest.raises(ConfigError, match=r"old_certificates: needs the certificate"):
        loads(f'[[apps]]\nid = "a"\nold_certificates = ["{SECRET}"]\n')


@pytest.mark.parametrize(
    ("app_id", "why"),
    [
        ("a:b", "holds a colon or white space"),
        ("a b", "holds a colon or white space"),
        ("a\u2003b", "holds a colon or white space"),
        ("a\nb", "holds control characters"),
        ("a\x1b[2J", "holds control characters"),
        ("a\u200bb", "holds an invisible character (U+200B)"),
        ("a\u202eb", "holds an invisible character (U+202E)"),
        ("a" * 129, "app id has 129 visible characters; at most 128 are allowed"),
    ],
)
def test_an_app_id_that_could_be_taken_for_another_is_refused(app_id: str, why: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Config(apps=(AppConfig(id=app_id),))
    text = str(caught.value)
    assert text.startswith("[[apps]] id: app id ")
    assert text.endswith(why)
    assert text.isprintable()


def test_configurations_made_in_code_pass_the_same_checks() -> None:
    with pytest.raises(ConfigError, match=r"^\[server\] port: expected 0 to 65535, got 65536$"):
        Config(server=ServerConfig(port=65536, dev=True))
    with pytest.raises(ConfigError, match=r"^\[\[apps\]\] id: may not be empty$"):
        attrs.evolve(dev(), apps=(AppConfig(),))
    with pytest.raises(
        ConfigError, match=r"^\[native\] lookup_ports: expected 0 to 65535, got -1$"
    ):
        attrs.evolve(dev(), native=NativeConfig(lookup_ports=(8180, -1)))


# --- Secrets


LISTENERS = "SIGNAL_SDK_APPS_1_LISTENERS"
VARIABLE = "SIGNAL_SDK_APPS_1_CERTIFICATE"


def secret_config() -> Config:
    return Config(apps=(AppConfig(id="app", certificate=SECRET),))


def test_a_certificate_is_in_no_repr_and_no_print() -> None:
    config = secret_config()
    assert SECRET not in repr(config)
    assert SECRET not in repr(config.apps[0])
    assert SECRET not in print_config(config)
    assert f'certificate = "${VARIABLE}"' in print_config(config)


@pytest.mark.parametrize(
    "text",
    [
        '[[apps]]\ncertificate = "{}"\n',
        '[[apps]]\nid = "a"\ncertificate = ["{}"]\n',
        '[[apps]]\nid = "a"\ncertificat = "{}"\n',
        '[[apps]]\nid = "a"\nallow_no_token = "{}"\n',
        '[[apps]]\nid = "a"\nlisteners = "{}"\n',
        '[[apps]]\nid = "a"\ncertificate = "{}\n',
        '[[apps]]\nid = "a"\ncertificate = {}\n',
        '[[apps]]\nid = "a"\ncertificate = "{}"\n[limits]\nfoo = 1\n',
        '[apps]\ncertificate = "{}"\n',
        'apps = "{}"\n',
        'certificate = "{}"\n',
        '[server]\ncertificate = "{}"\n',
        '[server]\nport = {{certificate = "{}"}}\n',
    ],
)
def test_a_certificate_is_in_no_error_and_no_traceback(text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        loads(text.format(SECRET))
    assert SECRET not in "".join(traceback.format_exception(caught.value))


# --- What is printed

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


def test_a_print_without_its_certificate_is_refused() -> None:
    """Read back as if it had none, the app would let everybody in."""
    printed = print_config(secret_config())
    for environ in ({}, {VARIABLE: ""}):
        with pytest.raises(
            ConfigError, match=rf": the environment variable {VARIABLE} is not set$"
        ):
            loads(printed, environ=environ)
    assert loads(printed, environ={VARIABLE: SECRET}) == secret_config()


# --- Certificates elsewhere, and the environment


def test_a_certificate_may_stand_in_a_file_of_its_own(tmp_path: Path) -> None:
    file = tmp_path / "certificate"
    file.write_text(f"{SECRET}\n")
    config = loads(f'[[apps]]\nid = "app"\ncertificate_file = "{file}"\n')
    assert config.apps == (AppConfig(id="app", certificate=SECRET, certificate_file=str(file)),)
    printed = print_config(config)
    assert SECRET not in printed
    assert loads(printed) == config


@pytest.mark.parametrize(
    ("data", "more", "why"),
    [
        (None, "", "the file: No such file or directory"),
        (b"\n", "", "the file: empty"),
        (b"\xff", "", "the file: not UTF-8 text"),
        (SECRET.encode(), 'certificate = "x"\n', "give either this or certificate"),
    ],
)
def test_a_certificate_s_file_that_is_of_no_use_is_refused(
    tmp_path: Path, data: bytes | None, more: str, why: str
) -> None:
    file = tmp_path / SECRET
    if data is not None:
        file.write_bytes(data)
    with pytest.raises(ConfigError) as caught:
        loads(f'[[apps]]\nid = "app"\n{more}certificate_file = "{file}"\n')
    assert str(caught.value).endswith(f": [[apps]] certificate_file: {why}")
    assert SECRET not in str(caught.value)


def test_old_certificates_may_stand_in_files_of_their_own(tmp_path: Path) -> None:
    files = [tmp_path / name for name in ("one", "two")]
    for file, secret in zip(files, (OLD_SECRET, SECRET[::-1]), strict=True):
        file.write_text(f"{secret}\n")
    listed = ", ".join(f'"{file}"' for file in files)
    text = f'[[apps]]\nid = "app"\ncertificate = "{SECRET}"\nold_certificate_files = [{listed}]\n'
    config = loads(text)
    assert config.apps[0].old_certificates == (OLD_SECRET, SECRET[::-1])
    printed = print_config(config)
    assert OLD_SECRET not in printed
    assert OLD_SECRET not in repr(config)
    assert loads(printed, environ={VARIABLE: SECRET}) == config
    with pytest.raises(ConfigError, match=r"give either this or old_certificates$"):
        loads(f'{text}old_certificates = ["{WORDS}"]\n')
    files[1].unlink()
    with pytest.raises(ConfigError, match=r"old_certificate_files: the file: No such file") as it:
        loads(text)
    assert str(files[1]) not in str(it.value)


def test_old_certificates_may_stand_in_the_environment() -> None:
    app = AppConfig(id="app", certificate=SECRET, old_certificates=(OLD_SECRET, WORDS))
    printed = print_config(Config(apps=(app,)))
    assert OLD_SECRET not in printed
    olds = f'["{OLD_SECRET}", "{WORDS}"]'
    environ = {VARIABLE: SECRET, "SIGNAL_SDK_APPS_1_OLD_CERTIFICATES": olds}
    assert loads(printed, environ=environ) == Config(apps=(app,))
    with pytest.raises(ConfigError, match=r"OLD_CERTIFICATES is not set$"):
        loads(printed, environ={VARIABLE: SECRET})
    one = f'[[apps]]\nid = "app"\ncertificate = "{SECRET}"\nold_certificates = ["$SIGNAL_SDK_X"]\n'
    assert loads(one, environ={"SIGNAL_SDK_X": WORDS}).apps[0].old_certificates == (WORDS,)


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
        _, _, section = page.partition(
            f"## `[[{table}]]`" if table == "apps" else f"## `[{table}]`"
        )
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
