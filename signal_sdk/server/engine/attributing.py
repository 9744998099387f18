"""The engine contract, the attributes of accounts and channels, and who watches an account.

Owns: these operations. `base.Engine` has them beside the others. Must not know who may ask for
what, nor how a client is told.

Each change has a revision, of one counter of its app. Those with which a change may be asked for
only as long as nobody else has changed the same are beside those of the original SDKs, which know
no revisions.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from signal_sdk.server.engine.attribute_facts import AttributeChange, Attributes, Changed, Watched
from signal_sdk.server.engine.facts import AccountKey, Asked, ChannelKey, Known
from signal_sdk.server.engine.pending import Answer
from signal_sdk.wire.names import JsonValue

__all__ = ["Attributing"]


class Attributing(Protocol):
    """What may be asked of an engine about attributes, and about whom to watch."""

    # --- channels ---

    def set_channel_attr(
        self, asked: Asked, channel: str, name: str, value: JsonValue, *, members_only: bool
    ) -> Answer[Known | None]:
        """Set one attribute and tell the channel, which is made, as one of this account's, where
        there is none. Raises `SignalError` over the channel's rate, `QuotaError` over a bound.
        """

    def del_channel_attr(
        self, asked: Asked, channel: str, name: str, *, members_only: bool
    ) -> Answer[Known | None]:
        """Delete one attribute and tell the channel. Raises `SignalError` where it is not set."""

    def clear_channel_attrs(
        self, asked: Asked, channel: str, *, members_only: bool
    ) -> Answer[Known | None]:
        """Delete all attributes and tell the channel, if there is one."""

    def last_revision(self, app: str) -> Answer[int]:
        """The revision of the app's latest change of an attribute, or of whatever else has numbers
        of the same counter; 0 where there was none. Each is larger than all before it, on all
        nodes, and none is given twice, be it over a crash.
        """

    def channel_attrs(self, key: ChannelKey) -> Answer[Mapping[str, JsonValue]]:
        """All attributes of a channel, with the counts that are kept up to date."""

    # --- users ---

    def set_user_attr(self, asked: Asked, name: str, value: JsonValue) -> Answer[Known | None]:
        """Set one attribute of the session's account. Raises `QuotaError`."""

    def user_attrs(self, key: AccountKey) -> Answer[Mapping[str, JsonValue]]:
        """All attributes of an account, which need not be online."""

    # --- attributes with their revisions ---

    def user_attributes(self, key: AccountKey) -> Answer[Attributes]:
        """As `user_attrs`, with what there is to know of each."""

    def channel_attributes(self, key: ChannelKey) -> Answer[Attributes]:
        """All attributes that somebody has set of a channel, with what there is to know of each."""

    def change_attributes(
        self, asked: Asked, channel: str | None, change: AttributeChange, *, members_only: bool
    ) -> Answer[Changed | Known]:
        """Do all of the change or nothing, to attributes of the channel, or of the session's
        account where that is None. A channel is told of each, in the order deleted, set; it is made
        as by `set_channel_attr`. The reply that is kept is `asked.revised` of the revision, of 0
        where nothing was done since something was not as the change wants it. Raises `SignalError`
        over the channel's rate, of which each attribute is one, `QuotaError` over a bound.

        What an attribute's time ends is deleted by the engine, as by the server's own account.
        """

    # --- watching ---

    def watch(self, key: AccountKey) -> Answer[Watched]:
        """Deliver to this node from here on what becomes of the account, by `deliver_watched`, and
        answer how it stands. Not counted: once is enough. What is delivered meanwhile may come
        before or behind the answer: the numbers tell.
        """

    def unwatch(self, key: AccountKey) -> None:
        """Deliver it no more."""
