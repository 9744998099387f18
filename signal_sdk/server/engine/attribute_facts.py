"""The facts of attributes that the engine and the rules hand each other.

Owns: what is known of an attribute, what is asked to become of some, and what those who watch an
account are told. Must not know an operation. Times are wall-clock Unix seconds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from signal_sdk.wire.hidden import hides
from signal_sdk.wire.names import JsonValue

__all__ = [
    "Attribute",
    "AttributeChange",
    "Attributes",
    "AttributesChanged",
    "Changed",
    "PresenceChanged",
    "Watched",
    "WatchedFact",
    "presence_number",
]


@hides("value")
class Attribute(msgspec.Struct, frozen=True, gc=False):
    """An attribute: its value, the revision of the change that set it, and when it ends, if it does
    by itself.
    """

    value: JsonValue
    revision: int
    expires: float | None = None


@hides("values")
class Attributes(msgspec.Struct, frozen=True, gc=False):
    """Attributes of an account or a channel, and the revision of the last change of any of its; 0
    where nothing of it is known.
    """

    revision: int = 0
    values: Mapping[str, Attribute] = {}


@hides("set")
class AttributeChange(msgspec.Struct, frozen=True, kw_only=True):
    """What is to become of some attributes of an account or a channel, all of it or nothing.

    It is done only where each attribute in `conditions` has that revision (0: is not set), and all
    of them together have `revision`, unless that is None. What is `set` ends after `ttl` seconds,
    unless that is None. No name is in both `set` and `delete`; one that is not there is deleted
    already.
    """

    set: Mapping[str, JsonValue] = {}
    delete: Sequence[str] = ()
    conditions: Mapping[str, int] = {}
    revision: int | None = None
    ttl: float | None = None

    @property
    def named(self) -> Sequence[str]:
        """All attributes that it names, each once."""
        return list(dict.fromkeys((*self.conditions, *self.set, *self.delete)))


class Changed(msgspec.Struct, frozen=True):
    """What became of an `AttributeChange`: done under this `revision`; or nothing was done, and it
    is 0, since the attributes that it names are not as it wants them, but as in `present`.
    """

    revision: int
    present: Attributes | None = None


# --- what watchers are told ---


@hides("attributes")
class Watched(msgspec.Struct, frozen=True):
    """How a watched account stands: is it online, as of which number of its presence, and all of
    its attributes. Numbers of its presence rise with each login and each logout.
    """

    is_online: bool
    presence: int
    attributes: Attributes


@hides("set")
class AttributesChanged(msgspec.Struct, frozen=True, kw_only=True):
    """Attributes of a watched account have changed, all of these under one revision."""

    revision: int
    set: Mapping[str, Attribute] = {}
    deleted: Sequence[str] = ()


class PresenceChanged(msgspec.Struct, frozen=True):
    """A watched account has come online or gone offline; `presence` is as in `Watched`."""

    is_online: bool
    presence: int


WatchedFact = Watched | AttributesChanged | PresenceChanged


def presence_number(generation: int, *, is_online: bool) -> int:
    """The number of the presence of an account that had this generation when it came or went."""
    return 2 * generation + (0 if is_online else 1)
