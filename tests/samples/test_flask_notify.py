"""The web endpoint that sends messages, as a process, with many requests at once."""

from __future__ import annotations

import signal

import httpx
import pytest
import trio

from signal_sdk.testing.server import LocalServer
from tests.samples.peer import peer
from tests.samples.programs import program

SAMPLE = "samples/flask_notify.py"
REQUESTS = 20


async def test_it_sends_what_it_is_asked_to(server: LocalServer) -> None:
    async with (
        peer(server, "alice") as alice,
        program(SAMPLE, "--server", server.address, "--port", "0") as notifier,
        httpx.AsyncClient(trust_env=False, timeout=30) as client,
    ):
        url = (await notifier.expect(r"^notifier notifies at (http://\S+)"))[1]
        ids = set()

        async def ask(number: int) -> None:
            answer = await client.post(url, data={"to": "alice", "text": str(number)})
            assert answer.status_code == 200
            ids.add(answer.json()["id"])

        async with trio.open_nursery() as nursery:
            for number in range(REQUESTS):
                nursery.start_soon(ask, number)
        heard = sorted([int((await alice.hear())[1]) for _ in range(REQUESTS)])
        assert heard == list(range(REQUESTS))
        assert len(ids) == REQUESTS

        for data in (
            {"to": "a b", "text": "x"},
            {"text": "x"},
            {"to": "alice"},
            {"to": "alice", "text": "x" * 8193},
        ):
            answer = await client.post(url, data=data)
            assert answer.status_code == 400
            assert answer.json()["ecode"] in (1004, 1005)

        notifier.send(signal.SIGTERM)
        assert await notifier.end() == 0
        assert not await alice.session.query_user_status("notifier")


async def test_without_a_login_it_says_so(server: LocalServer) -> None:
    async with (
        program(SAMPLE, "--server", server.address, "--port", "0") as notifier,
        httpx.AsyncClient(trust_env=False, timeout=30) as client,
    ):
        url = (await notifier.expect(r"(http://\S+)"))[1]
        async with peer(server, "notifier"):
            await notifier.expect("^logged out: the account logged in elsewhere")
            answer = await client.post(url, data={"to": "alice", "text": "x"})
    assert answer.status_code == 503
    assert answer.json() == {"error": "not logged in", "ecode": 1003}


@pytest.mark.parametrize("args", [("--account", "a b")])
async def test_a_login_that_fails_is_one_line(server: LocalServer, args: tuple[str, ...]) -> None:
    async with program(SAMPLE, "--server", server.address, *args) as notifier:
        assert await notifier.end() == 1
    assert notifier.lines == ["error: the account is not valid (209)"]
