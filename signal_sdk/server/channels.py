"""Channels: the rules of joining, leaving, sending and asking, the special channels, and how long
an empty channel lives.

Owns: protocol.md, section 5, but for attributes (attributes.py). Must not know where members are
kept, or who is connected where: what this node's connections hear of is the hub's.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import trio

from signal_sdk.ecodes import ECode
from signal_sdk.errors import SignalError
from signal_sdk.server.attributes import ChannelAttributes, builtin_number
from signal_sdk.server.clock import Clock
from signal_sdk.server.config import AppConfig, Config
from signal_sdk.server.engine.base import AccountKey, ChannelKey, Engine, Left
from signal_sdk.server.inbox import check_user_rate
from signal_sdk.server.rates import Paces, Rates
from signal_sdk.server.refusals import too_often
from signal_sdk.server.session import Session
from signal_sdk.wire import events, frames, functions, names, results

ONLINE: Final = "online"
OFFLINE: Final = "offline"
JOIN: Final = "join"
LEAVE: Final = "leave"
MEMBERS_PER_JOIN: Final = 200
"""A join counts as one for each so many members that hear of it. Who has joined may leave, which
counts no more: nobody is kept in a channel.
"""


class Channels:
    """The rules of channels."""

    def __init__(
        self, engine: Engine, attributes: ChannelAttributes, config: Config, clock: Clock
    ) -> None:
        self._engine = engine
        self._attributes = attributes
        self._limits = config.limits
        self._is_dev = config.server.dev
        self.take_apps(config.apps)
        self._clock = clock
        self._rates: Rates[ChannelKey] = Rates()
        self._joins: Paces[ChannelKey] = Paces()

    def take_apps(self, apps: Sequence[AppConfig]) -> None:
        """From here on these apps' listeners may join the special channels."""
        self._listeners = {app.id: app.listeners for app in apps}

    # --- joining and leaving ---

    async def join(self, session: Session, args: functions.ChannelJoin) -> results.JoinResult:
        """`channel_join`: leaves the channel that the session was in, unless it is refused; joining
        where one is already says how things stand.
        """
        special = args.channel in names.SPECIAL_CHANNELS
        if special:
            self._check_listener(session)
        before = session.channel if session.channel != args.channel else None
        farewell = None
        if before is not None:
            farewell = await self.departure(session.key, session.uid, before)
        key = session.channel_key(args.channel)
        announce = None
        if not special and await self._announces(key):
            announce = events.ChannelUserJoin(
                channel=args.channel, account=session.account, uid=session.uid
            )
        was_member = await self._engine.is_member(key, session.account)
        if announce is not None and not was_member:
            await self._check_joins(key, trio.current_time())
        joined = await self._engine.join(
            key,
            session.account,
            session.generation,
            announce,
            farewell=farewell,
            newest=names.MAX_USER_LIST,
            now=self._clock(),
        )
        if joined is None:
            raise SignalError(ECode.JOINCHANNEL_E_OTHER, "the account has logged in elsewhere")
        session.channel = args.channel
        if before is not None and joined.left is not None:
            await self.departed(session.key, session.uid, before, joined.left)
        roster = joined.roster
        await self._attributes.populated(key, roster.num)
        if not was_member and not special:
            await self._tell_special(
                names.CHANNEL_EVENT_CHANNEL,
                JOIN,
                key.app,
                session.account,
                session.uid,
                args.channel,
            )
        return results.JoinResult(
            list=tuple(roster.newest),
            attrs=await self._attributes.of(key),
            num=roster.num,
            msgid=roster.msgid,
        )

    def _check_listener(self, session: Session) -> None:
        listeners = self._listeners.get(session.app, ())
        is_open = names.EVERYBODY in listeners or (self._is_dev and not listeners)
        if not (is_open or session.account in listeners or session.rights.listener):
            raise SignalError(
                ECode.JOINCHANNEL_E_OTHER,
                f"{session.account!r} is not among the app's listeners of special channels",
            )

    async def _announces(self, key: ChannelKey) -> bool:
        return (
            builtin_number(await self._engine.channel_attrs(key), names.USER_NOTIFICATION, 1) != 0
        )

    async def _check_joins(self, key: ChannelKey, now: float) -> None:
        """Count a join that all members hear of: in a large channel, as several."""
        limit = self._limits.channel_joins_per_second
        if not limit:
            return
        num = (await self._engine.roster(key, 0)).num
        pace = self._joins.of(key)
        if seconds := pace.seconds_left(limit, now):
            raise too_often(
                ECode.JOINCHANNEL_E_OTHER,
                f"more joins in a second than a channel of {num} members takes",
                seconds,
            )
        pace.charge(max(num / MEMBERS_PER_JOIN - 1, 0), limit, now)

    async def leave(self, session: Session, args: functions.ChannelLeave) -> results.Result:
        """`channel_leave`."""
        if not await self._end_membership(session, args.channel):
            raise SignalError(
                ECode.LEAVECHANNEL_E_OTHER,
                f"{session.account!r} is not in the channel {args.channel!r}",
            )
        return results.DONE

    async def _end_membership(self, session: Session, channel: str) -> bool:
        announce = await self.departure(session.key, session.uid, channel)
        key = session.channel_key(channel)
        left = await self._engine.leave(
            key, session.account, session.generation, announce, now=self._clock()
        )
        if session.channel == channel:
            session.channel = None
        if left is None:
            return False
        await self.departed(session.key, session.uid, channel, left)
        return True

    async def departure(
        self, account: AccountKey, uid: int, channel: str
    ) -> events.ChannelUserLeave | None:
        """What the members of `channel` are told when the account leaves it, for whatever reason;
        None for nothing.
        """
        if channel in names.SPECIAL_CHANNELS or not await self._announces(
            ChannelKey(account.app, channel)
        ):
            return None
        return events.ChannelUserLeave(channel=channel, account=account.account, uid=uid)

    async def departed(self, account: AccountKey, uid: int, channel: str, left: Left) -> None:
        """The account has left `channel`."""
        if left.idle_since is not None:
            await self._attributes.emptied(ChannelKey(account.app, channel), left.idle_since)
        if channel in names.SPECIAL_CHANNELS:
            return
        await self._tell_special(
            names.CHANNEL_EVENT_CHANNEL, LEAVE, account.app, account.account, uid, channel
        )

    # --- sending ---

    async def send(self, session: Session, args: functions.ChannelSendMessage) -> results.Result:
        """`channel_sendmsg`: to a channel that one is in, or with `force` to any."""
        if args.channel in names.SPECIAL_CHANNELS:
            raise SignalError(
                ECode.SENDMESSAGE_E_OTHER, f"nobody sends to the special channel {args.channel!r}"
            )
        if not args.force and session.channel != args.channel:
            raise SignalError(
                ECode.SENDMESSAGE_E_OTHER,
                f"{session.account!r} is not in the channel {args.channel!r}",
            )
        key = session.channel_key(args.channel)
        # The user's rate first: what it refuses must not use up the channel's.
        check_user_rate(session, self._limits)
        await self._check_rate(key, trio.current_time())
        message = events.ChannelMessage(
            channel=args.channel,
            account=session.account,
            uid=session.uid,
            msg=args.msg,
            id=args.message_id,
        )
        await self._engine.publish(key, lambda: (message,), now=self._clock())
        return results.DONE

    async def _check_rate(self, key: ChannelKey, now: float) -> None:
        limit = self._limits.channel_messages_per_second
        own = builtin_number(await self._engine.channel_attrs(key), names.SENDMSG_LIMIT, 0)
        if own:
            limit = min(limit, own) if limit else own
        rate = self._rates.of(key, now)
        if not rate.allows(limit, now):
            raise too_often(
                ECode.SENDMESSAGE_E_OTHER,
                f"more than {limit} messages in a second in one channel",
                rate.seconds_left(limit, now),
            )

    # --- asking ---

    async def query_num(
        self, session: Session, args: functions.ChannelQueryNum
    ) -> results.QueryNumResult:
        """`channel_query_num`."""
        roster = await self._engine.roster(session.channel_key(args.channel), 0)
        return results.QueryNumResult(num=roster.num)

    async def query_is_in(
        self, session: Session, args: functions.ChannelQueryUserIsIn
    ) -> results.QueryUserIsInResult:
        """`channel_query_user_isin`."""
        is_in = await self._engine.is_member(session.channel_key(args.channel), args.account)
        return results.QueryUserIsInResult(isin=int(is_in))

    async def query_list(
        self, session: Session, args: functions.ChannelQueryUserList
    ) -> results.QueryUserListResult:
        """`channel_query_userlist`: the newest 200."""
        return await self._list(session, args.channel, names.MAX_USER_LIST)

    async def query_list_all(
        self, session: Session, args: functions.ChannelQueryUserListAll
    ) -> results.QueryUserListResult:
        """`channel_query_userlist_all`: the newest `num`."""
        return await self._list(session, args.channel, args.num)

    async def _list(
        self, session: Session, channel: str, newest: int
    ) -> results.QueryUserListResult:
        roster = await self._engine.roster(session.channel_key(channel), newest)
        return results.QueryUserListResult(num=roster.num, list=tuple(roster.newest))

    # --- special channels ---

    async def tell_presence(self, event: str, account: AccountKey, uid: int) -> None:
        """Tell the listeners that an account went `online` or `offline`."""
        await self._tell_special(
            names.USER_ONLINE_CHANNEL,
            event,
            account.app,
            account.account,
            uid,
            names.USER_ONLINE_CHANNEL,
        )

    async def _tell_special(
        self, special: str, event: str, app: str, account: str, uid: int, channel: str
    ) -> None:
        now = self._clock()

        def make() -> tuple[events.ChannelContent, ...]:
            cls = events.ChannelUserJoin if event in (ONLINE, JOIN) else events.ChannelUserLeave
            told = events.SpecialEvent(
                event=event, channel=channel, account=account, uid=uid, ts=int(now * 1000)
            )
            text = frames.encode_json(told).decode()
            return (
                cls(channel=channel, account=account, uid=uid),
                events.ChannelMessage(channel=special, account=special, uid=0, msg=text),
            )

        await self._engine.publish(ChannelKey(app, special), make, now=now)
