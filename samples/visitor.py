"""A visitor with things to do: chat with echo_bot.py, look into its channel, call call_desk.py.

    python samples/visitor.py --server 127.0.0.1:8001 --app demo

It shows the other way to write a bot: as a story, each of whose steps awaits what comes of it, and
which ends. A second account, the colleague, answers the call that the desk transfers.
"""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any

import trio

from signal_sdk import (
    Call,
    CallCallback,
    Channel,
    ChannelCallback,
    ECode,
    LoginCallback,
    LoginSession,
    Signal,
    SignalError,
)

ANSWER_SECONDS = 20
MAX_HEARD = 100
CHANNEL = "lobby"
CALLED_ABOUT = "reception"


class Ear(LoginCallback, ChannelCallback, CallCallback):
    """Hears callbacks, and puts them where a story can wait for them."""

    def __init__(self) -> None:
        self._messages = trio.open_memory_channel[str](MAX_HEARD)
        self._answers = trio.open_memory_channel[dict[str, Any]](MAX_HEARD)

    async def next_message(self) -> str:
        """What somebody has written, to the account or to the channel."""
        with trio.fail_after(ANSWER_SECONDS):
            return await self._messages[1].receive()

    async def next_answer(self) -> dict[str, Any]:
        """What the other side of a call has said with its step."""
        with trio.fail_after(ANSWER_SECONDS):
            return await self._answers[1].receive()

    async def on_message_instant_receive(
        self, session: LoginSession, account: str, uid: int, msg: str
    ) -> None:
        self._messages[0].send_nowait(msg)

    async def on_message_channel_receive(
        self, session: LoginSession, channel: Channel, account: str, uid: int, msg: str
    ) -> None:
        if account != session.account:
            self._messages[0].send_nowait(msg)

    async def on_invite_accepted_by_peer(
        self, session: LoginSession, call: Call, extra: str
    ) -> None:
        self._answers[0].send_nowait(json.loads(extra or "{}"))

    async def on_invite_refused_by_peer(
        self, session: LoginSession, call: Call, extra: str
    ) -> None:
        self._answers[0].send_nowait(json.loads(extra or "{}"))

    async def on_invite_end_by_peer(self, session: LoginSession, call: Call, extra: str) -> None:
        self._answers[0].send_nowait(json.loads(extra or "{}"))

    async def on_invite_failed(self, session: LoginSession, call: Call, ecode: ECode) -> None:
        self._answers[0].send_nowait({"say": f"({ecode.meaning})"})


class Colleague(LoginCallback):
    async def on_message_instant_receive(
        self, session: LoginSession, account: str, uid: int, msg: str
    ) -> None:
        say(session, f"reads: {msg!r}")

    async def on_invite_received(self, session: LoginSession, call: Call) -> None:
        say(session, f"answers {call.peer}'s call about {call.channel!r}")
        call.channel_invite_accept({"say": "How can I help you?"})


async def main(args: argparse.Namespace) -> None:
    ear = Ear()
    async with (
        Signal(args.app, server=args.server) as signal,
        signal.login(args.colleague, args.token, Colleague()),
        signal.login(args.account, args.token, ear) as session,
    ):
        await chat(session, ear)
        await look_into_the_channel(session, ear)
        await call_the_desk(session, ear)
        say(session, "has done all that it came for")


async def chat(session: LoginSession, ear: Ear) -> None:
    for text in ("Hello!", "Is this an echo? 🦉"):
        say(session, f"writes to echo: {text!r}")
        await session.message_instant_send("echo", text)
        say(session, f"reads: {await ear.next_message()!r}")


async def look_into_the_channel(session: LoginSession, ear: Ear) -> None:
    async with session.channel_join(CHANNEL, ear) as channel:
        say(session, f"reads in {CHANNEL}: {await ear.next_message()!r}")
        say(session, f"writes in {CHANNEL}: 'echo Good morning!'")
        await channel.message_channel_send("echo Good morning!")
        say(session, f"reads in {CHANNEL}: {await ear.next_message()!r}")


async def call_the_desk(session: LoginSession, ear: Ear) -> None:
    say(session, f"calls desk about {CALLED_ABOUT!r}")
    async with session.channel_invite_user2(CALLED_ABOUT, "desk", "", ear) as call:
        say(session, f"hears: {(await ear.next_answer()).get('say')!r}")
        say(session, "dials 1")
        await call.channel_invite_dtmf("1")
        say(session, f"reads: {await ear.next_message()!r}")
        say(session, "dials 2")
        await call.channel_invite_dtmf("2")
        answer = await ear.next_answer()
        say(session, f"hears: {answer.get('say')!r}")

    if account := answer.get("transfer"):
        say(session, f"calls {account}")
        async with session.channel_invite_user2(CALLED_ABOUT, account, "", ear):
            say(session, f"hears: {(await ear.next_answer()).get('say')!r}")


def say(session: LoginSession, text: str) -> None:
    print(f"{session.account} {text}", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="A visitor to the other samples.")
    parser.add_argument("--server", help="HOST:PORT (default: $SIGNAL_SDK_SERVER, or this machine)")
    parser.add_argument("--app", default="demo", help="the app's id")
    parser.add_argument("--account", default="visitor")
    parser.add_argument("--colleague", default="colleague", help="the account that the desk names")
    parser.add_argument("--token", default="_no_need_token")
    try:
        trio.run(main, parser.parse_args())
    except SignalError as exc:
        sys.exit(f"error: {exc}")
    except trio.TooSlowError:
        sys.exit(f"error: no answer in {ANSWER_SECONDS} s: do echo_bot.py and call_desk.py run?")
    except KeyboardInterrupt:
        sys.exit(130)
