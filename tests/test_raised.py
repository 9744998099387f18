"""What is told of what somebody's code has raised, whatever that does when it is asked."""

from __future__ import annotations

from typing import NoReturn

import pytest

from signal_sdk.raised import only, text_of, type_name
from tests.odd_errors import NamelessError, UnshowableError, shy


def test_an_exception_s_text_is_one_line() -> None:
    assert text_of(ValueError("two\n lines")) == "two lines"
    assert text_of(UnshowableError()) == "(its text cannot be shown: RuntimeError)"


@pytest.mark.parametrize("error", [SystemExit, GeneratorExit, BaseException])
def test_an_exception_s_text_may_raise_anything(error: type[BaseException]) -> None:
    assert text_of(shy(error)) == f"(its text cannot be shown: {error.__name__})"


def test_ctrl_c_is_never_kept() -> None:
    with pytest.raises(KeyboardInterrupt):
        text_of(shy(KeyboardInterrupt))


def test_a_type_has_a_name_whatever_its_class_says() -> None:
    class Text(str):
        __slots__ = ()

        def __str__(self) -> NoReturn:
            raise RuntimeError

        __format__ = __repr__ = __str__  # type: ignore[assignment]

    assert type_name(7) == "int"
    assert type_name(NamelessError()) == "NamelessError"
    assert f"{type_name(type(Text('Odd'), (), {})())}" == "Odd"


def test_the_only_exception_of_a_group_is_told_for_it() -> None:
    one, other = ValueError("one"), KeyError("other")
    assert only(one) is one
    assert only(ExceptionGroup("outer", [ExceptionGroup("inner", [one])])) is one
    both = ExceptionGroup("both", [one, other])
    assert only(ExceptionGroup("outer", [both])) is both
