"""Channels: the rules of joining, leaving, sending and asking.

Owns: protocol.md, section 5, but for attributes (attributes.py). Must not know where members are
kept, what others are told, or who is connected where: what this node's connections hear of is the
hub's.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from msgspec import UNSET

from signal_sdk.ecodes import ECode
from signal_sdk.errors import SignalError
from signal_sdk.server.config import AppConfig, Config
from signal_sdk.server.engine.base import (
    Answer,
    Asked,
    Engine,
    Joined,
    Known,
    Past,
    Pending,
    Roster,
)
from signal_sdk.server.engine.pending import after, drive, settled
from signal_sdk.server.hooks.verdicts import JOIN, Questions, check
from signal_sdk.server.inbox import MAX_PAGE_CHARS
from signal_sdk.server.session import Session
from signal_sdk.wire import events, functions, names, results
from signal_sdk.wire.properties import decode_bytes, is_binary


class Channels:
    """The rules of channels."""

    def __init__(self, engine: Engine, config: Config, questions: Questions | None = None) -> None:
        self._engine = engine
        self._questions = questions
        self._is_dev = config.server.dev
        self.take_apps(config.apps)

    def take_apps(self, apps: Sequence[AppConfig]) -> None:
        """From here on these apps' listeners may join the special channels."""
        self._listeners = {app.id: app.listeners for app in apps}

    # --- joining and leaving ---

    def join(
        self, session: Session, args: functions.ChannelJoin, asked: Asked
    ) -> Answer[results.JoinResult | Known]:
        """`channel_join`: leaves the channel that the session was in; joining where one is already
        says how things stand.
        """
        if args.channel in names.SPECIAL_CHANNELS:
            self._check_listener(session)
        if self._questions is not None and JOIN in self._questions.asked:
            return drive(self._ask_and_join(self._questions, session, args, asked))
        return self._join(args, asked)

    async def _ask_and_join(
        self, questions: Questions, session: Session, args: functions.ChannelJoin, asked: Asked
    ) -> results.JoinResult | Known:
        asking = questions.ask(JOIN, app=session.app, account=session.account, channel=args.channel)
        check(await settled(asking), ECode.JOINCHANNEL_E_OTHER)
        return await settled(self._join(args, asked))

    def _join(
        self, args: functions.ChannelJoin, asked: Asked
    ) -> Answer[results.JoinResult | Known]:
        joined: Answer[Joined | Known] = self._engine.join(
            asked, args.channel, newest=names.MAX_USER_LIST
        )
        if isinstance(joined, Pending):
            return joined.map(_join_result)
        return _join_result(joined)

    def _check_listener(self, session: Session) -> None:
        listeners = self._listeners.get(session.app, ())
        is_open = names.EVERYBODY in listeners or (self._is_dev and not listeners)
        if not (is_open or session.account in listeners or session.rights.listener):
            raise SignalError(
                ECode.JOINCHANNEL_E_OTHER,
                f"{session.account!r} is not among the app's listeners of special channels",
            )

    def leave(self, _: Session, args: functions.ChannelLeave, asked: Asked) -> Answer[Known | None]:
        """`channel_leave`."""
        return self._engine.leave(asked, args.channel)

    # --- sending ---

    def send(
        self, session: Session, args: functions.ChannelSendMessage, asked: Asked
    ) -> Answer[Known | None]:
        """`channel_sendmsg`: to a channel that one is in, or with `force` to any."""
        if args.channel in names.SPECIAL_CHANNELS:
            raise SignalError(
                ECode.SENDMESSAGE_E_OTHER, f"nobody sends to the special channel {args.channel!r}"
            )
        if is_binary(args.properties):
            decode_bytes(args.msg)
        message = events.ChannelMessage(
            channel=args.channel,
            account=session.account,
            uid=session.uid,
            msg=args.msg,
            id=args.message_id,
            properties=args.properties,
        )
        return self._engine.publish(asked, message, members_only=not args.force)

    # --- asking ---

    def query_num(
        self, session: Session, args: functions.ChannelQueryNum
    ) -> Answer[results.QueryNumResult]:
        """`channel_query_num`."""
        found = self._engine.roster(session.channel_key(args.channel), 0)
        return after(found, lambda roster: results.QueryNumResult(num=roster.num))

    def query_is_in(
        self, session: Session, args: functions.ChannelQueryUserIsIn
    ) -> Answer[results.QueryUserIsInResult]:
        """`channel_query_user_isin`."""
        found = self._engine.is_member(session.channel_key(args.channel), args.account)
        return after(found, lambda is_in: results.QueryUserIsInResult(isin=int(is_in)))

    def query_list(
        self, session: Session, args: functions.ChannelQueryUserList
    ) -> Answer[results.QueryUserListResult]:
        """`channel_query_userlist`: the newest 200."""
        return self._list(session, args.channel, names.MAX_USER_LIST)

    def query_list_all(
        self, session: Session, args: functions.ChannelQueryUserListAll
    ) -> Answer[results.QueryUserListResult]:
        """`channel_query_userlist_all`: the newest `num`."""
        return self._list(session, args.channel, args.num)

    def history(
        self, session: Session, args: functions.ChannelHistory
    ) -> Answer[results.HistoryResult]:
        """`channel_history`: for those who are in it."""
        most = min(args.num, names.MAX_HISTORY)
        found = self._engine.past(session.channel_key(args.channel), session.account, most)
        return after(found, partial(_history_result, session))

    def _list(
        self, session: Session, channel: str, newest: int
    ) -> Answer[results.QueryUserListResult]:
        found = self._engine.roster(session.channel_key(channel), newest)
        return after(found, _list_result)


def _list_result(roster: Roster) -> results.QueryUserListResult:
    return results.QueryUserListResult(num=roster.num, list=tuple(roster.newest))


def _history_result(session: Session, past: Past) -> results.HistoryResult:
    held = past.said
    if not session.takes_bytes:
        held = [it for it in held if not is_binary(it.message.properties)]
    chars, first = 0, len(held)
    for said in reversed(held):
        chars += len(names.json_text(said.message.msg))
        if chars > MAX_PAGE_CHARS and first < len(held):
            break
        first -= 1
    return results.HistoryResult(
        msgs=tuple(
            (it.msgid, it.message.account, it.message.uid, it.time_ms, it.message.msg)
            for it in held[first:]
        ),
        whole=int(past.is_whole and len(held) - first == len(past.said)),
        binary=tuple(it.msgid for it in held[first:] if is_binary(it.message.properties)) or UNSET,
    )


def _join_result(joined: Joined | Known) -> results.JoinResult | Known:
    if isinstance(joined, Known):
        return joined
    roster = joined.roster
    return results.JoinResult(
        list=tuple(roster.newest),
        attrs=dict(joined.attributes),
        num=roster.num,
        msgid=roster.msgid,
    )
