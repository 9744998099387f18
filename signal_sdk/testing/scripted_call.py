"""A call as the other side in a test has it: what it does, and what it says that it has noticed.

Owns: what became of the call, and the assertions about it. Must not know how a call is begun.
"""

# ruff: noqa: ARG002  callbacks have their documented parameters

from __future__ import annotations

from typing import Final

import attrs

from signal_sdk.call import Call
from signal_sdk.callbacks import CallCallback
from signal_sdk.ecodes import ECode
from signal_sdk.login_session import LoginSession
from signal_sdk.testing.notes import Notes
from signal_sdk.wire.hidden import hides
from signal_sdk.wire.names import JsonValue

__all__ = ["ScriptedCall"]

SECONDS: Final = 2.0


@hides("extra")
@attrs.frozen
class _Step:
    """Something has become of the call."""

    name: str
    extra: str = ""

    def __str__(self) -> str:
        return f"{self.name} {self.extra!r}" if self.extra else self.name


class _Ear(CallCallback):
    """What notes it."""

    def __init__(self) -> None:
        self.steps: Notes[_Step] = Notes()

    def on_invite_received_by_peer(self, session: LoginSession, call: Call) -> None:
        self.steps.put(_Step("ringing"))

    def on_invite_accepted_by_peer(self, session: LoginSession, call: Call, extra: str) -> None:
        self.steps.put(_Step("accepted", extra))

    def on_invite_refused_by_peer(self, session: LoginSession, call: Call, extra: str) -> None:
        self.steps.put(_Step("refused", extra))

    def on_invite_failed(self, session: LoginSession, call: Call, ecode: ECode) -> None:
        self.steps.put(_Step("failed", f"{ecode.meaning} ({int(ecode)})"))

    def on_invite_end_by_peer(self, session: LoginSession, call: Call, extra: str) -> None:
        self.steps.put(_Step("ended", extra))

    def on_invite_msg(self, session: LoginSession, call: Call, extra: str) -> None:
        self.steps.put(_Step("told", extra))


class ScriptedCall:
    """A call that a `ScriptedPeer` has begun, or that came to it.

    Each assertion waits `within` seconds, by default 2, and returns what the other side has said
    with its step (`extra`). It raises `AssertionError` with what became of the call instead.
    """

    def __init__(self) -> None:
        self.ear: CallCallback = (ear := _Ear())
        self._steps = ear.steps
        self._call: Call | None = None

    def begin(self, call: Call) -> None:
        """This is the call."""
        self._call = call

    @property
    def call(self) -> Call:
        """The SDK's object."""
        if self._call is None:
            raise RuntimeError("the call has not begun")
        return self._call

    async def accept(self, extra: JsonValue = "") -> None:
        """Accept it, where it came in."""
        await self.call.channel_invite_accept(extra)

    async def refuse(self, extra: JsonValue = "") -> None:
        """Refuse it, where it came in."""
        await self.call.channel_invite_refuse(extra)

    async def dial(self, digits: str) -> None:
        """Dial digits, once it is accepted."""
        await self.call.channel_invite_dtmf(digits)

    async def hang_up(self, extra: JsonValue = "") -> None:
        """End it."""
        await self.call.channel_invite_end(extra)

    async def accepted(self, within: float = SECONDS) -> str:
        """The other side accepts."""
        __tracebackhide__ = True
        return await self._becomes("accepted", within)

    async def refused(self, within: float = SECONDS) -> str:
        """The other side refuses."""
        __tracebackhide__ = True
        return await self._becomes("refused", within)

    async def ended(self, within: float = SECONDS) -> str:
        """The other side hangs up."""
        __tracebackhide__ = True
        return await self._becomes("ended", within)

    async def failed(self, within: float = SECONDS) -> str:
        """It is over without anybody's having ended it; returns why, with the code."""
        __tracebackhide__ = True
        return await self._becomes("failed", within)

    async def _becomes(self, name: str, within: float) -> str:
        __tracebackhide__ = True
        step = await self._steps.take(lambda it: it.name == name, within)
        if step is None:
            became = ", ".join(str(it) for _, it in self._steps.all) or "nothing"
            raise AssertionError(
                f"the call with {self.call.peer!r} about {self.call.channel!r} was not {name}"
                f" within {within:g} s; what became of it: {became}"
            )
        return step.extra
