"""The engine contract, kept by every engine.

An engine is listed in `ENGINES`, and then held to all that uses the fixture `engine`. What an
engine on a journal leaves behind is compared with what it was, after each of these tests.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import attrs

from signal_sdk.server.engine.base import (
    AccountKey,
    Call,
    CallKey,
    ChannelKey,
    Engine,
    Joined,
    MakeContents,
    Post,
    Presence,
    Roster,
)
from signal_sdk.server.engine.bounds import Bounds
from signal_sdk.server.engine.commits import JournalCommits
from signal_sdk.server.engine.embedded import EmbeddedEngine
from signal_sdk.wire import lines
from signal_sdk.wire.events import ChannelContent, ChannelMessage, ChannelUserJoin, ChannelUserLeave
from tests.server.helpers import journal_engine

MAX_INBOX: Final = 5
NOW: Final = 1_600_000_000.0

BOUNDS: Final = Bounds(inbox_messages=MAX_INBOX, history_events=4, history_seconds=60.0)

ENGINES: Final[dict[str, Callable[[Path], Engine]]] = {
    "embedded": lambda _: EmbeddedEngine(bounds=BOUNDS),
    "journaled": lambda path: journal_engine(path, bounds=BOUNDS),
}

ANN = AccountKey("app", "ann")
BOB = AccountKey("app", "bob")
ROOM = ChannelKey("app", "room")
CALL_KEY = CallKey("app", "room", "ann", "bob")
CALL = Call(
    id="one",
    caller="bob",
    callee="ann",
    channel="room",
    extra="",
    state="inviting",
    timeout=20,
    deadline=NOW,
)


@attrs.define
class Delivered:
    """What an engine delivered, in order."""

    all: list[tuple[Any, ...]] = attrs.field(factory=list)

    def deliver_entry(self, key: AccountKey, version: int, line: str) -> None:
        self.all.append(("entry", key, version, lines.decode(line).content))

    def deliver_event(
        self, key: ChannelKey, msgid: int, content: ChannelContent, time_ms: int
    ) -> None:
        assert time_ms == NOW * 1000
        self.all.append(("event", key, msgid, content))

    def deliver_kick(self, key: AccountKey, generation: int) -> None:
        self.all.append(("kick", key, generation))

    def take(self) -> list[tuple[Any, ...]]:
        taken, self.all = self.all, []
        return taken


async def written(engine: Engine) -> None:
    """All that was done so far is durable."""
    assert isinstance(engine, EmbeddedEngine)
    if isinstance(engine._commits, JournalCommits):
        await engine._commits.commit()


async def log_in(engine: Engine, key: AccountKey = ANN, line: bytes = b"line") -> Presence:
    made = await engine.log_in(
        key,
        line_digest=line + key.account.encode(),
        device="websdk",
        ver=1,
        token_expires=7,
        instance="",
    )
    assert made is not None
    presence, _ = made
    return presence


async def join(
    engine: Engine, presence: Presence, key: AccountKey = ANN, channel: ChannelKey = ROOM
) -> Roster | None:
    joined = await move(engine, presence, channel, key)
    return joined.roster if joined else None


async def move(
    engine: Engine,
    presence: Presence,
    channel: ChannelKey,
    key: AccountKey = ANN,
    farewell: ChannelContent | None = None,
) -> Joined | None:
    """Join a channel, and leave the one that the session was in."""
    announce = ChannelUserJoin(channel=channel.channel, account=key.account, uid=presence.uid)
    return await engine.join(
        channel,
        key.account,
        presence.generation,
        announce,
        farewell=farewell,
        newest=200,
        now=NOW,
    )


def post(content: str, key: AccountKey = ANN, ttl: float = 100) -> Post:
    line = lines.MessageLine(src="bob", dst=key.account, type="instant", content=content, time=0)
    return Post(key=key, sender="bob", line=line.encode(), expires=NOW + ttl)


def message(text: str) -> ChannelMessage:
    return ChannelMessage(channel="room", account="bob", uid=2, msg=text)


def messages(*texts: str) -> MakeContents:
    contents = tuple(map(message, texts))
    return lambda: contents


def leaving(account: str) -> ChannelUserLeave:
    return ChannelUserLeave(channel="room", account=account, uid=1)
