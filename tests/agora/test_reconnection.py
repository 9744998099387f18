"""`login2`: a connection that is lost is made again, within bounds, and nothing is lost or doubled.

Time is real here, so that the retries' bounds are small.
"""

from __future__ import annotations

import threading
from typing import Any

import pytest

from signal_sdk import IAgoraAPI
from signal_sdk.testing.server import LocalServer
from tests.agora.conftest import Make, ThreadedServer
from tests.agora.ears import Ears
from tests.web.web_peer import cut

NO_TOKEN = "_no_need_token"


def cut_alice(server: LocalServer) -> None:
    cut(server, "alice")


def statuses(ears: Ears, api: IAgoraAPI, callback: str) -> list[int]:
    """Have the status in each such callback written down."""
    seen: list[int] = []

    def react(name: str, _: tuple[Any, ...]) -> None:
        if name == callback:
            seen.append(api.get_status())

    ears.react = react
    return seen


def test_a_lost_connection_is_made_again_and_the_channel_goes_on(
    far_server: ThreadedServer, make: Make
) -> None:
    bob, heard = make(far_server.address)
    bob.login("app", "bob", NO_TOKEN)
    bob.channel_join("room")
    heard.wait("on_channel_joined")
    api, ears = make(far_server.address)
    api.login2("app", "alice", NO_TOKEN)
    api.channel_join("another")
    api.channel_join("room")
    api.channel_join("")
    ears.wait("on_channel_joined", "room")
    ears.wait("on_channel_leaved", "another", 602)
    for users in (["alice"], ["bob", "alice"]):
        assert ears.wait("on_channel_user_list")[1] == users
    ears.wait("on_channel_join_failed", "", 1004)
    assert ears.wait("on_error")[:2] == ("channel_join", 1004)
    for _ in range(2):
        far_server.do(cut_alice)
        ears.wait("on_reconnecting", 1)
        assert api.get_status() in (2, 3)
        ears.wait("on_reconnected", 0)
        assert api.get_status() == 2
        bob.message_channel_send("room", "are you there?")
        assert ears.wait("on_message_channel_receive")[3] == "are you there?"
    names = {name for name, _ in ears.events}
    assert not names & {"on_channel_leaved", "on_logout", "on_error"}
    assert ears.seen("on_channel_joined") == [("another",)]


def test_a_channel_that_was_left_is_not_joined_again(
    far_server: ThreadedServer, make: Make
) -> None:
    api, ears = make(far_server.address)
    api.login2("app", "alice", NO_TOKEN)
    api.channel_join("room")
    api.channel_leave("room")
    ears.wait("on_channel_leaved", "room", 602)
    ears.wait("on_channel_joined", "room")
    far_server.do(cut_alice)
    ears.wait("on_reconnected", 0)
    # Where it were to be joined again, that would have been asked before.
    api.channel_query_user_num("room")
    ears.wait("on_channel_query_user_num_result", "room", 0, 0)
    assert not ears.seen("on_channel_joined")


def test_messages_come_once_though_connections_are_lost(
    far_server: ThreadedServer, make: Make
) -> None:
    """Also one whose callback still runs, and those that the server had not been told of."""
    bob, _ = make(far_server.address)
    bob.login("app", "bob", NO_TOKEN)
    api, ears = make(far_server.address)
    goes_on = threading.Event()

    def react(name: str, args: tuple[Any, ...]) -> None:
        if args[-1:] == ("20",):
            assert goes_on.wait(10)

    ears.react = react
    api.login2("app", "alice", NO_TOKEN)
    ears.wait("on_login_success")
    for number in range(40):
        bob.message_instant_send("alice", 0, str(number))
    for number in range(20):
        ears.wait("on_message_instant_receive", "bob", 0, str(number))
    far_server.do(cut_alice)
    goes_on.set()
    ears.wait("on_reconnected")
    for number in range(20, 40):
        ears.wait("on_message_instant_receive", "bob", 0, str(number))
    far_server.do(cut_alice)
    ears.wait("on_reconnected")
    bob.message_instant_send("alice", 0, "the last one")
    ears.wait("on_message_instant_receive", "bob", 0, "the last one")
    assert not ears.seen("on_message_instant_receive")


def test_a_server_that_vanishes_is_tried_within_the_bounds(
    far_server: ThreadedServer, make: Make
) -> None:
    api, ears = make(far_server.address)
    api.login2("app", "alice", NO_TOKEN, 0, "", 2, 3)
    api.channel_join("room")
    ears.wait("on_channel_joined", "room")
    seen = statuses(ears, api, "on_reconnecting")
    far_server.stop()
    ears.wait("on_reconnecting", 1)
    ears.wait("on_reconnecting", 2)
    ears.wait("on_channel_leaved", "room", 604)
    ears.wait("on_logout", 102)
    # The last try may have failed before its callback was run.
    assert seen[0] == 3
    assert set(seen) <= {0, 3}
    assert api.get_status() == 0
    # And it may log in again.
    api.login2("app", "alice", NO_TOKEN, 0, "", 0, 0)
    ears.wait("on_login_failed", 201)


def test_a_first_login_is_tried_again_without_a_word(make: Make) -> None:
    api, ears = make("127.0.0.1:1")
    api.login2("app", "alice", NO_TOKEN, 0, "", 1, 2)
    assert api.get_status() == 1
    ears.wait("on_login_failed", 201)
    assert not ears.seen("on_reconnecting")
    again = "alice: the login is tried again: "
    tries = [line for (line,) in ears.seen("on_log") if line.startswith(again)]
    assert 1 <= len(tries) <= 2


@pytest.mark.parametrize("how", ["logout", "destroy"])
def test_a_logout_while_reconnecting_ends_it_with_101(
    far_server: ThreadedServer, make: Make, how: str
) -> None:
    api, ears = make(far_server.address)
    api.login2("app", "alice", NO_TOKEN)
    api.channel_join("room")
    ears.wait("on_channel_joined")
    far_server.stop()
    ears.wait("on_reconnecting", 1)
    sent = api.message_instant_send("bob", 0, "nobody takes it")
    getattr(api, how)()
    ears.wait("on_message_send_error", sent, 101)
    ears.wait("on_channel_leaved", "room", 603)
    ears.wait("on_logout", 101)


def test_a_login_elsewhere_ends_it_with_103(far_server: ThreadedServer, make: Make) -> None:
    api, ears = make(far_server.address)
    api.login2("app", "alice", NO_TOKEN)
    ears.wait("on_login_success")
    other, heard = make(far_server.address)
    other.login("app", "alice", NO_TOKEN)
    heard.wait("on_login_success")
    ears.wait("on_logout", 103)
    assert not ears.seen("on_reconnecting")


def test_a_call_goes_on_over_a_lost_connection(far_server: ThreadedServer, make: Make) -> None:
    bob, heard = make(far_server.address)
    bob.login("app", "bob", NO_TOKEN)
    uid, _ = heard.wait("on_login_success")
    api, ears = make(far_server.address)
    api.login2("app", "alice", NO_TOKEN)
    api.channel_invite_user2("talk", "bob", '{"a": 1}')
    heard.wait("on_invite_received")
    bob.channel_invite_accept("talk", "alice")
    ears.wait("on_invite_accepted_by_peer")
    far_server.do(cut_alice)
    ears.wait("on_reconnecting", 1)
    bob.channel_invite_end("talk", "alice", 0)
    ears.wait("on_invite_end_by_peer", "talk", "bob", uid, "")
    assert not ears.seen("on_invite_failed")
    api.channel_invite_user("talk", "bob")
    heard.wait("on_invite_received")


def test_what_is_asked_without_a_connection_is_done_once_there_is_one(
    far_server: ThreadedServer, make: Make
) -> None:
    api, ears = make(far_server.address)
    api.login2("app", "alice", NO_TOKEN)
    ears.wait("on_login_success")
    far_server.do(cut_alice)
    ears.wait("on_reconnecting", 1)
    sent = api.message_instant_send("alice", 0, "to myself")
    ears.wait("on_message_send_success", sent)
    ears.wait("on_message_instant_receive", "alice", 0, "to myself")
