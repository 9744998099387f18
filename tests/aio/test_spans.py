"""Spans in asyncio: what is sent from the loop belongs to where it was sent, and a callback to its
message.
"""

from __future__ import annotations

import asyncio

import opentelemetry.trace
import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

import signal_sdk
from signal_sdk import LoginCallback
from tests.aio.conftest import Run, soon
from tests.aio.test_signal import NO_TOKEN, Make


def test_a_trace_crosses_from_loop_to_loop(
    make: Make, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(opentelemetry.trace, "get_tracer_provider", lambda: provider)
    tracer = provider.get_tracer("the program")

    class Hearing(LoginCallback):
        def __init__(self) -> None:
            self.heard = asyncio.Event()

        async def on_message_instant_receive(
            self, session: signal_sdk.LoginSession, account: str, uid: int, msg: str
        ) -> None:
            with tracer.start_as_current_span("inside"):
                await asyncio.sleep(0)
            self.heard.set()

    async def main() -> None:
        hearing = Hearing()
        async with (
            make() as signal,
            signal.login("bob", NO_TOKEN, hearing),
            signal.login("alice", NO_TOKEN) as alice,
        ):
            with tracer.start_as_current_span("asking"):
                await soon(alice.message_instant_send("bob", "hello"))
            await soon(hearing.heard.wait())

    run(main)
    spans = {span.name: span for span in exporter.get_finished_spans()}
    for name, above in {
        "send account": "asking",
        "process account": "send account",
        "inside": "process account",
    }.items():
        parent, context = spans[name].parent, spans[above].context
        assert parent is not None
        assert context is not None
        assert parent.span_id == context.span_id
