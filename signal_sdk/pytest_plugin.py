"""The pytest plugin: a server, bots, peers and a network that fails, as fixtures.

Owns: what kind of test asks for them, and what each kind is given. Must not import anything but
pytest before a fixture is asked for: pytest loads it wherever the package is installed.

A test is trio's where pytest-trio runs it, or anyio's plugin with the trio backend; asyncio's where
it is any other `async def`; and synchronous otherwise. The one fixture that lives in the test's own
event loop is `signal_server`, and only on trio: it is an asynchronous generator then, in the place
of the one that is declared, for whichever of the two plugins runs the test.
"""

from __future__ import annotations

import inspect
import itertools
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from typing import TYPE_CHECKING, Any, Final

import pytest

if TYPE_CHECKING:
    from signal_sdk.testing.fronts import BotRunner, NetworkFaults, Peer, SignalServer
    from signal_sdk.testing.sync_fronts import SyncBotRunner, SyncPeer

__all__ = ["signal_bot", "signal_faults", "signal_peer", "signal_server"]

REAL_TIME: Final = "signal_real_time"
CLOCK: Final = "_signal_anyio_clock"
SERVER: Final = "signal_server"

_numbers: Final = itertools.count(1)


def pytest_configure(config: pytest.Config) -> None:
    """Declare the marker."""
    config.addinivalue_line(
        "markers",
        f"{REAL_TIME}: have signal_server's test run on the real clock, where it is trio's",
    )


# --- what kind of test it is


def _backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, Any]]:
    """What anyio's plugin runs the test on, with its options."""
    backend = request.getfixturevalue("anyio_backend")
    return (backend, {}) if isinstance(backend, str) else backend


def _is_async(item: Any) -> bool:
    function = getattr(item, "obj", None)
    function = getattr(getattr(function, "hypothesis", None), "inner_test", function)
    return inspect.iscoroutinefunction(function)


def _is_anyio(item: Any) -> bool:
    return item.get_closest_marker("anyio") is not None or (
        "anyio_backend" in item.fixturenames and item.get_closest_marker("asyncio") is None
    )


def _kind(request: pytest.FixtureRequest) -> str:
    item = request.node
    if not _is_async(item):
        return "sync"
    if item.get_closest_marker("trio") is not None:
        return "trio"
    if _is_anyio(item) and "anyio_backend" in request.fixturenames:
        return _backend(request)[0]
    return "asyncio"


# --- trio


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_fixture_setup(
    fixturedef: pytest.FixtureDef[Any], request: pytest.FixtureRequest
) -> Generator[None, object, object]:
    """Give a test of trio's its server in its own event loop. Others have it as it is declared."""
    if fixturedef.argname != SERVER or fixturedef.baseid or _kind(request) != "trio":
        return (yield)
    marker = request.node.get_closest_marker("trio")
    if marker is not None and request.node.get_closest_marker(REAL_TIME) is None:
        run = marker.kwargs.get("run")
        request.node.add_marker(pytest.mark.trio(run=_on_virtual_clock(run)), append=False)
    declared = fixturedef.func
    fixturedef.func = _server_on_trio  # type: ignore[misc]  # anyio's plugin has its own there, too
    try:
        return (yield)
    finally:
        fixturedef.func = declared  # type: ignore[misc]  # as above


async def _server_on_trio(request: pytest.FixtureRequest) -> AsyncIterator[SignalServer]:
    from signal_sdk.testing.fronts import SignalServer, TrioWays
    from signal_sdk.testing.stage import stage

    has_faults = "signal_faults" in request.fixturenames
    async with stage("app", has_faults=has_faults) as its:
        yield SignalServer("app", "", TrioWays(its))


def _on_virtual_clock(run: Callable[..., Any] | None) -> Callable[..., Any]:
    """As trio's `run`, or pytest-trio's for this test, on a mock clock where the test has none."""

    def run_so(*args: Any, clock: Any = None, **options: Any) -> Any:
        import trio
        from trio.testing import MockClock

        if clock is None:
            clock = MockClock(autojump_threshold=0)
        return (run or trio.run)(*args, clock=clock, **options)

    return run_so


def pytest_itemcollected(item: pytest.Item) -> None:
    """On anyio's plugin, a test's clock is its runner's, which begins with the first asynchronous
    fixture: have it begin before.
    """
    names: list[str] = getattr(item, "fixturenames", [])
    if SERVER in names and CLOCK not in names and _is_async(item) and _is_anyio(item):
        names.insert(names.index("anyio_backend") + 1 if "anyio_backend" in names else 0, CLOCK)


@pytest.fixture
def _signal_anyio_clock(request: pytest.FixtureRequest) -> Iterator[None]:
    if _kind(request) != "trio" or request.node.get_closest_marker(REAL_TIME) is not None:
        yield
        return
    from anyio.pytest_plugin import get_runner
    from trio.testing import MockClock

    name, options = _backend(request)
    with get_runner(name, {"clock": MockClock(autojump_threshold=0), **options}):
        yield


# --- the fixtures


@pytest.fixture(scope="session")
def _signal_server_process() -> Iterator[str]:
    from signal_sdk.testing.server_process import server_process

    with server_process() as address:
        yield address


@pytest.fixture
def signal_server(request: pytest.FixtureRequest) -> Iterator[SignalServer]:
    """A signaling server for this test, in dev mode: `signal_server.app` is its app id, and
    `signal_server.address` where it is.

    Where the test is trio's, it is in memory and on a virtual clock, and is handed to a `Signal` as
    it is. Otherwise it is a process on a free port, which tests share, each with an app of its own;
    with `signal_faults`, a thread of this process.
    """
    from signal_sdk.testing.fronts import SignalServer
    from signal_sdk.testing.trio_thread import StageThread

    app = f"app{next(_numbers)}"
    has_faults = "signal_faults" in request.fixturenames
    address = "" if has_faults else request.getfixturevalue("_signal_server_process")
    thread = StageThread(app, address=address, has_faults=has_faults)
    try:
        address = address or thread.stage.address
        yield SignalServer(app, address, thread, is_awaited=_kind(request) != "sync")
    finally:
        thread.close()


@pytest.fixture
def signal_bot(signal_server: SignalServer) -> BotRunner | SyncBotRunner:
    """What runs a bot for this test, a `signal_sdk.router.Bot`, or a coroutine function of trio's
    with its arguments: `await signal_bot(bot)`, `await signal_bot(function, …)`; without `await`
    where the test is no `async def`.
    """
    from signal_sdk.testing.fronts import BotRunner
    from signal_sdk.testing.sync_fronts import SyncBotRunner

    ways = signal_server.ways
    return BotRunner(ways) if signal_server.is_awaited else SyncBotRunner(ways)


@pytest.fixture
def signal_peer(signal_server: SignalServer) -> Peer | SyncPeer:
    """The other side of the bot: `await signal_peer.say("/help")`,
    `await signal_peer.heard("…", within=2)`; without `await` where the test is no `async def`. Its
    account is `peer`; `signal_peer.other("alice")` is another.
    """
    from signal_sdk.testing.fronts import Peer
    from signal_sdk.testing.sync_fronts import SyncPeer

    ways = signal_server.ways
    return Peer(ways, "peer") if signal_server.is_awaited else SyncPeer(ways, "peer")


@pytest.fixture
def signal_faults(signal_server: SignalServer) -> NetworkFaults:
    """The network between this test's bots and peers and its server, on which things go wrong:
    `signal_faults.cut_all()`. What is connected to `signal_server.address` goes past it.
    """
    from signal_sdk.testing.fronts import NetworkFaults

    return NetworkFaults(signal_server.ways)
