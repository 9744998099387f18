"""A program that stood still (a suspended machine, SIGSTOP, a callback that blocks): its sessions
count what has arrived meanwhile, and wait for the rest. On the mock clock, a jump is such a time.
"""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from signal_sdk import Backoff, ECode, LoginSession, Signal
from tests.client.fakes import TOKEN, FakeServer, Heard, Peer

STILL = 15.0
"""More than an answer may take, and with a few seconds before, more than a silence may last."""


@pytest.fixture
async def peer(signal: Signal, server: FakeServer, heard: Heard) -> Peer:
    signal.login("alice", TOKEN, heard.login)
    return await server.accept_login()


@pytest.fixture
def session(signal: Signal, peer: Peer) -> LoginSession:
    return signal.login("alice", TOKEN)


async def test_answers_that_lie_there_are_answers(
    session: LoginSession, peer: Peer, autojump_clock: MockClock
) -> None:
    sends = [session.message_instant_send("bob", str(number)) for number in range(50)]
    callids = [(await peer.expect_call("user_sendmsg"))[0] for _ in sends]
    for callid in callids:
        peer.reply(callid)
    autojump_clock.jump(STILL)
    for send in sends:
        await send


async def test_an_answer_that_comes_after_it_counts_and_none_at_all_is_missed(
    session: LoginSession, peer: Peer, heard: Heard, autojump_clock: MockClock
) -> None:
    late = session.message_instant_send("bob", "late")
    callid, _ = await peer.expect_call("user_sendmsg")
    autojump_clock.jump(STILL)
    await trio.sleep(5)
    peer.reply(callid)
    await late
    began = trio.current_time()
    session.message_instant_send("bob", "lost", heard.message)
    await peer.expect_call("user_sendmsg")
    await heard.wait("on_message_send_error")
    assert trio.current_time() - began <= 15
    [(_, ecode)] = heard.of("on_message_send_error")
    assert ecode is ECode.SENDMESSAGE_E_TIMEOUT


async def test_the_server_is_not_taken_for_silent_and_hears_a_ping_at_once(
    session: LoginSession,
    peer: Peer,
    server: FakeServer,
    nursery: trio.Nursery,
    autojump_clock: MockClock,
) -> None:
    await trio.sleep(8)
    autojump_clock.jump(STILL)
    dials = server.dials
    with trio.move_on_after(1):
        await peer.receive()
    assert len(peer.pings) == 1
    with trio.move_on_after(100):
        await peer.receive()
    assert server.dials == dials
    assert peer.link.is_open


async def test_a_login_under_way_is_not_given_up(
    signal: Signal, server: FakeServer, autojump_clock: MockClock
) -> None:
    session = signal.login("alice", TOKEN)
    peer = await server.accept()
    autojump_clock.jump(STILL)
    await trio.sleep(5)
    await peer.log_in()
    await session


async def test_coming_back_under_way_is_not_given_up(
    session: LoginSession, peer: Peer, server: FakeServer, heard: Heard, autojump_clock: MockClock
) -> None:
    peer.link.abort()
    again = await server.accept()
    autojump_clock.jump(STILL)
    await trio.sleep(5)
    await again.expect("line_login")
    again.let_in()
    await heard.wait("on_reconnected")
    assert server.dials == 2


async def test_a_login_that_was_given_up_is_still_taken_back(
    signal: Signal, server: FakeServer, autojump_clock: MockClock
) -> None:
    """Else the account would stay online."""
    session = signal.login("alice", TOKEN)
    peer = await server.accept()
    frame = await peer.expect("login")
    assert frame["account"] == "alice"
    session.logout()
    await wait_all_tasks_blocked()
    autojump_clock.jump(STILL)
    await trio.sleep(5)
    peer.let_in()
    await peer.answer("user_logout")


@pytest.mark.parametrize("reconnect", [Backoff(seconds=10)])
async def test_the_time_for_coming_back_is_not_over(
    session: LoginSession, peer: Peer, server: FakeServer, heard: Heard, autojump_clock: MockClock
) -> None:
    await session
    server.is_down = True
    peer.link.abort()
    await heard.wait("on_reconnecting")
    autojump_clock.jump(STILL)
    await heard.wait("on_reconnecting", 2)
    server.is_down = False
    await server.accept_resume()
    await heard.wait("on_reconnected")
    assert heard.of("on_logout") == []


async def test_a_program_that_blocks_again_and_again_still_misses_its_server(
    session: LoginSession, peer: Peer, server: FakeServer, heard: Heard, autojump_clock: MockClock
) -> None:
    peer.answers_pings = False
    while not heard.of("on_reconnecting"):
        autojump_clock.jump(4)
        await trio.sleep(2)
        assert trio.current_time() < 300
