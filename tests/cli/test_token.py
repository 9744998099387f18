"""`signal-sdk token`: made from a certificate from anywhere but the command line, and checked."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from signal_sdk.cli.main import cli
from signal_sdk.cli.token import token as token_group
from signal_sdk.wire import tokens
from tests.cli.program import run

# The vector of protocol.md, section 8.
APP = "970ca35de60c44645bbae8a215061b33"
CERTIFICATE = "5cfd2fd1755d40ecb72977518be15d3b"
VECTOR = f"1:{APP}:1446455471:4815d52c4fd440bac35b981c12798774"
WHOSE = ("--app", APP, "--account", "TestAccount")
BY_VARIABLE = {"SIGNAL_SDK_CERTIFICATE": CERTIFICATE}


def invoke(
    *args: str, environment: dict[str, str] | None = None, stdin: str | bytes = ""
) -> Result:
    return CliRunner().invoke(cli, ["token", *args], env=environment or {}, input=stdin)


def good(result: Result) -> str:
    assert (result.exit_code, result.stderr) == (0, "")
    assert CERTIFICATE not in result.stdout
    line, end, rest = result.stdout.partition("\n")
    assert (end, rest) == ("\n", "")
    return line


def refused(result: Result, code: int) -> str:
    assert (result.exit_code, result.stdout) == (code, "")
    assert CERTIFICATE not in result.stderr
    line, end, rest = result.stderr.partition("\n")
    assert (end, rest) == ("\n", "")
    return line


@pytest.fixture
def certificate_file(tmp_path: Path) -> str:
    path = tmp_path / "certificate"
    path.write_text(f"{CERTIFICATE}\n")
    return str(path)


@pytest.fixture
def config(tmp_path: Path) -> str:
    path = tmp_path / "signal.toml"
    path.write_text(
        f'[[apps]]\nid = "other"\n[[apps]]\nid = "{APP}"\ncertificate = "{CERTIFICATE}"\n'
    )
    return str(path)


# --- make


def test_the_certificate_comes_from_the_environment() -> None:
    result = invoke("make", *WHOSE, "--expiry", "1446455471", environment=BY_VARIABLE)
    assert good(result) == VECTOR


def test_the_certificate_comes_from_a_file(certificate_file: str) -> None:
    """An editor's newline at its end is none of the certificate's."""
    args = ("--certificate-file", certificate_file, "--expiry", "1446455471")
    assert good(invoke("make", *WHOSE, *args)) == VECTOR


def test_the_certificate_comes_from_stdin() -> None:
    args = ("--certificate-file", "-", "--expiry", "1446455471")
    assert good(invoke("make", *WHOSE, *args, stdin=f"{CERTIFICATE}\n")) == VECTOR


def test_the_certificate_comes_from_the_configuration(config: str) -> None:
    args = ("--config", config, "--expiry", "1446455471")
    assert good(invoke("make", *WHOSE, *args)) == VECTOR


def test_what_is_given_has_precedence_over_the_environment(certificate_file: str) -> None:
    args = ("--certificate-file", certificate_file, "--expiry", "1446455471")
    environment = {"SIGNAL_SDK_CERTIFICATE": "another"}
    assert good(invoke("make", *WHOSE, *args, environment=environment)) == VECTOR


@pytest.mark.parametrize(("args", "seconds"), [((), 86400), (("--seconds", "60"), 60)])
def test_a_token_is_good_for_so_many_seconds(args: tuple[str, ...], seconds: int) -> None:
    before = int(time.time())
    made = good(invoke("make", *WHOSE, *args, environment=BY_VARIABLE))
    expiry = tokens.check_token(made, APP, CERTIFICATE, "TestAccount", before)
    assert before + seconds <= expiry <= time.time() + seconds


@pytest.mark.parametrize(
    ("args", "text"),
    [
        (("--account", "a"), "signal-sdk token make: missing option '--app'"),
        (("--app", "a"), "signal-sdk token make: missing option '--account'"),
        ((*WHOSE, "--expiry", "5", "--seconds", "5"), "give --seconds or --expiry, not both"),
        ((*WHOSE, "--seconds", "0"), "invalid value for '--seconds'"),
        ((*WHOSE, "--expiry", "1" * 13), "signal-sdk: expiry 1111111111111 is not a whole number"),
        (("--app", "a", "--account", "a b"), "signal-sdk: account 'a b' holds white space (1004"),
        (("--app", "a:b", "--account", "a"), "signal-sdk: app id 'a:b' is empty, or holds a colon"),
        ((*WHOSE, "--certificate-file", "/no/such"), "signal-sdk: /no/such: No such file or"),
        ((*WHOSE, "--config", "/no/such"), "signal-sdk: /no/such: No such file or directory"),
        ((*WHOSE, "--config", "c", "--certificate-file", "f"), "or --config, not both"),
    ],
)
def test_what_is_wrong_is_one_line(args: tuple[str, ...], text: str) -> None:
    assert text in refused(invoke("make", *args, environment=BY_VARIABLE), 2)


def test_without_a_certificate_nothing_can_be_made() -> None:
    assert "give the certificate: --certificate-file" in refused(invoke("make", *WHOSE), 2)


def test_an_app_that_is_not_configured_has_no_certificate(config: str) -> None:
    line = refused(invoke("make", "--app", "x", "--account", "a", "--config", config), 2)
    assert line == f"signal-sdk: {config}: no [[apps]] has this id: x"
    line = refused(invoke("make", "--app", "other", "--account", "a", "--config", config), 2)
    assert line == f"signal-sdk: {config}: this app has no certificate, and needs no token: other"


@pytest.mark.parametrize("data", [b"", b" \n", b"\xff\xfe"])
def test_a_file_without_a_certificate_is_refused(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "certificate"
    path.write_bytes(data)
    line = refused(invoke("make", *WHOSE, "--certificate-file", str(path)), 2)
    assert line.startswith(f"signal-sdk: {path}: ")
    assert refused(invoke("make", *WHOSE, "--certificate-file", "-", stdin=data), 2)


def test_no_option_takes_the_certificate_itself() -> None:
    """Command lines are for everybody to read, in the list of processes."""
    assert isinstance(token_group, click.Group)
    for command in token_group.commands.values():
        options = {name for parameter in command.params for name in parameter.opts}
        assert "--certificate" not in options
    assert "list of processes" in " ".join(good_help("--help").split())
    result = invoke("make", *WHOSE, f"--certificate={CERTIFICATE}")
    assert "no such option" in refused(result, 2)


def test_a_certificate_that_lost_its_option_is_not_repeated() -> None:
    line = refused(invoke("make", *WHOSE, CERTIFICATE), 2)
    assert "unexpected extra argument" in line


def good_help(*args: str) -> str:
    result = invoke(*args)
    assert (result.exit_code, result.stderr) == (0, "")
    return result.stdout


# --- check


def checked(text: str, *args: str, stdin: str = "") -> Result:
    return invoke("check", text, *WHOSE, *args, environment=BY_VARIABLE, stdin=stdin)


@pytest.mark.parametrize(
    ("expiry", "date"),
    [(4102444800, "2100-01-01 00:00:00 UTC (4102444800)"), (10**12 - 1, "999999999999 (Unix")],
)
def test_a_good_token_is_good_until(expiry: int, date: str) -> None:
    """An expiry may be later than any calendar goes."""
    made = tokens.make_token(APP, CERTIFICATE, "TestAccount", expiry)
    assert good(checked(made)).startswith(f"good until {date}")


def test_the_token_comes_from_stdin() -> None:
    made = tokens.make_token(APP, CERTIFICATE, "TestAccount", 4102444800)
    assert good(checked("-", stdin=f"{made}\n")).startswith("good until 2100")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (VECTOR, r"the token has expired \(at 1446455471, Unix seconds\) \(204 \w+\)"),
        ("2:3:4:5", r"the token is not of the form 1:APP_ID:EXPIRY:DIGEST \(206 \w+\)"),
        ("nonsense", r"the token is neither a JWT .* nor of the form 1:APP_ID:E.* \(206 \w+\)"),
        (VECTOR.replace(APP, "x"), r"the token is for another app id \(206 \w+\)"),
        (f"{VECTOR[:-1]}5", r"the token's digest does not match .* \(206 \w+\)"),
    ],
)
def test_why_a_token_is_not_good(text: str, reason: str) -> None:
    line = refused(checked(text), 1)
    assert re.fullmatch(f"signal-sdk: {reason}", line)
    assert text not in line
    assert refused(checked("-", stdin=text), 1) == line


def test_stdin_is_one_thing_only() -> None:
    result = invoke("check", "-", *WHOSE, "--certificate-file", "-", stdin=CERTIFICATE)
    assert "only one of the token and the certificate" in refused(result, 2)


def test_what_is_made_is_good_when_checked() -> None:
    """In processes of their own, as a script does it."""
    made = run("token", "make", *WHOSE, environment=BY_VARIABLE)
    assert (made.code, made.err) == (0, "")
    ended = run("token", "check", "-", *WHOSE, stdin=made.out, environment=BY_VARIABLE)
    assert (ended.code, ended.err) == (0, "")
    assert ended.out.startswith("good until ")


def test_programs_are_told_what_was_made_and_what_it_is_good_for() -> None:
    made = json.loads(
        good(invoke("make", *WHOSE, "--expiry", "1446455471", "--json", environment=BY_VARIABLE))
    )
    assert made == {
        "token": VECTOR,
        "app": APP,
        "account": "TestAccount",
        "expires": 1446455471,
    }
    late = invoke("check", VECTOR, *WHOSE, "--json", environment=BY_VARIABLE)
    assert (late.exit_code, late.stderr) == (1, "")
    told = json.loads(late.stdout)
    assert (told["ok"], told["ecode"]) == (False, 204)
    args = ("make", *WHOSE, "--jwt", "--expiry", "4102444800", "--channel", "a*", "--json")
    jwt = json.loads(good(invoke(*args, environment=BY_VARIABLE)))["token"]
    checked = good(invoke("check", jwt, *WHOSE, "--json", environment=BY_VARIABLE))
    assert json.loads(checked) == {
        "ok": True,
        "expires": 4102444800,
        "channels": ["a*"],
        "peers": None,
        "listener": False,
    }
