"""One membership of one channel: which of its events are new, which are held back, and which are
missing.

Owns: the counting of a channel's events, as protocol.md, section 5, has it, from the client's side.
Must not know requests, or how callbacks are run.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from signal_sdk.client.channel_states import TABLE, ChannelState, ChannelStep
from signal_sdk.client.facts import ChannelFact, Gap, Sink
from signal_sdk.client.operation import Operation, Promise
from signal_sdk.client.roster import Roster
from signal_sdk.client.seen import Heard
from signal_sdk.ecodes import ECode
from signal_sdk.errors import ParameterError, ProtocolError, SignalError
from signal_sdk.wire import events, names, results
from signal_sdk.wire.properties import is_binary

__all__ = ["Membership"]

MAX_HELD_BACK_EVENTS: Final = 1000
"""How many events of a channel are kept until the join is answered, which takes milliseconds."""


class Membership:
    """One membership of one channel, from `channel_join` to its end, of `account`.

    `asked` is the name as the user has given it, `name` the channel's, or empty where that is none.
    `sink` is told what happens there, and `on_gap` that events are missing.
    """

    def __init__(
        self,
        account: str,
        asked: str,
        name: str,
        on_gap: Callable[[Membership, Gap], None],
    ) -> None:
        self.asked = asked
        self.name = name
        self.sink: Sink[ChannelFact] | None = None
        self.state: ChannelState = ChannelState.JOINING
        self.joined: Operation[None]
        self.leaving: Operation[None] | None = None
        self.is_special: bool = name in names.SPECIAL_CHANNELS
        self.roster: Roster = Roster()
        self.is_asking_roster = False
        self.is_absent: bool = False
        """Has the server forgotten it, so that the channel is to be joined again?"""
        self.last_msgid: int = 0
        """The id of the last event that was seen; 0 where none was, and the server named none."""
        self.gap: Promise[Gap] = Promise()
        self.on_over: list[Callable[[SignalError], None]] = []
        """Who is told, once, that the session is not in the channel any more."""
        self.takes_bytes: bool = False
        """Is the session told messages that are bytes?"""
        self._account = account
        self._on_gap = on_gap
        self._held_back: list[events.ChannelEvent] = []
        self._heard = Heard()

    @property
    def is_leaving(self) -> bool:
        """Has the session asked to leave, and had no answer yet?"""
        return self.leaving is not None and not self.leaving.is_done

    @property
    def is_staying(self) -> bool:
        """Is or will the session be in the channel, as far as its user has asked for?"""
        return self.state in (ChannelState.JOINING, ChannelState.JOINED) and not self.is_leaving

    @property
    def is_over(self) -> bool:
        """Is the session not in the channel any more, and will not be?"""
        return self.state in (ChannelState.LEFT, ChannelState.FAILED)

    def why_not(self, ecode: ECode = ECode.GENERAL_E_FAILED) -> SignalError | None:
        """Why nothing can be asked of the channel any more; None where it can."""
        if self.is_staying:
            return None
        return SignalError(ecode, f"not in the channel {self.name!r} any more")

    def step(self, step: ChannelStep, ecode: ECode = ECode.GENERAL_E_FAILED) -> bool:
        """Take a step of the table; False where there is none, and nothing is to come of it.

        `ecode` is why, where it is the end.
        """
        state = TABLE[self.state].get(step)
        if state is None:
            return False
        self.state = state
        if self.is_over:
            error = SignalError(ecode, f"not in the channel {self.name!r} any more")
            self.gap.fail(error)
            for tell in list(self.on_over):
                tell(error)
        return True

    # --- events ---

    def take(self, event: events.ChannelEvent) -> None:
        """An event of the channel has come."""
        if self.state is ChannelState.JOINING or self.is_absent:
            if len(self._held_back) < MAX_HELD_BACK_EVENTS:
                self._held_back.append(event)
        elif self.state is ChannelState.JOINED and event.msgid > self.last_msgid:
            if self.last_msgid:
                self.missed_until(event.msgid)
            self.last_msgid = event.msgid
            self._hear(event.content)

    def _hear(self, content: events.ChannelContent) -> None:
        """Tell what an event says, where that is news."""
        match content:
            case events.ChannelMessage(account=account, id=id_):
                if self._heard.add(account, id_) and self._can_read(content):
                    self.tell(self._special(content) if self.is_special else content)
            case events.ChannelUserJoin(account=account, uid=uid):
                if self.roster.joined(account, uid):
                    self.tell_other(content)
            case events.ChannelUserLeave(account=account):
                if self.roster.left(account):
                    self.tell_other(content)
            case events.ChannelAttrUpdate():
                self.roster.attr_changed(content)
                self.tell(content)

    def _can_read(self, message: events.ChannelMessage) -> bool:
        """Is a message text, or bytes for one who takes these?"""
        if not is_binary(message.properties):
            return True
        try:
            return self.takes_bytes and message.data is not None
        except ParameterError:
            # Of another server's.
            return False

    def _special(self, message: events.ChannelMessage) -> ChannelFact:
        """What the server says in a special channel, where that can be read."""
        if message.account == self.name:
            try:
                return events.decode_special_event(message.msg)
            except ProtocolError:
                pass
        return message

    def tell_other(self, content: events.ChannelUserJoin | events.ChannelUserLeave) -> None:
        """Tell who has come or gone, unless it is the session itself."""
        if self.is_special or content.account != self._account:
            self.tell(content)

    def tell(self, fact: ChannelFact) -> None:
        """Tell the sink."""
        if self.sink is not None:
            self.sink(fact)

    def missed_until(self, msgid: int) -> None:
        """The next event is the one of this id: what is missing before it is told."""
        if msgid > self.last_msgid + 1:
            self._tell_gap(msgid)
            self.last_msgid = msgid - 1

    def _tell_gap(self, before: int) -> None:
        gap = Gap(self.last_msgid, before)
        ended, self.gap = self.gap, Promise()
        ended.succeed(gap)
        self._on_gap(self, gap)

    # --- answers ---

    def accepted(self, result: results.JoinResult) -> None:
        """The join was answered."""
        self.last_msgid = result.msgid
        if not self.is_special:
            self.roster.begin(result.list, result.num, result.attrs)

    def rejoined(self, result: results.JoinResult) -> None:
        """A join by which the SDK has come back was answered."""
        if not self.is_special:
            self.roster.read_attributes(result.attrs)
        if self.is_absent:
            # Of what there was meanwhile nothing is known, however the server counts.
            self._tell_gap(result.msgid + 1)
            self.last_msgid = result.msgid
            self.is_absent = False
        else:
            self.missed_until(result.msgid + 1)

    def release(self) -> None:
        """What was held back until the join was answered is told now."""
        held_back, self._held_back = self._held_back, []
        for event in held_back:
            self.take(event)
