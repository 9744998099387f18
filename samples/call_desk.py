"""A desk that answers calls, and does what the caller dials.

    python samples/call_desk.py --server 127.0.0.1:8001 --app demo

It accepts every call but those about the channel "closed". What it says goes in each step's
`extra`: `{"say": TEXT}`, and where it transfers the caller, `{"say": TEXT, "transfer": ACCOUNT}`:
the caller then calls that account instead. Within a call only digits can be sent, so that an answer
that does not end the call goes by instant message. Ctrl-C (or SIGTERM) logs it out.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import AsyncIterator
from signal import SIGINT, SIGTERM

import trio

from signal_sdk import Call, CallCallback, ECode, LoginCallback, LoginSession, Signal, SignalError

CLOSED = "closed"
MENU = "Dial 1 for our opening hours, 2 for a colleague, 9 to hang up."
HOURS = "We are open from 9 to 5, Monday to Friday."


class Desk(LoginCallback, CallCallback):
    """Every call has its own state in the SDK: one object serves them all."""

    def __init__(self, colleague: str) -> None:
        self.colleague = colleague

    async def on_invite_received(self, session: LoginSession, call: Call) -> None:
        say(f"{call.peer} calls about {call.channel!r}")
        if call.channel == CLOSED:
            call.channel_invite_refuse({"say": "The desk is closed."})
            return
        call.cb = self
        call.channel_invite_accept({"say": f"Welcome! {MENU}"})

    async def on_invite_msg(self, session: LoginSession, call: Call, extra: str) -> None:
        for digit in dialled_digits(extra):
            say(f"{call.peer} dials {digit}")
            match digit:
                case "1":
                    session.message_instant_send(call.peer, HOURS)
                case "2" if await session.query_user_status(self.colleague):
                    note = f"{call.peer} will call you about {call.channel}."
                    session.message_instant_send(self.colleague, note)
                    transfer = {"say": f"Please call {self.colleague}.", "transfer": self.colleague}
                    call.channel_invite_end(transfer)
                    return
                case "2":
                    session.message_instant_send(call.peer, f"{self.colleague} is not here. {MENU}")
                case "9":
                    call.channel_invite_end({"say": "Goodbye."})
                    return
                case _:
                    session.message_instant_send(call.peer, MENU)

    async def on_invite_end_by_myself(self, session: LoginSession, call: Call, extra: str) -> None:
        say(f"the call with {call.peer} is over")

    async def on_invite_end_by_peer(self, session: LoginSession, call: Call, extra: str) -> None:
        say(f"{call.peer} has hung up")

    async def on_error(self, session: LoginSession, ecode: ECode, reason: str) -> None:
        say(f"error: {reason}")


def dialled_digits(extra: str) -> str:
    """The digits that were dialled; none where the message is about something else."""
    try:
        message = json.loads(extra)
        return str(message["msgdata"]) if message["msgtype"] == "dtmf" else ""
    except (ValueError, TypeError, LookupError):
        return ""


async def main(args: argparse.Namespace) -> ECode:
    async with Signal(args.app, server=args.server) as signal:
        session = await signal.login(args.account, args.token, Desk(args.colleague))
        with trio.open_signal_receiver(SIGINT, SIGTERM) as signals:
            say(f"{session.account} is online")
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
    parser = argparse.ArgumentParser(description="A desk that answers calls.")
    parser.add_argument("--server", help="HOST:PORT (default: $SIGNAL_SDK_SERVER, or this machine)")
    parser.add_argument("--app", default="demo", help="the app's id")
    parser.add_argument("--account", default="desk")
    parser.add_argument("--token", default="_no_need_token")
    parser.add_argument("--colleague", default="colleague", help="the account to transfer calls to")
    try:
        ended = trio.run(main, parser.parse_args())
    except SignalError as exc:
        sys.exit(f"error: {exc}")
    except KeyboardInterrupt:
        sys.exit(130)
    if ended != ECode.LOGOUT_E_USER:
        sys.exit(f"error: logged out: {ended.meaning} ({ended})")
