"""A user of the samples: an account of our SDK, and all that it hears, in order.

Owns: waiting for what was heard. Must not know what is tested.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

import trio

from signal_sdk import (
    Call,
    CallCallback,
    Channel,
    ChannelCallback,
    ECode,
    LoginCallback,
    LoginSession,
    Signal,
)
from signal_sdk.testing.server import LocalServer

HEAR_SECONDS: Final = 50.0
APP: Final = "demo"


class Peer(LoginCallback, ChannelCallback, CallCallback):
    """An account. Each thing heard is `(kind, what)`; `extra` of calls is decoded."""

    session: LoginSession

    def __init__(self) -> None:
        self._put, self._get = trio.open_memory_channel[tuple[str, Any]](1000)

    def _heard(self, kind: str, what: Any) -> None:
        self._put.send_nowait((kind, what))

    async def hear(self) -> tuple[str, Any]:
        """What was heard next."""
        with trio.fail_after(HEAR_SECONDS):
            return await self._get.receive()

    @property
    def has_heard_more(self) -> bool:
        """Is there anything that nobody has waited for?"""
        return self._get.statistics().current_buffer_used > 0

    async def on_message_instant_receive(
        self, session: LoginSession, account: str, uid: int, msg: str
    ) -> None:
        self._heard(account, msg)

    async def on_message_channel_receive(
        self, session: LoginSession, channel: Channel, account: str, uid: int, msg: str
    ) -> None:
        if account != session.account:
            self._heard(f"{account} in {channel.name}", msg)

    async def on_invite_received(self, session: LoginSession, call: Call) -> None:
        call.cb = self
        self._heard("call", call)

    async def on_invite_accepted_by_peer(
        self, session: LoginSession, call: Call, extra: str
    ) -> None:
        self._heard("accepted", json.loads(extra))

    async def on_invite_refused_by_peer(
        self, session: LoginSession, call: Call, extra: str
    ) -> None:
        self._heard("refused", json.loads(extra))

    async def on_invite_end_by_peer(self, session: LoginSession, call: Call, extra: str) -> None:
        self._heard("ended", json.loads(extra))

    async def on_invite_failed(self, session: LoginSession, call: Call, ecode: ECode) -> None:
        self._heard("failed", ecode)

    async def on_error(self, session: LoginSession, ecode: ECode, reason: str) -> None:
        self._heard("error", reason)


@asynccontextmanager
async def peer(server: LocalServer, account: str, *, app: str = APP) -> AsyncIterator[Peer]:
    """Log an account in while the block runs."""
    peer = Peer()
    async with Signal(app, server=server.address) as signal:
        peer.session = await signal.login(account, "_no_need_token", peer)
        yield peer
