"""Outboxes on a flusher that runs."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from signal_sdk.net.flusher import Flusher
from signal_sdk.net.outbox import Outbox
from tests.net.pairs import FakeTransport, running_reactor


@asynccontextmanager
async def running_flusher() -> AsyncIterator[Flusher]:
    async with running_reactor() as reactor:
        yield reactor.flusher


def outbox_on(
    flusher: Flusher, transport: FakeTransport, max_bytes: int = 0
) -> tuple[Outbox, list[str]]:
    broken: list[str] = []
    return Outbox(transport, flusher, broken.append, max_bytes=max_bytes), broken
