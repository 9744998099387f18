"""A server that goes on behind another on the same journal, which was stopped or killed."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import attrs
import pytest
import trio
from trio.testing import MockClock

from signal_sdk.errors import StorageError
from signal_sdk.server.config import AppConfig
from signal_sdk.server.engine.base import ChannelKey, Known
from signal_sdk.server.engine.bounds import Bounds
from signal_sdk.server.engine.embedded import EmbeddedEngine
from signal_sdk.server.engine.journal import Journal
from signal_sdk.server.engine.pending import waited
from signal_sdk.server.engine.schema import Batch
from signal_sdk.testing.server import EPOCH, LocalServer, local_server
from signal_sdk.wire import tokens
from tests.server.engine.contract.harness import ANN, ROOM, OnJournal, open_house
from tests.server.helpers import (
    CERTIFICATE,
    OURS,
    dev_config,
    journal_engine,
    journal_server,
    kept_by,
    killed,
    members,
    polled,
    pushed,
    resume,
    told,
)
from tests.wire_client import WireClient, logged_in, wire_client

MESSAGE: Final = {"flag": "v1:E:3600", "t": "instant"}
BOTH: Final = pytest.mark.parametrize("how", ["killed", "stopped"])


@attrs.define
class House:
    """Servers one behind the other on one directory."""

    directory: Path
    how: str = "killed"

    @asynccontextmanager
    async def server(self) -> AsyncIterator[LocalServer]:
        """A server; behind the block, what it left is what the next begins with."""
        before = self.directory
        async with journal_server(before) as server:
            yield server
            if self.how == "killed":
                self.directory = killed(before, f"{before.name}+")


@pytest.fixture
def house(tmp_path: Path, how: str) -> House:
    return House(tmp_path / "data", how)


@asynccontextmanager
async def back(
    server: LocalServer, client: WireClient, **more: Any
) -> AsyncIterator[tuple[WireClient, dict[str, Any]]]:
    """The client's session, taken up again at another server; and what that answered."""
    async with wire_client(server.connect()) as again:
        answer = await resume(again, client.line, **more)
        assert answer["result"] == "ok", answer
        yield again, answer


async def status(asker: WireClient, account: str) -> int:
    found: int = (await asker.call("user_query_user_status", account=account))["status"]
    return found


async def send(client: WireClient, peer: str, content: str) -> None:
    reply = await client.call("user_sendmsg", peer=peer, content=content, **MESSAGE)
    assert reply["result"] == "ok"


# --- what is there again ---


@BOTH
async def test_a_session_goes_on_with_its_line_uid_channel_and_attributes(
    house: House, autojump_clock: MockClock
) -> None:
    async with (
        house.server() as server,
        logged_in(server, "eve") as eve,
        logged_in(server, "ann", **OURS) as ann,
        logged_in(server, "bob") as bob,
    ):
        # So that the order of joining is not that of the accounts.
        for client in (bob, eve, ann):
            await client.call("channel_join", name="ro om \U0001f600")
        await ann.call("user_set_attr", name="a", value="\0\U0001f600")
        await bob.call("channel_set_attr", channel="ro om \U0001f600", name="b", value=[1.5])
    async with house.server() as server, back(server, ann) as (again, answer):
        assert (answer["line"], answer["uid"]) == (ann.line, ann.uid)
        assert answer["channel"] == "ro om \U0001f600"
        known = await again.call("user_get_attr_all", account="ann")
        assert json.loads(known["json"]) == {"a": "\0\U0001f600"}
        joined = await again.call("channel_join", name="ro om \U0001f600")
        assert joined["list"] == [["bob", bob.uid], ["eve", eve.uid], ["ann", ann.uid]]
        assert {"b": [1.5]}.items() <= joined["attrs"].items()
        assert [await status(again, name) for name in ("ann", "bob", "eve", "zoe")] == [1, 1, 1, 0]


@BOTH
async def test_an_account_keeps_its_uid_and_no_other_gets_it(
    house: House, autojump_clock: MockClock
) -> None:
    async with house.server() as server, logged_in(server, "ann") as ann:
        await ann.call("user_logout")
    async with (
        house.server() as server,
        logged_in(server, "bob") as bob,
        logged_in(server, "ann") as again,
    ):
        assert again.uid == ann.uid != bob.uid


@BOTH
async def test_what_waits_in_an_inbox_is_there_and_no_version_comes_twice(
    house: House, autojump_clock: MockClock
) -> None:
    async with house.server() as server, logged_in(server, "bob", **OURS) as bob:
        for text in ("one", "two \0 \U0001f600", "three"):
            await send(bob, "ann", text)
        async with logged_in(server, "ann", device="javasdk") as ann:
            await ann.call("user_getmsg", ver_clear=1, max=30)
            # What was handled is not waited for: after a kill within these milliseconds, it comes
            # again.
            await trio.sleep(0.1)
    async with (
        house.server() as server,
        back(server, bob) as (again, _),
        back(server, ann) as (ann_again, _),
    ):
        page = await ann_again.call("user_getmsg", ver_clear=0, max=30)
        assert [version for version, _ in page["msgs"]] == [2, 3]
        await send(again, "ann", "four")
        assert [content for _, content in await polled(ann_again)] == [
            "two \0 \U0001f600",
            "three",
            "four",
        ]
        page = await ann_again.call("user_getmsg", ver_clear=3, max=30)
        ((version, _),) = page["msgs"]
        assert version > 3
        assert (version == 4) is (house.how == "stopped")


@BOTH
async def test_what_the_client_has_handled_before_does_not_come_again(
    house: House, autojump_clock: MockClock
) -> None:
    """Not even where its last version is higher than any that is left."""
    async with house.server() as server, logged_in(server, "bob") as bob:
        for _ in range(3):
            await send(bob, "ann", "old")
        async with logged_in(server, "ann", device="javasdk") as ann:
            await ann.call("user_getmsg", ver_clear=3, max=30)
            await trio.sleep(0.1)
    async with house.server() as server, logged_in(server, "ann", device="javasdk") as ann:
        page = await ann.call("user_getmsg", ver_clear=3, max=30)
        assert page["msgs"] == []
        assert page["ver_clear"] >= 3


@BOTH
async def test_a_gap_is_told_only_after_a_kill(house: House, autojump_clock: MockClock) -> None:
    async with (
        house.server() as server,
        logged_in(server, "ann", **OURS) as ann,
        logged_in(server, "bob") as bob,
    ):
        await bob.call("channel_join", name="room")
        joined = await ann.call("channel_join", name="room")
        await bob.call("channel_sendmsg", name="room", msg="seen")
        msgid = joined["msgid"] + 1
        assert [content["msg"] for _, _, content in await told(ann)] == ["seen"]
    async with (
        house.server() as server,
        back(server, ann, channel="room", msgid=msgid) as (again, answer),
        back(server, bob) as (bob_again, _),
    ):
        assert answer["gap"] is (house.how == "killed")
        assert (answer["msgid"] == msgid) is (house.how == "stopped")
        assert answer["msgid"] >= msgid
        await bob_again.call("channel_sendmsg", name="room", msg="new")
        await trio.sleep(1)
        ((_, later, _, content),) = again.channel_events()
        assert (later, content["msg"]) == (answer["msgid"] + 1, "new")


@BOTH
async def test_what_was_not_committed_has_used_its_numbers_up(
    tmp_path: Path, autojump_clock: MockClock, how: str
) -> None:
    """They may have been seen: handed out is handed out."""
    directory = tmp_path / "data"
    given, heard = 0, 0
    for life in range(3):
        async with open_house(OnJournal(directory)) as house:
            node = house.node
            ann = await node.log_in()
            await node.engine.subscribe(ROOM)
            await ann.set("a", "b")
            await house.settle()
            # More than half a reservation, and nothing of it is written.
            for _ in range(900):
                await ann.post("x", ANN)
                await ann.say("x")
            versions = [version for version, _ in await house.inbox(ANN, given, 1000)]
            msgids = [msgid for kind, _, msgid, _ in node.heard.all if kind == "event"]
            assert min(versions) > given, life
            assert min(msgids) > heard, life
            given, heard = max(versions), max(msgids)
            if how == "killed":
                directory = killed(directory, f"{directory.name}+")


@pytest.mark.parametrize("written_behind", [None, 0, 1])
async def test_no_reply_of_an_earlier_session_is_left_to_the_next(
    tmp_path: Path, autojump_clock: MockClock, written_behind: int | None
) -> None:
    """Not even one that was written before: the next session counts its requests from the start,
    and would have one of its own taken for an old one.
    """
    async with open_house(OnJournal(tmp_path)) as house:
        ann = await house.node.log_in(line="first")
        for number in range(2):
            await house.engine.keep(ann.asked(7 + number, reply="kept"))
            if number == written_behind:
                await house.settle()
        assert await house.engine.recall(ann.asked(8)) == Known("kept")
        await ann.end()
        await house.node.log_in(line="second")
    async with open_house(OnJournal(tmp_path)) as house:
        ann = await house.node.resume(line="second")
        assert await house.engine.recall(ann.asked(7)) is None
        assert await house.engine.recall(ann.asked(8)) is None


async def test_replies_are_forgotten_up_to_what_has_arrived_and_no_further(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with open_house(OnJournal(tmp_path)) as house:
        ann = await house.node.log_in()
        # The third comes behind the fourth.
        for callid in (1, 2, 4, 3):
            await house.engine.keep(ann.asked(callid, reply=f"{callid}"))
    for ack, kept in ((0, [1, 2, 3, 4]), (1, [2, 3, 4]), (2, [3, 4]), (4, [])):
        async with open_house(OnJournal(tmp_path)) as house:
            ann = await house.node.resume()
            found = [await house.engine.recall(ann.asked(it, ack)) for it in range(1, 5)]
            assert [it.reply for it in found if it] == [f"{it}" for it in kept]


# --- time goes on ---


@BOTH
async def test_who_comes_back_in_time_stays_and_the_rest_time_out(
    house: House, autojump_clock: MockClock
) -> None:
    async with house.server() as server, logged_in(server, "zoe") as zoe:
        await zoe.call("channel_join", name="room")
        async with logged_in(server, "ann", **OURS) as ann, logged_in(server, "bob") as bob:
            await ann.call("channel_join", name="room")
            await bob.call("channel_join", name="room")
            async with logged_in(server, "eve") as eve:
                await eve.call("channel_join", name="room")
            # Eve's lease began 100 s before the end.
            await trio.sleep(100)
    began = trio.current_time()
    async with house.server() as server, back(server, zoe) as (asker, _):
        await trio.sleep(10)
        async with back(server, ann) as (again, _):
            assert await members(asker, "room") == ["zoe", "ann", "bob", "eve"]
            await trio.sleep_until(began + 19)
            assert await status(asker, "eve") == 1
            await trio.sleep_until(began + 21)
            assert await status(asker, "eve") == 0
            await trio.sleep_until(began + 119)
            assert await status(asker, "bob") == 1
            await told(asker)
            await trio.sleep_until(began + 121)
            assert [await status(asker, name) for name in ("bob", "ann", "zoe")] == [0, 1, 1]
            assert [(kind, content["account"]) for _, kind, content in await told(asker)] == [
                ("channel_user_leave", "bob")
            ]
            assert await members(again, "room") == ["zoe", "ann"]


@BOTH
async def test_a_lease_that_ran_out_meanwhile_is_over_at_the_start(
    house: House, autojump_clock: MockClock
) -> None:
    async with house.server() as server:
        async with logged_in(server, "ann") as ann:
            await ann.call("channel_join", name="room")
        await trio.sleep(1)
    await trio.sleep(300)
    async with house.server() as server, logged_in(server, "bob") as bob:
        await trio.sleep(0.1)
        assert await status(bob, "ann") == 0
        assert await members(bob, "room") == []
        async with wire_client(server.connect()) as again:
            assert (await resume(again, ann.line))["ecode"] == 202


@BOTH
async def test_who_had_left_or_was_replaced_is_not_let_in_by_the_old_line(
    house: House, autojump_clock: MockClock
) -> None:
    async with (
        house.server() as server,
        logged_in(server, "ann", **OURS) as left,
        logged_in(server, "bob", **OURS) as first,
        logged_in(server, "bob", **OURS) as second,
    ):
        await left.call("user_logout")
    async with house.server() as server:
        for line in (left.line, first.line):
            async with wire_client(server.connect()) as again:
                assert (await resume(again, line))["ecode"] == 202
        async with back(server, second):
            pass


@BOTH
async def test_a_token_that_expired_meanwhile_ends_the_session(
    tmp_path: Path, autojump_clock: MockClock, how: str
) -> None:
    directory = tmp_path / "data"
    config = attrs.evolve(dev_config(), apps=(AppConfig(id="app", certificate=CERTIFICATE),))
    token = tokens.make_token("app", CERTIFICATE, "ann", int(EPOCH) + 60)
    async with (
        journal_server(directory, config) as server,
        logged_in(server, "ann", token=token, **OURS) as ann,
    ):
        if how == "killed":
            directory = killed(directory)
    await trio.sleep(61)
    async with (
        journal_server(directory, config) as server,
        wire_client(server.connect()) as again,
    ):
        assert (await resume(again, ann.line))["ecode"] == 204


@BOTH
async def test_a_calls_deadline_goes_on(house: House, autojump_clock: MockClock) -> None:
    async with (
        house.server() as server,
        logged_in(server, "ann", **OURS) as ann,
        logged_in(server, "bob", **OURS) as bob,
    ):
        began = trio.current_time()
        call = {"channelName": "room", "extra": ""}
        await ann.call("voip_invite", peer="bob", **call)
        await trio.sleep(5)
        await bob.call("voip_invite_ack", peer="ann", **call)
        assert [kind for kind, _ in await pushed(ann)] == ["voip_invite_ack"]
        await trio.sleep(5)
    async with (
        house.server() as server,
        back(server, ann) as (ann_again, _),
        back(server, bob) as (bob_again, _),
    ):
        await trio.sleep_until(began + 24.5)
        assert await pushed(ann_again) == []
        refused = await ann_again.call("voip_invite", peer="bob", **call)
        assert refused["ecode"] == 701
        await trio.sleep_until(began + 25.5)
        ((kind, content),) = await pushed(ann_again)
        assert (kind, content["ecode"]) == ("voip_invite_failed", 704)
        assert [kind for kind, _ in await pushed(bob_again)] == ["voip_invite_bye"]


@BOTH
async def test_a_call_that_is_under_way_goes_on(house: House, autojump_clock: MockClock) -> None:
    call = {"channelName": "room", "extra": {"a": [1, "\U0001f600"]}}
    async with (
        house.server() as server,
        logged_in(server, "ann", **OURS) as ann,
        logged_in(server, "bob", **OURS) as bob,
    ):
        await ann.call("voip_invite", peer="bob", **call)
        await bob.call("voip_invite_accept", peer="ann", **call)
    async with (
        house.server() as server,
        back(server, ann) as (ann_again, _),
        back(server, bob) as (bob_again, _),
    ):
        await trio.sleep(60)
        assert (await ann_again.call("voip_invite_msg", peer="bob", **call))["result"] == "ok"
        assert [kind for kind, _ in await pushed(bob_again)] == ["voip_invite_msg"]
        await bob_again.call("user_logout")
        assert [kind for kind, _ in await pushed(ann_again)] == ["voip_invite_bye"]


@BOTH
async def test_a_channels_death_goes_on(house: House, autojump_clock: MockClock) -> None:
    async with house.server() as server, logged_in(server, "ann", **OURS) as ann:
        await ann.call("channel_join", name="room")
        await ann.call("channel_set_attr", channel="room", name="_channel_ttl", value="100")
        await ann.call("channel_set_attr", channel="room", name="a", value="1")
        await ann.call("channel_leave", name="room")
        emptied = trio.current_time()
        await trio.sleep(50)

    async def attributes() -> dict[str, Any]:
        async with wire_client(server.connect()) as bob:
            await bob.login("bob")
            found: dict[str, Any] = (await bob.call("channel_join", name="room"))["attrs"]
            return found

    async with house.server() as server:
        await trio.sleep_until(emptied + 99)
        # Asked without joining, which would keep it alive.
        engine = server.node.engine
        assert await waited(engine.channel_attrs(ChannelKey("app", "room")))
        await trio.sleep_until(emptied + 101)
        assert not await waited(engine.channel_attrs(ChannelKey("app", "room")))
        assert "a" not in await attributes()


@BOTH
async def test_a_count_that_was_pushed_is_pushed_on(
    house: House, autojump_clock: MockClock
) -> None:
    async with house.server() as server, logged_in(server, "ann", **OURS) as ann:
        await ann.call("channel_join", name="room")
        await ann.call("channel_set_attr", channel="room", name="_auto_update_num", value="5")
    async with house.server() as server, back(server, ann, channel="room") as (again, _):
        await told(again)
        async with logged_in(server, "bob") as bob:
            await bob.call("channel_join", name="room")
            await trio.sleep(6)
            counts = [
                content["value"]
                for _, kind, content in await told(again)
                if kind == "channel_attr_update"
            ]
            assert counts == ["2"]


# --- what is written ---


async def writes_of(tmp_path: Path, work: Callable[[WireClient], Any]) -> list[Batch]:
    """The batches that a client's work makes."""
    batches: list[Batch] = []

    async def write(write: Callable[[Batch], None], batch: Batch) -> None:
        batches.append(batch)
        write(batch)

    engine = EmbeddedEngine(journal=Journal.open(tmp_path), write_in_thread=write)
    async with (
        local_server(dev_config(), listens=False, engine=engine) as server,
        logged_in(server, "ann", **OURS) as ann,
    ):
        await ann.call("channel_join", name="room")
        # Not in the moment in which the engine notes the time.
        await trio.sleep(1.5)
        batches.clear()
        await work(ann)
        await trio.sleep(1)
        return list(batches)


@pytest.mark.parametrize("fails", [False, True])
async def test_nobody_hears_of_an_entry_before_its_batch_is_done_with(
    tmp_path: Path, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture, *, fails: bool
) -> None:
    """Where the disk is full, who is there hears of it all the same: it is in the inbox."""
    may = trio.Event()

    async def write(write: Callable[[Batch], None], batch: Batch) -> None:
        await may.wait()
        if fails:
            raise StorageError("the disk is full")
        write(batch)

    class Failing(OnJournal):
        def _begin(self, bounds: Bounds) -> EmbeddedEngine:
            return EmbeddedEngine(journal=Journal.open(tmp_path), write_in_thread=write)

    async with open_house(Failing(tmp_path)) as house:
        ann = await house.node.log_in()
        for number in range(3):
            await ann.post(f"{number}", ANN)
        assert house.node.heard.all == []
        may.set()
        assert await house.node.entries() == [("ann", n + 1, f"{n}") for n in range(3)]
        fails = False
        await trio.sleep(2)
    caplog.clear()


async def test_a_channels_messages_are_in_no_journal(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async def talk(ann: WireClient) -> None:
        for number in range(50):
            reply = await ann.call("channel_sendmsg", name="room", msg="hi", ack=number)
            assert reply["result"] == "ok"

    assert await writes_of(tmp_path, talk) == []


async def test_a_question_is_in_no_journal(tmp_path: Path, autojump_clock: MockClock) -> None:
    async def ask(ann: WireClient) -> None:
        await ann.call("user_get_attr_all", account="ann", ack=0)
        await ann.call("user_getmsg", ver_clear=0, max=30, ack=0)
        await ann.call("channel_query_userlist", name="room", ack=0)

    assert await writes_of(tmp_path, ask) == []


@pytest.mark.parametrize(
    "facts",
    [
        {"ver": 2**63},
        {"ver": -(2**63) - 1},
        {"ver": 10**40},
        {"device": "\0\U0001f600" * 400},
        {"instance": "\0\U0001f600" * 400},
        {"uid": 10**40},
    ],
    ids=["ver", "ver below", "huge ver", "device", "instance", "uid"],
)
async def test_whatever_a_client_says_of_itself_can_be_written(
    tmp_path: Path, autojump_clock: MockClock, facts: dict[str, Any]
) -> None:
    directory = tmp_path / "data"
    async with journal_server(directory) as server:
        async with logged_in(server, "ann", **facts) as ann:
            assert (await ann.call("user_set_attr", name="a", value="1"))["result"] == "ok"
        directory = killed(directory)
    async with journal_server(directory) as server, back(server, ann):
        pass


@pytest.mark.parametrize("number", [2**63, 2**64, -(10**40), 1e300])
async def test_values_are_kept_as_they_are(
    tmp_path: Path, autojump_clock: MockClock, number: float
) -> None:
    value = {"n": number, "s": "\0", "deep": [[[None]]]}
    directory = tmp_path / "data"
    async with journal_server(directory) as server, logged_in(server, "ann") as ann:
        await ann.call("channel_join", name="room")
        await ann.call("user_set_attr", name="a", value=value)
        await ann.call("channel_set_attr", channel="room", name="a", value=value)
        await ann.call("voip_invite", channelName="room", peer="bob", extra=value)
        await trio.sleep(1)
        engine = server.node.engine
        left = killed(directory)
        assert isinstance(engine, EmbeddedEngine)
        again = journal_engine(left)
        before, after = kept_by(engine), kept_by(again)
        assert after["calls"] == before["calls"]
        assert len(before["calls"]) == 1
        for key, account in before["accounts"].items():
            # Only the numbers have jumped.
            assert (
                account[:4] + account[5:] == after["accounts"][key][:4] + after["accounts"][key][5:]
            )
        room = ChannelKey("app", "room")
        assert after["channels"][room][:2] == before["channels"][room][:2]
        await again.aclose()


@BOTH
async def test_a_session_that_takes_bytes_does_so_still(
    house: House, autojump_clock: MockClock
) -> None:
    binary = {**MESSAGE, "content": "AP8=", "properties": {"binary": True}}
    async with house.server() as server, logged_in(server, "bob", **OURS, takes_bytes=True) as bob:
        pass
    async with (
        house.server() as server,
        logged_in(server, "ann") as ann,
        back(server, bob) as (again, answer),
    ):
        assert answer["takes_bytes"] is True
        assert (await ann.call("user_sendmsg", peer="bob", **binary))["result"] == "ok"
        event = await again.expect("notify")
        _, line = json.loads(event[1])
        assert line.endswith(" AP8=")
        assert '"binary":true' in line
        refused = await ann.call("user_sendmsg", peer="ann", **binary)
        assert refused["ecode"] == 1004
