"""Taking a session up again: `line_login`."""

from __future__ import annotations

from typing import Any

import pytest
import trio

from signal_sdk.testing.server import LocalServer
from tests.server.helpers import LogIn, is_refusal, members, polled, settle, told
from tests.wire_client import WireClient, wire_client


async def line_login(client: WireClient, line: str, **more: object) -> dict[str, object]:
    client.send("line_login", {"line": line, **more})
    return await client.login_ret()


async def test_a_session_goes_on_with_its_line_uid_and_channel(
    server: LocalServer, log_in: LogIn
) -> None:
    bob = await log_in("bob")
    await bob.call("channel_join", name="room")
    async with wire_client(server.connect()) as ann:
        await ann.login("ann", device="javasdk")
        await ann.call("channel_join", name="room")
    await trio.sleep(60)
    await told(bob)
    async with wire_client(server.connect()) as again:
        result = await line_login(again, ann.line)
        assert (result["result"], result["uid"], result["line"]) == ("ok", ann.uid, ann.line)
        assert await members(again, "room") == ["bob", "ann"]
        await again.call("channel_sendmsg", name="room", msg="back")
        assert [kind for _, kind, _ in await told(bob)] == ["channel_msg"]
        # The event comes without another join.
        assert [content["msg"] for _, _, content in await told(again)] == ["back"]


async def test_messages_that_came_meanwhile_wait_in_the_inbox(
    server: LocalServer, log_in: LogIn
) -> None:
    bob = await log_in("bob")
    async with wire_client(server.connect()) as ann:
        await ann.login("ann")
    await bob.call("user_sendmsg", peer="ann", flag="v1:E:60", t="instant", content="hi")
    async with wire_client(server.connect()) as again:
        await line_login(again, ann.line)
        assert await polled(again) == [("instant", "hi")]


async def test_what_was_missed_is_told_as_text_however_long_it_is(
    server: LocalServer, log_in: LogIn
) -> None:
    """It would be compressed for each member by itself."""
    bob = await log_in("bob")
    async with wire_client(server.connect()) as ann:
        await ann.login("ann")
        msgid = (await ann.call("channel_join", name="room"))["msgid"]
    await bob.call("channel_join", name="room")
    await bob.call("channel_sendmsg", name="room", msg="x" * 8000)
    async with wire_client(server.connect()) as again:
        again.send("set_flag", {"binary": 1})
        await line_login(again, ann.line, msgid=msgid)
        *_, (_, kind, content) = await told(again)
        assert (kind, content["msg"]) == ("channel_msg", "x" * 8000)
        assert again.compressed == []


async def test_a_gap_is_told_where_the_channel_has_had_events(
    server: LocalServer, log_in: LogIn
) -> None:
    bob = await log_in("bob")
    await bob.call("channel_join", name="room")
    async with wire_client(server.connect()) as ann:
        await ann.login("ann")
        await ann.call("channel_join", name="room")
        await bob.call("channel_sendmsg", name="room", msg="seen")
        await ann.expect("notify")
        (_, msgid, _, _), *_ = bob.channel_events()[-1:]
    async with wire_client(server.connect()) as again:
        assert not (await line_login(again, ann.line, msgid=msgid))["gap"]
    await bob.call("channel_sendmsg", name="room", msg="missed")
    async with wire_client(server.connect()) as again:
        result = await line_login(again, ann.line, msgid=msgid)
        assert (result["gap"], result["msgid"]) == (False, msgid + 1)
        # What is still held is told instead.
        assert [content["msg"] for _, _, content in await told(again)] == ["missed"]
    await trio.sleep(61)
    async with wire_client(server.connect()) as again:
        assert (await line_login(again, ann.line, msgid=msgid))["gap"]
        assert await told(again) == []


async def test_without_a_channel_there_is_no_gap(server: LocalServer, log_in: LogIn) -> None:
    ann = await log_in("ann")
    async with wire_client(server.connect()) as again:
        assert not (await line_login(again, ann.line))["gap"]


async def test_a_resume_breaks_the_connection_that_still_holds_the_session(
    server: LocalServer, log_in: LogIn
) -> None:
    """Without a word: it may be that one which its client has given up, and the session is its
    client's still.
    """
    ann = await log_in("ann")
    async with wire_client(server.connect()) as again:
        assert (await line_login(again, ann.line))["result"] == "ok"
        await ann.wait_closed()
        assert "kick" not in [event for event, _ in ann.seen]
        await trio.sleep(200)
        assert (await again.call("user_query_user_status", account="ann"))["status"] == 1


@pytest.mark.parametrize("line", ["", "nonsense", "é\U0001f600", "x" * 4000])
async def test_an_unknown_line_is_refused(server: LocalServer, log_in: LogIn, line: str) -> None:
    await log_in("ann")
    async with wire_client(server.connect()) as again:
        assert (await line_login(again, line))["ecode"] == 202
        await again.wait_closed()


async def test_a_line_ends_with_its_session(server: LocalServer, log_in: LogIn) -> None:
    ann = await log_in("ann")
    await ann.call("user_logout")
    async with wire_client(server.connect()) as again:
        assert (await line_login(again, ann.line))["ecode"] == 202


async def test_a_line_ends_with_its_lease(server: LocalServer) -> None:
    async with wire_client(server.connect()) as ann:
        await ann.login("ann")
    await trio.sleep(119)
    async with wire_client(server.connect()) as again:
        assert (await line_login(again, ann.line))["result"] == "ok"
    await trio.sleep(121)
    async with wire_client(server.connect()) as again:
        assert (await line_login(again, ann.line))["ecode"] == 202


async def test_a_line_ends_with_another_login(server: LocalServer, log_in: LogIn) -> None:
    first = await log_in("ann")
    second = await log_in("ann")
    async with wire_client(server.connect()) as again:
        assert (await line_login(again, first.line))["ecode"] == 202
    assert second.closed is None


OURS: dict[str, Any] = {"device": "javasdk", "ver": 1_02_00_00_000, "instance": "mine"}


@pytest.mark.parametrize("is_connected", [True, False])
async def test_who_comes_again_takes_the_account_from_nobody(
    server: LocalServer, log_in: LogIn, is_connected: bool
) -> None:
    """However many others have had it meanwhile."""
    await log_in("ann", **OURS)
    await log_in("ann", **{**OURS, "instance": "another's"})
    third = await log_in("ann", **{**OURS, "instance": "a third one's"})
    if not is_connected:
        third.link.abort()
        await settle()
    async with wire_client(server.connect()) as again:
        ret = await again.login("ann", **OURS, again=True)
        assert (ret["result"], ret["err"], ret["ecode"]) == ("failed", "kick", 207)
    assert [frame for frame in third.seen if frame[0] == "kick"] == []


async def test_who_comes_again_takes_it_from_its_own_earlier_login(
    server: LocalServer, log_in: LogIn
) -> None:
    """Whose answer may have got lost: a kick would be its own."""
    await log_in("ann", **OURS)
    async with wire_client(server.connect()) as again:
        assert (await again.login("ann", **OURS, again=True))["result"] == "ok"


async def test_the_line_of_the_session_that_goes_on_is_the_one_that_requests_need(
    server: LocalServer, log_in: LogIn
) -> None:
    ann = await log_in("ann")
    async with wire_client(server.connect()) as again:
        await line_login(again, ann.line)
        again.line = "another"
        assert is_refusal(await again.call("channel_join", name="room"), 1003)
        again.line = ann.line
        assert (await again.call("channel_join", name="room"))["result"] == "ok"
