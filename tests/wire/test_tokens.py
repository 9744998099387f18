"""SignalingTokens: the vector of protocol.md, section 8, and that nothing else logs in."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signal_sdk.ecodes import ECode
from signal_sdk.errors import LoginError, ParameterError
from signal_sdk.wire import tokens
from tests.wire import strategies as sts

APP_ID = "970ca35de60c44645bbae8a215061b33"
CERTIFICATE = "5cfd2fd1755d40ecb72977518be15d3b"
ACCOUNT = "TestAccount"
EXPIRY = 1446455471
TOKEN = f"1:{APP_ID}:{EXPIRY}:4815d52c4fd440bac35b981c12798774"

app_ids = st.text(st.characters(exclude_characters=":", codec="utf-8"), min_size=1, max_size=40)
certificates = st.text(min_size=1, max_size=40)
expiries = st.integers(1, 10**tokens.MAX_EXPIRY_DIGITS - 1)


def refusal(token: str, account: str = ACCOUNT, now: float = 0) -> ECode:
    with pytest.raises(LoginError) as caught:
        tokens.check_token(token, APP_ID, CERTIFICATE, account, now)
    text = f"{caught.value} {caught.value!r}"
    assert CERTIFICATE not in text
    assert len(token) < 32 or token not in text
    return caught.value.ecode


def test_documented_vector_is_made() -> None:
    """The published app id, certificate, account and expiry make the published token."""
    assert tokens.make_token(APP_ID, CERTIFICATE, ACCOUNT, EXPIRY) == TOKEN


def test_documented_vector_is_accepted() -> None:
    """The published token is good until its expiry."""
    assert tokens.check_token(TOKEN, APP_ID, CERTIFICATE, ACCOUNT, EXPIRY - 1) == EXPIRY
    assert tokens.check_token(TOKEN, APP_ID, CERTIFICATE, ACCOUNT, EXPIRY - 0.001) == EXPIRY


def test_digest_is_accepted_in_upper_case() -> None:
    """Hexadecimal digits mean the same in either case."""
    head, digest = TOKEN.rsplit(":", 1)
    token = f"{head}:{digest.upper()}"
    assert tokens.check_token(token, APP_ID, CERTIFICATE, ACCOUNT, 0) == EXPIRY


@pytest.mark.parametrize("now", [EXPIRY, EXPIRY + 1, 1e18, float("inf")])
def test_expired_token_is_refused_with_204(now: float) -> None:
    """From the second of its expiry on, a good token is an expired one."""
    assert refusal(TOKEN, now=now) is ECode.LOGIN_E_TOKENEXPIRED


def test_forged_token_is_wrong_rather_than_expired() -> None:
    """A token that never was good is 206 at any time: 204 would say that its digest was right."""
    assert refusal(TOKEN[:-1] + "5", now=EXPIRY + 1) is ECode.LOGIN_E_TOKENWRONG


@pytest.mark.parametrize(
    "token",
    [
        "",
        ":",
        ":::",
        "1",
        "_no_need_token",
        TOKEN[1:],
        TOKEN[:-1],
        TOKEN + "0",
        TOKEN + ":",
        " " + TOKEN,
        TOKEN + "\n",
        TOKEN.replace("1:", "2:", 1),
        TOKEN.replace("1:", "01:", 1),
        TOKEN.replace(APP_ID, APP_ID.upper()),
        TOKEN.replace(APP_ID, ""),
        TOKEN.replace(f":{EXPIRY}:", f":{EXPIRY + 1}:"),
        TOKEN.replace(f":{EXPIRY}:", f":0{EXPIRY}:"),
        TOKEN.replace(f":{EXPIRY}:", f":+{EXPIRY}:"),
        TOKEN.replace(f":{EXPIRY}:", f": {EXPIRY}:"),
        TOKEN.replace(f":{EXPIRY}:", "::"),
        TOKEN.replace(f":{EXPIRY}:", ":-1:"),
        TOKEN.replace(f":{EXPIRY}:", ":१४४६४५५४७१:"),
        TOKEN.replace(f":{EXPIRY}:", f":{'9' * 5000}:"),
        TOKEN[:-1] + "\ud800",
        TOKEN[:-1] + "é",
    ],
    ids=sts.label,
)
def test_malformed_token_is_refused_with_206(token: str) -> None:
    """Whatever differs from the published token in form or content is refused as wrong."""
    assert refusal(token) is ECode.LOGIN_E_TOKENWRONG


@pytest.mark.parametrize(
    "account", ["", "testaccount", "TestAccount ", "TestAccoun", "\ud800"], ids=sts.label
)
def test_token_of_another_account_is_refused_with_206(account: str) -> None:
    """A token is good for its own account only, also where no account could have the other name."""
    assert refusal(TOKEN, account) is ECode.LOGIN_E_TOKENWRONG


@given(app_ids, certificates, sts.accounts, expiries)
def test_made_token_is_accepted(app_id: str, certificate: str, account: str, expiry: int) -> None:
    """What is made for an account is good for it until its expiry, in the documented form."""
    token = tokens.make_token(app_id, certificate, account, expiry)
    assert tokens.check_token(token, app_id, certificate, account, expiry - 1) == expiry
    version, app, digits, digest = token.split(":")
    assert (version, app, digits) == ("1", app_id, str(expiry))
    assert re.fullmatch("[0-9a-f]{32}", digest)


@sts.few_examples
@given(sts.accounts, sts.accounts, certificates, certificates)
def test_token_is_good_for_its_account_and_certificate_only(
    account: str, other: str, certificate: str, other_certificate: str
) -> None:
    """Another account, or the same under another certificate, is refused as wrong."""
    token = tokens.make_token(APP_ID, certificate, account, EXPIRY)
    for who, secret in ((other, certificate), (account, other_certificate)):
        if (who, secret) == (account, certificate):
            continue
        with pytest.raises(LoginError) as caught:
            tokens.check_token(token, APP_ID, secret, who, 0)
        assert caught.value.ecode is ECode.LOGIN_E_TOKENWRONG


@given(
    sts.any_texts
    | st.lists(sts.any_texts | st.sampled_from(["1", APP_ID, str(EXPIRY)]), max_size=5).map(
        ":".join
    ),
    sts.any_texts,
)
def test_any_text_as_token_is_refused_with_206(token: str, account: str) -> None:
    """No text, lone surrogates included, raises anything but the documented error."""
    assert refusal(token, account) is ECode.LOGIN_E_TOKENWRONG


@pytest.mark.parametrize(
    ("app_id", "certificate", "account", "expiry"),
    [
        ("", CERTIFICATE, ACCOUNT, EXPIRY),
        ("a:b", CERTIFICATE, ACCOUNT, EXPIRY),
        ("\ud800", CERTIFICATE, ACCOUNT, EXPIRY),
        (APP_ID, "", ACCOUNT, EXPIRY),
        (APP_ID, CERTIFICATE, "", EXPIRY),
        (APP_ID, CERTIFICATE, "a b", EXPIRY),
        (APP_ID, CERTIFICATE, "\ud800", EXPIRY),
        (APP_ID, CERTIFICATE, ACCOUNT, 0),
        (APP_ID, CERTIFICATE, ACCOUNT, -1),
        (APP_ID, CERTIFICATE, ACCOUNT, True),
        (APP_ID, CERTIFICATE, ACCOUNT, 10**tokens.MAX_EXPIRY_DIGITS),
        (APP_ID, CERTIFICATE, ACCOUNT, 10**5000),
    ],
    ids=sts.label,
)
def test_token_of_wrong_parameters_is_not_made(
    app_id: str, certificate: str, account: str, expiry: int
) -> None:
    """What could never log in is refused with 1004 where it is made; the secret is not named."""
    with pytest.raises(ParameterError) as caught:
        tokens.make_token(app_id, certificate, account, expiry)
    assert caught.value.ecode is ECode.GENERAL_E_WRONG_PARAM
    assert CERTIFICATE not in str(caught.value)


@pytest.mark.parametrize("position", range(3))
@pytest.mark.parametrize("wrong", [b"x", None, 7])
def test_a_token_is_made_of_text(position: int, wrong: Any) -> None:
    """Bytes in their quotes would make a token that fits nothing."""
    args: list[Any] = ["app", "certificate", "account", 10**9]
    args[position] = wrong
    with pytest.raises(ParameterError, match=f"of the type {type(wrong).__name__}, not str") as it:
        tokens.make_token(*args)
    assert it.value.ecode == 1004


def test_token_of_too_long_an_account_is_not_made() -> None:
    """An account over its limit is refused with 1005."""
    with pytest.raises(ParameterError) as caught:
        tokens.make_token(APP_ID, CERTIFICATE, "a" * 129, EXPIRY)
    assert caught.value.ecode is ECode.GENERAL_E_LARGE_PARAM
