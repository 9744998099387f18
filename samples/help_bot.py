"""A bot made of handlers: it helps by message, takes orders, greets in a channel, answers calls.

    python samples/help_bot.py --server 127.0.0.1:8001 --app demo

Send it /help, or call it and dial. Ctrl-C (or SIGTERM) logs it out.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Awaitable, Callable

from signal_sdk.router import (
    Bot,
    CallContext,
    ChannelMessageContext,
    Context,
    DtmfContext,
    MemberContext,
    MessageContext,
    NoAnswerError,
)

HELP = "I know /help, /order, /add A B, and calls: dial 1 for our opening hours, 9 to hang up."
HOURS = "We are open from 9 to 5, Monday to Friday."

bot = Bot("demo", account="helper", channel="lobby", handler_timeout=60)
seen: Counter[str] = Counter()


@bot.middleware
async def count(context: Context, call_next: Callable[[], Awaitable[None]]) -> None:
    """Around everything that happens."""
    seen[context.account] += 1
    await call_next()


@bot.message(r"^/help\b")
async def help_them(context: MessageContext) -> None:
    await context.reply(HELP)


@bot.message(r"^/order\b")
async def order(context: MessageContext) -> None:
    """A conversation: others are served while this one waits."""
    try:
        what = await context.ask("What would you like?", timeout=120)
        while not (number := await context.ask(f"How many of {what}?", timeout=120)).isdecimal():
            await context.reply("A number, please.")
    except NoAnswerError:
        await context.reply("Never mind: /order begins again.")
        return
    await context.reply(f"{number} x {what}: ordered.")


@bot.message(r"^/add (-?\d{1,9}) (-?\d{1,9})$")
async def add(context: MessageContext) -> None:
    first, second = context.match.groups()
    await context.reply(f"{int(first) + int(second)}")


@bot.message()
async def anything_else(context: MessageContext) -> None:
    await context.reply(f"Pardon? {HELP}")


@bot.joined
async def greet(context: MemberContext) -> None:
    await context.say(f"Welcome, {context.account}!")


@bot.channel_message(r"^/who\b")
async def who(context: ChannelMessageContext) -> None:
    users = await context.session.channel_query_user_list(context.channel.name)
    await context.reply(", ".join(sorted(account for account, _ in users)))


@bot.invited
async def answer(context: CallContext) -> None:
    await context.accept({"say": "Dial 1 for our opening hours, 9 to hang up."})


@bot.dtmf("1")
async def hours(context: DtmfContext) -> None:
    await context.reply(HOURS)


@bot.dtmf("9")
async def hang_up(context: DtmfContext) -> None:
    await context.hang_up({"say": "Goodbye."})


@bot.dtmf()
async def other_digit(context: DtmfContext) -> None:
    await context.reply(f"Nothing is behind {context.digit}.")


@bot.error
async def apologize(context: Context, error: Exception) -> None:
    print(f"error: {context.account}: {type(error).__name__}", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="A bot that is made of handlers.")
    parser.add_argument("--server", help="HOST:PORT (default: $SIGNAL_SDK_SERVER, or this machine)")
    parser.add_argument("--app", default="demo", help="the app's id")
    args = parser.parse_args()
    bot.main(app=args.app, server=args.server)
