"""Original Java clients find the server, log in, are refused, and go."""

from __future__ import annotations

import pytest
import trio

from signal_sdk.testing.server import LocalServer
from tests.peers.helpers import GUARDED_APP, Javas, make_token, settle
from tests.peers.java_peer import DEVICE, VER, Refused
from tests.wire_client import wire_client


async def test_it_finds_the_server_by_a_name_with_dashes_at_the_port_that_it_is_told(
    java: Javas,
) -> None:
    alice = await java.login("alice")
    assert alice.url == "ws://192-0-2-7-sig-web.agora.io:8001/"
    assert alice.uid > 0


async def test_a_good_token_logs_in(java: Javas) -> None:
    await java.login("alice", app=GUARDED_APP, token=make_token("alice", seconds=60))


@pytest.mark.parametrize(
    ("token", "word"),
    [
        (make_token("bob", seconds=60), "TokenErrorWrong"),
        ("_no_need_token", "TokenErrorWrong"),
        (make_token("alice", seconds=-1), "TokenErrorExpired"),
    ],
    ids=["wrong", "none", "expired"],
)
async def test_a_bad_token_is_refused_five_times(java: Javas, token: str, word: str) -> None:
    """Each time at once, and with the connection."""
    alice = await java.peer(app=GUARDED_APP)
    with pytest.raises(Refused, match=word):
        await alice.login("alice", token)
    assert alice.tries == 5
    assert trio.current_time() < 1
    assert alice.heard == []
    await settle()
    assert len(java.server.node.acceptor) == 0


@pytest.mark.parametrize("account", ["", "alice smith", "a" * 129, "alice\x07"])
async def test_an_invalid_account_is_refused(java: Javas, account: str) -> None:
    with pytest.raises(Refused, match="wrong account"):
        await java.login(account)


async def test_a_second_login_of_an_account_ends_the_first_with_its_connection(
    java: Javas,
) -> None:
    """It knows no kick."""
    first = await java.login("alice")
    await java.login("alice")
    await first.expect("onLogout", 102)


async def test_a_logout_is_101_and_ends_presence(java: Javas) -> None:
    alice, bob = await java.pair()
    await bob.logout()
    await bob.expect("onLogout", 101)
    assert (await alice.call("user_query_user_status", account="bob"))["status"] == 0
    await trio.sleep(60)
    assert bob.seen("onLogout") == []


async def test_the_end_of_the_connection_after_a_logout_is_the_client_s_for_two_seconds(
    server: LocalServer,
) -> None:
    """Behind its logout, nothing is heard of it: it may go, or be sent away."""
    async with wire_client(server.connect()) as alice:
        await alice.login("alice", device=DEVICE, ver=VER)
        assert (await alice.call("user_logout"))["result"] == "ok"
        alice.send("ping", 1)
        alice.send("login", {"vid": "app", "account": "bob"})
        await trio.sleep(1.9)
        assert (alice.closed, alice.seen) == (None, [])
        assert server.node.sessions == 0
        began = trio.current_time()
        assert (await alice.wait_closed()).code == 1000
        assert trio.current_time() - began < 0.2
    assert len(server.node.acceptor) == 0


async def test_other_clients_are_closed_at_once_after_a_logout(server: LocalServer) -> None:
    async with wire_client(server.connect()) as alice:
        await alice.login("alice")
        await alice.call("user_logout")
        await settle()
        assert alice.closed is not None


async def test_a_server_that_is_stopped_is_the_end_of_its_connection(
    java: Javas, server: LocalServer
) -> None:
    alice = await java.login("alice")
    server.node.stop()
    await alice.expect("onLogout", 102)


async def test_a_pong_is_later_than_its_ping(server: LocalServer) -> None:
    """By 2 ms, which none of the others waits; two within them get one answer."""
    async with wire_client(server.connect()) as alice, wire_client(server.connect()) as page:
        await alice.login("alice", device=DEVICE, ver=VER)
        await page.login("page")
        began = trio.current_time()
        alice.send("ping", 1)
        alice.send("ping", 2)
        page.send("ping", 3)
        assert await page.expect("pong") == 3
        assert trio.current_time() == began
        assert await alice.expect("pong") == 1
        assert 0.002 <= trio.current_time() - began < 0.01
        assert alice.seen == []


async def test_it_stays_for_days_by_its_pings(java: Javas) -> None:
    alice = await java.login("alice")
    await trio.sleep(7200)
    assert alice.seen("onLogout") == []
