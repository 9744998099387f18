"""Calls on Redis: each step replaces a live call, and posts what its sides are told, as one.

Owns: these operations, as they are asked for, and the lines that a call ends with. Must not know
how they are done: calls.lua does.

Whoever ends a call in Redis cannot make a line. So the lines come with the invitation, in pieces:
its time and the other side's uid are put between.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import Any, Final

from signal_sdk.ecodes import ECode
from signal_sdk.server.engine import call_table
from signal_sdk.server.engine.base import AccountKey, Asked, Call, Known
from signal_sdk.server.engine.pending import Pending
from signal_sdk.server.engine.redis import answers
from signal_sdk.server.engine.redis.answers import About
from signal_sdk.server.engine.redis.core import Core, first_uid, pack
from signal_sdk.server.engine.values import encode_json
from signal_sdk.wire import events
from signal_sdk.wire.names import JsonValue
from signal_sdk.wire.properties import Properties

UID_MARK: Final = 10**14 + secrets.randbelow(10**14)
"""Stands in a line for the uid: nobody knows it, and so nobody's text has it before that place."""
ID_MARK: Final = secrets.token_hex(16)
"""Stands in a line for the call's id."""

FOLLOWING: Final = {
    kind: {
        f"{state} {role}": after
        for state, steps in call_table.STEPS.items()
        for (role, step), after in steps.items()
        if step == kind
    }
    for kind in {step for steps in call_table.STEPS.values() for _, step in steps}
}
"""Which state follows on which by a kind of step, and for whom."""


class CallOperations(Core):
    """Calls, as the contract has them."""

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
    ) -> Pending[Known | None]:
        """As the contract has it."""
        app, caller = asked.key
        call = Call(
            id=call_id,
            caller=caller,
            callee=callee,
            channel=channel,
            extra=extra,
            state=call_table.INVITING,
            timeout=timeout,
            deadline=None,
        )
        told = _pieces(
            app,
            call,
            extra,
            to=callee,
            kind=events.VOIP_INVITE,
            ttl=timeout,
            properties=properties,
        )
        args = (
            key_of(channel, caller, callee),
            callee,
            first_uid(app, callee),
            channel,
            encode_json(extra),
            call_id,
            repr(float(timeout)),
            int(is_online),
            pack(_ends(app, call)),
            pack(told),
            repr(float(timeout)),
            _within_json(call_id),
        )
        about = About(account=caller, what=channel, name=callee)
        return self._change(asked, "invite", args, about)

    def step(
        self, asked: Asked, peer: str, channel: str, kind: str, extra: JsonValue
    ) -> Pending[Known | None]:
        """As the contract has it."""
        app, account = asked.key
        call = Call(
            id=ID_MARK,
            caller=account,
            callee=peer,
            channel=channel,
            extra="",
            state=call_table.INVITING,
            timeout=0,
            deadline=None,
        )
        time, content, rest = _pieces(app, call, extra, to=peer, kind=kind)
        # The id stands last: what is like it before is somebody's text.
        more, _, end = rest.rpartition(ID_MARK)
        args = (
            key_of(channel, account, peer),
            peer,
            pack(FOLLOWING.get(kind, {})),
            pack([time, content, more, end]),
            "-" if kind == events.VOIP_MSG else call_table.ENDED_BY.get(kind, ""),
        )
        about = About(account=account, what=channel, name=peer, step=kind)
        return self._change(asked, "step", args, about)

    def calls_of(self, key: AccountKey) -> Pending[Sequence[Call]]:
        """As the contract has it."""
        return self._ask(key.app, "calls_of", (key.account,), _calls)


FAILED: Final = events.VOIP_FAILED


def _pieces(
    app: str,
    call: Call,
    extra: JsonValue = "",
    ecode: ECode = ECode.SUCCESS,
    *,
    to: str,
    kind: str,
    ttl: float = call_table.EVENT_TTL_SECONDS,
    properties: Properties | None = None,
) -> tuple[str, str, str]:
    """A line in pieces: up to its time, from there up to the uid, and what follows."""
    post = call_table.entry(
        app,
        call,
        to=to,
        uid=UID_MARK,
        kind=kind,
        extra=extra,
        now=0,
        ttl=ttl,
        ecode=ecode,
        properties=properties,
    )
    head, content = post.line.split(" 0 ", 1)
    before, _, behind = content.partition(str(UID_MARK))
    return f"{head} ", before, behind


def _ends(app: str, call: Call) -> list[tuple[str, str, str]]:
    """The lines that it may end with, in the order of calls.lua."""
    caller, callee, extra = call.caller, call.callee, call.extra
    return [
        _pieces(app, call, to=caller, kind=events.VOIP_BYE),
        _pieces(app, call, to=callee, kind=events.VOIP_BYE),
        _pieces(app, call, extra, ECode.INVITE_E_TIMEOUT, to=caller, kind=FAILED),
        _pieces(app, call, extra, ECode.INVITE_E_PEEROFFLINE, to=caller, kind=FAILED),
    ]


def _within_json(call_id: str) -> str:
    """The call's id as it stands in a line."""
    return encode_json(call_id)[1:-1]


def record(app: str, call: Call) -> bytes:
    """A live call as calls.lua has it."""
    return pack(
        [
            *(call.id, call.caller, call.callee, call.channel, encode_json(call.extra)),
            *(call.state, call.timeout, False if call.deadline is None else call.deadline),
            *(_ends(app, call), _within_json(call.id)),
        ]
    )


def key_of(channel: str, account: str, peer: str) -> str:
    """The call's key within its app."""
    key = call_table.call_key("", channel, account, peer)
    return f"{key.channel}\0{key.one}\0{key.other}"


def _calls(reply: Any) -> Sequence[Call]:
    return [answers.call(packed) for packed in reply[2]]
