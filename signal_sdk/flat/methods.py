"""The way of every method of the flat API into the trio thread.

Owns: what a method stands on. Must not know any method.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from functools import partial
from typing import Any

from signal_sdk.client.dialer import Dialer
from signal_sdk.flat.call_operations import CallOperations
from signal_sdk.flat.core import Core
from signal_sdk.flat.operations import Operations
from signal_sdk.spelling import DocumentedNames

__all__ = ["Methods", "message_id"]


class Methods(DocumentedNames):
    """What the parts of `IAgoraAPI` derive from."""

    def __init__(self, dialer: Dialer) -> None:
        self._core = Core(dialer)
        self._ops = Operations(self._core)
        self._calls = CallOperations(self._core)

    def _do(self, name: str, operation: Callable[..., object], *args: Any) -> None:
        """Have an operation done in the trio thread; `on_error` hears of its failure as `name`'s.

        That is what the original calls the method there.
        """
        self._core.call(name, partial(operation, name, *args))


def message_id(given: str | None) -> str:
    """What the user has given, or a new id. What is no text is refused later on, as wrong."""
    anything: object = "" if given is None else given
    if isinstance(anything, str):
        # Its own `__bool__`, where it has one, may raise.
        return str.__str__(anything) or secrets.token_hex(16)
    return given  # type: ignore[return-value]  # what it is, is said where it is refused
