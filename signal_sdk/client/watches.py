"""The accounts that a session watches, over however many connections.

Owns: that a watched account is watched on each connection, the state that each watcher knows, and
which of what is told is news. Must not know a connection, or who hears of it in the end.

What is told may come before the answer that says how things stand, and that may be the older of the
two: it is held back until then, and numbers say what is newer (protocol.md, section 3).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TypeAlias

import msgspec
import trio

from signal_sdk.client import given
from signal_sdk.client.attributes import Attribute, Attributes, attributes_of, told_of
from signal_sdk.client.request import UnansweredError
from signal_sdk.client.requests import Requests, nothing
from signal_sdk.errors import ParameterError, SignalError
from signal_sdk.net.alarms import Alarm
from signal_sdk.net.reactor import Reactor
from signal_sdk.wire.attribute_functions import UserUnwatch, UserWatch, WatchedEvent, WatchResult
from signal_sdk.wire.hidden import hides
from signal_sdk.wire.results import Result

__all__ = [
    "AccountOffline",
    "AccountOnline",
    "AccountState",
    "AttributesChanged",
    "Watch",
    "WatchEvent",
    "Watches",
]


@hides("attributes")
class AccountState(msgspec.Struct, frozen=True):
    """How a watched account stands: the first that its stream gives, and again where something may
    have been missed: after a lost connection, or where the reader has fallen behind. What was told
    before counts no more.
    """

    is_online: bool
    attributes: Attributes


class AccountOnline(msgspec.Struct, frozen=True):
    """A watched account has logged in."""


class AccountOffline(msgspec.Struct, frozen=True):
    """A watched account has logged out, or its session is over otherwise."""


@hides("set")
class AttributesChanged(msgspec.Struct, frozen=True):
    """Attributes of a watched account have changed, all of these at once, under one `revision`:
    some were `set`, some `deleted`.
    """

    revision: int
    set: dict[str, Attribute]
    deleted: tuple[str, ...]


WatchEvent: TypeAlias = AccountState | AccountOnline | AccountOffline | AttributesChanged
"""What a watched account's stream gives."""


class Watch:
    """One watcher of `account`: `tell` hears what is news, `end` that nothing comes any more, with
    the error where there is one.
    """

    def __init__(
        self,
        account: str,
        tell: Callable[[WatchEvent], None],
        end: Callable[[SignalError | None], None],
    ) -> None:
        self.account = account
        self.end = end
        self._tell = tell
        self._is_online = False
        self._presence = 0
        self._attributes = Attributes()
        self._held: list[WatchedEvent] | None = []
        """What has come while it is asked how things stand; None where it is not."""

    @property
    def state(self) -> AccountState:
        """How the account stands, as far as is known."""
        return AccountState(self._is_online, self._attributes)

    def hold(self) -> None:
        """It is asked how things stand: all else waits for that."""
        if self._held is None:
            self._held = []

    def stands(self, result: WatchResult) -> None:
        """So things stand, where that was asked for this watcher."""
        held, self._held = self._held, None
        if held is None:
            return
        self._stand(result.online, result.presence, attributes_of(result))
        for event in held:
            self.take(event)

    def _stand(self, online: int, presence: int, attributes: Attributes) -> None:
        self._is_online, self._presence, self._attributes = online == 1, presence, attributes
        self._tell(self.state)

    def take(self, event: WatchedEvent) -> None:
        """Something has become of the account."""
        if self._held is not None:
            self._held.append(event)
        elif event.whole:
            found = Attributes(event.revision, told_of(event.attributes))
            self._stand(event.online, event.presence, found)
        elif event.presence > self._presence:
            self._is_online, self._presence = event.online == 1, event.presence
            self._tell(AccountOnline() if self._is_online else AccountOffline())
        elif event.revision > self._attributes.revision:
            new = told_of(event.attributes)
            left = {**self._attributes, **new}
            for name in event.deleted:
                left.pop(name, None)
            self._attributes = Attributes(event.revision, left)
            self._tell(AttributesChanged(event.revision, new, event.deleted))


class Watches:
    """What one session watches."""

    def __init__(self, requests: Requests, reactor: Reactor) -> None:
        self._requests = requests
        self._late: dict[str, None] = {}
        """Accounts of which the server was asked too often, and is asked again."""
        self._alarm = Alarm(reactor.alarms, self._ask_late)
        self._watches: dict[str, list[Watch]] = {}
        self._unwanted: dict[str, None] = {}
        """Accounts that nobody watches any more, and of which the server may still tell."""
        self._end: Callable[[Watch], None] | None = None

    def begin(self, watch: Watch) -> None:
        """It hears from here on; over a session that has ended, that it has, and of what is no
        account, why not.
        """
        self._requests.check_thread()
        if self._end is not None:
            self._end(watch)
            return
        try:
            account = watch.account = given.text("account", watch.account)
        except ParameterError as exc:
            watch.account = ""
            watch.end(exc)
            return
        self._unwanted.pop(account, None)
        self._let_go()
        self._watches.setdefault(account, []).append(watch)
        self._ask(account)

    def leave(self, watch: Watch) -> None:
        """It hears no more. It may be called at any moment: the server is told later."""
        left = [it for it in self._watches.get(watch.account, ()) if it is not watch]
        if left:
            self._watches[watch.account] = left
        elif self._watches.pop(watch.account, None) is not None:
            self._unwanted[watch.account] = None

    def _let_go(self) -> None:
        """Tell the server whom nobody watches any more."""
        unwanted, self._unwanted = self._unwanted, {}
        for account in unwanted:
            self._requests.call(
                partial(UserUnwatch, account=account), Result, nothing, failed=nothing, always=True
            )

    def _ask(self, account: str) -> None:
        self._requests.call(
            partial(UserWatch, account=account),
            WatchResult,
            nothing,
            done=partial(self._answered, account),
            failed=partial(self._failed, account),
            always=True,
        )

    def _answered(self, account: str, result: WatchResult) -> None:
        for watch in list(self._watches.get(account, ())):
            watch.stands(result)

    def _ask_late(self) -> None:
        late, self._late = self._late, {}
        for account in late:
            if account in self._watches:
                self._ask(account)

    def _failed(self, account: str, error: SignalError) -> None:
        if isinstance(error, UnansweredError) and not self._requests.is_sealed:
            # Nobody knows whether the server tells of it: nothing is to be missed.
            if account in self._watches:
                self._ask(account)
            return
        if error.retry_after is not None:
            # Very many are watched, or come back.
            self._late[account] = None
            self._alarm.set(trio.current_time() + error.retry_after)
            return
        for watch in self._watches.pop(account, ()):
            watch.end(error)

    def take(self, event: WatchedEvent) -> None:
        """Something has become of an account."""
        watches = self._watches.get(event.account)
        if watches is None:
            self._unwanted[event.account] = None
            self._let_go()
            return
        for watch in list(watches):
            watch.take(event)

    def resume(self) -> None:
        """There is another connection, on which nobody is watched yet."""
        self._unwanted.clear()
        self._late.clear()
        for account, watches in list(self._watches.items()):
            for watch in watches:
                watch.hold()
            self._ask(account)

    def close(self, error: SignalError | None) -> None:
        """The session is over."""

        def end(watch: Watch) -> None:
            watch.end(error)

        self._end = end
        self._alarm.cancel()
        watches, self._watches = self._watches, {}
        for some in watches.values():
            for watch in some:
                end(watch)
