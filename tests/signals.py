"""What tests of the SDK against the real server share: signals that talk to it, logged in."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest

from signal_sdk import Call, ECode, LoginSession, Signal, SignalError
from signal_sdk.testing.server import LocalServer
from tests.client.fakes import Heard

NO_TOKEN = "_no_need_token"


@asynccontextmanager
async def signals(
    server: LocalServer, count: int = 1, app: str = "app", **options: Any
) -> AsyncIterator[Any]:
    """A `Signal`, or several, that talk to `server` in memory."""
    async with AsyncExitStack() as stack:
        made = [Signal(app, server=server, **options) for _ in range(count)]
        opened = [await stack.enter_async_context(signal) for signal in made]
        yield opened if count > 1 else opened[0]


async def log_in(signal: Signal, account: str, heard: Heard | None = None) -> LoginSession:
    return await signal.login(account, NO_TOKEN, heard.login if heard else None)


async def ecode_of(awaitable: Awaitable[Any]) -> ECode:
    with pytest.raises(SignalError) as caught:
        await awaitable
    return caught.value.ecode


def hear_calls(heard: Heard) -> None:
    """Have incoming calls tell `heard` all that becomes of them."""

    def take(_: LoginSession, call: Call) -> None:
        call.cb = heard.call

    heard.on("on_invite_received", take)
