"""A program of our SDK's whose sessions are in one channel and speak there, over whatever befalls
the servers, and which then says what was acknowledged, what each has heard, and who came and went.

    python tests/faults/room_load.py SERVER CHANNEL NAME,NAME,…

Lines on stdin: "speak" begins the speaking, "list" has it say who is in the channel, "stop" ends
the speaking, which is said once all are connected, "tell" ends the program. Times are the system's
monotonic clock, which all processes share.
"""

from __future__ import annotations

import json
import sys
import time
from functools import partial
from typing import Any

import trio

from signal_sdk import Channel, ChannelCallback, LoginCallback, LoginSession, Signal, SignalError
from tests.faults.sdk_load import say

PAUSE_SECONDS = 0.1


class Member(LoginCallback, ChannelCallback):
    """One session's records."""

    def __init__(self, *, is_watched: bool) -> None:
        self.is_watched = is_watched
        self.acked: list[str] = []
        self.unknown: list[str] = []
        self.heard: list[str] = []
        self.moves: list[tuple[str, str, float]] = []
        self.missed: list[int] = []
        self.ended: list[int] = []
        self.reconnected = 0
        self.connected = trio.Event()
        self.connected.set()

    async def on_reconnecting(self, session: LoginSession, attempt: int) -> None:
        self.connected = trio.Event()

    async def on_reconnected(self, session: LoginSession) -> None:
        self.reconnected += 1
        self.connected.set()
        if self.is_watched:
            say("back")

    async def on_logout(self, session: LoginSession, ecode: int) -> None:
        self.ended.append(ecode)

    async def on_message_channel_receive(
        self, session: LoginSession, channel: Channel, account: str, uid: int, msg: str
    ) -> None:
        self.heard.append(msg)

    async def on_channel_user_joined(
        self, session: LoginSession, channel: Channel, account: str, uid: int
    ) -> None:
        self.moves.append(("join", account, time.monotonic()))

    async def on_channel_user_leaved(
        self, session: LoginSession, channel: Channel, account: str, uid: int
    ) -> None:
        self.moves.append(("leave", account, time.monotonic()))

    async def speak(self, channel: Channel, stop: trio.Event) -> None:
        """Say something time and again."""
        async with trio.open_nursery() as nursery:
            number = 0
            while not stop.is_set():
                text = f"{channel.session.account}#{number}"
                number += 1
                nursery.start_soon(self._watch, text, channel.message_channel_send(text))
                await trio.sleep(PAUSE_SECONDS)

    async def _watch(self, text: str, operation: Any) -> None:
        try:
            await operation
        except SignalError:
            self.unknown.append(text)
        else:
            self.acked.append(text)

    async def hear_of_gaps(self, channel: Channel) -> None:
        """Count what is told to be missing."""
        while True:
            gap = await channel.gap
            self.missed.append(gap.before - gap.after - 1)

    def told(self) -> dict[str, Any]:
        """All of it."""
        names = ("acked", "unknown", "heard", "moves", "missed", "ended", "reconnected")
        return {name: getattr(self, name) for name in names}


async def main(server: str, channel: str, names: list[str]) -> None:
    speak, stop, tell = trio.Event(), trio.Event(), trio.Event()
    members = {name: Member(is_watched=name == names[0]) for name in names}
    async with Signal("app", server=server) as signal, trio.open_nursery() as nursery:
        joined = {}
        for name, member in members.items():
            session = await signal.login(name, "_no_need_token", member)
            joined[name] = await session.channel_join(channel, member)
            nursery.start_soon(member.hear_of_gaps, joined[name])
        say("ready")

        async def obey() -> None:
            stdin = trio.lowlevel.FdStream(sys.stdin.fileno())
            data = b""
            while not tell.is_set():
                data += await stdin.receive_some()
                *lines, data = data.split(b"\n")
                for line in lines:
                    if line == b"list":
                        first = joined[names[0]].session
                        listed = await first.channel_query_user_list(channel)
                        say(json.dumps(sorted(account for account, _ in listed)))
                    elif line == b"speak":
                        speak.set()
                    elif line == b"stop":
                        stop.set()
                    else:
                        tell.set()

        nursery.start_soon(obey)
        await speak.wait()
        async with trio.open_nursery() as speakers:
            for name, member in members.items():
                speakers.start_soon(partial(member.speak, joined[name], stop))
        for member in members.values():
            await member.connected.wait()
        say("stopped")
        await tell.wait()
        say(json.dumps({name: member.told() for name, member in members.items()}))
        nursery.cancel_scope.cancel()


if __name__ == "__main__":
    trio.run(main, sys.argv[1], sys.argv[2], sys.argv[3].split(","))
