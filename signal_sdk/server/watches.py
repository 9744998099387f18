"""The accounts that one connection watches, and what of them its client is told.

Owns: how many those are. Must not know when anything becomes of an account: the engine does.
"""

from __future__ import annotations

from functools import partial

from signal_sdk.ecodes import ECode
from signal_sdk.errors import SignalError
from signal_sdk.server.attribute_forms import watch_result
from signal_sdk.server.config import LimitsConfig
from signal_sdk.server.engine.base import (
    AccountKey,
    Answer,
    Engine,
    Pending,
    Watched,
)
from signal_sdk.server.hub import Hub
from signal_sdk.server.refusals import LimitError
from signal_sdk.server.session import Session
from signal_sdk.server.wires.base import ClientLink
from signal_sdk.wire import results, typed
from signal_sdk.wire.attribute_functions import UserUnwatch, UserWatch

__all__ = ["Watches"]


class Watches:
    """What a connection watches. It is the hub's `Watcher`."""

    __slots__ = ("_engine", "_hub", "_keys", "_limits", "_link")

    def __init__(self, link: ClientLink, hub: Hub, engine: Engine, limits: LimitsConfig) -> None:
        self._link = link
        self._hub = hub
        self._engine = engine
        self._limits = limits
        self._keys: dict[AccountKey, None] = {}

    def ask(self, session: Session, args: UserWatch | UserUnwatch) -> Answer[results.Result]:
        """`user_watch` and `user_unwatch`. Raises `SignalError` over the limit of the former."""
        key = AccountKey(session.app, args.account)
        if isinstance(args, UserUnwatch):
            self._leave(key)
            return results.DONE
        most = self._limits.session_watches
        if key not in self._keys and len(self._keys) >= most > 0:
            raise LimitError(
                ECode.GENERAL_E_FAILED,
                f"{session.account!r} watches {most} accounts, the most allowed",
                limit="session_watches",
            )
        # First: what is told meanwhile has a number by which its client knows what is newer.
        is_new = key not in self._keys
        self._keys[key] = None
        self._hub.watch(key, self)
        asked = self._engine.watch(key)
        if not isinstance(asked, Pending):
            return watch_result(asked)
        if is_new:
            asked.when_done(partial(self._is_answered, key, asked))
        return asked.map(watch_result)

    def _is_answered(self, key: AccountKey, asked: Pending[Watched]) -> None:
        """Where there is no answer, nothing is watched."""
        try:
            asked.result()
        except SignalError:
            self._leave(key)

    def _leave(self, key: AccountKey) -> None:
        if self._keys.pop(key, self) is None and self._hub.unwatch(key, self):
            self._engine.unwatch(key)

    def forget(self) -> None:
        """The connection is no session's any more."""
        for key in list(self._keys):
            self._leave(key)

    def tell_watched(self, text: str) -> None:
        """Tell the client what has become of an account, as the hub has it spelled."""
        self._link.send(typed.Watched(text))
