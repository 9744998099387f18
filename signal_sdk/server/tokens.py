"""Who may log in with what: an app's certificates, and the forms of token that it takes.

Owns: which token an app accepts, what is kept of it, and how one is made that it accepts. Must not
know who is logged in, nor which tokens were revoked (revocations.py).
"""

from __future__ import annotations

import secrets
from typing import Final

import attrs

from signal_sdk.ecodes import ECode
from signal_sdk.errors import LoginError, ParameterError
from signal_sdk.server.config import AppConfig
from signal_sdk.wire import jwt_tokens, names, tokens
from signal_sdk.wire.rights import ALL, Rights

__all__ = ["DEFAULT_SECONDS", "NONE", "Token", "check_token", "make_token"]

DEFAULT_SECONDS: Final = 24 * 3600
"""How long a token is good for that is made without saying so."""
JTI_BYTES: Final = 12


@attrs.frozen(kw_only=True)
class Token:
    """What a login's token says, in Unix seconds: until when it is good (None: there is none), when
    it was made (None: it does not say so, being of the original form), and what it allows.
    """

    expires: int | None = None
    issued: int | None = None
    rights: Rights = ALL


NONE: Final = Token()
"""What a login without a token has."""


def check_token(app: AppConfig, token: str, account: str, now: float, *, skew: float) -> Token:
    """What `token` says, if it lets `account` log in to `app` at `now`; `skew` is how many seconds
    the clock of whoever made it may be ahead. Raises `LoginError` (204, 206), whose
    reason is for whoever has the certificate, not for whoever tries tokens.
    """
    if token in (names.NO_TOKEN, ""):
        if app.certificate and not app.allow_no_token:
            reason = f"the app needs a token, not {names.NO_TOKEN!r}"
            raise LoginError(ECode.LOGIN_E_TOKENWRONG, reason)
        return NONE
    if not app.certificate:
        # There is nothing to check it against, and the app lets everybody in.
        return NONE
    # A JWT holds no colon, and one of the original form three at least.
    is_old = ":" in token
    if is_old and not app.allow_old_tokens:
        reason = "the app takes no tokens of the original form: it needs a JWT"
        raise LoginError(ECode.LOGIN_E_TOKENWRONG, reason)
    check = _check_old if is_old else _check_jwt
    refusals: list[LoginError] = []
    for certificate in (app.certificate, *app.old_certificates):
        try:
            return check(app, token, certificate, account, now, skew)
        except LoginError as exc:
            refusals.append(exc)
    # One that was good says more than those that it was never signed with.
    for refusal in refusals:
        if refusal.ecode is not ECode.LOGIN_E_TOKENWRONG:
            raise refusal
    raise refusals[0]


def _check_jwt(
    app: AppConfig, token: str, certificate: str, account: str, now: float, skew: float
) -> Token:
    claims = jwt_tokens.check_jwt(token, app.id, certificate, account, now, skew=skew)
    return Token(expires=claims.exp, issued=claims.iat, rights=claims.rights)


def _check_old(
    app: AppConfig, token: str, certificate: str, account: str, now: float, _: float
) -> Token:
    return Token(expires=tokens.check_token(token, app.id, certificate, account, now))


def make_token(
    app: AppConfig,
    account: str,
    *,
    now: int,
    expires: int,
    is_jwt: bool = False,
    not_before: int | None = None,
    rights: Rights = ALL,
) -> str:
    """Make a token with which `account` can log in to `app` until `expires` (Unix seconds).

    Raises `ParameterError` (1004, 1005) where something is wrong, only a JWT could say it, or the
    app takes no token of that form, or none at all.
    """
    if not app.certificate:
        raise _no_token("the app has no certificate, and needs no token")
    if is_jwt:
        claims = jwt_tokens.Claims(
            aud=app.id,
            sub=account,
            exp=expires,
            iat=now,
            nbf=now if not_before is None else not_before,
            jti=secrets.token_urlsafe(JTI_BYTES),
            rights=rights,
        )
        return jwt_tokens.make_jwt(claims, app.certificate)
    if rights != ALL or not_before is not None:
        raise _no_token("only a JWT can have rights, or a time before which it is not good")
    if not app.allow_old_tokens:
        raise _no_token("the app takes no tokens of the original form: it needs a JWT")
    return tokens.make_token(app.id, app.certificate, account, expires)


def _no_token(why: str) -> ParameterError:
    return ParameterError(ECode.GENERAL_E_WRONG_PARAM, why)
