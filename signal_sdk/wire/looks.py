"""What a name looks like to a reader: characters that nobody sees, and names that look like others.

Owns: which characters are hidden, and when a name resembles another. Must not know: which names are
whose, or what is done about one. Letters of two scripts that look alike (a Cyrillic and a Latin a)
are left to who shows names: whether they may stand together is a matter of language.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Set as AbstractSet
from typing import Final

__all__ = ["hidden_char", "resembles"]

_FILLERS: Final = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180f\u3164\uffa0")
"""What shows nothing although it counts as a letter or a mark."""
_JOINERS: Final = frozenset("\u200c\u200d")
_SELECTORS: Final = frozenset("\ufe0e\ufe0f")
"""What makes a character an emoji, or none."""
_KEYCAP: Final = "\u20e3"
_SYMBOLS: Final = frozenset({"So", "Sm", "Sk"})
_VIRAMA: Final = 9
"""The combining class of the marks that Indic scripts join by."""


def hidden_char(text: str) -> str:
    """The first character of `text` that a reader cannot see (of format, of direction, a filler);
    empty where there is none.

    What emoji, and scripts that are written with joiners, are made with is not hidden in its place.
    """
    if text.isascii():
        return ""
    return next((char for at, char in enumerate(text) if _is_hidden(text, at, char)), "")


def _is_hidden(text: str, at: int, char: str) -> bool:
    if char.isascii():
        return False
    before, behind = text[at - 1 : at], text[at + 1 : at + 2]
    if char in _SELECTORS:
        return not (behind == _KEYCAP or (before and unicodedata.category(before) in _SYMBOLS))
    if char in _JOINERS and before and behind:
        return not (
            before in _SELECTORS
            or unicodedata.category(before) in _SYMBOLS
            or unicodedata.bidirectional(before) == "AL"
            or unicodedata.combining(before) == _VIRAMA
        )
    return (
        unicodedata.category(char) == "Cf"
        or char in _FILLERS
        or "\ufe00" <= char <= "\ufe0d"
        or "\U000e0100" <= char <= "\U000e01ef"
    )


def resembles(text: str, others: AbstractSet[str]) -> bool:
    """Does `text` look like one of `others`, which begin with one underscore, without being it: by
    another case, one more underscore before it, or letters that stand for the same ones?
    """
    looks = unicodedata.normalize("NFKC", text).casefold()
    return text not in others and (looks in others or looks.removeprefix("_") in others)
