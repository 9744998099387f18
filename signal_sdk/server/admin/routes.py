"""The table of all that may be asked of the admin API: each operation is a function, whose first
line says what it does, and whose result is what is answered.

Owns: each operation's place, right and forms, and which of the operator's rules it is. Must not
know how a request comes in, nor any rule.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeVar, get_type_hints

from signal_sdk.server.admin.operations import Asked, Operation
from signal_sdk.server.admin.schemas import (
    CallQuery,
    ChannelMessage,
    EventsQuery,
    Holds,
    Message,
    MessageToMany,
    NodeFacts,
    NoQuery,
    Outcomes,
    PageQuery,
    TokenWish,
    Value,
    Values,
    outcomes_of,
)
from signal_sdk.server.admin.served import program_version
from signal_sdk.server.admin.stream import EventStream
from signal_sdk.server.config_admin import ALL_APPS, RIGHTS
from signal_sdk.server.operator.facts import (
    CallFacts,
    ChannelFacts,
    ConnectionFacts,
    InboxFacts,
    Member,
    Online,
    Page,
    PresenceFacts,
    Token,
    Waiting,
)
from signal_sdk.wire.rights import ALL

__all__ = ["OPERATIONS"]

APP: Final = "/v1/apps/{app}"
ACCOUNT: Final = f"{APP}/accounts/{{account}}"
CHANNEL: Final = f"{APP}/channels/{{channel}}"
CALL: Final = f"{APP}/calls/{{channel}}/{{caller}}/{{callee}}"

OPERATIONS: Final[list[Operation]] = []
"""In the order in which they are documented."""

_Act = TypeVar("_Act", bound=Callable[[Asked], Awaitable[object]])


def _operation(
    method: str, path: str, right: str, *, query: Any = NoQuery, body: Any = None
) -> Callable[[_Act], _Act]:
    """Declares what a function answers: its name and its docstring are the operation's."""

    def declare(act: _Act) -> _Act:
        answer = get_type_hints(act)["return"]
        OPERATIONS.append(
            Operation(
                method=method,
                path=path,
                name=act.__name__,
                right=right,
                summary=str(act.__doc__).strip().rstrip("."),
                act=act,
                query=query,
                body=body,
                answer=None if answer is type(None) else answer,
                sends=method == "POST" and path.endswith("/messages"),
                streams=answer is EventStream,
            )
        )
        return act

    return declare


# --- This address


@_operation("GET", "/v1/key", "")
async def key(asked: Asked) -> Holds:
    """Whose the key is that is asked with, and what it may do."""
    holder = asked.holder
    return Holds(
        name=holder.name,
        app=holder.app,
        rights=[right for right in RIGHTS if right in holder.rights],
        apps=[app.id for app in asked.apps if holder.app in (ALL_APPS, app.id)],
    )


@_operation("GET", "/v1/node", "read")
async def node(asked: Asked) -> NodeFacts:
    """How the node is that answers."""
    served = asked.served
    return NodeFacts(
        version=program_version(),
        since=served.since,
        sessions=served.node.sessions,
        why_not_ready=served.node.why_not_ready(),
        engine=served.node.statistics(),
    )


# --- Sending


@_operation("POST", f"{APP}/messages", "send", body=MessageToMany)
async def send_to_many(asked: Asked) -> Outcomes:
    """Send a message to each of many accounts, online or not."""
    said: MessageToMany = asked.body
    found = await asked.served.operator.send_to_many(
        asked.app,
        said.accounts,
        said.content,
        sender=said.sender,
        message_id=asked.message_id,
        ttl=said.ttl,
    )
    return outcomes_of(found)


@_operation("POST", f"{ACCOUNT}/messages", "send", body=Message)
async def send(asked: Asked) -> None:
    """Send a message to an account, online or not."""
    said: Message = asked.body
    await asked.served.operator.send(
        asked.app,
        asked.path["account"],
        said.content,
        sender=said.sender,
        message_id=asked.message_id,
        ttl=said.ttl,
    )


@_operation("POST", f"{CHANNEL}/messages", "send", body=ChannelMessage)
async def send_to_channel(asked: Asked) -> None:
    """Send a message to the members of a channel."""
    said: ChannelMessage = asked.body
    await asked.served.operator.send_to_channel(
        asked.app,
        asked.path["channel"],
        said.content,
        sender=said.sender,
        message_id=asked.message_id,
    )


# --- Accounts


@_operation("GET", f"{APP}/accounts", "read", query=PageQuery)
async def online(asked: Asked) -> Page[Online]:
    """Who is online, on all nodes."""
    query: PageQuery = asked.query
    operator = asked.served.operator
    return await operator.online(asked.app, cursor=query.cursor, limit=query.limit)


@_operation("GET", ACCOUNT, "read")
async def presence(asked: Asked) -> PresenceFacts:
    """Whether an account is online, and how."""
    return await asked.served.operator.presence(asked.app, asked.path["account"])


@_operation("DELETE", f"{ACCOUNT}/session", "kick")
async def kick(asked: Asked) -> None:
    """End the session of an account (103). It is no ban."""
    await asked.served.operator.kick(asked.app, asked.path["account"])


@_operation("GET", f"{ACCOUNT}/inbox", "read")
async def inbox(asked: Asked) -> InboxFacts:
    """How much waits for an account."""
    return await asked.served.operator.inbox(asked.app, asked.path["account"])


@_operation("GET", f"{ACCOUNT}/inbox/entries", "read", query=PageQuery)
async def waiting(asked: Asked) -> Page[Waiting]:
    """What waits for an account, oldest first, without its content."""
    query: PageQuery = asked.query
    return await asked.served.operator.waiting(
        asked.app, asked.path["account"], cursor=query.cursor, limit=query.limit
    )


@_operation("GET", f"{ACCOUNT}/attributes", "read")
async def user_attributes(asked: Asked) -> Values:
    """All attributes of an account."""
    found = await asked.served.operator.user_attributes(asked.app, asked.path["account"])
    return Values(dict(found))


@_operation("PUT", f"{ACCOUNT}/attributes/{{name}}", "attributes", body=Value)
async def set_user_attribute(asked: Asked) -> None:
    """Set an attribute of an account, online or not."""
    said: Value = asked.body
    await asked.served.operator.set_user_attribute(
        asked.app, asked.path["account"], asked.path["name"], said.value
    )


@_operation("DELETE", f"{ACCOUNT}/attributes/{{name}}", "attributes")
async def delete_user_attribute(asked: Asked) -> None:
    """Delete an attribute of an account."""
    await asked.served.operator.delete_user_attribute(
        asked.app, asked.path["account"], asked.path["name"]
    )


@_operation("GET", f"{ACCOUNT}/calls", "read")
async def calls_of(asked: Asked) -> Page[CallFacts]:
    """The live calls that an account is a side of."""
    return Page(await asked.served.operator.calls_of(asked.app, asked.path["account"]))


@_operation("GET", f"{ACCOUNT}/connection", "read")
async def connection(asked: Asked) -> ConnectionFacts:
    """The connection that an account has to the node that answers."""
    return await asked.served.operator.connection(asked.app, asked.path["account"])


@_operation("POST", f"{ACCOUNT}/tokens", "tokens", body=TokenWish)
async def make_token(asked: Asked) -> Token:
    """Make a token with which an account can log in."""
    said: TokenWish = asked.body
    return await asked.served.operator.make_token(
        asked.app,
        asked.path["account"],
        seconds=said.seconds,
        expires=said.expires,
        is_jwt=said.jwt,
        not_before=said.not_before,
        rights=said.rights or ALL,
    )


# --- Channels


@_operation("GET", f"{APP}/channels", "read", query=PageQuery)
async def channels(asked: Asked) -> Page[ChannelFacts]:
    """The channels that there are."""
    query: PageQuery = asked.query
    operator = asked.served.operator
    return await operator.channels(asked.app, cursor=query.cursor, limit=query.limit)


@_operation("GET", CHANNEL, "read")
async def channel(asked: Asked) -> ChannelFacts:
    """How a channel is."""
    return await asked.served.operator.channel(asked.app, asked.path["channel"])


@_operation("GET", f"{CHANNEL}/members", "read", query=PageQuery)
async def members(asked: Asked) -> Page[Member]:
    """Who is in a channel."""
    query: PageQuery = asked.query
    return await asked.served.operator.members(
        asked.app, asked.path["channel"], cursor=query.cursor, limit=query.limit
    )


@_operation("DELETE", f"{CHANNEL}/members/{{account}}", "kick")
async def remove(asked: Asked) -> None:
    """Take an account out of a channel (601). It is no ban."""
    await asked.served.operator.remove(asked.app, asked.path["account"], asked.path["channel"])


@_operation("GET", f"{CHANNEL}/attributes", "read")
async def channel_attributes(asked: Asked) -> Values:
    """All attributes of a channel."""
    found = await asked.served.operator.channel_attributes(asked.app, asked.path["channel"])
    return Values(dict(found))


@_operation("PUT", f"{CHANNEL}/attributes/{{name}}", "attributes", body=Value)
async def set_channel_attribute(asked: Asked) -> None:
    """Set an attribute of a channel, of which its members hear."""
    said: Value = asked.body
    await asked.served.operator.set_channel_attribute(
        asked.app, asked.path["channel"], asked.path["name"], said.value
    )


@_operation("DELETE", f"{CHANNEL}/attributes/{{name}}", "attributes")
async def delete_channel_attribute(asked: Asked) -> None:
    """Delete an attribute of a channel, of which its members hear."""
    await asked.served.operator.delete_channel_attribute(
        asked.app, asked.path["channel"], asked.path["name"]
    )


# --- Calls


@_operation("GET", f"{APP}/calls", "read", query=PageQuery)
async def calls(asked: Asked) -> Page[CallFacts]:
    """The live calls."""
    query: PageQuery = asked.query
    operator = asked.served.operator
    return await operator.calls(asked.app, cursor=query.cursor, limit=query.limit)


@_operation("GET", CALL, "read")
async def call(asked: Asked) -> CallFacts:
    """The live call between two accounts about a channel."""
    path = asked.path
    return await asked.served.operator.call(
        asked.app, path["channel"], path["caller"], path["callee"]
    )


@_operation("DELETE", CALL, "kick", query=CallQuery)
async def end_call(asked: Asked) -> None:
    """End the live call between two accounts about a channel."""
    path, query = asked.path, asked.query
    await asked.served.operator.end_call(
        asked.app, path["channel"], path["caller"], path["callee"], call_id=query.call_id
    )


# --- Connections


@_operation("GET", f"{APP}/connections", "read", query=PageQuery)
async def connections(asked: Asked) -> Page[ConnectionFacts]:
    """The connections to the node that answers, oldest first."""
    query: PageQuery = asked.query
    operator = asked.served.operator
    return await operator.connections(asked.app, cursor=query.cursor, limit=query.limit)


# --- What happens


@_operation("GET", f"{APP}/events", "events", query=EventsQuery)
async def events(asked: Asked) -> EventStream:
    """What happens from here on, as it happens: server-sent events, until one side ends it."""
    return EventStream(asked, asked.last_event_id)
