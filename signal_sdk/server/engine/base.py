"""The engine contract: the state of every app, changed by atomic operations, and delivery by
callback.

Owns: the operations, each of which is a whole step of an app's life: what it changes, what others
are told of it, and the reply that is kept for its request are one. Must not know who may ask for
what, how often, or how a client is answered: those are the rules'.

An operation never waits: it returns its result, or, of an engine with a network, one that is
`Pending`, and raises or fails with its error. Those that a node asks for about one app take effect
in that order, whether it has waited for their results or not.

An operation is atomic over all nodes. What it publishes is delivered through `Delivery`: a
channel's events to the nodes that have subscribed to it, at once; an inbox's entries to the node
that holds the account, once they are durable; both in the order of the operations. An operation
returns once it is in effect; `when_durable` tells when all that has been done is as durable as the
engine promises, and nothing is acknowledged before.

What is due at a time (a lease's end, a token's, a call's deadline, a channel's end, counts that are
pushed) is the engine's own affair: some node does it, once, when its time has come.

Whatever is asked by a session (`Asked`) raises `FencedError` where a newer generation holds the
account, or others have taken its node for dead since, and nothing was done; what came before is
answered with `Known`. What was refused before is `OvertakenError` once something is done that the
session has asked for later and that is answered alike: nothing is done out of its order. Every
refusal is a `SignalError` with the code that its client hears, and has changed nothing, but for
`UnknownError`: where a node has lost sight of the state, nobody knows what became of what was under
way. When it is back, a session that is this node's there and not here is as if its connection had
broken then.

Of the rates, a channel's are the engine's, so that all nodes share them; those of an account,
of a session and of an address are their node's, and no operation knows them.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Final, Protocol

import trio

from signal_sdk.ecodes import ECode
from signal_sdk.errors import SignalError
from signal_sdk.server.engine.attribute_facts import (
    Attribute,
    AttributeChange,
    Attributes,
    AttributesChanged,
    Changed,
    PresenceChanged,
    Watched,
    WatchedFact,
    presence_number,
)
from signal_sdk.server.engine.attributing import Attributing
from signal_sdk.server.engine.bounds import Bounds
from signal_sdk.server.engine.calling import Calling
from signal_sdk.server.engine.delivery import Alarm, Clocks, Delivery, Ticker
from signal_sdk.server.engine.facts import (
    AccountKey,
    Asked,
    Call,
    CallKey,
    ChannelKey,
    Entry,
    Event,
    Joined,
    Known,
    LoginFacts,
    NoBytesError,
    Page,
    Part,
    Past,
    Place,
    Post,
    Presence,
    Revoked,
    Roster,
    Standing,
    Statistics,
)
from signal_sdk.server.engine.following import Following
from signal_sdk.server.engine.happened import Why
from signal_sdk.server.engine.locking import Locked, Locking, LockLook
from signal_sdk.server.engine.measures import Batches, Holdings, Measures, Trips
from signal_sdk.server.engine.operating import Operating, number_in, wrong_cursor
from signal_sdk.server.engine.pending import Answer, Pending
from signal_sdk.wire.events import ChannelMessage

__all__ = [
    "LIFE_SECONDS",
    "PLACE_SECONDS",
    "AccountKey",
    "Alarm",
    "Answer",
    "Asked",
    "Attribute",
    "AttributeChange",
    "Attributes",
    "AttributesChanged",
    "Batches",
    "Call",
    "CallKey",
    "Changed",
    "ChannelKey",
    "Clocks",
    "Delivery",
    "Engine",
    "Entry",
    "Event",
    "FencedError",
    "Holdings",
    "Joined",
    "Known",
    "LockLook",
    "Locked",
    "LoginFacts",
    "Measures",
    "NoBytesError",
    "OvertakenError",
    "Page",
    "Part",
    "Past",
    "Pending",
    "Place",
    "Post",
    "Presence",
    "PresenceChanged",
    "Revoked",
    "Roster",
    "Standing",
    "Statistics",
    "Then",
    "Ticker",
    "Trips",
    "UnknownError",
    "Watched",
    "WatchedFact",
    "number_in",
    "presence_number",
    "wrong_cursor",
]

LIFE_SECONDS: Final = 10.0
"""How long a node may be silent before the others take it for dead."""
PLACE_SECONDS: Final = 3.0
"""How long a node may say nothing of where it is before nobody is sent there any more."""

Then = Callable[[SignalError | None], None]
"""What is called when something is durable: with None, or with why it could not be made so."""


class FencedError(SignalError):
    """A newer login holds the account, or none does, or its node was taken for dead: whoever asked
    is not its session any more.
    """

    def __init__(self, ecode: ECode = ECode.GENERAL_E_NOT_LOGIN) -> None:
        super().__init__(ecode, "the account has logged in elsewhere")


class OvertakenError(SignalError):
    """What the session asked for later has been done: this was not, and is not any more. Who asks
    had been refused, and has not heard of it.
    """

    def __init__(self) -> None:
        super().__init__(
            ECode.GENERAL_E_FAILED, "it was refused, and what was asked for later has been done"
        )


class UnknownError(SignalError):
    """The engine's state was lost sight of while this was under way: it may have been done, or not,
    and is not done later.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(ECode.GENERAL_E_FAILED, reason)


class Engine(Operating, Following, Attributing, Calling, Locking, Protocol):
    """The contract, as one node has it. Made with its own settings, then given its node's
    `Delivery` by `attach`. Parts of it are in modules of their own: operating.py (what an operator
    may ask), following.py (what happens), attributing.py, calling.py and locking.py.
    """

    def attach(self, delivery: Delivery, clocks: Clocks) -> None:
        """Deliver here from now on, and go by these clocks."""

    def bound(self, bounds: Bounds) -> None:
        """From here on these bounds hold. What is held already stays, until more comes. What would
        be over one is refused: its operation raises `QuotaError`, and does nothing.
        """

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Begin this node's life and do what the engine does by itself, until cancelled. Starts
        once operations may be called.
        """

    async def aclose(self) -> None:
        """End this node's life, make durable what is not yet, and let go of everything. Nothing may
        be called after.
        """

    def statistics(self) -> Statistics:
        """How much there is at the moment."""

    def measures(self, apps: Collection[str]) -> Measures:
        """What it can say of itself to whoever measures, of each of these apps and of all others
        together. What all nodes share is the same on each of them.
        """

    def announce(self, place: Place | None) -> Answer[Sequence[Place]]:
        """Say where this node may be reached, anew each second; None where nobody is to come. What
        all nodes have said in the last `PLACE_SECONDS`, this one included.
        """

    # --- durability ---

    def check_writable(self) -> None:
        """Raise `SignalError` where nothing that is changed now could be made durable."""

    def when_durable(self, then: Then, *, is_urgent: bool = False) -> None:
        """Call `then` once all that has been done so far is durable: at once where it is. Calls
        come in the order of `when_durable`, but that what `is_urgent` may come before others: an
        engine that gathers what it makes durable sees to it soon.
        """

    @property
    def is_behind(self) -> bool:
        """Does so much wait to be durable that whoever waits for it already should not be heard
        before? What others do is then durable sooner.
        """
        return False

    is_volatile: bool = False
    """Is all durable at once, since nothing outlives the process? Then nobody need ask when."""

    def recall(self, asked: Asked) -> Answer[Known | None]:
        """What the request was answered, if it was done before. All up to its `ack` are forgotten.
        For a request that is refused before it reaches an operation.
        """

    def keep(self, asked: Asked) -> Answer[Known | None]:
        """Keep the reply to a request that changes nothing here; or what it was answered before."""

    # --- revoked tokens ---

    def revoked(self, seen: str) -> Answer[Revoked | None]:
        """The list of revoked tokens that all nodes share, where it is not the one whose mark was
        `seen`; None where it is, and where the engine shares nothing with other processes.
        """

    # --- time ---

    def sweep(self) -> Answer[None]:
        """Drop some of the entries and events whose time is over; bounded work, once a second."""

    def newest_time(self) -> float:
        """The latest time that the engine has seen, by `sweep` or before its process began; it may
        miss the last minute of another process.
        """

    def token_time(self) -> float:
        """The time that tokens are checked against, in Unix seconds: not before the newest that was
        seen, less the skew that the bounds allow a clock, so that one that is set back makes no
        token good again.
        """

    def arrival_time(self) -> float:
        """What logins are put in order by (`LoginFacts.began`), in seconds: of a clock that nobody
        sets where all nodes have one, else of the state's own.
        """

    def forget_newer_time(self) -> None:
        """Nothing later than now was seen: it was a clock's mistake."""

    # --- presence and membership ---

    def log_in(
        self, key: AccountKey, facts: LoginFacts, *, again: bool = False, keeps: bool = False
    ) -> Answer[Presence | None]:
        """Make a new session hold the account, which was online or comes online by it.

        The session before ends, with its membership and calls, and a connection that holds it is
        told by `deliver_kick`, or by `deliver_loss` where this one comes `again`, which is the same
        client's; with `keeps`, and `many_channels` for both or for neither, the new one is in its
        channels instead, and goes on with its calls.
        None, and nothing is done, where one that comes `again` finds the account held by another
        instance, and where another that was on its way for long (`LATE_SECONDS`) finds it held by
        a login that has begun later: its client may have given it up. Raises `QuotaError` where the
        app has too many accounts.
        """

    def resume(self, line_digest: bytes) -> Answer[tuple[AccountKey, Presence] | None]:
        """Take the session of this line up again under a new generation; an earlier connection is
        told by `deliver_loss`: what a client had said on a connection that it has given up may come
        last, and must not end its session.
        """

    def disconnect(self, key: AccountKey, generation: int) -> Answer[None]:
        """The connection of this generation is lost: its lease begins, which lasts for the
        account's `_conn_timeout`. Does nothing where another holds the account.
        """

    def end(
        self, key: AccountKey, generation: int, *, expires: bool = False, why: str = Why.LOGOUT
    ) -> Answer[bool]:
        """End this session, its membership and its calls. False where it is over already. Where it
        `expires`, a connection that holds it is told by `deliver_expiry`. `why` is for those who
        hear what happens.
        """

    def presence(self, key: AccountKey) -> Answer[Presence | None]:
        """The session of an account, None where it is offline."""

    def online(self) -> Answer[Sequence[tuple[AccountKey, Presence]]]:
        """Every account that is online."""

    def join(self, asked: Asked, channel: str, *, newest: int) -> Answer[Joined | Known]:
        """Make the session a member of `channel`, and of no other unless it may be in many: the
        channel that it was in is told that it leaves, this one that it joins, unless it is in it
        already. A join that came before is `Known` where its session has moved on since.

        The joined channel's `newest` members are listed. Raises `QuotaError` where there are too
        many channels, or the session is in too many, and `SignalError` over the channel's rate
        of joins, which in a large one count as several: the session stays where it is then.
        """

    def leave(self, asked: Asked, channel: str) -> Answer[Known | None]:
        """End the session's membership of `channel`. Raises `SignalError` where it is not in it."""

    def roster(self, key: ChannelKey, newest: int) -> Answer[Roster]:
        """Who is in a channel, the `newest` members by name."""

    def is_member(self, key: ChannelKey, account: str) -> Answer[bool]:
        """Is the account in the channel?"""

    def joined_at(self, key: ChannelKey, account: str) -> Answer[int]:
        """The channel's last msgid when the member joined it, for the last time where it did so
        again; 0 where that is not known any more, as after a restart, nor of a session that may
        be in many channels.
        """

    # --- channels ---

    def subscribe(self, key: ChannelKey) -> Answer[None]:
        """Deliver the channel's events to this node from here on. Not counted: once is enough."""

    def unsubscribe(self, key: ChannelKey) -> None:
        """Deliver them no more."""

    def publish(
        self, asked: Asked, message: ChannelMessage, *, members_only: bool
    ) -> Answer[Known | None]:
        """Deliver a message to its channel, if there is one. Raises `SignalError` where that is for
        `members_only` and the session is not one, the channel has had too many in this second, or
        what it says are bytes, which not all members read.
        """

    def history(self, key: ChannelKey, after: int) -> Answer[Sequence[Event] | None]:
        """The channel's events after the msgid `after`; None where some are not held any more."""

    def past(self, key: ChannelKey, account: str, most: int) -> Answer[Past]:
        """The newest messages that are held of a channel, so many at most. Raises `SignalError`
        where the account is not in it.
        """

    # --- inboxes ---

    def post(self, asked: Asked, post: Post) -> Answer[Known | None]:
        """Put an entry into an inbox. It is delivered as soon as it is durable, or known not to be
        so yet. Raises `QuotaError` where the inbox is full, or the sender's share of it.
        """

    def read_inbox(self, key: AccountKey, ver_clear: int, limit: int) -> Answer[Page]:
        """Drop everything up to `ver_clear`, and return what is next, at most `limit` entries. A
        `ver_clear` that was never given is another server's, and drops nothing.
        """
