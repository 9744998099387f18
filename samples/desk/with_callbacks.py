"""A help desk, by callbacks: it answers messages and calls, takes orders, and greets in a channel.

    python samples/desk/with_callbacks.py --server 127.0.0.1:8001 --app demo

Send it /help, or call it and dial. Beside it is the same desk by streams, on asyncio and made of
handlers: its users cannot tell which of them answers. Ctrl-C (or SIGTERM) logs it out.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import dataclass, field
from signal import SIGINT, SIGTERM

import trio

from signal_sdk import (
    Call,
    CallCallback,
    Channel,
    ChannelCallback,
    ECode,
    LoginCallback,
    LoginSession,
    LogoutError,
    Signal,
    SignalError,
)

HELP = "I know /help, /order, /orders, and calls: dial 1 for our hours, 2 for orders, 9 to hang up."
HOURS = "We are open from 9 to 5, Monday to Friday."
ORDERS = "orders"
"""The attribute of the desk's account that counts them: it outlives the desk."""


@dataclass
class Order:
    """What somebody who was asked has said of an order; `patience` ends when he has not."""

    what: str = ""
    patience: trio.CancelScope = field(default_factory=trio.CancelScope)


class Desk(LoginCallback, ChannelCallback, CallCallback):
    """Hears of everything, one thing at a time: nothing here needs a lock."""

    def __init__(self, signal: Signal, nursery: trio.Nursery, patience: float) -> None:
        self.signal = signal
        self.nursery = nursery
        self.patience = patience
        self.orders: dict[str, Order] = {}

    async def on_message_instant_receive(
        self, session: LoginSession, account: str, uid: int, msg: str
    ) -> None:
        if account in self.orders:
            await self.go_on(session, account, msg)
            return
        match msg:
            case "/help":
                session.message_instant_send(account, HELP)
            case "/orders":
                session.message_instant_send(account, f"{await self.count(session)} orders so far.")
            case "/order":
                self.orders[account] = Order()
                self.nursery.start_soon(self.wait, session, account, self.orders[account])
                self.ask(session, account, "What would you like?")
            case _:
                session.message_instant_send(account, f"Pardon? {HELP}")

    # --- an order, as far as it has come

    def ask(self, session: LoginSession, account: str, question: str) -> None:
        self.orders[account].patience.deadline = trio.current_time() + self.patience
        session.message_instant_send(account, question)

    async def go_on(self, session: LoginSession, account: str, msg: str) -> None:
        order = self.orders[account]
        if order.what and msg.isdecimal():
            del self.orders[account]
            order.patience.cancel()
            number = await self.count(session) + 1
            await self.signal.user_set_attr(ORDERS, f"{number}")
            session.message_instant_send(account, f"{msg} x {order.what}: order {number}.")
            return
        if order.what:
            session.message_instant_send(account, "A number, please.")
        order.what = order.what or msg
        self.ask(session, account, f"How many of {order.what}?")

    async def wait(self, session: LoginSession, account: str, order: Order) -> None:
        with order.patience:
            await trio.sleep_forever()
        if self.orders.get(account) is order:
            del self.orders[account]
            session.message_instant_send(account, "Never mind: /order begins again.")

    async def count(self, session: LoginSession) -> int:
        return int(await self.signal.user_get_attr(session.account, ORDERS) or 0)

    # --- the channel

    async def on_channel_user_joined(
        self, session: LoginSession, channel: Channel, account: str, uid: int
    ) -> None:
        channel.message_channel_send(f"Welcome, {account}!")

    # --- calls

    async def on_invite_received(self, session: LoginSession, call: Call) -> None:
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

    async def on_reconnecting(self, session: LoginSession, attempt: int) -> None:
        say(f"the connection is lost: attempt {attempt}")

    async def on_error(self, session: LoginSession, ecode: ECode, reason: str) -> None:
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


async def log_out_on_signal(session: LoginSession) -> None:
    with trio.open_signal_receiver(SIGINT, SIGTERM) as signals:
        async for _ in signals:
            session.logout()


async def main(args: argparse.Namespace) -> None:
    async with Signal(args.app, server=args.server) as signal, trio.open_nursery() as nursery:
        desk = Desk(signal, nursery, args.patience)
        session = signal.login(args.account, args.token, desk)
        nursery.start_soon(log_out_on_signal, session)
        await session
        await session.channel_join(args.channel, desk)
        say(f"{session.account} is online")
        ecode = await session.wait_logged_out()
        if ecode != ECode.LOGOUT_E_USER:
            raise LogoutError(ecode)
        nursery.cancel_scope.cancel()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="A help desk, by callbacks.")
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
