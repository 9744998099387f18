"""`signal-sdk init`: a file that nobody else reads, that is right, and that `serve` takes."""

from __future__ import annotations

import json
import os
import re
import signal
import stat
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from signal_sdk.cli.main import cli
from signal_sdk.server import config as configs
from signal_sdk.server.config_admin import RIGHTS
from tests.cli.program import full_disk, one_line_of, program, run
from tests.cli.serves import warnings_in


def invoke(*args: str) -> Result:
    return CliRunner().invoke(cli, ["init", *args])


def test_it_writes_a_file_that_is_right_and_for_its_user_alone(tmp_path: Path) -> None:
    path = tmp_path / "signal.toml"
    before = os.umask(0)
    try:
        result = invoke(str(path))
    finally:
        os.umask(before)
    assert (result.exit_code, result.stderr) == (0, "")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    config = configs.load(path)
    [app] = config.apps
    assert re.fullmatch("[0-9a-f]{32}", app.id)
    assert re.fullmatch("[0-9a-f]{32}", app.certificate)
    assert config.server.data == str(tmp_path / "signal-data")
    assert result.stdout == (
        f"{path}: made, for this user alone, with the app {app.id}\n"
        f"next: signal-sdk serve --config {path}\n"
    )
    [key] = config.admin_keys
    assert (key.name, key.app, key.rights) == ("operator", "*", RIGHTS)
    assert app.certificate not in result.output
    assert key.key not in result.output
    checked = CliRunner().invoke(cli, ["check", str(path)])
    assert (checked.exit_code, checked.stdout) == (0, "all is well\n")


def test_no_two_have_one_secret(tmp_path: Path) -> None:
    paths = [tmp_path / name for name in ("a.toml", "b.toml")]
    for path in paths:
        assert invoke(str(path)).exit_code == 0
    configurations = [configs.load(path) for path in paths]
    first, second = (it.apps[0] for it in configurations)
    assert first.id != second.id
    assert len({it.apps[0].certificate for it in configurations}) == 2
    secrets = {it.admin_keys[0].key for it in configurations}
    assert len(secrets | {first.certificate, second.certificate}) == 4


def test_every_example_in_it_is_good_once_it_is_no_comment(tmp_path: Path) -> None:
    path = tmp_path / "signal.toml"
    invoke(str(path))
    text, count = re.subn(r"(?m)^# (?=[a-z_]+ = )", "", path.read_text())
    assert count == 6
    config = configs.loads(text)
    assert config.server.cert == "/etc/signal-sdk/cert.pem"
    assert config.apps[0].listeners == ("monitor",)


def test_a_file_that_is_there_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "signal.toml"
    path.write_text("mine")
    path.chmod(0o644)
    refused = invoke(str(path))
    assert (refused.exit_code, refused.stdout) == (2, "")
    assert refused.stderr == f"signal-sdk: {path}: it is there already; --force replaces it\n"
    assert path.read_text() == "mine"
    replaced = invoke(str(path), "--force", "--data", "/var/lib/signal-sdk", "--json")
    told = json.loads(replaced.stdout)
    config = configs.load(path)
    assert told == {
        "config": str(path),
        "app": config.apps[0].id,
        "data": "/var/lib/signal-sdk",
    }
    assert config.server.data == "/var/lib/signal-sdk"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("flags", [(), ("--force",)])
def test_what_cannot_be_written_is_one_line(tmp_path: Path, flags: tuple[str, ...]) -> None:
    path = tmp_path / "no" / "signal.toml"
    ended = run("init", str(path), *flags)
    assert ended.code == 1
    assert one_line_of(ended).endswith(": No such file or directory")


def test_a_directory_is_no_file_to_replace(tmp_path: Path) -> None:
    ended = run("init", str(tmp_path), "--force")
    assert ended.code == 1
    assert one_line_of(ended).endswith("Is a directory")
    assert list(tmp_path.parent.glob(f".{tmp_path.name}.*")) == []


def test_a_full_disk_under_stdout_is_one_line(tmp_path: Path) -> None:
    with full_disk() as full:
        ended = run("init", str(tmp_path / "signal.toml"), stdout=full)
    assert (ended.code, ended.err) == (1, "signal-sdk: No space left on device\n")


async def test_a_server_starts_with_it(tmp_path: Path) -> None:
    path = tmp_path / "signal.toml"
    assert invoke(str(path)).exit_code == 0
    async with program("serve", "--config", str(path), "--port", "0") as server:
        assert (await server.out.next()).startswith("listening on ws://127.0.0.1:")
        ended = await server.end(signal.SIGTERM)
    assert ended.code == 0
    assert [it for it in warnings_in(ended.err) if it != "running as root"] == []
