"""What users hand over: it is sent as it was given, or refused by its type."""

from __future__ import annotations

import enum
import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest
from trio.testing import MockClock

from signal_sdk import (
    Backoff,
    CallCallback,
    ECode,
    LoginCallback,
    MessageCallback,
    ParameterError,
    Signal,
    make_token,
)
from signal_sdk.client import given
from signal_sdk.testing.server import local_server


class Room(enum.StrEnum):
    LOBBY = "lobby"


class Mixed(str, enum.Enum):  # noqa: UP042  which shows itself as another text than it is
    LOBBY = "lobby"


class Unshowable:
    """Nothing that is asked of it is answered."""

    def fail(self, *_: object) -> Any:
        raise RuntimeError("unshowable")

    __repr__ = __str__ = __eq__ = __hash__ = __len__ = __bool__ = fail


@pytest.mark.parametrize("value", ["x", Room.LOBBY, Mixed.LOBBY])
def test_a_name_is_text_and_nothing_but_its_text(value: str) -> None:
    text = given.text("account", value)
    assert type(text) is str
    assert text == value


@pytest.mark.parametrize("value", [b"a", bytearray(b"a"), None, 1, True, 1.5, ["a"], Unshowable()])
def test_a_name_of_another_type_is_refused_by_its_type(value: object) -> None:
    with pytest.raises(ParameterError) as caught:
        given.text("account", value)
    assert caught.value.ecode is ECode.GENERAL_E_WRONG_PARAM
    assert caught.value.reason == f"account is of the type {type(value).__name__}, not str"


SAID: list[Any] = [
    "x",
    "",
    0,
    -1,
    True,
    1.5,
    [],
    {},
    [1, None, {"a": [False, "x", 1e300]}],
    Room.LOBBY,
    ECode.SUCCESS,
]


@pytest.mark.parametrize("value", SAID, ids=repr)
def test_what_json_says_exactly_is_content(value: Any) -> None:
    assert given.content("message", value) == value


def test_content_is_a_copy_in_plain_types() -> None:
    inner: list[Any] = [Room.LOBBY, (1, 2)]
    copy = given.content("message", {"a": inner, "code": ECode.GENERAL_E})
    inner.append(3)
    assert copy == {"a": ["lobby", [1, 2]], "code": 1000}
    assert {type(copy["a"][0]), type(copy["code"])} == {str, int}


@pytest.mark.parametrize(
    ("value", "named"),
    [
        (None, "NoneType"),
        (b"bin", "bytes"),
        ({1}, "set"),
        (object(), "object"),
        (Unshowable(), "Unshowable"),
        (math.nan, "nan"),
        (-math.inf, "-inf"),
        ([1, math.nan], "nan"),
        ({"a": [b"x"]}, "bytes"),
        ({1: "a"}, "int"),
        ([Unshowable()], "Unshowable"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_content_that_json_does_not_say_is_refused_by_its_type(value: Any, named: str) -> None:
    with pytest.raises(ParameterError, match=rf"(?<!\w){named}\b.*1004") as caught:
        given.content("message", value)
    assert caught.value.ecode is ECode.GENERAL_E_WRONG_PARAM


def test_what_holds_itself_is_nested_too_deep() -> None:
    endless: list[Any] = []
    endless.append(endless)
    with pytest.raises(ParameterError, match="nested deeper than 100 levels"):
        given.json_value("extra", endless)


def test_an_object_is_a_mapping() -> None:
    assert given.json_object("req", {"a": 1}) == {"a": 1}
    with pytest.raises(ParameterError, match="req is of the type list, not a mapping"):
        given.json_object("req", [])


def test_an_object_of_no_callback_class_is_told_what_to_derive_from() -> None:
    given.callback(None, LoginCallback)
    given.callback(LoginCallback(), LoginCallback)
    given.callback(MessageCallback(), CallCallback, MessageCallback)
    wanted = "signal_sdk.CallCallback or signal_sdk.MessageCallback"
    with pytest.raises(ParameterError) as caught:
        given.callback(LoginCallback(), CallCallback, MessageCallback)
    assert caught.value.reason == (
        f"the callback is of the type LoginCallback: derive its class from {wanted}"
    )
    with pytest.raises(ParameterError, match="is the class CallCallback itself"):
        given.callback(CallCallback, CallCallback)
    with pytest.raises(ParameterError, match="the type Unshowable"):
        given.callback(Unshowable(), CallCallback)


def test_an_object_that_hides_its_class_is_told_so_too() -> None:
    class Shapeless:
        def __getattribute__(self, name: str) -> Any:
            raise ZeroDivisionError(name)

    with pytest.raises(ParameterError, match=r"Shapeless: derive its class from signal_sdk\.Call"):
        given.callback(Shapeless(), CallCallback)
    with pytest.raises(ParameterError, match="proxy is of the type Shapeless, not str"):
        given.instance("proxy", Shapeless(), str)


class Classless:
    """Refuses to say what it is, as nothing that asks by `isinstance` expects."""

    @property  # type: ignore[misc]
    def __class__(self) -> Any:
        raise SystemExit("classless")


def test_nobody_is_asked_for_its_class() -> None:
    for refuse in (given.text, given.content, given.json_value):
        with pytest.raises(ParameterError, match="of the type Classless"):
            refuse("account", Classless())
    with pytest.raises(ParameterError, match="of the type Classless"):
        given.json_value("extra", [{"a": Classless()}])


def test_a_mapping_that_raises_is_refused() -> None:
    class Broken(Mapping[str, Any]):
        def __getitem__(self, key: str) -> Any:
            raise ZeroDivisionError("not now")

        def __iter__(self) -> Iterator[str]:
            return iter("a")

        def __len__(self) -> int:
            return 1

    with pytest.raises(ParameterError, match="req cannot be read: ZeroDivisionError: not now"):
        given.json_object("req", Broken())


NUMBERS: list[tuple[Callable[[], object], str]] = [
    (lambda: Backoff(attempts=True), "attempts True is not a whole number from 1"),
    (lambda: Backoff(attempts=2.5), "attempts 2.5 is not a whole number from 1"),  # type: ignore[arg-type]
    (lambda: Backoff(factor=math.nan), "factor nan is not above 0"),
    (lambda: Backoff(first_seconds=None), "first_seconds None is not a number"),  # type: ignore[arg-type]
    (lambda: Backoff(seconds="secret"), "seconds of the type str is not a number"),  # type: ignore[arg-type]
    (lambda: make_token("app", "c" * 32, "ann", True), "expiry True is not a whole number from 1"),
    (lambda: make_token("app", "c" * 32, "ann", None), "expiry None is not a whole number from 1"),  # type: ignore[arg-type]
    (lambda: make_token("app", "c" * 32, "ann", -(10**99)), "expiry -1000"),
]


@pytest.mark.parametrize(("use", "text"), NUMBERS, ids=[text for _, text in NUMBERS])
def test_a_wrong_number_is_shown_as_python_writes_it(use: Callable[[], object], text: str) -> None:
    with pytest.raises(ParameterError) as caught:
        use()
    assert caught.value.reason.startswith(text)
    assert len(caught.value.reason) < 200


@pytest.mark.parametrize(
    ("ttl", "shown"), [(math.nan, "nan"), (True, "True"), (1.5, "1.5"), ("x", "of the type str")]
)
async def test_so_is_a_wrong_ttl(ttl: Any, shown: str, autojump_clock: MockClock) -> None:
    async with local_server(listens=False) as server, Signal("app", server=server) as signal:
        session = await signal.login("ann", "_no_need_token")
        with pytest.raises(ParameterError, match=f"ttl {shown} is not a whole number from 0"):
            await session.message_instant_send("bob", "hello", ttl)
