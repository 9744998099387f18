"""What the connections of a node share.

Owns: nothing; it names what each of them works with, and says whether anybody is let in. Must not
know a connection.
"""

from __future__ import annotations

from collections.abc import Callable, Collection

import attrs

from signal_sdk.ecodes import ECode
from signal_sdk.errors import LoginError, SignalError
from signal_sdk.server.clock import Clock
from signal_sdk.server.config import LimitsConfig
from signal_sdk.server.counts import Tallies
from signal_sdk.server.engine.base import Engine
from signal_sdk.server.functions import Handlers
from signal_sdk.server.hub import Hub
from signal_sdk.server.memory import SHORT_OF_MEMORY, MemoryWatch
from signal_sdk.server.presence import Presences
from signal_sdk.server.refusals import Refusals, as_login_error, login_too_often
from signal_sdk.server.visitors import RETRY_SECONDS, Visitors
from signal_sdk.wire.arguments import Arguments


@attrs.frozen(kw_only=True)
class Services:
    """What every connection of a node works with."""

    engine: Engine
    hub: Hub
    presences: Presences
    handlers: Handlers
    limits: LimitsConfig
    clock: Clock
    visitors: Visitors
    memory: MemoryWatch
    refusals: Refusals
    tallies: Tallies
    is_draining: Callable[[], bool]
    holding: Collection[type[Arguments]] = ()
    """The changes for which a backend is asked first: what a client says behind one waits, so that
    it is done in its order."""

    def check_admission(self, *, is_resume: bool) -> None:
        """Raise `LoginError` (201) where nobody is let in for the moment, or, where memory is
        short, only who comes back to a session.
        """
        if self.is_draining():
            raise LoginError(ECode.LOGIN_E_NET, "the server is going away")
        try:
            self.engine.check_writable()
        except SignalError as exc:
            raise as_login_error(exc) from None
        if self.memory.is_short and not is_resume:
            raise login_too_often(SHORT_OF_MEMORY, RETRY_SECONDS, limit="memory_percent")
