"""A session's channels: which slot each belongs to.

Owns: how many slots there are. Must not know what happens in one: channel_slot.py does.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable

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


class Channels:
    """All memberships of one session, `account`'s. `sink` is told of events that are missing."""

    def __init__(
        self,
        account: str,
        sink: Sink[EventsMissed],
        requests: Requests,
        log: Log,
        wake: Callable[[float], None],
    ) -> None:
        self._slot = ChannelSlot(account, sink, requests, log, wake)

    @property
    def current(self) -> Membership | None:
        """The channel that the session is in."""
        return self._slot.current

    def membership(self, asked: str) -> Membership:
        """The membership of the channel `asked` that there is, where the session is in it or about
        to be; else a new one, to be joined.
        """
        name = ""
        with contextlib.suppress(ParameterError):
            # A wrong name is refused with the request.
            name = given.text("channel", asked)
            name = names.check_channel(name)
        return self._slot.membership(asked, name)

    def join(self, member: Membership) -> None:
        """Join the channel of a new membership, whose sink is there by now."""
        self._slot.join(member)

    def find(self, name: str) -> Membership | None:
        """The membership of `name` that is or will be, as far as the user has asked for."""
        return self._slot.find(name)

    def leave(
        self, member: Membership, failed: Callable[[SignalError], None] | None = None
    ) -> Operation[None]:
        """Leave; the operation that there is, where the session is about to."""
        return self._slot.leave(member, failed)

    def take(self, event: events.ChannelEvent) -> None:
        """An event has come."""
        self._slot.take(event)

    def end(self, ecode: ECode) -> None:
        """The session is over. Joins under way fail as the requests that they are."""
        self._slot.end(ecode)

    # --- after a lost connection ---

    def where(self) -> tuple[str | None, int]:
        """The channel that the session takes itself to be in, and the last event that it saw."""
        return self._slot.where()

    def forgotten(self) -> None:
        """The server knows nothing of the session any more, which had to log in anew."""
        self._slot.forgotten()

    def resumed(self, success: LoginSucceeded) -> None:
        """The session was taken up again, and the server says where it is, and whether it holds
        what was missed.
        """
        member = self._slot.resumed(success.channel, is_removed=success.removed)
        if member is not None:
            if success.gap:
                member.missed_until(success.msgid + 1)
            self._slot.ask_roster(member)

    def settle_if_due(self) -> float:
        """Join again what could not be joined again before; when to ask for that."""
        return self._slot.settle_if_due()
