"""`signal-sdk channel` and `signal-sdk account`, and what the doctor tells of apps."""

from __future__ import annotations

import json
import re
import signal
from pathlib import Path

import pytest
import trio
from click.testing import CliRunner, Result
from trio.testing import MockClock

from signal_sdk import Signal
from signal_sdk.cli.main import cli
from signal_sdk.server.engine import checkup, kept
from signal_sdk.server.engine.base import AccountKey
from signal_sdk.server.engine.files import FILE_NAME
from tests.cli.program import dev_server, one_line_of, run
from tests.server.engine.contract.harness import ANN, BOB, OnJournal, open_house

EVE = AccountKey("other", "eve")
FORGED = "x-\x1b[2J\n\u202e"
SHOWN = r"x-\x1b[2J\n\u202e"


def invoke(*args: str) -> Result:
    return CliRunner().invoke(cli, list(args))


def good(*args: str) -> list[str]:
    result = invoke(*args)
    assert (result.exit_code, result.stderr) == (0, "")
    return result.stdout.splitlines()


def refused(*args: str, code: int = 1) -> str:
    result = invoke(*args)
    assert (result.exit_code, result.stdout) == (code, "")
    line, end, rest = result.stderr.partition("\n")
    assert (end, rest) == ("\n", "")
    return line


@pytest.fixture
def data(tmp_path: Path) -> str:
    """What a server leaves whose clock began at the epoch of the tests' servers."""
    trio.run(fill, tmp_path, clock=MockClock(autojump_threshold=0))
    return str(tmp_path)


async def fill(directory: Path) -> None:
    """Ann has made two channels, one of them much later, and gone, but for a message; Bob is in a
    room; whoever made a channel in the app beside was removed.
    """
    async with open_house(OnJournal(directory)) as house:
        ann = await house.node.log_in()
        bob = await house.node.log_in(BOB)
        eve = await house.node.log_in(EVE)
        await bob.join("room")
        await ann.set("a", "b", FORGED)
        house.ahead = 1e11 - house.wall()
        await ann.set("a", "b", "x-2")
        house.ahead = 0.0
        assert await ann.end()
        await bob.post("hello", ANN)
        await eve.set("a", "b" * 100, "big")
        assert await eve.end()
    with kept.changed(directory) as keeper:
        keeper.remove_accounts(it for it in kept.accounts_of(keeper.state) if it.app == EVE.app)


def channels(data: str) -> set[str]:
    return {it.name for it in kept.channels_of(kept.read(data))}


async def test_the_doctor_tells_of_each_app_the_largest_first(
    data: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = "accounts: 2, channels: 3 (made by 'ann': 2, 'bob': 1), empty channels: 2 "
    text += "(by their _channel_ttl, 7200 s: 2), inbox entries: 1, bytes: "
    told = [line for line in good("doctor", "--data", data) if line.startswith("app ")]
    assert len(told) == 2
    assert re.fullmatch(re.escape(f"app 'app': {text}") + r"\d+", told[0])
    assert told[1].startswith("app 'other': accounts: 0, channels: 1 (made by unknown: 1), ")
    monkeypatch.setattr(checkup, "APPS_TOLD", 1)
    lines = good("doctor", "--data", data)
    assert lines[-3:] == [told[0], "apps: and 1 more, which have less", "all is well"]


async def test_the_doctor_tells_the_most_frequent_makers(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with open_house(OnJournal(tmp_path)) as house:
        for number in range(5):
            user = await house.node.log_in(AccountKey("app", f"user{number}"))
            for room in range(number + 1):
                await user.set("_channel_ttl", 10 + number, f"{number}.{room}")
    (line,) = (line for line in good("doctor", "--data", str(tmp_path)) if line.startswith("app "))
    assert "(made by 'user4': 5, 'user3': 4, 'user2': 3, others: 3)" in line
    assert "(by their _channel_ttl, 14 s: 5, 13 s: 4, 12 s: 3, others: 3)" in line


async def test_channels_are_listed_one_in_a_line(data: str) -> None:
    past = "empty since 2020-09-13 12:26:40 UTC (1600000000), "
    past += "ends 2020-09-13 14:26:40 UTC (1600007200)"
    future = "empty since 5138-11-16 09:46:40 UTC (100000000000), "
    future += "ends 5138-11-16 11:46:40 UTC (100000007200)"
    assert good("channel", "list", "--data", data) == [
        "'app' 'room': members: 1, attributes: 0, bytes: 0, made by 'bob'",
        f"'app' '{SHOWN}': {past}, attributes: 1, bytes: 3, made by 'ann'",
        f"'app' 'x-2': {future}, attributes: 1, bytes: 3, made by 'ann'",
        f"'other' 'big': {past}, attributes: 1, bytes: 102",
    ]


@pytest.mark.parametrize(
    ("args", "wanted"),
    [
        (["--empty"], [FORGED, "x-2", "big"]),
        (["--older-than", "3600"], [FORGED, "big"]),
        (["--by-size"], ["big", FORGED, "x-2", "room"]),
        (["--app", "other"], ["big"]),
        (["--app", "nobody"], []),
        (["room", "x-2", "gone"], ["room", "x-2"]),
        (["x-*", "--app", "app"], [FORGED, "x-2"]),
        (["x-*", "--app", "other"], []),
    ],
)
async def test_those_that_are_meant_are_listed(
    data: str, args: list[str], wanted: list[str]
) -> None:
    lines = good("channel", "list", "--data", data, "--json", *args)
    assert [json.loads(line)["name"] for line in lines] == wanted
    assert all(line.isprintable() for line in lines)


async def test_a_channel_as_json_has_all_that_a_line_tells(data: str) -> None:
    (line,) = good("channel", "list", "--data", data, "--json", "x-2")
    assert json.loads(line) == {
        "app": "app",
        "name": "x-2",
        "members": 0,
        "attributes": 1,
        "bytes": 3,
        "empty_since": 1e11,
        "ends": 1e11 + 7200,
        "maker": "ann",
    }


async def test_empty_channels_are_removed_by_their_age(data: str) -> None:
    remove = ("channel", "remove", "--data", data, "--app", "app", "--empty")
    lines = good(*remove, "--older-than", "3600", "--dry-run")
    assert lines[0].startswith(f"'app' '{SHOWN}': empty since ")
    assert lines[1:] == ["would be removed: 1, bytes: 3"]
    assert channels(data) == {"room", FORGED, "x-2", "big"}
    assert good(*remove, "--older-than", "3600") == ["removed: 1, bytes: 3"]
    assert channels(data) == {"room", "x-2", "big"}
    assert good(*remove, "--older-than", "3600") == ["removed: 0, bytes: 0"]


async def test_channels_are_removed_by_their_names(data: str) -> None:
    remove = ("channel", "remove", "--data", data, "--app", "app")
    assert good(*remove, FORGED) == ["removed: 1, bytes: 3"]
    assert good(*remove, "*") == [
        "removed: 1, bytes: 3",
        "left alone, since they are in use: 1",
    ]
    assert channels(data) == {"room", "big"}


@pytest.mark.parametrize(
    ("names", "text"),
    [
        (["x-2", "gone\x1b"], r"the app 'app' has no channel 'gone\x1b'"),
        (["x-2", "big"], "the app 'app' has no channel 'big'"),
        (["x-2", "room"], "the channel 'room' has members (1), and is left alone"),
    ],
)
async def test_where_one_cannot_be_removed_none_is(data: str, names: list[str], text: str) -> None:
    line = refused("channel", "remove", "--data", data, "--app", "app", *names)
    assert line == f"signal-sdk: {text}"
    assert len(channels(data)) == 4


@pytest.mark.parametrize("more", [[], ["x-2", "--empty"]])
async def test_which_channels_has_to_be_said(data: str, more: list[str]) -> None:
    line = refused("channel", "remove", "--data", data, "--app", "app", *more, code=2)
    assert "give either NAMEs or --empty" in line


async def test_accounts_are_listed_and_removed(data: str) -> None:
    ann = "'app' 'ann': offline, attributes: 0, entries: 1, bytes: 52, channels made: 2"
    bob = "'app' 'bob': online, in 'room', attributes: 0, entries: 0, bytes: 0, channels made: 1"
    assert good("account", "list", "--data", data) == [ann, bob]
    assert good("account", "list", "--data", data, "b*") == [bob]
    (line,) = good("account", "list", "--data", data, "--json", "ann")
    assert json.loads(line)["entries"] == 1
    remove = ("account", "remove", "--data", data, "--app", "app")
    assert good(*remove, "ann", "--dry-run") == [ann, "would be removed: 1, bytes: 52"]
    assert good("account", "list", "--data", data) == [ann, bob]
    assert refused(*remove, "bob") == "signal-sdk: the account 'bob' is online, and is left alone"
    assert good(*remove, "*") == ["removed: 1, bytes: 52", "left alone, since they are in use: 1"]
    assert good("account", "list", "--data", data) == [bob]
    assert "give the NAMEs" in refused(*remove, code=2)


@pytest.mark.parametrize(
    "command", [["channel", "list"], ["account", "list"], ["channel", "remove", "--empty"]]
)
def test_a_directory_that_no_server_uses_is_refused(tmp_path: Path, command: list[str]) -> None:
    args = [*command, "--data", str(tmp_path), "--app", "app"]
    assert refused(*args) == f"signal-sdk: {tmp_path}: no server keeps its state there"
    assert list(tmp_path.iterdir()) == []


async def test_a_server_that_runs_is_named_and_not_disturbed(tmp_path: Path) -> None:
    """As processes: a bot makes channels; the server has to be stopped before they are removed, and
    begins again without them.
    """
    arguments = ("--no-native", "--data", str(tmp_path))
    remove = ("channel", "remove", "--data", str(tmp_path), "--app", "app", "x*")
    async with dev_server(*arguments) as (server, address):
        async with Signal("app", server=address) as sig, sig.login("ann", "") as ann:
            for number in range(3):
                args = {"channel": f"x{number}", "name": "a", "value": "b"}
                await ann.invoke("io.agora.signal.channel_set_attr", args)
        for command in (remove, (*remove, "--dry-run"), ("channel", "list", *remove[2:4])):
            line = one_line_of(await trio.to_thread.run_sync(run, *command))
            who = rf"the process {server.process.pid} \([^)]+\)"
            file = re.escape(str(tmp_path / FILE_NAME))
            assert re.fullmatch(
                rf"signal-sdk: {file}: {who} is using it; stop that one first", line
            )
        assert (await server.end(signal.SIGTERM)).code == 0
    assert channels(str(tmp_path)) == {"x0", "x1", "x2"}
    ended = await trio.to_thread.run_sync(run, *remove)
    assert (ended.code, ended.out, ended.err) == (0, "removed: 3, bytes: 9\n", "")
    async with dev_server(*arguments) as (server, _):
        assert (await server.end(signal.SIGTERM)).code == 0
    assert channels(str(tmp_path)) == set()


async def test_programs_are_told_what_was_removed(data: str) -> None:
    args = ("channel", "remove", "--data", data, "--app", "app", "x-*", "room*", "--json")
    told = {"names": [FORGED, "x-2"], "bytes": 6, "in_use": 1}
    (line,) = good(*args, "--dry-run")
    assert json.loads(line) == {"dry_run": True, **told}
    assert len(channels(data)) == 4
    (line,) = good(*args)
    assert json.loads(line) == {"dry_run": False, **told}
    assert channels(data) == {"room", "big"}
    (line,) = good("account", "remove", "--data", data, "--app", "app", "ann", "--json")
    assert json.loads(line)["names"] == ["ann"]
