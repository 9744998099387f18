"""The files of `ops/`, and what is asked of Prometheus in them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import msgspec
import trio

ROOT: Final = Path(__file__).parents[2]
PROMETHEUS: Final = ROOT / "ops/prometheus"
BOARD: Final = ROOT / "ops/grafana/signal.json"
INTERVAL: Final = "$__rate_interval"
"""In place of which Grafana puts a time; its other names stand for labels' values."""
_METRIC: Final = re.compile(r"\b(?:signal_sdk|process|python)_\w+")


def board() -> dict[str, Any]:
    found: dict[str, Any] = msgspec.json.decode(BOARD.read_bytes())
    return found


def _asked(value: object) -> Iterator[str]:
    match value:
        case dict():
            for name, it in value.items():
                if name == "expr" and isinstance(it, str):
                    yield it
                else:
                    yield from _asked(it)
        case list():
            for it in value:
                yield from _asked(it)


def board_expressions() -> list[str]:
    """Each expression of the board, as Prometheus is asked for it."""
    return [expr.replace(INTERVAL, "1m") for expr in _asked(board())]


def metrics_in(text: str) -> set[str]:
    """The metrics that are named in it."""
    return set(_METRIC.findall(text))


async def promtool(*args: str, data: bytes = b"") -> str:
    """What `promtool` says, which finds nothing wrong."""
    done = await trio.run_process(
        ["promtool", *args],
        stdin=data,
        capture_stdout=True,
        capture_stderr=True,
        check=False,
        cwd=PROMETHEUS,
    )
    said = (done.stdout + done.stderr).decode()
    assert done.returncode == 0, said
    return said
