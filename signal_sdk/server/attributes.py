"""Attributes of users and channels, the built-in ones among them: what they do, and the timers that
they set.

Owns: the meaning of the documented built-in attributes, and the life of an empty channel. Must
not know membership's rules. `_member_num` and `_total_member_num` are counted when they are read,
never kept.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import attrs
import trio

from signal_sdk.ecodes import ECode
from signal_sdk.errors import SignalError
from signal_sdk.server.clock import Clock
from signal_sdk.server.config import AppConfig, LimitsConfig
from signal_sdk.server.engine.base import AccountKey, ChannelKey, Engine
from signal_sdk.server.rates import Rates
from signal_sdk.server.refusals import too_often
from signal_sdk.server.session import Session
from signal_sdk.server.timers import Timer, Timers
from signal_sdk.wire import events, frames, functions, names, results
from signal_sdk.wire.names import JsonValue


def builtin_number(attributes: Mapping[str, JsonValue], name: str, default: int) -> int:
    """A built-in attribute's value, which was checked when it was set."""
    return names.check_builtin_number(name, attributes[name]) if name in attributes else default


def _check_room(
    attributes: Mapping[str, JsonValue], name: str, limits: LimitsConfig, whose: str
) -> None:
    if limits.attributes and name not in attributes and len(attributes) >= limits.attributes:
        raise SignalError(
            ECode.GENERAL_E_FAILED, f"{whose} has {limits.attributes} attributes, the most allowed"
        )


def _check_size(attributes: Mapping[str, JsonValue], name: str, value: JsonValue) -> None:
    """Raise `SignalError` (1005) where the attributes would be too large with this one."""
    size = len(frames.encode_json({**attributes, name: value}))
    if size > names.MAX_ATTRS_BYTES:
        raise SignalError(
            ECode.GENERAL_E_LARGE_PARAM,
            f"all attributes together would have {size} bytes; "
            f"at most {names.MAX_ATTRS_BYTES} are allowed",
        )


class UserAttributes:
    """The rules of user attributes."""

    def __init__(self, engine: Engine, limits: LimitsConfig) -> None:
        self._engine = engine
        self._limits = limits

    async def set(self, session: Session, args: functions.UserSetAttr) -> results.SetAttrResult:
        """`user_set_attr`; `_conn_timeout` is kept as it takes effect, from 20 to 120."""
        value = args.value
        if args.name == names.CONN_TIMEOUT:
            value = str(names.conn_timeout_seconds(value))
        attributes = await self._engine.user_attrs(session.key)
        _check_room(attributes, args.name, self._limits, repr(session.account))
        _check_size(attributes, args.name, value)
        await self._engine.set_user_attr(session.key, args.name, value)
        return results.SetAttrResult()

    async def get(self, session: Session, args: functions.UserGetAttr) -> results.GetAttrResult:
        """`user_get_attr`."""
        attributes = await self._engine.user_attrs(AccountKey(session.app, args.account))
        return results.GetAttrResult(
            account=args.account, name=args.name, value=attributes.get(args.name, "")
        )

    async def get_all(
        self, session: Session, args: functions.UserGetAttrAll
    ) -> results.GetAttrAllResult:
        """`user_get_attr_all`."""
        attributes = await self._engine.user_attrs(AccountKey(session.app, args.account))
        return results.GetAttrAllResult(
            account=args.account, json=frames.encode_json(attributes).decode()
        )

    async def conn_timeout(self, key: AccountKey) -> int:
        """How many seconds the account stays online without a connection."""
        attributes = await self._engine.user_attrs(key)
        return names.conn_timeout_seconds(
            attributes.get(names.CONN_TIMEOUT, names.MAX_CONN_TIMEOUT_SECONDS)
        )


@attrs.define(kw_only=True)
class _Watch:
    """What this node does for a channel: its timers, and the counts that were pushed last.
    `idle_since` is there with `death`.
    """

    death: Timer | None = None
    idle_since: float | None = None
    pushes: dict[str, Timer] = attrs.field(factory=dict)
    pushed: dict[str, int] = attrs.field(factory=dict)


class ChannelAttributes:
    """The rules of channel attributes."""

    def __init__(self, engine: Engine, timers: Timers, limits: LimitsConfig, clock: Clock) -> None:
        self._engine = engine
        self._timers = timers
        self._limits = limits
        self._clock = clock
        self._changes: Rates[ChannelKey] = Rates()
        self._watches: dict[ChannelKey, _Watch] = {}
        self._managers: dict[str, tuple[str, ...]] = {}

    def take_apps(self, apps: Sequence[AppConfig]) -> None:
        """From here on these apps' managers look after channels that they are not in."""
        self._managers = {app.id: app.channel_managers for app in apps}

    async def of(self, key: ChannelKey) -> dict[str, JsonValue]:
        """All attributes of a channel, with the counts that the server keeps up to date."""
        attributes = dict(await self._engine.channel_attrs(key))
        for name, count in (await self._counts(key, attributes)).items():
            attributes[name] = str(count)
        return attributes

    async def _counts(self, key: ChannelKey, attributes: Mapping[str, JsonValue]) -> dict[str, int]:
        if not builtin_number(attributes, names.AUTO_UPDATE_NUM, 0):
            return {}
        roster = await self._engine.roster(key, 0)
        counts = {names.MEMBER_NUM: roster.num}
        if builtin_number(attributes, names.AUTO_UPDATE_TOTAL_NUM, 0):
            counts[names.TOTAL_MEMBER_NUM] = roster.total
        return counts

    # --- changing ---

    async def set(self, session: Session, args: functions.ChannelSetAttr) -> results.Result:
        """`channel_set_attr`: by anybody of the app, so that one bot can look after many channels;
        makes the channel where there is none.
        """
        if args.name in names.COUNTED_NUMBERS:
            raise names.wrong("attribute name", args.name, "is one that only the server sets")
        if args.name in names.SETTABLE_NUMBERS:
            names.check_builtin_number(args.name, args.value)
        if args.name in names.CHANNEL_LIMITS:
            self._check_manager(session, args.channel)
        key = await self._begin_change(session, args.channel)
        attributes = await self._engine.channel_attrs(key)
        _check_room(attributes, args.name, self._limits, f"the channel {args.channel!r}")
        _check_size(attributes, args.name, args.value)
        idle_since = await self._engine.set_channel_attr(
            key,
            args.name,
            args.value,
            _change(session, args.channel, args.name, args.value, "update"),
            account=session.account,
            now=self._clock(),
        )
        await self._changed(key, idle_since, args.name)
        return results.DONE

    async def delete(self, session: Session, args: functions.ChannelDelAttr) -> results.Result:
        """`channel_del_attr`."""
        if args.name in names.CHANNEL_LIMITS:
            self._check_manager(session, args.channel)
        key = await self._begin_change(session, args.channel)
        change = _change(session, args.channel, args.name, "", "del")
        if not await self._engine.del_channel_attr(key, args.name, change, now=self._clock()):
            raise SignalError(
                ECode.GENERAL_E_FAILED,
                f"the channel {args.channel!r} has no attribute {args.name!r}",
            )
        await self._changed(key, self._idle_since(key), args.name)
        return results.DONE

    async def clear(self, session: Session, args: functions.ChannelClearAttr) -> results.Result:
        """`channel_clear_attr`."""
        self._check_manager(session, args.channel)
        key = await self._begin_change(session, args.channel)
        change = _change(session, args.channel, "", "", "clear")
        if await self._engine.clear_channel_attrs(key, change, now=self._clock()):
            for name in names.SETTABLE_NUMBERS:
                await self._changed(key, self._idle_since(key), name)
        return results.DONE

    def _check_manager(self, session: Session, channel: str) -> None:
        """Whoever is not in a channel may set an attribute of it, but neither take all of them away
        nor bound what its members may say.
        """
        if session.channel == channel:
            return
        managers = self._managers.get(session.app, ())
        if session.account not in managers and names.EVERYBODY not in managers:
            raise SignalError(
                ECode.GENERAL_E_FAILED,
                f"{session.account!r} is not in the channel {channel!r}: only its members, and the "
                "app's channel managers, clear its attributes and set its limits",
            )

    async def _begin_change(self, session: Session, channel: str) -> ChannelKey:
        if channel in names.SPECIAL_CHANNELS:
            raise SignalError(
                ECode.GENERAL_E_FAILED, f"the special channel {channel!r} has no attributes"
            )
        key = session.channel_key(channel)
        own = builtin_number(await self._engine.channel_attrs(key), names.SETATTR_LIMIT, 0)
        limit = own or self._limits.channel_attributes_per_second
        now = trio.current_time()
        changes = self._changes.of(key, now)
        if not changes.allows(limit, now):
            raise too_often(
                ECode.GENERAL_E_FAILED,
                f"more than {limit} attribute changes in a second in one channel",
                changes.seconds_left(limit, now),
            )
        return key

    def _watch(self, key: ChannelKey) -> _Watch:
        return self._watches.setdefault(key, _Watch())

    def _idle_since(self, key: ChannelKey) -> float | None:
        watch = self._watches.get(key)
        return watch.idle_since if watch is not None else None

    async def _changed(self, key: ChannelKey, idle_since: float | None, name: str) -> None:
        if name == names.CHANNEL_TTL or (idle_since is not None and self._watch(key).death is None):
            await self._arm_death(key, idle_since)
        if idle_since is None and name in (names.AUTO_UPDATE_NUM, names.AUTO_UPDATE_TOTAL_NUM):
            await self._arm_push(key, name)

    async def recover(self) -> None:
        """The server has started: channels that are empty die in time, and counts are pushed."""
        for key, idle_since in await self._engine.channels():
            if idle_since is not None:
                await self._arm_death(key, idle_since)
            else:
                await self._arm_pushes(key)

    # --- the life of an empty channel ---

    async def populated(self, key: ChannelKey, num: int) -> None:
        """The channel has a member, one of `num`: it lives on, and the first is told counts."""
        self._live_on(key)
        if num == 1:
            await self._arm_pushes(key)

    def _live_on(self, key: ChannelKey) -> None:
        watch = self._watches.get(key)
        if watch is not None and watch.death is not None:
            watch.death.cancel()
            watch.death = watch.idle_since = None

    async def emptied(self, key: ChannelKey, idle_since: float) -> None:
        """The channel has lost its last member: it dies after `_channel_ttl`. Nobody is there to be
        told of counts.
        """
        for timer in self._watch(key).pushes.values():
            timer.cancel()
        self._watch(key).pushes.clear()
        await self._arm_death(key, idle_since)

    async def _arm_death(self, key: ChannelKey, idle_since: float | None) -> None:
        self._live_on(key)
        if idle_since is None:
            return
        attributes = await self._engine.channel_attrs(key)
        ttl = builtin_number(attributes, names.CHANNEL_TTL, names.DEFAULT_CHANNEL_TTL_SECONDS)
        ttl = min(ttl, names.MAX_CHANNEL_TTL_SECONDS)

        async def die() -> None:
            if await self._engine.destroy_channel(key, idle_since):
                for timer in self._watches.pop(key, _Watch()).pushes.values():
                    timer.cancel()

        watch = self._watch(key)
        watch.death = self._timers.after(idle_since + ttl - self._clock(), die)
        watch.idle_since = idle_since

    # --- the counts that the server pushes ---

    async def _arm_pushes(self, key: ChannelKey) -> None:
        attributes = await self._engine.channel_attrs(key)
        for name in (names.AUTO_UPDATE_NUM, names.AUTO_UPDATE_TOTAL_NUM):
            if name in attributes:
                await self._arm_push(key, name)

    async def _arm_push(self, key: ChannelKey, name: str) -> None:
        watch = self._watch(key)
        earlier = watch.pushes.pop(name, None)
        if earlier is not None:
            earlier.cancel()
        interval = builtin_number(await self._engine.channel_attrs(key), name, 0)
        if not interval:
            return

        async def push() -> None:
            if self._watches.get(key) is not watch:
                # The channel died in the same moment.
                return
            await self._push_count(key, name)
            # Reads the interval anew: the attribute may have changed.
            await self._arm_push(key, name)

        interval = max(interval, self._limits.count_push_seconds)
        watch.pushes[name] = self._timers.after(interval, push)

    async def _push_count(self, key: ChannelKey, name: str) -> None:
        counted = names.MEMBER_NUM if name == names.AUTO_UPDATE_NUM else names.TOTAL_MEMBER_NUM
        count = (await self._counts(key, await self._engine.channel_attrs(key))).get(counted)
        watch = self._watch(key)
        if count is not None and watch.pushed.get(counted) != count:
            watch.pushed[counted] = count
            change = _system_change(key.channel, counted, str(count))
            await self._engine.publish(key, lambda: (change,), now=self._clock())


def _change(
    session: Session, channel: str, name: str, value: JsonValue, change: str
) -> events.ChannelAttrUpdate:
    return events.ChannelAttrUpdate(
        channel=channel,
        account=session.account,
        uid=session.uid,
        name=name,
        value=value,
        change=change,
    )


def _system_change(channel: str, name: str, value: str) -> events.ChannelAttrUpdate:
    return events.ChannelAttrUpdate(
        channel=channel,
        account=names.SYSTEM_ACCOUNT,
        uid=0,
        name=name,
        value=value,
        change="update",
    )
