"""What the server's tests share: logging in, reading what was pushed, an engine that takes its
time.
"""

from __future__ import annotations

import heapq
import math
import random
import shutil
import socket
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractContextManager, asynccontextmanager
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any, Final, Protocol, cast

import attrs
import msgspec
import trio
from msgspec.structs import replace
from trio.testing import wait_all_tasks_blocked

from signal_sdk.errors import SignalError
from signal_sdk.net.reactor import Reactor
from signal_sdk.net.transport import SocketTransport
from signal_sdk.server import config as configs
from signal_sdk.server.config import AppConfig, Config, LimitsConfig
from signal_sdk.server.engine.base import (
    AccountKey,
    ChannelKey,
    Clocks,
    Delivery,
    Engine,
    Holdings,
    Presence,
    WatchedFact,
)
from signal_sdk.server.engine.embedded import EmbeddedEngine
from signal_sdk.server.engine.happened import Happening
from signal_sdk.server.engine.journal import Journal
from signal_sdk.server.engine.pending import Pending
from signal_sdk.server.engine.schema import Batch
from signal_sdk.testing.memory import MemoryTransport, memory_transport_pair
from signal_sdk.testing.server import LocalServer, local_server
from signal_sdk.websocket import handshake
from signal_sdk.wire import lines
from signal_sdk.wire.events import ChannelContent
from signal_sdk.wire.login import NATIVE_DEVICE, PUSH_VERSION
from tests.server.inside import state_of
from tests.wire_client import MAX_FRAME_BYTES, WireClient

APP = "app"
CERTIFICATE = "5cfd2fd1755d40ecb72977518be15d3b"
FOREVER = 10**9
OPENING: Final = (
    b"GET / HTTP/1.1\r\nHost: memory\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
)
"""A plain opening request."""


class LogIn(Protocol):
    """Logs an account in on a connection of its own, which lasts as long as the test."""

    async def __call__(self, account: Any, **more: Any) -> WireClient: ...


def dev_config(*, listeners: Sequence[str] = (), **limits: int) -> Config:
    """A server in dev mode whose clients may be silent for ever, unless a test says otherwise."""
    apps = (AppConfig(id=APP, listeners=tuple(listeners)),) if listeners else ()
    limits.setdefault("silence_seconds", FOREVER)
    return attrs.evolve(configs.dev(), apps=apps, limits=LimitsConfig(**limits))


def connect(server: LocalServer, host: str, *, native: bool = False) -> MemoryTransport:
    """A connection from that address."""
    client, ours = memory_transport_pair()
    ours.host = host
    accept = server.node.acceptor.accept_native if native else server.node.acceptor.accept
    accept(ours, "127.0.0.1")
    return client


async def settle() -> None:
    """Let everything happen that happens now."""
    await wait_all_tasks_blocked()


async def pushed(client: WireClient) -> list[tuple[str, Any]]:
    """Take the inbox entries that were pushed to a web client: (type, content), JSON decoded."""
    await settle()
    taken = [frame for frame in client.seen if frame[0] == "notify" and frame[1][0] == "recvmsg"]
    client.seen = [frame for frame in client.seen if frame not in taken]
    return [_entry(msgspec.json.decode(text)[1]) for _, (_, text) in taken]


async def polled(client: WireClient, ver_clear: int = 0) -> list[tuple[str, Any]]:
    """Poll the inbox: (type, content), JSON decoded."""
    page = await client.call("user_getmsg", ver_clear=ver_clear, max=30)
    return [_entry(text) for _, text in page["msgs"]]


def _entry(text: str) -> tuple[str, Any]:
    line = lines.decode(text)
    if line.type == "instant":
        return line.type, line.content
    return line.type, msgspec.json.decode(line.content)


async def told(client: WireClient) -> list[tuple[str, str, dict[str, Any]]]:
    """Take the channel events seen so far: (channel, type, content)."""
    await settle()
    return [(channel, kind, content) for channel, _, kind, content in client.channel_events()]


async def members(client: WireClient, channel: str) -> list[str]:
    """The accounts in a channel, oldest first."""
    listed = await client.call("channel_query_userlist", name=channel)
    return [account for account, _ in listed["list"]]


async def dial(host: str, port: int) -> SocketTransport:
    """A connection over a socket."""
    stream = await trio.open_tcp_stream(host, port)
    return SocketTransport(socket.socket(fileno=stream.socket.detach()))


async def ask(server: LocalServer, target: str) -> bytes:
    """Ask over plain HTTP, and return the whole answer."""
    transport = server.connect()
    transport.send_nowait(f"GET {target} HTTP/1.1\r\nHost: memory\r\n\r\n".encode())
    answer = b""
    while data := await transport.receive_some():
        answer += data
    transport.close()
    return answer


@asynccontextmanager
async def vanishing_client(server: LocalServer, account: str) -> AsyncIterator[None]:
    """A client that logs in, pings once as pages do, and then neither reads nor says anything, not
    even that it is gone.
    """
    async with trio.open_nursery() as nursery:
        reactor = Reactor()
        await nursery.start(reactor.run)
        link = await handshake.connect(
            server.connect(), reactor, "ws://127.0.0.1/", max_frame_bytes=MAX_FRAME_BYTES
        )
        client = WireClient(link)
        client.send("login", {"vid": APP, "account": account})
        await settle()
        client.send("ping", 1)
        await settle()
        yield
        link.abort()
        nursery.cancel_scope.cancel()


def is_refusal(reply: dict[str, Any], ecode: int) -> bool:
    """Does the reply refuse, with this code and a reason?"""
    return (
        reply["result"] == "failed"
        and reply["ecode"] == ecode
        and bool(reply["reason"])
        and reply["err"] == reply["reason"] == reply["data"]["result"]
    )


NOT_SLOW: Final = (
    *("bound", "aclose", "check_writable", "when_durable", "newest_time", "forget_newer_time"),
    *("token_time", "arrival_time", "statistics", "measures", "keep_happenings"),
)
"""What an engine does without waiting, whatever it is."""
SLOW_SECONDS: Final = 0.001
"""How long an operation may take until it is done, and then until its result is there."""
LATE_SECONDS: Final = 0.002
"""How much later than it happened something may be delivered."""

_Of = tuple[str, object]
"""Of which channel, or of which account: their keys may be equal."""


class _Later:
    """Calls what it is given, each a random moment later: what is of one thing in order."""

    def __init__(self, moments: random.Random) -> None:
        self._moments = moments
        self._heap: list[tuple[float, int, _Of, Callable[[], None]]] = []
        self._latest: dict[_Of, float] = {}
        self._numbers = count()
        self._wake = trio.Event()

    def call(self, of: _Of, call: Callable[[], None], within: float) -> None:
        time = trio.current_time() + self._moments.random() * within
        time = self._latest[of] = max(time, self._latest.get(of, 0.0))
        heapq.heappush(self._heap, (time, next(self._numbers), of, call))
        self._wake.set()

    def forget(self, of: _Of) -> None:
        """What is under way of this is not called."""
        self._heap = [it for it in self._heap if it[2] != of]
        heapq.heapify(self._heap)

    async def run(self) -> None:
        while True:
            while self._heap and self._heap[0][0] <= trio.current_time():
                heapq.heappop(self._heap)[3]()
            self._wake = trio.Event()
            with trio.move_on_at(self._heap[0][0] if self._heap else math.inf):
                await self._wake.wait()


class _LateDelivery:
    """Hands on what an engine delivers, each a random moment later: what is of one channel or of
    one account in order.
    """

    def __init__(self, delivery: Delivery, later: _Later) -> None:
        self._delivery = delivery
        self._call_later = later.call

    def _later(self, of: _Of, call: Callable[[], None]) -> None:
        self._call_later(of, call, LATE_SECONDS)

    def deliver_entry(self, key: AccountKey, version: int, line: str) -> None:
        self._later(("account", key), partial(self._delivery.deliver_entry, key, version, line))

    def deliver_event(
        self, key: ChannelKey, msgid: int, content: ChannelContent, time_ms: int
    ) -> None:
        call = partial(self._delivery.deliver_event, key, msgid, content, time_ms)
        self._later(("channel", key), call)

    def deliver_kick(self, key: AccountKey, generation: int) -> None:
        self._later(("account", key), partial(self._delivery.deliver_kick, key, generation))

    def deliver_loss(self, key: AccountKey, generation: int) -> None:
        self._later(("account", key), partial(self._delivery.deliver_loss, key, generation))

    def deliver_expiry(self, key: AccountKey, generation: int) -> None:
        call = partial(self._delivery.deliver_expiry, key, generation)
        self._later(("account", key), call)

    def deliver_removal(
        self, key: AccountKey, generation: int, channel: str, msgid: int, time_ms: int
    ) -> None:
        removal = self._delivery.deliver_removal
        self._later(("account", key), partial(removal, key, generation, channel, msgid, time_ms))

    def deliver_grant(
        self, key: AccountKey, generation: int, channel: str, lock: str, ask: str
    ) -> None:
        grant = self._delivery.deliver_grant
        self._later(("account", key), partial(grant, key, generation, channel, lock, ask))

    def deliver_watched(self, key: AccountKey, fact: WatchedFact) -> None:
        self._later(("watched", key), partial(self._delivery.deliver_watched, key, fact))

    def deliver_fencing(self) -> None:
        self._delivery.deliver_fencing()

    def deliver_happening(self, happening: Happening) -> None:
        self._later(("app", happening.app), partial(self._delivery.deliver_happening, happening))

    def deliver_kept(self) -> None:
        self._delivery.deliver_kept()

    def gather(self) -> AbstractContextManager[None]:
        return self._delivery.gather()

    def give_way(self, *, at_once: bool = False) -> None:
        self._delivery.give_way(at_once=at_once)

    def flush(self) -> None:
        self._delivery.flush()

    def together(self) -> AbstractContextManager[None]:
        return self._delivery.together()


class _SlowEngine:
    """An engine whose operations take a random moment before and after, in their order, and whose
    deliveries come later, as those of one behind a network do: but none of a channel that was
    unsubscribed meanwhile.
    """

    def __init__(self, engine: Engine, seed: int) -> None:
        self._engine = engine
        self._random = random.Random(seed)
        self._later: _Later | None = None

    def _started(self) -> _Later:
        # Only in trio's loop is there a clock.
        if self._later is None:
            self._later = _Later(self._random)
        return self._later

    def attach(self, delivery: Delivery, clocks: Clocks) -> None:
        self._engine.attach(_LateDelivery(delivery, self._started()), clocks)

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._started().run)
            await nursery.start(self._engine.run)
            task_status.started()

    def unsubscribe(self, key: ChannelKey) -> None:
        self._engine.unsubscribe(key)
        self._started().forget(("channel", key))

    def unwatch(self, key: AccountKey) -> None:
        self._engine.unwatch(key)
        self._started().forget(("watched", key))

    def __getattr__(self, name: str) -> Any:
        operation: Callable[..., Any] = getattr(self._engine, name)
        if name in NOT_SLOW:
            return operation

        def slow(*args: Any, **kwargs: Any) -> Pending[Any]:
            outcome: Pending[Any] = Pending()
            work = partial(self._do, partial(operation, *args, **kwargs), outcome)
            self._started().call(("operation", None), work, SLOW_SECONDS)
            return outcome

        return slow

    def _do(self, operation: Callable[[], Any], outcome: Pending[Any]) -> None:
        try:
            told = partial(outcome.resolve, operation())
        except SignalError as exc:
            told = partial(outcome.fail, exc)
        self._started().call(("result", None), told, SLOW_SECONDS)


async def inline(write: Callable[[Batch], None], batch: Batch) -> None:
    """Write a batch where one is: the mock clock does not wait for a thread."""
    write(batch)


def journal_engine(directory: Path, **settings: Any) -> EmbeddedEngine:
    """An embedded engine on the journal in `directory`."""
    journal = Journal.open(directory)
    return EmbeddedEngine(journal=journal, write_in_thread=inline, **settings)


@asynccontextmanager
async def journal_server(
    directory: Path, config: Config | None = None
) -> AsyncIterator[LocalServer]:
    """A server in memory on the journal in `directory`; leaving the block stops it in order."""
    config = config or dev_config()
    async with local_server(config, listens=False, engine=journal_engine(directory)) as server:
        yield server


OURS: Final[dict[str, Any]] = {"device": NATIVE_DEVICE, "ver": PUSH_VERSION}
"""What a client of ours says of itself when it logs in."""


async def resume(client: WireClient, line: str, **more: Any) -> dict[str, Any]:
    """Take a session up again."""
    client.send("line_login", {"line": line, **more})
    return await client.login_ret()


def killed(directory: Path, name: str = "killed") -> Path:
    """What is left in `directory` of a process that is killed now, as a directory of its own."""
    left = directory.with_name(name)
    shutil.copytree(directory, left)
    return left


def _lasting(presence: Presence) -> Presence:
    """Without what dies with its node, and the order in which it joined its channels."""
    channels = tuple(sorted(presence.channels))
    return replace(presence, node="", began=0.0, channels=channels)


def kept_by(engine: EmbeddedEngine) -> dict[Any, Any]:
    """All that an engine's state is to others, and that outlives its process, to compare it with
    another engine's.
    """
    state = state_of(engine)
    accounts = {
        key: (
            account.uid,
            account.presence and _lasting(account.presence),
            account.generation,
            account.attributes,
            account.inbox.last_version,
            [(it.version, it.expires, it.line, it.number) for it in account.inbox.entries],
            set(account.calls),
            account.made,
            {it: reply for it, reply in account.replies.items() if reply.number is not None},
        )
        for key, account in state.accounts.items()
        if not account.is_nobody
    }
    channels = {
        key: (
            list(channel.members.items()),
            channel.attributes,
            channel.msgid,
            channel.total,
            channel.idle_since,
            channel.maker and channel.maker.key,
        )
        for key, channel in state.channels.items()
    }
    locks: dict[Any, list[Any]] = {}
    for it in state.locks:
        asks = locks.setdefault((it.channel.key, it.name), [])
        asks.append((it.account.key, it.id, it.seconds, it.ends, it.fence))
    return {
        "accounts": accounts,
        "channels": channels,
        "calls": state.calls,
        "locks": locks,
    }


def check_totals(engine: EmbeddedEngine) -> None:
    """What an engine counts as it goes is what a look at all that it has finds."""
    state = state_of(engine)
    accounts, channels = state.accounts.values(), state.channels.values()
    measures = engine.measures(())
    assert measures.apps[""] == Holdings(
        accounts=len(accounts),
        online=sum(it.presence is not None for it in accounts),
        channels=len(channels),
        members=sum(len(it.members) for it in channels),
        entries=sum(len(it.inbox.entries) for it in accounts),
        bytes=sum(it.bytes for it in state.usages.values()),
    )
    states = Counter(call.state for call in state.calls.values())
    assert {state: count for state, count in measures.calls.items() if count} == states


def slow_engine(seed: int, engine: Engine | None = None) -> Engine:
    """An engine, by default an embedded one, that takes its time, by `seed`."""
    return cast("Engine", _SlowEngine(engine or EmbeddedEngine(), seed))
