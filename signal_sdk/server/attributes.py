"""Attributes of users and channels: who may change which.

Owns: the documented built-in attributes' values, and who may silence a channel. Must not know what
an attribute does, or who is told of it: the engine does.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Final

from signal_sdk.ecodes import ECode
from signal_sdk.errors import SignalError
from signal_sdk.server.attribute_forms import attributes_result
from signal_sdk.server.config import AppConfig
from signal_sdk.server.engine.base import (
    AccountKey,
    Answer,
    Asked,
    AttributeChange,
    Attributes,
    Changed,
    Engine,
    Known,
)
from signal_sdk.server.engine.pending import after, drive, settled
from signal_sdk.server.session import Session
from signal_sdk.wire import built_in, call2, frames, functions, names, results
from signal_sdk.wire.attribute_functions import (
    AttributesResult,
    ChangeArguments,
    ChangeResult,
    ChannelChangeAttributes,
    ChannelReadAttributes,
    UserChangeAttributes,
    UserReadAttributes,
)
from signal_sdk.wire.names import JsonValue
from signal_sdk.wire.parameter_errors import wrong

REFUSED: Final = call2.encode_result(ChangeResult())
"""What is kept of a change that was not made, since things were not as it wanted them."""
CHANGED: Final = REFUSED.removesuffix("0}")
"""What the reply of one that was made begins with: its revision follows."""


class UserAttributes:
    """The rules of user attributes."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def set(self, _: Session, args: functions.UserSetAttr, asked: Asked) -> Answer[Known | None]:
        """`user_set_attr`; `_conn_timeout` is kept as it takes effect, from 20 to 120."""
        value = settable_value(args.name, args.value)
        return self._engine.set_user_attr(asked, args.name, value)

    def change(
        self, session: Session, args: UserChangeAttributes, asked: Asked
    ) -> Answer[results.Result | Known]:
        """`user_change_attrs`."""
        args.check()
        values = {name: settable_value(name, value) for name, value in args.set.items()}
        change = _change(args, values)
        answer = self._engine.change_attributes(asked, None, change, members_only=False)
        return drive(_changed(answer, change, partial(self._engine.user_attributes, session.key)))

    def read(self, session: Session, args: UserReadAttributes) -> Answer[AttributesResult]:
        """`user_read_attrs`."""
        key = AccountKey(session.app, args.account)
        return after(self._engine.user_attributes(key), attributes_result)

    def get(self, session: Session, args: functions.UserGetAttr) -> Answer[results.GetAttrResult]:
        """`user_get_attr`."""
        account, name = args.account, args.name
        return after(
            self._engine.user_attrs(AccountKey(session.app, account)),
            lambda found: results.GetAttrResult(
                account=account, name=name, value=found.get(name, "")
            ),
        )

    def get_all(
        self, session: Session, args: functions.UserGetAttrAll
    ) -> Answer[results.GetAttrAllResult]:
        """`user_get_attr_all`."""
        account = args.account
        return after(
            self._engine.user_attrs(AccountKey(session.app, account)),
            lambda found: results.GetAttrAllResult(
                account=account, json=frames.encode_json(found).decode()
            ),
        )


class ChannelAttributes:
    """The rules of channel attributes.

    Whoever is not in a channel may set an attribute of it, so that one bot can look after many, but
    neither take all of them away nor bound what its members may say.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._managers: dict[str, tuple[str, ...]] = {}

    def take_apps(self, apps: Sequence[AppConfig]) -> None:
        """From here on these apps' managers look after channels that they are not in."""
        self._managers = {app.id: app.channel_managers for app in apps}

    def set(
        self, session: Session, args: functions.ChannelSetAttr, asked: Asked
    ) -> Answer[Known | None]:
        """`channel_set_attr`: by anybody of the app; makes the channel where there is none."""
        name, value = args.name, args.value
        check_settable(name, value)
        check_attributed(args.channel)
        members_only = name in built_in.CHANNEL_LIMITS and not self._is_manager(session)
        return self._engine.set_channel_attr(
            asked, args.channel, name, value, members_only=members_only
        )

    def delete(
        self, session: Session, args: functions.ChannelDelAttr, asked: Asked
    ) -> Answer[Known | None]:
        """`channel_del_attr`."""
        check_attributed(args.channel)
        members_only = args.name in built_in.CHANNEL_LIMITS and not self._is_manager(session)
        return self._engine.del_channel_attr(
            asked, args.channel, args.name, members_only=members_only
        )

    def clear(
        self, session: Session, args: functions.ChannelClearAttr, asked: Asked
    ) -> Answer[Known | None]:
        """`channel_clear_attr`."""
        check_attributed(args.channel)
        members_only = not self._is_manager(session)
        return self._engine.clear_channel_attrs(asked, args.channel, members_only=members_only)

    def change(
        self, session: Session, args: ChannelChangeAttributes, asked: Asked
    ) -> Answer[results.Result | Known]:
        """`channel_change_attrs`: as its parts would be by `channel_set_attr` and
        `channel_del_attr`.
        """
        args.check()
        check_attributed(args.channel)
        for name, value in args.set.items():
            check_settable(name, value)
        is_limit = not built_in.CHANNEL_LIMITS.isdisjoint((*args.set, *args.delete))
        change = _change(args, args.set)
        answer = self._engine.change_attributes(
            asked,
            args.channel,
            change,
            members_only=is_limit and not self._is_manager(session),
        )
        read = partial(self._engine.channel_attributes, session.channel_key(args.channel))
        return drive(_changed(answer, change, read))

    def read(self, session: Session, args: ChannelReadAttributes) -> Answer[AttributesResult]:
        """`channel_read_attrs`: by anybody of the app."""
        found = self._engine.channel_attributes(session.channel_key(args.channel))
        return after(found, attributes_result)

    def _is_manager(self, session: Session) -> bool:
        managers = self._managers.get(session.app, ())
        return session.account in managers or names.EVERYBODY in managers


def _change(args: ChangeArguments, values: Mapping[str, JsonValue]) -> AttributeChange:
    return AttributeChange(
        set=values,
        delete=args.delete,
        conditions=args.conditions,
        revision=args.revision,
        ttl=args.ttl / 1000 if args.ttl else None,
    )


async def _changed(
    answer: Answer[Changed | Known], change: AttributeChange, read: Callable[[], Answer[Attributes]]
) -> results.Result | Known:
    """The result of a change. Of one that was refused before, what it finds now is told: that was
    not kept.
    """
    changed: Changed | Known = await settled(answer)
    if isinstance(changed, Known):
        if changed.reply != REFUSED:
            return changed
        found = await settled(read())
        named = {it: found.values[it] for it in change.named if it in found.values}
        changed = Changed(0, Attributes(found.revision, named))
    if changed.present is None:
        return ChangeResult(revision=changed.revision)
    return ChangeResult(conflict=attributes_result(changed.present))


def settable_value(name: str, value: JsonValue) -> JsonValue:
    """A user attribute's value as it is kept."""
    return str(built_in.conn_timeout_seconds(value)) if name == built_in.CONN_TIMEOUT else value


def check_settable(name: str, value: JsonValue) -> None:
    """Raise `ParameterError` where nobody may set this attribute of a channel to that."""
    if name in built_in.COUNTED_NUMBERS:
        raise wrong("attribute name", name, "is one that only the server sets")
    if name in built_in.SETTABLE_NUMBERS:
        built_in.check_number(name, value)


def check_attributed(channel: str) -> None:
    """Raise `SignalError` where the channel is one that has no attributes."""
    if channel in names.SPECIAL_CHANNELS:
        raise SignalError(
            ECode.GENERAL_E_FAILED, f"the special channel {channel!r} has no attributes"
        )
