"""What a key of the configuration is: its default, its text for operators, its bounds, its secrecy.

Owns: how a key is declared, for the classes of `config_keys` and `config_limits`. Must not know:
any single key.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import attrs

__all__ = ["config_key"]

T = TypeVar("T")


def config_key(
    default: T,
    doc: str,
    *,
    least: int | None = None,
    most: int | None = None,
    secret: bool = False,
    file: str = "",
    shown: Callable[[T], str] | None = None,
) -> T:
    """A key of the file: its default, its text for operators, its bounds; of a `secret`, the key
    that names its `file`, and how a `repr` may show it, if at all.
    """
    field: T = attrs.field(
        default=default,
        repr=shown or not secret,
        metadata={"doc": doc, "least": least, "most": most, "secret": secret, "file": file},
    )
    return field
