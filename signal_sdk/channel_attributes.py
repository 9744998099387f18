"""Attributes of a channel that a program has joined: it reads and changes them.

Owns: the methods of `Channel` that are about its attributes, the documented ones and those with
revisions. Must not know what is said in the channel, or who hears of a change.
"""

# ruff: noqa: N802, N815  the documented names are camelCase

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import TYPE_CHECKING

from signal_sdk.client import given
from signal_sdk.client.attributes import Attributes, attributes_of, change_attributes
from signal_sdk.client.membership import Membership
from signal_sdk.client.operation import Operation
from signal_sdk.client.requests import nothing
from signal_sdk.client.session import SessionClient
from signal_sdk.spelling import DocumentedNames
from signal_sdk.wire import functions, results
from signal_sdk.wire.arguments import Arguments
from signal_sdk.wire.attribute_functions import (
    AttributesResult,
    ChannelChangeAttributes,
    ChannelReadAttributes,
)

__all__ = ["ChannelAttributes"]


class ChannelAttributes(DocumentedNames):
    """What a `Channel` has to do with its attributes."""

    def __init__(self, client: SessionClient, member: Membership) -> None:
        self._client = client
        self._member = member

    @property
    def name(self) -> str:
        """The channel's name."""
        return self._member.name

    def channel_set_attr(self, name: str, value: str) -> Operation[None]:
        """Set an attribute of the channel.

        Every member's `on_channel_attr_updated` hears of it. `name` has at most 128 visible
        characters, `value` 8096; the built-in names (`_channel_ttl`, `_userNotification`, …) take
        whole numbers. Fails with 1004 or 1005 where an argument is wrong or too large, and over 60
        changes a second; unless awaited, `LoginCallback.on_error` hears of a failure. Java server
        SDK, `channelSetAttr`.
        """
        return self._attr(
            lambda: functions.ChannelSetAttr(
                channel=self.name,
                name=given.text("attribute name", name),
                value=given.content("attribute value", value),
            )
        )

    def channel_del_attr(self, name: str) -> Operation[None]:
        """Delete an attribute of the channel.

        As `channel_set_attr`; the change's type is `del`. Java server SDK, `channelDelAttr`.
        """
        return self._attr(
            lambda: functions.ChannelDelAttr(
                channel=self.name, name=given.text("attribute name", name)
            )
        )

    def channel_clear_attr(self) -> Operation[None]:
        """Delete all attributes of the channel.

        As `channel_set_attr`; the change's type is `clear`. Java server SDK, `channelClearAttr`.
        """
        return self._attr(lambda: functions.ChannelClearAttr(channel=self.name))

    def read_attributes(self) -> Operation[Attributes]:
        """All attributes of the channel, each with its revision and its end.

        `LoginSession.read_channel_attributes` does the same of any channel. Fails with 1001 where
        the session is not in the channel. docs/attributes.md; the original SDKs have none of it.
        """
        return self._client.requests.call(
            lambda: ChannelReadAttributes(channel=self.name),
            AttributesResult,
            attributes_of,
            unless=self._member.why_not(),
        )

    def change_attributes(
        self,
        values: Mapping[str, str] | None = None,
        *,
        delete: Iterable[str] = (),
        if_revisions: Mapping[str, int] | None = None,
        if_absent: Iterable[str] = (),
        if_revision: int | None = None,
        ttl: float | None = None,
    ) -> Operation[int]:
        """Change attributes of the channel, all of it or nothing, where they are as they are wanted
        to be. As `LoginSession.change_channel_attributes`, which does the same of any channel.
        Fails with 1001 where the session is not in the channel. docs/attributes.md; the original
        SDKs have none of it.
        """
        return change_attributes(
            self._client.requests,
            partial(ChannelChangeAttributes, channel=self.name),
            (values, delete, if_revisions, if_absent, if_revision, ttl),
            unless=self._member.why_not(),
        )

    def _attr(self, make: Callable[[], Arguments]) -> Operation[None]:
        return self._client.requests.call(
            make, results.Result, nothing, unless=self._member.why_not()
        )

    if TYPE_CHECKING:

        def channelSetAttr(self, name: str, value: str) -> Operation[None]: ...
        def channelDelAttr(self, name: str) -> Operation[None]: ...
        def channelClearAttr(self) -> Operation[None]: ...
    else:
        channelSetAttr = channel_set_attr
        channelDelAttr = channel_del_attr
        channelClearAttr = channel_clear_attr
