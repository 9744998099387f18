"""A program that stood still: a login's time and an instance's end do not count that. And what
waits for a login that is tried again.

The trio thread's part is run in the test's own loop, on the mock clock.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial
from typing import Any

import attrs
import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from signal_sdk.client import requests
from signal_sdk.client.connection import WITHDRAW_SECONDS, Connection
from signal_sdk.client.crew import Crew
from signal_sdk.client.dispatcher import Dispatcher
from signal_sdk.client.log import Log
from signal_sdk.client.requests import LOGIN_WAIT_SECONDS
from signal_sdk.client.seen import Seen
from signal_sdk.ecodes import ECode
from signal_sdk.flat.core import Core
from signal_sdk.flat.life import Account, Life, Means, Status
from signal_sdk.flat.operations import Operations
from signal_sdk.flat.retries import RetryPolicy
from signal_sdk.flat.thread import TrioThread
from signal_sdk.net.reactor import Reactor
from signal_sdk.websocket.link import CLOSE_SECONDS
from signal_sdk.wire import login
from tests.agora.ears import Ears
from tests.client.fakes import TOKEN, FakeServer

STILL = 60.0
"""More than any window that is tried here."""
ALICE = Account(appid="app", name="alice", token=TOKEN)


@attrs.define(eq=False)
class Here:
    """The test's own loop, as what an instance lives in."""

    nursery: trio.Nursery
    reactor: Reactor
    server: FakeServer
    told: list[tuple[Any, ...]] = attrs.field(factory=list)

    def settle(self, core: Core) -> Here:
        self.nursery.start_soon(core.run, self.reactor)
        return self

    def call_soon(self, do: Callable[[], object]) -> None:
        do()

    async def tell(self, name: str, *args: Any) -> None:
        await trio.lowlevel.checkpoint()
        self.told.append((name, *args))

    def log_in(self, policy: RetryPolicy) -> Life:
        crew = Crew()
        dispatcher = Dispatcher(crew)
        means = Means(
            dialer=self.server,
            reactor=self.reactor,
            log=Log(),
            dispatcher=dispatcher,
            tell=self.tell,
        )
        life = Life(means, ALICE, policy, Seen(), None)
        self.nursery.start_soon(crew.run)
        self.nursery.start_soon(life.run)
        return life


@pytest.fixture
async def here(nursery: trio.Nursery) -> Here:
    here = Here(nursery, Reactor(), FakeServer())
    await nursery.start(here.reactor.run)
    nursery.start_soon(here.server.run)
    return here


async def test_a_login_under_way_has_the_rest_of_its_time(
    here: Here, autojump_clock: MockClock
) -> None:
    here.log_in(RetryPolicy(5, 1))
    peer = await here.server.accept()
    autojump_clock.jump(STILL)
    await trio.sleep(8)
    await peer.log_in()
    await wait_all_tasks_blocked()
    assert [name for name, *_ in here.told] == ["on_login_success"]


async def test_a_login_without_an_answer_still_fails(here: Here, autojump_clock: MockClock) -> None:
    life = here.log_in(RetryPolicy(5, 1))
    await here.server.accept()
    await life.ended.wait()
    # The server is given time for its answer to the logout and for its farewell.
    assert trio.current_time() == pytest.approx(5 + WITHDRAW_SECONDS + CLOSE_SECONDS)
    await wait_all_tasks_blocked()
    assert here.told == [
        ("on_login_failed", 201),
        ("on_error", "login", 201, "no login in 5 s"),
    ]


async def test_the_tries_that_are_left_are_made(here: Here, autojump_clock: MockClock) -> None:
    here.server.is_down = True
    here.log_in(RetryPolicy(30, 3))
    await wait_all_tasks_blocked()
    assert here.server.dials == 1
    autojump_clock.jump(STILL)
    await trio.sleep(5)
    here.server.is_down = False
    await here.server.accept_login()
    await wait_all_tasks_blocked()
    assert [name for name, *_ in here.told] == ["on_login_success"]


async def test_a_login_whose_time_is_over_in_the_moment_of_its_answer_has_failed(
    here: Here, monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    """The answer has been read, and is not handled yet: nobody is logged in for a moment."""
    answer = Connection.login_answer

    async def answered(connection: Connection) -> login.LoginSucceeded:
        success = await answer(connection)
        life._client._reconnector.stop()
        return success

    monkeypatch.setattr(Connection, "login_answer", answered)
    life = here.log_in(RetryPolicy(5, 1))
    peer = await here.server.accept()
    await peer.expect("login")
    peer.let_in()
    await peer.expect_call("user_logout")
    await life.ended.wait()
    await wait_all_tasks_blocked()
    assert [words[:2] for words in here.told] == [("on_login_failed", 201), ("on_error", "login")]


async def test_a_server_that_goes_away_during_a_login_says_for_how_long(
    here: Here, autojump_clock: MockClock
) -> None:
    """So that not all that it knew come back to the next one at once, or to itself."""
    life = here.log_in(RetryPolicy(60, 60))
    peer = await here.server.accept()
    await peer.expect("login")
    start = trio.current_time()
    peer.send("close", {"ecode": 102, "reason": "going away", "delay": 7.5})
    peer = await here.server.accept()
    assert trio.current_time() - start >= 7.5
    first, second = here.server.avoided
    assert (first, bool(second)) == ("", True)
    await peer.expect("login")
    peer.let_in()
    await wait_all_tasks_blocked()
    assert [name for name, *_ in here.told] == ["on_login_success"]
    life.leave()


async def ready(here: Here, monkeypatch: pytest.MonkeyPatch) -> tuple[Core, Operations]:
    """An instance whose login has failed once, since nobody listened, and is tried again."""
    monkeypatch.setattr("signal_sdk.flat.core.settle", here.settle)
    monkeypatch.setattr(Core, "tell", lambda _, name, *args: here.tell(name, *args))
    here.server.is_down = True
    core = Core(here.server)
    core.call("login", lambda: core.login(ALICE, RetryPolicy(100, 20)))
    await wait_all_tasks_blocked()
    assert here.server.dials == 1
    return core, Operations(core)


def say(operations: Operations, text: str) -> None:
    operations.message_instant_send("send_instant_msg", "bob", 0, text, text)


async def test_what_is_asked_while_a_login_is_tried_again_waits_for_it_in_order(
    here: Here, monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    core, operations = await ready(here, monkeypatch)
    assert core.status is Status.LOGIN_STATE_LOGINING
    say(operations, "first")
    operations.channel_join("channel_join", "room")
    await trio.sleep(6)
    assert here.server.dials > 2
    say(operations, "second")
    here.server.is_down = False
    peer = await here.server.accept()
    await peer.expect("login")
    peer.let_in()
    asked = [(await peer.receive())[1] for _ in range(4)]
    say(operations, "third")
    asked.append((await peer.receive())[1])
    assert [name for name, *_ in asked] == [
        "user_sendmsg",
        "channel_join",
        "user_sendmsg",
        "user_getmsg",
        "user_sendmsg",
    ]
    said = [(callid, args["content"]) for name, callid, args in asked if name == "user_sendmsg"]
    assert [text for _, text in said] == ["first", "second", "third"]
    for callid, _ in said:
        peer.reply(callid)
    await trio.sleep(1)
    assert [words[:2] for words in here.told] == [
        ("on_login_success", 7),
        ("on_message_send_success", "first"),
        ("on_message_send_success", "second"),
        ("on_message_send_success", "third"),
    ]
    core.close()


async def test_what_waits_for_a_login_too_long_fails_before_that_does(
    here: Here, monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    core, operations = await ready(here, monkeypatch)
    start = trio.current_time()
    say(operations, "early")
    await trio.sleep(12)
    say(operations, "late")
    await trio.sleep(start + LOGIN_WAIT_SECONDS - 0.1 - trio.current_time())
    assert here.told == []
    await trio.sleep(0.2)
    early = [
        ("on_message_send_error", "early", 401),
        ("on_error", "send_instant_msg", 1002, "time out"),
    ]
    assert here.told == early
    assert core.status is Status.LOGIN_STATE_LOGINING
    why = "not logged in: logout was called during the login"
    core.log_out()
    await trio.sleep(1)
    assert here.told == [
        *early,
        ("on_message_send_error", "late", 400),
        ("on_error", "send_instant_msg", 1003, why),
        ("on_login_failed", ECode.LOGIN_E_CANCEL),
    ]
    core.close()


async def test_what_waits_for_a_login_that_is_refused_fails_with_1003(
    here: Here, monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    core, operations = await ready(here, monkeypatch)
    say(operations, "hello")
    here.server.is_down = False
    peer = await here.server.accept()
    await peer.turn_away(206)
    await trio.sleep(5)
    assert [words[:3] for words in here.told] == [
        ("on_message_send_error", "hello", 400),
        ("on_error", "send_instant_msg", 1003),
        ("on_login_failed", 206),
        ("on_error", "login", 206),
    ]
    core.close()


async def test_how_much_waits_for_a_login_is_bounded(
    here: Here, monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    monkeypatch.setattr(requests, "MAX_REQUESTS", 2)
    core, operations = await ready(here, monkeypatch)
    for text in ("one", "two", "three"):
        say(operations, text)
    await wait_all_tasks_blocked()
    assert [words[:2] for words in here.told] == [
        ("on_message_send_error", "three"),
        ("on_error", "send_instant_msg"),
    ]
    core.close()


async def test_an_instance_that_is_destroyed_still_hears_what_has_come_of_its_calls(
    here: Here, monkeypatch: pytest.MonkeyPatch, mock_clock: MockClock
) -> None:
    monkeypatch.setattr("signal_sdk.flat.core.settle", here.settle)
    ears = Ears()
    core = Core(here.server)
    core.callbacks.handler = ears
    core.call("login", lambda: core.login(ALICE, RetryPolicy(30, 3)))
    peer = await here.server.accept_login()
    await ears.hear("on_login_success")
    send = partial(Operations(core).message_instant_send, "send_instant_msg")
    core.call("send", partial(send, "bob", 0, "hello", "id"))
    core.close()
    sent, _ = await peer.expect_call("user_sendmsg")
    logout, _ = await peer.expect_call("user_logout")
    mock_clock.jump(STILL)
    await wait_all_tasks_blocked()
    peer.reply(sent)
    peer.reply(logout)
    await peer.link.aclose()
    await ears.hear("on_message_send_success", "id")
    await ears.hear("on_logout", 101)


def test_the_interpreter_s_end_counts_only_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    """A look that lasted for ever, since the process stood still in it, is one."""

    class Slow(threading.Thread):
        looks = 0

        def join(self, timeout: float | None = None) -> None:
            self.looks += 1

        def is_alive(self) -> bool:
            return self.looks < 10

    thread = TrioThread()
    slow = Slow()
    monkeypatch.setattr(thread, "_thread", slow)
    thread.join(5.0)
    assert slow.looks == 10
