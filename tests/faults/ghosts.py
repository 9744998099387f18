"""A program whose sessions are in a channel, and do not come back once their connection is lost.

    python tests/faults/ghosts.py SERVER CHANNEL LEASE_SECONDS NAME,NAME,…

It runs until it is killed.
"""

from __future__ import annotations

import sys

import trio

from signal_sdk import LoginCallback, Signal
from signal_sdk.wire import built_in
from tests.faults.sdk_load import say


async def main(server: str, channel: str, lease: str, accounts: list[str]) -> None:
    async with Signal("app", server=server, reconnect=None) as signal:
        for account in accounts:
            session = await signal.login(account, "_no_need_token", LoginCallback())
            await session.invoke(
                "io.agora.signal.user_set_attr", {"name": built_in.CONN_TIMEOUT, "value": lease}
            )
            await session.channel_join(channel)
        say("ready")
        await trio.sleep_forever()


if __name__ == "__main__":
    trio.run(main, sys.argv[1], sys.argv[2], sys.argv[3], sys.argv[4].split(","))
