"""The native client logs in, is refused, is logged out; and a server that is stopped."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest
import trio

from signal_sdk.ecodes import ECode
from signal_sdk.errors import LinkError, LoginError
from signal_sdk.net.reactor import Reactor
from signal_sdk.net.transport import Transport
from signal_sdk.testing.native_line import connect_in_memory
from signal_sdk.testing.native_peer import NativePeer
from signal_sdk.testing.server import LocalServer
from signal_sdk.wire import datagrams, login
from signal_sdk.wire.typed import End, Farewell
from tests.native.helpers import (
    GUARDED_APP,
    PLAIN,
    ROOM,
    Natives,
    Tap,
    dev_config,
    make_token,
    reconnect,
    settle,
)
from tests.server.helpers import journal_server
from tests.wire_client import logged_in


async def refusal(
    native: Natives, account: str, *, app: str = "app", token: str = "_no_need_token"
) -> int:
    """The code with which a login is refused; its line is closed by the server."""
    peer = await native.peer(app=app)
    with pytest.raises(LoginError) as caught:
        await peer.login(account, token)
    await settle()
    assert len(native.server.node.acceptor) == 0
    assert peer.lines == 1
    return int(caught.value.ecode)


async def status(peer: NativePeer, account: str) -> int:
    found: int = (await peer.call("user_query_user_status", account=account))["status"]
    return found


async def test_login_succeeds_with_a_uid(native: Natives) -> None:
    alice = await native.peer()
    uid = await alice.login("alice")
    assert isinstance(uid, int)
    assert uid > 0
    assert await alice.expect("on_login_success") == (uid, 0)
    bob = await native.login("bob")
    assert bob.uid != uid
    assert len(alice.line_id) >= 32
    assert alice.line_id != bob.line_id


async def test_a_login_is_said_plain_and_all_else_compressed(native: Natives) -> None:
    """As the original does it, whose answers have their words."""
    alice, tap = await native.tapped_login("alice")
    await alice.call("user_setfg", isfg=True)
    first, *more = tap.said.packets
    assert first.kind == PLAIN
    assert first.text.startswith('login {"account":"alice","device":"","ip":"","token":')
    assert {packet.kind for packet in more} == {PLAIN + 1}
    answer, returned = tap.heard.packets[0].text, tap.heard.packets[1].text
    assert answer.startswith(f'login_res ok {alice.uid} {{"')
    assert returned.split(" ", 4) == ["call_ret", "0", "1", "0", '{"result":"ok"}']


async def test_login_succeeds_with_a_good_token(native: Natives) -> None:
    await native.login("alice", app=GUARDED_APP, token=make_token("alice", seconds=60))


async def test_a_wrong_token_is_206(native: Natives) -> None:
    token = make_token("bob", seconds=60)
    assert await refusal(native, "alice", app=GUARDED_APP, token=token) == 206


async def test_no_token_where_one_is_needed_is_206(native: Natives) -> None:
    assert await refusal(native, "alice", app=GUARDED_APP) == 206


async def test_an_expired_token_is_204(native: Natives) -> None:
    token = make_token("alice", seconds=-1)
    assert await refusal(native, "alice", app=GUARDED_APP, token=token) == 204


async def test_kick_is_207(native: Natives, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server refuses so only a login that comes `again` by itself, which a native client does
    not say. Should it ever refuse one, this is the word.
    """

    async def refuse(request: login.Login) -> None:
        raise LoginError(ECode.LOGIN_E_TOKEN_KICKED)

    presences = native.server.node.acceptor._services.presences
    monkeypatch.setattr(presences, "log_in", refuse)
    assert await refusal(native, "alice") == 207
    tap = Tap(native.server)
    with pytest.raises(LoginError):
        await (await native.peer(connect=tap.connect)).login("alice")
    assert [packet.text for packet in tap.heard.packets] == ['login_res failed {"reason":"kick"}']


@pytest.mark.parametrize("account", ["", "alice smith", "a" * 129, "alice\x07"])
async def test_an_invalid_account_is_201(native: Natives, account: str) -> None:
    """The native client has no code for it."""
    assert await refusal(native, account) == 201


@pytest.mark.parametrize("account", ["TokenErrorExpired ", "kick "])
async def test_an_invalid_account_is_201_whatever_it_is_called(
    native: Natives, account: str
) -> None:
    assert await refusal(native, account) == 201


async def test_an_account_that_is_no_string_is_its_json_text(native: Natives) -> None:
    await native.login(1234)
    alice = await native.login("alice")
    assert await status(alice, "1234") == 1


async def test_where_there_is_no_server_a_login_is_201(native: Natives) -> None:
    alice = await native.peer()
    alice.is_down = True
    with pytest.raises(LoginError) as caught:
        await alice.login("alice")
    assert caught.value.ecode == 201


async def test_a_second_login_of_an_account_logs_the_first_out_with_103(native: Natives) -> None:
    first = await native.login("alice")
    second = await native.login("alice")
    await first.expect("on_logout", 103)
    await settle()
    assert first.lines == 1
    assert second.seen("on_logout") == []
    assert second.uid == first.uid
    assert await status(second, "alice") == 1


async def test_a_page_logs_a_native_client_out_with_103(
    native: Natives, server: LocalServer
) -> None:
    first = await native.login("alice")
    async with logged_in(server, "alice") as page:
        await first.expect("on_logout", 103)
        assert page.uid == first.uid
        await settle()
        assert (first.lines, page.closed) == (1, None)


async def test_a_native_client_logs_a_page_out_with_103(
    native: Natives, server: LocalServer
) -> None:
    async with logged_in(server, "alice") as page:
        alice = await native.login("alice")
        assert (await page.expect("kick"))["ecode"] == 103
        await page.wait_closed()
        await settle()
        assert await status(alice, "alice") == 1


async def test_who_was_kicked_while_it_was_away_is_logged_out_with_103(native: Natives) -> None:
    """At its return: `line_login_res kick`."""
    first = await native.login("alice")
    first.is_down = True
    first.cut()
    second = await native.login("alice")
    first.is_down = False
    await first.expect("on_logout", 103)
    assert first.seen("on_reconnected") == []
    await settle()
    assert second.seen("on_logout") == []


async def test_logout_is_101_and_ends_presence(native: Natives) -> None:
    alice, bob = await native.login("alice"), await native.login("bob")
    assert await status(alice, "bob") == 1
    await bob.logout()
    await bob.expect("on_logout", 101)
    assert await status(alice, "bob") == 0
    await settle()
    assert len(native.server.node.acceptor) == 1


async def test_a_token_that_expires_in_a_session_logs_out_with_105(native: Natives) -> None:
    token = make_token("alice", seconds=60)
    alice, tap = await native.tapped_login("alice", app=GUARDED_APP, token=token)
    bob = await native.login("bob", app=GUARDED_APP, token=make_token("bob", seconds=3000))
    for peer in (alice, bob):
        await peer.channel_join(ROOM)
    await trio.sleep(59)
    assert alice.seen("on_logout") == []
    await trio.sleep(2.5)
    assert alice.seen("on_logout") == [(105,)]
    assert tap.heard.packets[-1].text == "notify TokenErrorExpired"
    # Its presence ends then, not with a lease.
    await bob.expect("on_channel_user_leaved", "alice", alice.uid)
    assert await status(bob, "alice") == 0
    assert alice.lines == 1


async def test_a_token_that_expires_while_its_client_is_away_logs_out_with_105(
    native: Natives,
) -> None:
    token = make_token("alice", seconds=60)
    alice, tap = await native.tapped_login("alice", app=GUARDED_APP, token=token)
    await settle()
    await reconnect(alice, partial(trio.sleep, 10))
    await trio.sleep(40)
    assert alice.seen("on_logout") == []
    await reconnect(alice, partial(trio.sleep, 15))
    await alice.expect("on_logout", 105)
    assert [packet.text for packet in tap.heard.packets[-2:]] == [
        "line_login_res ok ",
        "notify TokenErrorExpired",
    ]
    await settle()
    assert alice.lines == 3


async def test_who_was_logged_out_logs_in_again(native: Natives) -> None:
    """At once, and often: trio runs in no certain order what runs at once."""
    alice = await native.login("alice")
    uid = alice.uid
    for number in range(10):
        await alice.logout()
        assert await alice.login("alice") == uid
        await alice.message_instant_send("alice", number)
        await alice.expect("on_message_instant_receive", "alice", 0, str(number))


@pytest.mark.parametrize("end", [End.OVERDUE, End.BAD_DATA, End.GOING_AWAY])
async def test_a_close_does_not_log_out(native: Natives, server: LocalServer, end: End) -> None:
    """The wire has no word for it: the line ends, and the client comes back."""
    alice, tap = await native.tapped_login("alice")
    await settle()
    before = len(tap.heard.packets)
    [connection] = server.node.acceptor.connections
    connection._end(Farewell(end=end))
    await alice.expect("on_reconnected", 0)
    assert (alice.lines, alice.seen("on_logout")) == (2, [])
    assert tap.heard.packets[before].text == "line_login_res ok "


@pytest.mark.parametrize(
    ("end", "word", "ecode"),
    [
        (End.OUT_OF_SYNC, "outofsync", 102),
        (End.KICKED, "kick", 103),
        (End.EXPIRED, "TokenErrorExpired", 105),
    ],
)
async def test_an_end_that_has_a_word_logs_out(
    native: Natives, server: LocalServer, end: End, word: str, ecode: int
) -> None:
    alice, tap = await native.tapped_login("alice")
    await settle()
    [connection] = server.node.acceptor.connections
    connection._end(Farewell(end=end))
    await alice.expect("on_logout", ecode)
    assert tap.heard.packets[-1].text == f"notify {word}"
    await settle()
    assert alice.lines == 1


# --- a server that is stopped ---


async def test_a_server_that_is_stopped_closes_without_a_logout(
    native: Natives, server: LocalServer
) -> None:
    """The client dials again, for as long as it does so at all."""
    alice = await native.login("alice")
    await settle()
    server.node.stop()
    await alice.expect("on_reconnecting", 1)
    await trio.sleep(20)
    assert alice.seen("on_logout") == []


async def test_clients_are_sent_away_one_by_one_while_the_others_are_served(
    native: Natives, server: LocalServer
) -> None:
    peers = [await native.login(f"alice{number}") for number in range(4)]
    left_at: list[float] = []

    async def watch(peer: NativePeer) -> None:
        await peer.expect("on_reconnecting", 1)
        left_at.append(trio.current_time())

    await settle()
    began = trio.current_time()
    server.node.stop(8)
    async with trio.open_nursery() as nursery:
        for peer in peers:
            nursery.start_soon(watch, peer)
        await trio.sleep(5)
        assert await status(peers[3], "alice3") == 1
    # A client notices at once, and dials again 100 ms later.
    assert [time - began for time in left_at] == pytest.approx([0, 2, 4, 6], abs=0.01)


async def test_a_server_that_is_being_stopped_closes_new_connections(
    native: Natives, server: LocalServer
) -> None:
    """Each costs a client one of its three tries; the port is closed by then (test_lookup.py)."""
    lookup, question = server.node._lookup, datagrams.encode_question("app")
    for name in ("alice", "bob"):
        await native.login(name)
    assert lookup.answer(question, "10.0.0.1", "127.0.0.1") is not None
    server.node.stop(8)
    assert lookup.answer(question, "10.0.0.1", "127.0.0.1") is None
    await settle()
    late = await native.peer()
    with pytest.raises(LoginError) as caught:
        await late.login("carol")
    assert (caught.value.ecode, late.lines) == (201, 3)


async def test_a_session_goes_on_at_the_server_that_comes_after(
    native: Natives, tmp_path: Path
) -> None:
    """A member hears what it had missed, which was nothing, and all that is said from then on."""
    there: list[LocalServer] = []

    async def connect(reactor: Reactor) -> Transport:
        await trio.lowlevel.checkpoint()
        if not there:
            raise LinkError("nobody is there")
        return await connect_in_memory(there[0])(reactor)

    alice, bob = [await native.peer(connect=connect) for _ in range(2)]
    async with journal_server(tmp_path) as server:
        there.append(server)
        for peer, account in ((alice, "alice"), (bob, "bob")):
            await peer.login(account)
            await peer.channel_join(ROOM)
        await alice.expect("on_channel_user_joined", "bob", bob.uid)
        await alice.message_channel_send("before")
        await bob.expect("on_message_channel_receive", ROOM, "alice", alice.uid, "before")
        await settle()
        there.clear()
        server.node.stop()
        for peer in (alice, bob):
            await peer.expect("on_reconnecting", 1)
    await trio.sleep(3)
    async with journal_server(tmp_path) as server:
        there.append(server)
        for peer in (alice, bob):
            await peer.expect("on_reconnected", 0)
        await settle()
        await alice.message_channel_send("after")
        await bob.expect("on_message_channel_receive", ROOM, "alice", alice.uid, "after")
        await alice.message_instant_send("bob", "you, too")
        await bob.expect("on_message_instant_receive", "alice", 0, "you, too")
        assert [peer.seen("on_logout") for peer in (alice, bob)] == [[], []]


@pytest.mark.parametrize("config", [dev_config(max_connections=2)])
async def test_a_server_that_is_full_closes_new_connections(native: Natives) -> None:
    """Where there is room for one, the client's second dial is not needed."""
    _alice, bob = await native.login("alice"), await native.login("bob")
    await settle()
    with pytest.raises(LoginError) as caught:
        await native.login("carol")
    assert caught.value.ecode == 201
    await bob.logout()
    await settle()
    await native.login("carol")
