"""The metrics at a real node's admin address, as Prometheus asks for them."""

from __future__ import annotations

import attrs
import httpx
import pytest

from signal_sdk.testing.server import local_server
from tests.server.admin.helpers import KEY, admin_config
from tests.server.metrics.scraping import OPENMETRICS
from tests.wire_client import logged_in


@pytest.mark.parametrize(
    ("accept", "kind", "ends"),
    [
        (OPENMETRICS, "application/openmetrics-text; version=1.0.0", "# EOF\n"),
        ("*/*", "text/plain; version=0.0.4", "\n"),
    ],
)
async def test_prometheus_is_answered_in_the_form_that_it_asks_for(
    accept: str, kind: str, ends: str
) -> None:
    config = admin_config()
    config = attrs.evolve(config, server=attrs.evolve(config.server, port=0))
    headers = {"Authorization": f"Bearer {KEY}", "Accept": accept}
    async with (
        local_server(config) as server,
        httpx.AsyncClient(trust_env=False, timeout=60) as client,
        logged_in(server, "ann"),
    ):
        url = f"http://127.0.0.1:{server.admin_port}/metrics"
        answer = await client.get(url, headers=headers)
        assert answer.status_code == 200
        assert answer.headers["Content-Type"].startswith(kind)
        assert answer.text.endswith(ends)
        line = 'signal_sdk_logins_total{code="0",kind="login"} 1.0\n'
        assert line in answer.text
        assert KEY not in answer.text
        assert (await client.get(url)).status_code == 401
