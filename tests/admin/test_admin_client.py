"""The clients of the admin address: each method asks what it says, and failures are told."""

from __future__ import annotations

import asyncio
import errno
import inspect
import os
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final

import httpx
import msgspec
import pytest
import trio
from trio.testing import MockClock

from signal_sdk import ChannelMessage, Signal
from signal_sdk.admin import (
    AdminClient,
    AdminError,
    AsyncAdminClient,
    Page,
    asks,
    results,
)
from signal_sdk.admin.asks import Ask
from signal_sdk.admin.errors import NO_ADMIN_ADDRESS, error_of
from signal_sdk.ecodes import ECode
from signal_sdk.errors import ParameterError, SignalSdkError
from signal_sdk.server.admin.problems import Problem as ServerProblem
from signal_sdk.server.admin.routes import OPERATIONS
from signal_sdk.server.operator.facts import NotThereError
from signal_sdk.testing.server import LocalServer, local_server
from tests.server.admin.helpers import KEY, WRONG_KEY, Asker, asker
from tests.server.admin.test_admin_node import real_config
from tests.wire_client import logged_in

APP: Final = "app"
PAGES: Final = {"cursor": "c", "limit": 7}
GIVEN: Final[Mapping[str, tuple[tuple[Any, ...], dict[str, Any]]]] = {
    "send": (("a/n n", {"x": 1}), {"sender": "bob", "ttl": 5, "idempotency_key": "k"}),
    "send_to_many": ((["ann", "bob"], "hi"), {}),
    "send_to_channel": (("news", None), {}),
    "online": ((), PAGES),
    "presence": (("..",), {}),
    "kick": (("ann",), {}),
    "inbox": (("ann",), {}),
    "waiting": (("ann",), PAGES),
    "user_attributes": (("ann",), {}),
    "set_user_attribute": (("ann", "a b", [1]), {}),
    "delete_user_attribute": (("ann", "."), {}),
    "calls_of": (("ann",), {}),
    "connection": (("ann",), {}),
    "make_token": (("ann",), {"seconds": 9, "jwt": True, "rights": {"peers": ["a*"]}}),
    "channels": ((), PAGES),
    "channel": (("#?%",), {}),
    "members": (("news",), PAGES),
    "remove": (("news", "ann"), {}),
    "channel_attributes": (("news",), {}),
    "set_channel_attribute": (("news", "a", {}), {}),
    "delete_channel_attribute": (("news", "a"), {}),
    "calls": ((), PAGES),
    "call": (("news", "ann", "bob"), {}),
    "end_call": (("news", "ann", "bob"), {"call_id": "7"}),
    "connections": ((), PAGES),
}
"""What is given beside the app."""
ANSWERS: Final[Mapping[str, Any]] = {
    "send_to_many": [],
    "presence": {"account": "ann", "online": False},
    "inbox": {"entries": 1, "bytes": 2},
    "user_attributes": {"a": 1},
    "channel_attributes": {},
    "calls_of": [],
    "connection": {
        "account": "ann",
        "channel": None,
        "peer": "",
        "wire": "web",
        "device": "",
        "ver": 0,
        "since": 1.0,
        "outbox_bytes": 0,
    },
    "make_token": {"text": "1:a", "expires": 5},
    "channel": {"channel": "news", "members": 1, "joins": 1, "last_msgid": 1},
    "call": {
        "id": "7",
        "channel": "c",
        "caller": "a",
        "callee": "b",
        "state": "ringing",
        "deadline": None,
    },
}


@asynccontextmanager
async def in_memory() -> AsyncIterator[tuple[Asker, AsyncAdminClient]]:
    """A client of what would be served."""
    async with asker() as ask, AsyncAdminClient("http://localhost", KEY) as admin:
        await admin._client.aclose()
        transport = httpx.ASGITransport(ask.app)
        admin._client = httpx.AsyncClient(transport=transport, **admin._options)
        yield ask, admin


@asynccontextmanager
async def real() -> AsyncIterator[tuple[LocalServer, str]]:
    """A real node, and where its admin address is."""
    async with local_server(real_config()) as server:
        yield server, f"http://127.0.0.1:{server.admin_port}/"


async def until(is_so: Callable[[], bool]) -> None:
    """Wait until it is so, on a real connection."""
    while not is_so():  # noqa: ASYNC110  nobody tells
        await trio.sleep(0.01)


def methods() -> dict[str, Callable[..., Ask[Any]]]:
    """What can be asked."""
    found = inspect.getmembers(asks, inspect.isfunction)
    own = [(name, it) for name, it in found if it.__module__ == asks.__name__]
    return {name: it for name, it in own if not name.startswith("_") and name != "path"}


def test_both_clients_have_a_method_for_each_operation() -> None:
    names = {operation.name for operation in OPERATIONS} - {"events"}
    assert set(methods()) == names | {"metrics"}
    for name, build in methods().items():
        for client in (AdminClient, AsyncAdminClient):
            method = getattr(client, name)
            assert method.__wrapped__ is build
            assert method.__doc__ == build.__doc__
    assert inspect.iscoroutinefunction(AsyncAdminClient.kick)
    assert set(GIVEN) == names - {"key", "node"}


@pytest.mark.parametrize("name", GIVEN)
async def test_a_method_asks_what_it_says(autojump_clock: MockClock, name: str) -> None:
    given, more = GIVEN[name]
    async with in_memory() as (ask, admin):
        ask.operator.answers[name] = ANSWERS.get(name, Page([]))
        found = await getattr(admin, name)(APP, *given, **more)
        [(asked, app, *said)] = ask.operator.asked
        assert (asked, app) == (name, APP)
        told = {**said.pop(), **{str(number): it for number, it in enumerate(said)}}
        flat = [it for it in given if name != "remove"] or list(reversed(given))
        assert said == flat
        for key, value in more.items():
            if key == "rights":
                assert told[key].peers == ("a*",)
            elif key == "idempotency_key":
                assert len(told["message_id"]) == 32
            else:
                assert told["is_jwt" if key == "jwt" else key] == value
        form = methods()[name](APP, *given, **more).form
        if form is None:
            assert found is None
        else:
            assert isinstance(found, getattr(form, "__origin__", form))


# --- The forms are those of the server


def schema_of(form: Any) -> Any:
    """The form as JSON has it, without its words."""

    def plain(value: Any) -> Any:
        if isinstance(value, list):
            return [plain(it) for it in value]
        if not isinstance(value, dict):
            return value
        if "$ref" in value:
            return plain(found["$defs"][value["$ref"].rpartition("/")[2]])
        words = ("title", "description", "$defs")
        kept = {name: plain(it) for name, it in value.items() if name not in words}
        if "required" in kept:
            kept["required"] = sorted(kept["required"])
        return kept

    found = msgspec.json.schema(form)
    return plain(found)


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda it: it.name)
def test_an_answer_has_the_form_that_the_server_gives_it(operation: Any) -> None:
    if operation.streams:
        return
    given, more = GIVEN.get(operation.name, ((), {}))
    where = (APP,) if operation.is_of_app else ()
    ask = methods()[operation.name](*where, *given, **more)
    assert ask.method == operation.method
    assert ask.path.count("/") == operation.path.count("/")
    assert (ask.form is None) == (operation.answer is None)
    if ask.form is not None:
        assert schema_of(ask.form) == schema_of(operation.answer)


def test_a_problem_has_the_form_that_the_server_gives_it() -> None:
    from signal_sdk.admin import Problem  # noqa: PLC0415  two have the name

    ours, theirs = schema_of(Problem), schema_of(ServerProblem)
    assert ours["properties"].keys() == theirs["properties"].keys()


def test_no_repr_shows_a_key_a_token_or_what_users_say() -> None:
    with AdminClient("http://localhost:1", KEY) as admin:
        assert repr(admin) == "AdminClient('http://localhost:1')"
        with pytest.raises(AdminError) as caught:
            admin.send("app", "ann", "a secret")
    assert KEY not in repr(caught.value) + str(caught.value)
    assert "secret" not in repr(asks.send("app", "ann", "a secret"))
    assert "geheim" not in repr(results.Token(text="geheim", expires=1))
    assert "geheim" not in repr(results.Attributes({"a": "geheim"}))


# --- Failures


async def test_a_refusal_carries_its_status_its_problem_and_its_code(
    autojump_clock: MockClock,
) -> None:
    async with in_memory() as (ask, admin):
        ask.operator.answers["kick"] = NotThereError("ann is not online")
        with pytest.raises(AdminError, match=r"^404: ann is not online \(\d+ \w+\)$") as caught:
            await admin.kick("app", "ann")
        error = caught.value
        assert isinstance(error, SignalSdkError)
        assert (error.status, error.ecode) == (404, ECode.GENERAL_E_FAILED)
        assert error.problem.type == "urn:signal-sdk:problem:not-there"
        assert not error.may_be_done
        ask.operator.answers["kick"] = ParameterError(ECode.GENERAL_E_WRONG_PARAM, "bad")
        with pytest.raises(AdminError) as caught:
            await admin.kick("app", "ann")
        assert (caught.value.status, caught.value.ecode) == (422, ECode.GENERAL_E_WRONG_PARAM)


async def test_nobody_who_answers_is_an_error_too() -> None:
    with trio.socket.socket() as taken:
        await taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        async with AsyncAdminClient(url, KEY) as admin:
            why = os.strerror(errno.ECONNREFUSED)
            with pytest.raises(AdminError, match=f"^no answer: {why}$") as caught:
                await admin.node()
    assert (caught.value.status, caught.value.ecode, caught.value.may_be_done) == (0, None, True)


@pytest.mark.parametrize("content", [b"", b"<html>", b"[]", b"\xff", b"[" * 100_000])
def test_an_answer_of_somebody_else_s_is_an_error(content: bytes) -> None:
    error = error_of(502, content)
    assert (str(error), error.status) == (f"502: {NO_ADMIN_ADDRESS}", 502)
    with pytest.raises(AdminError, match=r"^200: the answer is not as it should be"):
        asks.node().answer(200, content)


def test_a_code_that_is_not_known_is_none() -> None:
    error = error_of(409, b'{"status": 409, "ecode": 99999, "detail": "new"}')
    assert (error.ecode, error.problem.ecode) == (None, 99999)


@pytest.mark.parametrize("url", ["", "no address", "ftp://a", "http://[::"])
def test_what_is_no_address_is_an_error(url: str) -> None:
    def ask() -> None:
        with AdminClient(url, KEY) as admin:
            admin.node()

    with pytest.raises((AdminError, httpx.InvalidURL)):
        ask()


# --- A real node


async def test_it_works_on_trio_and_reads_every_page() -> None:
    async with real() as (server, url), AsyncAdminClient(url, KEY) as admin:
        assert (await admin.key()).name == "all"
        assert (await admin.node()).sessions == 0
        assert "signal_sdk_" in await admin.metrics()
        async with logged_in(server, "ann"), logged_in(server, "bob"), logged_in(server, "eve"):
            found = [one.account async for one in admin.each(admin.online, "app")]
            assert sorted(found) == ["ann", "bob", "eve"]
            page = await admin.online("app", limit=2)
            assert len(page.items) <= 2
            assert page.cursor
            await admin.set_user_attribute("app", "ann", "mood", {"a": 1})
            assert (await admin.user_attributes("app", "ann")).attributes == {"mood": {"a": 1}}
    async with AsyncAdminClient(url, WRONG_KEY) as admin:
        with pytest.raises(AdminError):
            await admin.key()


def waits(url: str) -> Iterator[str]:
    with AdminClient(url, KEY) as admin:
        yield admin.key().name
        yield from (one.account for one in admin.each(admin.online, "app"))
        for event in admin.events("app", kinds=["logout"]):
            yield event.kind
            break


async def test_bytes_reach_those_who_take_them_and_nobody_else() -> None:
    image = bytes(range(256))
    async with (
        real() as (server, url),
        AsyncAdminClient(url, KEY) as admin,
        Signal(APP, server=server) as signal,
        signal.login("ann", "_no_need_token", takes_bytes=True) as ann,
        ann.messages() as messages,
        ann.channel("news") as channel,
        channel.events() as events,
    ):
        await admin.send(APP, "ann", data=image, sender="shop")
        message = await anext(messages)
        assert (message.account, message.data, message.text) == ("shop", image, "")
        await admin.send(APP, "ann", data=b"")
        assert (await anext(messages)).data == b""
        await admin.send_to_channel(APP, "news", data=image)
        async for event in events:
            if isinstance(event, ChannelMessage):
                assert (event.account, event.data) == ("_agora_system", image)
                break
        for key in ("again", "again"):
            await admin.send(APP, "ann", data=b"once", idempotency_key=key)
        await admin.send(APP, "ann", "last")
        assert [(await anext(messages)).data for _ in range(2)] == [b"once", None]
        outcomes = (await admin.send_to_many(APP, ["ann", "bob"], data=image)).outcomes
        refusals = [it.refusal.ecode if it.refusal is not None else None for it in outcomes]
        assert refusals == [None, 1004]
        await signal.login("bob", "_no_need_token").channel("news")
        for asked, status in (
            (admin.send(APP, "bob", data=image), 409),
            (admin.send(APP, "away", data=image), 409),
            (admin.send_to_channel(APP, "news", data=image), 409),
            (admin.send_to_channel(APP, "nowhere", data=image), 404),
            (admin.send(APP, "ann", data=bytes(6145)), 422),
            (admin.send(APP, "ann", "x", data=image), 422),
        ):
            with pytest.raises(AdminError) as refused:
                await asked
            assert refused.value.status == status
        assert (await admin.inbox(APP, "bob")).entries == 0


async def test_it_works_in_a_thread() -> None:
    async with real() as (server, url), logged_in(server, "ann"):

        async def kick() -> None:
            await until(lambda: bool(server.node.feed))
            await server.node.operator.kick("app", "ann")

        async with trio.open_nursery() as nursery:
            nursery.start_soon(kick)
            assert await trio.to_thread.run_sync(lambda: list(waits(url))) == [
                "all",
                "ann",
                "logout",
            ]


async def test_it_works_on_asyncio() -> None:
    async def ask(url: str) -> list[str]:
        async with AsyncAdminClient(url, KEY) as admin:
            found = [(await admin.key()).name]
            online = admin.each(admin.online, "app")
            return [*found, *[one.account async for one in online]]

    async with real() as (server, url), logged_in(server, "ann"):
        assert await trio.to_thread.run_sync(lambda: asyncio.run(ask(url))) == ["all", "ann"]


async def test_events_go_on_after_a_lost_stream() -> None:
    async with real() as (server, url), AsyncAdminClient(url, KEY) as admin:
        heard: list[tuple[str, str]] = []
        tell = heard.append

        async def read() -> None:
            async for event in admin.events("app", kinds=["login"]):
                tell((event.kind, event.data.get("account", "")))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(read)
            await until(lambda: bool(server.node.feed))
            async with logged_in(server, "ann"):
                await until(lambda: len(heard) == 1)
                server.node.reload(server.node.config)
                await until(lambda: len(heard) == 2)
                async with logged_in(server, "bob"):
                    await until(lambda: len(heard) == 3)
            nursery.cancel_scope.cancel()
        assert heard == [("login", "ann"), ("missed", ""), ("login", "bob")]


async def test_events_end_where_there_is_no_use_in_another_stream() -> None:
    async with real() as (_, url), AsyncAdminClient(url, WRONG_KEY) as admin:
        with pytest.raises(AdminError) as caught:
            await anext(admin.events("app"))
        assert caught.value.status == 401
    async with AsyncAdminClient(url, KEY) as admin:
        with trio.move_on_after(0.2):
            await anext(admin.events("app"))
            raise AssertionError("nobody is there")
