"""Pacing: how much one session may say and ask for in a second.

Owns: what counts as what, and how much an answer counts. Must not know what is asked, nor how a
pace is kept: rates.py does.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import trio

from signal_sdk.ecodes import ECode
from signal_sdk.errors import SignalError
from signal_sdk.server.config import LimitsConfig
from signal_sdk.server.rates import Pace, Rate
from signal_sdk.server.refusals import Limit, too_often
from signal_sdk.server.session import Session
from signal_sdk.wire import call2, call_functions, frames, functions
from signal_sdk.wire.arguments import Arguments
from signal_sdk.wire.attribute_functions import ChangeArguments
from signal_sdk.wire.names import JsonValue

__all__ = [
    "QUESTION_CHARS",
    "SENDING",
    "charge_answer",
    "check_change",
    "check_pace",
    "sent_too_often",
]

SENDING: Final = frozenset(
    {
        call2.Message,
        functions.UserSendMessage,
        functions.ChannelSendMessage,
        functions.PushSendMessage,
        call_functions.VoipInvite,
        call_functions.VoipInviteMsg,
        call_functions.PstnInvite,
        call_functions.PstnDtmf,
    }
)
"""What counts as a message of its user, of any kind: `user_messages_per_second`."""
QUESTION_CHARS: Final = 16_384
"""An answer counts as one more question for each so many characters: whoever asks for the names of
100,000 members asks for a while."""
CHANGE_BYTES: Final = 512
"""What is set counts as one more change for each so many bytes: to write it takes as much longer,
and whatever else is to be written waits.
"""
PACED: Final[Mapping[Limit, str]] = {
    "questions_per_second": "questions",
    "changes_per_second": "joins, leaves, changes of attributes, locks and steps of calls",
}
"""What a session may ask for so many of in a second."""


def sent_too_often(rate: Rate, most: int, now: float) -> SignalError:
    """What a user is told (400) whose rate allows no message more, with so many in a second."""
    return too_often(
        ECode.SENDMESSAGE_E_OTHER,
        f"more than {most} messages in a second from one user",
        rate.seconds_left(most, now),
        limit="user_messages_per_second",
    )


def check_pace(pace: Pace, most: int, now: float, limit: Limit) -> None:
    """Count one more, at most so many in a second. Raises `SignalError` over that."""
    seconds = pace.seconds_left(most, now)
    if seconds:
        raise too_often(
            ECode.GENERAL_E_FAILED,
            f"more than {most} {PACED[limit]} in a second from one user",
            seconds,
            limit=limit,
        )


def check_change(session: Session, args: Arguments, most: int, now: float) -> None:
    """Count one more change, and a long one as those that it is worth, at most so many in a second.
    Raises `SignalError` over that.
    """
    check_pace(session.changes, most, now, "changes_per_second")
    value: JsonValue
    if isinstance(args, functions.UserSetAttr | functions.ChannelSetAttr):
        value = args.value
    elif isinstance(args, ChangeArguments):
        value = args.set
    else:
        return
    session.changes.charge(len(frames.encode_json(value)) // CHANGE_BYTES, most, now)


def charge_answer(session: Session, text: str, limits: LimitsConfig) -> None:
    """Count a long answer as the questions that it is worth."""
    limit = limits.questions_per_second
    session.questions.charge(len(text) / QUESTION_CHARS, limit, trio.current_time())
