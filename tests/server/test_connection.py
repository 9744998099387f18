"""A connection while its login is on its way to the journal: in which order things happen then."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from signal_sdk.server.engine.embedded import EmbeddedEngine
from signal_sdk.server.engine.journal import Journal
from signal_sdk.server.engine.schema import Batch
from signal_sdk.testing.server import LocalServer, local_server
from tests.server.helpers import APP, OURS, dev_config, settle
from tests.wire_client import logged_in, wire_client

COMMIT_SECONDS = 1.0


@pytest.fixture
async def server(tmp_path: Path, autojump_clock: MockClock) -> AsyncIterator[LocalServer]:
    """A server whose journal takes a second for each batch."""

    async def slowly(write: Callable[[Batch], None], batch: Batch) -> None:
        with trio.CancelScope(shield=True):
            await trio.sleep(COMMIT_SECONDS)
        write(batch)

    engine = EmbeddedEngine(journal=Journal.open(tmp_path), write_in_thread=slowly)
    async with local_server(dev_config(), listens=False, engine=engine) as server:
        yield server


async def test_what_is_said_behind_a_login_is_answered_behind_it(server: LocalServer) -> None:
    """Also what could be answered at once, as a ping."""
    async with wire_client(server.connect()) as ann:
        ann.send("login", {"vid": APP, "account": "ann", **OURS})
        ann.send("ping", 1)
        ann.send("call2", ["user_getmsg", 7, {"line": "another's", "ver_clear": 0, "max": 1}])
        await trio.sleep(COMMIT_SECONDS / 2)
        ann.send("ping", 2)
        await settle()
        assert ann.seen == []
        answer = await ann.login_ret()
        assert answer["result"] == "ok"
        await trio.sleep(COMMIT_SECONDS)
        assert [
            (frame[0], frame[1][0] if frame[0] == "call2-ret" else frame[1]) for frame in ann.seen
        ] == [
            ("pong", 1),
            ("call2-ret", 7),
            ("pong", 2),
        ]


async def test_requests_behind_a_resume_are_answered_in_order(server: LocalServer) -> None:
    async with logged_in(server, "ann", **OURS) as ann:
        line = ann.line
    async with wire_client(server.connect()) as again:
        again.send("line_login", {"line": line})
        for callid, name in enumerate("abc", 1):
            args = {"line": line, "name": name, "value": "1"}
            again.send("call2", ["user_set_attr", callid, args])
        assert (await again.login_ret())["result"] == "ok"
        await trio.sleep(3 * COMMIT_SECONDS)
        assert [frame[1][:2] for frame in again.seen] == [[1, ""], [2, ""], [3, ""]]


@pytest.mark.parametrize(
    "more",
    [[], [("ping", 1)], [("call2", ["user_logout", 1, {"line": "not known yet"}])]],
    ids=["nothing", "ping", "logout"],
)
async def test_a_client_that_goes_before_its_login_is_durable_has_a_lease(
    server: LocalServer, more: list[tuple[str, Any]], caplog: pytest.LogCaptureFixture
) -> None:
    """Also where it has said that it goes for good, which it cannot without its line."""
    async with wire_client(server.connect()) as ann:
        ann.send("login", {"vid": APP, "account": "ann", **OURS})
        for event, payload in more:
            ann.send(event, payload)
        await trio.sleep(COMMIT_SECONDS / 2)
        ann.link.abort()
    async with logged_in(server, "bob") as bob:
        assert (await bob.call("user_query_user_status", account="ann"))["status"] == 1
        assert server.node.sessions == 1
        assert "'bob' of app 'app' logged in" in caplog.text
        # Behind what still waits to be handled, the end is not noticed before the login is.
        assert ("'ann' of app 'app' logged in" in caplog.text) is bool(more)
        await trio.sleep(125)
        assert (await bob.call("user_query_user_status", account="ann"))["status"] == 0


async def test_a_login_that_another_has_overtaken_is_sent_away(server: LocalServer) -> None:
    async with wire_client(server.connect()) as old, wire_client(server.connect()) as new:
        old.send("login", {"vid": APP, "account": "ann", **OURS})
        await trio.sleep(COMMIT_SECONDS / 2)
        new.send("login", {"vid": APP, "account": "ann", **OURS})
        assert (await new.login_ret())["result"] == "ok"
        await trio.sleep(COMMIT_SECONDS)
        # It had not heard of its login yet: it hears so in the answer to that.
        assert (await old.login_ret())["err"] == "kick"
        assert server.node.sessions == 1
        new.send("ping", 1)
        await settle()
        assert new.seen == [["pong", 1]]
