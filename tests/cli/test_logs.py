"""A server's log: as lines to read, or as JSON, and how much of it each part says."""

from __future__ import annotations

import ast
import json
import logging
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from signal_sdk.cli.logs import json_complaints, log_on_stderr
from signal_sdk.cli.output import complain
from signal_sdk.cli.settings import Settings
from signal_sdk.errors import ConfigError
from signal_sdk.printable import LOGGERS, EscapingFilter
from signal_sdk.server import config as configs
from signal_sdk.server.config import Config, ServerConfig
from tests.cli.program import address_in, dev_server, one_line_of, program, run
from tests.cli.serves import connected, invoke, write_config
from tests.modules import ROOT, modules

SERVER = "signal_sdk.server"
LOGINS = "signal_sdk.server.logins"


def levels(*entries: str, verbose: int = 0) -> dict[str, int]:
    config = Config(server=ServerConfig(log_levels=entries, dev=True))
    return Settings(verbose=verbose).levels(config)


# --- The parts


def test_every_logger_of_the_package_is_a_part_that_escapes() -> None:
    """Whoever names another one has to name it there as well."""
    named = {
        call.args[0].value
        for module in modules()
        for call in ast.walk(ast.parse(module.source))
        if isinstance(call, ast.Call)
        and isinstance(call.func, ast.Attribute)
        and call.func.attr == "getLogger"
        and isinstance(call.args[0], ast.Constant)
        and str(call.args[0].value).startswith("signal_sdk")
    }
    assert named == set(LOGGERS)
    for name in LOGGERS:
        assert any(isinstance(it, EscapingFilter) for it in logging.getLogger(name).filters), name


def test_the_page_names_every_part() -> None:
    page = (ROOT / "docs" / "command_line.md").read_text()
    assert [name for name in LOGGERS if f"`{name}`" not in page] == []


def test_levels_are_of_all_or_of_a_part() -> None:
    assert levels() == {"signal_sdk": logging.WARNING}
    assert levels("info") == {"signal_sdk": logging.INFO}
    assert levels(f"{LOGINS}=DEBUG", "error") == {
        "signal_sdk": logging.ERROR,
        LOGINS: logging.DEBUG,
    }
    # The command line has precedence, of all as of a part.
    assert levels(f"{LOGINS}=error", "error", verbose=2) == {
        "signal_sdk": logging.DEBUG,
        LOGINS: logging.ERROR,
    }


@pytest.mark.parametrize("entry", ["loud", "", "=", f"{SERVER}=", "signal_sdk.serve=debug"])
def test_a_level_that_is_none_is_refused_with_those_that_there_are(entry: str) -> None:
    with pytest.raises(ConfigError, match=r"1: \[server\] log_levels: expected one of "):
        configs.loads(f"server = {{dev = true, log_levels = ['{entry}']}}")
    result = invoke("--dev", "--log-level", entry)
    assert result.exit_code == 2
    assert "invalid value for '--log-level': expected one of " in result.stderr
    assert result.stderr.count("\n") == 1


def test_a_format_that_is_none_is_refused() -> None:
    with pytest.raises(ConfigError, match='log_format: expected "text" or "json", got "xml"'):
        configs.loads("server = {dev = true, log_format = 'xml'}")


# --- The lines


def test_each_part_says_as_much_as_it_is_to(capsys: pytest.CaptureFixture[str]) -> None:
    loud, other = logging.getLogger(LOGINS), logging.getLogger(SERVER)
    before = loud.level
    with log_on_stderr({"signal_sdk": logging.ERROR, LOGINS: logging.DEBUG}):
        loud.debug("heard")
        other.warning("not heard")
    assert loud.level == before
    [line] = capsys.readouterr().err.splitlines()
    assert line.endswith(" DEBUG heard")


def test_a_json_line_has_all_of_it_and_stays_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    with log_on_stderr({"signal_sdk": logging.INFO}, is_json=True, who="worker 3"):
        try:
            int("two\nlines \x1b[31m")
        except ValueError:
            logging.getLogger(LOGINS).exception('%r came\n\u202e"', "a\x9b")
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert lines[0].isprintable()
    told = json.loads(lines[0])
    at = datetime.fromisoformat(told.pop("time"))
    assert abs(datetime.now(UTC) - at) < timedelta(minutes=5)
    exception = told.pop("exception")
    assert exception.splitlines()[0] == "Traceback (most recent call last):"
    assert exception.splitlines()[-1].endswith(r"with base 10: 'two\nlines \x1b[31m'")
    assert told == {
        "level": "ERROR",
        "logger": LOGINS,
        "process": "worker 3",
        "message": r"'a\x9b' came\n\u202e" + '"',
    }


def test_what_a_command_complains_of_is_a_json_line_as_well(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with json_complaints():
        complain("signal-sdk: no\x1b")
        complain("signal-sdk: warning: yes", is_warning=True)
    complain("plain\x1b")
    first, second, third = capsys.readouterr().err.splitlines()
    told = [json.loads(line) for line in (first, second)]
    for it in told:
        assert datetime.fromisoformat(it.pop("time")).tzinfo is UTC
    assert told == [
        {"level": "ERROR", "logger": "signal_sdk.cli", "message": "no\x1b"},
        {"level": "WARNING", "logger": "signal_sdk.cli", "message": "warning: yes"},
    ]
    assert third == r"plain\x1b"


# --- A server's


def json_lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


async def test_all_that_a_server_says_on_stderr_is_json() -> None:
    flags = ("--log-format", "json", "--log-level", f"{LOGINS}=info")
    async with dev_server(*flags) as (server, address):
        async with connected(address) as client:
            await client.login("ann")
        ended = await server.end(signal.SIGTERM)
    assert ended.code == 0
    lines = json_lines(ended.err)
    assert [it["level"] for it in lines if it["logger"] == "signal_sdk.cli"] == ["WARNING"]
    assert lines[0]["message"].startswith("DEVELOPMENT MODE: ")
    [login] = [it for it in lines if it["logger"] == LOGINS]
    assert login["level"] == "INFO"
    assert login["message"].endswith("'ann' of app 'app' logged in")
    assert {it["level"] for it in lines if it["logger"] not in ("signal_sdk.cli", LOGINS)} <= {
        "WARNING"
    }


async def test_the_file_says_it_too(tmp_path: Path) -> None:
    text = '[server]\nport = 0\ndev = true\nlog_format = "json"\nlog_levels = ["info"]\n'
    path = write_config(tmp_path, text)
    async with program("serve", "--config", path, "--no-native") as server:
        address_in(await server.out.next())
        ended = await server.end(signal.SIGTERM)
    assert {it["logger"] for it in json_lines(ended.err)} >= {"signal_sdk.cli"}


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("--config", "/no/such/file"), "/no/such/file: No such file or directory"),
        (("--dev", "--host", "no such host"), "cannot listen on no such host:8001"),
        (("--config", "FILE"), "where is state to be kept? Give --data DIR"),
    ],
)
def test_why_it_does_not_start_is_json_as_well(
    tmp_path: Path, args: tuple[str, ...], said: str
) -> None:
    path = write_config(tmp_path, '[[apps]]\nid = "app"\n')
    ended = run("serve", "--log-format", "json", *(path if it == "FILE" else it for it in args))
    assert ended.code == 2
    told = json.loads(one_line_of(ended))
    assert (told["level"], told["logger"]) == ("ERROR", "signal_sdk.cli")
    assert told["message"].startswith(said)


async def test_where_it_listens_is_told_to_programs() -> None:
    flags = ("serve", "--dev", "--port", "0", "--no-native", "--json")
    async with program(*flags) as server:
        told = json.loads(await server.out.next())
        assert (told["tls"], told["native"], told["lookup"]) == ([], [], [])
        [address], [admin] = told["plain"], told["admin"]
        async with httpx.AsyncClient() as asking:
            key = {"Authorization": f"Bearer {told['admin_key']}"}
            assert (await asking.get(f"http://{admin}/v1/key", headers=key)).status_code == 200
        async with connected(address) as client:
            await client.login("ann")
    refused = invoke("--dev", "--json", "--print-config")
    assert (refused.exit_code, refused.stdout) == (2, "")
    assert "--json does not go with --print-config" in refused.stderr


def test_a_worker_says_who_it_is() -> None:
    """Its settings come by stdin, and so does how it is to say what is wrong."""
    settings = Settings(dev=True, server={"log_format": "json", "host": "no such host"})
    *others, told = run_worker(settings)
    assert all(it["logger"] == SERVER for it in others)
    assert told["process"] == "worker 7"
    assert told["message"].startswith("cannot listen on no such host")


def run_worker(settings: Settings) -> list[dict[str, Any]]:
    done = subprocess.run(
        [sys.executable, "-m", "signal_sdk.cli.worker", "7"],
        cwd=ROOT,
        input=settings.encode() + b"\n",
        capture_output=True,
        check=False,
    )
    return json_lines(done.stderr.decode())
