"""Point-to-point messages: the rules of sending to an inbox and reading one's own.

Owns: protocol.md, section 4, but for what a client is told (logged_in.py). Must not know where
entries are kept.
"""

from __future__ import annotations

import secrets
from functools import partial
from typing import Final

import attrs

from signal_sdk.server.clock import Clock
from signal_sdk.server.engine.base import AccountKey, Answer, Asked, Engine, Known, Page, Post
from signal_sdk.server.engine.pending import after, drive, settled
from signal_sdk.server.session import Session
from signal_sdk.wire import call2, events, functions, lines, names, results
from signal_sdk.wire.properties import attach, decode_bytes

MAX_PAGE_CHARS: Final = 512 * 1024
"""How many characters one poll gets, but for a single entry that is longer: more than 30 of the
longest messages have, unless they are of control characters, of which one may have four times as
many. A page must fit into the outbox of whoever asks for it, or nobody could ever ask.
"""


_account_key: Final = tuple.__new__
"""Makes one in C."""


@attrs.frozen(kw_only=True)
class Polled(results.Result):
    """What a poll gets: a page, and the version of the entry behind it, 0 where none is left."""

    page: results.GetMessagesResult
    next_version: int


class Inboxes:
    """The rules of inboxes."""

    def __init__(self, engine: Engine, clock: Clock) -> None:
        self._engine = engine
        self._clock = clock

    def send(
        self, session: Session, args: functions.UserSendMessage | call2.Message, asked: Asked
    ) -> Answer[Known | None]:
        """`user_sendmsg`."""
        now, (app, account), content = self._clock(), session.key, args.content
        ttl = lines.parse_flag(args.flag)
        is_bytes = False
        # The sender's uid keeps one user's choice of ids from hiding another's messages.
        message_id = f"{session.uid}.{args.message_id or secrets.token_hex(8)}"
        if (properties := args.properties) is not None:
            message_id, is_bytes = attach(message_id, properties), properties.binary
            if is_bytes:
                decode_bytes(content)
        line = lines.encode_message(
            message_id,
            account,
            args.peer,
            ttl,
            events.INSTANT,
            int(now * 1000),
            content if type(content) is str else names.json_text(content),
        )
        post = Post(_account_key(AccountKey, (app, args.peer)), account, line, now + ttl, is_bytes)
        return self._engine.post(asked, post)

    def push(
        self, session: Session, args: functions.PushSendMessage, asked: Asked
    ) -> Answer[Known | None]:
        """`push_sendmsg`: as an instant message."""
        flag = lines.make_flag(names.DEFAULT_TTL_SECONDS)
        message = functions.UserSendMessage(
            peer=args.peer, flag=flag, kind=events.INSTANT, content=args.content
        )
        return self.send(session, message, asked)

    def read(self, session: Session, args: functions.UserGetMessages) -> Answer[Polled]:
        """`user_getmsg`."""
        limit = min(args.max, names.MAX_INBOX_POLL)
        if session.takes_bytes:
            # One more than it gets: is any left?
            found = self._engine.read_inbox(session.key, args.ver_clear, limit + 1)
            return after(found, partial(self._page, limit))
        return drive(self._read_texts(session, args.ver_clear, limit))

    async def _read_texts(self, session: Session, ver_clear: int, limit: int) -> Polled:
        """As `read`, for a client that reads no bytes. Where an earlier session of the account has
        left some, they are passed over, and those before all else are let go.
        """
        while True:
            found = await settled(self._engine.read_inbox(session.key, ver_clear, limit + 1))
            texts = [it for it in found.entries if not lines.is_binary(it.line)]
            if texts or not found.entries:
                break
            ver_clear = found.entries[-1].version
        polled = self._page(limit, Page(ver_clear=found.ver_clear, entries=texts))
        if not polled.next_version and len(found.entries) > limit:
            return attrs.evolve(polled, next_version=found.entries[-1].version)
        return polled

    @staticmethod
    def _page(limit: int, found: Page) -> Polled:
        msgs: list[tuple[int, str]] = []
        chars = next_version = 0
        for entry in found.entries:
            chars += len(entry.line)
            if len(msgs) == limit or (msgs and chars > MAX_PAGE_CHARS):
                next_version = entry.version
                break
            msgs.append((entry.version, entry.line))
        page = results.GetMessagesResult(ver_clear=found.ver_clear, msgs=tuple(msgs))
        return Polled(page=page, next_version=next_version)
