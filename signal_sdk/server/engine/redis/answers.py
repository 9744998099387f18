"""What the functions in Redis answer, as results and as refusals.

Owns: the forms of both. Must not know who asked, nor how an answer came.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import attrs

from signal_sdk.ecodes import ECode
from signal_sdk.errors import SignalError
from signal_sdk.server.engine import call_table, lock_refusals, told
from signal_sdk.server.engine.base import FencedError, OvertakenError
from signal_sdk.server.engine.bounds import QuotaError
from signal_sdk.server.engine.facts import (
    Call,
    Entry,
    Joined,
    Known,
    Page,
    Presence,
    Roster,
    some_take_no_bytes,
    takes_no_bytes,
)
from signal_sdk.server.engine.redis.events import unpack
from signal_sdk.server.engine.values import decode_json
from signal_sdk.server.refusals import Limit, too_often
from signal_sdk.wire import built_in, names
from signal_sdk.wire.names import JsonValue

__all__ = [
    "About",
    "Dead",
    "attributes",
    "call",
    "channels_text",
    "entries",
    "joined",
    "known",
    "presence",
    "roster",
]


class Dead(FencedError):
    """Others have taken this node for dead."""


@attrs.frozen
class About:
    """What a refusal names: who asks, for what or whom, and as what code its refusals count."""

    account: str = ""
    what: str = ""
    name: str = ""
    step: str = ""
    more: str = ""
    ecode: ECode = ECode.GENERAL_E_FAILED
    fenced: ECode = ECode.GENERAL_E_NOT_LOGIN


def known(about: About, reply: Any) -> Known | None:
    """The outcome of an operation that has no other result. Raises `SignalError`."""
    if reply is None or len(reply) == 1:
        return None
    if reply[1] == b"known":
        return Known(reply[2].decode())
    raise refusal(about, reply)


def refusal(about: About, reply: Sequence[Any]) -> Exception:
    """Why an operation was refused."""
    _, tag, *more = reply
    kind = tag.decode()
    if kind == "fenced":
        return FencedError(about.fenced)
    if kind == "dead":
        return Dead(about.fenced)
    if kind in _MOST:
        what, ecode, limit = _MOST[kind]
        text = what.format(
            account=repr(about.account), what=repr(about.what), name=repr(about.name)
        )
        return QuotaError(ecode, f"{text}: {more[0]}, the most allowed", limit=limit)
    if kind.startswith("inbox_"):
        return _full(about, kind, more[0])
    if kind in _RATES:
        what, limit = _RATES[kind]
        return too_often(about.ecode, what.format(more[0]), more[1] / 1000, limit=limit)
    return _other(about, kind, more)


_MOST: Final[Mapping[str, tuple[str, ECode, Limit]]] = {
    "accounts": ("the accounts that the app has", ECode.GENERAL_E_FAILED, "app_accounts"),
    "channels": ("the app's channels", ECode.GENERAL_E_FAILED, "app_channels"),
    "made": (
        "the channels that {account} has made and that are there",
        ECode.GENERAL_E_FAILED,
        "account_channels",
    ),
    "session_channels": (
        "the channels that a session is in",
        ECode.JOINCHANNEL_E_OTHER,
        "session_channels",
    ),
    "own_locks": (
        "the locks that {account} has or waits for",
        ECode.GENERAL_E_FAILED,
        "account_locks",
    ),
    "locks": (
        "the locks of the channel {what} that somebody has",
        ECode.GENERAL_E_FAILED,
        "channel_locks",
    ),
    "lock_waiters": (
        "who waits for the lock {name} of the channel {what}",
        ECode.GENERAL_E_FAILED,
        "lock_waiters",
    ),
    "calls": ("the live calls of {account}", ECode.INVITE_E_OTHER, "account_calls"),
    "app_bytes": ("the bytes of all that the app keeps", ECode.GENERAL_E_FAILED, "app_bytes"),
}
_RATES: Final[Mapping[str, tuple[str, Limit]]] = {
    "joins": (
        "more joins in a second than a channel of {} members takes",
        "channel_joins_per_second",
    ),
    "messages": ("more than {} messages in a second in one channel", "channel_messages_per_second"),
    "changes": (
        "more than {} attribute changes in a second in one channel",
        "channel_attributes_per_second",
    ),
}


def _full(about: About, kind: str, most: int) -> QuotaError:
    """Why there is no room in an inbox, `about.what`'s, for what is from `about.account`."""
    owner, sender = repr(about.what), repr(about.account)
    texts: dict[str, tuple[Limit, str]] = {
        "inbox_messages": ("inbox_messages", f"the inbox of {owner} is full"),
        "inbox_bytes": ("inbox_bytes", f"the inbox of {owner} is full: {most} bytes"),
        "inbox_sender_messages": (
            "inbox_sender_messages",
            f"{most} messages of {sender} wait for {owner} already",
        ),
        "inbox_app_bytes": (
            "app_bytes",
            f"all that the app keeps has {most} bytes, the most allowed",
        ),
    }
    limit, reason = texts[kind]
    return QuotaError(ECode.SENDMESSAGE_E_OTHER, reason, limit=limit)


def _other(about: About, kind: str, more: Sequence[Any]) -> SignalError:
    if kind == "overtaken":
        return OvertakenError()
    if kind == "no_bytes":
        return takes_no_bytes(about.what)
    if kind == "some_no_bytes":
        return some_take_no_bytes(about.what)
    texts = _attribute if kind in ("unset", "attributes", "large") else _call
    if kind == "no_member":
        return lock_refusals.not_a_member(about.account, about.what)
    if kind == "elsewhere":
        return SignalError(
            about.ecode, f"{about.account!r} is not in the channel {about.what!r}{about.more}"
        )
    return texts(about, kind, more)


def _attribute(about: About, kind: str, more: Sequence[Any]) -> SignalError:
    if kind == "unset":
        reason = f"the channel {about.what!r} has no attribute {about.name!r}"
        return SignalError(ECode.GENERAL_E_FAILED, reason)
    if kind == "attributes":
        whose = f"the channel {about.what!r}" if about.what else repr(about.account)
        reason = f"{whose} has {more[0]} attributes, the most allowed"
        return QuotaError(ECode.GENERAL_E_FAILED, reason, limit="attributes")
    return QuotaError(
        ECode.GENERAL_E_LARGE_PARAM,
        f"all attributes together would have {more[0]} bytes; "
        f"at most {names.MAX_ATTRS_BYTES} are allowed",
        limit=None,
    )


def _call(about: About, kind: str, more: Sequence[Any]) -> SignalError:
    if kind == "offline":
        return SignalError(ECode.INVITE_E_PEEROFFLINE, call_table.PEER_NOT_ONLINE)
    if kind == "exists":
        return call_table.call_exists(about.name, about.what)
    if kind == "no_call":
        return call_table.no_call(about.name, about.what)
    if kind == "misfit":
        role, state = (it.decode() for it in more)
        reason = f"{about.step} by the {role} does not fit a call that is {state}"
        return SignalError(ECode.INVITE_E_OTHER, reason)
    raise ValueError(f"a refusal of the unknown kind {kind!r}")


# --- results ---


def presence(fields: Sequence[Any]) -> Presence:
    """A presence, by the facts that presence.lua reads."""
    (
        uid,
        generation,
        digest,
        device,
        ver,
        expires,
        node,
        instance,
        channel,
        lease,
        issued,
        rights,
        removed,
    ) = fields
    return Presence(
        uid=int(uid),
        generation=int(generation),
        line_digest=digest,
        device=_text(device),
        ver=int(ver),
        token_expires=None if expires is None else int(expires),
        node=_text(node),
        instance=_text(instance),
        channels=_channels(channel),
        lease_ends=None if lease is None else float(lease),
        token_issued=None if issued is None else int(issued),
        rights=_text(rights),
        removed=_channels(removed),
        many_channels=channel is not None and channel.startswith(MARK),
    )


MARK: Final = b"\x01"
"""Before each channel of a session that may be in many, and behind the last (accounts.lua)."""


def _channels(text: bytes | None) -> tuple[str, ...]:
    return tuple(it.decode() for it in (text or b"").split(MARK) if it)


def channels_text(presence: Presence, channels: Sequence[str]) -> bytes | None:
    """These, which are the presence's, as accounts.lua has them; None where there is nothing."""
    if presence.many_channels:
        return b"".join([MARK, *(it.encode() + MARK for it in channels)])
    return channels[-1].encode() if channels else None


def _text(data: bytes | None) -> str:
    return "" if data is None else data.decode()


def roster(num: int, total: int, msgid: int, newest: Sequence[Any]) -> Roster:
    """Who is in a channel; `newest` are names and uids by turns, the newest first."""
    members = [(newest[at].decode(), newest[at + 1]) for at in range(len(newest) - 2, -1, -2)]
    return Roster(num=num, total=total, newest=members, msgid=msgid)


def joined(reply: Sequence[Any]) -> Joined:
    """How the channel stands that was joined."""
    _, _, num, total, msgid, newest, has_num, has_total, flat = reply
    return Joined(
        roster=roster(num, total, msgid, newest),
        attributes={**attributes(flat), **counts(num, total, has_num, has_total)},
    )


def attributes(flat: Sequence[bytes]) -> dict[str, JsonValue]:
    """Attributes by their names, of names and texts by turns."""
    return {flat[at].decode(): decode_json(flat[at + 1].decode()) for at in range(0, len(flat), 2)}


def counts(num: int, total: int, has_num: int, has_total: int) -> dict[str, JsonValue]:
    """The counts that a channel's attributes ask for."""
    asked: dict[str, JsonValue] = {}
    if has_num:
        asked[built_in.AUTO_UPDATE_NUM] = 1
    if has_total:
        asked[built_in.AUTO_UPDATE_TOTAL_NUM] = 1
    return {name: str(count) for name, count in told.counts(asked, num, total).items()}


def entries(reply: Sequence[Any]) -> Page:
    """A page of an inbox."""
    found = [unpack(packed) for packed in reply[3]]
    return Page(
        ver_clear=reply[2],
        entries=[
            Entry(version=version, sender=sender, expires=expires, line=line)
            for version, expires, sender, line in found
        ],
    )


def call(packed: bytes) -> Call:
    """A live call."""
    number, caller, callee, channel, extra, state, timeout, deadline, *_ = unpack(packed)
    return Call(
        id=number,
        caller=caller,
        callee=callee,
        channel=channel,
        extra=decode_json(extra),
        state=state,
        timeout=timeout,
        deadline=None if deadline is False else deadline,
    )
