"""Visitors: from which addresses clients come, how many and how often, and what they give wrong.

Owns: the counts of each address, in a table that is bounded, and when one has to wait. Must not
know what a connection is, nor how anybody is refused. An IPv6 client has a network of 2^64
addresses: those of one are one visitor.
"""

from __future__ import annotations

import ipaddress
import math
from collections.abc import Callable, Mapping
from typing import Final

import trio

from signal_sdk.server.complaints import Complaint
from signal_sdk.server.config import LimitsConfig
from signal_sdk.server.rates import Pace
from signal_sdk.server.refusals import Limit, login_too_often

__all__ = ["TURNED_AWAY", "Visitors", "network_of"]

MAX_GONE: Final = 10_000
"""How many addresses are remembered from which nobody is connected."""
IPV6_PREFIX: Final = 64
MINUTE_SECONDS: Final = 60.0
MAX_PAUSE_SECONDS: Final = 60.0
"""The longest that an address has to wait that goes on giving wrong tokens and lines."""
RESERVED_PART: Final = 10
"""One part in so many of all connections is for those who come back to a session."""
RETRY_SECONDS: Final = 5
"""When those may come again for whom there is no room."""
TURNED_AWAY: Final[Mapping[Limit, str]] = {
    "connections_per_address": "too many connections from this address",
    "connections_per_second": "too many new connections from this address",
}
"""How it is said that an address may not have one more."""


def network_of(host: str) -> str:
    """What an address counts as: itself, or its IPv6 network; empty where it is none."""
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return ""
    if address.version == 4:
        return str(address)
    return str(ipaddress.ip_network((address, IPV6_PREFIX), strict=False))


class _Visitor:
    """What is known of one address."""

    __slots__ = ("coming", "guessing", "here", "logging_in", "paused_until", "pauses")

    def __init__(self) -> None:
        self.here = 0
        """How many connections it has."""
        self.coming = Pace()
        self.logging_in = Pace()
        self.guessing = Pace()
        self.pauses = 0
        self.paused_until = -math.inf


class Visitors:
    """All that come to a node. Those without an address, such as in memory, count as connections
    only; so do those for whom `is_exempt` says so: proxies.
    """

    def __init__(
        self, limits: LimitsConfig, is_exempt: Callable[[str], bool] = lambda _: False
    ) -> None:
        self._limits = limits
        self._is_exempt = is_exempt
        self._here: dict[str, _Visitor] = {}
        self._gone: dict[str, _Visitor] = {}
        """In the order in which they went."""
        self._told_many = Complaint("an address has as many connections as it may")
        self._told_often = Complaint("an address connects too often")
        self._told_wrong = Complaint("an address gives wrong tokens or lines")
        self._told_full = Complaint("nobody new is let in")
        self.count: int = 0
        """How many connections there are."""

    def __len__(self) -> int:
        """How many addresses are remembered."""
        return len(self._here) + len(self._gone)

    def come(self, host: str) -> Limit | None:
        """Count a connection from `host`; where it may not have one more, the limit that it were
        over.
        """
        key = self._key(host)
        if key:
            visitor = self._here.get(key) or self._gone.get(key) or _Visitor()
            most = self._limits.connections_per_address
            if most and visitor.here >= most:
                self._told_many.tell(f"{key} has {most} (connections_per_address)")
                return "connections_per_address"
            rate = self._limits.connections_per_second
            if visitor.coming.seconds_left(rate, trio.current_time()):
                self._told_often.tell(f"{key}, {rate} times in a second (connections_per_second)")
                self._remember(key, visitor)
                return "connections_per_second"
            visitor.here += 1
            self._gone.pop(key, None)
            self._here[key] = visitor
        self.count += 1
        return None

    def leave(self, host: str) -> None:
        """A connection that was counted is closed."""
        self.count -= 1
        key = self._key(host)
        visitor = self._here.get(key)
        if visitor is None:
            return
        visitor.here -= 1
        if not visitor.here:
            del self._here[key]
            self._remember(key, visitor)

    def _key(self, host: str) -> str:
        return "" if not host or self._is_exempt(host) else network_of(host)

    def _remember(self, key: str, visitor: _Visitor) -> None:
        """Who is not here is forgotten once so many others have gone after him."""
        if key in self._here:
            return
        self._gone.pop(key, None)
        self._gone[key] = visitor
        if len(self._gone) > MAX_GONE:
            del self._gone[next(iter(self._gone))]

    # --- room ---

    def has_room(self, count: int) -> bool:
        """May there be so many more connections?"""
        most = self._limits.max_connections
        return not most or self.count + count <= most

    @property
    def is_over(self) -> bool:
        """Are there more than there may be?"""
        return not self.has_room(0)

    @property
    def _is_crowded(self) -> bool:
        """Is what is left for those who come back?"""
        most = self._limits.max_connections
        return not self.has_room(most // RESERVED_PART)

    # --- logging in ---

    def check_login(self, host: str, *, is_resume: bool) -> None:
        """Count a login, or a coming back, from `host`. Raises `LoginError` (201) where there are
        too many, or where it has to wait since too many were wrong: those who come back to a
        session need not, nor be there fewer than `max_connections` for them.
        """
        if self._is_crowded and not is_resume:
            self._told_full.tell(f"{self.count} connections are open (max_connections)")
            what = "only who comes back to a session is let in"
            raise login_too_often(what, RETRY_SECONDS, limit="max_connections")
        visitor = self._here.get(self._key(host))
        if visitor is None:
            return
        now = trio.current_time()
        if visitor.paused_until > now and not is_resume:
            what = "too many wrong logins came from this address"
            left = visitor.paused_until - now
            raise login_too_often(what, left, limit="wrong_logins_per_minute")
        rate = self._limits.logins_per_second
        if late := visitor.logging_in.seconds_left(rate, now):
            what = f"more than {rate} logins in a second from this address"
            raise login_too_often(what, late, limit="logins_per_second")

    def count_wrong(self, host: str) -> None:
        """A token, or a session's line, was wrong. Of too many, each makes the address wait, each
        time twice as long as before, until none has come for a while.
        """
        visitor = self._here.get(self._key(host))
        if visitor is None:
            return
        now = trio.current_time()
        if visitor.guessing.is_idle(now):
            visitor.pauses = 0
        limit = self._limits.wrong_logins_per_minute
        if not visitor.guessing.seconds_left(limit, now, MINUTE_SECONDS):
            return
        visitor.pauses += 1
        pause = min(2.0 ** min(visitor.pauses, 10), MAX_PAUSE_SECONDS)
        visitor.paused_until = now + pause
        self._told_wrong.tell(f"{network_of(host)}: its logins wait (wrong_logins_per_minute)")
