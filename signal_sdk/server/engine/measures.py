"""What an engine says of itself to whoever measures.

Owns: what was counted of a journal and of Redis, and what there is of some apps. Must not know who
reads it, or how a number is called elsewhere.
"""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from signal_sdk.server.counts import Histogram

__all__ = ["Batches", "Holdings", "Measures", "Trips"]


@attrs.frozen(kw_only=True)
class Holdings:
    """What there is of some apps: accounts that are known, those that are `online`, and channels;
    and where the engine knows that, `members` of channels, `entries` of inboxes, and how many
    `bytes` are kept.
    """

    accounts: int = 0
    online: int = 0
    channels: int = 0
    members: int | None = None
    entries: int | None = None
    bytes: int | None = None


class Batches:
    """What a journal has written: `rows` of each batch, and the `seconds` from its first change
    until it was written; `failed` is how often it could not be.
    """

    def __init__(self) -> None:
        self.rows: Histogram = Histogram((1, 3, 10, 30, 100, 300, 1000, 3000, 10_000))
        self.seconds: Histogram = Histogram(
            (0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
        )
        self.failed: int = 0


class Trips:
    """What was asked of Redis: how many commands it has `answered`, and the `seconds` that some of
    them took from the write to the reply: of each server, one at a time.
    """

    def __init__(self) -> None:
        self.answered: int = 0
        self.seconds: Histogram = Histogram(
            (0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0)
        )


@attrs.frozen(kw_only=True)
class Measures:
    """What an engine can say of itself; None, or nothing, where it does not know.

    `apps` is what there is of each app that was asked for, and of all others under "". `calls` are
    those that live, by their states, or all under "" where these are not known; `invited` is how
    many have begun, and `ended` how many have ended, by why. `oldest_seconds` is the age of the
    eldest inbox entry, 0 where there is none. `asked` is what was asked of Redis and not answered,
    `up` and `down` are how many of its servers are there, and how many are not.
    """

    apps: Mapping[str, Holdings]
    calls: Mapping[str, int]
    invited: int | None = None
    ended: Mapping[str, int] | None = None
    oldest_seconds: float | None = None
    batches: Batches | None = None
    trips: Trips | None = None
    asked: int = 0
    up: int = 0
    down: int = 0
