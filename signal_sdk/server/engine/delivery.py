"""What a node gives its engine: the clocks to go by, and who hears what the engine delivers.

Owns: the part of the contract that the node fulfils. Must not know an operation.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Protocol

import attrs

from signal_sdk.server.engine.attribute_facts import WatchedFact
from signal_sdk.server.engine.facts import AccountKey, ChannelKey
from signal_sdk.server.engine.happened import Happening
from signal_sdk.wire.events import ChannelContent

__all__ = ["Alarm", "Clocks", "Delivery", "Ticker"]


class Alarm(Protocol):
    """Rings once, when its time has come and what had arrived by then was read."""

    def set_after(self, seconds: float) -> None:
        """Ring `seconds` from now, instead of when it would have."""

    def cancel(self) -> None:
        """Do not ring."""


@attrs.frozen
class Ticker:
    """A clock that alarms go by: its `time` in seconds, and what makes an alarm of a callback that
    neither waits nor raises.
    """

    time: Callable[[], float]
    alarm: Callable[[Callable[[], None]], Alarm]


@attrs.frozen
class Clocks:
    """A node's clocks: `wall` in Unix seconds, for what outlives a process; `patient` for judging
    others by, which does not count the time in which this process stood still; and `prompt`, which
    does, for what has to end on time all the same.
    """

    wall: Callable[[], float]
    patient: Ticker
    prompt: Ticker


class Delivery(Protocol):
    """What an engine calls on a node, in order. Never waits."""

    def deliver_entry(self, key: AccountKey, version: int, line: str) -> None:
        """An inbox has a new entry, whose message line is `line`."""

    def deliver_event(
        self, key: ChannelKey, msgid: int, content: ChannelContent, time_ms: int
    ) -> None:
        """A channel has a new event."""

    def deliver_kick(self, key: AccountKey, generation: int) -> None:
        """This generation of the account was taken over by another login."""

    def deliver_loss(self, key: AccountKey, generation: int) -> None:
        """This generation of the account is not this node's any more: its connection is lost. The
        session may have been taken up elsewhere, by the same client.
        """

    def deliver_expiry(self, key: AccountKey, generation: int) -> None:
        """The token of this generation is good no more, and its session is over."""

    def deliver_removal(
        self, key: AccountKey, generation: int, channel: str, msgid: int, time_ms: int
    ) -> None:
        """An operator has taken this generation of the account out of `channel`, which its client
        is told as the event `msgid` of that. It may be said twice, but not behind the result of a
        later join of that channel.
        """

    def deliver_grant(
        self, key: AccountKey, generation: int, channel: str, lock: str, ask: str
    ) -> None:
        """This generation of the account, which has waited for a lock of `channel`, has it now. An
        engine behind a network may lose it: whoever waits asks again.
        """

    def deliver_watched(self, key: AccountKey, fact: WatchedFact) -> None:
        """A watched account has changed. Where something of it may have been missed, how it stands
        is said anew.
        """

    def deliver_fencing(self) -> None:
        """This node was silent for so long that others took it for dead: its connections are over,
        and their sessions wait for their clients to come back.
        """

    def deliver_happening(self, happening: Happening) -> None:
        """Something has happened that this node follows."""

    def deliver_kept(self) -> None:
        """Something that is kept for hooks may be taken; an engine behind a network may say nothing
        of it.
        """

    def gather(self) -> AbstractContextManager[None]:
        """Within this, much is delivered and called back in turns, between which others run: what
        is written for it may wait for its end.
        """

    def give_way(self, *, at_once: bool = False) -> None:
        """Whoever is being woken comes before what there is to be read, or `at_once` before the
        rest of what is being read, and then nobody is read but who asks seldom until `flush`, or
        for some milliseconds. Of all that is here, this alone may be called in any thread, but not
        `at_once`.
        """

    def flush(self) -> None:
        """What was delivered and called back just now was urgent: it need not wait for more, nor
        others for it.
        """

    def together(self) -> AbstractContextManager[None]:
        """Within this, which does not wait, much may be delivered and called back: it goes out at
        its end.
        """
