"""Our SDK's styles: the bots of sdk.py by callbacks, by streams, of handlers, and on asyncio.

Owns: which styles are compared with what. Must not know how any of them is measured: sdk.py does.
"""

from __future__ import annotations

from typing import Final

from benchmarks import sdk
from benchmarks.bench import Bench
from benchmarks.results import Work

NAME: Final = "styles"
TITLE: Final = "Styles of a bot: sessions in one process that answer each message, 100 bytes"
AIO_NAME: Final = "aio"
AIO_TITLE: Final = "On asyncio: sessions in one process that answer each message, 100 bytes"

STREAMS: Final = "ours, streams"
HANDLERS: Final = "ours, handlers"
AIO: Final = "ours, asyncio"
AIO_UVLOOP: Final = "ours, asyncio on uvloop"

LIBRARIES: Final = (
    sdk.BY_CALLBACKS,
    sdk.ours(STREAMS, "streams"),
    sdk.ours(HANDLERS, "router"),
)
AIO_LIBRARIES: Final = (
    sdk.BY_CALLBACKS,
    sdk.ours(AIO, "asyncio"),
    sdk.ours(AIO_UVLOOP, "uvloop"),
    sdk.SOCKET_IO_CLIENT,
)


def run(bench: Bench) -> Work:
    """Callbacks, streams and handlers, all on trio."""
    return sdk.compared(bench, Work(NAME, TITLE, sdk.COLUMNS), LIBRARIES)


def run_aio(bench: Bench) -> Work:
    """Callbacks on trio, and on asyncio; and python-socketio's client, which runs on uvloop."""
    return sdk.compared(bench, Work(AIO_NAME, AIO_TITLE, sdk.COLUMNS), AIO_LIBRARIES)
