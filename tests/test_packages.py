"""What else the server is packed in: the image's file, the compose files, the Debian package."""

from __future__ import annotations

import configparser
import re
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from signal_sdk.cli.main import COMMANDS
from signal_sdk.server import config as configs

ROOT: Final = Path(__file__).parents[1]
CONTAINERFILE: Final = (ROOT / "Containerfile").read_text()
COMPOSES: Final = ["compose.yaml", "samples/compose/compose.yaml"]


def version() -> str:
    settings = configparser.ConfigParser()
    settings.read(ROOT / "setup.cfg")
    return settings["metadata"]["version"]


# --- The image


def instructions(name: str) -> list[str]:
    """What the image's last stage says."""
    last = re.split(r"(?m)^FROM ", CONTAINERFILE)[-1].replace("\\\n", " ")
    return re.findall(rf"(?m)^{name} +(.*)$", last)


def test_nothing_runs_as_root() -> None:
    [user] = instructions("USER")
    assert int(user.partition(":")[0]) >= 1000


def test_the_program_checks_its_own_health() -> None:
    [check] = instructions("HEALTHCHECK")
    assert check.endswith('CMD ["/usr/bin/python3", "-m", "signal_sdk", "ready"]')
    assert "ready" in COMMANDS


def test_all_that_is_copied_into_it_is_let_in() -> None:
    """`.containerignore` keeps all else out: a build neither sends the world nor leaks it."""
    first = re.split(r"(?m)^FROM ", CONTAINERFILE)[1]
    copied = {
        name.removeprefix("./")
        for line in re.findall(r"(?m)^COPY (.*) \S+$", first)
        for name in line.split()
    }
    ignored, *allowed = [
        line
        for line in (ROOT / ".containerignore").read_text().splitlines()
        if line and not line.startswith("#")
    ]
    assert ignored == "*"
    assert {line.removeprefix("!") for line in allowed if line.startswith("!")} == copied
    assert [name for name in copied if not (ROOT / name).exists()] == []


def test_bases_are_arguments_with_a_tag_or_with_both_a_tag_and_a_digest() -> None:
    """As they are written, or as `make pin-images` leaves them."""
    bases = re.findall(r"(?m)^ARG (\w+)=([\w./-]+:[\w.-]+)(@sha256:[0-9a-f]{64})?$", CONTAINERFILE)
    assert [name for name, _, _ in bases] == ["BUILD", "BASE"]
    assert len(re.findall("sha256:[0-9a-f]+", CONTAINERFILE)) == sum(
        bool(digest) for _, _, digest in bases
    )


# --- Compose


@pytest.fixture(params=COMPOSES)
def compose(request: pytest.FixtureRequest) -> tuple[Path, dict[str, Any]]:
    path = ROOT / request.param
    return path.parent, yaml.safe_load(path.read_text())


def test_what_is_built_and_mounted_is_there(compose: tuple[Path, dict[str, Any]]) -> None:
    folder, content = compose
    for service in content["services"].values():
        if build := service.get("build"):
            assert (folder / build["context"] / build["dockerfile"]).is_file()
        for source in (volume.partition(":")[0] for volume in service.get("volumes", [])):
            there = (folder / source).exists() if "/" in source else source in content["volumes"]
            assert there, source


def test_only_clients_come_from_outside() -> None:
    """What people and Prometheus look at is for this machine, until somebody says otherwise."""
    services = yaml.safe_load((ROOT / COMPOSES[0]).read_text())["services"]
    open_ports = {
        name: port
        for name, service in services.items()
        for port in service.get("ports", [])
        if not port.startswith("127.0.0.1:")
    }
    assert open_ports == {"server": "8001:8001"}


def test_the_server_may_do_nothing_but_serve() -> None:
    server = yaml.safe_load((ROOT / COMPOSES[0]).read_text())["services"]["server"]
    assert server["read_only"] is True
    assert server["cap_drop"] == ["ALL"]
    assert server["security_opt"] == ["no-new-privileges:true"]


def environment(service: dict[str, Any]) -> dict[str, str]:
    """What a service's environment says, with its defaults, and something for what has none."""
    told = {"SIGNAL_SDK_APPS_1_CERTIFICATE": "0123456789abcdef" * 2}

    def value(match: re.Match[str]) -> str:
        return told.get(match["name"]) or match["default"] or ""

    variable = re.compile(r"\$\{(?P<name>\w+)(?::[-?](?P<default>[^}]*))?\}")
    return {name: variable.sub(value, text) for name, text in service["environment"].items()}


@pytest.mark.parametrize(("path", "name"), [(COMPOSES[0], "server"), (COMPOSES[1], "one")])
def test_a_server_s_environment_is_a_configuration(path: str, name: str) -> None:
    service = yaml.safe_load((ROOT / path).read_text())["services"][name]
    config = configs.loads("", environ=environment(service))
    assert [app.id for app in config.apps] == ["demo"]
    if name == "server":
        assert config.admin.address == "0.0.0.0:8011"
        assert config.admin.metrics_open
        asked = yaml.safe_load((ROOT / "ops/prometheus/prometheus.yml").read_text())
        [job] = asked["scrape_configs"]
        assert job["static_configs"][0]["targets"] == ["server:8011"]


# --- The Debian package


def test_debian_s_version_is_the_project_s() -> None:
    first = (ROOT / "debian" / "changelog").read_text().splitlines()[0]
    assert first.startswith(f"signal-sdk ({version()}-")


def test_what_the_package_installs_is_there() -> None:
    rules = (ROOT / "debian" / "rules").read_text()
    assert "ops/systemd/signal-sdk.$$unit" in rules
    assert "ops/systemd/sysusers.conf" in rules
    for place in (ROOT / "debian" / "signal-sdk.docs").read_text().split():
        assert (ROOT / place).exists()
    for script in ("rules", "signal-sdk.command"):
        assert (ROOT / "debian" / script).read_text().startswith("#!/usr/bin/")
    assert (ROOT / "debian" / "rules").stat().st_mode & 0o111
