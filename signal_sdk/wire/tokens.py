"""SignalingTokens: making and checking `1:APP_ID:EXPIRY:MD5HEX(account + APP_ID + CERTIFICATE +
EXPIRY)`.

Owns: the token's form (protocol.md, section 8). Must not know the clock: the time is an argument,
in Unix seconds. No error text holds a token or a certificate.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import Final

from signal_sdk.ecodes import ECode
from signal_sdk.errors import LoginError, ParameterError
from signal_sdk.wire import names
from signal_sdk.wire.parameter_errors import as_python, wrong

VERSION: Final = "1"
MAX_EXPIRY_DIGITS: Final = 12


def _digest(app_id: str, certificate: str, account: str, expiry: str) -> str:
    text = f"{account}{app_id}{certificate}{expiry}"
    # The retired service's form fixes MD5; what protects the token is that the certificate is
    # secret.
    return hashlib.md5(text.encode(errors="surrogatepass"), usedforsecurity=False).hexdigest()


def make_token(app_id: str, certificate: str, account: str, expiry: int) -> str:
    """Make the SignalingToken that lets `account` log in to `app_id` until `expiry` (Unix seconds).

    Raises `ParameterError` (1004, 1005) where the account, the app id or the expiry is wrong.
    As the documents' page "How to Get and Use a SignalingToken" says.
    """
    given = {"app id": app_id, "certificate": certificate, "account": account}
    for what, text in given.items():
        if not issubclass(type(text), str):
            reason = f"{what} is of the type {type(text).__name__}, not str"
            raise ParameterError(ECode.GENERAL_E_WRONG_PARAM, reason)
    account = names.check_account(account)
    if not app_id or ":" in app_id or not names.is_encodable(app_id):
        raise wrong("app id", app_id, "is empty, or holds a colon or half a surrogate pair")
    if not certificate:
        raise ParameterError(ECode.GENERAL_E_WRONG_PARAM, "the certificate is empty")
    names.check_integer("expiry", expiry, 1, 10**MAX_EXPIRY_DIGITS - 1, show=as_python)
    return f"{VERSION}:{app_id}:{expiry}:{_digest(app_id, certificate, account, str(expiry))}"


def check_token(token: str, app_id: str, certificate: str, account: str, now: float) -> int:
    """Check `token` for `account` of `app_id` at `now`, and return its expiry (Unix seconds).

    Raises `LoginError`: 204 where it was good and has expired, 206 where it never was good.
    """
    version, _, rest = token.partition(":")
    head, _, digest = rest.rpartition(":")
    token_app, _, expiry = head.rpartition(":")
    if (
        version != VERSION
        or not expiry.isascii()
        or not expiry.isdigit()
        or len(expiry) > MAX_EXPIRY_DIGITS
    ):
        raise LoginError(
            ECode.LOGIN_E_TOKENWRONG, "the token is not of the form 1:APP_ID:EXPIRY:DIGEST"
        )
    if token_app != app_id:
        raise LoginError(ECode.LOGIN_E_TOKENWRONG, "the token is for another app id")
    expected = _digest(app_id, certificate, account, expiry)
    if not hmac.compare_digest(expected.encode(), digest.lower().encode(errors="replace")):
        raise LoginError(
            ECode.LOGIN_E_TOKENWRONG,
            "the token's digest does not match this account and certificate",
        )
    if int(expiry) <= now:
        raise LoginError(
            ECode.LOGIN_E_TOKENEXPIRED, f"the token has expired (at {expiry}, Unix seconds)"
        )
    return int(expiry)
