"""Many sessions of our SDK in one process, each of which answers what it is told.

    python bots_ours.py PORT SESSIONS [callbacks | streams | router | asyncio | uvloop]

Prints where its code is, how much memory it has before the first login, and a line when all are
logged in.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path

import trio

import signal_sdk
from signal_sdk import LoginCallback, LoginSession, Signal

APP = os.environ["APP_ID"]
TOKENS = json.loads(os.environ["TOKENS"])


class Answering(LoginCallback):
    async def on_message_instant_receive(
        self, session: LoginSession, account: str, uid: int, msg: str
    ) -> None:
        session.message_instant_send(account, msg)


async def by_callbacks(server: str, sessions: int) -> None:
    async with Signal(APP, server=server) as signal:
        answering = Answering()
        bots = [signal.login(f"bot{i}", TOKENS[i], answering) for i in range(sessions)]
        for bot in bots:
            await bot
        print("ready", flush=True)
        await trio.sleep_forever()


async def by_streams(server: str, sessions: int) -> None:
    async def answer(session: LoginSession) -> None:
        async for message in session.messages():
            session.message_instant_send(message.account, message.text)

    async with Signal(APP, server=server) as signal, trio.open_nursery() as nursery:
        bots = [signal.login(f"bot{i}", TOKENS[i]) for i in range(sessions)]
        for bot in bots:
            await bot
            nursery.start_soon(answer, bot)
        print("ready", flush=True)


async def by_handlers(server: str, sessions: int) -> None:
    from signal_sdk.router import Bot, MessageContext  # noqa: PLC0415  an older tree has none

    async def answer(context: MessageContext) -> None:
        await context.reply(context.text)

    async with Signal(APP, server=server) as signal, trio.open_nursery() as nursery:
        for i in range(sessions):
            bot = Bot(APP, account=f"bot{i}", token=TOKENS[i])
            bot.message()(answer)
            await nursery.start(bot.run_in, signal)
        print("ready", flush=True)


async def on_asyncio(server: str, sessions: int) -> None:
    from signal_sdk import aio  # noqa: PLC0415  as above

    async with aio.Signal(APP, server=server) as signal:
        answering = Answering()
        bots: list[LoginSession] = []
        for i in range(sessions):
            bots.append(signal.login(f"bot{i}", TOKENS[i], answering))
            await asyncio.sleep(0)
        for bot in bots:
            await bot
        print("ready", flush=True)
        await asyncio.Event().wait()


def print_memory() -> None:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    print("before", pages * os.sysconf("SC_PAGE_SIZE"), flush=True)


def main(port: int, sessions: int, style: str = "callbacks") -> None:
    print("signal_sdk is of", Path(signal_sdk.__file__).parents[1], flush=True)
    print_memory()
    server = f"127.0.0.1:{port}"
    match style:
        case "callbacks":
            trio.run(by_callbacks, server, sessions)
        case "streams":
            trio.run(by_streams, server, sessions)
        case "router":
            trio.run(by_handlers, server, sessions)
        case "asyncio":
            asyncio.run(on_asyncio(server, sessions))
        case "uvloop":
            import uvloop  # noqa: PLC0415  only this style needs it

            uvloop.run(on_asyncio(server, sessions))
        case _:
            sys.exit(f"there is no style {style!r}")


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), *sys.argv[3:])
