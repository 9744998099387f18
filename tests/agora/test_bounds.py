"""Nothing that waits is without a bound: calls, log lines. And what the log never says."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from signal_sdk import ICallBack, create_agora_sdk_instance_cpp, make_token
from signal_sdk.flat import callback_thread, core
from signal_sdk.flat.callback_thread import CallbackThread
from signal_sdk.server.config import AppConfig, Config, ServerConfig
from signal_sdk.wire import call2
from signal_sdk.wire.arguments import Arguments
from tests.agora.conftest import Make, ThreadedServer, threaded_server
from tests.agora.ears import Ears
from tests.agora.inside import do_inside

NO_TOKEN = "_no_need_token"
CERTIFICATE = "5cfd2fd1755d40ecb72977518be15d3b"


def test_calls_over_the_bound_are_dropped_and_counted(
    far_server: ThreadedServer, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(core, "MAX_WAITING_CALLS", 3)
    api, ears = make(far_server.address)
    api.login("app", "alice", NO_TOKEN)
    ears.wait("on_login_success")
    holds, goes_on = threading.Event(), threading.Event()

    def hold() -> None:
        holds.set()
        assert goes_on.wait(10)

    # The trio thread stands still, as when calls come faster than it can make them.
    do_inside(api, hold)
    assert holds.wait(10)
    for _ in range(10):
        api.query_user_status("alice")
    goes_on.set()
    name, ecode, desc = ears.wait("on_error")
    assert (name, ecode, desc) == ("calls", 1000, "7 calls were dropped: 3 were waiting")
    for _ in range(3):
        ears.wait("on_query_user_status_result")
    api.query_user_status("alice")
    ears.wait("on_query_user_status_result")
    assert not ears.seen("on_query_user_status_result")


def test_log_lines_over_the_bound_are_dropped_and_counted(
    far_server: ThreadedServer, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(callback_thread, "MAX_LOG_LINES", 5)
    api, ears = make(far_server.address)
    goes_on = threading.Event()
    waits = threading.Event()

    def react(name: str, args: tuple[Any, ...]) -> None:
        if name == "on_login_success":
            waits.set()
            assert goes_on.wait(10)

    ears.react = react
    api.login("app", "alice", NO_TOKEN)
    assert waits.wait(10)
    other, heard = make(far_server.address)
    other.login("app", "bob", NO_TOKEN)
    heard.wait("on_login_success")
    for _ in range(20):
        sent = other.message_instant_send("alice", 0, "makes a line here")
        heard.wait("on_message_send_success", sent)
    goes_on.set()
    for _ in range(20):
        ears.wait("on_message_instant_receive")
    api.query_user_status("bob")
    ears.wait("on_query_user_status_result")
    dropped = [line for (line,) in ears.seen("on_log") if "lines were dropped" in line]
    assert len(dropped) == 1


def test_the_log_holds_no_secrets_and_no_messages(monkeypatch: pytest.MonkeyPatch) -> None:
    lines: set[str] = set()
    encode = call2.encode_request

    def note(callid: call2.CallId, line: str, args: Arguments, ack: int | None = None) -> bytes:
        lines.add(line)
        return encode(callid, line, args, ack)

    monkeypatch.setattr(call2, "encode_request", note)
    config = Config(server=ServerConfig(), apps=(AppConfig(id="guarded", certificate=CERTIFICATE),))
    token = make_token("guarded", CERTIFICATE, "alice", 2**31)
    with threaded_server(config) as server:
        with create_agora_sdk_instance_cpp(server=server.address) as api:
            ears = Ears()
            api.callback_set(ears)
            api.login("guarded", "alice", token)
            api.message_instant_send("alice", 0, "between us")
            ears.wait("on_message_instant_receive", "alice", 0, "between us")
        ears.wait("on_logout", 101)
    log = "\n".join(text for (text,) in ears.seen("on_log"))
    assert "user_sendmsg" in log
    # What waits for the login is measured before there is a line.
    [line] = lines - {""}
    assert "user_logout" in log
    for secret in (token, token.rsplit(":", 1)[-1], line, CERTIFICATE, "between us"):
        assert secret not in log


def test_without_a_listener_no_line_is_made(
    far_server: ThreadedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines: list[str] = []
    monkeypatch.setattr(CallbackThread, "put_line", lambda _, line: lines.append(line))

    class Deaf(ICallBack):
        is_in = threading.Event()

        def on_login_success(self, uid: int, fd: int) -> None:
            self.is_in.set()

    with create_agora_sdk_instance_cpp(server=far_server.address) as api:
        api.callback_set(Deaf())
        api.login("app", "alice", NO_TOKEN)
        assert Deaf.is_in.wait(10)
    assert lines == []
