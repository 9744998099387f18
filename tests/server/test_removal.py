"""An operator takes a session out of its channel: what its client is told on the wire, and when."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from trio.testing import MockClock

from signal_sdk.ecodes import ECode
from signal_sdk.errors import SignalError
from signal_sdk.server.engine.base import ChannelKey
from signal_sdk.server.engine.pending import Pending
from signal_sdk.testing.server import LocalServer, local_server
from tests.server.helpers import LogIn, dev_config, members, settle, slow_engine, told
from tests.server.test_line_login import line_login
from tests.wire_client import WireClient, logged_in, wire_client

OURS = 1_020_000_000


def removed(client: WireClient) -> list[tuple[str, int, dict[str, Any]]]:
    """The leaves of its own that the client was told: (channel, msgid, content)."""
    return [
        (channel, msgid, content)
        for channel, msgid, kind, content in client.channel_events()
        if kind == "channel_user_leave" and "ecode" in content
    ]


def own_leave(client: WireClient, account: str = "ann") -> dict[str, Any]:
    return {"channel": "room", "account": account, "uid": client.uid, "ecode": 601}


async def test_the_client_is_told_its_own_leave_and_hears_the_channel_no_more(
    server: LocalServer, log_in: LogIn
) -> None:
    ann, bob = await log_in("ann"), await log_in("bob")
    msgid = (await ann.call("channel_join", name="room"))["msgid"]
    await bob.call("channel_join", name="room")
    await server.node.operator.remove("app", "ann", "room")
    await settle()
    # Behind bob's join.
    assert removed(ann) == [("room", msgid + 2, own_leave(ann))]
    [(_, heard_as, kind, content)] = bob.channel_events()
    assert (heard_as, kind) == (msgid + 2, "channel_user_leave")
    # To the others it is a leave like any other.
    assert content == {"channel": "room", "account": "ann", "uid": ann.uid}
    await bob.call("channel_sendmsg", name="room", msg="x")
    assert ann.channel_events() == []
    assert (await ann.call("channel_sendmsg", name="room", msg="x"))["err"] != ""
    assert await members(bob, "room") == ["bob"]
    # Nobody here hears that channel for ann any more.
    assert not server.node._hub.is_listening(ChannelKey("app", "room"), "ann", ann.link.outbox)


async def test_who_joins_again_hears_all_again(server: LocalServer, log_in: LogIn) -> None:
    ann, bob = await log_in("ann"), await log_in("bob")
    await bob.call("channel_join", name="room")
    for _ in range(3):
        await ann.call("channel_join", name="room")
        await server.node.operator.remove("app", "ann", "room")
    await ann.call("channel_join", name="room")
    await settle()
    assert len(removed(ann)) == 3
    await bob.call("channel_sendmsg", name="room", msg="x")
    assert [content["msg"] for _, _, content in await told(ann)] == ["x"]


async def test_whoever_does_not_hear_its_channel_is_not_told(
    server: LocalServer, log_in: LogIn
) -> None:
    """A web SDK that has logged in again is still a member, and throws where it is told so."""
    async with wire_client(server.connect()) as before:
        await before.login("ann")
        await before.call("channel_join", name="room")
    ann = await log_in("ann")
    await server.node.operator.remove("app", "ann", "room")
    await settle()
    assert ann.channel_events() == []
    await ann.call("channel_join", name="room")
    assert await members(ann, "room") == ["ann"]


async def test_who_comes_back_is_told_where_it_takes_itself_to_be_there(
    server: LocalServer,
) -> None:
    async with logged_in(server, "ann", device="python", ver=OURS) as ann:
        await ann.call("channel_join", name="room")
        line = ann.line
    await server.node.operator.remove("app", "ann", "room")
    for channel, is_removed in (("room", True), ("hall", False), (None, False), ("room", True)):
        async with wire_client(server.connect()) as again:
            result = await line_login(again, line, channel=channel)
            assert (result["channel"], result["removed"]) == (None, is_removed)
    async with wire_client(server.connect()) as again:
        await line_login(again, line)
        await again.call("channel_join", name="hall")
    async with wire_client(server.connect()) as again:
        result = await line_login(again, line, channel="room")
        assert (result["channel"], result["removed"]) == ("hall", False)


async def test_a_removal_in_the_midst_of_a_return_is_told_behind_its_answer(
    autojump_clock: MockClock,
) -> None:
    """On an engine that takes its time, whenever it comes."""
    for wait in range(40):
        async with (
            local_server(dev_config(), listens=False, engine=slow_engine(wait)) as server,
            logged_in(server, "bob") as bob,
        ):
            await bob.call("channel_join", name="room")
            async with logged_in(server, "ann", device="python", ver=OURS) as ann:
                await ann.call("channel_join", name="room")
                line = ann.line
            await settle()
            async with wire_client(server.connect()) as again, trio.open_nursery() as nursery:
                again.send("line_login", {"line": line, "channel": "room", "msgid": 99})
                await trio.sleep(wait * 0.003)
                nursery.start_soon(server.node.operator.remove, "app", "ann", "room")
                result = await again.login_ret()
                await trio.sleep(5)
                is_told = result["removed"] or bool(removed(again))
                assert is_told
                assert result["channel"] in ("room", None)
                await bob.call("channel_sendmsg", name="room", msg="x")
                await trio.sleep(5)
                assert [it for it in again.channel_events() if it[2] == "channel_msg"] == []


async def test_a_removal_in_the_midst_of_a_move_leaves_the_client_where_the_server_has_it(
    autojump_clock: MockClock,
) -> None:
    for wait in range(40):
        async with (
            local_server(dev_config(), listens=False, engine=slow_engine(wait)) as server,
            logged_in(server, "bob") as bob,
            logged_in(server, "ann") as ann,
        ):
            for client in (ann, bob):
                await client.call("channel_join", name="room")
            moves = (("channel_join", "hall"), ("channel_leave", "room"))
            function, name = moves[wait % 2]
            await settle()
            ann.channel_events()
            outcome: list[bool] = []

            async def remove(server: LocalServer = server, found: list[bool] = outcome) -> None:
                try:
                    await server.node.operator.remove("app", "ann", "room")
                except Exception:  # noqa: BLE001  it was quicker
                    found.append(False)
                else:
                    found.append(True)

            async with trio.open_nursery() as nursery:
                callid = ann.request(function, name=name)
                await trio.sleep(wait * 0.002)
                nursery.start_soon(remove)
                await ann.reply(callid)
            await trio.sleep(5)
            leaves = removed(ann)
            where = (await server.node.operator.presence("app", "ann")).channel
            assert len(leaves) <= int(outcome[0])
            assert where == ("hall" if function == "channel_join" else None)
            assert outcome != [True] or function == "channel_join" or len(leaves) == 1
            await bob.call("channel_sendmsg", name="room", msg="x")
            await trio.sleep(5)
            heard = [
                content for _, _, kind, content in ann.channel_events() if kind == "channel_msg"
            ]
            assert heard == []


async def test_who_joins_again_while_it_is_removed_is_where_the_later_of_both_says(
    server: LocalServer, log_in: LogIn
) -> None:
    ann, bob = await log_in("ann"), await log_in("bob")
    await bob.call("channel_join", name="room")
    await ann.call("channel_join", name="room")
    for number in range(10):
        async with trio.open_nursery() as nursery:
            callid = ann.request("channel_join", name="room")
            nursery.start_soon(server.node.operator.remove, "app", "ann", "room")
            await ann.reply(callid)
        await settle()
        ann.channel_events()
        is_in = (await server.node.operator.presence("app", "ann")).channel == "room"
        await bob.call("channel_sendmsg", name="room", msg=f"{number}")
        assert bool(await told(ann)) is is_in
        await ann.call("channel_join", name="room")


async def test_a_move_that_is_refused_leaves_it_removed(
    server: LocalServer, log_in: LogIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    ann, bob = await log_in("ann"), await log_in("bob")
    for client in (ann, bob):
        await client.call("channel_join", name="room")
    await settle()
    ann.channel_events()
    joining: Pending[Any] = Pending()
    monkeypatch.setattr(server.node.engine, "join", lambda *_, **__: joining)
    callid = ann.request("channel_join", name="hall")
    await settle()
    await server.node.operator.remove("app", "ann", "room")
    await settle()
    # Where it is, nobody knows yet.
    assert ann.channel_events() == []
    joining.fail(SignalError(ECode.JOINCHANNEL_E_OTHER, "too many"))
    assert (await ann.reply(callid))["result"] == "failed"
    await settle()
    [(channel, _, content)] = removed(ann)
    assert (channel, content) == ("room", own_leave(ann))
    await bob.call("channel_sendmsg", name="room", msg="x")
    assert await told(ann) == []


async def test_who_is_removed_while_what_it_missed_is_looked_for_hears_so_behind_that(
    server: LocalServer, log_in: LogIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    bob = await log_in("bob")
    await bob.call("channel_join", name="room")
    async with logged_in(server, "ann", device="python", ver=OURS) as ann:
        msgid = (await ann.call("channel_join", name="room"))["msgid"]
        line = ann.line
    looking: Pending[Any] = Pending()
    monkeypatch.setattr(server.node.engine, "history", lambda *_: looking)
    async with wire_client(server.connect()) as again:
        again.send("line_login", {"line": line, "channel": "room", "msgid": msgid})
        await settle()
        await server.node.operator.remove("app", "ann", "room")
        await settle()
        assert again.seen == []
        looking.resolve(())
        result = await again.login_ret()
        assert (result["channel"], result["removed"]) == ("room", False)
        await settle()
        assert [(channel, content["ecode"]) for channel, _, content in removed(again)] == [
            ("room", 601)
        ]
        await bob.call("channel_sendmsg", name="room", msg="x")
        assert await told(again) == []


async def test_who_is_removed_from_where_its_join_is_not_answered_yet_hears_so_behind_that(
    server: LocalServer, log_in: LogIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An engine may tell of it before that."""
    ann, bob = await log_in("ann"), await log_in("bob")
    await bob.call("channel_join", name="room")
    engine, joining = server.node.engine, Pending[Any]()
    join, results = engine.join, []

    def late(*args: Any, **kwargs: Any) -> Pending[Any]:
        results.append(join(*args, **kwargs))
        return joining

    monkeypatch.setattr(engine, "join", late)
    callid = ann.request("channel_join", name="room")
    await settle()
    await server.node.operator.remove("app", "ann", "room")
    await settle()
    assert ann.channel_events() == []
    joining.resolve(results[0])
    assert (await ann.reply(callid))["result"] == "ok"
    await settle()
    assert [content for _, _, content in removed(ann)] == [own_leave(ann)]
    await bob.call("channel_sendmsg", name="room", msg="x")
    assert await told(ann) == []
