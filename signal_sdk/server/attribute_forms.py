"""Attributes and what watchers are told of them, from the engine's facts to what the wire says.

Owns: these forms. Must not know who asks, or who is told.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from signal_sdk.server.engine.base import (
    Attribute,
    Attributes,
    AttributesChanged,
    PresenceChanged,
    Watched,
    WatchedFact,
)
from signal_sdk.wire import results
from signal_sdk.wire.attribute_functions import (
    AttributesResult,
    Told,
    WatchedEvent,
    WatchResult,
    encode_watched_text,
)

__all__ = ["attributes_result", "watch_result", "watched_text"]


def attributes_result(found: Attributes) -> AttributesResult:
    """Attributes as an answer has them."""
    return AttributesResult(revision=found.revision, attributes=_told(found.values))


def _told(values: Mapping[str, Attribute]) -> dict[str, Told]:
    return {
        name: (it.value, it.revision, 0 if it.expires is None else math.ceil(it.expires * 1000))
        for name, it in values.items()
    }


def watch_result(found: Watched) -> results.Result:
    """How a watched account stands, as an answer has it."""
    return WatchResult(
        online=int(found.is_online),
        presence=found.presence,
        revision=found.attributes.revision,
        attributes=_told(found.attributes.values),
    )


def watched_text(account: str, fact: WatchedFact) -> str:
    """What watchers of the account are told."""
    if isinstance(fact, PresenceChanged):
        event = WatchedEvent(account=account, online=int(fact.is_online), presence=fact.presence)
    elif isinstance(fact, AttributesChanged):
        event = WatchedEvent(
            account=account,
            revision=fact.revision,
            attributes=_told(fact.set),
            deleted=tuple(fact.deleted),
        )
    else:
        event = WatchedEvent(
            account=account,
            online=int(fact.is_online),
            presence=fact.presence,
            revision=fact.attributes.revision,
            attributes=_told(fact.attributes.values),
            whole=1,
        )
    return encode_watched_text(event)
