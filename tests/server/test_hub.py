"""The hub: who of this node hears of what."""

from __future__ import annotations

import pytest

from signal_sdk.net.reactor import Reactor
from signal_sdk.server.engine.base import AccountKey, ChannelKey
from signal_sdk.server.hub import Gate, Hub
from signal_sdk.wire.events import ChannelContent, ChannelMessage
from signal_sdk.wire.lines import MessageLine

ANN = AccountKey("app", "ann")
BOB = AccountKey("app", "bob")
ROOM = ChannelKey("app", "room")
LINE = MessageLine(src="bob", dst="ann", type="instant", content="hi", time=0).encode()
CONTENT = ChannelMessage(channel="room", account="bob", uid=2, msg="hi")


class FakeWire:
    """Spells events in a way of its own, and counts how often."""

    def __init__(self) -> None:
        self.encoded = 0

    @property
    def plain(self) -> FakeWire:
        return self

    def encode_event(
        self, channel: str, msgid: int, content: ChannelContent, time_ms: int
    ) -> bytes:
        self.encoded += 1
        return b"%d:%d" % (id(self), msgid)


WIRE = FakeWire()


class FakeEar:
    def __init__(self, wire: FakeWire = WIRE) -> None:
        self.appended: list[bytes] = []
        self.wire = wire

    def append(self, data: bytes) -> None:
        self.appended.append(data)


class FakeHolder:
    def __init__(self, generation: int, line: bytes = b"") -> None:
        self.generation = generation
        self.kind = ("websocket", "websdk")
        self.began_at = 0.0
        self.line_digest = line or b"%d" % generation
        self.ear = FakeEar()
        self.entries: list[int] = []
        self.grants: list[tuple[str, str, str]] = []
        self.kicks = 0
        self.losses = 0
        self.expiries = 0
        self.removals: list[tuple[str, int, int]] = []

    def look(self) -> None:
        raise AssertionError("nobody looks")

    def remove(self, channel: str, msgid: int, time_ms: int) -> None:
        self.removals.append((channel, msgid, time_ms))

    def push_entry(self, version: int, line: str) -> None:
        self.entries.append(version)

    def push_grant(self, channel: str, lock: str, ask: str) -> None:
        self.grants.append((channel, lock, ask))

    def kick(self) -> None:
        self.kicks += 1

    def abort(self) -> None:
        self.losses += 1

    def expire(self) -> None:
        self.expiries += 1


@pytest.fixture
def hub() -> Hub:
    return Hub(Reactor())


def test_an_entry_is_for_the_holder_of_its_account_only(hub: Hub) -> None:
    ann, bob = FakeHolder(1), FakeHolder(1)
    hub.add(ANN, ann)
    hub.add(BOB, bob)
    hub.deliver_entry(ANN, 7, LINE)
    hub.deliver_entry(AccountKey("another app", "ann"), 8, LINE)
    assert (ann.entries, bob.entries) == ([7], [])
    assert len(hub) == 2


async def test_to_flush_what_was_urgent_is_to_serve_all_again() -> None:
    reactor = Reactor()
    reactor.haste.begin()
    Hub(reactor).flush()
    assert not reactor.haste.is_on


def test_an_event_is_encoded_once_for_all_who_listen(hub: Hub) -> None:
    holders = [FakeHolder(1) for _ in range(3)]
    for number, holder in enumerate(holders):
        hub.listen(ROOM, str(number), holder.ear)
    hub.deliver_event(ROOM, 1, CONTENT, 0)
    hub.deliver_event(ChannelKey("app", "another room"), 1, CONTENT, 0)
    (data,) = holders[0].ear.appended
    assert all(holder.ear.appended[0] is data for holder in holders)
    assert all(len(holder.ear.appended) == 1 for holder in holders)


def test_an_event_is_encoded_once_for_each_wire(hub: Hub) -> None:
    wires = [FakeWire() for _ in range(3)]
    ears = [FakeEar(wires[number % 2]) for number in range(6)]
    for number, ear in enumerate(ears):
        hub.listen(ROOM, str(number), ear)
    hub.deliver_event(ROOM, 1, CONTENT, 0)
    assert [wire.encoded for wire in wires] == [1, 1, 0]
    one, other = ears[0].appended[0], ears[1].appended[0]
    assert one != other
    assert all(ear.appended[0] is one for ear in ears[::2])
    assert all(ear.appended[0] is other for ear in ears[1::2])


def test_a_kick_reaches_only_the_generation_that_it_is_for(hub: Hub) -> None:
    holder = FakeHolder(2)
    hub.add(ANN, holder)
    hub.deliver_kick(ANN, 1)
    hub.deliver_kick(BOB, 2)
    assert holder.kicks == 0
    hub.deliver_kick(ANN, 2)
    assert holder.kicks == 1


def test_an_older_connection_is_kicked_once_a_newer_one_is_there(hub: Hub) -> None:
    """The engine's word of it may come later, when nobody knows of the older one any more."""
    old, new = FakeHolder(1), FakeHolder(2)
    hub.add(ANN, old)
    hub.add(ANN, new)
    hub.deliver_kick(ANN, 1)
    assert (old.kicks, new.kicks) == (1, 0)


def test_a_loss_reaches_only_the_generation_that_it_is_for(hub: Hub) -> None:
    holder = FakeHolder(2)
    hub.add(ANN, holder)
    hub.deliver_loss(ANN, 1)
    hub.deliver_loss(BOB, 2)
    assert holder.losses == 0
    hub.deliver_loss(ANN, 2)
    assert (holder.losses, holder.kicks) == (1, 0)


def test_an_older_connection_of_the_same_session_is_not_kicked(hub: Hub) -> None:
    """What its client said there may have come last, which must not end the session."""
    old, new = FakeHolder(1, b"line"), FakeHolder(2, b"line")
    hub.add(ANN, old)
    hub.add(ANN, new)
    assert (old.kicks, old.losses) == (0, 1)


def test_an_older_connections_clean_up_touches_nothing_of_the_newer(hub: Hub) -> None:
    old, new = FakeHolder(1), FakeHolder(2)
    hub.add(ANN, old)
    hub.listen(ROOM, "ann", old.ear)
    hub.add(ANN, new)
    hub.listen(ROOM, "ann", new.ear)
    hub.remove(ANN, old)
    assert not hub.unlisten(ROOM, "ann", old.ear)
    hub.deliver_entry(ANN, 1, LINE)
    hub.deliver_event(ROOM, 1, CONTENT, 0)
    assert (old.entries, new.entries) == ([], [1])
    assert (len(old.ear.appended), len(new.ear.appended)) == (0, 1)


def test_an_older_connection_that_comes_late_does_not_replace_the_newer(hub: Hub) -> None:
    old, new = FakeHolder(1), FakeHolder(2)
    assert hub.add(ANN, new)
    assert not hub.add(ANN, old)
    hub.deliver_entry(ANN, 1, LINE)
    assert (old.entries, new.entries) == ([], [1])


def test_an_app_s_other_accounts_are_counted_by_their_newest_connections(hub: Hub) -> None:
    old, new, bob = FakeHolder(1), FakeHolder(2), FakeHolder(1)
    assert hub.others(ANN) == 0
    for key, holder in ((ANN, old), (ANN, new), (BOB, bob)):
        hub.add(key, holder)
    assert (hub.others(ANN), hub.others(AccountKey("app", "eve"))) == (1, 2)
    assert hub.others(AccountKey("other", "ann")) == 0
    hub.remove(ANN, old)
    assert hub.others(BOB) == 1
    hub.remove(ANN, new)
    hub.remove(ANN, new)
    assert (hub.others(BOB), hub.others(ANN)) == (0, 1)


def test_nothing_is_kept_of_those_who_are_gone(hub: Hub) -> None:
    ann, bob = FakeHolder(1), FakeHolder(1)
    for key, holder in ((ANN, ann), (BOB, bob)):
        hub.add(key, holder)
        hub.listen(ROOM, key.account, holder.ear)
    for key, holder in ((ANN, ann), (BOB, bob)):
        assert hub.unlisten(ROOM, key.account, holder.ear)
        assert not hub.unlisten(ROOM, key.account, holder.ear)
        hub.remove(key, holder)
        hub.remove(key, holder)
    assert len(hub) == 0
    assert not hub.is_heard(ROOM)
    hub.deliver_event(ROOM, 1, CONTENT, 0)
    hub.deliver_entry(ANN, 1, LINE)


# --- gates ---


def events(hub: Hub, *msgids: int) -> None:
    for msgid in msgids:
        hub.deliver_event(ROOM, msgid, CONTENT, 0)


def heard(ear: FakeEar) -> list[int]:
    """The msgids of what an ear was handed."""
    return [int(data.partition(b":")[2]) for data in ear.appended]


def test_a_gate_keeps_what_comes_until_it_is_opened(hub: Hub) -> None:
    ear = FakeEar()
    gate = Gate(hub, ROOM, ear)
    hub.listen(ROOM, "ann", gate)
    assert hub.is_listening(ROOM, "ann", gate)
    events(hub, 1, 2)
    assert ear.appended == []
    gate.open()
    assert heard(ear) == [1, 2]
    events(hub, 3)
    assert heard(ear) == [1, 2, 3]


@pytest.mark.parametrize("kept", [0, 1, 2])
def test_a_gate_drops_what_comes_late_as_well(hub: Hub, kept: int) -> None:
    """It is needed no more once that has come."""
    ear = FakeEar()
    gate = Gate(hub, ROOM, ear)
    past: list[int] = []
    gate.on_past = lambda: past.append(hub.msgid)
    hub.listen(ROOM, "ann", gate)
    events(hub, *range(1, kept + 1))
    gate.after = 2
    gate.open()
    assert gate.is_past is (kept == 2)
    events(hub, *range(kept + 1, 5))
    assert heard(ear) == [3, 4]
    assert past == list(range(max(kept + 1, 2), 5))


def test_a_gate_drops_what_its_client_knows_already(hub: Hub) -> None:
    """What came before the join that it was put up for."""
    ear = FakeEar()
    gate = Gate(hub, ROOM, ear)
    hub.listen(ROOM, "ann", gate)
    events(hub, 1, 2, 3, 4)
    gate.after = 2
    gate.open()
    assert heard(ear) == [3, 4]


def test_a_gate_that_is_opened_again_hands_nothing_on_twice(hub: Hub) -> None:
    ear = FakeEar()
    gate = Gate(hub, ROOM, ear)
    hub.listen(ROOM, "ann", gate)
    events(hub, 1)
    gate.open()
    gate.open()
    assert heard(ear) == [1]


def test_a_gate_before_a_gate_hands_on_each_event_as_what_it_is(hub: Hub) -> None:
    ear = FakeEar()
    inner = Gate(hub, ROOM, ear)
    hub.listen(ROOM, "ann", inner)
    events(hub, 1)
    outer = Gate(hub, ROOM, inner)
    hub.listen(ROOM, "ann", outer)
    events(hub, 2, 3)
    outer.open()
    assert ear.appended == []
    inner.after = 2
    inner.open()
    assert heard(ear) == [3]


def test_a_gate_keeps_what_its_ear_reads(hub: Hub) -> None:
    first, second = FakeWire(), FakeWire()
    ear = FakeEar(first)
    gate = Gate(hub, ROOM, ear)
    hub.listen(ROOM, "ann", gate)
    events(hub, 1)
    ear.wire = second
    events(hub, 2)
    assert (first.encoded, second.encoded) == (1, 1)
    gate.open()
    assert ear.appended[0].partition(b":")[0] != ear.appended[1].partition(b":")[0]


def test_a_gate_that_would_keep_too_much_keeps_nothing_and_says_so(hub: Hub) -> None:
    ear = FakeEar()
    size = len(WIRE.encode_event("room", 1, CONTENT, 0))
    gate = Gate(hub, ROOM, ear, max_bytes=2 * size)
    hub.listen(ROOM, "ann", gate)
    lost = []
    for msgid in range(1, 5):
        events(hub, msgid)
        lost.append(gate.has_lost)
    assert lost == [False, False, True, True]
    gate.open()
    assert ear.appended == []


# --- what is of one login ---


def test_a_token_s_end_is_for_the_login_that_is_meant(hub: Hub) -> None:
    ann = FakeHolder(2)
    hub.add(ANN, ann)
    hub.deliver_expiry(ANN, 1)
    hub.deliver_expiry(BOB, 2)
    assert ann.expiries == 0
    hub.deliver_expiry(ANN, 2)
    assert ann.expiries == 1


def test_who_was_taken_out_of_a_channel_hears_so_in_that_login(hub: Hub) -> None:
    ann = FakeHolder(2)
    hub.add(ANN, ann)
    hub.deliver_removal(ANN, 1, "room", 5, 7)
    hub.deliver_removal(BOB, 2, "room", 5, 7)
    assert ann.removals == []
    hub.deliver_removal(ANN, 2, "room", 5, 7)
    assert ann.removals == [("room", 5, 7)]


def test_who_waits_for_a_lock_hears_of_it_in_that_login(hub: Hub) -> None:
    ann = FakeHolder(2)
    hub.add(ANN, ann)
    hub.deliver_grant(ANN, 1, "room", "door", "1")
    hub.deliver_grant(BOB, 2, "room", "door", "1")
    assert ann.grants == []
    hub.deliver_grant(ANN, 2, "room", "door", "1")
    assert ann.grants == [("room", "door", "1")]


def test_a_node_that_was_taken_for_dead_is_told(hub: Hub) -> None:
    told: list[int] = []
    hub.on_fencing = lambda: told.append(len(hub))
    hub.add(ANN, FakeHolder(2))
    hub.deliver_fencing()
    assert told == [1]
