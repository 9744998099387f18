"""What an application gives that is of no use: refused at once, with its type or its reason."""

from __future__ import annotations

import re
import ssl
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from signal_sdk import (
    ParameterError,
    Signal,
    SignalError,
    create_agora_sdk_instance_cpp,
    createAgoraSDKInstanceCPP,
)
from signal_sdk.testing import FaultyNetwork
from signal_sdk.testing.server import LocalServer, local_server
from tests.client.fakes import Heard
from tests.signals import NO_TOKEN, log_in, signals


@pytest.fixture
async def server() -> AsyncIterator[LocalServer]:
    async with local_server(listens=False) as running:
        yield running


class Unshowable:
    def fail(self, *_: object) -> Any:
        raise RuntimeError("unshowable")

    __repr__ = __str__ = __eq__ = __hash__ = fail


WRONG: list[Any] = [b"bin", None, float("nan"), {1}, Unshowable()]
NO_MESSAGE: list[Any] = [bytearray(b"bin"), *WRONG[1:]]
"""A message may be bytes."""
TEXT_ONLY: list[Any] = [*WRONG, 7, ["a"], {"a": 1}]
GIVEN: dict[str, tuple[list[Any], Callable[[Any, Any, Any, Any], Any]]] = {
    "to an account": (TEXT_ONLY, lambda _, s, __, x: s.message_instant_send(x, "m")),
    "instant message": (NO_MESSAGE, lambda _, s, __, x: s.message_instant_send("bob", x)),
    "to a channel": (TEXT_ONLY, lambda _, s, __, x: s.message_channel_send_force(x, "m")),
    "forced message": (NO_MESSAGE, lambda _, s, __, x: s.message_channel_send_force("room", x)),
    "channel message": (NO_MESSAGE, lambda _, __, c, x: c.message_channel_send(x)),
    "join": (TEXT_ONLY, lambda _, s, __, x: s.channel_join(x)),
    "call about": (TEXT_ONLY, lambda _, s, __, x: s.channel_invite_user2(x, "bob")),
    "call to": (TEXT_ONLY, lambda _, s, __, x: s.channel_invite_user2("room", x)),
    "extra": (
        [x for x in WRONG if x is not None],
        lambda _, s, __, x: s.channel_invite_user2("room", "bob", x),
    ),
    "attribute's name": (TEXT_ONLY, lambda _, __, c, x: c.channel_set_attr(x, "v")),
    "attribute's value": (WRONG, lambda _, __, c, x: c.channel_set_attr("n", x)),
    "attribute deleted": (TEXT_ONLY, lambda _, __, c, x: c.channel_del_attr(x)),
    "own attribute's name": (TEXT_ONLY, lambda g, _, __, x: g.user_set_attr(x, "v")),
    "own attribute's value": (WRONG, lambda g, _, __, x: g.user_set_attr("n", x)),
    "whose attribute": (TEXT_ONLY, lambda g, _, __, x: g.user_get_attr(x, "n")),
    "which attribute": (TEXT_ONLY, lambda g, _, __, x: g.user_get_attr("bob", x)),
    "whose attributes": (TEXT_ONLY, lambda g, _, __, x: g.user_get_attr_all(x)),
    "users of": (TEXT_ONLY, lambda g, _, __, x: g.channel_query_user_num(x)),
    "status": (TEXT_ONLY, lambda _, s, __, x: s.query_user_status(x)),
    "is in": (TEXT_ONLY, lambda _, s, __, x: s.channel_query_user_is_in(x, "bob")),
    "who is in": (TEXT_ONLY, lambda _, s, __, x: s.channel_query_user_is_in("room", x)),
    "list": (TEXT_ONLY, lambda _, s, __, x: s.channel_query_user_list(x)),
    "function": (TEXT_ONLY, lambda _, s, __, x: s.invoke(x, {})),
    "request": (WRONG, lambda _, s, __, x: s.invoke("user_get_attr_all", x)),
    "request's value": (
        [x for x in WRONG if x is not None],
        lambda _, s, __, x: s.invoke("user_get_attr_all", {"account": x}),
    ),
}


@pytest.mark.parametrize("what", GIVEN)
async def test_what_would_arrive_as_something_else_is_refused_at_once_by_its_type(
    server: LocalServer, what: str, autojump_clock: MockClock
) -> None:
    values, use = GIVEN[what]
    heard = Heard()
    async with signals(server) as signal:
        session = await log_in(signal, "ann", heard)
        channel = await session.channel_join("room")
        for value in values:
            began = trio.current_time()
            with pytest.raises(SignalError) as caught:
                await use(signal, session, channel, value)
            assert caught.value.ecode == 1004
            assert f"of the type {type(value).__name__}" in caught.value.reason
            assert trio.current_time() == began
        assert (session.status, channel.is_joined) == (2, True)


async def test_a_login_takes_text(server: LocalServer) -> None:
    async with signals(server) as signal:
        for account, token in [(b"a", NO_TOKEN), (None, NO_TOKEN), (["a"], NO_TOKEN), ("a", b"t")]:
            wrong = account if not isinstance(account, str) else token
            with pytest.raises(ParameterError, match=f"of the type {type(wrong).__name__}") as it:
                signal.login(account, token)
            assert it.value.ecode == 1004
        assert not server.node.sessions


async def test_what_is_no_callback_is_refused_with_the_class_to_derive_from(
    server: LocalServer, autojump_clock: MockClock
) -> None:
    class Bot:
        pass

    async with signals(server) as signal:
        session = await log_in(signal, "ann")
        channel = await session.channel_join("room")
        call = session.channel_invite_user2("room", "bob")
        uses: list[tuple[str, Callable[[Any], Any]]] = [
            ("LoginCallback", lambda cb: signal.login("bob", NO_TOKEN, cb)),
            ("UserAttrCallback", lambda cb: signal.user_set_attr("n", "v", cb)),
            ("UserAttrCallback", lambda cb: signal.user_get_attr("ann", "n", cb)),
            ("UserAttrCallback", lambda cb: signal.user_get_attr_all("ann", cb)),
            ("ChannelCallback", lambda cb: signal.channel_query_user_num("room", cb)),
            ("MessageCallback", lambda cb: session.message_instant_send("bob", "m", cb)),
            ("MessageCallback", lambda cb: session.message_instant_send("bob", "m", 5, cb)),
            ("MessageCallback", lambda cb: session.message_channel_send_force("room", "m", cb)),
            ("MessageCallback", lambda cb: channel.message_channel_send("m", cb)),
            ("ChannelCallback", lambda cb: session.channel_join("other", cb)),
            ("CallCallback", lambda cb: session.channel_invite_user2("r", "bob", "", cb)),
            ("CallCallback", call.set_callback),
            ("CallCallback", lambda cb: setattr(call, "cb", cb)),
        ]
        for name, use in uses:
            with pytest.raises(ParameterError, match=rf"type Bot: .*signal_sdk\.{name}\b") as it:
                use(Bot())
            assert it.value.ecode == 1004
        assert channel.is_joined


@pytest.mark.parametrize(
    "options",
    [
        {"server": 7},
        {"server": b"127.0.0.1:8001"},
        {"ssl_context": "ca.pem"},
        {"reconnect": 3},
        {"proxy": 7},
        {"appid": b"app"},
        {"appid": None},
    ],
    ids=repr,
)
def test_a_signal_s_arguments_have_their_types(options: dict[str, Any]) -> None:
    [value] = options.values()
    with pytest.raises(ParameterError, match=f"of the type {type(value).__name__}") as caught:
        Signal(**{"appid": "app", **options})
    assert caught.value.ecode == 1004


OWN_DIALER = FaultyNetwork(None, seed=1)
MAKERS: list[Callable[..., object]] = [
    partial(Signal, "app"),
    create_agora_sdk_instance_cpp,
    createAgoraSDKInstanceCPP,
]


@pytest.mark.parametrize("make", MAKERS, ids=["Signal", "flat", "documented"])
@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"server": 7}, "server is of the type int"),
        ({"ssl_context": "ca.pem"}, "ssl_context is of the type str, not SSLContext"),
        ({"proxy": 7}, "proxy is of the type int, not str"),
        (
            {"ssl_context": True, "server": "sig.example:8001"},
            "server 'sig.example:8001' is not reached by TLS, for which ssl_context is: begin it",
        ),
        ({"ssl_context": True, "server": "http://sig.example"}, "begin it with https:// or wss://"),
        ({"ssl_context": True, "server": "ws://sig.example"}, "begin it with https:// or wss://"),
        ({"ssl_context": True}, "server '192.0.2.1:8001' is not reached by TLS"),
        ({"ssl_context": True, "server": "ftp://sig.example"}, "begins with 'ftp', not with http"),
        ({"ssl_context": True, "server": OWN_DIALER}, "ssl_context is of no use where server is"),
        ({"proxy": "http://proxy:1", "server": OWN_DIALER}, "proxy is of no use where server is"),
    ],
    ids=str,
)
def test_what_would_be_of_no_use_is_refused(
    monkeypatch: pytest.MonkeyPatch,
    make: Callable[..., object],
    options: dict[str, Any],
    said: str,
) -> None:
    monkeypatch.setenv("SIGNAL_SDK_SERVER", "192.0.2.1:8001")
    if options.get("ssl_context") is True:
        options = {**options, "ssl_context": ssl.create_default_context()}
    with pytest.raises(ParameterError, match=re.escape(said)) as caught:
        make(**options)
    assert caught.value.ecode == 1004
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("make", MAKERS, ids=["Signal", "flat", "documented"])
@pytest.mark.parametrize(
    "options",
    [
        {"ssl_context": True, "server": "https://sig.example"},
        {"ssl_context": True, "server": "wss://sig.example"},
        {"ssl_context": None, "server": "sig.example"},
        {"ssl_context": None, "server": OWN_DIALER},
        {"proxy": "", "server": OWN_DIALER},
        {"proxy": "proxy.example:3128", "server": "sig.example"},
    ],
    ids=str,
)
def test_what_is_of_use_is_taken(make: Callable[..., object], options: dict[str, Any]) -> None:
    if options.get("ssl_context") is True:
        options = {**options, "ssl_context": ssl.create_default_context()}
    make(**options)
