"""Rules: which handler takes what.

Owns: what was registered, and the order in which it is looked for. Must not know what becomes of a
handler.
"""

from __future__ import annotations

import re
from typing import Final, TypeVar

import attrs

from signal_sdk.router.handlers import Handler

__all__ = ["BYTES", "Rules"]

K = TypeVar("K")

BYTES: Final = ("bytes_message", "channel_bytes_message")
"""The kinds of messages that a session is handed where it asks for them."""
_NOTHING: Final = re.compile("")


@attrs.define(eq=False)
class Rules:
    """What one bot reacts to."""

    messages: dict[str, list[tuple[re.Pattern[str], str | None, Handler]]] = attrs.Factory(
        lambda: {"message": [], "channel_message": []}
    )
    """With the channel of each, where it is for one alone."""
    single: dict[tuple[str, str | None], Handler] = attrs.Factory(dict)
    """Of what has no pattern, so that a second handler, of all channels or of the same, would never
    be called."""
    dtmf: dict[str, Handler] = attrs.Factory(dict)
    middleware: list[Handler] = attrs.Factory(list)
    errors: list[Handler] = attrs.Factory(list)

    @property
    def takes_bytes(self) -> bool:
        """Is there a handler of messages that are bytes?"""
        return any(kind in BYTES for kind, _ in self.single)

    def find(
        self, kind: str, text: str, channel: str | None = None
    ) -> tuple[Handler | None, re.Match[str]]:
        """Who takes a message, which may be one in a channel: the first, in the order of
        registration, that is for that channel or for any, and whose pattern is found in it.
        """
        for pattern, only, handler in self.messages[kind]:
            if only in (None, channel) and (found := pattern.search(text)):
                return handler, found
        return None, next(_NOTHING.finditer(text))

    def find_single(self, kind: str, channel: str | None = None) -> Handler | None:
        """Who takes what there is one handler of: that of its channel, or that of all."""
        return self.single.get((kind, channel)) or self.single.get((kind, None))

    def find_dtmf(self, digit: str) -> Handler | None:
        """Who takes a digit: its own handler, or that of all."""
        return self.dtmf.get(digit) or self.dtmf.get("")

    def add_single(self, kind: str, handler: Handler, channel: str | None = None) -> None:
        """Register what there is one of, of all channels or of one. Raises `ValueError` where there
        is one.
        """
        name = f"@bot.{kind}" if channel is None else f"@bot.{kind}(channel={channel!r})"
        self._add(self.single, (kind, channel), handler, name)

    def add_dtmf(self, digit: str, handler: Handler) -> None:
        """Register a digit's. Raises `ValueError` where it has one."""
        self._add(self.dtmf, digit, handler, f"@bot.dtmf({digit!r})" if digit else "@bot.dtmf()")

    @staticmethod
    def _add(among: dict[K, Handler], key: K, handler: Handler, decorator: str) -> None:
        if key in among:
            raise ValueError(f"{decorator} has a handler already: a second would never be called")
        among[key] = handler
