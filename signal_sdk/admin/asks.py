"""What can be asked of the admin address, each as a request that is not sent yet.

Owns: the spelling of each request, and the form of its answer. Must not know who sends it, nor
whether anybody waits. Every function here is a method of both clients, under the same name.

All fail with `AdminError`: 401 where the key is wrong, 403 where it has no right to that, 404 where
an app, an account's session, a channel or a call is not there, 422 where something given is wrong
or too large, 429 or 409 where there is no room or a rate is reached, 503 where the server cannot do
it at the moment, and 504 where nobody knows whether it was done.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, Generic, TypeVar
from urllib.parse import quote

import attrs
import msgspec

from signal_sdk.admin.errors import AdminError, Problem, error_of
from signal_sdk.admin.results import (
    Attributes,
    Call,
    Channel,
    Connection,
    Inbox,
    KeyHolder,
    Member,
    Node,
    Online,
    Outcomes,
    Page,
    Presence,
    Token,
    Waiting,
)
from signal_sdk.wire.names import JsonValue

__all__ = ["Ask"]

T = TypeVar("T")
DAY_SECONDS: Final = 24 * 3600


@attrs.frozen(kw_only=True)
class Ask(Generic[T]):
    """A request: `form` is that of its answer, None where that is empty."""

    method: str
    path: str
    form: Any = None
    query: Mapping[str, str | int] = attrs.field(factory=dict)
    body: Any = attrs.field(default=None, repr=False)
    headers: Mapping[str, str] = attrs.field(factory=dict)

    def content(self) -> bytes | None:
        """Its body, which is JSON, if it has one. Raises `TypeError` of what is no JSON."""
        return None if self.body is None else msgspec.json.encode(self.body)

    def answer(self, status: int, content: bytes) -> T:
        """What was answered. Raises `AdminError`."""
        if not 200 <= status < 300:
            raise error_of(status, content)
        found: Any = None
        if self.form is str:
            found = content.decode("utf-8", "replace")
        elif self.form is not None:
            try:
                found = msgspec.json.decode(content, type=self.form)
            except (msgspec.DecodeError, UnicodeDecodeError) as exc:
                text = f"the answer is not as it should be: {exc}"
                raise AdminError(status, Problem(status=status, detail=text)) from None
        answer: T = found
        return answer


def path(*parts: str) -> str:
    """A path of the API, each part of it escaped by itself."""
    return "/v1/" + "/".join(map(_escaped, parts))


def _escaped(part: str) -> str:
    # Dots alone would be taken for steps.
    return part.replace(".", "%2E") if part in (".", "..") else quote(part, safe="")


def _of(app: str, *parts: str) -> str:
    return path("apps", app, *parts)


def _page(cursor: str, limit: int) -> dict[str, str | int]:
    return {"cursor": cursor, "limit": limit}


def _message(
    message: JsonValue, data: bytes | None, sender: str | None, **more: Any
) -> dict[str, Any]:
    said = {"data": data, "sender": sender, **more}
    body = {name: value for name, value in said.items() if value is not None}
    # Where both are given, or none, the server says what is wrong.
    return body if message is None and data is not None else {"message": message, **body}


def _once(idempotency_key: str | None) -> dict[str, str]:
    return {} if idempotency_key is None else {"Idempotency-Key": idempotency_key}


# --- The address


def key() -> Ask[KeyHolder]:
    """Whose the key is, and what it may do."""
    return Ask(method="GET", path=path("key"), form=KeyHolder)


def node() -> Ask[Node]:
    """How the node is that answers; for a key of all apps."""
    return Ask(method="GET", path=path("node"), form=Node)


def metrics() -> Ask[str]:
    """The node's metrics, as Prometheus reads them; with the right `metrics`."""
    return Ask(method="GET", path="/metrics", form=str)


# --- Sending


def send(
    app: str,
    account: str,
    message: JsonValue = None,
    *,
    data: bytes | None = None,
    sender: str | None = None,
    ttl: int | None = None,
    idempotency_key: str | None = None,
) -> Ask[None]:
    """Put a message, text or any other JSON value, into the inbox of an account, online or not, as
    from `sender`, or from the server's own account. It waits there for `ttl` seconds, by default
    and at most 30 days. `data`, in place of a message, is bytes, at most 6 KiB: 409 where the
    account is not online with a session that takes them. One that comes again with the same
    `idempotency_key` (at most 255 visible characters) is not sent again.
    """
    return Ask(
        method="POST",
        path=_of(app, "accounts", account, "messages"),
        body=_message(message, data, sender, ttl=ttl),
        headers=_once(idempotency_key),
    )


def send_to_many(
    app: str,
    accounts: Sequence[str],
    message: JsonValue = None,
    *,
    data: bytes | None = None,
    sender: str | None = None,
    ttl: int | None = None,
    idempotency_key: str | None = None,
) -> Ask[Outcomes]:
    """As `send`, to each of at most 1,000 accounts: what became of each, in their order."""
    return Ask(
        method="POST",
        path=_of(app, "messages"),
        form=Outcomes,
        body=_message(message, data, sender, ttl=ttl, accounts=list(accounts)),
        headers=_once(idempotency_key),
    )


def send_to_channel(
    app: str,
    channel: str,
    message: JsonValue = None,
    *,
    data: bytes | None = None,
    sender: str | None = None,
    idempotency_key: str | None = None,
) -> Ask[None]:
    """As `send`, to the members of a channel, all of which have to take `data`."""
    return Ask(
        method="POST",
        path=_of(app, "channels", channel, "messages"),
        body=_message(message, data, sender),
        headers=_once(idempotency_key),
    )


# --- Accounts


def online(app: str, *, cursor: str = "", limit: int = 100) -> Ask[Page[Online]]:
    """Who is online, on all nodes; `limit` is from 1 to 1,000."""
    return Ask(
        method="GET", path=_of(app, "accounts"), form=Page[Online], query=_page(cursor, limit)
    )


def presence(app: str, account: str) -> Ask[Presence]:
    """Whether an account is online, and how."""
    return Ask(method="GET", path=_of(app, "accounts", account), form=Presence)


def kick(app: str, account: str) -> Ask[None]:
    """End the session of an account at once: its client hears 103. It is no ban."""
    return Ask(method="DELETE", path=_of(app, "accounts", account, "session"))


def inbox(app: str, account: str) -> Ask[Inbox]:
    """How much waits for an account."""
    return Ask(method="GET", path=_of(app, "accounts", account, "inbox"), form=Inbox)


def waiting(app: str, account: str, *, cursor: str = "", limit: int = 100) -> Ask[Page[Waiting]]:
    """What waits for an account, oldest first, without its content."""
    return Ask(
        method="GET",
        path=_of(app, "accounts", account, "inbox", "entries"),
        form=Page[Waiting],
        query=_page(cursor, limit),
    )


def user_attributes(app: str, account: str) -> Ask[Attributes]:
    """All attributes of an account."""
    return Ask(method="GET", path=_of(app, "accounts", account, "attributes"), form=Attributes)


def set_user_attribute(app: str, account: str, name: str, value: JsonValue) -> Ask[None]:
    """Set an attribute of an account, online or not."""
    where = _of(app, "accounts", account, "attributes", name)
    return Ask(method="PUT", path=where, body={"value": value})


def delete_user_attribute(app: str, account: str, name: str) -> Ask[None]:
    """Delete an attribute of an account."""
    return Ask(method="DELETE", path=_of(app, "accounts", account, "attributes", name))


def calls_of(app: str, account: str) -> Ask[Page[Call]]:
    """The live calls that an account is a side of, all on one page."""
    return Ask(method="GET", path=_of(app, "accounts", account, "calls"), form=Page[Call])


def connection(app: str, account: str) -> Ask[Connection]:
    """The connection that an account has to the node that answers."""
    return Ask(method="GET", path=_of(app, "accounts", account, "connection"), form=Connection)


def make_token(
    app: str,
    account: str,
    *,
    seconds: int = DAY_SECONDS,
    expires: int | None = None,
    jwt: bool = False,
    not_before: int | None = None,
    rights: Mapping[str, Any] | None = None,
) -> Ask[Token]:
    """Make a token with which `account` can log in, good for `seconds` from now, or until `expires`
    (Unix seconds). `not_before` and `rights` are a JWT's only.
    """
    said = {"expires": expires, "not_before": not_before, "rights": rights}
    return Ask(
        method="POST",
        path=_of(app, "accounts", account, "tokens"),
        form=Token,
        body={"seconds": seconds, "jwt": jwt}
        | {name: value for name, value in said.items() if value is not None},
    )


# --- Channels


def channels(app: str, *, cursor: str = "", limit: int = 100) -> Ask[Page[Channel]]:
    """The channels that there are."""
    return Ask(
        method="GET", path=_of(app, "channels"), form=Page[Channel], query=_page(cursor, limit)
    )


def channel(app: str, channel: str) -> Ask[Channel]:
    """How a channel is."""
    return Ask(method="GET", path=_of(app, "channels", channel), form=Channel)


def members(app: str, channel: str, *, cursor: str = "", limit: int = 100) -> Ask[Page[Member]]:
    """Who is in a channel."""
    return Ask(
        method="GET",
        path=_of(app, "channels", channel, "members"),
        form=Page[Member],
        query=_page(cursor, limit),
    )


def remove(app: str, channel: str, account: str) -> Ask[None]:
    """Take an account out of a channel: its client hears 601. It is no ban."""
    return Ask(method="DELETE", path=_of(app, "channels", channel, "members", account))


def channel_attributes(app: str, channel: str) -> Ask[Attributes]:
    """All attributes of a channel."""
    return Ask(method="GET", path=_of(app, "channels", channel, "attributes"), form=Attributes)


def set_channel_attribute(app: str, channel: str, name: str, value: JsonValue) -> Ask[None]:
    """Set an attribute of a channel, of which its members hear."""
    where = _of(app, "channels", channel, "attributes", name)
    return Ask(method="PUT", path=where, body={"value": value})


def delete_channel_attribute(app: str, channel: str, name: str) -> Ask[None]:
    """Delete an attribute of a channel, of which its members hear."""
    return Ask(method="DELETE", path=_of(app, "channels", channel, "attributes", name))


# --- Calls and connections


def calls(app: str, *, cursor: str = "", limit: int = 100) -> Ask[Page[Call]]:
    """The live calls."""
    return Ask(method="GET", path=_of(app, "calls"), form=Page[Call], query=_page(cursor, limit))


def call(app: str, channel: str, caller: str, callee: str) -> Ask[Call]:
    """The live call between two accounts about a channel, whoever of them has called."""
    return Ask(method="GET", path=_of(app, "calls", channel, caller, callee), form=Call)


def end_call(app: str, channel: str, caller: str, callee: str, *, call_id: str = "") -> Ask[None]:
    """End the live call between two accounts about a channel, whoever of them has called; with a
    `call_id`, only if it is that one.
    """
    where = _of(app, "calls", channel, caller, callee)
    return Ask(method="DELETE", path=where, query={"call_id": call_id} if call_id else {})


def connections(app: str, *, cursor: str = "", limit: int = 100) -> Ask[Page[Connection]]:
    """The connections to the node that answers, oldest first."""
    return Ask(
        method="GET",
        path=_of(app, "connections"),
        form=Page[Connection],
        query=_page(cursor, limit),
    )
