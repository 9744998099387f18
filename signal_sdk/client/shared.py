"""What all sessions of one `Signal` have in common.

Owns: the list of it. Must not know a session, or who made these parts.
"""

from __future__ import annotations

import attrs

from signal_sdk.client.backoff import Backoff
from signal_sdk.client.dialer import Dialer
from signal_sdk.client.log import Log
from signal_sdk.client.trace import Trace
from signal_sdk.net.reactor import Reactor

__all__ = ["Shared"]


@attrs.frozen(kw_only=True)
class Shared:
    """What all sessions of one `Signal` stand on.

    `backoff` says how a session comes back after a lost connection; None: it does not. `first` says
    the same of its first login.
    """

    appid: str
    dialer: Dialer
    reactor: Reactor
    log: Log
    backoff: Backoff | None
    first: Backoff | None = None
    trace: Trace | None = None
