"""The methods that the original's header has and its documents leave out.

Owns: which of them do something, are accepted, or are refused. Must not know what an operation
does.
"""

# ruff: noqa: N802, N803, N815  the header's names are camelCase

from __future__ import annotations

from typing import TYPE_CHECKING

from signal_sdk.flat.methods import Methods, message_id

__all__ = ["UndocumentedMethods"]


class UndocumentedMethods(Methods):
    """The part of `IAgoraAPI` that is in the Linux SDK's header only, so that a program that was
    written by it runs. A method that is accepted changes nothing here; one that is refused is told
    to `on_error`, with 1001.
    """

    def message_instant_send2(
        self, account: str, uid: int = 0, msg: str = "", msgID: str = "", options: str = ""
    ) -> str:
        """As `message_instant_send`, whatever `options` say. Linux SDK's header,
        `messageInstantSend2`.
        """
        del options
        msg_id = message_id(msgID)
        self._do("send_instant_msg", self._ops.message_instant_send, account, uid, msg, msg_id)
        return msg_id

    # --- accepted ---

    def set_background(self, bOut: int) -> None:
        """Accepted: is the app in the background? Linux SDK's header, `setBackground`."""
        del bOut
        self._core.check()

    def set_network_status(self, bOut: int) -> None:
        """Accepted: which network is there? Linux SDK's header, `setNetworkStatus`."""
        del bOut
        self._core.check()

    def ping(self) -> None:
        """Accepted: the SDK pings by itself. Linux SDK's header, `ping`."""
        self._core.check()

    def start(self) -> None:
        """Accepted: an instance starts with its first use. Linux SDK's header, `start`."""
        self._core.check()

    def stop(self) -> None:
        """Accepted: `logout` and `destroy` end things. Linux SDK's header, `stop`."""
        self._core.check()

    def dbg(self, a: str, b: str) -> None:
        """Accepted: `on_log` is the debug log. Linux SDK's header, `dbg`."""
        del a, b
        self._core.check()

    def destory(self) -> None:
        """As `destroy`, spelled as the header does. Linux SDK's header, `destory`."""
        self._core.close()

    # --- refused ---

    def message_app_send(self, msg: str, msgID: str = "") -> None:
        """Refused (1001): it was never documented. Linux SDK's header, `messageAppSend`."""
        del msg, msgID
        self._refuse("message_app_send", "messageAppSend")

    def message_push_send(self, account: str, uid: int = 0, msg: str = "", msgID: str = "") -> None:
        """Refused (1001): it was never documented. Linux SDK's header, `messagePushSend`."""
        del account, uid, msg, msgID
        self._refuse("message_push_send", "messagePushSend")

    def message_chat_send(self, account: str, uid: int = 0, msg: str = "", msgID: str = "") -> None:
        """Refused (1001): it was never documented. Linux SDK's header, `messageChatSend`."""
        del account, uid, msg, msgID
        self._refuse("message_chat_send", "messageChatSend")

    def bc_call(self, func: str, json_args: str, callID: str) -> None:
        """Refused (1001): it was never documented. Linux SDK's header, `bc_call`."""
        del func, json_args, callID
        self._refuse("bc_call", "bc_call")

    def _refuse(self, name: str, method: str) -> None:
        self._do(name, self._ops.refuse_undocumented, method)

    if TYPE_CHECKING:

        def messageInstantSend2(
            self, account: str, uid: int = 0, msg: str = "", msgID: str = "", options: str = ""
        ) -> str: ...
        def setBackground(self, bOut: int) -> None: ...
        def setNetworkStatus(self, bOut: int) -> None: ...
        def messageAppSend(self, msg: str, msgID: str = "") -> None: ...
        def messagePushSend(
            self, account: str, uid: int = 0, msg: str = "", msgID: str = ""
        ) -> None: ...
        def messageChatSend(
            self, account: str, uid: int = 0, msg: str = "", msgID: str = ""
        ) -> None: ...
    else:
        messageInstantSend2 = message_instant_send2
        setBackground = set_background
        setNetworkStatus = set_network_status
        messageAppSend = message_app_send
        messagePushSend = message_push_send
        messageChatSend = message_chat_send
