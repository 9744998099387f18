"""The methods of calls, which are known by their channel and the other account, whoever called.

Owns: the documented methods. Must not know what an operation does.
"""

# ruff: noqa: N802, N803, N815  the documented names are camelCase

from __future__ import annotations

from typing import TYPE_CHECKING

from signal_sdk.client.call_states import CallStep
from signal_sdk.flat.methods import Methods

__all__ = ["CallMethods"]


class CallMethods(Methods):
    """The part of `IAgoraAPI` that invites, answers and ends. Linux SDK, "IAgoraAPI Class"."""

    def channel_invite_user(self, channelID: str, account: str, uid: int = 0) -> None:
        """Call `account` about a channel, which neither needs to join for it.

        `on_invite_received_by_peer`, then `on_invite_accepted_by_peer` or
        `on_invite_refused_by_peer`, or `on_invite_failed` hears of it. Linux SDK,
        `channelInviteUser`.
        """
        del uid
        self._do("invite", self._calls.invite, channelID, account, "")

    def channel_invite_user2(self, channelID: str, account: str, extra: str = "") -> None:
        """As `channel_invite_user`, with `extra` for the other side.

        It is JSON of at most 8192 visible characters, or empty. The server reads in it
        `_require_peer_online` (1: fail at once with 703 where the account is offline) and
        `_timeout` (seconds, instead of 20). Linux SDK, `channelInviteUser2`.
        """
        self._do("invite", self._calls.invite, channelID, account, extra)

    def channel_invite_dtmf(self, channelID: str, phoneNum: str, dtmf: str) -> None:
        """Send dialled digits (0 to 9, * and #) in a call that was accepted: `on_invite_msg`.

        `phoneNum` is the other account. Only a failure is told, to `on_error`. Linux SDK,
        `channelInviteDTMF`.
        """
        self._do("invite_dtmf", self._calls.channel_invite_dtmf, channelID, phoneNum, dtmf)

    def channel_invite_accept(
        self, channelID: str, account: str, uid: int = 0, extra: str = ""
    ) -> None:
        """Accept a call: the other side's `on_invite_accepted_by_peer` hears of it, with `extra`.

        Only a failure is told here, to `on_error` (1001: there is no such call). Linux SDK,
        `channelInviteAccept`; its header has no `extra`.
        """
        del uid
        step = CallStep.ACCEPT
        self._do("invite_accept", self._calls.take_step, step, channelID, account, extra)

    def channel_invite_refuse(
        self, channelID: str, account: str, uid: int = 0, extra: str = ""
    ) -> None:
        """Refuse a call: the other side's `on_invite_refused_by_peer` hears of it, with `extra`.

        Only a failure is told here, to `on_error`. Linux SDK, `channelInviteRefuse`.
        """
        del uid
        step = CallStep.REFUSE
        self._do("invite_refuse", self._calls.take_step, step, channelID, account, extra)

    def channel_invite_end(self, channelID: str, account: str, uid: int = 0) -> None:
        """End a call, in whatever state: `on_invite_end_by_myself`, and there `…_by_peer`.

        A failure is told to `on_error`. Linux SDK, `channelInviteEnd`.
        """
        del uid
        self._do("invite_end", self._calls.take_step, CallStep.END, channelID, account)

    if TYPE_CHECKING:

        def channelInviteUser(self, channelID: str, account: str, uid: int = 0) -> None: ...
        def channelInviteUser2(self, channelID: str, account: str, extra: str = "") -> None: ...
        def channelInviteDTMF(self, channelID: str, phoneNum: str, dtmf: str) -> None: ...
        def channelInviteAccept(
            self, channelID: str, account: str, uid: int = 0, extra: str = ""
        ) -> None: ...
        def channelInviteRefuse(
            self, channelID: str, account: str, uid: int = 0, extra: str = ""
        ) -> None: ...
        def channelInviteEnd(self, channelID: str, account: str, uid: int = 0) -> None: ...
    else:
        channelInviteUser = channel_invite_user
        channelInviteUser2 = channel_invite_user2
        channelInviteDTMF = channel_invite_dtmf
        channelInviteAccept = channel_invite_accept
        channelInviteRefuse = channel_invite_refuse
        channelInviteEnd = channel_invite_end
