"""Tokens at the server: both forms, several certificates, and a clock that was set back."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import attrs
import pytest
import trio
from trio.testing import MockClock

from signal_sdk.server.config import AppConfig, Config, LimitsConfig, ServerConfig
from signal_sdk.server.engine.pending import waited
from signal_sdk.testing.server import EPOCH, LocalServer, local_server
from signal_sdk.wire.jwt_tokens import Claims, make_jwt
from signal_sdk.wire.rights import ALL, Rights
from signal_sdk.wire.tokens import make_token
from tests.server.helpers import APP, CERTIFICATE, FOREVER, journal_engine
from tests.wire_client import logged_in, wire_client

BEFORE = "0b2cf9f5bd6541f0a7e4c3d1e8f60a72"
LONG_AGO = "e3f7d9a1c5b84f0e9d2a6c8b7f415d30"
CONFIG = Config(
    apps=(
        AppConfig(id=APP, certificate=CERTIFICATE, old_certificates=(BEFORE, LONG_AGO)),
        AppConfig(id="modern", certificate=CERTIFICATE[::-1], allow_old_tokens=False),
    ),
    limits=LimitsConfig(silence_seconds=FOREVER),
)


def old_form(
    account: str, seconds: int = 60, *, app: str = APP, certificate: str = CERTIFICATE
) -> str:
    return make_token(app, certificate, account, int(EPOCH) + seconds)


def modern(
    account: str,
    seconds: int = 60,
    *,
    app: str = APP,
    certificate: str = CERTIFICATE,
    issued: int = 0,
    rights: Rights = ALL,
) -> str:
    """A JWT, whose times are counted from the clock's begin."""
    made = int(EPOCH) + issued
    claims = Claims(
        aud=app, sub=account, exp=int(EPOCH) + seconds, iat=made, nbf=made, jti="1", rights=rights
    )
    return make_jwt(claims, certificate)


@pytest.fixture
async def server(autojump_clock: MockClock) -> AsyncIterator[LocalServer]:
    async with local_server(CONFIG, listens=False) as server:
        yield server


async def attempt(server: LocalServer, token: str, account: str = "ann", app: str = APP) -> Any:
    """What a login with this token gets: 0, or the code of its refusal."""
    async with wire_client(server.connect()) as client:
        result = await client.login(account, token=token, app=app)
        return result.get("ecode", 0)


# --- the forms ---


@pytest.mark.parametrize("make", [old_form, modern])
async def test_both_forms_log_in_and_end_with_their_time(server: LocalServer, make: Any) -> None:
    async with logged_in(server, "ann", token=make("ann")) as ann:
        await trio.sleep(59)
        assert ann.closed is None
        await trio.sleep(1.1)
        assert (await ann.expect("close"))["ecode"] == 105
    assert await attempt(server, make("ann")) == 204
    async with wire_client(server.connect()) as again:
        again.send("line_login", {"line": ann.line})
        assert (await again.login_ret())["ecode"] == 202


@pytest.mark.parametrize("make", [old_form, modern])
async def test_either_form_is_good_for_its_account_app_and_certificate_only(
    server: LocalServer, make: Any
) -> None:
    for token in (
        make("bob"),
        make("ann", app="modern"),
        make("ann", certificate=CERTIFICATE[::-1]),
        make("ann")[:-4] + "AAAA",
    ):
        assert await attempt(server, token) == 206


async def test_the_refusal_does_not_say_what_is_wrong_and_the_log_does(
    server: LocalServer, caplog: pytest.LogCaptureFixture
) -> None:
    """Whoever tries tokens learns nothing by which the next try would be better."""
    caplog.set_level(logging.INFO)
    reasons = set()
    for token in (
        old_form("bob"),
        old_form("ann", app="modern"),
        old_form("ann", certificate=CERTIFICATE[::-1]),
        "1:2:3:4",
        "nonsense",
        modern("bob"),
        modern("ann", app="modern"),
        modern("ann", -5, certificate=CERTIFICATE[::-1]),
        modern("ann", 900, issued=800),
    ):
        async with wire_client(server.connect()) as client:
            result = await client.login("ann", token=token)
            assert result["ecode"] == 206
            reasons.add(result["reason"])
    assert len(reasons) == 1
    told = [
        text.partition("refused: ")[2]
        for text in caplog.messages
        if "login of 'ann' in app 'app' refused: " in text
    ]
    assert len(told) == 9
    assert len(set(told)) >= 6


async def test_an_app_can_do_without_the_original_form(
    server: LocalServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    secret = CERTIFICATE[::-1]
    old = old_form("ann", app="modern", certificate=secret)
    async with wire_client(server.connect()) as client:
        result = await client.login("ann", token=old, app="modern")
        assert (result["err"], result["ecode"]) == ("TokenErrorWrong", 206)
        assert any("it needs a JWT" in text for text in caplog.messages)
    new = modern("ann", app="modern", certificate=secret)
    assert await attempt(server, new, app="modern") == 0


async def test_a_jwt_that_is_made_by_a_clock_ahead_is_good_within_the_skew(
    server: LocalServer,
) -> None:
    assert await attempt(server, modern("ann", 600, issued=59)) == 0
    assert await attempt(server, modern("ann", 600, issued=120)) == 206


# --- several certificates ---


@pytest.mark.parametrize("make", [old_form, modern])
@pytest.mark.parametrize("certificate", [CERTIFICATE, BEFORE, LONG_AGO])
async def test_what_was_signed_with_any_of_the_app_s_certificates_is_good(
    server: LocalServer, make: Any, certificate: str
) -> None:
    assert await attempt(server, make("ann", certificate=certificate)) == 0
    assert (
        await attempt(
            server,
            make("ann", -1, issued=-9, certificate=certificate)
            if make is modern
            else make("ann", -1, certificate=certificate),
        )
        == 204
    )


async def test_an_old_certificate_that_is_taken_away_lets_nobody_in(server: LocalServer) -> None:
    """As on SIGHUP, once the last token that was signed with it has expired."""
    apps = (attrs.evolve(CONFIG.apps[0], old_certificates=()), CONFIG.apps[1])
    server.node.reload(attrs.evolve(CONFIG, apps=apps))
    assert await attempt(server, old_form("ann", certificate=BEFORE)) == 206
    assert await attempt(server, modern("ann", certificate=BEFORE)) == 206
    assert await attempt(server, modern("ann")) == 0


async def test_no_token_and_no_certificate_reach_a_log_or_an_answer(
    server: LocalServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    said = ""
    tried = [modern("ann"), old_form("ann"), modern("bob"), old_form("bob"), modern("ann", -1)]
    for token in tried:
        async with wire_client(server.connect()) as client:
            said += str(await client.login("ann", token=token))
    for secret in (*tried, CERTIFICATE, BEFORE, LONG_AGO):
        assert secret not in said
        assert secret not in caplog.text


# --- dev mode ---


@pytest.mark.parametrize("app", ["a" * 129, "", "a:b", "a b", "a\u200bb", "\x1b[2J"])
async def test_in_dev_mode_too_an_app_id_is_one(autojump_clock: MockClock, app: str) -> None:
    async with local_server(listens=False) as server:
        assert await attempt(server, "", app=app) == 202
        assert await attempt(server, "", app="a" * 128) == 0
        assert {key.app for key, _ in await waited(server.node.engine.online())} == {"a" * 128}


# --- a clock that was set back ---


@attrs.define
class SettableClock:
    """A wall clock that somebody sets."""

    offset: float = 0.0

    def __call__(self) -> float:
        return EPOCH + trio.current_time() + self.offset


@pytest.mark.parametrize("make", [old_form, modern])
@pytest.mark.parametrize("restarts", [True, False])
async def test_an_expired_token_stays_expired_when_the_clock_is_set_back(
    tmp_path: Path, autojump_clock: MockClock, make: Any, restarts: bool
) -> None:
    clock = SettableClock()
    config = attrs.evolve(CONFIG, server=ServerConfig(data=str(tmp_path)))
    token = make("ann", 300)

    def serve() -> Any:
        return local_server(config, listens=False, clock=clock, engine=journal_engine(tmp_path))

    async with serve() as server:
        assert await attempt(server, token) == 0
        await trio.sleep(400)
        assert await attempt(server, token) == 204
        if not restarts:
            clock.offset = -3600.0
            assert await attempt(server, token) == 204
    clock.offset = -3600.0
    async with serve() as server:
        assert await attempt(server, token) == 204
        # One that ends later than the newest time is good.
        assert await attempt(server, make("bob", 3000), account="bob") == 0


async def test_a_session_does_not_outlive_its_token_by_a_clock_that_is_set_back(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    clock = SettableClock()
    async with local_server(CONFIG, listens=False, clock=clock) as server:
        await trio.sleep(2)
        clock.offset = -3600.0
        async with logged_in(server, "ann", token=old_form("ann", 300)) as ann:
            assert (await ann.expect("close"))["ecode"] == 105
            assert 360 <= trio.current_time() <= 361.1


async def test_a_little_earlier_is_within_the_skew(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    """Clocks are set by a second or so all the time."""
    clock = SettableClock()
    config = attrs.evolve(CONFIG, server=ServerConfig(data=str(tmp_path), clock_skew_seconds=60))
    async with local_server(
        config, listens=False, clock=clock, engine=journal_engine(tmp_path)
    ) as server:
        await trio.sleep(100)
        clock.offset = -50.0
        assert await attempt(server, old_form("ann", 90)) == 0


async def test_a_time_that_was_a_mistake_can_be_forgotten(
    tmp_path: Path, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    """A machine that began in the year 2090 must not keep everybody out for ever."""
    clock = SettableClock(offset=2e9)

    async def tried(skew: int) -> Any:
        at = ServerConfig(data=str(tmp_path), clock_skew_seconds=skew)
        async with local_server(
            attrs.evolve(CONFIG, server=at),
            listens=False,
            clock=clock,
            engine=journal_engine(tmp_path),
        ) as server:
            await trio.sleep(2)
            return await attempt(server, old_form("ann", 3000))

    def warnings() -> list[str]:
        return [it.getMessage() for it in caplog.records if it.levelno >= logging.WARNING]

    assert await tried(60) == 204
    assert warnings() == []
    clock.offset = 0.0
    assert await tried(60) == 204
    [told] = warnings()
    assert "behind the newest time" in told
    assert "clock_skew_seconds = 0" in told
    assert await tried(0) == 0
    assert await tried(60) == 0
    assert len(warnings()) == 1
