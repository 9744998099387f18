"""`signal_sdk.aio.Signal`: the API's objects, awaited, streamed and called back in asyncio."""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import Callable
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import pytest

import signal_sdk
from signal_sdk import (
    CallCallback,
    ChannelCallback,
    ECode,
    LoginCallback,
    LoginError,
    MessageCallback,
    ParameterError,
    SignalError,
    aio,
)
from signal_sdk.aio import Signal
from signal_sdk.spelling import DocumentedNames
from tests.aio.conftest import Run, soon

NO_TOKEN = "_no_need_token"
WHO: ContextVar[str] = ContextVar("WHO")

Make = Callable[..., Signal]


class Heard(LoginCallback, ChannelCallback, CallCallback):
    """Puts what it hears into a queue, with the thread and the context that it is heard in."""

    def __init__(self) -> None:
        self.queue: asyncio.Queue[tuple[Any, ...]] = asyncio.Queue()
        self.thread = threading.get_ident()

    def put(self, *words: Any) -> None:
        assert threading.get_ident() == self.thread
        self.queue.put_nowait(words)

    async def next(self) -> tuple[Any, ...]:
        words: tuple[Any, ...] = await soon(self.queue.get())
        return words

    def on_message_instant_receive(
        self, session: signal_sdk.LoginSession, account: str, uid: int, msg: str
    ) -> None:
        self.put(session, account, msg, WHO.get("nobody"))

    def on_logout(self, session: signal_sdk.LoginSession, ecode: ECode) -> None:
        self.put("logout", ecode)

    def on_error(self, session: signal_sdk.LoginSession, ecode: ECode, reason: str) -> None:
        self.put("error", ecode, reason)

    def on_invite_received(self, session: signal_sdk.LoginSession, call: signal_sdk.Call) -> None:
        call.cb = self
        self.put("call", call)

    def on_invite_msg(
        self, session: signal_sdk.LoginSession, call: signal_sdk.Call, extra: str
    ) -> None:
        self.put("said", call, extra)


def test_many_channels(run: Run, make: Make) -> None:
    async def main() -> None:
        async with make() as signal, signal.login("ann", NO_TOKEN, many_channels=True) as ann:
            room, hall = await ann.channel_join("room"), await ann.channel_join("hall")
            await room.message_channel_send("hi")
            await hall.channel_leave()
            assert (room.is_joined, hall.is_joined) == (True, False)

    run(main)


def test_messages_and_channels(run: Run, make: Make) -> None:
    """What a method returns is awaited, and the objects are those of the other API."""

    async def test() -> None:
        heard = Heard()
        async with make() as signal:
            bob = await signal.login("bob", NO_TOKEN, heard)
            async with signal.login("ann", NO_TOKEN) as ann:
                assert isinstance(ann, signal_sdk.LoginSession)
                assert (ann.account, ann.status) == ("ann", 2)
                assert await ann.query_user_status("bob")
                await ann.messageInstantSend("bob", "hello")
                assert await heard.next() == (bob, "ann", "hello", "nobody")
                async with ann.channel("room") as room, room.events() as events:
                    assert isinstance(await anext(events), signal_sdk.ChannelJoined)
                    theirs = await bob.channelJoin("room", heard)
                    assert isinstance(await anext(events), signal_sdk.UserJoined)
                    await theirs.message_channel_send("hi")
                    event = await anext(events)
                    assert isinstance(event, signal_sdk.ChannelMessage)
                    assert event.text == "hi"
                    assert await signal.channel_query_user_num("room") == 2
                    assert bob.channel_join("room") is theirs
                assert not room.is_joined
                await signal.user_set_attr("colour", "red")
                assert await signal.user_get_attr_all("ann") == {"colour": "red"}
        assert await heard.next() == ("logout", ECode.LOGOUT_E_USER)

    run(test)


def test_calls(run: Run, make: Make) -> None:
    async def test() -> None:
        heard = Heard()
        async with make() as signal:
            await signal.login("bob", NO_TOKEN, heard)
            ann = await signal.login("ann", NO_TOKEN)
            async with (
                ann.channel_invite_user2("room", "bob", {"a": 1}) as call,
                call.events() as events,
            ):
                _, theirs = await heard.next()
                assert isinstance(theirs, aio.Call)
                assert theirs.extra == '{"a":1}'
                await theirs.channel_invite_accept("yes")
                seen = [await anext(events)]
                if isinstance(seen[0], signal_sdk.CallRinging):
                    seen.append(await anext(events))
                assert seen[-1] == signal_sdk.CallAccepted("yes")
                await call.channel_invite_dtmf("12#")
                said, its, extra = await heard.next()
                assert (said, its) == ("said", theirs)
                assert "12#" in extra
            assert call.state is signal_sdk.CallState.ENDED

    run(test)


def test_an_error_has_its_code_and_its_reason(run: Run, make: Make) -> None:
    async def test() -> None:
        async with make() as signal:
            with pytest.raises(LoginError) as refused:
                await signal.login("a b", NO_TOKEN)
            assert refused.value.ecode == ECode.LOGIN_E_INVALID_USER
            ann = await signal.login("ann", NO_TOKEN)
            with pytest.raises(ParameterError) as wrong:
                await ann.message_instant_send("bob", "x" * 8193)
            assert wrong.value.ecode == ECode.GENERAL_E_LARGE_PARAM
            assert "8193" in wrong.value.reason
            with pytest.raises(ParameterError, match="MessageCallback"):
                await ann.message_instant_send("bob", "x", Heard())  # type: ignore[call-overload]
            with pytest.raises(ParameterError, match="ChannelCallback"):
                ann.channel_join("room", MessageCallback())  # type: ignore[arg-type]

    run(test)


def test_what_nobody_awaits_is_told(run: Run, make: Make) -> None:
    """A failure goes to `on_error`, and a wrong call to the loop's handler."""

    async def test() -> None:
        heard, told = Heard(), asyncio.Event()
        contexts: list[dict[str, Any]] = []

        def handle(_: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
            contexts.append(context)
            told.set()

        asyncio.get_running_loop().set_exception_handler(handle)
        async with make() as signal:
            ann = await signal.login("ann", NO_TOKEN, heard)
            room = await ann.channel_join("room")
            room.channel_set_attr("name", "x" * 9000)
            assert (await heard.next())[:2] == ("error", ECode.GENERAL_E_LARGE_PARAM)
            ann.message_instant_send("bob")  # type: ignore[call-overload]
            await soon(told.wait())
            assert isinstance(contexts[0]["exception"], TypeError)

    run(test)


def test_callbacks_run_in_the_context_of_the_login(run: Run, make: Make) -> None:
    async def test() -> None:
        heard, later = Heard(), Heard()
        async with make() as signal:
            WHO.set("first")
            await signal.login("bob", NO_TOKEN, heard)
            WHO.set("second")
            await signal.login("cat", NO_TOKEN, later)
            WHO.set("third")
            ann = await signal.login("ann", NO_TOKEN)
            await ann.message_instant_send("bob", "x")
            await ann.message_instant_send("cat", "x")
            assert (await heard.next())[3] == "first"
            assert (await later.next())[3] == "second"

    run(test)


def test_a_session_s_callbacks_run_one_at_a_time(run: Run, make: Make) -> None:
    """One that awaits, its own session too, holds up the next ones and nobody else's."""

    async def test() -> None:
        may_go_on, order = asyncio.Event(), asyncio.Queue[str]()

        class Slow(LoginCallback):
            async def on_message_instant_receive(
                self, session: signal_sdk.LoginSession, account: str, uid: int, msg: str
            ) -> None:
                assert asyncio.current_task() is not None
                if msg == "1":
                    await may_go_on.wait()
                    await session.query_user_status(account)
                order.put_nowait(msg)
                if msg == "2":
                    raise ValueError(msg)

            def on_error(self, session: signal_sdk.LoginSession, ecode: ECode, reason: str) -> None:
                order.put_nowait(reason)

        heard = Heard()
        async with make() as signal:
            await signal.login("bob", NO_TOKEN, Slow())
            ann = await signal.login("ann", NO_TOKEN, heard)
            for text in "123":
                await ann.message_instant_send("bob", text)
            await ann.message_instant_send("ann", "others go on")
            assert (await heard.next())[2] == "others go on"
            assert order.empty()
            may_go_on.set()
            got = [await soon(order.get()) for _ in range(4)]
            assert got == ["1", "2", "a callback raised ValueError: 2", "3"]

    run(test)


def test_many_at_once(run: Run, make: Make) -> None:
    """What many tasks ask for at once is all done, in each task's order."""

    async def test() -> None:
        async with make() as signal:
            bob = await signal.login("bob", NO_TOKEN)
            senders = [await signal.login(f"ann{number}", NO_TOKEN) for number in range(10)]
            async with bob.messages() as messages:
                sent = [it.message_instant_send("bob", str(n)) for n in range(20) for it in senders]
                await soon(asyncio.gather(*sent))
                texts: dict[str, list[int]] = {}
                for _ in sent:
                    message = await soon(anext(messages))
                    texts.setdefault(message.account, []).append(int(message.text))
            assert len(texts) == 10
            assert all(it == list(range(20)) for it in texts.values())

    run(test)


def test_every_method_is_handed_over() -> None:
    """Each method of the trio API has its way, in both spellings, with its words for `help`."""
    classes: dict[type[DocumentedNames], type[DocumentedNames]] = {
        aio.Signal: signal_sdk.Signal,
        aio.LoginSession: signal_sdk.LoginSession,
        aio.Channel: signal_sdk.Channel,
        aio.Call: signal_sdk.Call,
    }
    for cls, base in classes.items():
        for name, method in inspect.getmembers(base, inspect.isfunction):
            if not name.startswith("_"):
                over = getattr(cls, name)
                returns = str(method.__annotations__["return"])
                is_plain = over is method
                assert is_plain == (returns in {"int", "str", "None"}), (cls, name)
                assert over.__doc__
        for name, documented in base.documented_names.items():
            assert getattr(cls, name) is getattr(cls, documented)


def test_the_block_outlives_a_cancelled_await(run: Run, make: Make) -> None:
    """To cancel an `await` does not undo what is awaited."""

    async def test() -> None:
        heard = Heard()
        async with make() as signal:
            await signal.login("bob", NO_TOKEN, heard)
            ann = await signal.login("ann", NO_TOKEN)
            operation = ann.message_instant_send("bob", "all the same")
            waiting = asyncio.ensure_future(operation)
            await asyncio.sleep(0)
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
            assert (await heard.next())[2] == "all the same"
            await operation

    run(test)


def test_a_failure_raises_a_copy_each_time(run: Run, make: Make) -> None:
    async def test() -> None:
        async with make() as signal:
            ann = await signal.login("ann", NO_TOKEN)
            operation = ann.message_instant_send("a b", "x")

            async def wait() -> None:
                await operation

            raised = await asyncio.gather(wait(), wait(), return_exceptions=True)
            assert all(isinstance(it, SignalError) for it in raised)
            assert raised[0] is not raised[1]

    run(test)


def test_its_arguments_are_those_of_trio_s() -> None:
    assert inspect.signature(aio.Signal) == inspect.signature(signal_sdk.Signal)


def test_a_trace_is_written_when_the_block_is_left(run: Run, make: Make, tmp_path: Path) -> None:
    file = tmp_path / "trace.md"

    async def main() -> None:
        async with make(trace=file) as signal, signal.login("ann", NO_TOKEN) as ann:
            await ann.message_instant_send("bob", "hello")

    run(main)
    assert "user_sendmsg to bob, 5 characters" in file.read_text()


def test_bytes_go_both_ways(make: Make, run: Run) -> None:
    class Bytes(Heard):
        def on_message_instant_receive_bytes(
            self, session: signal_sdk.LoginSession, account: str, uid: int, data: bytes
        ) -> None:
            self.put(account, data)

    async def main() -> None:
        heard = Bytes()
        async with (
            make() as signal,
            signal.login("ann", NO_TOKEN, heard, takes_bytes=True) as ann,
            ann.channel("room") as room,
        ):
            await soon(ann.message_instant_send("ann", b"\0\xff"))
            assert await heard.next() == ("ann", b"\0\xff")
            await soon(room.message_channel_send(b"\xff"))
            assert [it.data for it in (await soon(room.history())).messages] == [b"\xff"]

    run(main)
