"""A session's channels: the slot of each, which is one for all of them, or, where the session may
be in many, one for each.

Owns: which slots there are. Must not know what happens in one: channel_slot.py does.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Collection
from functools import partial
from typing import Final

from msgspec import UNSET

from signal_sdk.client import given
from signal_sdk.client.channel_slot import ChannelSlot
from signal_sdk.client.facts import EventsMissed, Sink
from signal_sdk.client.log import Log
from signal_sdk.client.membership import Membership
from signal_sdk.client.operation import Operation
from signal_sdk.client.requests import Requests
from signal_sdk.ecodes import ECode
from signal_sdk.errors import ParameterError, SignalError
from signal_sdk.wire import events, names
from signal_sdk.wire.login import LoginSucceeded

__all__ = ["Channels"]


ALL: Final = ""
"""The name of the one slot that is for all channels."""


class Channels:
    """All memberships of one session, `account`'s, which may be in more than one at a time where it
    is to be in `many`. `sink` is told of events that are missing, and `wake` when to call
    `settle_if_due`.
    """

    def __init__(
        self,
        account: str,
        sink: Sink[EventsMissed],
        requests: Requests,
        log: Log,
        wake: Callable[[float], None],
        *,
        many: bool = False,
    ) -> None:
        self._make = partial(ChannelSlot, account, sink, requests, log, wake)
        self._many = many
        self._slots: dict[str, ChannelSlot] = {} if many else {ALL: self._make()}
        self.takes_bytes: bool = False
        """Is the session told messages that are bytes?"""

    def _slot(self, name: str) -> ChannelSlot:
        """The slot of the channel of that name."""
        key = name if self._many else ALL
        slot = self._slots.get(key)
        if slot is None:
            # Of those that have been left nothing is needed any more.
            self._slots = {other: it for other, it in self._slots.items() if not it.is_idle}
            slot = self._slots[key] = self._make()
        return slot

    @property
    def current(self) -> Membership | None:
        """The channel that the session is in; of many, the one that it has asked for last."""
        slots = reversed(self._slots.values())
        return next((it.current for it in slots if it.current is not None), None)

    def membership(self, asked: str) -> Membership:
        """The membership of the channel `asked` that there is, where the session is in it or about
        to be; else a new one, to be joined.
        """
        name = ""
        with contextlib.suppress(ParameterError):
            # A wrong name is refused with the request.
            name = given.text("channel", asked)
            name = names.check_channel(name)
        member = self._slot(name).membership(asked, name)
        member.takes_bytes = self.takes_bytes
        return member

    def join(self, member: Membership) -> None:
        """Join the channel of a new membership, whose sink is there by now."""
        slot = self._slot(member.name)
        if self._many:
            # The latest are the last.
            self._slots[member.name] = self._slots.pop(member.name)
        slot.join(member)

    def find(self, name: str) -> Membership | None:
        """The membership of `name` that is or will be, as far as the user has asked for."""
        return self._slot(name).find(name)

    def leave(
        self, member: Membership, failed: Callable[[SignalError], None] | None = None
    ) -> Operation[None]:
        """Leave; the operation that there is, where the session is about to."""
        return self._slot(member.name).leave(member, failed)

    def take(self, event: events.ChannelEvent) -> None:
        """An event has come."""
        slot = self._slots.get(event.channel if self._many else ALL)
        if slot is not None:
            slot.take(event)

    def end(self, ecode: ECode) -> None:
        """The session is over. Joins under way fail as the requests that they are."""
        for slot in list(self._slots.values()):
            slot.end(ecode)

    # --- after a lost connection ---

    def where(self) -> tuple[str | None, int]:
        """The channel that the session takes itself to be in, and the last event that it saw. Where
        it may be in many, each is told by its own `channel_catch_up`.
        """
        return (None, 0) if self._many else self._slots[ALL].where()

    def forgotten(self) -> None:
        """The server knows nothing of the session any more, which had to log in anew."""
        for slot in list(self._slots.values()):
            slot.forgotten()

    def resumed(self, success: LoginSucceeded) -> None:
        """The session was taken up again, and the server says where it is, and whether it holds
        what was missed.
        """
        if success.channels is not UNSET:
            self._resumed_in(success.channels, success.removed_from or ())
            return
        slot = self._slots[ALL]
        member = slot.resumed(success.channel, is_removed=success.removed)
        if member is not None:
            if success.gap:
                member.missed_until(success.msgid + 1)
            slot.roster_check.ask(member)

    def _resumed_in(self, channels: Collection[str], removed: Collection[str]) -> None:
        """The server has the session in these, and an operator has taken it out of those."""
        there = frozenset(channels)
        # It may have the session where nobody wants it to be any more.
        for name in dict.fromkeys((*self._slots, *channels)):
            slot = self._slot(name)
            where = name if name in there else None
            member = slot.resumed(where, is_removed=name in removed)
            if member is not None:
                slot.catch_up(member)

    def settle_if_due(self) -> float:
        """Join again what could not be joined again before; when to ask for that."""
        return min((it.settle_if_due() for it in list(self._slots.values())), default=math.inf)
