"""Spans: a message's way from its sender to its receivers, as OpenTelemetry's own SDK has it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import attrs
import opentelemetry.trace
import pytest
import trio
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode
from trio.testing import MockClock, wait_all_tasks_blocked

from signal_sdk import (
    Call,
    Channel,
    ChannelCallback,
    ChannelMessage,
    LoginCallback,
    LoginSession,
    SignalError,
)
from signal_sdk.errors import ConfigError
from signal_sdk.server.config import Config
from signal_sdk.server.node import Node
from signal_sdk.spans import spans_in_use
from signal_sdk.testing.server import LocalServer, local_server
from tests.server.helpers import dev_config
from tests.signals import signals

TEXT = "the-text-of-a-user"


class Told:
    """The spans that have ended."""

    def __init__(self) -> None:
        self.exporter = InMemorySpanExporter()
        self.provider = TracerProvider()
        self.provider.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.tracer = self.provider.get_tracer("the program")

    @property
    def spans(self) -> Sequence[ReadableSpan]:
        return self.exporter.get_finished_spans()

    def names(self) -> list[str]:
        return sorted(span.name for span in self.spans)

    def of(self, name: str) -> ReadableSpan:
        [span] = [span for span in self.spans if span.name == name]
        return span


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Told:
    """A provider is set, as a program would, but for this test alone."""
    told = Told()
    monkeypatch.setattr(opentelemetry.trace, "get_tracer_provider", lambda: told.provider)
    return told


def traced() -> Config:
    config = dev_config()
    return attrs.evolve(config, server=attrs.evolve(config.server, tracing=True))


@asynccontextmanager
async def pair(
    server: LocalServer, callback: LoginCallback | None = None
) -> AsyncIterator[tuple[LoginSession, LoginSession]]:
    async with (
        signals(server, app="app") as signal,
        signal.login("alice", "_no_need_token") as alice,
        signal.login("bob", "_no_need_token", callback) as bob,
    ):
        yield alice, bob


class Hearing(LoginCallback):
    """Begins a span of the program's own in each callback."""

    def __init__(self, told: Told) -> None:
        self.told = told
        self.heard: list[str] = []

    async def on_message_instant_receive(
        self, session: LoginSession, account: str, uid: int, msg: str
    ) -> None:
        with self.told.tracer.start_as_current_span("inside"):
            await trio.lowlevel.checkpoint()
        self.heard.append(msg)

    def on_invite_received(self, session: LoginSession, call: Call) -> None:
        self.heard.append(call.extra)


def below(span: ReadableSpan, above: ReadableSpan) -> bool:
    return (
        span.parent is not None
        and above.context is not None
        and (span.parent.span_id, span.parent.trace_id)
        == (above.context.span_id, above.context.trace_id)
    )


async def test_a_message_to_an_account_is_one_trace(told: Told, autojump_clock: MockClock) -> None:
    hearing = Hearing(told)
    async with local_server(traced(), listens=False) as server, pair(server, hearing) as (alice, _):
        with told.tracer.start_as_current_span("asking"):
            await alice.message_instant_send("bob", TEXT)
        await wait_all_tasks_blocked()
    assert hearing.heard == [TEXT]
    sent = told.of("send account")
    assert below(sent, told.of("asking"))
    for name in ("accept account", "deliver account", "process account"):
        assert below(told.of(name), sent)
    assert below(told.of("inside"), told.of("process account"))
    assert [
        told.of(f"{step} account").kind for step in ("send", "accept", "deliver", "process")
    ] == [SpanKind.PRODUCER, SpanKind.SERVER, SpanKind.INTERNAL, SpanKind.CONSUMER]
    attributes = dict(sent.attributes or {})
    assert attributes.pop("messaging.message.id")
    assert attributes == {
        "messaging.system": "signal_sdk",
        "messaging.operation.name": "send",
        "messaging.operation.type": "send",
        "messaging.destination.name": "bob",
        "messaging.message.body.size": len(TEXT),
    }
    assert TEXT not in "".join(span.to_json() for span in told.spans)


async def test_a_message_to_a_channel_is_one_trace(told: Told, autojump_clock: MockClock) -> None:
    heard: list[str] = []

    class Room(ChannelCallback):
        def on_message_channel_receive(
            self, session: LoginSession, channel: Channel, account: str, uid: int, msg: str
        ) -> None:
            heard.append(msg)

    async with (
        local_server(traced(), listens=False) as server,
        pair(server) as (alice, bob),
        alice.channel_join("room", Room()) as room,
        bob.channel("room") as other,
        other.events() as events,
    ):
        await room.message_channel_send(TEXT)
        async for event in events:
            if isinstance(event, ChannelMessage):
                break
    assert heard == [TEXT]
    assert told.names() == [
        *("accept channel", "deliver channel", "process channel", "process channel"),
        "send channel",
    ]
    sent = told.of("send channel")
    assert all(below(span, sent) for span in told.spans if span is not sent)
    assert all("room" not in span.name for span in told.spans)


async def test_an_invitation_is_one_trace(told: Told, autojump_clock: MockClock) -> None:
    hearing = Hearing(told)
    async with local_server(traced(), listens=False) as server, pair(server, hearing) as (alice, _):
        await alice.channel_invite_user2("room", "bob", TEXT)
        await wait_all_tasks_blocked()
    assert hearing.heard == [TEXT]
    sent = told.of("send invitation")
    for name in ("accept invitation", "deliver invitation", "process invitation"):
        assert below(told.of(name), sent)


async def test_what_waits_is_delivered_when_it_is_polled(
    told: Told, autojump_clock: MockClock
) -> None:
    async with local_server(traced(), listens=False) as server:
        async with (
            signals(server, app="app") as signal,
            signal.login("alice", "_no_need_token") as alice,
        ):
            await alice.message_instant_send("bob", TEXT)
        async with (
            signals(server, app="app") as signal,
            signal.login("bob", "_no_need_token") as bob,
        ):
            async for message in bob.messages():
                assert message.properties.traceparent
                break
    assert told.names() == [f"{it} account" for it in ("accept", "deliver", "process", "send")]


async def test_what_fails_says_its_code_and_not_its_reason(
    told: Told, autojump_clock: MockClock
) -> None:
    class Raising(LoginCallback):
        def on_message_instant_receive(
            self, session: LoginSession, account: str, uid: int, msg: str
        ) -> None:
            raise KeyError(msg)

    async with (
        local_server(traced(), listens=False) as server,
        pair(server, Raising()) as (alice, _),
    ):
        with pytest.raises(SignalError):
            await alice.message_channel_send_force("_agora_user_online", TEXT)
        await alice.message_instant_send("bob", TEXT)
        await wait_all_tasks_blocked()
    for name, error in {
        "send channel": "SENDMESSAGE_E_OTHER",
        "accept channel": "SENDMESSAGE_E_OTHER",
        "process account": "KeyError",
    }.items():
        span = told.of(name)
        assert (span.attributes or {})["error.type"] == error
        assert span.status.status_code is StatusCode.ERROR
        assert not span.events
    assert TEXT not in "".join(span.to_json() for span in told.spans)


@pytest.mark.parametrize("when", ["on_start", "on_end"])
async def test_what_a_processor_raises_loses_no_message(
    told: Told,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    when: str,
    autojump_clock: MockClock,
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise ValueError("no room")

    processor = SpanProcessor()
    monkeypatch.setattr(processor, when, fail)
    told.provider.add_span_processor(processor)
    async with local_server(traced(), listens=False) as server, signals(server) as signal:
        ann, bob = [await signal.login(who, "_no_need_token") for who in ("ann", "bob")]
        async with bob.messages() as messages:
            for number in range(3):
                await ann.message_instant_send("bob", str(number))
                assert (await anext(messages)).text == str(number)
        assert await ann.query_user_status("bob")
    warned = [it.getMessage() for it in caplog.records if "a span" in it.getMessage()]
    assert set(warned) == {"a span was not told: ValueError: no room"}
    # Once for each session; and for the server, which has spans of what carries a trace alone.
    assert len(warned) == {"on_start": 2, "on_end": 3}[when]


async def test_a_server_that_is_not_asked_to_has_no_spans(
    told: Told, autojump_clock: MockClock
) -> None:
    hearing = Hearing(told)
    async with (
        local_server(dev_config(), listens=False) as server,
        pair(server, hearing) as (alice, _),
    ):
        await alice.message_instant_send("bob", TEXT)
        await wait_all_tasks_blocked()
    assert told.names() == ["inside", "process account", "send account"]
    assert below(told.of("process account"), told.of("send account"))


async def test_without_a_provider_nothing_is_traced(autojump_clock: MockClock) -> None:
    assert spans_in_use(pytest.fail, is_asked=True) is None
    async with (
        local_server(traced(), listens=False) as server,
        pair(server) as (alice, bob),
        bob.messages() as messages,
    ):
        assert alice._client.spanned is None
        await alice.message_instant_send("bob", TEXT)
        message = await anext(messages)
        assert not message.properties.traceparent


def test_a_server_that_is_to_trace_needs_the_api(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "opentelemetry", None)
    with pytest.raises(ConfigError, match=r"\[server\] tracing: .*extra otel"):
        Node(traced())
