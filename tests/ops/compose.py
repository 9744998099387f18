"""compose.yaml, started as its user does: Prometheus has what the server counts, and Grafana the
board. It needs a Docker daemon, so that `make test` has no part in it: `make test-compose` does.
"""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
import trio

ROOT: Final = Path(__file__).parents[2]
PASSWORD: Final = secrets.token_hex(16)
PORTS: Final = """\
services:
  server:
    ports: !override ["127.0.0.1::8001"]
  prometheus:
    ports: !override ["127.0.0.1::9090"]
  grafana:
    ports: !override ["127.0.0.1::3000"]
"""
"""Any that are free, in place of those that a user knows."""
START_SECONDS: Final = 600
"""Images have to be had, and one is built."""
ASKED_SECONDS: Final = 90
"""Prometheus asks each 15 s."""


def answers() -> bool:
    """Is there a Docker daemon, and Compose?"""
    if shutil.which("docker") is None:
        return False
    asked = (("docker", "info"), ("docker", "compose", "version"))
    return all(
        subprocess.run(it, capture_output=True, timeout=60, check=False).returncode == 0
        for it in asked
    )


Compose = Callable[..., str]


@pytest.fixture(scope="module")
def compose(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Compose]:
    """Runs `docker compose` with all three started."""
    if not answers():
        pytest.fail("no Docker daemon with Compose answers here, which starts compose.yaml")
    ports = tmp_path_factory.mktemp("compose") / "ports.yaml"
    ports.write_text(PORTS)
    project = f"signal-sdk-test-{secrets.token_hex(4)}"
    files = ("-f", str(ROOT / "compose.yaml"), "-f", str(ports))

    def run(*args: str) -> str:
        return subprocess.run(
            ("docker", "compose", "-p", project, *files, *args),
            cwd=ROOT,
            env={
                **os.environ,
                "SIGNAL_SDK_APPS_1_CERTIFICATE": secrets.token_hex(16),
                "GRAFANA_PASSWORD": PASSWORD,
            },
            capture_output=True,
            text=True,
            timeout=START_SECONDS,
            check=True,
        ).stdout

    try:
        run("up", "--build", "--detach", "--wait")
        yield run
    finally:
        run("down", "--volumes", "--remove-orphans")


def address(compose: Compose, service: str, port: int) -> str:
    return f"http://{compose('port', service, str(port)).strip()}"


async def until(url: str, holds: Callable[[Any], object], **more: Any) -> None:
    """Ask until the answer is as it should be."""
    async with httpx.AsyncClient(trust_env=False) as client:
        answer = None
        with trio.move_on_after(ASKED_SECONDS):
            while True:
                answer = await client.get(url, **more)
                if answer.is_success and holds(answer.json()):
                    return
                await trio.sleep(0.5)
        raise AssertionError(f"{url} says {answer.text if answer is not None else 'nothing'}")


async def test_prometheus_asks_the_server_and_knows_the_alerts(compose: Compose) -> None:
    prometheus = address(compose, "prometheus", 9090)
    ready = {"query": 'signal_sdk_ready{job="signal_sdk"} == 1'}
    await until(f"{prometheus}/api/v1/query", lambda found: found["data"]["result"], params=ready)
    await until(
        f"{prometheus}/api/v1/rules", lambda found: len(found["data"]["groups"][0]["rules"]) > 10
    )


async def test_grafana_shows_the_board_out_of_prometheus(compose: Compose) -> None:
    grafana, auth = address(compose, "grafana", 3000), ("admin", PASSWORD)
    await until(
        f"{grafana}/api/dashboards/uid/signal-sdk",
        lambda found: found["dashboard"]["title"] == "Signaling",
        auth=auth,
    )
    await until(
        f"{grafana}/api/datasources",
        lambda found: [it["type"] for it in found] == ["prometheus"],
        auth=auth,
    )


async def test_clients_are_told_where_to_come(compose: Compose) -> None:
    await until(f"{address(compose, 'server', 8001)}/getaddr?uid=ann&vid=demo", lambda found: found)
