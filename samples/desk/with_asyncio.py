"""A help desk, on asyncio: it answers messages and calls, takes orders, and greets in a channel.

    python samples/desk/with_asyncio.py --server 127.0.0.1:8001 --app demo

Send it /help, or call it and dial. Beside it is the same desk by callbacks and by streams, both on
trio, and made of handlers: its users cannot tell which of them answers. Here messages and calls are
heard by callbacks, and the channel is read. Ctrl-C (or SIGTERM) logs it out.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import Coroutine
from contextlib import suppress
from signal import SIGINT, SIGTERM

from signal_sdk import (
    Call,
    CallCallback,
    Channel,
    ECode,
    LoginCallback,
    LoginSession,
    LogoutError,
    SignalError,
    UserJoined,
)
from signal_sdk.aio import Signal

HELP = "I know /help, /order, /orders, and calls: dial 1 for our hours, 2 for orders, 9 to hang up."
HOURS = "We are open from 9 to 5, Monday to Friday."
ORDERS = "orders"
"""The attribute of the desk's account that counts them: it outlives the desk."""
MOST_WAITING = 20
"""Who says more than that while it is handled is not listened to."""


class Desk(LoginCallback, CallCallback):
    """Hears of what happens, in the loop; each user who says something has a task of his own."""

    def __init__(self, signal: Signal, patience: float) -> None:
        self.signal = signal
        self.patience = patience
        self.counting = asyncio.Lock()
        self.users: dict[str, asyncio.Queue[str]] = {}
        """Who says something that is not handled yet."""
        self.tasks: set[asyncio.Task[None]] = set()

    def start(self, coroutine: Coroutine[object, object, None]) -> None:
        task = asyncio.create_task(coroutine)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    def close(self) -> None:
        for task in self.tasks:
            task.cancel()

    # --- messages

    def on_message_instant_receive(
        self, session: LoginSession, account: str, uid: int, msg: str
    ) -> None:
        if account not in self.users:
            self.users[account] = asyncio.Queue(MOST_WAITING)
            self.start(self.serve(session, account, self.users[account]))
        with suppress(asyncio.QueueFull):
            self.users[account].put_nowait(msg)

    async def serve(self, session: LoginSession, account: str, texts: asyncio.Queue[str]) -> None:
        """React to what one user says, in order, while there is any of it."""
        while not texts.empty():
            try:
                text = await self.react(session, account, texts.get_nowait())
                await session.message_instant_send(account, text)
            except TimeoutError:
                session.message_instant_send(account, "Never mind: /order begins again.")
            except SignalError as exc:
                say(f"error: {exc}")
        del self.users[account]

    async def react(self, session: LoginSession, account: str, text: str) -> str:
        match text:
            case "/help":
                return HELP
            case "/orders":
                return f"{await self.count(session)} orders so far."
            case "/order":
                return await self.take_order(session, account)
            case _:
                return f"Pardon? {HELP}"

    # --- an order

    async def take_order(self, session: LoginSession, account: str) -> str:
        what = await self.ask(session, account, "What would you like?")
        question = f"How many of {what}?"
        while not (number := await self.ask(session, account, question)).isdecimal():
            session.message_instant_send(account, "A number, please.")
        async with self.counting:
            count = await self.count(session) + 1
            await self.signal.user_set_attr(ORDERS, f"{count}")
        return f"{number} x {what}: order {count}."

    async def ask(self, session: LoginSession, account: str, question: str) -> str:
        """What the user says next. Raises `TimeoutError`."""
        await session.message_instant_send(account, question)
        async with asyncio.timeout(self.patience):
            return await self.users[account].get()

    async def count(self, session: LoginSession) -> int:
        return int(await self.signal.user_get_attr(session.account, ORDERS) or 0)

    # --- the channel

    async def greet(self, lobby: Channel) -> None:
        async for event in lobby.events():
            match event:
                case UserJoined(account=account):
                    # Awaited by nobody: what becomes of it holds nothing up.
                    lobby.message_channel_send(f"Welcome, {account}!")
                case _:
                    pass

    # --- calls

    def on_invite_received(self, session: LoginSession, call: Call) -> None:
        call.cb = self
        call.channel_invite_accept({"say": HELP})

    async def on_invite_msg(self, session: LoginSession, call: Call, extra: str) -> None:
        for digit in dialled(extra):
            match digit:
                case "1":
                    session.message_instant_send(call.peer, HOURS)
                case "2":
                    text = f"{await self.count(session)} orders so far."
                    session.message_instant_send(call.peer, text)
                case "9":
                    call.channel_invite_end({"say": "Goodbye."})
                    return
                case _:
                    session.message_instant_send(call.peer, f"Nothing is behind {digit}.")

    # --- what comes and goes

    def on_reconnecting(self, session: LoginSession, attempt: int) -> None:
        say(f"the connection is lost: attempt {attempt}")

    def on_error(self, session: LoginSession, ecode: ECode, reason: str) -> None:
        say(f"error: {reason}")


def dialled(extra: str) -> str:
    """The digits that were dialled; none where the message is about something else."""
    try:
        message = json.loads(extra)
        return str(message["msgdata"]) if message["msgtype"] == "dtmf" else ""
    except (ValueError, TypeError, LookupError):
        return ""


def say(text: str) -> None:
    print(text, flush=True)


async def main(args: argparse.Namespace) -> None:
    loop = asyncio.get_running_loop()
    async with Signal(args.app, server=args.server) as signal:
        desk = Desk(signal, args.patience)
        session = signal.login(args.account, args.token, desk)
        for number in (SIGINT, SIGTERM):
            loop.add_signal_handler(number, session.logout)
        await session
        desk.start(desk.greet(await session.channel(args.channel)))
        say(f"{session.account} is online")
        ecode = await session.wait_logged_out()
        desk.close()
        if ecode != ECode.LOGOUT_E_USER:
            raise LogoutError(ecode)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="A help desk, on asyncio.")
    parser.add_argument("--server", help="HOST:PORT (default: $SIGNAL_SDK_SERVER, or this machine)")
    parser.add_argument("--app", default="demo", help="the app's id")
    parser.add_argument("--account", default="desk")
    parser.add_argument("--token", default="_no_need_token")
    parser.add_argument("--channel", default="lobby", help="the channel to greet in")
    parser.add_argument("--patience", type=float, default=60, help="seconds to wait for an answer")
    try:
        asyncio.run(main(parser.parse_args()))
    except SignalError as exc:
        sys.exit(f"error: {exc}")
