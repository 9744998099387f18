"""Visitors: how many connections and logins an address may have, and who waits after guessing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from typing import Any

import attrs
import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock

from signal_sdk.errors import LoginError
from signal_sdk.server.config import AppConfig, Config, LimitsConfig
from signal_sdk.server.visitors import MAX_GONE, Visitors, network_of
from signal_sdk.testing.memory import MemoryTransport
from signal_sdk.testing.server import local_server
from signal_sdk.wire.tokens import make_token
from tests.server.helpers import (
    APP,
    CERTIFICATE,
    FOREVER,
    OPENING,
    connect,
    dev_config,
    settle,
)
from tests.wire_client import WireClient, wire_client

ONE, OTHER = "192.0.2.1", "192.0.2.2"
NO_LIMITS: dict[str, Any] = {
    "max_connections": 0,
    "app_connections": 0,
    "connections_per_address": 0,
    "connections_per_second": 0,
    "logins_per_second": 0,
    "wrong_logins_per_minute": 0,
    "account_logins_per_minute": 0,
}


def limited(**limits: int) -> Config:
    """A server whose only limits on connections are these, and whose app has a certificate."""
    config = dev_config(**{**NO_LIMITS, **limits})
    return attrs.evolve(config, apps=(AppConfig(id=APP, certificate=CERTIFICATE),))


def visitors(**limits: int) -> Visitors:
    return Visitors(LimitsConfig(**{**NO_LIMITS, **limits}))


async def answered(transport: MemoryTransport) -> bytes:
    """The first that a server says, to who opens a link."""
    transport.send_nowait(OPENING)
    await settle()
    return await transport.receive_some()


def right_token(account: str) -> str:
    return make_token(APP, CERTIFICATE, account, FOREVER * 2)


async def log_in(client: WireClient, account: str, token: str = "") -> tuple[int, str]:
    """The code of a login's refusal, 0 where it succeeded, and the reason."""
    told = await client.login(account, app=APP, token=token or right_token(account))
    return told.get("ecode", 0), told.get("reason", "")


# --- addresses ---


@pytest.mark.parametrize(
    ("host", "network"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", ""),
        ("memory", ""),
    ],
)
def test_an_ipv6_network_of_64_bits_is_one_visitor(host: str, network: str) -> None:
    assert network_of(host) == network


@given(st.text())
def test_what_is_no_address_is_nobodys(host: str) -> None:
    assert isinstance(network_of(host), str)


async def test_an_address_has_so_many_connections_at_once(autojump_clock: MockClock) -> None:
    them = visitors(connections_per_address=2)
    assert [them.come(ONE) for _ in range(3)] == [None, None, "connections_per_address"]
    assert them.come(OTHER) is None
    them.leave(ONE)
    assert them.come(ONE) is None
    assert them.count == 3
    v6 = [f"2001:db8::{number}" for number in range(3)]
    assert [bool(them.come(host)) for host in v6] == [False, False, True]
    # Nobody can tell those apart that have no address.
    assert [them.come("") for _ in range(5)] == [None] * 5


async def test_an_address_begins_so_many_connections_in_a_second(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    them = visitors(connections_per_second=3)

    def come_and_go(host: str) -> bool:
        is_in = not them.come(host)
        if is_in:
            them.leave(host)
        return is_in

    assert [come_and_go(ONE) for _ in range(5)] == [True] * 3 + [False] * 2
    assert come_and_go(OTHER)
    await trio.sleep(1 / 3 + 0.001)
    assert [come_and_go(ONE) for _ in range(2)] == [True, False]
    await trio.sleep(1)
    assert [come_and_go(ONE) for _ in range(4)] == [True] * 3 + [False]
    assert caplog.messages == [
        "an address connects too often: 192.0.2.1, 3 times in a second (connections_per_second)"
    ]
    assert them.count == 0


async def test_the_table_of_those_who_went_is_bounded(autojump_clock: MockClock) -> None:
    them = visitors(connections_per_second=1)
    for number in range(MAX_GONE + 50):
        host = f"2001:db8:{number:x}::1"
        assert them.come(host) is None
        them.leave(host)
        assert them.come(host) is not None
    assert len(them) == MAX_GONE
    # The last ones are remembered.
    assert them.come(f"2001:db8:{MAX_GONE + 49:x}::2") is not None
    assert them.come("2001:db8:0::1") is None


async def test_who_is_exempt_is_not_counted(autojump_clock: MockClock) -> None:
    them = Visitors(LimitsConfig(connections_per_address=1), lambda host: host == ONE)
    assert [them.come(ONE) for _ in range(3)] == [None] * 3
    assert [bool(them.come(OTHER)) for _ in range(2)] == [False, True]
    for _ in range(3):
        them.leave(ONE)
    assert them.count == 1


# --- a server's connections ---


async def test_who_is_over_his_address_s_bound_gets_429_at_once(autojump_clock: MockClock) -> None:
    async with local_server(limited(connections_per_address=1), listens=False) as server:
        first = connect(server, ONE)
        assert (await answered(first)).startswith(b"HTTP/1.1 101 ")
        second = connect(server, ONE)
        answer = await second.receive_some()
        assert answer.startswith(b"HTTP/1.1 429 ")
        assert b"\r\nRetry-After: 5\r\n" in answer
        assert answer.endswith(b"\r\n\r\ntoo many connections from this address\n")
        assert await second.receive_some() == b""
        native = connect(server, ONE, native=True)
        assert await native.receive_some() == b""
        assert len(server.node.acceptor) == 1
        assert (await answered(connect(server, OTHER))).startswith(b"HTTP/1.1 101 ")
        first.close()
        await settle()
        assert (await answered(connect(server, ONE))).startswith(b"HTTP/1.1 101 ")


@pytest.mark.parametrize("way", ["opening", "http", "bad", "silent", "open"])
async def test_however_a_connection_ends_it_counts_no_more(
    autojump_clock: MockClock, way: str
) -> None:
    said = {
        "opening": OPENING[:20],
        "http": b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n",
        "bad": b"nonsense\r\n\r\n",
        "silent": b"",
        "open": OPENING,
    }[way]
    async with local_server(limited(connections_per_address=1), listens=False) as server:
        transport = connect(server, ONE)
        transport.send_nowait(said)
        await settle()
        transport.close()
        await trio.sleep(20)
        assert server.node._visitors.count == len(server.node.acceptor) == 0
        assert (await answered(connect(server, ONE))).startswith(b"HTTP/1.1 101 ")


async def test_a_full_server_says_when_to_come_again_and_far_over_it_asks_nobody(
    autojump_clock: MockClock,
) -> None:
    async with local_server(limited(max_connections=1), listens=False) as server:
        transports = [connect(server, ONE)]
        assert (await answered(transports[0])).startswith(b"HTTP/1.1 101 ")
        transports.append(connect(server, OTHER))
        answer = await answered(transports[1])
        assert answer.startswith(b"HTTP/1.1 503 ")
        assert b"\r\nRetry-After: 5\r\n" in answer
        transports[1].close()
        await settle()
        transports += [connect(server, OTHER) for _ in range(200)]
        assert len(server.node.acceptor) < 80
        assert (await transports[-1].receive_some()).startswith(b"HTTP/1.1 503 ")


async def test_the_last_tenth_is_for_those_who_come_back(autojump_clock: MockClock) -> None:
    async with local_server(limited(max_connections=10), listens=False) as server:
        async with wire_client(connect(server, ONE)) as ann:
            assert await log_in(ann, "ann") == (0, "")
            line = ann.line
        idle = [connect(server, OTHER) for _ in range(9)]
        async with wire_client(connect(server, ONE)) as bob:
            ecode, reason = await log_in(bob, "bob")
            assert ecode == 201
            assert reason == ('only who comes back to a session is let in; {"retry_after": 5}')
            await bob.wait_closed()
        await settle()
        async with wire_client(connect(server, ONE)) as ann:
            ann.send("line_login", {"line": line})
            assert (await ann.login_ret())["result"] == "ok"
        for transport in idle:
            transport.close()


async def test_an_app_has_so_many_connections_and_the_last_tenth_is_for_those_who_come_back(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    config = limited(app_connections=10)
    two = AppConfig(id="two", certificate=CERTIFICATE[::-1])
    config = attrs.evolve(config, apps=(*config.apps, two))
    full = 'the app has as many connections as it may; {"retry_after": 5}'
    async with local_server(config, listens=False) as server, AsyncExitStack() as stack:

        async def enter() -> WireClient:
            return await stack.enter_async_context(wire_client(connect(server, ONE)))

        lines = []
        for number in range(2):
            async with wire_client(connect(server, ONE)) as client:
                assert await log_in(client, f"gone{number}") == (0, "")
                lines.append(client.line)
        here = [await enter() for _ in range(9)]
        for number, client in enumerate(here):
            assert await log_in(client, f"u{number}") == (0, "")
        for _ in range(2):
            async with wire_client(connect(server, OTHER)) as client:
                assert await log_in(client, "new") == (201, full)
                await client.wait_closed()
        # Who takes the place of a connection of its own makes it no fuller; another app has room.
        assert await log_in(await enter(), "u8") == (0, "")
        await here[8].wait_closed()
        other = await enter()
        token = make_token("two", CERTIFICATE[::-1], "new", FOREVER * 2)
        assert (await other.login("new", app="two", token=token))["result"] == "ok"

        back = await enter()
        back.send("line_login", {"line": lines[0]})
        assert (await back.login_ret())["result"] == "ok"
        async with wire_client(connect(server, ONE)) as client:
            client.send("line_login", {"line": lines[1]})
            told = await client.login_ret()
            assert (told["ecode"], told["reason"]) == (201, full)
            await client.wait_closed()
        await back.call("user_logout")
        back = await enter()
        back.send("line_login", {"line": lines[1]})
        assert (await back.login_ret())["result"] == "ok"
    warnings = [record for record in caplog.records if record.levelname == "WARNING"]
    assert [record.getMessage() for record in warnings] == [
        "nobody new of an app is let in: 'app' has 9 connections (app_connections)"
    ]


async def test_where_there_are_no_descriptors_the_newest_go_that_are_not_logged_in(
    autojump_clock: MockClock,
) -> None:
    async with local_server(limited(), listens=False) as server:
        old = [connect(server, OTHER) for _ in range(5)]
        async with wire_client(connect(server, ONE)) as ann:
            assert await log_in(ann, "ann") == (0, "")
            opened = [connect(server, OTHER) for _ in range(9)]
            for transport in opened:
                await answered(transport)
            new = [connect(server, OTHER) for _ in range(9)]
            server.node.acceptor.shed()
            await settle()
            # All 9 that have said nothing yet, 2 of the old ones, and the newest 2 of the others.
            assert [await is_open(transport) for transport in new] == [False] * 9
            assert [await is_open(transport) for transport in opened] == [True] * 7 + [False] * 2
            assert [await is_open(transport) for transport in old] == [False] * 5
            ann.send("ping", 1)
            assert await ann.expect("pong") == 1


async def is_open(transport: MemoryTransport) -> bool:
    return transport.receive_nowait() is None


# --- logins ---


@contextmanager
def refused_with(ecode: int, reason: str) -> Iterator[None]:
    with pytest.raises(LoginError, match=reason) as caught:
        yield
    assert caught.value.ecode == ecode
    assert caught.value.retry_after is not None


async def test_an_address_tries_so_many_logins_in_a_second(autojump_clock: MockClock) -> None:
    them = visitors(logins_per_second=2)
    for host in (ONE, OTHER):
        them.come(host)
    for _ in range(2):
        them.check_login(ONE, is_resume=False)
    for is_resume in (True, False):
        with refused_with(201, "more than 2 logins in a second from this address"):
            them.check_login(ONE, is_resume=is_resume)
    them.check_login(OTHER, is_resume=False)
    await trio.sleep(0.51)
    them.check_login(ONE, is_resume=True)


async def test_who_guesses_waits_ever_longer_and_whoever_has_a_session_does_not(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    them = visitors(wrong_logins_per_minute=3)
    them.come(ONE)
    for _ in range(3):
        them.count_wrong(ONE)
        them.check_login(ONE, is_resume=False)
    waits = []
    for _ in range(8):
        while True:
            them.count_wrong(ONE)
            try:
                them.check_login(ONE, is_resume=False)
            except LoginError as exc:
                waits.append(exc.retry_after or 0)
                break
        them.check_login(ONE, is_resume=True)
        await trio.sleep(waits[-1])
    them.check_login(ONE, is_resume=False)
    assert waits[:6] == [2, 4, 8, 16, 32, 60]
    assert caplog.messages[0] == (
        "an address gives wrong tokens or lines: 192.0.2.1: its logins wait "
        "(wrong_logins_per_minute)"
    )
    assert len(caplog.messages) <= 1 + sum(waits) // 60
    # After some quiet, all is as at first.
    await trio.sleep(200)
    for _ in range(3):
        them.count_wrong(ONE)
    them.check_login(ONE, is_resume=False)


async def test_wrong_tokens_and_lines_are_slowed_down_and_not_told_apart(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    good = right_token("ann")
    wrong = [
        good.replace(":app:", ":other:"),
        good[:-1] + ("0" if good[-1] != "0" else "1"),
        good.replace("1:", "2:", 1),
        right_token("bob"),
        "nonsense",
    ]
    async with local_server(limited(wrong_logins_per_minute=6), listens=False) as server:
        reasons = set()
        for token in wrong:
            async with wire_client(connect(server, ONE)) as client:
                ecode, reason = await log_in(client, "ann", token)
                assert ecode == 206
                reasons.add(reason)
        assert len(reasons) == 1
        for _ in range(2):
            async with wire_client(connect(server, ONE)) as client:
                client.send("line_login", {"line": "x" * 32})
                assert (await client.login_ret())["ecode"] == 202
        async with wire_client(connect(server, ONE)) as client:
            ecode, reason = await log_in(client, "ann")
            assert (ecode, reason) == (
                201,
                'too many wrong logins came from this address; {"retry_after": 2}',
            )
            await client.wait_closed()
        async with wire_client(connect(server, OTHER)) as client:
            assert await log_in(client, "ann") == (0, "")
        await trio.sleep(2)
        async with wire_client(connect(server, ONE)) as client:
            assert await log_in(client, "ann") == (0, "")
    warnings = [record for record in caplog.records if record.levelname == "WARNING"]
    assert len(warnings) == 1
    assert not any(token in caplog.text for token in wrong if token != "nonsense")


async def test_an_app_id_that_is_unknown_is_said_to_be_that(autojump_clock: MockClock) -> None:
    config = limited()
    config = attrs.evolve(config, server=attrs.evolve(config.server, dev=False))
    async with local_server(config, listens=False) as server, wire_client(server.connect()) as ann:
        told = await ann.login("ann", app="nope", token=right_token("ann"))
        assert (told["ecode"], told["reason"]) == (202, "unknown app id 'nope'")


async def test_an_account_logs_in_so_many_times_a_minute_and_nobody_else_uses_that_up(
    autojump_clock: MockClock,
) -> None:
    async with local_server(limited(account_logins_per_minute=2), listens=False) as server:
        for _ in range(5):
            async with wire_client(connect(server, OTHER)) as client:
                assert (await log_in(client, "ann", right_token("bob")))[0] == 206
        for _ in range(2):
            async with wire_client(connect(server, ONE)) as client:
                assert await log_in(client, "ann") == (0, "")
        async with wire_client(connect(server, ONE)) as client:
            ecode, reason = await log_in(client, "ann")
            assert ecode == 201
            assert reason.startswith("more than 2 logins of the account in a minute; ")
        async with wire_client(connect(server, ONE)) as client:
            assert await log_in(client, "bob") == (0, "")
        await trio.sleep(30.1)
        async with wire_client(connect(server, ONE)) as client:
            assert await log_in(client, "ann") == (0, "")
