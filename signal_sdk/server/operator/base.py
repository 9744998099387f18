"""What all that an operator may ask for stands on: the apps, the names, and when it is done.

Owns: which app there is, what a name has to be, that nothing is said to be done before it is as
durable as the engine promises, how a list is handed out in pages, and that what takes long is done
in pieces, one at a time of all that operators ask. Must not know what is asked.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, TypeVar

from signal_sdk.errors import SignalError
from signal_sdk.server.clock import Clock
from signal_sdk.server.config import AppConfig, Config
from signal_sdk.server.engine.base import (
    AccountKey,
    Answer,
    CallKey,
    ChannelKey,
    Engine,
    Part,
    Pending,
)
from signal_sdk.server.engine.pending import waited
from signal_sdk.server.operator.facts import MAX_PAGE, NotThereError, Page
from signal_sdk.server.turnstile import Turnstile
from signal_sdk.wire import names

DEFAULT_PAGE: Final = 100
MOST_PARTS: Final = 50
"""How many parts of a list are looked at for one page."""

T = TypeVar("T")
U = TypeVar("U")


class Base:
    """The apps, and the engine that has their state."""

    def __init__(self, engine: Engine, config: Config, clock: Clock) -> None:
        self._engine = engine
        self._clock = clock
        self._dev = config.server.dev
        self._turns = Turnstile()
        self._apps: dict[str, AppConfig] = {}
        self.take_apps(config.apps)

    def take_apps(self, apps: Sequence[AppConfig]) -> None:
        """From here on these are the apps."""
        self._apps = {app.id: app for app in apps}

    def _check_app(self, app: str) -> None:
        if app not in self._apps:
            if not self._dev:
                raise NotThereError(f"there is no app {app[:80]!r}")
            names.check_app_id(app)

    def _begin(self, app: str) -> None:
        """Something of the app is to be changed."""
        self._check_app(app)
        self._engine.check_writable()

    async def _durable(self) -> None:
        """Wait until all that was done is durable. Raises `SignalError` where it cannot be."""
        done: Pending[SignalError | None] = Pending()
        self._engine.when_durable(done.resolve)
        error = await waited(done)
        if error is not None:
            raise error

    async def _page(
        self,
        ask: Callable[[str, int], Answer[Part[T]]],
        shape: Callable[[T], U],
        cursor: str,
        limit: int,
    ) -> Page[U]:
        """A page of what `ask` has behind a cursor, some at a time."""
        count, items = limit_of(limit), list[U]()
        for _ in range(MOST_PARTS):
            await self._turns.wait()
            part = await waited(ask(cursor, count - len(items)))
            items += map(shape, part.items)
            cursor = part.cursor
            if not cursor or len(items) >= count:
                break
        return Page(items, cursor)


def account_key(app: str, account: str) -> AccountKey:
    """The key of an account. Raises `ParameterError`, as all of these do."""
    return AccountKey(app, names.check_account(account))


def channel_key(app: str, channel: str) -> ChannelKey:
    """The key of a channel."""
    return ChannelKey(app, names.check_channel(channel))


def call_key(app: str, channel: str, caller: str, callee: str) -> CallKey:
    """The key of the call between two accounts about a channel."""
    one, other = sorted((names.check_account(caller), names.check_account(callee)))
    return CallKey(app, names.check_channel(channel), one, other)


def limit_of(limit: int) -> int:
    """How many a page is to have."""
    return names.check_integer("limit", limit, 1, MAX_PAGE)


def offline(key: AccountKey) -> NotThereError:
    """The account has no session."""
    return NotThereError(f"{key.account!r} is not online")


def no_channel(key: ChannelKey) -> NotThereError:
    """There is no such channel."""
    return NotThereError(f"there is no channel {key.channel!r}")


def no_call(key: CallKey) -> NotThereError:
    """There is no such call, or it is another one."""
    return NotThereError(
        f"there is no such call between {key.one!r} and {key.other!r} about {key.channel!r}"
    )
