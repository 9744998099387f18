"""What each kind of bad input gets from a server's process, and what it costs that: all of the
table in docs/protocol.md, one by one.

How each kind looks in all its shapes is in test_bad_input.py and beside it.
"""

from __future__ import annotations

import contextlib
import re
import sys
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Final

import attrs
import pytest
import trio

from signal_sdk.errors import LinkError
from signal_sdk.net.transport import Transport
from tests.server.real_server import TIMES, RealServer, cost_of, real_server, token_of
from tests.wire_client import WireClient

PAGE: Final = (Path(__file__).parents[2] / "docs" / "protocol.md").read_text()
CPU_MS: Final = 100.0
"""How much of a processor one of them may take at most: none takes a fifth of that on a machine
that has nothing else to do."""
KIB: Final = 256.0
"""How much memory may stay of each."""
MANY: Final = 80
LONE: Final = rb"\ud83d"


async def is_sent_away(client: WireClient, code: int) -> None:
    """It hears `close`, and its connection ends with `code`."""
    assert (await client.expect("close"))["reason"]
    assert (await client.wait_closed()).code == code


async def is_refused(client: WireClient, callid: int, ecode: int) -> None:
    reply = await client.reply(callid)
    assert (reply["result"], reply["ecode"]) == ("failed", ecode)


async def rest_of(transport: Transport) -> bytes:
    """All that is said up to the end."""
    data = b""
    with contextlib.suppress(LinkError):
        while more := await transport.receive_some():
            data += more
    transport.close()
    return data


# --- each kind, once ---


async def no_frame(server: RealServer) -> None:
    async with server.stranger() as client:
        client.send_raw(b'["ping", 1')
        await is_sent_away(client, 1007)


async def half_a_pair(server: RealServer) -> None:
    ann = server.ann
    text = b'["call2",["channel_query_num",99,{"line":"%b","name":"%b"}]]'
    ann.send_raw(text % (ann.line.encode(), LONE))
    await is_refused(ann, 99, 1004)


async def half_a_pair_logs_in(server: RealServer) -> None:
    async with server.stranger() as client:
        client.send_raw(b'["login",{"vid":"app","account":"%b","token":"x"}]' % LONE)
        assert (await client.login_ret())["ecode"] == 209


async def unknown_event(server: RealServer) -> None:
    server.ann.send("no_such_event", {"a": 1})
    server.ann.send("ping", 7)
    assert await server.ann.expect("pong") == 7


async def unknown_function(server: RealServer) -> None:
    await is_refused(server.ann, server.ann.request("no_such_function"), 1004)


async def too_long(server: RealServer) -> None:
    value = "\x01" * 4097
    await is_refused(server.ann, server.ann.request("user_set_attr", name="a", value=value), 1005)


async def wrong_line(server: RealServer) -> None:
    callid = server.ann.request("channel_query_num", line="another's", name="room")
    await is_refused(server.ann, callid, 1003)


async def logs_in_twice(server: RealServer) -> None:
    assert (await server.ann.login("ann", token=token_of("ann")))["ecode"] == 208


async def stores_nothing(server: RealServer) -> None:
    name = server.next_name()
    reply = await server.waiting.pop().login(name, token=token_of(name))
    assert reply["ecode"] == 201


async def logs_in_too_often(server: RealServer) -> None:
    async with server.stranger() as client:
        reply = await client.login("bob", token=token_of("bob"))
        assert reply["result"] == "ok" or re.search(r'{"retry_after": [\d.]+}$', reply["reason"])
        assert reply["result"] == "ok" or reply["ecode"] == 201


async def wrong_token(server: RealServer) -> None:
    async with server.stranger() as client:
        assert (await client.login("ann", token=token_of("bob")))["ecode"] == 206


async def one_too_many(server: RealServer) -> None:
    transport = await server.dial()
    answer = await rest_of(transport)
    assert answer.startswith(b"HTTP/1.1 429 ")
    assert b"\r\nRetry-After: " in answer


async def changes_unstored(server: RealServer) -> None:
    await is_refused(server.ann, server.ann.request("user_set_attr", name="a", value="b"), 1001)


async def too_long_a_frame(server: RealServer) -> None:
    async with server.logged_in() as client:
        client.send_raw(b'["ping", "%b"]' % (b"x" * 200_000))
        assert (await client.wait_closed()).code == 1009


async def too_long_before_a_login(server: RealServer) -> None:
    async with server.stranger() as client:
        client.send_raw(b'["login", "%b"]' % (b"x" * 9_000))
        assert (await client.wait_closed()).code == 1009


async def too_much_before_a_login(server: RealServer) -> None:
    async with server.stranger() as client:
        for _ in range(1000):
            client.send("ping", 1)
        assert (await client.wait_closed()).code == 1008


async def too_long_an_opening(server: RealServer) -> None:
    transport = await server.dial()
    transport.send_nowait(b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"x" * 17_000)
    assert (await rest_of(transport)).startswith(b"HTTP/1.1 431 ")
    transport = await server.dial()
    transport.send_nowait(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n")
    assert await rest_of(transport) == b""


async def no_login(server: RealServer) -> None:
    async with server.stranger() as client:
        await is_sent_away(client, 1008)


async def silence(server: RealServer) -> None:
    async with server.logged_in() as client:
        while client.closed is None:
            # Others are not silent meanwhile.
            server.ann.send("ping", 1)
            with trio.move_on_after(0.2):
                await client.wait_closed()
        await is_sent_away(client, 1008)


Act = Callable[[RealServer], Awaitable[None]]


@attrs.frozen
class Kind:
    """How it is sent, and how many times; with which server."""

    act: Act
    times: int = TIMES
    where: str = "defaults"


SERVERS: Final[dict[str, dict[str, int]]] = {
    "defaults": {},
    "nothing can be stored": {},
    "few logins": {"account_logins_per_minute": 3},
    "one connection": {"connections_per_address": 1},
    "no time for strangers": {"handshake_seconds": 1},
    "no time for silence": {"silence_seconds": 1},
}
"""The servers that are tried, by their limits."""
UNSTORED: Final = "nothing can be stored"
KINDS: Final[dict[str, Kind]] = {
    "not JSON, not": Kind(no_frame),
    "a request whose arguments hold half a surrogate pair": Kind(half_a_pair, MANY),
    "a `login` whose account holds half a surrogate pair": Kind(half_a_pair_logs_in),
    "an unknown event": Kind(unknown_event, MANY),
    "an unknown function": Kind(unknown_function, MANY),
    "an argument over its limit": Kind(too_long, MANY),
    "`call2` before login": Kind(wrong_line, MANY),
    "`login` or `line_login` on a connection that is logged in": Kind(logs_in_twice, MANY),
    "`login` or `line_login` while": Kind(stores_nothing, where=UNSTORED),
    "`login` where only": Kind(logs_in_too_often, where="few logins"),
    "a wrong token": Kind(wrong_token),
    "a connection too many": Kind(one_too_many, where="one connection"),
    "a request that changes anything": Kind(changes_unstored, MANY, where=UNSTORED),
    "a frame over `max_frame_bytes`": Kind(too_long_a_frame),
    "before a login, a frame": Kind(too_long_before_a_login),
    "before a login, more than": Kind(too_much_before_a_login),
    "an opening request over": Kind(too_long_an_opening),
    "no login within": Kind(no_login, 1, where="no time for strangers"),
    "silence for": Kind(silence, 1, where="no time for silence"),
}
"""By how each begins in the page's table."""
ELSEWHERE: Final = (
    "a join that would be more",
    "`line_login` of an app that has all",
    "before a login, half of a frame",
)
"""Those that take many connections or clients: test_refusals.py, test_visitors.py,
test_strangers.py."""


def test_every_kind_of_the_page_is_tried() -> None:
    table = PAGE.split("### What is refused, and how")[1].split("\n## ")[0]
    rows = re.findall(r"^\| (.+?) \| .+ \|$", table, re.MULTILINE)[2:]
    known = [*KINDS, *ELSEWHERE]
    assert len(rows) == len(known)
    assert all(sum(row.startswith(key) for row in rows) == 1 for key in known)


@pytest.mark.skipif(sys.platform != "linux", reason="what a process takes is read in /proc")
@pytest.mark.parametrize("where", SERVERS)
async def test_bad_input_gets_its_answer_and_costs_little(tmp_path: Path, where: str) -> None:
    kinds = {what: kind for what, kind in KINDS.items() if kind.where == where}
    async with real_server(tmp_path, SERVERS[where]) as server, AsyncExitStack() as stack:
        if where == UNSTORED:
            # Nobody new is let in, then.
            for _ in range(2 * TIMES):
                server.waiting.append(await stack.enter_async_context(server.stranger()))
            server.store_nothing()
            await changes_unstored(server)
        for what, kind in kinds.items():
            with trio.fail_after(60):
                cost = await cost_of(server, kind.act, kind.times)
                # Nobody else has noticed.
                reply = await server.ann.call("channel_query_num", name="room")
            sys.stdout.write(f"COST | {what} | {cost.cpu_ms:.2f} ms | {cost.kib:.1f} KiB |\n")
            assert reply["result"] == "ok", what
            assert cost.cpu_ms < CPU_MS, what
            assert cost.kib < KIB, what
