"""Who visits a desk: an account of our SDK, or a page of the original web SDK. A test plays the
same part by either.

Owns: each kind's spelling of what a visitor does and hears. Must not know what is tested.
"""

from __future__ import annotations

from typing import Any, Protocol

from signal_sdk import Call, Channel
from tests.samples.peer import APP, Peer
from tests.web.web_peer import WebObject, WebPeer

DESK = "desk"
LOBBY = "lobby"


class Visitor(Protocol):
    """Does and hears the same, whatever it is."""

    async def say(self, text: str) -> None:
        """Send the desk a message."""

    async def hear(self) -> str:
        """What the desk sends next."""

    async def join(self) -> None:
        """Join the lobby."""

    async def hear_in_lobby(self) -> str:
        """What the desk says next in the lobby."""

    async def call(self) -> Any:
        """Call the desk; what it says when it has accepted."""

    async def dial(self, digits: str) -> None:
        """Dial within the call."""

    async def hear_end(self) -> Any:
        """What the desk says when it ends the call."""


class OurVisitor:
    """By our SDK."""

    def __init__(self, peer: Peer) -> None:
        self._peer = peer
        self._call: Call | None = None
        self._lobby: Channel | None = None

    async def say(self, text: str) -> None:
        await self._peer.session.message_instant_send(DESK, text)

    async def _hear(self, kind: str) -> Any:
        heard, what = await self._peer.hear()
        assert heard == kind, (heard, what)
        return what

    async def hear(self) -> str:
        return str(await self._hear(DESK))

    async def join(self) -> None:
        self._lobby = await self._peer.session.channel_join(LOBBY, self._peer)

    async def hear_in_lobby(self) -> str:
        return str(await self._hear(f"{DESK} in {LOBBY}"))

    async def call(self) -> Any:
        self._call = await self._peer.session.channel_invite_user2("tea", DESK, "", self._peer)
        return await self._hear("accepted")

    async def dial(self, digits: str) -> None:
        assert self._call is not None
        await self._call.channel_invite_dtmf(digits)

    async def hear_end(self) -> Any:
        return await self._hear("ended")


class WebVisitor:
    """By the original web SDK."""

    def __init__(self, session: WebObject) -> None:
        self._session = session
        self._call: WebObject | None = None
        self._lobby: WebObject | None = None

    @classmethod
    async def log_in(cls, web: WebPeer, account: str) -> WebVisitor:
        return cls(await web.login(account, app=APP))

    async def say(self, text: str) -> None:
        await self._session.request("messageInstantSend", DESK, text)

    async def hear(self) -> str:
        account, _, text = await self._session.expect("onMessageInstantReceive")
        assert account == DESK, (account, text)
        return str(text)

    async def join(self) -> None:
        self._lobby = await self._session.make("channelJoin", LOBBY)

    async def hear_in_lobby(self) -> str:
        assert self._lobby is not None
        account, _, text = await self._lobby.expect("onMessageChannelReceive")
        assert account == DESK, (account, text)
        return str(text)

    async def call(self) -> Any:
        self._call = await self._session.make("channelInviteUser2", "tea", DESK, "")
        # The SDK has decoded what is JSON.
        [extra] = await self._call.expect("onInviteAcceptedByPeer")
        return extra

    async def dial(self, digits: str) -> None:
        assert self._call is not None
        await self._call.call("channelInviteDTMF", digits)

    async def hear_end(self) -> Any:
        assert self._call is not None
        [extra] = await self._call.expect("onInviteEndByPeer")
        return extra
