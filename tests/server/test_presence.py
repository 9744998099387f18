"""Presence: logging in and out, tokens, the kick, and the lease of an account that has lost its
connection.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from typing import cast

import pytest
import trio
from trio.testing import MockClock

from signal_sdk.server.config import AppConfig, Config, LimitsConfig
from signal_sdk.server.engine.base import AccountKey, Presence
from signal_sdk.server.logged_in import LoggedIn
from signal_sdk.server.session import Session
from signal_sdk.testing.server import EPOCH, LocalServer, local_server
from signal_sdk.wire.tokens import make_token
from tests.server.helpers import (
    APP,
    CERTIFICATE,
    FOREVER,
    LogIn,
    dev_config,
    is_refusal,
    members,
    settle,
    slow_engine,
    told,
    vanishing_client,
)
from tests.wire_client import WireClient, wire_client


async def status(asker: WireClient, account: str) -> int:
    reply = await asker.call("user_query_user_status", account=account)
    assert reply["account"] == account
    found: int = reply["status"]
    return found


# --- logging in ---


@pytest.mark.parametrize("account", ["_agora_system", "_agora_user_online", "_agora_channel_event"])
async def test_nobody_logs_in_as_the_server(server: LocalServer, account: str) -> None:
    async with wire_client(server.connect()) as client:
        result = await client.login(account)
    assert (result["result"], result["ecode"]) == ("failed", 209)
    assert result["err"].startswith("wrong account")


async def test_a_login_answers_with_uid_and_line(log_in: LogIn) -> None:
    ann, bob = await log_in("ann"), await log_in("bob")
    assert ann.uid != bob.uid
    assert len(ann.line) >= 32
    assert ann.line != bob.line


async def test_an_account_is_online_from_login_to_logout(log_in: LogIn) -> None:
    bob = await log_in("bob")
    assert await status(bob, "ann") == 0
    ann = await log_in("ann")
    assert await status(bob, "ann") == 1
    assert (await ann.call("user_logout"))["result"] == "ok"
    assert (await ann.wait_closed()).code == 1000
    assert await status(bob, "ann") == 0


async def test_a_logout_right_before_the_connection_s_end_counts(log_in: LogIn) -> None:
    ann, bob = await log_in("ann"), await log_in("bob")
    ann.request("user_logout")
    await ann.link.aclose()
    await settle()
    assert await status(bob, "ann") == 0


async def test_an_accounts_uid_is_the_same_at_every_login(log_in: LogIn) -> None:
    first = await log_in("ann")
    await first.call("user_logout")
    assert (await log_in("ann")).uid == first.uid


@pytest.mark.parametrize("account", [42, {"a": 1}, "é" * 128, "a/b:c"])
async def test_an_account_may_be_any_json_value_without_white_space(
    log_in: LogIn, account: object
) -> None:
    await log_in(account)


async def test_a_second_login_kicks_the_first(log_in: LogIn) -> None:
    first = await log_in("ann")
    second = await log_in("ann")
    assert (await first.expect("kick"))["ecode"] == 103
    assert (await first.wait_closed()).reason == "the account logged in elsewhere"
    # The first one's end is not the second one's.
    await trio.sleep(200)
    assert await status(second, "ann") == 1


async def test_nothing_is_told_to_a_connection_behind_its_kick(log_in: LogIn) -> None:
    bob = await log_in("bob")
    await bob.call("channel_join", name="room")
    first = await log_in("ann")
    await first.call("channel_join", name="room")
    await log_in("ann")
    await bob.call("channel_sendmsg", name="room", msg="hi")
    await bob.call("user_sendmsg", peer="ann", flag="v1:E:60", t="instant", content="hi")
    await first.wait_closed()
    assert [event for event, _ in first.seen][-2:] == ["kick", "close"]


async def test_what_a_client_says_behind_its_kick_is_not_heard(
    server: LocalServer, log_in: LogIn
) -> None:
    """A client that sent many frames at once is kicked between two of them."""
    old = await log_in("ann")
    await old.call("channel_join", name="room")
    async with wire_client(server.connect()) as new:
        for number in range(100):
            old.send("ping", number)
        old.request("channel_leave", name="room")
        old.request("user_logout")
        # Read in the same pass of the scheduler, or between two turns of the other one.
        assert (await new.login("ann"))["result"] == "ok"
        await old.expect("kick")
        assert await members(new, "room") == ["ann"]
        assert await status(new, "ann") == 1


async def test_a_second_login_on_the_same_connection_is_refused_and_changes_nothing(
    log_in: LogIn,
) -> None:
    ann = await log_in("ann")
    result = await ann.login("bob")
    assert (result["result"], result["ecode"]) == ("failed", 208)
    assert await status(ann, "ann") == 1
    assert await status(ann, "bob") == 0


async def test_a_web_login_keeps_the_channel_and_another_device_starts_afresh(
    log_in: LogIn,
) -> None:
    bob = await log_in("bob")
    await bob.call("channel_join", name="room")
    await (await log_in("ann")).call("channel_join", name="room")
    await told(bob)
    web = await log_in("ann")
    assert await told(bob) == []
    assert await members(bob, "room") == ["bob", "ann"]
    await web.call("channel_sendmsg", name="room", msg="still here")
    assert [content["msg"] for _, _, content in await told(bob)] == ["still here"]
    await log_in("ann", device="javasdk")
    assert [(kind, content["account"]) for _, kind, content in await told(bob)] == [
        ("channel_user_leave", "ann")
    ]
    assert await members(bob, "room") == ["bob"]


# --- tokens ---


@pytest.fixture
async def guarded(autojump_clock: MockClock) -> AsyncIterator[LocalServer]:
    """A server, not in dev mode, of three apps."""
    config = Config(
        apps=(
            AppConfig(id=APP, certificate=CERTIFICATE),
            AppConfig(id="lax", certificate=CERTIFICATE[::-1], allow_no_token=True),
            AppConfig(id="open"),
        ),
        limits=LimitsConfig(silence_seconds=FOREVER),
    )
    async with local_server(config, listens=False) as server:
        yield server


Attempt = Callable[..., Awaitable[dict[str, object]]]


@pytest.fixture
async def attempt(guarded: LocalServer) -> Attempt:
    """Try to log in."""

    async def attempt(account: str, token: str, app: str = APP) -> dict[str, object]:
        async with wire_client(guarded.connect()) as client:
            result = await client.login(account, token=token, app=app)
            if result["result"] != "ok":
                # Who is refused is sent away.
                assert (await client.wait_closed()).code == 1000
        return result

    return attempt


def token_for(account: str, seconds: int, app: str = APP) -> str:
    return make_token(app, CERTIFICATE, account, int(EPOCH) + seconds)


async def test_a_good_token_logs_in(attempt: Attempt) -> None:
    assert (await attempt("ann", token_for("ann", 60)))["result"] == "ok"


async def test_an_expired_token_is_refused_with_204(attempt: Attempt) -> None:
    result = await attempt("ann", token_for("ann", -1))
    assert (result["err"], result["ecode"]) == ("TokenErrorExpired", 204)
    # At the moment itself it has expired.
    assert (await attempt("ann", token_for("ann", 0)))["ecode"] == 204


@pytest.mark.parametrize(
    "token",
    [
        pytest.param(token_for("bob", 60), id="another account's"),
        pytest.param(token_for("ann", 60, "open"), id="another app's"),
        pytest.param(token_for("ann", 60)[:-1] + "0", id="changed"),
        pytest.param("_no_need_token", id="none"),
        pytest.param("", id="empty"),
        pytest.param("1:2:3", id="not of the form"),
        pytest.param("é" * 1000, id="nonsense"),
    ],
)
async def test_a_wrong_token_is_refused_with_206(attempt: Attempt, token: str) -> None:
    result = await attempt("ann", token)
    assert str(result["err"]).startswith("TokenError")
    assert result["ecode"] == 206


async def test_no_token_is_needed_where_the_app_says_so(attempt: Attempt) -> None:
    assert (await attempt("ann", "_no_need_token", "lax"))["result"] == "ok"
    assert (await attempt("ann", "_no_need_token", "open"))["result"] == "ok"
    assert (await attempt("ann", "whatever", "open"))["result"] == "ok"
    assert (await attempt("ann", "whatever", "lax"))["ecode"] == 206


async def test_an_unknown_app_is_refused(attempt: Attempt) -> None:
    result = await attempt("ann", "_no_need_token", "who")
    assert result["ecode"] == 202
    assert "unknown app id 'who'" in str(result["err"])
    assert (await attempt("ann", "_no_need_token", ""))["result"] == "failed"


async def test_a_refused_login_kicks_nobody(attempt: Attempt, guarded: LocalServer) -> None:
    async with wire_client(guarded.connect()) as ann:
        await ann.login("ann", token=token_for("ann", 60))
        await attempt("ann", "wrong")
        assert await status(ann, "ann") == 1


async def test_a_token_that_expires_during_a_session_ends_it_and_its_presence(
    guarded: LocalServer,
) -> None:
    async with AsyncExitStack() as stack:
        ann = await stack.enter_async_context(wire_client(guarded.connect()))
        bob = await stack.enter_async_context(wire_client(guarded.connect()))
        await ann.login("ann", token=token_for("ann", 60))
        await bob.login("bob", token=token_for("bob", 600))
        await ann.call("channel_join", name="room")
        await bob.call("channel_join", name="room")
        await trio.sleep(59)
        assert await status(bob, "ann") == 1
        assert ann.closed is None
        await trio.sleep(1.1)
        await ann.wait_closed()
        # Its own leaving is not told to it, and nothing comes behind the farewell.
        assert [kind for _, kind, _ in await told(ann)] == ["channel_user_join"]
        ((event, closing),) = ann.seen
        assert (event, closing["ecode"]) == ("close", 105)
        assert await status(bob, "ann") == 0
        assert await members(bob, "room") == ["bob"]
        assert [kind for _, kind, _ in await told(bob)] == ["channel_user_leave"]


async def test_a_session_whose_token_has_expired_is_not_resumed(guarded: LocalServer) -> None:
    async with wire_client(guarded.connect()) as ann:
        await ann.login("ann", token=token_for("ann", 60))
    await trio.sleep(61)
    async with wire_client(guarded.connect()) as again:
        again.send("line_login", {"line": ann.line})
        assert (await again.login_ret())["ecode"] == 204
    async with wire_client(guarded.connect()) as bob:
        await bob.login("bob", token=token_for("bob", 600))
        assert await status(bob, "ann") == 0


async def test_a_newer_login_with_a_newer_token_outlives_the_older_ones_expiry(
    guarded: LocalServer,
) -> None:
    async with wire_client(guarded.connect()) as first, wire_client(guarded.connect()) as second:
        await first.login("ann", token=token_for("ann", 60))
        await second.login("ann", token=token_for("ann", 600))
        await trio.sleep(100)
        assert second.closed is None
        assert await status(second, "ann") == 1


# --- the lease ---


@pytest.mark.parametrize(
    ("conn_timeout", "seconds"),
    [
        (None, 120),
        ("20", 20),
        (60, 60),
        ("120", 120),
        ("1", 20),
        (-5, 20),
        ("100000", 120),
        ("soon", 120),
        ("", 120),
        ([1], 120),
    ],
)
async def test_an_account_without_a_connection_stays_online_for_conn_timeout(
    server: LocalServer, log_in: LogIn, conn_timeout: object, seconds: int
) -> None:
    bob = await log_in("bob")
    await bob.call("channel_join", name="room")
    async with wire_client(server.connect()) as ann:
        await ann.login("ann")
        await ann.call("channel_join", name="room")
        if conn_timeout is not None:
            await ann.call("user_set_attr", name="_conn_timeout", value=conn_timeout)
            reply = await bob.call("user_get_attr", account="ann", name="_conn_timeout")
            assert reply["value"] == str(seconds)
        await told(bob)
        ann.link.abort()
    await settle()
    await trio.sleep(seconds - 0.5)
    assert await status(bob, "ann") == 1
    assert await members(bob, "room") == ["bob", "ann"]
    assert await told(bob) == []
    await trio.sleep(1)
    assert await status(bob, "ann") == 0
    assert await members(bob, "room") == ["bob"]
    assert [(kind, content["account"]) for _, kind, content in await told(bob)] == [
        ("channel_user_leave", "ann")
    ]


@pytest.mark.parametrize("how", ["abort", "aclose"])
async def test_a_lease_is_for_every_connection_that_ends_without_a_logout(
    server: LocalServer, log_in: LogIn, how: str
) -> None:
    bob = await log_in("bob")
    async with wire_client(server.connect()) as ann:
        await ann.login("ann")
        if how == "abort":
            ann.link.abort()
    await settle()
    assert await status(bob, "ann") == 1
    await trio.sleep(121)
    assert await status(bob, "ann") == 0


async def test_an_older_lease_does_not_end_a_newer_login(
    server: LocalServer, log_in: LogIn
) -> None:
    bob = await log_in("bob")
    async with wire_client(server.connect()) as first:
        await first.login("ann")
        await first.call("channel_join", name="room")
    await trio.sleep(100)
    second = await log_in("ann")
    await trio.sleep(30)
    assert await status(bob, "ann") == 1
    assert await members(bob, "room") == ["ann"]
    # Nor, when that one is lost as well, does the older one cut its lease short.
    second.link.abort()
    await trio.sleep(100)
    assert await status(bob, "ann") == 1
    await trio.sleep(21)
    assert await status(bob, "ann") == 0


async def test_a_client_that_vanishes_without_a_word_is_given_up_and_then_offline(
    autojump_clock: MockClock,
) -> None:
    """No packet says that it is gone, and none answers the server's farewell."""
    async with local_server(listens=False) as server, vanishing_client(server, "ann"):
        await trio.sleep(39)
        assert server.node.sessions == 1
        await trio.sleep(4)
        assert server.node.sessions == 0
        assert not server.node.acceptor.connections
        async with wire_client(server.connect()) as bob:
            await bob.login("bob")
            assert await status(bob, "ann") == 1
            for beat in range(12):
                bob.send("ping", beat)
                await trio.sleep(10)
            assert await status(bob, "ann") == 0


async def test_the_connection_of_a_client_that_vanished_is_given_up_after_a_kick(
    server: LocalServer, log_in: LogIn
) -> None:
    async with vanishing_client(server, "ann"):
        await log_in("ann")
        await trio.sleep(3)
        assert len(server.node.acceptor.connections) == 1


# --- races ---


@pytest.mark.parametrize("seed", range(10))
async def test_of_many_logins_at_once_one_stays_and_hears_everything(
    autojump_clock: MockClock, seed: int
) -> None:
    """Whatever the order in which an engine behind a network answers."""
    async with (
        local_server(dev_config(), listens=False, engine=slow_engine(seed)) as server,
        AsyncExitStack() as stack,
    ):
        clients = [await stack.enter_async_context(wire_client(server.connect())) for _ in range(5)]
        for client in clients:
            client.send("login", {"vid": APP, "account": "ann", "token": "", "device": "websdk"})
        await trio.sleep(5)
        (winner,) = [client for client in clients if client.closed is None]
        assert server.node.sessions == 1
        await winner.login_ret()
        await winner.call("channel_join", name="room")
        bob = await stack.enter_async_context(wire_client(server.connect()))
        await bob.login("bob")
        await bob.call("user_sendmsg", peer="ann", flag="v1:E:60", t="instant", content="hi")
        await bob.call("channel_sendmsg", name="room", msg="all", force=True)
        await trio.sleep(1)
        kinds = [frame[1][0] for frame in winner.seen if frame[0] == "notify"]
        assert sorted(kinds) == ["channel2", "recvmsg"]
        assert await status(bob, "ann") == 1
        for client in clients:
            if client is not winner:
                # Who had not heard of its login yet hears so in the answer to that.
                told = [event for event, _ in client.seen][-2:]
                assert told == ["kick", "close"] or told[-1] == "login_ret"


@pytest.mark.parametrize("seed", range(10))
async def test_a_login_at_the_last_moment_is_finished_or_was_never_begun(
    autojump_clock: MockClock, seed: int
) -> None:
    """Time for the handshakes runs out while the engine is at it."""
    async with (
        local_server(dev_config(), listens=False, engine=slow_engine(seed)) as server,
        wire_client(server.connect()) as ann,
    ):
        await trio.sleep(10 - 0.0005)
        ann.send("login", {"vid": APP, "account": "ann"})
        await trio.sleep(5)
        assert (ann.closed is None) is (server.node.sessions == 1)
        ann.link.abort()
        await trio.sleep(125)
        async with wire_client(server.connect()) as bob:
            await bob.login("bob")
            assert await status(bob, "ann") == 0


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("function", ["channel_join", "channel_leave"])
async def test_a_kick_during_a_join_or_leave_leaves_no_listener_behind(
    autojump_clock: MockClock, seed: int, function: str
) -> None:
    async with (
        local_server(dev_config(), listens=False, engine=slow_engine(seed)) as server,
        wire_client(server.connect()) as old,
        wire_client(server.connect()) as new,
    ):
        await old.login("ann")
        await old.call("channel_join", name="one")
        old.request(function, name="two" if function == "channel_join" else "one")
        await trio.sleep(seed / 1500)
        await new.login("ann")
        await old.wait_closed()
        await trio.sleep(3)
        hub = server.node._hub
        holders = [cast("LoggedIn", holder) for holder in hub._holders.values()]
        current = {holder._hearing._ear for holder in holders}
        assert len(current) == 1
        assert not hub._listeners
        assert [event for event, _ in old.seen][-2:] == ["kick", "close"]
        if await members(new, "two"):
            await new.call("channel_join", name="two")
            await new.call("channel_sendmsg", name="two", msg="hi", force=True)
            await trio.sleep(1)
            assert [content["msg"] for _, _, content in await told(new)] == ["hi"]


async def test_nothing_is_kept_of_connections_that_are_gone(
    server: LocalServer, log_in: LogIn
) -> None:
    bob = await log_in("bob")
    for number in range(20):
        async with wire_client(server.connect()) as ann:
            await ann.login("ann", device="javasdk" if number % 2 else "websdk")
            await ann.call("channel_join", name=f"room{number % 3}")
            assert is_refusal(await ann.call("channel_leave", name="elsewhere"), 600)
    await trio.sleep(121)
    hub = server.node._hub
    assert len(hub) == 1
    assert not hub._listeners
    assert len(server.node.acceptor.connections) == 1
    assert await status(bob, "ann") == 0


def test_a_session_shows_no_secret() -> None:
    session = Session(key=AccountKey("app", "ann"), uid=1, generation=1, line_digest=b"secret")
    presence = Presence(
        uid=1, generation=1, line_digest=b"secret", device="websdk", ver=0, token_expires=None
    )
    assert "secret" not in repr(session)
    assert "secret" not in repr(presence)
