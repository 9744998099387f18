"""What was said before: what the server holds of a channel, and what waits in an inbox.

Owns: these answers as values. Must not know how they are asked for.
"""

from __future__ import annotations

import msgspec

from signal_sdk.errors import ProtocolError
from signal_sdk.wire import events, lines, names, results
from signal_sdk.wire.hidden import hides
from signal_sdk.wire.properties import decode_bytes, is_binary

__all__ = ["History", "Said", "Waiting", "history_of", "waiting_in"]


@hides("text", "data")
class Said(msgspec.Struct, frozen=True):
    """A message of a channel. `number` is its id there, which rises with each event; `time` is when
    the server had it, in Unix seconds. One that says bytes has `data`, and no text; a session that
    does not take these is not given it.
    """

    number: int
    account: str
    uid: int
    time: float
    text: str
    data: bytes | None = None


class History(msgspec.Struct, frozen=True):
    """What was said in a channel, oldest first; `is_whole` where that is all that ever was."""

    messages: tuple[Said, ...]
    is_whole: bool


@hides("text", "data")
class Waiting(msgspec.Struct, frozen=True):
    """A point-to-point message that is in an inbox. `time` is when the server had it, in Unix
    seconds; `data` is as in `Said`.
    """

    account: str
    time: float
    text: str
    data: bytes | None = None


def history_of(result: results.HistoryResult) -> History:
    """The answer to `channel_history`."""
    binary = frozenset(result.binary or ())
    return History(
        tuple(
            Said(
                msgid,
                account,
                uid,
                time_ms / 1000,
                "" if msgid in binary else names.json_text(msg),
                decode_bytes(msg) if msgid in binary else None,
            )
            for msgid, account, uid, time_ms, msg in result.msgs
        ),
        result.whole != 0,
    )


def waiting_in(result: results.GetMessagesResult) -> list[Waiting]:
    """The messages on a page of an inbox, but for what cannot be read, and calls' events."""
    found = []
    for _, text in result.msgs:
        try:
            line = lines.decode(text)
        except ProtocolError:
            continue
        if is_binary(line.properties):
            found.append(Waiting(line.src, line.time / 1000, "", decode_bytes(line.content)))
        elif line.type == events.INSTANT:
            found.append(Waiting(line.src, line.time / 1000, line.content))
    return found
