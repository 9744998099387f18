"""For backends: what whoever runs a server asks of its admin address, over HTTP.

`AdminClient` waits for each answer, `AsyncAdminClient` is for trio and asyncio. Where a request
fails, both raise `AdminError`.
"""

from __future__ import annotations

from signal_sdk.admin.client import AdminClient, AsyncAdminClient
from signal_sdk.admin.errors import AdminError, Problem
from signal_sdk.admin.results import (
    Attributes,
    Call,
    Channel,
    Connection,
    Event,
    Inbox,
    KeyHolder,
    Member,
    Node,
    Online,
    Outcome,
    Outcomes,
    Page,
    Presence,
    Refusal,
    Statistics,
    Token,
    Waiting,
)

__all__ = [
    "AdminClient",
    "AdminError",
    "AsyncAdminClient",
    "Attributes",
    "Call",
    "Channel",
    "Connection",
    "Event",
    "Inbox",
    "KeyHolder",
    "Member",
    "Node",
    "Online",
    "Outcome",
    "Outcomes",
    "Page",
    "Presence",
    "Problem",
    "Refusal",
    "Statistics",
    "Token",
    "Waiting",
]
