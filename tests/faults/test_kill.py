"""A real server that is killed, twenty times, under the load of real programs of both SDKs: of what
was acknowledged nothing is lost, and nothing comes twice.
"""

from __future__ import annotations

import json
import random
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any, Final

import pytest

from tests.faults.processes import Program, free_port

KILLS: Final = 20
OURS: Final = ("ann", "bob", "cem", "dia")
WEB: Final = ("web1", "web2")
SETTLE_SECONDS: Final = 3.0


def serve(data: Path, port: int) -> Program:
    """A server on the data directory that listens."""
    command = [sys.executable, "-m", "signal_sdk", "serve", "--dev", "--port", str(port)]
    program = Program([*command, "--data", str(data)])
    program.expect("listening")
    return program


@pytest.mark.timeout(300)
def test_of_what_was_acknowledged_nothing_is_lost_or_comes_twice(tmp_path: Path) -> None:
    draw = random.Random(20)
    port = free_port()
    everybody = ",".join((*OURS, *WEB))
    folder = Path(__file__).parent
    ours = [sys.executable, str(folder / "sdk_load.py"), f"127.0.0.1:{port}"]
    web = ["node", str(folder / "web_load.js"), f"ws://127.0.0.1:{port}/"]
    server = serve(tmp_path, port)
    try:
        with (
            Program([*ours, ",".join(OURS), everybody]) as sdk,
            Program([*web, ",".join(WEB), everybody]) as page,
        ):
            sdk.expect("ready")
            page.expect("ready")
            for _ in range(KILLS):
                time.sleep(draw.uniform(0.3, 1.5))
                server.kill()
                time.sleep(draw.uniform(0.0, 0.3))
                server = serve(tmp_path, port)
                sdk.expect("back")
                page.expect("back")
            sdk.tell("stop")
            page.tell("stop")
            sdk.expect("stopped")
            page.expect("stopped")
            time.sleep(SETTLE_SECONDS)
            sdk.tell("tell")
            page.tell("tell")
            told: dict[str, Any] = {**json.loads(sdk.expect("{")), **json.loads(page.expect("{"))}
    finally:
        server.kill()
    acked = [text for it in told.values() for text in it["acked"]]
    unknown = sum(len(it["unknown"]) for it in told.values())
    heard = Counter(text for it in told.values() for text in it["heard"])
    lost = [text for text in acked if not heard[text]]
    twice = {text: count for text, count in heard.items() if count > 1}
    resumes = sum(it["reconnected"] for it in told.values())
    sys.stdout.write(
        f"\n{KILLS} kills, {resumes} reconnections: {len(acked)} acknowledged, {unknown} of unknown"
        f" outcome, {sum(heard.values())} delivered; {len(lost)} lost, {len(twice)} twice\n"
    )
    assert lost == []
    assert twice == {}
    assert resumes >= KILLS * 2
    assert len(acked) > 100 * len(told)
