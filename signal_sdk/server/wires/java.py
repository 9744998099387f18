"""The original Java SDK, a WebSocket client: all that it reads is text, and it has ways of its own
with its inbox, its pings and its end.

Owns: what such a client has had of its inbox, and hence whether a new entry is handed over,
announced, or kept until a poll is answered; when a ping is answered; how long the end after a
logout is left to it. Must not know who is logged in.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import attrs

from signal_sdk.net.delay import DelayLine
from signal_sdk.net.reactor import Reactor
from signal_sdk.server.wires.base import PONGS_TOGETHER_SECONDS, Wire
from signal_sdk.websocket.link import encode_text
from signal_sdk.wire import call2, events, functions, java_frames, typed
from signal_sdk.wire.results import GetMessagesResult

PONG_SECONDS: Final = 0.002
"""How much later than its ping a pong leaves: the client counts it only where its clock has moved
on by a millisecond.
"""
PARTING_SECONDS: Final = 2.0
"""How long the client has, after the answer to its logout, to close its connection: one that is
closed before it has read that answer tells its user of a lost connection.
"""


class _JavaWire:
    """What every such client reads."""

    @property
    def plain(self) -> Wire:
        return self

    def encode_event(
        self, channel: str, msgid: int, content: events.ChannelContent, time_ms: int
    ) -> bytes:
        return encode_text(java_frames.encode_event(channel, msgid, content, time_ms))


class JavaWires:
    """What a node's links with such clients share."""

    def __init__(self, reactor: Reactor) -> None:
        self.wire: _JavaWire = _JavaWire()
        self.pongs: DelayLine = DelayLine(reactor, PONG_SECONDS, PONGS_TOGETHER_SECONDS)
        self.partings: DelayLine = DelayLine(reactor, PARTING_SECONDS, PARTING_SECONDS)


class JavaTongue:
    """How one such client is spoken to; `send` sends it a text."""

    __slots__ = ("_inbox", "_pong", "_send", "_wires")

    def __init__(self, wires: JavaWires, send: Callable[[bytes], None]) -> None:
        self._wires = wires
        self._send = send
        self._inbox = JavaInbox()
        self._pong: int | None = None

    def hear(self, frame: typed.ClientFrame) -> None:
        """The client has said `frame`, which may not have been handled yet."""
        if (
            isinstance(frame, call2.Request)
            and frame.function == functions.UserGetMessages.function
        ):
            said = frame.args if isinstance(frame.args, dict) else {}
            self._inbox.asked(frame.callid, said.get("ver_clear"))

    def say(self, frame: typed.ServerFrame) -> None:
        """Tell the client `frame`, now or when it is time."""
        match frame:
            case typed.Pong(number):
                # One that pings faster than it is answered gets one answer for several.
                if self._pong is None:
                    self._pong = number
                    self._wires.pongs.put(self._send_pong)
            case typed.Entry(version):
                if self._inbox.is_next(version):
                    self._send(java_frames.encode_server(frame))
                else:
                    self._announce()
            case typed.LockGranted():
                # As on the native wire: it may ask again.
                pass
            case typed.Reply(callid, page, next_version) if not isinstance(page, str):
                page = self._inbox.answer(callid, page, next_version)
                self._send(java_frames.encode_server(typed.Reply(callid, page)))
                self._announce()
            case typed.Failure(callid):
                self._inbox.refused(callid)
                self._send(java_frames.encode_server(frame))
                self._announce()
            case _:
                self._send(java_frames.encode_server(frame))

    def _announce(self) -> None:
        version = self._inbox.announced()
        if version:
            self._send(events.encode_announcement(version))

    def _send_pong(self) -> None:
        number, self._pong = self._pong, None
        if number is not None:
            self._send(java_frames.encode_server(typed.Pong(number)))

    def part(self, close: Callable[[], None]) -> None:
        """Leave the end to the client for a while, and then `close`."""
        self._wires.partings.put(close)


class JavaInbox:
    """What one such client has had of its inbox on its connection. It hands its user whatever a
    poll returns, forgets an announcement that comes while it polls, and takes an entry that is
    handed over where it has had the one before.
    """

    __slots__ = ("_base", "_last", "_news", "_polls", "_sent")

    def __init__(self) -> None:
        self._last: int | None = None
        """The last entry by its own count; None while nobody knows."""
        self._sent = 0
        """The last entry that it was sent, handed over or in an answer."""
        self._base: int | None = None
        """Its last entry before those that were handed over since it last polled, if any were."""
        self._polls: dict[call2.CallId, tuple[object, int]] = {}
        """Polls that are not answered: behind which entry each asks, and behind which it does not
        get what was sent already.
        """
        self._news = 0
        """The latest entry that it is still to be told of."""

    def asked(self, callid: call2.CallId, ver_clear: object) -> None:
        """It polls."""
        floor = self._sent
        base, self._base = self._base, None
        if base is not None and isinstance(ver_clear, int) and base <= ver_clear < self._sent:
            # It asked before it had what was handed over meanwhile. If it asks so once more, it
            # wants it again.
            floor = ver_clear
        self._polls[callid] = (ver_clear, floor)

    def refused(self, callid: call2.CallId) -> None:
        """A request has failed, which may be a poll."""
        self._polls.pop(callid, None)

    def answer(
        self, callid: call2.CallId, page: GetMessagesResult, next_version: int
    ) -> GetMessagesResult:
        """A poll's answer, without what was sent since it was asked: it would be heard twice. Where
        entries are left, of which the first is `next_version`, there is news.
        """
        ver_clear, floor = self._polls.pop(callid, (None, self._sent))
        found = page.msgs
        if floor < self._sent:
            msgs = tuple(msg for msg in found if not floor < msg[0] <= self._sent)
            page = attrs.evolve(page, msgs=msgs)
        last = found[-1][0] if found else page.ver_clear
        # Where nothing was found, it may or may not count from there.
        is_known = last >= self._sent and (bool(found) or last == ver_clear)
        self._last = last if is_known else None
        if found:
            self._sent = max(self._sent, last)
        if next_version:
            # Above what was sent, also where it asks from below again.
            self._news = max(self._news, next_version, self._sent + 1)
        return page

    def is_next(self, version: int) -> bool:
        """There is a new entry: is it to be handed over now? If not, it is noted as news."""
        if version <= self._sent:
            return False
        if self._polls or self._last is None or version != self._last + 1:
            self._news = max(self._news, version)
            return False
        if self._base is None:
            self._base = self._last
        self._last = self._sent = version
        return True

    def announced(self) -> int:
        """The entry to announce now, 0 for none."""
        if self._polls:
            return 0
        news, self._news = self._news, 0
        return news if news > self._sent else 0
