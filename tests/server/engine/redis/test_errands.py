"""Errands: in their order, a bounded number under way, and done once all are."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from signal_sdk.ecodes import ECode
from signal_sdk.errors import SignalError
from signal_sdk.server.engine.pending import Pending
from signal_sdk.server.engine.redis.errands import AT_ONCE, run_some

COUNT = 3 * AT_ONCE


@given(st.data())
def test_some_are_under_way_and_the_next_begin_as_they_end(data: st.DataObject) -> None:
    under_way: list[Pending[None]] = []
    begun: list[int] = []

    def run(number: int) -> Pending[None]:
        begun.append(number)
        under_way.append(Pending())
        return under_way[-1]

    done = run_some(run, range(COUNT))
    while under_way:
        assert len(under_way) == min(AT_ONCE, COUNT - (len(begun) - len(under_way)))
        assert begun == list(range(len(begun)))
        assert not done.is_done
        errand = under_way.pop(data.draw(st.integers(0, len(under_way) - 1)))
        if data.draw(st.booleans()):
            errand.resolve(None)
        else:
            errand.fail(SignalError(ECode.GENERAL_E_FAILED, "away"))
    assert begun == list(range(COUNT))
    assert done.is_done


def test_very_many_may_be_done_at_once_or_not_at_all() -> None:
    def run(number: int) -> Pending[None] | None:
        if number % 2:
            return None
        errand: Pending[None] = Pending()
        errand.fail(SignalError(ECode.GENERAL_E_FAILED, "away"))
        return errand

    assert run_some(run, range(100_000)).is_done
    assert run_some(run, ()).is_done
