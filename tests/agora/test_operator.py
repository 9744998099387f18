"""What the flat API's user hears of an operator."""

from __future__ import annotations

import pytest
import trio

from signal_sdk.ecodes import ECode
from signal_sdk.errors import SignalError
from signal_sdk.testing.server import LocalServer
from tests.agora.conftest import Make
from tests.two_nodes import nodes_of


async def test_who_is_removed_hears_601_and_who_is_kicked_103(
    server: LocalServer, make: Make
) -> None:
    operator = nodes_of(server)[-1].operator
    api, ears = make(server.address)
    api.login("app", "alice", "_no_need_token")
    await ears.hear("on_login_success")
    await trio.to_thread.run_sync(api.channel_join, "room")
    await ears.hear("on_channel_joined", "room")
    await operator.remove("app", "alice", "room")
    await ears.hear("on_channel_leaved", "room", 601)
    assert ears.seen("on_channel_user_leaved") == []
    await operator.send("app", "alice", "hello")
    await ears.hear("on_message_instant_receive", "_agora_system", 0, "hello")
    await operator.kick("app", "alice")
    await ears.hear("on_logout", 103)


async def test_nobody_sends_it_bytes_nor_its_channel(server: LocalServer, make: Make) -> None:
    operator = nodes_of(server)[-1].operator
    api, ears = make(server.address)
    api.login("app", "alice", "_no_need_token")
    await ears.hear("on_login_success")
    await trio.to_thread.run_sync(api.channel_join, "room")
    await ears.hear("on_channel_joined", "room")
    for sending in (
        operator.send("app", "alice", b"\xff"),
        operator.send_to_channel("app", "room", b"\xff"),
    ):
        with pytest.raises(SignalError) as refused:
            await sending
        assert refused.value.ecode is ECode.GENERAL_E_WRONG_PARAM
    await operator.send("app", "alice", "text")
    await ears.hear("on_message_instant_receive", "_agora_system", 0, "text")
