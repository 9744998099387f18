"""What a connection hears of channels while its session moves: joins, leaves, comes back.

Owns: the order of a change and of what is heard because of it. Must not know how a request is
answered: requests.py does.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from signal_sdk.ecodes import ECode
from signal_sdk.errors import SignalError
from signal_sdk.server.engine.base import Asked, Known
from signal_sdk.server.engine.pending import settled
from signal_sdk.server.hearing import Hearing
from signal_sdk.server.services import Services
from signal_sdk.server.session import Session
from signal_sdk.wire import functions, results

__all__ = ["hear_again", "hear_of_move"]


async def hear_of_move(
    services: Services,
    hearings: Hearing,
    session: Session,
    args: functions.ChannelJoin | functions.ChannelLeave,
    asked: Asked,
) -> tuple[results.Result | Known | None, Callable[[], None] | None]:
    """Move, and hear of the channel that the session is in then, behind a gate until its client
    knows: what is returned beside the result opens it.
    """
    hearing = hearings.of(session, args.channel)
    change = services.handlers.changes[type(args)]
    is_join = isinstance(args, functions.ChannelJoin)
    if not is_join and args.channel != hearing.channel:
        return await settled(change(session, args, asked)), None
    old, new = hearing.hold(session), None
    try:
        if is_join:
            new = await hearing.approach(session, args.channel, old)
        result = await settled(change(session, args, asked))
    except BaseException:
        hearing.stay(session, old, new)
        raise
    if new is not None and isinstance(result, results.JoinResult):
        parting = hearing.parting
        gate = hearing.arrive(session, old, new, result.msgid)
        if parting is not None and parting[0] == new.key.channel:
            # It was taken out of it before or behind this.
            engine = services.engine
            if not await settled(engine.is_member(new.key, session.account)):
                hearing.part(session, *parting)
        return result, partial(hearing.open, session, gate)
    if is_join or isinstance(result, Known):
        hearing.stay(session, old, new)
    else:
        hearing.unlisten(session)
    return result, None


async def hear_again(
    services: Services, hearings: Hearing, session: Session, args: functions.ChannelCatchUp
) -> tuple[results.CatchUpResult, Callable[[], None]]:
    """Hear a channel that the session is in, behind a gate: what is returned beside the result
    tells what was missed, unless it is heard already, and opens it. Raises `SignalError`.
    """
    channel, hearing = args.channel, hearings.of(session, args.channel)
    if not session.many_channels:
        raise SignalError(ECode.GENERAL_E_FAILED, "the session is in one channel at a time")
    is_heard = hearing.channel is not None
    # Before it is known whether the session is in it: what becomes of that then is heard.
    gate = await hearing.listen(session, channel)
    presence = await services.presences.current(session)
    if presence is None or channel not in presence.channels:
        hearing.unlisten(session)
        is_removed = presence is not None and channel in presence.removed
        code = ECode.LEAVECHANNEL_E_KICKED if is_removed else ECode.LEAVECHANNEL_E_OTHER
        raise SignalError(code, f"{session.account!r} is not in the channel {channel!r}")
    msgid = (await settled(services.engine.roster(gate.key, 0))).msgid
    missed: Sequence[bytes] | None = ()
    if not is_heard:
        missed = await hearing.catch_up(session, channel, gate, args.msgid, msgid)
    result = results.CatchUpResult(msgid=msgid, gap=int(missed is None))
    return result, partial(hearing.open, session, gate, missed or ())
