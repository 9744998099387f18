"""The crew: one task for the callbacks of all sessions, and one more for each session whose
callbacks wait. Order, contexts, scopes and locks are as if each session had a task of its own.
"""

from __future__ import annotations

import gc
import math
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from contextvars import ContextVar
from functools import partial
from typing import Any

import attrs
import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from trio.testing import MockClock, wait_all_tasks_blocked

from signal_sdk.client import crew as crews
from signal_sdk.client.crew import Crew
from signal_sdk.client.dispatcher import Dispatcher
from signal_sdk.client.operation import Promise
from signal_sdk.ecodes import ECode

Said = list[Any]
word: ContextVar[str] = ContextVar("word", default="nothing")


@pytest.fixture
async def crew() -> AsyncIterator[Crew]:
    async with running(Crew()) as crew:
        yield crew


@asynccontextmanager
async def running(crew: Crew) -> AsyncIterator[Crew]:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(crew.run)
        yield crew
        nursery.cancel_scope.cancel()


def tasks_of(said: list[trio.lowlevel.Task]) -> int:
    return len(set(said))


async def note_task(said: list[trio.lowlevel.Task], waits: float | None = None) -> None:
    task = trio.lowlevel.current_task()
    said.append(task)
    if waits is not None:
        await trio.sleep(waits)
        assert trio.lowlevel.current_task() is task


async def test_one_task_begins_what_does_not_wait(crew: Crew) -> None:
    tasks: list[trio.lowlevel.Task] = []
    for _ in range(20):
        dispatcher = Dispatcher(crew)
        for _ in range(20):
            dispatcher.put(partial(note_task, tasks))
    await wait_all_tasks_blocked()
    assert (len(tasks), tasks_of(tasks)) == (400, 1)


async def test_one_that_waits_keeps_its_task_and_others_go_on(
    crew: Crew, autojump_clock: MockClock
) -> None:
    said: Said = []

    async def wait(name: str) -> None:
        task = trio.lowlevel.current_task()
        await trio.sleep(1)
        assert trio.lowlevel.current_task() is task
        said.append((name, trio.current_time()))

    slow, quick = Dispatcher(crew), Dispatcher(crew)
    began = trio.current_time()
    slow.put(partial(wait, "slow"))
    slow.put(partial(said.append, "behind it"))
    quick.put(partial(said.append, "other"))
    await trio.sleep(2)
    assert said == ["other", ("slow", began + 1), "behind it"]


async def test_a_session_whose_callbacks_wait_has_one_task_for_as_long_as_they_do(
    crew: Crew, autojump_clock: MockClock
) -> None:
    places: list[tuple[Dispatcher, list[trio.lowlevel.Task]]]
    places = [(Dispatcher(crew), []) for _ in range(5)]
    for _ in range(4):
        for dispatcher, tasks in places:
            dispatcher.put(partial(note_task, tasks, 1))
        await trio.sleep(2)
    assert [tasks_of(tasks) for _, tasks in places] == [1] * 5
    assert tasks_of([tasks[0] for _, tasks in places]) == 5
    for _ in range(2):
        for dispatcher, tasks in places:
            dispatcher.put(partial(note_task, tasks))
        await wait_all_tasks_blocked()
    assert tasks_of([tasks[-2] for _, tasks in places]) == 5
    assert tasks_of([tasks[-1] for _, tasks in places]) == 1


async def test_no_more_idle_tasks_are_kept_than_are_worth_it(
    crew: Crew, monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    monkeypatch.setattr(crews, "MAX_IDLE", 3)
    before = trio.lowlevel.current_statistics().tasks_living
    dispatchers = [Dispatcher(crew) for _ in range(10)]
    for waits in (1, None):
        for dispatcher in dispatchers:
            dispatcher.put(partial(note_task, [], waits))
        await trio.sleep(2)
        living = trio.lowlevel.current_statistics().tasks_living - before
        assert living == (10 if waits else 3)


async def test_a_task_that_a_callback_starts_is_in_its_context_and_no_task_of_the_crew_is() -> None:
    said: Said = []

    async with trio.open_nursery() as nursery, running(Crew()) as crew:

        async def note(name: str) -> None:
            said.append((name, word.get()))

        async def start() -> None:
            word.set("said")
            # This task waits: the crew has another one begin that.
            other.put(partial(note, "other"))
            nursery.start_soon(note, "started")
            await trio.lowlevel.checkpoint()
            said.append(("own", word.get()))

        other = Dispatcher(crew)
        Dispatcher(crew).put(start)
        await wait_all_tasks_blocked()
    assert sorted(said) == [("other", "nothing"), ("own", "said"), ("started", "said")]


async def test_a_task_that_is_idle_holds_nothing_of_a_session_s(crew: Crew) -> None:
    """Neither the one that has run its callbacks, nor one that was begun while one of them ran."""

    class Value:
        pass

    held: ContextVar[Value] = ContextVar("held")
    values: list[weakref.ref[Value]] = []

    async def hold() -> None:
        value = Value()
        held.set(value)
        values.append(weakref.ref(value))
        await trio.lowlevel.checkpoint()
        other.put(trio.lowlevel.checkpoint)

    other, dispatcher = Dispatcher(crew), Dispatcher(crew)
    dispatcher.put(hold)
    await wait_all_tasks_blocked()
    dispatcher.finish()
    await dispatcher.ended()
    await wait_all_tasks_blocked()
    del dispatcher, hold
    gc.collect()
    assert [value() for value in values] == [None]


async def test_a_session_s_callbacks_have_the_context_that_it_was_made_in(crew: Crew) -> None:
    said: Said = []
    token = word.set("made")
    dispatcher = Dispatcher(crew)
    word.reset(token)
    dispatcher.put(lambda: said.append(word.get()))
    dispatcher.put(partial(word.set, "changed"))
    await wait_all_tasks_blocked()
    dispatcher.put(lambda: said.append(word.get()))
    await wait_all_tasks_blocked()
    assert (said, word.get()) == (["made", "changed"], "nothing")


async def test_a_lock_is_held_by_one_callback_at_a_time(
    crew: Crew, autojump_clock: MockClock
) -> None:
    lock, said = trio.Lock(), list[str]()

    async def locked(name: str) -> None:
        async with lock:
            said.append(f"{name} in")
            await trio.sleep(1)
            said.append(f"{name} out")

    for name in ("a", "b", "c"):
        Dispatcher(crew).put(partial(locked, name))
    await trio.sleep(5)
    assert [it.split()[1] for it in said] == ["in", "out"] * 3
    assert all(said[at][0] == said[at + 1][0] for at in (0, 2, 4))


@pytest.mark.parametrize("waits", [False, True])
async def test_what_a_callback_leaves_open_is_its_session_s_alone(
    crew: Crew, *, waits: bool
) -> None:
    """A nursery that is opened in one callback and closed in a later one."""
    said: Said = []
    manager = trio.open_nursery()
    tasks: list[trio.lowlevel.Task] = []
    others: list[trio.lowlevel.Task] = []

    async def open_it() -> None:
        if waits:
            await trio.lowlevel.checkpoint()
        tasks.append(trio.lowlevel.current_task())
        nursery = await manager.__aenter__()
        nursery.start_soon(trio.sleep_forever)
        said.append(nursery)

    async def close_it() -> None:
        tasks.append(trio.lowlevel.current_task())
        said[0].cancel_scope.cancel()
        await manager.__aexit__(None, None, None)
        said.append("closed")

    opener, other = Dispatcher(crew), Dispatcher(crew)
    opener.put(open_it)
    other.put(partial(note_task, others))
    await wait_all_tasks_blocked()
    other.put(partial(note_task, others))
    opener.put(close_it)
    await wait_all_tasks_blocked()
    assert said[1:] == ["closed"]
    assert tasks_of(tasks) == 1
    assert tasks[0] not in others
    # From here on it shares the others' again.
    for _ in range(2):
        opener.put(partial(note_task, tasks))
        other.put(partial(note_task, others))
        await wait_all_tasks_blocked()
    assert tasks[-1] is others[-1]


async def test_a_scope_that_a_plain_callback_enters_is_its_session_s_alone(crew: Crew) -> None:
    deadlines: dict[str, float] = {}
    scope = trio.CancelScope(deadline=trio.current_time() + 1000)

    def look(name: str) -> None:
        deadlines[name] = trio.current_effective_deadline()

    own, other = Dispatcher(crew), Dispatcher(crew)
    own.put(partial(scope.__enter__))
    for name, dispatcher in (("own", own), ("other", other)):
        dispatcher.put(partial(look, name))
    await wait_all_tasks_blocked()
    own.put(partial(scope.__exit__, None, None, None))
    own.put(partial(look, "own after it"))
    await wait_all_tasks_blocked()
    assert deadlines == {"own": scope.deadline, "other": math.inf, "own after it": math.inf}


async def test_what_is_not_trio_s_is_refused_where_it_is_awaited(
    crew: Crew, caplog: pytest.LogCaptureFixture
) -> None:
    said: Said = []

    class Foreign:
        def __await__(self) -> Any:
            yield "what another event loop understands"

    async def await_it() -> None:
        try:
            await Foreign()
        except TypeError as exc:
            said.append(type(exc))
            raise

    async def on_error(ecode: ECode, reason: str) -> None:
        said.append(ecode)

    dispatcher = Dispatcher(crew, on_error)
    dispatcher.put(await_it)
    await wait_all_tasks_blocked()
    assert said == [TypeError, ECode.GENERAL_E_UNKNOWN]
    assert "a callback raised TypeError" in caplog.text


@pytest.mark.parametrize("waits", [False, True])
async def test_what_a_callback_returns_is_awaited_whatever_it_is(
    crew: Crew, *, waits: bool
) -> None:
    said: Said = []

    promise: Promise[None] = Promise()

    async def note() -> None:
        said.append("awaited")

    class Waitable:
        def __await__(self) -> Any:
            yield from (promise if waits else note()).__await__()
            said.append("done")

    def give() -> Awaitable[None]:
        return Waitable()

    dispatcher = Dispatcher(crew)
    dispatcher.put(give)
    await wait_all_tasks_blocked()
    promise.succeed(None)
    dispatcher.put(give)
    await wait_all_tasks_blocked()
    assert said == (["done", "done"] if waits else ["awaited", "done", "awaited", "done"])


async def test_a_plain_callback_that_raises_stop_iteration_has_raised(
    crew: Crew, caplog: pytest.LogCaptureFixture
) -> None:
    said: Said = []
    dispatcher = Dispatcher(crew)
    dispatcher.put(lambda: next(iter(())))
    dispatcher.put(partial(said.append, "next"))
    await wait_all_tasks_blocked()
    assert "a callback raised StopIteration" in caplog.text
    assert said == ["next"]


async def test_callbacks_that_wait_are_cancelled_with_the_crew(autojump_clock: MockClock) -> None:
    said: Said = []

    async def wait(name: str) -> None:
        try:
            await trio.sleep_forever()
        except trio.Cancelled:
            said.append(name)
            raise

    async with running(Crew()) as crew:
        dispatchers = [Dispatcher(crew) for _ in range(3)]
        for number, dispatcher in enumerate(dispatchers):
            dispatcher.put(partial(wait, f"{number}"))
            dispatcher.put(partial(said.append, "never"))
        await wait_all_tasks_blocked()
    assert sorted(said) == ["0", "1", "2"]
    for dispatcher in dispatchers:
        before = len(dispatcher)
        dispatcher.put(partial(said.append, "never"))
        assert len(dispatcher) == before


async def test_an_end_is_waited_for(crew: Crew, autojump_clock: MockClock) -> None:
    """Whether the session has a task of its own by then, or not, or never had anything to run."""
    for waits in (None, 1.0):
        for is_waited_for in (False, True):
            dispatcher = Dispatcher(crew)
            dispatcher.put(partial(note_task, [], waits))
            if is_waited_for:
                await trio.sleep(2)
            dispatcher.finish()
            await dispatcher.ended()
            assert dispatcher.is_over
    empty = Dispatcher(crew)
    empty.finish()
    await empty.ended()
    await empty.ended()


# --- as if each session had a task of its own


@attrs.frozen
class Step:
    """A callback: `kind`, and how long it waits where it does."""

    kind: str
    seconds: int


steps = st.builds(
    Step, st.sampled_from(["plain", "async", "waits", "sets", "raises"]), st.integers(0, 2)
)
programs = st.lists(st.lists(steps, max_size=8), min_size=1, max_size=4)


def callback(step: Step, name: str, said: Said) -> Callable[[], object]:
    """What the step does. It says what it was, and what the word is in its session's context."""

    def plain() -> None:
        said.append((name, word.get()))
        if step.kind == "sets":
            word.set(name)
        if step.kind == "raises":
            raise ValueError(name)

    async def waits() -> None:
        before = word.get()
        said.append((name, "begins"))
        for _ in range(step.seconds + 1):
            await trio.sleep(step.seconds)
            assert word.get() == before
        word.set(f"{name} has waited")
        plain()

    async def never_waits() -> None:
        plain()

    if step.kind == "waits":
        return waits
    return never_waits if step.kind == "async" or step.seconds else plain


async def each_in_its_own(program: list[list[Step]], said: list[Said]) -> None:
    """The model: a task for each session, which awaits one callback after the other."""

    async def live(steps: list[Step], said: Said, number: int) -> None:
        for at, step in enumerate(steps):
            try:
                result = callback(step, f"{number}.{at}", said)()
                if isinstance(result, Coroutine):
                    await result
            except ValueError:
                said.append("raised")

    async with trio.open_nursery() as nursery:
        for number, steps in enumerate(program):
            nursery.start_soon(live, steps, said[number], number)


async def all_by_a_crew(program: list[list[Step]], said: list[Said], pauses: list[int]) -> None:
    async with running(Crew()) as crew:

        def on_error(said: Said, *_: object) -> None:
            said.append("raised")

        dispatchers = [Dispatcher(crew, partial(on_error, it)) for it in said]
        for at in range(max(map(len, program))):
            for number, steps in enumerate(program):
                if at < len(steps):
                    run = callback(steps[at], f"{number}.{at}", said[number])
                    dispatchers[number].put(run)
            await trio.sleep(pauses[at % len(pauses)])
        for dispatcher in dispatchers:
            dispatcher.finish()
            await dispatcher.ended()


@settings(deadline=None)
@given(program=programs, pauses=st.lists(st.integers(0, 3), min_size=1, max_size=3))
def test_each_session_hears_what_it_would_in_a_task_of_its_own(
    program: list[list[Step]], pauses: list[int]
) -> None:
    expected: list[Said] = [[] for _ in program]
    heard: list[Said] = [[] for _ in program]
    clock = partial(MockClock, autojump_threshold=0)
    trio.run(each_in_its_own, program, expected, clock=clock())
    trio.run(all_by_a_crew, program, heard, pauses, clock=clock())
    assert heard == expected
