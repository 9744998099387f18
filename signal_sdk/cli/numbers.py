"""Numbers on the command line.

Owns: which are numbers that something can be done with. Must not know what.
"""

from __future__ import annotations

import math
from typing import Any

import click

__all__ = ["Positive"]


class Positive(click.FloatRange):
    """A number above 0, and not above `most`."""

    def __init__(self, most: float) -> None:
        super().__init__(0, most, min_open=True)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The number. click lets pass what is none."""
        found = super().convert(value, param, ctx)
        if math.isnan(found):
            self.fail(f"{value!r} is not a number.", param, ctx)
        return found
