"""What is no handler, no pattern or no digit is refused where it is decorated, in one line."""

from __future__ import annotations

import functools
import re
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from signal_sdk import ParameterError
from signal_sdk.router import Bot, MessageContext
from signal_sdk.router.contexts import Speech
from signal_sdk.router.time_limit import TimeLimit


def bot() -> Any:
    """Untyped: type checkers refuse all of this before."""
    return Bot("app", account="desk", channel="lobby")


async def none() -> None: ...


async def two(context: object, error: object) -> None: ...


async def keyword(*, context: object) -> None: ...


def gives(context: object) -> Iterator[int]:
    yield 1


async def gives_by_and_by(context: object) -> AsyncIterator[int]:
    yield 1


def plain(context: object, call_next: object) -> None: ...


ONE = "calls its function with (context): "


@pytest.mark.parametrize(
    ("decorate", "text"),
    [
        (lambda it: it.message()(none), f"@bot.message {ONE}none() cannot be called so"),
        (
            lambda it: it.channel_message()(two),
            f"@bot.channel_message {ONE}two(context, error) cannot be called so",
        ),
        (lambda it: it.invited(keyword), f"@bot.invited {ONE}keyword(context) cannot be called so"),
        (lambda it: it.dtmf("1")(none), f"@bot.dtmf {ONE}none() cannot be called so"),
        (
            lambda it: it.error(none),
            "@bot.error calls its function with (context, error): none() cannot be called so",
        ),
        (
            lambda it: it.middleware(none),
            (
                "@bot.middleware calls its function with (context, call_next): none() cannot be"
                " called"
                " so"
            ),
        ),
        (
            lambda it: it.middleware(plain),
            "@bot.middleware decorates an `async def`, and plain is none",
        ),
        (lambda it: it.joined(gives), "@bot.joined decorates a function, and gives is a generator"),
        (
            lambda it: it.left(gives_by_and_by),
            "@bot.left decorates a function, and gives_by_and_by is a generator",
        ),
        (
            lambda it: it.call_ended("x"),
            "@bot.call_ended decorates a function, not what is of the type str",
        ),
        (
            lambda it: it.message(two),
            (
                "@bot.message(…) takes a pattern for text, not what is of the type function;"
                " for all"
                " messages, write @bot.message()"
            ),
        ),
        (
            lambda it: it.channel_message(re.compile(b"x")),
            (
                "@bot.channel_message(…) takes a pattern for text, not what is of the type"
                " Pattern; for"
                " all messages, write @bot.channel_message()"
            ),
        ),
    ],
)
def test_what_is_no_handler_is_refused(decorate: Any, text: str) -> None:
    with pytest.raises(TypeError) as refused:
        decorate(bot())
    assert str(refused.value) == text


@pytest.mark.parametrize("pattern", ["([", "(?P<x", "*", "a{2,1}"])
def test_a_wrong_pattern_is_refused(pattern: str) -> None:
    with pytest.raises(ValueError, match="that is no regular expression") as refused:
        bot().message(pattern)
    assert str(refused.value).startswith(f"@bot.message({pattern!r}): ")
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("digit", ["12", "a", "A", " ", 1, None])
def test_a_wrong_digit_is_refused(digit: object) -> None:
    with pytest.raises(ValueError, match=re.escape(f"@bot.dtmf({digit!r}): one digit")):
        bot().dtmf(digit)


async def one(context: object) -> None: ...


@pytest.mark.parametrize(
    ("decorate", "name"),
    [
        (lambda it: it.invited(one), "@bot.invited"),
        (lambda it: it.joined(one), "@bot.joined"),
        (lambda it: it.dtmf("*")(one), "@bot.dtmf('*')"),
        (lambda it: it.dtmf()(one), "@bot.dtmf()"),
        (lambda it: it.left()(one), "@bot.left"),
        (lambda it: it.left(channel="lobby")(one), "@bot.left(channel='lobby')"),
    ],
)
def test_a_second_handler_that_would_never_be_called_is_refused(decorate: Any, name: str) -> None:
    its = bot()
    decorate(its)
    with pytest.raises(ValueError, match=re.escape(f"{name} has a handler already")):
        decorate(its)


def test_a_handler_of_a_channel_that_its_bot_is_never_in_is_refused() -> None:
    never = "@bot.joined(channel='stage') would never be called: the bot is in "
    for its, where in (
        (Bot("app", account="desk"), "no channel"),
        (Bot("app", account="desk", channel="lobby"), "'lobby'"),
    ):
        with pytest.raises(ValueError, match=re.escape(never + where)):
            its.joined(channel="stage")
    its = Bot("app", account="desk", channels=["lobby"])
    its.joined(channel="stage")(one)
    its.joined(channel="lobby")(one)
    its.joined(one)
    untyped: Any = its
    text = "@bot.channel_message(channel=…) takes a channel's name, not what is of the type list"
    with pytest.raises(TypeError, match=re.escape(text)):
        untyped.channel_message(channel=["lobby"])


class Handlers:
    async def method(self, context: object) -> None: ...

    def __call__(self, context: object, more: int = 0) -> None: ...


def test_whatever_can_be_called_so_is_a_handler_and_stays_what_it_is() -> None:
    its, handlers = bot(), Handlers()
    given: tuple[Any, ...] = (
        one,
        handlers.method,
        handlers,
        functools.partial(two, error=None),
        lambda context: None,
        lambda *args: None,
        [].append,
    )
    for handler in given:
        assert its.message("x")(handler) is handler


@pytest.mark.parametrize(
    "wrong", [{"handler_timeout": 0}, {"handler_timeout": float("nan")}, {"threads": 0}]
)
def test_wrong_numbers_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Bot("app", account="desk", **wrong)


def test_wrong_names_are_refused() -> None:
    app: Any = 5
    with pytest.raises(ParameterError, match="app id is of the type int"):
        Bot(app, account="desk")


def test_no_context_shows_what_was_said() -> None:
    speech: Any = Speech.__new__(Speech)
    match = re.match("", "a secret")
    assert match is not None
    context = MessageContext(
        account="alice", speech=speech, limit=TimeLimit(None), text="a secret", match=match
    )
    assert repr(context) == "MessageContext(account='alice')"
