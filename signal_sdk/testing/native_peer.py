"""The native peer: a client that does on the wire what the original native SDK does, for tests of a
server.

Owns: what its user may ask. Must not know how a session lives: native_session.py does.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import trio

from signal_sdk.ecodes import ECode
from signal_sdk.errors import SignalError
from signal_sdk.net.reactor import Reactor
from signal_sdk.testing.native_events import Heard, join_events
from signal_sdk.testing.native_line import Connect, connect_in_memory
from signal_sdk.testing.native_session import NativeSession
from signal_sdk.testing.server import LocalServer
from signal_sdk.wire import events, frames, lines

__all__ = ["NativePeer", "native_peer"]


class NativePeer(NativeSession):
    """A client as the original native SDK is one, made by `native_peer`.

    Its methods ask and await the answer: they return the answer's fields, or raise `SignalError`
    with 1001 and the server's reason, or 1002 after a time-out. What its user would hear besides is
    in `heard`, as (`ICallBack` method, arguments), until `expect` takes it. Where the wire's
    observers did not see what the original does, this peer does the least: a pushed entry is
    cleared with the next poll or the logout.
    """

    async def logout(self) -> None:
        """Log out; everything that was received is handled."""
        await self.call("user_logout", ver_clear=self.version)
        self._log_out(ECode.LOGOUT_E_USER)

    async def message_instant_send(self, account: Any, msg: Any, *, ttl: int = 3600) -> None:
        """Send an instant message."""
        await self.call(
            "user_sendmsg", peer=account, flag=lines.make_flag(ttl), t="instant", content=msg
        )

    async def channel_join(self, name: Any) -> None:
        """Join a channel, and tell what a join tells."""
        answer = await self.call("channel_join", name=name)
        self._has_joined(name)
        self._tell(*join_events(name, answer))

    async def channel_leave(self) -> None:
        """Leave the channel."""
        channel = self._leaves()
        await self.call("channel_leave", name=channel)
        self._tell(Heard("on_channel_leaved", (channel, ECode.LEAVECHANNEL_E_BYUSER)))

    async def message_channel_send(self, msg: Any, *, name: Any = None) -> None:
        """Send to the channel, or with `name` to any (`messageChannelSendForce`)."""
        where = {"name": self.channel} if name is None else {"name": name, "force": True}
        await self.call("channel_sendmsg", msg=msg, **where)

    async def channel_invite_user2(self, channel: Any, account: Any, extra: str = "{}") -> None:
        """Invite to a call. Raises `SignalError`, after `on_invite_failed` has been told."""
        fields = frames.decode_json(extra, dict[str, Any], "extra")
        now = round(trio.current_time() * 1000)
        fields |= {"callid": f"{self.uid}_{now}", "start_time": now}
        full = frames.encode_json(fields).decode()
        try:
            await self.call("voip_invite", channelName=channel, peer=account, extra=full)
        except SignalError as exc:
            is_offline = exc.reason == "peer is not online"
            ecode = ECode.INVITE_E_PEEROFFLINE if is_offline else ECode.INVITE_E_OTHER
            self._tell(Heard("on_invite_failed", (channel, account, 0, ecode, full)))
            raise

    async def channel_invite_step(
        self, step: str, channel: Any, account: Any, extra: Any = ""
    ) -> None:
        """Take a step in a call: `accept`, `refuse` or `msg`."""
        await self.call(f"voip_invite_{step}", channelName=channel, peer=account, extra=extra)

    async def channel_invite_dtmf(self, channel: Any, account: Any, keys: str) -> None:
        """Dial digits."""
        await self.channel_invite_step("msg", channel, account, events.encode_dtmf(keys))

    async def channel_invite_end(self, channel: Any, account: Any) -> None:
        """End a call."""
        await self.call("call_bye", channelName=channel, srcNum=self.account, destNum=account)
        self._tell(Heard("on_invite_end_by_myself", (channel, "", 0)))


@asynccontextmanager
async def native_peer(
    server: LocalServer | None = None, *, app: str = "app", connect: Connect | None = None
) -> AsyncIterator[NativePeer]:
    """A native client of `server`, in memory, or of whatever `connect` finds, while the block runs.
    It is not logged in yet.
    """
    if connect is None:
        if server is None:
            raise ValueError(
                "a native peer needs a server: native_peer(server), or for one elsewhere "
                "native_peer(app=APP, connect=connect_by_lookup(APP, HOST, [8180, 8181]))"
            )
        connect = connect_in_memory(server)
    failed: Exception | None = None
    async with trio.open_nursery() as nursery:
        reactor = Reactor()
        await nursery.start(reactor.run)
        try:
            yield NativePeer(app, connect, nursery, reactor)
        except Exception as exc:  # noqa: BLE001  it is raised again below
            # The block's own exception is not the nursery's to wrap.
            failed = exc
        nursery.cancel_scope.cancel()
    if failed is not None:
        raise failed
