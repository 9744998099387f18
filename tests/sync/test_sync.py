"""`signal_sdk.sync`: calls that wait and plain iterators, in any thread, a loop's own too."""

from __future__ import annotations

import asyncio
import inspect
import os
import signal as signals
import threading
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from functools import partial

import opentelemetry.trace
import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

import signal_sdk
from signal_sdk import ECode, LoginError, LogoutError, SignalError, sync
from signal_sdk.bridge.lodger import Lodger
from signal_sdk.sync import Signal
from tests.threads import ThreadedServer, threaded_server

NO_TOKEN = "_no_need_token"
Make = Callable[..., Signal]


@pytest.fixture(scope="module")
def server() -> Iterator[ThreadedServer]:
    with threaded_server() as server:
        yield server


@pytest.fixture
def make(server: ThreadedServer) -> Make:
    """Makes a `Signal` of an app that no other test has."""
    return partial(Signal, f"app-{uuid.uuid4().hex}", server=server.address)


def test_messages(make: Make) -> None:
    with make() as signal, signal.login("ann", NO_TOKEN) as ann:
        assert (ann.account, ann.status, signal.get_status()) == ("ann", 2, 2)
        with signal.login("bob", NO_TOKEN) as bob, bob.messages(timeout=20) as messages:
            for number in range(40):
                ann.message_instant_send("bob", str(number))
            for number in range(40):
                assert next(messages) == signal_sdk.Message("ann", str(number))
            assert ann.query_user_status("bob")
        assert not ann.query_user_status("bob")


def test_a_loop_is_left_where_nothing_comes(make: Make) -> None:
    with make() as signal, signal.login("ann", NO_TOKEN) as ann:
        messages = ann.messages(timeout=0.01)
        assert list(messages) == []
        # What comes between two loops is the next one's.
        with ann.messages(timeout=20) as others:
            ann.message_instant_send("ann", "late")
            assert next(others).text == "late"
        assert next(messages).text == "late"


def test_many_channels(make: Make) -> None:
    with (
        make() as signal,
        signal.login("ann", NO_TOKEN, many_channels=True) as ann,
        ann.channel("room") as room,
        ann.channel("hall") as hall,
    ):
        for channel in (room, hall):
            with channel.events(timeout=20) as events:
                channel.message_channel_send(f"in {channel.name}")
                assert isinstance(next(events), signal_sdk.ChannelJoined)
                said = next(events)
                assert isinstance(said, signal_sdk.ChannelMessage)
                assert said.text == f"in {channel.name}"
        assert (room.is_joined, hall.is_joined) == (True, True)


def test_channels(make: Make) -> None:
    with make() as signal, signal.login("ann", NO_TOKEN) as ann:
        with ann.channel("room") as room, room.events(timeout=20) as events:
            assert (room.name, room.is_joined) == ("room", True)
            assert isinstance(next(events), signal_sdk.ChannelJoined)
            room.channel_set_attr("colour", "red")
            assert next(events) == signal_sdk.AttributeUpdated("colour", "red", "update")
            room.message_channel_send("hi")
            event = next(events)
            assert isinstance(event, signal_sdk.ChannelMessage)
            assert [it.text for it in room.history().messages] == ["hi"]
            assert signal.channel_query_user_num("room") == 1
            assert ann.channel_query_user_is_in("room", "ann")
            assert ann.channel_query_user_list("room") == [("ann", ann.uid)]
        assert not room.is_joined
        signal.user_set_attr("colour", "blue")
        assert signal.user_get_attr("ann", "colour") == "blue"
        assert signal.user_get_attr_all("ann") == {"colour": "blue"}
        assert ann.invoke("user_query_user_status", {"account": "ann"})["result"] == "ok"


def test_calls(make: Make) -> None:
    with make() as signal:
        ann, bob = signal.login("ann", NO_TOKEN), signal.login("bob", NO_TOKEN)
        with bob.invitations(timeout=20) as invitations:
            with (
                ann.channel_invite_user2("room", "bob", "hello") as call,
                call.events(timeout=20) as events,
            ):
                theirs = next(invitations)
                assert (theirs.peer, theirs.channel, theirs.extra) == ("ann", "room", "hello")
                theirs.channel_invite_accept("yes")
                for event in events:
                    if isinstance(event, signal_sdk.CallAccepted):
                        break
                call.channel_invite_dtmf("1")
            assert call.state is signal_sdk.CallState.ENDED
            kinds = [type(it) for it in theirs.events(timeout=20)]
            assert kinds == [signal_sdk.CallMessage, signal_sdk.CallEnded]


def test_an_error_has_its_code(make: Make) -> None:
    with make() as signal:
        with pytest.raises(LoginError) as refused:
            signal.login("a b", NO_TOKEN)
        assert refused.value.ecode == ECode.LOGIN_E_INVALID_USER
        ann = signal.login("ann", NO_TOKEN)
        with pytest.raises(SignalError) as wrong:
            ann.message_instant_send("bob", "x" * 8193)
        assert (wrong.value.ecode, "8193" in wrong.value.reason) == (1005, True)


def test_a_call_waits_for_its_time_and_no_longer(make: Make) -> None:
    with make(timeout=0.05) as signal, signal.login("ann", NO_TOKEN, timeout=20) as ann:
        with pytest.raises(TimeoutError, match=r"no outcome within 0\.05 s"):
            ann.wait_logged_out()
        with pytest.raises(ValueError, match="above 0"):
            make(timeout=0)
        with pytest.raises(ValueError, match="from 0 on"):
            ann.messages(timeout=-1)


def test_a_login_that_is_given_up_is_none(make: Make) -> None:
    """Nobody listens there, and the login would be tried for ever."""
    with (
        Signal("app", server="ws://127.0.0.1:1/") as signal,
        pytest.raises((TimeoutError, LoginError)),
    ):
        signal.login("ann", NO_TOKEN, timeout=0.2)


@pytest.mark.parametrize("waits", ["a call", "a stream"])
def test_ctrl_c_breaks_off_what_waits(make: Make, waits: str) -> None:
    with make() as signal, signal.login("ann", NO_TOKEN) as ann:
        main = threading.main_thread().ident
        assert main is not None
        before = signals.signal(signals.SIGINT, signals.default_int_handler)
        timer = threading.Timer(0.1, signals.pthread_kill, (main, signals.SIGINT))
        wait = ann.wait_logged_out if waits == "a call" else partial(next, ann.messages())
        try:
            timer.start()
            with pytest.raises(KeyboardInterrupt):
                wait()
        finally:
            signals.signal(signals.SIGINT, before)
            timer.join()
        assert ann.query_user_status("ann")


def test_it_works_in_a_thread_in_which_a_loop_runs(make: Make) -> None:
    """As in a cell of Jupyter."""

    async def cell() -> list[str]:
        with make() as signal, signal.login("ann", NO_TOKEN) as ann:
            messages = ann.messages(timeout=20)
            with messages:
                ann.message_instant_send("ann", "from a cell")
                return [next(messages).text]

    assert asyncio.run(cell()) == ["from a cell"]


def test_cells_run_one_after_the_other(make: Make) -> None:
    """What one cell has opened, the next one uses, in whatever loop that runs."""
    signal = make()

    async def first() -> sync.LoginSession:
        signal.__enter__()
        return signal.login("ann", NO_TOKEN)

    ann = asyncio.run(first())
    ann.message_instant_send("ann", "x")

    async def last() -> list[str]:
        texts = [it.text for it in ann.messages(timeout=0.5)]
        signal.__exit__(None, None, None)
        return texts

    assert asyncio.run(last()) == ["x"]


def test_any_thread_may_call(make: Make) -> None:
    with (
        make() as signal,
        signal.login("ann", NO_TOKEN) as ann,
        ann.messages(timeout=20) as messages,
    ):
        threads = [
            threading.Thread(target=ann.message_instant_send, args=("ann", str(number)))
            for number in range(10)
        ]
        for it in threads:
            it.start()
        assert sorted(int(next(messages).text) for _ in range(10)) == list(range(10))
        for it in threads:
            it.join()


def test_two_readers_race(make: Make) -> None:
    with make() as signal, signal.login("ann", NO_TOKEN) as ann:
        messages = ann.messages(timeout=20)
        got: list[str] = []
        reader = threading.Thread(target=lambda: got.append(next(messages).text))
        reader.start()
        while not messages._reading.locked():
            pass
        with pytest.raises(RuntimeError, match="another thread waits"):
            next(messages)
        ann.message_instant_send("ann", "x")
        reader.join(20)
        assert got == ["x"]


def test_a_stream_that_is_closed_elsewhere_ends(make: Make) -> None:
    with make() as signal, signal.login("ann", NO_TOKEN) as ann:
        messages = ann.messages()
        got: list[list[signal_sdk.Message]] = []
        reader = threading.Thread(target=lambda: got.append(list(messages)))
        reader.start()
        while not messages._reading.locked():
            pass
        messages.close()
        reader.join(20)
        assert got == [[]]
        with pytest.raises(RuntimeError, match="the stream is closed"):
            iter(messages)


def test_its_session_ends_meanwhile(make: Make) -> None:
    with make() as signal, make() as other:
        ann = signal.login("ann", NO_TOKEN)
        messages = ann.messages(timeout=20)
        with messages:
            other.login("ann", NO_TOKEN)
            with pytest.raises(LogoutError) as ended:
                next(messages)
        assert ended.value.ecode == ECode.LOGOUT_E_KICKED
        assert ann.wait_logged_out() == ECode.LOGOUT_E_KICKED
        with pytest.raises(SignalError):
            ann.message_instant_send("bob", "x")


def test_after_the_block(make: Make) -> None:
    with make() as signal:
        ann = signal.login("ann", NO_TOKEN)
        messages = ann.messages()
    with pytest.raises(RuntimeError, match="block has been left"):
        ann.message_instant_send("bob", "x")
    assert list(messages) == []
    with pytest.raises(RuntimeError, match="entered once"), signal:
        pass


def test_before_the_block(make: Make) -> None:
    with pytest.raises(RuntimeError, match="not entered"):
        make().login("ann", NO_TOKEN)


def test_a_fork_leaves_it_behind(make: Make) -> None:
    with make() as signal, signal.login("ann", NO_TOKEN) as ann:
        read, write = os.pipe()
        pid = os.fork()
        if not pid:
            try:
                ann.message_instant_send("ann", "x")
            except BaseException as exc:  # noqa: BLE001  it is what is asked for
                os.write(write, str(exc).encode())
            finally:
                os._exit(0)
        os.close(write)
        os.waitpid(pid, 0)
        with os.fdopen(read) as file:
            assert "before that forked" in file.read()
        ann.message_instant_send("ann", "the parent's goes on")


NOT_HERE = {
    "channel_join": "`channel` is the one",
    "set_callback": "there are no callbacks",
    "get_name": "`name` is the one",
    "keep_events": "of the inside",
}


def test_every_method_has_one_that_waits() -> None:
    """As the other API has it, without callbacks; and what is not here is so for a reason."""
    classes: dict[type, type] = {
        sync.Signal: signal_sdk.Signal,
        sync.LoginSession: signal_sdk.LoginSession,
        sync.Channel: signal_sdk.Channel,
        sync.Call: signal_sdk.Call,
    }
    for cls, base in classes.items():
        for name, method in inspect.getmembers(base, inspect.isfunction):
            if name.startswith("_") or name != name.lower():
                continue
            if name in NOT_HERE:
                assert not hasattr(cls, name)
                continue
            theirs = [it for it in inspect.signature(method).parameters if it != "cb"]
            ours = [
                it for it in inspect.signature(getattr(cls, name)).parameters if it != "timeout"
            ]
            assert ours == theirs, (cls, name)


def test_the_signal_s_arguments_are_those_of_the_other_and_a_timeout() -> None:
    ours = dict(inspect.signature(sync.Signal).parameters)
    assert ours.pop("timeout").default == sync.signal.TIMEOUT_SECONDS
    assert ours == dict(inspect.signature(signal_sdk.Signal).parameters)


def test_what_is_sent_belongs_to_the_span_of_who_sends(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(opentelemetry.trace, "get_tracer_provider", lambda: provider)
    with make() as signal, signal.login("ann", NO_TOKEN) as ann:
        with provider.get_tracer("the program").start_as_current_span("asking"):
            ann.message_instant_send("ann", "hello")
        message = next(ann.messages(timeout=20))
    spans = {span.name: span for span in exporter.get_finished_spans()}
    sent, asking = spans["send account"], spans["asking"]
    assert sent.parent is not None
    assert sent.context is not None
    assert asking.context is not None
    assert sent.parent.span_id == asking.context.span_id
    assert f"{sent.context.span_id:016x}" in message.properties.traceparent


# --- locks


def test_locks(make: Make) -> None:
    with (
        make() as signal,
        signal.login("ann", NO_TOKEN) as ann,
        ann.channel("room") as room,
        signal.login("bob", NO_TOKEN) as bob,
        bob.channel("room") as theirs,
    ):
        with room.lock("door", lease=5, wait=0) as lock:
            assert lock.is_held
            assert theirs.query_lock("door").holder == "ann"
            with pytest.raises(SignalError, match="is held by 'ann'"):
                theirs.lock("door", wait=0).__enter__()
            first = lock.fence
        assert repr(lock).startswith("<Lock 'door': over")
        with theirs.lock("door") as lock:
            assert lock.fence > first

        def fail() -> None:
            with room.lock("door"):
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            fail()
        assert theirs.query_lock("door").holder == ""


def test_a_lock_that_is_lost_is_said_to_be_so_where_its_block_ends(make: Make) -> None:
    with make() as signal, signal.login("ann", NO_TOKEN) as ann, ann.channel("room") as room:

        def hold() -> None:
            with room.lock("door") as lock:
                room.channel_leave()
                assert not lock.is_held

        with pytest.raises(signal_sdk.LockLostError, match="not in the channel 'room' any more"):
            hold()


def test_bytes_go_both_ways(make: Make) -> None:
    with make() as signal, signal.login("ann", NO_TOKEN, takes_bytes=True) as ann:
        with ann.messages(timeout=20) as messages, ann.channel("room") as room:
            ann.message_instant_send("ann", b"\0\xff")
            assert next(messages).data == b"\0\xff"
            room.message_channel_send(b"\xff")
            ann.message_channel_send_force("room", b"")
            assert [it.data for it in room.history().messages] == [b"\xff", b""]
        with signal.login("bob", NO_TOKEN), pytest.raises(SignalError, match="takes bytes"):
            ann.message_instant_send("bob", b"")


def test_what_an_argument_raises_ends_nobody_else(make: Make) -> None:
    """It is read in the thread in which all sessions of the process live."""

    def names() -> Iterator[str]:
        yield "a"
        raise KeyboardInterrupt

    with make() as signal, make() as other:
        ann, bob = signal.login("ann", NO_TOKEN), other.login("bob", NO_TOKEN)
        with pytest.raises(KeyboardInterrupt):
            ann.change_attributes(delete=names())
        assert bob.query_user_status("ann")


@pytest.mark.parametrize("what", ["login", "lock"])
def test_what_has_come_when_its_waiting_is_broken_off_is_given_up(
    make: Make, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    """Ctrl-C may come behind the answer."""
    wait = Lodger.wait

    def break_off(self: Lodger, answer: Future[object], seconds: float | None = None) -> object:
        wait(self, answer, seconds)
        raise KeyboardInterrupt

    with make() as signal, signal.login("ann", NO_TOKEN) as ann, ann.channel("room") as room:
        enter: dict[str, Callable[[], object]] = {
            "login": partial(signal.login, "bob", NO_TOKEN),
            "lock": room.lock("door").__enter__,
        }
        with monkeypatch.context() as patched:
            patched.setattr(Lodger, "wait", break_off)
            with pytest.raises(KeyboardInterrupt):
                enter[what]()
        if what == "login":
            assert any(not ann.query_user_status("bob") for _ in range(1000))
        else:
            with room.lock("door", wait=0) as lock:
                assert lock.is_held
