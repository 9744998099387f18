"""A listener for a whole app: prints who comes online and goes, and who joins and leaves channels.

    python samples/presence_listener.py --server 127.0.0.1:8001 --app demo

Two special channels tell of that, and its session is in both. Without dev mode, the server's
configuration has to name its account among the app's listeners. Ctrl-C (or SIGTERM) logs it out.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import AsyncIterator
from datetime import datetime
from signal import SIGINT, SIGTERM

import trio

from signal_sdk import (
    Channel,
    ChannelCallback,
    ECode,
    LoginSession,
    Signal,
    SignalError,
    SpecialEvent,
)

SPECIAL_CHANNELS = ("_agora_user_online", "_agora_channel_event")


class Listener(ChannelCallback):
    async def on_special_event(
        self, session: LoginSession, channel: Channel, event: SpecialEvent
    ) -> None:
        match event.event:
            case "online":
                what = "is online"
            case "offline":
                what = "is offline"
            case "join":
                what = f"has joined {event.channel!r}"
            case "leave":
                what = f"has left {event.channel!r}"
            case other:
                what = f"did {other!r}"
        when = datetime.fromtimestamp(event.ts / 1000).astimezone()
        print(f"{when:%H:%M:%S} {event.account} {what}", flush=True)


async def main(args: argparse.Namespace) -> ECode:
    """Listen until the session is over, and return why."""
    listener = Listener()
    async with Signal(args.app, server=args.server) as signal:
        session = await signal.login(args.account, args.token, many_channels=True)
        for name in SPECIAL_CHANNELS:
            await session.channel_join(name, listener)
        with trio.open_signal_receiver(SIGINT, SIGTERM) as signals:
            print(f"{session.account} listens to {args.app}", flush=True)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(log_out_on_signal, signals, session)
                ecode = await session.wait_logged_out()
                nursery.cancel_scope.cancel()
    return ecode


async def log_out_on_signal(signals: AsyncIterator[int], session: LoginSession) -> None:
    async for _ in signals:
        session.logout()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Prints who comes and goes, in a whole app.")
    parser.add_argument("--server", help="HOST:PORT (default: $SIGNAL_SDK_SERVER, or this machine)")
    parser.add_argument("--app", default="demo", help="the app's id")
    parser.add_argument("--account", default="listener")
    parser.add_argument("--token", default="_no_need_token")
    try:
        why = trio.run(main, parser.parse_args())
    except SignalError as exc:
        sys.exit(f"error: {exc}")
    except KeyboardInterrupt:
        sys.exit(130)
    if why != ECode.LOGOUT_E_USER:
        sys.exit(f"error: logged out: {why.meaning} ({why})")
