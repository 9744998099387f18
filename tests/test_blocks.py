"""`async with` of the SDK against the real server: what the end of a block ends, and how."""

from __future__ import annotations

import asyncio
import gc
import logging
from collections.abc import AsyncIterator

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from signal_sdk import CallState, LoginError, Signal
from signal_sdk.testing.server import LocalServer, local_server
from tests.client.fakes import Heard
from tests.signals import NO_TOKEN, ecode_of, hear_calls, log_in, signals


@pytest.fixture
async def server() -> AsyncIterator[LocalServer]:
    async with local_server(listens=False) as running:
        yield running


def test_asyncio_is_told_what_a_signal_needs() -> None:
    async def main() -> None:
        async with Signal("app"):
            pass

    with pytest.raises(RuntimeError, match=r"trio\.run\(main\).*aio\.Signal.*sync\.Signal"):
        asyncio.run(main())


async def test_an_exception_in_the_block_comes_out_as_itself(
    server: LocalServer, autojump_clock: MockClock
) -> None:
    heard = Heard()
    with pytest.raises(ZeroDivisionError):  # noqa: PT012  it is the block that is tested
        async with signals(server) as signal:
            await log_in(signal, "ann", heard)
            raise ZeroDivisionError
    assert heard.names == ["on_login_success"], "nobody is told, and nothing is waited for"


async def test_an_exception_in_a_block_that_is_cancelled_comes_out_as_itself(
    server: LocalServer, autojump_clock: MockClock
) -> None:
    async def run() -> None:
        with trio.CancelScope() as scope:
            async with Signal("app", server=server) as signal:
                await log_in(signal, "alice")
                scope.cancel()
                raise RuntimeError("mine")

    with pytest.raises(RuntimeError, match="mine"):
        await run()
    with trio.CancelScope() as scope:
        async with Signal("app", server=server) as signal:
            await log_in(signal, "alice")
            scope.cancel()
    assert scope.cancelled_caught


async def test_a_login_that_fails_in_the_block_comes_out_as_itself(
    server: LocalServer, autojump_clock: MockClock
) -> None:
    with pytest.raises(LoginError):
        async with signals(server) as signal:
            await signal.login("", NO_TOKEN)


async def test_groups_of_the_user_s_own_come_out_as_they_are(
    server: LocalServer, autojump_clock: MockClock
) -> None:
    async def fail() -> None:
        raise ValueError

    with pytest.raises(ExceptionGroup) as caught:
        async with signals(server), trio.open_nursery() as nursery:
            nursery.start_soon(fail)
    assert [type(exc) for exc in caught.value.exceptions] == [ValueError]


async def test_cancelling_the_block_ends_everything_at_once(
    server: LocalServer, autojump_clock: MockClock
) -> None:
    heard = Heard()

    async def block(*_: object) -> None:
        await trio.sleep_forever()

    heard.on("on_login_success", block)
    with trio.move_on_after(5) as scope:
        async with signals(server) as signal:
            session = await log_in(signal, "ann", heard)
            await trio.sleep_forever()
    assert scope.cancelled_caught
    assert trio.current_time() == 5
    assert await session.wait_logged_out() == 100


async def test_cancelling_a_logout_in_the_block_leaves_nothing_running(
    server: LocalServer, autojump_clock: MockClock
) -> None:
    with trio.CancelScope() as scope:
        async with signals(server) as signal, signal.login("ann", NO_TOKEN):
            scope.cancel()
    assert scope.cancelled_caught


async def test_leaving_the_block_waits_for_callbacks_but_not_for_ever(
    server: LocalServer, autojump_clock: MockClock
) -> None:
    heard = Heard()

    async def block(_: object, __: object, ___: object, text: str) -> None:
        await trio.sleep(float(text))

    heard.on("on_message_instant_receive", block)
    for seconds, expected in (("1", 1), ("50", 2)):
        async with signals(server) as signal:
            session = await log_in(signal, "ann", heard)
            await session.message_instant_send("ann", seconds)
            await wait_all_tasks_blocked()
            began = trio.current_time()
        assert trio.current_time() == began + expected
    assert len(heard.of("on_logout")) == 1


async def test_leaving_the_block_cancels_a_login(
    server: LocalServer, autojump_clock: MockClock
) -> None:
    heard = Heard()
    async with signals(server) as signal:
        session = signal.login("ann", NO_TOKEN, heard.login)
    assert await ecode_of(session) == 203
    assert heard.all == [("on_login_failed", 203)]


async def test_what_outlives_its_block_fails_at_once(
    server: LocalServer, autojump_clock: MockClock
) -> None:
    async with signals(server) as signal:
        session = await log_in(signal, "ann")
    assert session.status == 0
    assert await ecode_of(session.query_user_status("bob")) == 1003
    assert await ecode_of(session.channel_join("room")) == 1003
    assert await ecode_of(session.channel_invite_user2("room", "bob")) == 1003
    assert await ecode_of(signal.user_get_attr("bob", "x")) == 1003
    assert await ecode_of(session.logout()) == 108
    with pytest.raises(RuntimeError, match="inside the Signal's block"):
        signal.login("ann", NO_TOKEN)


async def test_a_block_is_entered_once(server: LocalServer, autojump_clock: MockClock) -> None:
    signal = Signal("app", server=server)
    with pytest.raises(RuntimeError, match="inside the Signal's block"):
        signal.login("ann", NO_TOKEN)
    async with signal:
        pass
    with pytest.raises(RuntimeError, match="entered once"):
        async with signal:
            pass


async def test_leaving_in_a_callback_s_system_exit(
    server: LocalServer, autojump_clock: MockClock
) -> None:
    """What is no `Exception` ends the program, as it would anywhere, and comes out as itself."""
    heard = Heard()

    def leave(*_: object) -> None:
        raise SystemExit(3)

    heard.on("on_login_success", leave)
    with pytest.raises(SystemExit):  # noqa: PT012  as above
        async with signals(server) as signal:
            await log_in(signal, "ann", heard)
            await trio.sleep_forever()


async def test_sessions_channels_and_calls_are_blocks(
    server: LocalServer, autojump_clock: MockClock
) -> None:
    heard = Heard()
    hear_calls(heard)
    async with signals(server, 2) as (signal, other):
        await log_in(other, "bob", heard)
        async with signal.login("ann", NO_TOKEN) as session:
            async with session.channel_join("room") as channel:
                async with session.channel_invite_user2("room", "bob") as call:
                    await heard.wait("on_invite_received")
                await heard.wait("on_invite_end_by_peer")
                assert call.state is CallState.ENDED
            assert not channel.is_joined
        assert session.status == 0


async def test_cancelled_on_the_way_into_a_block_nothing_stays_behind(
    server: LocalServer, autojump_clock: MockClock
) -> None:
    async with signals(server, 2) as (first, second):
        await log_in(second, "bob")
        session = await log_in(first, "alice")
        left = session.channel_join("room")
        ended = session.channel_invite_user2("room", "bob")
        given_up = second.login("carol", NO_TOKEN)
        for block in (left, ended, given_up):
            with trio.move_on_after(0) as scope:
                async with block:
                    pytest.fail("entered")
            assert scope.cancelled_caught
        await trio.sleep(1)
        assert await first.channel_query_user_num("room") == 0
        assert (left.is_joined, ended.state) == (False, CallState.ENDED)
        assert not await session.query_user_status("carol")
        assert session.status == 2


async def test_the_server_s_stop_is_a_logout_for_who_does_not_reconnect(
    server: LocalServer, autojump_clock: MockClock
) -> None:
    heard = Heard()
    async with signals(server, reconnect=None) as signal:
        session = await log_in(signal, "ann", heard)
        channel = await session.channel_join("room", heard.channel)
        server.node.stop()
        assert await session.wait_logged_out() == 102
        await heard.wait("on_logout")
        assert heard.all[-2:] == [("on_channel_leaved", channel, 604), ("on_logout", 102)]


async def test_nothing_that_goes_unawaited_warns(
    server: LocalServer, autojump_clock: MockClock
) -> None:
    """Warnings are errors here."""
    async with signals(server) as signal:
        session = signal.login("ann", NO_TOKEN)
        session.channel_join("room").message_channel_send("x")
        session.channel_invite_user2("room", "bob").channel_invite_end()
        signal.user_set_attr("a", "b")
        session.query_user_status("")
        await session
        await trio.sleep(1)
    gc.collect()


async def test_an_unheard_failure_is_logged_where_there_is_nobody_to_tell(
    server: LocalServer, caplog: pytest.LogCaptureFixture, autojump_clock: MockClock
) -> None:
    async with signals(server) as signal:
        await ecode_of(signal.user_get_attr("ann", "x"))
        signal.user_get_attr("ann", "x")
        session = await log_in(signal, "ann")
        session.query_user_status("b b")
        await trio.sleep(1)
    warnings = [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]
    assert len(warnings) == 2
    assert "1003" in warnings[0]
    assert "'b b'" in warnings[1]
