"""A help desk, by streams: it answers messages and calls, takes orders, and greets in a channel.

    python samples/desk/with_streams.py --server 127.0.0.1:8001 --app demo

Send it /help, or call it and dial. Beside it is the same desk by callbacks, on asyncio and made of
handlers: its users cannot tell which of them answers. Ctrl-C (or SIGTERM) logs it out.
"""

from __future__ import annotations

import argparse
import json
import sys
from contextlib import suppress
from signal import SIGINT, SIGTERM

import trio

from signal_sdk import (
    Call,
    CallMessage,
    Channel,
    LoginSession,
    Signal,
    SignalError,
    UserJoined,
)

HELP = "I know /help, /order, /orders, and calls: dial 1 for our hours, 2 for orders, 9 to hang up."
HOURS = "We are open from 9 to 5, Monday to Friday."
ORDERS = "orders"
"""The attribute of the desk's account that counts them: it outlives the desk."""
MOST_WAITING = 20
"""Who says more than that while it is handled is not listened to."""


class Desk:
    """Reads all streams, each in a task of its own."""

    def __init__(self, signal: Signal, session: LoginSession, patience: float) -> None:
        self.signal = signal
        self.session = session
        self.patience = patience
        self.counting = trio.Lock()
        self.users: dict[str, trio.MemorySendChannel[str]] = {}
        """Who says something that is not handled yet."""

    # --- messages

    async def read_messages(self, nursery: trio.Nursery) -> None:
        """Give each user's messages to a task of his: nobody waits for anybody else."""
        async for message in self.session.messages():
            if message.account not in self.users:
                send, texts = trio.open_memory_channel[str](MOST_WAITING)
                self.users[message.account] = send
                nursery.start_soon(self.serve, message.account, texts)
            with suppress(trio.WouldBlock):
                self.users[message.account].send_nowait(message.text)

    async def serve(self, account: str, texts: trio.MemoryReceiveChannel[str]) -> None:
        """React to what one user says, in order, while there is any of it."""
        with suppress(trio.WouldBlock):
            while True:
                text = texts.receive_nowait()
                try:
                    await self.say(account, await self.react(account, text, texts))
                except trio.TooSlowError:
                    await self.say(account, "Never mind: /order begins again.")
                except SignalError as exc:
                    say(f"error: {exc}")
        del self.users[account]

    async def react(self, account: str, text: str, texts: trio.MemoryReceiveChannel[str]) -> str:
        match text:
            case "/help":
                return HELP
            case "/orders":
                return f"{await self.count()} orders so far."
            case "/order":
                return await self.take_order(account, texts)
            case _:
                return f"Pardon? {HELP}"

    async def say(self, account: str, text: str) -> None:
        await self.session.message_instant_send(account, text)

    # --- an order

    async def take_order(self, account: str, texts: trio.MemoryReceiveChannel[str]) -> str:
        what = await self.ask(account, "What would you like?", texts)
        while not (number := await self.ask(account, f"How many of {what}?", texts)).isdecimal():
            await self.say(account, "A number, please.")
        async with self.counting:
            count = await self.count() + 1
            await self.signal.user_set_attr(ORDERS, f"{count}")
        return f"{number} x {what}: order {count}."

    async def ask(self, account: str, question: str, texts: trio.MemoryReceiveChannel[str]) -> str:
        """What the user says next. Raises `trio.TooSlowError`."""
        await self.say(account, question)
        with trio.fail_after(self.patience):
            return await texts.receive()

    async def count(self) -> int:
        return int(await self.signal.user_get_attr(self.session.account, ORDERS) or 0)

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

    async def take_calls(self, nursery: trio.Nursery) -> None:
        async for call in self.session.invitations():
            nursery.start_soon(self.attend, call)

    async def attend(self, call: Call) -> None:
        """One call, to its end, with which its stream is over."""
        call.channel_invite_accept({"say": HELP})
        async for event in call.events():
            match event:
                case CallMessage(extra=extra):
                    for digit in dialled(extra):
                        await self.press(call, digit)
                case _:
                    pass

    async def press(self, call: Call, digit: str) -> None:
        match digit:
            case "1":
                self.session.message_instant_send(call.peer, HOURS)
            case "2":
                text = f"{await self.count()} orders so far."
                self.session.message_instant_send(call.peer, text)
            case "9":
                call.channel_invite_end({"say": "Goodbye."})
            case _:
                self.session.message_instant_send(call.peer, f"Nothing is behind {digit}.")


def dialled(extra: str) -> str:
    """The digits that were dialled; none where the message is about something else."""
    try:
        message = json.loads(extra)
        return str(message["msgdata"]) if message["msgtype"] == "dtmf" else ""
    except (ValueError, TypeError, LookupError):
        return ""


def say(text: str) -> None:
    print(text, flush=True)


async def log_out_on_signal(session: LoginSession) -> None:
    with trio.open_signal_receiver(SIGINT, SIGTERM) as signals:
        async for _ in signals:
            session.logout()


async def main(args: argparse.Namespace) -> None:
    async with Signal(args.app, server=args.server) as signal, trio.open_nursery() as nursery:
        session = signal.login(args.account, args.token)
        nursery.start_soon(log_out_on_signal, session)
        desk = Desk(signal, await session, args.patience)
        nursery.start_soon(desk.greet, await session.channel(args.channel))
        nursery.start_soon(desk.take_calls, nursery)
        say(f"{session.account} is online")
        # Over with the logout; raises `LogoutError` where something else ends the session.
        await desk.read_messages(nursery)
        nursery.cancel_scope.cancel()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="A help desk, by streams.")
    parser.add_argument("--server", help="HOST:PORT (default: $SIGNAL_SDK_SERVER, or this machine)")
    parser.add_argument("--app", default="demo", help="the app's id")
    parser.add_argument("--account", default="desk")
    parser.add_argument("--token", default="_no_need_token")
    parser.add_argument("--channel", default="lobby", help="the channel to greet in")
    parser.add_argument("--patience", type=float, default=60, help="seconds to wait for an answer")
    errors: list[BaseException] = []
    try:
        trio.run(main, parser.parse_args())
    except* SignalError as group:
        errors.extend(group.exceptions)
    if errors:
        sys.exit(f"error: {errors[0]}")
