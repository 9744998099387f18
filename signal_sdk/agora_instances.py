"""Making instances of the flat API, and the one shared by a process.

Owns: how an instance finds its server, and which one is the shared one. Must not know what an
instance does.
"""

from __future__ import annotations

import os
import ssl
import threading

from signal_sdk.agora_api import IAgoraAPI
from signal_sdk.client.dialer import Dialer, dialer_of

__all__ = [
    "createAgoraSDKInstanceCPP",
    "create_agora_sdk_instance_cpp",
    "getAgoraSDKInstanceCPP",
    "get_agora_sdk_instance_cpp",
]


class _Shared:
    """The instance that `get_agora_sdk_instance_cpp` returns."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.instance: IAgoraAPI | None = None


_shared = _Shared()


def create_agora_sdk_instance_cpp(
    *,
    server: str | Dialer | None = None,
    ssl_context: ssl.SSLContext | None = None,
    proxy: str | None = None,
) -> IAgoraAPI:
    """Make an instance, another one each time; any number may live in a process.

    `server` says where to log in to, by default what the environment variable `SIGNAL_SDK_SERVER`
    says, or else `127.0.0.1:8001`; it, `ssl_context` and `proxy` are as in `Signal`. Raises
    `ParameterError` (1004) where one is wrong. Nothing is started before the first use, so that an
    instance may be made before a fork. Linux SDK, `createAgoraSDKInstanceCPP`.
    """
    return IAgoraAPI(dialer_of(server, ssl_context, proxy))


def get_agora_sdk_instance_cpp(
    *,
    server: str | Dialer | None = None,
    ssl_context: ssl.SSLContext | None = None,
    proxy: str | None = None,
) -> IAgoraAPI:
    """The one shared instance, which is made where there is none, or where it was destroyed.

    Only then do the arguments count, which are those of `create_agora_sdk_instance_cpp`. Linux SDK,
    `getAgoraSDKInstanceCPP`.
    """
    with _shared.lock:
        if _shared.instance is None or _shared.instance._core.is_closed:  # noqa: SLF001  its maker
            _shared.instance = create_agora_sdk_instance_cpp(
                server=server, ssl_context=ssl_context, proxy=proxy
            )
        return _shared.instance


def _renew_lock() -> None:
    """In a child that was forked, another thread may hold the lock for ever."""
    _shared.lock = threading.RLock()


os.register_at_fork(after_in_child=_renew_lock)

getAgoraSDKInstanceCPP = get_agora_sdk_instance_cpp
createAgoraSDKInstanceCPP = create_agora_sdk_instance_cpp
