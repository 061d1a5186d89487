"""Plots as SVG text, without any library: small, self-contained, readable in a browser and on paper."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

import numpy as np

WIDTH, HEIGHT, LEFT, BOTTOM, TOP = 420, 220, 46, 40, 26
_INNER_W, _INNER_H = WIDTH - LEFT - 20, HEIGHT - BOTTOM - TOP
_LANE, _WIDE = 26, 876  # height of a lane and width of a timeline


@dataclass(frozen=True)
class Line:
    """Values at 1, 2, 3 ... with a band around them, where there is one."""

    name: str
    y: Sequence[float]
    low: Sequence[float] = ()
    high: Sequence[float] = ()


def histogram(values: Sequence[float], title: str, unit: str, bins: int = 20) -> str:
    """How often which value, up to the 99th percentile; an empty frame of nothing."""
    if not len(values):
        return _frame(title, unit, "", (0, 1), (0, 1))
    whole = np.asarray(values, float)
    top = max(float(np.percentile(whole, 99)), float(whole.min()) + 1e-9)
    if np.array_equal(whole, whole.round()) and top - whole.min() < bins:  # counts: one bar a number
        edges = np.arange(whole.min() - 0.5, np.ceil(top) + 1)
    else:
        edges = np.linspace(float(whole.min()), top, bins + 1)
    counts, _ = np.histogram(whole, edges)
    xs, ys = (float(edges[0]), float(edges[-1])), (0.0, float(max(counts.max(), 1)))
    bars = "".join(
        f'<rect x="{_x(a, xs) + 0.5:.1f}" y="{_y(n, ys):.1f}" width="{max(_x(b, xs) - _x(a, xs) - 1, 0.5):.1f}" '
        f'height="{_y(0, ys) - _y(n, ys):.1f}"/>'
        for a, b, n in zip(edges[:-1], edges[1:], counts, strict=True)
    )
    middle = float(np.median(whole))
    line = f'<line class="m" x1="{_x(middle, xs):.1f}" x2="{_x(middle, xs):.1f}" y1="{TOP}" y2="{TOP + _INNER_H}"/>'
    return _frame(f"{title} (median {short(middle)})", unit, bars + line, xs, ys)


def scatter(x: Sequence[float], y: Sequence[float], title: str, unit: str) -> str:
    """One dot a pair."""
    if not len(x):
        return _frame(title, unit, "", (0, 1), (0, 1))
    xs = (float(min(x)), float(max(x)) if max(x) > min(x) else float(min(x)) + 1)
    ys = (0.0, float(max(y)) or 1.0)
    dots = "".join(f'<circle cx="{_x(a, xs):.1f}" cy="{_y(b, ys):.1f}" r="2.5"/>' for a, b in zip(x, y, strict=True))
    return _frame(title, unit, dots, xs, ys)


def lines(drawn: Sequence[Line], title: str, unit: str, *, top: float | None = None) -> str:
    """One line each, from zero up, the first point at 1."""
    longest = max((len(line.y) for line in drawn), default=0)
    if not longest:
        return _frame(title, unit, "", (1, 2), (0, 1))
    xs = (1.0, float(max(longest, 2)))
    ys = (0.0, top or max(float(max([*line.y, *line.high])) for line in drawn if line.y) or 1.0)
    inside = "".join(_line(line, n % 4, xs, ys) for n, line in enumerate(drawn) if line.y)
    inside += "".join(
        f'<text class="n c{n % 4}" x="{WIDTH - 26}" y="{TOP + _INNER_H - 8 - 15 * (len(drawn) - 1 - n)}" '
        f'text-anchor="end">{escape(line.name)}</text>'
        for n, line in enumerate(drawn)
    )
    ticks = sorted({round(v) for v in np.linspace(*xs, min(longest, 8))})
    return _frame(title, unit, inside, xs, ys, ticks)


def _line(line: Line, colour: int, xs: tuple[float, float], ys: tuple[float, float]) -> str:
    def path(values: Sequence[float], begin: int = 1) -> list[str]:
        return [f"{_x(n, xs):.1f},{_y(v, ys):.1f}" for n, v in enumerate(values, begin)]

    points = path(line.y)
    band = f'<polygon class="b c{colour}" points="{" ".join([*path(line.low), *path(line.high)[::-1]])}"/>'
    dots = "".join('<circle class="c{}" cx="{}" cy="{}" r="3"/>'.format(colour, *p.split(",")) for p in points)
    return f'{band if line.high else ""}<polyline class="l c{colour}" points="{" ".join(points)}"/>{dots}'


def short(value: float) -> str:
    """A number in three figures, without an exponent where it is large."""
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"


def timeline(lanes: Mapping[str, Sequence[tuple[float, float, str]]], length_s: float) -> str:
    """What happened when: lanes of marks (begin, end, what it was), in seconds."""
    height, span = TOP + _LANE * len(lanes) + 34, max(length_s, 1e-3)
    left, inner = 90, _WIDE - 102
    drawn = []
    for row, (name, marks) in enumerate(lanes.items()):
        y = TOP + _LANE * row
        drawn.append(f'<text x="{left - 10}" y="{y + 17}" text-anchor="end">{escape(name)}</text>')
        drawn.append(f'<line class="a" x1="{left}" x2="{left + inner}" y1="{y + _LANE}" y2="{y + _LANE}"/>')
        drawn += [
            f'<rect class="c{row % 4}" x="{left + inner * begin / span:.1f}" y="{y + 5}" height="{_LANE - 9}" rx="2" '
            f'width="{max(inner * (end - begin) / span, 4):.1f}"><title>{escape(what)}</title></rect>'
            for begin, end, what in marks
        ]
    ticks = "".join(
        f'<text x="{left + inner * n / 6:.0f}" y="{height - 14}" text-anchor="middle">{span * n / 6:.3g}</text>'
        for n in range(7)
    )
    title = f'<text x="0" y="16" class="t">What happened when, s</text>{"".join(drawn)}{ticks}'
    return f'<svg class="w" viewBox="0 0 {_WIDE} {height}" role="img" aria-label="What happened when">{title}</svg>'


def _x(value: float, span: tuple[float, float]) -> float:
    return LEFT + _INNER_W * (value - span[0]) / (span[1] - span[0])


def _y(value: float, span: tuple[float, float]) -> float:
    return TOP + _INNER_H * (1 - (value - span[0]) / (span[1] - span[0]))


def _frame(
    title: str, unit: str, inside: str, xs: tuple[float, float], ys: tuple[float, float], ticks: Sequence[float] = ()
) -> str:  # fmt: skip
    marks = "".join(
        f'<text x="{_x(v, xs):.0f}" y="{HEIGHT - BOTTOM + 15}" text-anchor="middle">{short(v)}</text>'
        for v in ticks or np.linspace(*xs, 4)
    ) + "".join(
        f'<text x="{LEFT - 6}" y="{_y(v, ys) + 4:.0f}" text-anchor="end">{short(v)}</text>' for v in np.linspace(*ys, 3)
    )
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(title)}">'
        f'<text x="{LEFT}" y="16" class="t">{escape(title)}</text>{inside}'
        f'<path class="a" d="M{LEFT} {TOP}V{TOP + _INNER_H}H{LEFT + _INNER_W}"/>{marks}'
        f'<text x="{LEFT + _INNER_W / 2:.0f}" y="{HEIGHT - 6}" text-anchor="middle">{escape(unit)}</text></svg>'
    )
