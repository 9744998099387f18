"""The bot between Discord and a channel: as a process with stdin for Discord, and with the real
client class, of which what needs Discord's service is left out.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from signal_sdk import ChannelJoined, ChannelMessage, UserJoined
from signal_sdk.sync import Signal
from tests.samples.programs import ROOT
from tests.threads import threaded_server

WAIT_SECONDS = 60
CLIENT = """
import asyncio, sys
from types import SimpleNamespace
from samples.asyncio_bot import Bridge, listen
from signal_sdk.aio import Signal


async def main():
    client = Bridge(7)
    said = asyncio.Queue()
    client.get_channel = lambda id: None
    async with (
        client,
        Signal("demo", server=sys.argv[1]) as signal,
        signal.login("bridge", "_no_need_token") as session,
        session.channel("lobby") as room,
    ):
        client.room = room
        author = SimpleNamespace(id=1, display_name="Dora")
        for channel in (7, 8):
            where = SimpleNamespace(id=channel)
            message = SimpleNamespace(author=author, channel=where, content=f"in {channel}")
            # As the gateway's events reach it.
            client.dispatch("message", message)
        async def say(text):
            await client.say(text)
            said.put_nowait(text)
        listening = asyncio.create_task(listen(room, "bridge", say))
        print(await said.get(), flush=True)
        listening.cancel()


asyncio.run(main())
"""


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with threaded_server() as server:
        yield server.address


def start(*command: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, *command],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), "DISCORD_TOKEN": ""},
    )


def test_stdin_and_a_channel(address: str) -> None:
    with (
        Signal("demo", server=address) as signal,
        signal.login("ann", "_no_need_token") as ann,
        ann.channel("lobby") as lobby,
        lobby.events(timeout=WAIT_SECONDS) as events,
        start("samples/asyncio_bot.py", "--server", address) as bot,
    ):
        assert bot.stdin is not None
        assert bot.stdout is not None
        assert bot.stdout.readline() == "bridge is in lobby\n"
        assert isinstance(next(events), ChannelJoined)
        assert isinstance(next(events), UserJoined)
        bot.stdin.write(f"hello\n{'x' * 9000}\n")
        bot.stdin.flush()
        event = next(events)
        assert isinstance(event, ChannelMessage)
        assert (event.account, event.text) == ("bridge", "hello")
        assert "9000" in bot.stdout.readline()
        lobby.message_channel_send("hi there")
        assert bot.stdout.readline() == "ann: hi there\n"
        bot.stdin.close()
        assert bot.wait(WAIT_SECONDS) == 0


def test_the_discord_client(address: str) -> None:
    """Its own channel's messages are carried, others are not."""
    with (
        Signal("demo", server=address) as signal,
        signal.login("ben", "_no_need_token") as ben,
        ben.channel("lobby") as lobby,
        lobby.events(timeout=WAIT_SECONDS) as events,
        start("-c", CLIENT, address) as bot,
    ):
        assert bot.stdout is not None
        texts: list[str] = []
        for event in events:
            if isinstance(event, ChannelMessage):
                texts.append(event.text)
                break
        assert texts == ["Dora: in 7"]
        lobby.message_channel_send("hi")
        assert bot.stdout.readline() == "ben: hi\n"
        assert bot.wait(WAIT_SECONDS) == 0
