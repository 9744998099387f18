"""The native clients' lookup: who is answered what.

Owns: the rates of those who ask, which apps are known, and which addresses are named. Must not know
a socket, or how an answer is spelled.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterable, Sequence
from typing import Final

import trio

from signal_sdk.server.config import AppConfig, Config
from signal_sdk.server.places import Places, is_ipv4
from signal_sdk.server.rates import Rate
from signal_sdk.server.refusals import Refusals
from signal_sdk.wire import datagrams
from signal_sdk.wire.datagrams import Address

logger: logging.Logger = logging.getLogger("signal_sdk.server.connections")

WINDOW_SECONDS: Final = 1.0
LOGGED_PER_SECOND: Final = 5
"""How many refusals are logged in a second: whoever asks could fill the log otherwise."""
MAX_ASKERS: Final = 20_000
"""How many addresses are answered in one second: whoever asks may write any address as its own, and
what is counted must not grow with what is sent.
"""


class NativeLookup:
    """Answers questions by what `places` names; `is_silent` says whether nobody is to come here."""

    def __init__(
        self, config: Config, places: Places, refusals: Refusals, is_silent: Callable[[], bool]
    ) -> None:
        self._places = places
        self._refusals = refusals
        self._is_dev = config.server.dev
        self.take_apps(config.apps)
        self._limits = config.limits
        self._is_silent = is_silent
        self._counts: dict[str, int] = {}
        self._began = -math.inf
        self._logged = Rate()

    def take_apps(self, apps: Sequence[AppConfig]) -> None:
        """From here on these apps are known."""
        self._apps = frozenset(app.id for app in apps)

    def answer(self, data: bytes, asker: str, asked: str) -> bytes | None:
        """The answer to a datagram from `asker`, which was sent to our address `asked`; None where
        it is no question, or one too many.
        """
        app = datagrams.decode_question(data)
        if app is None or self._is_silent() or not self._allows(asker):
            logger.debug("a datagram of %s (udp) is not answered", asker)
            return None
        most = datagrams.answer_bound(data)
        if app not in self._apps and not self._is_dev:
            if self._logged.allows(LOGGED_PER_SECOND, trio.current_time()):
                # An old app does not say which id it has built in: here it is to be seen.
                logger.info("lookup of %s (udp) refused: unknown app id %.80r", asker, app)
            return datagrams.encode_refusal("unknown app id", most)
        places = self._places
        http = _taken(places.web()) or _taken([(asked, places.web_port)])
        if not http:
            return datagrams.encode_refusal("no IPv4 address is advertised", most)
        tcp = places.native() or [(host, places.native_port) for host, _ in http]
        logger.debug("%s (udp) is told %s", asker, tcp)
        return datagrams.encode_answer(http, tcp, most)

    def _allows(self, asker: str) -> bool:
        """Count a question, unless it is one too many in this second."""
        now = trio.current_time()
        if now - self._began >= WINDOW_SECONDS:
            self._began = now
            self._counts.clear()
        count = self._counts.get(asker, 0)
        if 0 < self._limits.lookups_per_second <= count:
            self._refusals.count("lookups_per_second")
            return False
        if not count and len(self._counts) >= MAX_ASKERS:
            return False
        self._counts[asker] = count + 1
        return True


def _taken(addresses: Iterable[Address]) -> list[Address]:
    """Those that a native client can dial: it takes no names, and no IPv6."""
    return [it for it in addresses if is_ipv4(it[0])]
