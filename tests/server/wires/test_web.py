"""WebSocket clients: who reads compressed frames, who reads ids, and how each hears of an end."""

from __future__ import annotations

import json
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from signal_sdk.server.wires import web
from signal_sdk.testing.server import LocalServer
from signal_sdk.websocket.frames import BINARY, TEXT, read_head
from signal_sdk.wire import frames
from tests.server.helpers import APP, LogIn, dev_config, settle, told
from tests.wire_client import WireClient, wire_client

LONG = "a long message " * 400
SHORT = "x" * 100


@given(st.text(max_size=300), st.integers(0, 3))
def test_what_is_packed_is_never_longer_and_reads_the_same(text: str, times: int) -> None:
    plain = text.encode() * 10**times
    data = web.encode_packed(plain)
    head = read_head(data, 0)
    assert head is not None
    payload = data[head.start : head.end]
    assert len(payload) <= len(plain)
    if head.first == BINARY:
        assert frames.decompress(payload, 10**6) == plain
    else:
        assert (head.first, payload) == (TEXT, plain)


@pytest.mark.parametrize(
    ("size", "over", "is_long"),
    [
        (4096, 4096, False),
        (4097, 4096, True),
        (4097, 0, False),
        (131072, 1, True),
        (131073, 1, False),
    ],
)
def test_what_is_long(size: int, over: int, is_long: bool) -> None:
    assert web.is_long(bytes(size), over) is is_long


def test_what_cannot_be_compressed_stays_text() -> None:
    noise = random.Random(1).randbytes(6000)
    assert web.encode_packed(noise)[0] == TEXT


async def reader(client: WireClient, binary: int = 1) -> WireClient:
    """A client that says that it reads binary messages, or with 0 that it does not any more."""
    client.send("set_flag", {"binary": binary})
    await settle()
    return client


async def send(ann: WireClient) -> None:
    await ann.call("user_sendmsg", peer="bob", flag="v1:E:60", t="instant", content=LONG)


async def test_a_long_channel_message_goes_compressed_to_those_who_read_that(
    server: LocalServer, log_in: LogIn
) -> None:
    ann = await log_in("ann")
    bob = await reader(await log_in("bob"))
    eve = await reader(await reader(await log_in("eve")), 0)
    for client in (ann, bob, eve):
        await client.call("channel_join", name="room")
        await settle()
    for client in (ann, bob, eve):
        await told(client)
    for text in (LONG, SHORT):
        await ann.call("channel_sendmsg", name="room", msg=text)
    for client in (ann, bob, eve):
        assert [content["msg"] for *_, content in await told(client)] == [LONG, SHORT]
    (size,) = bob.compressed
    assert size < len(LONG) / 10
    assert ann.compressed == eve.compressed == []


async def test_so_do_inbox_entries_pages_and_results(server: LocalServer, log_in: LogIn) -> None:
    ann = await log_in("ann")
    for name in "abcdef":
        await ann.call("user_set_attr", name=name, value=LONG[:1000])
    bob = await log_in("bob")
    await send(ann)
    await bob.call("user_getmsg", ver_clear=0, max=30)
    assert bob.compressed == []
    await reader(bob)
    await send(ann)
    await settle()
    assert len(bob.compressed) == 1
    page = await bob.call("user_getmsg", ver_clear=0, max=30)
    assert [text.endswith(LONG) for _, text in page["msgs"]] == [True, True]
    assert len(bob.compressed) == 2
    known = await bob.call("user_get_attr_all", account="ann")
    assert json.loads(known["json"]) == dict.fromkeys("abcdef", LONG[:1000])
    assert len(bob.compressed) == 3


async def test_it_is_each_connections_own(server: LocalServer, log_in: LogIn) -> None:
    ann = await log_in("ann")
    async with wire_client(server.connect()) as bob:
        await bob.login("bob")
        await reader(bob)
    async with wire_client(server.connect()) as bob:
        await bob.login("bob")
        await send(ann)
        await settle()
        assert any(frame[0] == "notify" for frame in bob.seen)
        assert bob.compressed == []


@pytest.mark.parametrize("config", [dev_config(compress_over_bytes=0)], ids=["0"])
async def test_nothing_is_compressed_where_that_is_off(server: LocalServer, log_in: LogIn) -> None:
    ann, bob = await log_in("ann"), await reader(await log_in("bob"))
    await send(ann)
    await settle()
    assert bob.compressed == []


# --- what comes before a page has said what it reads ---


@asynccontextmanager
async def quiet(server: LocalServer) -> AsyncIterator[WireClient]:
    """Bob's page, which has said nothing since the answer to its login."""
    async with wire_client(server.connect()) as bob:
        bob.send("login", {"vid": APP, "account": "bob", "device": "websdk"})
        assert (await bob.login_ret())["result"] == "ok"
        yield bob


def handed(bob: WireClient) -> list[tuple[int, str]]:
    """The versions and the kinds of line that the page was handed."""
    entries = [json.loads(frame[1][1]) for frame in bob.seen if frame[0] == "notify"]
    return [(version, line.partition(" ")[0]) for version, line in entries]


async def test_an_entry_has_its_id_where_the_page_says_that_it_reads_that(
    server: LocalServer, log_in: LogIn
) -> None:
    """Without it, a page would hear it once more after a reconnection."""
    ann = await log_in("ann")
    async with quiet(server) as bob:
        for _ in range(2):
            await send(ann)
        await settle()
        assert handed(bob) == []
        await reader(bob)
        assert handed(bob) == [(1, "msg-v3"), (2, "msg-v3")]
        await send(ann)
        await settle()
        assert handed(bob)[2:] == [(3, "msg-v3")]


@pytest.mark.parametrize("seconds", [0.0, web.ALONE_SECONDS + 0.1])
@pytest.mark.parametrize("asks", [True, False], ids=["request", "ping"])
async def test_a_page_that_says_anything_else_has_it_then(
    server: LocalServer, log_in: LogIn, asks: bool, seconds: float
) -> None:
    """Also where it has said nothing for a while before."""
    ann = await log_in("ann")
    async with quiet(server) as bob:
        await trio.sleep(seconds)
        await send(ann)
        if asks:
            await bob.call("user_sendmsg", peer="ann", flag="v1:E:60", t="instant", content="x")
        else:
            bob.send("ping", 1)
        await settle()
        assert handed(bob) == [(1, "msg-v2")]


async def test_a_page_that_says_nothing_has_it_within_a_second(
    server: LocalServer, log_in: LogIn
) -> None:
    ann = await log_in("ann")
    async with quiet(server) as bob:
        await send(ann)
        await trio.sleep(web.HOLD_SECONDS - 0.01)
        assert handed(bob) == []
        await trio.sleep(0.02)
        assert handed(bob) == [(1, "msg-v2")]
        await send(ann)
        await settle()
        assert handed(bob)[1:] == [(2, "msg-v2")]


@pytest.mark.parametrize("config", [dev_config(user_messages_per_second=0)])
async def test_more_than_is_held_back_goes_in_order(server: LocalServer, log_in: LogIn) -> None:
    ann = await log_in("ann")
    async with quiet(server) as bob:
        for _ in range(web.MAX_HELD):
            await send(ann)
        assert handed(bob) == []
        await send(ann)
        await settle()
        assert [version for version, _ in handed(bob)] == list(range(1, web.MAX_HELD + 2))
        await trio.sleep(web.HOLD_SECONDS + 0.01)
        assert len(handed(bob)) == web.MAX_HELD + 1


async def test_nothing_that_was_held_back_comes_behind_the_end(
    server: LocalServer, log_in: LogIn
) -> None:
    ann = await log_in("ann")
    async with quiet(server) as bob:
        await send(ann)
        await log_in("bob")
        await trio.sleep(web.HOLD_SECONDS + 0.01)
        assert [frame[0] for frame in bob.seen] == ["kick", "close"]


# --- ends, as each web SDK knows them ---


async def test_a_page_that_knows_no_kick_hears_a_close_behind_it(
    server: LocalServer, log_in: LogIn
) -> None:
    """Of the web SDKs, only 1.4 says `set_flag`, and knows `kick`."""
    for account, events in (("ann", ["kick", "close"]), ("bob", ["kick"])):
        async with wire_client(server.connect()) as old:
            await old.login(account)
            if account == "bob":
                await reader(old)
            await log_in(account)
            assert (await old.wait_closed()).code == 1008
            assert [event for event, _ in old.seen] == events
            assert all(payload["ecode"] == 103 for _, payload in old.seen)


async def test_a_page_that_notices_no_closed_socket_hears_a_close_on_a_drain(
    server: LocalServer,
) -> None:
    async with wire_client(server.connect()) as old, wire_client(server.connect()) as new:
        await old.login("ann")
        await new.login("bob")
        await reader(new)
        server.node.stop()
        for client in (old, new):
            assert (await client.wait_closed()).code == 1001
        assert [(event, payload["ecode"]) for event, payload in old.seen] == [("close", 102)]
        assert new.seen == []


@pytest.mark.parametrize("flags", [0, 1])
async def test_after_a_login_a_page_hears_its_channel_once_it_joins_again(
    server: LocalServer, log_in: LogIn, flags: int
) -> None:
    """It is still a member, and the others notice nothing."""
    bob = await log_in("bob")
    await bob.call("channel_join", name="room")
    async with wire_client(server.connect()) as ann:
        await ann.login("ann")
        await ann.call("channel_join", name="room")
    await told(bob)
    ann = await log_in("ann")
    if flags:
        await reader(ann)
    ann.send("ping", 1)
    await ann.call("user_query_user_status", account="bob")
    await bob.call("channel_sendmsg", name="room", msg="unheard")
    assert await told(ann) == []
    await ann.call("channel_join", name="room")
    await bob.call("channel_sendmsg", name="room", msg="heard")
    assert [content["msg"] for *_, content in await told(ann)] == ["heard"]
    assert [kind for _, kind, _ in await told(bob)] == ["channel_msg"] * 2


@pytest.mark.parametrize(
    ("separators", "told"),
    [((", ", ": "), ["msg", 1]), ((",", ":"), None)],
    ids=["the retired Python SDK", "the Java one"],
)
async def test_who_cannot_read_an_entry_is_told_to_poll(
    server: LocalServer, log_in: LogIn, separators: tuple[str, str], told: list[object] | None
) -> None:
    """Both say the same of themselves, each as its language writes JSON."""
    login = {"account": "bot", "token": "_no_need_token", "vid": APP, "device": "javasdk"}
    ann = await log_in("ann")
    async with wire_client(server.connect()) as bot:
        hello = ["login", {**login, "ip": "", "uid": 0, "ver": 1_01_00_02_000}]
        bot.send_raw(json.dumps(hello, separators=separators).encode())
        bot.line = (await bot.login_ret())["line"]
        # The Java one is handed what comes behind an entry that it has had: it polls first.
        assert (await bot.call("user_getmsg", ver_clear=0, max=30))["msgs"] == []
        said = {"peer": "bot", "flag": "v1:E:60", "t": "instant", "content": "hello"}
        await ann.call("user_sendmsg", **said)
        notified = await bot.expect("notify")
        if told is not None:
            assert notified == told
            page = await bot.call("user_getmsg", ver_clear=0, max=30)
            assert [entry[0] for entry in page["msgs"]] == [1]
        else:
            assert notified.startswith("notify recvmsg [1,")
