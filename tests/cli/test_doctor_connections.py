"""`signal-sdk doctor --client`: what fails of its connections and of its login."""

from __future__ import annotations

import contextlib
import ssl
from datetime import UTC, datetime, timedelta

import pytest
import trio
import trustme
from trio.testing import MockClock

from signal_sdk.cli import probes
from signal_sdk.cli.probes import Asked, Probe, Problem
from signal_sdk.server.config import ServerConfig
from signal_sdk.testing.server import LocalServer, local_server
from signal_sdk.wire import names, tokens
from tests.cli.looked_at import (
    ACCOUNT,
    APP,
    CERTIFICATE,
    CLIENTS,
    EXPIRED,
    GOOD,
    LOCAL,
    LOOKUP_NAMES,
    WEB_NAME,
    Certificates,
    config,
    look,
)
from tests.net.pairs import running_reactor

MAKE = f"signal-sdk token make --app {APP} --account {ACCOUNT} --config FILE"


# --- Connections


@pytest.mark.parametrize("client", CLIENTS)
async def test_an_answer_that_names_a_closed_port(
    client: str, closed: int, certificates: Certificates
) -> None:
    named = f"127.0.0.1:{closed - (client == 'web')}"
    web = certificates.server(WEB_NAME, *LOOKUP_NAMES, advertise=(named,))
    async with local_server(config(web, advertise=(named,))) as server:
        outcome = await look(client, server, ssl_context=certificates.trusting(), **LOCAL)
    keys = {"native": "[native] advertise, and without it [server] advertise"}
    key = keys.get(client, "[server] advertise")
    assert outcome.problem == (
        f"tcp: no connection to 127.0.0.1:{closed}: Connection refused;"
        f" have the lookup name the server's address ({key}),"
        f" and let TCP port {closed} through the firewall"
    )


async def test_one_of_two_addresses_is_enough(closed: int) -> None:
    async with local_server(config(advertise=(f"127.0.0.1:{closed}", "127.0.0.1"))) as server:
        outcome = await look("native", server, **LOCAL)
    assert outcome.problem == ""
    assert len(outcome.warnings) == 1
    assert outcome.warnings[0].startswith("tcp: warning: no connection to ")


async def test_a_certificate_for_other_names(certificates: Certificates) -> None:
    trusting = certificates.trusting()
    async with local_server(config(certificates.server("sig.example"))) as server:
        outcome = await look("web", server, ssl_context=trusting, **LOCAL)
        assert outcome.problem == (
            f"tls name: {probes.listed(LOOKUP_NAMES)}: TLS with 127.0.0.1:{server.tls_port} failed:"
            " Hostname mismatch; make a certificate for *.agora.io"
        )
        assert outcome.warnings == []
    async with local_server(config(certificates.server(*LOOKUP_NAMES[1:]))) as server:
        outcome = await look("web", server, ssl_context=trusting, **LOCAL)
        assert outcome.failed == "tls name"
        assert f" {WEB_NAME}: " in outcome.problem
        [warning] = outcome.warnings
        assert " lbs-1-sig.agora.io: " in warning


async def test_a_certificate_of_a_ca_that_is_not_trusted(server: LocalServer) -> None:
    failed = (
        f"tls name: {probes.listed(LOOKUP_NAMES)}: TLS with 127.0.0.1:{server.tls_port} failed:"
        " unable to get local issuer certificate; "
    )
    outcome = await look("web", server, **LOCAL)
    assert outcome.problem == (
        f"{failed}this machine does not trust its CA: give --ca FILE;"
        " each client's machine has to trust it, too"
    )
    assert outcome.steps == ["name"]
    another = ssl.create_default_context()
    trustme.CA().configure_trust(another)
    outcome = await look("web", server, ssl_context=another, **LOCAL)
    assert outcome.problem.startswith(f"{failed}neither this machine nor --ca FILE holds its CA: ")


@pytest.mark.parametrize(
    ("from_day", "to_day", "problem"),
    [
        (-9, -8, "certificate has expired; renew it"),
        (8, 9, "certificate is not yet valid; set this machine's clock, or wait"),
    ],
)
async def test_a_certificate_out_of_its_time(
    from_day: int, to_day: int, problem: str, certificates: Certificates
) -> None:
    first, last = (datetime.now(UTC) + timedelta(days=day) for day in (from_day, to_day))
    web = certificates.server(*LOOKUP_NAMES, not_before=first, not_after=last)
    async with local_server(config(web)) as server:
        outcome = await look("web", server, ssl_context=certificates.trusting(), **LOCAL)
        assert outcome.problem.endswith(f": TLS with 127.0.0.1:{server.tls_port} failed: {problem}")


async def test_tls_where_there_is_none(server: LocalServer) -> None:
    outcome = await look("web", lookup_ports=(server.port,), **LOCAL)
    where = f"127.0.0.1:{server.port}"
    assert outcome.problem.startswith(f"tls name: {where} does not speak TLS (")
    assert outcome.problem.endswith("); that is the server's port + 1, once it has cert and key")
    assert outcome.warnings == []


async def test_no_websocket_where_the_answer_leads(server: LocalServer) -> None:
    named = f"127.0.0.1:{server.native_port}"
    async with local_server(config(ServerConfig(advertise=(named,)))) as other:
        outcome = await look("java", other, **LOCAL)
    assert outcome.problem == (
        f"websocket: no WebSocket at {named}: the server did not answer as a WebSocket server does;"
        f" have port {server.native_port} lead to this server, and to no proxy"
    )


@pytest.mark.parametrize(
    ("client", "step"), [("native", "login"), ("web", "tls name"), ("java", "websocket")]
)
async def test_every_step_has_its_time(
    client: str,
    step: str,
    silent: int,
    certificates: Certificates,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    named = f"127.0.0.1:{silent - (client == 'web')}"
    web = certificates.server(WEB_NAME, *LOOKUP_NAMES, advertise=(named,))
    async with local_server(config(web, advertise=(named,))) as server:
        monkeypatch.setattr(probes, "STEP_SECONDS", 0.3)
        outcome = await look(client, server, ssl_context=certificates.trusting(), **LOCAL)
    assert outcome.failed == step
    assert ": nothing in 0.3 s; " in outcome.problem


async def test_a_step_has_the_rest_of_its_time_where_the_process_stood_still(
    autojump_clock: MockClock,
) -> None:
    asked = Asked(app=APP, account=ACCOUNT, token=GOOD)
    async with running_reactor() as reactor:
        with contextlib.ExitStack() as opened:
            probe = Probe(asked, print, reactor, opened)
            with probe.bounded("login", "the login", "wait"):
                await trio.sleep(1)
                autojump_clock.jump(60)
                await trio.sleep(10)
            with (
                pytest.raises(Problem, match=r"login: the login: nothing in 5 s; wait"),
                probe.bounded("login", "the login", "wait"),
            ):
                await trio.sleep(60)


# --- The login


CHECK = "signal-sdk token check says more, and so does the server's log (serve -v)"
WRONG = "it is not of this app, this account and the server's certificate for it"
NO_MATCH = "the token is not one for this account and app id"
NATIVE_REASONS = {204: "TokenErrorExpired (204)", 206: f"TokenErrorWrong (206): {WRONG}"}


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize(
    ("token", "reason", "ecode", "advice"),
    [
        ("garbage", NO_MATCH, 206, CHECK),
        (
            tokens.make_token(APP, CERTIFICATE, "another", 10**11),
            NO_MATCH,
            206,
            CHECK,
        ),
        (EXPIRED, "the token has expired (at 1, Unix seconds)", 204, f"make a new one: {MAKE}"),
    ],
    ids=["garbage", "another's", "expired"],
)
async def test_a_token_that_is_refused(
    client: str,
    token: str,
    reason: str,
    ecode: int,
    advice: str,
    server: LocalServer,
    certificates: Certificates,
) -> None:
    outcome = await look(client, server, token=token, ssl_context=certificates.trusting(), **LOCAL)
    said = NATIVE_REASONS[ecode] if client == "native" else f"{reason} ({ecode})"
    assert outcome.problem == f"token: {ACCOUNT} was refused: {said}; {advice}"


@pytest.mark.parametrize("client", CLIENTS)
async def test_no_token_where_the_app_wants_one(
    client: str, server: LocalServer, certificates: Certificates
) -> None:
    asked = {"token": names.NO_TOKEN, "ssl_context": certificates.trusting()}
    outcome = await look(client, server, **asked, **LOCAL)
    assert outcome.problem == (
        "token: no token was given, and the app wants one; make one, and put it into"
        f" SIGNAL_SDK_TOKEN: {MAKE} (or set allow_no_token = true for the app)"
    )
