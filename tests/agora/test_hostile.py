"""Objects of the user's making that cannot be shown, or worse: nothing dies of them.

Each is told to a callback, and logged with its type's name, and all goes on.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from typing import Any, NoReturn
from unittest.mock import create_autospec

import pytest

from signal_sdk import (
    ECode,
    ICallBack,
    LoginCallback,
    ParameterError,
    create_agora_sdk_instance_cpp,
)
from signal_sdk.client.dialer import make_dialer
from signal_sdk.errors import LinkError, LoginError
from signal_sdk.flat import retries
from signal_sdk.flat.failures import in_words
from signal_sdk.net.reactor import Reactor
from signal_sdk.websocket.link import Link
from tests.agora.conftest import Make, ThreadedServer
from tests.agora.ears import Ears
from tests.web.web_peer import cut

NO_TOKEN = "_no_need_token"

pytestmark = pytest.mark.filterwarnings("ignore:.*obsolete:DeprecationWarning")

RAISES = [ValueError, SystemExit, KeyboardInterrupt, RecursionError]


def shy(error: type[BaseException], *bases: type) -> type[Any]:
    """A class whose objects raise that wherever they are to be shown."""

    def refuse(*_: object) -> NoReturn:
        raise error("I cannot be shown")

    body = dict.fromkeys(("__str__", "__repr__", "__format__", "__eq__", "__bool__"), refuse)
    return type("Shy", bases, {**body, "__hash__": object.__hash__})


class ShyText(str):
    __slots__ = ()

    def __str__(self) -> str:
        raise ZeroDivisionError

    def __repr__(self) -> str:
        raise ZeroDivisionError

    def __format__(self, spec: str) -> str:
        raise ZeroDivisionError


@pytest.mark.parametrize("error", RAISES)
def test_an_exception_that_cannot_be_shown_ends_no_callbacks(
    far_server: ThreadedServer,
    make: Make,
    caplog: pytest.LogCaptureFixture,
    error: type[BaseException],
) -> None:
    cannot = shy(error, Exception)
    api, ears = make(far_server.address)

    def react(name: str, args: tuple[Any, ...]) -> None:
        if name in ("on_login_success", "on_query_user_status_result"):
            raise cannot

    ears.react = react
    api.login("app", "alice", NO_TOKEN)
    for callback in ("onLoginSuccess", "onQueryUserStatusResult"):
        name, ecode, desc = ears.wait("on_error")
        assert (name, ecode) == (callback, 1002)
        assert desc.startswith("the callback raised Shy: ")
        api.query_user_status("alice")
    api.message_instant_send("alice", 0, "all goes on", "id")
    ears.wait("on_message_instant_receive", "alice", 0, "all goes on")
    assert "on_login_success raised Shy" in caplog.text


def test_nor_does_one_whose_class_has_no_name(far_server: ThreadedServer, make: Make) -> None:
    class Nameless(type):
        @property
        def __name__(cls) -> str:  # type: ignore[override]
            raise ValueError("I have none")

    class NamelessError(Exception, metaclass=Nameless):
        pass

    api, ears = make(far_server.address)

    def react(name: str, args: tuple[Any, ...]) -> None:
        if name == "on_login_success":
            raise NamelessError("mine")

    ears.react = react
    api.login("app", "alice", NO_TOKEN)
    ears.wait("on_error", "onLoginSuccess", 1002, "the callback raised NamelessError: mine")
    api.query_user_status("alice")
    ears.wait("on_query_user_status_result", "alice", "1")


def test_on_error_itself_may_raise_what_cannot_be_shown(
    far_server: ThreadedServer, make: Make
) -> None:
    cannot = shy(ValueError, Exception)
    api, ears = make(far_server.address)

    def react(name: str, args: tuple[Any, ...]) -> None:
        if name in ("on_login_success", "on_error", "on_log"):
            raise cannot

    ears.react = react
    api.login("app", "alice", NO_TOKEN)
    ears.wait("on_error")
    api.query_user_status("alice")
    ears.wait("on_query_user_status_result", "alice", "1")


def test_an_exception_is_put_into_one_line_whatever_it_does() -> None:
    class Talks(Exception):
        def __str__(self) -> str:
            return ShyText("anything")

    assert in_words(ValueError("two\nlines")) == "ValueError: two lines"
    cannot = "its text cannot be shown, since that raises, too"
    assert in_words(shy(ValueError, Exception)()) == f"Shy: {cannot}"
    assert in_words(Talks()) in (f"Talks: {cannot}", "Talks: anything")


class Raises(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        raise SystemExit("from the log")


@pytest.fixture
def broken_log() -> Iterator[None]:
    handler = Raises()
    logging.getLogger("signal_sdk").addHandler(handler)
    yield
    logging.getLogger("signal_sdk").removeHandler(handler)


@pytest.mark.usefixtures("broken_log")
def test_a_log_that_raises_ends_no_callbacks(far_server: ThreadedServer, make: Make) -> None:
    api, ears = make(far_server.address)

    def react(name: str, args: tuple[Any, ...]) -> None:
        if name in ("on_login_success", "on_error"):
            raise ValueError(name)

    ears.react = react
    api.login("app", "alice", NO_TOKEN)
    assert ears.wait("on_error")[0] == "onLoginSuccess"
    api.query_user_status("alice")
    ears.wait("on_query_user_status_result", "alice", "1")


METHODS: list[tuple[str, int, str]] = [
    ("login", 3, "on_login_failed"),
    ("message_instant_send", 4, "on_message_send_error"),
    ("message_channel_send", 2, "on_message_send_error"),
    ("query_user_status", 1, "on_error"),
    ("set_attr", 2, "on_error"),
    ("get_attr", 1, "on_error"),
    ("get_user_attr", 2, "on_error"),
    ("get_user_attr_all", 1, "on_error"),
    ("channel_join", 1, "on_channel_join_failed"),
    ("channel_leave", 1, "on_error"),
    ("channel_query_user_num", 1, "on_channel_query_user_num_result"),
    ("channel_query_user_is_in", 2, "on_error"),
    ("channel_set_attr", 3, "on_error"),
    ("channel_del_attr", 2, "on_error"),
    ("channel_clear_attr", 1, "on_error"),
    ("channel_invite_user2", 3, "on_invite_failed"),
    ("channel_invite_phone2", 3, "on_invite_failed"),
    ("channel_invite_dtmf", 3, "on_error"),
    ("channel_invite_accept", 2, "on_error"),
    ("channel_invite_end", 2, "on_error"),
    ("invoke", 3, "on_invoke_ret"),
    ("message_dtmf_send", 2, "on_error"),
]


@pytest.mark.parametrize("error", RAISES)
def test_an_argument_that_cannot_be_shown_is_told_and_all_goes_on(
    far_server: ThreadedServer, make: Make, error: type[BaseException]
) -> None:
    cannot = shy(error)()
    api, ears = make(far_server.address)
    api.login2(cannot, cannot, cannot, 0, "", cannot, cannot)
    ears.wait("on_login_failed", 1004)
    api.login2("app", "alice", NO_TOKEN, 0, "", cannot, cannot)
    ears.wait("on_login_failed", 1004)
    assert api.get_status() == 0
    api.login("app", "alice", NO_TOKEN)
    ears.wait("on_login_success")
    for method, count, callback in METHODS[1:]:
        ears.events.clear()
        getattr(api, method)(*[cannot] * count)
        ears.wait(callback)
    for text in (ShyText("bob"), ShyText("b b"), ShyText("x" * 9000)):
        for method, count, _ in METHODS[1:]:
            getattr(api, method)(*[text] * count)
    ears.events.clear()
    api.message_instant_send("alice", 0, "all goes on", "id")
    ears.wait("on_message_send_success", "id")
    assert api.get_status() == 2


class BadDialer:
    """Somebody's way to a server."""

    async def dial(self, appid: str, reactor: Reactor, *, avoid: str = "") -> Link:
        class Shy(LinkError):
            def __str__(self) -> str:
                raise ZeroDivisionError

            __repr__ = __str__

        raise Shy(appid, avoid)


def test_a_dialer_s_exception_that_cannot_be_shown_fails_the_login(
    far_server: ThreadedServer, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Three tries, as ever.
    monkeypatch.setattr(retries, "FIRST_PAUSE_SECONDS", 0.05)
    monkeypatch.setattr(retries, "PAUSE_FACTOR", 1.0)
    _, other = make(far_server.address)
    with create_agora_sdk_instance_cpp(server=BadDialer()) as api:
        ears = Ears()
        api.callback_set(ears)
        for _ in range(2):
            api.login("app", "alice", NO_TOKEN)
            assert ears.wait("on_login_failed")[0] in (200, 201)
            assert ears.wait("on_error")[0] == "login"
    assert not other.seen("on_error")


class Shapeless:
    def __getattribute__(self, name: str) -> Any:
        raise ZeroDivisionError(name)


@pytest.mark.parametrize(
    ("handler", "said"),
    [
        (object(), "of the type object: derive its class from signal_sdk.ICallBack"),
        (Shapeless(), "of the type Shapeless: derive its class from signal_sdk.ICallBack"),
        (LoginCallback(), "of the type LoginCallback: derive its class from signal_sdk.ICallBack"),
        (print, "of the type builtin_function_or_method: derive its class from"),
        (Ears, "the class Ears itself: hand over an object of it"),
    ],
    ids=["an object", "one without a shape", "of the other API", "a function", "the class itself"],
)
def test_a_handler_of_no_callback_class_is_refused(make: Make, handler: Any, said: str) -> None:
    api, ears = make("127.0.0.1:1")
    for callback_set in (api.callback_set, api.callbackSet):
        with pytest.raises(ParameterError, match=re.escape(said)) as caught:
            callback_set(handler)
        assert caught.value.ecode == 1004
        assert "\n" not in str(caught.value)
    assert api.callback_get() is ears
    api.callback_set(None)
    assert api.callback_get() is None


def test_a_stand_in_for_a_handler_is_taken(make: Make) -> None:
    api, _ = make("127.0.0.1:1")
    mock = create_autospec(ICallBack, instance=True)
    api.callback_set(mock)
    assert api.callback_get() is mock


def test_a_dialer_s_exception_that_cannot_be_shown_ends_no_coming_back(
    far_server: ThreadedServer,
) -> None:
    class ShyError(LoginError):
        def __str__(self) -> NoReturn:
            raise ZeroDivisionError

    class Falters:
        def __init__(self) -> None:
            self.count = 0
            self.dialer = make_dialer(far_server.address)

        async def dial(self, appid: str, reactor: Reactor, *, avoid: str = "") -> Link:
            self.count += 1
            if self.count == 2:
                raise ShyError(ECode.LOGIN_E_NET, "not now")
            return await self.dialer.dial(appid, reactor, avoid=avoid)

    with create_agora_sdk_instance_cpp(server=Falters()) as api:
        ears = Ears()
        api.callback_set(ears)
        api.login("app", "alice", NO_TOKEN)
        ears.wait("on_login_success")
        far_server.do(lambda server: cut(server, "alice"))
        ears.wait("on_reconnected", 0)
        lines = [line for (line,) in ears.seen("on_log")]
    assert "%s: try %d: %s: cannot be shown: ZeroDivisionError" in lines


def test_a_handler_whose_attributes_raise_is_passed_over(far_server: ThreadedServer) -> None:
    class Wrong(ICallBack):
        def __getattribute__(self, name: str) -> Any:
            raise ZeroDivisionError(name)

    with create_agora_sdk_instance_cpp(server=far_server.address) as api:
        api.callback_set(Wrong())
        api.login("app", "alice", NO_TOKEN)
        api.message_instant_send("alice", 0, "for the next one", "id")
        ears = Ears()
        api.callback_set(ears)
        api.channel_query_user_num("room")
        ears.wait("on_channel_query_user_num_result", "room", 0, 0)
