"""What calls carry: an invitation of the flat API only JSON, each other step any text."""

from __future__ import annotations

import pytest

from tests.agora.conftest import Make, ThreadedServer
from tests.agora.ears import Ears

NO_TOKEN = "_no_need_token"


@pytest.mark.parametrize("last", ["refuse", "end"])
def test_plain_text_goes_both_ways_in_a_call(
    far_server: ThreadedServer, make: Make, last: str
) -> None:
    ears: dict[str, Ears] = {}
    apis = {}
    for account in ("alice", "bob"):
        apis[account], ears[account] = make(far_server.address)
        apis[account].login("app", account, NO_TOKEN)
        ears[account].wait("on_login_success")
    alice, bob = apis["alice"], apis["bob"]
    alice.channel_invite_user2("talk", "bob", "hello {")
    assert ears["alice"].wait("on_invite_failed")[3] == 700
    alice.channel_invite_user2("talk", "bob", '{"say": 1}')
    assert ears["bob"].wait("on_invite_received")[3] == '{"say": 1}'
    if last == "refuse":
        bob.channel_invite_refuse("talk", "alice", 0, "busy")
        assert ears["alice"].wait("on_invite_refused_by_peer")[3] == "busy"
    else:
        bob.channel_invite_accept("talk", "alice", 0, "yes please")
        assert ears["alice"].wait("on_invite_accepted_by_peer")[3] == "yes please"
        alice.channel_invite_end("talk", "bob")
        ears["bob"].wait("on_invite_end_by_peer")
