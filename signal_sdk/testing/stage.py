"""A test's stage, in trio: the server, the network before it, and the bots and peers of one test.

Owns: their tasks, and what becomes of a bot that fails. Must not know pytest, or which event loop
the test itself has.
"""

from __future__ import annotations

import inspect
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import trio

from signal_sdk.client.dialer import Dialer, dialer_of
from signal_sdk.net.reactor import Reactor
from signal_sdk.raised import text_of, type_name
from signal_sdk.router import Bot
from signal_sdk.signal import Signal
from signal_sdk.testing.faults import FaultyNetwork
from signal_sdk.testing.scripted_peer import ScriptedPeer
from signal_sdk.testing.server import local_server
from signal_sdk.websocket.link import Link

__all__ = ["Stage", "stage"]


class Stage:
    """What one test plays on. `address` is the server's `HOST:PORT`, empty where it is in memory;
    `errors` is what bots have raised, of which the test fails at its end.
    """

    def __init__(
        self,
        nursery: trio.Nursery,
        app: str,
        address: str,
        server: Dialer,
        network: FaultyNetwork | None,
    ) -> None:
        self.app = app
        self.address = address
        self.network = network
        self.errors: list[Exception] = []
        self._nursery = nursery
        self._server = server
        self._bot: str | None = None
        self._peers: dict[str, ScriptedPeer] = {}

    def dialer(self, name: str) -> Dialer:
        """How a client of that name reaches the server."""
        return self._server if self.network is None else self.network.client(name)

    async def dial(self, appid: str, reactor: Reactor, *, avoid: str = "") -> Link:
        """What makes this a `Dialer`, for clients of the test's own."""
        return await self.dialer("").dial(appid, reactor, avoid=avoid)

    # --- bots ---

    async def run_bot(
        self,
        bot: Bot | Callable[..., Awaitable[object]],
        *args: object,
        account: str | None = None,
    ) -> None:
        """Run a bot to the test's end: a `Bot`, or a coroutine function with its arguments. One
        that takes a `task_status` has started when it says so. Raises what it raises before.

        `account` is to whom peers talk by default: the bot's that was started last.
        """
        if isinstance(bot, Bot):
            server = self.dialer(bot.account)

            async def run(*, task_status: trio.TaskStatus[object]) -> None:
                await bot.run(app=self.app, server=server, task_status=task_status)

            await self._nursery.start(self._live, run, bot.account)
            self._bot = bot.account
            return
        name = getattr(bot, "__name__", type(bot).__name__)
        if "task_status" in inspect.signature(bot).parameters:
            await self._nursery.start(self._live, _with(bot, args), name)
        else:
            self._nursery.start_soon(self._live, _with(bot, args), name)
            await trio.lowlevel.checkpoint()
        self._bot = account if account is not None else self._bot

    async def _live(
        self,
        run: Callable[..., Awaitable[object]],
        name: str,
        *,
        task_status: trio.TaskStatus[object] | None = None,
    ) -> None:
        has_started = task_status is None

        class Status:
            """Passes it on, and knows it."""

            def started(self, value: object = None) -> None:
                nonlocal has_started
                has_started = True
                if task_status is not None:
                    task_status.started(value)

        try:
            await (run() if task_status is None else run(task_status=Status()))
        except Exception as exc:
            if not has_started:
                raise
            exc.add_note(f"raised by the bot {name!r}")
            self.errors.append(exc)

    def explain(self) -> str:
        """A line for failures: whether a bot has failed."""
        told = [f"{type_name(exc)}: {text_of(exc)}" for exc in self.errors]
        return f"A bot has failed: {'; '.join(told)}." if told else ""

    # --- peers ---

    async def peer(
        self, account: str, *, many_channels: bool = False, takes_bytes: bool = True
    ) -> ScriptedPeer:
        """The peer of that account. Raises `RuntimeError` where it is there as another kind."""
        if account not in self._peers:
            signal: Signal = await self._nursery.start(self._run_signal, account)
            self._peers[account] = ScriptedPeer(
                signal,
                account,
                bot=self._account_of_bot,
                explain=self.explain,
                many_channels=many_channels,
                takes_bytes=takes_bytes,
            )
        peer = self._peers[account]
        if (peer.many_channels, peer.takes_bytes) != (many_channels, takes_bytes):
            raise RuntimeError(
                f"{account!r} is there with many_channels={peer.many_channels} and"
                f" takes_bytes={peer.takes_bytes}: ask for it so, or for another account"
            )
        return peer

    async def _run_signal(self, account: str, *, task_status: trio.TaskStatus[Signal]) -> None:
        async with Signal(self.app, server=self.dialer(account)) as signal:
            task_status.started(signal)
            await trio.sleep_forever()

    def _account_of_bot(self) -> str:
        if self._bot is None:
            raise RuntimeError("to whom? signal_bot(bot) runs a bot, and to=ACCOUNT names anybody")
        return self._bot


def _with(bot: Callable[..., Awaitable[object]], args: tuple[object, ...]) -> Any:
    async def run(**told: object) -> None:
        await bot(*args, **told)

    return run


@asynccontextmanager
async def stage(
    app: str, *, address: str = "", listens: bool = False, has_faults: bool = False
) -> AsyncGenerator[Stage]:
    """Set a stage while the block runs: at the server that is at `address`, or with one of its own,
    in memory or (`listens`) on a free port, too. Raises what a bot has raised meanwhile.
    """
    failed: list[BaseException] = []
    async with AsyncExitStack() as stack:
        network = None
        server: Dialer
        if address:
            server = dialer_of(address, None, None)
        else:
            server = local = await stack.enter_async_context(local_server(listens=listens))
            address = local.address
            if has_faults:
                network = await stack.enter_async_context(FaultyNetwork(local, seed=0))
        async with trio.open_nursery() as nursery:
            its = Stage(nursery, app, address, server, network)
            try:
                yield its
            except Exception as exc:  # noqa: BLE001  it is raised again below
                # The block's own exception is not the nursery's to wrap.
                failed.append(exc)
            nursery.cancel_scope.cancel()
    if failed:
        raise failed[0]
    if its.errors:
        raise its.errors[0]
