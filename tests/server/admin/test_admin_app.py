"""What the admin API answers: every operation, what it takes, and how failures are told."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from trio.testing import MockClock

from signal_sdk.ecodes import ECode
from signal_sdk.errors import ParameterError, SignalError
from signal_sdk.server.admin.idempotency import KEPT_SECONDS
from signal_sdk.server.admin.routes import OPERATIONS
from signal_sdk.server.config import AdminConfig
from signal_sdk.server.engine.base import NoBytesError, UnknownError
from signal_sdk.server.operator.facts import NotThereError, Outcome, Page, Token
from signal_sdk.server.refusals import LimitError, too_often
from tests.server.admin.helpers import APP_KEY, admin_config, asker
from tests.server.helpers import settle

UP = ".."
ACCOUNT = "/v1/apps/app/accounts/ann"
CHANNEL = "/v1/apps/app/channels/news"
PAGE = {"cursor": "c", "limit": 5}
CALLS: dict[str, tuple[str, str, Any, tuple[Any, ...]]] = {
    "send": (
        "POST",
        f"{ACCOUNT}/messages",
        {"message": {"a": [1]}, "sender": "bob", "ttl": 9},
        ("app", "ann", {"a": [1]}, {"sender": "bob", "message_id": "", "ttl": 9}),
    ),
    "send_to_channel": (
        "POST",
        f"{CHANNEL}/messages",
        {"message": "hi"},
        ("app", "news", "hi", {"sender": "_agora_system", "message_id": ""}),
    ),
    "online": ("GET", "/v1/apps/app/accounts?cursor=c&limit=5", None, ("app", PAGE)),
    "presence": ("GET", ACCOUNT, None, ("app", "ann", {})),
    "kick": ("DELETE", f"{ACCOUNT}/session", None, ("app", "ann", {})),
    "inbox": ("GET", f"{ACCOUNT}/inbox", None, ("app", "ann", {})),
    "waiting": ("GET", f"{ACCOUNT}/inbox/entries?cursor=c&limit=5", None, ("app", "ann", PAGE)),
    "set_user_attribute": (
        "PUT",
        f"{ACCOUNT}/attributes/mood",
        {"value": None},
        ("app", "ann", "mood", None, {}),
    ),
    "delete_user_attribute": (
        "DELETE",
        f"{ACCOUNT}/attributes/mood",
        None,
        ("app", "ann", "mood", {}),
    ),
    "connection": ("GET", f"{ACCOUNT}/connection", None, ("app", "ann", {})),
    "channels": ("GET", "/v1/apps/app/channels?cursor=c&limit=5", None, ("app", PAGE)),
    "channel": ("GET", CHANNEL, None, ("app", "news", {})),
    "members": ("GET", f"{CHANNEL}/members?cursor=c&limit=5", None, ("app", "news", PAGE)),
    "remove": ("DELETE", f"{CHANNEL}/members/ann", None, ("app", "ann", "news", {})),
    "set_channel_attribute": (
        "PUT",
        f"{CHANNEL}/attributes/mood",
        {"value": {"a": 1}},
        ("app", "news", "mood", {"a": 1}, {}),
    ),
    "delete_channel_attribute": (
        "DELETE",
        f"{CHANNEL}/attributes/mood",
        None,
        ("app", "news", "mood", {}),
    ),
    "calls": ("GET", "/v1/apps/app/calls?cursor=c&limit=5", None, ("app", PAGE)),
    "call": ("GET", "/v1/apps/app/calls/room/ann/bob", None, ("app", "room", "ann", "bob", {})),
    "end_call": (
        "DELETE",
        "/v1/apps/app/calls/room/ann/bob?call_id=7",
        None,
        ("app", "room", "ann", "bob", {"call_id": "7"}),
    ),
    "connections": ("GET", "/v1/apps/app/connections?cursor=c&limit=5", None, ("app", PAGE)),
}
ELSEWHERE = {
    *("key", "node", "send_to_many", "make_token", "calls_of"),
    *("user_attributes", "channel_attributes"),
}
"""What is asked in tests of its own."""


async def test_every_operation_is_tested(autojump_clock: MockClock) -> None:
    names = [operation.name for operation in OPERATIONS]
    assert len(set(names)) == len(names)
    assert set(CALLS) | ELSEWHERE >= set(names) - {"events"}


@pytest.mark.parametrize("name", CALLS)
async def test_what_is_asked_is_asked_of_the_operator(autojump_clock: MockClock, name: str) -> None:
    method, path, body, asked = CALLS[name]
    async with asker() as ask:
        if method == "GET":
            ask.operator.answers[name] = Page([]) if "cursor" in path else {"found": 1}
        answer = await ask(method, path, json=body)
        assert ask.operator.asked == [(name, *asked)]
        if method == "GET":
            found = {"items": [], "cursor": ""} if "cursor" in path else {"found": 1}
            assert (answer.status_code, answer.json()) == (200, found)
        else:
            assert (answer.status_code, answer.content) == (204, b"")
        assert answer.headers["cache-control"] == "no-store"


async def test_a_message_to_many_tells_what_became_of_each(autojump_clock: MockClock) -> None:
    async with asker() as ask:
        refusal = too_often(ECode.GENERAL_E_FAILED, "too much", 2, limit="inbox_messages")
        ask.operator.answers["send_to_many"] = [
            Outcome(account="ann"),
            Outcome(account="bob", refusal=refusal),
        ]
        answer = await ask(
            "POST", "/v1/apps/app/messages", json={"accounts": ["ann", "bob"], "message": "hi"}
        )
        assert answer.json() == {
            "outcomes": [
                {"account": "ann", "refusal": None},
                {
                    "account": "bob",
                    "refusal": {
                        "ecode": int(ECode.GENERAL_E_FAILED),
                        "ecode_name": "GENERAL_E_FAILED",
                        "reason": refusal.reason,
                        "retry_after": 2.0,
                    },
                },
            ]
        }


@pytest.mark.parametrize(
    ("path", "asked"),
    [
        (f"{ACCOUNT}/messages", ("send", "app", "ann", b"\0\xff")),
        (f"{CHANNEL}/messages", ("send_to_channel", "app", "news", b"\0\xff")),
        ("/v1/apps/app/messages", ("send_to_many", "app", ["ann"], b"\0\xff")),
    ],
)
async def test_bytes_come_in_base64(
    autojump_clock: MockClock, path: str, asked: tuple[Any, ...]
) -> None:
    body = {"data": "AP8=", **({"accounts": ["ann"]} if asked[0] == "send_to_many" else {})}
    async with asker() as ask:
        ask.operator.answers["send_to_many"] = []
        assert (await ask("POST", path, json=body)).is_success
        [(*found, _)] = ask.operator.asked
        assert found == list(asked)


async def test_a_token_is_made_as_it_is_wished(autojump_clock: MockClock) -> None:
    async with asker() as ask:
        ask.operator.answers["make_token"] = Token(text="1:a:b", expires=99)
        body = {"seconds": 60, "jwt": True, "rights": {"channels": ["a*"]}}
        answer = await ask("POST", f"{ACCOUNT}/tokens", json=body)
        assert answer.json() == {"text": "1:a:b", "expires": 99}
        [(_, app, account, wish)] = ask.operator.asked
        assert (app, account, wish["seconds"], wish["is_jwt"]) == ("app", "ann", 60, True)
        assert wish["rights"].channels == ("a*",)
        assert "1:a:b" not in repr(answer)


async def test_the_node_the_attributes_and_an_account_s_calls_are_told(
    autojump_clock: MockClock,
) -> None:
    async with asker() as ask:
        ask.operator.answers |= {"user_attributes": {"a": 1}, "channel_attributes": {}}
        ask.operator.answers["calls_of"] = []
        found = await ask("GET", f"{ACCOUNT}/attributes")
        assert found.json() == {"attributes": {"a": 1}}
        assert (await ask("GET", f"{CHANNEL}/attributes")).json() == {"attributes": {}}
        assert (await ask("GET", f"{ACCOUNT}/calls")).json() == {"items": [], "cursor": ""}
        node = (await ask("GET", "/v1/node")).json()
        assert (node["sessions"], node["since"], node["why_not_ready"]) == (7, 1.6e9, "")
        assert node["engine"]["online"] == 2


async def test_health_is_told_without_a_key(autojump_clock: MockClock) -> None:
    async with asker() as ask:
        assert (await ask("GET", "/readyz", None)).text == "ok\n"
        ask.node.why = "the server is going away"
        answer = await ask("GET", "/readyz", None)
        assert (answer.status_code, answer.text) == (503, "the server is going away\n")
        assert (await ask("GET", "/healthz", None)).text == "ok\n"
        for path, status in (("/healthz", 200), ("/readyz", 503), ("/metrics", 401)):
            assert (await ask("HEAD", path, None)).status_code == status


async def test_metrics_need_their_right_unless_they_are_open(autojump_clock: MockClock) -> None:
    def exposition(accept: str) -> tuple[str, bytes]:
        return f"text/plain; of={accept}", b"one 1\n"

    async with asker(exposition=exposition) as ask:
        assert (await ask("GET", "/metrics", None)).status_code == 401
        assert (await ask("GET", "/metrics", APP_KEY)).status_code == 403
        answer = await ask("GET", "/metrics", headers={"Accept": "x/y"})
        assert (answer.text, answer.headers["content-type"]) == ("one 1\n", "text/plain; of=x/y")
    config = admin_config(metrics_open=True)
    assert config.admin == AdminConfig(metrics_open=True)
    async with asker(config, exposition) as ask:
        assert (await ask("GET", "/metrics", None)).text == "one 1\n"


# --- Bad input


@pytest.mark.parametrize(
    ("body", "place"),
    [
        ({}, "$"),
        ({"message": "a", "data": "AA=="}, "$"),
        ({"data": "A"}, "$.data"),
        ({"data": None}, "$.data"),
        ({"message": "a", "ttll": 1}, "$.ttll"),
        ({"message": "a", "ttl": "1"}, "$.ttl"),
        ({"message": "a", "ttl": -1}, "$.ttl"),
        ({"message": "a", "ttl": 1e300}, "$.ttl"),
        ({"message": "a", "sender": None}, "$.sender"),
        ([], "$"),
        ("a", "$"),
    ],
)
async def test_a_wrong_field_is_named_by_its_place(
    autojump_clock: MockClock, body: Any, place: str
) -> None:
    async with asker() as ask:
        answer = await ask("POST", f"{ACCOUNT}/messages", json=body)
        assert (answer.status_code, answer.json()["place"]) == (422, place)
        assert answer.json()["type"] == "urn:signal-sdk:problem:bad-field"
        assert ask.operator.asked == []


async def test_a_wrong_field_within_another_is_named_by_its_place(
    autojump_clock: MockClock,
) -> None:
    async with asker() as ask:
        body: dict[str, Any] = {"rights": {"chanels": []}}
        answer = await ask("POST", f"{ACCOUNT}/tokens", json=body)
        assert answer.json()["place"] == "$.rights.chanels"
        body = {"accounts": ["a", 1], "message": ""}
        answer = await ask("POST", "/v1/apps/app/messages", json=body)
        assert answer.json()["place"] == "$.accounts[1]"


@pytest.mark.parametrize(
    ("content", "kind", "status"),
    [
        (b'{"message": "a"', "application/json", 400),
        (b'{"message": "\xff"}', "application/json", 400),
        (b"", "application/json; charset=utf-8", 400),
        (b'{"message": NaN}', "application/json", 400),
        (b'{"message": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "application/json", 400),
        (b'{"message": "a"}', "text/plain", 415),
        (b"message=a", "application/x-www-form-urlencoded", 415),
        (b'{"message": "a"}', "", 415),
        (b'{"message": "' + b"a" * 1024**2 + b'"}', "application/json", 413),
    ],
)
async def test_what_is_no_json_is_refused(
    autojump_clock: MockClock, content: bytes, kind: str, status: int
) -> None:
    async with asker() as ask:
        answer = await ask(
            "POST", f"{ACCOUNT}/messages", content=content, headers={"Content-Type": kind}
        )
        assert answer.status_code == status
        assert answer.headers["content-type"] == "application/problem+json"
        assert ask.operator.asked == []


@pytest.mark.parametrize(
    ("query", "place"),
    [
        ("limit=0", "query.limit"),
        ("limit=1001", "query.limit"),
        ("limit=ten", "query.limit"),
        ("limit=1&limit=2", "query.limit"),
        ("lmit=1", "query.lmit"),
        ("cursor=%ff", "query"),
        ("&".join(f"a{number}=1" for number in range(40)), "query"),
    ],
)
async def test_a_wrong_parameter_is_named(
    autojump_clock: MockClock, query: str, place: str
) -> None:
    async with asker() as ask:
        answer = await ask("GET", f"/v1/apps/app/accounts?{query}")
        assert (answer.status_code, answer.json()["place"]) == (422, place)
        assert ask.operator.asked == []


async def test_the_parts_of_a_path_are_escaped_each_by_itself(autojump_clock: MockClock) -> None:
    async with asker() as ask:
        ask.operator.answers["presence"] = {}
        for part, account in (
            ("a%2Fb", "a/b"),
            ("%E9%9D%92", "青"),
            ("a%20b%3F", "a b?"),
            ("%25", "%"),
            ("%", "%"),
            ("%2e%2e%2f%2e%2e%2fetc%2fpasswd", "../../etc/passwd"),
            ("%00", "\0"),
        ):
            await ask("GET", f"/v1/apps/app/accounts/{part}")
            assert ask.operator.asked.pop() == ("presence", "app", account, {})
        answer = await ask("GET", "/v1/apps/app/accounts/%ff")
        assert (answer.status_code, answer.json()["place"]) == (422, "path.account")
        answer = await ask("GET", "/v1/apps/%ff/accounts/ann")
        assert answer.json()["place"] == "path.app"


@pytest.mark.parametrize(
    "path",
    [
        *("/v1", "/v1/apps", "/v1/apps/", "/v1/apps/app/accounts/", "/v1/keys", "/%76%31/key"),
        *(
            "//v1/key",
            "/v1/key/",
            "/v1//key",
            f"/{UP}/v1/key",
            f"/v1/{UP}/{UP}/etc/passwd",
            "/console",
        ),
        *("/..%2f..%2fetc/passwd", f"/v1/{UP}/{UP}/secret", "/%2e%2e/%2e%2e/etc/passwd"),
    ],
)
async def test_there_is_nothing_elsewhere(autojump_clock: MockClock, path: str) -> None:
    async with asker() as ask:
        answer = await ask("GET", path)
        if answer.request.url.raw_path == b"/v1/key":
            # The client has taken the dots out.
            return
        assert (answer.status_code, answer.json()["title"]) == (404, "Not Found")
        assert ask.operator.asked == []


async def test_another_method_hears_which_there_are(autojump_clock: MockClock) -> None:
    async with asker() as ask:
        answer = await ask("POST", "/v1/apps/app/calls/room/ann/bob", json={})
        assert (answer.status_code, answer.headers["allow"]) == (405, "GET, DELETE")
        for method in ("HEAD", "OPTIONS", "TRACE", "MADE-UP"):
            assert (await ask(method, "/v1/key")).status_code == 405


# --- What the rules refuse


@pytest.mark.parametrize(
    ("error", "status", "kind"),
    [
        (ParameterError(ECode.GENERAL_E_FAILED, "bad"), 422, "refused-value"),
        (NotThereError("no such call"), 404, "not-there"),
        (LimitError(ECode.GENERAL_E_FAILED, "full", limit="inbox_bytes"), 409, "no-room"),
        (
            too_often(ECode.GENERAL_E_FAILED, "often", 3, limit="inbox_bytes"),
            429,
            "too-often",
        ),
        (NoBytesError("it is away"), 409, "no-bytes"),
        (UnknownError("lost sight"), 504, "outcome-unknown"),
        (SignalError(ECode.GENERAL_E_FAILED, "away"), 503, "not-now"),
    ],
)
async def test_a_refusal_is_a_problem_with_its_code(
    autojump_clock: MockClock, error: SignalError, status: int, kind: str
) -> None:
    async with asker() as ask:
        ask.operator.answers["kick"] = error
        answer = await ask("DELETE", f"{ACCOUNT}/session")
        problem = answer.json()
        assert (answer.status_code, problem["status"]) == (status, status)
        assert problem["type"] == f"urn:signal-sdk:problem:{kind}"
        assert (problem["detail"], problem["ecode"]) == (error.reason, int(error.ecode))
        assert problem["ecode_name"] == error.ecode.name
        assert answer.headers.get("retry-after") == ("3" if status == 429 else None)


async def test_what_fails_is_told_in_the_log_alone(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    async with asker() as ask:
        ask.operator.answers["kick"] = RuntimeError("a secret of the server's")
        answer = await ask("DELETE", f"{ACCOUNT}/session")
        assert (answer.status_code, answer.json()["type"]) == (500, "urn:signal-sdk:problem:failed")
        assert "secret" not in answer.text
        assert "a request to the admin address failed" in caplog.text
        assert (await ask("GET", "/v1/key")).status_code == 200
    caplog.clear()


async def test_of_two_who_kick_at_once_one_is_told_that_it_has(autojump_clock: MockClock) -> None:
    async with asker() as ask:
        answers: list[int] = []

        async def kick() -> None:
            answers.append((await ask("DELETE", f"{ACCOUNT}/session")).status_code)

        ask.operator.gate = trio.Event()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(kick)
            await settle()
            nursery.start_soon(kick)
            await settle()
            assert len(ask.operator.asked) == 2
            ask.operator.gate.set()
        assert answers == [204, 204]


# --- What comes again


async def test_a_message_that_comes_again_is_sent_once(autojump_clock: MockClock) -> None:
    async with asker() as ask:
        keys = {"Idempotency-Key": "one"}
        for _ in range(3):
            answer = await ask("POST", f"{ACCOUNT}/messages", json={"message": "a"}, headers=keys)
            assert answer.status_code == 204
        [(_, _, _, _, more)] = ask.operator.asked
        assert len(more["message_id"]) == 32
        other = await ask("POST", f"{ACCOUNT}/messages", json={"message": "b"}, headers=keys)
        assert (other.status_code, other.json()["place"]) == (422, "header.Idempotency-Key")
        await ask("POST", f"{CHANNEL}/messages", json={"message": "a"}, headers=keys)
        assert [name for name, *_ in ask.operator.asked] == ["send", "send_to_channel"]
        assert ask.operator.asked[1][-1]["message_id"] != more["message_id"]


async def test_one_that_failed_is_tried_again_as_the_same_message(
    autojump_clock: MockClock,
) -> None:
    async with asker() as ask:
        keys = {"Idempotency-Key": "one"}
        ask.operator.answers["send"] = UnknownError("lost sight")
        for status in (504, 504, 204, 204):
            if status == 204:
                ask.operator.answers.clear()
            answer = await ask("POST", f"{ACCOUNT}/messages", json={"message": "a"}, headers=keys)
            assert answer.status_code == status
        ids = [asked[-1]["message_id"] for asked in ask.operator.asked]
        assert len(ids) == 3
        assert len(set(ids)) == 1


async def test_one_that_is_under_way_is_not_begun_again(autojump_clock: MockClock) -> None:
    async with asker() as ask:
        ask.operator.gate = trio.Event()
        said: Any = {"json": {"message": "a"}, "headers": {"Idempotency-Key": "one"}}
        async with trio.open_nursery() as nursery:
            nursery.start_soon(lambda: ask("POST", f"{ACCOUNT}/messages", **said))
            await settle()
            answer = await ask("POST", f"{ACCOUNT}/messages", **said)
            assert (answer.status_code, answer.headers["retry-after"]) == (409, "1")
            ask.operator.gate.set()
        assert (await ask("POST", f"{ACCOUNT}/messages", **said)).status_code == 204
        assert len(ask.operator.asked) == 1


async def test_what_was_answered_is_forgotten_in_time(autojump_clock: MockClock) -> None:
    async with asker() as ask:
        said: Any = {"json": {"message": "a"}, "headers": {"Idempotency-Key": "one"}}
        await ask("POST", f"{ACCOUNT}/messages", **said)
        await trio.sleep(KEPT_SECONDS - 1)
        await ask("POST", f"{ACCOUNT}/messages", **said)
        assert len(ask.operator.asked) == 1
        await trio.sleep(1)
        await ask("POST", f"{ACCOUNT}/messages", **said)
        assert len(ask.operator.asked) == 2


@pytest.mark.parametrize("key", ["", " ", "a b", "x" * 256])
async def test_a_key_of_a_message_is_short_and_visible(autojump_clock: MockClock, key: str) -> None:
    async with asker() as ask:
        answer = await ask(
            "POST", f"{ACCOUNT}/messages", json={"message": "a"}, headers={"Idempotency-Key": key}
        )
        assert (answer.status_code, answer.json()["place"]) == (422, "header.Idempotency-Key")
        assert ask.operator.asked == []
