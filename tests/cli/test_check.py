"""`signal-sdk check`: all that is wrong with a configuration, and nothing of its secrets."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from signal_sdk.cli.main import cli
from tests.cli.looked_at import Certificates
from tests.cli.serves import AS_ROOT, CERTIFICATE, write_config

APP = f'[[apps]]\nid = "app"\ncertificate = "{CERTIFICATE}"\n'
GOOD = f'[server]\ndata = "d"\n{APP}'
OTHER = "cb3b8a1ff1ba4d0cb1cc1a8a90f9d6bd"


def invoke(*args: str, **environ: str) -> Result:
    return CliRunner().invoke(cli, ["check", *args], env=environ)


def test_a_configuration_that_is_well_is_well(tmp_path: Path) -> None:
    path = write_config(tmp_path, GOOD)
    result = invoke(path)
    assert (result.exit_code, result.stdout) == (0, "all is well\n")
    assert [line.split(":")[1].strip() for line in result.stderr.splitlines()] == AS_ROOT


def test_every_fault_is_told_with_its_place(tmp_path: Path) -> None:
    text = (
        '[server]\nport = "80a"\nhots = 1\ncert = "c.pem"\n'
        '[[apps]]\nid = ""\ncertificate = "$SIGNAL_SDK_NO_SUCH"\n'
        f'[[apps]]\nid = "b"\ncertificate_file = "{tmp_path}/no"\nlisteners = [1]\n'
        "[[app]]\n[limits]\nmax_connections = -5\nhistory_events = 0\nhistory_seconds = 0\n"
    )
    path = write_config(tmp_path, text)
    result = invoke(path)
    assert (result.exit_code, result.stdout) == (2, "")
    lines = result.stderr.splitlines()
    places = [line.removeprefix(f"{path}:").partition(": ") for line in lines]
    assert [(int(number), said.partition(",")[0]) for number, _, said in places] == [
        (2, "[server] port: expected an integer"),
        (3, "[server] unknown key 'hots'; known keys: host"),
        (4, "[server] cert: needs its private key: set key"),
        (6, "[[apps]] id: may not be empty"),
        (7, "[[apps]] certificate: the environment variable SIGNAL_SDK_NO_SUCH is not set"),
        (10, "[[apps]] certificate_file: the file: No such file or directory"),
        (11, "[[apps]] listeners: expected only strings in the array"),
        (12, "unknown table or key 'app'; known tables: [server]"),
        (14, "[limits] max_connections: expected 0 or more"),
        (15, "[limits] history_events: may not be 0 where history_seconds is: all would be kept"),
    ]
    told = json.loads(invoke(path, "--json").stdout)
    assert told == {"config": path, "ok": False, "faults": lines, "warnings": []}


def test_a_variable_of_the_environment_is_named_as_the_place(tmp_path: Path) -> None:
    path = write_config(tmp_path, GOOD.replace('"d"', "5"))
    result = invoke(path, SIGNAL_SDK_SERVER_PORT="x")
    assert result.stderr == (
        'SIGNAL_SDK_SERVER_PORT: [server] port: expected an integer, got "x"\n'
        f"{path}:2: [server] data: expected a string, got 5\n"
    )


def test_warnings_are_told_and_are_no_faults(tmp_path: Path) -> None:
    path = write_config(tmp_path, GOOD, mode=0o644)
    result = invoke(path)
    assert (result.exit_code, result.stdout) == (0, "all is well\n")
    assert (
        f"warning: {path}: every user of this machine can read the secrets in this configuration: "
        "chmod o-r\n"
    ) in result.stderr
    told = json.loads(invoke(path, "--json").stdout)
    assert (told["ok"], told["faults"]) == (True, [])
    assert told["warnings"][0].endswith("chmod o-r")


@pytest.mark.parametrize("flags", [("--dev",), ("--data", "d")])
def test_flags_count_as_they_do_for_serve(tmp_path: Path, flags: tuple[str, ...]) -> None:
    path = write_config(tmp_path, APP)
    without = invoke(path)
    assert without.exit_code == 2
    assert without.stderr.startswith("where is state to be kept? Give --data DIR")
    assert invoke(path, *flags).exit_code == 0


def test_what_is_wrong_with_the_flags_alone_is_told(tmp_path: Path) -> None:
    path = write_config(tmp_path, f'[server]\nredis = "redis://h"\n{APP}')
    result = invoke(path, "--data", "d")
    assert result.exit_code == 2
    assert result.stderr.startswith("with the flags given, [server] data: state is kept there or")


def test_the_certificate_of_tls_is_loaded(tmp_path: Path) -> None:
    server = Certificates(tmp_path).server("localhost")
    tls = f'cert = "{server.cert}"\nkey = "{server.key}"\n'
    path = write_config(tmp_path, GOOD.replace("[server]\n", f"[server]\n{tls}"))
    assert invoke(path).exit_code == 0
    Path(server.key).write_text("no key")
    result = invoke(path)
    assert result.exit_code == 2
    assert result.stderr.startswith(f"cannot use the certificate {server.cert} with the key")


def test_a_file_that_is_not_there_or_no_toml_is_one_line(tmp_path: Path) -> None:
    result = invoke("/no/such/file")
    assert (result.exit_code, result.stderr) == (2, "/no/such/file: No such file or directory\n")
    path = write_config(tmp_path, "[server\n")
    result = invoke(path)
    assert result.exit_code == 2
    assert result.stderr.startswith(f"{path}:1: not TOML: ")


def test_no_secret_is_in_what_is_said(tmp_path: Path) -> None:
    """Whatever is wrong with one, or beside it."""
    text = (
        f'[server]\nredis = "redis+sentinel://u:{OTHER}@h:1"\nredis_password = 5\n'
        f'[[apps]]\nid = "a"\ncertificate = "{CERTIFICATE}"\nold_certificates = ["short", 5]\n'
        f'[[apps]]\nid = "b"\ncertificate = "{CERTIFICATE}"\ncertificate_file = "{OTHER}"\n'
    )
    path = write_config(tmp_path, text, mode=0o666)
    for result in (invoke(path), invoke(path, "--json")):
        assert result.exit_code == 2
        assert CERTIFICATE not in result.output
        assert OTHER not in result.output


def test_what_is_wrong_at_one_place_is_told_once(tmp_path: Path) -> None:
    """By what was found first: a secret that is not there is neither too short nor no URL."""
    short = '[[apps]]\nid = "{}"\ncertificate = "short"\n'
    text = f'[server]\nredis = "$SIGNAL_SDK_NO_SUCH"\n{short.format("a")}{short.format("b")}'
    lines = invoke(write_config(tmp_path, text)).stderr.splitlines()
    assert [line.partition(": ")[2].partition(":")[0] for line in lines] == [
        "[server] redis",
        "[[apps]] certificate",
        "[[apps]] certificate",
    ]
    assert "is not set" in lines[0]
    assert all("a shorter secret can be guessed" in line for line in lines[1:])
