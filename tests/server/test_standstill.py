"""A server that stood still (SIGSTOP, a suspended machine): what its clients said meanwhile counts,
and they have time for the rest. On the mock clock, a jump is such a time.
"""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock

from signal_sdk.server.config import AppConfig, Config
from signal_sdk.server.engine.base import AccountKey
from signal_sdk.server.engine.pending import waited
from signal_sdk.testing.server import EPOCH, LocalServer, local_server
from signal_sdk.websocket.frames import TEXT, encode_masked
from signal_sdk.wire import frames, tokens
from tests.server.helpers import (
    APP,
    CERTIFICATE,
    OPENING,
    LogIn,
    dev_config,
    pushed,
    settle,
    told,
    vanishing_client,
)
from tests.wire_client import logged_in

STILL = 60.0
"""Longer than a silence, a handshake and an invitation may last."""
CLOSE = 0x88
"""The first byte of a closing frame."""


@pytest.fixture
def config() -> Config:
    return dev_config(silence_seconds=20)


async def test_whoever_has_pinged_stays(
    server: LocalServer, log_in: LogIn, autojump_clock: MockClock
) -> None:
    clients = [await log_in(f"user{number}") for number in range(50)]
    await trio.sleep(19)
    for client in clients:
        client.send("ping", 1)
    await trio.lowlevel.checkpoint()
    autojump_clock.jump(STILL)
    await trio.sleep(10)
    assert server.node.sessions == len(clients)


async def test_whoever_pings_within_a_ping_s_time_after_it_stays_and_nobody_hears_anything(
    server: LocalServer, log_in: LogIn, autojump_clock: MockClock
) -> None:
    watcher = await log_in("watcher")
    await watcher.call("channel_join", name="_agora_user_online")
    ann = await log_in("ann")
    assert await told(watcher) != []
    await trio.sleep(15)
    autojump_clock.jump(STILL)
    await trio.sleep(10)
    for client in (watcher, ann):
        client.send("ping", 1)
    await trio.sleep(15)
    assert server.node.sessions == 2
    assert await told(watcher) == []
    await trio.sleep(10)
    assert server.node.sessions == 0, "a silence is one all the same"


async def test_an_opening_request_that_waits_is_answered(
    server: LocalServer, autojump_clock: MockClock
) -> None:
    waiting = [server.connect() for _ in range(50)]
    await settle()
    text = frames.encode_frame("login", {"vid": APP, "account": "ann", "token": "_no_need_token"})
    for transport in waiting:
        transport.send_nowait(OPENING + encode_masked(TEXT, text))
    autojump_clock.jump(STILL)
    for transport in waiting:
        assert (await transport.receive_some()).startswith(b"HTTP/1.1 101")


async def test_a_login_comes_in_time(server: LocalServer, autojump_clock: MockClock) -> None:
    transport = server.connect()
    transport.send_nowait(OPENING)
    await settle()
    autojump_clock.jump(STILL)
    await trio.sleep(5)
    text = frames.encode_frame("login", {"vid": APP, "account": "ann", "token": "_no_need_token"})
    transport.send_nowait(encode_masked(TEXT, text))
    await settle()
    assert server.node.sessions == 1


async def test_an_invitation_does_not_run_out(log_in: LogIn, autojump_clock: MockClock) -> None:
    ann, bob = await log_in("ann"), await log_in("bob")
    await ann.call("voip_invite", channelName="room", peer="bob", extra="")
    await pushed(bob)
    autojump_clock.jump(STILL)
    await trio.sleep(5)
    accepted = await bob.call("voip_invite_accept", channelName="room", peer="ann", extra="")
    assert accepted["result"] == "ok"
    assert [kind for kind, _ in await pushed(ann)] == ["voip_invite_accept"]


async def test_a_lease_does_not_run_out(server: LocalServer, autojump_clock: MockClock) -> None:
    async with logged_in(server, "ann") as ann:
        line = ann.line
    await settle()
    await trio.sleep(100)
    autojump_clock.jump(100 * STILL)
    await trio.sleep(20)
    async with vanishing_client(server, "somebody"):
        presence = await waited(server.node.engine.presence(AccountKey(APP, "ann")))
        assert presence is not None
    assert line


async def test_a_token_s_end_is_the_wall_s_clock_s(autojump_clock: MockClock) -> None:
    config = Config(apps=(AppConfig(id=APP, certificate=CERTIFICATE),))
    token = tokens.make_token(APP, CERTIFICATE, "ann", int(EPOCH + trio.current_time() + STILL / 2))
    async with (
        local_server(config, listens=False) as server,
        logged_in(server, "ann", token=token) as ann,
    ):
        autojump_clock.jump(STILL)
        ann.send("ping", 1)
        await trio.sleep(1.5)
        assert server.node.sessions == 0


async def test_a_stop_waits_for_the_clients_farewell(
    server: LocalServer, autojump_clock: MockClock
) -> None:
    transport = server.connect()
    transport.send_nowait(OPENING)
    await settle()
    server.node.stop()
    await settle()
    autojump_clock.jump(STILL)
    await trio.sleep(5)
    assert len(server.node.acceptor) == 1
    transport.send_nowait(encode_masked(CLOSE, b"\x03\xe9"))
    transport.close()
    await settle()
    assert len(server.node.acceptor) == 0
