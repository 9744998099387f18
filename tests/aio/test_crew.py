"""The crew that runs callbacks in the loop: what callbacks can see of it, without any thread."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from signal_sdk.aio.crew import LoopCrew
from signal_sdk.aio.crossing import Crossing
from signal_sdk.client.crew import CALLBACKS_PER_TURN
from signal_sdk.client.dispatcher import Dispatcher
from signal_sdk.ecodes import ECode

WHOSE = contextvars.ContextVar("WHOSE", default="nobody")
TURNS = 200
"""How many turns of a loop are more than any test here needs."""


class OneThread(Crossing):
    """Both ends in one loop: what is handed over comes in a later turn of it."""

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        return asyncio.get_running_loop()

    def put(self, do: Callable[[], object]) -> None:
        self.loop.call_soon(do)

    def call(self, do: Callable[[], object]) -> None:
        self.loop.call_soon(do)


@attrs.define
class Noted:
    """A callback's turn, which notes when it begins and ends."""

    name: object
    notes: list[tuple[str, object]]

    def begin(self) -> None:
        self.notes.append(("begin", self.name))

    def end(self) -> None:
        self.notes.append(("end", self.name))


def dispatcher(crew: LoopCrew, whose: str, errors: list[str] | None = None) -> Dispatcher:
    """A session's, whose context says whose it is."""

    def on_error(_: ECode, reason: str) -> None:
        if errors is not None:
            errors.append(reason)

    def make() -> Dispatcher:
        WHOSE.set(whose)
        return Dispatcher(crew, on_error)

    return contextvars.copy_context().run(make)


async def settled() -> None:
    for _ in range(TURNS):
        await asyncio.sleep(0)


# --- what it keeps to, whatever callbacks do


def plain(note: Callable[[str], None]) -> None:
    note("runs")


async def at_once(note: Callable[[str], None]) -> None:
    note("runs")


async def waits(note: Callable[[str], None]) -> None:
    note("waits")
    await asyncio.sleep(0)
    note("waits on")
    await asyncio.sleep(0)
    note("has waited")


async def in_a_group(note: Callable[[str], None]) -> None:
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(asyncio.sleep(0))
        note("has begun another")
    note("the other has ended")


async def too_long(note: Callable[[str], None]) -> None:
    note("begins")
    try:
        async with asyncio.timeout(0):
            await asyncio.Event().wait()
    except TimeoutError:
        note("is late")


async def raises(note: Callable[[str], None]) -> None:
    note("raises")
    raise ValueError("wrong")


async def cancels_itself(note: Callable[[str], None]) -> None:
    note("cancels")
    task = asyncio.current_task()
    assert task is not None
    task.cancel()
    await asyncio.sleep(0)
    note("is never reached")


def cancels_and_goes(note: Callable[[str], None]) -> None:
    note("cancels")
    task = asyncio.current_task()
    assert task is not None
    task.cancel()


KINDS: dict[Any, list[str]] = {
    plain: ["runs"],
    at_once: ["runs"],
    waits: ["waits", "waits on", "has waited"],
    in_a_group: ["has begun another", "the other has ended"],
    too_long: ["begins", "is late"],
    raises: ["raises"],
    cancels_itself: ["cancels"],
    cancels_and_goes: ["cancels"],
}
FAILING: list[Any] = [raises, cancels_itself, cancels_and_goes]
"""Those of which `on_error` hears."""


@given(
    st.lists(
        st.tuples(st.sampled_from(["ann", "ben", "eve"]), st.sampled_from(list(KINDS))),
        max_size=40,
    )
)
def test_each_session_s_run_one_at_a_time_in_order_and_context(
    callbacks: list[tuple[str, Callable[[Callable[[str], None]], Awaitable[None] | None]]],
) -> None:
    notes: dict[str, list[str]] = {"ann": [], "ben": [], "eve": []}
    errors: list[str] = []
    turns: dict[str, list[tuple[str, object]]] = {"ann": [], "ben": [], "eve": []}

    async def test() -> None:
        crew = LoopCrew(OneThread())
        sessions = {whose: dispatcher(crew, whose, errors) for whose in notes}
        for number, (whose, callback) in enumerate(callbacks):

            def note(what: str, whose: str = whose) -> None:
                assert WHOSE.get() == whose
                notes[whose].append(what)

            sessions[whose].put(partial(callback, note), Noted(number, turns[whose]))
            if number % 3 == 0:
                await asyncio.sleep(0)
        await settled()
        # What a callback is about to hear of has a place in the queue, too.
        assert all(not session.queue for session in sessions.values())
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(test())
    for whose, noted in notes.items():
        his = [(number, kind) for number, (who, kind) in enumerate(callbacks) if who == whose]
        assert noted == [what for _, kind in his for what in KINDS[kind]]
        assert turns[whose] == [(what, number) for number, _ in his for what in ("begin", "end")]
    assert len(errors) == sum(kind in FAILING for _, kind in callbacks)


# --- what else it does


def test_one_that_waits_holds_up_its_own_session_only() -> None:
    async def test() -> list[str]:
        crew, heard, gate = LoopCrew(OneThread()), list[str](), asyncio.Event()

        async def wait(name: str) -> None:
            await gate.wait()
            heard.append(name)

        sessions = [dispatcher(crew, f"user {number}") for number in range(3)]
        for number, session in enumerate(sessions):
            session.put(partial(wait, f"waited {number}"))
            session.put(partial(heard.append, f"after {number}"))
        other = dispatcher(crew, "other")
        other.put(partial(heard.append, "other"))
        await settled()
        assert heard == ["other"]
        gate.set()
        await settled()
        return heard

    heard = asyncio.run(test())
    assert len(heard) == 7
    for number in range(3):
        assert heard.index(f"waited {number}") < heard.index(f"after {number}")


def test_very_many_leave_the_loop_its_turns() -> None:
    async def test() -> None:
        crew, ran = LoopCrew(OneThread()), list[int]()
        session = dispatcher(crew, "ann")
        for number in range(10 * CALLBACKS_PER_TURN):
            session.put(partial(ran.append, number))
        while not ran:  # noqa: ASYNC110  each turn of the loop is looked at
            await asyncio.sleep(0)
        assert len(ran) == CALLBACKS_PER_TURN
        await settled()
        assert ran == list(range(10 * CALLBACKS_PER_TURN))

    asyncio.run(test())


def test_an_end_may_have_the_rest_withdrawn() -> None:
    """As that of a session's last callback may."""

    async def test() -> None:
        failures: list[object] = []
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: failures.append(context))
        crew = LoopCrew(OneThread())
        sessions = [dispatcher(crew, whose) for whose in ("ann", "bob")]

        class Withdrawing:
            def begin(self) -> None:
                pass

            def end(self) -> None:
                for session in sessions:
                    session.withdraw_turns()

        for session in sessions:
            session.put(lambda: None, Withdrawing())
            session.finish()
        await settled()
        assert [session.is_over for session in sessions] == [True, True]
        assert failures == []

    asyncio.run(test())


def test_what_is_withdrawn_does_not_begin_and_what_has_begun_is_known() -> None:
    async def test() -> None:
        crew, gate = LoopCrew(OneThread()), asyncio.Event()
        notes, ran = list[tuple[str, object]](), list[str]()
        session = dispatcher(crew, "ann")
        session.put(gate.wait, Noted(1, notes))
        session.put(partial(ran.append, "2"), Noted(2, notes))
        session.put(partial(ran.append, "without a turn"))
        await settled()
        session.withdraw_turns()
        assert notes == [("begin", 1)]
        gate.set()
        await settled()
        assert notes == [("begin", 1), ("end", 1)]
        assert ran == ["without a turn"]

    asyncio.run(test())


def test_nothing_begins_behind_the_end_and_what_runs_is_cancelled() -> None:
    async def test() -> None:
        crossing = OneThread()
        crew, ran, cancelled = LoopCrew(crossing), list[str](), list[str]()
        session = dispatcher(crew, "ann")

        async def wait() -> None:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                cancelled.append("it")
                raise

        session.put(wait)
        session.put(partial(ran.append, "next"))
        await settled()
        crew.is_over = True
        crossing.put(crew._cancel_all)
        await settled()
        assert (ran, cancelled) == ([], ["it"])
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(test())


@pytest.mark.parametrize("is_late", [False, True])
def test_one_that_ends_the_loop_leaves_the_next_to_whoever_goes_on(*, is_late: bool) -> None:
    loop = asyncio.new_event_loop()
    crew, ran = LoopCrew(OneThread()), list[str]()

    async def end() -> None:
        if is_late:
            await asyncio.sleep(0)
        raise KeyboardInterrupt

    async def begin() -> None:
        session = dispatcher(crew, "ann")
        session.put(end)
        session.put(partial(ran.append, "next"))
        await settled()

    with pytest.raises(KeyboardInterrupt):
        loop.run_until_complete(begin())
    loop.run_until_complete(settled())
    loop.close()
    assert ran == ["next"]


def test_a_task_that_is_cancelled_before_it_runs_is_replaced() -> None:
    async def test() -> None:
        crew, ran = LoopCrew(OneThread()), list[str]()
        session = dispatcher(crew, "ann")
        session.put(partial(ran.append, "it"))
        while not (others := asyncio.all_tasks() - {asyncio.current_task()}):  # noqa: ASYNC110
            await asyncio.sleep(0)
        for task in others:
            task.cancel()
        await settled()
        assert ran == ["it"]

    asyncio.run(test())
