"""The demo as its user runs it: all programs come, talk and go."""

from __future__ import annotations

import re
import signal
import socket
from contextlib import suppress
from uuid import uuid4

import httpx
import pytest

from tests.samples.programs import MARK, Program, marked, program

DEMO = ("-m", "samples.demo", "--page-port", "0", "--port")


async def test_it_ends_by_itself_when_the_time_is_over() -> None:
    mark = uuid4().hex
    async with program(*DEMO, "0", "--seconds", "3", env={MARK: mark}) as demo:
        await demo.expect("all has ended")
        assert await demo.end() == 0
    assert marked(mark) == []


async def test_it_shows_the_conversation_and_the_page() -> None:
    mark = uuid4().hex
    async with program(*DEMO, "0", env={MARK: mark}) as demo:
        await demo.expect(r"^  server \| .*DEVELOPMENT MODE")
        await demo.expect(r"^ visitor \| visitor reads: 'Hello!'")
        await demo.expect(r"^ visitor \| visitor reads in lobby: 'Welcome, visitor!'")
        await demo.expect(r"^ visitor \| visitor hears: 'Welcome! Dial 1")
        await demo.expect(r"^ visitor \| visitor has done all")
        await demo.expect(r"^ old app \| old-app reads: 'Still here\?'")
        await demo.expect(r"^ old app \| old-app reads in lobby: 'Welcome, old-app!'")
        await demo.expect(r"^ old app \| old-app hears: 'Welcome! Dial 1")
        await demo.expect(r"^ old app \| old-app is on its way home")
        await demo.expect(r"^    many \| 50 bots in 5 apps")
        url = (await demo.expect(r"^    demo \| now it is your turn: (http://\S+) is the page"))[1]
        # Which program's line is read first is chance.
        assert "    echo | visitor says 'Hello!'" in demo.written
        assert "    desk | visitor dials 2" in demo.written
        async with httpx.AsyncClient(trust_env=False) as client:
            assert "agora-signaling-sdk" in (await client.get(url)).text
        assert len(marked(mark)) == 6  # itself, two servers, three bots
        await ended(demo)
    assert marked(mark) == []


@pytest.mark.parametrize("moment", ["listening on", "has joined lobby", "it is your turn"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_a_signal_ends_everything_at_any_moment(number: signal.Signals, moment: str) -> None:
    mark = uuid4().hex
    async with program(*DEMO, "0", env={MARK: mark}) as demo:
        await demo.expect(moment)
        demo.send(number)
        assert await demo.end() == 0
    assert marked(mark) == []
    assert not any("Traceback" in line for line in demo.lines)


async def test_ports_that_are_taken_are_no_obstacle() -> None:
    taken = []
    for port in (8001, 8080):
        # Where somebody else has it already, it is taken as well.
        with suppress(OSError):
            taken.append(socket.create_server(("127.0.0.1", port)))
    try:
        async with program("-m", "samples.demo") as demo:
            await demo.expect("port 8001 is taken")
            server = (await demo.expect(r"listening on ws://(127\.0\.0\.1:\d+)/"))[1]
            assert server != "127.0.0.1:8001"
            url = (await demo.expect("it is your turn: (http://[^ ]+) is the page"))[1]
            assert re.fullmatch(rf"http://127\.0\.0\.1:\d+/\?server={re.escape(server)}", url)
            await ended(demo)
    finally:
        for sock in taken:
            sock.close()


async def test_a_program_that_fails_ends_everything_with_1() -> None:
    mark = uuid4().hex
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        async with program(*DEMO, str(port), env={MARK: mark}) as demo:
            assert await demo.end() == 1
    assert demo.lines[-1] == "error: server has ended with exit code 1"
    assert marked(mark) == []


async def ended(demo: Program) -> None:
    """End it, and wait for that."""
    demo.send(signal.SIGTERM)
    assert await demo.end() == 0
