"""A session as the rules see it: who acts, under which generation.

Owns: the facts of a login. Must not know the connection that holds it.
"""

from __future__ import annotations

import hashlib
from hmac import compare_digest

import attrs
import trio

from signal_sdk.server.engine.base import AccountKey, ChannelKey
from signal_sdk.server.rates import Pace, Rate, Rates
from signal_sdk.wire import login
from signal_sdk.wire.rights import ALL, Rights


def digest(line: str) -> bytes:
    """What is kept of a session's `line`."""
    return hashlib.sha256(line.encode()).digest()


@attrs.define(kw_only=True, eq=False)
class Session:
    """One login of an account. `device` and `ver` are what it said of its client; `line_digest`
    is what the engine keeps of the line that its requests have to name; `sent` is the account's
    rate, which outlives the login; `changes` and `questions` are the paces of all else that it
    asks; `rights` are its token's. With `many_channels` it may be in more than one.
    """

    key: AccountKey
    uid: int
    generation: int
    line_digest: bytes = attrs.field(repr=False)
    device: str = login.WEB_DEVICE
    ver: int = 0
    token_expires: int | None = None
    rights: Rights = ALL
    many_channels: bool = False
    rates: Rates[AccountKey] = attrs.field(factory=Rates, repr=False)
    _line: str | None = attrs.field(default=None, init=False, repr=False)
    """The line, once it was said: to make its digest for each request costs more than most."""
    sent: Rate | None = attrs.field(default=None, init=False)
    """How often the account has sent, once `begin_sending` was said."""
    _changes: Pace | None = attrs.field(default=None, init=False)
    _questions: Pace | None = attrs.field(default=None, init=False)

    def is_its_line(self, line: str) -> bool:
        """Is this the session's line? It takes as long whatever the difference is."""
        if not line.isascii():
            return False
        if self._line is not None:
            return compare_digest(line, self._line)
        is_its = compare_digest(digest(line), self.line_digest)
        if is_its:
            self._line = line
        return is_its

    # Most sessions only listen: what counts is made when there is something to count.

    def begin_sending(self) -> Rate:
        """Count how often the account sends. Returns its rate."""
        self.sent = self.rates.hold(self.key, trio.current_time())
        return self.sent

    @property
    def changes(self) -> Pace:
        """How often the session has changed something."""
        if self._changes is None:
            self._changes = Pace()
        return self._changes

    @property
    def questions(self) -> Pace:
        """How much the session has asked."""
        if self._questions is None:
            self._questions = Pace()
        return self._questions

    def let_go(self) -> None:
        """The session's connection is no more: what it has sent counts for another second."""
        if self.sent is not None:
            self.rates.of(self.key, trio.current_time())

    @property
    def takes_bytes(self) -> bool:
        """Does its client read messages that are bytes?"""
        return self.ver >= login.BYTES_VERSION

    @property
    def app(self) -> str:
        """The app id."""
        return self.key.app

    @property
    def account(self) -> str:
        """The account."""
        return self.key.account

    def patience(self, limit: float) -> float:
        """For how many seconds the client may say nothing, where `limit` is configured. The
        original clients bear three missed pongs, and may stand still while their user reads. Ours
        come back by themselves: half of that, but not less than what they bear.
        """
        if self.ver < login.PUSH_VERSION:
            return limit
        return min(limit, max(limit / 2, login.SILENCE_SECONDS))

    def channel_key(self, channel: str) -> ChannelKey:
        """The key of a channel of this session's app."""
        return ChannelKey(self.key.app, channel)
