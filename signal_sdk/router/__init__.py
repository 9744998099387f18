"""Reactions: a bot as functions, each of which says by its decorator what it is called for.

    bot = Bot("app", account="desk")

    @bot.message(r"^/help")
    async def help_them(context: MessageContext) -> None:
        await context.reply("I know /help and /order.")

    if __name__ == "__main__":
        bot.main()

It stands on the SDK's public objects, above streams, and adds no way of its own past them.
"""

from signal_sdk.router.bot import Bot
from signal_sdk.router.contexts import (
    BytesMessageContext,
    CallContext,
    CallEndContext,
    ChannelBytesMessageContext,
    ChannelContext,
    ChannelMessageContext,
    Context,
    DtmfContext,
    MemberContext,
    MessageContext,
)
from signal_sdk.router.failures import BacklogError, HandlerTimeoutError, NoAnswerError

__all__ = [
    "BacklogError",
    "Bot",
    "BytesMessageContext",
    "CallContext",
    "CallEndContext",
    "ChannelBytesMessageContext",
    "ChannelContext",
    "ChannelMessageContext",
    "Context",
    "DtmfContext",
    "HandlerTimeoutError",
    "MemberContext",
    "MessageContext",
    "NoAnswerError",
]
