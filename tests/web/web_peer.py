"""The original web SDK as a test's peer: many sessions of it in one Node process, run by driver.js.

Owns: the Node process, and the events that came from it. Must not know what is tested, or who
serves the SDK.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any, Final

import attrs
import msgspec
import pytest
import trio

from signal_sdk.server.engine.base import AccountKey
from signal_sdk.server.logged_in import LoggedIn
from signal_sdk.testing.server import LocalServer
from tests.two_nodes import nodes_of

TESTS: Final = Path(__file__).parents[1]
DRIVER: Final = Path(__file__).with_name("driver.js")
PACKAGES: Final = ("agora-signaling-sdk", "ws")

EXPECT_SECONDS: Final = 10.0
"""How long an event may take, in real time: a mock clock that jumps shortens nothing."""


@attrs.frozen
class Event:
    """One callback of one object."""

    object: str
    event: str
    args: list[Any]


@attrs.frozen(eq=False)
class WebObject:
    """An object of the web SDK: a login session, a channel or a call. `data` is what it held when
    a callback handed it over.
    """

    peer: WebPeer = attrs.field(repr=False)
    name: str
    data: dict[str, Any] = attrs.field(factory=dict)

    async def call(self, method: str, *args: Any) -> None:
        """Call a method."""
        await self.peer.command("call", object=self.name, method=method, args=args)

    async def request(self, method: str, *args: Any) -> list[Any]:
        """Call a method with a callback as its last argument, and return what that was told."""
        reply = self.peer.new_name(f"{self.name}.{method}")
        await self.peer.command("call", object=self.name, method=method, args=args, reply=reply)
        return await self.peer.expect(reply, "reply")

    async def make(self, method: str, *args: Any) -> WebObject:
        """Call a method that returns an object, and return that."""
        name = self.peer.new_name(f"{self.name}.{method}")
        await self.peer.command("call", object=self.name, method=method, args=args, result=name)
        return WebObject(self.peer, name)

    async def invoke(self, function: str, **request: Any) -> dict[str, Any]:
        """A session's `invoke("io.agora.signal.FUNCTION")`, which must succeed; returns its
        result.
        """
        error, result = await self.request("invoke", f"io.agora.signal.{function}", request)
        assert not error, (error, result)
        assert isinstance(result, dict)
        return result

    async def sync(self) -> None:
        """Wait for a session until all that the server has sent it so far has been seen."""
        await self.invoke("user_get_attr_all", account="nobody")

    async def expect(self, event: str, *args: Any) -> list[Any]:
        """Wait for the next such event, take it, and return its arguments, which must be `args`
        where any are given.
        """
        found = await self.peer.expect(self.name, event)
        assert not args or found == list(args), f"{event} of {self.name}: {found}, not {args}"
        return found

    def seen(self, event: str) -> list[list[Any]]:
        """The arguments of all such events that nobody has taken."""
        return [seen.args for seen in self.peer.of(self.name) if seen.event == event]


class WebPeer:
    """A Node process with sessions of the web SDK in it. `errors` is what a browser's console would
    show in red; a test takes out those that it expects.
    """

    def __init__(self, process: trio.Process, url: str) -> None:
        self._process = process
        self._url = url
        self._sending = trio.Lock()
        self._events: list[Event] = []
        self._news = trio.Event()
        self._names = count(1)
        self._stderr = b""
        self._has_ended = False
        self.errors: list[str] = []

    # --- doing ---

    def new_name(self, what: str) -> str:
        """A name that no object has yet."""
        return f"{what} #{next(self._names)}"

    async def command(self, do: str, **more: Any) -> None:
        """Send the driver a command."""
        assert self._process.stdin is not None
        async with self._sending:
            await self._process.stdin.send_all(msgspec.json.encode({"do": do, **more}) + b"\n")

    async def begin_login(
        self,
        account: Any,
        *,
        app: str = "app",
        token: str = "_no_need_token",
        with_lookup: bool = False,
    ) -> WebObject:
        """Start to log in, however it may end."""
        name = self.new_name(str(account))
        url = None if with_lookup else self._url
        await self.command("login", object=name, app=app, account=account, token=token, url=url)
        return WebObject(self, name)

    async def login(
        self, account: Any, *, app: str = "app", token: str = "_no_need_token"
    ) -> WebObject:
        """Log in, and return the session."""
        session = await self.begin_login(account, app=app, token=token)
        await session.expect("onLoginSuccess")
        return session

    async def set_network(self, *, up: bool) -> None:
        """While the network is down, the SDK's new connections wait until it is up again."""
        await self.command("network", up=up)

    # --- hearing ---

    async def expect(self, name: str, event: str) -> list[Any]:
        """Wait for the next `event` of the object called `name`, take it, and return its
        arguments.
        """
        ends = time.monotonic() + EXPECT_SECONDS
        while True:
            for number, seen in enumerate(self._events):
                if (seen.object, seen.event) == (name, event):
                    del self._events[number]
                    return seen.args
            left = ends - time.monotonic()
            if left <= 0 or self._has_ended:
                stderr = self._stderr.decode(errors="replace")[-2000:]
                raise AssertionError(
                    f"no {event} of {name} in {EXPECT_SECONDS} s"
                    f"{', and Node has ended' if self._has_ended else ''};"
                    f" not taken: {self._events}; errors: {self.errors}; stderr: {stderr}"
                )
            with trio.move_on_after(left):
                await self._news.wait()

    def of(self, name: str) -> list[Event]:
        """All events of the object called `name` that nobody has taken, in order."""
        return [seen for seen in self._events if seen.object == name]

    def _hear(self, event: Event) -> None:
        if (event.object, event.event) == ("page", "error"):
            self.errors.append(event.args[0])
        else:
            args = [self._decode(arg) for arg in event.args]
            self._events.append(attrs.evolve(event, args=args))
        self._tell()

    def _decode(self, arg: Any) -> Any:
        if isinstance(arg, dict) and "$object" in arg:
            return WebObject(self, arg.pop("$object"), arg)
        return arg

    def _tell(self) -> None:
        self._news.set()
        self._news = trio.Event()

    async def read_events(self) -> None:
        """Take in what the driver tells."""
        assert self._process.stdout is not None
        rest = b""
        async for data in self._process.stdout:
            *lines, rest = (rest + data).split(b"\n")
            for line in lines:
                self._hear(msgspec.json.decode(line, type=Event))
        self._has_ended = True
        self._tell()

    async def read_stderr(self) -> None:
        """Keep what the SDK logs, for the text of failures."""
        assert self._process.stderr is not None
        async for data in self._process.stderr:
            self._stderr += data


def _node() -> str:
    """Node's path; a test fails in one clear line where it cannot run."""
    node = shutil.which("node")
    if node is None:
        pytest.fail("there is no `node` on PATH: install Node.js", pytrace=False)
    for package in PACKAGES:
        if not (TESTS / "node_modules" / package / "package.json").exists():
            pytest.fail(f"{package} is not installed: run `npm ci` in {TESTS}", pytrace=False)
    return node


@asynccontextmanager
async def web_peer(
    server: LocalServer, *, certificate_authority: Path | None = None
) -> AsyncIterator[WebPeer]:
    """Run the web SDK, pointed at `server`, while the block runs; an error in its console that
    nobody has taken out fails the test.

    With `certificate_authority`, a file in PEM, the SDK's own lookup and its `wss` addresses lead
    to the server, too.
    """
    environment = dict(os.environ)
    if certificate_authority is not None:
        environment["NODE_EXTRA_CA_CERTS"] = str(certificate_authority)
    run = partial(
        trio.run_process,
        [_node(), str(DRIVER), str(server.tls_port)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment,
        check=False,
    )
    async with trio.open_nursery() as nursery:
        process: trio.Process = await nursery.start(run)
        peer = WebPeer(process, f"ws://localhost:{server.port}/")
        nursery.start_soon(peer.read_events)
        nursery.start_soon(peer.read_stderr)
        yield peer
        nursery.cancel_scope.cancel()
    assert not peer.errors, peer.errors


def cut(server: LocalServer, account: str, *, app: str = "app") -> None:
    """Break the connection of a session on the server's side, without a word."""
    holders = (it._hub._holders.get(AccountKey(app, account)) for it in nodes_of(server))
    [holder] = filter(None, holders)
    assert isinstance(holder, LoggedIn)
    holder._link.abort()
