"""What a failure is told as: the original Linux SDK's codes and words.

Owns: which code and which text `on_error` hears, what `on_message_send_error` hears, and how an
exception that anybody has raised is put into words. Must not know who is told.
"""

from __future__ import annotations

from typing import Final

from signal_sdk.client.request import TimeOutError
from signal_sdk.ecodes import ECode
from signal_sdk.errors import LogoutError, SignalError
from signal_sdk.raised import type_name

__all__ = [
    "NOT_LOGIN",
    "general",
    "in_words",
    "invoke_words",
    "message_code",
    "not_logged_in",
]

NOT_LOGIN: Final = "not login"
TIME_OUT: Final = "time out"
CANNOT_BE_SHOWN: Final = "its text cannot be shown, since that raises, too"


def not_logged_in(text: str = NOT_LOGIN) -> SignalError:
    """The error for what is asked before the login, or after its end."""
    return SignalError(ECode.GENERAL_E_NOT_LOGIN, text)


def general(exc: SignalError) -> tuple[ECode, str]:
    """A failure as `on_error` hears it: of the codes that say only what has failed (400, 700, …)
    the original makes 1001, and 1002 where no answer came.
    """
    if isinstance(exc, TimeOutError):
        return ECode.GENERAL_E_UNKNOWN, TIME_OUT
    if isinstance(exc, LogoutError) or exc.ecode >= ECode.GENERAL_E:
        return exc.ecode, exc.reason
    return ECode.GENERAL_E_FAILED, exc.reason


def message_code(exc: SignalError) -> ECode:
    """A failure as `on_message_send_error` hears it, which the original never told 1003."""
    if exc.ecode is ECode.GENERAL_E_NOT_LOGIN:
        return ECode.SENDMESSAGE_E_OTHER
    return exc.ecode


def invoke_words(exc: SignalError) -> tuple[ECode, str]:
    """A failure as `on_invoke_ret` hears it: the server's own code, and 1002 where no answer came,
    as `on_error` hears it.
    """
    if isinstance(exc, TimeOutError):
        return general(exc)
    return exc.ecode, exc.reason


def in_words(exc: BaseException) -> str:
    """One line: the type's name, and what the exception says, unless that raises in turn.

    It may be of anybody's making: its methods are not to be trusted.
    """
    try:
        # Formatting calls `__str__`, and `__format__` where that returns a subclass of `str`.
        text = f"{exc!s}"
    except BaseException:  # noqa: BLE001  as above
        text = CANNOT_BE_SHOWN
    return " ".join(f"{type_name(exc)}: {text}".split())
