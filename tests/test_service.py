"""The units for systemd: they are right, shut the server in, and are about this server."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

import click
import pytest

from signal_sdk.cli.main import cli
from signal_sdk.server.config import MAX_DRAIN_SECONDS, NativeConfig, ServerConfig

UNITS: Final = Path(__file__).parents[1] / "ops" / "systemd"
SERVICE: Final = UNITS / "signal-sdk.service"
SOCKET: Final = UNITS / "signal-sdk.socket"
MOST_EXPOSED: Final = 20
"""Of 100, as `systemd-analyze security` reckons; a service without any of it has 96."""

needs_systemd = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="systemd is not installed"
)


def values(unit: Path, key: str) -> list[str]:
    return re.findall(rf"^{key}=(.*)$", unit.read_text(), re.MULTILINE)


@pytest.fixture
def copies(tmp_path: Path) -> list[str]:
    """The units, with a command that is there."""
    service = tmp_path / SERVICE.name
    service.write_text(SERVICE.read_text().replace("/usr/bin/signal-sdk", sys.executable))
    return [str(service), str(shutil.copy(SOCKET, tmp_path / SOCKET.name))]


@needs_systemd
def test_systemd_finds_nothing_wrong(copies: list[str]) -> None:
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *copies],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


@needs_systemd
def test_the_server_is_shut_in(copies: list[str]) -> None:
    done = subprocess.run(
        [
            *("systemd-analyze", "security", "--offline=yes", "--no-pager"),
            *(f"--threshold={MOST_EXPOSED}", copies[0]),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-500:] + done.stderr


def test_the_command_is_one_of_ours() -> None:
    [line] = values(SERVICE, "ExecStart")
    _, name, *args = shlex.split(line)
    # As the program's own: a command keeps what its first context said of --help.
    with click.Context(cli, **cli.context_settings) as program:
        command = cli.get_command(program, name)
        assert command is not None
        given = command.make_context(name, args, parent=program).params
    assert (given["config"], given["data"]) == (
        "/etc/signal-sdk/signal.toml",
        "/var/lib/signal-sdk",
    )
    assert values(SERVICE, "StateDirectory") == values(SERVICE, "ConfigurationDirectory")
    assert values(SERVICE, "User") == ["signal-sdk"]
    assert "u signal-sdk " in (UNITS / "sysusers.conf").read_text()


def test_the_socket_s_ports_are_the_configuration_s() -> None:
    server, native = ServerConfig(), NativeConfig()
    [plain] = values(SOCKET, "ListenStream")
    assert plain == f"{server.host}:{server.port}"
    ports = [int(it.rpartition(":")[2]) for it in values(SOCKET, "#ListenStream")]
    assert ports == [server.port + 1, native.port]
    [lookup] = values(SOCKET, "#ListenDatagram")
    assert int(lookup.rpartition(":")[2]) in native.lookup_ports
    assert values(SERVICE, "Sockets") == [SOCKET.name]


def test_a_stop_has_the_time_to_send_the_clients_away() -> None:
    [seconds] = values(SERVICE, "TimeoutStopSec")
    assert ServerConfig().drain_seconds < int(seconds) <= MAX_DRAIN_SECONDS
