"""Handlers: what a function has to be to be one, and how it is called.

Owns: that check, made where it is decorated, and threads for those that are no `async def`. Must
not know when one is called.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from functools import partial
from typing import Any, Final

import trio

__all__ = ["Handler", "call", "check", "check_digits", "compiled"]

Handler = Callable[..., Any]
"""One that has been checked."""

DIGITS: Final = frozenset("0123456789*#")


def check(decorator: str, function: object, takes: str, *, threads: bool = True) -> None:
    """Raise `TypeError`, in one line, unless `function` can be called with what `takes` names, and
    waits as handlers do.
    """
    if not callable(function):
        raise TypeError(
            f"@bot.{decorator} decorates a function, not what is of the type"
            f" {type(function).__name__}"
        )
    names = takes.split(", ")
    name = getattr(function, "__name__", type(function).__name__)
    try:
        signature = inspect.signature(function)
    except ValueError:
        # What is built in may have none.
        return
    try:
        signature.bind(*names)
    except TypeError:
        raise TypeError(
            f"@bot.{decorator} calls its function with ({takes}): {name}{_parameters(signature)}"
            " cannot be called so"
        ) from None
    target = _target(function)
    if inspect.isgeneratorfunction(target) or inspect.isasyncgenfunction(target):
        raise TypeError(f"@bot.{decorator} decorates a function, and {name} is a generator")
    if not threads and not inspect.iscoroutinefunction(target):
        raise TypeError(f"@bot.{decorator} decorates an `async def`, and {name} is none")


def _parameters(signature: inspect.Signature) -> str:
    return "(" + ", ".join(signature.parameters) + ")"


def _target(function: object) -> object:
    """What is called in the end: the function of a partial one, an object's `__call__`."""
    while isinstance(function, partial):
        function = function.func
    if inspect.isroutine(function):
        return function
    return inspect.getattr_static(type(function), "__call__", function)


def compiled(decorator: str, pattern: object) -> re.Pattern[str]:
    """A pattern of text. Raises `ValueError`, in one line, where it is wrong, and `TypeError` where
    it is none.
    """
    if isinstance(pattern, re.Pattern) and isinstance(pattern.pattern, str):
        return pattern
    if not isinstance(pattern, str):
        raise TypeError(
            f"@bot.{decorator}(…) takes a pattern for text, not what is of the type"
            f" {type(pattern).__name__}; for all messages, write @bot.{decorator}()"
        )
    try:
        return re.compile(pattern)
    except re.error as exc:
        raise ValueError(
            f"@bot.{decorator}({pattern!r}): that is no regular expression: {exc}"
        ) from None


def check_digits(digits: object) -> str:
    """One digit, or "" for all. Raises `ValueError` for anything else."""
    if isinstance(digits, str) and (not digits or digits in DIGITS):
        return digits
    raise ValueError(
        f"@bot.dtmf({digits!r}): one digit of 0 to 9, * and #, or none for all, since each is told"
        " by itself"
    )


async def call(function: Handler, *args: object, limiter: trio.CapacityLimiter) -> None:
    """Call a handler, and wait for its end. One that is no `async def` runs in a thread, which is
    left alone where the waiting is cancelled.
    """
    if inspect.iscoroutinefunction(_target(function)):
        await function(*args)
        return

    def run() -> tuple[object]:
        # Trio lets no thread give back a coroutine: it is no mistake here.
        return (function(*args),)

    (result,) = await trio.to_thread.run_sync(run, limiter=limiter, abandon_on_cancel=True)
    if inspect.isawaitable(result):
        await result
