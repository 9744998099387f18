"""A backend is asked before a login, a join and an invitation, and whoever waits for its answer
holds nobody else.
"""

from __future__ import annotations

from typing import Any

import pytest
import trio

from signal_sdk.ecodes import ECode
from signal_sdk.server.hooks.questions import REFUSED, UNANSWERED
from tests.server.helpers import members, pushed
from tests.server.hooks.backend import HANGS, OK, SECRET, Answer, Backend, Request, allows
from tests.server.hooks.helpers import Clients, counts, served
from tests.wire_client import logged_in, wire_client

ALL = ("login", "join", "invite")


def asked(what: str, **facts: str) -> dict[str, str]:
    return {"type": "question", "ask": what, "app": "app", **facts}


async def login_code(server: Any, account: str = "ann", **more: Any) -> tuple[int, str]:
    """What a login is answered that is refused."""
    async with wire_client(server.connect()) as client:
        result = await client.login(account, **more)
        return result["ecode"], result["reason"]


async def call(client: Any, peer: str = "bob", channel: str = "talk") -> dict[str, Any]:
    result: dict[str, Any] = await client.call(
        "voip_invite", channelName=channel, peer=peer, extra="{}"
    )
    return result


async def test_what_is_allowed_is_done(backend: Backend) -> None:
    backend.answer = lambda _: allows(True)
    async with (
        served(backend, url="", ask_url=backend.url, ask=ALL) as server,
        Clients(server) as clients,
    ):
        ann, bob = await clients.log_in("ann"), await clients.log_in("bob")
        await ann.call("channel_join", name="room")
        assert (await call(ann))["result"] == "ok"
        assert await members(bob, "room") == ["ann"]
        assert [kind for kind, _ in await pushed(bob)] == ["voip_invite"]
        told = counts(server)
        assert (told.asked, told.allowed, told.refused, told.unanswered) == (4, 4, 0, 0)
    assert backend.questions == [
        asked("login", account="ann", device="websdk"),
        asked("login", account="bob", device="websdk"),
        asked("join", account="ann", channel="room"),
        asked("invite", account="ann", peer="bob", channel="talk"),
    ]
    assert all(it.is_signed() for it in backend.requests)
    assert len({it.headers["webhook-id"] for it in backend.requests}) == 4
    assert SECRET.encode() not in b"".join(it.body for it in backend.requests)


async def test_what_is_refused_is_not_done_and_its_client_hears_why(backend: Backend) -> None:
    def answer(request: Request) -> Answer:
        facts = request.json
        return allows(facts["ask"] == "login" and facts["account"] != "eve", "not\n today")

    backend.answer = answer
    async with (
        served(backend, url="", ask_url=backend.url, ask=ALL) as server,
        Clients(server) as clients,
    ):
        ann, bob = await clients.log_in("ann"), await clients.log_in("bob")
        reason = "not\\n today"
        assert await login_code(server, "eve") == (ECode.LOGIN_E_FAILED, reason)
        refused = await ann.call("channel_join", name="room")
        assert (refused["ecode"], refused["reason"]) == (ECode.JOINCHANNEL_E_OTHER, reason)
        refused = await call(ann)
        assert (refused["ecode"], refused["reason"]) == (ECode.INVITE_E_OTHER, reason)
        assert await members(bob, "room") == []
        assert await pushed(bob) == []
        assert counts(server).refused == 3
        status = await bob.call("user_query_user_status", account="eve")
        assert status["status"] == 0


async def test_without_a_reason_there_is_one(backend: Backend) -> None:
    backend.answer = lambda _: Answer(body=b'{"allow": false, "more": [1]}')
    async with served(backend, ask=("login",)) as server:
        assert await login_code(server) == (ECode.LOGIN_E_FAILED, REFUSED)


NO_ANSWERS = {
    "it hangs": HANGS,
    "500": Answer(500, b'{"allow": true}'),
    "a page": Answer(200, b"<html>"),
    "nothing": OK,
    "another type": Answer(200, b'{"allow": 1}'),
    "a list": Answer(200, b"[true]"),
    "too long": Answer(200, b'{"allow": true, "reason": "' + b"x" * 100_000 + b'"}'),
    "a redirect": Answer(302, b'{"allow": true}', (("Location", "/"),)),
    "compressed": Answer(200, b'{"allow": true}', (("Content-Encoding", "gzip"),)),
    "it hangs up": Answer(hangs_up=True),
    "no UTF-8": Answer(200, b'{"allow": true, "reason": "\xff"}'),
    "deep": Answer(200, b'{"allow": true, "x": ' + b"[" * 20_000),
}


@pytest.mark.parametrize("why", NO_ANSWERS)
@pytest.mark.parametrize("default", ["refuse", "allow"])
async def test_what_has_no_answer_is_decided_by_default(
    backend: Backend, why: str, default: str, caplog: pytest.LogCaptureFixture
) -> None:
    backend.answer = lambda request: NO_ANSWERS[why] if request.json["type"] == "question" else OK
    async with served(backend, ask=("login",), ask_default=default) as server:
        began = trio.current_time()
        if default == "refuse":
            assert await login_code(server) == (ECode.LOGIN_E_NET, UNANSWERED)
        else:
            async with logged_in(server, "ann"):
                pass
        assert trio.current_time() - began < 2.1
        told = counts(server)
        assert (told.asked, told.allowed, told.refused, told.unanswered) == (1, 0, 0, 1)
    assert "a question has no answer" in caplog.text
    parts = [it.name for it in caplog.records if "a question has no answer" in it.getMessage()]
    assert set(parts) == {"signal_sdk.server.hooks"}
    caplog.clear()


async def test_who_waits_for_an_answer_holds_nobody_else(backend: Backend) -> None:
    """What it says behind an invitation waits, and so is done in its order."""
    backend.answer = lambda request: (
        Answer(body=b'{"allow": true}', pause=1) if request.json["ask"] != "login" else allows(True)
    )
    async with (
        served(backend, url="", ask_url=backend.url, ask=ALL) as server,
        Clients(server) as clients,
    ):
        ann, bob = await clients.log_in("ann"), await clients.log_in("bob")
        began = trio.current_time()
        invited = ann.request("voip_invite", channelName="talk", peer="bob", extra="{}")
        ended = ann.request("voip_invite_bye", channelName="talk", peer="bob", extra="")
        assert (await bob.call("user_query_user_status", account="ann"))["status"] == 1
        assert trio.current_time() - began < 0.1
        assert (await ann.reply(invited))["result"] == "ok"
        assert (await ann.reply(ended))["result"] == "ok"
        assert trio.current_time() - began < 1.2
        joined = ann.request("channel_join", name="room")
        left = ann.request("channel_leave", name="room")
        assert (await ann.reply(joined))["result"] == "ok"
        assert (await ann.reply(left))["result"] == "ok"
        assert [kind for kind, _ in await pushed(bob)] == ["voip_invite", "voip_invite_bye"]


async def test_so_many_are_asked_at_once(
    backend: Backend, caplog: pytest.LogCaptureFixture
) -> None:
    """What is asked beyond that is decided by default, at once."""
    backend.answer = lambda _: Answer(body=b'{"allow": true}', pause=1)
    async with served(
        backend, url="", ask_url=backend.url, ask=("login",), ask_at_once=3
    ) as server:
        codes: list[int] = []

        async def log_in(number: int) -> None:
            async with wire_client(server.connect()) as client:
                result = await client.login(f"a{number}")
                codes.append(result.get("ecode", 0))

        async with trio.open_nursery() as nursery:
            for number in range(5):
                nursery.start_soon(log_in, number)
        assert sorted(codes) == [0, 0, 0, ECode.LOGIN_E_NET, ECode.LOGIN_E_NET]
        assert len(backend.requests) == 3
        # There is room again.
        async with logged_in(server, "bob"):
            pass
    caplog.clear()


async def test_who_has_gone_meanwhile_is_not_online(backend: Backend) -> None:
    backend.answer = lambda _: Answer(body=b'{"allow": true}', pause=1)
    async with served(backend, url="", ask_url=backend.url, ask=("login",)) as server:
        async with wire_client(server.connect()) as client:
            client.send("login", {"vid": "app", "account": "ann", "token": "_no_need_token"})
            await backend.until(lambda: bool(backend.requests))
        await trio.sleep(200)
        assert server.node.sessions == 0
        assert server.node.statistics().online == 0


async def test_coming_back_is_no_login(backend: Backend) -> None:
    backend.answer = lambda _: allows(True)
    async with served(backend, url="", ask_url=backend.url, ask=("login",)) as server:
        async with logged_in(server, "ann", device="sdk", ver=3) as client:
            line = client.line
        async with wire_client(server.connect()) as client:
            client.send("line_login", {"line": line})
            assert (await client.login_ret())["result"] == "ok"
    assert len(backend.questions) == 1


async def test_a_wrong_token_is_not_asked_about(backend: Backend) -> None:
    async with served(backend, ask=("login",)) as server:
        code, _ = await login_code(server, "bad name!" * 100)
        assert code == ECode.LOGIN_E_INVALID_USER
    assert backend.questions == []


async def test_a_join_that_comes_again_is_what_it_was(backend: Backend) -> None:
    """Though the backend does not allow it any more."""
    backend.answer = lambda _: allows(len(backend.questions) == 0)
    async with (
        served(backend, url="", ask_url=backend.url, ask=("join",)) as server,
        Clients(server) as clients,
    ):
        ann = await clients.log_in("ann")
        args = {"line": ann.line, "name": "room", "ack": 0}
        for _ in range(2):
            ann.send("call2", ["channel_join", 77, args])
            assert (await ann.reply(77))["result"] == "ok"
    assert len(backend.questions) == 2
