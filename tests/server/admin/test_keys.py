"""Keys to the admin address: who is let in, and what those hear who are not."""

from __future__ import annotations

import hmac
import logging
from typing import Any, Final

import attrs
import pytest
from trio.testing import MockClock

from signal_sdk.server.admin import keys as keys_module
from signal_sdk.server.admin.keys import MINUTE_SECONDS, WRONG_PER_MINUTE
from signal_sdk.server.config import AdminKeyConfig
from tests.server.admin.helpers import (
    APP_KEY,
    KEY,
    WRONG_KEY,
    admin_config,
    asker,
)

ACCOUNT = "/v1/apps/app/accounts/ann"


async def test_without_a_key_nobody_is_told_anything(autojump_clock: MockClock) -> None:
    async with asker() as ask:
        for path in ("/v1/key", "/v1/apps/app/accounts", "/v1/nothing", "/v1/"):
            for method in ("GET", "POST", "PATCH"):
                answer = await ask(method, path, None)
                assert answer.status_code == 401
                assert answer.headers["www-authenticate"] == 'Bearer realm="signal-sdk admin"'
                assert answer.headers["content-type"] == "application/problem+json"
                assert answer.json()["type"] == "urn:signal-sdk:problem:no-key"
        assert ask.operator.asked == []


@pytest.mark.parametrize(
    "authorization",
    ["", "Bearer", "Basic dXNlcjpwYXNz", f"Bearer {KEY} {KEY}", f"Digest {KEY}", KEY],
)
async def test_what_is_no_key_is_none(autojump_clock: MockClock, authorization: str) -> None:
    async with asker() as ask:
        answer = await ask("GET", "/v1/key", None, headers={"Authorization": authorization})
        assert answer.status_code == 401


@pytest.mark.parametrize(
    "key", [WRONG_KEY, KEY[:-1], f"{KEY}0", KEY.upper(), APP_KEY.lower(), "é", "\udcff"]
)
async def test_a_wrong_key_hears_so_and_is_not_repeated(
    autojump_clock: MockClock, key: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with asker() as ask:
        header = f"Bearer {key}".encode("utf-8", "surrogateescape")
        answer = await ask("GET", "/v1/key", None, headers={"Authorization": header})
        assert answer.status_code == 401
        assert 'error="invalid_token"' in answer.headers["www-authenticate"]
        assert key not in answer.text
        assert key not in caplog.text
        assert "wrong keys come to the admin address: from 127.0.0.1" in caplog.text
        parts = [it.name for it in caplog.records if "wrong keys come" in it.getMessage()]
        assert set(parts) == {"signal_sdk.server.admin"}


@pytest.mark.parametrize("word", ["Bearer", "bearer", "BEARER  "])
async def test_a_right_key_is_known_by_its_name(autojump_clock: MockClock, word: str) -> None:
    async with asker() as ask:
        answer = await ask("GET", "/v1/key", None, headers={"Authorization": f"{word} {APP_KEY}"})
        assert answer.json() == {
            "name": "reader",
            "app": "app",
            "rights": ["read"],
            "apps": ["app"],
        }


async def test_a_key_is_good_for_its_app_and_its_rights_alone(autojump_clock: MockClock) -> None:
    async with asker() as ask:
        ask.operator.answers["inbox"] = {"entries": 0, "bytes": 0}
        assert (await ask("GET", f"{ACCOUNT}/inbox", APP_KEY)).status_code == 200
        for method, path, text in (
            ("GET", "/v1/apps/other/accounts/ann/inbox", "the key reader is not for this app"),
            ("GET", "/v1/apps/nowhere/accounts/ann/inbox", "the key reader is not for this app"),
            ("GET", "/v1/node", "the key reader is not for every app"),
            ("DELETE", f"{ACCOUNT}/session", "the key reader has no right to kick"),
            ("POST", f"{ACCOUNT}/messages", "the key reader has no right to send"),
            ("POST", f"{ACCOUNT}/tokens", "the key reader has no right to tokens"),
            ("PUT", f"{ACCOUNT}/attributes/a", "the key reader has no right to attributes"),
        ):
            answer = await ask(method, path, APP_KEY)
            assert (answer.status_code, answer.json()["detail"]) == (403, text)
            assert APP_KEY not in answer.text
        assert [name for name, *_ in ask.operator.asked] == ["inbox"]


async def test_all_keys_are_compared_whichever_is_right(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that the time tells nothing; and by digests of one length, never by their texts."""
    compared: list[tuple[int, int]] = []

    def compare(one: bytes, other: bytes) -> bool:
        compared.append((len(one), len(other)))
        return hmac.compare_digest(one, other)

    class Module:
        compare_digest = staticmethod(compare)
        digest = staticmethod(hmac.digest)

    monkeypatch.setattr(keys_module, "hmac", Module)
    async with asker() as ask:
        for key in (KEY, APP_KEY, WRONG_KEY, "x", None):
            compared.clear()
            await ask("GET", "/v1/key", key)
            assert compared == [(32, 32)] * 2


async def test_who_guesses_is_told_to_wait_and_keeps_nobody_out(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    async with asker() as ask:
        for _ in range(WRONG_PER_MINUTE):
            assert (await ask("GET", "/v1/key", WRONG_KEY)).status_code == 401
        answer = await ask("GET", "/v1/key", WRONG_KEY)
        assert answer.status_code == 429
        assert 0 < answer.json()["retry_after"] <= MINUTE_SECONDS
        assert int(answer.headers["retry-after"]) >= answer.json()["retry_after"]
        assert (await ask("GET", "/v1/key", KEY)).status_code == 200
        assert (await ask("GET", "/v1/key", None)).status_code == 401
        autojump_clock.jump(MINUTE_SECONDS)
        assert (await ask("GET", "/v1/key", WRONG_KEY)).status_code == 401
    assert caplog.text.count("wrong keys come") == 2


async def test_keys_are_taken_anew(autojump_clock: MockClock) -> None:
    async with asker() as ask:
        key = AdminKeyConfig(name="new", key=WRONG_KEY, app="*", rights=("read",))
        ask.app.take(admin_config(key))
        assert (await ask("GET", "/v1/key", KEY)).status_code == 401
        assert (await ask("GET", "/v1/key", WRONG_KEY)).json()["name"] == "new"


# --- Pages


HOSTS: Final = [
    ("127.0.0.1:8011", None, 200),
    ("localhost:8011", None, 200),
    ("[::1]:8011", None, 200),
    ("signal", None, 200),
    ("admin.example.com", None, 200),
    ("ADMIN.example.com:443", "https://admin.example.com:443", 200),
    ("localhost:8011", "http://localhost:8011", 200),
    ("localhost:8011", "http://localhost:8012", 403),
    ("localhost:8011", "null", 403),
    ("localhost:8011", "", 403),
    ("localhost:8011", "http://evil.example.com", 403),
    ("evil.example.com:8011", "http://evil.example.com:8011", 403),
    ("evil.example.com:8011", None, 403),
    ("admin.example.com.evil.org", None, 403),
    ("a b", None, 403),
    ("", None, 403),
]


@pytest.mark.parametrize(("host", "origin", "status"), HOSTS)
async def test_no_other_page_may_use_it(
    autojump_clock: MockClock, host: str, origin: str | None, status: int
) -> None:
    """A page can have its own name lead here, and its browser says no origin then."""
    async with asker(attrs.evolve(admin_config(hosts=("Admin.Example.com",)))) as ask:
        headers: dict[str, Any] = {"Host": host} | ({} if origin is None else {"Origin": origin})
        for path in ("/healthz", "/openapi.json", "/v1/key"):
            answer = await ask("GET", path, headers=headers)
            assert answer.status_code == status
            assert "access-control-allow-origin" not in answer.headers
            assert answer.headers["cross-origin-resource-policy"] == "same-origin"


async def test_what_is_done_is_in_the_log_with_the_key_s_name(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    async with asker() as ask:
        with caplog.at_level(logging.INFO):
            await ask("DELETE", f"{ACCOUNT}/session")
            await ask("POST", f"{ACCOUNT}/messages", json={"message": "a secret"})
    assert "key all: kick 'app' 'ann'" in caplog.text
    assert "key all: send 'app' 'ann'" in caplog.text
    assert KEY not in caplog.text
    assert "a secret" not in caplog.text
