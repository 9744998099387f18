"""The SDK's version as the documented integer.

Owns: the encoding. Must not know who asks.
"""

from __future__ import annotations

import functools
import re
from importlib import metadata
from typing import Final

__all__ = ["encode_version", "sdk_version"]

DISTRIBUTION: Final = "signal-sdk"
UNKNOWN: Final = "0"
"""The version of a source tree that is not installed."""

_DIGITS: Final = (2, 2, 2, 3)
"""How many decimal digits each part has, behind a leading 1."""


def encode_version(version: str) -> int:
    """The documented integer: 1.1.4.19 is 1010104019 (Linux SDK, `getSdkVersion`).

    Parts that are missing are 0, and what follows the numbers (`.dev1`, `rc2`) is left out. A part
    that has too many digits is the largest that fits.
    """
    found = re.match(r"\d+(?:\.\d+)*", version)
    parts = [int(part) for part in found[0].split(".")] if found else []
    parts += [0] * len(_DIGITS)
    number = 1
    for part, digits in zip(parts, _DIGITS, strict=False):
        number = number * 10**digits + min(part, 10**digits - 1)
    return number


@functools.cache
def sdk_version() -> int:
    """This package's own version, encoded."""
    try:
        return encode_version(metadata.version(DISTRIBUTION))
    except metadata.PackageNotFoundError:
        return encode_version(UNKNOWN)
