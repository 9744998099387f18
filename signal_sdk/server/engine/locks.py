"""What the embedded engine keeps of locks: who has each, and who waits for it.

Owns: these records, their order, and their rows in the journal. Must not know an operation, nor
when anything is due.

A lock is there while somebody has it, and that is the first of those who have asked: the others
wait behind it in their order.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import attrs

from signal_sdk.server.engine.noting import Commits
from signal_sdk.server.engine.schema import LOCKS, Row
from signal_sdk.server.engine.tables import Account, Channel

__all__ = ["Ask", "Locks"]

Asks = dict[tuple[int, str], "Ask"]
"""Those of one lock by account and id, in their order."""
_NONE: Final[Mapping[tuple[int, str], Ask]] = {}


@attrs.define(kw_only=True, eq=False)
class Ask:
    """What an account has asked of a lock, under an `id` of its own choice. `number` rises with
    each; `seconds` is for how long it is to have the lock; it has it under the number `fence`, or
    waits where that is 0; `ends` is until when, in Unix seconds, unless it says otherwise by then.
    """

    number: int
    channel: Channel
    name: str
    account: Account
    id: str
    seconds: float
    ends: float
    fence: int = 0

    def left(self, now: float) -> float:
        """For how many seconds it still has the lock: no more than it was given, be it that the
        clock was set back.
        """
        return min(max(self.ends - now, 0.0), self.seconds)

    def row(self) -> Row:
        """The ask in the journal."""
        return (
            *(self.channel.id, self.name, self.account.id, self.id),
            *(self.number, self.fence, self.seconds, self.ends),
        )


class Locks:
    """All asks. What changes of them is noted in `commits`."""

    def __init__(self, commits: Commits) -> None:
        self._commits = commits
        self._of_channels: dict[int, dict[str, Asks]] = {}
        self._of_accounts: dict[int, dict[Ask, None]] = {}
        self._last_number = 0

    def __iter__(self) -> Iterator[Ask]:
        """All of them, those of each lock in their order."""
        for locks in self._of_channels.values():
            for asks in locks.values():
                yield from asks.values()

    def of(self, account: Account) -> Sequence[Ask]:
        """What the account has asked, in that order."""
        return tuple(self._of_accounts.get(account.id, ()))

    def count_of(self, account: Account) -> int:
        """How many those are."""
        return len(self._of_accounts.get(account.id, ()))

    def names_in(self, channel: Channel) -> Sequence[str]:
        """The locks of the channel that somebody has."""
        return tuple(self._of_channels.get(channel.id, ()))

    def asks(self, channel: Channel, name: str) -> Sequence[Ask]:
        """Who has the lock, and behind that who waits for it."""
        return tuple(self._asks(channel, name).values())

    def find(self, channel: Channel, name: str, account: Account, id_: str) -> Ask | None:
        """What the account has asked under this id."""
        return self._asks(channel, name).get((account.id, id_))

    def _asks(self, channel: Channel, name: str) -> Mapping[tuple[int, str], Ask]:
        return self._of_channels.get(channel.id, {}).get(name, _NONE)

    def add(
        self, channel: Channel, name: str, account: Account, id_: str, seconds: float, ends: float
    ) -> Ask:
        """An ask more, behind all others of that lock."""
        ask = Ask(
            number=self._last_number + 1,
            channel=channel,
            name=name,
            account=account,
            id=id_,
            seconds=seconds,
            ends=ends,
        )
        self._take(ask)
        self.changed(ask)
        return ask

    def _take(self, ask: Ask) -> None:
        locks = self._of_channels.setdefault(ask.channel.id, {})
        locks.setdefault(ask.name, {})[ask.account.id, ask.id] = ask
        self._of_accounts.setdefault(ask.account.id, {})[ask] = None
        self._last_number = max(self._last_number, ask.number)

    def changed(self, ask: Ask) -> None:
        """The ask's row has changed."""
        row = ask.row()
        self._commits.put(LOCKS, row[:4], row)

    def drop(self, ask: Ask) -> None:
        """It is over."""
        locks = self._of_channels[ask.channel.id]
        asks = locks[ask.name]
        del asks[ask.account.id, ask.id]
        if not asks:
            del locks[ask.name]
            if not locks:
                del self._of_channels[ask.channel.id]
        own = self._of_accounts[ask.account.id]
        del own[ask]
        if not own:
            del self._of_accounts[ask.account.id]
        self._commits.drop(LOCKS, ask.row()[:4])

    def take_row(
        self, channels: Mapping[int, Channel], accounts: Mapping[int, Account], row: Row
    ) -> None:
        """The ask that `row` was made of; rows come in the order of their numbers. Raises
        `LookupError` where its channel or its account is not there.
        """
        channel, name, account, id_, number, fence, seconds, ends = row
        self._take(
            Ask(
                number=number,
                channel=channels[channel],
                name=name,
                account=accounts[account],
                id=id_,
                seconds=seconds,
                ends=ends,
                fence=fence,
            )
        )
