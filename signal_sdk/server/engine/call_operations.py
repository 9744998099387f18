"""The embedded engine's calls: each step replaces a live call, and posts what its sides are told,
as one.

Owns: these operations, and what becomes of a call that nobody answers. Must not know how a change
is written.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import Final

from signal_sdk.ecodes import ECode
from signal_sdk.errors import SignalError
from signal_sdk.server.engine import call_table, happened
from signal_sdk.server.engine.base import AccountKey, Asked, Call, CallKey, Known, Post
from signal_sdk.server.engine.bounds import QuotaError, check
from signal_sdk.server.engine.happened import CALL as CALL_HAPPENS
from signal_sdk.server.engine.happened import Why
from signal_sdk.server.engine.inbox_operations import InboxOperations
from signal_sdk.server.engine.tables import Account, call_row
from signal_sdk.wire import events
from signal_sdk.wire.names import JsonValue
from signal_sdk.wire.properties import Properties

CALL: Final = "call"


class CallOperations(InboxOperations):
    """Calls, as the contract has them. A step is an entry in an inbox: hence the inboxes below."""

    def invite(
        self,
        asked: Asked,
        callee: str,
        channel: str,
        extra: JsonValue,
        *,
        call_id: str,
        timeout: float,
        is_online: bool,
        properties: Properties | None = None,
    ) -> Known | None:
        caller = self._asker(asked)
        if known := self._known(caller, asked):
            return known
        app, account = asked.key
        key = call_table.call_key(app, channel, account, callee)
        if key in self._calls:
            raise call_table.call_exists(callee, channel)
        if is_online and not self._uid(app, callee):
            raise SignalError(ECode.INVITE_E_PEEROFFLINE, call_table.PEER_NOT_ONLINE)
        self._check_calls(caller)
        call = Call(
            id=call_id,
            caller=account,
            callee=callee,
            channel=channel,
            extra=extra,
            state=call_table.INVITING,
            timeout=timeout,
            deadline=self._wall() + timeout,
        )
        # The account that is called need not be known: what it has no room for, it never hears of.
        other = self._state.account(AccountKey(app, callee))
        for side in (caller, other):
            side.calls[key] = None
        self._state.invited += 1
        self._replace(key, call)
        if CALL_HAPPENS in self._wanted:
            self._call_happens(app, call, call.state)
        # An invitation that nobody fetched in time is void: it expires with its deadline.
        self._tell_side(
            app,
            call,
            to=callee,
            kind=events.VOIP_INVITE,
            extra=extra,
            ttl=timeout,
            properties=properties,
        )
        self._keep(caller, asked)
        return None

    def step(
        self, asked: Asked, peer: str, channel: str, kind: str, extra: JsonValue
    ) -> Known | None:
        side = self._asker(asked)
        if known := self._known(side, asked):
            return known
        app, account = asked.key
        key = call_table.call_key(app, channel, account, peer)
        call = self._calls.get(key)
        if call is None:
            raise call_table.no_call(peer, channel)
        after = call_table.step(call, account, kind, self._wall())
        self._replace(key, after, why=call_table.ENDED_BY.get(kind, ""))
        if CALL_HAPPENS in self._wanted and kind != events.VOIP_MSG:
            state = call_table.ENDED if after is None else after.state
            self._call_happens(app, call, state, call_table.ENDED_BY.get(kind, ""))
        self._tell_side(app, call, to=peer, kind=kind, extra=extra)
        self._let_go(key)
        self._keep(side, asked)
        return None

    def calls_of(self, key: AccountKey) -> Sequence[Call]:
        account = self._accounts.get(key)
        return [self._calls[call] for call in account.calls] if account else ()

    # --- below ---

    def _check_calls(self, caller: Account) -> None:
        most = self._state.bounds.account_calls
        if not most or len(caller.calls) < most:
            return
        # Nobody's calls end because others call.
        name = caller.key.account
        own = sum(self._calls[key].caller == name for key in caller.calls)
        what = f"the live calls of {name!r}"
        check(own, most, what, ECode.INVITE_E_OTHER, limit="account_calls")

    def _replace(self, key: CallKey, call: Call | None, *, why: str = "") -> None:
        """The live call is this one now; None where it has ended, and `why`."""
        state = self._state
        if key in self._calls:
            state.live[self._calls[key].state] -= 1
        if call is not None:
            state.live[call.state] += 1
            self._calls[key] = call
            self._commits.put("calls", key, call_row(key, call))
        else:
            state.ended[why] += 1
            del self._calls[key]
            for account in self._sides(key):
                account.calls.pop(key, None)
            self._commits.drop("calls", key)
        self._watch_call(key)

    def _watch_call(self, key: CallKey) -> None:
        call = self._calls.get(key)
        if call is None or call.deadline is None:
            self._dues.cancel((CALL, key))
        else:
            self._dues.set((CALL, key), call.deadline - self._wall())

    def _sides(self, key: CallKey) -> list[Account]:
        sides = (AccountKey(key.app, key.one), AccountKey(key.app, key.other))
        return [self._accounts[side] for side in sides if side in self._accounts]

    def _let_go(self, key: CallKey) -> None:
        """Forget the sides of which nothing is left."""
        if key not in self._calls:
            for account in self._sides(key):
                self._inboxes.let_go(account)

    def _uid(self, app: str, account: str) -> int:
        """The uid of an account that is online, 0 of one that is not."""
        found = self._accounts.get(AccountKey(app, account))
        return found.uid if found is not None and found.presence is not None else 0

    def _tell_side(
        self,
        app: str,
        call: Call,
        *,
        to: str,
        kind: str,
        extra: JsonValue,
        ttl: float = call_table.EVENT_TTL_SECONDS,
        ecode: ECode = ECode.SUCCESS,
        properties: Properties | None = None,
    ) -> None:
        """Tell a side. A call must be able to end, also where a side's inbox has no room."""
        post: Post = call_table.entry(
            app,
            call,
            to=to,
            uid=self._uid(app, call.other(to)),
            kind=kind,
            extra=extra,
            now=self._wall(),
            ttl=ttl,
            ecode=ecode,
            properties=properties,
        )
        with contextlib.suppress(QuotaError):
            self._post(post)

    def _call_happens(self, app: str, call: Call, state: str, why: str = "") -> None:
        self._tell(
            happened.Call(
                app=app,
                call=call.id,
                caller=call.caller,
                callee=call.callee,
                channel=call.channel,
                state=state,
                why=why,
            )
        )

    # --- the end ---

    def _end_calls(self, account: Account) -> None:
        """The account's presence is over: each of its calls ends, and the other side hears."""
        name = account.key.account
        for key in list(account.calls):
            call = self._calls[key]
            self._replace(key, None, why=Why.GONE)
            self._tell_side(key.app, call, to=call.other(name), kind=events.VOIP_BYE, extra="")
            if CALL_HAPPENS in self._wanted:
                self._call_happens(key.app, call, call_table.ENDED, Why.GONE)
            self._let_go(key)

    def _run_out(self, key: CallKey) -> None:
        """Nobody acknowledged, or nobody answered."""
        call = self._calls.get(key)
        if call is None:
            return
        ecode, why = ECode.INVITE_E_TIMEOUT, Why.UNANSWERED
        if call.state == call_table.INVITING and not self._uid(key.app, call.callee):
            ecode, why = ECode.INVITE_E_PEEROFFLINE, Why.OFFLINE
        self._replace(key, None, why=why)
        if why != Why.OFFLINE:
            self._tell_side(key.app, call, to=call.callee, kind=events.VOIP_BYE, extra="")
        kind, extra = events.VOIP_FAILED, call.extra
        self._tell_side(key.app, call, to=call.caller, kind=kind, extra=extra, ecode=ecode)
        if CALL_HAPPENS in self._wanted:
            self._call_happens(key.app, call, call_table.ENDED, why)
        self._let_go(key)
