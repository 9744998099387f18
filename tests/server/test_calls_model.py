"""Calls against a plain model: whatever people do and however long they take, the server's calls
are the model's, and each side of each call hears of exactly one end.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final, cast

import attrs
import trio
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from trio.testing import MockClock

from signal_sdk.errors import SignalError
from signal_sdk.server.calls import ACCEPTED, INVITING, RINGING, Calls, call_key
from signal_sdk.server.config import LimitsConfig
from signal_sdk.server.engine.base import AccountKey, CallKey, ChannelKey
from signal_sdk.server.engine.embedded import EmbeddedEngine
from signal_sdk.server.session import Session
from signal_sdk.server.timers import Action, Timer, Timers
from signal_sdk.wire import functions, lines
from signal_sdk.wire.events import ChannelContent

PEOPLE: Final = ("ann", "bob", "eve")
CHANNELS: Final = ("room", "hall")
STEPS: Final = {
    cls.function: cls
    for cls in (
        functions.VoipInviteAck,
        functions.VoipInviteAccept,
        functions.VoipInviteRefuse,
        functions.VoipInviteBye,
        functions.VoipInviteMsg,
    )
}
ENDS: Final = {"voip_invite_refuse", "voip_invite_bye", "voip_invite_failed"}


class Heard:
    """The engine's delivery: what each account heard, (type, peer, channel)."""

    def __init__(self) -> None:
        self.entries: dict[str, list[tuple[str, str]]] = {name: [] for name in PEOPLE}

    def deliver_entry(self, key: AccountKey, version: int, line: str) -> None:
        entry = lines.decode(line)
        self.entries[key.account].append((entry.type, entry.src))

    def deliver_event(
        self, key: ChannelKey, msgid: int, content: ChannelContent, time_ms: int
    ) -> None:
        raise AssertionError("a call is no channel event")

    def deliver_kick(self, key: AccountKey, generation: int) -> None:
        pass


@attrs.define
class Appointment:
    """A timer."""

    action: Action | None

    def cancel(self) -> None:
        self.action = None


class Appointments:
    """The timers, moved by hand."""

    def __init__(self) -> None:
        self.now = 0.0
        self._due: list[tuple[float, Appointment]] = []

    def after(self, seconds: float, action: Action) -> Timer:
        appointment = Appointment(action)
        self._due.append((self.now + seconds, appointment))
        return cast("Timer", appointment)

    async def advance(self, seconds: float) -> None:
        until = self.now + seconds
        while True:
            due = [entry for entry in self._due if entry[0] <= until and entry[1].action]
            if not due:
                break
            entry = min(due, key=lambda entry: entry[0])
            self._due.remove(entry)
            self.now, action = max(self.now, entry[0]), entry[1].action
            assert action is not None
            await action()
        self.now = until


@attrs.define
class ModelCall:
    caller: str
    callee: str
    state: str
    timeout: float
    deadline: float | None


class CallsMachine(RuleBasedStateMachine):
    """People call, answer, wait, come and go."""

    @initialize()
    def begin(self) -> None:
        self.heard = Heard()
        self.engine = EmbeddedEngine()
        self.engine.attach(self.heard)
        self.timers = Appointments()
        self.calls = Calls(
            self.engine,
            cast("Timers", self.timers),
            LimitsConfig(user_messages_per_second=10**6),
            lambda: self.timers.now,
        )
        self.sessions: dict[str, Session] = {}
        self.model: dict[CallKey, ModelCall] = {}
        self.expected: dict[str, list[tuple[str, str]]] = {name: [] for name in PEOPLE}
        self.ended = dict.fromkeys(PEOPLE, 0)
        self.taken_part = dict.fromkeys(PEOPLE, 0)
        self.come_online("ann")
        self.come_online("bob")

    def run(self, operation: Callable[[], Awaitable[Any]]) -> SignalError | None:
        """Do one thing to the end; return what it was refused with."""

        async def run() -> SignalError | None:
            try:
                await operation()
            except SignalError as exc:
                return exc
            return None

        clock = MockClock()
        clock.jump(self.timers.now)
        return trio.run(run, clock=clock)

    # --- the model ---

    def expect(self, who: str, kind: str, peer: str) -> None:
        self.expected[who].append((kind, peer))
        if kind in ENDS:
            self.ended[who] += 1

    def end(self, key: CallKey) -> ModelCall:
        return self.model.pop(key)

    def model_advance(self, until: float) -> None:
        while True:
            due = [
                (call.deadline, key)
                for key, call in self.model.items()
                if call.deadline is not None and call.deadline <= until
            ]
            if not due:
                return
            _, key = min(due)
            call = self.end(key)
            if call.state != INVITING or call.callee in self.sessions:
                self.expect(call.callee, "voip_invite_bye", call.caller)
            else:
                # The invitation was void before the callee came.
                self.ended[call.callee] += 1
            self.expect(call.caller, "voip_invite_failed", call.callee)

    # --- what people do ---

    @rule(who=st.sampled_from(PEOPLE))
    def come_online(self, who: str) -> None:
        if who in self.sessions:
            return
        key = AccountKey("app", who)

        async def log_in() -> None:
            made = await self.engine.log_in(
                key,
                line_digest=who.encode(),
                device="websdk",
                ver=0,
                token_expires=None,
                instance="",
            )
            assert made is not None
            presence, _ = made
            self.sessions[who] = Session(
                key=key, uid=presence.uid, generation=presence.generation, line_digest=who.encode()
            )

        assert self.run(log_in) is None

    @rule(who=st.sampled_from(PEOPLE))
    def go_offline(self, who: str) -> None:
        session = self.sessions.pop(who, None)
        if session is None:
            return

        async def log_out() -> None:
            presence = await self.engine.presence(session.key)
            assert presence is not None
            await self.engine.log_out(session.key, presence, None, kick=False, now=self.timers.now)
            await self.calls.end_all(session.key)

        assert self.run(log_out) is None
        for key in [key for key in self.model if who in key[2:]]:
            call = self.end(key)
            self.ended[who] += 1
            other = call.callee if call.caller == who else call.caller
            self.expect(other, "voip_invite_bye", who)

    @rule(
        who=st.sampled_from(PEOPLE),
        peer=st.sampled_from(PEOPLE),
        channel=st.sampled_from(CHANNELS),
        timeout=st.sampled_from([None, 1, 5, 60]),
        requires=st.booleans(),
    )
    def invite(
        self, who: str, peer: str, channel: str, timeout: float | None, requires: bool
    ) -> None:
        session = self.sessions.get(who)
        if session is None:
            return
        extra = {"_require_peer_online": int(requires)} | (
            {"_timeout": timeout} if timeout is not None else {}
        )
        args = functions.VoipInvite(channel=channel, peer=peer, extra=extra)
        error = self.run(lambda: self.calls.invite(session, args))
        key = call_key("app", channel, who, peer)
        if who == peer:
            assert error is not None
            assert error.ecode == 1004
        elif key in self.model:
            assert error is not None
            assert error.ecode == 701
        elif requires and peer not in self.sessions:
            # The answer says so, and there is nothing for the inbox: no call has begun.
            assert error is not None
            assert (error.ecode, error.reason) == (703, "peer is not online")
        else:
            assert error is None
            self.taken_part[who] += 1
            self.taken_part[peer] += 1
            seconds = timeout or 20.0
            self.model[key] = ModelCall(who, peer, INVITING, seconds, self.timers.now + seconds)
            self.expect(peer, "voip_invite", who)

    @rule(
        who=st.sampled_from(PEOPLE),
        peer=st.sampled_from(PEOPLE),
        channel=st.sampled_from(CHANNELS),
        kind=st.sampled_from(sorted(STEPS)),
    )
    def step(self, who: str, peer: str, channel: str, kind: str) -> None:
        session = self.sessions.get(who)
        if session is None or who == peer:
            return
        args = STEPS[kind](channel=channel, peer=peer)
        error = self.run(lambda: self.calls.step(session, args))
        key = call_key("app", channel, who, peer)
        call = self.model.get(key)
        if call is None or not self.fits(call, who, kind):
            assert error is not None
            assert error.ecode == 700
            return
        assert error is None
        self.expect(peer, kind, who)
        match kind:
            case "voip_invite_ack":
                call.state, call.deadline = RINGING, self.timers.now + call.timeout
            case "voip_invite_accept":
                call.state, call.deadline = ACCEPTED, None
            case "voip_invite_refuse" | "voip_invite_bye":
                self.end(key)
                self.ended[who] += 1

    @rule(number=st.integers(0, 9), by_caller=st.booleans(), kind=st.sampled_from(sorted(STEPS)))
    def step_in_a_live_call(self, number: int, by_caller: bool, kind: str) -> None:
        if self.model:
            key = sorted(self.model)[number % len(self.model)]
            call = self.model[key]
            sides = (call.caller, call.callee)
            who, peer = sides if by_caller else reversed(sides)
            self.step(who, peer, key.channel, kind)

    @staticmethod
    def fits(call: ModelCall, who: str, kind: str) -> bool:
        """May `who` do this now? As protocol.md tells it, without the server's table."""
        match kind:
            case "voip_invite_bye":
                return True
            case "voip_invite_msg":
                return call.state == ACCEPTED
            case "voip_invite_ack":
                return who == call.callee and call.state == INVITING
            case _:
                return who == call.callee and call.state != ACCEPTED

    @rule(seconds=st.sampled_from([0.5, 1, 4, 10, 20, 60]))
    def wait(self, seconds: float) -> None:
        self.run(lambda: self.timers.advance(seconds))
        self.model_advance(self.timers.now)

    # --- what always holds ---

    @invariant()
    def the_servers_calls_are_the_models(self) -> None:
        found = {
            key: ModelCall(call.caller, call.callee, call.state, call.timeout, call.deadline)
            for key, call in self.engine._calls.items()
        }
        assert found == self.model

    @invariant()
    def each_call_that_can_run_out_has_one_appointment_and_no_other_has(self) -> None:
        assert set(self.calls._deadlines) == {
            key for key, call in self.model.items() if call.deadline is not None
        }

    @invariant()
    def everybody_has_heard_exactly_what_they_should(self) -> None:
        # Calls that end in the same moment may end in any order.
        assert {who: sorted(entries) for who, entries in self.heard.entries.items()} == {
            who: sorted(entries) for who, entries in self.expected.items()
        }

    @invariant()
    def every_side_of_every_call_that_is_over_has_had_one_end(self) -> None:
        alive = dict.fromkeys(PEOPLE, 0)
        for call in self.model.values():
            alive[call.caller] += 1
            alive[call.callee] += 1
        assert {who: self.taken_part[who] - alive[who] for who in PEOPLE} == self.ended


CallsMachine.TestCase.settings = settings(max_examples=80, stateful_step_count=40, deadline=None)
test_calls = CallsMachine.TestCase
