"""Who logs in, and the frame that says so.

Owns: what stands in that frame, and what no server would take. Must not know when it is sent, nor
its answer.
"""

from __future__ import annotations

import attrs
from msgspec import UNSET

from signal_sdk.ecodes import ECode
from signal_sdk.errors import LoginError, ParameterError
from signal_sdk.wire import frames, login, names

__all__ = ["Credentials"]


@attrs.frozen(kw_only=True)
class Credentials:
    """Who logs in. `instance` tells this login of the account from any other one; with
    `many_channels`, its session may be in more than one; `takes_bytes` says that it reads messages
    that are bytes.
    """

    appid: str
    account: str
    token: str = attrs.field(repr=False)
    instance: str = attrs.field(repr=False)
    many_channels: bool = False
    takes_bytes: bool = False

    def login_frame(self, *, again: bool = False) -> bytes:
        """The frame that logs in, `again` where the session was lost. Raises `LoginError` (209,
        206) for what no server would take.
        """
        try:
            request = login.Login(
                vid=self.appid,
                account=names.check_account(self.account),
                token=self.token,
                device=login.NATIVE_DEVICE,
                ver=login.PROPERTIES_VERSION,
                instance=self.instance,
                again=again,
                many_channels=self.many_channels or UNSET,
                takes_bytes=self.takes_bytes or UNSET,
            )
        except ParameterError as exc:
            raise LoginError(ECode.LOGIN_E_INVALID_USER, exc.reason) from None
        except TypeError:
            raise LoginError(ECode.LOGIN_E_INVALID_USER, "the account is not text") from None
        try:
            return frames.encode_frame(login.LOGIN, request)
        except ParameterError:
            raise LoginError(ECode.LOGIN_E_TOKENWRONG, "the token is not text") from None
