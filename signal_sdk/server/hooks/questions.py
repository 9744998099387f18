"""Questions: a backend says whether somebody may log in, join or invite.

Owns: what is asked, how many questions are under way, and what holds where there is no answer. Must
not know what is done then, or which code it is refused with.

Who waits for an answer holds nobody else: a question is a task of its own, and its result one that
is pending, as an engine's.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Mapping
from typing import Final

import msgspec
import trio

from signal_sdk.printable import one_line
from signal_sdk.server.complaints import Complaint
from signal_sdk.server.config_hooks import ALLOW, HooksConfig
from signal_sdk.server.engine.pending import Pending
from signal_sdk.server.hooks.counts import HookCounts
from signal_sdk.server.hooks.poster import Poster, PostError
from signal_sdk.server.hooks.verdicts import Verdict

__all__ = ["Asker"]

logger: logging.Logger = logging.getLogger("signal_sdk.server.hooks")

MAX_REASON_CHARS: Final = 200
REFUSED: Final = "the app's backend does not allow it"
UNANSWERED: Final = "the app's backend could not be asked whether it is allowed"

_encode: Final = msgspec.json.Encoder().encode


class _Answer(msgspec.Struct):
    allow: bool
    reason: str = ""


_decode: Final = msgspec.json.Decoder(_Answer).decode


class Asker:
    """Asks a backend: `Questions` as the rules have them."""

    def __init__(self, hooks: HooksConfig, poster: Poster, counts: HookCounts) -> None:
        self._hooks = hooks
        self._poster = poster
        self._counts = counts
        self._url = hooks.ask_url or hooks.url
        self._nursery: trio.Nursery | None = None
        self._under_way = 0
        self._failing = Complaint("hooks: a question has no answer", logger)
        self.asked: frozenset[str] = frozenset(hooks.ask)
        """Before what the backend is asked."""

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Ask until cancelled."""
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            task_status.started()
            try:
                await trio.sleep_forever()
            finally:
                self._nursery = None

    def ask(self, what: str, **facts: str) -> Pending[Verdict]:
        """Ask whether this may be, of which these are the facts: the verdict is there when the
        backend has answered, or its time is over.
        """
        counts = self._counts
        counts.asked += 1
        outcome: Pending[Verdict] = Pending()
        if self._nursery is None or self._under_way >= self._hooks.ask_at_once:
            self._settle(outcome, self._default("too many questions are under way"))
        else:
            self._under_way += 1
            self._nursery.start_soon(self._ask, what, facts, outcome)
        return outcome

    async def _ask(self, what: str, facts: Mapping[str, str], outcome: Pending[Verdict]) -> None:
        try:
            verdict = await self._answer(what, facts)
        except Exception:
            # One question must not take the node with it.
            logger.exception("a question to the backend failed")
            verdict = self._default("it failed")
        finally:
            self._under_way -= 1
        self._settle(outcome, verdict)

    async def _answer(self, what: str, facts: Mapping[str, str]) -> Verdict:
        body = _encode({"type": "question", "ask": what, **facts})
        name = f"ask-{secrets.token_hex(16)}"
        try:
            text = await self._poster.post(self._url, name, body, self._hooks.ask_seconds)
            answer = _decode(text)
        except PostError as exc:
            return self._default(str(exc))
        except (msgspec.MsgspecError, ValueError, RecursionError):
            return self._default('its answer is no {"allow": true or false}')
        reason = one_line(answer.reason)[:MAX_REASON_CHARS] or REFUSED
        return Verdict(answer.allow, "" if answer.allow else reason)

    def _default(self, why: str) -> Verdict:
        self._counts.unanswered += 1
        default = self._hooks.ask_default
        self._failing.tell(f"{why}; what ask_default says holds: {default}")
        return Verdict(default == ALLOW, UNANSWERED, is_answer=False)

    def _settle(self, outcome: Pending[Verdict], verdict: Verdict) -> None:
        if verdict.is_answer:
            self._counts.allowed += verdict.allow
            self._counts.refused += not verdict.allow
        outcome.resolve(verdict)
