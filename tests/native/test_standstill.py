"""The native peer in a process that stood still: it waits for the rest of its time, as the
SDK does.

On the mock clock, a jump is such a time.
"""

from __future__ import annotations

import socket

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from signal_sdk.errors import SignalError
from signal_sdk.native import udp
from signal_sdk.net.patience import GRACE_SECONDS
from signal_sdk.net.reactor import Reactor
from signal_sdk.net.transport import Transport
from signal_sdk.testing import native_line
from signal_sdk.testing.native_line import connect_in_memory
from signal_sdk.testing.server import LocalServer
from tests.native.helpers import Natives, reconnect, settle

STILL = 60.0
"""More than any of its times."""
ANSWER = b"the answer"
PING_SECONDS, PONG_SECONDS, CALL_SECONDS = 10, 8, 10


async def test_a_pong_is_waited_for_by_the_patient_clock(
    native: Natives, autojump_clock: MockClock
) -> None:
    bob, tap = await native.tapped_login("bob")
    await settle()
    last = tap.heard.packets[-1].time
    tap.is_silent = True
    await trio.sleep_until(last + PING_SECONDS + 5)
    autojump_clock.jump(STILL)
    await bob.expect("on_reconnecting", 1, seconds=1000)
    left_at = last + PING_SECONDS + PONG_SECONDS + STILL + GRACE_SECONDS
    assert trio.current_time() == pytest.approx(left_at, abs=1.01)


async def test_a_pong_that_lies_there_counts(
    native: Natives, server: LocalServer, autojump_clock: MockClock
) -> None:
    bob, tap = await native.tapped_login("bob")
    await settle()
    for _ in range(3):
        await trio.sleep_until(tap.heard.packets[-1].time + PING_SECONDS + 0.001)
        assert tap.said.packets[-1].text.startswith("line_ping:")
        autojump_clock.jump(STILL)
        await trio.sleep(1)
        assert tap.heard.packets[-1].text.startswith("line_pong:")
    assert (bob.lines, bob.seen("on_reconnecting"), server.node.sessions) == (1, [], 1)


async def test_an_answer_is_waited_for(native: Natives, autojump_clock: MockClock) -> None:
    bob, tap = await native.tapped_login("bob")
    await settle()
    tap.is_silent = True
    began = trio.current_time()
    async with trio.open_nursery() as nursery:

        async def ask() -> None:
            with pytest.raises(SignalError, match="time out"):
                await bob.message_instant_send("alice", "hello?")

        nursery.start_soon(ask)
        await wait_all_tasks_blocked()
        autojump_clock.jump(STILL)
    ended = began + STILL + GRACE_SECONDS + CALL_SECONDS
    assert trio.current_time() == pytest.approx(ended, abs=1.01)


async def test_a_login_is_waited_for(
    native: Natives, server: LocalServer, autojump_clock: MockClock
) -> None:
    gate = trio.Event()

    async def connect(reactor: Reactor) -> Transport:
        await gate.wait()
        return await connect_in_memory(server)(reactor)

    bob = await native.peer(connect=connect)

    async def stand_still() -> None:
        await wait_all_tasks_blocked()
        autojump_clock.jump(STILL)
        await trio.sleep(5)
        gate.set()

    native.nursery.start_soon(stand_still)
    assert await bob.login("bob")


async def test_what_a_test_expects_is_waited_for(
    native: Natives, autojump_clock: MockClock
) -> None:
    alice, bob = await native.login("alice"), await native.login("bob")

    async def say() -> None:
        await wait_all_tasks_blocked()
        autojump_clock.jump(STILL)
        await trio.sleep(5)
        await alice.message_instant_send("bob", "late")

    native.nursery.start_soon(say)
    await bob.expect("on_message_instant_receive", "alice", 0, "late", seconds=6)


async def test_the_time_for_coming_back_is_not_over(
    native: Natives, autojump_clock: MockClock
) -> None:
    bob = await native.login("bob")
    await settle()

    async def stand_still() -> None:
        autojump_clock.jump(STILL)
        await trio.sleep(5)

    await reconnect(bob, stand_still)
    assert bob.seen("on_logout") == []


async def test_the_lookup_s_answer_is_waited_for(
    nursery: trio.Nursery, mock_clock: MockClock
) -> None:
    reactor = Reactor()
    await nursery.start(reactor.run)
    heard: list[bytes] = []

    async def ask(port: int) -> None:
        heard.append(await udp.ask(reactor, "127.0.0.1", port, b"where?", 0.5))

    with udp.listen("127.0.0.1", 0)[0] as sock:
        nursery.start_soon(ask, sock.getsockname()[1])
        await trio.lowlevel.wait_readable(sock)
        _, asker = sock.recvfrom(100)
        mock_clock.jump(30)
        await wait_all_tasks_blocked()
        sock.sendto(ANSWER, asker)
        while not heard:
            await trio.lowlevel.checkpoint()
    assert heard == [ANSWER]
    nursery.cancel_scope.cancel()


async def test_a_connection_is_waited_for(
    nursery: trio.Nursery, mock_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    reactor = Reactor()
    await nursery.start(reactor.run)
    connect = trio.open_tcp_stream

    async def dial(host: str, port: int) -> trio.SocketStream:
        await wait_all_tasks_blocked()
        mock_clock.jump(30)
        await wait_all_tasks_blocked()
        return await connect(host, port)

    monkeypatch.setattr(trio, "open_tcp_stream", dial)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        transport = await native_line._dial_two(reactor, [listening.getsockname()])
        transport.close()
    nursery.cancel_scope.cancel()
