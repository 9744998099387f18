"""Rules: which handler takes what.

Owns: what was registered, and the order in which it is looked for. Must not know what becomes of a
handler.
"""

from __future__ import annotations

import re
from typing import Final

import attrs

from signal_sdk.router.handlers import Handler

__all__ = ["BYTES", "Rules"]

BYTES: Final = ("bytes_message", "channel_bytes_message")
"""The kinds of messages that a session is handed where it asks for them."""
_NOTHING: Final = re.compile("")


@attrs.define(eq=False)
class Rules:
    """What one bot reacts to."""

    messages: dict[str, list[tuple[re.Pattern[str], Handler]]] = attrs.Factory(
        lambda: {"message": [], "channel_message": []}
    )
    single: dict[str, Handler] = attrs.Factory(dict)
    """Of what has no pattern, so that a second handler would never be called."""
    dtmf: dict[str, Handler] = attrs.Factory(dict)
    middleware: list[Handler] = attrs.Factory(list)
    errors: list[Handler] = attrs.Factory(list)

    @property
    def takes_bytes(self) -> bool:
        """Is there a handler of messages that are bytes?"""
        return not self.single.keys().isdisjoint(BYTES)

    def find(self, kind: str, text: str) -> tuple[Handler | None, re.Match[str]]:
        """Who takes a message: the first, in the order of registration, whose pattern is found in
        it.
        """
        for pattern, handler in self.messages[kind]:
            if found := pattern.search(text):
                return handler, found
        return None, next(_NOTHING.finditer(text))

    def find_dtmf(self, digit: str) -> Handler | None:
        """Who takes a digit: its own handler, or that of all."""
        return self.dtmf.get(digit) or self.dtmf.get("")

    def add_single(self, kind: str, handler: Handler) -> None:
        """Register what there is one of. Raises `ValueError` where there is one."""
        self._add(self.single, kind, handler, f"@bot.{kind}")

    def add_dtmf(self, digit: str, handler: Handler) -> None:
        """Register a digit's. Raises `ValueError` where it has one."""
        self._add(self.dtmf, digit, handler, f"@bot.dtmf({digit!r})" if digit else "@bot.dtmf()")

    @staticmethod
    def _add(among: dict[str, Handler], key: str, handler: Handler, decorator: str) -> None:
        if key in among:
            raise ValueError(f"{decorator} has a handler already: a second would never be called")
        among[key] = handler
