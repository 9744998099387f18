"""A bot that says what it is told: each message to it, and in a channel what begins with "echo".

    python samples/echo_bot.py --server 127.0.0.1:8001 --app demo

It greets those who join the channel. Ctrl-C (or SIGTERM) logs it out.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import AsyncIterator
from signal import SIGINT, SIGTERM

import trio

from signal_sdk import (
    Channel,
    ChannelCallback,
    ECode,
    LoginCallback,
    LoginSession,
    Signal,
    SignalError,
)

PREFIX = "echo "


class EchoBot(LoginCallback, ChannelCallback):
    """One object may hear of everything, as here, or each kind of callback have its own."""

    async def on_message_instant_receive(
        self, session: LoginSession, account: str, uid: int, msg: str
    ) -> None:
        say(f"{account} says {msg!r}")
        if account != session.account:
            # A bot that awaits nothing here hears of a failure in on_error, and is not held up.
            session.message_instant_send(account, msg)

    async def on_channel_user_joined(
        self, session: LoginSession, channel: Channel, account: str, uid: int
    ) -> None:
        say(f"{account} has joined {channel.name}")
        channel.message_channel_send(f"Welcome, {account}!")

    async def on_channel_user_leaved(
        self, session: LoginSession, channel: Channel, account: str, uid: int
    ) -> None:
        say(f"{account} has left {channel.name}")

    async def on_message_channel_receive(
        self, session: LoginSession, channel: Channel, account: str, uid: int, msg: str
    ) -> None:
        # A bot's own messages come back to it, too.
        if account != session.account and msg.startswith(PREFIX):
            say(f"{account} says {msg!r} in {channel.name}")
            channel.message_channel_send(msg.removeprefix(PREFIX))

    async def on_error(self, session: LoginSession, ecode: ECode, reason: str) -> None:
        say(f"error: {reason}")


async def main(args: argparse.Namespace) -> ECode:
    bot = EchoBot()
    async with Signal(args.app, server=args.server) as signal:
        session = await signal.login(args.account, args.token, bot)
        channel = await session.channel_join(args.channel, bot)
        with trio.open_signal_receiver(SIGINT, SIGTERM) as signals:
            say(f"{session.account} is online, and in {channel.name}")
            async with trio.open_nursery() as nursery:
                nursery.start_soon(log_out_on_signal, signals, session)
                ecode = await session.wait_logged_out()
                nursery.cancel_scope.cancel()
    return ecode


async def log_out_on_signal(signals: AsyncIterator[int], session: LoginSession) -> None:
    async for _ in signals:
        session.logout()


def say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="A bot that answers with what it is told.")
    parser.add_argument("--server", help="HOST:PORT (default: $SIGNAL_SDK_SERVER, or this machine)")
    parser.add_argument("--app", default="demo", help="the app's id")
    parser.add_argument("--account", default="echo")
    parser.add_argument("--token", default="_no_need_token")
    parser.add_argument("--channel", default="lobby", help="the channel to join")
    try:
        ended = trio.run(main, parser.parse_args())
    except SignalError as exc:
        sys.exit(f"error: {exc}")
    except KeyboardInterrupt:
        sys.exit(130)
    if ended != ECode.LOGOUT_E_USER:
        sys.exit(f"error: logged out: {ended.meaning} ({ended})")
