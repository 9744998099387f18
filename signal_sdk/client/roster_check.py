"""Who is in a channel, asked for anew where somebody's coming or going may have been missed.

Owns: that request, when it is made again, and that what its answer has of news is told. Must not
know when something was missed.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import trio

from signal_sdk.client.log import Log
from signal_sdk.client.membership import Membership
from signal_sdk.client.request import UnansweredError
from signal_sdk.client.requests import Requests, nothing
from signal_sdk.client.roster import MAX_ROSTER
from signal_sdk.errors import SignalError
from signal_sdk.wire import events, functions, results

__all__ = ["RosterCheck"]


class RosterCheck:
    """Compares the rosters of `account`'s session with the server's. `wake` is told when to call
    `ask_if_due`; `is_current` says whether the session is in a channel by this membership.
    """

    def __init__(
        self,
        account: str,
        requests: Requests,
        log: Log,
        wake: Callable[[float], None],
        is_current: Callable[[Membership], bool],
    ) -> None:
        self._account = account
        self._requests = requests
        self._log = log
        self._wake = wake
        self._is_current = is_current
        self.due_at: float = math.inf
        """When to ask again who is there, of which the server was asked too often."""

    def ask(self, member: Membership) -> None:
        """Ask who is there, to find whose coming and going was missed."""
        if member.is_special or member.is_asking_roster or not member.roster.is_told:
            return
        member.is_asking_roster = True
        self._requests.call(
            lambda: functions.ChannelQueryUserListAll(channel=member.name, num=MAX_ROSTER),
            results.QueryUserListResult,
            nothing,
            done=partial(self._compare, member),
            failed=partial(self._failed, member),
            always=True,
        )

    def ask_if_due(self, member: Membership | None) -> None:
        """Ask again who is there, where it is time for that."""
        if self.due_at <= trio.current_time():
            self.due_at = math.inf
            if member is not None:
                self.ask(member)

    def _compare(self, member: Membership, result: results.QueryUserListResult) -> None:
        member.is_asking_roster = False
        if not self._is_current(member):
            return
        left, joined = member.roster.compare(result.list, result.num)
        name = member.name
        for who, uid in left:
            member.tell_other(events.ChannelUserLeave(channel=name, account=who, uid=uid))
        for who, uid in joined:
            member.tell_other(events.ChannelUserJoin(channel=name, account=who, uid=uid))

    def _failed(self, member: Membership, error: SignalError) -> None:
        member.is_asking_roster = False
        self._log.debug("%s: who is there is not known: %s", self._account, error)
        if isinstance(error, UnansweredError) and self._is_current(member):
            self.ask(member)
        elif error.retry_after is not None:
            self.due_at = trio.current_time() + error.retry_after
            self._wake(self.due_at)
