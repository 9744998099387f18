"""The engine contract, the calls between two accounts.

Owns: these operations. `base.Engine` has them beside the others. Must not know who may ask for
what, nor how a client is told: the steps of a call are call_table.py's.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from signal_sdk.server.engine.facts import AccountKey, Asked, Call, Known
from signal_sdk.server.engine.pending import Answer
from signal_sdk.wire.names import JsonValue
from signal_sdk.wire.properties import Properties

__all__ = ["Calling"]


class Calling(Protocol):
    """What sessions may ask of an engine about calls."""

    def invite(
        self,
        asked: Asked,
        callee: str,
        channel: str,
        extra: JsonValue,
        *,
        call_id: str,
        timeout: float,
        is_online: bool,
        properties: Properties | None = None,
    ) -> Answer[Known | None]:
        """Begin a call about `channel`, and tell `callee`, who has to be online where `is_online`
        says so, with these properties; nobody answering ends it after `timeout` seconds. Raises
        `SignalError` where such a call is alive, `QuotaError` where the caller has too many.
        """

    def step(
        self, asked: Asked, peer: str, channel: str, kind: str, extra: JsonValue
    ) -> Answer[Known | None]:
        """Take the call with `peer` about `channel` a step on, `kind` being one of call_table.py's,
        and tell `peer`. Raises `SignalError` where the step does not fit.
        """

    def calls_of(self, key: AccountKey) -> Answer[Sequence[Call]]:
        """The live calls that the account is a side of."""
