"""How things end: destroyed, before a login, without a server, with the interpreter, by a fork.

Each ends in the documented callback, or in one clear exception, within a bound, and leaves no
thread (conftest.py looks).
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from signal_sdk import (
    IAgoraAPI,
    ParameterError,
    create_agora_sdk_instance_cpp,
    get_agora_sdk_instance_cpp,
)
from tests.agora.conftest import Make, ThreadedServer
from tests.agora.ears import Ears, sdk_threads, wait_for_no_threads
from tests.agora.test_surface import surface

ROOT = Path(__file__).parents[2]
NO_TOKEN = "_no_need_token"
BOUND_SECONDS = 10
"""How long the end of a program may take, Python's own start on a busy machine included."""

pytestmark = pytest.mark.filterwarnings("ignore:.*obsolete:DeprecationWarning")


@pytest.fixture
def silent_server() -> Iterator[str]:
    """A port that takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"127.0.0.1:{listener.getsockname()[1]}"


def logged_in(make: Make, server: ThreadedServer, account: str = "alice") -> tuple[IAgoraAPI, Ears]:
    api, ears = make(server.address)
    api.login("app", account, NO_TOKEN)
    ears.wait("on_login_success")
    return api, ears


# --- Destroyed


def test_destroying_logs_out(far_server: ThreadedServer, make: Make) -> None:
    api, ears = logged_in(make, far_server)
    _, other = bob = logged_in(make, far_server, "bob")
    api.destroy()
    ears.wait("on_logout", 101)
    bob[0].query_user_status("alice")
    other.wait("on_query_user_status_result", "alice", "0")
    bob[0].destroy()
    wait_for_no_threads()


def test_what_was_called_before_goes_out_first(far_server: ThreadedServer, make: Make) -> None:
    bob, heard = logged_in(make, far_server, "bob")
    with create_agora_sdk_instance_cpp(server=far_server.address) as api:
        ears = Ears()
        api.callback_set(ears)
        api.login("app", "alice", NO_TOKEN)
        ears.wait("on_login_success")
        sent = [api.message_instant_send("bob", 0, str(number)) for number in range(50)]
    for number in range(50):
        heard.wait("on_message_instant_receive", "alice", 0, str(number))
    # The last callback is the last one.
    ears.wait("on_logout", 101)
    assert [args for (args,) in ears.seen("on_message_send_success")] == sent
    assert bob.get_status() == 2


def test_destroying_during_the_login_ends_it_with_203(silent_server: str, make: Make) -> None:
    api, ears = make(silent_server)
    api.login("app", "alice", NO_TOKEN)
    assert api.get_status() == 1
    begun = time.monotonic()
    api.destroy()
    ears.wait("on_login_failed", 203)
    wait_for_no_threads()
    assert time.monotonic() - begun < BOUND_SECONDS


def test_destroying_before_anything_starts_nothing(make: Make) -> None:
    api, _ = make("127.0.0.1:1")
    assert api.get_status() == 0
    assert not sdk_threads()
    api.destroy()
    assert not sdk_threads()


def test_a_callback_may_destroy_its_own_instance(far_server: ThreadedServer, make: Make) -> None:
    api, ears = make(far_server.address)

    def react(name: str, args: tuple[Any, ...]) -> None:
        if name == "on_login_success":
            api.destroy()
            with pytest.raises(RuntimeError, match="was destroyed"):
                api.logout()

    ears.react = react
    api.login("app", "alice", NO_TOKEN)
    ears.wait("on_login_success")
    ears.wait("on_logout", 101)
    assert not ears.seen("on_error")
    wait_for_no_threads()


def test_a_callback_that_hangs_delays_only_its_own_end(
    far_server: ThreadedServer, make: Make
) -> None:
    """The last callback comes when the one before it has returned, however late that is."""
    api, ears = make(far_server.address)
    goes_on = threading.Event()

    def react(name: str, args: tuple[Any, ...]) -> None:
        if name == "on_login_success":
            api.destroy()
            assert goes_on.wait(BOUND_SECONDS)

    ears.react = react
    api.login("app", "alice", NO_TOKEN)
    # Its trio side ends within its bound, and takes the trio thread with it.
    while any(thread.name == "signal_sdk" for thread in sdk_threads()):
        for thread in sdk_threads():
            thread.join(0.05)
    _, other = logged_in(make, far_server, "bob")
    assert not ears.seen("on_logout")
    goes_on.set()
    ears.wait("on_logout", 101)
    assert not other.seen("on_error")


def test_every_method_after_destroy_raises_the_same(make: Make) -> None:
    api, ears = make("127.0.0.1:1")
    api.login("app", "alice", NO_TOKEN)
    api.destroy()
    api.destroy()
    for entry in surface():
        if entry.cls == "IAgoraAPI" and entry.python != "destroy":
            with pytest.raises(RuntimeError, match="this instance was destroyed"):
                getattr(api, entry.python)(*entry.parameters)
    assert "destroyed" in repr(api)
    ears.wait("on_login_failed", 203)


def test_the_shared_instance_is_one_until_it_is_destroyed() -> None:
    shared = get_agora_sdk_instance_cpp(server="127.0.0.1:1")
    assert get_agora_sdk_instance_cpp() is shared
    assert create_agora_sdk_instance_cpp() is not shared
    shared.destroy()
    another = get_agora_sdk_instance_cpp()
    assert another is not shared
    another.destroy()


def test_a_wrong_server_is_refused_at_once() -> None:
    with pytest.raises(ParameterError, match="ftp"):
        create_agora_sdk_instance_cpp(server="ftp://127.0.0.1")


def test_the_server_comes_from_the_environment(
    far_server: ThreadedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SIGNAL_SDK_SERVER", far_server.address)
    with create_agora_sdk_instance_cpp() as api:
        ears = Ears()
        api.callback_set(ears)
        api.login("app", "alice", NO_TOKEN)
        ears.wait("on_login_success")


# --- Before the login, and wrong values

PREFIX = "io.agora.signal."

CALLS: dict[str, tuple[tuple[Any, ...], str, tuple[Any, ...]]] = {
    "logout": ((), "on_error", ("logout", 108, ...)),
    "invoke": ((f"{PREFIX}f", "{}", "1"), "on_invoke_ret", ("1", "1003", ...)),
    "message_instant_send": (("bob", 0, "m", "id"), "on_message_send_error", ("id", 400)),
    "query_user_status": (("bob",), "on_error", ("query_user_status", 1003, ...)),
    "set_attr": (("a", "b"), "on_error", ("set_attr", 1003, ...)),
    "get_attr": (("a",), "on_error", ("get_attr", 1003, ...)),
    "get_attr_all": ((), "on_error", ("get_attr_all", 1003, ...)),
    "get_user_attr": (("bob", "a"), "on_error", ("get_user_attr", 1003, ...)),
    "get_user_attr_all": (("bob",), "on_error", ("get_user_attr_all", 1003, ...)),
    "channel_join": (("room",), "on_channel_join_failed", ("room", 1003)),
    "channel_leave": (("room",), "on_channel_leaved", ("room", 1003)),
    "channel_query_user_num": (
        ("room",),
        "on_channel_query_user_num_result",
        ("room", 1003, 0),
    ),
    "channel_query_user_is_in": (
        ("room", "bob"),
        "on_error",
        ("channel_query_user_isin", 1003, ...),
    ),
    "channel_set_attr": (("room", "a", "b"), "on_error", ("channel_set_attr", 1003, ...)),
    "channel_del_attr": (("room", "a"), "on_error", ("channel_del_attr", 1003, ...)),
    "channel_clear_attr": (("room",), "on_error", ("channel_clear_attr", 1003, ...)),
    "message_channel_send": (("room", "m", "id"), "on_message_send_error", ("id", 400)),
    "message_channel_send_force": (("room", "m", "id"), "on_message_send_error", ("id", 400)),
    "channel_invite_user": (("room", "bob"), "on_invite_failed", ("room", "bob", 0, 1003, ...)),
    "channel_invite_user2": (
        ("room", "bob", "{}"),
        "on_invite_failed",
        ("room", "bob", 0, 1003, ...),
    ),
    "channel_invite_dtmf": (("room", "bob", "1"), "on_error", ("invite_dtmf", 1003, ...)),
    "channel_invite_accept": (("room", "bob"), "on_error", ("invite_accept", 1003, ...)),
    "channel_invite_refuse": (("room", "bob"), "on_error", ("invite_refuse", 1003, ...)),
    "channel_invite_end": (("room", "bob"), "on_error", ("invite_end", 1003, ...)),
    "message_dtmf_send": ((0, "1", "id"), "on_message_send_error", ("id", 400)),
    "channel_invite_phone": (("room", "1"), "on_invite_failed", ("room", "1", 0, 1003, ...)),
    "channel_invite_phone2": (("room", "1", "2"), "on_invite_failed", ("room", "1", 0, 1003, ...)),
    "channel_invite_phone3": (
        ("room", "1", "2", ""),
        "on_invite_failed",
        ("room", "1", 0, 1003, ...),
    ),
}
"""Each method before the login: its arguments, and what hears of it first."""

ASKS_NOBODY = {
    *("destroy", "callback_set", "callback_get", "login", "login2"),
    *("get_status", "get_sdk_version", "is_online"),
}


def told(found: tuple[Any, ...], expected: tuple[Any, ...]) -> bool:
    return len(found) == len(expected) and all(
        wanted is ... or one == wanted for one, wanted in zip(found, expected, strict=True)
    )


def test_every_method_before_the_login_ends_in_its_callback(make: Make) -> None:
    documented = {entry.python for entry in surface() if entry.cls == "IAgoraAPI"}
    assert set(CALLS) == documented - ASKS_NOBODY
    api, ears = make("127.0.0.1:1")
    for method, (args, callback, expected) in CALLS.items():
        getattr(api, method)(*args)
        assert told(ears.wait(callback), expected), method
        if callback != "on_error":
            assert ears.wait("on_error")[1] == 1003, method
    assert not ears.events
    assert api.get_status() == 0
    assert not api.is_online()


CODES = (602, 1004, 1005, "1004")

WRONG: list[tuple[str, tuple[Any, ...], str, tuple[Any, ...]]] = [
    ("message_instant_send", ("b b", 0, "m", "1"), "on_message_send_error", ("1", 1004)),
    ("message_instant_send", ("bob", 0, "m" * 8193, "2"), "on_message_send_error", ("2", 1005)),
    ("message_instant_send", ("bob", "message"), "on_message_send_error", (..., 1004)),
    ("message_instant_send", ("bob", 0, b"m", "3"), "on_message_send_error", ("3", 1004)),
    ("message_instant_send", (7, 0, "m", "3"), "on_message_send_error", ("3", 1004)),
    ("message_instant_send", ("bob", 0, "m", "4 4"), "on_message_send_error", ("4 4", 1004)),
    ("message_channel_send", ("room", None, "5"), "on_message_send_error", ("5", 1004)),
    ("message_channel_send_force", ("", "m", "6"), "on_message_send_error", ("6", 1004)),
    ("channel_join", (object(),), "on_channel_join_failed", (..., 1004)),
    ("channel_join", (None,), "on_channel_join_failed", (None, 1004)),
    ("channel_join", ("r" * 129,), "on_channel_join_failed", (..., 1005)),
    ("channel_leave", ("never joined",), "on_channel_leaved", ("never joined", 602)),
    ("channel_leave", ("",), "on_channel_leaved", ("", 1004)),
    ("channel_leave", (7,), "on_channel_leaved", (7, 1004)),
    ("channel_leave", ("r" * 129,), "on_channel_leaved", (..., 1005)),
    ("channel_set_attr", ("room", "a", "v" * 8097), "on_error", ("channel_set_attr", 1005, ...)),
    ("channel_query_user_num", ("",), "on_channel_query_user_num_result", ("", 1004, 0)),
    ("invoke", (f"{PREFIX}user_get_attr_all", "[1]", "1"), "on_invoke_ret", ("1", "1004", ...)),
    ("invoke", (f"{PREFIX}no_such", "{}", "4"), "on_invoke_ret", ("4", "1004", ...)),
    ("channel_invite_user", (object(), "bob"), "on_invite_failed", (..., "bob", 0, 1004, "")),
    ("channel_invite_phone3", ("r", "1", "2", "[]"), "on_invite_failed", (..., "1", 0, 1004, "[]")),
    ("channel_invite_phone2", ("r", "1", 2), "on_invite_failed", ("r", "1", 0, 1004, "")),
    ("channel_invite_accept", ("r", "bob"), "on_error", ("invite_accept", 1001, ...)),
    ("channel_invite_end", ("", "bob"), "on_error", ("invite_end", 1004, ...)),
    ("channel_invite_dtmf", ("r", "bob", "12x"), "on_error", ("invite_dtmf", 1004, ...)),
    ("channel_invite_dtmf", ("r", "bob", 12), "on_error", ("invite_dtmf", 1004, ...)),
    ("set_attr", ("", "v"), "on_error", ("set_attr", 1004, ...)),
    ("get_user_attr", (None, object()), "on_error", ("get_user_attr", 1004, ...)),
]


def test_wrong_values_raise_nothing_and_are_told(far_server: ThreadedServer, make: Make) -> None:
    api, ears = logged_in(make, far_server)
    for method, args, callback, expected in WRONG:
        getattr(api, method)(*args)
        found = ears.wait(callback)
        assert told(found, expected), (method, args, found)
        if callback != "on_error":
            general = next(1001 if code == 602 else int(code) for code in found if code in CODES)
            assert ears.wait("on_error")[1] == general, (method, args)
    assert {name for name, _ in ears.events} <= {"on_log"}


@pytest.mark.parametrize(
    ("args", "ecode"),
    [
        (("", "alice", NO_TOKEN), 1004),
        ((None, "alice", NO_TOKEN), 1004),
        (("app", None, NO_TOKEN), 1004),
        (("app", {1}, NO_TOKEN), 1004),
        (("app", "al ice", NO_TOKEN), 209),
        (("app", "alice", object()), 1004),
        (("app", "alice", NO_TOKEN, 0, "", "30", 3), 1004),
        (("app", "alice", NO_TOKEN, 0, "", 30, -1), 1004),
    ],
)
def test_a_login_with_wrong_values_fails(make: Make, args: tuple[Any, ...], ecode: int) -> None:
    api, ears = make("127.0.0.1:1")
    api.login2(*args)
    ears.wait("on_login_failed", ecode)
    assert api.get_status() == 0


def test_a_login_while_logged_in_changes_nothing(far_server: ThreadedServer, make: Make) -> None:
    api, ears = make(far_server.address)
    api.login("app", "alice", NO_TOKEN)
    api.login("app", "bob", NO_TOKEN)
    ears.wait("on_login_success")
    api.login("app", "carol", NO_TOKEN)
    api.query_user_status("alice")
    ears.wait("on_query_user_status_result", "alice", "1")
    api.query_user_status("bob")
    ears.wait("on_query_user_status_result", "bob", "0")
    assert not ears.seen("on_login_success")
    assert not ears.seen("on_login_failed")


def test_a_login_after_a_logout_waits_for_it(far_server: ThreadedServer, make: Make) -> None:
    """And what is called after it is that of the new login."""
    api, ears = logged_in(make, far_server)
    for _ in range(3):
        api.logout()
        api.login("app", "alice", NO_TOKEN)
        sent = api.message_instant_send("alice", 0, "to myself")
        ears.wait("on_logout", 101)
        ears.wait("on_login_success")
        ears.wait("on_message_send_success", sent)
        ears.wait("on_message_instant_receive", "alice", 0, "to myself")
    api.logout()
    api.login("app", "bob", NO_TOKEN)
    api.logout()
    ears.wait("on_logout", 101)
    ears.wait("on_login_failed", 203)
    api.logout()
    assert ears.wait("on_error")[:2] == ("logout", 108)


# --- Without a server


def test_a_login_without_a_server_fails_with_201(make: Make) -> None:
    api, ears = make("127.0.0.1:1")
    api.login2("app", "alice", NO_TOKEN, 0, "", 0, 0)
    ears.wait("on_login_failed", 201)


def test_a_server_that_vanishes_ends_a_login_without_tries_with_102(
    far_server: ThreadedServer, make: Make
) -> None:
    api, ears = make(far_server.address)
    api.login2("app", "alice", NO_TOKEN, 0, "", 30, 0)
    api.channel_join("room")
    ears.wait("on_channel_joined")
    far_server.stop()
    ears.wait("on_channel_leaved", "room", 604)
    ears.wait("on_logout", 102)
    assert not ears.seen("on_reconnecting")
    assert api.get_status() == 0


# --- Callbacks that raise, block, or are async


def test_a_callback_that_raises_is_reported_and_all_goes_on(
    far_server: ThreadedServer, make: Make, caplog: pytest.LogCaptureFixture
) -> None:
    api, ears = logged_in(make, far_server)

    def react(name: str, args: tuple[Any, ...]) -> None:
        if name == "on_query_user_status_result":
            raise SystemExit("over\nand out")
        if name == "on_error":
            raise ValueError("in on_error itself")

    ears.react = react
    for _ in range(2):
        api.query_user_status("bob")
        ears.wait("on_query_user_status_result")
        assert ears.wait("on_error") == (
            "onQueryUserStatusResult",
            1002,
            "the callback raised SystemExit: over and out",
        )
    # It is written down before it is logged.
    api.query_user_status("bob")
    ears.wait("on_error")
    assert "on_query_user_status_result raised SystemExit" in caplog.text
    assert "on_error itself raised" in caplog.text


@pytest.mark.filterwarnings("error")
def test_an_async_callback_is_reported(far_server: ThreadedServer) -> None:
    class Wrong(Ears):
        async def on_login_success(self, uid: int, fd: int) -> None:  # type: ignore[override]
            raise AssertionError

    with create_agora_sdk_instance_cpp(server=far_server.address) as api:
        ears = Wrong()
        api.callback_set(ears)
        api.login("app", "alice", NO_TOKEN)
        name, ecode, desc = ears.wait("on_error")
    assert (name, ecode) == ("onLoginSuccess", 1002)
    assert "async" in desc


def test_a_callback_that_blocks_delays_no_other_instance(
    far_server: ThreadedServer, make: Make
) -> None:
    api, ears = make(far_server.address)
    goes_on = threading.Event()
    ears.react = lambda name, _: name != "on_login_success" or goes_on.wait(BOUND_SECONDS)
    api.login("app", "alice", NO_TOKEN)
    bob, heard = logged_in(make, far_server, "bob")
    for number in range(100):
        sent = bob.message_instant_send("alice", 0, str(number))
        heard.wait("on_message_send_success", sent)
    assert not ears.seen("on_message_instant_receive")
    goes_on.set()
    for number in range(100):
        ears.wait("on_message_instant_receive", "bob", 0, str(number))


def test_without_a_callback_nothing_happens(far_server: ThreadedServer, make: Make) -> None:
    bob, heard = logged_in(make, far_server, "bob")
    with create_agora_sdk_instance_cpp(server=far_server.address) as api:
        assert api.callback_get() is None
        api.login("app", "alice", NO_TOKEN)
        api.message_instant_send("bob", 0, "hello")
        heard.wait("on_message_instant_receive", "alice", 0, "hello")
    assert bob.callback_get() is heard


# --- The interpreter's end, and forks


def run(program: str, server: str) -> subprocess.CompletedProcess[str]:
    """Run a program to its end, which must come within the bound."""
    return subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", program],
        cwd=ROOT,
        env={**os.environ, "SIGNAL_SDK_SERVER": server, "PYTHONUNBUFFERED": "1"},
        capture_output=True,
        text=True,
        timeout=BOUND_SECONDS,
        check=False,
    )


PROGRAM = """
import os, sys, threading
from signal_sdk import *
class Mine(ICallBack):
    ready = threading.Event()
    def onLoginSuccess(self, uid, fd):
        self.ready.set()
    def on_logout(self, ecode):
        print("logout", int(ecode))
    def on_login_failed(self, ecode):
        print("failed", int(ecode))
api = getAgoraSDKInstanceCPP()
api.callbackSet(Mine())
api.login2("app", "alice", "_no_need_token")
"""


@pytest.mark.parametrize(
    ("end", "code"),
    [("", 0), ("sys.exit(3)", 3), ("raise ValueError('x')", 1)],
    ids=["the end", "sys.exit", "an exception"],
)
def test_the_interpreter_s_end_logs_out(far_server: ThreadedServer, end: str, code: int) -> None:
    ended = run(f"{PROGRAM}\nassert Mine.ready.wait(5)\n{end}", far_server.address)
    assert ended.stdout == "logout 101\n"
    assert ended.returncode == code
    assert "Exception ignored" not in ended.stderr
    assert ended.stderr == "" or code == 1


def test_the_interpreter_s_end_during_a_login(silent_server: str) -> None:
    ended = run(PROGRAM, silent_server)
    assert (ended.stdout, ended.stderr, ended.returncode) == ("failed 203\n", "", 0)


def test_the_interpreter_s_end_with_a_callback_that_hangs(far_server: ThreadedServer) -> None:
    """It cannot be ended: it dies with the interpreter."""
    hang = "Mine.onLoginSuccess = lambda *_: (Mine.ready.set(), threading.Event().wait())"
    program = PROGRAM.replace(
        "api = get", f"{hang}\nMine.on_login_success = Mine.onLoginSuccess\napi = get"
    )
    ended = run(f"{program}\nassert Mine.ready.wait(5)", far_server.address)
    assert (ended.stdout, ended.stderr, ended.returncode) == ("", "", 0)


def test_the_interpreter_s_end_with_a_server_that_is_gone(far_server: ThreadedServer) -> None:
    far_server_goes = "sys.stdin.readline()"
    program = f"{PROGRAM}\nassert Mine.ready.wait(5)\nprint('up')\n{far_server_goes}\n"
    with subprocess.Popen(
        [sys.executable, "-c", program],
        cwd=ROOT,
        env={**os.environ, "SIGNAL_SDK_SERVER": far_server.address, "PYTHONUNBUFFERED": "1"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as running:
        assert running.stdout is not None
        assert running.stdout.readline() == "up\n"
        far_server.stop()
        rest, _ = running.communicate("go on\n", BOUND_SECONDS)
    assert (rest, running.returncode) == ("logout 101\n", 0)


FORK = """
assert Mine.ready.wait(5)
pid = os.fork()
if pid == 0:
    try:
        api.logout()
    except RuntimeError as exc:
        print("refused:", exc)
    try:
        getAgoraSDKInstanceCPP().getStatus()
    except RuntimeError as exc:
        print("refused again")
    api.destroy()
    class Child(ICallBack):
        def on_login_success(self, uid, fd):
            print("the child is in")
            Mine.ready.set()
    Mine.ready.clear()
    with createAgoraSDKInstanceCPP() as mine:
        mine.callback_set(Child())
        mine.login("app", "bob", "_no_need_token")
        assert Mine.ready.wait(5)
    sys.exit(0)
assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
print("the parent goes on", api.getStatus())
"""


def test_a_fork_after_use_is_refused_with_a_clear_error(far_server: ThreadedServer) -> None:
    """The parent goes on; the child may have instances of its own."""
    ended = run(PROGRAM + FORK, far_server.address)
    lines = ended.stdout.splitlines()
    assert lines[0].startswith("refused: this instance was used in the process ")
    assert lines[1:] == [
        "refused again",
        "the child is in",
        "the parent goes on 2",
        "logout 101",
    ], ended
    assert (ended.stderr, ended.returncode) == ("", 0)


def test_an_instance_that_was_not_used_may_be_forked(far_server: ThreadedServer) -> None:
    """As a pre-forking web server does it: made at import, used in the workers."""
    begin, login = PROGRAM.split("api.login2")
    fork = (
        "if os.fork() == 0:\n    api.login2"
        + login
        + "    assert Mine.ready.wait(5)\nelse:\n    os.wait()"
    )
    ended = run(begin + fork, far_server.address)
    assert (ended.stdout, ended.stderr, ended.returncode) == ("logout 101\n", "", 0)
