"""JWTs: what is made is good, and nothing else is."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from typing import Any

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from signal_sdk.ecodes import ECode
from signal_sdk.errors import LoginError, ParameterError
from signal_sdk.wire import jwt_tokens
from signal_sdk.wire.jwt_tokens import MAX_TOKEN_CHARS, Claims, check_jwt, make_jwt
from signal_sdk.wire.rights import ALL, Rights
from tests.wire import strategies as sts

APP = "970ca35de60c44645bbae8a215061b33"
CERTIFICATE = "5cfd2fd1755d40ecb72977518be15d3b"
OTHER = "0b2cf9f5bd6541f0a7e4c3d1e8f60a72"
NOW = 1_800_000_000
CLAIMS = Claims(aud=APP, sub="ann", exp=NOW + 60, iat=NOW, nbf=NOW, jti="1")
PLAIN: dict[str, Any] = {"aud": APP, "sub": "ann", "exp": NOW + 60, "iat": NOW}


def part(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def signed(
    payload: object, header: dict[str, object] | None = None, *, secret: str = CERTIFICATE
) -> str:
    """A token that our own code would not make."""
    head = {"alg": "HS256", "typ": "JWT"} if header is None else header
    body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    text = f"{part(json.dumps(head).encode())}.{part(body)}"
    digest = {"HS384": hashlib.sha384, "HS512": hashlib.sha512}.get(
        str(head.get("alg")), hashlib.sha256
    )
    return f"{text}.{part(hmac.new(secret.encode(), text.encode(), digest).digest())}"


def check(token: str, account: str = "ann", now: float = NOW, **more: Any) -> Claims:
    return check_jwt(token, APP, CERTIFICATE, account, now, **more)


def refusal(token: str, **more: Any) -> LoginError:
    with pytest.raises(LoginError) as caught:
        check(token, **more)
    text = f"{caught.value!r} {caught.value}"
    assert CERTIFICATE not in text
    assert len(token) < 32 or token not in text
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__ or caught.value.__context__ is None
    return caught.value


def test_what_is_made_says_what_it_was_made_of() -> None:
    """And another program's library reads it."""
    rights = Rights(channels=("room", "team-*"), peers=(), listener=True)
    claims = Claims(aud=APP, sub="ann", exp=NOW + 60, iat=NOW, nbf=NOW, jti="1", rights=rights)
    token = make_jwt(claims, CERTIFICATE)
    assert check(token) == claims
    assert jwt.decode(
        token,
        CERTIFICATE,
        ["HS256"],
        audience=APP,
        options={"verify_exp": False, "verify_iat": False, "verify_nbf": False},
    ) == {
        **PLAIN,
        "nbf": NOW,
        "jti": "1",
        "rights": {"channels": ["room", "team-*"], "peers": [], "listener": True},
    }


def test_one_that_another_library_makes_is_good() -> None:
    token = jwt.encode({**PLAIN, "name": "more"}, CERTIFICATE, algorithm="HS256")
    assert check(token) == Claims(**PLAIN)
    assert check(token).rights == ALL


def test_it_is_good_until_its_end_and_not_in_that_moment() -> None:
    token = make_jwt(CLAIMS, CERTIFICATE)
    assert check(token, now=NOW + 59.9) == CLAIMS
    error = refusal(token, now=NOW + 60)
    assert error.ecode is ECode.LOGIN_E_TOKENEXPIRED


@pytest.mark.parametrize("claim", ["nbf", "iat"])
def test_it_is_not_good_before_its_time_but_for_the_skew(claim: str) -> None:
    token = signed({**PLAIN, claim: NOW + 30})
    assert refusal(token).ecode is ECode.LOGIN_E_TOKENWRONG
    assert refusal(token, skew=29).ecode is ECode.LOGIN_E_TOKENWRONG
    assert check(token, skew=30).exp == NOW + 60


def test_the_skew_makes_no_expired_one_good() -> None:
    assert refusal(signed(PLAIN), now=NOW + 61, skew=600).ecode is ECode.LOGIN_E_TOKENEXPIRED


def test_an_expired_one_that_was_never_good_is_wrong() -> None:
    """204 would say that its signature was right."""
    token = signed({**PLAIN, "exp": 1}, secret=OTHER)
    assert refusal(token).ecode is ECode.LOGIN_E_TOKENWRONG


WRONG = {
    "another certificate": signed(PLAIN, secret=OTHER),
    "another app": signed({**PLAIN, "aud": "other"}),
    "another account": signed({**PLAIN, "sub": "bob"}),
    "several apps": signed({**PLAIN, "aud": [APP, "other"]}),
    "no app": signed({name: value for name, value in PLAIN.items() if name != "aud"}),
    "no account": signed({name: value for name, value in PLAIN.items() if name != "sub"}),
    "no end": signed({name: value for name, value in PLAIN.items() if name != "exp"}),
    "no time of issue": signed({name: value for name, value in PLAIN.items() if name != "iat"}),
    "an end that is text": signed({**PLAIN, "exp": str(NOW + 60)}),
    "an end that is no number": signed({**PLAIN, "exp": float("inf")}),
    "an account that is a number": signed({**PLAIN, "sub": 5}),
    "a right that is not known": signed({**PLAIN, "rights": {"admin": True}}),
    "a right of the wrong kind": signed({**PLAIN, "rights": {"channels": "room"}}),
    "rights that are none": signed({**PLAIN, "rights": None}),
    "no signature": signed(PLAIN).rpartition(".")[0] + ".",
    "no algorithm": signed(PLAIN, {"alg": "none"}),
    "no algorithm, no signature": signed(PLAIN, {"alg": "none"}).rpartition(".")[0] + ".",
    "another algorithm": signed(PLAIN, {"alg": "HS512"}),
    "an algorithm that is nothing": signed(PLAIN, {"alg": ["HS256"]}),
    "a demand that cannot be met": signed(PLAIN, {"alg": "HS256", "crit": ["x"], "x": 1}),
    "no object": signed([1]),
    "no JSON": signed(b"{"),
    "deep JSON": signed(b"[" * 600),
    "three dots": "...",
    "too long": signed({**PLAIN, "x": "x" * MAX_TOKEN_CHARS}),
    "a deep header": part(b"[" * 1200) + ".a.b",
    "a number too long": part(b'{"alg":"HS256","n":' + b"9" * 1400 + b"}") + ".a.b",
    "half a surrogate pair": "\ud800.a.b",
    "not of ASCII": "é.é.é",
}


@pytest.mark.parametrize("token", WRONG.values(), ids=WRONG.keys())
def test_any_other_is_refused_with_206(token: str) -> None:
    assert refusal(token).ecode is ECode.LOGIN_E_TOKENWRONG


def test_a_token_that_was_changed_anywhere_is_refused() -> None:
    token = make_jwt(CLAIMS, CERTIFICATE)
    for at in range(len(token) - 1):
        changed = "A" if token[at] != "A" else "B"
        assert refusal(token[:at] + changed + token[at + 1 :]).ecode is ECode.LOGIN_E_TOKENWRONG


@given(sts.any_texts | st.lists(sts.any_texts, min_size=3, max_size=3).map(".".join))
def test_any_text_is_refused_with_206(text: str) -> None:
    assert refusal(text).ecode is ECode.LOGIN_E_TOKENWRONG


@given(sts.json_values())
def test_any_payload_that_was_signed_is_refused_or_read(payload: object) -> None:
    assert refusal(signed(payload)).ecode is ECode.LOGIN_E_TOKENWRONG


@pytest.mark.parametrize(
    ("wrong", "ecode"),
    [
        ({"aud": ""}, 1004),
        ({"aud": "a:b"}, 1004),
        ({"sub": "a b"}, 1004),
        ({"sub": "a" * 129}, 1005),
        ({"exp": 0}, 1004),
        ({"rights": Rights(channels=("",))}, 1004),
        ({"rights": Rights(peers=("a b",))}, 1004),
        ({"rights": Rights(peers=tuple(f"account-{n}" for n in range(200)))}, 1005),
    ],
)
def test_one_of_wrong_claims_is_not_made(wrong: dict[str, Any], ecode: int) -> None:
    facts = {"aud": APP, "sub": "ann", "exp": NOW + 60, "iat": NOW, **wrong}
    with pytest.raises(ParameterError) as caught:
        make_jwt(Claims(**facts), CERTIFICATE)
    assert caught.value.ecode == ecode


def test_a_certificate_that_could_be_guessed_signs_none() -> None:
    """PyJWT would only warn."""
    with pytest.raises(ParameterError, match="less than 32 bytes") as caught:
        make_jwt(CLAIMS, CERTIFICATE[:31])
    assert CERTIFICATE[:31] not in str(caught.value)
    assert make_jwt(CLAIMS, "é" * (jwt_tokens.MIN_CERTIFICATE_BYTES // 2))
