"""A server with small limits, two slots for hostile clients, and bystanders: what
`test_hostile_machine.py` acts on, and what must hold of it.

Acts are recorded first and lived at once, so that a whole life is one `trio.run` on a mock clock.
"""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

import attrs
import trio
from websockets.frames import Frame, Opcode

from signal_sdk.errors import LinkError
from signal_sdk.server import config as configs
from signal_sdk.server.config import LimitsConfig
from signal_sdk.server.engine.base import AccountKey, ChannelKey
from signal_sdk.server.engine.core import MAX_REPLIES
from signal_sdk.server.engine.tables import Account
from signal_sdk.server.engine.values import encode_json
from signal_sdk.testing.server import LocalServer, local_server, trio_wall_clock
from signal_sdk.wire.built_in import CHANNEL_TTL
from signal_sdk.wire.names import MAX_TTL_SECONDS
from tests.packet_client import PacketClient, packet_client
from tests.server.helpers import FOREVER, settle
from tests.server.inside import state_of, times_of, to_be_swept
from tests.wire_client import WireClient, wire_client

APP: Final = "app"
QUIET: Final = "quiet"
"""The app of a bystander who must not notice anything at all."""
LIMITS: Final = LimitsConfig(
    silence_seconds=FOREVER,
    user_messages_per_second=20,
    channel_messages_per_second=15,
    channel_attributes_per_second=5,
    changes_per_second=12,
    questions_per_second=30,
    inbox_messages=6,
    inbox_bytes=4000,
    inbox_sender_messages=3,
    session_channels=3,
    account_channels=3,
    account_calls=2,
    account_locks=2,
    channel_locks=2,
    lock_waiters=1,
    app_accounts=10,
    app_channels=6,
    app_bytes=20_000,
    attributes=4,
    history_events=8,
)
LEAST_SECONDS: Final = 2 * 3600 + 300
"""Longer than an empty channel lives that nobody has said anything else of."""

Client = WireClient | PacketClient
Act = Callable[["Life"], Awaitable[None]]


class _Errors(logging.Handler):
    """Keeps what is logged at ERROR."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.found: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.found.append(self.format(record))


class Life:
    """A server while hostile clients are at it. `wall_seconds` is how much its wall clock is ahead
    of trio's.
    """

    def __init__(self, nursery: trio.Nursery) -> None:
        self._nursery = nursery
        self._errors = _Errors()
        self._is_over = trio.Event()
        self.slots: list[Client | None] = [None, None]
        self.wall_seconds = 0.0
        self.server: LocalServer
        self.near: WireClient
        self.far: WireClient

    # --- clients ---

    async def begin(self) -> None:
        """The bystanders are there."""
        near, far = await self.connect("web"), await self.connect("web")
        assert isinstance(near, WireClient)
        assert isinstance(far, WireClient)
        self.near, self.far = near, far
        for client, app in ((near, APP), (far, QUIET)):
            assert (await client.login("bystander", app=app))["result"] == "ok"
            assert (await client.call("channel_join", name="square"))["result"] == "ok"

    async def connect(self, wire: str) -> Client:
        client: Client = await self._nursery.start(self._hold, wire)
        return client

    async def _hold(self, wire: str, task_status: trio.TaskStatus[Client]) -> None:
        native = packet_client(self.server) if wire == "native" else None
        async with native or wire_client(self.server.connect()) as client:
            task_status.started(client)
            await self._is_over.wait()

    async def log_in(self, slot: int, wire: str, said: str) -> None:
        """A new connection, which takes the slot, and on which `said` says who it is, in JSON."""
        said = f'{{"vid":"{APP}",{said[1:]}'
        client = await self.connect(wire)
        self.slots[slot] = client
        if isinstance(client, WireClient):
            send(client, f'["login",{said}]')
        else:
            send(client, f"login {said}")
        await settle()
        learn(client)

    def line(self, slot: int, whose: str) -> Any:
        """A session's line, as the one in `slot` says it."""
        clients: dict[str, Client | None] = {
            "own": self.slots[slot],
            "other": self.slots[1 - slot],
            "near": self.near,
            "far": self.far,
        }
        client = clients.get(whose)
        return whose if client is None else client.line

    # --- what must hold ---

    async def check(self) -> None:
        """The others are served, nothing is wrong, and all bounds are kept."""
        await settle()
        for client in (*self.slots, self.near, self.far):
            if client is not None:
                learn(client)
                client.seen.clear()
        assert not self._errors.found, self._errors.found
        self._check_bounds()
        self._check_order()
        with trio.fail_after(5):
            for client in (self.near, self.far):
                client.send("ping", 7)
                assert await client.expect("pong") == 7
                status = await client.call("user_query_user_status", account="bystander")
                assert status["status"] == 1
                isin = await client.call(
                    "channel_query_user_isin", name="square", account="bystander"
                )
                assert isin["isin"] == 1
            text = f"{trio.current_time()}"
            sent = await self.far.call(
                "user_sendmsg", peer="bystander", flag="v1:E:60", t="instant", content=text
            )
            assert sent["result"] == "ok"
            page = await self.far.call("user_getmsg", ver_clear=0, max=30)
            version, line = page["msgs"][-1]
            assert line.endswith(text)
            await self.far.call("user_getmsg", ver_clear=version, max=30)
            assert (await self.far.call("channel_sendmsg", name="square", msg="x"))["err"] == ""
        # So that what the bystanders themselves ask is within their own rates.
        await trio.sleep(0.5)

    @property
    def state(self) -> Any:
        """The engine's."""
        return state_of(self.server.node.engine)

    def _check_bounds(self) -> None:
        state = self.state
        for app, usage in state.usages.items():
            assert usage.accounts <= LIMITS.app_accounts
            assert usage.channels <= LIMITS.app_channels
            assert usage.bytes <= LIMITS.app_bytes, app
        calls_of = list(state.calls.items())
        for key, account in state.accounts.items():
            inbox = account.inbox
            own = [
                call for it, call in calls_of if it.app == key.app and call.caller == key.account
            ]
            assert account.made <= LIMITS.account_channels
            assert len(own) <= LIMITS.account_calls
            assert state.locks.count_of(account) <= LIMITS.account_locks
            assert len(account.attributes) <= LIMITS.attributes
            # Call events have a tenth more room.
            assert len(inbox.entries) <= LIMITS.inbox_messages + 1
            assert inbox.size <= LIMITS.inbox_bytes * 1.1
            assert max(inbox.senders.values(), default=0) <= LIMITS.inbox_sender_messages
            assert len(account.replies) <= MAX_REPLIES
            if (presence := account.presence) is not None:
                most = LIMITS.session_channels if presence.many_channels else 1
                assert len(presence.channels) <= most
        for channel in state.channels.values():
            names_of_locks = state.locks.names_in(channel)
            assert len(names_of_locks) <= LIMITS.channel_locks
            for name in names_of_locks:
                first, *waiting = state.locks.asks(channel, name)
                assert len(waiting) <= LIMITS.lock_waiters
                assert first.fence
                assert not any(it.fence for it in waiting)
                assert {it.account.key.account for it in (first, *waiting)} <= set(channel.members)
            assert len(channel.attributes) <= LIMITS.attributes
            assert len(channel.history) <= LIMITS.history_events

    def _check_order(self) -> None:
        """What is counted or indexed beside the records is as it would be counted anew."""
        state, node = self.state, self.server.node
        for app, usage in state.usages.items():
            accounts = [it for key, it in state.accounts.items() if key.app == app]
            channels = [it for key, it in state.channels.items() if key.app == app]
            assert usage.uids == {it.uid for it in accounts}
            assert usage.accounts == len(accounts)
            assert usage.channels == len(channels)
            kept = sum(map(_size, [*accounts, *channels]))
            assert usage.bytes == kept + sum(it.inbox.size for it in accounts)
        present = {key: it.presence for key, it in state.accounts.items() if it.presence}
        assert state.lines == {it.line_digest: key for key, it in present.items()}
        members = {
            (key.app, key.channel, account)
            for key, channel in state.channels.items()
            for account in channel.members
        }
        assert members == {
            (key.app, name, key.account) for key, it in present.items() for name in it.channels
        }
        sides = {
            (call, AccountKey(call.app, side))
            for call in state.calls
            for side in (call.one, call.other)
        }
        assert sides == {(call, key) for key, it in state.accounts.items() for call in it.calls}
        assert set(node._hub._holders) <= set(present)
        records = {
            *state.calls,
            *state.channels.values(),
            *state.accounts.values(),
            *state.locks,
        }
        assert {of for dues in (state.dues, state.expiries) for _, of in times_of(dues)} <= records

    # --- the end ---

    async def end(self) -> None:
        """Everybody leaves, time goes by, and nothing is left but the attributes of users, which
        are kept for good.
        """
        # What somebody asked to be kept for longer than the time that goes by.
        for channel in [it for it in self.state.channels if it.app == APP]:
            args = {"channel": channel.channel, "name": CHANNEL_TTL}
            await self.near.call("channel_del_attr", **args)
            await trio.sleep(0.3)
        self._is_over.set()
        await trio.sleep(LEAST_SECONDS)
        self.wall_seconds += MAX_TTL_SECONDS
        await trio.sleep(3)
        state, node = self.state, self.server.node
        assert not self._errors.found, self._errors.found
        left = {key: _left(it) for key, it in state.accounts.items() if _left(it)}
        assert not left, left
        assert all(it.attributes for it in state.accounts.values())
        assert not state.channels
        assert not state.calls
        assert not state.lines
        assert len(node.acceptor) == 0
        assert node.acceptor._services.visitors.count == 0
        assert node.sessions == 0
        assert not node._hub._listeners
        # What is kept of users may have an end, which goes by no clock that is set.
        ending = [it for it in state.accounts.values() if it.next_end is not None]
        assert node.statistics().due == len(ending)
        assert node.statistics().listening == 0
        assert not state.histories
        assert not to_be_swept(node.engine)
        presences: Any = node._presences
        tables: list[Any] = [presences._sent, state.messages, state.changes]
        for rates in tables:
            # They forget when they are asked for the next.
            rates.of(ChannelKey(APP, "probe"), trio.current_time())
            assert len(rates) == 1
        self._check_order()

    async def live(self, acts: Sequence[Act]) -> None:
        """Have it all happen."""
        logger = logging.getLogger("signal_sdk")
        logger.addHandler(self._errors)
        try:
            async with local_server(
                attrs.evolve(configs.dev(), limits=LIMITS),
                listens=False,
                clock=lambda: trio_wall_clock() + self.wall_seconds,
            ) as server:
                self.server = server
                await self.begin()
                for act in acts:
                    await act(self)
                    await self.check()
                await self.end()
        finally:
            logger.removeHandler(self._errors)


def _size(owner: Any) -> int:
    return sum(len(encode_json(value).encode()) for value in owner.attributes.values())


def _left(account: Account) -> dict[str, Any]:
    """What is left of an account beside its attributes."""
    left = {
        "presence": account.presence,
        "entries": len(account.inbox.entries),
        "senders": account.inbox.senders,
        "bytes": account.inbox.size,
        "calls": account.calls,
        "made": account.made,
        "replies": account.replies,
    }
    return {name: value for name, value in left.items() if value}


def learn(client: Client) -> None:
    """Note the line of a login that was answered meanwhile."""
    if isinstance(client, WireClient):
        for event, payload in client.seen:
            if event == "login_ret" and not payload[0]:
                client.line = json.loads(payload[1])["line"]
    else:
        for text in client.seen:
            if text.startswith("login_res ok "):
                client.line = json.loads(text.split(" ", 3)[3])["line"]


def send(client: Client, text: str) -> None:
    """Say a text, where there is still somebody to say it to."""
    if isinstance(client, PacketClient):
        client.say(text)
    elif client.closed is None:
        try:
            client.send_raw(text.encode())
        except LinkError:
            # It was closed in this moment.
            return


def send_bytes(client: Client, data: bytes) -> None:
    """Send bytes that need be neither frames nor packets."""
    if isinstance(client, PacketClient):
        client.send_raw(data)
    elif client.closed is None:
        client.link.outbox.append(data)


def frame(data: bytes, opcode: int, *, fin: bool) -> bytes:
    """A WebSocket frame."""
    return Frame(Opcode(opcode), data, fin=fin).serialize(mask=True)


@asynccontextmanager
async def life() -> AsyncIterator[Life]:
    """A life, whose block's own exception is not a group."""
    failed: Exception | None = None
    async with trio.open_nursery() as nursery:
        try:
            yield Life(nursery)
        except Exception as exc:  # noqa: BLE001  it is raised again below
            failed = exc
        nursery.cancel_scope.cancel()
    if failed is not None:
        raise failed
