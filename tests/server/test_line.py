"""A session's `line`: what finds the session again, and nobody else's business."""

from __future__ import annotations

import base64
import hmac
import logging
import secrets
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import attrs
import pytest
import trio
from trio.testing import MockClock

from signal_sdk.server import presence as presence_rules
from signal_sdk.server import session as sessions
from signal_sdk.server.engine.pending import waited
from signal_sdk.server.session import digest
from signal_sdk.testing.server import LocalServer, local_server
from tests.server.helpers import (
    LogIn,
    is_refusal,
    journal_server,
    members,
    polled,
    resume,
)
from tests.server.test_tokens import CONFIG, modern
from tests.wire_client import WireClient, logged_in, wire_client

NATIVE = {"device": "javasdk"}


async def taken_up(server: LocalServer, line: str) -> Any:
    """What taking this line up gets: 0, or the code of its refusal."""
    async with wire_client(server.connect()) as client:
        return (await resume(client, line)).get("ecode", 0)


async def test_it_is_made_of_the_system_s_randomness(
    log_in: LogIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(secrets, "token_urlsafe", lambda size: f"{size} bytes of it")
    assert (await log_in("ann")).line == f"{presence_rules.LINE_BYTES} bytes of it"


async def test_it_has_at_least_128_bits(log_in: LogIn) -> None:
    lines = [(await log_in(f"user-{number}", **NATIVE)).line for number in range(20)]
    decoded = [base64.urlsafe_b64decode(line) for line in lines]
    assert all(len(data) * 8 >= 128 for data in decoded)
    assert presence_rules.LINE_BYTES * 8 >= 128
    # Neither a byte nor a bit that is the same in all: of 20, one in 500,000 runs would have one.
    for at in range(presence_rules.LINE_BYTES):
        assert len({data[at] for data in decoded}) > 1


async def test_it_is_new_at_each_login(server: LocalServer, log_in: LogIn) -> None:
    first = await log_in("ann")
    second = await log_in("ann")
    assert first.line != second.line


def files_of(directory: Path) -> bytes:
    return b"".join(file.read_bytes() for file in directory.iterdir())


async def test_its_digest_alone_is_kept(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with journal_server(tmp_path) as server, logged_in(server, "ann") as ann:
        [(_, presence)] = await waited(server.node.engine.online())
        assert presence.line_digest == digest(ann.line)
        assert ann.line not in repr(presence)
        line = ann.line.encode()
    kept = files_of(tmp_path)
    assert digest(ann.line) in kept
    assert line not in kept


async def test_its_digest_alone_is_kept_in_memory_too(server: LocalServer, log_in: LogIn) -> None:
    ann = await log_in("ann")
    async with wire_client(server.connect()) as client:
        assert (await resume(client, ann.line))["result"] == "ok"
        connection = server.node.acceptor.connections[-1]
        held = connection.client
        assert held is not None
        session = held.session
        assert session is not None
        assert session.line_digest == digest(ann.line)
        assert held._login is None
        kept = [getattr(session, field.name) for field in attrs.fields(type(session))]
        assert ann.line not in map(str, kept)


async def test_it_reaches_no_log(
    server: LocalServer, log_in: LogIn, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    ann = await log_in("ann")
    assert await taken_up(server, ann.line) == 0
    assert await taken_up(server, "a line that nobody has") == 202
    stolen = await log_in("bob")
    stolen.line = ann.line
    assert is_refusal(await stolen.call("channel_join", name="room"), 1003)
    assert ann.line not in caplog.text
    assert "a line that nobody has" not in caplog.text


async def test_it_is_compared_in_constant_time(
    log_in: LogIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    compared: list[Any] = []

    def compare(one: Any, other: Any) -> bool:
        compared.append((one, other))
        return hmac.compare_digest(one, other)

    monkeypatch.setattr(sessions, "compare_digest", compare)
    ann = await log_in("ann")
    right = ann.line
    wrongs = (f"{right[:-1]}!", right[:-1], "", f"{right} ", right.swapcase())
    for wrong in wrongs:
        ann.line = wrong
        assert is_refusal(await ann.call("channel_query_num", name="room"), 1003)
        assert compared[-1] == (digest(wrong), digest(right))
    ann.line = right
    await ann.call("channel_query_num", name="room")
    assert compared[-1] == (digest(right), digest(right))
    # Once it was said, there is no need of its digest.
    for wrong in wrongs:
        ann.line = wrong
        assert is_refusal(await ann.call("channel_query_num", name="room"), 1003)
        assert compared[-1] == (wrong, right)
    ann.line = "é"
    assert is_refusal(await ann.call("channel_query_num", name="room"), 1003)


async def test_it_is_of_no_use_on_another_s_connection(log_in: LogIn) -> None:
    ann, bob = await log_in("ann"), await log_in("bob")
    await ann.call("channel_join", name="room")
    own, bob.line = bob.line, ann.line
    for function, args in (
        ("channel_sendmsg", {"name": "room", "msg": "x", "force": True}),
        ("user_getmsg", {"ver_clear": 0}),
        ("user_logout", {}),
        ("channel_join", {"name": "room"}),
    ):
        assert is_refusal(await bob.call(function, **args), 1003)
    bob.line = own
    assert await members(bob, "room") == ["ann"]


async def test_it_leads_to_its_own_app_and_account_whoever_asks(
    server: LocalServer, log_in: LogIn
) -> None:
    """There is nothing beside it by which a client could say whose it wants to be."""
    ann = await log_in("ann", app="one", **NATIVE)
    other = await log_in("ann", app="two", **NATIVE)
    message = {"peer": "ann", "flag": "v1:E:60", "t": "instant", "content": "for two"}
    await other.call("user_sendmsg", **message)
    async with wire_client(server.connect()) as client:
        client.line = ann.line
        more = {"vid": "two", "account": "ann", "app": "two"}
        assert (await resume(client, ann.line, **more))["uid"] == ann.uid
        assert await polled(client) == []
        assert [
            key.app for key, it in await waited(server.node.engine.online()) if not it.lease_ends
        ] == [
            "one",
            "two",
        ]


@pytest.mark.parametrize("line", ["", "x", "a" * 32, "é" * 32])
async def test_a_line_that_was_never_given_finds_nothing(
    server: LocalServer, log_in: LogIn, line: str
) -> None:
    await log_in("ann")
    assert await taken_up(server, line) == 202


# --- its end ---


@pytest.fixture
async def guarded(autojump_clock: MockClock) -> AsyncIterator[LocalServer]:
    async with local_server(CONFIG, listens=False) as server:
        yield server


async def log_out(client: WireClient, _: LocalServer) -> None:
    await client.call("user_logout")


async def log_in_elsewhere(client: WireClient, server: LocalServer) -> None:
    async with logged_in(server, "ann", token=modern("ann", 600)):
        await client.expect("kick")


async def wait_for_the_token_s_end(client: WireClient, _: LocalServer) -> None:
    await trio.sleep(601)
    await client.wait_closed()


async def lose_the_connection_for_too_long(client: WireClient, _: LocalServer) -> None:
    client.link.abort()
    await trio.sleep(121)


@pytest.mark.parametrize(
    "end",
    [log_out, log_in_elsewhere, wait_for_the_token_s_end, lose_the_connection_for_too_long],
)
async def test_it_is_dead_with_its_session(guarded: LocalServer, end: Any) -> None:
    async with logged_in(guarded, "ann", token=modern("ann", 600), **NATIVE) as ann:
        await end(ann, guarded)
        assert await taken_up(guarded, ann.line) == 202
    assert digest(ann.line) not in {
        presence.line_digest for _, presence in await waited(guarded.node.engine.online())
    }


async def test_a_resume_leaves_it_good_and_ends_the_other_connection(
    server: LocalServer, log_in: LogIn
) -> None:
    ann = await log_in("ann")
    async with wire_client(server.connect()) as again:
        again.line = ann.line
        assert (await resume(again, ann.line))["line"] == ann.line
        await ann.wait_closed()
        assert (await again.call("channel_query_num", name="room"))["result"] == "ok"
