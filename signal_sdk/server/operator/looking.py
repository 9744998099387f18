"""What an operator may look at: accounts, channels, calls, and this node's connections.

Owns: what of a record is told, which is never a `line`, a token, or what users say to each other.
Must not know where any of it is kept.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from typing import Final, Protocol

import trio

from signal_sdk.server.clock import Clock
from signal_sdk.server.config import Config
from signal_sdk.server.engine.base import (
    AccountKey,
    Call,
    Engine,
    Entry,
    Presence,
    Standing,
    number_in,
    wrong_cursor,
)
from signal_sdk.server.engine.pending import waited
from signal_sdk.server.hub import Look
from signal_sdk.server.operator.base import (
    DEFAULT_PAGE,
    Base,
    account_key,
    call_key,
    channel_key,
    limit_of,
    no_call,
    no_channel,
)
from signal_sdk.server.operator.facts import (
    CallFacts,
    ChannelFacts,
    ConnectionFacts,
    InboxFacts,
    Member,
    NotThereError,
    Online,
    Page,
    PresenceFacts,
    Waiting,
)
from signal_sdk.wire import lines
from signal_sdk.wire.names import JsonValue

__all__ = ["Connections", "Looked", "Looking"]

LOOKED_AT: Final = 5000
"""How many of this node's connections one page looks at."""


class Looked(Protocol):
    """A connection of this node."""

    began_at: float

    def look(self) -> Look | None:
        """How it is; None where nobody is logged in on it."""


class Connections(Protocol):
    """This node's connections, as an operator may look at them."""

    def of(self, key: AccountKey) -> Looked | None:
        """The one that holds the account."""

    def all(self) -> Sequence[Looked]:
        """All of them, by when they were made, of which no two are the same."""


class Looking(Base):
    """Looking, as `Operator` has it."""

    def __init__(
        self, engine: Engine, config: Config, connections: Connections, clock: Clock
    ) -> None:
        super().__init__(engine, config, clock)
        self._connections = connections

    # --- accounts ---

    async def presence(self, app: str, account: str) -> PresenceFacts:
        """Is the account online, and how? One that nobody knows is offline."""
        self._check_app(app)
        key = account_key(app, account)
        presence = await waited(self._engine.presence(key))
        if presence is None:
            return PresenceFacts(account=key.account, online=False)
        connection = self._connections.of(key)
        return PresenceFacts(
            account=key.account,
            online=True,
            uid=presence.uid,
            device=presence.device,
            ver=presence.ver,
            channel=presence.channel,
            channels=presence.channels,
            lease_ends=presence.lease_ends,
            since=self._since(connection.began_at) if connection is not None else None,
        )

    async def online(
        self, app: str, *, cursor: str = "", limit: int = DEFAULT_PAGE
    ) -> Page[Online]:
        """Who is online, on all nodes. `limit` is from 1 to 1,000, here as everywhere."""
        self._check_app(app)
        return await self._page(
            lambda at, count: self._engine.online_in(app, at, count), _online, cursor, limit
        )

    async def inbox(self, app: str, account: str) -> InboxFacts:
        """How much waits for an account. Nothing of it is handled by this."""
        self._check_app(app)
        entries, size = await waited(self._engine.inbox_size(account_key(app, account)))
        return InboxFacts(entries=entries, bytes=size)

    async def waiting(
        self, app: str, account: str, *, cursor: str = "", limit: int = DEFAULT_PAGE
    ) -> Page[Waiting]:
        """What waits for an account, oldest first, without its content. Nothing of it is handled by
        this.
        """
        self._check_app(app)
        key, count = account_key(app, account), limit_of(limit)
        found = await waited(self._engine.peek(key, number_in(cursor), count + 1))
        items = [_waiting(it) for it in found[:count]]
        return Page(items, str(items[-1].version) if len(found) > count else "")

    async def user_attributes(self, app: str, account: str) -> Mapping[str, JsonValue]:
        """All attributes of an account, which need not be online."""
        self._check_app(app)
        return await waited(self._engine.user_attrs(account_key(app, account)))

    # --- channels ---

    async def channel(self, app: str, channel: str) -> ChannelFacts:
        """One channel. Raises `NotThereError` where there is none."""
        self._check_app(app)
        key = channel_key(app, channel)
        found = await waited(self._engine.channel(key))
        if found is None:
            raise no_channel(key)
        return _channel(found)

    async def channels(
        self, app: str, *, cursor: str = "", limit: int = DEFAULT_PAGE
    ) -> Page[ChannelFacts]:
        """The app's channels."""
        self._check_app(app)
        return await self._page(
            lambda at, count: self._engine.channels_in(app, at, count), _channel, cursor, limit
        )

    async def members(
        self, app: str, channel: str, *, cursor: str = "", limit: int = DEFAULT_PAGE
    ) -> Page[Member]:
        """Who is in a channel: nobody, where there is none."""
        self._check_app(app)
        key = channel_key(app, channel)
        return await self._page(
            lambda at, count: self._engine.members(key, at, count), _member, cursor, limit
        )

    async def channel_attributes(self, app: str, channel: str) -> Mapping[str, JsonValue]:
        """All attributes of a channel, with the counts that are kept up to date; none where there
        is no such channel.
        """
        self._check_app(app)
        return await waited(self._engine.channel_attrs(channel_key(app, channel)))

    # --- calls ---

    async def call(self, app: str, channel: str, caller: str, callee: str) -> CallFacts:
        """The live call between two accounts about a channel, whoever of them has called. Raises
        `NotThereError` where there is none.
        """
        self._check_app(app)
        key = call_key(app, channel, caller, callee)
        found = await waited(self._engine.call(key))
        if found is None:
            raise no_call(key)
        return _call(found)

    async def calls(
        self, app: str, *, cursor: str = "", limit: int = DEFAULT_PAGE
    ) -> Page[CallFacts]:
        """The app's live calls."""
        self._check_app(app)
        return await self._page(
            lambda at, count: self._engine.calls_in(app, at, count), _call, cursor, limit
        )

    async def calls_of(self, app: str, account: str) -> Sequence[CallFacts]:
        """The live calls that an account is a side of."""
        self._check_app(app)
        found = await waited(self._engine.calls_of(account_key(app, account)))
        return [_call(it) for it in found]

    # --- connections of this node ---

    async def connection(self, app: str, account: str) -> ConnectionFacts:
        """The connection that an account has to this node. Raises `NotThereError` where it has none
        here: it may have one to another node.
        """
        self._check_app(app)
        key = account_key(app, account)
        connection = self._connections.of(key)
        look = connection.look() if connection is not None else None
        await trio.lowlevel.checkpoint()
        if look is None:
            raise NotThereError(f"{key.account!r} has no connection to this node")
        return self._connection(look)

    async def connections(
        self, app: str, *, cursor: str = "", limit: int = DEFAULT_PAGE
    ) -> Page[ConnectionFacts]:
        """The app's connections to this node, the oldest first."""
        self._check_app(app)
        await self._turns.wait()
        count, found = limit_of(limit), self._connections.all()
        first = at = bisect_right(found, _moment_in(cursor), key=_began_at)
        items: list[ConnectionFacts] = []
        while at < min(len(found), first + LOOKED_AT) and len(items) < count:
            look = found[at].look()
            if look is not None and look.key.app == app:
                items.append(self._connection(look))
            at += 1
        return Page(items, repr(found[at - 1].began_at) if at < len(found) else "")

    def _since(self, began_at: float) -> float:
        return self._clock() - (trio.current_time() - began_at)

    def _connection(self, look: Look) -> ConnectionFacts:
        return ConnectionFacts(
            account=look.key.account,
            channel=look.channels[-1] if look.channels else None,
            channels=look.channels,
            peer=look.peer,
            wire=look.kind,
            device=look.device,
            ver=look.ver,
            since=self._since(look.began_at),
            outbox_bytes=look.unsent_bytes,
        )


def _moment_in(cursor: str) -> float:
    """When the last connection of the page before was made. Raises `ParameterError`."""
    try:
        moment = float(cursor or 0)
    except ValueError:
        raise wrong_cursor() from None
    if not math.isfinite(moment):
        raise wrong_cursor()
    return moment


def _began_at(connection: Looked) -> float:
    return connection.began_at


def _online(found: tuple[str, Presence]) -> Online:
    account, presence = found
    return Online(
        account=account,
        uid=presence.uid,
        device=presence.device,
        channel=presence.channel,
        channels=presence.channels,
        is_connected=presence.lease_ends is None,
    )


def _waiting(entry: Entry) -> Waiting:
    line = lines.decode(entry.line)
    return Waiting(
        version=entry.version,
        sender=line.src,
        kind=line.type,
        time=line.time / 1000,
        expires=entry.expires,
        bytes=len(entry.line.encode()),
    )


def _channel(found: Standing) -> ChannelFacts:
    return ChannelFacts(
        channel=found.name,
        members=found.num,
        joins=found.total,
        last_msgid=found.msgid,
        idle_since=found.idle_since,
    )


def _member(found: tuple[str, int]) -> Member:
    account, uid = found
    return Member(account=account, uid=uid)


def _call(found: Call) -> CallFacts:
    return CallFacts(
        id=found.id,
        channel=found.channel,
        caller=found.caller,
        callee=found.callee,
        state=found.state,
        deadline=found.deadline,
    )
