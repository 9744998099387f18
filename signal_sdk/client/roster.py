"""Who is in a channel, as far as a member knows: so that joins and leaves that were missed can be
told.

Owns: when the list is complete, and what an event or another list makes of it. Must not know who is
told.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

import attrs

from signal_sdk.errors import ParameterError
from signal_sdk.wire import built_in, events
from signal_sdk.wire.names import JsonValue

__all__ = ["MAX_ROSTER", "Roster"]

MAX_ROSTER: Final = 1000
"""The largest channel whose members are known by name: each session keeps a list of its own."""

Member = tuple[str, int]


@attrs.define(eq=False)
class Roster:
    """The members of one channel by account, or None where they are not known.

    They are known where the server named them all, and for as long as it tells of each join and
    leave. `is_told` is False while the channel's `_userNotification` is 0.
    """

    is_told: bool = True
    _uids: dict[str, int] | None = None

    def begin(
        self, members: Iterable[Member], num: int, attributes: Mapping[str, JsonValue]
    ) -> None:
        """The channel has been joined: it has `num` members, of which these were named."""
        self.read_attributes(attributes)
        self._uids = self._complete(members, num)

    def read_attributes(self, attributes: Mapping[str, JsonValue]) -> None:
        """These are the channel's attributes."""
        self.is_told = _is_on(attributes.get(built_in.USER_NOTIFICATION))
        if not self.is_told:
            self._uids = None

    def _complete(self, members: Iterable[Member], num: int) -> dict[str, int] | None:
        named = dict(members)
        return named if self.is_told and num <= min(len(named), MAX_ROSTER) else None

    def joined(self, account: str, uid: int) -> bool:
        """A member has joined; False where it was known to be there."""
        if self._uids is None:
            return True
        is_new = account not in self._uids
        self._uids[account] = uid
        if len(self._uids) > MAX_ROSTER:
            self._uids = None
        return is_new

    def left(self, account: str) -> bool:
        """A member has left; False where it was known not to be there."""
        return self._uids is None or self._uids.pop(account, None) is not None

    def attr_changed(self, event: events.ChannelAttrUpdate) -> None:
        """An attribute of the channel has changed."""
        if event.name == built_in.USER_NOTIFICATION or event.change == "clear":
            self.is_told = event.change != "update" or _is_on(event.value)
            if not self.is_told:
                self._uids = None

    def compare(self, members: Iterable[Member], num: int) -> tuple[list[Member], list[Member]]:
        """The channel has `num` members now, of which these were named: who has left, and who has
        joined without a word.
        """
        before, self._uids = self._uids, self._complete(members, num)
        if before is None or self._uids is None:
            return [], []
        now = self._uids
        left = [(account, uid) for account, uid in before.items() if account not in now]
        joined = [(account, uid) for account, uid in now.items() if account not in before]
        return left, joined


def _is_on(value: JsonValue) -> bool:
    if value is None:
        return True
    try:
        return built_in.check_number(built_in.USER_NOTIFICATION, value) != 0
    except ParameterError:
        return True
