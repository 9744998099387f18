"""The FastAPI program that sends messages, as a process, with many requests at once."""

from __future__ import annotations

import signal

import httpx
import trio

from signal_sdk.testing.server import LocalServer
from tests.samples.peer import peer
from tests.samples.programs import program

SAMPLE = "samples/fastapi_send.py"
REQUESTS = 20


async def test_it_sends_what_it_is_asked_to(server: LocalServer) -> None:
    async with (
        peer(server, "alice") as alice,
        program(SAMPLE, "--server", server.address, "--port", "0") as sender,
        httpx.AsyncClient(trust_env=False, timeout=30) as client,
    ):
        url = (await sender.expect(r"running on (http://\S+)"))[1] + "/send"

        async def ask(number: int) -> None:
            answer = await client.post(url, json={"to": "alice", "text": str(number)})
            assert (answer.status_code, answer.json()) == (200, {"sent": True})

        async with trio.open_nursery() as nursery:
            for number in range(REQUESTS):
                nursery.start_soon(ask, number)
        heard = sorted([int((await alice.hear())[1]) for _ in range(REQUESTS)])
        assert heard == list(range(REQUESTS))

        answer = await client.post(url, json={"to": "a b", "text": "x"})
        assert answer.status_code == 400
        assert answer.json() == {"detail": "account 'a b' holds white space", "ecode": 1004}
        answer = await client.post(url, json={"to": "alice", "text": "x" * 8193})
        assert (answer.status_code, answer.json()["ecode"]) == (400, 1005)

        async def ask_much() -> None:
            answer = await client.post(url, json={"to": "alice", "text": "much"})
            if answer.status_code == 429:
                refused.append(answer)

        refused: list[httpx.Response] = []
        async with trio.open_nursery() as nursery:
            for _ in range(80):
                nursery.start_soon(ask_much)
        assert refused
        assert int(refused[0].headers["Retry-After"]) >= 1
        assert "retry_after" in refused[0].json()["detail"]

        sender.send(signal.SIGTERM)
        await sender.end()
        assert not await alice.session.query_user_status("sender")


async def test_without_a_login_it_says_so(server: LocalServer) -> None:
    async with (
        program(SAMPLE, "--server", server.address, "--port", "0") as sender,
        httpx.AsyncClient(trust_env=False, timeout=30) as client,
    ):
        url = (await sender.expect(r"running on (http://\S+)"))[1] + "/send"
        async with peer(server, "sender"):
            answer = await client.post(url, json={"to": "alice", "text": "x"})
            while answer.status_code == 200:
                answer = await client.post(url, json={"to": "alice", "text": "x"})
    assert answer.status_code in {502, 503}
    assert answer.json()["ecode"] in {103, 1003}
