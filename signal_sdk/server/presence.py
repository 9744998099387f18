"""Presence: who is online, under which generation, and when that ends.

Owns: logging in and out, the kick of the earlier login, the lease of an account that has lost its
connection (protocol.md, section 7). Must not know the connection: it tells of its end, and is told
of its login.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable, Sequence
from functools import partial

import trio

from signal_sdk.ecodes import ECode
from signal_sdk.errors import LoginError, ParameterError, SignalError
from signal_sdk.server.attributes import UserAttributes
from signal_sdk.server.calls import Calls
from signal_sdk.server.channels import OFFLINE, ONLINE, Channels
from signal_sdk.server.clock import Clock
from signal_sdk.server.config import AppConfig, Config
from signal_sdk.server.engine.base import AccountKey, Engine, Presence
from signal_sdk.server.rates import Paces, Rates
from signal_sdk.server.refusals import login_too_often
from signal_sdk.server.session import Session
from signal_sdk.server.timers import Timers
from signal_sdk.wire import functions, login, names, results, tokens

LINE_BYTES = 24
MINUTE_SECONDS = 60.0
MAX_VER = 2**31 - 1


def digest(line: str) -> bytes:
    """What is kept of a session's `line`."""
    return hashlib.sha256(line.encode()).digest()


def _may_take(request: login.Login, presence: Presence) -> bool:
    """May this login end that session? One that comes again by itself may end its own only."""
    return not request.again or presence.instance == request.instance


class Presences:
    """The rules of presence."""

    def __init__(
        self,
        engine: Engine,
        users: UserAttributes,
        channels: Channels,
        calls: Calls,
        timers: Timers,
        config: Config,
        clock: Clock,
    ) -> None:
        self._engine = engine
        self._users = users
        self._channels = channels
        self._calls = calls
        self._timers = timers
        self.take_apps(config.apps)
        self._dev = config.server.dev
        self._clock = clock
        # Here, since whoever logs in again must not begin a second of its own.
        self._sent: Rates[AccountKey] = Rates()
        self._limits = config.limits
        self._logins: Paces[AccountKey] = Paces()

    def take_apps(self, apps: Sequence[AppConfig]) -> None:
        """From here on these apps' users may log in; who is logged in stays."""
        self._apps = {app.id: app for app in apps}

    # --- logging in ---

    async def log_in(self, request: login.Login) -> Session:
        """`login`. Raises `LoginError`."""
        try:
            account = names.check_account(request.account)
        except ParameterError as exc:
            raise LoginError(ECode.LOGIN_E_INVALID_USER, exc.reason) from None
        if account in names.RESERVED_ACCOUNTS:
            raise LoginError(ECode.LOGIN_E_INVALID_USER, f"the account {account!r} is the server's")
        token_expires = self._check_token(request, account)
        key = AccountKey(request.vid, account)
        self._check_pace(key)
        if not request.keeps_presence:
            await self._end(key, partial(_may_take, request), kick=True)
        line = secrets.token_urlsafe(LINE_BYTES)
        try:
            made = await self._engine.log_in(
                key,
                line_digest=digest(line),
                device=request.device,
                # Only whether it is PUSH_VERSION or more counts; a client may say any number.
                ver=max(0, min(request.ver, MAX_VER)),
                token_expires=token_expires,
                instance=request.instance,
                again=request.again,
            )
        except SignalError as exc:
            # The app has no room for one more.
            raise LoginError(ECode.LOGIN_E_NET, exc.reason) from None
        if made is None:
            raise LoginError(ECode.LOGIN_E_TOKEN_KICKED)
        presence, before = made
        if before is None:
            await self._channels.tell_presence(ONLINE, key, presence.uid)
        return self._session(key, presence, line)

    def _check_pace(self, key: AccountKey) -> None:
        """Count a login whose token is right: nobody else can use up an account's."""
        pace, limit = self._logins.of(key), self._limits.account_logins_per_minute
        if late := pace.seconds_left(limit, trio.current_time(), MINUTE_SECONDS):
            raise login_too_often(f"more than {limit} logins of the account in a minute", late)

    def _check_token(self, request: login.Login, account: str) -> int | None:
        """The token's expiry, None where no token is needed."""
        app = self._apps.get(request.vid)
        if app is None:
            if not self._dev:
                raise LoginError(ECode.LOGIN_E_FAILED, f"unknown app id {request.vid[:80]!r}")
            if not request.vid:
                raise LoginError(ECode.LOGIN_E_FAILED, "the app id is empty")
            app = AppConfig(id=request.vid)
        if request.token in (names.NO_TOKEN, ""):
            if app.certificate and not app.allow_no_token:
                raise LoginError(
                    ECode.LOGIN_E_TOKENWRONG, f"the app needs a token, not {names.NO_TOKEN!r}"
                )
            return None
        if not app.certificate:
            # There is nothing to check it against, and the app lets everybody in.
            return None
        return tokens.check_token(request.token, app.id, app.certificate, account, self._clock())

    async def resume(self, request: login.LineLogin) -> Session:
        """`line_login`: the session of that line, under a new generation. Raises `LoginError`."""
        found = await self._engine.resume(digest(request.line))
        if found is None:
            raise LoginError(ECode.LOGIN_E_FAILED, "there is no session of this line any more")
        key, presence = found
        session = self._session(key, presence, request.line)
        if session.token_expires is not None and session.token_expires <= self._clock():
            await self.log_out(session)
            raise LoginError(ECode.LOGIN_E_TOKENEXPIRED, "the session's token has expired")
        return session

    def _session(self, key: AccountKey, presence: Presence, line: str) -> Session:
        return Session(
            key=key,
            uid=presence.uid,
            generation=presence.generation,
            line=line,
            device=presence.device,
            ver=presence.ver,
            token_expires=presence.token_expires,
            channel=presence.channel,
            sent=self._sent.hold(key, trio.current_time()),
        )

    async def is_current(self, session: Session) -> bool:
        """Does this login still hold the account?"""
        presence = await self._engine.presence(session.key)
        return presence is not None and presence.generation == session.generation

    # --- the end ---

    async def log_out(self, session: Session) -> None:
        """`user_logout`, or the end of the token: presence ends at once."""
        self._sent.of(session.key, trio.current_time())
        await self._end(session.key, lambda presence: presence.generation == session.generation)

    async def disconnected(self, session: Session) -> None:
        """The session's connection is gone: it has `_conn_timeout` to come back."""
        self._sent.of(session.key, trio.current_time())
        await self._begin_lease(session.key, session.generation)

    async def recover(self) -> None:
        """The server has started: whoever was online has lost the connection. Leases that ran go
        on; the others begin now, since nobody could come back before.
        """
        for key, presence in await self._engine.online():
            if presence.lease_ends is None:
                await self._begin_lease(key, presence.generation)
            else:
                self._watch_lease(key, presence.generation, presence.lease_ends - self._clock())

    async def _begin_lease(self, key: AccountKey, generation: int) -> None:
        lease = await self._users.conn_timeout(key)
        if await self._engine.disconnect(key, generation, self._clock() + lease):
            self._watch_lease(key, generation, lease)

    def _watch_lease(self, key: AccountKey, generation: int, seconds: float) -> None:
        async def run_out() -> None:
            await self._end(
                key,
                lambda presence: (
                    presence.generation == generation and presence.lease_ends is not None
                ),
            )

        self._timers.after(seconds, run_out)

    async def _end(
        self, key: AccountKey, is_meant: Callable[[Presence], bool], *, kick: bool = False
    ) -> None:
        """End the account's presence if it is the one that is meant, and tell everybody whom it
        concerns.
        """
        while (presence := await self._engine.presence(key)) is not None and is_meant(presence):
            announce = None
            if presence.channel is not None:
                announce = await self._channels.departure(key, presence.uid, presence.channel)
            ended = await self._engine.log_out(
                key, presence, announce, kick=kick, now=self._clock()
            )
            if ended is None:
                continue
            if presence.channel is not None and ended.left is not None:
                await self._channels.departed(key, presence.uid, presence.channel, ended.left)
            await self._calls.end_all(key)
            await self._channels.tell_presence(OFFLINE, key, presence.uid)
            return

    # --- asking ---

    async def query_status(
        self, session: Session, args: functions.UserQueryStatus
    ) -> results.QueryStatusResult:
        """`user_query_user_status`."""
        presence = await self._engine.presence(AccountKey(session.app, args.account))
        return results.QueryStatusResult(account=args.account, status=int(presence is not None))
