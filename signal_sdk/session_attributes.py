"""Attributes and accounts as a session has them: it reads and changes the ones, and watches the
others.

Owns: the methods of `LoginSession` that docs/attributes.md is about. Must not know the session's
life, its messages, channels or calls.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from signal_sdk.client import given
from signal_sdk.client.attributes import Attributes, attributes_of, change_attributes
from signal_sdk.client.operation import Operation
from signal_sdk.client.session import SessionClient
from signal_sdk.client.watches import WatchEvent
from signal_sdk.streams import LIMIT, Stream
from signal_sdk.watching import Watchers
from signal_sdk.wire.attribute_functions import (
    AttributesResult,
    ChannelChangeAttributes,
    ChannelReadAttributes,
    UserChangeAttributes,
    UserReadAttributes,
)

__all__ = ["SessionAttributes"]


class SessionAttributes:
    """What a `LoginSession` has to do with attributes, its own account's and those of any account
    and channel of its app.
    """

    def __init__(self, client: SessionClient) -> None:
        self._client = client

    def read_attributes(self, account: str | None = None) -> Operation[Attributes]:
        """All attributes of an account, by default of this session's own, each with its revision
        and its end. An account that nobody knows has none. Fails with 1004 where `account` is none.
        docs/attributes.md; the original SDKs have none of it.
        """
        whose = self._client.account if account is None else account
        return self._client.requests.call(
            lambda: UserReadAttributes(account=given.text("account", whose)),
            AttributesResult,
            attributes_of,
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
        """Change attributes of the session's own account, all of it or nothing. Gives the revision
        that the change has.

        Those in `values` are set, at most 100, and those in `delete` deleted. It is done only where
        each in `if_revisions` has that revision, those in `if_absent` are not set, and all
        attributes together have `if_revision`; else `ConflictError` says how things are. What is
        set ends by itself after `ttl` seconds: 0.001 to 2,592,000 (30 days). Names have at most 128
        visible characters, values 1024. Fails with 1001 over a bound of the server's, and with 1004
        or 1005 where an argument is wrong or too large; unless awaited, `LoginCallback.on_error`
        hears of a failure. docs/attributes.md; the original SDKs have none of it.
        """
        wanted = (values, delete, if_revisions, if_absent, if_revision, ttl)
        return change_attributes(self._client.requests, UserChangeAttributes, wanted)

    def read_channel_attributes(self, channel: str) -> Operation[Attributes]:
        """All attributes of a channel, which need not be joined, each with its revision and its
        end. A channel that is not there has none. docs/attributes.md; the original SDKs have none
        of it.
        """
        return self._client.requests.call(
            lambda: ChannelReadAttributes(channel=given.text("channel", channel)),
            AttributesResult,
            attributes_of,
        )

    def change_channel_attributes(
        self,
        channel: str,
        values: Mapping[str, str] | None = None,
        *,
        delete: Iterable[str] = (),
        if_revisions: Mapping[str, int] | None = None,
        if_absent: Iterable[str] = (),
        if_revision: int | None = None,
        ttl: float | None = None,
    ) -> Operation[int]:
        """Change attributes of a channel, which need not be joined: as `change_attributes`, but
        that values have at most 8096 visible characters. Its members hear of each as of any change.
        docs/attributes.md; the original SDKs have none of it.
        """
        return change_attributes(
            self._client.requests,
            lambda **args: ChannelChangeAttributes(channel=given.text("channel", channel), **args),
            (values, delete, if_revisions, if_absent, if_revision, ttl),
        )

    def watch(self, account: str, limit: int = LIMIT) -> Stream[WatchEvent]:
        """A stream of what becomes of another account: `AccountState`, how it stands, first, and
        then `AccountOnline`, `AccountOffline` and `AttributesChanged`.

            async with session.watch("desk") as events:
                async for event in events:
                    match event:
                        case AccountState(is_online=is_online, attributes=attributes): ...
                        case AttributesChanged(set=values): ...

        The account is watched while the stream is read: from its loop's or its block's beginning to
        its end. After a lost connection it is watched anew, and the next is an `AccountState`. So
        it is where more than `limit` events wait for the reader: that takes the place of all of
        them. The stream ends where the session is logged out by its own user; else it raises
        `LogoutError`, or `SignalError`: 1001 where the session watches too many accounts, by
        default of the server's more than 100 (`[limits] session_watches`), 1004 where `account` is
        none, or the server has no such function. docs/attributes.md; the original SDKs have none
        of it.
        """
        return Stream(Watchers(self._client.watches, account), limit)
