"""Cancellation at every await: a connection's, a session's, the journal's. Whatever is cut off,
hub, engine, outboxes and journal agree afterwards, and no task is left.

Each test lives a course of events again and again, and cancels it one step later each time, until
it gets through: so that every await is the one that is cancelled once.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import trio
from trio.abc import Instrument
from trio.testing import MockClock, wait_all_tasks_blocked

from signal_sdk import CallCallback, LoginCallback, LoginSession, Signal, SignalError
from signal_sdk.call import Call
from signal_sdk.server.engine.base import AccountKey, Asked, Engine
from signal_sdk.server.engine.embedded import EmbeddedEngine
from signal_sdk.server.engine.journal import Journal
from signal_sdk.server.engine.pending import waited
from signal_sdk.server.engine.schema import Batch
from signal_sdk.server.node import Node
from signal_sdk.testing import LocalServer, local_server, memory_transport_pair
from tests.server.engine.contract.harness import login_facts
from tests.server.helpers import APP, dev_config, slow_engine
from tests.server.inside import state_of
from tests.wire_client import WireClient, logged_in, wire_client

MAX_STEPS = 2000
LEASE_SECONDS = 125


class Cutter(Instrument):
    """Cancels `scope` when the tasks under `root` begin their n-th step."""

    def __init__(self, nth: int) -> None:
        self.scope = trio.CancelScope()
        self.root: trio.lowlevel.Task | None = None
        self._left = nth

    @property
    def has_cut(self) -> bool:
        return self.scope.cancel_called

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        if self.root is None or self._left <= 0 or not self._is_below(task):
            return
        self._left -= 1
        if not self._left:
            self.scope.cancel()

    def _is_below(self, task: trio.lowlevel.Task | None) -> bool:
        while task is not None:
            if task is self.root:
                return True
            task = task.parent_nursery.parent_task if task.parent_nursery is not None else None
        return False


def tasks_of_this_run() -> int:
    """How many tasks there are."""

    def count(task: trio.lowlevel.Task) -> int:
        return 1 + sum(
            count(child) for nursery in task.child_nurseries for child in nursery.child_tasks
        )

    root = trio.lowlevel.current_root_task()
    assert root is not None
    return count(root)


def until_it_gets_through(course: Callable[[Cutter], Awaitable[None]]) -> int:
    """Live `course` again and again, cut at each step; how many steps it has."""
    for nth in range(1, MAX_STEPS):
        cutter = Cutter(nth)
        trio.run(course, cutter, clock=MockClock(autojump_threshold=0), instruments=[cutter])
        if not cutter.has_cut:
            return nth
    raise AssertionError(f"not through after {MAX_STEPS} steps")


# --- what must agree ---


def check_engine(engine: EmbeddedEngine) -> None:
    """The engine's indexes tell one story."""
    state = state_of(engine)
    for key, account in state.accounts.items():
        presence = account.presence
        if presence is not None:
            assert state.lines[presence.line_digest] == key
            assert presence.generation == account.generation
        for channel_key, channel in state.channels.items():
            is_there = presence is not None and presence.channel == channel_key.channel
            assert (key.account in channel.members) == is_there
        for call_key in account.calls:
            assert call_key in state.calls
    assert len(state.lines) == sum(it.presence is not None for it in state.accounts.values())
    for call_key in state.calls:
        for side in (call_key.one, call_key.other):
            assert call_key in state.accounts[AccountKey(call_key.app, side)].calls


def check_hub(server: LocalServer, engine: EmbeddedEngine) -> None:
    """Nobody hears of anything who is not connected, and members hear of their channel once."""
    hub = server.node._hub
    clients = [connection.client for connection in server.node.acceptor.connections]
    for key, holder in hub._holders.items():
        assert holder in clients
        presence = state_of(engine).accounts[key].presence
        assert presence is not None
        assert presence.generation == holder.generation
    for channel_key, listeners in hub._listeners.items():
        for account in listeners:
            assert AccountKey(channel_key.app, account) in hub._holders
            assert account in state_of(engine).channels[channel_key].members


# --- the connection ---


async def live_on_the_wire(client: WireClient, other: WireClient) -> None:
    """A bit of everything that a connection does."""
    await client.login("ann", device="javasdk", ver=1_02_00_00_000, instance="i")
    await client.call("channel_join", name="red", ack=0)
    await client.call("channel_sendmsg", name="red", msg="hello", ack=1)
    await client.call("user_sendmsg", peer="bob", flag="v1:E:60", t="instant", content="x", ack=2)
    await client.call("channel_set_attr", channel="red", name="a", value="1", ack=3)
    await client.call("channel_join", name="blue", ack=4)
    await client.call("voip_invite", channelName="red", peer="bob", extra="", ack=5)
    await other.call("voip_invite_ack", channelName="red", peer="ann", extra="")
    await other.call("voip_invite_accept", channelName="red", peer="ann", extra="")
    await client.call("voip_invite_bye", channelName="red", peer="bob", extra="", ack=6)
    await client.call("user_getmsg", ver_clear=0, max=30, ack=7)
    await client.call("channel_leave", name="blue", ack=8)


@pytest.mark.parametrize("is_slow", [False, True], ids=["in one step", "waits everywhere"])
@pytest.mark.parametrize("resumes", [False, True], ids=["logs in", "resumes"])
@pytest.mark.timeout(120)
def test_a_connection_is_cut_at_every_await(is_slow: bool, resumes: bool) -> None:
    async def course(cutter: Cutter) -> None:
        inner = EmbeddedEngine()
        engine: Engine = slow_engine(7, inner) if is_slow else inner
        async with (
            local_server(dev_config(), listens=False, engine=engine) as server,
            logged_in(server, "bob") as bob,
        ):
            line = ""
            if resumes:
                async with wire_client(server.connect()) as client:
                    await client.login("ann", device="javasdk", ver=1_02_00_00_000, instance="i")
                    line = client.line
                    await client.call("channel_join", name="red")
            await trio.sleep(1)
            await wait_all_tasks_blocked()
            before = tasks_of_this_run()
            client_end, server_end = memory_transport_pair()

            async def serve() -> None:
                with cutter.scope:
                    cutter.root = trio.lowlevel.current_task()
                    await server.node.acceptor.serve(server_end, "127.0.0.1")
                cutter.root = None

            async with trio.open_nursery() as nursery:
                nursery.start_soon(serve)
                with contextlib.suppress(Exception):
                    async with wire_client(client_end) as client:
                        if resumes:
                            client.send("line_login", {"line": line, "channel": "red", "msgid": 1})
                            await client.login_ret()
                        await live_on_the_wire(client, bob)
            await trio.sleep(1)
            await wait_all_tasks_blocked()
            assert tasks_of_this_run() == before
            check_engine(inner)
            check_hub(server, inner)
            presence = inner.presence(AccountKey(APP, "ann"))
            assert presence is None or presence.lease_ends is not None
            await trio.sleep(LEASE_SECONDS)
            assert inner.presence(AccountKey(APP, "ann")) is None
            assert len(inner.calls_of(AccountKey(APP, "bob"))) == 0
            check_engine(inner)

    # No request has a task, whatever the engine: few places are left to be cut at.
    assert until_it_gets_through(course) > 3


# --- the session ---


class Talker(LoginCallback, CallCallback):
    """Answers whoever calls."""

    async def on_invite_received(self, session: LoginSession, call: Call) -> None:
        await call.channel_invite_accept("")


@pytest.mark.timeout(120)
def test_a_session_is_cut_at_every_await() -> None:
    async def course(cutter: Cutter) -> None:
        engine = EmbeddedEngine()
        async with (
            local_server(dev_config(), listens=False, engine=engine) as server,
            Signal(APP, server=server) as friends,
        ):
            await friends.login("bob", "_no_need_token", Talker())
            await wait_all_tasks_blocked()
            before = tasks_of_this_run()
            operations: list[Any] = []

            async def live() -> None:
                with cutter.scope:
                    cutter.root = trio.lowlevel.current_task()
                    async with Signal(APP, server=server) as signal:
                        session = signal.login("ann", "_no_need_token", Talker())
                        operations.append(session)
                        await session
                        channel = session.channel_join("red")
                        operations.append(channel)
                        await channel
                        operations.append(channel.message_channel_send("hello"))
                        operations.append(session.message_instant_send("bob", "x"))
                        call = session.channel_invite_user2("red", "bob")
                        operations.append(call)
                        await trio.sleep(1)
                        # The connection is lost, and the session comes back.
                        for connection in server.node.acceptor.connections:
                            holder = connection.client
                            held = holder.session if holder is not None else None
                            if held is not None and held.account == "ann":
                                connection._link.abort()
                        await session.message_instant_send("bob", "again")
                        operations.append(call.channel_invite_end(""))
                        await channel.channel_leave()
                cutter.root = None

            await live()
            for operation in operations:
                # Each has ended, one way or the other.
                with trio.fail_after(0.001), contextlib.suppress(SignalError):
                    await operation
            await trio.sleep(1)
            await wait_all_tasks_blocked()
            assert tasks_of_this_run() == before
            check_engine(engine)
            check_hub(server, engine)
            await trio.sleep(LEASE_SECONDS)
            assert await waited(engine.presence(AccountKey(APP, "ann"))) is None

    assert until_it_gets_through(course) > 20


# --- the journal ---


@pytest.mark.timeout(120)
def test_the_journal_is_cut_at_every_await(tmp_path: Path) -> None:
    directories = (tmp_path / str(number) for number in range(MAX_STEPS))
    acknowledged: list[int] = []

    async def write(write: Callable[[Batch], None], batch: Batch) -> None:
        await trio.sleep(0.001)
        write(batch)
        await trio.sleep(0.001)

    async def course(cutter: Cutter) -> None:
        directory = next(directories)
        engine = EmbeddedEngine(journal=Journal.open(directory), write_in_thread=write)
        acked: list[int] = []

        async def serve() -> None:
            with cutter.scope:
                cutter.root = trio.lowlevel.current_task()
                node = Node(dev_config(), engine=engine)
                await node.run(listens=False)
            cutter.root = None

        async def change() -> None:
            ann = AccountKey(APP, "ann")
            presence = await waited(engine.log_in(ann, login_facts(ann)))
            assert presence is not None
            asked = Asked(ann, presence.generation)
            for number in range(20):
                with contextlib.suppress(SignalError):
                    assert await waited(engine.set_user_attr(asked, f"a{number}", number)) is None
                    engine.when_durable(
                        lambda error, number=number: None if error else acked.append(number)  # type: ignore[misc]  # mypy knows no default of a lambda
                    )
                await trio.sleep(0.0007)
            cutter.scope.cancel() if cutter._left > 0 else None

        async with trio.open_nursery() as nursery:
            nursery.start_soon(serve)
            await change()
        again = EmbeddedEngine(journal=(journal := Journal.open(directory)))
        kept = again.user_attrs(AccountKey(APP, "ann"))
        journal.close()
        assert all(kept[f"a{number}"] == number for number in acked)
        acknowledged.append(len(acked))

    for nth in range(1, 60):
        cutter = Cutter(nth)
        trio.run(course, cutter, clock=MockClock(autojump_threshold=0), instruments=[cutter])
    # It was cut early, and late.
    assert min(acknowledged) < 5
    assert max(acknowledged) > 10


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    logger = logging.getLogger("signal_sdk")
    before = logger.level
    logger.setLevel(logging.ERROR)
    yield
    logger.setLevel(before)
