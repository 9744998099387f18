"""`signal-sdk serve`: the configuration that flags, file and environment make, or why none."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from signal_sdk.cli.main import cli
from signal_sdk.server import config as configs
from signal_sdk.server.config import AppConfig, Config, NativeConfig, ServerConfig
from tests.cli.program import one_line_of, run
from tests.cli.serves import CERTIFICATE, invoke, printed, write_config

EVERYWHERE = "0.0.0.0"  # noqa: S104  no server is started with it


def test_a_wrong_configuration_is_one_line_with_the_place(tmp_path: Path) -> None:
    path = write_config(tmp_path, '[server]\nhost = "0.0.0.0"\nport = "80a"\n')
    ended = run("serve", "--config", path)
    assert one_line_of(ended) == (
        f'signal-sdk: {path}:3: [server] port: expected an integer, got "80a"'
    )
    assert ended.code == 2


@pytest.mark.parametrize(
    ("args", "text"),
    [
        ((), "signal-sdk serve: give --config FILE, or --dev for development"),
        (("--dev", "--porto", "1"), "signal-sdk serve: no such option '--porto'"),
        (("--dev", "--port", "many"), "signal-sdk serve: invalid value for '--port'"),
        (("--dev", "--port", "65536"), "signal-sdk serve: invalid value for '--port'"),
        (("--dev", "--durability", "disk"), "invalid value for '--durability'"),
        (("--dev", "--drain", "3601"), "invalid value for '--drain'"),
        (("--dev", "--workers", "0"), "'--workers': '0' is neither auto nor 1 to 1024"),
        (("--dev", "--workers", "all"), "'--workers': 'all' is neither auto nor 1 to 1024"),
        (
            ("--dev", "--workers", "2"),
            "processes share their state in Redis: set redis, too, or --",
        ),
        (("--dev", "--workers", "auto"), "[server] workers: auto is not 1, and processes share th"),
        (("--dev", "--redis", "h:1"), "with the flags given, [server] redis: expected redis://HO"),
        (("--dev", "--redis", "redis://h", "--data", "d"), "[server] data: state is kept there or"),
        (("--dev", "--host", ""), "signal-sdk: with the flags given, [server] host: may not be"),
        (("--dev", "--cert", "c.pem"), "[server] cert: needs its private key"),
        (("--dev", "--cert", "/no/c", "--key", "/no/k"), "signal-sdk: cannot use the certificate"),
        (("--dev", "--host", "no such host"), "signal-sdk: cannot listen on no such host:8001"),
        (("--config", "/no/such/file"), "signal-sdk: /no/such/file: No such file or directory"),
        (("extra",), "signal-sdk serve: got unexpected extra argument"),
    ],
)
def test_what_is_wrong_is_one_line_and_exit_code_2(args: tuple[str, ...], text: str) -> None:
    result = invoke(*args)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert text in result.stderr
    assert result.stderr.count("\n") == 1


def test_flags_have_precedence_over_the_file(tmp_path: Path) -> None:
    path = write_config(tmp_path, '[server]\nhost = "0.0.0.0"\nport = 9000\n[[apps]]\nid = "app"\n')
    config = printed(
        *("--config", path, "--port", "9001", "--cert", "other.pem", "--key", "other.key"),
        *("--data", "dir", "--durability", "power", "--drain", "0", "--workers", "1"),
    )
    assert config == Config(
        server=ServerConfig(
            host=EVERYWHERE,
            port=9001,
            cert="other.pem",
            key="other.key",
            data="dir",
            durability="power",
            drain_seconds=0,
        ),
        apps=(AppConfig(id="app"),),
    )


def test_a_redis_is_named_once_or_more(tmp_path: Path) -> None:
    path = write_config(tmp_path, '[server]\nredis = "redis://h"\n[[apps]]\nid = "app"\n')
    urls = ("redis+cluster://a", "redis+cluster://b:7001")
    flags = ("--redis", urls[0], "--redis", urls[1], "--durability", "replicas", "--workers")
    for said, workers in (("auto", 0), ("1024", 1024)):
        assert printed("--config", path, *flags, said).server == ServerConfig(
            redis=urls, durability="replicas", workers=workers
        )
    assert printed("--config", path).server == ServerConfig(redis=("redis://h",))


def test_dev_and_a_file_are_both_taken(tmp_path: Path) -> None:
    path = write_config(tmp_path, '[[apps]]\nid = "app"\n[limits]\nmax_connections = 5\n')
    config = printed("--dev", "--config", path, "--host", EVERYWHERE)
    assert config.server == ServerConfig(dev=True, host=EVERYWHERE)
    assert config.native == NativeConfig(enabled=True)
    assert config.apps == (AppConfig(id="app"),)
    assert config.limits.max_connections == 5


@pytest.mark.parametrize("flags", [("--dev", "--port", "0"), (), ("--native",)], ids=str)
def test_what_is_printed_prints_itself(tmp_path: Path, flags: tuple[str, ...]) -> None:
    """Also where nobody could log in yet."""
    first = invoke("--print-config", *flags).stdout
    path = write_config(tmp_path, first)
    again = invoke("--print-config", "--config", path)
    assert (again.exit_code, again.stderr, again.stdout) == (0, "", first)


def test_what_is_wrong_is_not_printed_either(tmp_path: Path) -> None:
    path = write_config(tmp_path, "[server]\nport = 70000\n")
    refused = invoke("--print-config", "--config", path)
    assert (refused.exit_code, refused.stdout) == (2, "")
    assert "[server] port: expected 0 to 65535, got 70000" in refused.stderr


def test_the_printed_defaults_are_a_file_to_start_from(tmp_path: Path) -> None:
    """It holds every key, and is not good for anybody until an app is named in it."""
    text = invoke("--print-config").stdout
    path = write_config(tmp_path, text)
    refused = invoke("--config", path)
    assert refused.exit_code == 2
    assert "nobody could log in: add [[apps]]" in refused.stderr
    app = '\n[[apps]]\nid = "app"\n'
    assert configs.loads(text + app) == Config(apps=(AppConfig(id="app"),))
    with_native = invoke("--print-config", "--native").stdout
    assert configs.loads(with_native + app).native == NativeConfig(enabled=True)


def test_no_certificate_is_printed(tmp_path: Path) -> None:
    path = write_config(tmp_path, f'[[apps]]\nid = "app"\ncertificate = "{CERTIFICATE}"\n')
    result = invoke("--print-config", "--config", path)
    assert result.exit_code == 0
    assert CERTIFICATE not in result.output
    copy = write_config(tmp_path, result.stdout)
    environ = {"SIGNAL_SDK_APPS_1_CERTIFICATE": CERTIFICATE}
    again = CliRunner().invoke(cli, ["serve", "--print-config", "--config", copy], env=environ)
    assert again.stdout == result.stdout


def test_the_environment_alone_is_a_configuration() -> None:
    environ = {"SIGNAL_SDK_APPS_1_ID": "app", "SIGNAL_SDK_SERVER_PORT": "9000"}
    args = ["serve", "--print-config", "--port", "9001"]
    config = configs.loads(CliRunner().invoke(cli, args, env=environ).stdout)
    assert config == Config(apps=(AppConfig(id="app"),), server=ServerConfig(port=9001))
