"""What is kept for hooks, against a model: whatever is committed, fails, dies or is taken when."""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from signal_sdk.ecodes import ECode
from signal_sdk.errors import SignalError
from signal_sdk.server.engine.happened import LOGIN, Happening, Login
from signal_sdk.server.engine.happenings import Happenings
from signal_sdk.server.engine.noting import Commits
from signal_sdk.server.engine.schema import FACTS, HAPPENINGS, Row

APPS = st.sampled_from(("app", "other"))
NODES = st.sampled_from(("here", "there"))
MOST = 8
SECONDS = 10.0


class HandCommits(Commits):
    """Rows that are written when the test says so, all or none."""

    def __init__(self) -> None:
        self.rows: dict[str, dict[Row, Row]] = {HAPPENINGS: {}, FACTS: {}}
        self.changed: list[tuple[str, Row, Row | None]] = []
        self._waiting: list[Callable[[SignalError | None], None]] = []

    def put(self, table: str, key: Row, row: Row) -> None:
        self.changed.append((table, key, row))

    def drop(self, table: str, key: Row) -> None:
        self.changed.append((table, key, None))

    def when_durable(
        self, then: Callable[[SignalError | None], None], *, is_urgent: bool = False
    ) -> None:
        if self.changed:
            self._waiting.append(then)
        else:
            then(None)

    def commit(self, *, fails: bool = False) -> None:
        waiting, self._waiting = self._waiting, []
        error = SignalError(ECode.GENERAL_E_FAILED, "the disk is full") if fails else None
        if not fails:
            changed, self.changed = self.changed, []
            for table, key, row in changed:
                if row is None:
                    self.rows[table].pop(key, None)
                else:
                    self.rows[table][key] = row
        for then in waiting:
            then(error)


class Machine(RuleBasedStateMachine):
    """Things happen in two apps; two nodes take what is kept; now and then the process dies."""

    @initialize()
    def begin(self) -> None:
        self.commits = HandCommits()
        self.now = 0.0
        self.names = 0
        self.given: dict[tuple[str, int], Happening] = {}
        """What somebody outside has seen under which number."""
        self.done: dict[str, int] = {}
        self._start()

    def _start(self) -> None:
        self.happenings = Happenings(self.commits, {})
        for (name,), row in self.commits.rows[FACTS].items():
            self.happenings.take_number(name, row[1])
        for _, row in sorted(self.commits.rows[HAPPENINGS].items()):
            self.happenings.take_row(row)
        self.happenings.resumed()
        self.happenings.keep((LOGIN,), MOST)
        self.taken: dict[str, tuple[str, float]] = {}

    @rule(app=APPS, count=st.integers(1, 5))
    def happens(self, app: str, count: int) -> None:
        for _ in range(count):
            self.names += 1
            self.happenings.tell(Login(app=app, account=f"a{self.names}"), self.now)

    @rule()
    def commit(self) -> None:
        self.commits.commit()

    @rule()
    def cannot_commit(self) -> None:
        self.commits.commit(fails=True)

    @rule(seconds=st.floats(0.1, 2 * SECONDS))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @rule(app=APPS, node=NODES, most=st.integers(1, 4), is_done=st.booleans())
    def take(self, app: str, node: str, most: int, is_done: bool) -> None:
        holder, until = self.taken.get(app, ("", 0.0))
        found = self.happenings.take(app, most, node, self.now, SECONDS)
        if holder not in ("", node) and until > self.now:
            assert found is None
            return
        assert found is not None
        assert len(found) <= most
        self.taken[app] = (node, self.now + SECONDS if found else 0.0)
        numbers = [it.number for it in found]
        assert numbers == list(range(numbers[0], numbers[0] + len(numbers))) if numbers else True
        for it in found:
            assert it.number > self.done.get(app, 0)
            # A number names one thing for good.
            assert self.given.setdefault((app, it.number), it) == it
            # It outlives the process from here on.
            assert any(row[1:3] == (app, it.number) for row in self._rows())
        if is_done and found:
            assert self.happenings.done(app, found[-1].number, node)
            self.done[app] = found[-1].number

    def _rows(self) -> list[Row]:
        return list(self.commits.rows[HAPPENINGS].values())

    @rule(app=APPS, node=NODES)
    def who_has_not_taken_it_does_nothing(self, app: str, node: str) -> None:
        holder, _ = self.taken.get(app, ("", 0.0))
        before = self.happenings.backlogs().get(app)
        if node != holder:
            assert not self.happenings.done(app, 10**6, node)
            assert self.happenings.backlogs().get(app) == before

    @rule()
    def die(self) -> None:
        """What was done and not written comes again."""
        self.commits.commit(fails=True)
        self.commits.changed.clear()
        for app in self.done:
            rows = [row[2] for row in self._rows() if row[1] == app]
            self.done[app] = min([self.done[app], *(number - 1 for number in rows)])
        self._start()

    @invariant()
    def no_more_is_kept_than_is_allowed(self) -> None:
        for backlog in self.happenings.backlogs().values():
            assert backlog.kept <= MOST


TestHappenings = Machine.TestCase
