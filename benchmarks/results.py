"""Figures: what a round gave, the medians of many rounds, and the tables that show them.

Owns: percentiles, medians with their spread, ratios of what was measured by turns, the printed
tables and their JSON form. Must not know what was measured.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeAlias

import attrs

Case: TypeAlias = dict[str, int | str]
Metrics: TypeAlias = dict[str, float]


@attrs.frozen
class Metric:
    """A figure's name in the JSON, its heading, and how many digits it is shown with."""

    name: str
    heading: str
    digits: int = 0

    def shown(self, figure: float) -> str:
        return f"{figure:,.{self.digits}f}"

    @property
    def has_ratios(self) -> bool:
        """Is so many times as much of it worth saying? Not of a change, which may be less than
        nothing.
        """
        return not self.name.startswith("change_")


RATE: Final = Metric("rate", "deliveries/s")
SERVER_US: Final = Metric("server_us", "server µs", 2)
LOAD_US: Final = Metric("load_us", "load µs", 2)
P50: Final = Metric("p50_ms", "p50 ms", 2)
P99: Final = Metric("p99_ms", "p99 ms", 2)
P999: Final = Metric("p999_ms", "p99.9 ms", 2)
RATIO: Final = Metric("ratio", "ratio", 2)
TIMES: Final = "\N{MULTIPLICATION SIGN}"


def at(name: str, commit: str) -> str:
    """What a peer's row is called that was measured as it was at a commit; without one, as it is
    now.
    """
    return f"{name} at {commit}" if commit else name


def percentile(values: Sequence[float], share: float) -> float:
    """The value that `share` (0 to 1) of the sorted `values` do not exceed; NaN where none are."""
    if not values:
        return math.nan
    return values[min(len(values) - 1, max(0, math.ceil(share * len(values)) - 1))]


def latencies(microseconds: Sequence[int]) -> Metrics:
    """The three percentiles, in milliseconds."""
    values = sorted(microseconds)
    return {
        "p50_ms": percentile(values, 0.5) / 1000,
        "p99_ms": percentile(values, 0.99) / 1000,
        "p999_ms": percentile(values, 0.999) / 1000,
    }


@attrs.define
class Row:
    """One peer in one case, over all rounds."""

    peer: str
    case: Case
    rounds: list[Metrics] = attrs.field(factory=list)

    def values(self, name: str) -> list[float]:
        """A metric's figure of each round that has one."""
        return [
            metrics[name]
            for metrics in self.rounds
            if name in metrics and not math.isnan(metrics[name])
        ]

    def median(self, name: str) -> float:
        """NaN where no round has a figure."""
        values = self.values(name)
        return statistics.median(values) if values else math.nan

    def spread(self, name: str) -> tuple[float, float]:
        """The least and the greatest; NaN where no round has a figure."""
        values = self.values(name) or [math.nan]
        return min(values), max(values)

    def ratios_to(self, then: Row, metric: Metric) -> list[float]:
        """A metric's figure of each round over the other's in the same round; none where there is
        nothing to compare.
        """
        ours, theirs = self.values(metric.name), then.values(metric.name)
        is_comparable = metric.has_ratios and len(ours) == len(theirs)
        if not is_comparable or min([*ours, *theirs], default=0) <= 0:
            return []
        return [now / before for now, before in zip(ours, theirs, strict=True)]

    def to_json(self) -> dict[str, Any]:
        names = list(dict.fromkeys(name for metrics in self.rounds for name in metrics))
        return {
            "peer": self.peer,
            "case": self.case,
            "metrics": {
                name: {
                    "median": self.median(name),
                    "min": self.spread(name)[0],
                    "max": self.spread(name)[1],
                    "rounds": self.values(name),
                }
                for name in names
                if self.values(name)
            },
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Row:
        """As `to_json` wrote it."""
        metrics = data["metrics"]
        count = max((len(metric["rounds"]) for metric in metrics.values()), default=0)
        rounds = [
            {
                name: metric["rounds"][number]
                for name, metric in metrics.items()
                if number < len(metric["rounds"])
            }
            for number in range(count)
        ]
        return cls(data["peer"], dict(data["case"]), rounds)


@attrs.define
class Work:
    """The figures of one of the works."""

    name: str
    title: str
    columns: tuple[Metric, ...]
    rows: list[Row] = attrs.field(factory=list)

    def add(self, peer: str, case: Case, metrics: Metrics) -> None:
        """What one round gave."""
        row = self.find(peer, **case)
        if row is None:
            row = Row(peer, case)
            self.rows.append(row)
        row.rounds.append(metrics)

    def find(self, peer: str, **case: int | str) -> Row | None:
        """The peer's row whose case has at least these values."""
        for row in self.rows:
            if row.peer == peer and case.items() <= row.case.items():
                return row
        return None

    def compare(self, base: str, metric: Metric, name: str) -> None:
        """Add `name` to each round of the others: its figure over that of the peer `base` in the
        same round.
        """
        for row in self.rows:
            then = self.find(base, **row.case)
            ratios = [] if then is None or then is row else row.ratios_to(then, metric)
            if ratios:
                pairs = zip(row.rounds, ratios, strict=True)
                row.rounds = [each | {name: ratio} for each, ratio in pairs]

    def to_json(self) -> dict[str, Any]:
        return {
            "title": self.title,
            "columns": [[each.name, each.heading, each.digits] for each in self.columns],
            "rows": [row.to_json() for row in self.sorted_rows()],
        }

    @classmethod
    def from_json(cls, name: str, data: Mapping[str, Any]) -> Work:
        """As `to_json` wrote it."""
        columns = tuple(Metric(*column) for column in data["columns"])
        return cls(name, data["title"], columns, [Row.from_json(row) for row in data["rows"]])

    def sorted_rows(self) -> list[Row]:
        """Case by case, each with its peers beside each other, in the order of the first round."""
        cases = list(dict.fromkeys(tuple(row.case.items()) for row in self.rows))
        return sorted(self.rows, key=lambda row: cases.index(tuple(row.case.items())))

    def cells(self, before: Sequence[Row] = ()) -> tuple[list[str], list[list[str]]]:
        """The headings, and each row's cells: case, peer, and medians with their spread, beside
        those of the rows from `before`.
        """
        past = {(row.peer, tuple(row.case.items())): row for row in before}
        shown = [each for each in self.columns if any(row.values(each.name) for row in self.rows)]
        heads = [*self._case_names(), "peer", *(each.heading for each in shown)]
        body = []
        for row in self.sorted_rows():
            then = past.get((row.peer, tuple(row.case.items())))
            figures = [_figure_cell(row, each) + _past_cell(row, then, each) for each in shown]
            body.append([*self._case_cells(row), row.peer, *figures])
        return heads, body

    def ratio_cells(self, commit: str) -> tuple[list[str], list[list[str]]]:
        """The headings and cells of what was measured at a commit, too, by turns: medians of the
        rounds' ratios of now to then, with their spread. No cells where nothing was.
        """
        pairs = [
            (row, then)
            for row in self.sorted_rows()
            if commit and (then := self.find(at(row.peer, commit), **row.case)) is not None
        ]
        found = [
            (row, {each: row.ratios_to(then, each) for each in self.columns}) for row, then in pairs
        ]
        shown = [each for each in self.columns if any(ratios[each] for _, ratios in found)]
        heads = [*self._case_names(), "peer", *(each.heading for each in shown)]
        body = []
        for row, ratios in found:
            figures = [_spread_cell(ratios[each], RATIO) for each in shown]
            body.append([*self._case_cells(row), row.peer, *figures])
        return heads, body

    def table(self) -> str:
        """The table as text."""
        return "\n".join([f"{self.title}: medians (least to greatest)", _aligned(*self.cells())])

    def ratio_table(self, commit: str) -> str:
        """The ratios as text; nothing where there are none."""
        heads, body = self.ratio_cells(commit)
        if not body:
            return ""
        title = f"{self.title}: now / {commit}, medians of the rounds' ratios (least to greatest)"
        return "\n".join([title, _aligned(heads, body)])

    def _case_names(self) -> list[str]:
        return list(dict.fromkeys(name for row in self.rows for name in row.case))

    def _case_cells(self, row: Row) -> list[str]:
        return [_case_cell(row.case.get(name, "")) for name in self._case_names()]


def _aligned(heads: list[str], body: list[list[str]]) -> str:
    widths = [max(len(line[index]) for line in [heads, *body]) for index in range(len(heads))]
    return "\n".join(
        "  ".join(cell.rjust(width) for cell, width in zip(line, widths, strict=True))
        for line in [heads, *body]
    )


def _case_cell(value: int | str) -> str:
    return f"{value:,}" if isinstance(value, int) else value


def _figure_cell(row: Row, metric: Metric) -> str:
    return _spread_cell(row.values(metric.name), metric)


def _spread_cell(values: Sequence[float], metric: Metric) -> str:
    if not values:
        return "-"
    median = metric.shown(statistics.median(values))
    if len(values) == 1:
        return median
    return f"{median} ({metric.shown(min(values))} to {metric.shown(max(values))})"


def _past_cell(row: Row, then: Row | None, metric: Metric) -> str:
    """How many times that is of what it was, or only what it was."""
    if then is None or not row.values(metric.name) or not then.values(metric.name):
        return ""
    now, before = row.median(metric.name), then.median(metric.name)
    if metric.has_ratios and now > 0 and before > 0:
        return f" = {RATIO.shown(now / before)} {TIMES} {metric.shown(before)}"
    return f", was {metric.shown(before)}"
