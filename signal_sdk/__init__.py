"""The SDK's public names: log in to a signaling server, send, join, call, and be told."""

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
from signal_sdk.client.backoff import Backoff
from signal_sdk.client.call_states import CallState
from signal_sdk.client.dialer import Dialer
from signal_sdk.client.facts import Gap
from signal_sdk.client.operation import Operation
from signal_sdk.ecodes import ECode
from signal_sdk.errors import (
    ConfigError,
    LinkError,
    LoginError,
    LogoutError,
    ParameterError,
    ProtocolError,
    SignalError,
    SignalSdkError,
)
from signal_sdk.login_session import LoginSession
from signal_sdk.printable import EscapingFilter, escape_logs
from signal_sdk.signal import Signal
from signal_sdk.wire.events import SpecialEvent
from signal_sdk.wire.tokens import make_token

__all__ = [
    "Backoff",
    "Call",
    "CallCallback",
    "CallState",
    "Channel",
    "ChannelCallback",
    "ConfigError",
    "Dialer",
    "ECode",
    "EscapingFilter",
    "Gap",
    "IAgoraAPI",
    "ICallBack",
    "LinkError",
    "LoginCallback",
    "LoginError",
    "LoginSession",
    "LogoutError",
    "MessageCallback",
    "Operation",
    "ParameterError",
    "ProtocolError",
    "Signal",
    "SignalError",
    "SignalSdkError",
    "SpecialEvent",
    "UserAttrCallback",
    "createAgoraSDKInstanceCPP",
    "create_agora_sdk_instance_cpp",
    "getAgoraSDKInstanceCPP",
    "get_agora_sdk_instance_cpp",
    "make_token",
]

escape_logs()
