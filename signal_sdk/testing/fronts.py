"""What tests that await hold, on trio and on asyncio: the server, bots, peers, and faults.

Owns: the objects that the pytest plugin's fixtures give, and that an assertion fails at the test's
own line. Must not know what is done: stage.py and the scripted peers do.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Protocol, TypeVar

from signal_sdk.login_session import LoginSession
from signal_sdk.net.reactor import Reactor
from signal_sdk.router import Bot
from signal_sdk.testing.faults import FaultyNetwork
from signal_sdk.testing.faulty_link import Faults
from signal_sdk.testing.scripted_call import ScriptedCall
from signal_sdk.testing.scripted_peer import SECONDS, S, ScriptedPeer
from signal_sdk.testing.stage import Stage
from signal_sdk.websocket.link import Link
from signal_sdk.wire.names import JsonValue

__all__ = [
    "BotRunner",
    "NetworkFaults",
    "Peer",
    "PeerCall",
    "SignalServer",
    "TrioWays",
    "Ways",
    "asserted",
]

T = TypeVar("T")


class Ways(Protocol):
    """How a test reaches its stage."""

    @property
    def stage(self) -> Stage:
        """The stage."""

    async def wait(self, do: Callable[[], Awaitable[T]]) -> T:
        """Have something done in the stage's event loop."""

    def run(self, do: Callable[[], Awaitable[T]]) -> T:
        """As `wait`, for who cannot await."""

    def call(self, do: Callable[[], T]) -> T:
        """As `wait`, for what does not wait."""


class TrioWays:
    """The ways of a test that is trio's: its stage is in its own event loop."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage

    async def wait(self, do: Callable[[], Awaitable[T]]) -> T:
        """Do it."""
        return await do()

    def run(self, do: Callable[[], Awaitable[T]]) -> T:  # noqa: ARG002  it is not to be called
        """A test that is trio's awaits."""
        raise RuntimeError("await it: the test has an event loop")

    def call(self, do: Callable[[], T]) -> T:
        """Do it."""
        return do()


class SignalServer:
    """The test's server: what the fixture `signal_server` gives.

    It can be handed to a `Signal` as it is, on trio: `Signal(signal_server.app,
    server=signal_server)`. Otherwise, `address` is where it is, as `HOST:PORT`; it is empty where
    it is in memory. `app` is the test's own app id: those of other tests may be at the same server.
    """

    def __init__(self, app: str, address: str, ways: Ways, *, is_awaited: bool = True) -> None:
        self.app = app
        self.address = address
        self.ways = ways
        self.is_awaited = is_awaited
        """Can its test await?"""

    def __repr__(self) -> str:
        return f"<SignalServer {self.address or 'in memory'}, app {self.app!r}>"

    async def dial(self, appid: str, reactor: Reactor, *, avoid: str = "") -> Link:
        """What makes it a `Dialer`."""
        return await self.ways.stage.dial(appid, reactor, avoid=avoid)


class BotRunner:
    """Runs bots for the test: what the fixture `signal_bot` gives.

    `errors` is what they have raised: what is left in it at the test's end fails the test.
    """

    def __init__(self, ways: Ways) -> None:
        self._ways = ways

    @property
    def errors(self) -> list[Exception]:
        """What bots have raised."""
        return self._ways.stage.errors

    async def __call__(
        self,
        bot: Bot | Callable[..., Awaitable[object]],
        *args: object,
        account: str | None = None,
    ) -> None:
        """Run a `Bot` at the test's server and in its app, or a coroutine function with these
        arguments, on trio, until the test ends. Returns when the `Bot` is online, or the function
        has called `task_status.started()`, where it takes that.

        `account` is to whom peers talk by default; of a `Bot`, it is its own. Raises what the bot
        raises before it has started.
        """
        stage = self._ways.stage
        await self._ways.wait(lambda: stage.run_bot(bot, *args, account=account))


class NetworkFaults:
    """The network between bots, peers and the test's server, on which things go wrong by hand, or
    as `faults` says: what the fixture `signal_faults` gives.
    """

    def __init__(self, ways: Ways) -> None:
        self._ways = ways

    @property
    def network(self) -> FaultyNetwork:
        """The `FaultyNetwork`; where the test is not trio's, it lives in another thread."""
        network = self._ways.stage.network
        if network is None:
            raise RuntimeError("the test has no faults: it has to ask for signal_faults itself")
        return network

    def cut_all(self) -> None:
        """Cut all connections; new ones can be made at once."""
        self._ways.call(self.network.cut_all)

    def cut(self, account: str) -> None:
        """Cut the connections of one bot or peer."""
        self._ways.call(self.network.client(account).cut)

    def half_open_all(self, *, up: bool = True, down: bool = True) -> None:
        """Let nothing pass any more on the connections that there are, and tell nobody."""
        self._ways.call(lambda: self.network.half_open_all(up=up, down=down))

    def heal(self) -> None:
        """Nothing goes wrong by `faults` any more."""
        self._ways.call(self.network.heal)

    @property
    def is_down(self) -> bool:
        """While it is true, nobody can connect; the connections that there are stay."""
        return self.network.is_down

    @is_down.setter
    def is_down(self, value: bool) -> None:
        self.network.is_down = value

    @property
    def faults(self) -> Faults:
        """What strikes the connections that are made from then on."""
        return self.network.faults

    @faults.setter
    def faults(self, value: Faults) -> None:
        self.network.faults = value

    @property
    def history(self) -> list[tuple[float, int, str]]:
        """What has happened on the network: trio's time, the connection's number, and what."""
        return self._ways.call(lambda: self.network.history)


class PeerCall:
    """A call of a `Peer`: what it does, and assertions, each of which waits `within` seconds,
    returns what the other side has said with its step, and fails with what became of the call.
    """

    def __init__(self, ways: Ways, call: ScriptedCall) -> None:
        self._ways = ways
        self._call = call

    async def accept(self, extra: JsonValue = "") -> None:
        """Accept it, where it came in."""
        await self._ways.wait(lambda: self._call.accept(extra))

    async def refuse(self, extra: JsonValue = "") -> None:
        """Refuse it, where it came in."""
        await self._ways.wait(lambda: self._call.refuse(extra))

    async def dial(self, digits: str) -> None:
        """Dial digits, once it is accepted."""
        await self._ways.wait(lambda: self._call.dial(digits))

    async def hang_up(self, extra: JsonValue = "") -> None:
        """End it."""
        await self._ways.wait(lambda: self._call.hang_up(extra))

    async def accepted(self, within: float = SECONDS) -> str:
        """The other side accepts."""
        __tracebackhide__ = True
        return await asserted(self._ways, lambda: self._call.accepted(within))

    async def refused(self, within: float = SECONDS) -> str:
        """The other side refuses."""
        __tracebackhide__ = True
        return await asserted(self._ways, lambda: self._call.refused(within))

    async def ended(self, within: float = SECONDS) -> str:
        """The other side hangs up."""
        __tracebackhide__ = True
        return await asserted(self._ways, lambda: self._call.ended(within))

    async def failed(self, within: float = SECONDS) -> str:
        """It is over without anybody's having ended it; returns why, with the code."""
        __tracebackhide__ = True
        return await asserted(self._ways, lambda: self._call.failed(within))


class Peer:
    """The other side of a bot in a test, an account that does what the test says: what the fixture
    `signal_peer` gives. It logs in with the first thing that it does, and talks to the bot that was
    started last, where `to` does not name another account.
    """

    def __init__(
        self, ways: Ways, account: str, *, many_channels: bool = False, takes_bytes: bool = True
    ) -> None:
        self.account = account
        self._ways = ways
        self._scripted = partial(
            ways.stage.peer, account, many_channels=many_channels, takes_bytes=takes_bytes
        )

    def __repr__(self) -> str:
        return f"<Peer {self.account!r}>"

    def other(self, account: str, *, many_channels: bool = False, takes_bytes: bool = True) -> Peer:
        """Another account, which does as this one. `many_channels` and `takes_bytes` are how it
        logs in, as for `Signal.login`: each time that it is asked for, the same.
        """
        return Peer(self._ways, account, many_channels=many_channels, takes_bytes=takes_bytes)

    async def _do(self, do: Callable[[ScriptedPeer], Awaitable[T]]) -> T:
        async def run() -> T:
            return await do(await self._scripted())

        return await self._ways.wait(run)

    async def log_in(self) -> LoginSession:
        """Log in, and return the session, which is for tests on trio."""
        return await self._do(lambda it: it.log_in())

    async def log_out(self) -> None:
        """Log out. What it does next logs it in again."""
        await self._do(lambda it: it.log_out())

    async def say(self, text: str | bytes, to: str | None = None) -> None:
        """Send a message."""
        await self._do(lambda it: it.say(text, to))

    async def join(self, channel: str) -> None:
        """Join a channel, and leave the one before, unless it may be in many."""
        await self._do(lambda it: it.join(channel))

    async def leave(self, channel: str | None = None) -> None:
        """Leave a channel: the one that it is in, where none is named."""
        await self._do(lambda it: it.leave(channel))

    async def say_in_channel(self, text: str | bytes, channel: str | None = None) -> None:
        """Send a message to a channel: the one that it is in, where none is named."""
        await self._do(lambda it: it.say_in_channel(text, channel))

    async def call(
        self, to: str | None = None, *, about: str = "call", extra: JsonValue = ""
    ) -> PeerCall:
        """Call an account about the channel `about`."""
        call = await self._do(lambda it: it.call(to, about=about, extra=extra))
        return PeerCall(self._ways, call)

    async def called(self, within: float = SECONDS) -> PeerCall:
        """Somebody calls it: the call, which it may accept."""
        __tracebackhide__ = True
        call = await self._asserted(lambda it: it.called(within))
        return PeerCall(self._ways, call)

    async def heard(
        self,
        text: S | re.Pattern[S],
        *,
        within: float = SECONDS,
        by: str | None = None,
        channel: str | None = None,
    ) -> S:
        """It hears `text`, or a text in which that pattern is found, within so many seconds: from
        anybody or from `by`, anywhere or in `channel` ("" for messages to itself). Bytes, and a
        pattern of bytes, are for messages that are bytes.

        What was heard before counts, too, but each message once: this takes the first that fits,
        and leaves the others. Returns what it says. Raises `AssertionError` with what was heard
        instead.
        """
        __tracebackhide__ = True
        return await self._asserted(
            lambda it: it.heard(text, within=within, by=by, channel=channel)
        )

    async def heard_nothing(self, within: float = SECONDS) -> None:
        """It hears nothing for so many seconds, but what `heard` has taken before."""
        __tracebackhide__ = True
        await self._asserted(lambda it: it.heard_nothing(within))

    async def transcript(self) -> list[tuple[str, str | bytes]]:
        """All that it has heard, in order, as (account, text)."""

        async def look(it: ScriptedPeer) -> list[tuple[str, str | bytes]]:
            return it.transcript

        return await self._do(look)

    async def _asserted(self, do: Callable[[ScriptedPeer], Awaitable[T]]) -> T:
        __tracebackhide__ = True

        async def run() -> T:
            return await do(await self._scripted())

        return await asserted(self._ways, run)


async def asserted(ways: Ways, do: Callable[[], Awaitable[T]]) -> T:
    """Have it done; where it fails, it fails here, with nothing of how it was done."""
    __tracebackhide__ = True
    try:
        return await ways.wait(do)
    except AssertionError as exc:
        failure = AssertionError(*exc.args)
    raise failure
