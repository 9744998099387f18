"""Messages that are bytes: as they were sent, between sessions that take them, and refused for all
others.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
import trio.lowlevel
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock, wait_all_tasks_blocked

from signal_sdk import (
    ChannelMessage,
    ECode,
    LoginSession,
    Message,
    ParameterError,
    Signal,
    SignalError,
)
from signal_sdk.server.engine.facts import AccountKey
from signal_sdk.testing import FaultyNetwork
from signal_sdk.testing.server import LocalServer, local_server
from signal_sdk.wire.properties import (
    MAX_BYTES,
    SEPARATOR,
    decode_bytes,
    encode_bytes,
    size_of_bytes,
)
from tests.client.fakes import Heard
from tests.signals import NO_TOKEN, ecode_of, signals
from tests.wire_client import logged_in

DATA = bytes(range(256)) * 24
LOOKALIKES = (
    '{"binary":true}',
    f'{SEPARATOR}{{"binary":true}}',
    "AAEC",
    "",
    '["binary","AAEC"]',
)
"""What a text may say, and stays."""


@pytest.fixture
async def server() -> AsyncIterator[LocalServer]:
    async with local_server(listens=False) as running:
        yield running


@asynccontextmanager
async def users(server: LocalServer, **takes: bool) -> AsyncIterator[list[Any]]:
    """Sessions, each of which takes bytes or not; `heard` hears the last one's."""
    async with signals(server, app="app") as signal:
        sessions = [
            await signal.login(name, NO_TOKEN, takes_bytes=it) for name, it in takes.items()
        ]
        yield sessions


async def refused(sending: Any) -> SignalError:
    with pytest.raises(SignalError) as caught:
        await sending
    return caught.value


# --- how they are spelled


@given(st.binary(max_size=200) | st.sampled_from([DATA, b"\0" * MAX_BYTES]))
def test_bytes_come_out_as_they_went_in(data: bytes) -> None:
    text = encode_bytes(data)
    assert decode_bytes(text) == data
    assert size_of_bytes(text) == len(data)
    assert len(text) <= 8192


@given(st.text(max_size=40) | st.text("AQgw+/=", max_size=12))
def test_a_text_is_bytes_in_one_way_or_none(text: str) -> None:
    with contextlib.suppress(ParameterError):
        assert encode_bytes(decode_bytes(text)) == text


# --- between sessions that take them


async def test_an_account_gets_them(server: LocalServer, autojump_clock: MockClock) -> None:
    heard = Heard()
    async with signals(server, app="app") as signal:
        ann = await signal.login("ann", NO_TOKEN)
        bob = await signal.login("bob", NO_TOKEN, heard.login, takes_bytes=True)
        async with bob.messages() as messages:
            for said in (DATA, b"", "text", b"\xff"):
                await ann.message_instant_send("bob", said)
            read = [await anext(messages) for _ in range(4)]
        await wait_all_tasks_blocked()
    assert [(it.text, it.data) for it in read] == [
        ("", DATA),
        ("", b""),
        ("text", None),
        ("", b"\xff"),
    ]
    received = "on_message_instant_receive"
    assert heard.of(received, f"{received}_bytes") == [
        (f"{received}_bytes", "ann", 0, DATA),
        (f"{received}_bytes", "ann", 0, b""),
        (received, "ann", 0, "text"),
        (f"{received}_bytes", "ann", 0, b"\xff"),
    ]
    assert "xff" not in repr(read[3])


async def test_a_channel_gets_them(server: LocalServer, autojump_clock: MockClock) -> None:
    heard = Heard()
    async with (
        users(server, ann=True, bob=True) as (ann, bob),
        ann.channel_join("room", heard.channel) as room,
        bob.channel("room") as other,
        other.events() as events,
    ):
        await room.message_channel_send(DATA)
        await bob.message_channel_send_force("room", b"forced")
        await room.message_channel_send("text")
        told = [it async for it in _messages(events, 3)]
        past = await room.history()
    uid = ann.uid
    assert [(it.account, it.text, it.data) for it in told] == [
        ("ann", "", DATA),
        ("bob", "", b"forced"),
        ("ann", "text", None),
    ]
    assert [(it.text, it.data) for it in past.messages] == [(it.text, it.data) for it in told]
    received = "on_message_channel_receive"
    assert heard.of(f"{received}_bytes")[0][2:] == ("ann", uid, DATA)
    assert [it[-1] for it in heard.of(received)] == ["text"]


async def _messages(events: Any, count: int) -> AsyncIterator[ChannelMessage]:
    async for event in events:
        if isinstance(event, ChannelMessage):
            yield event
            count -= 1
            if not count:
                return


async def test_what_waits_can_be_looked_at(server: LocalServer, autojump_clock: MockClock) -> None:
    async with users(server, ann=False, bob=True) as (ann, bob):
        # One that nobody has handled holds up nothing here.
        await ann.message_instant_send("bob", b"waits")
        [waiting] = await bob.peek_messages()
    assert (waiting.account, waiting.text, waiting.data) == ("ann", "", b"waits")


async def test_a_session_that_comes_back_takes_them_still(
    server: LocalServer, autojump_clock: MockClock
) -> None:
    async with users(server, ann=False, bob=True) as (ann, bob):
        connection = server.node._hub.find(AccountKey("app", "bob"))
        assert connection is not None
        connection.abort()
        await trio.lowlevel.checkpoint()
        await ann.message_instant_send("bob", DATA)
        async with bob.messages() as messages:
            assert (await anext(messages)).data == DATA


# --- for all others


async def test_a_session_that_does_not_take_them_is_sent_none(
    server: LocalServer, autojump_clock: MockClock
) -> None:
    heard = Heard()
    async with signals(server, app="app") as signal:
        ann = await signal.login("ann", NO_TOKEN, takes_bytes=True)
        bob = await signal.login("bob", NO_TOKEN, heard.login)
        for account in ("bob", "away"):
            error = await refused(ann.message_instant_send(account, b"bytes"))
            assert error.ecode is ECode.GENERAL_E_WRONG_PARAM
            assert error.reason == (
                f"{account!r} is not online with a client that takes bytes: send it text"
            )
        await ann.message_instant_send("bob", "text")
        async with ann.channel("room") as room:
            await room.message_channel_send(b"alone")
            async with bob.channel_join("room", heard.channel) as other:
                for sending in (
                    room.message_channel_send(b"bytes"),
                    bob.message_channel_send_force("room", b"bytes"),
                ):
                    error = await refused(sending)
                    assert error.ecode is ECode.GENERAL_E_WRONG_PARAM
                    assert error.reason == (
                        "not everybody in the channel 'room' has a client that takes bytes: "
                        "send it text"
                    )
                # What was said before is not shown to who does not read it.
                assert (await other.history()).messages == ()
        await wait_all_tasks_blocked()
    assert not heard.of("on_message_instant_receive_bytes", "on_message_channel_receive_bytes")
    assert heard.of("on_message_instant_receive") == [
        ("on_message_instant_receive", "ann", 0, "text")
    ]


@pytest.mark.parametrize("text", LOOKALIKES)
async def test_a_text_that_looks_like_bytes_stays_a_text(
    server: LocalServer, text: str, autojump_clock: MockClock
) -> None:
    async with (
        users(server, ann=True, bob=True) as (ann, bob),
        bob.messages() as messages,
        ann.channel("room") as room,
    ):
        await ann.message_instant_send("bob", text)
        await room.message_channel_send(text)
        assert await anext(messages) == Message("ann", text)
        [said] = (await room.history()).messages
        assert (said.text, said.data) == (text, None)


async def test_more_than_6_kib_are_refused_before_they_are_sent(
    server: LocalServer, autojump_clock: MockClock
) -> None:
    async with users(server, ann=True) as (ann,), ann.channel("room") as room:
        too_many = bytes(MAX_BYTES + 1)
        for sending in (
            ann.message_instant_send("ann", too_many),
            room.message_channel_send(too_many),
            ann.message_channel_send_force("room", too_many),
        ):
            assert sending.is_done
            error = await refused(sending)
            assert error.ecode is ECode.GENERAL_E_LARGE_PARAM
            assert error.reason == "message has 6145 bytes; at most 6144 are allowed"
        await room.message_channel_send(too_many[1:])


@pytest.mark.parametrize("value", [bytearray(b"a"), memoryview(b"a"), [b"a"], {"a": b"a"}])
async def test_what_only_resembles_bytes_is_refused(
    server: LocalServer, value: Any, autojump_clock: MockClock
) -> None:
    async with users(server, ann=True) as (ann,):
        assert await ecode_of(ann.message_instant_send("ann", value)) == 1004
        if isinstance(value, bytearray):
            with pytest.raises(ParameterError, match=r"of the type bytearray: hand over bytes"):
                await ann.message_instant_send("ann", value)


async def test_an_earlier_server_is_sent_none(
    server: LocalServer, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would take them for text. A session that is not logged in yet does not know, and waits."""
    monkeypatch.setattr("signal_sdk.server.logging_in.PROPERTIES_VERSION", 2**31)
    async with signals(server, app="app") as signal:
        ann: LoginSession = signal.login("ann", NO_TOKEN, takes_bytes=True)
        sending = ann.message_instant_send("ann", b"bytes")
        error = await refused(sending)
    assert error.ecode is ECode.GENERAL_E_WRONG_PARAM
    assert error.reason == "the server takes no messages that are bytes: send it text"


async def test_an_account_that_logs_in_with_an_older_client_reads_past_them(
    server: LocalServer, autojump_clock: MockClock
) -> None:
    """What it reads is whole; what it cannot read it never sees, polled for or handed over."""
    async with signals(server, app="app", reconnect=None) as signal:
        ann = await signal.login("ann", NO_TOKEN)
        bob: LoginSession = await signal.login("bob", NO_TOKEN, takes_bytes=True)
        async with bob.messages():
            # The stream is never read: all that comes stays with the server.
            for number in range(40):
                await ann.message_instant_send("bob", b"bytes %d" % number)
            await ann.message_instant_send("bob", "text")
            async with logged_in(server, "bob") as old:
                page = await old.call("user_getmsg", ver_clear=0, max=30)
                assert [line.split(" ", 6)[6] for _, line in page["msgs"]] == ["text"]
                assert "binary" not in json.dumps(old.seen)
                last = page["msgs"][-1][0]
                await ann.message_instant_send("bob", "more")
                version, line = json.loads((await old.expect("notify"))[1])
                assert (version, line.split(" ", 6)[6]) == (last + 1, "more")


@pytest.mark.parametrize(
    ("content", "properties", "ecode"),
    [
        ("AA=", {"binary": True}, 1004),
        ("AB==", {"binary": True}, 1004),
        (["AA=="], {"binary": True}, 1004),
        ("AA==", {"binary": 1}, 1004),
        ("AA==", "binary", 1004),
        ("A" * 8196, {"binary": True}, 1005),
    ],
)
async def test_a_client_that_says_what_is_no_bytes_is_refused(
    server: LocalServer,
    content: Any,
    properties: Any,
    ecode: int,
    autojump_clock: MockClock,
) -> None:
    async with users(server, bob=True), logged_in(server, "ann") as client:
        args = {"content": content, "properties": properties, "flag": "v1:E:60", "t": "instant"}
        reply = await client.call("user_sendmsg", peer="bob", **args)
        assert reply["ecode"] == ecode
        reply = await client.call(
            "channel_sendmsg", name="room", msg=content, properties=properties, force=True
        )
        assert reply["ecode"] == ecode


async def test_a_trace_shows_how_many(
    server: LocalServer, autojump_clock: MockClock, tmp_path: Any
) -> None:
    file = tmp_path / "trace.md"
    async with (
        Signal("app", server=server, trace=file, trace_texts=True) as signal,
        signal.login("ann", NO_TOKEN, takes_bytes=True) as ann,
        ann.channel("room") as room,
    ):
        await ann.message_instant_send("ann", b"12345")
        await room.message_channel_send(b"1234567")
        await wait_all_tasks_blocked()
    told = file.read_text()
    assert told.count("5 bytes") == 2
    assert told.count("7 bytes") == 2
    assert encode_bytes(b"12345") not in told


async def test_a_session_in_many_channels_sends_and_gets_them(
    server: LocalServer, autojump_clock: MockClock
) -> None:
    async with FaultyNetwork(server, seed=0) as network, Signal("app", server=network) as signal:
        ann = await signal.login("ann", NO_TOKEN, many_channels=True, takes_bytes=True)
        bob = await signal.login("bob", NO_TOKEN, many_channels=True, takes_bytes=True)
        rooms = [await ann.channel(name) for name in ("lobby", "stage")]
        there = await bob.channel("stage")
        async with there.events() as events, bob.messages() as messages:
            for _ in range(2):
                await ann.message_instant_send("bob", DATA)
                await rooms[1].message_channel_send(b"on stage")
                assert (await anext(messages)).data == DATA
                assert [it.data async for it in _messages(events, 1)] == [b"on stage"]
                # Taken up again, they know it still.
                network.cut_all()
