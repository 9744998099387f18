"""What of a session is told as spans: what it sends, and what it is handed.

Owns: which of a session's requests and entries is which span, and from when to when. Must not know
OpenTelemetry, which `signal_sdk/spans.py` does, nor who hears of a message.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, TypeVar

import attrs
from msgspec import structs

from signal_sdk.client.facts import Turn
from signal_sdk.client.operation import Operation
from signal_sdk.errors import SignalError
from signal_sdk.spans import About, Span, Spans, Step
from signal_sdk.wire import events
from signal_sdk.wire.arguments import Arguments
from signal_sdk.wire.lines import MessageLine
from signal_sdk.wire.properties import Properties

__all__ = ["Processing", "Spanned"]

T = TypeVar("T")


class Processing:
    """A message in the hands of its receiver, from when the first of those who hear of it begins
    until the last has done with it: an inbox entry's `turn`, or what has none.
    """

    def __init__(
        self, spans: Spans, about: About, properties: Properties | None, turn: Turn | None = None
    ) -> None:
        self._spans = spans
        self._about = about
        self._properties = properties
        self._turn = turn
        self._span: Span | None = None
        self._error: BaseException | None = None

    def _started(self) -> Span:
        if self._span is None:
            self._span = self._spans.start(Step.PROCESS, self._about, self._properties)
        return self._span

    def begin(self) -> None:
        """Somebody begins with it."""
        # In asyncio it may have run by now.
        self._started()
        if self._turn is not None:
            self._turn.begin()

    def end(self) -> None:
        """All have done with it."""
        if self._turn is not None:
            self._turn.end()
        self._started().end(self._error)

    def run(self, do: Callable[[], object]) -> object:
        """Run a callback, as part of this; what that returns, to be awaited likewise."""
        span = self._started()
        try:
            with span.current():
                result = do()
        except BaseException as exc:
            self._error = exc
            raise
        return self._awaited(result) if inspect.isawaitable(result) else result

    async def _awaited(self, result: Awaitable[T]) -> T:
        span = self._started()
        try:
            with span.current():
                return await result
        except BaseException as exc:
            self._error = exc
            raise

    def run_whole(self, do: Callable[[], object]) -> object:
        """As `run`, of what has no turn: begun before, and ended behind."""
        self.begin()
        try:
            result = self.run(do)
        except BaseException:
            self.end()
            raise
        if inspect.isawaitable(result):
            return self._ended_behind(result)
        self.end()
        return result

    async def _ended_behind(self, result: Awaitable[T]) -> T:
        try:
            return await result
        finally:
            self.end()


class Spanned:
    """The spans of one session."""

    def __init__(self, spans: Spans) -> None:
        self._spans = spans

    def sending(self, args: Arguments, outcome: Operation[Any]) -> Arguments:
        """The arguments of a request that is about to be made; those of a message with the trace
        that it belongs to, whose span ends with the request. What is refused before has none.
        """
        about = About.of_request(args)
        if about is None:
            return args
        span = self._spans.start(Step.SEND, about)
        outcome.tell(partial(_end, span, outcome))
        sent: Any = args
        carried, own = span.properties, sent.properties
        if carried is not None and own is not None:
            carried = structs.replace(carried, binary=own.binary)
        traced: Arguments = attrs.evolve(sent, properties=carried or own)
        return traced

    def entry(self, line: MessageLine, turn: Turn) -> Turn:
        """An inbox entry's turn, where its entry is a message or an invitation."""
        about = About.of_line(line)
        if about is None:
            return turn
        return Processing(self._spans, about, line.properties, turn)

    def channel_message(self, message: events.ChannelMessage) -> Processing:
        """A message of a channel, for one who hears of it."""
        return Processing(self._spans, About.of_message(message), message.properties)


def _end(span: Span, operation: Operation[Any]) -> None:
    try:
        operation.outcome()
    except SignalError as exc:
        span.end(exc)
    else:
        span.end()
