"""The inbox window: each entry once and in order, a bounded number in hand, and the server told."""

from __future__ import annotations

import math

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from signal_sdk.client.inbox import RETRY_SECONDS, TELL_SECONDS, WINDOW, InboxWindow


def fresh() -> InboxWindow:
    """A window whose first poll has found nothing."""
    window = InboxWindow()
    assert window.wants_poll(0)
    assert window.poll() == 0
    assert window.polled(0, []) == []
    return window


def page(first: int, last: int) -> list[tuple[int, str]]:
    return [(version, f"m{version}") for version in range(first, last + 1)]


def test_a_session_polls_first_and_only_once() -> None:
    window = InboxWindow()
    assert window.wants_poll(0)
    assert window.poll() == 0
    assert not window.wants_poll(0)
    assert window.due(0) == math.inf


def test_a_push_is_taken_only_in_sequence() -> None:
    window = fresh()
    assert window.push(1)
    assert not window.push(3)
    assert window.wants_poll(0)
    window.poll()
    assert [version for version, _ in window.polled(0, page(1, 3))] == [2, 3]


def test_a_push_that_comes_again_is_passed_over() -> None:
    window = fresh()
    assert window.push(1)
    assert not window.push(1)
    assert not window.wants_poll(0)


def test_no_more_is_taken_than_a_page() -> None:
    window = fresh()
    for version in range(1, WINDOW + 1):
        assert window.push(version)
    assert window.is_full
    assert not window.push(WINDOW + 1)
    assert not window.wants_poll(0)
    for version in range(1, WINDOW // 2 + 1):
        window.handle(version, lambda: 0)
    assert window.wants_poll(0)
    assert window.poll() == WINDOW // 2
    assert window.polled(WINDOW // 2, page(WINDOW // 2 + 1, WINDOW + 1)) == [
        (WINDOW + 1, f"m{WINDOW + 1}")
    ]


def test_the_server_is_told_within_a_second_of_the_last_entry() -> None:
    window = fresh()
    window.push(1)
    window.handle(1, lambda: 5.0)
    assert not window.wants_poll(5.0)
    assert window.due(5.0) == 5.0 + TELL_SECONDS
    assert window.wants_poll(5.0 + TELL_SECONDS)
    assert window.poll() == 1
    window.polled(1, [])
    assert window.due(9.0) == math.inf


def test_the_server_is_told_at_half_a_window_at_once() -> None:
    window = fresh()
    for version in range(1, WINDOW // 2 + 1):
        assert not window.wants_poll(0)
        window.push(version)
        window.handle(version, lambda: 0)
    assert window.wants_poll(0)


def test_a_full_page_is_followed_by_another_poll() -> None:
    window = InboxWindow()
    window.poll()
    assert len(window.polled(0, page(1, WINDOW))) == WINDOW
    for version in range(1, WINDOW + 1):
        window.handle(version, lambda: 0)
    assert window.wants_poll(0)
    assert window.poll() == WINDOW


def test_what_expired_leaves_a_gap() -> None:
    """The reply's `ver_clear` jumps over what is gone, and so does the window."""
    window = InboxWindow()
    window.poll()
    assert window.polled(57, []) == []
    assert window.push(58)
    window.announce(60)
    window.poll()
    window.handle(58, lambda: 0)
    window.polled(58, [])
    # 59 and 60 were announced, and have expired: there is no point in asking again and again.
    assert not window.wants_poll(0)


def test_what_is_announced_during_a_poll_is_not_forgotten() -> None:
    window = fresh()
    window.announce(1)
    window.poll()
    window.announce(2)
    window.polled(0, page(1, 1))
    assert window.wants_poll(0)


def test_a_poll_that_failed_is_tried_again_later() -> None:
    window = InboxWindow()
    window.poll()
    window.poll_failed(10.0)
    assert not window.wants_poll(10.0)
    assert window.due(10.0) == 10.0 + RETRY_SECONDS
    assert window.wants_poll(10.0 + RETRY_SECONDS)


def test_a_new_connection_is_a_reason_to_poll_at_once() -> None:
    window = fresh()
    window.push(1)
    window.poll()
    window.poll_failed(10.0)
    window.resume()
    assert window.wants_poll(10.0)
    assert window.poll() == 0
    assert [version for version, _ in window.polled(0, page(1, 3))] == [2, 3]


def test_at_the_end_a_callback_that_has_begun_counts_as_handled() -> None:
    window = fresh()
    for version in (1, 2, 3):
        window.push(version)
    assert window.last_told() is None
    window.begin(1)
    window.handle(1, lambda: 0)
    window.begin(2)
    assert window.last_told() == 2


class Inbox(RuleBasedStateMachine):
    """A server with an inbox and a client with a window, whose frames take their time."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.version = 0
        self.cleared = 0
        self.inbox: dict[int, str] = {}
        self.expired: set[int] = set()
        self.wire: list[tuple[str, int, list[tuple[int, str]]]] = []
        self.window = InboxWindow()
        self.queue: list[int] = []
        self.delivered: list[int] = []
        self.asked: list[int] = []

    @rule(pushes=st.booleans())
    def post(self, pushes: bool) -> None:
        self.version += 1
        self.inbox[self.version] = f"m{self.version}"
        self.wire.append(("push" if pushes else "announce", self.version, []))

    @precondition(lambda self: self.inbox)
    @rule(data=st.data())
    def expire(self, data: st.DataObject) -> None:
        version = data.draw(st.sampled_from(sorted(self.inbox)))
        del self.inbox[version]
        self.expired.add(version)

    @precondition(lambda self: self.window.wants_poll(self.now))
    @rule()
    def poll(self) -> None:
        self.asked.append(self.window.poll())

    @precondition(lambda self: self.asked)
    @rule()
    def answer(self) -> None:
        """The server reads the poll, and answers behind all that it has sent."""
        told = self.asked.pop()
        self.cleared = max(self.cleared, told)
        self.inbox = {v: text for v, text in self.inbox.items() if v > self.cleared}
        self.wire.append(("page", self.cleared, sorted(self.inbox.items())[:WINDOW]))

    @precondition(lambda self: self.wire)
    @rule()
    def receive(self) -> None:
        kind, version, entries = self.wire.pop(0)
        if kind == "announce":
            self.window.announce(version)
        elif kind == "push":
            if self.window.push(version):
                self.queue.append(version)
        else:
            self.queue += [new for new, _ in self.window.polled(version, entries)]

    @precondition(lambda self: self.queue)
    @rule()
    def handle(self) -> None:
        version = self.queue.pop(0)
        self.window.begin(version)
        self.delivered.append(version)
        self.window.handle(version, lambda: self.now)

    @rule()
    def wait(self) -> None:
        self.now += 1.0

    @invariant()
    def each_entry_comes_once_and_in_order(self) -> None:
        seen = self.delivered + self.queue
        assert seen == sorted(set(seen))
        assert len(self.queue) <= WINDOW

    @invariant()
    def nothing_unhandled_is_cleared(self) -> None:
        assert all(version > self.cleared for version in self.queue)

    def teardown(self) -> None:
        """Left alone, everything arrives but what has expired, and the server hears of it."""
        for _ in range(10 * self.version + 10):
            while self.wire:
                self.receive()
            while self.queue:
                self.handle()
            self.now += RETRY_SECONDS
            if self.window.wants_poll(self.now):
                self.poll()
            if self.asked:
                self.answer()
            elif not self.wire:
                break
        missing = set(range(1, self.version + 1)) - set(self.delivered)
        assert missing <= self.expired
        assert self.inbox == {}


Inbox.TestCase.settings = settings(max_examples=100, stateful_step_count=60)
test_the_window_against_a_server = Inbox.TestCase


@given(st.lists(st.integers(1, 40), max_size=60))
def test_any_order_of_pushes_is_told_once_and_rising(versions: list[int]) -> None:
    window = fresh()
    taken = [version for version in versions if window.push(version)]
    assert taken == list(range(1, len(taken) + 1))
