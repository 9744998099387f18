"""`signal-sdk token revoke` and JWTs by `token make` and `token check`."""

from __future__ import annotations

import json
import signal
import time
from pathlib import Path
from typing import Any

import pytest
import trio
from click.testing import CliRunner, Result

from signal_sdk.cli import revoke as command
from signal_sdk.cli.main import cli
from signal_sdk.server.engine import files
from signal_sdk.server.revocations import FILE_NAME, Revocations
from signal_sdk.wire.jwt_tokens import Claims, check_jwt
from signal_sdk.wire.rights import Rights
from tests.cli.program import address_in, program, run

APP = "970ca35de60c44645bbae8a215061b33"
CERTIFICATE = "5cfd2fd1755d40ecb72977518be15d3b"
BEFORE = "0b2cf9f5bd6541f0a7e4c3d1e8f60a72"
WHOSE = ("--app", APP, "--account", "ann")


def invoke(*args: str, stdin: str = "", certificate: str = CERTIFICATE) -> Result:
    environment = {"SIGNAL_SDK_CERTIFICATE": certificate}
    return CliRunner().invoke(cli, ["token", *args], env=environment, input=stdin)


def good(result: Result) -> str:
    assert (result.exit_code, result.stderr) == (0, "")
    assert CERTIFICATE not in result.stdout
    return result.stdout.removesuffix("\n")


def refused(result: Result, code: int = 2) -> str:
    assert (result.exit_code, result.stdout) == (code, "")
    assert CERTIFICATE not in result.stderr
    line, end, rest = result.stderr.partition("\n")
    assert (end, rest) == ("\n", "")
    return line


def claims_of(token: str, now: float | None = None) -> Claims:
    return check_jwt(token, APP, CERTIFICATE, "ann", time.time() if now is None else now)


# --- JWTs


def test_a_jwt_says_when_it_was_made_and_has_an_id() -> None:
    before = int(time.time())
    made = [claims_of(good(invoke("make", *WHOSE, "--jwt", "--seconds", "60"))) for _ in range(2)]
    for claims in made:
        assert before <= claims.iat == claims.nbf <= time.time()
        assert claims.exp == claims.iat + 60
        assert claims.rights == Rights()
        assert len(claims.jti) >= 16
    assert made[0].jti != made[1].jti


def test_a_jwt_says_what_it_allows() -> None:
    args = ("--channel", "room", "--channel", "team-*", "--peer", "bob", "--listener")
    token = good(invoke("make", *WHOSE, "--jwt", "--expiry", "4102444800", *args))
    rights = Rights(channels=("room", "team-*"), peers=("bob",), listener=True)
    assert claims_of(token).rights == rights
    assert good(invoke("check", token, *WHOSE)) == (
        "good until 2100-01-01 00:00:00 UTC (4102444800); channels: 'room', 'team-*'; "
        "peers: 'bob'; listener"
    )


def test_a_jwt_may_be_good_later() -> None:
    soon = int(time.time()) + 3600
    token = good(invoke("make", *WHOSE, "--jwt", "--not-before", str(soon)))
    assert claims_of(token, soon).nbf == soon
    assert "not good yet" in refused(invoke("check", token, *WHOSE), 1)


@pytest.mark.parametrize(
    "args", [("--channel", "room"), ("--peer", "bob"), ("--listener",), ("--not-before", "5")]
)
def test_a_token_of_the_original_form_says_nothing_of_that(args: tuple[str, ...]) -> None:
    assert "only a JWT can say that" in refused(invoke("make", *WHOSE, *args))


@pytest.mark.parametrize(
    ("args", "text"),
    [
        (("--channel", ""), "channel '' is empty"),
        (("--peer", "a b"), "account 'a b' holds white space"),
        (("--peer", "p" * 1800), "account has 1800 visible characters"),
    ],
)
def test_a_jwt_of_wrong_rights_is_not_made(args: tuple[str, ...], text: str) -> None:
    assert text in refused(invoke("make", *WHOSE, "--jwt", *args))


def test_a_short_certificate_signs_no_jwt() -> None:
    line = refused(invoke("make", *WHOSE, "--jwt", certificate="c" * 31))
    assert "the certificate has less than 32 bytes" in line


def config(folder: Path, more: str = "") -> str:
    path = folder / "signal.toml"
    path.write_text(
        f'[[apps]]\nid = "{APP}"\ncertificate = "{CERTIFICATE}"\n'
        f'old_certificates = ["{BEFORE}"]\n{more}'
    )
    return str(path)


@pytest.mark.parametrize("form", [(), ("--jwt",)])
def test_what_an_old_certificate_signed_is_good_by_the_configuration(
    tmp_path: Path, form: tuple[str, ...]
) -> None:
    token = good(invoke("make", *WHOSE, *form, certificate=BEFORE))
    refused(invoke("check", token, *WHOSE), 1)
    assert good(invoke("check", token, *WHOSE, "--config", config(tmp_path)))
    # And none is made with it.
    made = good(invoke("make", *WHOSE, *form, "--config", config(tmp_path)))
    assert good(invoke("check", made, *WHOSE))


def test_an_app_that_takes_no_old_tokens_is_given_none(tmp_path: Path) -> None:
    path = config(tmp_path, "allow_old_tokens = false\n")
    line = refused(invoke("make", *WHOSE, "--config", path))
    assert "this app takes no tokens of the original form: give --jwt" in line
    assert good(invoke("make", *WHOSE, "--jwt", "--config", path)).startswith("eyJ")


@pytest.mark.parametrize("text", ["", "_no_need_token"])
def test_what_stands_for_no_token_is_none(text: str) -> None:
    assert "that is no token" in refused(invoke("check", text, *WHOSE))


# --- revoke


@pytest.fixture
def data(tmp_path: Path) -> str:
    (tmp_path / files.FILE_NAME).touch()
    return str(tmp_path)


def kept(data: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((Path(data) / FILE_NAME).read_text())
    return found


def test_an_account_s_tokens_are_those_that_there_are_now(data: str) -> None:
    before = int(time.time())
    said = good(invoke("revoke", "--data", data, *WHOSE))
    [found] = kept(data)
    assert before < found.pop("before") <= int(time.time()) + 1
    assert found == {"app": APP, "account": "ann"}
    first, second = said.splitlines()
    assert first.startswith(f"revoked: tokens of 'ann' of the app '{APP}' made before 20")
    assert second == "and all of the original form, whenever they were made"
    assert Revocations(data).is_revoked(APP, "ann", before, 10**12)


@pytest.mark.parametrize(
    "text",
    ["1800000000", "2027-01-15T08:00:00", "2027-01-15 08:00", "2027-01-15T09:00:00+01:00"],
)
def test_a_time_is_unix_seconds_or_a_date(data: str, text: str) -> None:
    args = ("--app", APP, "--before", text, "--old-lifetime", "86400")
    said = good(invoke("revoke", "--data", data, *args))
    assert kept(data) == [{"app": APP, "before": 1800000000, "old_before": 1800086400}]
    assert said == (
        f"revoked: tokens of the app '{APP}' made before 2027-01-15 08:00:00 UTC (1800000000)\n"
        "and those of the original form that end before 2027-01-16 08:00:00 UTC (1800086400)"
    )


@pytest.mark.parametrize(
    ("args", "text"),
    [
        ((), "give either --account or --before"),
        (("--account", "ann", "--before", "5"), "give either --account or --before"),
        (("--before", "soon"), "'soon' is neither Unix seconds nor as 2026-01-31T12:00:00"),
        (("--before", "9" * 13), "is neither Unix seconds nor"),
        (("--account", "a b"), "account 'a b' holds white space"),
        (("--before", "5", "--old-lifetime", "0"), "invalid value for '--old-lifetime'"),
    ],
)
def test_what_is_wrong_is_one_line_and_changes_nothing(
    data: str, args: tuple[str, ...], text: str
) -> None:
    assert text in refused(invoke("revoke", "--data", data, "--app", APP, *args))
    assert not (Path(data) / FILE_NAME).exists()


def test_a_directory_that_no_server_uses_is_refused(tmp_path: Path) -> None:
    """Most likely it is the wrong one, and whoever has the token would stay logged in."""
    line = refused(invoke("revoke", "--data", str(tmp_path), *WHOSE), 1)
    assert line == f"signal-sdk: {tmp_path}: no server keeps its state there"
    assert list(tmp_path.iterdir()) == []
    assert files.FILE_NAME == command.JOURNAL


async def test_a_running_server_takes_it_up(tmp_path: Path) -> None:
    """In processes of their own: a listener is logged out, and does not come back."""
    path = config(tmp_path, f'[server]\nport = 0\ndata = "{tmp_path / "data"}"\n')
    token = run("token", "make", *WHOSE, "--jwt", "--config", path).out.strip()
    async with program("serve", "--config", path) as server:
        address = address_in(await server.out.next())
        where = ("--server", address, *WHOSE)
        environment = {"SIGNAL_SDK_TOKEN": token}
        async with program("listen", *where, "--json", environment=environment) as listener:
            assert json.loads(await listener.out.next())["event"] == "login"
            ended = await trio.to_thread.run_sync(
                lambda: run("token", "revoke", "--data", str(tmp_path / "data"), *WHOSE)
            )
            assert (ended.code, ended.err) == (0, "")
            server.process.send_signal(signal.SIGHUP)
            told = json.loads(await listener.out.next())
            assert (told["event"], told["ecode"]) == ("logout", 105)
            assert (await listener.end()).code == 1
        async with program("listen", *where, environment=environment) as again:
            ended = await again.end()
        assert ended.code == 1
        assert "(206" in ended.err
        assert token not in ended.err
        assert (await server.end(signal.SIGINT)).code == 0


def test_programs_are_told_what_was_taken_back(data: str) -> None:
    args = ("revoke", "--data", data, "--app", APP, "--before", "1000", "--old-lifetime", "60")
    told = json.loads(good(invoke(*args, "--json")))
    assert told == {"app": APP, "account": None, "before": 1000, "old_before": 1060}
    told = json.loads(good(invoke("revoke", "--data", data, *WHOSE, "--json")))
    assert (told["account"], told["old_before"]) == ("ann", None)
    assert len(kept(data)) == 2
