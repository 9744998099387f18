"""How things end in asyncio, and what is refused there."""

from __future__ import annotations

import asyncio
import gc
import os
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest

import signal_sdk
from signal_sdk import ECode, LoginCallback, LogoutError, Message, SignalError
from signal_sdk.aio import Signal
from signal_sdk.aio import signal as aio_signal
from signal_sdk.aio.operation import LoopOperation
from signal_sdk.flat import thread
from signal_sdk.sessions import Sessions
from tests.aio.conftest import Run, soon

NO_TOKEN = "_no_need_token"
Make = Callable[[], Signal]


def test_its_session_ends_meanwhile(run: Run, make: Make) -> None:
    """Streams raise why, and what is asked afterwards fails."""

    async def test() -> None:
        async with make() as signal, make() as other:
            ann = await signal.login("ann", NO_TOKEN)
            room = await ann.channel("room")
            reading = asyncio.ensure_future(anext(ann.messages()))
            await asyncio.sleep(0)
            await other.login("ann", NO_TOKEN)
            with pytest.raises(LogoutError) as ended:
                await soon(reading)
            assert ended.value.ecode == ECode.LOGOUT_E_KICKED
            assert await ann.wait_logged_out() == ECode.LOGOUT_E_KICKED
            events = [it async for it in room.events()]
            assert isinstance(events[-1], signal_sdk.ChannelLeft)
            with pytest.raises(SignalError) as failed:
                await ann.message_instant_send("bob", "x")
            assert failed.value.ecode == ECode.GENERAL_E_NOT_LOGIN

    run(test)


def test_after_the_block_all_fails_at_once(run: Run, make: Make) -> None:
    async def test() -> None:
        async with make() as signal:
            ann = await signal.login("ann", NO_TOKEN)
            stream = ann.messages()
        with pytest.raises(SignalError):
            await ann.message_instant_send("bob", "x")
        with pytest.raises(RuntimeError, match="inside the Signal's block"):
            signal.login("bob", NO_TOKEN)
        assert [it async for it in stream] == []
        with pytest.raises(RuntimeError, match="entered once"):
            async with signal:
                pass

    run(test)


def test_an_exception_in_the_block_ends_all_at_once(run: Run, make: Make) -> None:
    async def test() -> None:
        sessions = []

        async def live() -> None:
            async with make() as signal:
                sessions.append(await signal.login("ann", NO_TOKEN))
                raise ValueError("mine")

        with pytest.raises(ValueError, match="mine"):
            await live()
        with pytest.raises(SignalError):
            await sessions[0].query_user_status("ann")

    run(test)


def test_what_goes_wrong_in_the_end_is_raised(
    run: Run, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the block raises in the trio thread comes out where it is left."""

    async def fail(_: Sessions) -> None:
        raise OSError("not this time")

    async def live() -> None:
        async with make() as signal:
            await signal.login("ann", NO_TOKEN)

    async def test() -> None:
        monkeypatch.setattr(Sessions, "log_out_all", fail)
        with pytest.raises(OSError, match="not this time"):
            await live()

    run(test)
    assert_thread_ends()


def test_a_cancelled_block_ends(run: Run, make: Make) -> None:
    """Cancellation goes into the trio thread, on the way in and out, and leaves nothing there."""

    async def test() -> None:
        logged_in = asyncio.Event()

        async def live() -> None:
            async with make() as signal, signal.login("ann", NO_TOKEN):
                logged_in.set()
                await asyncio.Event().wait()

        task = asyncio.ensure_future(live())
        await soon(logged_in.wait())
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await soon(task)
        entering = asyncio.ensure_future(live())
        await asyncio.sleep(0)
        entering.cancel()
        with pytest.raises(asyncio.CancelledError):
            await soon(entering)

    run(test)
    assert_thread_ends()


def assert_thread_ends() -> None:
    """The trio thread goes with the last of those who live there."""
    gone = thread._process.thread
    if gone is not None:
        gone.join(20)
        assert not gone.is_alive


def test_a_cancelled_exit_ends_at_once(run: Run, make: Make) -> None:
    """A callback that hangs is given up, and is cancelled in the loop."""

    async def test() -> None:
        begun, cancelled = asyncio.Event(), asyncio.Event()

        class Hangs(LoginCallback):
            async def on_login_success(self, session: Any, uid: int) -> None:
                begun.set()
                try:
                    await asyncio.Event().wait()
                finally:
                    cancelled.set()

        async def live() -> None:
            async with make() as signal:
                signal.login("ann", NO_TOKEN, Hangs())
                await begun.wait()

        task = asyncio.ensure_future(live())
        await soon(begun.wait())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await soon(task)
        await soon(cancelled.wait())

    run(test)


def test_a_closed_loop_ends_its_sessions(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aio_signal, "LOOK_SECONDS", 0.01)
    loop = asyncio.new_event_loop()

    async def begin() -> tuple[Signal, signal_sdk.LoginSession]:
        signal = await make().__aenter__()
        return signal, await signal.login("ann", NO_TOKEN, LoginCallback())

    signal, ann = loop.run_until_complete(begin())
    loop.close()
    lodger = signal.crossing.lodger
    assert lodger is not None
    lodger.ended.result(20)
    assert ann.status == 0
    assert_thread_ends()


def test_a_closed_loop_is_noticed_by_what_is_to_be_told(make: Make) -> None:
    """A message comes for nobody: it stays with the server."""
    loop = asyncio.new_event_loop()
    signal = make()

    async def begin() -> signal_sdk.LoginSession:
        await signal.__aenter__()
        return await signal.login("ann", NO_TOKEN, LoginCallback())

    ann = loop.run_until_complete(begin())
    loop.close()

    async def again() -> str:
        async with Signal(signal.appid, server=signal_server(signal)) as other:
            bob = await other.login("bob", NO_TOKEN)
            await bob.message_instant_send("ann", "are you there")
            lodger = signal.crossing.lodger
            assert lodger is not None
            await asyncio.to_thread(lodger.ended.result, 20)
            late = await other.login("ann", NO_TOKEN)
            message = await soon(anext(late.messages()))
            assert isinstance(message, Message)
            return message.text

    assert asyncio.run(again()) == "are you there"
    assert ann.status == 0


def signal_server(signal: Signal) -> Any:
    return signal._shared.dialer


def test_two_readers_race(run: Run, make: Make) -> None:
    async def test() -> None:
        async with make() as signal:
            ann = await signal.login("ann", NO_TOKEN)
            stream = ann.messages()
            first = asyncio.ensure_future(anext(stream))
            await asyncio.sleep(0)
            with pytest.raises(RuntimeError, match="another task waits"):
                await anext(stream)
            await ann.message_instant_send("ann", "x")
            assert (await soon(first)).text == "x"

    run(test)


def test_a_stream_that_is_never_read(run: Run, make: Make) -> None:
    """Its session goes on, and the messages stay with the server, all but what was taken."""

    async def test() -> None:
        async with make() as signal, make() as other:
            bob = await other.login("bob", NO_TOKEN)
            ann = await signal.login("ann", NO_TOKEN)
            async with ann.messages() as messages:
                for number in range(50):
                    await bob.message_instant_send("ann", str(number))
                assert (await soon(anext(messages))).text == "0"
                assert await ann.query_user_status("bob")
                await ann.logout()
            ann = await signal.login("ann", NO_TOKEN)
            async with ann.messages() as messages:
                texts = [(await soon(anext(messages))).text for _ in range(49)]
            assert texts == [str(number) for number in range(1, 50)]

    run(test)


def test_a_cancelled_reader_loses_nothing(run: Run, make: Make) -> None:
    async def test() -> None:
        async with make() as signal:
            ann = await signal.login("ann", NO_TOKEN)
            stream = ann.messages()
            for _ in range(5):
                reading = asyncio.ensure_future(anext(stream))
                await asyncio.sleep(0)
                reading.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await reading
            for number in range(5):
                await ann.message_instant_send("ann", str(number))
            async with stream as messages:
                assert [(await soon(anext(messages))).text for _ in range(5)] == list("01234")

    run(test)


def waiting_operations() -> tuple[int, int]:
    """How many operations of a loop there are, other tests' among them, and who waits for them."""
    gc.collect()
    # Not `isinstance`, which asks the objects themselves.
    found = [it for it in gc.get_objects() if type(it) is LoopOperation]
    return len(found), sum(len(it._waiting or ()) for it in found)


def test_who_looks_again_and_again_leaves_nothing_behind(run: Run, make: Make) -> None:
    async def test() -> None:
        async with make() as signal, make() as other:
            ann = await signal.login("ann", NO_TOKEN)
            room = await ann.channel("room")
            count, waiting = waiting_operations()
            for _ in range(20):
                for waits in (ann.wait_logged_out(), room.gap):
                    with pytest.raises(TimeoutError):
                        await asyncio.wait_for(waits, 0.001)
            count_then, waiting_then = waiting_operations()
            assert count_then <= count + 3
            assert waiting_then <= waiting
            await other.login("ann", NO_TOKEN)
            assert await soon(ann.wait_logged_out()) == ECode.LOGOUT_E_KICKED

    run(test)


def test_a_stream_that_was_let_go_leaves_what_it_has_not_read(run: Run, make: Make) -> None:
    async def test() -> None:
        async with make() as signal:
            ann = await signal.login("ann", NO_TOKEN)
            stream = ann.messages()
            async with stream:
                for number in range(5):
                    await ann.message_instant_send("ann", str(number))
                assert (await soon(anext(stream))).text == "0"
            with pytest.raises(RuntimeError, match="closed"):
                await anext(stream)
            async for message in ann.messages():
                assert message.text == "1"
                break
            gc.collect()
            async with ann.messages() as rest:
                assert [(await soon(anext(rest))).text for _ in range(3)] == list("234")

    run(test)


def test_it_is_called_in_its_own_loop_only(run: Run, make: Make) -> None:
    async def test() -> None:
        errors: list[str] = []
        async with make() as signal:
            ann = await signal.login("ann", NO_TOKEN)

            def elsewhere() -> None:
                with pytest.raises(RuntimeError) as without:
                    ann.message_instant_send("ann", "x")
                errors.append(str(without.value))

                async def other_loop() -> None:
                    ann.message_instant_send("ann", "x")

                with pytest.raises(RuntimeError) as other:
                    asyncio.run(other_loop())
                errors.append(str(other.value))

            await asyncio.to_thread(elsewhere)
        assert "no event loop runs in this thread" in errors[0]
        assert "belongs to the event loop that entered its block" in errors[1]
        assert all("\n" not in it for it in errors)

    run(test)


def test_outside_of_a_block_and_of_a_loop(make: Make) -> None:
    with pytest.raises(RuntimeError, match="no event loop runs"):
        make().login("ann", NO_TOKEN)

    async def test() -> None:
        with pytest.raises(RuntimeError, match="block was not entered"):
            make().login("ann", NO_TOKEN)

    asyncio.run(test())
    entering = make().__aenter__()
    with pytest.raises(RuntimeError, match="no event loop runs"):
        entering.send(None)


def test_a_fork_leaves_it_behind(make: Make) -> None:
    async def test() -> None:
        async with make() as signal:
            ann = await signal.login("ann", NO_TOKEN)
            text = _in_a_child(lambda: ann.message_instant_send("ann", "x"))
            assert "before that forked" in text
            await ann.message_instant_send("ann", "the parent's goes on")

    asyncio.run(test())


def _in_a_child(do: Callable[[], object]) -> str:
    """What `do` raises in a process that is forked here."""
    read, write = os.pipe()
    pid = os.fork()
    if not pid:
        try:
            do()
        except BaseException as exc:  # noqa: BLE001  it is what is asked for
            os.write(write, str(exc).encode())
        finally:
            os._exit(0)
    os.close(write)
    os.waitpid(pid, 0)
    with os.fdopen(read) as file:
        return file.read()


def test_the_thread_is_the_flat_api_s(run: Run, make: Make) -> None:
    async def test() -> None:
        async with make() as signal:
            await signal.login("ann", NO_TOKEN)
            assert [it.name for it in threading.enumerate()].count("signal_sdk") == 1
            async with make() as other:
                await other.login("bob", NO_TOKEN)
                assert [it.name for it in threading.enumerate()].count("signal_sdk") == 1

    run(test)
    assert_thread_ends()


def test_a_callback_that_ends_the_loop_ends_it(make: Make) -> None:
    """KeyboardInterrupt and SystemExit are asyncio's to handle."""

    class Leaves(LoginCallback):
        def on_login_success(self, session: Any, uid: int) -> None:
            raise SystemExit(7)

    async def test() -> None:
        async with make() as signal:
            signal.login("ann", NO_TOKEN, Leaves())
            await asyncio.Event().wait()

    with pytest.raises(SystemExit, match="7"):
        asyncio.run(test())
    assert_thread_ends()


class Raises(Mapping[str, str]):
    """A mapping that is read from somewhere else, and cannot be."""

    def __init__(self, error: BaseException) -> None:
        self._error = error

    def __getitem__(self, name: str) -> str:
        raise self._error

    def __iter__(self) -> Iterator[str]:
        raise self._error

    def __len__(self) -> int:
        return 1


def test_what_an_argument_raises_ends_nobody_else(make: Make) -> None:
    """It is read in the thread in which all sessions of the process live."""

    async def test() -> None:
        async with make() as signal, make() as other:
            ann = await signal.login("ann", NO_TOKEN)
            bob = await other.login("bob", NO_TOKEN)
            for values in Raises(asyncio.CancelledError()), Raises(GeneratorExit()):
                with pytest.raises(BaseException) as raised:  # noqa: PT011  which, is below
                    await ann.change_attributes(values)
                assert type(raised.value) is type(values._error)
            assert await bob.query_user_status("ann")

    asyncio.run(test())


class Leaves:
    """A dialer that wants the program to end."""

    async def dial(self, *_: object, **__: object) -> Any:
        raise SystemExit(7)


async def log_in_by(dialer: Any) -> None:
    async with Signal("app", server=dialer) as signal:
        with pytest.raises(SignalError):
            await soon(signal.login("bob", NO_TOKEN))


def test_what_a_dialer_raises_is_its_own_block_s(make: Make) -> None:
    async def test() -> None:
        async with make() as signal:
            ann = await signal.login("ann", NO_TOKEN)
            with pytest.raises(SystemExit, match="7"):
                await log_in_by(Leaves())
            assert await ann.query_user_status("ann")

    asyncio.run(test())
