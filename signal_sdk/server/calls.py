"""Calls: the server as referee.

Owns: the table of a call's states and every timer of protocol.md, section 6. All steps of a call
live here and nowhere else. Must not know how a side hears of a step (it is an inbox entry), or
where live calls are kept.
"""

from __future__ import annotations

import math
import secrets
from collections.abc import Mapping
from typing import Final

import attrs

from signal_sdk.ecodes import ECode
from signal_sdk.errors import SignalError
from signal_sdk.server.clock import Clock
from signal_sdk.server.config import LimitsConfig
from signal_sdk.server.engine.base import AccountKey, Call, CallKey, Engine, Post
from signal_sdk.server.inbox import check_user_rate
from signal_sdk.server.session import Session
from signal_sdk.server.timers import Timer, Timers
from signal_sdk.wire import events, functions, lines, names, results
from signal_sdk.wire.names import JsonValue

CALL_TIMEOUT_SECONDS: Final = 20.0
"""How long an invitation waits for its acknowledgement, and then how long it rings, unless
`_timeout` says otherwise.
"""
EVENT_TTL_SECONDS: Final = lines.EVENT_TTL_SECONDS
"""How long a call's events wait for a side that has lost its connection: longer than its presence
lasts, even where the server itself is away for a while. What comes of a call that is over is passed
over.
"""

PEER_NOT_ONLINE: Final = "peer is not online"
"""The reason by which a native client tells this failure from others."""

INVITING: Final = "inviting"
RINGING: Final = "ringing"
ACCEPTED: Final = "accepted"
ENDED: Final = "ended"

# Who may do what, in which state, and what comes of it. A step that is not here fails, and changes
# nothing.
STEPS: Final[Mapping[str, Mapping[tuple[str, str], str]]] = {
    INVITING: {
        ("callee", events.VOIP_ACK): RINGING,
        ("callee", events.VOIP_ACCEPT): ACCEPTED,
        ("callee", events.VOIP_REFUSE): ENDED,
        ("callee", events.VOIP_BYE): ENDED,
        ("caller", events.VOIP_BYE): ENDED,
    },
    RINGING: {
        ("callee", events.VOIP_ACCEPT): ACCEPTED,
        ("callee", events.VOIP_REFUSE): ENDED,
        ("callee", events.VOIP_BYE): ENDED,
        ("caller", events.VOIP_BYE): ENDED,
    },
    ACCEPTED: {
        ("callee", events.VOIP_BYE): ENDED,
        ("caller", events.VOIP_BYE): ENDED,
        ("callee", events.VOIP_MSG): ACCEPTED,
        ("caller", events.VOIP_MSG): ACCEPTED,
    },
}


def call_key(app: str, channel: str, account: str, peer: str) -> CallKey:
    """The key of the call between two accounts about a channel."""
    one, other = sorted((account, peer))
    return CallKey(app, channel, one, other)


class Calls:
    """The rules of calls."""

    def __init__(self, engine: Engine, timers: Timers, limits: LimitsConfig, clock: Clock) -> None:
        self._engine = engine
        self._timers = timers
        self._limits = limits
        self._clock = clock
        self._deadlines: dict[CallKey, Timer] = {}

    # --- steps ---

    async def invite(self, session: Session, args: functions.VoipInvite) -> results.Result:
        """`voip_invite`."""
        return await self._invite(session, args, args.extra, args.call_id)

    async def _invite(
        self,
        session: Session,
        args: functions.VoipInvite | functions.PstnInvite,
        extra: JsonValue,
        call_id: str = "",
    ) -> results.Result:
        """Invite whom `args` name, who is told `extra`."""
        if args.peer == session.account:
            raise names.wrong("peer", args.peer, "is the caller itself")
        options = events.call_options(extra)
        check_user_rate(session, self._limits)
        key = call_key(session.app, args.channel, session.account, args.peer)
        timeout = options.timeout_seconds or CALL_TIMEOUT_SECONDS
        now = self._clock()
        call = Call(
            id=call_id or secrets.token_hex(8),
            caller=session.account,
            callee=args.peer,
            channel=args.channel,
            extra=extra,
            state=INVITING,
            timeout=timeout,
            deadline=now + timeout,
        )
        if await self._engine.call(key) is not None:
            raise _exists(args)
        if options.require_peer_online and not await self._is_online(key.app, args.peer):
            raise SignalError(ECode.INVITE_E_PEEROFFLINE, PEER_NOT_ONLINE)
        # An invitation that nobody fetched in time is void: it expires with its deadline.
        invitation = await self._post(
            key, call, to=call.callee, kind=events.VOIP_INVITE, extra=extra, ttl=timeout
        )
        if not await self._engine.swap_call(key, None, call, [invitation], now):
            raise _exists(args)
        self._arm(key, call)
        return results.DONE

    async def step(self, session: Session, args: functions.CallArguments) -> results.Result:
        """`voip_invite_ack`, `_accept`, `_refuse`, `_bye` and `_msg`."""
        kind = args.function
        key = call_key(session.app, args.channel, session.account, args.peer)
        if kind == events.VOIP_MSG:
            check_user_rate(session, self._limits)
        while True:
            call = await self._engine.call(key)
            if call is None:
                raise SignalError(
                    ECode.INVITE_E_OTHER,
                    f"there is no call with {args.peer!r} about the channel {args.channel!r}",
                )
            role = "caller" if call.caller == session.account else "callee"
            state = STEPS[call.state].get((role, kind))
            if state is None:
                raise SignalError(
                    ECode.INVITE_E_OTHER,
                    f"{kind} by the {role} does not fit a call that is {call.state}",
                )
            post = await self._post(key, call, to=args.peer, kind=kind, extra=args.extra)
            if await self._replace(key, call, state, [post]):
                return results.DONE

    # --- as the older clients say it ---

    async def bye(self, session: Session, args: functions.CallBye) -> results.Result:
        """`call_bye`."""
        if args.source != session.account:
            raise names.wrong("srcNum", args.source, "is not one's own account")
        return await self.step(
            session,
            functions.VoipInviteBye(channel=args.channel, peer=args.peer, extra=args.extra),
        )

    async def invite_phone(self, session: Session, args: functions.PstnInvite) -> results.Result:
        """`pstn_invite`: an invitation to the account that is named as the phone number is, whose
        `extra` has the number to show as `srcNum`; what the client gave is within its limit
        without.
        """
        return await self._invite(session, args, events.with_source(args.extra, args.source))

    async def dial(self, session: Session, args: functions.PstnDtmf) -> results.Result:
        """`pstn_dtmf`."""
        found = [
            call
            for key in await self._engine.calls_of(session.key)
            if (call := await self._engine.call(key)) is not None
            and args.call in (call.id, call.channel, events.call_id_in(call.extra))
        ]
        if len(found) != 1:
            how_many = "several calls are" if found else "there is no call that is"
            raise SignalError(ECode.INVITE_E_OTHER, f"{how_many} known as {args.call!r}")
        call = found[0]
        peer = call.callee if call.caller == session.account else call.caller
        extra = events.encode_dtmf(args.digits)
        return await self.step(
            session, functions.VoipInviteMsg(channel=call.channel, peer=peer, extra=extra)
        )

    async def end_all(self, account: AccountKey) -> None:
        """The account's presence is over: each of its calls ends, and the other side hears."""
        for key in await self._engine.calls_of(account):
            while (call := await self._engine.call(key)) is not None:
                other = call.callee if call.caller == account.account else call.caller
                post = await self._post(key, call, to=other, kind=events.VOIP_BYE, extra="")
                if await self._replace(key, call, ENDED, [post]):
                    break

    async def _replace(self, key: CallKey, call: Call, state: str, posts: list[Post]) -> bool:
        """Bring `call` into `state`, unless it has changed meanwhile."""
        now = self._clock()
        after: Call | None = None
        if state != ENDED:
            deadline = call.deadline
            if state == RINGING:
                deadline = now + call.timeout
            elif state == ACCEPTED:
                deadline = None
            after = attrs.evolve(call, state=state, deadline=deadline, revision=call.revision + 1)
        if not await self._engine.swap_call(key, call, after, posts, now):
            return False
        # Even where the deadline is the same, the timer's view of the call is not.
        self._arm(key, after)
        return True

    # --- time ---

    async def recover(self) -> None:
        """The server has started: the deadlines of the calls that live go on."""
        for key, call in await self._engine.live_calls():
            self._arm(key, call)

    def _arm(self, key: CallKey, call: Call | None) -> None:
        earlier = self._deadlines.pop(key, None)
        if earlier is not None:
            earlier.cancel()
        if call is None or call.deadline is None:
            return

        async def run_out() -> None:
            await self._run_out(key, call)

        self._deadlines[key] = self._timers.after(call.deadline - self._clock(), run_out)

    async def _run_out(self, key: CallKey, call: Call) -> None:
        """Nobody acknowledged, or nobody answered."""
        ecode = ECode.INVITE_E_TIMEOUT
        posts = []
        if call.state == INVITING and not await self._is_online(key.app, call.callee):
            ecode = ECode.INVITE_E_PEEROFFLINE
        else:
            posts.append(
                await self._post(key, call, to=call.callee, kind=events.VOIP_BYE, extra="")
            )
        posts.append(await self._failed(key, call, ecode))
        await self._replace(key, call, ENDED, posts)

    # --- entries ---

    async def _is_online(self, app: str, account: str) -> bool:
        return await self._engine.presence(AccountKey(app, account)) is not None

    async def _failed(self, key: CallKey, call: Call, ecode: ECode) -> Post:
        return await self._post(
            key, call, to=call.caller, kind=events.VOIP_FAILED, extra=call.extra, ecode=ecode
        )

    async def _post(
        self,
        key: CallKey,
        call: Call,
        *,
        to: str,
        kind: str,
        extra: JsonValue,
        ttl: float = EVENT_TTL_SECONDS,
        ecode: ECode = ECode.SUCCESS,
    ) -> Post:
        """An entry of `kind` from the other side to `to`."""
        other = call.callee if to == call.caller else call.caller
        presence = await self._engine.presence(AccountKey(key.app, other))
        content = events.CallContent(
            channel=call.channel,
            peer=other,
            peeruid=presence.uid if presence else 0,
            extra=extra,
            ecode=int(ecode),
            call=call.id,
        )
        now = self._clock()
        line = lines.MessageLine(
            msg_id=f"call.{secrets.token_hex(8)}",
            src=other,
            dst=to,
            type=kind,
            ttl=math.ceil(ttl),
            time=int(now * 1000),
            content=events.encode_call_content(content),
        ).encode()
        return Post(key=AccountKey(key.app, to), line=line, expires=now + ttl)


def _exists(args: functions.VoipInvite | functions.PstnInvite) -> SignalError:
    return SignalError(
        ECode.INVITE_E_REINVITE,
        f"a call with {args.peer!r} about the channel {args.channel!r} is alive already",
    )
