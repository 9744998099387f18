"""The engine contract: the state of every app, changed by atomic operations, and delivery by
callback.

Owns: the operations that the rules need and the facts that they return. Must not know a rule: who
may do what, which timer runs, what a client is told. An operation is atomic over all nodes; what it
publishes is delivered through `Delivery` on every node, the caller's own included: a channel's
events at once, inbox entries once they are durable, both in the order of the operations. An
operation returns once it is in effect; `when_durable` tells when all that has been done is as
durable as the engine promises, and nothing is acknowledged before.

Times are wall-clock Unix seconds, given by the caller, since they outlive a process.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, Protocol

import attrs
import msgspec
import trio

from signal_sdk.errors import SignalError
from signal_sdk.server.engine.bounds import Bounds
from signal_sdk.wire.events import ChannelContent
from signal_sdk.wire.hidden import hides
from signal_sdk.wire.names import JsonValue

MakeContents = Callable[[], Sequence[ChannelContent]]
"""Makes what a channel is told, where there is such a channel: mostly there is none."""


class AccountKey(NamedTuple):
    """An account of an app."""

    app: str
    account: str


class ChannelKey(NamedTuple):
    """A channel of an app."""

    app: str
    channel: str


class CallKey(NamedTuple):
    """The call between two accounts about a channel, whoever of them called; `one` sorts before
    `other`.
    """

    app: str
    channel: str
    one: str
    other: str


class Presence(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """An account that is online. `generation` rises with every login and resume: it fences what an
    older connection still does.

    `lease_ends` is there while no connection holds the account; `line_digest` finds the session on
    a resume; `device`, `ver` and `instance` are the facts of its login, `token_expires`,
    `token_issued` and `rights` those of its token.
    """

    uid: int
    generation: int
    line_digest: bytes
    device: str
    ver: int
    token_expires: int | None
    instance: str = ""
    channel: str | None = None
    lease_ends: float | None = None
    token_issued: int | None = None
    rights: str = ""

    def __repr__(self) -> str:
        # Not what finds a session, or tells whose it is.
        return f"Presence(uid={self.uid}, generation={self.generation}, channel={self.channel!r})"


@hides("line")
class Entry(msgspec.Struct, kw_only=True, gc=False):
    """An inbox entry that has its version. `number` is its place in the journal, if it has one;
    `sender` is not known any more after a restart.
    """

    version: int
    sender: str = ""
    expires: float
    line: str
    number: int = 0


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """Part of an inbox: everything up to `ver_clear` is gone for good."""

    ver_clear: int
    entries: Sequence[Entry]


class Roster(msgspec.Struct, frozen=True, kw_only=True):
    """Who is in a channel: how many, how many joins there have been, and the newest members as
    (account, uid), oldest first.
    """

    num: int = 0
    total: int = 0
    newest: Sequence[tuple[str, int]] = ()
    msgid: int = 0


@attrs.frozen(kw_only=True)
class Left:
    """A member is gone: how many are left, and when the channel became empty, if it did."""

    num: int
    idle_since: float | None


class Joined(msgspec.Struct, frozen=True, kw_only=True):
    """A session is in a channel, with whom; `left` says what became of the membership that it had
    elsewhere.
    """

    roster: Roster
    left: Left | None = None


@attrs.frozen(kw_only=True)
class Ended:
    """A presence is over; `left` says what became of its membership, if it had one."""

    left: Left | None


@hides("extra")
@attrs.frozen(kw_only=True)
class Call:
    """A live call. What `state` means is the rules' business; `deadline` is when it runs out; `id`
    tells it from those that were and will be under its key.
    """

    id: str
    caller: str
    callee: str
    channel: str
    extra: JsonValue
    state: str
    timeout: float
    deadline: float | None
    revision: int = 0


@hides("line")
class Post(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """An inbox entry to be: for whom, from whom, what, and until when. `line` is a message line's
    text. A call's event is from nobody, since nobody's share of the inbox is to stop it.
    """

    key: AccountKey
    sender: str = ""
    line: str
    expires: float


class Event(msgspec.Struct, frozen=True, gc=False):
    """A channel's event as it was delivered."""

    msgid: int
    content: ChannelContent
    time_ms: int


Then = Callable[[SignalError | None], None]
"""What is called when something is durable: with None, or with why it could not be made so."""


class Delivery(Protocol):
    """What an engine calls on each node, in order. Never waits."""

    def deliver_entry(self, key: AccountKey, version: int, line: str) -> None:
        """An inbox has a new entry, whose message line is `line`."""

    def deliver_event(
        self, key: ChannelKey, msgid: int, content: ChannelContent, time_ms: int
    ) -> None:
        """A channel has a new event."""

    def deliver_kick(self, key: AccountKey, generation: int) -> None:
        """This generation of the account was taken over by a newer one."""


class Engine(Protocol):
    """The contract. Made with its own settings, then given its node's `Delivery` by `attach`."""

    is_immediate: bool = False
    """Do all operations end without waiting, those of durability and of life apart? Then a request
    is answered where it is read, without a task's turn in between.
    """

    def attach(self, delivery: Delivery) -> None:
        """Deliver here from now on."""

    def bound(self, bounds: Bounds) -> None:
        """From here on these bounds hold. What is held already stays, until more comes. What would
        be over one is refused: its operation raises `QuotaError`, and does nothing.
        """

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Do what the engine does by itself, until cancelled. Starts once operations may be
        called.
        """

    async def aclose(self) -> None:
        """Make durable what is not yet, and let go of everything. Nothing may be called after."""

    # --- durability ---

    def check_writable(self) -> None:
        """Raise `SignalError` where nothing that is changed now could be made durable."""

    def when_durable(self, then: Then) -> None:
        """Call `then` once all that has been done so far is durable: at once where it is. Calls
        come in the order of `when_durable`.
        """

    @property
    def is_behind(self) -> bool:
        """Does so much wait to be durable that whoever waits for it already should not be heard
        before? What others do is then durable sooner.
        """
        return False

    async def remember(
        self, key: AccountKey, generation: int, callid: int, text: str, *, durably: bool
    ) -> None:
        """Keep the reply to a request of this session, until `recall` or the session's end forgets
        it; not `durably`, it may be lost with the process. Does nothing where a newer generation
        holds the account.
        """

    async def recall(self, key: AccountKey, callid: int, ack: int) -> str | None:
        """The reply that was kept for this request of the account's session. All up to `ack` are
        forgotten.
        """

    # --- after a start ---

    async def online(self) -> Sequence[tuple[AccountKey, Presence]]:
        """Every account that is online, as this engine has found it when it started."""

    async def live_calls(self) -> Sequence[tuple[CallKey, Call]]:
        """Every live call."""

    async def channels(self) -> Sequence[tuple[ChannelKey, float | None]]:
        """Every channel, and since when it is empty."""

    # --- presence ---

    async def log_in(
        self,
        key: AccountKey,
        *,
        line_digest: bytes,
        device: str,
        ver: int,
        token_expires: int | None,
        instance: str,
        again: bool = False,
        token_issued: int | None = None,
        rights: str = "",
    ) -> tuple[Presence, Presence | None] | None:
        """Make a new session hold the account; return it and the one before.

        The new one is in the channel that the one before was in. A connection that holds the one
        before is told by `deliver_kick`. None, and nothing is done, where one that comes `again`
        finds the account held by another instance. Raises `QuotaError` where the app has too many
        accounts.
        """

    async def resume(self, line_digest: bytes) -> tuple[AccountKey, Presence] | None:
        """Take the session of this line up again under a new generation; an earlier connection is
        told by `deliver_kick`.
        """

    async def disconnect(self, key: AccountKey, generation: int, lease_ends: float) -> bool:
        """Begin the lease of a session that has lost its connection. False where a newer generation
        holds the account.
        """

    async def log_out(
        self,
        key: AccountKey,
        presence: Presence,
        announce: ChannelContent | None,
        *,
        kick: bool,
        now: float,
    ) -> Ended | None:
        """End exactly this presence and its membership, publishing `announce`; None where the
        presence is another by now.

        With `kick`, a connection that holds it is told by `deliver_kick`.
        """

    async def presence(self, key: AccountKey) -> Presence | None:
        """The session of an account, None where it is offline."""

    # --- users ---

    async def set_user_attr(self, key: AccountKey, name: str, value: JsonValue) -> None:
        """Set one attribute of an account, which need not be online. Raises `QuotaError`."""

    async def user_attrs(self, key: AccountKey) -> Mapping[str, JsonValue]:
        """All attributes of an account."""

    # --- inboxes ---

    async def post(self, post: Post, now: float) -> int:
        """Put an entry into an inbox, and return its version. It is delivered as soon as it is
        durable, or known not to be so yet. Raises `QuotaError` where the inbox is full, or the
        sender's share of it.
        """

    async def read_inbox(self, key: AccountKey, ver_clear: int, limit: int, now: float) -> Page:
        """Drop everything up to `ver_clear`, and return what is next, at most `limit` entries. A
        `ver_clear` that was never given is another server's, and drops nothing.
        """

    async def sweep(self, now: float) -> None:
        """Drop some of the entries and events whose time is over; bounded work."""

    def newest_time(self) -> float:
        """The latest time that the engine was told, by `sweep` or before its process began; it may
        miss the last minute of another process.
        """

    def forget_newer_time(self, now: float) -> None:
        """Nothing later than `now` was told: it was a clock's mistake."""

    # --- channels ---

    async def join(
        self,
        key: ChannelKey,
        account: str,
        generation: int,
        announce: ChannelContent | None,
        *,
        farewell: ChannelContent | None = None,
        newest: int,
        now: float,
    ) -> Joined | None:
        """Make the session a member and publish `announce`, unless it is one already, and end its
        membership elsewhere, where `farewell` is published; None where a newer generation holds the
        account. Raises `QuotaError` where that would make a channel, and there are too many: then
        it is where it was.
        """

    async def leave(
        self,
        key: ChannelKey,
        account: str,
        generation: int,
        announce: ChannelContent | None,
        *,
        now: float,
    ) -> Left | None:
        """End a membership and publish `announce`; None where there is none, or a newer generation
        holds the account.
        """

    async def publish(self, key: ChannelKey, make: MakeContents, *, now: float) -> bool:
        """Give the events that `make` makes their msgids, one behind the other, and deliver them.
        False where there is no such channel, for which nothing need be made.
        """

    async def set_channel_attr(
        self,
        key: ChannelKey,
        name: str,
        value: JsonValue,
        announce: ChannelContent,
        *,
        account: str,
        now: float,
    ) -> float | None:
        """Set one attribute, making the channel, as one of this account's, where there is none, and
        publish `announce`; return since when the channel is empty. Raises `QuotaError`.
        """

    async def del_channel_attr(
        self, key: ChannelKey, name: str, announce: ChannelContent, *, now: float
    ) -> bool:
        """Delete one attribute and publish `announce`. False where it is not set."""

    async def clear_channel_attrs(
        self, key: ChannelKey, announce: ChannelContent, *, now: float
    ) -> bool:
        """Delete all attributes and publish `announce`. False where there is no such channel."""

    async def channel_attrs(self, key: ChannelKey) -> Mapping[str, JsonValue]:
        """All attributes of a channel."""

    async def history(self, key: ChannelKey, after: int, now: float) -> Sequence[Event] | None:
        """The channel's events after the msgid `after`; None where some are not held any more."""

    async def roster(self, key: ChannelKey, newest: int) -> Roster:
        """Who is in a channel."""

    async def is_member(self, key: ChannelKey, account: str) -> bool:
        """Is the account in the channel?"""

    async def joined_at(self, key: ChannelKey, account: str) -> int:
        """The channel's last msgid when the member joined it, for the last time where it did so
        again; 0 where that is not known any more, as after a restart.
        """

    async def destroy_channel(self, key: ChannelKey, idle_since: float) -> bool:
        """Destroy a channel that has been empty ever since `idle_since`."""

    # --- calls ---

    async def call(self, key: CallKey) -> Call | None:
        """The live call of this key."""

    async def swap_call(
        self, key: CallKey, old: Call | None, new: Call | None, posts: Sequence[Post], now: float
    ) -> bool:
        """Replace `old` by `new` and post `posts`, all or nothing. False where the live call is not
        `old` any more.

        A full inbox loses its post: a call must be able to end. Raises `QuotaError` where a new
        call's caller has too many.
        """

    async def calls_of(self, key: AccountKey) -> Sequence[CallKey]:
        """The live calls that the account is a side of."""
