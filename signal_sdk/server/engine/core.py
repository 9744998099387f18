"""What all operations of the embedded engine work on: the indexes, what is to be written, what is
due, and who is told.

Owns: how these are put together, which session holds an account, and the replies that are kept for
its requests. Must not know another operation.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from itertools import islice
from typing import Final

import trio

from signal_sdk.ecodes import ECode
from signal_sdk.server.engine.base import (
    AccountKey,
    Asked,
    Clocks,
    Delivery,
    FencedError,
    Known,
    OvertakenError,
)
from signal_sdk.server.engine.bounds import Bounds
from signal_sdk.server.engine.commits import InThread, JournalCommits
from signal_sdk.server.engine.happened import Backlog, Follow, Happening
from signal_sdk.server.engine.inboxes import Inboxes
from signal_sdk.server.engine.journal import Journal
from signal_sdk.server.engine.noting import Commits, WhenDurable
from signal_sdk.server.engine.recovery import resume
from signal_sdk.server.engine.state import Due, State
from signal_sdk.server.engine.tables import Account, Reply

DEFAULTS: Final = Bounds()
MAX_REPLIES: Final = 10_000
"""How many replies a session keeps, which is how many requests our SDK has under way at most."""
LATEST_LOOKED_AT: Final = 64
"""Among how many of the latest replies one is looked for that overtakes a request."""


class Core:
    """The engine of one node below its operations, each group of which is a class on top of this
    one; the arguments are `EmbeddedEngine`'s.
    """

    def __init__(
        self,
        *,
        bounds: Bounds = DEFAULTS,
        journal: Journal | None = None,
        write_in_thread: InThread | None = None,
        shared: tuple[State, Inboxes] | None = None,
    ) -> None:
        self.node: str = secrets.token_hex(8)
        self._wall: Callable[[], float] = time.time
        self._patient: Callable[[], float] = trio.current_time
        self._delivery: Delivery | None = None
        self._clocks: Clocks | None = None
        if shared is None:
            commits = Commits()
            if journal is not None:
                commits = JournalCommits(journal, write_in_thread)
            state = State(commits, bounds)
            state.dues.do = state.expiries.do = self._do_due
            if journal is not None:
                resume(state, journal)
            shared = state, Inboxes(state, commits)
        self._state, self._inboxes = state, _ = shared
        self._commits = commits = state.commits
        self.is_volatile: bool = not isinstance(commits, JournalCommits)
        # No methods of this class around them: they are called for each message.
        self.check_writable: Callable[[], None] = commits.check
        self.when_durable: WhenDurable = commits.when_durable
        self._dues = state.dues
        self._expiries = state.expiries
        self._accounts = state.accounts
        self._lines = state.lines
        self._channels = state.channels
        self._calls = state.calls
        self._listening = state.listening
        self._watching = state.watching
        self._happenings = state.happenings
        self._wanted = state.happenings.wanted
        self._locks = state.locks
        self._deliveries = state.deliveries

    def attach(self, delivery: Delivery, clocks: Clocks) -> None:
        self._delivery = delivery
        self._clocks = clocks
        self._wall = clocks.wall
        self._patient = clocks.patient.time
        self._take_part(delivery, clocks)

    def _take_part(self, delivery: Delivery, clocks: Clocks) -> None:
        """This node is handed what is its own, and has alarms for what is due."""
        state = self._state
        state.deliveries[self.node] = delivery
        state.alarms[self.node] = [
            (dues, dues.use(ticker))
            for dues, ticker in ((state.dues, clocks.patient), (state.expiries, clocks.prompt))
        ]

    def bound(self, bounds: Bounds) -> None:
        self._state.bounds = bounds

    # --- what happens ---

    def _tell(self, happening: Happening) -> None:
        """It has happened; whoever calls this has looked whether anybody wants to hear."""
        self._happenings.tell(happening, self._wall())

    def keep_happenings(self, kinds: Collection[str], most: int) -> None:
        self._happenings.keep(kinds, most)

    def follow(self, app: str, follow: Follow) -> None:
        delivery, _ = self._own
        self._happenings.follow(delivery, app, follow)

    def backlogs(self) -> Mapping[str, Backlog]:
        return self._happenings.backlogs()

    def take_happenings(self, app: str, most: int, *, seconds: float) -> Sequence[Happening] | None:
        return self._happenings.take(app, most, self.node, self._patient(), seconds)

    def happenings_done(self, app: str, upto: int) -> bool:
        return self._happenings.done(app, upto, self.node)

    @property
    def _own(self) -> tuple[Delivery, Clocks]:
        if self._delivery is None or self._clocks is None:
            raise RuntimeError("the engine is not attached to a node")
        return self._delivery, self._clocks

    def _do_due(self, due: Due) -> None:
        """Do what is due."""
        raise NotImplementedError

    # --- who asks ---

    def _held(self, key: AccountKey, generation: int) -> Account | None:
        """The account, where this generation holds it."""
        account = self._accounts.get(key)
        if account is None or account.presence is None or account.presence.generation != generation:
            return None
        return account

    def _asker(self, asked: Asked, ecode: ECode = ECode.GENERAL_E_NOT_LOGIN) -> Account:
        """The account whose session asks, which this node holds. Raises `FencedError`."""
        account = self._accounts.get(asked.key)
        presence = account.presence if account is not None else None
        if (
            account is None
            or presence is None
            or presence.generation != asked.generation
            or presence.node != self.node
        ):
            self._check_life()
            raise FencedError(ecode)
        return account

    def _check_life(self) -> None:
        """Was this node taken for dead? Then it lives anew, and is told."""
        raise NotImplementedError

    # --- replies ---

    def _known(
        self, account: Account, asked: Asked, *, durably: bool | None = True
    ) -> Known | None:
        """What the request was answered before; all up to its `ack` are forgotten. `durably` is
        how its reply would be kept, None where it would not be. Raises `OvertakenError`.
        """
        replies = account.replies
        if asked.callid is None or not replies:
            return None
        acked = []
        # They are in the order of their call ids, but for a few that were sent again.
        for kept in replies:
            if kept > asked.ack:
                break
            acked.append(kept)
        if acked:
            self._forget_replies(account, acked)
        reply = replies.get(asked.callid)
        if reply:
            return Known(reply.text)
        if replies and durably is not None:
            _check_overtaking(replies, asked, asked.callid, durably=durably)
        return None

    def _keep(
        self, account: Account, asked: Asked, *, durably: bool = True, reply: str = ""
    ) -> None:
        """Keep the reply, which is `asked.reply` where there is no other; not `durably`, it may be
        lost with the process.
        """
        callid = asked.callid
        if callid is None:
            return
        # Behind the others, so that they are in the order of their numbers.
        if callid in account.replies:
            self._forget_replies(account, [callid])
        text = reply or asked.reply
        number = None
        if durably:
            number = self._state.last_reply = self._state.last_reply + 1
            self._commits.put("replies", (number,), (number, account.id, callid, text))
        account.replies[callid] = Reply(text, number)
        if len(account.replies) > MAX_REPLIES:
            self._forget_replies(account, [next(iter(account.replies))])

    def _forget_replies(self, account: Account, callids: Sequence[int]) -> None:
        for callid in callids:
            number = account.replies.pop(callid).number
            if number is not None:
                self._commits.drop("replies", (number,))

    def recall(self, asked: Asked) -> Known | None:
        account = self._held(asked.key, asked.generation)
        return self._known(account, asked, durably=None) if account is not None else None

    def keep(self, asked: Asked) -> Known | None:
        account = self._asker(asked)
        known = self._known(account, asked)
        if known is None:
            self._keep(account, asked)
        return known

    @property
    def is_behind(self) -> bool:
        return self._commits.is_behind


def _check_overtaking(
    replies: dict[int, Reply], asked: Asked, callid: int, *, durably: bool
) -> None:
    """Raise `OvertakenError` where a later request that was answered alike has been done. Of those
    that are not kept `durably`, the process may have lost some.
    """
    for kept, reply in islice(reversed(replies.items()), LATEST_LOOKED_AT):
        if reply.text.startswith(asked.reply) and (reply.number is not None) is durably:
            if kept > callid:
                raise OvertakenError
            return
