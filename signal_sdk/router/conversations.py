"""Conversations: who has been asked something, and waits for whose answer.

Owns: the questions that are open, and how each ends. Must not know how one is put, or what is an
answer in the bot's eyes: the next message is.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Final

import trio

from signal_sdk.router.failures import NoAnswerError

__all__ = ["Conversations", "Question"]

CATCH_UP_SECONDS: Final = 0.1
"""How much longer an answer is waited for that has arrived, and is not read yet: a process that
stood still finds its time over and its socket full."""


class Question:
    """One that is open."""

    __slots__ = ("_is_put", "answer", "done", "reason")

    def __init__(self) -> None:
        self.done: trio.Event = trio.Event()
        self.answer: str | None = None
        self.reason: str = ""
        self._is_put = False

    @property
    def is_waiting(self) -> bool:
        """Is what comes next its answer?"""
        return self._is_put and not self.done.is_set()

    @contextmanager
    def put(self) -> Iterator[None]:
        """It is sent in the block, and can be answered from then on; unless that raises."""
        self._is_put = True
        try:
            yield
        except BaseException:
            self._is_put = False
            raise


class Conversations:
    """The open questions of one session, by the channel ("" for none) and the account."""

    def __init__(self) -> None:
        self._open: dict[tuple[str, str], deque[Question]] = {}

    def answer(self, channel: str, account: str, text: str) -> bool:
        """A message has come. Is it the answer to a question?"""
        question = self._next(channel, account)
        if question is None:
            return False
        question.answer = text
        question.done.set()
        return True

    def leave(self, channel: str, account: str) -> None:
        """The account is in the channel no more: it is waited for no longer."""
        for question in self._open.get((channel, account), ()):
            question.reason = f"{account!r} has left {channel!r} without an answer"
            question.done.set()

    def close(self, channel: str) -> None:
        """The bot is in the channel no more: nobody is waited for there."""
        for where, account in self._open:
            if where == channel:
                for question in self._open[where, account]:
                    question.reason = f"the bot is in {channel!r} no more"
                    question.done.set()

    def _next(self, channel: str, account: str) -> Question | None:
        waiting = self._open.get((channel, account), ())
        return next((it for it in waiting if it.is_waiting), None)

    async def ask(
        self, channel: str, account: str, put: Callable[[Question], Awaitable[None]], timeout: float
    ) -> str:
        """Put a question, by `put`, and return what the account says next in the same place.

        Raises `NoAnswerError` where that has said nothing for `timeout` seconds after the question
        was sent, or has left the channel; `ValueError` where `timeout` is no time.
        """
        if not 0 < timeout < math.inf:
            raise ValueError(f"a time-out is a number of seconds above 0: {timeout!r} is none")
        question, key = Question(), (channel, account)
        self._open.setdefault(key, deque()).append(question)
        try:
            await put(question)
            with trio.move_on_after(timeout + CATCH_UP_SECONDS):
                await question.done.wait()
        finally:
            self._open[key].remove(question)
            if not self._open[key]:
                del self._open[key]
        if question.answer is None:
            raise NoAnswerError(question.reason or f"{account!r} has not answered in {timeout:g} s")
        return question.answer
