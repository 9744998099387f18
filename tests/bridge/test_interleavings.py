"""A stream that is read in another thread than it is told in, over the ways in which the trio
thread may come between: nothing is lost, nothing is read twice, the order holds, the end is heard
behind all else, each turn begins and ends as it should, and nobody waits for what has come.

There is one real thread. What the trio thread does, it does in whole steps, before any line of the
reader's: a step is a call that it makes, or something that happens.
"""

from __future__ import annotations

import asyncio
import sys
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from types import FrameType
from typing import Any, Final, cast

import attrs
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

import signal_sdk.aio.stream
import signal_sdk.sync.stream
from signal_sdk.aio.crossing import Crossing
from signal_sdk.aio.stream import LoopStream
from signal_sdk.ecodes import ECode
from signal_sdk.errors import SignalError
from signal_sdk.streams import Readers
from signal_sdk.streams import Stream as TrioStream
from signal_sdk.sync.stream import Stream
from signal_sdk.sync.waiter import Waiter

WATCHED: Final = {signal_sdk.aio.stream.__file__, signal_sdk.sync.stream.__file__}


@contextmanager
def between_lines(do: Callable[[], object]) -> Iterator[None]:
    """Call `do` before each line of the watched files that is run in the block."""

    def trace(frame: FrameType, event: str, _: object) -> Any:
        if frame.f_code.co_filename not in WATCHED:
            return None
        if event == "line":
            do()
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        yield
    finally:
        sys.settrace(before)


class Turn:
    """An event's turn, which knows its order."""

    def __init__(self) -> None:
        self.steps = ""

    def begin(self) -> None:
        self.steps += "begin "

    def end(self) -> None:
        self.steps += "end "


@attrs.frozen
class Plan:
    """What each side does, and in which order: `told` by the trio thread, which makes a call of the
    reader's where that says so, `read` by the reader, with after how many steps of
    waiting what comes between does; the bits of `choices` are at which lines it
    comes between.
    """

    told: list[str]
    read: list[tuple[str, int]]
    choices: int


PLANS: Final = st.builds(
    Plan,
    told=st.builds(
        list.__add__,
        st.lists(st.sampled_from(["event", "turn", "call"]), max_size=9),
        st.sampled_from([[], ["end"], ["error"], ["withdraw"], ["end", "call", "call"]]),
    ),
    read=st.lists(
        st.tuples(
            st.sampled_from(["read"] * 3 + ["give up", "close", "close meanwhile"]),
            st.integers(0, 6),
        ),
        max_size=9,
    ),
    choices=st.integers(0, 2**120 - 1),
)


GIVEN_UP: Final = Plan(
    ["event", "call", "call", "event", "turn", "event", "event", "call", "turn"],
    [("give up", 5), ("close meanwhile", 0), ("read", 2), ("give up", 5), ("read", 3)],
    8879,
)
"""One who has given up asked, and so does the next, before that was answered."""
WITHDRAWN: Final = Plan(
    ["call", "event", "turn", "turn", "turn", "turn", "event", "call", "withdraw"],
    [],
    416201092821156089347496055144448,
)
"""The session ends while events that nobody has begun are handed over."""


class World:
    """The trio thread's side, and what is so by now."""

    def __init__(self, plan: Plan) -> None:
        self._choices = plan.choices
        self.calls: deque[Callable[[], object]] = deque()
        self.readers: Readers[int] = Readers()
        self.told: list[int] = []
        self.turns: dict[int, Turn] = {}
        self.got: list[int] = []
        self.end = ""
        self._plan = deque(plan.told)
        self._count = 0

    def choose(self) -> bool:
        """What was drawn; once that is used up, nobody is interrupted."""
        self._choices, drawn = divmod(self._choices, 2)
        return drawn == 1

    @property
    def is_idle(self) -> bool:
        """Has the trio thread nothing more to do?"""
        return not self.calls and not self._plan

    def step(self) -> None:
        """The trio thread's next step: of its plan, and behind that, the reader's calls."""
        if self._plan:
            self._do(self._plan.popleft())
        elif self.calls:
            self.calls.popleft()()

    def may_step(self) -> None:
        """Something comes between, if so it was drawn."""
        if self.choose() and self.choose():
            self.step()

    def _do(self, what: str) -> None:
        if what == "call":
            if self.calls:
                self.calls.popleft()()
        elif what in ("event", "turn"):
            number = self._count = self._count + 1
            turn = Turn() if what == "turn" else None
            if self.readers.is_wanted:
                self.told.append(number)
                if turn is not None:
                    self.turns[number] = turn
            self.readers.tell(number, turn, is_heard=False)
        else:
            self.end = what
            error = SignalError(ECode.GENERAL_E, "over") if what == "error" else None
            self.readers.end(error, withdraws=what == "withdraw")

    def check(self, *, is_whole: bool) -> None:
        """Judge what was read, all of it where it `is_whole`."""
        assert self.got == sorted(set(self.got))
        passed = [it for it in self.told if self.got and it < self.got[-1]]
        missing = set(self.told if is_whole else passed) - set(self.got)
        assert set(self.got) <= set(self.told)
        # What nobody had begun when the session ended stays with the server.
        withdrawn = set(self.turns) if self.end == "withdraw" else set()
        assert missing <= withdrawn
        for number, turn in self.turns.items():
            if number in self.got:
                assert turn.steps == "begin end "
            else:
                assert turn.steps in ("begin end ", ""), number
                assert turn.steps or self.end == "withdraw", number


class Reading:
    """The reader's side, whose stream is read in a loop or in a thread that has none."""

    def __init__(self, world: World, plan: Plan, stream: Stream[int] | LoopStream[int]) -> None:
        self.world = world
        self.stream = stream
        self._plan = plan
        self._meanwhile = ""
        self._after = 0
        self.is_drained = False

    def read(self) -> int | str:
        """The next event, or how the reading has ended."""
        raise NotImplementedError

    def live(self) -> None:
        """Read as is planned, and then all that there is."""
        for what, after in self._plan.read:
            self._meanwhile, self._after = what, after
            if what == "close" or not self._read():
                break
        else:
            while self._read():
                pass
        self.stream.close()
        while not self.world.is_idle:
            self.world.step()

    def _read(self) -> bool:
        """Read on, and say whether there may be more."""
        world = self.world
        was_withdrawn = world.end == "withdraw"
        outcome = self.read()
        if isinstance(outcome, int):
            world.got.append(outcome)
            assert not (was_withdrawn and outcome in world.turns), "it stays with the server"
            return not self.stream._is_closed
        if outcome in ("end", "error"):
            assert outcome == ("error" if world.end == "error" else "end")
            assert world.end
            # Who asks again hears it again.
            assert self.read() == outcome
            self.is_drained = True
        elif outcome == "waits":
            assert not world.end, "nobody has told it of the end"
            assert world.got == world.told, "nobody has told it of what there is"
            self.is_drained = True
        return outcome == "gave up"

    def happens(self) -> str:
        """What comes between, while the reader waits."""
        self._after -= 1
        if self._after >= 0:
            return ""
        what, self._meanwhile = self._meanwhile, ""
        if what == "close meanwhile":
            self.stream.close()
        return what


class ThreadReading(Reading):
    """In a thread without a loop; it is the lodger, too, whose calls wait their turn."""

    def __init__(self, world: World, plan: Plan) -> None:
        waiter = Waiter(cast("Any", self), None)
        super().__init__(world, plan, Stream(waiter, TrioStream(world.readers), None, int))
        self._why = ""

    def check(self) -> None:
        """It is always there."""

    def ask(self, do: Callable[[], object]) -> None:
        self.world.calls.append(do)

    call = ask

    def wait(self, answer: Future[None], _: float | None) -> None:
        while not answer.done():
            if self.happens() == "give up":
                self._why = "gave up"
                raise TimeoutError
            if self.world.is_idle:
                self._why = "waits"
                raise TimeoutError
            self.world.step()

    def read(self) -> int | str:
        self._why = ""
        try:
            return next(cast("Stream[int]", self.stream))
        except StopIteration:
            return self._why or ("closed" if self.stream._is_closed else "end")
        except SignalError:
            return "error"


class LoopReading(Reading):
    """In a loop, of which each step is made by hand; it is the way into the trio thread, too."""

    def __init__(self, world: World, plan: Plan, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self._things: deque[Callable[[], object]] = deque()
        stream = LoopStream(cast("Crossing", self), TrioStream(world.readers))
        super().__init__(world, plan, stream)

    def check(self) -> LoopReading:
        return self

    def ask(self, do: Callable[[], object]) -> None:
        self.world.calls.append(do)

    call = ask

    def put(self, do: Callable[[], object]) -> None:
        self._things.append(do)

    def read(self) -> int | str:
        reading = cast("LoopStream[int]", self.stream).__anext__()
        try:
            return self._run(reading)
        except StopAsyncIteration:
            return "closed" if self.stream._is_closed else "end"
        except SignalError:
            return "error"
        finally:
            reading.close()

    def _run(self, reading: Any) -> int | str:
        world = self.world
        try:
            future = reading.send(None)
            while True:
                # Also where it could go on by now: then both come at once.
                if self.happens() == "give up":
                    reading.throw(asyncio.CancelledError())
                if future.done() and not (self._things and world.choose()):
                    future = reading.send(None)
                elif self._things and (world.is_idle or not world.choose()):
                    self._things.popleft()()
                elif world.is_idle:
                    return "waits"
                else:
                    world.step()
        except StopIteration as exc:
            return cast("int", exc.value)
        except asyncio.CancelledError:
            return "gave up"


def run(world: World, reading: Reading) -> None:
    with between_lines(world.may_step):
        reading.live()
    world.check(is_whole=reading.is_drained)


@settings(max_examples=300, suppress_health_check=[HealthCheck.too_slow])
@example(plan=GIVEN_UP)
@example(plan=WITHDRAWN)
@given(plan=PLANS)
def test_a_thread_without_a_loop(plan: Plan) -> None:
    world = World(plan)
    run(world, ThreadReading(world, plan))


@pytest.fixture(scope="module")
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    """One that never runs: it is there for its futures."""
    made = asyncio.new_event_loop()
    yield made
    made.close()


@settings(max_examples=300, suppress_health_check=[HealthCheck.too_slow])
@example(plan=GIVEN_UP)
@example(plan=WITHDRAWN)
@given(plan=PLANS)
def test_a_loop(plan: Plan, loop: asyncio.AbstractEventLoop) -> None:
    world = World(plan)
    run(world, LoopReading(world, plan, loop))
