"""The obsolete methods.

Owns: the documented methods that nobody should call any more. Must not know what an operation does.
"""

# ruff: noqa: N802, N803, N815  the documented names are camelCase

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

from signal_sdk.flat.life import Status
from signal_sdk.flat.methods import Methods, message_id

__all__ = ["ObsoleteMethods"]


class ObsoleteMethods(Methods):
    """The part of `IAgoraAPI` that warns with `DeprecationWarning`.

    Linux SDK, "Obsolete Interfaces".
    """

    def message_dtmf_send(self, uid: int, msg: str, msgID: str = "") -> str:
        """Obsolete: send dialled digits in the call with the peer of that uid (0: the only call).

        Use `channel_invite_dtmf`. `on_message_send_success` or `on_message_send_error` (400 where
        there is no such call) hears of it. Linux SDK, `messageDTMFSend`.
        """
        _warn("messageDTMFSend", "channelInviteDTMF")
        msg_id = message_id(msgID)
        self._do("send_dtmf_msg", self._calls.message_dtmf_send, uid, msg, msg_id)
        return msg_id

    def channel_invite_phone(self, channelID: str, phoneNum: str, uid: int = 0) -> None:
        """Obsolete: call the account whose name is a phone number, with an empty `srcNum`.

        Use `channel_invite_user2`. Linux SDK, `channelInvitePhone`.
        """
        del uid
        self._invite_phone("channelInvitePhone", channelID, phoneNum, "", "")

    def channel_invite_phone2(self, channelID: str, phoneNum: str, sourcesNum: str) -> None:
        """Obsolete: as `channel_invite_phone`; `extra` says `{"srcNum": sourcesNum}`.

        Use `channel_invite_user2`. Linux SDK, `channelInvitePhone2`.
        """
        self._invite_phone("channelInvitePhone2", channelID, phoneNum, sourcesNum, "")

    def channel_invite_phone3(
        self, channelID: str, phoneNum: str, sourcesNum: str, extra: str = ""
    ) -> None:
        """Obsolete: as `channel_invite_phone2`; `srcNum` is put into `extra`, a JSON object.

        Use `channel_invite_user2`. Linux SDK, `channelInvitePhone3`.
        """
        self._invite_phone("channelInvitePhone3", channelID, phoneNum, sourcesNum, extra)

    def _invite_phone(self, method: str, channel: str, phone: str, source: str, extra: str) -> None:
        _warn(method, "channelInviteUser2", 4)
        self._do("invite", self._calls.invite_phone, channel, phone, source, extra)

    def is_online(self) -> bool:
        """Obsolete: is the user logged in? Use `get_status`. Linux SDK, `isOnline`."""
        _warn("isOnline", "getStatus")
        self._core.check()
        return self._core.status is Status.LOGIN_STATE_LOGINED

    if TYPE_CHECKING:

        def messageDTMFSend(self, uid: int, msg: str, msgID: str = "") -> str: ...
        def channelInvitePhone(self, channelID: str, phoneNum: str, uid: int = 0) -> None: ...
        def channelInvitePhone2(self, channelID: str, phoneNum: str, sourcesNum: str) -> None: ...
        def channelInvitePhone3(
            self, channelID: str, phoneNum: str, sourcesNum: str, extra: str = ""
        ) -> None: ...
        def isOnline(self) -> bool: ...
    else:
        messageDTMFSend = message_dtmf_send
        channelInvitePhone = channel_invite_phone
        channelInvitePhone2 = channel_invite_phone2
        channelInvitePhone3 = channel_invite_phone3
        isOnline = is_online


def _warn(method: str, instead: str, stacklevel: int = 3) -> None:
    text = f"{method} is obsolete: use {instead}"
    warnings.warn(text, DeprecationWarning, stacklevel=stacklevel)
