"""Attributes with their revisions, and accounts that are watched (ours): the functions' arguments
and results, and what watchers are told.

Owns: these forms (protocol.md, section 3). Must not know what a function does.

An attribute is told as (value, revision, end): the end is in Unix milliseconds, 0 where it has
none. A revision of 0 is that of what is not there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import ClassVar, Final

import attrs
import msgspec

from signal_sdk.ecodes import ECode
from signal_sdk.errors import ParameterError
from signal_sdk.wire import frames, names
from signal_sdk.wire.arguments import Arguments, arg
from signal_sdk.wire.hidden import hides
from signal_sdk.wire.names import JsonValue
from signal_sdk.wire.parameter_errors import wrong, wrong_content
from signal_sdk.wire.results import Result

Told = tuple[JsonValue, int, int]
"""An attribute: its value, its revision, its end."""

MAX_CHANGED: Final = 100
"""How many attributes one change sets and deletes, and how many it asks about, at most."""
MAX_TTL_MS: Final = names.MAX_TTL_SECONDS * 1000
WATCHED: Final = "watched"


def _mapping(
    what: str, check: Callable[[JsonValue], JsonValue]
) -> Callable[[JsonValue], dict[str, JsonValue]]:
    def convert(value: JsonValue) -> dict[str, JsonValue]:
        if not isinstance(value, dict):
            raise wrong_content(what, "is not an object of attributes")
        if len(value) > MAX_CHANGED:
            raise _too_many(what, len(value))
        return {names.check_attr_name(name): check(it) for name, it in value.items()}

    return convert


def _too_many(what: str, count: int) -> ParameterError:
    return ParameterError(
        ECode.GENERAL_E_LARGE_PARAM,
        f"{what} names {count} attributes; at most {MAX_CHANGED} are allowed",
    )


def _names(value: JsonValue) -> tuple[str, ...]:
    if not isinstance(value, list | tuple):
        raise wrong_content("del", "is not a list of attributes")
    if len(value) > MAX_CHANGED:
        raise _too_many("del", len(value))
    return tuple(dict.fromkeys(map(names.check_attr_name, value)))


def _revision(value: JsonValue) -> int:
    return names.check_integer("revision", value, 0)


def _optional_revision(value: JsonValue) -> int | None:
    return None if value is None else _revision(value)


def _ttl(value: JsonValue) -> int:
    return names.check_integer("ttl", value, 0, MAX_TTL_MS)


_USER_VALUES: Final = _mapping("set", names.check_user_attr_value)
_CHANNEL_VALUES: Final = _mapping("set", names.check_channel_attr_value)
_CONDITIONS: Final = _mapping("if", _revision)


@attrs.frozen(kw_only=True)
class AttributesResult(Result):
    """`user_read_attrs` and `channel_read_attrs`; also what a change that was not made has found of
    the attributes that it names. `revision` is that of the last change of any.
    """

    revision: int = 0
    attributes: dict[str, Told] = attrs.field(factory=dict, repr=False)


@attrs.frozen(kw_only=True)
class ChangeResult(Result):
    """`user_change_attrs` and `channel_change_attrs`: the revision of what was changed; or 0, and
    nothing was, since things were not as the change wanted them but as in `conflict`.
    """

    # Last of all: what is kept for a request that comes again ends in it.
    conflict: AttributesResult | None = None
    revision: int = 0


@attrs.frozen(kw_only=True)
class WatchResult(AttributesResult):
    """`user_watch`: how the account stands. `online` is 1 or 0; `presence` rises with each login
    and each logout.
    """

    online: int
    presence: int


@hides("set")
@attrs.frozen(kw_only=True)
class ChangeArguments(Arguments):
    """What both ways to change attributes take: what is to be `set`, for `ttl` ms where that is not
    0, and what deleted; where the attributes in `conditions` have these revisions (0: are not
    there), and all of the attributes together `revision`.
    """

    result: ClassVar[type[Result]] = ChangeResult

    set: dict[str, JsonValue] = arg("set", _USER_VALUES, {})
    delete: tuple[str, ...] = arg("del", _names, ())
    conditions: dict[str, int] = arg("if", _CONDITIONS, {})
    revision: int | None = arg("revision", _optional_revision, None)
    ttl: int = arg("ttl", _ttl, 0)

    def check(self) -> None:
        """Raise `ParameterError` (1004) where its parts do not fit together."""
        both = next((it for it in self.delete if it in self.set), None)
        if both is not None:
            raise wrong("attribute name", both, "is to be set and to be deleted at once")
        if not self.set and not self.delete:
            raise wrong_content("a change", "names no attribute to set or to delete")
        if self.ttl and not self.set:
            raise wrong_content("ttl", "is for what is set, and nothing is")


@hides("set")
@attrs.frozen(kw_only=True)
class UserChangeAttributes(ChangeArguments):
    """Change attributes of one's own account, all of it or nothing."""

    function = "user_change_attrs"


@hides("set")
@attrs.frozen(kw_only=True)
class ChannelChangeAttributes(ChangeArguments):
    """Change attributes of a channel, all of it or nothing."""

    function = "channel_change_attrs"

    channel: str = arg("channel", names.check_channel)
    set: dict[str, JsonValue] = arg("set", _CHANNEL_VALUES, {})


@attrs.frozen(kw_only=True)
class UserReadAttributes(Arguments):
    """All attributes of an account, with their revisions and ends."""

    function = "user_read_attrs"
    result: ClassVar[type[Result]] = AttributesResult

    account: str = arg("account", names.check_account)


@attrs.frozen(kw_only=True)
class ChannelReadAttributes(Arguments):
    """All attributes of a channel, with their revisions and ends."""

    function = "channel_read_attrs"
    result: ClassVar[type[Result]] = AttributesResult

    channel: str = arg("channel", names.check_channel)


@attrs.frozen(kw_only=True)
class UserWatch(Arguments):
    """Tell this connection from here on what becomes of an account's presence and attributes."""

    function = "user_watch"
    result: ClassVar[type[Result]] = WatchResult

    account: str = arg("account", names.check_account)


@attrs.frozen(kw_only=True)
class UserUnwatch(Arguments):
    """Tell it no more."""

    function = "user_unwatch"

    account: str = arg("account", names.check_account)


@hides("attributes")
class WatchedEvent(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What has become of a watched account: it is `online` (1) or not (0), as of that `presence`;
    these `attributes` were set and those `deleted` under that `revision`. Where it is `whole` (1),
    something may have been missed, and this is all that there is.
    """

    account: str
    online: int = -1
    presence: int = 0
    revision: int = 0
    attributes: Mapping[str, Told] = {}
    deleted: tuple[str, ...] = ()
    whole: int = 0


_encode = msgspec.json.Encoder().encode


def encode_watched_text(event: WatchedEvent) -> str:
    """The text of what a watcher is told."""
    return _encode(event).decode()


def encode_watched(text: str) -> bytes:
    """The frame of that text."""
    return frames.encode_frame("notify", [WATCHED, text])


def decode_watched(text: str) -> WatchedEvent:
    """What a watcher is told. Raises `ProtocolError`."""
    return frames.decode_json(text, WatchedEvent, WATCHED)
