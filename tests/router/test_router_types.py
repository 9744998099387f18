"""Type checkers refuse a handler of a wrong signature where it stands, and know what a right one
is handed.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.test_types import CHECK_SECONDS, pyright, run

pytestmark = pytest.mark.timeout(2 * CHECK_SECONDS)

BOT = """
from __future__ import annotations

from collections.abc import Awaitable, Callable

import trio

from signal_sdk import LoginSession, Signal
from signal_sdk.router import (
    Bot,
    BytesMessageContext,
    CallContext,
    CallEndContext,
    ChannelBytesMessageContext,
    ChannelMessageContext,
    Context,
    DtmfContext,
    MemberContext,
    MessageContext,
)

bot = Bot("app", account="desk")

@bot.message("x")
async def right(context: MessageContext) -> None:
    text: str = await context.ask(context.text, timeout=3)
    await context.reply(text + context.match[0] + context.account + context.session.account)

@bot.message()
@bot.message("y")
def plain(context: MessageContext) -> None:
    print(context.text)

@bot.message("z")
@bot.channel_message("z")
async def both(context: MessageContext | ChannelMessageContext) -> None:
    await context.reply(context.text)

@bot.bytes_message
async def image(context: BytesMessageContext) -> None:
    data: bytes = context.data
    await context.reply(data)

@bot.channel_bytes_message
def channel_image(context: ChannelBytesMessageContext) -> None:
    print(context.data[0], context.channel.name)

@bot.joined
@bot.left
async def member(context: MemberContext) -> None:
    await context.say(context.channel.name + str(context.uid))

@bot.joined(channel="stage")
@bot.left()
def on_stage(context: MemberContext) -> None:
    print(context.account)

@bot.channel_message(channel="stage")
async def said_on_stage(context: ChannelMessageContext) -> None:
    await context.reply(context.text)

@bot.channel_bytes_message(channel="stage")
async def shown_on_stage(context: ChannelBytesMessageContext) -> None:
    await context.reply(context.data)

@bot.invited
async def invited(context: CallContext) -> None:
    await context.accept({"say": context.call.channel})

@bot.dtmf("1")
async def digit(context: DtmfContext) -> None:
    await context.reply(context.digit)

@bot.call_ended
async def ended(context: CallEndContext) -> None:
    print(context.end)

@bot.middleware
async def around(context: Context, call_next: Callable[[], Awaitable[None]]) -> None:
    await call_next()

@bot.error
async def failed(context: Context, error: Exception) -> None:
    await context.reply(type(error).__name__)

async def more() -> None:
    # It is what it was before it was decorated.
    number: int = await right(1)  # wrong
    print(number)
    await bot.run(server="127.0.0.1:8001")
    await bot.say(b"x", channel=(await bot.join("stage")).name)
    async with Signal("app") as signal, trio.open_nursery() as nursery:
        session: LoginSession = await nursery.start(bot.run_in, signal)
        print(session.account, sorted(bot.channels))

async def nothing() -> None: ...
async def of_text(text: str) -> None: ...
async def gives(context: MessageContext) -> str:
    return context.text
async def of_member(context: MemberContext) -> None: ...
async def of_two(context: Context, error: Exception) -> None: ...

bot.message("x")(nothing)  # wrong
bot.message("x")(of_text)  # wrong
bot.message("x")(gives)  # wrong
bot.message("x")(of_member)  # wrong
bot.message(right)  # wrong
bot.channel_message()(right)  # wrong
bot.joined(invited)  # wrong
bot.joined(channel="stage")(invited)  # wrong
bot.left(channel=1)(member)  # wrong
bot.invited(channel="stage")  # wrong
bot.bytes_message(right)  # wrong
bot.channel_bytes_message(image)  # wrong
bot.invited(digit)  # wrong
bot.dtmf("1")(right)  # wrong
bot.dtmf(1)  # wrong
bot.middleware(failed)  # wrong
bot.error(around)  # wrong
bot.error(nothing)  # wrong
"""
WRONG = {number for number, line in enumerate(BOT.splitlines(), 1) if line.endswith("# wrong")}


def test_mypy_says_where_a_handler_is_wrong_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "bot.py").write_text(BOT)
    out = run("mypy", "--strict", "--config-file=", "--no-error-summary", tmp_path)
    lines = re.findall(r"^.*bot\.py:(\d+): error: ", out, re.MULTILINE)
    assert {int(number) for number in lines} == WRONG, out


def test_pyright_says_where_a_handler_is_wrong_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "bot.py").write_text(BOT)
    report = pyright(tmp_path)
    found = {told["range"]["start"]["line"] + 1 for told in report["generalDiagnostics"]}
    assert found == WRONG, report["generalDiagnostics"]
