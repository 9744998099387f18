"""`Channel`: what a program holds of a channel that it has joined.

Owns: the documented methods, but for those about attributes, which are in channel_attributes.py;
and which callback each fact of a channel is. Must not know membership's rules or the wire: client/
does.
"""

# ruff: noqa: N802, N815  the documented names are camelCase

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator, Mapping
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self

from signal_sdk.callbacks import Answer, ChannelCallback, MessageCallback
from signal_sdk.channel_attributes import ChannelAttributes
from signal_sdk.client import given, outgoing
from signal_sdk.client.channel_states import ChannelState
from signal_sdk.client.facts import (
    ChannelFact,
    Gap,
    Joined,
    JoinFailed,
    Left,
    Rejoined,
    UsersCounted,
)
from signal_sdk.client.lock_values import LockInfo, info_of, lease_ms, lock_name, wait_ms
from signal_sdk.client.membership import Membership
from signal_sdk.client.operation import Operation
from signal_sdk.client.past import History, history_of
from signal_sdk.client.session import SessionClient
from signal_sdk.ecodes import ECode
from signal_sdk.errors import SignalError
from signal_sdk.lock import Lock
from signal_sdk.stream_events import ChannelEvent, ChannelLeft, Missed
from signal_sdk.streamed import channel_events
from signal_sdk.streams import LIMIT, Readers, Stream
from signal_sdk.wire import events, functions, lock_functions, names, results
from signal_sdk.wire.names import JsonValue
from signal_sdk.wire.parameter_errors import as_python

if TYPE_CHECKING:
    from signal_sdk.login_session import LoginSession

__all__ = ["Channel"]

_UPDATE: Final = "update"


class Channel(ChannelAttributes):
    """A channel that a session has joined or is about to: made by `LoginSession.channel_join`.

    Java server SDK, "Channel Class". Every method returns at once; what it returns can be awaited.
    A method called while the join is under way goes out after it. Once the session is not in the
    channel any more, methods fail with 1001 (a message with 400, `channel_leave` with 600).

    Awaiting the channel itself waits until it is joined, and raises `SignalError` (300, or what
    `on_channel_join_failed` hears) where it could not be. Leaving its block leaves the
    channel, and so does a cancellation on the way in:

        async with session.channel_join("lobby") as channel:
            await channel.message_channel_send("hello")

    The channel outlives a lost connection, with the same `Channel` and callback. What was missed
    meanwhile is told when there is a connection again, as far as the server holds it; see `gap` for
    the rest, and `ChannelCallback` for joins and leaves. A message reaches the callback once,
    though its sender sent it again: the ids of the last 1000 messages are kept.
    """

    def __init__(
        self,
        client: SessionClient,
        session: LoginSession,
        member: Membership,
        cb: ChannelCallback | None,
    ) -> None:
        super().__init__(client, member)
        self._session = session
        self._cb = cb
        self._readers: Readers[ChannelEvent] | None = None
        if cb is not None:
            member.sink = partial(self._tell, cb)

    def get_name(self) -> str:
        """The channel's name, as `name`. The original Java SDK's `Channel.getName`."""
        return self.name

    @property
    def session(self) -> LoginSession:
        """The session that joined."""
        return self._session

    @property
    def cb(self) -> ChannelCallback | None:
        """What hears of the channel's events."""
        return self._cb

    @property
    def is_joined(self) -> bool:
        """Is the session in the channel?"""
        return self._member.state is ChannelState.JOINED

    @property
    def gap(self) -> Operation[Gap]:
        """Awaited, it gives the next `Gap`: events of the channel that were missed for good.

        There is one after a lost connection whose events the server does not hold any more, and
        where the channel had to be joined again. `LoginCallback.on_error` hears of each, too, with
        1000. Each time it is read, this is what waits for the next one; it fails with the code of
        `on_channel_leaved` or `on_channel_join_failed` when there will be none any more. The
        original SDKs have none of it.
        """
        return self._member.gap

    def __repr__(self) -> str:
        state = self._member.state.name.lower()
        return f"<Channel {self.name!r} of {self._client.account!r}: {state}>"

    def __await__(self) -> Generator[Any, Any, Self]:
        yield from self._member.joined.__await__()
        return self

    async def __aenter__(self) -> Self:
        try:
            return await self
        except BaseException:
            # Cancelled: nobody will leave a block that was not entered.
            if self._member.is_staying:
                self.channel_leave()
            raise

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if not self._member.is_staying:
            return
        with contextlib.suppress(SignalError):
            # Left is left: joining another channel, or the session's end, was quicker.
            await self.channel_leave()

    def events(self, limit: int = LIMIT) -> Stream[ChannelEvent]:
        """A stream of what happens in the channel, beside its callback: `ChannelMessage`,
        `UserJoined`, `UserLeft`, `AttributeUpdated`, `SpecialEvent`; the first is `ChannelJoined`
        where it has begun before that, and the last is always `ChannelLeft`.

        `limit` is how many events wait for the reader. One that falls behind by more loses the
        oldest, and is told how many by `Missed`, at their place. What is missing after a lost
        connection tells `gap`. The original SDKs have none of it.
        """
        return Stream(self._wanted(0), limit)

    def keep_events(self) -> None:
        """Keep what happens for the first stream, the newest 1000. For who has just joined."""
        self._wanted(LIMIT)

    def _wanted(self, keep: int) -> Readers[ChannelEvent]:
        """From here on, readers are told."""
        if self._readers is None:
            self._readers = Readers(keep, missed=Missed)
            if self._member.is_over:
                self._readers.end()
            self._member.sink = partial(self._tell_both, self._readers)
        return self._readers

    def history(self, limit: int = names.MAX_HISTORY) -> Operation[History]:
        """What was said in the channel lately, as far as the server holds it.

        `limit` is how many messages at most, the newest: 1 to 100. By default a server of ours
        holds a channel's last 256 events, joins and leaves among them, for 60 s, and without Redis
        nothing of them after its restart; `History.is_whole` says that nothing else was ever said.
        A session without `takes_bytes` is not told messages that are bytes, and where there are
        some, that is not the whole. Fails with 1001 where the session is not in the channel, or the
        server has no such function, and with 1004 for another limit. docs/protocol.md, section 3;
        the original SDKs have none of it.
        """
        return self._client.requests.call(
            lambda: functions.ChannelHistory(
                channel=self.name,
                num=names.check_integer("limit", limit, 1, names.MAX_HISTORY, show=as_python),
            ),
            results.HistoryResult,
            history_of,
            unless=self._member.why_not(),
        )

    def lock(self, name: str, *, lease: float = 10.0, wait: float = 30.0) -> Lock:
        """A lock of the channel, which one of its members has at a time: got by entering its block,
        and given up by leaving that.

            async with channel.lock("printer") as lock:
                await printer.print(page, lock.fence)

        `lease` is for how many seconds the server lets it be held without a word (1 to 120); it is
        renewed by itself. `wait` is how many seconds it is waited for (0 to 600; with 0, it is had
        at once or not at all). Raises `ParameterError` for another number or name; entering the
        block raises `SignalError` (1001) where the lock is not to be had in time, where the session
        is not in the channel, or where there are too many locks or too many who wait; `Lock` says
        what the block may raise. docs/locks.md; docs/protocol.md, section 3. The original SDKs have
        none of it.
        """
        begin = partial(
            self._client.locks.ask,
            self._member,
            lock_name(name),
            lease=lease_ms(lease),
            wait=wait_ms(wait),
        )
        return Lock(name, begin)

    def query_lock(self, name: str) -> Operation[LockInfo]:
        """Who has a lock of the channel, and how many wait for it.

        Fails with 1001 where the session is not in the channel, or the server has no locks, and
        with 1004 for a wrong name. docs/protocol.md, section 3; the original SDKs have none of it.
        """
        return self._client.requests.call(
            lambda: lock_functions.ChannelQueryLock(channel=self.name, lock=lock_name(name)),
            lock_functions.QueryLockResult,
            info_of,
            unless=self._member.why_not(),
        )

    def channel_leave(self) -> Operation[None]:
        """Leave the channel.

        `on_channel_leaved` hears of it with 602, and the other members with
        `on_channel_user_leaved`. Fails with 600 where the session is not in the channel any more;
        unless awaited, `LoginCallback.on_error` hears of a failure. Java server SDK,
        `channelLeave`.
        """
        return self._client.channels.leave(self._member)

    def message_channel_send(
        self, msg: str | bytes, cb: MessageCallback | None = None
    ) -> Operation[None]:
        """Send a message to all members of the channel, this session included.

        `msg` has at most 8192 visible characters, or is `bytes`, at most 6 KiB, where all members
        have logged in with `takes_bytes=True` (1004 where one has not); a user may send 60 messages
        a second. The operation ends when the server has the message; it fails with 400, 401 (no
        answer in 10 s), 1004 or 1005. `cb` hears of either; without it, and unless awaited,
        `LoginCallback.on_error` hears of a failure. Java server SDK, `messageChannelSend`; `cb` is
        ours.
        """
        given.callback(cb, MessageCallback)
        return outgoing.send_message(
            self._client.requests,
            partial(outgoing.channel_message, self._client.next_message_id, self.name, msg),
            message_sent(cb, self._session, self._client),
            unless=self._member.why_not(ECode.SENDMESSAGE_E_OTHER),
        )

    # --- what its readers and its callback hear ---

    def _tell_both(self, readers: Readers[ChannelEvent], fact: ChannelFact) -> None:
        spanned, turn = self._client.spanned, None
        if spanned is not None and isinstance(fact, events.ChannelMessage):
            turn = spanned.channel_message(fact)
        for event in channel_events(fact):
            readers.tell(event, turn, is_heard=False, may_drop=True)
            if isinstance(event, ChannelLeft):
                readers.end()
        if self._cb is not None:
            self._tell(self._cb, fact)

    def _tell(self, cb: ChannelCallback, fact: ChannelFact) -> None:
        """Put the callback that hears of the fact into the queue."""
        session, dispatcher = self._session, self._client.dispatcher
        put = dispatcher.put_event
        match fact:
            case events.ChannelMessage(account=account, uid=uid, msg=msg):
                run: partial[Answer]
                if (data := fact.data) is None:
                    text, receive = names.json_text(msg), cb.on_message_channel_receive
                    run = partial(receive, session, self, account, uid, text)
                else:
                    receive_bytes = cb.on_message_channel_receive_bytes
                    run = partial(receive_bytes, session, self, account, uid, data)
                spanned = self._client.spanned
                put(
                    run
                    if spanned is None
                    else partial(spanned.channel_message(fact).run_whole, run)
                )
            case events.ChannelUserJoin(account=account, uid=uid):
                put(partial(cb.on_channel_user_joined, session, self, account, uid))
            case events.ChannelUserLeave(account=account, uid=uid):
                put(partial(cb.on_channel_user_leaved, session, self, account, uid))
            case events.ChannelAttrUpdate(name=name, value=value, change=change):
                text = names.json_text(value)
                put(partial(cb.on_channel_attr_updated, session, self, name, text, change))
            case events.SpecialEvent():
                put(partial(cb.on_special_event, session, self, fact))
            case Joined(members=members, attributes=attributes):
                dispatcher.put(partial(cb.on_channel_joined, session, self))
                users = [account for account, _ in members]
                uids = [uid for _, uid in members]
                dispatcher.put(partial(cb.on_channel_user_list, session, self, users, uids))
                self._tell_attributes(cb, attributes)
            case Rejoined(attributes=attributes):
                self._tell_attributes(cb, attributes)
            case JoinFailed(error=error):
                failed = partial(cb.on_channel_join_failed, session, self, error.ecode)
                dispatcher.put_outcome(failed)
            case UsersCounted(err=err, num=num):
                dispatcher.put_outcome(partial(cb.on_channel_query_user_num, session, err, num))
            case Left(ecode=ecode):
                dispatcher.put(partial(cb.on_channel_leaved, session, self, ecode))

    def _tell_attributes(self, cb: ChannelCallback, attributes: Mapping[str, JsonValue]) -> None:
        update = partial(cb.on_channel_attr_updated, self._session, self)
        for name, value in attributes.items():
            self._client.dispatcher.put(partial(update, name, names.json_text(value), _UPDATE))

    if TYPE_CHECKING:

        def channelLeave(self) -> Operation[None]: ...
        def getName(self) -> str: ...
        def messageChannelSend(
            self, msg: str | bytes, cb: MessageCallback | None = None
        ) -> Operation[None]: ...
    else:
        channelLeave = channel_leave
        getName = get_name
        messageChannelSend = message_channel_send


def message_sent(
    cb: MessageCallback | None, session: LoginSession, client: SessionClient
) -> Callable[[SignalError | None], None] | None:
    """What hears of a message's outcome, and has `cb` told of it."""
    if cb is None:
        return None
    put = client.dispatcher.put_outcome

    def sent(error: SignalError | None) -> None:
        if error is None:
            put(partial(cb.on_message_send_success, session))
        else:
            put(partial(cb.on_message_send_error, session, error.ecode))

    return sent
