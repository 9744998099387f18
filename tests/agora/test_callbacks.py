"""Every documented callback fires, at the real server, with the original web SDK as the peer."""

from __future__ import annotations

import json

import pytest

from signal_sdk import ICallBack
from signal_sdk.testing.server import LocalServer
from tests.agora.conftest import Make
from tests.web.web_peer import WebPeer, cut

NO_TOKEN = "_no_need_token"

NEVER_CALLED = {
    *("on_message_send_progress", "on_message_app_received", "on_msg", "on_bc_call_result"),
    "on_dbg",
}
"""What the original's header has, and its document does not."""


async def test_every_callback_fires(  # noqa: PLR0915  one day has many steps
    server: LocalServer, web: WebPeer, make: Make
) -> None:
    """One user's day, step by step; what is left over at its end was never heard."""
    bob = await web.login("bob")
    api, ears = make(server.address)

    # The login.
    api.login2("app", "no account", NO_TOKEN)
    assert await ears.hear("on_login_failed") == (209,)
    assert (await ears.hear("on_error"))[:2] == ("login", 209)
    api.login2("app", "alice", NO_TOKEN, 0, "", 30, 3)
    uid, fd = await ears.hear("on_login_success")
    assert uid > 0
    assert fd == 0
    assert api.get_status() == 2

    # Messages.
    sent = api.message_instant_send("bob", 0, "hello", "")
    await ears.hear("on_message_send_success", sent)
    await bob.expect("onMessageInstantReceive", "alice", 0, "hello")
    await bob.call("messageInstantSend", "alice", "hi")
    assert await ears.hear("on_message_instant_receive") == ("bob", 0, "hi")
    api.message_channel_send("room", "nobody hears", "my-id")
    await ears.hear("on_message_send_error", "my-id", 400)
    assert (await ears.hear("on_error"))[:2] == ("send_channel_msg", 1001)

    # Users.
    api.query_user_status("bob")
    await ears.hear("on_query_user_status_result", "bob", "1")
    api.set_attr("colour", "red")
    api.get_attr("colour")
    await ears.hear("on_user_attr_result", "alice", "colour", "red")
    api.get_user_attr_all("alice")
    await ears.hear("on_user_attr_all_result", "alice", '{"colour":"red"}')
    api.invoke("io.agora.signal.user_query_user_status", '{"account": "carol"}', "call 1")
    call_id, err, resp = await ears.hear("on_invoke_ret")
    assert (call_id, err) == ("call 1", "")
    assert json.loads(resp)["status"] == 0

    # A channel.
    room = await bob.make("channelJoin", "room")
    await room.expect("onChannelJoined")
    api.channel_join("room")
    await ears.hear("on_channel_joined", "room")
    n, accounts, uids = await ears.hear("on_channel_user_list")
    assert (n, accounts) == (2, ["bob", "alice"])
    assert uids[1] == uid
    await bob.make("channelJoin", "elsewhere")
    assert (await ears.hear("on_channel_user_leaved"))[0] == "bob"
    room = await bob.make("channelJoin", "room")
    assert (await ears.hear("on_channel_user_joined"))[0] == "bob"
    await room.expect("onChannelJoined")
    await room.call("messageChannelSend", "hello, all")
    [channel, account, _, msg] = await ears.hear("on_message_channel_receive")
    assert (channel, account, msg) == ("room", "bob", "hello, all")
    api.channel_set_attr("room", "topic", "tea")
    await ears.hear("on_channel_attr_updated", "room", "topic", "tea", "update")
    api.channel_query_user_num("room")
    await ears.hear("on_channel_query_user_num_result", "room", 0, 2)
    api.channel_query_user_is_in("room", "bob")
    await ears.hear("on_channel_query_user_is_in", "room", "bob", 1)
    api.channel_join("")
    assert await ears.hear("on_channel_join_failed") == ("", 1004)
    assert (await ears.hear("on_error"))[:2] == ("channel_join", 1004)
    api.channel_del_attr("room", "")
    name, ecode, desc = await ears.hear("on_error")
    assert (name, ecode) == ("channel_del_attr", 1004)
    assert "attribute name" in desc

    # Calls.
    api.channel_invite_user2("talk", "bob", '{"say": 1}')
    [incoming] = await bob.expect("onInviteReceived")
    assert (await ears.hear("on_invite_received_by_peer"))[:2] == ("talk", "bob")
    await incoming.call("channelInviteAccept", '{"yes": 1}')
    [channel, account, _, extra] = await ears.hear("on_invite_accepted_by_peer")
    assert (channel, account, extra) == ("talk", "bob", '{"yes": 1}')
    await incoming.call("channelInviteDTMF", "12#")
    [channel, account, _, kind, data, extra] = await ears.hear("on_invite_msg")
    assert (channel, account, kind, data) == ("talk", "bob", "dtmf", "12#")
    assert json.loads(extra) == {"msgtype": "dtmf", "msgdata": "12#"}
    await incoming.call("channelInviteEnd", '{"bye": 1}')
    [channel, account, _, extra] = await ears.hear("on_invite_end_by_peer")
    assert (channel, account, extra) == ("talk", "bob", '{"bye": 1}')
    api.channel_invite_user("talk", "bob")
    [incoming] = await bob.expect("onInviteReceived")
    await incoming.call("channelInviteRefuse", "")
    assert (await ears.hear("on_invite_refused_by_peer"))[:2] == ("talk", "bob")
    api.channel_invite_user2("talk", "nobody", '{"_require_peer_online": 1}')
    [channel, account, _, ecode, extra] = await ears.hear("on_invite_failed")
    assert (channel, account, ecode) == ("talk", "nobody", 703)
    assert extra == '{"_require_peer_online": 1}'
    outgoing = await bob.make("channelInviteUser2", "talk", "alice", '{"to": "you"}')
    [channel, account, _, extra] = await ears.hear("on_invite_received")
    assert (channel, account, extra) == ("talk", "bob", '{"to": "you"}')
    api.channel_invite_accept("talk", "bob", 0, '{"ok": 1}')
    await outgoing.expect("onInviteAcceptedByPeer", '{"ok": 1}')
    api.channel_invite_dtmf("talk", "bob", "*0")
    [extra] = await outgoing.expect("onInviteMsg")
    assert json.loads(extra) == {"msgtype": "dtmf", "msgdata": "*0"}
    api.channel_invite_end("talk", "bob")
    assert await ears.hear("on_invite_end_by_myself") == ("talk", "", 0)
    await outgoing.expect("onInviteEndByPeer")

    # The connection is lost, and made again.
    cut(server, "alice")
    await ears.hear("on_reconnecting", 1)
    await ears.hear("on_reconnected", 0)
    assert ears.seen("on_channel_leaved") == []

    # The end.
    api.channel_leave("room")
    await ears.hear("on_channel_leaved", "room", 602)
    api.logout()
    await ears.hear("on_logout", 101)
    assert api.get_status() == 0
    assert "alice: > user_sendmsg" in "\n".join(line for [line] in ears.seen("on_log"))

    assert ears.fired == set(ICallBack.documented_names) - NEVER_CALLED
    assert ears.threads == {"signal_sdk callbacks"}


async def test_an_invitation_is_refused_and_the_web_sdk_hears(
    server: LocalServer, web: WebPeer, make: Make
) -> None:
    bob = await web.login("bob")
    api, ears = make(server.address)
    api.login("app", "alice", NO_TOKEN)
    await ears.hear("on_login_success")
    outgoing = await bob.make("channelInviteUser2", "talk", "alice", "")
    await ears.hear("on_invite_received")
    api.channel_invite_refuse("talk", "bob", 0, '{"no": 1}')
    await outgoing.expect("onInviteRefusedByPeer", '{"no": 1}')


async def test_the_web_sdk_hears_what_is_sent_to_a_channel(
    server: LocalServer, web: WebPeer, make: Make
) -> None:
    bob = await web.login("bob")
    room = await bob.make("channelJoin", "room")
    await room.expect("onChannelJoined")
    api, ears = make(server.address)
    api.login("app", "alice", NO_TOKEN)
    sent = api.message_channel_send_force("room", "from outside")
    await ears.hear("on_message_send_success", sent)
    uid, _ = await ears.hear("on_login_success")
    await room.expect("onMessageChannelReceive", "alice", uid, "from outside")
    api.channel_join("room")
    sent = api.message_channel_send("room", "from inside")
    await ears.hear("on_message_send_success", sent)
    api.channel_del_attr("room", "topic")
    api.channel_set_attr("room", "topic", "tea")
    api.channel_clear_attr("room")
    await ears.hear("on_channel_attr_updated", "room", "topic", "tea", "update")
    await ears.hear("on_channel_attr_updated", "room", "", "", "clear")


# --- Obsolete, and warned of


async def test_a_gateway_answers_a_phone_call_and_hears_digits(
    server: LocalServer, web: WebPeer, make: Make
) -> None:
    """A gateway is an account with the phone number as its name."""
    gateway = await web.login("+4912345")
    api, ears = make(server.address)
    api.login("app", "alice", NO_TOKEN)
    with pytest.warns(DeprecationWarning, match="channelInvitePhone3 is obsolete"):
        api.channel_invite_phone3("talk", "+4912345", "+49999", '{"a": 1}')
    [incoming] = await gateway.expect("onInviteReceived")
    assert json.loads(incoming.data["extra"]) == {"a": 1, "srcNum": "+49999"}
    await incoming.call("channelInviteAccept", "")
    [_, account, uid, _] = await ears.hear("on_invite_accepted_by_peer")
    assert account == "+4912345"
    for number in (0, uid):
        with pytest.warns(DeprecationWarning, match="messageDTMFSend is obsolete"):
            sent = api.message_dtmf_send(number, "1*", "")
        await ears.hear("on_message_send_success", sent)
        [extra] = await incoming.expect("onInviteMsg")
        assert json.loads(extra) == {"msgtype": "dtmf", "msgdata": "1*"}
    with pytest.warns(DeprecationWarning, match="use channelInviteDTMF"):
        api.message_dtmf_send(uid + 1, "1*", "nobody's")
    await ears.hear("on_message_send_error", "nobody's", 400)
    with pytest.warns(DeprecationWarning, match="use channelInviteDTMF"):
        api.message_dtmf_send(0, "x", "wrong")
    await ears.hear("on_message_send_error", "wrong", 1004)
    with pytest.warns(DeprecationWarning, match="isOnline is obsolete"):
        assert api.is_online()


@pytest.mark.parametrize("number", ["", "2"])
async def test_the_other_phone_calls_carry_their_source(
    server: LocalServer, web: WebPeer, make: Make, number: str
) -> None:
    gateway = await web.login("12345")
    api, _ = make(server.address)
    api.login("app", "alice", NO_TOKEN)
    call = getattr(api, f"channelInvitePhone{number}")
    with pytest.warns(DeprecationWarning, match=f"channelInvitePhone{number} is obsolete"):
        call("talk", "12345", *(["678"] if number else []))
    [incoming] = await gateway.expect("onInviteReceived")
    assert json.loads(incoming.data["extra"]) == {"srcNum": "678" if number else ""}
