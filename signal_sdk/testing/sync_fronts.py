"""What tests that await nothing hold: bots and peers, whose methods wait by themselves.

Owns: that each method is the awaited one's (fronts.py), called in the stage's thread. Must not know
what is done.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable

from signal_sdk.router import Bot
from signal_sdk.testing.fronts import BotRunner, Peer, PeerCall, T, TrioWays, Ways
from signal_sdk.testing.scripted_peer import SECONDS, S
from signal_sdk.wire.names import JsonValue

__all__ = ["SyncBotRunner", "SyncPeer", "SyncPeerCall"]


def _asserted(ways: Ways, do: Callable[[], Awaitable[T]]) -> T:
    """Have it done; where it fails, it fails here, with nothing of how it was done."""
    __tracebackhide__ = True
    try:
        return ways.run(do)
    except AssertionError as exc:
        failure = AssertionError(*exc.args)
    raise failure


class SyncBotRunner:
    """`BotRunner` for tests that await nothing."""

    def __init__(self, ways: Ways) -> None:
        self._ways = ways
        self._runner = BotRunner(TrioWays(ways.stage))

    @property
    def errors(self) -> list[Exception]:
        """As `BotRunner.errors`."""
        return self._runner.errors

    def __call__(
        self,
        bot: Bot | Callable[..., Awaitable[object]],
        *args: object,
        account: str | None = None,
    ) -> None:
        """As a `BotRunner` is called."""
        self._ways.run(lambda: self._runner(bot, *args, account=account))


class SyncPeerCall:
    """`PeerCall` for tests that await nothing."""

    def __init__(self, ways: Ways, call: PeerCall) -> None:
        self._ways = ways
        self._call = call

    def accept(self, extra: JsonValue = "") -> None:
        """As `PeerCall.accept`."""
        self._ways.run(lambda: self._call.accept(extra))

    def refuse(self, extra: JsonValue = "") -> None:
        """As `PeerCall.refuse`."""
        self._ways.run(lambda: self._call.refuse(extra))

    def dial(self, digits: str) -> None:
        """As `PeerCall.dial`."""
        self._ways.run(lambda: self._call.dial(digits))

    def hang_up(self, extra: JsonValue = "") -> None:
        """As `PeerCall.hang_up`."""
        self._ways.run(lambda: self._call.hang_up(extra))

    def accepted(self, within: float = SECONDS) -> str:
        """As `PeerCall.accepted`."""
        __tracebackhide__ = True
        return _asserted(self._ways, lambda: self._call.accepted(within))

    def refused(self, within: float = SECONDS) -> str:
        """As `PeerCall.refused`."""
        __tracebackhide__ = True
        return _asserted(self._ways, lambda: self._call.refused(within))

    def ended(self, within: float = SECONDS) -> str:
        """As `PeerCall.ended`."""
        __tracebackhide__ = True
        return _asserted(self._ways, lambda: self._call.ended(within))

    def failed(self, within: float = SECONDS) -> str:
        """As `PeerCall.failed`."""
        __tracebackhide__ = True
        return _asserted(self._ways, lambda: self._call.failed(within))


class SyncPeer:
    """`Peer` for tests that await nothing."""

    def __init__(
        self, ways: Ways, account: str, *, many_channels: bool = False, takes_bytes: bool = True
    ) -> None:
        self.account = account
        self._ways = ways
        self._peer = Peer(
            TrioWays(ways.stage), account, many_channels=many_channels, takes_bytes=takes_bytes
        )

    def __repr__(self) -> str:
        return f"<SyncPeer {self.account!r}>"

    def other(
        self, account: str, *, many_channels: bool = False, takes_bytes: bool = True
    ) -> SyncPeer:
        """As `Peer.other`."""
        return SyncPeer(self._ways, account, many_channels=many_channels, takes_bytes=takes_bytes)

    def log_in(self) -> None:
        """As `Peer.log_in`."""
        self._ways.run(self._peer.log_in)

    def log_out(self) -> None:
        """As `Peer.log_out`."""
        self._ways.run(self._peer.log_out)

    def say(self, text: str | bytes, to: str | None = None) -> None:
        """As `Peer.say`."""
        self._ways.run(lambda: self._peer.say(text, to))

    def join(self, channel: str) -> None:
        """As `Peer.join`."""
        self._ways.run(lambda: self._peer.join(channel))

    def leave(self, channel: str | None = None) -> None:
        """As `Peer.leave`."""
        self._ways.run(lambda: self._peer.leave(channel))

    def say_in_channel(self, text: str | bytes, channel: str | None = None) -> None:
        """As `Peer.say_in_channel`."""
        self._ways.run(lambda: self._peer.say_in_channel(text, channel))

    def call(
        self, to: str | None = None, *, about: str = "call", extra: JsonValue = ""
    ) -> SyncPeerCall:
        """As `Peer.call`."""
        call = self._ways.run(lambda: self._peer.call(to, about=about, extra=extra))
        return SyncPeerCall(self._ways, call)

    def called(self, within: float = SECONDS) -> SyncPeerCall:
        """As `Peer.called`."""
        __tracebackhide__ = True
        call = _asserted(self._ways, lambda: self._peer.called(within))
        return SyncPeerCall(self._ways, call)

    def heard(
        self,
        text: S | re.Pattern[S],
        *,
        within: float = SECONDS,
        by: str | None = None,
        channel: str | None = None,
    ) -> S:
        """As `Peer.heard`."""
        __tracebackhide__ = True
        return _asserted(
            self._ways, lambda: self._peer.heard(text, within=within, by=by, channel=channel)
        )

    def heard_nothing(self, within: float = SECONDS) -> None:
        """As `Peer.heard_nothing`."""
        __tracebackhide__ = True
        _asserted(self._ways, lambda: self._peer.heard_nothing(within))

    def transcript(self) -> list[tuple[str, str | bytes]]:
        """As `Peer.transcript`."""
        return self._ways.run(self._peer.transcript)
