"""What the OpenAPI document promises is so: schemathesis asks for all of it, rightly and wrongly,
of a real node, and the same in each run.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Final

import attrs
import pytest
import trio

from signal_sdk.server.admin import keys
from signal_sdk.server.admin.routes import OPERATIONS
from signal_sdk.server.config import AppConfig
from signal_sdk.testing.server import LocalServer, local_server
from tests.server.admin.helpers import KEY
from tests.server.admin.test_admin_node import admin_of, real_config
from tests.server.configs import SECRET
from tests.wire_client import logged_in

SEED: Final = "1"
COMMAND: Final = (
    str(Path(sys.executable).with_name("schemathesis")),
    *("--config-file", "CONFIG", "run", "URL", "--header", f"Authorization: Bearer {KEY}"),
    *("--seed", SEED, "--phases", "coverage,fuzzing", "--no-color", "--request-timeout", "30"),
    # It has no end.
    *("--exclude-operation-id", "events"),
    # Which names there may be, and which cursors, is more than a schema can say.
    *("--exclude-checks", "positive_data_acceptance", "--warnings", "off"),
)
THERE: Final = """
[parameters]
"path.app" = "app"
"path.account" = "ann"
"path.channel" = "news"
"path.caller" = "ann"
"path.callee" = "bob"
"query.cursor" = ""
"""
"""What there is."""


async def run_schemathesis(server: LocalServer, folder: Path, config: str, count: int) -> str:
    """Have it look; what it says."""
    await trio.Path(folder / "schemathesis.toml").write_text(config)
    url = f"http://127.0.0.1:{server.admin_port}/openapi.json"
    command = [
        {"URL": url, "CONFIG": str(folder / "schemathesis.toml")}.get(word, word)
        for word in (*COMMAND, "--max-examples", str(count))
    ]
    done = await trio.run_process(
        command, cwd=folder, capture_stdout=True, stderr=subprocess.STDOUT, check=False
    )
    said = done.stdout.decode()
    assert done.returncode == 0, said
    return said


@pytest.mark.timeout(300)  # where others have the machine
@pytest.mark.parametrize(
    ("config", "count"), [("", 3), (THERE, 5)], ids=["of anything", "of what there is"]
)
async def test_the_document_is_kept(
    config: str, count: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # It tries more wrong keys than one address is told of.
    monkeypatch.setattr(keys, "WRONG_PER_MINUTE", 10_000)
    app = AppConfig(id="app", certificate=SECRET, allow_no_token=True)
    found = attrs.evolve(real_config(), apps=(app, AppConfig(id="other")))
    async with local_server(found) as server, logged_in(server, "ann") as ann:
        await ann.call("channel_join", name="news")
        said = await run_schemathesis(server, tmp_path, config, count)
        async with admin_of(server) as admin:
            assert (await admin.get("key")).status_code == 200
    assert f"Tested: {len(OPERATIONS) - 1}" in said
