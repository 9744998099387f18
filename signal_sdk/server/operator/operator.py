"""The operator: what whoever runs the server may ask of it, and the rules of that.

Owns: how these are put together, and tokens. Must not know how it is asked (HTTP is `admin`'s), nor
where anything is kept: it knows the engine by its contract, and this node's connections by
`Connections`.

An operator is no session: nothing that it does is fenced, and no rate of a user's holds for it. The
bounds of what is kept do, and a channel's rates, since its members hear of all that is said there.
"""

from __future__ import annotations

import time

import trio

from signal_sdk.server.clock import Clock
from signal_sdk.server.config import AppConfig, Config
from signal_sdk.server.engine.base import Engine
from signal_sdk.server.operator.changing import Changing
from signal_sdk.server.operator.facts import Token
from signal_sdk.server.operator.looking import Connections, Looking
from signal_sdk.server.operator.telling import Telling
from signal_sdk.server.tokens import DEFAULT_SECONDS, make_token
from signal_sdk.wire import names
from signal_sdk.wire.rights import ALL, Rights

__all__ = ["Connections", "Operator"]


class Operator(Telling, Changing, Looking):
    """What may be done in every app that is configured (in dev mode: in any). Its methods wait
    until what they change is as durable as the engine promises.

    All raise `SignalError`, and have done nothing then: `ParameterError` (1004, 1005) where
    something given is wrong or too large, `NotThereError` where an app, an account's session, a
    channel or a call is not there, `LimitError` where there is no room or a rate is reached
    (`retry_after` says for how long), and another where the state cannot be changed at the moment.
    Where the engine loses sight of the state meanwhile, it is `UnknownError`: it may have been
    done.
    """

    def __init__(
        self, engine: Engine, config: Config, connections: Connections, clock: Clock = time.time
    ) -> None:
        super().__init__(engine, config, connections, clock)

    async def make_token(
        self,
        app: str,
        account: str,
        *,
        seconds: int = DEFAULT_SECONDS,
        expires: int | None = None,
        is_jwt: bool = False,
        not_before: int | None = None,
        rights: Rights = ALL,
    ) -> Token:
        """A token with which `account` can log in, good for `seconds` from now, or until `expires`
        (Unix seconds). `not_before` and `rights` are a JWT's only. Raises `ParameterError` where
        the app has no certificate, or takes no tokens of that form.
        """
        self._check_app(app)
        now = int(self._clock())
        names.check_integer("seconds", seconds, 1)
        until = now + seconds if expires is None else expires
        text = make_token(
            self._apps.get(app) or AppConfig(id=app),
            names.check_account(account),
            now=now,
            expires=until,
            is_jwt=is_jwt,
            not_before=not_before,
            rights=rights,
        )
        await trio.lowlevel.checkpoint()
        return Token(text=text, expires=until)
