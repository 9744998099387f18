"""A help desk of handlers: it answers messages and calls, takes orders, and greets in a channel.

    python samples/desk/with_router.py --server 127.0.0.1:8001 --app demo

Send it /help, or call it and dial. Beside it is the same desk by callbacks, by streams and on
asyncio: its users cannot tell which of them answers. Ctrl-C (or SIGTERM) logs it out.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass, field

import trio

from signal_sdk.router import (
    Bot,
    CallContext,
    Context,
    DtmfContext,
    MemberContext,
    MessageContext,
    NoAnswerError,
)

HELP = "I know /help, /order, /orders, and calls: dial 1 for our hours, 2 for orders, 9 to hang up."
HOURS = "We are open from 9 to 5, Monday to Friday."
ORDERS = "orders"
"""The attribute of the desk's account that counts them: it outlives the desk."""


@dataclass
class Desk:
    """What the handlers share."""

    patience: float = 60
    counting: trio.Lock = field(default_factory=trio.Lock)


bot = Bot("demo", account="desk", channel="lobby")
desk = Desk()


# --- messages


@bot.message(r"^/help$")
async def help_them(context: MessageContext) -> None:
    await context.reply(HELP)


@bot.message(r"^/orders$")
async def tell_orders(context: MessageContext) -> None:
    await context.reply(f"{await count()} orders so far.")


@bot.message(r"^/order$")
async def order(context: MessageContext) -> None:
    """A conversation: others are served while this one waits."""
    try:
        what = await context.ask("What would you like?", timeout=desk.patience)
        question = f"How many of {what}?"
        while not (number := await context.ask(question, timeout=desk.patience)).isdecimal():
            await context.reply("A number, please.")
    except NoAnswerError:
        await context.reply("Never mind: /order begins again.")
        return
    async with desk.counting:
        now = await count() + 1
        await bot.signal.user_set_attr(ORDERS, f"{now}")
    await context.reply(f"{number} x {what}: order {now}.")


@bot.message()
async def anything_else(context: MessageContext) -> None:
    await context.reply(f"Pardon? {HELP}")


async def count() -> int:
    return int(await bot.signal.user_get_attr(bot.account, ORDERS) or 0)


# --- the channel


@bot.joined
async def greet(context: MemberContext) -> None:
    await context.say(f"Welcome, {context.account}!")


# --- calls


@bot.invited
async def answer(context: CallContext) -> None:
    await context.accept({"say": HELP})


@bot.dtmf("1")
async def tell_hours(context: DtmfContext) -> None:
    await context.reply(HOURS)


@bot.dtmf("2")
async def tell_orders_to_caller(context: DtmfContext) -> None:
    await context.reply(f"{await count()} orders so far.")


@bot.dtmf("9")
async def hang_up(context: DtmfContext) -> None:
    await context.hang_up({"say": "Goodbye."})


@bot.dtmf()
async def other_digit(context: DtmfContext) -> None:
    await context.reply(f"Nothing is behind {context.digit}.")


# --- what goes wrong


@bot.error
async def note(context: Context, error: Exception) -> None:
    print(f"error: {error}", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="A help desk of handlers.")
    parser.add_argument("--server", help="HOST:PORT (default: $SIGNAL_SDK_SERVER, or this machine)")
    parser.add_argument("--app", default="demo", help="the app's id")
    parser.add_argument("--patience", type=float, default=60, help="seconds to wait for an answer")
    args = parser.parse_args()
    desk.patience = args.patience
    bot.main(app=args.app, server=args.server)
