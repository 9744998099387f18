"""Presence: who is online, under which generation, and when that ends.

Owns: logging in and out, the kick of the earlier login, the lease of an account that has lost its
connection (protocol.md, section 7). Must not know the connection: it tells of its end, and is told
of its login.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Sequence

import trio

from signal_sdk.ecodes import ECode
from signal_sdk.errors import LoginError, ParameterError, SignalError
from signal_sdk.server.clock import Clock
from signal_sdk.server.complaints import Complaint
from signal_sdk.server.config import AppConfig, Config
from signal_sdk.server.engine.base import (
    AccountKey,
    Answer,
    Engine,
    LoginFacts,
    Presence,
    UnknownError,
)
from signal_sdk.server.engine.happened import Why
from signal_sdk.server.engine.pending import after, settled, waited
from signal_sdk.server.hooks.verdicts import LOGIN, Questions, Verdict
from signal_sdk.server.hub import Hub
from signal_sdk.server.rates import Paces, Rates
from signal_sdk.server.refusals import REVOKED, as_login_error, login_too_often
from signal_sdk.server.revocations import Revocations
from signal_sdk.server.session import Session, digest
from signal_sdk.server.tokens import Token, check_token
from signal_sdk.server.visitors import RESERVED_PART, RETRY_SECONDS
from signal_sdk.wire import functions, login, names, results
from signal_sdk.wire.rights import Rights

logger: logging.Logger = logging.getLogger("signal_sdk.server.logins")

LINE_BYTES = 24
MINUTE_SECONDS = 60.0
LOOKED_AT_PER_TURN = 1000
"""How many sessions are looked at before others run."""


class Presences:
    """The rules of presence."""

    def __init__(
        self,
        engine: Engine,
        hub: Hub,
        config: Config,
        clock: Clock,
        revocations: Revocations,
        questions: Questions | None = None,
    ) -> None:
        self._questions = questions
        self._engine = engine
        self._hub = hub
        self._told_full = Complaint("nobody new of an app is let in")
        self._revocations = revocations
        self._skew = config.server.clock_skew_seconds
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

    async def log_in(self, request: login.Login) -> tuple[Session, Presence, str]:
        """`login`: the session, how it is, and its line, of which nothing but a digest is kept.
        Raises `LoginError`.
        """
        try:
            account = names.check_account(request.account)
        except ParameterError as exc:
            raise LoginError(ECode.LOGIN_E_INVALID_USER, exc.reason) from None
        if account in names.RESERVED_ACCOUNTS:
            raise LoginError(ECode.LOGIN_E_INVALID_USER, f"the account {account!r} is the server's")
        key, began = AccountKey(request.vid, account), self._engine.arrival_time()
        token = self._check_token(request, key)
        self._check_room(key, is_resume=False)
        self._check_pace(key)
        if self._questions is not None and LOGIN in self._questions.asked:
            await self._ask(self._questions, key, request)
        line = secrets.token_urlsafe(LINE_BYTES)
        facts = LoginFacts(
            line_digest=digest(line),
            device=request.device,
            ver=request.level,
            token_expires=token.expires,
            token_issued=token.issued,
            rights=token.rights.encode(),
            instance=request.instance,
            began=began,
            many_channels=request.many_channels is True,
        )
        keeps = request.keeps_presence
        try:
            presence = await settled(
                self._engine.log_in(key, facts, again=request.again, keeps=keeps)
            )
        except SignalError as exc:
            # The app has no room for one more.
            raise as_login_error(exc) from None
        if presence is None:
            raise LoginError(ECode.LOGIN_E_TOKEN_KICKED)
        return self._session(key, presence), presence, line

    @staticmethod
    async def _ask(questions: Questions, key: AccountKey, request: login.Login) -> None:
        """Ask the app's backend. Raises `LoginError`: one that has no answer may come again."""
        asking = questions.ask(LOGIN, app=key.app, account=key.account, device=request.device)
        verdict: Verdict = await settled(asking)
        if not verdict.allow:
            code = ECode.LOGIN_E_FAILED if verdict.is_answer else ECode.LOGIN_E_NET
            raise LoginError(code, verdict.reason)

    def _check_room(self, key: AccountKey, *, is_resume: bool) -> None:
        """Raise `LoginError` (201) where the app has no room for one more connection: the last
        tenth is for those who come back to a session.
        """
        most = self._limits.app_connections
        room = most if is_resume else most - most // RESERVED_PART
        if most and self._hub.others(key) >= room:
            self._told_full.tell(f"{key.app!r:.80} has {room} connections (app_connections)")
            what = "the app has as many connections as it may"
            raise login_too_often(what, RETRY_SECONDS, limit="app_connections")

    def _check_pace(self, key: AccountKey) -> None:
        """Count a login whose token is right: nobody else can use up an account's."""
        limit = self._limits.account_logins_per_minute
        if not limit:
            return
        pace = self._logins.of(key)
        if late := pace.seconds_left(limit, trio.current_time(), MINUTE_SECONDS):
            what = f"more than {limit} logins of the account in a minute"
            raise login_too_often(what, late, limit="account_logins_per_minute")

    def _check_token(self, request: login.Login, key: AccountKey) -> Token:
        """What the token says. Raises `LoginError`."""
        app = self._apps.get(request.vid)
        if app is None:
            if not self._dev:
                raise LoginError(ECode.LOGIN_E_FAILED, f"unknown app id {request.vid[:80]!r}")
            try:
                names.check_app_id(request.vid)
            except ParameterError as exc:
                raise LoginError(ECode.LOGIN_E_FAILED, exc.reason) from None
            app = AppConfig(id=request.vid)
        token = check_token(app, request.token, key.account, self.token_time(), skew=self._skew)
        if self._revocations.is_revoked(*key, token.issued, token.expires):
            raise LoginError(ECode.LOGIN_E_TOKENWRONG, REVOKED)
        return token

    def token_time(self) -> float:
        """The time that tokens are checked against."""
        return self._engine.token_time()

    async def resume(self, request: login.LineLogin) -> tuple[Session, Presence]:
        """`line_login`: the session of that line, under a new generation. Raises `LoginError`."""
        try:
            found = await settled(self._engine.resume(digest(request.line)))
        except UnknownError:
            # It may have been done, which nobody is told: the connection breaks.
            raise
        except SignalError as exc:
            # What it needs is away: it may come again.
            raise as_login_error(exc) from None
        if found is None:
            raise LoginError(ECode.LOGIN_E_FAILED, "there is no session of this line any more")
        key, presence = found
        session = self._session(key, presence)
        if session.token_expires is not None and session.token_expires <= self.token_time():
            await settled(self.log_out(session, why=Why.EXPIRED))
            raise LoginError(ECode.LOGIN_E_TOKENEXPIRED, "the session's token has expired")
        try:
            self._check_room(key, is_resume=True)
        except LoginError:
            # It may come again until its lease is over.
            await settled(self.disconnected(session))
            raise
        return session, presence

    def _session(self, key: AccountKey, presence: Presence) -> Session:
        return Session(
            key=key,
            uid=presence.uid,
            generation=presence.generation,
            line_digest=presence.line_digest,
            device=presence.device,
            ver=presence.ver,
            token_expires=presence.token_expires,
            rights=Rights.decode(presence.rights),
            many_channels=presence.many_channels,
            rates=self._sent,
        )

    async def current(self, session: Session) -> Presence | None:
        """How the session is; None where another login holds the account by now."""
        presence = await settled(self._engine.presence(session.key))
        is_its = presence is not None and presence.generation == session.generation
        return presence if is_its else None

    # --- the end ---

    def log_out(self, session: Session, *, why: str = Why.LOGOUT) -> Answer[bool]:
        """`user_logout`, or the end of the token: presence ends at once."""
        session.let_go()
        return self._engine.end(session.key, session.generation, why=why)

    def disconnected(self, session: Session) -> Answer[None]:
        """The session's connection is gone: it has `_conn_timeout` to come back."""
        session.let_go()
        return self._engine.disconnect(session.key, session.generation)

    async def recover(self) -> None:
        """The server has started."""
        self._check_clock()
        await self.end_revoked()

    def _check_clock(self) -> None:
        if not self._skew:
            self._engine.forget_newer_time()
            return
        behind = self._engine.newest_time() - self._clock()
        if behind > self._skew:
            logger.warning(
                "the clock is %d s behind the newest time that was seen here: tokens are checked "
                "against that; if it was that which was wrong, start once with "
                "clock_skew_seconds = 0 in [server]",
                behind,
            )

    async def end_revoked(self) -> None:
        """End the sessions whose token was taken back."""
        online = await waited(self._engine.online())
        for number, (key, presence) in enumerate(online, 1):
            if self._revocations.is_revoked(*key, presence.token_issued, presence.token_expires):
                await waited(
                    self._engine.end(key, presence.generation, expires=True, why=Why.REVOKED)
                )
            if number % LOOKED_AT_PER_TURN == 0:
                await trio.lowlevel.checkpoint()

    # --- asking ---

    def query_status(
        self, session: Session, args: functions.UserQueryStatus
    ) -> Answer[results.QueryStatusResult]:
        """`user_query_user_status`."""
        account = args.account
        return after(
            self._engine.presence(AccountKey(session.app, account)),
            lambda presence: results.QueryStatusResult(
                account=account, status=int(presence is not None)
            ),
        )
