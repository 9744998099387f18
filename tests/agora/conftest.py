"""Servers for the flat API's tests: in the test's own trio loop, or in a thread.

Every test ends with none of the SDK's threads alive.
"""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, contextmanager
from functools import partial
from typing import Final

import attrs
import pytest
import trio

from signal_sdk import IAgoraAPI, create_agora_sdk_instance_cpp
from signal_sdk.server.config import Config, LimitsConfig, ServerConfig
from signal_sdk.testing.server import LocalServer, local_server
from tests.agora.ears import HEAR_SECONDS, Ears, wait_for_no_threads
from tests.redis.servers import RedisServer
from tests.two_nodes import ONE, TWO, two_nodes
from tests.web.web_peer import WebPeer, web_peer

CONFIG: Final = Config(
    server=ServerConfig(dev=True), limits=LimitsConfig(user_messages_per_second=100_000)
)


@attrs.define(eq=False)
class ThreadedServer:
    """A server in a trio loop and a thread of its own, for tests that have no loop."""

    address: str
    _token: trio.lowlevel.TrioToken
    _scope: trio.CancelScope
    _server: LocalServer
    _thread: threading.Thread

    def stop(self) -> None:
        """Go away, without a word to anybody."""
        self._token.run_sync_soon(self._scope.cancel)
        self._thread.join(HEAR_SECONDS)

    def do(self, what: Callable[[LocalServer], object]) -> None:
        """Do something in the server's thread, and wait until it is done."""
        trio.from_thread.run_sync(what, self._server, trio_token=self._token)


Serve = Callable[[], AbstractAsyncContextManager[LocalServer]]


@contextmanager
def threaded_server(
    config: Config = CONFIG, *, serve_by: Serve | None = None
) -> Iterator[ThreadedServer]:
    """Run a server in a thread while the block runs: one node, unless `serve_by` makes another."""
    begin = serve_by or partial(local_server, config)
    ready = threading.Event()
    running: list[tuple[trio.lowlevel.TrioToken, trio.CancelScope, LocalServer]] = []

    async def serve() -> None:
        with trio.CancelScope() as scope:
            async with begin() as server:
                running.append((trio.lowlevel.current_trio_token(), scope, server))
                ready.set()
                await trio.sleep_forever()

    thread = threading.Thread(target=trio.run, args=(serve,), name="server", daemon=True)
    thread.start()
    assert ready.wait(HEAR_SECONDS)
    token, scope, server = running[0]
    threaded = ThreadedServer(server.address, token, scope, server, thread)
    try:
        yield threaded
    finally:
        if thread.is_alive():
            threaded.stop()
        assert not thread.is_alive()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Each test that has a server runs twice: on one node, and on two."""
    if "serve_by" in metafunc.fixturenames:
        metafunc.parametrize("serve_by", [ONE, TWO], indirect=True)


@pytest.fixture
def serve_by(request: pytest.FixtureRequest, shared_redis: RedisServer, redis_prefix: str) -> Serve:
    """What makes the test's server: once one node, and once two, which clients come to in turn."""
    if request.param == ONE:
        return partial(local_server, CONFIG)
    return partial(two_nodes, CONFIG, shared_redis.unix_url, redis_prefix)


@pytest.fixture
def far_server(serve_by: Serve) -> Iterator[ThreadedServer]:
    """A server in a thread."""
    with threaded_server(serve_by=serve_by) as server:
        yield server


@pytest.fixture
async def server(serve_by: Serve) -> AsyncIterator[LocalServer]:
    """A server in the test's own trio loop."""
    async with serve_by() as server:
        yield server


@pytest.fixture
async def web(server: LocalServer) -> AsyncIterator[WebPeer]:
    """The original web SDK, pointed at the server."""
    async with web_peer(server) as peer:
        yield peer


@pytest.fixture(autouse=True)
def no_threads() -> Iterator[None]:
    """None of the SDK's threads is left by a test, or was left before it."""
    wait_for_no_threads()
    yield
    wait_for_no_threads()


Make = Callable[[str], tuple[IAgoraAPI, Ears]]


@contextmanager
def instances() -> Iterator[Make]:
    """Make instances with ears, and destroy them when the block is over."""
    made: list[IAgoraAPI] = []

    def make(server: str) -> tuple[IAgoraAPI, Ears]:
        api = create_agora_sdk_instance_cpp(server=server)
        ears = Ears()
        api.callback_set(ears)
        made.append(api)
        return api, ears

    try:
        yield make
    finally:
        for api in made:
            api.destroy()


@pytest.fixture
def make(no_threads: None) -> Iterator[Make]:
    """Instances, which are destroyed when the test is over."""
    with instances() as make:
        yield make
