"""What an operation returns that an engine has begun and not ended: its result is pending.

Owns: how a result that comes later reaches whoever asked, and how work of several steps goes on
over such results without a task of its own. Must not know an engine, nor trio's loop but for a task
that waits.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Generator
from functools import partial
from typing import Any, Final, Generic, TypeAlias, TypeVar, Union, cast, overload

import trio

__all__ = ["Answer", "Pending", "after", "drive", "ended", "left", "settled", "waited"]

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)
U = TypeVar("U")


TWICE: Final = "a result that was pending came twice"


class Pending(Generic[T_co]):
    """A result that will be there later, or why there is none. Whoever has begun it calls `resolve`
    or `fail`, once; all that is done then is done by that call, in the order of `when_done`.
    """

    __slots__ = ("_error", "_value", "_whens", "is_done")

    def __init__(self) -> None:
        self.is_done: bool = False
        self._value: T_co | None = None
        self._error: Exception | None = None
        self._whens: list[Callable[[], None]] = []

    def resolve(self, value: T_co) -> None:  # type: ignore[misc]
        """This is the result."""
        if self.is_done:
            raise RuntimeError(TWICE)
        self.is_done = True
        self._value = value
        whens = self._whens
        for when in whens:
            when()
        whens.clear()

    def fail(self, error: Exception) -> None:
        """There is none, for this reason."""
        if self.is_done:
            raise RuntimeError(TWICE)
        self.is_done = True
        self._error = error
        whens = self._whens
        for when in whens:
            when()
        whens.clear()

    def when_done(self, call: Callable[[], None]) -> None:
        """Call `call`, which must not raise, once it is done: at once where it is."""
        if self.is_done:
            call()
        else:
            self._whens.append(call)

    def result(self) -> T_co:
        """The result of what is done; raises why there is none."""
        if not self.is_done:
            raise RuntimeError("the result is pending")
        if self._error is not None:
            raise self._error
        return cast("T_co", self._value)

    def map(self, function: Callable[[T_co], U]) -> Pending[U]:
        """What `function` makes of the result, be it an exception."""
        mapped: Pending[U] = Pending()

        def when() -> None:
            try:
                value = function(self.result())
            except Exception as exc:  # noqa: BLE001  it is whoever's who asks for the result
                mapped.fail(exc)
            else:
                mapped.resolve(value)

        self.when_done(when)
        return mapped

    def __await__(self) -> Generator[Pending[Any], None, T_co]:
        """For work that `drive` has: a task of trio's waits by `waited`."""
        if not self.is_done:
            yield self
        return self.result()


Answer: TypeAlias = Union[T, Pending[T]]  # noqa: UP007  a generic alias is made at run time
"""A result, or one that is pending."""


def after(answer: T | Pending[T], function: Callable[[T], U]) -> U | Pending[U]:
    """What `function` makes of the result, now or later."""
    return answer.map(function) if isinstance(answer, Pending) else function(answer)


async def settled(answer: T | Pending[T]) -> T:
    """The result, in work that `drive` has."""
    return await answer if isinstance(answer, Pending) else answer


def drive(work: Coroutine[Any, Any, T]) -> T | Pending[T]:
    """Do the work until it waits for a result that is pending; it goes on when that is there. It
    must wait for nothing else. Returns its result, or raises, where it has not waited.
    """
    try:
        waits_for = work.send(None)
    except StopIteration as stop:
        return cast("T", stop.value)
    outcome: Pending[T] = Pending()
    _go_on_after(waits_for, work, outcome)
    return outcome


def _go_on_after(waits_for: Any, work: Coroutine[Any, Any, T], outcome: Pending[T]) -> None:
    if not isinstance(waits_for, Pending):
        work.close()
        outcome.fail(RuntimeError("work that is driven waits for something else"))
        return
    waits_for.when_done(partial(_go_on, work, outcome))


def _go_on(work: Coroutine[Any, Any, T], outcome: Pending[T]) -> None:
    try:
        waits_for = work.send(None)
    except StopIteration as stop:
        outcome.resolve(cast("T", stop.value))
    except Exception as exc:  # noqa: BLE001  it is whoever's who asks for the result
        outcome.fail(exc)
    else:
        _go_on_after(waits_for, work, outcome)


def left(answer: Pending[None] | None) -> Pending[None] | None:
    """What of the work is left to be waited for. Raises where it has failed by now."""
    if isinstance(answer, Pending) and answer.is_done:
        return answer.result()
    return answer


async def ended(pending: Pending[Any]) -> None:
    """Until it is done, in a task of trio's; whatever comes of it is somebody else's."""
    if not pending.is_done:
        done = trio.Event()
        pending.when_done(done.set)
        await done.wait()


@overload
async def waited(answer: Pending[T]) -> T: ...


@overload
async def waited(answer: T | Pending[T]) -> T: ...


async def waited(answer: T | Pending[T]) -> T:
    """The result, in a task of trio's. Cancelled, what was begun goes on."""
    if not isinstance(answer, Pending):
        await trio.lowlevel.checkpoint()
        return answer
    await ended(answer)
    return answer.result()
