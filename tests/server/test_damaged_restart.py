"""A server that goes on with what is left of a damaged file: who was in a channel, or had an
account, that was set aside is served like everybody.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from signal_sdk.server.engine.files import FILE_NAME
from tests.server.helpers import OURS, journal_server, members, polled, resume
from tests.wire_client import wire_client


@pytest.mark.parametrize(
    "table", ["channels", "members", "channel_attributes", "accounts", "calls"]
)
async def test_what_is_left_is_served(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, table: str, autojump_clock: object
) -> None:
    async with (
        journal_server(tmp_path) as server,
        wire_client(server.connect(), server.url) as ann,
    ):
        await ann.login("ann", **OURS)
        await ann.call("channel_join", name="room")
        await ann.call("channel_set_attr", channel="room", name="a", value="b")
        await ann.call("voip_invite", channelName="room", peer="bob", extra="")
        line = ann.line
    with closing(sqlite3.connect(tmp_path / FILE_NAME)) as db:
        db.execute(f"UPDATE {table} SET checksum = 5")  # noqa: S608  a table of ours
        db.commit()
    async with journal_server(tmp_path) as server:
        assert "could not be used, and were set aside" in caplog.text
        async with wire_client(server.connect(), server.url) as ann:
            found = await resume(ann, line)
            assert (found["result"] == "ok") == (table != "accounts")
        async with wire_client(server.connect(), server.url) as ann:
            assert (await ann.login("ann", **OURS))["result"] == "ok"
            await ann.call("channel_join", name="room")
            assert await members(ann, "room") == ["ann"]
            await ann.call("channel_set_attr", channel="room", name="a", value="c")
            await ann.call("channel_leave", name="room")
            assert await members(ann, "room") == []
        async with wire_client(server.connect(), server.url) as bob:
            await bob.login("bob", **OURS)
            heard = [kind for kind, _ in await polled(bob)]
            assert ("voip_invite" in heard) == (table != "accounts")
    async with journal_server(tmp_path):
        pass
