"""What a program's own objects raise while they are reported ends nothing but their callback."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from typing import NoReturn

import pytest
from trio.testing import MockClock

from signal_sdk import ECode, LoginCallback, LoginSession, Signal
from signal_sdk.client import dispatcher
from signal_sdk.client.log import logger
from signal_sdk.testing.server import local_server
from tests.client.fakes import Heard

NO_TOKEN = "_no_need_token"


class Exits(Exception):
    def __str__(self) -> NoReturn:
        raise SystemExit("while it is shown")


class Nameless(type):
    @property
    def __name__(cls) -> str:  # type: ignore[override]
        raise RuntimeError("I have none")


class NamelessError(Exception, metaclass=Nameless):
    pass


class BrokenHandler(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        raise OSError("the log's disk is full")


class ExitingHandler(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        raise SystemExit("the log's disk is full")


@pytest.fixture(params=[None, BrokenHandler, ExitingHandler])
def _log(request: pytest.FixtureRequest) -> Iterator[None]:
    handler = request.param() if request.param is not None else logging.NullHandler()
    logger.addHandler(handler)
    yield
    logger.removeHandler(handler)


RAISED: list[Callable[[], Exception]] = [ValueError, Exits, NamelessError]


@pytest.mark.usefixtures("_log")
@pytest.mark.parametrize("make", RAISED, ids=["plain", "exits", "nameless"])
async def test_a_callback_that_raises_ends_no_session(
    make: Callable[[], Exception], autojump_clock: MockClock
) -> None:
    heard = Heard()

    def fail(*_: object) -> None:
        raise make()

    heard.on("on_message_instant_receive", fail)
    heard.on("on_error", fail)
    async with local_server(listens=False) as server, Signal("app", server=server) as signal:
        session = await signal.login("ann", NO_TOKEN, heard.login)
        other = await signal.login("bob", NO_TOKEN)
        for count in (1, 2):
            await other.message_instant_send("ann", "hello")
            await heard.wait("on_message_instant_receive", count)
            _, ecode, reason = await heard.wait("on_error", count)
            assert ecode == 1002
            assert reason.startswith("a callback raised ")
        assert (session.status, other.status) == (2, 2)
    assert heard.all[-1] == ("on_logout", 101)


@pytest.mark.usefixtures("_log")
async def test_what_is_only_logged_ends_no_session(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    """A failure that nobody hears of, events that are dropped, the debug log."""
    monkeypatch.setattr(dispatcher, "MAX_QUEUED_CALLBACKS", 2)
    reasons: list[str] = []

    class Slow(LoginCallback):
        def on_error(self, session: LoginSession, ecode: ECode, reason: str) -> None:
            reasons.append(reason)

    async with local_server(listens=False) as server, Signal("app", server=server) as signal:
        signal.set_do_log(True)
        signal.user_get_attr("nobody", "is logged in")
        session = await signal.login("ann", NO_TOKEN)
        session.message_instant_send("", "is refused")
        slow = await signal.login("bob", NO_TOKEN, Slow())
        for _ in range(9):
            slow.message_instant_send("", "is refused")
        assert await session.query_user_status("bob")
        assert (session.status, slow.status) == (2, 2)
    assert any("were dropped" in reason for reason in reasons)


@pytest.mark.usefixtures("_log")
async def test_a_dialer_s_own_exception_fails_its_login_alone(autojump_clock: MockClock) -> None:
    class Dialer:
        async def dial(self, *_: object, **__: object) -> NoReturn:
            raise NamelessError

    heard = Heard()
    async with Signal("app", server=Dialer()) as signal:
        session = signal.login("ann", NO_TOKEN, heard.login)
        assert await session.wait_logged_out() == 200
        assert await heard.wait("on_login_failed") == ("on_login_failed", 200)
