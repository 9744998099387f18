"""Requests that are sent again under the call id that they had: applied once, answered the same."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final

import attrs
import pytest
from trio.testing import MockClock

from signal_sdk.testing.server import LocalServer
from tests.server.helpers import (
    OURS,
    LogIn,
    is_refusal,
    journal_server,
    killed,
    pushed,
    resume,
    told,
)
from tests.wire_client import WireClient, wire_client

CALLID: Final = 50


async def send(client: WireClient, function: str, callid: int = CALLID, **args: Any) -> Any:
    """Send a request under this call id, and wait for its answer."""
    client.send("call2", [function, callid, {"line": client.line, "ack": callid - 1, **args}])
    return await client.reply(callid)


async def heard(client: WireClient) -> list[Any]:
    """Everything that the client was told since it was last asked."""
    return [*await pushed(client), *await told(client)]


# --- each function ---


async def nothing(ann: WireClient, bob: WireClient) -> None:
    """No step comes before."""


async def attribute(ann: WireClient, bob: WireClient) -> None:
    await ann.call("channel_set_attr", channel="room", name="a", value="1")


async def call(ann: WireClient, bob: WireClient) -> None:
    await bob.call("voip_invite", channelName="room", peer="ann", extra="")


async def accepted_call(ann: WireClient, bob: WireClient) -> None:
    await call(ann, bob)
    await ann.call("voip_invite_accept", channelName="room", peer="bob", extra="")


CALL: Final = {"channelName": "room", "peer": "bob", "extra": ""}


@attrs.frozen
class Case:
    """A request, what comes before it, and how much bob is told of it."""

    function: str
    args: dict[str, Any]
    before: Callable[[WireClient, WireClient], Awaitable[None]] = nothing
    told: int = 1


MESSAGE: Final = {"peer": "bob", "flag": "v1:E:60", "t": "instant", "content": "hi"}
CASES: Final = (
    Case("user_sendmsg", MESSAGE),
    Case("user_set_attr", {"name": "a", "value": "1"}, told=0),
    Case("channel_join", {"name": "hall"}),
    Case("channel_leave", {"name": "room"}),
    Case("channel_sendmsg", {"name": "room", "msg": "hi"}),
    Case("channel_set_attr", {"channel": "room", "name": "a", "value": "1"}),
    Case("channel_del_attr", {"channel": "room", "name": "a"}, attribute),
    Case("channel_clear_attr", {"channel": "room"}, attribute),
    Case("voip_invite", CALL),
    Case("voip_invite_ack", CALL, call),
    Case("voip_invite_accept", CALL, call),
    Case("voip_invite_refuse", CALL, call),
    Case("voip_invite_bye", CALL, call),
    Case("voip_invite_msg", CALL, accepted_call),
)
EACH: Final = pytest.mark.parametrize("case", CASES, ids=[case.function for case in CASES])
OUTLIVING: Final = [case for case in CASES if case.function != "channel_sendmsg"]
"""What is kept of a channel's message is lost with the process, as the message itself is."""


async def both_in_room(server: LocalServer, ann: WireClient, bob: WireClient) -> None:
    await bob.login("bob")
    await bob.call("channel_join", name="room")
    await ann.login("ann", **OURS)
    await ann.call("channel_join", name="room")


@EACH
async def test_a_frame_that_comes_twice_is_applied_once(server: LocalServer, case: Case) -> None:
    async with wire_client(server.connect()) as ann, wire_client(server.connect()) as bob:
        await both_in_room(server, ann, bob)
        await case.before(ann, bob)
        await heard(bob)
        first = await send(ann, case.function, **case.args)
        assert first["result"] == "ok"
        assert len(await heard(bob)) == case.told
        assert await send(ann, case.function, **case.args) == first
        assert await heard(bob) == []


@EACH
async def test_two_frames_in_one_go_are_one_request(server: LocalServer, case: Case) -> None:
    async with wire_client(server.connect()) as ann, wire_client(server.connect()) as bob:
        await both_in_room(server, ann, bob)
        await case.before(ann, bob)
        await heard(bob)
        for _ in range(2):
            args = {"line": ann.line, "ack": CALLID - 1, **case.args}
            ann.send("call2", [case.function, CALLID, args])
        first, second = await ann.reply(CALLID), await ann.reply(CALLID)
        assert first == second
        assert first["result"] == "ok"
        assert len(await heard(bob)) == case.told


@EACH
async def test_a_request_that_comes_again_after_a_resume_is_applied_once(
    server: LocalServer, case: Case
) -> None:
    async with wire_client(server.connect()) as bob:
        async with wire_client(server.connect()) as ann:
            await both_in_room(server, ann, bob)
            await case.before(ann, bob)
            await heard(bob)
            first = await send(ann, case.function, **case.args)
        assert len(await heard(bob)) == case.told
        async with wire_client(server.connect()) as again:
            assert (await resume(again, ann.line, channel="room"))["result"] == "ok"
            assert await send(again, case.function, **case.args) == first
            assert await heard(bob) == []


@pytest.mark.parametrize("how", ["killed", "stopped"])
@pytest.mark.parametrize("case", OUTLIVING, ids=[case.function for case in OUTLIVING])
async def test_a_request_that_comes_again_after_a_restart_is_applied_once(
    tmp_path: Path, autojump_clock: MockClock, case: Case, how: str
) -> None:
    directory = tmp_path / "data"
    async with (
        journal_server(directory) as server,
        wire_client(server.connect()) as ann,
        wire_client(server.connect()) as bob,
    ):
        await both_in_room(server, ann, bob)
        await case.before(ann, bob)
        await heard(bob)
        first = await send(ann, case.function, **case.args)
        assert len(await heard(bob)) == case.told
        if how == "killed":
            directory = killed(directory)
    async with (
        journal_server(directory) as server,
        wire_client(server.connect()) as ann_again,
        wire_client(server.connect()) as bob_again,
    ):
        assert (await resume(bob_again, bob.line, channel="room"))["result"] == "ok"
        assert (await resume(ann_again, ann.line, channel="room"))["result"] == "ok"
        await heard(bob_again)
        answer = await send(ann_again, case.function, **case.args)
        if case.function == "channel_join":
            # How things stand now: after a kill, the channel's ids have jumped.
            assert answer.pop("msgid") >= first.pop("msgid")
        assert answer == first
        assert await heard(bob_again) == []


# --- what is kept, and what is not ---


@pytest.fixture
async def ann(log_in: LogIn) -> WireClient:
    return await log_in("ann", **OURS)


@pytest.fixture
async def bob(log_in: LogIn) -> WireClient:
    return await log_in("bob")


async def test_what_was_overtaken_is_not_done_again(ann: WireClient) -> None:
    await send(ann, "user_set_attr", 5, name="a", value="old")
    await send(ann, "user_set_attr", 6, ack=4, name="a", value="new")
    await send(ann, "user_set_attr", 5, name="a", value="old")
    assert (await ann.call("user_get_attr", account="ann", name="a"))["value"] == "new"


async def test_what_was_acknowledged_is_forgotten(ann: WireClient, bob: WireClient) -> None:
    await send(ann, "user_sendmsg", 5, **MESSAGE)
    await send(ann, "user_sendmsg", 6, **{**MESSAGE, "ack": 5})
    # Nobody knows what it was answered, and it is not done behind the later one.
    again = await send(ann, "user_sendmsg", 5, **MESSAGE)
    assert again["err"] == "it was refused, and what was asked for later has been done"
    assert len(await pushed(bob)) == 2


@pytest.mark.parametrize("ack", [None, "5", 5.5, [5]])
async def test_who_acknowledges_nothing_is_answered_anew(
    ann: WireClient, bob: WireClient, ack: Any
) -> None:
    """As the original clients."""
    more = {} if ack is None else {"ack": ack}
    for _ in range(2):
        ann.send("call2", ["user_sendmsg", 5, {"line": ann.line, **MESSAGE, **more}])
        await ann.reply(5)
    assert len(await pushed(bob)) == 2


async def test_a_call_id_that_is_text_is_no_number_to_acknowledge(
    ann: WireClient, bob: WireClient
) -> None:
    for _ in range(2):
        ann.send("call2", ["user_sendmsg", "five", {"line": ann.line, "ack": 0, **MESSAGE}])
        _, err, _ = await ann.expect("call2-ret")
        assert err == ""
    assert len(await pushed(bob)) == 2


@pytest.mark.parametrize("callid", [0, -1, 2**62, 2**63, 2**64, -(2**63) - 1, 10**40])
async def test_any_number_may_be_a_call_id(
    tmp_path: Path, autojump_clock: MockClock, callid: int
) -> None:
    async with (
        journal_server(tmp_path) as server,
        wire_client(server.connect()) as ann,
        wire_client(server.connect()) as bob,
    ):
        await ann.login("ann", **OURS)
        await bob.login("bob")
        assert (await send(ann, "user_sendmsg", callid, **MESSAGE))["result"] == "ok"
        assert len(await pushed(bob)) == 1
        assert (await send(ann, "user_set_attr", 7, name="a", value="1"))["result"] == "ok"


async def test_what_was_refused_is_tried_again(ann: WireClient) -> None:
    assert is_refusal(await send(ann, "channel_leave", name="room"), 600)
    await ann.call("channel_join", name="room")
    assert (await send(ann, "channel_leave", name="room"))["result"] == "ok"


async def test_a_question_is_answered_with_how_things_stand(
    ann: WireClient, bob: WireClient
) -> None:
    assert (await send(ann, "channel_query_num", name="room"))["num"] == 0
    await bob.call("channel_join", name="room")
    assert (await send(ann, "channel_query_num", name="room"))["num"] == 1


async def test_a_join_that_comes_again_is_answered_with_how_things_stand(
    ann: WireClient, bob: WireClient
) -> None:
    first = await send(ann, "channel_join", name="room")
    assert [account for account, _ in first["list"]] == ["ann"]
    await bob.call("channel_join", name="room")
    await bob.call("channel_sendmsg", name="room", msg="hi")
    assert len(await told(ann)) == 2
    again = await send(ann, "channel_join", name="room")
    assert [account for account, _ in again["list"]] == ["ann", "bob"]
    assert again["msgid"] == first["msgid"] + 2
    # It goes on hearing each event once.
    await bob.call("channel_sendmsg", name="room", msg="ho")
    assert [content["msg"] for _, _, content in await told(ann)] == ["ho"]


async def test_a_join_that_was_left_behind_is_not_done_again(ann: WireClient) -> None:
    await send(ann, "channel_join", 5, name="room")
    await send(ann, "channel_join", 6, ack=4, name="hall")
    again = await send(ann, "channel_join", 5, name="room")
    assert (again["result"], again["list"], again["num"]) == ("ok", [], 0)
    await ann.call("channel_sendmsg", name="hall", msg="still here")
    assert [channel for channel, _, _ in await told(ann)] == ["hall"]


async def test_a_new_login_has_no_replies_of_the_one_before(
    server: LocalServer, bob: WireClient
) -> None:
    for _ in range(2):
        async with wire_client(server.connect()) as ann:
            await ann.login("ann", **OURS)
            await send(ann, "user_sendmsg", 1, **MESSAGE)
    assert len(await pushed(bob)) == 2


async def test_a_join_that_moves_a_resumed_session_brings_its_channels_events_from_then_on(
    server: LocalServer, bob: WireClient
) -> None:
    """Its connection broke within the move: it takes itself to be in the one, the server has it in
    the other, and neither's events come before the join is answered.
    """
    await bob.call("channel_join", name="hall")
    async with wire_client(server.connect()) as ann:
        await ann.login("ann", **OURS)
        await ann.call("channel_join", name="room")
        await send(ann, "channel_join", name="hall")
    async with wire_client(server.connect()) as again:
        found = await resume(again, ann.line, channel="room", msgid=1)
        assert (found["channel"], found["gap"]) == ("hall", False)
        await bob.call("channel_sendmsg", name="hall", msg="too early")
        assert await told(again) == []
        joined = await send(again, "channel_join", name="hall")
        assert [account for account, _ in joined["list"]] == ["bob", "ann"]
        await bob.call("channel_sendmsg", name="hall", msg="hi")
        assert [content["msg"] for _, _, content in await told(again)] == ["hi"]
