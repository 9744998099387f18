"""What goes wrong in a bot beside what its own handlers raise.

Owns: the exceptions and their texts. Must not know when they are raised. None tells what a message
says.
"""

from __future__ import annotations

from signal_sdk.errors import SignalSdkError

__all__ = ["BacklogError", "HandlerTimeoutError", "NoAnswerError"]


class NoAnswerError(SignalSdkError, TimeoutError):
    """Who was asked has not answered in time, or has left the channel that it was asked in."""


class BacklogError(SignalSdkError):
    """Too much waits: an event was dropped, or a message is not sent."""


class HandlerTimeoutError(SignalSdkError, TimeoutError):
    """A handler took longer than the bot's `handler_timeout`, and was cancelled."""
