"""What users hand over: it is sent as it was given, or refused by its type."""

from __future__ import annotations

import enum
import math
from typing import Any

import pytest

from signal_sdk import CallCallback, ECode, LoginCallback, MessageCallback, ParameterError
from signal_sdk.client import given


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
