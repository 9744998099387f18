"""A real server that is killed, twenty times, under the load of real programs of both SDKs and of
native peers: of what was acknowledged nothing is lost, and nothing comes twice.
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
NATIVE: Final = ("old1", "old2")
SETTLE_SECONDS: Final = 3.0


def configure(folder: Path) -> tuple[Path, int, str]:
    """A configuration with ports that are free, the server's port, and where the lookup is."""
    port, native, *lookup = (free_port() for _ in range(4))
    config = folder / "signal.toml"
    config.write_text(
        f"[server]\ndev = true\nport = {port}\ndata = '{folder / 'data'}'\n"
        f"[native]\nport = {native}\nlookup_ports = {lookup}\n"
    )
    return config, port, f"127.0.0.1:{lookup[0]},{lookup[1]}"


def serve(config: Path) -> Program:
    """A server that listens."""
    command = [sys.executable, "-m", "signal_sdk", "serve", "--config", str(config)]
    program = Program(command)
    program.expect("native clients: tcp")
    return program


@pytest.mark.timeout(300)
def test_of_what_was_acknowledged_nothing_is_lost_or_comes_twice(tmp_path: Path) -> None:
    draw = random.Random(20)
    config, port, lookup = configure(tmp_path)
    everybody = ",".join((*OURS, *WEB, *NATIVE))
    folder = Path(__file__).parent
    ours = [sys.executable, str(folder / "sdk_load.py"), f"127.0.0.1:{port}"]
    web = ["node", str(folder / "web_load.js"), f"ws://127.0.0.1:{port}/"]
    native = [sys.executable, str(folder / "native_load.py"), lookup]
    server = serve(config)
    try:
        with (
            Program([*ours, ",".join(OURS), everybody]) as sdk,
            Program([*web, ",".join(WEB), everybody]) as page,
            Program([*native, ",".join(NATIVE), everybody]) as old,
        ):
            programs = (sdk, page, old)
            for program in programs:
                program.expect("ready")
            for _ in range(KILLS):
                time.sleep(draw.uniform(0.3, 1.5))
                server.kill()
                time.sleep(draw.uniform(0.0, 0.3))
                server = serve(config)
                for program in programs:
                    program.expect("back")
            for program in programs:
                program.tell("stop")
            for program in programs:
                program.expect("stopped")
            time.sleep(SETTLE_SECONDS)
            told: dict[str, Any] = {}
            for program in programs:
                program.tell("tell")
                told |= json.loads(program.expect("{"))
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
    # The pages came back by their SDK alone.
    assert [text for name in WEB for text in told[name]["again"]] == []
    assert resumes >= KILLS * 3
    assert all(told[name]["logouts"] == 0 for name in NATIVE)
    assert told[NATIVE[0]]["reconnected"] >= KILLS
    assert len(acked) > 100 * len(told)
