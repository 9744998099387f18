"""`signal-sdk call`: a call from a terminal, placed or answered.

Owns: what the keys and lines mean, and how a call's end is told. Must not know a call's rules.
"""

# ruff: noqa: ARG002  a callback is handed more than it prints

from __future__ import annotations

import json
from typing import Any, Final

import attrs
import click
import trio

from signal_sdk.call import Call
from signal_sdk.callbacks import CallCallback
from signal_sdk.cli.account import Account, account_options
from signal_sdk.cli.attending import attend
from signal_sdk.cli.ears import Ear, Printer
from signal_sdk.cli.hangup import hangup_ignored
from signal_sdk.cli.keys import is_terminal, keys_of_terminal, typed
from signal_sdk.cli.numbers import Positive
from signal_sdk.ecodes import ECode
from signal_sdk.errors import SignalError
from signal_sdk.login_session import LoginSession

__all__ = ["call"]

DIGITS: Final = frozenset("0123456789*#")
HANG_UP: Final = frozenset("qQ\x04")
"""The keys that end the call: q, and Ctrl-D."""
DEFAULT_CHANNEL: Final = "call"
MAX_SECONDS: Final = 24 * 3600


@click.command(short_help="Log an account in, and call somebody, or wait for a call.")
@account_options
@click.option("--to", metavar="ACCOUNT", help="Call this account.")
@click.option("--answer", is_flag=True, help="Wait for a call, and accept the first that comes.")
@click.option(
    "--channel",
    metavar="NAME",
    help=f"With --to: the channel that the call is about.  [default: {DEFAULT_CHANNEL}]",
)
@click.option(
    "--extra", metavar="TEXT", default="", help="What the other side is told, text or JSON."
)
@click.option(
    "--seconds",
    type=Positive(MAX_SECONDS),
    metavar="SECONDS",
    help="Hang up so long after the call was accepted.  [default: nobody does]",
)
@click.option("--json", "is_json", is_flag=True, help="Print each event as one JSON object.")
def call(
    *,
    to: str | None,
    answer: bool,
    channel: str | None,
    extra: str,
    seconds: float | None,
    is_json: bool,
    **options: Any,
) -> None:
    """Log ACCOUNT in, and call somebody, or wait for a call; print what becomes of it.

    The keys 0 to 9, * and # are dialled, q or Ctrl-D hangs up, and so does Ctrl-C. Where stdin is
    no terminal, each line that comes once the call was accepted is dialled, and q hangs up; its end
    does not.
    """
    if (to is None) == (not answer):
        raise click.UsageError("Give either --to or --answer.")
    if channel is not None and to is None:
        raise click.UsageError("--channel goes with --to.")
    printer = Printer(is_json=is_json)
    wanted = None if to is None else (channel or DEFAULT_CHANNEL, to)
    talk = _Talk(printer=printer, extra=extra, seconds=seconds, wanted=wanted)
    with hangup_ignored():
        trio.run(attend, Account(**options), printer, _Caller(printer, talk), talk.go_on)
    if talk.failure is not None:
        raise talk.failure


@attrs.define(eq=False, kw_only=True)
class _Talk(CallCallback):
    """The call, from its beginning to its end."""

    printer: Printer
    extra: str = attrs.field(repr=False)
    seconds: float | None
    wanted: tuple[str, str] | None = None
    """The channel and the peer of a call that is to be made."""
    call: Call | None = None
    accepted: trio.Event = attrs.field(factory=trio.Event)
    over: trio.Event = attrs.field(factory=trio.Event)
    failure: SignalError | click.ClickException | None = None
    """Why nobody has accepted it."""

    async def go_on(self, session: LoginSession) -> None:
        """See to the call until it is over."""
        with keys_of_terminal():
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._obey, session)
                nursery.start_soon(self._end_in_time)
                await self.over.wait()
                nursery.cancel_scope.cancel()

    async def make(self, session: LoginSession) -> None:
        """Make the call, if one is to be made."""
        if self.wanted is not None:
            channel, peer = self.wanted
            await self._show(session, "calling", account=peer, channel=channel)
            self.call = session.channel_invite_user2(channel, peer, self.extra, self)

    async def take(self, session: LoginSession, call: Call) -> None:
        """A call comes: where one is waited for, the first is accepted; others meanwhile are
        refused.
        """
        if self.call is not None or self.wanted is not None:
            call.channel_invite_refuse()
            return
        self.call = call
        call.cb = self
        try:
            await call.channel_invite_accept(self.extra)
        except SignalError as exc:
            # It was over before: the next one may come.
            self.call = None
            await self._show(session, "error", ecode=int(exc.ecode), reason=exc.reason)
            return
        # Who reads that it has begun may dial at once.
        self.accepted.set()
        await self._show(session, "answered", account=call.peer, channel=call.channel)

    # --- what is typed ---

    async def _obey(self, session: LoginSession) -> None:
        by_key = is_terminal()
        if not by_key:
            # What is said to be dialled waits for who hears it.
            await self.accepted.wait()
        async for text in typed(by_line=not by_key):
            for key_or_line in text if by_key else [text.strip()]:
                if key_or_line in HANG_UP:
                    self._hang_up()
                elif self.accepted.is_set() and key_or_line and DIGITS.issuperset(key_or_line):
                    await self._dial(session, key_or_line)
                elif not by_key and key_or_line:
                    await self._show(session, "error", ecode=1004, reason="expected 0-9, *, # or q")

    async def _dial(self, session: LoginSession, digits: str) -> None:
        if self.call is None:
            return
        try:
            await self.call.channel_invite_dtmf(digits)
        except SignalError as exc:
            await self._show(session, "error", ecode=int(exc.ecode), reason=exc.reason)
        else:
            await self._show(session, "dialled", digits=digits)

    def _hang_up(self) -> None:
        if self.call is None:
            # Nobody has called yet, and nobody is waited for any more.
            self.over.set()
        else:
            self.call.channel_invite_end()

    async def _end_in_time(self) -> None:
        await self.accepted.wait()
        if self.seconds is not None:
            await trio.sleep(self.seconds)
            self._hang_up()

    # --- what is heard ---

    async def _show(self, session: LoginSession, event: str, **fields: Any) -> None:
        await self.printer.show(session, event, **fields)

    async def on_invite_received_by_peer(self, session: LoginSession, call: Call) -> None:
        await self._show(session, "ringing", account=call.peer)

    async def on_invite_accepted_by_peer(
        self, session: LoginSession, call: Call, extra: str
    ) -> None:
        # Who reads that it has begun may dial at once.
        self.accepted.set()
        await self._show(session, "accepted", account=call.peer, extra=extra)

    async def on_invite_refused_by_peer(
        self, session: LoginSession, call: Call, extra: str
    ) -> None:
        await self._show(session, "refused", account=call.peer, extra=extra)
        self._end(click.ClickException(f"{call.peer} has refused the call"))

    async def on_invite_failed(self, session: LoginSession, call: Call, ecode: ECode) -> None:
        await self._show(session, "failed", ecode=int(ecode), reason=ecode.meaning)
        self._end(SignalError(ecode))

    async def on_invite_end_by_peer(self, session: LoginSession, call: Call, extra: str) -> None:
        await self._show(session, "ended", by=call.peer, extra=extra)
        self._end()

    async def on_invite_end_by_myself(self, session: LoginSession, call: Call, extra: str) -> None:
        await self._show(session, "ended", by=session.account, extra=extra)
        self._end()

    async def on_invite_msg(self, session: LoginSession, call: Call, extra: str) -> None:
        digits = _digits(extra)
        if digits is None:
            await self._show(session, "call_message", account=call.peer, extra=extra)
        else:
            await self._show(session, "dtmf", account=call.peer, digits=digits)

    def _end(self, failure: SignalError | click.ClickException | None = None) -> None:
        self.failure = failure
        self.over.set()


def _digits(extra: str) -> str | None:
    """The digits that the other side has dialled; None where it has said something else."""
    try:
        told = json.loads(extra)
    except (ValueError, RecursionError):
        return None
    if not isinstance(told, dict) or told.get("msgtype") != "dtmf":
        return None
    digits = told.get("msgdata")
    return digits if isinstance(digits, str) else None


@attrs.frozen
class _Caller(Ear):
    """Prints what happens, and makes and takes calls."""

    talk: _Talk

    async def on_login_success(self, session: LoginSession, uid: int) -> None:
        await super().on_login_success(session, uid)
        await self.talk.make(session)

    async def on_invite_received(self, session: LoginSession, call: Call) -> None:
        await super().on_invite_received(session, call)
        await self.talk.take(session, call)
