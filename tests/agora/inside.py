"""What tests do inside an instance of the flat API: the one place that knows where that is."""

from __future__ import annotations

from collections.abc import Callable

from signal_sdk import IAgoraAPI
from signal_sdk.client.session import SessionClient


def do_inside(api: IAgoraAPI, what: Callable[[], object]) -> None:
    """Have something done in the trio thread, in the order of the calls."""
    api._core.call("a test", what)


def session_inside(api: IAgoraAPI) -> SessionClient:
    """The instance's session, which is for the trio thread."""
    client = api._core.client
    assert client is not None
    return client
