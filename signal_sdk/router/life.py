"""One life of a bot: what there is of it from its login to its end.

Owns: which channels it joins and leaves, and how it is stopped. Must not know how handlers are
registered, or how events find them.
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection
from typing import Final

import trio

from signal_sdk.channel import Channel
from signal_sdk.ecodes import ECode
from signal_sdk.errors import SignalError
from signal_sdk.router.contexts import Speech
from signal_sdk.router.running import Run
from signal_sdk.signal import Signal

__all__ = ["Life", "join_all"]

STOP_SECONDS: Final = 5.0
"""How long handlers that run may take to end once the bot is to stop."""


class Life:
    """What there is while a bot runs in `signal`. `is_in_many` is whether it may be in many
    channels.
    """

    def __init__(
        self, signal: Signal, speech: Speech, run: Run, nursery: trio.Nursery, *, is_in_many: bool
    ) -> None:
        self.signal = signal
        self.speech = speech
        self.is_stopping: bool = False
        self.is_over: bool = False
        self._token = trio.lowlevel.current_trio_token()
        self._run = run
        self._nursery = nursery
        self._is_in_many = is_in_many

    @property
    def channels(self) -> dict[str, Channel]:
        """Those that the bot is in, by name."""
        return {name: it for name, it in self._run.channels.items() if it.is_joined}

    @property
    def channel(self) -> Channel | None:
        """The one that it is in, if any. Raises `RuntimeError` where it is in several."""
        channels = self.channels
        if len(channels) > 1:
            raise RuntimeError(f"the bot is in {len(channels)} channels: which of them?")
        return next(iter(channels.values()), None)

    def find(self, name: str | None) -> Channel:
        """The channel of that name, or the one that there is. Raises `SignalError` (400) where the
        bot is in none of that name, and `RuntimeError` where none is named and there is not one.
        """
        if name is None:
            if (channel := self.channel) is None:
                raise RuntimeError("the bot is in no channel: Bot(…, channel=NAME) joins one")
            return channel
        if (channel := self.channels.get(name)) is None:
            raise SignalError(ECode.SENDMESSAGE_E_OTHER, f"the bot is not in the channel {name!r}")
        return channel

    async def join(self, name: str) -> Channel:
        """Join a channel, and read it. Raises `SignalError` where it cannot be joined, and
        `RuntimeError` where the bot may be in one only.
        """
        if not self._is_in_many:
            raise RuntimeError(
                "the bot is in one channel at a time: Bot(…, channels=[…]) may be in many"
            )
        channel = await _joined(self.speech, name)
        if self._run.channels.get(channel.name) is not channel:
            self._run.read_channel(channel)
        return channel

    async def leave(self, name: str) -> None:
        """Leave a channel. Raises `SignalError` (600) where the bot is not in it."""
        if (channel := self.channels.get(name)) is None:
            reason = f"the bot is not in the channel {name!r}"
            raise SignalError(ECode.LEAVECHANNEL_E_OTHER, reason)
        await channel.channel_leave()

    def stop(self) -> None:
        """Begin to end, where that has not begun. In any thread."""
        if not self.is_stopping:
            self.is_stopping = True
            with contextlib.suppress(trio.RunFinishedError):
                self._token.run_sync_soon(self._begin_to_stop)

    def _begin_to_stop(self) -> None:
        if not self.is_over:
            self._nursery.start_soon(self._stop)

    async def _stop(self) -> None:
        with trio.move_on_after(STOP_SECONDS):
            await self._run.close()
        self.speech.session.logout()


async def _joined(speech: Speech, name: str) -> Channel:
    """The channel, once it is joined. A refusal that says when to try again is waited for, as that
    of a message. Where the waiting is cancelled, it is left.
    """
    found: Channel

    async def join() -> None:
        nonlocal found
        found = await speech.session.channel(name).__aenter__()

    await speech.sender.deliver("channel", name, join)
    return found


async def join_all(speech: Speech, names: Collection[str]) -> list[Channel]:
    """Join channels, side by side. Raises `SignalError` where one cannot be joined."""
    channels: dict[str, Channel] = {}

    async def join(name: str) -> None:
        channels[name] = await _joined(speech, name)

    try:
        async with trio.open_nursery() as nursery:
            for name in names:
                nursery.start_soon(join, name)
    except BaseExceptionGroup as group:
        failed, rest = group.split(SignalError)
        if failed is None or rest is not None:
            raise
        # One says enough.
        raise failed.exceptions[0] from None
    return [channels[name] for name in names]
