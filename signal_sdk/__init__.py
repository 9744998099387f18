"""The SDK's public names: log in to a signaling server, send, join, call, and be told.

Owns: which names these are. Each is imported when it is first asked for, so that the server and the
command line, which import modules of this package, do not import the SDK.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from signal_sdk.printable import escape_logs

if TYPE_CHECKING:
    from signal_sdk.agora_api import IAgoraAPI
    from signal_sdk.agora_callback import ICallBack
    from signal_sdk.agora_instances import (
        create_agora_sdk_instance_cpp,
        createAgoraSDKInstanceCPP,
        get_agora_sdk_instance_cpp,
        getAgoraSDKInstanceCPP,
    )
    from signal_sdk.call import Call
    from signal_sdk.callbacks import (
        CallCallback,
        ChannelCallback,
        LoginCallback,
        MessageCallback,
        UserAttrCallback,
    )
    from signal_sdk.channel import Channel
    from signal_sdk.client.attributes import Attribute, Attributes
    from signal_sdk.client.backoff import Backoff
    from signal_sdk.client.call_states import CallState
    from signal_sdk.client.dialer import Dialer
    from signal_sdk.client.facts import Gap
    from signal_sdk.client.lock_values import LockInfo
    from signal_sdk.client.operation import Operation
    from signal_sdk.client.past import History, Said, Waiting
    from signal_sdk.client.watches import (
        AccountOffline,
        AccountOnline,
        AccountState,
        AttributesChanged,
        WatchEvent,
    )
    from signal_sdk.ecodes import ECode
    from signal_sdk.errors import (
        ConfigError,
        ConflictError,
        LinkError,
        LockLostError,
        LoginError,
        LogoutError,
        ParameterError,
        ProtocolError,
        SignalError,
        SignalSdkError,
    )
    from signal_sdk.lock import Lock
    from signal_sdk.login_session import LoginSession
    from signal_sdk.printable import EscapingFilter
    from signal_sdk.signal import Signal
    from signal_sdk.stream_events import (
        AttributeUpdated,
        CallAccepted,
        CallEnded,
        CallEvent,
        CallFailed,
        CallMessage,
        CallRefused,
        CallRinging,
        ChannelEvent,
        ChannelJoined,
        ChannelLeft,
        ChannelMessage,
        Message,
        Missed,
        UserJoined,
        UserLeft,
    )
    from signal_sdk.streams import Stream
    from signal_sdk.wire.events import SpecialEvent
    from signal_sdk.wire.tokens import make_token

__all__ = [
    "AccountOffline",
    "AccountOnline",
    "AccountState",
    "Attribute",
    "AttributeUpdated",
    "Attributes",
    "AttributesChanged",
    "Backoff",
    "Call",
    "CallAccepted",
    "CallCallback",
    "CallEnded",
    "CallEvent",
    "CallFailed",
    "CallMessage",
    "CallRefused",
    "CallRinging",
    "CallState",
    "Channel",
    "ChannelCallback",
    "ChannelEvent",
    "ChannelJoined",
    "ChannelLeft",
    "ChannelMessage",
    "ConfigError",
    "ConflictError",
    "Dialer",
    "ECode",
    "EscapingFilter",
    "Gap",
    "History",
    "IAgoraAPI",
    "ICallBack",
    "LinkError",
    "Lock",
    "LockInfo",
    "LockLostError",
    "LoginCallback",
    "LoginError",
    "LoginSession",
    "LogoutError",
    "Message",
    "MessageCallback",
    "Missed",
    "Operation",
    "ParameterError",
    "ProtocolError",
    "Said",
    "Signal",
    "SignalError",
    "SignalSdkError",
    "SpecialEvent",
    "Stream",
    "UserAttrCallback",
    "UserJoined",
    "UserLeft",
    "Waiting",
    "WatchEvent",
    "createAgoraSDKInstanceCPP",
    "create_agora_sdk_instance_cpp",
    "getAgoraSDKInstanceCPP",
    "get_agora_sdk_instance_cpp",
    "make_token",
]

_HOMES: Final = {
    "signal_sdk.agora_api": ("IAgoraAPI",),
    "signal_sdk.agora_callback": ("ICallBack",),
    "signal_sdk.agora_instances": (
        "createAgoraSDKInstanceCPP",
        "create_agora_sdk_instance_cpp",
        "getAgoraSDKInstanceCPP",
        "get_agora_sdk_instance_cpp",
    ),
    "signal_sdk.call": ("Call",),
    "signal_sdk.callbacks": (
        "CallCallback",
        "ChannelCallback",
        "LoginCallback",
        "MessageCallback",
        "UserAttrCallback",
    ),
    "signal_sdk.channel": ("Channel",),
    "signal_sdk.client.backoff": ("Backoff",),
    "signal_sdk.client.call_states": ("CallState",),
    "signal_sdk.client.dialer": ("Dialer",),
    "signal_sdk.client.facts": ("Gap",),
    "signal_sdk.client.lock_values": ("LockInfo",),
    "signal_sdk.client.operation": ("Operation",),
    "signal_sdk.client.attributes": ("Attribute", "Attributes"),
    "signal_sdk.client.past": ("History", "Said", "Waiting"),
    "signal_sdk.client.watches": (
        "AccountOffline",
        "AccountOnline",
        "AccountState",
        "AttributesChanged",
        "WatchEvent",
    ),
    "signal_sdk.ecodes": ("ECode",),
    "signal_sdk.errors": (
        "ConfigError",
        "ConflictError",
        "LinkError",
        "LockLostError",
        "LoginError",
        "LogoutError",
        "ParameterError",
        "ProtocolError",
        "SignalError",
        "SignalSdkError",
    ),
    "signal_sdk.lock": ("Lock",),
    "signal_sdk.login_session": ("LoginSession",),
    "signal_sdk.printable": ("EscapingFilter",),
    "signal_sdk.signal": ("Signal",),
    "signal_sdk.stream_events": (
        "AttributeUpdated",
        "CallAccepted",
        "CallEnded",
        "CallEvent",
        "CallFailed",
        "CallMessage",
        "CallRefused",
        "CallRinging",
        "ChannelEvent",
        "ChannelJoined",
        "ChannelLeft",
        "ChannelMessage",
        "Message",
        "Missed",
        "UserJoined",
        "UserLeft",
    ),
    "signal_sdk.streams": ("Stream",),
    "signal_sdk.wire.events": ("SpecialEvent",),
    "signal_sdk.wire.tokens": ("make_token",),
}
"""Which module each of them is in."""


if not TYPE_CHECKING:
    # Type checkers know the names from above, and would take this for any name at all.
    def __getattr__(name: str) -> Any:
        for home, names in _HOMES.items():
            if name in names:
                value = globals()[name] = getattr(import_module(home), name)
                return value
        # As where they are imported at once, their modules are there: `signal_sdk.errors`.
        module = f"{__name__}.{name}"
        homes = [home for home in _HOMES if f"{home}.".startswith(f"{module}.")]
        for home in homes:
            import_module(home)
        if homes:
            return sys.modules[module]
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})


escape_logs()
