"""What the router's tests share: a server in memory, a bot that runs, and peers."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import attrs
import trio

from signal_sdk import LoginSession, Signal
from signal_sdk.client.dialer import Dialer
from signal_sdk.router import Bot
from signal_sdk.testing.scripted_peer import ScriptedPeer
from signal_sdk.testing.server import local_server


@attrs.frozen
class Desk:
    """A bot that runs, and who talks to it."""

    session: LoginSession
    signal: Signal
    """The peers'."""
    server: Dialer
    peer: Callable[[str], ScriptedPeer]
    nursery: trio.Nursery


@asynccontextmanager
async def running(bot: Bot, server: Dialer | None = None) -> AsyncIterator[Desk]:
    """Run a bot while the block runs."""
    if server is None:
        async with local_server(listens=False) as local, running(bot, local) as desk:
            yield desk
        return
    async with Signal(bot.appid, server=server) as signal, trio.open_nursery() as nursery:
        session: LoginSession = await nursery.start(lambda **told: bot.run(server=server, **told))

        def peer(account: str) -> ScriptedPeer:
            return ScriptedPeer(signal, account, bot=lambda: bot.account)

        yield Desk(session, signal, server, peer, nursery)
        nursery.cancel_scope.cancel()
