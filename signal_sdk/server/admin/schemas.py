"""What requests say and answers hold, beside the facts that the operator's rules answer with.

Owns: these forms, from which bodies are decoded and the OpenAPI document is made. Must not know who
asks. A field that is not here is refused; no `repr` shows what users say, nor a token.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, ClassVar, Final

import msgspec

from signal_sdk.errors import SignalError
from signal_sdk.server.engine.base import Statistics
from signal_sdk.server.operator.facts import MAX_PAGE, Outcome
from signal_sdk.wire import names
from signal_sdk.wire.hidden import hides
from signal_sdk.wire.names import JsonValue
from signal_sdk.wire.rights import Rights

__all__ = [
    "CallQuery",
    "ChannelMessage",
    "EventsQuery",
    "Holds",
    "Message",
    "MessageToMany",
    "NoQuery",
    "NodeFacts",
    "Outcomes",
    "PageQuery",
    "TokenWish",
    "Value",
    "Values",
    "outcomes_of",
]

DAY_SECONDS: Final = 24 * 3600
Seconds = Annotated[int, msgspec.Meta(ge=0, le=2**53)]
"""A duration, or a Unix time, that JSON readers agree on."""
Limit = Annotated[int, msgspec.Meta(ge=1, le=MAX_PAGE)]


class _Said(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a request says."""


# --- What stands behind the question mark


class NoQuery(_Said, frozen=True):
    """Nothing."""


class PageQuery(_Said, frozen=True):
    """Which part of a list: at most `limit` of it, from behind the `cursor` of the part before."""

    cursor: str = ""
    limit: Limit = 100


class CallQuery(_Said, frozen=True):
    """Which of the calls between two accounts: the one with this id, or whichever there is."""

    call_id: str = ""


class EventsQuery(_Said, frozen=True):
    """Which events: those of some `kinds`, by commas, of one `account`, or of one `channel`."""

    kinds: str = ""
    account: str = ""
    channel: str = ""


# --- Bodies


@hides("message", "data")
class ChannelMessage(_Said, frozen=True):
    """A `message`, text or any other JSON value, or `data`, which is bytes in base64, as from
    `sender`, which is the server's own account unless it says otherwise.
    """

    ONE_OF: ClassVar[tuple[str, ...]] = ("message", "data")
    """Which fields there is one of."""

    message: JsonValue | msgspec.UnsetType = msgspec.UNSET
    data: bytes | msgspec.UnsetType = msgspec.UNSET
    sender: str = names.SYSTEM_ACCOUNT

    def __post_init__(self) -> None:
        if sum(getattr(self, field) is not msgspec.UNSET for field in self.ONE_OF) != 1:
            fields = " and ".join(f"`{field}`" for field in self.ONE_OF)
            raise ValueError(f"Object needs one of the fields {fields}")

    @property
    def content(self) -> JsonValue | bytes:
        """What is said."""
        if self.data is not msgspec.UNSET:
            return self.data
        return self.message if self.message is not msgspec.UNSET else None


@hides("message", "data")
class Message(ChannelMessage, frozen=True):
    """As `ChannelMessage`; it waits for its receiver for `ttl` seconds."""

    ttl: Seconds = names.DEFAULT_TTL_SECONDS


@hides("message", "data")
class MessageToMany(Message, frozen=True, kw_only=True):
    """As `Message`, to each of at most 1,000 accounts."""

    accounts: list[str]


@hides("value")
class Value(_Said, frozen=True):
    """An attribute's value."""

    value: JsonValue


class TokenWish(_Said, frozen=True):
    """A token for so many `seconds` from now, or until `expires` (Unix seconds); a JWT may begin to
    be good at `not_before`, and may do only what its `rights` say.
    """

    seconds: Seconds = DAY_SECONDS
    expires: Seconds | None = None
    jwt: bool = False
    not_before: Seconds | None = None
    rights: Rights | None = None


# --- Answers


class Holds(msgspec.Struct, frozen=True, kw_only=True):
    """Whose the key is that was asked with: its name, its app (`*` for all), and its rights; `apps`
    are those of its apps that are configured.
    """

    name: str
    app: str
    rights: list[str]
    apps: list[str]


class NodeFacts(msgspec.Struct, frozen=True, kw_only=True):
    """The node that answers: the `version` of its program, since when it runs (Unix seconds), how
    many are logged in on it, why nobody new is let in (empty where they are), and how much its
    engine has; with Redis, that is what the node itself knows of.
    """

    version: str
    since: float
    sessions: int
    why_not_ready: str
    engine: Statistics


class Refusal(msgspec.Struct, frozen=True, kw_only=True):
    """Why something was refused: the code that a client would hear, in words, and after how many
    seconds it may be tried again, where that is of use.
    """

    ecode: int
    ecode_name: str
    reason: str
    retry_after: float | None = None


class OutcomeFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a message to an account."""

    account: str
    refusal: Refusal | None = None


class Outcomes(msgspec.Struct, frozen=True):
    """What became of a message to each, in their order."""

    outcomes: list[OutcomeFacts]


@hides("attributes")
class Values(msgspec.Struct, frozen=True):
    """All attributes, by their names."""

    attributes: dict[str, Any]


def outcomes_of(found: Sequence[Outcome]) -> Outcomes:
    """As they are answered."""
    return Outcomes(
        [OutcomeFacts(account=it.account, refusal=_refusal(it.refusal)) for it in found]
    )


def _refusal(error: SignalError | None) -> Refusal | None:
    if error is None:
        return None
    return Refusal(
        ecode=int(error.ecode),
        ecode_name=error.ecode.name,
        reason=error.reason,
        retry_after=error.retry_after,
    )
