"""What clients do is counted under its name, once, and nowhere else."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import pytest
import trio
from trio.testing import MockClock

from signal_sdk.errors import StorageError
from signal_sdk.server.engine.embedded import EmbeddedEngine
from signal_sdk.server.engine.journal import Journal
from signal_sdk.server.engine.schema import Batch
from signal_sdk.testing.native_peer import native_peer
from signal_sdk.testing.server import LocalServer, local_server
from signal_sdk.wire import login
from tests.server.helpers import LogIn, dev_config, inline, is_refusal, resume, settle
from tests.server.metrics.scraping import Labels, grown, scrape
from tests.wire_client import logged_in, wire_client

VERSION: Final = version("signal-sdk")


def message(to: str, text: str = "x") -> dict[str, Any]:
    return {"peer": to, "flag": "v1:E:60", "t": "instant", "content": text}


def label(**labels: str) -> Labels:
    return tuple(sorted(labels.items()))


async def counted(server: LocalServer, act: Callable[[], Awaitable[object]]) -> dict[Any, float]:
    """Which counters rise by what is done, without the prefix of their names."""
    before = scrape(server.node)
    await act()
    await settle()
    found = grown(before, scrape(server.node))
    return {
        (name.removeprefix("signal_sdk_").removesuffix("_total"), *labels): value
        for (name, labels), value in found.items()
    }


# --- requests and what comes of them


async def test_a_message_to_an_account_is_asked_received_and_sent(
    server: LocalServer, log_in: LogIn
) -> None:
    ann, _ = await log_in("ann"), await log_in("bob")
    for times in (1, 2):
        found = await counted(server, lambda: ann.call("user_sendmsg", **message("bob")))
        assert found == {
            ("requests", ("function", "user_sendmsg")): 1,
            ("messages_received", ("kind", "account")): 1,
            ("messages_sent", ("kind", "account")): 1,
        }, times


async def test_a_message_that_is_decoded_the_general_way_counts_as_any_other(
    server: LocalServer, log_in: LogIn
) -> None:
    ann = await log_in("ann")
    found = await counted(
        server, lambda: ann.call("user_sendmsg", **message("bob"), more="of another release")
    )
    assert found == {
        ("requests", ("function", "user_sendmsg")): 1,
        ("messages_received", ("kind", "account")): 1,
    }


async def test_entries_that_are_polled_are_sent(server: LocalServer, log_in: LogIn) -> None:
    ann = await log_in("ann")
    for number in range(3):
        await ann.call("user_sendmsg", **message("bob", f"{number}"))
    bob = await log_in("bob")
    found = await counted(server, lambda: bob.call("user_getmsg", ver_clear=0, max=2))
    assert found == {
        ("requests", ("function", "user_getmsg")): 1,
        ("messages_sent", ("kind", "account_polled")): 2,
    }


async def test_an_event_counts_once_and_each_delivery_of_it(
    server: LocalServer, log_in: LogIn
) -> None:
    clients = [await log_in(name) for name in ("ann", "bob", "eve")]
    for client in clients:
        await client.call("channel_join", name="room")
    ann = clients[0]
    found = await counted(server, lambda: ann.call("channel_sendmsg", name="room", msg="x"))
    assert found == {
        ("requests", ("function", "channel_sendmsg")): 1,
        ("messages_received", ("kind", "channel")): 1,
        ("messages_sent", ("kind", "channel")): 1,
        ("deliveries",): 3,
    }


@pytest.mark.parametrize(
    ("function", "args", "counts_as"),
    [
        ("channel_leave", {"name": "room"}, "channel_leave"),
        ("user_sendmsg", message(""), "user_sendmsg"),
        ("steal_everything", {}, "unknown"),
    ],
)
async def test_a_refusal_counts_by_function_and_code(
    server: LocalServer,
    log_in: LogIn,
    function: str,
    args: dict[str, Any],
    counts_as: str,
) -> None:
    """What a client calls a function is no name for a count."""
    ann = await log_in("ann")
    replies = []

    async def ask() -> None:
        replies.append(await ann.call(function, **args))

    found = await counted(server, ask)
    ecode = replies[0]["ecode"]
    assert is_refusal(replies[0], ecode)
    refused = {key: count for key, count in found.items() if key[0] == "refusals"}
    assert refused == {("refusals", ("code", str(ecode)), ("function", counts_as)): 1}


async def test_a_logout_is_a_request(server: LocalServer, log_in: LogIn) -> None:
    ann = await log_in("ann")
    found = await counted(server, lambda: ann.call("user_logout"))
    assert found == {("requests", ("function", "user_logout")): 1}
    assert scrape(server.node)("signal_sdk_accounts_online") == 0


LIMITED: Final = [dev_config(user_messages_per_second=1)]


@pytest.mark.parametrize("config", LIMITED)
async def test_what_is_over_a_limit_counts_under_its_key(
    server: LocalServer, log_in: LogIn
) -> None:
    ann = await log_in("ann")
    await ann.call("user_sendmsg", **message("bob"))
    found = await counted(server, lambda: ann.call("user_sendmsg", **message("bob")))
    assert found[("limits_hit", ("limit", "user_messages_per_second"))] == 1
    assert found[("refusals", ("code", "400"), ("function", "user_sendmsg"))] == 1


# --- logins and connections


async def test_logins_count_by_kind_and_code(server: LocalServer) -> None:
    before = scrape(server.node)
    async with wire_client(server.connect()) as ann:
        assert (await ann.login("ann"))["result"] == "ok"
        line = ann.line
        assert (await ann.login("ann"))["result"] == "failed"
    async with wire_client(server.connect()) as ann:
        assert (await resume(ann, line))["result"] == "ok"
    async with wire_client(server.connect()) as eve:
        await resume(eve, "nobody's line")
    async with wire_client(server.connect()) as eve:
        await eve.login("")
    found = grown(before, scrape(server.node))
    logins = {
        labels: count for (name, labels), count in found.items() if name.endswith("logins_total")
    }
    assert logins == {
        label(kind="login", code="0"): 1,
        label(kind="login", code="208"): 1,
        label(kind="resume", code="0"): 1,
        label(kind="resume", code="202"): 1,
        label(kind="login", code="209"): 1,
    }
    assert found["signal_sdk_connections_opened_total", label(wire="websocket")] == 4


async def test_connections_count_by_wire_and_device(server: LocalServer, log_in: LogIn) -> None:
    await log_in("ann")
    await log_in("bob", device="javasdk", ver=login.PUSH_VERSION)
    await log_in("cat", device="my own <&> thing")
    async with native_peer(server) as app, wire_client(server.connect()):
        await app.login("old")
        # It has dialled twice, and hangs up on one of them.
        await settle()
        now = scrape(server.node)
        assert now("signal_sdk_connections", wire="websocket", device="websdk") == 1
        assert now("signal_sdk_connections", wire="websocket", device="javasdk") == 1
        assert now("signal_sdk_connections", wire="websocket", device="other") == 1
        assert now("signal_sdk_connections", wire="native", device="none") == 1
        assert now("signal_sdk_connections_not_logged_in") == 1
        assert now("signal_sdk_accounts_online") == 4
    await settle()
    now = scrape(server.node)
    assert now("signal_sdk_connections", wire="native", device="none") == 0
    assert now("signal_sdk_connections_not_logged_in") == 0


@pytest.mark.parametrize("comes_back", [False, True])
async def test_who_takes_an_account_over_is_one_connection(
    server: LocalServer, log_in: LogIn, comes_back: bool
) -> None:
    first = await log_in("ann")
    if comes_back:
        async with wire_client(server.connect()) as second:
            assert (await resume(second, first.line))["result"] == "ok"
            await settle()
            assert (
                scrape(server.node)("signal_sdk_connections", wire="websocket", device="websdk")
                == 1
            )
    else:
        await log_in("ann", device="javasdk", ver=login.PUSH_VERSION)
        await settle()
        now = scrape(server.node)
        assert now("signal_sdk_connections", wire="websocket", device="websdk") == 0
        assert now("signal_sdk_connections", wire="websocket", device="javasdk") == 1


# --- what there is


async def test_members_channels_and_accounts(server: LocalServer, log_in: LogIn) -> None:
    ann, bob = await log_in("ann"), await log_in("bob")
    for client in (ann, bob):
        await client.call("channel_join", name="room")
    now = scrape(server.node)
    assert now("signal_sdk_channels") == 1
    assert now("signal_sdk_channel_members") == 2
    assert now("signal_sdk_accounts") == now("signal_sdk_accounts_online") == 2
    await ann.call("channel_leave", name="room")
    await bob.call("user_logout")
    now = scrape(server.node)
    assert now("signal_sdk_channel_members") == 0
    assert now("signal_sdk_accounts_online") == 1


async def test_entries_wait_and_grow_old(server: LocalServer, log_in: LogIn) -> None:
    ann = await log_in("ann")
    for _ in range(2):
        await ann.call("user_sendmsg", **{**message("bob"), "flag": "v1:E:3600"})
    await trio.sleep(100)
    now = scrape(server.node)
    assert now("signal_sdk_inbox_entries") == 2
    assert now("signal_sdk_kept_bytes") > 0
    assert now("signal_sdk_inbox_oldest_entry_seconds") == pytest.approx(100, abs=1)
    bob = await log_in("bob")
    await bob.call("user_getmsg", ver_clear=2, max=30)
    await trio.sleep(3)
    now = scrape(server.node)
    assert now("signal_sdk_inbox_entries") == 0
    assert now("signal_sdk_inbox_oldest_entry_seconds") == 0


@pytest.mark.parametrize(
    ("steps", "end"),
    [
        (["bye"], "bye"),
        (["ack", "accept", "bye"], "bye"),
        (["ack", "refuse"], "refused"),
        (["ack"], "unanswered"),
        (["logout"], "gone"),
        (["ack", "accept", "logout"], "gone"),
    ],
)
async def test_calls_count_by_state_and_end(
    server: LocalServer, log_in: LogIn, steps: list[str], end: str
) -> None:
    ann, bob = await log_in("ann"), await log_in("bob")

    def states() -> list[float]:
        now = scrape(server.node)
        return [now("signal_sdk_calls", state=it) for it in ("inviting", "ringing", "accepted")]

    async def live() -> None:
        call = {"channelName": "room", "extra": ""}
        reply = await ann.call("voip_invite", peer="bob", **call)
        assert reply["result"] == "ok", reply
        assert states() == [1, 0, 0]
        for step in steps:
            if step == "logout":
                await bob.call("user_logout")
            else:
                await bob.call(f"voip_invite_{step}", peer="ann", **call)
            if step in ("ack", "accept"):
                assert states() == [0, step == "ack", step == "accept"]
        await trio.sleep(200)
        assert states() == [0, 0, 0]

    found = await counted(server, live)
    assert found[("calls_started",)] == 1
    ended = {key[1][1]: count for key, count in found.items() if key[0] == "calls_ended"}
    assert ended == {end: 1}


# --- the journal


@pytest.fixture
async def on_disk(autojump_clock: MockClock, tmp_path: Path) -> AsyncIterator[LocalServer]:
    async def write(write: Callable[[Batch], None], batch: Batch) -> None:
        await trio.sleep(0.03)
        await inline(write, batch)

    engine = EmbeddedEngine(journal=Journal.open(tmp_path), write_in_thread=write)
    async with local_server(dev_config(), listens=False, engine=engine) as server:
        yield server


async def test_batches_count_with_their_rows_and_the_time_that_they_took(
    on_disk: LocalServer,
) -> None:
    before = scrape(on_disk.node)
    async with logged_in(on_disk, "ann") as ann:
        for _ in range(3):
            await ann.call("user_sendmsg", **message("bob"))
        now = scrape(on_disk.node)

        def rise(name: str, **labels: str) -> float:
            return now(f"signal_sdk_journal_{name}", **labels) - before(
                f"signal_sdk_journal_{name}", **labels
            )

        assert rise("durable_seconds_count") == rise("batch_rows_count") >= 4
        # Gathered for 2 ms, written in 30.
        assert rise("durable_seconds_bucket", le="0.025") == 0
        assert rise("durable_seconds_bucket", le="0.05") == rise("durable_seconds_count")
        assert rise("batch_rows_sum") >= rise("batch_rows_count")
        assert now("signal_sdk_journal_failures_total") == 0
    assert now("signal_sdk_info", version=VERSION, state="journal") == 1


async def test_a_batch_that_cannot_be_written_counts(
    autojump_clock: MockClock, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    is_full = True

    async def write(write: Callable[[Batch], None], batch: Batch) -> None:
        if is_full:
            raise StorageError("the disk is full")
        await inline(write, batch)

    engine = EmbeddedEngine(journal=Journal.open(tmp_path), write_in_thread=write)
    async with local_server(dev_config(), listens=False, engine=engine) as server:
        async with wire_client(server.connect()) as ann:
            assert (await ann.login("ann"))["result"] == "failed"
        await trio.sleep(5.5)
        now = scrape(server.node)
        assert now("signal_sdk_journal_failures_total") >= 5
        assert now("signal_sdk_journal_durable_seconds_count") == 0
        assert now("signal_sdk_ready") == 0
        is_full = False
        await trio.sleep(2)
        now = scrape(server.node)
        assert now("signal_sdk_ready") == 1
        # It has waited all that time.
        assert now("signal_sdk_journal_durable_seconds_sum") > 5
        assert now("signal_sdk_journal_durable_seconds_count") == 1
    # The log has told of it.
    caplog.clear()
