"""A bot that carries messages between a Discord channel and one here, both in one asyncio loop.

    pip install discord.py
    DISCORD_TOKEN=… python samples/asyncio_bot.py --server 127.0.0.1:8001 --app demo \
        --discord-channel 123456789

Without a token, the lines of stdin stand for Discord, whose library is needed all the same.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable

import discord

from signal_sdk import Channel, ChannelMessage, SignalError
from signal_sdk.aio import Signal

Say = Callable[[str], Awaitable[object]]


class Bridge(discord.Client):
    """Discord's side: what is said in one of its channels, and what is to be said there."""

    def __init__(self, discord_channel: int) -> None:
        intents = discord.Intents.default()
        intents.message_content = True
        super().__init__(intents=intents)
        self.discord_channel = discord_channel
        self.room: Channel | None = None

    async def on_message(self, message: discord.Message) -> None:
        is_ours = self.user is not None and message.author.id == self.user.id
        if self.room is not None and message.channel.id == self.discord_channel and not is_ours:
            await carry(self.room, f"{message.author.display_name}: {message.content}")

    async def say(self, text: str) -> None:
        there = self.get_channel(self.discord_channel)
        if isinstance(there, discord.abc.Messageable):
            await there.send(text)


async def carry(room: Channel, text: str) -> None:
    """Say something here. Whatever is wrong with it, the other side goes on."""
    try:
        await room.message_channel_send(text)
    except SignalError as exc:
        print(f"not carried: {exc}", flush=True)


async def listen(room: Channel, account: str, say: Say) -> None:
    """Say there what others say here."""
    async for event in room.events():
        match event:
            case ChannelMessage(account=other, text=text) if other != account:
                await say(f"{other}: {text}")
            case _:
                pass


async def lines() -> AsyncIterator[str]:
    """What is typed."""
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        yield line.decode().strip()


async def show(text: str) -> None:
    print(text, flush=True)


async def main(args: argparse.Namespace) -> None:
    discord_token = os.environ.get("DISCORD_TOKEN", "")
    async with (
        Signal(args.app, server=args.server) as signal,
        signal.login(args.account, args.token) as session,
        session.channel(args.channel) as room,
    ):
        await show(f"{session.account} is in {room.name}")
        async with asyncio.TaskGroup() as tasks:
            if discord_token:
                client = Bridge(args.discord_channel)
                client.room = room
                listening = tasks.create_task(listen(room, args.account, client.say))
                async with client:
                    await client.start(discord_token)
            else:
                listening = tasks.create_task(listen(room, args.account, show))
                async for line in lines():
                    await carry(room, line)
            listening.cancel()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="A bot between Discord and a channel here.")
    parser.add_argument("--server", help="HOST:PORT (default: $SIGNAL_SDK_SERVER, or this machine)")
    parser.add_argument("--app", default="demo", help="the app's id")
    parser.add_argument("--account", default="bridge")
    parser.add_argument("--token", default="_no_need_token")
    parser.add_argument("--channel", default="lobby", help="the channel here")
    parser.add_argument("--discord-channel", type=int, default=0, help="the channel's id there")
    try:
        asyncio.run(main(parser.parse_args()))
    except SignalError as exc:
        sys.exit(f"error: {exc}")
    except KeyboardInterrupt:
        sys.exit(130)
