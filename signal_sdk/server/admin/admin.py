"""The admin address of a node: what is served there, and its life.

Owns: that whatever fails here is told in the log, and never ends the node. Must not know what is
asked there.
"""

from __future__ import annotations

import logging
import socket
from collections.abc import Sequence
from typing import Final

import trio

from signal_sdk.net.deadline import move_on_after
from signal_sdk.server.admin.app import AdminApp
from signal_sdk.server.admin.served import Served
from signal_sdk.server.admin.server import AdminServer
from signal_sdk.server.config import Config

__all__ = ["Admin"]

logger: logging.Logger = logging.getLogger("signal_sdk.server.admin")

AGAIN_SECONDS: Final = 1.0
STOP_SECONDS: Final = 1.0
"""How long what is under way may still take."""


class Admin:
    """What is served to those who run a node, at `sockets`, which listen and are its own from here
    on.
    """

    def __init__(self, config: Config, sockets: Sequence[socket.socket], served: Served) -> None:
        self._served = served
        self._app = AdminApp(config, served)
        self._server = AdminServer(self._app, sockets, served.reactor)

    async def run(self) -> None:
        """Serve until cancelled."""
        try:
            while True:
                try:
                    await self._server.run()
                except Exception:
                    # Whatever it is, the node goes on.
                    logger.exception("the admin address failed")
                await trio.sleep(AGAIN_SECONDS)
        finally:
            self._server.close()

    async def stop(self) -> None:
        """Let nobody in any more, and what is under way end, for a moment."""
        self._served.stopping.set()
        with move_on_after(self._served.reactor, STOP_SECONDS):
            await self._server.stop()

    def take(self, config: Config) -> None:
        """The keys, the names and the apps are those of `config` from here on."""
        self._app.take(config)
