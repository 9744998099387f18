"""What one operation of the admin API is, and what a request for it has said.

Owns: these forms. Must not know which operations there are.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import attrs

from signal_sdk.server.admin.keys import Holder
from signal_sdk.server.admin.schemas import NoQuery
from signal_sdk.server.admin.served import Served
from signal_sdk.server.config import AppConfig

__all__ = ["Asked", "Operation"]


@attrs.frozen(kw_only=True)
class Asked:
    """A request that may be answered."""

    served: Served
    holder: Holder
    apps: tuple[AppConfig, ...]
    path: Mapping[str, str]
    """The parts of its path, by their names."""
    query: Any
    """Of its operation's form."""
    body: Any = attrs.field(default=None, repr=False)
    last_event_id: str | None = None
    """The last event that whoever asks has had of a stream that it has lost."""
    message_id: str = ""
    """What a message is to be called that must not come twice."""

    def saying(self, body: object) -> Asked:
        """This, with what its body says."""
        return attrs.evolve(self, body=body)

    def as_message(self, message_id: str) -> Asked:
        """This, whose message is called so."""
        return attrs.evolve(self, message_id=message_id)

    @property
    def app(self) -> str:
        """The app that it is about."""
        return self.path["app"]


@attrs.frozen(kw_only=True)
class Operation:
    """Something that may be asked: at a `path`, whose parts in braces are names; needing `right`,
    or only a key where that is empty, for the app in its path, or for all where there is none.

    `query` and `body` are the forms of what it says, `answer` that of the answer, None where that
    is empty. One that `sends` is done once for each `Idempotency-Key`, and one that `changes`
    anything is in the log.
    """

    method: str
    path: str
    name: str
    right: str
    summary: str
    act: Callable[[Asked], Awaitable[object]]
    query: Any = NoQuery
    body: Any = None
    answer: Any = None
    sends: bool = False
    streams: bool = False
    """Is it answered with events, up to its end?"""

    @property
    def changes(self) -> bool:
        """Does it change anything?"""
        return self.method != "GET"

    @property
    def is_of_app(self) -> bool:
        """Is it about one app?"""
        return "{app}" in self.path
