"""A session's frames, each handed to what it is for.

Owns: which of the session's parts hears which frame. Must not know what any of them makes of it,
nor a connection.
"""

from __future__ import annotations

from collections.abc import Callable

import attrs

from signal_sdk.client.channels import Channels
from signal_sdk.client.connection import closing_delay
from signal_sdk.client.locks import Locks
from signal_sdk.client.mailbox import Mailbox
from signal_sdk.client.operation import Operation
from signal_sdk.client.reconnector import Reconnector
from signal_sdk.client.requests import Requests
from signal_sdk.client.trace import SessionTrace
from signal_sdk.client.watches import Watches
from signal_sdk.ecodes import ECode
from signal_sdk.wire import call2, events, frames, login
from signal_sdk.wire.attribute_functions import WatchedEvent
from signal_sdk.wire.heard import decode_plain

__all__ = ["Demultiplexer"]


@attrs.frozen(kw_only=True, eq=False, repr=False)
class Demultiplexer:
    """What one session's frames are for; the `Receiver` of its `Reconnector`. `ended` is the
    session's end, and `end` what brings it about where the server says so.
    """

    reconnector: Reconnector
    requests: Requests
    mailbox: Mailbox
    channels: Channels
    locks: Locks
    watches: Watches
    trace: SessionTrace | None
    ended: Operation[ECode]
    end: Callable[[ECode, str], None]

    def hear(self, text: bytes) -> bool:
        """A frame of the session, if it is what nearly all are; False where it is to be taken step
        by step.
        """
        heard = decode_plain(text)
        if heard is None:
            return False
        if self.reconnector.loss is None and not self.ended.is_done:
            if isinstance(heard, call2.Reply):
                self.requests.answer(heard)
            else:
                self.mailbox.pushed(heard.version, heard.line)
        return True

    def take(self, frame: frames.Frame) -> None:
        """A frame of the session. Raises `ProtocolError`."""
        match frame.event:
            case call2.REPLY:
                self.requests.answer(call2.decode_reply(frame))
            case events.NOTIFY:
                self._notified(events.decode_notify(frame))
            case events.LOCK:
                self.locks.granted(frame.decode(events.LockGranted))
            case login.KICK:
                closing = login.decode_closing(frame, ECode.LOGOUT_E_KICKED)
                self.end(ECode.LOGOUT_E_KICKED, closing.reason)
            case login.CLOSE:
                closing = login.decode_closing(frame, ECode.LOGOUT_E_NET)
                if closing.ecode == ECode.LOGOUT_E_TOKENEXPIRED:
                    self.end(ECode.LOGOUT_E_TOKENEXPIRED, closing.reason)
                else:
                    self.reconnector.stay_away(closing_delay(closing))
                    self.reconnector.give_up(closing.reason)

    def _notified(
        self,
        told: events.InboxAnnounced | events.InboxPushed | events.ChannelEvent | WatchedEvent,
    ) -> None:
        match told:
            case events.InboxPushed(version=version, line=line):
                self.mailbox.pushed(version, line)
            case events.InboxAnnounced(version=version):
                self.mailbox.announced(version)
            case WatchedEvent():
                self.watches.take(told)
            case events.ChannelEvent():
                if self.trace is not None:
                    self.trace.event(told)
                self.channels.take(told)
