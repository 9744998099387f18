"""Tokens of the modern form: a JWT, signed with the app's certificate by HMAC-SHA256 (RFC 7519).

Owns: the claims (protocol.md, section 8), and the only use of PyJWT, which signs and checks
signatures in constant time, and refuses every other algorithm. Must not know the clock: the time is
an argument, in Unix seconds. No error text holds a token or a certificate.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Final

import msgspec

from signal_sdk.ecodes import ECode
from signal_sdk.errors import LoginError, ParameterError
from signal_sdk.wire import names
from signal_sdk.wire.parameter_errors import as_python
from signal_sdk.wire.rights import ALL, Rights, check_patterns

if TYPE_CHECKING:
    import jwt

__all__ = ["MAX_TOKEN_CHARS", "MIN_CERTIFICATE_BYTES", "Claims", "check_jwt", "make_jwt"]

ALGORITHM: Final = "HS256"
MIN_CERTIFICATE_BYTES: Final = 32
"""What RFC 7518, 3.2, asks of the key; PyJWT warns of a shorter one."""
MAX_TOKEN_CHARS: Final = 2048
"""Rights take most of them. A longer one is not even looked at, whoever sends it."""
MAX_TIME: Final = 10**12 - 1


@functools.cache
def _signer() -> jwt.PyJWS:
    """PyJWT's. It is imported when a token of this form comes for the first time: with what it
    imports where that is installed, it takes as much memory as a thousand connections.
    """
    import jwt  # noqa: PLC0415  see above

    return jwt.PyJWS(algorithms=[ALGORITHM])


class Claims(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a token says, under the names that a JWT has for it: the app id, the account, from when
    to when it is good, when it was made, and its own id, all times in Unix seconds.
    """

    aud: str
    sub: str
    exp: int
    iat: int
    nbf: int = 0
    jti: str = ""
    rights: Rights = ALL


def make_jwt(claims: Claims, certificate: str) -> str:
    """Make the token of these claims. Raises `ParameterError` (1004, 1005) where one is wrong."""
    names.check_app_id(claims.aud)
    names.check_account(claims.sub)
    names.check_integer("expiry", claims.exp, 1, MAX_TIME, show=as_python)
    check_patterns("channel", claims.rights.channels)
    check_patterns("account", claims.rights.peers)
    if len(certificate.encode()) < MIN_CERTIFICATE_BYTES:
        raise ParameterError(
            ECode.GENERAL_E_WRONG_PARAM,
            f"the certificate has less than {MIN_CERTIFICATE_BYTES} bytes: "
            "too short a secret to sign a JWT with",
        )
    token = _signer().encode(msgspec.json.encode(claims), certificate, algorithm=ALGORITHM)
    if len(token) > MAX_TOKEN_CHARS:
        raise ParameterError(
            ECode.GENERAL_E_LARGE_PARAM,
            f"the token would have {len(token)} characters; at most {MAX_TOKEN_CHARS} are allowed",
        )
    return token


def check_jwt(
    token: str, app_id: str, certificate: str, account: str, now: float, *, skew: float = 0.0
) -> Claims:
    """Check `token` for `account` of `app_id` at `now`, and return what it says. The clock of
    whoever made it may be `skew` seconds ahead.

    Raises `LoginError`: 204 where it was good and has expired, 206 where it is not good.
    """
    if len(token) > MAX_TOKEN_CHARS or not token.isascii():
        raise _wrong("is no JWT: it is too long, or not of ASCII")
    signer = _signer()
    import jwt  # noqa: PLC0415  it is there by now

    try:
        payload = signer.decode(token, certificate, algorithms=[ALGORITHM])
    except jwt.InvalidSignatureError:
        raise _wrong("was not signed with this app's certificate") from None
    except (jwt.InvalidTokenError, RecursionError):
        # The latter before PyJWT 2.15, of a header that is nested deep.
        raise _wrong(
            f"is neither a JWT that is signed by {ALGORITHM} nor of the form 1:APP_ID:EXPIRY:DIGEST"
        ) from None
    try:
        claims = msgspec.json.decode(payload, type=Claims)
    except (msgspec.MsgspecError, RecursionError):
        raise _wrong(
            "lacks aud, sub, exp or iat, or one of its claims is not as it should be"
        ) from None
    if claims.aud != app_id:
        raise _wrong("is for another app id")
    if claims.sub != account:
        raise _wrong("is for another account")
    if claims.exp <= now:
        reason = f"the token has expired (at {claims.exp}, Unix seconds)"
        raise LoginError(ECode.LOGIN_E_TOKENEXPIRED, reason)
    if max(claims.nbf, claims.iat) > now + skew:
        raise _wrong("is not good yet: nbf or iat is later than this machine's clock")
    return claims


def _wrong(why: str) -> LoginError:
    return LoginError(ECode.LOGIN_E_TOKENWRONG, f"the token {why}")
