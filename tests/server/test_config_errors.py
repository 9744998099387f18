"""The configuration file: what is refused, and with which words."""

from __future__ import annotations

from pathlib import Path

import attrs
import pytest

from signal_sdk.errors import ConfigError, SignalSdkError
from signal_sdk.server.config import AppConfig, Config, NativeConfig, ServerConfig, dev, load, loads
from tests.server.configs import NATIVE_KEYS

KNOWN = "[server], [native], [[apps]], [limits], [admin], [[admin.keys]], [hooks]"

SERVER_KEYS = (
    "host, port, also_listen, cert, key, advertise, allowed_origins, trusted_proxies, "
    "proxy_protocol, data, redis, redis_password, redis_password_file, redis_prefix, workers, "
    "durability, replicas, drain_seconds, clock_skew_seconds, log_format, log_levels, tracing, "
    "dev"
)
APP_KEYS = (
    "id, certificate, certificate_file, old_certificates, old_certificate_files, allow_old_tokens, "
    "allow_no_token, listeners, channel_managers"
)


TLS = 'cert = "a.pem"\nkey = "a.key"\n'
NO_IPV4 = '[native] advertise: expected "address:port" or "address", an IPv4 one, got'
REFUSED = {
    "unknown table": (
        "[server]\ndev = true\n[limit]\n",
        f"3: unknown table or key 'limit'; known tables: {KNOWN}",
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
