"""The web SDK logs in, and is refused."""

from __future__ import annotations

import pytest

from signal_sdk.testing.server import LocalServer, trio_wall_clock
from signal_sdk.wire import tokens
from signal_sdk.wire.typed import End, Farewell
from tests.two_nodes import nodes_of
from tests.web.conftest import CERTIFICATE, GUARDED_APP
from tests.web.web_peer import WebPeer


def make_token(account: str, *, seconds: int) -> str:
    """A token that is good for `seconds` from now."""
    return tokens.make_token(GUARDED_APP, CERTIFICATE, account, int(trio_wall_clock()) + seconds)


async def test_login_succeeds_with_a_uid(web: WebPeer) -> None:
    session = await web.begin_login("alice")
    [uid] = await session.expect("onLoginSuccess")
    assert isinstance(uid, int)
    assert uid > 0


async def test_sessions_are_spread_over_the_nodes(web: WebPeer, server: LocalServer) -> None:
    for account in ("alice", "bob"):
        await web.login(account)
    nodes = nodes_of(server)
    assert [node.sessions for node in nodes] == [2 // len(nodes)] * len(nodes)


async def test_login_succeeds_with_a_good_token(web: WebPeer) -> None:
    await web.login("alice", app=GUARDED_APP, token=make_token("alice", seconds=60))


async def test_a_wrong_token_is_206(web: WebPeer) -> None:
    session = await web.begin_login("alice", app=GUARDED_APP, token=make_token("bob", seconds=60))
    await session.expect("onLoginFailed", 206)


async def test_no_token_where_one_is_needed_is_206(web: WebPeer) -> None:
    session = await web.begin_login("alice", app=GUARDED_APP)
    await session.expect("onLoginFailed", 206)


async def test_an_expired_token_is_204(web: WebPeer) -> None:
    session = await web.begin_login("alice", app=GUARDED_APP, token=make_token("alice", seconds=-1))
    await session.expect("onLoginFailed", 204)


@pytest.mark.parametrize("account", ["", "alice smith", "a" * 129, "alice\x07"])
async def test_an_invalid_account_is_209(web: WebPeer, account: str) -> None:
    session = await web.begin_login(account)
    await session.expect("onLoginFailed", 209)


async def test_an_account_that_is_no_string_is_its_json_text(web: WebPeer) -> None:
    """Pages pass numbers, which the SDK turns into text."""
    await web.login(1234)
    alice = await web.login("alice")
    assert await alice.invoke("user_query_user_status", account="1234") == {
        "result": "ok",
        "account": "1234",
        "status": 1,
    }


async def test_a_second_login_of_an_account_logs_the_first_out_with_103(web: WebPeer) -> None:
    first = await web.login("alice")
    await web.login("alice")
    await first.expect("onLogout", 103)


async def test_logout_is_101_and_ends_presence(web: WebPeer) -> None:
    alice, bob = await web.login("alice"), await web.login("bob")
    await bob.call("logout")
    await bob.expect("onLogout", 101)
    status = await alice.invoke("user_query_user_status", account="bob")
    assert status["status"] == 0


async def test_a_server_that_is_stopped_closes_without_a_logout(
    web: WebPeer, server: LocalServer
) -> None:
    """The page comes back by itself; told to `close`, it would be logged out (102)."""
    alice = await web.login("alice")
    server.node.stop()
    _, code = await web.expect("socket", "close")
    assert code == 1001
    assert alice.seen("onLogout") == []


async def test_a_close_logs_out_with_102(web: WebPeer, server: LocalServer) -> None:
    alice = await web.login("alice")
    [connection] = server.node.acceptor.connections
    connection._end(Farewell(end=End.OVERDUE))
    await alice.expect("onLogout", 102)
