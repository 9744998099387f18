"""What the peers' tests share: Java clients of one server."""

from __future__ import annotations

from typing import Final

import attrs
import trio

from signal_sdk.testing.server import EPOCH, LocalServer
from signal_sdk.wire import tokens
from tests.peers.java_peer import JavaPeer, java_peer

ROOM: Final = "room 1"
GUARDED_APP: Final = "guarded"
CERTIFICATE: Final = "5cfd2fd1755d40ecb72977518be15d3b"


def make_token(account: str, *, seconds: int) -> str:
    """A token that is good until the mock clock shows `seconds`."""
    return tokens.make_token(GUARDED_APP, CERTIFICATE, account, int(EPOCH) + seconds)


async def settle() -> None:
    """Let all happen that happens soon."""
    await trio.sleep(0.1)


@attrs.define(eq=False)
class Javas:
    """Java clients of one server, which last as long as the test."""

    server: LocalServer
    nursery: trio.Nursery
    peers: list[JavaPeer] = attrs.field(factory=list)

    async def peer(self, *, app: str = "app") -> JavaPeer:
        """A client that is not logged in."""

        async def hold(task_status: trio.TaskStatus[JavaPeer]) -> None:
            async with java_peer(self.server, app=app) as peer:
                task_status.started(peer)
                await trio.sleep_forever()

        peer: JavaPeer = await self.nursery.start(hold)
        self.peers.append(peer)
        return peer

    async def login(
        self, account: str, *, app: str = "app", token: str = "_no_need_token"
    ) -> JavaPeer:
        """A client that is logged in."""
        peer = await self.peer(app=app)
        await peer.login(account, token)
        return peer

    async def pair(self) -> tuple[JavaPeer, JavaPeer]:
        """Two of them: alice and bob."""
        return await self.login("alice"), await self.login("bob")
