"""Calls: who may ask for a step, and what the older clients call it.

Owns: protocol.md, section 6, as far as it is a client's request. Must not know a call's states or
deadlines, nor how a side hears of a step: the engine does.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from functools import partial
from typing import Final

from signal_sdk.ecodes import ECode
from signal_sdk.errors import SignalError
from signal_sdk.server.engine.base import Answer, Asked, Engine, Known
from signal_sdk.server.engine.pending import Pending, drive, settled
from signal_sdk.server.hooks.verdicts import INVITE, Questions, Verdict, check
from signal_sdk.server.session import Session
from signal_sdk.wire import call_functions, events
from signal_sdk.wire.names import JsonValue
from signal_sdk.wire.parameter_errors import wrong
from signal_sdk.wire.properties import Properties

CALL_TIMEOUT_SECONDS: Final = 20.0
"""How long an invitation waits for its acknowledgement, and then how long it rings, unless
`_timeout` says otherwise.
"""


async def _invite_if_allowed(
    asking: Pending[Verdict], invite: Callable[[], Answer[Known | None]]
) -> Known | None:
    check(await settled(asking), ECode.INVITE_E_OTHER)
    return await settled(invite())


class Calls:
    """The rules of calls."""

    def __init__(self, engine: Engine, questions: Questions | None = None) -> None:
        self._engine = engine
        self._questions = questions

    def invite(
        self, session: Session, args: call_functions.VoipInvite, asked: Asked
    ) -> Answer[Known | None]:
        """`voip_invite`."""
        return self._invite(session, args, asked, args.extra, args.call_id, args.properties)

    def _invite(
        self,
        session: Session,
        args: call_functions.VoipInvite | call_functions.PstnInvite,
        asked: Asked,
        extra: JsonValue,
        call_id: str = "",
        properties: Properties | None = None,
    ) -> Answer[Known | None]:
        """Invite whom `args` name, who is told `extra`."""
        if args.peer == session.account:
            raise wrong("peer", args.peer, "is the caller itself")
        options = events.call_options(extra)
        invite = partial(
            self._engine.invite,
            asked,
            args.peer,
            args.channel,
            extra,
            call_id=call_id or secrets.token_hex(8),
            timeout=options.timeout_seconds or CALL_TIMEOUT_SECONDS,
            is_online=options.require_peer_online,
            properties=properties,
        )
        if self._questions is not None and INVITE in self._questions.asked:
            asking = self._questions.ask(
                INVITE,
                app=session.app,
                account=session.account,
                peer=args.peer,
                channel=args.channel,
            )
            return drive(_invite_if_allowed(asking, invite))
        return invite()

    def step(
        self, _: Session, args: call_functions.CallArguments, asked: Asked
    ) -> Answer[Known | None]:
        """`voip_invite_ack`, `_accept`, `_refuse`, `_bye` and `_msg`."""
        return self._engine.step(asked, args.peer, args.channel, args.function, args.extra)

    # --- as the older clients say it ---

    def bye(
        self, session: Session, args: call_functions.CallBye, asked: Asked
    ) -> Answer[Known | None]:
        """`call_bye`."""
        if args.source != session.account:
            raise wrong("srcNum", args.source, "is not one's own account")
        bye = call_functions.VoipInviteBye(channel=args.channel, peer=args.peer, extra=args.extra)
        return self.step(session, bye, asked)

    def invite_phone(
        self, session: Session, args: call_functions.PstnInvite, asked: Asked
    ) -> Answer[Known | None]:
        """`pstn_invite`: an invitation to the account that is named as the phone number is, whose
        `extra` has the number to show as `srcNum`; what the client gave is within its limit
        without.
        """
        extra = events.with_source(args.extra, args.source)
        return self._invite(session, args, asked, extra)

    def dial(
        self, session: Session, args: call_functions.PstnDtmf, asked: Asked
    ) -> Answer[Known | None]:
        """`pstn_dtmf`."""
        return drive(self._dial(session, args, asked))

    async def _dial(
        self, session: Session, args: call_functions.PstnDtmf, asked: Asked
    ) -> Known | None:
        found = [
            call
            for call in await settled(self._engine.calls_of(session.key))
            if args.call in (call.id, call.channel, events.call_id_in(call.extra))
        ]
        if len(found) != 1:
            how_many = "several calls are" if found else "there is no call that is"
            raise SignalError(ECode.INVITE_E_OTHER, f"{how_many} known as {args.call!r}")
        call = found[0]
        peer = call.other(session.account)
        extra = events.encode_dtmf(args.digits)
        message = call_functions.VoipInviteMsg(channel=call.channel, peer=peer, extra=extra)
        return await settled(self.step(session, message, asked))
