"""The engine contract, an operator's part: what whoever runs the server may ask of the state.

Owns: these operations. `base.Engine` has them beside the sessions'. Must not know who may ask for
what, nor how a client is told.

Whoever asks is no session: nothing is fenced, and nothing is kept for a request that comes again.
Each is a whole step all the same, atomic over all nodes. Of two who ask for the same end at once,
one is told that it was done, and the other that there was nothing to do.

Lists are handed out in parts, none of which takes longer than a few milliseconds. A `cursor` is the
engine's own: empty at the beginning, and what the part before has named. Whatever is in a list for
all the while is in one part at least; on Redis, a channel and a call may be in two. What is no
cursor is a `ParameterError`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Protocol

from signal_sdk.errors import ParameterError
from signal_sdk.server.engine.facts import (
    AccountKey,
    Call,
    CallKey,
    ChannelKey,
    Entry,
    Part,
    Post,
    Presence,
    Standing,
)
from signal_sdk.server.engine.pending import Answer
from signal_sdk.wire.events import ChannelMessage
from signal_sdk.wire.names import JsonValue
from signal_sdk.wire.parameter_errors import wrong_content

__all__ = ["Operating", "number_in", "wrong_cursor"]

MAX_DIGITS: Final = 20
"""Cursors of Redis' own have 64 bits."""


def wrong_cursor() -> ParameterError:
    """What is no cursor of this list. It is not quoted: it may name somebody."""
    return wrong_content("cursor", "is none that a page of this list has named")


def number_in(cursor: str) -> int:
    """The number that a cursor is; 0 at the beginning. Raises `ParameterError`."""
    if not cursor:
        return 0
    if not (cursor.isascii() and cursor.isdigit() and len(cursor) <= MAX_DIGITS):
        raise wrong_cursor()
    return int(cursor)


class Operating(Protocol):
    """What an operator may ask of an engine."""

    # --- telling ---

    def tell(self, post: Post) -> Answer[None]:
        """Put an entry into an inbox, as `post` does. Raises `QuotaError`."""

    def tell_channel(self, key: ChannelKey, message: ChannelMessage) -> Answer[bool]:
        """Deliver a message to its channel; False where there is none. Raises `SignalError` where
        the channel has had too many in this second.
        """

    # --- ending ---

    def kick(self, key: AccountKey) -> Answer[bool]:
        """End the account's session, its membership and its calls; a connection that holds it is
        told by `deliver_kick`. False where it is offline.
        """

    def remove(self, key: AccountKey, channel: str) -> Answer[bool]:
        """End the membership of `channel`: the channel is told that the account leaves, and a
        connection that holds the account by `deliver_removal`. Its presence says which channels it
        was `removed` from, until it joins one. False where it is not in it.
        """

    def end_call(self, key: CallKey, call_id: str) -> Answer[bool]:
        """End a live call: each side is told that the other has ended it. False where there is
        none, or it has another id than `call_id`; empty stands for any.
        """

    # --- attributes ---

    def put_user_attr(self, key: AccountKey, name: str, value: JsonValue) -> Answer[None]:
        """Set one attribute of an account, which is made where nobody knows it. Raises
        `QuotaError`.
        """

    def drop_user_attr(self, key: AccountKey, name: str) -> Answer[bool]:
        """Delete one attribute of an account. False where it is not set."""

    def put_channel_attr(self, key: ChannelKey, name: str, value: JsonValue) -> Answer[None]:
        """Set one attribute and tell the channel, as from the server's own account. Where there is
        no channel it is made, as nobody's. Raises `SignalError` over the channel's rate,
        `QuotaError` over a bound.
        """

    def drop_channel_attr(self, key: ChannelKey, name: str) -> Answer[bool]:
        """Delete one attribute and tell the channel, as from the server's own account. False where
        it is not set. Raises `SignalError` over the channel's rate.
        """

    # --- looking ---

    def inbox_size(self, key: AccountKey) -> Answer[tuple[int, int]]:
        """How many entries wait, and how many bytes they have."""

    def peek(self, key: AccountKey, after: int, limit: int) -> Answer[Sequence[Entry]]:
        """What waits behind the version `after`, at most `limit` entries. Nothing is dropped."""

    def online_in(self, app: str, cursor: str, limit: int) -> Answer[Part[tuple[str, Presence]]]:
        """Accounts that are online, at most `limit`."""

    def channel(self, key: ChannelKey) -> Answer[Standing | None]:
        """A channel; None where there is none."""

    def channels_in(self, app: str, cursor: str, limit: int) -> Answer[Part[Standing]]:
        """Channels, about `limit` at most."""

    def members(self, key: ChannelKey, cursor: str, limit: int) -> Answer[Part[tuple[str, int]]]:
        """Members of a channel, as (account, uid), at most `limit`."""

    def call(self, key: CallKey) -> Answer[Call | None]:
        """A live call; None where there is none."""

    def calls_in(self, app: str, cursor: str, limit: int) -> Answer[Part[Call]]:
        """Live calls, about `limit` at most."""
