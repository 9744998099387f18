"""Plots as SVG text: lines over labelled points, and bars, several charts in one picture.

Owns: drawing. Must not know what the figures mean.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from html import escape
from typing import Final

import attrs

WIDTH: Final = 420
HEIGHT: Final = 280
LEFT: Final = 66
RIGHT: Final = 16
TOP: Final = 44
BOTTOM: Final = 44
LEGEND: Final = 26
COLORS: Final = ("#0b6e4f", "#c8553d", "#2b59c3", "#b8860b", "#7b2d8b", "#555555", "#1f9e9e")
FONT: Final = "font-family='system-ui, sans-serif' font-size='12' fill='#222'"


@attrs.frozen
class Point:
    """A figure and its spread."""

    median: float
    least: float
    greatest: float


@attrs.frozen
class Series:
    """A name and its figure at each label; NaN where there is none."""

    name: str
    points: tuple[Point, ...]


@attrs.frozen(kw_only=True)
class Chart:
    """Series over the same labels. With `has_bars`, each label has a bar of each series; with
    `is_log`, the figures' axis is logarithmic, which suits lines only.
    """

    title: str
    x_heading: str
    labels: tuple[str, ...]
    series: tuple[Series, ...]
    is_log: bool = False
    has_bars: bool = False


def draw(charts: Sequence[Chart], columns: int) -> str:
    """One picture of all charts, with one legend for them."""
    names = list(dict.fromkeys(series.name for chart in charts for series in chart.series))
    colors = {name: COLORS[index % len(COLORS)] for index, name in enumerate(names)}
    rows = math.ceil(len(charts) / columns)
    width, height = columns * WIDTH, rows * HEIGHT + LEGEND
    size = f"viewBox='0 0 {width} {height}' width='{width}' height='{height}'"
    parts = [
        f"<svg xmlns='http://www.w3.org/2000/svg' {size} {FONT}>",
        f"<rect width='{width}' height='{height}' fill='white'/>",
    ]
    x = 16.0
    for name, color in colors.items():
        parts.append(f"<rect x='{x:.0f}' y='8' width='12' height='12' fill='{color}'/>")
        parts.append(f"<text x='{x + 17:.0f}' y='18'>{escape(name)}</text>")
        x += 34 + 7 * len(name)
    for index, chart in enumerate(charts):
        column, row = index % columns, index // columns
        parts.append(f"<g transform='translate({column * WIDTH} {row * HEIGHT + LEGEND})'>")
        parts.extend(_Axes(chart).draw(colors))
        parts.append("</g>")
    return "\n".join([*parts, "</svg>", ""])


class _Axes:
    """Where a chart's figures stand on paper."""

    def __init__(self, chart: Chart) -> None:
        self._chart = chart
        figures = [
            figure
            for series in chart.series
            for point in series.points
            for figure in (point.least, point.greatest)
            if not math.isnan(figure) and (figure > 0 or not chart.is_log)
        ]
        low, high = min(figures, default=1.0), max(figures, default=1.0)
        if chart.is_log:
            self._low = 10 ** math.floor(math.log10(low))
            self._high = 10 ** math.ceil(math.log10(high) + 1e-9)
        else:
            self._low = min(0.0, low * 1.05)
            self._high = max(0.0, high * 1.05) or 1.0

    def _y(self, figure: float) -> float:
        if self._chart.is_log:
            figure = max(figure, self._low)
            share = math.log(figure / self._low) / math.log(self._high / self._low)
        else:
            share = (figure - self._low) / (self._high - self._low)
        return HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM)

    def _x(self, index: int) -> float:
        """The middle of a label's room."""
        return LEFT + (index + 0.5) * (WIDTH - LEFT - RIGHT) / len(self._chart.labels)

    def _ticks(self) -> Iterator[float]:
        if self._chart.is_log:
            power = round(math.log10(self._low))
            while 10**power <= self._high * 1.0001:
                yield 10.0**power
                power += 1
            return
        raw = (self._high - self._low) / 5
        size = 10 ** math.floor(math.log10(raw))
        step = next(size * factor for factor in (1, 2, 5, 10) if size * factor >= raw)
        number = math.ceil(self._low / step)
        while number * step <= self._high:
            yield number * step
            number += 1

    def draw(self, colors: dict[str, str]) -> Iterator[str]:
        chart = self._chart
        yield (
            f"<text x='{WIDTH / 2:.0f}' y='24' text-anchor='middle' font-weight='600'>"
            f"{escape(chart.title)}</text>"
        )
        for tick in self._ticks():
            y = self._y(tick)
            yield f"<path d='M{LEFT} {y:.1f}H{WIDTH - RIGHT}' stroke='#ddd'/>"
            yield f"<text x='{LEFT - 6}' y='{y + 4:.1f}' text-anchor='end'>{_shown(tick)}</text>"
        for index, label in enumerate(chart.labels):
            yield (
                f"<text x='{self._x(index):.1f}' y='{HEIGHT - BOTTOM + 17}' "
                f"text-anchor='middle'>{escape(label)}</text>"
            )
        yield (
            f"<text x='{WIDTH / 2:.0f}' y='{HEIGHT - 8}' text-anchor='middle' fill='#666'>"
            f"{escape(chart.x_heading)}</text>"
        )
        for number, series in enumerate(chart.series):
            draw_series = self._bars if chart.has_bars else self._line
            yield from draw_series(series, number, colors[series.name])

    def _line(self, series: Series, _: int, color: str) -> Iterator[str]:
        places = [
            (self._x(index), point)
            for index, point in enumerate(series.points)
            if not math.isnan(point.median)
        ]
        path = "L".join(f"{x:.1f} {self._y(point.median):.1f}" for x, point in places)
        if path:
            yield f"<path d='M{path}' fill='none' stroke='{color}' stroke-width='2'/>"
        for x, point in places:
            yield self._spread(x, point, color)
            y = self._y(point.median)
            yield f"<circle cx='{x:.1f}' cy='{y:.1f}' r='3.5' fill='{color}'/>"

    def _bars(self, series: Series, number: int, color: str) -> Iterator[str]:
        room = (WIDTH - LEFT - RIGHT) / len(self._chart.labels) * 0.8
        width = room / len(self._chart.series)
        zero = self._y(0)
        for index, point in enumerate(series.points):
            if math.isnan(point.median):
                continue
            x = self._x(index) - room / 2 + number * width
            y = self._y(point.median)
            yield (
                f"<rect x='{x + 1:.1f}' y='{min(y, zero):.1f}' width='{width - 2:.1f}' "
                f"height='{abs(zero - y):.1f}' fill='{color}'/>"
            )
            yield self._spread(x + width / 2, point, "#222")
            yield (
                f"<text x='{x + width / 2:.1f}' y='{min(y, zero) - 4:.1f}' text-anchor='middle' "
                f"font-size='10'>{_shown(point.median)}</text>"
            )

    def _spread(self, x: float, point: Point, color: str) -> str:
        low, high = self._y(point.least), self._y(point.greatest)
        return f"<path d='M{x:.1f} {low:.1f}V{high:.1f}' stroke='{color}' stroke-width='1'/>"


def _shown(figure: float) -> str:
    """A figure in few characters."""
    size = abs(figure)
    if size >= 1e6:
        return f"{figure / 1e6:g}M" if figure % 1e5 == 0 else f"{figure / 1e6:.2f}M"
    if size >= 1e4:
        return f"{figure / 1e3:.0f}k"
    if size >= 100 or figure == int(figure):
        return f"{figure:,.0f}"
    return f"{figure:.3g}"
