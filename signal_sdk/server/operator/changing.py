"""What an operator changes: who is there, and what accounts and channels have.

Owns: what is said where there was nothing to change. Must not know what a change brings about: the
engine does.
"""

from __future__ import annotations

from signal_sdk.server.attributes import check_attributed, check_settable, settable_value
from signal_sdk.server.engine.pending import waited
from signal_sdk.server.operator.base import (
    Base,
    account_key,
    call_key,
    channel_key,
    no_call,
    offline,
)
from signal_sdk.server.operator.facts import NotThereError
from signal_sdk.wire import names
from signal_sdk.wire.names import JsonValue


class Changing(Base):
    """Ending and changing, as `Operator` has it."""

    # --- ending ---

    async def kick(self, app: str, account: str) -> None:
        """End the session of an account at once, with its membership and its calls. Its client
        hears 103, as one whose account logs in elsewhere. It is no ban: who has a token that is
        good may log in again.
        """
        self._begin(app)
        key = account_key(app, account)
        if not await waited(self._engine.kick(key)):
            raise offline(key)
        await self._durable()

    async def remove(self, app: str, account: str, channel: str) -> None:
        """Take an account out of the channel that it is in. Its client hears that it has left it,
        with 601, also where it is without a connection at the moment, and the other members that it
        has left. It is no ban: it may join again.
        """
        self._begin(app)
        key, where = account_key(app, account), channel_key(app, channel)
        if not await waited(self._engine.remove(key, where.channel)):
            raise NotThereError(f"{key.account!r} is not in the channel {where.channel!r}")
        await self._durable()

    async def end_call(
        self, app: str, channel: str, caller: str, callee: str, *, call_id: str = ""
    ) -> None:
        """End the live call between two accounts about a channel, whoever of them has called; with
        a `call_id`, only if it is that one. Both sides hear that the other has ended it.
        """
        self._begin(app)
        key = call_key(app, channel, caller, callee)
        if not await waited(self._engine.end_call(key, names.check_call_id(call_id))):
            raise no_call(key)
        await self._durable()

    # --- attributes ---

    async def set_user_attribute(self, app: str, account: str, name: str, value: JsonValue) -> None:
        """Set one attribute of an account, which need not be online, within a client's limits."""
        self._begin(app)
        key, what = account_key(app, account), names.check_attr_name(name)
        given = settable_value(what, names.check_user_attr_value(value))
        await waited(self._engine.put_user_attr(key, what, given))
        await self._durable()

    async def delete_user_attribute(self, app: str, account: str, name: str) -> None:
        """Delete one attribute of an account. Raises `NotThereError` where it is not set."""
        self._begin(app)
        key, what = account_key(app, account), names.check_attr_name(name)
        if not await waited(self._engine.drop_user_attr(key, what)):
            raise NotThereError(f"{key.account!r} has no attribute {what!r}")
        await self._durable()

    async def set_channel_attribute(
        self, app: str, channel: str, name: str, value: JsonValue
    ) -> None:
        """Set one attribute of a channel, which is made where there is none, within a client's
        limits. The members hear of it as from the server's own account.
        """
        self._begin(app)
        key, what = channel_key(app, channel), names.check_attr_name(name)
        given = names.check_channel_attr_value(value)
        check_attributed(key.channel)
        check_settable(what, given)
        await waited(self._engine.put_channel_attr(key, what, given))
        await self._durable()

    async def delete_channel_attribute(self, app: str, channel: str, name: str) -> None:
        """Delete one attribute of a channel; the members hear of it as from the server's own
        account. Raises `NotThereError` where it is not set.
        """
        self._begin(app)
        key, what = channel_key(app, channel), names.check_attr_name(name)
        check_attributed(key.channel)
        if not await waited(self._engine.drop_channel_attr(key, what)):
            raise NotThereError(f"the channel {key.channel!r} has no attribute {what!r}")
        await self._durable()
