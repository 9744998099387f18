"""The trace of a `Signal`: who has said what to whom, for people, and nothing that is secret."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from signal_sdk import CallEnded, Signal
from signal_sdk.client.trace import FIRST_LINES, LAST_LINES, Diagram, Trace
from signal_sdk.testing.faults import FaultyNetwork
from signal_sdk.testing.server import LocalServer, local_server
from tests.signals import NO_TOKEN, log_in, signals

SECRET = "what ann says to bob"
LINE = re.compile(r"    (a->>s|s-->>a|s->>a|Note over a|Note over a,s): ")


@pytest.fixture
async def server() -> AsyncIterator[LocalServer]:
    async with local_server(listens=False) as running:
        yield running


def diagrams(text: str) -> dict[str, list[str]]:
    """The lines of each diagram, by its title."""
    found: dict[str, list[str]] = {}
    for part in text.split("## ")[1:]:
        title, _, rest = part.partition("\n")
        [block] = re.findall(r"```mermaid\nsequenceDiagram\n(.*?)\n```", rest, re.DOTALL)
        head, lines = block.split("\n")[:2], block.split("\n")[2:]
        assert head == [f"    participant a as {title.split()[2]}", "    participant s as server"]
        assert all(LINE.match(line) for line in lines), lines
        found[title] = [re.sub(r"\+[\d.]+ s ", "", line.strip()) for line in lines]
    return found


async def talk(server: LocalServer, file: Path, *, with_texts: bool) -> None:
    """Ann talks with bob, in every way."""
    async with (
        Signal("app", server=server, trace=file, trace_texts=with_texts) as signal,
        signals(server) as other,
    ):
        ann, bob = await log_in(signal, "ann"), await log_in(other, "bob")
        room = await ann.channel_join("room")
        await bob.channel_join("room")
        await room.message_channel_send(SECRET)
        await ann.message_instant_send("bob", SECRET)
        await bob.message_instant_send("ann", SECRET)
        async with bob.invitations() as invitations:
            call = ann.channel_invite_user2("talk", "bob", SECRET)
            async with call.events() as events:
                theirs = await anext(invitations)
                await theirs.channel_invite_accept(SECRET)
                await call.channel_invite_end()
                assert [type(it) async for it in events][-1] is CallEnded


async def test_what_was_said_can_be_read(
    server: LocalServer, tmp_path: Path, autojump_clock: MockClock
) -> None:
    file = tmp_path / "trace.md"
    await talk(server, file, with_texts=False)
    text = file.read_text()
    assert SECRET not in text
    assert NO_TOKEN not in text
    found = diagrams(text)
    assert list(found) == ["Session of ann", "Call of ann with bob about talk"]
    session = found["Session of ann"]
    size = len(SECRET)
    for line in (
        "Note over a: logged in",
        "a->>s: channel_join channel room (2)",
        "s-->>a: channel_join (2): ok",
        f"a->>s: channel_sendmsg channel room, {size} characters (3)",
        "s->>a: room 2: UserJoin of bob",
        f"s->>a: room 3: Message of ann, {size} characters",
        f"a->>s: user_sendmsg to bob, {size} characters (4)",
        f"s->>a: entry 1: instant of bob, {size} characters",
        "Note over a: logged out",
    ):
        assert line in session, (line, session)
    call = found["Call of ann with bob about talk"]
    assert [line.split(" (")[0] for line in call if line.startswith("a->>s")] == [
        f"a->>s: voip_invite peer bob channel talk, {size} characters",
        "a->>s: voip_invite_bye peer bob channel talk",
    ]
    assert [line for line in call if line.startswith("s->>a")] == [
        "s->>a: entry 2: voip_invite_ack of bob",
        "s->>a: entry 3: voip_invite_accept of bob",
    ]
    assert set(call) <= set(session)


async def test_texts_are_there_where_they_are_asked_for(
    server: LocalServer, tmp_path: Path, autojump_clock: MockClock
) -> None:
    file = tmp_path / "trace.md"
    await talk(server, file, with_texts=True)
    assert file.read_text().count(f"“{SECRET}”") >= 4
    assert NO_TOKEN not in file.read_text()


async def fail(server: LocalServer, file: Path) -> None:
    """Ann's connection is lost, her call fails, and her program, too."""
    async with (
        FaultyNetwork(server, seed=1) as network,
        Signal("app", server=network, trace=file) as signal,
    ):
        ann = await log_in(signal, "ann")
        network.cut_all()
        ann.channel_invite_user2("talk", "nobody", {"_require_peer_online": 1})
        await trio.sleep(5)
        raise ZeroDivisionError


async def test_a_lost_connection_and_a_failure_are_in_it(
    server: LocalServer, tmp_path: Path, autojump_clock: MockClock
) -> None:
    file = tmp_path / "trace.md"
    with pytest.raises(ZeroDivisionError):
        await fail(server, file)
    [session, *_] = diagrams(file.read_text()).values()
    assert "Note over a: reconnecting" in session
    assert any(line.startswith("Note over a: the connection is lost: ") for line in session)
    assert any(re.match(r"s-->>a: voip_invite \(\d\): INVITE_E_", line) for line in session)


async def test_foreign_names_are_no_syntax(
    server: LocalServer, tmp_path: Path, autojump_clock: MockClock
) -> None:
    file = tmp_path / "trace.md"
    async with Signal("app", server=server, trace=file, trace_texts=True) as signal:
        ann = await log_in(signal, "ann")
        room = await ann.channel_join("a;b#c<d>")
        await room.message_channel_send("one\ntwo\x1b[31m\n```\n## three; four")
    [session] = diagrams(file.read_text()).values()
    told = "\n".join(session)
    assert "channel a#59;b#35;c#lt;d#gt;" in told
    assert "\x1b" not in told
    assert "one\\ntwo" in told


def test_of_a_long_diagram_the_midst_is_left_out() -> None:
    diagram = Diagram("title", "ann")
    count = FIRST_LINES + LAST_LINES + 7
    for number in range(count):
        diagram.add(f"    a->>s: {number}")
    lines = list(diagram.lines())
    assert "    Note over a,s: 7 lines are left out here" in lines
    assert f"    a->>s: {count - 1}" in lines
    assert len(lines) == FIRST_LINES + LAST_LINES + 9


async def test_a_file_that_cannot_be_written_is_told_at_once(
    server: LocalServer, tmp_path: Path
) -> None:
    with pytest.raises(FileNotFoundError):
        Signal("app", server=server, trace=tmp_path / "no" / "trace.md")


async def test_one_that_cannot_be_written_at_the_end_ends_nothing(
    server: LocalServer,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    autojump_clock: MockClock,
) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    async with Signal("app", server=server, trace=folder / "trace.md") as signal:
        await log_in(signal, "ann")
        (folder / "trace.md").unlink()
        folder.rmdir()
    assert "the trace was not written" in caplog.text
    caplog.clear()


async def test_of_very_many_sessions_the_latest_are_kept(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    trace = Trace(tmp_path / "trace.md", with_texts=False)
    for number in range(Trace.SESSIONS + 5):
        trace.session(f"bot{number}").note("here")
    trace.write()
    text = (tmp_path / "trace.md").read_text()
    assert text.count("## Session") == Trace.SESSIONS
    assert "bot5\n" in text
    assert "bot4\n" not in text
