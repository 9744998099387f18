"""What a user hears of a failure: as from the original Linux SDK, and in its order.

The table in docs/linux_api.md says the same.
"""

from __future__ import annotations

import json
import ssl
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import ANY

import pytest
import trio
import trustme

from signal_sdk import IAgoraAPI, create_agora_sdk_instance_cpp
from signal_sdk.client.requests import REPLY_SECONDS
from signal_sdk.server.config import Config, LimitsConfig, ServerConfig
from signal_sdk.testing.server import LocalServer
from tests.agora.conftest import Make, ThreadedServer, threaded_server
from tests.agora.ears import Ears, Event
from tests.agora.inside import do_inside, session_inside
from tests.web.web_peer import cut

NO_TOKEN = "_no_need_token"
NOWHERE = "127.0.0.1:1"
PREFIX = "io.agora.signal."
TIMED_OUT = '{"result":"failed","reason":"time out","ecode":1002}'

pytestmark = pytest.mark.filterwarnings("ignore:.*obsolete:DeprecationWarning")


def logged_in(make: Make, server: ThreadedServer, account: str = "alice") -> tuple[IAgoraAPI, Ears]:
    api, ears = make(server.address)
    api.login("app", account, NO_TOKEN)
    ears.wait("on_login_success")
    ears.events.clear()
    return api, ears


def hears(ears: Ears, *expected: Event) -> None:
    """Wait for these callbacks, which are to come in this order and with nothing in between."""
    name, args = expected[-1]
    ears.wait(name, *args)
    before = [event for event in ears.events if event[0] != "on_log"]
    assert before == list(expected[:-1])
    ears.events.clear()


def error(name: str, ecode: int, desc: Any = ANY) -> Event:
    return "on_error", (name, ecode, desc)


# --- without login

NOT_LOGIN = "not login"
NOT_INVITED = ("talk", "bob", 0, 1003, '{"reason":"not login"}')

WITHOUT_LOGIN: list[tuple[str, tuple[Any, ...], list[Event]]] = [
    ("queryUserStatus", ("bob",), [error("query_user_status", 1003, NOT_LOGIN)]),
    (
        "messageInstantSend",
        ("bob", 0, "hello", "id"),
        [
            ("on_message_send_error", ("id", 400)),
            error("send_instant_msg", 1003, NOT_LOGIN),
        ],
    ),
    (
        "messageInstantSend2",
        ("bob", 0, "hello", "id", "{}"),
        [
            ("on_message_send_error", ("id", 400)),
            error("send_instant_msg", 1003, NOT_LOGIN),
        ],
    ),
    (
        "messageDTMFSend",
        (0, "1", "id"),
        [("on_message_send_error", ("id", 400)), error("send_dtmf_msg", 1003, NOT_LOGIN)],
    ),
    (
        "channelJoin",
        ("room",),
        [
            ("on_channel_join_failed", ("room", 1003)),
            error("channel_join", 1003, "channel join when logouted"),
        ],
    ),
    (
        "channelLeave",
        ("room",),
        [
            ("on_channel_leaved", ("room", 1003)),
            error("channel_leave", 1003, "channel leave when logouted"),
        ],
    ),
    (
        "channelQueryUserNum",
        ("room",),
        [
            ("on_channel_query_user_num_result", ("room", 1003, 0)),
            error("channel_query_num", 1003, "channel query_num when logouted"),
        ],
    ),
    ("logout", (), [error("logout", 108, "logout when logouted, ignore this action")]),
    ("setAttr", ("a", "b"), [error("set_attr", 1003, NOT_LOGIN)]),
    ("channelInviteEnd", ("talk", "bob"), [error("invite_end", 1003, NOT_LOGIN)]),
    (
        "channelInviteUser",
        ("talk", "bob"),
        [("on_invite_failed", NOT_INVITED), error("invite", 1003, NOT_LOGIN)],
    ),
    (
        "channelInvitePhone2",
        ("talk", "bob", "1"),
        [("on_invite_failed", NOT_INVITED), error("invite", 1003, NOT_LOGIN)],
    ),
]


@pytest.mark.parametrize(("method", "args", "expected"), WITHOUT_LOGIN, ids=str)
def test_what_is_heard_without_a_login(
    make: Make, method: str, args: tuple[Any, ...], expected: list[Event]
) -> None:
    api, ears = make(NOWHERE)
    getattr(api, method)(*args)
    hears(ears, *expected)
    assert api.get_status() == 0


# --- logging in and out


def test_a_login_while_logged_in_is_208_and_the_session_stays(
    far_server: ThreadedServer, make: Make
) -> None:
    api, ears = logged_in(make, far_server)
    for args in (("app", "bob", NO_TOKEN), ("", "bob", NO_TOKEN)):
        for login in (api.login, api.login2):
            login(*args)
            hears(ears, error("login", 208, "login in wrong status : 2"))
            assert api.get_status() == 2
    api.query_user_status("alice")
    hears(ears, ("on_query_user_status_result", ("alice", "1")))


def test_a_login_during_a_login_is_208_with_its_status(make: Make) -> None:
    api, ears = make(NOWHERE)
    api.login("app", "alice", NO_TOKEN)
    api.login("app", "alice", NO_TOKEN)
    hears(ears, error("login", 208, "login in wrong status : 1"))


def test_a_login_that_fails_says_why(make: Make) -> None:
    """Each failure, but the one that the user has asked for."""
    api, ears = make(NOWHERE)
    api.login2("app", "alice", NO_TOKEN, 0, "", 0, 0)
    ears.wait("on_login_failed", 201)
    name, ecode, desc = ears.wait("on_error")
    assert (name, ecode) == ("login", 201)
    assert NOWHERE in desc
    assert api.get_status() == 0
    ears.events.clear()
    api.login("", "alice", NO_TOKEN)
    empty = "app id '' is empty or not UTF-8 text"
    hears(ears, ("on_login_failed", (1004,)), error("login", 1004, empty))
    api.login("app", "al ice", NO_TOKEN)
    ears.wait("on_login_failed", 209)
    assert "white space" in ears.wait("on_error")[2]
    api.login("app", "alice", NO_TOKEN)
    api.logout()
    ears.wait("on_login_failed", 203)
    api.logout()
    assert ears.wait("on_error")[:2] == ("logout", 108)


def test_a_certificate_that_is_not_trusted_is_told_by_on_error(tmp_path: Path) -> None:
    issued = trustme.CA().issue_cert("127.0.0.1")
    cert, key = str(tmp_path / "cert.pem"), str(tmp_path / "key.pem")
    issued.cert_chain_pems[0].write_to_path(cert)
    issued.private_key_pem.write_to_path(key)
    config = Config(server=ServerConfig(dev=True, cert=cert, key=key))
    ports: list[int] = []
    with threaded_server(config) as server:
        server.do(lambda running: ports.append(running.tls_port))
        for scheme in ("https", "wss"):
            address = f"{scheme}://127.0.0.1:{ports[0]}"
            trusting = ssl.create_default_context()
            with create_agora_sdk_instance_cpp(server=address, ssl_context=trusting) as api:
                ears = Ears()
                api.callback_set(ears)
                api.login2("app", "alice", NO_TOKEN, 0, "", 0, 0)
                ears.wait("on_login_failed", 201)
                name, ecode, desc = ears.wait("on_error")
            assert (name, ecode) == ("login", 201)
            assert "certificate" in desc
            assert "127.0.0.1" in desc


def test_a_plain_login_comes_back_too(far_server: ThreadedServer, make: Make) -> None:
    """As `login2` with 30 s and 3 tries."""
    api, ears = logged_in(make, far_server)
    far_server.do(cut_alice)
    ears.wait("on_reconnecting", 1)
    ears.wait("on_reconnected", 0)
    assert api.get_status() == 2
    assert not ears.seen("on_logout")


def cut_alice(server: LocalServer) -> None:
    cut(server, "alice")


# --- refused by the server


def test_a_message_that_the_server_refuses(make: Make) -> None:
    config = Config(server=ServerConfig(dev=True), limits=LimitsConfig(inbox_messages=1))
    with threaded_server(config) as server:
        api, ears = logged_in(make, server)
        api.message_instant_send("bob", 0, "fits", "1")
        hears(ears, ("on_message_send_success", ("1",)))
        api.message_instant_send("bob", 0, "is too many", "2")
        hears(ears, ("on_message_send_error", ("2", 400)), error("send_instant_msg", 1001))
        api.message_channel_send("room", "not joined", "3")
        hears(ears, ("on_message_send_error", ("3", 400)), error("send_channel_msg", 1001))


def test_what_is_too_long_is_refused_at_once(far_server: ThreadedServer, make: Make) -> None:
    api, ears = logged_in(make, far_server)
    api.message_instant_send("bob", 0, "m" * 8193, "1")
    hears(ears, ("on_message_send_error", ("1", 1005)), error("send_instant_msg", 1005))


def test_what_is_not_answered_has_timed_out(far_server: ThreadedServer, make: Make) -> None:
    api, ears = logged_in(make, far_server)
    stands, goes_on = threading.Event(), threading.Event()

    def stand(_: LocalServer) -> None:
        stands.set()
        assert goes_on.wait(20)

    server = threading.Thread(target=far_server.do, args=(stand,))
    server.start()
    assert stands.wait(20)
    try:
        asked: list[Callable[[], object]] = [
            lambda: api.message_instant_send("bob", 0, "hello", "1"),
            lambda: api.channel_join("room"),
            lambda: api.channel_query_user_num("room"),
            lambda: api.query_user_status("bob"),
            lambda: api.channel_invite_user("talk", "bob"),
            lambda: api.invoke(f"{PREFIX}user_query_user_status", '{"account":"bob"}', "2"),
        ]
        for ask in asked:
            ask()
        do_inside(api, lambda: expire(api))
        hears(
            ears,
            ("on_message_send_error", ("1", 401)),
            error("send_instant_msg", 1002, "time out"),
            ("on_channel_join_failed", ("room", 300)),
            error("channel_join", 1002, "time out"),
            ("on_channel_query_user_num_result", ("room", 501, 0)),
            error("channel_query_num", 1002, "time out"),
            error("query_user_status", 1002, "time out"),
            ("on_invite_failed", ("talk", "bob", 0, 700, "")),
            error("invite", 1002, "time out"),
            ("on_invoke_ret", ("2", "1002", TIMED_OUT)),
            error("invoke", 1002, "time out"),
        )
    finally:
        goes_on.set()
        server.join()


def expire(api: IAgoraAPI) -> None:
    session_inside(api).requests.expire(trio.current_time() + REPLY_SECONDS)


# --- channels


def test_leaving_a_channel_that_one_is_not_in(far_server: ThreadedServer, make: Make) -> None:
    api, ears = logged_in(make, far_server)
    api.channel_leave("room")
    hears(
        ears,
        ("on_channel_leaved", ("room", 602)),
        error("channel_leave", 1001, "not in the channel 'room'"),
    )


def test_a_join_that_fails_is_told_by_both(far_server: ThreadedServer, make: Make) -> None:
    api, ears = logged_in(make, far_server)
    api.channel_join("")
    hears(ears, ("on_channel_join_failed", ("", 1004)), error("channel_join", 1004))
    api.channel_leave("")
    hears(ears, ("on_channel_leaved", ("", 1004)), error("channel_leave", 1004))
    api.channel_query_user_num("")
    failed = ("on_channel_query_user_num_result", ("", 1004, 0))
    hears(ears, failed, error("channel_query_num", 1004))


# --- calls


@pytest.mark.parametrize("extra", ["no JSON", "{"], ids=["words", "half"])
def test_an_invitation_with_an_extra_that_is_no_json(
    far_server: ThreadedServer, make: Make, extra: str
) -> None:
    """Nothing is sent: who is called hears nothing."""
    api, ears = logged_in(make, far_server)
    _, other = logged_in(make, far_server, "bob")
    failed = ("talk", "bob", 0, 700, '{"reason":"wrong param extra"}')
    api.channel_invite_user2("talk", "bob", extra)
    hears(ears, ("on_invite_failed", failed), error("invite", 1004, "wrong extra param"))
    api.channel_invite_phone3("talk", "bob", "1", extra)
    hears(ears, ("on_invite_failed", failed), error("invite", 1004, "wrong extra param"))
    api.channel_invite_user2("talk", "bob", "{}")
    assert other.wait("on_invite_received")[3] == "{}"
    assert not other.seen("on_invite_received")


def test_an_invitation_to_who_is_offline(far_server: ThreadedServer, make: Make) -> None:
    """The original says 700 for every failure; ours tells them apart."""
    api, ears = logged_in(make, far_server)
    extra = '{"_require_peer_online":1}'
    api.channel_invite_user2("talk", "nobody", extra)
    failed = ("talk", "nobody", 0, 703, extra)
    hears(ears, ("on_invite_failed", failed), error("invite", 1001, "peer is not online"))
    # One that fails later is no request that failed.
    extra = '{"_timeout":1}'
    api.channel_invite_user2("talk", "nobody", extra)
    hears(ears, ("on_invite_failed", ("talk", "nobody", 0, 703, extra)))
    api.query_user_status("alice")
    hears(ears, ("on_query_user_status_result", ("alice", "1")))


def test_who_ends_a_call_hears_of_nobody(far_server: ThreadedServer, make: Make) -> None:
    api, ears = logged_in(make, far_server)
    bob, heard = logged_in(make, far_server, "bob")
    ends: list[Callable[[], object]] = [
        lambda: api.channel_invite_end("talk", "bob"),
        api.logout,
    ]
    for end in ends:
        api.channel_invite_user("talk", "bob")
        heard.wait("on_invite_received")
        bob.channel_invite_accept("talk", "alice")
        ears.wait("on_invite_accepted_by_peer")
        end()
        ears.wait("on_invite_end_by_myself", "talk", "", 0)
        heard.wait("on_invite_end_by_peer")
    api.login("app", "alice", NO_TOKEN)
    ears.wait("on_login_success")
    ears.events.clear()
    for method in ("accept", "refuse", "end"):
        getattr(api, f"channel_invite_{method}")("talk", "bob")
        hears(ears, error(f"invite_{method}", 1001))


# --- invoke


def test_invoke_with_what_the_original_refuses(far_server: ThreadedServer, make: Make) -> None:
    api, ears = logged_in(make, far_server)
    for name in ("user_query_user_status", "io.agora.rtc.f", "", None):
        api.invoke(name, "{}", "1")  # type: ignore[arg-type]
        hears(ears, ("on_invoke_ret", ("1", "unsupported method name", "")))
    for req in ("", "{", "no JSON", None):
        api.invoke("io.agora.signal.user_query_user_status", req, "2")  # type: ignore[arg-type]
        hears(ears, ("on_invoke_ret", ("2", "args is not JSON", "")))
    api.invoke(f"{PREFIX}user_query_user_status", '{"account":"alice"}', "3")
    hears(ears, ("on_invoke_ret", ("3", "", ANY)))


def test_invoke_that_fails_is_told_by_both(far_server: ThreadedServer, make: Make) -> None:
    api, ears = logged_in(make, far_server)
    refused: list[tuple[str, str, int, int]] = [
        ("user_query_user_status", "{}", 1004, 1004),
        ("user_query_user_status", "[]", 1004, 1004),
        ("no_such", "{}", 1004, 1004),
        ("channel_sendmsg", '{"name":"room","msg":"not joined"}', 400, 1001),
    ]
    for function, req, ecode, general in refused:
        api.invoke(PREFIX + function, req, "1")
        _, err, resp = ears.wait("on_invoke_ret", "1", str(ecode), ANY)
        told = json.loads(resp)
        assert (told["result"], told["ecode"], err) == ("failed", ecode, str(ecode))
        hears(ears, error("invoke", general, told["reason"]))


# --- in the header only


def test_the_header_s_other_message_is_sent(far_server: ThreadedServer, make: Make) -> None:
    api, ears = logged_in(make, far_server)
    sent = api.messageInstantSend2("alice", 0, "to myself", "", "whatever it means")
    ears.wait("on_message_send_success", sent)
    ears.wait("on_message_instant_receive", "alice", 0, "to myself")


def test_what_the_header_has_besides_is_accepted_or_refused(make: Make) -> None:
    api, ears = make(NOWHERE)
    api.start()
    api.setBackground(1)
    api.setNetworkStatus(0)
    api.ping()
    api.dbg("a", "b")
    api.stop()
    refused: list[tuple[str, str, tuple[Any, ...]]] = [
        ("messageAppSend", "message_app_send", ("hello", "1")),
        ("messagePushSend", "message_push_send", ("bob", 0, "hello", "1")),
        ("messageChatSend", "message_chat_send", ("bob", 0, "hello", "1")),
        ("bc_call", "bc_call", ("f", "{}", "1")),
    ]
    for method, name, args in refused:
        getattr(api, method)(*args)
        hears(ears, error(name, 1001, f"{method} was never documented: it does nothing here"))
    api.destory()
    with pytest.raises(RuntimeError, match="was destroyed"):
        api.ping()
