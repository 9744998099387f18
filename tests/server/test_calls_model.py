"""Calls against a plain model: whatever people do and however long they take, the server's calls
are the model's, and each side of each call hears of exactly one end.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from typing import Final

import attrs
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from signal_sdk.errors import SignalError
from signal_sdk.server.calls import Calls
from signal_sdk.server.engine.base import (
    AccountKey,
    Answer,
    Asked,
    CallKey,
    ChannelKey,
    Known,
    LoginFacts,
    WatchedFact,
)
from signal_sdk.server.engine.call_table import ACCEPTED, INVITING, RINGING, call_key
from signal_sdk.server.engine.embedded import EmbeddedEngine
from signal_sdk.server.engine.happened import Happening
from signal_sdk.server.session import Session
from signal_sdk.wire import call_functions, lines
from signal_sdk.wire.events import ChannelContent
from tests.server.engine.hand import HandClock

PEOPLE: Final = ("ann", "bob", "eve")
CHANNELS: Final = ("room", "hall")
STEPS: Final = {
    cls.function: cls
    for cls in (
        call_functions.VoipInviteAck,
        call_functions.VoipInviteAccept,
        call_functions.VoipInviteRefuse,
        call_functions.VoipInviteBye,
        call_functions.VoipInviteMsg,
    )
}
ENDS: Final = {"voip_invite_refuse", "voip_invite_bye", "voip_invite_failed"}


class Heard:
    """The engine's delivery: which versions each account's connection was told of."""

    def __init__(self) -> None:
        self.versions: dict[str, list[int]] = {name: [] for name in PEOPLE}

    def deliver_entry(self, key: AccountKey, version: int, line: str) -> None:
        self.versions[key.account].append(version)

    def deliver_event(
        self, key: ChannelKey, msgid: int, content: ChannelContent, time_ms: int
    ) -> None:
        raise AssertionError("a call is no channel event")

    def deliver_kick(self, key: AccountKey, generation: int) -> None:
        raise AssertionError("nobody takes an account over")

    def deliver_loss(self, key: AccountKey, generation: int) -> None:
        raise AssertionError("nobody comes back")

    def deliver_expiry(self, key: AccountKey, generation: int) -> None:
        raise AssertionError("there are no tokens")

    def deliver_removal(
        self, key: AccountKey, generation: int, channel: str, msgid: int, time_ms: int
    ) -> None:
        raise AssertionError("there is no operator")

    def deliver_grant(
        self, key: AccountKey, generation: int, channel: str, lock: str, ask: str
    ) -> None:
        raise AssertionError("there are no locks")

    def deliver_fencing(self) -> None:
        raise AssertionError("there is one node")

    def deliver_watched(self, key: AccountKey, fact: WatchedFact) -> None:
        raise AssertionError("nobody watches")

    def deliver_happening(self, happening: Happening) -> None:
        raise AssertionError("nobody follows")

    def deliver_kept(self) -> None:
        raise AssertionError("nothing is kept")

    def gather(self) -> AbstractContextManager[None]:
        return contextlib.nullcontext()

    def give_way(self, *, at_once: bool = False) -> None:
        """Nothing is read."""

    def flush(self) -> None:
        """Nothing is written."""

    def together(self) -> AbstractContextManager[None]:
        return contextlib.nullcontext()


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
        self.clock = HandClock()
        self.engine = EmbeddedEngine()
        self.engine.attach(self.heard, self.clock.clocks)
        self.clock.start(self.engine)
        self.calls = Calls(self.engine)
        self.sessions: dict[str, Session] = {}
        self.model: dict[CallKey, ModelCall] = {}
        self.expected: dict[str, list[tuple[str, str]]] = {name: [] for name in PEOPLE}
        self.entries: dict[str, list[tuple[str, str]]] = {name: [] for name in PEOPLE}
        self.seen = dict.fromkeys(PEOPLE, 0)
        self.missed = dict.fromkeys(PEOPLE, 0)
        self.ended = dict.fromkeys(PEOPLE, 0)
        self.taken_part = dict.fromkeys(PEOPLE, 0)
        self.requests = 0
        self.come_online("ann")
        self.come_online("bob")

    def ask(
        self, session: Session, request: Callable[[Asked], Answer[object]]
    ) -> SignalError | None:
        """Ask, and ask again where it was not refused: that changes nothing."""
        self.requests += 1
        asked = Asked(session.key, session.generation, self.requests, 0, "first")
        outcomes: list[object] = []

        def twice() -> None:
            outcomes.append(request(asked))
            outcomes.append(request(asked))

        error = self.clock.refused(twice)
        assert outcomes == ([] if error else [None, Known("first")])
        return error

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

        self.missed[who] = self.seen[who]
        self.heard.versions[who].clear()
        facts = LoginFacts(line_digest=who.encode(), device="websdk", ver=0, instance="")
        presence = self.clock.run(lambda: self.engine.log_in(key, facts))
        assert presence is not None
        self.sessions[who] = Session(
            key=key, uid=presence.uid, generation=presence.generation, line_digest=who.encode()
        )

    @rule(who=st.sampled_from(PEOPLE))
    def go_offline(self, who: str) -> None:
        session = self.sessions.pop(who, None)
        if session is None:
            return

        assert self.clock.run(lambda: self.engine.end(session.key, session.generation))
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
        args = call_functions.VoipInvite(channel=channel, peer=peer, extra=extra)
        error = self.ask(session, lambda asked: self.calls.invite(session, args, asked))
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
            self.model[key] = ModelCall(who, peer, INVITING, seconds, self.clock.now + seconds)
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
        error = self.ask(session, lambda asked: self.calls.step(session, args, asked))
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
                call.state, call.deadline = RINGING, self.clock.now + call.timeout
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
        self.clock.advance(seconds)
        self.model_advance(self.clock.now)

    # --- what always holds ---

    @invariant()
    def the_servers_calls_are_the_models(self) -> None:
        for who in PEOPLE:
            calls = self.clock.run(partial(self.engine.calls_of, AccountKey("app", who)))
            found = {
                call_key("app", call.channel, call.caller, call.callee): ModelCall(
                    call.caller, call.callee, call.state, call.timeout, call.deadline
                )
                for call in calls
            }
            assert found == {key: call for key, call in self.model.items() if who in key[2:]}

    @invariant()
    def each_call_that_can_run_out_is_due_and_nothing_else_is(self) -> None:
        statistics = self.engine.statistics()
        due = sum(call.deadline is not None for call in self.model.values())
        assert (statistics.calls, statistics.due) == (len(self.model), due)

    @invariant()
    def everybody_has_heard_exactly_what_they_should(self) -> None:
        for who in PEOPLE:
            key = AccountKey("app", who)
            page = self.clock.run(partial(self.engine.read_inbox, key, 0, 10**6))
            for entry in page.entries:
                if entry.version > self.seen[who]:
                    # Whoever was forgotten meanwhile begins behind all that were.
                    is_first = entry is page.entries[0]
                    assert is_first or entry.version == self.seen[who] + 1
                    if self.seen[who] == self.missed[who]:
                        self.missed[who] = entry.version - 1
                    self.seen[who] = entry.version
                    line = lines.decode(entry.line)
                    self.entries[who].append((line.type, line.src))
            # Calls that end in the same moment may end in any order.
            assert sorted(self.entries[who]) == sorted(self.expected[who])
            if who in self.sessions:
                told = [*range(self.missed[who] + 1, self.seen[who] + 1)]
                assert self.heard.versions[who] == told

    @invariant()
    def every_side_of_every_call_that_is_over_has_had_one_end(self) -> None:
        alive = dict.fromkeys(PEOPLE, 0)
        for call in self.model.values():
            alive[call.caller] += 1
            alive[call.callee] += 1
        assert {who: self.taken_part[who] - alive[who] for who in PEOPLE} == self.ended


CallsMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
test_calls = CallsMachine.TestCase
