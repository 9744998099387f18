"""The command line with shorter lives and leases than a server has, so that a test need not wait
for so long.

    python tests/faults/short_lives.py LIFE_SECONDS LEASE_SECONDS COMMAND …

A node on Redis is dead after LIFE_SECONDS of silence; `_conn_timeout` may be as short as
LEASE_SECONDS. All else is `signal-sdk COMMAND …`.
"""

from __future__ import annotations

import sys
from typing import Any

from signal_sdk.cli import main
from signal_sdk.server.engine.redis import engine
from signal_sdk.wire import built_in


def shorten(life_seconds: float, lease_seconds: int) -> None:
    """From here on, in this process."""

    class ShortLived(engine.RedisEngine):
        def __init__(self, *args: Any, **settings: Any) -> None:
            super().__init__(*args, life_seconds=life_seconds, **settings)

    engine.RedisEngine = ShortLived  # type: ignore[misc]
    built_in.MIN_CONN_TIMEOUT_SECONDS = lease_seconds  # type: ignore[misc]


if __name__ == "__main__":
    shorten(float(sys.argv[1]), int(sys.argv[2]))
    sys.exit(main.run(sys.argv[3:]))
