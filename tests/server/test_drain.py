"""A server that is stopped: nobody is let in any more, and everybody is sent away in good order."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Final

import pytest
import trio
from trio.testing import MockClock

from signal_sdk.errors import LinkError, StorageError
from signal_sdk.server.engine.embedded import EmbeddedEngine
from signal_sdk.server.engine.journal import Journal
from signal_sdk.server.engine.schema import Batch
from signal_sdk.server.node import Node
from signal_sdk.testing.server import LocalServer, local_server, trio_wall_clock
from tests.server.helpers import OURS, ask, dev_config, journal_engine, resume, settle
from tests.wire_client import WireClient, logged_in, wire_client

WINDOW: Final = 8.0


@pytest.fixture
async def server(autojump_clock: MockClock) -> AsyncIterator[LocalServer]:
    async with local_server(dev_config(), listens=False) as server:
        yield server


async def crowd(stack: AsyncExitStack, server: LocalServer, count: int) -> list[WireClient]:
    return [
        await stack.enter_async_context(logged_in(server, f"ann{number}", **OURS))
        for number in range(count)
    ]


async def seconds_until_closed(client: WireClient) -> float:
    await client.wait_closed()
    return trio.current_time()


# --- nobody is let in ---


async def test_whoever_looks_for_a_server_is_sent_elsewhere(server: LocalServer) -> None:
    for path in ("/readyz", "/getaddr?vid=app", "/healthz"):
        assert (await ask(server, path)).startswith(b"HTTP/1.1 200")
    async with logged_in(server, "ann", **OURS), logged_in(server, "bob", **OURS):
        server.node.stop(WINDOW)
        await trio.sleep(1)
        for path in ("/readyz", "/getaddr?vid=app"):
            answer = await ask(server, path)
            assert answer.startswith(b"HTTP/1.1 503")
            assert answer.endswith(b"the server is going away\n")
        # Whoever restarts the sick must not think it one.
        assert (await ask(server, "/healthz")).startswith(b"HTTP/1.1 200")


async def test_a_new_connection_is_refused(server: LocalServer) -> None:
    async with logged_in(server, "ann", **OURS), logged_in(server, "bob", **OURS):
        server.node.stop(WINDOW)
        await trio.sleep(1)
        with pytest.raises(ExceptionGroup) as caught:
            async with wire_client(server.connect()):
                raise AssertionError
        assert caught.group_contains(LinkError, match="the server answered HTTP 503")


@pytest.mark.parametrize("event", ["login", "line_login"])
async def test_a_login_on_a_connection_that_is_open_is_refused_as_transient(
    server: LocalServer, event: str
) -> None:
    async with (
        logged_in(server, "ann", **OURS),
        logged_in(server, "bob", **OURS) as bob,
        wire_client(server.connect()) as late,
    ):
        await settle()
        server.node.stop(WINDOW)
        await trio.sleep(1)
        if event == "login":
            answer = await late.login("eve")
        else:
            answer = await resume(late, bob.line)
        assert (answer["result"], answer["ecode"]) == ("failed", 201)
        await late.wait_closed()
        # Nothing has come of it: the session is where it was.
        assert bob.closed is None


# --- everybody is sent away ---


async def test_clients_are_sent_away_one_by_one_over_the_window(server: LocalServer) -> None:
    async with AsyncExitStack() as stack:
        clients = await crowd(stack, server, 8)
        began = trio.current_time()
        server.node.stop(WINDOW)
        left = [await seconds_until_closed(client) - began for client in clients]
        assert left == pytest.approx(range(8), abs=0.01)
        for client in clients:
            closing = await client.expect("close")
            assert closing == {
                "ecode": 102,
                "reason": "the server is going away",
                # Back when this node has gone, in the order of leaving.
                "delay": WINDOW,
            }
            assert client.closed is not None
            assert client.closed.code == 1001


async def test_without_a_window_all_go_at_once(server: LocalServer) -> None:
    async with AsyncExitStack() as stack:
        clients = await crowd(stack, server, 5)
        began = trio.current_time()
        server.node.stop()
        for client in clients:
            assert await seconds_until_closed(client) == began
            assert (await client.expect("close"))["delay"] == 0


async def test_who_is_still_there_is_served(server: LocalServer) -> None:
    async with AsyncExitStack() as stack:
        first, _, last = await crowd(stack, server, 3)
        server.node.stop(WINDOW)
        await first.wait_closed()
        assert (await last.call("channel_join", name="room"))["result"] == "ok"


async def test_the_web_sdk_1_4_hears_no_farewell_since_it_takes_it_for_a_logout(
    server: LocalServer,
) -> None:
    async with logged_in(server, "ann") as ann:
        ann.send("set_flag", {"binary": 1})
        await ann.call("channel_query_num", name="room")
        server.node.stop()
        assert (await ann.wait_closed()).code == 1001
        assert ann.seen == []


async def test_the_end_comes_with_the_last_client(autojump_clock: MockClock) -> None:
    node = Node(dev_config(), clock=trio_wall_clock)

    async def run(task_status: trio.TaskStatus[Any]) -> None:
        await node.run(listens=False, task_status=task_status)

    async with trio.open_nursery() as nursery, AsyncExitStack() as stack:
        await nursery.start(run)
        server = LocalServer(node=node, host="", port=0, tls_port=0)
        clients = await crowd(stack, server, 4)
        # Each has a share of the window in which it goes, also who has gone by then.
        await clients[1].call("user_logout")
        node.stop(WINDOW)
        await clients[3].wait_closed()
        await settle()
        assert trio.current_time() == pytest.approx(WINDOW * 3 / 4, abs=0.1)
        assert node.sessions == 0
        assert node._reactor.flusher._nursery is None


async def test_a_session_goes_on_at_the_server_that_comes_after(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with (
        local_server(dev_config(), listens=False, engine=journal_engine(tmp_path)) as server,
        logged_in(server, "ann", **OURS) as ann,
    ):
        joined = await ann.call("channel_join", name="room")
        server.node.stop(0)
        await ann.wait_closed()
        await trio.sleep(1)
    async with (
        local_server(dev_config(), listens=False, engine=journal_engine(tmp_path)) as server,
        wire_client(server.connect()) as again,
    ):
        answer = await resume(again, ann.line, channel="room", msgid=joined["msgid"])
        assert (answer["result"], answer["channel"], answer["gap"]) == ("ok", "room", False)


# --- what is under way ---


def writing(
    directory: Path, write_in_thread: Callable[[Callable[[Batch], None], Batch], Any]
) -> EmbeddedEngine:
    return EmbeddedEngine(journal=Journal.open(directory), write_in_thread=write_in_thread)


async def test_acknowledgements_come_before_the_farewell(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async def slowly(write: Callable[[Batch], None], batch: Batch) -> None:
        with trio.CancelScope(shield=True):
            await trio.sleep(1)
        write(batch)

    engine = writing(tmp_path, slowly)
    async with (
        local_server(dev_config(), listens=False, engine=engine) as server,
        logged_in(server, "ann", **OURS) as ann,
    ):
        await trio.sleep(5)
        callids = [ann.request("user_set_attr", name=name, value="1") for name in "abc"]
        await settle()
        server.node.stop()
        await ann.wait_closed()
        *replies, farewell = ann.seen
        assert [frame[:1] + frame[1][:2] for frame in replies] == [
            ["call2-ret", callid, ""] for callid in callids
        ]
        assert farewell[0] == "close"


async def test_a_server_that_cannot_write_goes_all_the_same(
    tmp_path: Path, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    is_full = False

    async def write(write: Callable[[Batch], None], batch: Batch) -> None:
        await trio.lowlevel.checkpoint()
        if is_full:
            raise StorageError("signal.db: the disk is full")
        write(batch)

    engine = writing(tmp_path, write)
    async with (
        local_server(dev_config(), listens=False, engine=engine) as server,
        logged_in(server, "ann", **OURS) as ann,
        logged_in(server, "bob", **OURS) as bob,
    ):
        is_full = True
        refused = await ann.call("user_set_attr", name="a", value="1")
        assert (refused["result"], refused["ecode"]) == ("failed", 1001)
        # The second is not even tried; a question is still answered, and nobody new is sent here.
        refused = await bob.call("user_set_attr", name="a", value="1")
        assert (refused["result"], refused["ecode"]) == ("failed", 1001)
        assert (await bob.call("user_query_user_status", account="ann"))["status"] == 1
        for path, code in (("/readyz", 503), ("/getaddr?vid=app", 503), ("/healthz", 200)):
            assert (await ask(server, path)).startswith(f"HTTP/1.1 {code}".encode())
        server.node.stop()
        for client in (ann, bob):
            await client.expect("close")
            await client.wait_closed()
        await trio.sleep(5)
    assert "the disk is full" in caplog.text
    caplog.clear()
