"""`Signal` for asyncio.

Owns: its block, entered and left in the loop and lived in the trio thread. Must not know what the
block does: the `Signal` that this is does.
"""

from __future__ import annotations

import asyncio
import contextlib
from functools import partial
from types import TracebackType
from typing import Final, Self, TypeAlias

import trio

from signal_sdk import call as _call
from signal_sdk import login_session as _login_session
from signal_sdk import signal as _signal
from signal_sdk.aio.crew import LoopCrew
from signal_sdk.aio.crossing import Crossing
from signal_sdk.aio.objects import LoginSession, handed_over
from signal_sdk.bridge.lodger import Lodger
from signal_sdk.client.crew import Crew
from signal_sdk.client.session import SessionClient
from signal_sdk.stream_events import Message
from signal_sdk.streams import Readers

__all__ = ["Signal"]

LOOK_SECONDS: Final = 1.0
"""How often it is looked whether the loop was closed."""


@handed_over
class Signal(_signal.Signal):
    """The entrance to an app, for programs that run on asyncio (uvloop, FastAPI, discord.py, …).

    As `signal_sdk.Signal`, with the same arguments, sessions, channels, calls, streams, callbacks
    and errors; what that awaits in trio is awaited here in the loop that has entered the block:

        async with Signal(appid) as signal:
            session = await signal.login("alice", token, callback)

    The connections live in one background thread of the process, which the flat API shares.
    Callbacks run in the loop, in the context in which `login` was called. A cancelled `await` does
    not undo what was asked; leaving the block logs out, and an exception in it, or its
    cancellation, ends all at once. A loop that is closed ends its sessions. All is to be called in
    the loop's own thread while it runs: `RuntimeError` is raised elsewhere.
    """

    LoginSession: TypeAlias = LoginSession

    crossing: Crossing
    """The way between the loop and the thread."""

    def _make_crew(self) -> Crew:
        self.crossing = Crossing()
        return LoopCrew(self.crossing)

    def _make_session(
        self,
        client: SessionClient,
        messages: Readers[Message],
        invitations: Readers[_call.Call],
    ) -> _login_session.LoginSession:
        return LoginSession(self.crossing, client, messages, invitations)

    # --- the block ---

    async def __aenter__(self) -> Self:
        if self.crossing.lodger is not None:
            raise RuntimeError("a Signal's block is entered once; make another Signal")
        lodger = Lodger(_Block(self))
        self.crossing.bind(lodger)
        self.crossing.on_closed = partial(lodger.leave, None)
        lodger.start()
        try:
            await self._wait(lodger)
        except BaseException as exc:
            # Cancelled: nobody will leave a block that was not entered.
            lodger.leave(exc)
            raise
        lodger.spawn(self._look)
        return self

    async def _look(self) -> None:
        """A loop that is closed ends its sessions, even where nothing is to be told to it."""
        while not self.crossing.is_closed:  # noqa: ASYNC110  a loop tells nobody of it
            await trio.sleep(LOOK_SECONDS)
        if self.crossing.on_closed is not None:
            self.crossing.on_closed()

    async def _wait(self, lodger: Lodger, *, is_leaving: bool = False) -> None:
        """Wait until the block has been entered, or left."""
        loop = self.crossing.loop
        future = loop.create_future()

        def told() -> None:
            if not future.done():
                future.set_result(None)

        def tell(_: object) -> None:
            # Where it is closed, nobody waits any more.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(told)

        awaited = lodger.ended if is_leaving else lodger.entered
        awaited.add_done_callback(tell)
        await future
        awaited.result()

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        lodger = self.crossing.check()
        lodger.leave(exc)
        try:
            await self._wait(lodger, is_leaving=True)
        except asyncio.CancelledError as cancelled:
            lodger.leave(cancelled)
            raise


class _Block:
    """The block of a `Signal` in the trio thread."""

    def __init__(self, signal: Signal) -> None:
        self._signal = signal

    async def enter(self) -> None:
        await _signal.Signal.__aenter__(self._signal)

    async def leave(self, exc: BaseException | None) -> None:
        await _signal.Signal.__aexit__(self._signal, type(exc) if exc else None, exc, None)
