"""The states of a session's membership of a channel.

Only the table may live here: no requests, no callbacks. A membership that asked to leave is still a
member until the server has answered.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import Final

__all__ = ["TABLE", "ChannelState", "ChannelStep"]


class ChannelState(enum.Enum):
    """Where a membership stands."""

    JOINING = enum.auto()
    JOINED = enum.auto()
    LEFT = enum.auto()
    FAILED = enum.auto()


class ChannelStep(enum.Enum):
    """What moves a membership on."""

    ACCEPTED = enum.auto()
    REFUSED = enum.auto()
    OVER = enum.auto()


TABLE: Final[Mapping[ChannelState, Mapping[ChannelStep, ChannelState]]] = {
    ChannelState.JOINING: {
        ChannelStep.ACCEPTED: ChannelState.JOINED,
        ChannelStep.REFUSED: ChannelState.FAILED,
    },
    ChannelState.JOINED: {ChannelStep.OVER: ChannelState.LEFT},
    ChannelState.LEFT: {},
    ChannelState.FAILED: {},
}
