"""An old phone app, as a server meets one: it finds its server by UDP and talks the original native
SDK's packets, which `signal_sdk.testing.native_peer` does as that SDK did.

    python samples/old_app.py --lookup 127.0.0.1:8180,8181 --app demo

It chats with echo_bot.py, looks into its channel, and calls call_desk.py.
"""

from __future__ import annotations

import argparse
import json
import sys

import trio

from signal_sdk import SignalError
from signal_sdk.testing import NativePeer, connect_by_lookup, native_peer

ANSWER_SECONDS = 20
CHANNEL = "lobby"
CALLED_ABOUT = "reception"


async def main(args: argparse.Namespace) -> None:
    host, _, ports = args.lookup.partition(":")
    connect = connect_by_lookup(args.app, host, [int(port) for port in ports.split(",")])
    async with native_peer(app=args.app, connect=connect) as peer:
        await peer.login(args.account, args.token)
        with trio.fail_after(ANSWER_SECONDS):
            await chat(peer)
            await look_into_the_channel(peer)
            await call_the_desk(peer)
        await peer.logout()
        say(peer, "is on its way home")


async def chat(peer: NativePeer) -> None:
    say(peer, "writes to echo: 'Still here?'")
    await peer.message_instant_send("echo", "Still here?")
    _, _, text = await peer.expect("on_message_instant_receive", "echo")
    say(peer, f"reads: {text!r}")


async def look_into_the_channel(peer: NativePeer) -> None:
    await peer.channel_join(CHANNEL)
    text = (await peer.expect("on_message_channel_receive", CHANNEL))[3]
    say(peer, f"reads in {CHANNEL}: {text!r}")
    await peer.channel_leave()


async def call_the_desk(peer: NativePeer) -> None:
    say(peer, f"calls desk about {CALLED_ABOUT!r}")
    await peer.channel_invite_user2(CALLED_ABOUT, "desk")
    extra = (await peer.expect("on_invite_accepted_by_peer", CALLED_ABOUT, "desk"))[3]
    say(peer, f"hears: {json.loads(extra).get('say')!r}")
    say(peer, "hangs up")
    await peer.channel_invite_end(CALLED_ABOUT, "desk")


def say(peer: NativePeer, text: str) -> None:
    print(f"{peer.account} {text}", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="An old app, for the other samples to talk to.")
    parser.add_argument("--lookup", default="127.0.0.1:8180,8181", help="HOST:PORT,PORT, by UDP")
    parser.add_argument("--app", default="demo", help="the app's id")
    parser.add_argument("--account", default="old-app")
    parser.add_argument("--token", default="_no_need_token")
    try:
        trio.run(main, parser.parse_args())
    except SignalError as exc:
        sys.exit(f"error: {exc}")
    except trio.TooSlowError:
        sys.exit(f"error: no answer in {ANSWER_SECONDS} s: do echo_bot.py and call_desk.py run?")
    except KeyboardInterrupt:
        sys.exit(130)
