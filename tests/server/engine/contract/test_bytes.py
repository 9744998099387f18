"""The engine contract: messages that are bytes reach those who read them, and nobody else."""

from __future__ import annotations

from typing import Any

import attrs
import pytest
from msgspec import structs

from signal_sdk.ecodes import ECode
from signal_sdk.errors import SignalError
from signal_sdk.server.engine.base import AccountKey, ChannelKey, NoBytesError, Post
from signal_sdk.wire import lines, login, names
from signal_sdk.wire.events import ChannelMessage
from signal_sdk.wire.properties import Properties, encode_bytes
from tests.server.engine.contract.harness import ANN, BOB, House, Node, User

CAT = AccountKey("app", "cat")
ROOM = ChannelKey("app", "room")
SYSTEM = names.SYSTEM_ACCOUNT
BINARY = Properties(binary=True)
DATA = encode_bytes(bytes(range(256)))
READS: dict[str, Any] = {"ver": login.BYTES_VERSION}


def of_bytes(house: House, to: AccountKey, sender: str) -> Post:
    made = house.post(DATA, to, sender)
    line = structs.replace(lines.decode(made.line), msg_id="id", properties=BINARY).encode()
    return structs.replace(made, line=line, is_binary=True)


async def post(house: House, user: User, to: AccountKey) -> None:
    await user.node.engine.post(user.asked(), of_bytes(house, to, user.key.account))


async def publish(user: User, *, members_only: bool = True) -> None:
    message = ChannelMessage(
        channel="room", account=user.key.account, uid=1, msg=DATA, id="id", properties=BINARY
    )
    await user.node.engine.publish(user.asked(), message, members_only=members_only)


async def test_bytes_are_for_an_account_that_reads_them(house: House) -> None:
    here, there = house.node, await house.add_node()
    ann, bob = await here.log_in(), await there.log_in(BOB, **READS)
    assert bob.presence.takes_bytes
    assert not ann.presence.takes_bytes
    await post(house, ann, BOB)
    assert await there.entries() == [("bob", 1, DATA)]
    await bob.disconnect()
    await post(house, ann, BOB)
    page = await there.engine.read_inbox(BOB, 0, 10)
    assert [lines.is_binary(entry.line) for entry in page.entries] == [True, True]


@pytest.mark.parametrize("ver", [0, login.PUSH_VERSION, login.PROPERTIES_VERSION])
async def test_whoever_reads_none_is_sent_none(node: Node, ver: int) -> None:
    ann = await node.log_in()
    await node.log_in(BOB, ver=ver)
    with pytest.raises(SignalError, match="'bob' is not online with a client") as refused:
        await post(node.house, ann, BOB)
    assert refused.value.ecode is ECode.GENERAL_E_WRONG_PARAM
    assert await node.house.inbox(BOB) == []


async def test_whoever_is_away_is_sent_none(node: Node) -> None:
    ann, bob = await node.log_in(), await node.log_in(BOB, **READS)
    await bob.end()
    for to in (BOB, CAT):
        with pytest.raises(SignalError, match="not online with a client that takes bytes"):
            await post(node.house, ann, to)
    await node.log_in(BOB)
    with pytest.raises(SignalError, match="takes bytes"):
        await post(node.house, ann, BOB)


async def test_a_session_that_is_taken_up_reads_them_still(node: Node) -> None:
    ann, bob = await node.log_in(), await node.log_in(BOB, **READS)
    await bob.disconnect()
    bob = await node.resume(BOB)
    assert bob.presence.takes_bytes
    await post(node.house, ann, BOB)
    assert await node.house.inbox(BOB) == [(1, DATA)]


async def test_a_channel_takes_bytes_where_all_its_members_do(house: House) -> None:
    node = house.node
    ann, bob = await node.log_in(ANN, **READS), await node.log_in(BOB, **READS)
    await ann.join()
    await bob.join()
    await node.engine.subscribe(ROOM)
    await publish(ann)
    held = [it.content for it in await house.history(ROOM, 0) or ()]
    [said] = [it for it in held if isinstance(it, ChannelMessage)]
    assert (said.id, said.properties, said.msg) == ("id", BINARY, DATA)
    assert said.data == bytes(range(256))
    cat = await node.log_in(CAT)
    await cat.join()
    for sender, members_only in ((ann, True), (cat, False)):
        with pytest.raises(SignalError, match="not everybody in the channel 'room'") as refused:
            await publish(sender, members_only=members_only)
        assert refused.value.ecode is ECode.GENERAL_E_WRONG_PARAM
    await cat.end()
    await publish(bob)


async def test_a_login_that_keeps_its_channel_reads_what_it_says(node: Node) -> None:
    ann, bob = await node.log_in(ANN, **READS), await node.log_in(BOB, **READS)
    await ann.join()
    await bob.join()
    await node.log_in(BOB, line="another", keeps=True)
    with pytest.raises(SignalError, match="not everybody"):
        await publish(ann)


async def test_an_operator_sends_them_to_an_account_that_reads_them(house: House) -> None:
    here, there = house.node, await house.add_node()
    bob = await there.log_in(BOB, **READS)
    await here.log_in()
    await here.engine.tell(of_bytes(house, BOB, SYSTEM))
    assert await there.entries() == [("bob", 1, DATA)]
    for to in (ANN, CAT):
        with pytest.raises(NoBytesError, match="is not online with a client that takes bytes"):
            await here.engine.tell(of_bytes(house, to, SYSTEM))
        assert await house.inbox(to) == []
    await bob.end()
    with pytest.raises(NoBytesError):
        await here.engine.tell(of_bytes(house, BOB, SYSTEM))


async def test_an_operator_sends_them_to_a_channel_of_such(house: House) -> None:
    node = house.node
    ann = await node.log_in(ANN, **READS)
    await ann.join()
    await node.engine.subscribe(ROOM)
    said = ChannelMessage(
        channel="room", account=SYSTEM, uid=0, msg=DATA, id="id", properties=BINARY
    )
    assert await node.engine.tell_channel(ROOM, said)
    [told] = [it.content for it in await house.history(ROOM, 0) or ()][1:]
    assert isinstance(told, ChannelMessage)
    assert (told.id, told.properties, told.data) == ("id", BINARY, bytes(range(256)))
    bob = await node.log_in(BOB)
    await bob.join()
    with pytest.raises(NoBytesError, match="not everybody in the channel 'room'"):
        await node.engine.tell_channel(ROOM, said)
    nowhere = ChannelKey("app", "nowhere")
    elsewhere = attrs.evolve(said, channel="nowhere")
    assert not await node.engine.tell_channel(nowhere, elsewhere)
